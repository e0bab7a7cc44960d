"""How far agreement across modalities could go: as a share of the ceilings within them, and as the gallery grows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from .._core.arrays import Array, as_features, as_pair, take_rows, to_numpy
from .._core.checks import as_count, as_seed, is_finite, is_share
from .._core.progress import progress
from ..design import Codes, Design, Labels, coded
from ..errors import InputError, quoted
from ..metrics import DEFAULT_METRICS, Metric, read_metrics
from ..metrics.neighbors import NeighborMetric
from ..results import CeilingShare, Extrapolation, Limits
from ..significance import chance_level
from ._extrapolation import FACTOR, extrapolate

Floats = np.ndarray[Any, Any]
Layers = Mapping[str, Any] | Sequence[Any] | Any

NEIGHBORS = (5, 10, 20, 50)
"""Numbers of neighbours that are tried."""
_SIZES = 8  # of the gallery, by default
_RANGE = 16  # by how much the smallest gallery is smaller
_LEAST = 24  # items of the smallest gallery
_LOCAL = 10  # items a neighbour from which on neighbours are near, so that a curve by size is of one kind
_PER_NEIGHBOR = 4  # items a neighbour below which chance is most of the score
_BLOCKS = 20  # of the items, each left out in turn where a metric has no influences


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
    all items.

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
    ask = _Ask(code, groups, alpha, seed)
    galleries = {m.spec: _galleries(m, n, sizes, repeats, code, seed) for m in made}
    total = len(made) + len(tried) + len(made) * len(at) + sum(len(s) for g in galleries.values() for s in g)
    by_size: list[CeilingShare] = []
    extrapolated: list[Extrapolation] = []
    with progress(total, "shares of ceilings", unit="scores") as told:
        found = {}
        for metric in (*made, *tried):
            found[metric.spec] = _measured(metric, whole, np.arange(n), ask)
            told(1)
        by_depth = []
        for depth, quartet in at.items():
            for metric in made:
                by_depth.append(_measured(metric, quartet, np.arange(n), ask).row(metric, ask, depth))
                told(1)
        for metric in made:
            points = []
            for subsets in galleries[metric.spec]:
                several = []
                for rows in subsets:
                    several.append(found[metric.spec] if len(rows) == n else _measured(metric, whole, rows, ask))
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


class Quartet(NamedTuple):
    """The layers of one comparison: x, y, then ceilings of x, then ceilings of y.

    Attributes:
        arrays: Features of the same items (n, d) each.
        ceilings: How many are ceilings of x; the rest are of y.

    Example:
        >>> quartet = Quartet.of(np.eye(30), np.eye(30), np.eye(30), [np.eye(30), np.eye(30)], "")
        >>> quartet.n, quartet.pairs  # which are compared
        (30, [(0, 1), (0, 2), (1, 3), (1, 4)])
    """

    arrays: tuple[Array, ...]
    ceilings: int

    @classmethod
    def of(cls, x: Any, y: Any, x_ceilings: Layers, y_ceilings: Layers, where: str) -> Quartet:
        """Check the layers.

        Raises:
            InputError: if they are no representations, hold unlike numbers of items, or a side has no ceiling.
        """
        x, y = as_pair(x, y, (f"{where}x", f"{where}y"))
        n = int(x.shape[0])
        sides = []
        for name, given in ((f"{where}x_ceilings", x_ceilings), (f"{where}y_ceilings", y_ceilings)):
            named = _named(given, name)
            if not named:
                raise InputError(f"{name} is empty: a share of the ceiling needs another model of that modality.")
            arrays = []
            for key, value in named.items():
                layer = as_features(value, key)
                if int(layer.shape[0]) != n:
                    raise InputError(
                        f"{key} has {int(layer.shape[0])} items and {where}x has {n}; all scores must be of the same "
                        "items in the same rows. Join them by id first."
                    )
                arrays.append(layer)
            sides.append(arrays)
        return cls((x, y, *sides[0], *sides[1]), len(sides[0]))

    @property
    def n(self) -> int:
        """Number of items."""
        return int(self.arrays[0].shape[0])

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Positions of the layers that are compared: across, then with each ceiling."""
        ends = range(2, len(self.arrays))
        return [(0, 1), *((0 if k < 2 + self.ceilings else 1, k) for k in ends)]


