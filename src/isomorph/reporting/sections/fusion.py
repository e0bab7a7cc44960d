"""Fusions in the report: spaces, heads and controls side by side, who does the work, and where the spaces disagree."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...results import (
    BEYOND,
    CONTROL,
    FUSION_DESCENDING,
    Calibration,
    Condition,
    Conflict,
    Dominance,
    Fusion,
    Gain,
    HeadScores,
    Interaction,
    Margin,
    Score,
    Single,
    listed,
)
from .._charts import Row, Series, dot_plot, line_chart
from .._pictures import Shown as Picture
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import DASH, csv_table, flatten, number, p_text, percent, printable, signed, slug
from ._verdict import map_mark, marks, span

_WORDS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "exact_match": "exact match",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "r2": "R²",
    "correlation": "correlation",
    "mrr": "MRR",
    "median_rank": "median rank",
}
_SHARES = {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "exact_match", "mrr"}  # scores that lie in [0, 1]
_CLASSES, _CASES, _LEAST = 20, 6, 5  # classes, items of a kind, and items of a bin that are shown


class FusionSection(Section):
    """`Fusion`: what several spaces give together about a target, and which of them does the work.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 60, 4))
        >>> classes = x[:, 0] + y[:, 0] > 0
        >>> found = iso.fuse({"my space": x, "y": y}, classes, heads=["concat"], repeats=3, controls=False)
        >>> "concat is better than the best single space" in iso.report(found).read_text()
        True
    """

    name = "fusion"
    heading = "What do {} tell together?"

    @classmethod
    def example(cls, text: str) -> Any:
        score, chance = Score(0.8, 0.7, 0.9, 0.5, (0.8,)), Score(0.5, 0.4, 0.6, 0.5, (0.5,))
        margin, calibration = Margin(0.3, 0.1, 0.4), Calibration(0.05, (0.6, 0.9), (0.5, 0.95), (10, 10))
        spaces = (f"{text}1", f"{text}2")
        controls = (*(f"{s} permuted" for s in spaces), f"{spaces[1]} twice", text)
        head = HeadScores(
            text, text, {"accuracy": score}, "accuracy", Gain(0.1, 0.02, 0.2, 0.01), dict.fromkeys(controls, chance),
            dict.fromkeys(controls, margin), dict.fromkeys(spaces, score), dict.fromkeys(spaces, margin),
            {text: dict.fromkeys(spaces, 0.2)}, Dominance(spaces[0], 0.4, 0.2, 0.6, dict.fromkeys(spaces, 0.5), 9),
            {f"without {spaces[0]}": chance, text: chance}, calibration,
        )  # fmt: skip
        return Fusion(
            {text: head}, {s: Single(s, {"accuracy": chance}, "accuracy", (text,), calibration) for s in spaces},
            text, "classes", (text, "other"), "accuracy", 40, dict.fromkeys(spaces, 4), (28,), (12,), "item", 0.3, 0,
            0.95, {text: Interaction(spaces, text, dict.fromkeys(spaces, chance), chance, chance, score)},
            (Conflict(text, text, {spaces[0]: text, spaces[1]: "other"}, {text: text}),),
            dict.fromkeys(spaces, text), tuple(Condition(CONTROL, c, given=text) for c in controls), (text,), text,
            {"call": text},
        )  # fmt: skip

    def models(self, result: Fusion) -> Sequence[str]:
        return [*result.models.values()] or [*result.singles]

    def show(self, results: Sequence[Fusion], context: Context) -> Shown:
        kinds = dict.fromkeys(_kind(name, r)[0] for r in results for name in _controls(r))
        styles = {label: style for (_, label), style in marks(Condition(CONTROL, k) for k in kinds).items()}
        blocks = tuple(_block(r, k, styles, context) for k, r in context.each(results))
        question = "do several spaces together tell more than the best of them, and which of them does the work?"
        return Shown(question, None, blocks, tuple(_facts(r, context) for r in results))


@dataclasses.dataclass(frozen=True)
class Case:
    """An item on which the spaces disagree, with what each space and the best head say of it."""

    item: Picture
    truth: str
    said: tuple[tuple[str, str, bool], ...]


def _title(result: Fusion) -> str:
    return printable(f"{' + '.join(result.singles)} for {result.target}")


def _score(name: str) -> str:
    return _WORDS.get(name, printable(name).replace("_", " "))


def _interval(score: Score | Margin | Gain | Dominance, *, sign: bool = False) -> str:
    return f"{signed(score.value) if sign else number(score.value)} ({span(score.low, score.high)})"


def _controls(result: Fusion) -> list[str]:
    return list(dict.fromkeys(name for h in result.heads.values() for name in h.controls))


def _kind(control: str, result: Fusion) -> tuple[str, str]:
    """What a control does, and to which space: ``"image permuted"`` permutes the space image."""
    for space in sorted(result.singles, key=len, reverse=True):
        if control.startswith(f"{space} "):
            rest = control.removeprefix(f"{space} ")
            return "second model" if rest == f"+ second {space}" else rest, space
    return control, ""


def _block(result: Fusion, k: int, styles: Mapping[str, int], context: Context) -> Block:
    stem = slug("fusion", f"{k:02d}", result.target)
    drawn = (_scores_plot(result, stem, styles), _missing_plot(result, stem), _reliability(result, stem))
    figures = tuple(figure for figure in drawn if figure is not None)
    tables = (_score_table, _control_table, _work_table, _class_table, _bits_table)
    headline = printable(result.verdict)
    html = render(
        "fusion.html.j2",
        headline=headline,
        answers=[(printable(what), printable(words)) for what, words in _answers(result)],
        setting=_setting(result, context),
        figures=figures,
        note=_NOTE,
        tables=[made for make in tables if (made := make(result)) is not None],
        csv=csv_table(result.to_records()),
        notes=[printable(n) for n in result.notes],
        cases=_cases(result, context),
    )
    return Block(f"fusion-{k}", _title(result), html, figures, headline)


_NOTE = (
    "Scores are means over the splits on held-out items; intervals are over splits and items. A head's disc is filled "
    "if it lies above its controls: two spaces or more are needed, none of which does as well permuted, random or "
    "untrained, and no space does as well twice or with a second model of its kind (lower bounds of all differences "
    "above 0). A space's disc is filled if its interval lies above chance. A control of whichever space has one "
    "marker; the table says which it was. Permuted, random, untrained: this takes the place of one space. Twice, "
    "second model: one space with itself or with a second of its kind, and no other space. Permuted within classes: "
    "items of one class are paired at random; a head need not lie above it. Calibration: bins of at least 5 items; on "
    "the diagonal, as many are right as were stated."
)


def _answers(result: Fusion) -> list[tuple[str, str]]:
    """What an engineer asks of the best head, each answered in a sentence or two."""
    best = result.heads[result.best().head]
    found = [
        ("More than the best space?", _gain_words(result, best)),
        ("Above its controls?", _control_words(best)),
    ]
    if best.contributions:
        found.append(("Who does the work?", _work_words(best)))
    if best.missing:
        found.append(("And if a view is missing or broken?", _missing_words(result, best)))
    for name, bits in result.interactions.items():
        found.append((f"What do {name} tell?", _bit_words(bits)))
    return found


def _gain_words(result: Fusion, best: HeadScores) -> str:
    each = listed([f"{name} {number(s.score.value)}" for name, s in result.singles.items()])
    says = "Yes" if result.gains else "No" if best.gain.value <= 0 else "Not shown"
    return (
        f"{says}: {best.head} has {_score(result.decided_by)} {_interval(best.score)}, the spaces alone {each}. Beside "
        f"the space that was best on the items fitted on, it gains {_interval(best.gain, sign=True)}, p "
        f"{p_text(best.gain.p_value)} of no gain by this head alone."
    )


def _control_words(best: HeadScores) -> str:
    if not best.margins:
        return "Not known: no control was fitted."
    held = {n: m for n, m in best.margins.items() if not n.endswith(BEYOND)}
    level = [n for n, m in held.items() if m.low <= 0]
    words = "Yes" if best.above_controls else "Not shown"
    if level:
        least = min(level, key=lambda n: held[n].value)
        words += f": {best.head} is not shown to be above {listed(level)}; over {least}, "
        words += f"{_interval(held[least], sign=True)}."
    else:
        words += f": {best.head} lies above all {len(held)} controls."
    if best.needed:
        words += f" Nothing permuted, random or untrained stands in for {listed(list(best.needed))}."
    else:
        words += " No space is shown to be needed."
    pairs = {n: m for n, m in best.margins.items() if n.endswith(BEYOND)}
    shown = any(m.low > 0 for m in pairs.values())
    if pairs:
        words += f" Which items of a class are paired is {'' if shown else 'not shown to be '}of use."
    return words


def _work_words(best: HeadScores) -> str:
    shares = ", ".join(f"{s} {_interval(v, sign=True)}" for s, v in best.contributions.items())
    words = f"Of the score above chance, by Shapley values: {shares}."
    found = best.dominance
    if found is None:
        return f"{words} There are no conflicts of which to tell whether one space dominates."
    follows = ", ".join(f"{s} in {percent(v)}" for s, v in found.follows.items())
    if found.low > 0:
        says = f"it follows {found.space} more than the rest"
    else:
        says = "it is not shown to follow one space more than the rest"
    return (
        f"{words} Where the spaces disagree ({found.conflicts:,} conflicts), {says}: it says what they say, {follows}; "
        f"dominance {_interval(found, sign=True)}."
    )


def _missing_words(result: Fusion, best: HeadScores) -> str:
    sign = -1 if result.decided_by in FUSION_DESCENDING else 1
    worst = min(best.missing, key=lambda n: sign * best.missing[n].value)
    score = best.missing[worst]
    return f"At worst ({worst}) {best.head} has {_interval(score)} in place of {number(best.score.value)}, chance " + (
        f"{number(score.chance)}."
    )


def _bit_words(bits: Interaction) -> str:
    unique = ", ".join(f"{name} alone {number(s.value)}" for name, s in bits.unique.items())
    return (
        f"{number(bits.total.value)} bits an item by {bits.head}: {unique}, both alike {number(bits.redundant.value)}, "
        f"only together {number(bits.synergistic.value)}."
    )


def _setting(result: Fusion, context: Context) -> str:
    def range_of(values: Sequence[int]) -> str:
        low, high = min(values), max(values)
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    layers = []
    for name, single in result.singles.items():
        model = result.models.get(name, name)
        what = name if model == name else f"{name}: {context.name(model)}"
        usual = Counter(single.layers).most_common(1)
        often = f", layer {usual[0][0]}" + (" most often" if len(set(single.layers)) > 1 else "") if usual else ""
        layers.append(f"{what}{often}, {result.widths.get(name, 0):,} features")
    count = f"{len(result.names)} " if result.names else ""
    splits = len(result.n_test)
    return printable(
        f"Target {result.target}: {count}{result.target_kind}. Fitted on {range_of(result.n_train)} items, scored on "
        f"the {range_of(result.n_test)} held out by {result.by}, {splits} split{'s' if splits > 1 else ''}; layers and "
        f"penalties chosen on the items fitted on. {'; '.join(layers)}.{_together(result)}"
    )


def _together(result: Fusion) -> str:
    """Which layers heads read where these were chosen together, and what all pairs of them tell."""
    pairs = result.layer_pairs
    alone = {name: single.layers for name, single in result.singles.items()}
    if pairs is None and dict(result.layers) in ({}, alone):
        return ""
    read = ", ".join(f"{name} {Counter(layers).most_common(1)[0][0]}" for name, layers in result.layers.items())
    words = f" Heads read the layers that tell most together: {read}."
    if pairs is None:
        return words
    told = pairs["explained"]
    return (
        f"{words} Of {told.size:,} pairs of layers, these explain {number(float(told.max()))} of the target's variance "
        f"in training items left out; the median pair {number(float(np.median(told)))}."
    )


def _scores_plot(result: Fusion, stem: str, styles: Mapping[str, int]) -> Figure:
    """Every space and every head, each a row, with the controls of a head on its row."""
    rows = [_row(name, s.score, _beyond_chance(s.score, result)) for name, s in result.singles.items()]
    for name, head in result.heads.items():
        kinds = [(_kind(n, result)[0], s.value) for n, s in head.controls.items()]
        beside = [(printable(kind), value, styles[kind]) for kind, value in kinds]
        rows.append(_row(name, head.score, head.above_controls, beside))
    title = f"{_title(result)}: {_score(result.decided_by)}, " + "; ".join(
        [
            *(f"{name} {number(s.score.value)}" for name, s in result.singles.items()),
            *(
                f"{name} {number(h.score.value)} ({', '.join(f'{n} {number(s.value)}' for n, s in h.controls.items())})"
                for name, h in result.heads.items()
            ),
        ]
    )
    heading = f"{_score(result.decided_by)} of spaces and heads, beside controls"
    return dot_plot(f"{stem}-scores", printable(f"{title}."), heading, rows, "space or head", _whole(result))


def _row(name: str, score: Score, filled: bool, beside: Sequence[tuple[str, float, int]] = ()) -> Row:
    return Row(printable(name), score.value, score.chance, filled, beside, (score.low, score.high))


def _beyond_chance(score: Score, result: Fusion) -> bool:
    return score.high < score.chance if result.decided_by in FUSION_DESCENDING else score.low > score.chance


def _whole(result: Fusion) -> tuple[float, float] | None:
    share = result.decided_by in _SHARES or result.decided_by.startswith("R@")
    return (0.0, 1.0) if share else None


def _missing_plot(result: Fusion, stem: str) -> Figure | None:
    """What is wrong with a view, each a row: the best head with its interval, the other heads beside it."""
    best = result.heads[result.best().head]
    if not best.missing:
        return None
    others = {n: map_mark(k) for k, n in enumerate((n for n in result.heads if n != best.head), start=1)}

    def beside(wrong: str | None) -> list[tuple[str, float, int]]:
        scores = {n: result.heads[n].missing.get(wrong) if wrong else result.heads[n].score for n in others}
        return [(printable(n), s.value, others[n]) for n, s in scores.items() if s is not None]

    rows = [_row("all views whole", best.score, _beyond_chance(best.score, result), beside(None))]
    rows += [_row(n, s, _beyond_chance(s, result), beside(n)) for n, s in best.missing.items()]
    title = f"{_title(result)}, {_score(result.decided_by)} of {best.head} where a view is missing or broken: " + (
        "; ".join(f"{r.label} {number(r.value)}" for r in rows)
    )
    heading = f"{_score(result.decided_by)} if a view is missing or broken"
    return dot_plot(f"{stem}-missing", printable(f"{title}."), heading, rows, printable(best.head), _whole(result))


def _reliability(result: Fusion, stem: str) -> Figure | None:
    """Stated against actual shares of the heads that give probabilities."""
    best = result.best().head
    order = sorted(result.heads.values(), key=lambda h: h.head != best)
    known = [(h.head, c) for h in order if (c := h.calibration) is not None and max(c.counts, default=0) >= _LEAST]
    if not known:
        return None
    series = []
    for k, (name, c) in enumerate(known):
        bins = [(s, a) for s, a, n in zip(c.stated, c.actual, c.counts, strict=True) if n >= _LEAST]
        series.append(Series(printable(name), [s for s, _ in bins], [a for _, a in bins], map_mark(k)))
    series.append(Series("stated = actual", (0.0, 1.0), (0.0, 1.0), "chance"))
    title = f"{_title(result)}, calibration of heads, expected error: "
    title += "; ".join(f"{name} {number(c.error)}" for name, c in known)
    heading = "share that is right, by stated probability"
    return line_chart(f"{stem}-calibration", printable(f"{title}."), heading, series, "stated probability")


def _score_table(result: Fusion) -> Table:
    every: list[Single | HeadScores] = [*result.singles.values(), *result.heads.values()]
    names = sorted({n for found in every for n in found.scores}, key=lambda n: (n != result.decided_by, n))
    wide = names[:1]
    columns = ["space or head", *(f"{_score(n)} (interval)" for n in wide), *map(_score, names[1:])]
    columns += ["gain over the best space", "p", ""]

    def cells(found: Single | HeadScores) -> list[str]:
        rest = [number(found.scores[n].value) if n in found.scores else DASH for n in names[1:]]
        return [_interval(found.score), *rest]

    rows = [[printable(name), *cells(s), DASH, DASH, "alone"] for name, s in result.singles.items()]
    for name, h in result.heads.items():
        rows.append([printable(name), *cells(h), _interval(h.gain, sign=True), p_text(h.gain.p_value), h.told])
    first = next(iter(result.singles.values()))
    chance = [number(first.scores[n].chance) if n in first.scores else DASH for n in names]
    rows.append(["chance", *chance, DASH, DASH, ""])
    return Table("Spaces and heads", columns, rows)


def _control_table(result: Fusion) -> Table | None:
    controls = _controls(result)
    if not controls:
        return None
    columns = ["control", *map(printable, result.heads)]

    def cell(head: HeadScores, control: str) -> str:
        if control not in head.controls:
            return DASH
        return f"{number(head.controls[control].value)}, {_interval(head.margins[control], sign=True)}"

    rows = []
    for control in controls:
        given = result.condition(control).given
        name = f"{control} ({given})" if given else control
        rows.append([printable(name), *(cell(h, control) for h in result.heads.values())])
    title = f"Controls: {_score(result.decided_by)}, and how far each head lies above it"
    return Table(title, columns, rows)


def _work_table(result: Fusion) -> Table | None:
    rows = []
    for name, head in result.heads.items():
        for space, value in head.contributions.items():
            lost = _interval(head.without[space], sign=True) if space in head.without else DASH
            follows = head.dominance.follows.get(space) if head.dominance is not None else None
            rows.append(
                [
                    printable(name),
                    printable(space),
                    _interval(value, sign=True),
                    lost,
                    DASH if follows is None else percent(follows),
                ]
            )
    columns = ["head", "space", "Shapley value of the score", "lost if fitted without it", "followed in conflicts"]
    return Table("Who does the work", columns, rows) if rows else None


def _class_table(result: Fusion) -> Table | None:
    """Contributions to each class by the best head, those first in which the spaces differ most."""
    best = result.heads[result.best().head]
    if not best.by_class:
        return None

    def apart(shares: Mapping[str, float]) -> float:
        return max(shares.values()) - min(shares.values())

    chosen = sorted(best.by_class.items(), key=lambda e: (-apart(e[1]), e[0]))[:_CLASSES]
    spaces = list(result.singles)
    rows = [[printable(c), *(signed(v[s]) if s in v else DASH for s in spaces)] for c, v in chosen]
    many = len(best.by_class)
    part = f", the {_CLASSES} of {many} in which the spaces differ most" if many > _CLASSES else ""
    title = f"Shapley values of the share of a class that {printable(best.head)} tells{part}"
    return Table(title, ["class", *map(printable, spaces)], rows)


def _bits_table(result: Fusion) -> Table | None:
    if not result.interactions:
        return None
    rows = [
        [printable(name), printable(f.head), *(_interval(f.unique[s]) for s in f.spaces),
         _interval(f.redundant), _interval(f.synergistic), _interval(f.total)]
        for name, f in result.interactions.items()
    ]  # fmt: skip
    columns = ["spaces", "head", "the first alone", "the second alone", "both alike", "only together", "in all"]
    return Table("What two spaces tell of the target, in bits an item", columns, rows)


def _cases(result: Fusion, context: Context) -> list[tuple[str, list[Case]]]:
    """Conflicts by whether the best head is right."""
    best = result.best().head
    groups: dict[str, list[Case]] = {f"{best} is right": [], f"{best} is wrong": []}
    for c in result.conflicts:
        fused = c.fused.get(best)
        told = [*c.said.items(), *([(best, fused)] if fused is not None else [])]
        said = tuple((printable(who), printable(what), what == c.truth) for who, what in told)
        kind = groups[f"{best} is {'right' if fused == c.truth else 'wrong'}"]
        if len(kind) < _CASES:
            kind.append(Case(context.pictures.show(c.id, prefer=tuple(result.singles)), printable(c.truth), said))
    return [(printable(title), cases) for title, cases in groups.items() if cases]


def _facts(result: Fusion, context: Context) -> tuple[str, list[tuple[str, str]]]:
    rows = [(printable(name), printable(result.models.get(name, name))) for name in result.singles]
    rows += [
        ("items", f"{result.n:,}" + (f" of {printable(result.dataset)}" if result.dataset else "")),
        ("held out", f"{result.test_fraction:g} by {result.by}, {len(result.n_test)} splits"),
        ("seed", str(result.seed)),
    ]
    rows += [(f"head {printable(h.head)}", printable(h.variant)) for h in result.heads.values()]
    return _title(result), rows + flatten(result.provenance)
