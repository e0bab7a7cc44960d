"""One metric over every pair of layers of a scan, its baselines and its ceilings: scores, chance, p, intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from .._core.arrays import as_features, to_numpy
from .._core.progress import duration, notice
from ..conditions.sides import Side
from ..errors import InputError
from ..metrics import Metric, Null
from ..results import Alignment, Ceiling, Gallery, HeldOut, Permuted, Tested
from ..significance import (
    Design,
    calibrate,
    difference,
    gallery_curve,
    interval,
    maximum_p,
    sampled_null,
    seconds_per_permutation,
    select_split,
    sequential,
    step_down_p,
)

Floats = np.ndarray[Any, Any]

_REFUTED = 1e-4
MAIN, BASELINE, CEILING = "main", "baseline", "ceiling"


@dataclasses.dataclass(frozen=True)
class Condition:
    """Two sides that are compared: the scan itself, a baseline, or a ceiling."""

    role: str
    name: str
    left: Side
    right: Side


@dataclasses.dataclass(frozen=True)
class Found:
    """What one metric gives on one condition: its alignment, and its sampled null if there is one."""

    alignment: Alignment
    null: Floats | None


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one scan samples and decides, shared by all metrics, baselines and ceilings."""

    orders: Floats
    design: Design
    alpha: float
    seed: int
    selection: str
    intervals: bool
    gallery: bool | tuple[int, ...]
    budget: float | None
    advance: Callable[[int], None]


def align_all(metric: Metric[Any], conditions: Sequence[Condition], plan: Plan) -> list[Found]:
    """One metric on every condition, the first of which is the scan itself; a shared side is prepared once."""
    prepared: dict[int, list[Any]] = {}
    out: list[Found] = []
    for c in conditions:
        states = [prepared.setdefault(id(s.layers), []) or _prepare(metric, s) for s in (c.left, c.right)]
        prepared |= {id(s.layers): state for s, state in zip((c.left, c.right), states, strict=True)}
        out.append(_align(metric, c, (states[0], states[1]), plan))
    main, best_of = conditions[0], out[0].alignment
    others = list(zip(conditions, (f.alignment for f in out), strict=True))[1:]
    against: dict[str, Tested] = {}
    if not plan.design.series:  # no difference can be tested over items of which none is independent of the others
        against = {c.name: _against(metric, main, best_of, c, a, plan) for c, a in others if c.role == BASELINE}
    alignment = dataclasses.replace(
        best_of,
        against=against,
        ceilings={c.name: _ceiling(metric, best_of, a) for c, a in others if c.role == CEILING},
        held_out=_held_out(metric, main.left, main.right, plan) if plan.selection == "split" else None,
    )
    return [Found(alignment, out[0].null), *out[1:]]


def _align(metric: Metric[Any], condition: Condition, states: tuple[list[Any], list[Any]], plan: Plan) -> Found:
    left, right = condition.left, condition.right
    xs, ys = states
    values = to_numpy(metric.compare(xs, ys)).astype(np.float64).clip(*metric.range)  # rounding may lead out of it
    plan.advance(1)
    exact = metric.null_moments(xs, ys) if plan.design.free else None
    # the exact tails are those of high scores
    known = exact is not None and exact.std is not None and not metric.distance
    null: Floats | None = None
    if len(plan.orders) == 0:
        if exact is None or not known:
            raise InputError(
                f"{metric.spec} has no exact null for these items, so its chance level must be sampled: "
                "call with permutations=200 or more."
            )
        chance = _exact_only(values, exact)
    elif plan.budget is not None and _too_long(metric, xs, ys, plan):
        chance = _sequential(metric, xs, ys, values, exact, known, plan)
    else:
        null = sampled_null(metric, xs, ys, plan.orders, advance=plan.advance)
        chance = _sampled(metric, values, null, exact, known, plan.alpha)
    if not plan.design.free:
        chance["null"] += f", items {plan.design}"
    bounds = None
    if plan.intervals and not plan.design.series:
        bounds = interval(metric, xs, ys, level=1 - plan.alpha, groups=plan.design.groups)
    shared: dict[str, Any] = {
        "metric": metric.spec,
        "variant": metric.variant,
        "x_layers": tuple(left.layers),
        "y_layers": tuple(right.layers),
        "values": values,
        "n": left.n,
        "x_dims": tuple(int(a.shape[1]) for a in left.layers.values()),
        "y_dims": tuple(int(a.shape[1]) for a in right.layers.values()),
        "alpha": plan.alpha,
        "interval": None if bounds is None else np.stack([bounds.low, bounds.high], axis=-1),
    }
    found = Alignment(**shared, **chance)
    if plan.gallery is not False and condition.role != BASELINE:
        found = dataclasses.replace(found, gallery=_gallery(metric, found, condition, plan))
    return Found(found, null)


