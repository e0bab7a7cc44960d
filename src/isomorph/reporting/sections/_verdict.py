"""The answer about one pair of models in words: beyond chance, beyond its baselines, on held-out items."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from ...results import (
    CEILING,
    EQUIVALENT,
    LESS,
    MORE,
    OPEN,
    UNTESTED,
    Alignment,
    Condition,
    HeldOut,
    Scan,
    Tested,
    Verdict,
    baseline_words,
    listed,
    reading,
    short_metrics,
    stands_on_floor,
)
from .._section import Context
from .._text import DASH, number, p_text, percent, printable, short_names, signed, times_chance

_SIDES = {"x": 0, "y": 1}


@dataclasses.dataclass(frozen=True)
class Against:
    """The best pair of layers beside that of one baseline, as texts.

    Attributes:
        label: What the baseline is.
        reading: Whether the models are more alike than with it: one of the readings of `Verdict`.
        value: The baseline's best score.
        chance: Its chance level.
        layers: Its best pair of layers.
        difference: The scan's best score minus the baseline's, with its sign.
        interval: Confidence interval of the difference.
        p_value: Two-sided p of no difference.
    """

    label: str
    reading: str
    value: str
    chance: str
    layers: str
    difference: str = DASH
    interval: str = DASH
    p_value: str = DASH


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was asked, in words.

    Attributes:
        mark: ``"yes"`` where it speaks for likeness by every metric, ``"no"`` where it speaks against it by every
            metric, ``"part"`` where the metrics part, ``"open"`` where it was not shown or not tested.
        head: What was asked, and the answer.
        rest: The numbers.
    """

    mark: str
    head: str
    rest: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer about one pair of models, from all metrics together (`Scan.verdict`).

    Attributes:
        state: ``"holds"``, ``"partly"`` or ``"fails"``, as in `Verdict`.
        headline: The verdict in one sentence.
        joint: The joint p of all metrics, or what a single one says.
        checks: Each metric against chance, then each baseline and the held-out items by all metrics.
        rest: How far the scores go to the ceilings.
    """

    state: str
    headline: str
    joint: str
    checks: tuple[Check, ...]
    rest: str


def in_order(scan: Scan) -> Scan:
    """The scan with its metrics as they were asked for, and untrained baselines first; files keep neither order."""
    asked = [str(m) for m in scan.provenance.get("metrics", ()) or ()]
    rank = {variant: k for k, variant in enumerate(asked)}
    alignments = dict(sorted(scan.alignments.items(), key=lambda e: rank.get(e[1].variant, len(rank))))
    baselines = dict(sorted(scan.baselines.items(), key=lambda e: (not e[0].startswith("untrained"), e[0])))
    return dataclasses.replace(scan, alignments=alignments, baselines=baselines)


def baseline_label(label: str, scan: Scan, context: Context) -> str:
    """What a baseline is, by the model that it stands in for: ``"untrained"`` of x is *untrained dinov2-small*."""
    condition = scan.baseline(label)
    k = _SIDES.get(condition.side, 0)
    model = context.name((scan.x_name, scan.y_name)[k])
    return printable(baseline_words(condition, model, (scan.x_view, scan.y_view)[k]))


def side_label(condition: Condition) -> str:
    """What a baseline is where several pairs of models share one legend."""
    stem = printable(condition.name)
    if condition.side not in _SIDES:  # of neither side
        return stem
    which = ("first", "second")[_SIDES[condition.side]]
    known = {"untrained": f"{which} model untrained", "inputs": f"input statistics for {which}"}
    return known.get(stem, f"{stem} for {which} model")


_MARKS = {
    ("untrained", "x"): 1,
    ("untrained", "y"): 2,
    ("random_bottom", ""): 1,
    ("inputs", "x"): 3,
    ("inputs", "y"): 4,
    (CEILING, "x"): 6,
    (CEILING, "y"): 7,
    (CEILING, ""): 7,
    ("untrained", ""): 1,
    ("permuted", ""): 5,
    ("second model", ""): 6,
    ("permuted within classes", ""): 8,
    ("random", ""): 9,
    ("twice", ""): 14,
}
_FREE = (5, 8, 9, 14, 6, 7, 3, 4, 2, 1)  # those that mean something elsewhere come last
_MAPS = (0, 10, 11, 12, 13)


def marks(conditions: Iterable[Condition]) -> dict[tuple[str, str], int]:
    """Role and label of every baseline and ceiling of a page -> the number of its style.

    A marker and its color mean one thing wherever they are: untrained twins, input statistics and ceilings of either
    side have theirs on every page; what else there is takes what is left, in the order of its labels.
    """
    found, rest = {}, set()
    for c in conditions:
        known = _MARKS.get((CEILING if c.role == CEILING else c.name, c.side))
        if known is None:
            rest.add((c.role, c.label))
        else:
            found[c.role, c.label] = known
    free = [style for style in _FREE if style not in found.values()] or _FREE
    return found | {key: free[k % len(free)] for k, key in enumerate(sorted(rest))}


def scan_marks(scans: Sequence[Scan]) -> dict[tuple[str, str], int]:
    """`marks` of all scans of a page."""
    baselines = (s.baseline(label) for s in scans for label in s.baselines)
    return marks([*baselines, *(s.ceiling(label) for s in scans for label in s.ceilings)])


def map_mark(k: int) -> int:
    """The style of the k-th map of a stitch: shades of what is measured, none that a baseline has."""
    return _MAPS[k] if k < len(_MAPS) else _MAPS[1 + (k - 1) % (len(_MAPS) - 1)]


def ceiling_label(name: str, scan: Scan) -> str:
    """What a ceiling compares: one side of the scan with another of its kind."""
    short = short_names([scan.ceilings[name].x_name, scan.ceilings[name].y_name])
    return " × ".join(short[n] for n in (scan.ceilings[name].x_name, scan.ceilings[name].y_name))


def level(alignment: Alignment) -> str:
    """``95 %``."""
    return f"{100 * (1 - alignment.alpha):g} %"


def span(low: float | None, high: float | None) -> str:
    """An interval as text, or a dash."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{number(low)} to {number(high)}"


