"""One verdict for a pair of models, from all metrics of a scan together.

The rule, applied alike by `Scan.verdict`, by what a scan prints and by the page:

1. **Joint p**: `Scan.p_maximum`, the p of the best score over all metrics and layers under shared permutations; where
   not every metric was sampled, the least p of the maximum times the number of metrics (Bonferroni).
2. **Each metric**: its p of the maximum over layers, adjusted for the number of metrics by step-down
   (`Scan.p_by_metric`, Westfall and Young 1993; Holm 1979 where not all were sampled), and never below the joint p. It
   is above chance if that is at most alpha.
3. **Each baseline**, by each metric above chance, from the interval of the paired difference: *more*, *less*,
   *equivalent* (only within a stated margin, by two one-sided tests), else *not shown to be more*, which is no claim of
   equality.
4. **State**: ``"fails"`` where the joint p is above alpha. ``"holds"`` where every metric is above chance, every one
   is more than every baseline that was tested and is confirmed on held-out items where these were asked for, and some
   effect is more than tiny: a claim that all metrics must support needs no further adjustment (intersection-union
   test, Berger 1982). ``"partly"`` otherwise, and the words say where the metrics part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ..nulls.judge import holm
from ._alignment import Alignment, Tested
from ._conditions import Condition
from ._numbers import listed

MORE, LESS, EQUIVALENT, OPEN, UNTESTED = READINGS = (
    "more",
    "less",
    "equivalent",
    "not shown to be more",
    "not tested",
)
"""What a paired difference from a baseline says."""
HOLDS, PARTLY, FAILS = "holds", "partly", "fails"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What all metrics of a scan say together, what each says, and where they part.

    Attributes:
        state: ``"holds"``, ``"partly"`` or ``"fails"``; the rule is in the text of this module and in
            docs/decisions.md.
        words: The verdict in one sentence.
        p_joint: p of the best score over all metrics and all layers.
        joint_from: Where `p_joint` comes from.
        alpha: The level that decides.
        above: Metrics that are above chance, having been adjusted for the number of metrics.
        not_above: Metrics that are not shown to be.
        p_value: Metric -> its p of the maximum over layers, adjusted for the number of metrics.
        effect: Metric above chance -> ``"tiny"``, ``"small"``, ``"moderate"`` or ``"large"`` (`Alignment.effect`);
            empty where its range has no end.
        baselines: Baseline -> metric above chance -> one of `READINGS`.
        held_out: Metric above chance -> whether it is confirmed on held-out items, where these were asked for.
        margin: Half the width of the range within which a difference counts as none (``equivalence=``), or None.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.scan(x, x + noise, "cka", permutations=99).verdict
        >>> found.state
        'holds'
    """

    state: str
    words: str
    p_joint: float
    joint_from: str
    alpha: float
    above: tuple[str, ...]
    not_above: tuple[str, ...]
    p_value: Mapping[str, float]
    effect: Mapping[str, str]
    baselines: Mapping[str, Mapping[str, str]]
    held_out: Mapping[str, bool]
    margin: float | None = None

    def __str__(self) -> str:
        return self.words

    def told(self, baseline: Callable[[str], str], names: Mapping[str, str] | None = None) -> str:
        """The verdict in one sentence, with words of one's own for baselines and metrics.

        Args:
            baseline: Words for the label of a baseline.
            names: Metric -> its words; short names by default.
        """
        short = names or short_metrics([*self.above, *self.not_above])
        words = _chance(self, short)
        return words + _baselines(self, baseline, short) + _confirmed(self, short) + "."


class Judged(Protocol):
    """What a verdict needs of a scan."""

    @property
    def x_name(self) -> str: ...
    @property
    def y_name(self) -> str: ...
    @property
    def x_view(self) -> str: ...
    @property
    def y_view(self) -> str: ...
    @property
    def p_maximum(self) -> float | None: ...
    @property
    def p_by_metric(self) -> Mapping[str, float]: ...
    @property
    def alignments(self) -> Mapping[str, Alignment]: ...
    def baseline(self, label: str) -> Condition: ...


