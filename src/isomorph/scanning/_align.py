"""One metric over every pair of layers of a scan, its baselines and its ceilings: scores, chance, p, intervals."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from .._core.progress import notice
from ..conditions import BASELINE, CEILING, Comparison, Side
from ..errors import InputError
from ..metrics import Metric
from ..metrics.rdm import RDMs
from ..results import Alignment, Ceiling, Gallery, HeldOut, SubjectCeiling, Tested, about
from ..significance import (
    Design,
    Difference,
    Orders,
    difference,
    gallery_points,
    held_out,
    interval,
    judge_block,
    noise_ceiling,
    sampled_null,
)
from .settings import ScanSettings

Floats = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Found:
    """What one metric gives on one condition: its alignment, and its sampled null if there is one."""

    alignment: Alignment
    null: Floats | None


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one scan samples and decides, shared by all metrics, baselines and ceilings."""

    settings: ScanSettings
    orders: Orders
    design: Design
    advance: Callable[[int], object]

    def __reduce__(self) -> Any:
        """Elsewhere nobody sees how far it is."""
        return Plan, (self.settings, self.orders, self.design, _unseen)


def _unseen(_: int) -> None:
    """Progress that is not shown."""


def align_all(
    metric: Metric[Any], conditions: Sequence[Comparison], plan: Plan, nulls: Sequence[Floats | None]
) -> list[Found | str]:
    """One metric on every condition, the first of which is the scan itself; a shared side is prepared once.

    Args:
        metric: The metric.
        conditions: The scan, its baselines and its ceilings.
        plan: How they are sampled.
        nulls: Of every condition its scores under the re-pairings, where `permuted` gave them; None has them made.

    Returns:
        What it gives on each, or why it is not defined on one beside the scan itself.

    Raises:
        InputError: if it is not defined on the scan itself.
    """
    prepared = _Prepared(metric)

    def align(c: Comparison, null: Floats | None) -> Found:
        return _align(metric, c, (prepared.of(c.left), prepared.of(c.right)), plan, null)

    main, first = conditions[0], align(conditions[0], nulls[0])
    out: list[Found | str] = [first]
    for c, null in zip(conditions[1:], nulls[1:], strict=True):
        try:
            out.append(align(c, null))
        except InputError as error:  # the scan itself stands without it
            notice(f"{metric.spec} is not defined on the {c.role} {c.label!r}. {error}")
            out.append(str(error))
    best_of = first.alignment
    others = [(c, f.alignment) for c, f in zip(conditions, out, strict=True) if isinstance(f, Found)][1:]
    against: dict[str, Tested] = {}
    if not plan.design.series:  # no difference can be tested over items of which none is independent of the others
        against = {c.label: _against(metric, main, best_of, c, a, plan) for c, a in others if c.role == BASELINE}
    alignment = dataclasses.replace(
        best_of,
        against=against,
        ceilings={c.label: _ceiling(metric, best_of, a) for c, a in others if c.role == CEILING},
        noise_ceilings=_noise_ceilings(metric, main, best_of, plan),
        held_out=_held_out(metric, main, plan) if plan.settings.selection == "split" else None,
    )
    return [Found(alignment, first.null), *out[1:]]


def permuted(metric: Metric[Any], conditions: Sequence[Comparison], plan: Plan, part: slice) -> list[Floats | None]:
    """The scores of every condition under a part of the re-pairings.

    Returns:
        Arrays of shape (orders, layers, layers); None where the metric is not defined, which `align_all` tells.
    """
    prepared, out = _Prepared(metric), []
    for c in conditions:
        scores = None
        with contextlib.suppress(InputError):
            xs, ys = prepared.of(c.left), prepared.of(c.right)
            # states keep what a comparison needs of them, rounded as in the first one: it is that of `_align`
            metric.compare(xs, ys)
            if plan.design.free:
                metric.null_moments(xs, ys)
            scores = sampled_null(metric, xs, ys, plan.orders[part])
        out.append(scores)
    return out