def best_interval(alignment: Alignment) -> tuple[float, float] | None:
    """Confidence bounds of the best pair of layers."""
    best = alignment.best()
    return alignment.bounds(alignment.x_layers.index(best.x_layer), alignment.y_layers.index(best.y_layer))


def passing(alignment: Alignment) -> bool:
    """Whether the best pair passes, having been chosen as the best."""
    return bool(alignment.p_maximum <= alignment.alpha)


def comparisons(alignment: Alignment, scan: Scan, context: Context) -> list[Against]:
    """The best pair of layers beside that of every baseline."""
    found = []
    for name in dict.fromkeys([*scan.baselines, *sorted(alignment.against)]):
        label, tested = baseline_label(name, scan, context), alignment.against.get(name)
        twin = scan.baselines[name].alignments.get(alignment.metric) if name in scan.baselines else None
        if tested is not None:
            found.append(_tested(label, tested, alignment))
        elif twin is not None:
            best = twin.best()
            where = printable(f"{best.x_layer} × {best.y_layer}")
            found.append(Against(label, UNTESTED, number(best.value), number(best.chance), where))
    return found


def permuted_pairs(alignment: Alignment) -> Against | None:
    """The best pair of layers beside the best of all with the items paired at random, if these were sampled."""
    permuted = alignment.permuted
    if permuted is None:
        return None
    best, distance = alignment.best(), alignment.distance
    reach = f"{percent(permuted['level'])} {'above' if distance else 'below'} {number(permuted['quantile'])}"
    return Against(
        "permuted pairs",
        MORE if passing(alignment) else OPEN,
        number(permuted["mean"]),
        DASH,
        f"best of all; {reach}",
        signed(best.value - permuted["mean"]),
        DASH,
        p_text(best.p_maximum),
    )


def _tested(label: str, tested: Tested, alignment: Alignment) -> Against:
    says = reading(tested, alignment)
    if says == UNTESTED:
        where = printable(f"{tested['x_layer']} × {tested['y_layer']}")
        return Against(label, UNTESTED, number(tested["value"]), number(tested["chance"]), where)
    return Against(
        label,
        says,
        number(tested["value"]),
        number(tested["chance"]),
        printable(f"{tested['x_layer']} × {tested['y_layer']}"),
        signed(tested["difference"]),
        span(tested["low"], tested["high"]),
        p_text(float(tested["p_value"])),
    )


