"""Maps of concepts in the report: what two sides see alike, what is bound to one of them, and every item."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...results import VERDICTS, ConceptLabels, ConceptMap, listed
from .._section import Block, Cell, Context, Section, Shown, Sorted, render
from .._svg import Figure
from .._text import DASH, csv_table, flatten, number, p_equals, p_text, percent, printable
from ._concept_figures import CROWD, Words, bars, plane, words_of
from ._concept_limits import limits_part, redundancy_part
from ._concept_modalities import maps_part, modalities_part, transfer_part
from ._concept_parts import Part, covariates_part
from ._concept_rules import rules_of
from ._neighborhoods import Case, case_of

_ROWS = 2000  # items that the table holds; of more those at both ends
_TEXTS = 5  # neighbours of an item that are shown where they are texts, not pictures
_SETS = 3  # label sets that have a column in the table of items
_MAKERS: dict[str, Callable[[Any, str], Part]] = {
    "redundancy": redundancy_part,
    "covariates": covariates_part,
    "maps": maps_part,
    "modalities": modalities_part,
    "transfer": transfer_part,
}
_VERDICTS = {
    "shared": "the interval of their agreement lies above the share of the ceilings that counts",
    "bound to x": "stable in the one modality, not in the other, and not seen alike across",
    "bound to y": "stable in the one modality, not in the other, and not seen alike across",
    "bound to both": "stable in each modality, in a way of its own",
    "unstable": "not even models of one modality agree on them",
    "undecided": "one of the intervals is too wide to say",
    "most alike": "the highest scores",
    "least alike": "the lowest scores",
}


class ConceptsSection(Section):
    """`ConceptMap`: which items and concepts two sides see alike, and what is bound to one modality.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.concepts(x, x + noise, labels=["cat", "dog"] * 30, metric="mutual_knn(k=5)", permutations=99)
        >>> "Which concepts do x and y see alike?" in iso.report(found).read_text()
        True
    """

    name = "concept_map"
    heading = "What do {} see alike?"

    def models(self, result: ConceptMap) -> Sequence[str]:
        return [result.x_name, result.y_name]

    def show(self, results: Sequence[ConceptMap], context: Context) -> Shown:
        question = "which items and concepts are seen alike beyond chance, and which stay bound to one modality?"
        blocks = tuple(_block(r, k, context) for k, r in context.each(results))
        return Shown(question, None, blocks, tuple(_facts(r, context) for r in results))


class LabelSet(NamedTuple):
    """What is shown of one label set."""

    name: str
    told: str
    plane: Figure | None
    bars: Figure
    notes: list[str]
    table: Sorted


def _block(result: ConceptMap, k: int, context: Context) -> Block:
    words = words_of(result, context)
    sets = [
        _label_set(result, table, words, context, f"concepts-{k:02d}-{i:02d}")
        for i, table in enumerate(result.label_sets.values(), start=1)
    ]
    parts = _parts(result, words, f"concepts-{k:02d}")
    items, left_out = _items(result, words, context)
    labels = [{"label set": t.name} | _flat(row) for t in result.label_sets.values() for row in t.records()]
    groups = _examples(result, words, context)
    headline = _headline(result, words)
    html = render(
        "concepts.html.j2",
        headline=headline,
        setting=_setting(result, words),
        sets=sets,
        parts=parts,
        items=items,
        left_out=left_out,
        n=f"{result.n:,}",
        groups=groups,
        plain=all(c.item.ref is None for _, _, cases in groups for c in cases),
        given=context.given,
        rules=rules_of(result, words),
        layers=_layers(result, words),
        notes=[printable(n) for n in result.notes],
        label_csv=csv_table(labels) if labels else [],
        item_csv=_item_csv(result),
    )
    figures = [f for s in sets for f in (s.plane, s.bars) if f is not None]
    figures += [f for part in parts for f in part.figures]
    return Block(
        f"concepts-{k}", f"Which concepts do {words.x} and {words.y} see alike?", html, tuple(figures), headline
    )


def _parts(result: ConceptMap, words: Words, stem: str) -> list[Part]:
    """What the map holds beside its items and concepts, in the order of the questions."""
    made = []
    if result.limits is not None:
        made.append(limits_part(result.limits, f"{stem}-limits", (words.x_kind, words.y_kind)))
    for name, make in _MAKERS.items():
        found = getattr(result, name)
        if found is not None and found != ():
            made.append(make(found, f"{stem}-{name}"))
    return made


def _headline(result: ConceptMap, words: Words) -> str:
    """The answer in two or three sentences."""
    whole = result.whole
    if whole.share is None or whole.share_low is None or whole.share_high is None:
        span = f"{number(whole.low)} to {number(whole.high)}"
        said = f"The mean score of {words.x} and {words.y} over all items is {number(whole.score)} ({span}), with "
        said += f"chance at {number(whole.chance)}, {p_equals(whole.p_value)}."
    else:
        span = f"{percent(whole.share_low)} to {percent(whole.share_high)}"
        said = f"{words.x} and {words.y} agree on {percent(whole.share)} ({span}) of what models of one modality agree "
        said += f"on, beyond chance ({p_equals(whole.p_value)})."
    told = [said]
    for table in list(result.label_sets.values())[:1]:
        if table.verdicts:
            count = Counter(table.verdicts)
            kinds = [f"{count[v]} {_is(count[v])} {words.verdict(v)}" for v in VERDICTS if count[v]]
            told.append(f"Of {len(table.names)} concepts ({table.name}) {listed(kinds)}.")
        else:
            passed = int((table.q_values <= result.alpha).sum())
            told.append(f"{passed} of {len(table.names)} concepts ({table.name}) are seen alike beyond chance.")
    passed = int((result.items.q_values <= result.alpha).sum())
    told.append(_items_told(passed, result))
    return printable(" ".join(told))


def _items_told(passed: int, result: ConceptMap) -> str:
    return (
        f"{passed:,} of {result.n:,} items {_is(passed)} seen alike beyond chance, each by itself "
        f"(false discovery rate {result.alpha:g})."
    )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _setting(result: ConceptMap, words: Words) -> str:
    dataset = f" of {result.dataset}" if result.dataset else ""
    said = [f"{result.n:,} items{dataset}, {result.metric}. An item's score is {result.item_score.rstrip('.')}."]
    sides = [(words.x_kind, result.x_ceilings), (words.y_kind, result.y_ceilings)]
    if all(names for _, names in sides):
        others = " and ".join(f"{listed(list(names))} for {kind}" for kind, names in sides)
        said.append(f"Ceilings are the agreement with other models of the same modality: {others}.")
    else:
        lacking = listed([kind for kind, names in sides if not names])
        said.append(
            f"There is no other model for {lacking}, so that nothing can be said of what is bound to a modality: give "
            "x_ceilings= and y_ceilings=."
        )
    if result.design:
        said.append(f"Items are {result.design}.")
    return printable(" ".join(said))


def _label_set(result: ConceptMap, table: ConceptLabels, words: Words, context: Context, stem: str) -> LabelSet:
    drawn = plane(result, table, words, context, f"{stem}-plane")
    figure, left_out = bars(result, table, words, f"{stem}-bars")
    notes = []
    if drawn is not None and drawn[1]:
        notes.append(
            f"{drawn[1]} of the {len(table.names)} names do not fit into the plane"
            + (", and have no interval there" if len(table.names) > CROWD else "")
            + ": point at a mark, or look into the table."
        )
    if left_out:
        notes.append(f"The bars show the highest and lowest concepts; {left_out} between them are in the table alone.")
    if table.verdicts:
        count = Counter(table.verdicts)
        told = ", ".join(f"{count[v]} {words.verdict(v)}" for v in VERDICTS if count[v])
    else:
        told = f"{int((table.q_values <= result.alpha).sum())} beyond chance"
    name = f"{table.name}: {len(table.names)} concepts, {told}"
    return LabelSet(
        printable(table.name),
        printable(name),
        drawn[0] if drawn else None,
        figure,
        notes,
        _label_table(result, table, words),
    )


def _cell(value: Any, *, p: bool = False) -> Cell:
    """A cell of a number, a text or a gap."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Cell(DASH, "")
    if isinstance(value, str):
        return Cell(printable(value), printable(value))
    if isinstance(value, (int, np.integer)):
        return Cell(f"{int(value):,}", str(int(value)))
    value = float(value)
    return Cell(p_text(value) if p else number(value), f"{value:.6g}")