def _align(
    metric: Metric[Any],
    condition: Comparison,
    states: tuple[list[Any], list[Any]],
    plan: Plan,
    null: Floats | None,
) -> Found:
    left, right = condition.left, condition.right
    xs, ys = states
    values = to_numpy(metric.compare(xs, ys)).astype(np.float64).clip(*metric.range)  # rounding may lead out of it
    plan.advance(1)
    judged = judge_block(
        metric,
        xs,
        ys,
        values,
        plan.orders,
        plan.design,
        alpha=plan.settings.alpha,
        budget=plan.settings.budget,
        null=null,
        advance=plan.advance,
    )
    bounds = None
    if plan.settings.intervals and not plan.design.series:
        bounds = interval(metric, xs, ys, alpha=plan.settings.alpha, groups=plan.design.groups)
    best = judged.best_permuted(plan.settings.alpha, distance=metric.distance)
    found = Alignment(
        metric=metric.spec,
        variant=metric.variant,
        x_layers=tuple(left.layers),
        y_layers=tuple(right.layers),
        values=values,
        chance=judged.chance,
        p_value=judged.p_value,
        n=left.n,
        x_dims=tuple(map(left.width, left.layers)),
        y_dims=tuple(map(right.width, right.layers)),
        p_maximum=judged.p_maximum,
        permutations=judged.permutations,
        alpha=plan.settings.alpha,
        p_family=judged.p_family,
        calibrated=judged.calibrated,
        threshold=judged.threshold,
        interval=None if bounds is None else np.stack([bounds.low, bounds.high], axis=-1),
        permuted=None
        if best is None
        else {"mean": best[0], "quantile": best[1], "level": 1 - plan.settings.alpha, "quantiles": best[2]},
        null=judged.source + ("" if plan.design.free else f", items {plan.design}"),
        maximum_from=judged.maximum_from,
        **about(metric),
    )
    if plan.settings.gallery is not False and condition.role != BASELINE:
        found = dataclasses.replace(found, gallery=_gallery(metric, found, condition, plan))
    return Found(found, judged.null)


def _against(
    metric: Metric[Any], main: Comparison, best_of: Alignment, other: Comparison, b: Alignment, plan: Plan
) -> Tested:
    """The best pair of the scan against the best pair of a baseline: paired over the same items.

    Both were chosen on these items, which alone makes the side with more pairs of layers look better: bounds and p are
    those of all its pairs at once.
    """
    first, second = best_of.best(), b.best()
    many = max(best_of.values.size, b.values.size)
    gap = first.value - second.value
    tested: Tested = {
        "value": second.value,
        "chance": second.chance,
        "x_layer": second.x_layer,
        "y_layer": second.y_layer,
        "difference": gap,
        "low": gap,
        "high": gap,
        "p_value": 1.0,
        "method": "",
    }

    def gap_at(alpha: float) -> Difference:
        return difference(
            metric,
            (_read(metric, main.left, first.x_layer), _read(metric, main.right, first.y_layer)),
            (_read(metric, other.left, second.x_layer), _read(metric, other.right, second.y_layer)),
            alpha=alpha / many,
            groups=plan.design.groups,
            seed=plan.settings.seed,
        )

    margin = plan.settings.equivalence
    try:
        found = gap_at(plan.settings.alpha)
        if margin is not None:
            inner = gap_at(2 * plan.settings.alpha)
            tested |= {"margin": float(margin), "margin_low": inner.low, "margin_high": inner.high}
    except InputError as error:  # the scan is done and stands; only this test has no answer
        notice(f"{metric.spec}: no test against {other.label}. {error}")
        return tested | {"method": f"no test: {error}"}
    return tested | {
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p_value": min(1.0, many * found.p_value),
        "method": found.method + (f", for {many} pairs of layers at once (Bonferroni)" if many > 1 else ""),
    }


def _ceiling(metric: Metric[Any], main: Alignment, ceiling: Alignment) -> Ceiling:
    """The best pair of a ceiling, and which share of the way from chance to it the scan's best pair goes."""
    best, top = main.best(), ceiling.best()
    sign = -1.0 if metric.distance else 1.0
    room = sign * (top.value - top.chance)
    reached = top.p_maximum <= ceiling.alpha and room > 0  # a ceiling that is no more than chance has no shares
    return {
        "value": top.value,
        "chance": top.chance,
        "x_layer": top.x_layer,
        "y_layer": top.y_layer,
        "p_maximum": top.p_maximum,
        "share": sign * (best.value - best.chance) / room if reached else None,
    }