def _named(given: Layers, name: str) -> dict[str, Any]:
    """Layers by what they are called in messages."""
    if isinstance(given, Mapping):
        return {f"{name}[{quoted(key)}]": value for key, value in given.items()}
    if isinstance(given, list | tuple) and all(hasattr(v, "shape") and len(v.shape) == 2 for v in given):
        return {f"{name}[{i}]": value for i, value in enumerate(given)}
    return {name: given}


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


# ---- scores ---------------------------------------------------------------------------------------------------------


class _Ask(NamedTuple):
    """What is drawn as one, and how it is judged."""

    code: Codes
    groups: Labels | None
    alpha: float
    seed: int


class Measured(NamedTuple):
    """The three calibrated scores of some items, and how each unit moves them.

    Attributes:
        n: Number of items.
        scores: Calibrated scores: across, ceiling of x, ceiling of y (3,).
        moved: What each unit (item, group or block of them) adds to each (units, 3): the product with itself is their
            covariance.
        twice: Variance of the score across that the product counts twice (interactions of two items).
        degrees: Degrees of freedom.

    Example:
        >>> moved = 0.01 * np.random.default_rng(0).normal(size=(400, 3)) / 20
        >>> round(Measured(400, np.array([0.2, 0.5, 0.8]), moved, 0.0, 399).ratio(0.05)[0], 3)
        0.316
    """

    n: int
    scores: Floats
    moved: Floats
    twice: float
    degrees: float

    @classmethod
    def mean(cls, several: Sequence[Measured]) -> Measured:
        """The mean over repeated subsets of the same units."""
        return cls(
            round(float(np.mean([m.n for m in several]))),
            np.mean([m.scores for m in several], axis=0),
            np.mean([m.moved for m in several], axis=0),
            several[0].twice if len(several) == 1 else 0.0,
            several[0].degrees,
        )

    @property
    def covariance(self) -> Floats:
        """Covariance of across, x_ceiling and y_ceiling (3, 3)."""
        found = self.moved.T @ self.moved
        across = min(max(found[0, 0] - self.twice, self.twice), found[0, 0])  # the least that it can be
        scale = np.sqrt(across / found[0, 0]) if found[0, 0] > 0 else 1.0
        found[0, :] *= scale
        found[:, 0] *= scale
        return np.asarray(found)

    def lacking(self, alpha: float) -> str:
        """Why there is no share; empty if there is one."""
        errors = np.sqrt(np.diagonal(self.moved.T @ self.moved))
        reach = float(stats.t.ppf(1 - alpha / 2, self.degrees))
        for k, side in ((1, "x"), (2, "y")):
            if self.scores[k] <= 0:
                return f"the ceiling of {side} is at or below chance (calibrated {self.scores[k]:.3f})"
            if self.scores[k] <= reach * errors[k]:
                return f"the ceiling of {side} is not shown to be above chance (calibrated {self.scores[k]:.3f})"
        low = self.ratio(alpha)[1]
        return "" if np.isfinite(low) else "the ceilings are too uncertain to divide by"

    def ratio(self, alpha: float) -> tuple[float, float, float]:
        """The share and Fieller's bounds of it; infinite where the divisor may be 0."""
        across, x, y = (float(v) for v in self.scores)
        root = float(np.sqrt(x * y))
        into = np.array([[1.0, 0.0, 0.0], [0.0, y / (2 * root), x / (2 * root)]])
        v = into @ self.covariance @ into.T
        t2 = float(stats.t.ppf(1 - alpha / 2, self.degrees)) ** 2
        a, b, c = root**2 - t2 * v[1, 1], across * root - t2 * v[0, 1], across**2 - t2 * v[0, 0]
        inner = b**2 - a * c
        share = across / root
        if a <= 0 or inner < 0:
            return share, -np.inf, np.inf
        low, high = ((b + sign * np.sqrt(inner)) / a for sign in (-1, 1))
        return share, min(float(low), share), max(float(high), share)

    @property
    def share_moved(self) -> Floats:
        """What each unit adds to the share (units,), to first order."""
        across, x, y = (float(v) for v in self.scores)
        root = np.sqrt(x * y)
        return np.asarray(self.moved @ np.array([1 / root, -across / root / (2 * x), -across / root / (2 * y)]))

    def row(self, metric: Metric[Any], ask: _Ask, depth: float | None = None) -> CeilingShare:
        """The row of a result."""
        across, x, y = (float(v) for v in self.scores)
        lacking = self.lacking(ask.alpha)
        share, low, high = (None, None, None) if lacking else self.ratio(ask.alpha)
        return CeilingShare(metric.spec, self.n, depth, across, x, y, share, low, high, lacking)