def summed_up(answers: Sequence[Answer]) -> str:
    """All answers in one or two sentences; nothing for a single one."""
    count = len(answers)
    if count < 2:
        return ""
    beyond = sum(a.state != "fails" for a in answers)
    hold = sum(a.state == "holds" for a in answers)
    words = f"{_part(beyond, count)} pairs of models are more alike than chance, by all metrics together."
    every = "by every metric and against all that"
    beside = "held against (baselines, held-out items)"
    if beyond == 1:
        words += f" It {'stands' if hold else 'does not stand'} {every} it was {beside}."
    elif beyond:
        words += f" {_part(hold, beyond)} stand{'s' if hold == 1 else ''} {every} they were {beside}."
    return words


def _part(some: int, every: int) -> str:
    return f"All {every}" if some == every else f"{some} of the {every}" if some else f"None of the {every}"


def answer(scan: Scan, context: Context) -> Answer:
    """The answer about one pair of models, by `Scan.verdict`, with the names of the page."""
    said = scan.verdict
    names = {k: printable(v) for k, v in short_metrics(list(scan.alignments)).items()}
    labels = {n: baseline_label(n, scan, context) for n in dict.fromkeys([*scan.baselines, *said.baselines])}
    checks = [_against_chance(a, said, names) for a in scan.alignments.values()]
    if said.above:
        checks += [c for n in labels for c in _against_baseline(n, labels[n], scan, said, names)]
        checks += _held_out(scan, said, names)
    headline = said.told(lambda n: labels.get(n, printable(n)), names)
    return Answer(said.state, headline, _joint(scan, said), tuple(checks), _ceilings(scan, names))


def _joint(scan: Scan, said: Verdict) -> str:
    """The joint p, and how many permutations its floor is made of where it stands on it."""
    if len(scan.alignments) < 2:
        return ""
    count = len(scan.alignments)
    metrics = "both metrics" if count == 2 else f"all {count} metrics"
    floor = next((n for a in scan.values() if stands_on_floor(said.p_joint, n := a.permutations)), 0)
    least = f", the least that {floor:,} permutations can give" if floor else ""
    return f"Over {metrics} and all layers together: {_p(p_text(said.p_joint))}{least}."


def _against_chance(alignment: Alignment, said: Verdict, names: Mapping[str, str]) -> Check:
    """One metric: its best score with interval, chance, effect size and p, adjusted for the number of metrics."""
    best, bounds = alignment.best(), best_interval(alignment)
    ratio = times_chance(best.value, best.chance)
    above = alignment.metric in said.above
    size = f", {_article(alignment.effect)} effect" if above and alignment.effect else ""
    words = number(best.value)
    words += "" if bounds is None else f" ({level(alignment)} interval {span(*bounds)})"
    words += f", chance {number(best.chance)}" + ("" if ratio == DASH else f" ({_whole(ratio)})") + size
    count = alignment.shape[0] * alignment.shape[1]
    words += f"; p of the maximum over {count} pairs of layers" if count > 1 else "; p"
    words += f"\u00a0{_value(p_text(best.p_maximum))}"
    if len(said.p_value) > 1:
        words += f", for {len(said.p_value)} metrics {_value(p_text(said.p_value[alignment.metric]))}"
    words += f"; at {printable(best.x_layer)} × {printable(best.y_layer)}"
    words += "; lower is more alike." if alignment.distance else "."
    head = "Above chance by" if above else "Not shown to be above chance by"
    return Check("yes" if above else "open", f"{head} {names[alignment.metric]}:", words)


def _article(effect: str) -> str:
    return f"a {effect}"


def _against_baseline(label: str, words: str, scan: Scan, said: Verdict, names: Mapping[str, str]) -> Iterator[Check]:
    """One baseline by every metric above chance: who says what, then each difference with its interval and p."""
    readings = said.baselines.get(label, {})
    if not readings:
        twins = scan.baselines[label].alignments if label in scan.baselines else {}
        shown = [
            f"{names[k]} {number(twins[k].best().value)} there, chance {number(twins[k].best().chance)}"
            for k in said.above
            if k in twins
        ]
        if shown:
            yield Check("open", f"Beside {words}:", f"{'; '.join(shown)}; the difference was not tested.")
        return
    known = {k: r for k, r in readings.items() if r != UNTESTED}
    said_by = [(r, [names[k] for k, v in readings.items() if v == r]) for r in dict.fromkeys(readings.values())]
    if len(said_by) == 1 or len(known) < 2:
        head = f"{_HEADS[said_by[0][0]]} {words}:"
    else:
        head = "; ".join(
            f"{_HEADS[r] if k == 0 else _AND[r]} {words if k == 0 else ''} by {listed(by)}".replace("  ", " ")
            for k, (r, by) in enumerate(said_by)
        )
        head += ":"
    yield Check(_mark(set(known.values())), head, "; ".join(_gap(k, label, scan, names) for k in readings) + ".")