def _span(low: float, high: float) -> Cell:
    return Cell(DASH, "") if math.isnan(low + high) else Cell(f"{number(low)} to {number(high)}", f"{low:.6g}")


def _label_table(result: ConceptMap, table: ConceptLabels, words: Words) -> Sorted:
    ceilings = bool(table.verdicts)
    columns = [
        ("concept", False),
        *((c, True) for c in ("n", "score", "interval", "chance", "p", "q", "beyond chance")),
    ]
    columns += [("share", True), ("verdict", False), ("items that would decide", True)] if ceilings else []
    for kind, values in ((words.x_kind, table.x_ceilings), (words.y_kind, table.y_ceilings)):
        columns += [(f"ceiling {kind}", True), ("its interval", True)] if len(values) else []
    columns += [
        *((c, True) for c in ("against others", "p of that", "within", "p within", "between", "p between", "shrunk")),
        ("most alike", False),
        ("least alike", False),
    ]
    rows = []
    for k in sorted(range(len(table.names)), key=lambda k: (-float(table.scores[k]), k)):
        row = [
            _cell(table.names[k]), _cell(int(table.counts[k])), _cell(table.scores[k]),
            _span(float(table.low[k]), float(table.high[k])), _cell(table.chance[k]),
            _cell(table.p_values[k], p=True), _cell(table.q_values[k], p=True), _cell(table.corrected[k]),
        ]  # fmt: skip
        if ceilings:
            needed = float(table.needed[k])
            row += [_cell(table.shares[k]), _cell(words.verdict(table.verdicts[k]))]
            row.append(_cell(None if math.isnan(needed) else int(needed)))
        for values in (table.x_ceilings, table.y_ceilings):
            if len(values):
                row += [_cell(values[k, 0]), _span(float(values[k, 1]), float(values[k, 2]))]
        row += [
            _cell(table.from_others[k]), _cell(table.from_others_p[k], p=True),
            _cell(table.within[k]), _cell(table.within_p[k], p=True),
            _cell(table.between[k]), _cell(table.between_p[k], p=True), _cell(table.shrunk[k]),
            _cell(", ".join(table.exemplars[k]) if table.exemplars else ""),
            _cell(", ".join(table.misfits[k]) if table.misfits else ""),
        ]  # fmt: skip
        rows.append(row)
    return Sorted(f"All numbers of {printable(table.name)}", [(printable(c), n) for c, n in columns], rows)


