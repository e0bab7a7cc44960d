"""How far agreement across modalities could go: as a share of the ceilings within them, and as the gallery grows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.checks import as_count, as_seed, is_finite, is_share
from .._core.progress import progress
from ..design import Codes, Labels, coded
from ..errors import InputError, quoted
from ..metrics import DEFAULT_METRICS, Metric, read_metrics
from ..metrics.neighbors import NeighborMetric
from ..results import CeilingShare, Extrapolation, Limits
from ._ceilings import Ask, Layers, Measured, Quartet, measured
from ._extrapolation import FACTOR, extrapolate

Floats = np.ndarray[Any, Any]

NEIGHBORS = (5, 10, 20, 50)
"""Numbers of neighbours that are tried."""
_SIZES = 8  # of the gallery, by default
_RANGE = 16  # by how much the smallest gallery is smaller
_LEAST = 24  # items of the smallest gallery
_LOCAL = 10  # items a neighbour from which on neighbours are near, so that a curve by size is of one kind
_PER_NEIGHBOR = 4  # items a neighbour below which chance is most of the score


def limits(
    x: Any,
    y: Any,
    x_ceilings: Layers,
    y_ceilings: Layers,
    *,
    metrics: Any = DEFAULT_METRICS,
    neighbors: Sequence[int] = NEIGHBORS,
    sizes: Sequence[int] | None = None,
    repeats: int = 5,
    depths: Mapping[float, tuple[Any, Any, Layers, Layers]] | None = None,
    groups: Labels | None = None,
    seed: int = 0,
    alpha: float = 0.05,
) -> Limits:
    """Agreement across modalities as a share of the agreement within them.

    share = c(x, y) / √(c(x, x') · c(y, y')), c being calibrated scores, (score - chance) / (best - chance); of several
    ceilings of a side the mean is taken. A share of 1 says that two models of unlike modalities agree as well as two of
    one do, so that nothing is bound to a modality. It can be above 1, where models of one modality have less in common
    than models of unlike ones.

    All three scores are of the same items, and move together with them: intervals are Fieller's, of a ratio, from how
    each item moves each score (`Metric.influence`; where a metric has none, from leaving out each of 20 blocks of
    items). For galleries of growing size random subsets are taken that contain each other, whole groups where there are
    any, the same for all scores; shares are of the mean scores over repetitions. What the share comes to in an infinite
    gallery is told by several curves, see `isomorph.concept_maps._extrapolation.extrapolate`; where they disagree the
    interval spans them, and where sizes span less than a factor of 8 nothing is said. It is told of more items of the
    same kind; items of another kind are another matter.

    Layers must be chosen beforehand, or on other items. Costs about `repeats` + 1 times the scores and influences of
    all items: with 1000 items a few seconds, with 10,000 half a minute for ``mutual_knn`` and five minutes for CKA,
    whose influences are sums over all pairs; ``sizes=[n]`` leaves galleries out.

    Args:
        x: Features of one layer (n, d1).
        y: Features of one layer of the other modality (n, d2), same items in the same rows.
        x_ceilings: Other models of x's modality, same items: name -> features, several features, or one.
        y_ceilings: Other models of y's modality, likewise.
        metrics: Metrics or specs, one or several, with a best score.
        neighbors: Numbers of neighbours k that the first neighbour metric is tried with, as far as there are 4 items a
            neighbour.
        sizes: Sizes of the gallery; by default 8 from n/16 (at least 24, and 10 a neighbour if there are 80) to n.
        repeats: Subsets of each size but the whole.
        depths: Relative depth -> x, y, x_ceilings and y_ceilings of there.
        groups: One group an item, where items of one group belong together.
        seed: Seed of the subsets.
        alpha: Intervals cover 1 - alpha.

    Raises:
        InputError: if layers do not hold the same number of items or are too few, a side has no ceiling, a metric has
            no best score, or an argument does not fit.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, u, v = rng.normal(size=(3, 300, 6))  # half of what each modality holds is common
        >>> x, x2, y, y2 = (np.hstack([z, w]) + 0.4 * rng.normal(size=(300, 12)) for w in (u, u, v, v))
        >>> found = limits(x, y, {"other": x2}, {"other": y2}, metrics="cka")
        >>> round(found.by_metric[0].share, 1), found.extrapolated[0].falls  # CKA does not change with the gallery
        (0.5, False)
    """
    if not is_share(alpha):
        raise InputError(f"alpha={quoted(alpha)}: a level between 0 and 1 is needed.")
    seed, repeats = as_seed(seed), as_count(repeats, "repeats")
    made = read_metrics(metrics)
    for metric in made:
        _check_calibrated(metric)
    whole = Quartet.of(x, y, x_ceilings, y_ceilings, "")
    n = whole.n
    at = {_depth(depth): _at_depth(depth, given, n) for depth, given in (depths or {}).items()}
    code, units = _coded(groups, n)
    tried = _with_neighbors(made, neighbors, n)
    for metric in (*made, *tried):
        if n < max(metric.min_items, _LEAST):
            raise InputError(
                f"limits: {n} items are too few for {metric.spec}; at least {max(metric.min_items, _LEAST)} are needed."
            )
    ask = Ask(code, groups, alpha, seed)
    galleries = {m.spec: _galleries(m, n, sizes, repeats, code, seed) for m in made}
    total = len(made) + len(tried) + len(made) * len(at) + sum(len(s) for g in galleries.values() for s in g)
    by_size: list[CeilingShare] = []
    extrapolated: list[Extrapolation] = []
    with progress(total, "shares of ceilings", unit="scores") as told:
        found = {}
        for metric in (*made, *tried):
            found[metric.spec] = measured(metric, whole, np.arange(n), ask)
            told(1)
        by_depth = []
        for depth, quartet in at.items():
            for metric in made:
                by_depth.append(measured(metric, quartet, np.arange(n), ask).row(metric, ask, depth))
                told(1)
        for metric in made:
            points = []
            for subsets in galleries[metric.spec]:
                several = []
                for rows in subsets:
                    several.append(found[metric.spec] if len(rows) == n else measured(metric, whole, rows, ask))
                    told(1)
                points.append(Measured.mean(several))
            rows_of = [p.row(metric, ask) for p in points]
            by_size += rows_of
            extrapolated.append(_extrapolated(metric, points, rows_of, ask))
    by_metric = tuple(found[m.spec].row(m, ask) for m in made)
    by_k = tuple(found[m.spec].row(m, ask) for m in tried)
    return Limits(
        by_metric, by_k, tuple(by_size), tuple(by_depth), tuple(extrapolated), 1 - alpha, n, units, repeats, seed
    )


# ---- arguments ------------------------------------------------------------------------------------------------------


def _check_calibrated(metric: Metric[Any]) -> None:
    """Refuse a metric without a best score.

    Raises:
        InputError: if it has none.
    """
    best = metric.range[0] if metric.distance else metric.range[1]
    if not np.isfinite(best):
        raise InputError(
            f"limits: {metric.spec} has no best score, so it cannot be calibrated to chance 0 and best 1. Use a metric "
            "with a bound, such as cka or mutual_knn."
        )


def _depth(depth: Any) -> float:
    """A relative depth.

    Raises:
        InputError: if it is none.
    """
    if not is_finite(depth) or not 0 <= depth <= 1:
        raise InputError(f"depths: {quoted(depth)} is no relative depth; numbers from 0 (first layer) to 1 are needed.")
    return float(depth)


def _at_depth(depth: float, given: Any, n: int) -> Quartet:
    """The layers of one depth.

    Raises:
        InputError: if they are not four, or of other items.
    """
    if not isinstance(given, list | tuple) or len(given) != 4:
        raise InputError(f"depths[{depth}] must be four: x, y, x_ceilings and y_ceilings at that depth.")
    x, y, x_ceilings, y_ceilings = given
    found = Quartet.of(x, y, x_ceilings, y_ceilings, f"depths[{depth}]: ")
    if found.n != n:
        raise InputError(f"depths[{depth}] has {found.n} items and x has {n}; they must be the same items.")
    return found


def _coded(groups: Labels | None, n: int) -> tuple[Codes, int]:
    """What is drawn as one: the group of each item, or the item itself; and the number of groups.

    Raises:
        InputError: if there are too few groups.
    """
    if groups is None:
        return np.arange(n), 0
    code = coded(groups, n, "groups")
    units = int(code.max()) + 1
    if units < 10:
        raise InputError(f"groups: {units} groups are too few for intervals; at least 10 are needed.")
    return code, units


def _with_neighbors(made: Sequence[Metric[Any]], neighbors: Sequence[int], n: int) -> list[Metric[Any]]:
    """The first neighbour metric with each number of neighbours that fits."""
    counts = [as_count(k, f"neighbors[{i}]") for i, k in enumerate(neighbors)]
    first = next((m for m in made if isinstance(m, NeighborMetric)), None)
    if first is None:
        return []
    return [dataclasses.replace(first, k=k) for k in counts if _PER_NEIGHBOR * k < n]


def _galleries(
    metric: Metric[Any], n: int, sizes: Sequence[int] | None, repeats: int, code: Codes, seed: int
) -> list[list[Codes]]:
    """Subsets of growing size, those of one size together; each repetition's contain each other, and whole groups.

    Raises:
        InputError: if sizes do not fit.
    """
    k = metric.k if isinstance(metric, NeighborMetric) else 0
    local = _LOCAL if n >= FACTOR * _LOCAL * k else _PER_NEIGHBOR  # of small galleries neighbours are no near ones
    least = max(_LEAST, metric.min_items, local * k)
    if sizes is None:
        low = max(least, n // _RANGE)
        wanted = sorted({round(v) for v in np.geomspace(low, n, _SIZES)}) if low < n else [n]
    else:
        wanted = sorted({as_count(v, f"sizes[{i}]") for i, v in enumerate(sizes)} | {n})
        if wanted[0] < max(metric.min_items, 4) or wanted[-1] > n:
            raise InputError(f"sizes must lie between {max(metric.min_items, 4)} and the {n} items, found {wanted}.")
    count = np.bincount(code)
    out: list[list[Codes]] = [[] for _ in wanted]
    for repeat in range(repeats):
        order = np.random.default_rng([seed, 53, repeat]).permutation(len(count))
        reached = np.cumsum(count[order])
        for k, size in enumerate(wanted):
            units = max(1, int(np.sum(reached <= size)))
            rows = np.flatnonzero(np.isin(code, order[:units]))
            if size < n and len(rows) >= max(metric.min_items, 4):
                out[k].append(rows)
    out[-1] = [np.arange(n)]
    return [subsets for subsets in out if subsets]


def _extrapolated(
    metric: Metric[Any], points: Sequence[Measured], rows: Sequence[CeilingShare], ask: Ask
) -> Extrapolation:
    """The share in an infinite gallery, from the sizes that have one."""
    have = [(p, r) for p, r in zip(points, rows, strict=True) if r.share is not None]
    if len(have) < 3:
        lacking = f"{len(have)} of {len(rows)} sizes have a share of the ceiling"
        lacking += f": {rows[-1].lacking}" if rows[-1].lacking else ""
        return Extrapolation(metric.spec, None, None, None, None, None, None, (), (), 1 - ask.alpha, lacking)
    moved = np.column_stack([p.share_moved for p, _ in have])
    sizes = np.array([p.n for p, _ in have], dtype=np.float64)
    shares = np.array([r.share for _, r in have])
    degrees = have[-1][0].degrees
    return extrapolate(metric.spec, sizes, shares, moved.T @ moved, degrees, ask.alpha)