_HEADS = {
    MORE: "More alike than with",
    LESS: "Less alike than with",
    OPEN: "Not shown to be more alike than with",
    EQUIVALENT: "Equivalent to that with",
    UNTESTED: "Not tested against",
}
_AND = {MORE: "more", LESS: "less", OPEN: "not shown to be more", EQUIVALENT: "equivalent", UNTESTED: "not tested"}


def _mark(readings: Set[str]) -> str:
    if readings == {MORE}:
        return "yes"
    if readings and readings <= {LESS, EQUIVALENT}:
        return "no"
    return "part" if len(readings) > 1 else "open"


def _gap(metric: str, label: str, scan: Scan, names: Mapping[str, str]) -> str:
    """``cka +0.036 (−0.003 to 0.075), p 0.18``."""
    tested = scan.alignments[metric].against[label]
    of = f"{names[metric]} " if len(scan.alignments) > 1 else "difference "
    if reading(tested, scan.alignments[metric]) == UNTESTED:
        return f"{of}{number(tested['value'])} there"
    words = f"{of}{signed(tested['difference'])} ({span(tested['low'], tested['high'])})"
    if "margin" in tested:
        inner = span(tested["margin_low"], tested["margin_high"])
        words += f", {percent(1 - 2 * scan.alignments[metric].alpha)} interval {inner} against ±{tested['margin']:g}"
    return f"{words}, {_p(p_text(float(tested['p_value'])))}"


def _p(shown: str) -> str:
    """``p 1.1 × 10⁻⁹``."""
    return _whole(f"p {shown}")


def _value(shown: str) -> str:
    return _whole(shown)


def _whole(words: str) -> str:
    """Words that are never broken over lines."""
    return words.replace(" ", "\u00a0")


def _held_out(scan: Scan, said: Verdict, names: Mapping[str, str]) -> Iterator[Check]:
    """The held-out scores of all metrics above chance."""
    if not said.held_out:
        return
    yes = [names[k] for k, confirmed in said.held_out.items() if confirmed]
    no = [names[k] for k, confirmed in said.held_out.items() if not confirmed]
    by = yes and no
    words = [f"Confirmed on held-out items{' by ' + listed(yes) if by else ''}"] if yes else []
    words += (
        [("not" if yes else "Not") + f" confirmed{' by ' + listed(no) if by else ' on held-out items'}"] if no else []
    )
    rest = "; ".join(_scored(k, held, names, alone=len(scan) == 1) for k in said.held_out if (held := scan[k].held_out))
    yield Check("part" if by else "yes" if yes else "open", "; ".join(words) + ":", f"{rest}.")


def _scored(metric: str, held: HeldOut, names: Mapping[str, str], *, alone: bool) -> str:
    value, chance, p = (float(held[k]) for k in ("value", "chance", "p_value"))
    ratio = times_chance(value, chance)
    beyond = f"{number(value)}, chance {number(chance)}" + ("" if ratio == DASH else f" ({_whole(ratio)})")
    where = printable(f"{held['x_layer']} × {held['y_layer']}")
    of = "" if alone else f"{names[metric]}, "
    return (
        f"{of}layers chosen on {held['n_selection']:,} items ({where}) give {beyond}, {_p(p_text(p))}, on the other "
        f"{held['n_score']:,}"
    )


def _ceilings(scan: Scan, names: Mapping[str, str]) -> str:
    """How far each metric's score goes to what two of a kind have in common."""
    parts = []
    for metric, alignment in scan.alignments.items():
        shares = [
            f"{percent(found['share'])} of the way to {ceiling_label(name, scan)} ({number(found['value'])})"
            for name, found in sorted(alignment.ceilings.items())
            if found["share"] is not None and name in scan.ceilings
        ]
        if shares:
            parts.append(f"{names[metric]} goes {listed(shares)}" if len(scan) > 1 else f"it goes {listed(shares)}")
    return f"From chance {'; '.join(parts)}." if parts else ""