def _exact_only(values: Floats, exact: Null) -> dict[str, Any]:
    p = np.asarray(exact.p_value(values))
    told = np.broadcast_to(exact.tail_known, values.shape)
    return {
        "chance": _spread_over(exact.mean, values),
        "p_value": p,
        "p_maximum": float(min(1.0, p.size * p.min())),
        "p_family": np.minimum(1.0, p.size * p),
        "null": exact.source + ("" if told.all() else f"; {_FEW.format(_pairs(~told))}the bound 1 / (1 + z²)"),
        "maximum_from": f"Bonferroni bound over {p.size} layer pairs",
    }


_FEW = "a few items decide the score of {}, so p there is "


def _pairs(which: Floats) -> str:
    return "all pairs of layers" if which.all() else f"{int(which.sum())} of {which.size} pairs of layers"


def _told(exact: Null | None, known: bool, values: Floats, sampled: Floats, count: int) -> tuple[Floats, str]:
    """The p of each pair, exact where its tail is known and no sample speaks against it, else as sampled; its source.

    A sample speaks against an exact p if so many permutations reach the score as chance would let in one of ten
    thousand samples, were that p right.
    """
    if exact is None or not known:
        return sampled, f"{count} sampled permutations"
    p = np.broadcast_to(np.asarray(exact.p_value(values)), values.shape)
    told = np.broadcast_to(exact.tail_known, values.shape)
    reached = np.round(sampled * (count + 1)) - 1
    refuted = told & (stats.binom.sf(reached - 1, count, p) < _REFUTED)
    source = exact.source
    if not told.all():
        source += f"; {_FEW.format(_pairs(~told))}sampled ({count} permutations)"
    if refuted.any():
        source += f"; {_pairs(refuted)} reach their score more often in {count} permutations, so p there is sampled"
    return np.where(told & ~refuted, p, sampled), source


def _sampled(
    metric: Metric[Any], values: Floats, null: Floats, exact: Null | None, known: bool, alpha: float
) -> dict[str, Any]:
    distance = metric.distance
    best = metric.range[0] if distance else metric.range[1]
    calibration = calibrate(values, null, alpha=alpha, s_max=best, distance=distance)
    p, source = _told(exact, known, values, np.asarray(calibration.p_value), len(null))
    return {
        "chance": _spread_over(null.mean(axis=0) if exact is None else exact.mean, values),
        "p_value": p,
        "p_maximum": float(maximum_p(values, null, distance=distance)),
        "p_family": np.asarray(step_down_p(values, null, studentized=False, distance=distance)),
        "calibrated": calibration.calibrated,
        "threshold": calibration.threshold,
        "permuted": _permuted(null, alpha, distance),
        "permutations": len(null),
        "null": source,
        "maximum_from": f"maximum over all layer pairs in {len(null)} shared permutations",
    }


def _permuted(null: Floats, alpha: float, distance: bool) -> Permuted:
    """The best of all layer pairs with the items paired at random: its mean, and what a share alpha reaches."""
    sign = -1.0 if distance else 1.0
    bests = (sign * null).reshape(len(null), -1).max(axis=1)
    reached = float(np.quantile(bests, 1 - alpha, method="higher"))
    return {"mean": sign * float(bests.mean()), "quantile": sign * reached, "level": 1 - alpha}