def verdict_of(scan: Judged) -> Verdict:
    """The verdict on a scan."""
    alpha = next(iter(scan.alignments.values())).alpha
    joint, source, p_value = _p_values(scan)
    above = tuple(k for k in scan.alignments if p_value[k] <= alpha)
    parts = {k: scan.alignments[k] for k in above}
    labels = dict.fromkeys(label for a in parts.values() for label in a.against)
    found = Verdict(
        state=FAILS,
        words="",
        p_joint=joint,
        joint_from=source,
        alpha=alpha,
        above=above,
        not_above=tuple(k for k in scan.alignments if k not in above),
        p_value=p_value,
        effect={k: a.effect for k, a in parts.items()},
        baselines={n: {k: reading(a.against[n], a) for k, a in parts.items() if n in a.against} for n in labels},
        held_out={k: bool(float(a.held_out["p_value"]) <= alpha) for k, a in parts.items() if a.held_out is not None},
        margin=next((t["margin"] for a in parts.values() for t in a.against.values() if "margin" in t), None),
    )
    found = dataclasses.replace(found, state=_state(found))
    sides = {"x": (scan.x_name, scan.x_view), "y": (scan.y_name, scan.y_view)}
    return dataclasses.replace(
        found, words=found.told(lambda n: baseline_words(scan.baseline(n), *sides.get(scan.baseline(n).side, ("", ""))))
    )


def reading(tested: Tested, alignment: Alignment) -> str:
    """What the paired difference from one baseline says, one of `READINGS`; no p that is not a number is evidence.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.scan(x, x + noise, "cka", permutations=20, x_baselines={"random": noise[::-1]})["cka"]
        >>> reading(found.against["random x"], found)
        'more'
    """
    if tested["method"].startswith("no test"):
        return UNTESTED
    margin = tested.get("margin")
    if margin is not None and -margin < tested["margin_low"] and tested["margin_high"] < margin:
        return EQUIVALENT
    gain = float(tested["difference"]) * (-1 if alignment.distance else 1)
    if not float(tested["p_value"]) <= alignment.alpha or gain == 0:
        return OPEN
    return MORE if gain > 0 else LESS


def baseline_words(condition: Condition, model: str, view: str = "") -> str:
    """A baseline by its own name and the model that it stands in for: ``"untrained"`` of x is *untrained MODEL*.

    Args:
        condition: The baseline.
        model: What to call the model of its side.
        view: The view of the items that the model saw.

    Example:
        >>> baseline_words(Condition("baseline", "untrained", "x"), "dinov2-small")
        'untrained dinov2-small'
    """
    if not condition.side:
        return condition.name
    if condition.name == "untrained":
        return f"untrained {model}"
    if condition.name == "inputs":
        return f"{view} input statistics" if view else f"input statistics for {model}"
    return f"{condition.name} for {model}"


def short_metrics(specs: Sequence[str]) -> dict[str, str]:
    """Metric -> its name without parameters, where that keeps them apart.

    Example:
        >>> short_metrics(["cka(estimator='unbiased')", "rsa", "mutual_knn(k=5)"])
        {"cka(estimator='unbiased')": 'cka', 'rsa': 'rsa', 'mutual_knn(k=5)': 'mutual_knn'}
    """
    bare = [s.partition("(")[0] for s in specs]
    return {s: b if bare.count(b) == 1 else s for s, b in zip(specs, bare, strict=True)}