def _measured(metric: Metric[Any], quartet: Quartet, rows: Codes, ask: _Ask) -> Measured:
    """The three scores of some of the items.

    Raises:
        InputError: if the metric does not take them.
    """
    states = _prepared(metric, quartet, rows)
    design = Design() if ask.groups is None else Design(groups=ask.groups).take(rows)
    values, widths = _calibrated(metric, quartet, states, len(rows), design, ask.seed)
    units, first = int(ask.code.max()) + 1, [0] + [1] * quartet.ceilings
    which = np.array(first + [2] * (len(values) - len(first)))
    means = np.array([values[which == k].mean() for k in range(3)])
    moved, twice = [], 0.0
    for k, (i, j) in enumerate(quartet.pairs):
        influence = metric.influence([states[i]], [states[j]])
        if influence is None or (influence.known is not None and not influence.known.all()):
            blocks = _left_out(metric, quartet, rows, which, ask)
            return Measured(len(rows), means, blocks, 0.0, float(len(blocks) - 1))
        moved.append(np.asarray(influence.left_out[:, 0, 0], dtype=np.float64) / len(rows) / widths[k])
        if k == 0 and ask.groups is None:
            twice = float(influence.second[0, 0]) / widths[0] ** 2
    by_item = np.column_stack(
        [np.mean([m for m, w in zip(moved, which, strict=True) if w == k], axis=0) for k in range(3)]
    )
    by_unit = np.zeros((units, 3))
    np.add.at(by_unit, ask.code[rows], by_item)
    there = len(np.unique(ask.code[rows]))
    return Measured(len(rows), means, by_unit * np.sqrt(there / (there - 1)), twice, float(there - 1))


def _prepared(metric: Metric[Any], quartet: Quartet, rows: Codes) -> list[Any]:
    """The states of all layers, of some of the items.

    Raises:
        InputError: if the metric does not take them.
    """
    try:
        return [metric.prepare(a if len(rows) == quartet.n else take_rows(a, rows)) for a in quartet.arrays]
    except InputError as error:
        raise InputError(
            f"limits: {metric.spec} has no score for {len(rows)} of the {quartet.n} items. {error}"
        ) from error


def _calibrated(
    metric: Metric[Any], quartet: Quartet, states: Sequence[Any], n: int, design: Design, seed: int
) -> tuple[Floats, Floats]:
    """Calibrated scores of all pairs, and what one unit of them is in the units of the score.

    Raises:
        InputError: if a score is not finite, or chance is as good as the best score.
    """
    best = metric.range[0] if metric.distance else metric.range[1]
    values, widths = [], []
    for i, j in quartet.pairs:
        xs, ys = [states[i]], [states[j]]
        score = float(to_numpy(metric.compare(xs, ys))[0, 0])
        chance = chance_level(metric, xs, ys, n, design, seed)
        width = best - chance
        if not np.isfinite(score) or not np.isfinite(chance) or abs(width) <= 1e-12:
            raise InputError(
                f"limits: {metric.spec} scores {score:.3g} and chance is {chance:.3g}, so nothing lies between chance "
                "and the best score. Use another metric, or more items."
            )
        values.append((score - chance) / width)
        widths.append(width)
    return np.array(values), np.array(widths)


def _left_out(metric: Metric[Any], quartet: Quartet, rows: Codes, which: Floats, ask: _Ask) -> Floats:
    """How blocks of units move the three scores, by leaving out each of 20 blocks, the same for any subset."""
    units = int(ask.code.max()) + 1
    place = (np.random.default_rng([ask.seed, 59]).permutation(units) * _BLOCKS // units)[ask.code]
    found = []
    for block in range(_BLOCKS):
        kept = rows[place[rows] != block]
        design = Design() if ask.groups is None else Design(groups=ask.groups).take(kept)
        states = _prepared(metric, quartet, kept)
        values, _ = _calibrated(metric, quartet, states, len(kept), design, ask.seed)
        found.append([values[which == k].mean() for k in range(3)])
    about = np.array(found)
    return np.asarray((about - about.mean(axis=0)) * np.sqrt((_BLOCKS - 1) / _BLOCKS))


def _extrapolated(
    metric: Metric[Any], points: Sequence[Measured], rows: Sequence[CeilingShare], ask: _Ask
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
