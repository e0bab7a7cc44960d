"""Scan: several metrics over every pair of layers, each score with its chance level, each maximum with its p."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ._arrays import Array, as_features, take_rows, to_numpy
from ._linalg import sum_squares, top_k
from ._progress import progress
from ._provenance import fingerprint, provenance
from ._sides import Side, as_side, joined
from .errors import InputError
from .metrics import Metric, Null
from .metrics import metric as make_metric
from .results import Alignment, Neighborhoods, Scan
from .significance import calibrate, maximum_p, sampled_null, step_down_p
from .significance import permutations as draw_permutations

DEFAULT_METRICS = ("mutual_knn(k=10)", "cka")
SHOWN_ITEMS = 12  # neighbourhoods kept of the items seen most alike, and of those seen least alike


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What one scan samples and how it decides, shared by all metrics and baselines."""

    orders: np.ndarray[Any, Any]
    alpha: float
    grouped: bool
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
    x_name: str | None = None,
    y_name: str | None = None,
    neighbors: int = 10,
) -> Scan:
    """Compare every layer of `x` with every layer of `y`, by every metric.

    Args:
        x: `Layers` of a store, a mapping from layer name to features (n_items, d), a list of features, or one array.
        y: The same for the other side; `Layers` are joined by item id, arrays row by row.
        metrics: Specs such as ``"mutual_knn(k=10)"``, or metrics.
        permutations: Random re-pairings of the items, shared by all metrics and layers; they give the p of the
            maximum and the calibrated scores. 0 samples none: then the p of the maximum is a Bonferroni bound from the
            exact p-values, and metrics without an exact null are refused.
        seed: Seed of the permutations.
        alpha: Level of the calibrated score's threshold.
        x_baselines: Name (such as ``"untrained"``) -> layers that take the place of `x` in a scan of their own.
        y_baselines: The same for `y`.
        groups: One group an item; items are then only exchanged in ways that respect groups.
        x_name: What to call `x` in results, instead of the encoder's name.
        y_name: What to call `y`.
        neighbors: Neighbours listed for the items that both sides see most and least alike; 0 lists none.

    Returns:
        A `Scan`: a mapping from metric to `Alignment`.

    Raises:
        InputError: if the two sides do not fit each other or a metric, or `permutations` is negative.
    """
    chosen = _metrics(metrics)
    if permutations < 0:
        raise InputError(f"permutations={permutations}: the number of permutations cannot be negative.")
    if not 0 < alpha < 1:
        raise InputError(f"alpha={alpha}: a level between 0 and 1 is needed.")
    left, right = joined(as_side(x, "x", x_name), as_side(y, "y", y_name))
    if groups is not None and len(groups) != left.n:
        raise InputError(f"groups has {len(groups)} entries but there are {left.n} items; one each is needed.")
    variants = [("", left, right)]
    variants += [(f"{k} x", *joined(as_side(v, k, None), right)) for k, v in (x_baselines or {}).items()]
    variants += [(f"{k} y", *joined(left, as_side(v, k, None))) for k, v in (y_baselines or {}).items()]
    for name, a, _ in variants[1:]:
        if a.n != left.n:
            raise InputError(f"The baseline {name!r} shares {a.n} items with the other side, the scan has {left.n}.")
    orders = draw_permutations(left.n, permutations, seed, groups=groups)
    facts = {"permutations": permutations, "seed": seed, "alpha": alpha, "grouped": groups is not None}
    total = len(variants) * len(chosen) * (permutations + 1)
    with progress(total, f"scan {left.name} × {right.name}") as advance:
        plan = _Plan(orders, alpha, groups is not None, advance)
        scans = {name: _scan_one(a, b, chosen, plan, neighbors if not name else 0, facts) for name, a, b in variants}
    main = scans.pop("")
    return dataclasses.replace(main, baselines=scans)


