"""Sampled nulls: scores under shared permutations of one side, all layers moved by the same order."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from .._core.memory import block_bytes
from .._core.progress import Advance
from ..design.orders import DrawnOrders
from ..errors import InputError
from ..metrics import Metric
from ..nulls.judge import ROUNDING

Floats = np.ndarray[Any, Any]
Orders: TypeAlias = np.ndarray[Any, Any] | DrawnOrders
_ORDER_BYTES = 256 << 20  # orders that are held at once
_ORDERS = 64  # no more at once, so that workers can be given parts that are computed as here


@dataclasses.dataclass(frozen=True, eq=False)
class Sequential:
    """p-values from a sampling that stopped as soon as it could.

    Attributes:
        p_value: p of each score alone, valid at the moment its own sampling stopped.
        p_maximum: p of the best score of all, or None if it was not asked for.
        used: Permutations that each score was held against.
        reached: How many of these scored at least as well.
        used_maximum: Permutations that the best score was held against.
        sampled: Permutations that were drawn in all.

    Example:
        >>> from isomorph.significance import permutations
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> metric = iso.metric("mutual_knn(k=5)")
        >>> xs, ys = [metric.prepare(x)], [metric.prepare(x + noise)]
        >>> orders = permutations(60, 999, seed=0)
        >>> found = sequential(metric, xs, ys, metric.compare(xs, [metric.prepare(noise[::-1])]), orders)
        >>> found.sampled, round(found.p_value.item(), 2)  # like chance: settled long before 999
        (16, 0.67)
    """

    p_value: Floats
    p_maximum: float | None
    used: np.ndarray[Any, Any]
    used_maximum: int
    sampled: int
    reached: np.ndarray[Any, Any]


def sampled_null(
    metric: Metric[Any],
    xs: Sequence[Any],
    ys: Sequence[Any],
    orders: Orders,
    *,
    advance: Advance | None = None,
) -> Floats:
    """Scores of all layer pairs with the items of `ys` put into each order.

    Args:
        metric: The metric.
        xs: Prepared layers of one side.
        ys: Prepared layers of the other side, which are permuted.
        orders: Orders of the items, shape (count, n); see `permutations`.
        advance: Called with 1 after each permutation, for a progress bar.

    Returns:
        float64 array of shape (count, len(xs), len(ys)).

    Raises:
        InputError: if a permuted score is not finite, or the metric yields another number of scores.

    Example:
        >>> from isomorph.significance import permutations
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> metric = iso.metric("mutual_knn(k=5)")
        >>> xs, ys = [metric.prepare(x)], [metric.prepare(x + noise)]
        >>> orders = permutations(60, 99, seed=0)
        >>> null = sampled_null(metric, xs, ys, orders)
        >>> null.shape, round(float(null.mean()), 2)
        ((99, 1, 1), 0.09)
    """
    out = np.empty((len(orders), len(xs), len(ys)))
    done, step = 0, orders_at_once(orders.shape[1])
    for start in range(0, len(orders), step):
        for scores in metric.compare_permuted(xs, ys, orders[start : start + step]):
            out[done] = scores
            done += 1
            if advance is not None:
                advance(1)
    if done != len(orders):
        raise InputError(f"{metric} gave {done} scores for {len(orders)} permutations.")
    if not np.all(np.isfinite(out)):
        k, i, j = (int(a[0]) for a in np.nonzero(~np.isfinite(out)))
        raise InputError(
            f"{metric} is not finite under permutation {k} at layers {i} × {j}; it cannot be calibrated here."
        )
    return out


def orders_at_once(n: int) -> int:
    """How many orders of `n` items a metric is given at once; a null may be divided at multiples of it.

    Example:
        >>> orders_at_once(1_000), orders_at_once(10_000_000)
        (64, 16)
    """
    return min(_ORDERS, max(16, block_bytes(_ORDER_BYTES) // (8 * n)))


def seconds_per_permutation(
    metric: Metric[Any], xs: Sequence[Any], ys: Sequence[Any], orders: Orders, *, trial: int = 3
) -> float:
    """Measured time of one shared permutation of all layer pairs, to show a plan before a long run.

    Args:
        metric: The metric.
        xs: Prepared layers of one side.
        ys: Prepared layers of the other side.
        orders: Orders of the items; the first `trial` are timed.
        trial: How many orders to time.

    Example:
        >>> from isomorph.significance import permutations
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> metric = iso.metric("mutual_knn(k=5)")
        >>> xs, ys = [metric.prepare(x)], [metric.prepare(x + noise)]
        >>> orders = permutations(60, 3, seed=0)
        >>> 0 < seconds_per_permutation(metric, xs, ys, orders) < 10
        True
    """
    few = orders[:trial]
    start = time.perf_counter()
    for _ in metric.compare_permuted(xs, ys, few):
        pass
    return (time.perf_counter() - start) / max(len(few), 1)


def sequential(
    metric: Metric[Any],
    xs: Sequence[Any],
    ys: Sequence[Any],
    values: Any,
    orders: Orders,
    *,
    exceedances: int = 10,
    maximum: bool = True,
    block: int = 16,
    least: int = 1,
    budget: float | None = None,
    advance: Advance | None = None,
) -> Sequential:
    """Permutation p-values with sequential stopping (Besag and Clifford 1991), for metrics that are costly to permute.

    Each score is held against one permutation after another until `exceedances` of them have scored at least as well:
    then its p is exceedances / used. A score that never gets there has p = (1 + reached) / (len(orders) + 1). Both are
    exactly valid: P(p <= α) <= α. Scores that are like chance are settled after some tens of permutations, only those
    that stand out use them all. Layers whose scores are all settled are not compared any more.

    If `budget` runs out, unsettled scores get the p of a sampling that was planned to end there, (1 + reached) /
    (used + 1), which is valid as far as the time that a permutation takes does not depend on the scores.

    Args:
        metric: The metric.
        xs: Prepared layers of one side.
        ys: Prepared layers of the other side, which are permuted.
        values: Observed scores, shape (len(xs), len(ys)).
        orders: Orders of the items, shape (count, n): the longest sampling.
        exceedances: How many permuted scores at least as good settle a score; 10 gives p a relative error of about
            a third where it is large, and costs nothing where it is small.
        maximum: Also settle the best score of all against the best of each permutation.
        block: Permutations between two looks at which layers are settled.
        least: Permutations that are drawn even where `budget` runs out before: a p of alpha needs 1 / alpha - 1.
        budget: Seconds after which to stop, or None.
        advance: Called with the number of permutations after each block.

    Raises:
        InputError: if `exceedances` is not positive, if shapes do not fit, or if a score is not finite.

    Example:
        >>> from isomorph.significance import permutations
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> metric = iso.metric("mutual_knn(k=5)")
        >>> xs, ys = [metric.prepare(x)], [metric.prepare(x + noise)]
        >>> orders = permutations(60, 200, seed=0)
        >>> found = sequential(metric, xs, ys, metric.compare(xs, ys), orders)
        >>> found.sampled, round(found.p_value.item(), 3)  # far above chance: all are needed
        (200, 0.005)
    """
    sign = -1.0 if metric.distance else 1.0
    v = sign * np.asarray(values, dtype=np.float64)
    if v.shape != (len(xs), len(ys)) or exceedances < 1:
        raise InputError(
            f"sequential: scores of shape {(len(xs), len(ys))} and at least one exceedance are needed, "
            f"found {v.shape} and {exceedances}."
        )
    cells, top = _Tally(v, exceedances), _Tally(np.asarray(v.max()), exceedances)
    deadline = None if budget is None else time.perf_counter() + budget
    sampled = 0
    for start in range(0, len(orders), block):
        whole = maximum and not top.settled.all()
        rows = range(len(xs)) if whole else _open(cells, 1)
        columns = range(len(ys)) if whole else _open(cells, 0)
        if not rows or not columns or (deadline is not None and sampled >= least and time.perf_counter() > deadline):
            break
        part = orders[start : start + block]
        null = sign * sampled_null(metric, [xs[i] for i in rows], [ys[j] for j in columns], part)
        for scores in null:
            seen = np.full(v.shape, -np.inf)
            seen[np.ix_(rows, columns)] = scores
            if whole:
                top.add(np.asarray(seen.max()))
            cells.add(seen)
        sampled += len(part)
        if advance is not None:
            advance(len(part))
    p_top = float(top.p_value()) if maximum else None
    return Sequential(cells.p_value(), p_top, cells.used, int(top.used), sampled, cells.reached)


def _open(cells: _Tally, axis: int) -> Sequence[int]:
    return [int(i) for i in np.flatnonzero(~cells.settled.all(axis=axis))]


class _Tally:
    """Counts of permuted scores that reach the observed ones, each counted until it is settled."""

    def __init__(self, values: Floats, exceedances: int) -> None:
        self.values, self.needed = values, exceedances
        self.reached = np.zeros(values.shape, dtype=np.int64)
        self.used = np.zeros(values.shape, dtype=np.int64)

    @property
    def settled(self) -> Any:
        return self.reached >= self.needed

    def add(self, scores: Floats) -> None:
        open_ = ~self.settled
        slack = ROUNDING * np.abs(self.values)
        self.used = self.used + open_
        self.reached = self.reached + (open_ & (scores >= self.values - slack))

    def p_value(self) -> Floats:
        used = np.maximum(self.used, 1)
        return np.where(self.settled, self.reached / used, (1.0 + self.reached) / (self.used + 1.0))