def by_reading(readings: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Which metrics say what of one baseline: ``more by cka, not shown to be more by rsa``."""
    parts = [(r, [names[k] for k, v in readings.items() if v == r]) for r in READINGS]
    return ", ".join(f"{r} by {listed(by)}" for r, by in parts if by)


def _p_values(scan: Judged) -> tuple[float, str, dict[str, float]]:
    """The joint p, where it is from, and each metric's adjusted for the number of metrics and never below it."""
    own = {k: float(a.p_maximum) for k, a in scan.alignments.items()}
    if len(own) == 1:
        (p,) = own.values()
        return p, next(iter(scan.alignments.values())).maximum_from, own
    stepped = _holm(own)
    if scan.p_maximum is None:
        return min(stepped.values()), f"Bonferroni bound over {len(own)} metrics", stepped
    joint = float(scan.p_maximum)
    if set(scan.p_by_metric) == set(own):
        stepped = {k: float(p) for k, p in scan.p_by_metric.items()}
    adjusted = {k: max(joint, own[k], stepped[k]) for k in own}
    return joint, "maximum over all metrics and layers in shared permutations", adjusted


def _holm(own: Mapping[str, float]) -> dict[str, float]:
    """p-values by name, adjusted for their number."""
    return dict(zip(own, holm([*own.values()]).tolist(), strict=True))


def _state(v: Verdict) -> str:
    if not v.p_joint <= v.alpha:
        return FAILS
    beyond = all(r in (MORE, UNTESTED) for readings in v.baselines.values() for r in readings.values())
    seen = not v.effect or any(e != "tiny" for e in v.effect.values())
    return HOLDS if v.above and not v.not_above and beyond and all(v.held_out.values()) and seen else PARTLY


def _chance(v: Verdict, short: Mapping[str, str]) -> str:
    count = len(v.above) + len(v.not_above)
    if v.state == FAILS:
        which = {1: "", 2: " by either metric"}.get(count, f" by any of {count} metrics")
        return f"Not shown to be more alike than chance{which}"
    every = {1: "", 2: " by both metrics"}.get(count, f" by all {count} metrics")
    if not v.above:
        return f"More alike than chance{every} together, though by none of them alone"
    if not v.not_above:
        return f"More alike than chance{every}{_effects(v)}"
    by, not_by = (listed([short[k] for k in names]) for names in (v.above, v.not_above))
    return f"More alike than chance by {by}{_effects(v)}, not shown by {not_by}"


def _effects(v: Verdict) -> str:
    sizes = [e for e in ("tiny", "small", "moderate", "large") if e in v.effect.values()]
    if not sizes:
        return ""
    return f" (a {sizes[0]} effect)" if len(sizes) == 1 else f" ({sizes[0]} to {sizes[-1]} effects)"


def _baselines(v: Verdict, baseline: Callable[[str], str], short: Mapping[str, str]) -> str:
    """Beyond which baselines: first those on which all metrics agree, then those on which they part."""
    tested = {n: {k: r for k, r in rs.items() if r != UNTESTED} for n, rs in v.baselines.items()}
    tested = {n: rs for n, rs in tested.items() if rs}
    agreed = {n: next(iter(rs.values())) for n, rs in tested.items() if len(set(rs.values())) == 1}
    says = {r: [baseline(n) for n, found in agreed.items() if found == r] for r in READINGS}
    words = ""
    if says[MORE]:
        every = len(says[MORE]) == len(tested) > 2
        words += f" and more than {f'all {len(tested)} baselines' if every else listed(says[MORE])}"
    within = "" if v.margin is None else f" within ±{v.margin:g}"
    short_of = [
        f"{how} {listed(says[r])}"
        for r, how in (
            (OPEN, "not shown to be more than"),
            (EQUIVALENT, f"equivalent{within} to"),
            (LESS, "less than"),
        )
        if says[r]
    ]
    words += f", but {listed(short_of)}" if short_of else ""
    parted = [f"on {baseline(n)} ({by_reading(rs, short)})" for n, rs in tested.items() if n not in agreed]
    return words + (f"; the metrics part {listed(parted)}" if parted else "")


def _confirmed(v: Verdict, short: Mapping[str, str]) -> str:
    failed = [short[k] for k, confirmed in v.held_out.items() if not confirmed]
    if not failed:
        return ""
    by = "" if len(failed) == len(v.held_out) else f" by {listed(failed)}"
    return f"; not confirmed on held-out items{by}"