def _noise_ceilings(
    metric: Metric[Any], main: Comparison, alignment: Alignment, plan: Plan
) -> dict[str, SubjectCeiling]:
    """How high a model could score with each side that is RDMs of several subjects, and how high the layers do."""
    found: dict[str, SubjectCeiling] = {}
    for name, side in (("x", main.left), ("y", main.right)):
        subjects = side.facts.get("subjects", ())
        if not metric.reads_rdms or len(set(subjects)) < 2 or len(subjects) != len(side.rdms):
            continue
        rows = np.stack([side.features(layer, rdms=True).condensed for layer in side.layers])
        rdms = RDMs(rows, rdms={"subject": subjects})
        ceiling = noise_ceiling(rdms, metric.parameters["comparison"], seed=plan.settings.seed)
        ceiling = dataclasses.replace(ceiling, names=tuple(side.layers))
        reached = ceiling.reached_by(alignment, side=name, alpha=plan.settings.alpha).values()
        shares = [r.share for r in reached]
        found[name] = {
            "subjects": len(ceiling.subjects),
            "lower": ceiling.lower,
            "upper": ceiling.upper,
            "chance": ceiling.chance,
            "p_value": ceiling.p_value,
            "permutations": ceiling.permutations,
            "score": np.array([r.score for r in reached]),
            "error": np.array([r.error for r in reached]),
            "share": None if None in shares else np.array(shares, dtype=np.float64),
            "p_below": np.array([r.p_below for r in reached]),
            "verdict": tuple(r.verdict for r in reached),
        }
    return found


def _gallery(metric: Metric[Any], alignment: Alignment, condition: Comparison, plan: Plan) -> Gallery | None:
    """The score of the best pair against the number of items; None, said aloud, if some of the subsets have none."""
    best = alignment.best()
    try:
        points = gallery_points(
            metric,
            _read(metric, condition.left, best.x_layer),
            _read(metric, condition.right, best.y_layer),
            plan.design,
            None if isinstance(plan.settings.gallery, bool) else plan.settings.gallery,
            seed=plan.settings.seed,
        )
    except InputError as error:  # the scan is done and stands
        notice(f"{metric.spec}: no gallery curve for {best.x_layer} × {best.y_layer}. {error}")
        return None
    return {
        "n": np.array([p.n for p in points]),
        "value": np.array([p.value for p in points]),
        "spread": np.array([p.spread for p in points]),
        "chance": np.array([p.chance for p in points]),
        "above_chance": np.array([p.above_chance for p in points]),
    }


def _held_out(metric: Metric[Any], main: Comparison, plan: Plan) -> HeldOut:
    left, right = ({layer: _read(metric, side, layer) for layer in side.layers} for side in (main.left, main.right))
    count = max(len(plan.orders), 199)
    return held_out(
        metric, left, right, plan.design, seed=plan.settings.seed, permutations=count, budget=plan.settings.budget
    )


def _read(metric: Metric[Any], side: Side, layer: str, *, unread: bool = False) -> Any:
    """A layer as the metric takes it: features, or an RDM where it compares RDMs."""
    return side.features(layer, min_items=metric.min_items, unread=unread, rdms=metric.reads_rdms)


class _Prepared:
    """The prepared layers of each side, which several conditions share."""

    def __init__(self, metric: Metric[Any]) -> None:
        self._metric = metric
        self._states: dict[int, tuple[Side, list[Any]]] = {}  # the side is kept, so that its id is nobody else's

    def of(self, side: Side) -> list[Any]:
        """The states of a side's layers.

        Raises:
            InputError: if the metric does not take a layer.
        """
        key = id(side.layers)
        if key not in self._states:
            self._states[key] = side, [self._prepare(side, layer) for layer in side.layers]
        return self._states[key][1]

    def _prepare(self, side: Side, layer: str) -> Any:
        metric = self._metric
        try:
            features = _read(metric, side, layer, unread=metric.streams)
            metric.require_room(features)
            return metric.prepare(features)
        except InputError as error:
            raise InputError(f"{side.name}, layer {layer!r}, {metric.spec}: {error}") from error