def _items(result: ConceptMap, words: Words, context: Context) -> tuple[Sorted, int]:
    """The table of items, and how many it leaves out."""
    items = result.items
    order = np.argsort(-items.corrected, kind="stable")
    left_out = max(result.n - _ROWS, 0)
    if left_out:
        order = np.concatenate([order[: _ROWS // 2], order[-(_ROWS // 2) :]])
    sets = [t for t in result.label_sets.values() if t.members][:_SETS]
    held = [_concepts_of(t, result.n) for t in sets]
    texts = [context.pictures.show(items.ids[i], picture=False).text for i in order]
    texted = any(texts)
    columns = [("text" if texted else "id", False), *((printable(t.name), False) for t in sets)]
    columns += [(c, True) for c in ("score", "chance", "p", "q")]
    columns += [(f"ceiling {words.x_kind}", True)] if len(items.x_ceilings) else []
    columns += [(f"ceiling {words.y_kind}", True)] if len(items.y_ceilings) else []
    columns += [("verdict", False)] if items.verdicts else []
    columns += [("id", False)] if texted else []
    rows = []
    for i, words_of_item in zip(order.tolist(), texts, strict=True):
        row = [_cell(words_of_item or "" if texted else items.ids[i]), *(_cell(h[i]) for h in held)]
        row += [_cell(items.scores[i]), _cell(items.chance[i])]
        row += [_cell(items.p_values[i], p=True), _cell(items.q_values[i], p=True)]
        row += [_cell(c[i]) for c in (items.x_ceilings, items.y_ceilings) if len(c)]
        row += [_cell(words.verdict(items.verdicts[i]))] if items.verdicts else []
        row += [_cell(items.ids[i])] if texted else []
        rows.append(row)
    return Sorted("Every item", columns, rows), left_out


def _concepts_of(table: ConceptLabels, n: int) -> list[str]:
    """The concepts of each item."""
    found: list[list[str]] = [[] for _ in range(n)]
    for name, rows in zip(table.names, table.members, strict=True):
        for row in rows:
            found[row].append(name)
    return [", ".join(names) for names in found]


def _item_csv(result: ConceptMap) -> list[list[Any]]:
    """All items, to six digits, for the page's download."""
    held = {t.name: _concepts_of(t, result.n) for t in result.label_sets.values() if t.members}
    rows = [
        {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}
        | {name: values[i] for name, values in held.items()}
        for i, row in enumerate(result.items.records())
    ]
    return csv_table(rows)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {k: ", ".join(v) if isinstance(v, (tuple, list)) else v for k, v in row.items()}


def _examples(result: ConceptMap, words: Words, context: Context) -> list[tuple[str, str, list[Case]]]:
    """Items of each verdict with both neighbourhoods."""
    kinds = [*VERDICTS, *dict.fromkeys(e.verdict for e in result.examples if e.verdict not in VERDICTS)]
    groups = []
    for kind in kinds:
        cases = []
        for e in (e for e in result.examples if e.verdict == kind):
            common = len(set(e.x_neighbors) & set(e.y_neighbors))
            told = f"score {number(e.score)}; {common} of the {len(e.x_neighbors)} nearest shared"
            most = None if context.pictures.show(e.id).ref else _TEXTS
            told += f", {most} of each shown" if most is not None and most < len(e.x_neighbors) else ""
            near = (e.x_neighbors, e.y_neighbors)
            cases.append(case_of(e.id, told, (words.x, words.y), near, context, most=most))
        if cases:
            title = words.verdict(kind)
            groups.append((printable(title[:1].upper() + title[1:]), _VERDICTS.get(kind, ""), cases))
    return groups


def _layers(result: ConceptMap, words: Words) -> list[list[str]]:
    return [
        [str(k), printable(a), printable(b)]
        for k, (a, b) in enumerate(zip(result.x_layers, result.y_layers, strict=True), start=1)
    ]


def _facts(result: ConceptMap, context: Context) -> tuple[str, list[tuple[str, str]]]:
    rows = [
        ("x", printable(result.x_name)),
        ("y", printable(result.y_name)),
        ("items", f"{result.n:,}" + (f" of {printable(result.dataset)}" if result.dataset else "")),
        ("metric", printable(result.variant)),
        ("label sets", printable(listed([*result.label_sets]) if result.label_sets else DASH)),
        ("ceilings of x", printable(listed(list(result.x_ceilings)) if result.x_ceilings else DASH)),
        ("ceilings of y", printable(listed(list(result.y_ceilings)) if result.y_ceilings else DASH)),
        ("permutations", f"{result.permutations:,}"),
        ("p of items", printable(result.item_p)),
        ("shared, stable, alpha", f"{result.shared:g}, {result.stable:g}, {result.alpha:g}"),
        ("seed", str(result.seed)),
    ]
    x, y = (printable(context.name(n)) for n in (result.x_name, result.y_name))
    return f"Concepts of {x} × {y}", rows + flatten(result.provenance)
