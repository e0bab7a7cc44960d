"""The answer about one pair of models in words: beyond chance, beyond its baselines, on held-out items."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from ...results import Alignment, Condition, HeldOut, Scan, Tested
from .._section import Context
from .._text import DASH, listed, number, p_text, percent, printable, short_names, signed, times_chance

ABOVE, LEVEL, BELOW, UNTESTED = "above", "no more", "below", "not tested"
_SIDES = {"x": 0, "y": 1}


@dataclasses.dataclass(frozen=True)
class Against:
    """The best pair of layers beside that of one baseline, as texts.

    Attributes:
        label: What the baseline is.
        reading: One of `ABOVE`, `LEVEL`, `BELOW` (less alike than with the baseline), `UNTESTED`.
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
    """One comparison in words, and whether it speaks for likeness: True, False, or None where it was not tested."""

    holds: bool | None
    head: str
    rest: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer about one pair of models.

    Attributes:
        state: ``"holds"`` (beyond chance and every baseline that was tested), ``"partly"`` (beyond chance only) or
            ``"fails"``.
        headline: The answer in one sentence.
        score: The first metric's best score with its chance level and p.
        checks: What it was compared with.
        rest: What the other metrics say.
    """

    state: str
    headline: str
    score: str
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
    stem = printable(condition.name)
    if condition.side not in _SIDES:
        return stem
    model = context.name((scan.x_name, scan.y_name)[_SIDES[condition.side]])
    view = printable((scan.x_view, scan.y_view)[_SIDES[condition.side]])
    if stem == "untrained":
        return f"untrained {model}"
    if stem == "inputs":
        return f"{view} input statistics" if view else f"input statistics for {model}"
    return f"{stem} for {model}"


def side_label(condition: Condition) -> str:
    """What a baseline is where several pairs of models share one legend."""
    stem = printable(condition.name)
    if condition.side not in _SIDES:
        return stem
    which = ("first", "second")[_SIDES[condition.side]]
    known = {"untrained": f"{which} model untrained", "inputs": f"input statistics for {which}"}
    return known.get(stem, f"{stem} for {which} model")


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
        ABOVE if passing(alignment) else LEVEL,
        number(permuted["mean"]),
        DASH,
        f"best of all; {reach}",
        signed(best.value - permuted["mean"]),
        DASH,
        p_text(best.p_maximum),
    )


def _tested(label: str, tested: Tested, alignment: Alignment) -> Against:
    gain = float(tested["difference"]) * (-1 if alignment.distance else 1)
    p = float(tested["p_value"])
    # a p that is not a number is no evidence, so it must not pass
    reading = LEVEL if not p <= alignment.alpha or gain == 0 else ABOVE if gain > 0 else BELOW
    return Against(
        label,
        reading,
        number(tested["value"]),
        number(tested["chance"]),
        printable(f"{tested['x_layer']} × {tested['y_layer']}"),
        signed(tested["difference"]),
        span(tested["low"], tested["high"]),
        p_text(p),
    )


def summed_up(verdicts: Sequence[Verdict], leads: Sequence[str]) -> str:
    """All answers in one or two sentences, and by which metric; nothing for a single one."""
    count = len(verdicts)
    if count < 2:
        return ""
    beyond = [v for v in verdicts if v.state != "fails"]
    compared = [v for v in beyond if any(c.holds is not None for c in v.checks)]
    hold = sum(v.state == "holds" for v in compared)
    metric = listed([printable(m) for m in dict.fromkeys(leads)])
    words = f"{_part(len(beyond), count)} pairs of models are more alike than chance, by {metric}."
    if len(compared) == 1:
        which = "It" if len(beyond) == 1 else "One of them"
        words += f" {which} was also put to harder tests (baselines, held-out items) and "
        words += "passes them all." if hold else "does not pass them all."
    elif compared:
        words += f" Of the {len(compared)} also put to harder tests (baselines, held-out items), "
        words += f"{_few(hold, len(compared))} all of theirs."
    return words


def _part(some: int, every: int) -> str:
    return f"All {every}" if some == every else f"{some} of the {every}" if some else f"None of the {every}"


def _few(some: int, every: int) -> str:
    if some == 0:
        return "none passes"
    return f"{'all' if some == every else some} pass{'es' if some == 1 and every > 1 else ''}"


def verdict(scan: Scan, context: Context) -> Verdict:
    """The answer about one pair of models; the first metric speaks, the others are compared with it."""
    lead, *others = scan.alignments.values()
    beside = comparisons(lead, scan, context)
    best = lead.best()
    where = printable(f"{best.x_layer} × {best.y_layer}")
    claim = _claim(lead, beside)
    joint = "; best at" if not passing(lead) else ", most at"
    checks = [_check(a) for a in beside]
    if lead.held_out is not None:
        checks.append(_held_out(lead.held_out, lead.alpha))
    return Verdict(
        _state(lead, beside),
        f"{claim}{joint} {where}.",
        _score(lead),
        tuple(checks),
        " ".join(filter(None, [_ceilings(lead, scan), _agreement(lead, others, scan, context), _joint_p(scan)])),
    )


def _state(alignment: Alignment, beside: Sequence[Against]) -> str:
    if not passing(alignment):
        return "fails"
    short = any(a.reading in (LEVEL, BELOW) for a in beside) or _unconfirmed(alignment)
    return "partly" if short else "holds"


def _unconfirmed(alignment: Alignment) -> bool:
    held = alignment.held_out
    return held is not None and not float(held["p_value"]) <= alignment.alpha


def _claim(alignment: Alignment, beside: Sequence[Against]) -> str:
    """Beyond chance or not, beyond which baselines or not: the part of the headline that metrics can agree on."""
    if not passing(alignment):
        return "No more alike than chance"
    above, level_, below = ([a.label for a in beside if a.reading == kind] for kind in (ABOVE, LEVEL, BELOW))
    words = "More alike than chance"
    short = [f"no more than {listed(level_)}"] if level_ else []
    short += [f"less than {listed(below)}"] if below else []
    if short:
        words += ", but " + " and ".join(short)
    elif above:
        words += f" and {above[0]}" if len(above) == 1 else f" and all {len(above)} baselines"
    return words + (", not confirmed on held-out items" if _unconfirmed(alignment) else "")


def _score(alignment: Alignment) -> str:
    best, count = alignment.best(), alignment.shape[0] * alignment.shape[1]
    ratio, bounds = times_chance(best.value, best.chance), best_interval(alignment)
    words = f"{printable(alignment.metric)} is {number(best.value)}"
    words += "" if bounds is None else f" ({level(alignment)} interval {span(*bounds)})"
    words += f", chance {number(best.chance)}" + ("" if ratio == DASH else f" ({_whole(ratio)})")
    maximum = f"; p of the maximum over {count} pairs of layers" if count > 1 else "; p"
    lower = "; lower is more alike" if alignment.distance else ""
    return f"{words}{maximum}\u00a0{_p(p_text(best.p_maximum))[2:]}{lower}."


def _check(a: Against) -> Check:
    """In short: scores, chance levels and layers of the baselines stand in their table."""
    if a.reading == UNTESTED:
        return Check(None, f"Beside {a.label}:", f"{a.value} there, chance {a.chance}; the difference was not tested.")
    head = {ABOVE: "More alike than with", LEVEL: "No more alike than with", BELOW: "Less alike than with"}[a.reading]
    return Check(a.reading == ABOVE, f"{head} {a.label}:", f"{a.difference} ({a.interval}), {_p(a.p_value)}.")


def _p(shown: str) -> str:
    """``p 1.1 × 10⁻⁹``."""
    return _whole(f"p {shown}")


def _whole(words: str) -> str:
    """Words that are never broken over lines."""
    return words.replace(" ", "\u00a0")


def _held_out(held: HeldOut, alpha: float) -> Check:
    value, chance, p = (float(held[k]) for k in ("value", "chance", "p_value"))
    ratio = times_chance(value, chance)
    beyond = f"{number(value)}, chance {number(chance)}" + ("" if ratio == DASH else f" ({_whole(ratio)})")
    where = printable(f"{held['x_layer']} × {held['y_layer']}")
    holds = p <= alpha
    head = "Confirmed on held-out items:" if holds else "Not confirmed on held-out items:"
    rest = f"layers chosen on {held['n_selection']:,} items ({where}) give {beyond}, {_p(p_text(p))}, on the other "
    return Check(holds, head, f"{rest}{held['n_score']:,}.")


def _agreement(lead: Alignment, others: Sequence[Alignment], scan: Scan, context: Context) -> str:
    """Whether the other metrics make the same claim; those that do not are quoted."""
    own = _claim(lead, comparisons(lead, scan, context))
    claims = [(printable(a.metric), _claim(a, comparisons(a, scan, context))) for a in others]
    apart = [f"{name} differs: {claim[0].lower()}{claim[1:]}." for name, claim in claims if claim != own]
    agree = [name for name, claim in claims if claim == own]
    if agree:
        apart.insert(0, f"{listed(agree)} agree{'s' if len(agree) == 1 else ''}.")
    return " ".join(apart)


def _ceilings(alignment: Alignment, scan: Scan) -> str:
    """How far the score goes to what two of a kind have in common."""
    shares = [
        f"{percent(found['share'])} of the way to {ceiling_label(name, scan)} ({number(found['value'])})"
        for name, found in sorted(alignment.ceilings.items())
        if found["share"] is not None and name in scan.ceilings
    ]
    return f"From chance it goes {listed(shares)}." if shares else ""


def _joint_p(scan: Scan) -> str:
    if scan.p_maximum is None or len(scan.alignments) < 2:
        return ""
    count = len(scan.alignments)
    metrics = "both metrics" if count == 2 else f"all {count} metrics"
    return f"Over {metrics} and all layers together: {_p(p_text(scan.p_maximum))}."