def _sequential(
    metric: Metric[Any], xs: list[Any], ys: list[Any], values: Floats, exact: Null | None, known: bool, plan: Plan
) -> dict[str, Any]:
    least = math.ceil(1 / plan.alpha - 1e-9) - 1  # fewer could not give a p of alpha: all would look like chance
    found = sequential(metric, xs, ys, values, plan.orders, least=least, budget=plan.budget, advance=plan.advance)
    assert found.p_maximum is not None  # asked for by default
    few = plan.orders[: min(19, len(plan.orders))]
    mean = sampled_null(metric, xs, ys, few).mean(axis=0) if exact is None else exact.mean
    p, source, adjusted = found.p_value, f"up to {found.sampled} permutations, sequentially", None
    if exact is not None and known:
        told = np.broadcast_to(exact.tail_known, values.shape)
        p = np.where(told, exact.p_value(values), p)
        adjusted = np.minimum(1.0, p.size * p)
        source = exact.source + ("" if told.all() else f"; {_FEW.format(_pairs(~told))}from {source}")
    return {
        "chance": _spread_over(mean, values),
        "p_value": p,
        "p_family": adjusted,
        "p_maximum": found.p_maximum,
        "permutations": found.sampled,
        "null": source,
        "maximum_from": f"maximum over all layer pairs in {found.used_maximum} shared permutations, sequentially",
    }


def _too_long(metric: Metric[Any], xs: list[Any], ys: list[Any], plan: Plan) -> bool:
    assert plan.budget is not None
    seconds = seconds_per_permutation(metric, xs, ys, plan.orders) * len(plan.orders)
    if seconds <= plan.budget:
        return False
    notice(
        f"{metric.spec}: {len(plan.orders)} permutations would take about {duration(seconds)}, over the budget of "
        f"{duration(plan.budget)}; each score is sampled only until it is settled."
    )
    return True


def _against(
    metric: Metric[Any], main: Condition, best_of: Alignment, other: Condition, b: Alignment, plan: Plan
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
    try:
        found = difference(
            metric,
            (main.left.layers[first.x_layer], main.right.layers[first.y_layer]),
            (other.left.layers[second.x_layer], other.right.layers[second.y_layer]),
            level=1 - plan.alpha / many,
            groups=plan.design.groups,
            seed=plan.seed,
        )
    except InputError as error:  # the scan is done and stands; only this test has no answer
        notice(f"{metric.spec}: no test against {other.name}. {error}")
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


def _gallery(metric: Metric[Any], alignment: Alignment, condition: Condition, plan: Plan) -> Gallery | None:
    """The score of the best pair against the number of items; None, said aloud, if some of the subsets have none."""
    best, design = alignment.best(), plan.design
    try:
        points = gallery_curve(
            metric,
            condition.left.layers[best.x_layer],
            condition.right.layers[best.y_layer],
            None if isinstance(plan.gallery, bool) else plan.gallery,
            seed=plan.seed,
            groups=design.groups,
            strata=design.strata,
            circular=design.circular,
            within=design.within,
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


def _held_out(metric: Metric[Any], left: Side, right: Side, plan: Plan) -> HeldOut:
    xs, ys = list(left.layers.values()), list(right.layers.values())
    design = plan.design
    found = select_split(
        metric,
        xs,
        ys,
        seed=plan.seed,
        groups=design.groups,
        strata=design.strata,
        circular=design.circular,
        within=design.within,
        permutations=max(len(plan.orders), 199),
        budget=plan.budget,
    )
    return {
        "x_layer": list(left.layers)[found.x_index],
        "y_layer": list(right.layers)[found.y_index],
        "value": found.value,
        "chance": found.chance,
        "p_value": found.p_value,
        "selection_value": found.selection_value,
        "n_selection": found.n_selection,
        "n_score": found.n_score,
        "null": found.null,
    }


def _prepare(metric: Metric[Any], side: Side) -> list[Any]:
    states = []
    for name, layer in side.layers.items():
        try:
            states.append(metric.prepare(as_features(layer, f"layer {name!r}", min_items=metric.min_items)))
        except InputError as error:
            raise InputError(f"{side.name}, layer {name!r}, {metric.spec}: {error}") from error
    return states


def _spread_over(mean: Any, values: Floats) -> Floats:
    return np.broadcast_to(np.asarray(to_numpy(mean), dtype=np.float64), values.shape).copy()