def _scan_one(
    left: Side, right: Side, metrics: Sequence[Metric[Any]], plan: _Plan, neighbors: int, facts: dict[str, Any]
) -> Scan:
    made = provenance(
        call="scan", x=dict(left.facts), y=dict(right.facts), metrics=[m.variant for m in metrics], **facts
    )
    alignments = {m.spec: _align(m, left, right, plan, made) for m in metrics}
    first = next(iter(alignments.values()))
    return Scan(
        x_name=left.name,
        y_name=right.name,
        alignments=alignments,
        n=left.n,
        seed=int(facts["seed"]),
        x_view=str(left.facts.get("view", "")),
        y_view=str(right.facts.get("view", "")),
        dataset=str(left.facts.get("dataset", "")),
        neighborhoods=_neighborhoods(left, right, first, neighbors) if neighbors and left.ids else None,
        provenance=made,
    )


def _align(metric: Metric[Any], left: Side, right: Side, plan: _Plan, made: Mapping[str, Any]) -> Alignment:
    xs, ys = _prepare(metric, left), _prepare(metric, right)
    values = to_numpy(metric.compare(xs, ys)).astype(np.float64)
    plan.advance(1)
    exact = None if plan.grouped else metric.null_moments(xs, ys)
    count = len(plan.orders)
    if count == 0 and (exact is None or exact.std is None):
        raise InputError(
            f"{metric.spec} has no exact null for these items, so its chance level must be sampled: "
            "call with permutations=200 or more."
        )
    shared: dict[str, Any] = {
        "metric": metric.spec,
        "variant": metric.variant,
        "x_layers": tuple(left.layers),
        "y_layers": tuple(right.layers),
        "values": values,
        "n": left.n,
        "x_dims": tuple(int(a.shape[1]) for a in left.layers.values()),
        "y_dims": tuple(int(a.shape[1]) for a in right.layers.values()),
        "permutations": count,
        "alpha": plan.alpha,
        "provenance": {"call": "scan", "fingerprint": fingerprint(made)},
    }
    if count == 0:
        return Alignment(**shared, **_exact_only(values, exact))
    null = sampled_null(metric, xs, ys, plan.orders, advance=plan.advance)
    return Alignment(**shared, **_sampled(metric, values, null, exact, plan.alpha))


def _exact_only(values: np.ndarray[Any, Any], exact: Null | None) -> dict[str, Any]:
    assert exact is not None  # checked by the caller
    p = np.asarray(exact.p_value(values))
    return {
        "chance": np.broadcast_to(np.asarray(to_numpy(exact.mean), dtype=np.float64), values.shape).copy(),
        "p_value": p,
        "p_maximum": float(min(1.0, p.size * p.min())),
        "null": exact.source,
        "maximum_from": f"Bonferroni bound over {p.size} layer pairs",
    }


def _sampled(
    metric: Metric[Any], values: np.ndarray[Any, Any], null: np.ndarray[Any, Any], exact: Null | None, alpha: float
) -> dict[str, Any]:
    distance = metric.distance
    best = metric.range[0] if distance else metric.range[1]
    calibration = calibrate(values, null, alpha=alpha, s_max=best, distance=distance)
    known = exact is not None and exact.std is not None
    mean = null.mean(axis=0) if exact is None else np.asarray(to_numpy(exact.mean), dtype=np.float64)
    sign = -1.0 if distance else 1.0
    return {
        "chance": np.broadcast_to(mean, values.shape).copy(),
        "p_value": np.asarray(exact.p_value(values)) if exact is not None and known else calibration.p_value,
        "p_maximum": float(maximum_p(sign * values, sign * null)),
        "p_family": np.asarray(step_down_p(sign * values, sign * null)),
        "calibrated": calibration.calibrated,
        "threshold": calibration.threshold,
        "null": exact.source if exact is not None and known else f"{len(null)} sampled permutations",
        "maximum_from": f"maximum over all layer pairs in {len(null)} shared permutations",
    }


def _prepare(metric: Metric[Any], side: Side) -> list[Any]:
    states = []
    for name, layer in side.layers.items():
        try:
            states.append(metric.prepare(as_features(layer, f"layer {name!r}", min_items=metric.min_items)))
        except InputError as error:
            raise InputError(f"{side.name}, layer {name!r}, {metric.spec}: {error}") from error
    return states


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
