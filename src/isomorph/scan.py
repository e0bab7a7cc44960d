"""Scan: several metrics over every pair of layers, each score with its chance level, each maximum with its p."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ._arrays import Array, as_features, take_rows, to_numpy
from ._checks import as_seed, check_budget
from ._linalg import sum_squares, top_k
from ._progress import duration, notice, progress
from ._provenance import fingerprint, provenance
from ._sides import Side, as_side, joined
from .errors import InputError
from .metrics import Metric, Null, working_memory
from .metrics import metric as make_metric
from .results import Alignment, Neighborhoods, Scan
from .significance import (
    calibrate,
    difference,
    duplicates,
    family,
    interval,
    maximum_p,
    sampled_null,
    seconds_per_permutation,
    select_split,
    sequential,
    step_down_p,
)
from .significance import permutations as draw_permutations

DEFAULT_METRICS = ("mutual_knn(k=10)", "cka")
SHOWN_ITEMS = 12  # neighbourhoods kept of the items seen most alike, and of those seen least alike
SELECTIONS = ("all", "split")

Floats = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class _Plan:
    """How one scan samples and decides, shared by all metrics and baselines."""

    orders: Floats
    alpha: float
    groups: tuple[Any, ...] | None
    seed: int
    selection: str
    intervals: bool
    budget: float | None
    advance: Callable[[int], None]


def scan(
    x: Any,
    y: Any,
    metrics: Sequence[str | Metric[Any]] | str = DEFAULT_METRICS,
    *,
    permutations: int = 200,
    seed: int = 0,
    alpha: float = 0.05,
    x_baselines: Mapping[str, Any] | None = None,
    y_baselines: Mapping[str, Any] | None = None,
    groups: Sequence[Any] | None = None,
    selection: str = "all",
    intervals: bool = True,
    budget: float | None = None,
    memory: str | int | None = None,
    x_name: str | None = None,
    y_name: str | None = None,
    neighbors: int = 10,
) -> Scan:
    """Compare every layer of `x` with every layer of `y`, by every metric.

    Args:
        x: `Layers` of a store, a mapping from layer name to features (n_items, d), a list of features, one array, or
            the path of a file with features.
        y: The same for the other side; `Layers` are joined by item id, arrays row by row.
        metrics: Specs such as ``"mutual_knn(k=10)"``, or metrics.
        permutations: Random re-pairings of the items, shared by all metrics and layers; they give the p of the
            maximum and the calibrated scores. 0 samples none: then the p of the maximum is a Bonferroni bound from the
            exact p-values, and metrics without an exact null are refused.
        seed: Seed of the permutations and of the split.
        alpha: Level of the calibrated score's threshold; intervals cover 1 - alpha.
        x_baselines: Name (such as ``"untrained"``) -> layers that take the place of `x` in a scan of their own.
        y_baselines: The same for `y`.
        groups: One group an item; items are then only exchanged in ways that respect groups, and intervals are over
            groups.
        selection: ``"all"`` looks for the best pair of layers among all items (its p is that of the maximum);
            ``"split"`` also chooses the pair on one half of the items and scores it on the other (`held_out`).
        intervals: Whether to give confidence intervals over items, where the metric has influence functions.
        budget: Seconds that the permutations of one metric may take, or None. A metric that would take longer is
            sampled sequentially: each score only until it is settled (Besag and Clifford 1991), without calibrated
            scores.
        memory: Working memory that the metrics may take, such as ``"4GB"`` or bytes; blocks shrink to fit, and what
            cannot fit says so before it starts. None takes what the machine has.
        x_name: What to call `x` in results, instead of the encoder's name.
        y_name: What to call `y`.
        neighbors: Neighbours listed for the items that both sides see most and least alike; 0 lists none.

    Returns:
        A `Scan`: a mapping from metric to `Alignment`.

    Raises:
        InputError: if the two sides do not fit each other or a metric, or an argument is out of range.
    """
    chosen = _metrics(metrics)
    check(permutations, alpha, selection, budget)
    seed = as_seed(seed)
    left, right = joined(as_side(x, "x", x_name), as_side(y, "y", y_name))
    if groups is not None and len(groups) != left.n:
        raise InputError(f"groups has {len(groups)} entries but there are {left.n} items; one each is needed.")
    pairs = {"": (left, right)}
    pairs |= {f"{k} x": joined(as_side(v, k, None), right) for k, v in (x_baselines or {}).items()}
    pairs |= {f"{k} y": joined(left, as_side(v, k, None)) for k, v in (y_baselines or {}).items()}
    for name, (a, _) in pairs.items():
        if a.n != left.n:
            raise InputError(f"The baseline {name!r} shares {a.n} items with the other side, the scan has {left.n}.")
    orders = draw_permutations(left.n, permutations, seed, groups=groups)
    grouped = None if groups is None else tuple(groups)
    what, total = f"scan {left.name} × {right.name}", len(pairs) * len(chosen) * (permutations + 1)
    limit = nullcontext() if memory is None else working_memory(memory)
    with limit, progress(total, what, unit="permutations") as advance:
        plan = _Plan(orders, alpha, grouped, seed, selection, intervals, budget, advance)
        found = {m.spec: _align_all(m, pairs, plan) for m in chosen}
    facts: dict[str, Any] = {"permutations": permutations, "seed": seed, "alpha": alpha, "grouped": groups is not None}
    facts |= {"selection": selection, "metrics": [m.variant for m in chosen]}
    scans = {
        name: _assembled(pair, {spec: per[name] for spec, per in found.items()}, facts) for name, pair in pairs.items()
    }
    main = scans.pop("")
    first = next(iter(main.values()))
    return dataclasses.replace(
        main,
        baselines=scans,
        notes=_notes(left, right),
        neighborhoods=_neighborhoods(left, right, first, neighbors) if neighbors and left.ids else None,
    )


def _assembled(pair: tuple[Side, Side], found: Mapping[str, tuple[Alignment, Any]], facts: dict[str, Any]) -> Scan:
    """One scan out of its alignments; `found` also holds their sampled nulls, for the p over all metrics."""
    left, right = pair
    made = provenance(call="scan", x=dict(left.facts), y=dict(right.facts), **facts)
    # whether torch happens to be loaded says nothing about numbers that it did not compute
    made["versions"] = {k: v for k, v in made["versions"].items() if k in ("python", "isomorph", "numpy", "scipy")}
    stamp = {"call": "scan", "fingerprint": fingerprint(made)}
    alignments = {spec: dataclasses.replace(a, provenance=stamp) for spec, (a, _) in found.items()}
    nulls = {s: (a.values, null, make_metric(a.variant).distance) for s, (a, null) in found.items() if null is not None}
    return Scan(
        x_name=left.name,
        y_name=right.name,
        alignments=alignments,
        n=left.n,
        seed=int(facts["seed"]),
        x_view=str(left.facts.get("view", "")),
        y_view=str(right.facts.get("view", "")),
        dataset=str(left.facts.get("dataset", "")),
        p_maximum=family(nulls).p_maximum if len(nulls) == len(found) else None,
        provenance=made,
    )


def _align_all(
    metric: Metric[Any], pairs: Mapping[str, tuple[Side, Side]], plan: _Plan
) -> dict[str, tuple[Alignment, Floats | None]]:
    """One metric on the scan itself (named "") and on every baseline; a side that several share is prepared once."""
    prepared: dict[int, list[Any]] = {}
    out: dict[str, tuple[Alignment, Floats | None]] = {}
    for name, pair in pairs.items():
        states = [prepared.setdefault(id(s.layers), []) or _prepare(metric, s) for s in pair]
        prepared |= {id(s.layers): state for s, state in zip(pair, states, strict=True)}
        out[name] = _align(metric, pair, (states[0], states[1]), plan)
    main, null = out[""]
    against = {k: _against(metric, pairs[""], main, pairs[k], a, plan) for k, (a, _) in out.items() if k}
    held_out = _held_out(metric, *pairs[""], plan) if plan.selection == "split" else None
    out[""] = (dataclasses.replace(main, against=against, held_out=held_out), null)
    return out


def _align(
    metric: Metric[Any], pair: tuple[Side, Side], states: tuple[list[Any], list[Any]], plan: _Plan
) -> tuple[Alignment, Floats | None]:
    left, right = pair
    xs, ys = states
    values = to_numpy(metric.compare(xs, ys)).astype(np.float64)
    plan.advance(1)
    exact = None if plan.groups is not None else metric.null_moments(xs, ys)
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
    bounds = interval(metric, xs, ys, level=1 - plan.alpha, groups=plan.groups) if plan.intervals else None
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
    return Alignment(**shared, **chance), null


def _exact_only(values: Floats, exact: Null) -> dict[str, Any]:
    p = np.asarray(exact.p_value(values))
    return {
        "chance": _spread_over(exact.mean, values),
        "p_value": p,
        "p_maximum": float(min(1.0, p.size * p.min())),
        "null": exact.source,
        "maximum_from": f"Bonferroni bound over {p.size} layer pairs",
    }


def _sampled(
    metric: Metric[Any], values: Floats, null: Floats, exact: Null | None, known: bool, alpha: float
) -> dict[str, Any]:
    distance = metric.distance
    best = metric.range[0] if distance else metric.range[1]
    calibration = calibrate(values, null, alpha=alpha, s_max=best, distance=distance)
    return {
        "chance": _spread_over(null.mean(axis=0) if exact is None else exact.mean, values),
        "p_value": np.asarray(exact.p_value(values)) if exact is not None and known else calibration.p_value,
        "p_maximum": float(maximum_p(values, null, distance=distance)),
        "p_family": np.asarray(step_down_p(values, null, studentized=False, distance=distance)),
        "calibrated": calibration.calibrated,
        "threshold": calibration.threshold,
        "permutations": len(null),
        "null": exact.source if exact is not None and known else f"{len(null)} sampled permutations",
        "maximum_from": f"maximum over all layer pairs in {len(null)} shared permutations",
    }


def _sequential(
    metric: Metric[Any], xs: list[Any], ys: list[Any], values: Floats, exact: Null | None, known: bool, plan: _Plan
) -> dict[str, Any]:
    found = sequential(metric, xs, ys, values, plan.orders, budget=plan.budget, advance=plan.advance)
    assert found.p_maximum is not None  # asked for by default
    few = plan.orders[: min(19, len(plan.orders))]
    mean = sampled_null(metric, xs, ys, few).mean(axis=0) if exact is None else exact.mean
    return {
        "chance": _spread_over(mean, values),
        "p_value": np.asarray(exact.p_value(values)) if exact is not None and known else found.p_value,
        "p_maximum": found.p_maximum,
        "permutations": found.sampled,
        "null": exact.source if exact is not None and known else f"up to {found.sampled} permutations, sequentially",
        "maximum_from": f"maximum over all layer pairs in {found.used_maximum} shared permutations, sequentially",
    }


def _too_long(metric: Metric[Any], xs: list[Any], ys: list[Any], plan: _Plan) -> bool:
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
    metric: Metric[Any],
    main: tuple[Side, Side],
    best_of: Alignment,
    other: tuple[Side, Side],
    b: Alignment,
    plan: _Plan,
) -> dict[str, Any]:
    """The best pair of the scan against the best pair of a baseline: paired over the same items."""
    first, second = best_of.best(), b.best()
    found = difference(
        metric,
        (main[0].layers[first.x_layer], main[1].layers[first.y_layer]),
        (other[0].layers[second.x_layer], other[1].layers[second.y_layer]),
        level=1 - plan.alpha,
        groups=plan.groups,
        seed=plan.seed,
    )
    named = {"value": second.value, "chance": second.chance, "x_layer": second.x_layer, "y_layer": second.y_layer}
    return named | {
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "method": found.method,
    }


def _held_out(metric: Metric[Any], left: Side, right: Side, plan: _Plan) -> dict[str, Any]:
    xs, ys = list(left.layers.values()), list(right.layers.values())
    count = max(len(plan.orders), 199)
    found = select_split(metric, xs, ys, seed=plan.seed, groups=plan.groups, permutations=count)
    fields = dataclasses.asdict(found)
    i, j = fields.pop("x_index"), fields.pop("y_index")
    return {"x_layer": list(left.layers)[i], "y_layer": list(right.layers)[j], **fields}


def _notes(left: Side, right: Side) -> tuple[str, ...]:
    """What a reader of the p-values must know about the items."""
    notes = []
    for side in (left, right):
        copies = duplicates(as_features(list(side.layers.values())[-1]))
        if copies.sets:
            ids = side.ids or tuple(map(str, range(side.n)))
            shown = ", ".join(" = ".join(ids[i] for i in group[:3]) for group in copies.sets[:3])
            more = f" and {len(copies.sets) - 3} more sets" if len(copies.sets) > 3 else ""
            notes.append(
                f"{side.name} gives the same features to several items ({shown}{more}). Copies make p-values a little "
                f"too small: leave {copies.extra} of the {side.n} items out, or give copies as groups."
            )
    return tuple(notes)


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


def check(permutations: int, alpha: float, selection: str, budget: float | None) -> None:
    """Check the settings of a scan, before anything is computed.

    Raises:
        InputError: if one is out of range, or `permutations` are too few for a p of `alpha`.
    """
    check_budget(budget)
    if permutations < 0:
        raise InputError(f"permutations={permutations}: the number of permutations cannot be negative.")
    if not 0 < alpha < 1:
        raise InputError(f"alpha={alpha}: a level between 0 and 1 is needed.")
    if permutations and alpha * (permutations + 1) < 1.0 - 1e-9:  # said before anything is computed in vain
        raise InputError(
            f"permutations={permutations} cannot give a p of alpha={alpha} or less; use at least "
            f"{math.ceil(1 / alpha) - 1}, or 0 for the exact nulls alone."
        )
    if selection not in SELECTIONS:
        raise InputError(f"selection={selection!r} is not known; use one of {', '.join(map(repr, SELECTIONS))}.")


def _metrics(metrics: Sequence[str | Metric[Any]] | str) -> list[Metric[Any]]:
    given = [metrics] if isinstance(metrics, (str, Metric)) else list(metrics)
    if not given:
        raise InputError("No metric was given; name at least one, such as 'mutual_knn(k=10)'.")
    unique = {m.variant: m for m in map(make_metric, given)}
    return list(unique.values())


def _neighborhoods(left: Side, right: Side, alignment: Alignment, k: int) -> Neighborhoods | None:
    """Neighbours, by cosine, of the items with the highest and the lowest overlap."""
    assert left.ids is not None  # the caller lists neighbours only where ids are known
    best = alignment.best()
    k = min(k, left.n - 1)
    (x_sim, x_near), (y_sim, y_near) = (
        _nearest(as_features(side.layers[layer], layer), k)
        for side, layer in ((left, best.x_layer), (right, best.y_layer))
    )
    overlap = np.array([len(np.intersect1d(a, b)) for a, b in zip(x_near, y_near, strict=True)]) / k
    # among equal overlaps, items whose neighbours are close in both spaces say the most
    closeness = _standard(x_sim.mean(axis=1)) + _standard(y_sim.mean(axis=1))
    order = np.lexsort((np.arange(left.n), -closeness, -overlap))
    least = np.lexsort((np.arange(left.n), -closeness, overlap))
    shown = min(SHOWN_ITEMS, left.n // 2)
    rows = np.concatenate([order[:shown], least[:shown][::-1]])
    ids = left.ids
    return Neighborhoods(
        x_layer=best.x_layer,
        y_layer=best.y_layer,
        k=k,
        ids=tuple(ids[i] for i in rows),
        overlap=tuple(float(overlap[i]) for i in rows),
        x_neighbors=tuple(tuple(ids[j] for j in x_near[i]) for i in rows),
        y_neighbors=tuple(tuple(ids[j] for j in y_near[i]) for i in rows),
    )


def _nearest(features: Array, k: int, block: int = 2048) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Cosines and indices of each item's k nearest other items; an item without direction is equally near to all."""
    xp = array_namespace(features)
    norms = sum_squares(features, axis=1) ** 0.5
    unit = features / xp.astype(xp.where(norms > 0, norms, xp.ones_like(norms)), features.dtype)[:, None]
    similarities, indices = [], []
    n = unit.shape[0]
    for start in range(0, n, block):
        rows = np.arange(start, min(n, start + block))
        scores = np.array(to_numpy(take_rows(unit, rows) @ unit.T))
        scores[np.arange(len(rows)), rows] = -np.inf
        values, index = top_k(scores, k)
        similarities.append(values)
        indices.append(index)
    return np.concatenate(similarities), np.concatenate(indices)


def _standard(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
