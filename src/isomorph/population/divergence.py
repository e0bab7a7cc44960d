"""Whether some models (specialists) lie outside a pool of others (generalists), and in what way."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.checks import as_count, as_seed
from ..errors import InputError, quoted
from ._dyads import Interval, as_alpha, as_influence, as_names, as_square, listed, pairs_of, require_compared

Floats = np.ndarray[Any, Any]

_ENUMERATED = 10_000  # assignments up to which all are gone through
_BLOCK = 1 << 22  # entries of the work arrays of one block of assignments
TIES = 1e-9
"""Relative to the largest distance: differences below are rounding."""


@dataclasses.dataclass(frozen=True, eq=False)
class Divergence:
    """How far specialists lie from a pool, against how far the pool's models lie from each other.

    Distances are in the units that were given, larger is less alike.

    Attributes:
        names: Name of each specialist.
        pool_pool: Mean distance of two models of the pool.
        each: Mean distance of each specialist to the pool (specialists,).
        each_p: p of each specialist alone: the share of the models of the pool and itself that are as far from the
            others (exact, one-sided). At least 1 / (pool + 1).
        difference: Mean of `each` less `pool_pool`; above 0 if specialists lie outside.
        over_items: Interval of the difference if other items had been drawn and the models kept. None without
            influences.
        over_models: The same if other models had been drawn and the items kept; with one or two specialists these are
            kept too, and it speaks of other pools.
        over_both: Both drawn anew. None without influences.
        p_value: p that the difference is as large if which models are called specialists is exchanged, one-sided.
        assignments: How many assignments of the word it was held against.
        exact: Whether these are all that there are.
        least_p: The smallest p that so few models allow.
        auprc: Area under the precision-recall curve (average precision) of telling specialists from the pool by the
            mean distance to the models of the pool (a model's own distance left out), 0 to 1.
        auprc_chance: Its mean over the assignments.
        alpha: Intervals cover 1 - alpha.

    Example:
        >>> points = np.array([[0.0], [0.1], [0.2], [0.3], [2.0], [2.5]])
        >>> found = diverging(np.abs(points - points.T), specialists=[4, 5], pool=[0, 1, 2, 3])
        >>> print(found.told)
        Specialists lie farther from the pool than its models from each other: 2.1 against 0.167 (p = 0.067, all ...
    """

    names: tuple[str, ...]
    pool_pool: float
    each: Floats
    each_p: Floats
    difference: float
    over_items: Interval | None
    over_models: Interval
    over_both: Interval | None
    p_value: float
    assignments: int
    exact: bool
    least_p: float
    auprc: float
    auprc_chance: float
    alpha: float

    @property
    def specialist_pool(self) -> float:
        """Mean distance of a specialist to the pool."""
        return float(np.mean(self.each))

    @property
    def diverges(self) -> bool:
        """Whether the permutation test over models tells specialists from the pool."""
        return self.difference > 0 and self.p_value <= self.alpha

    @property
    def told(self) -> str:
        """What was found, in a sentence or two."""
        way = "farther from" if self.difference > 0 else "no farther from"
        many = "all" if self.exact else f"{self.assignments:,} drawn"
        text = (
            f"Specialists lie {way} the pool than its models from each other: {self.specialist_pool:.3g} against "
            f"{self.pool_pool:.3g} (p = {self.p_value:.2g}, {many} assignments of the models)."
        )
        if self.least_p > self.alpha:
            return f"{text} So few models allow no p below {self.least_p:.2g}: nothing can be shown."
        return text if self.diverges or self.difference <= 0 else f"{text} That is not more than chance."


def diverging(
    distances: Any,
    specialists: Sequence[int],
    pool: Sequence[int],
    *,
    influence: Any = None,
    names: Sequence[str] | None = None,
    permutations: int = 9999,
    seed: int = 0,
    alpha: float = 0.05,
) -> Divergence:
    """Whether specialists lie outside a pool: their distances to it against those within it.

    Under the null hypothesis that all these models are of one population, which of them are called specialists may be
    exchanged. With at most 10,000 assignments all are gone through; else as many as `permutations` are drawn and
    p = (1 + b) / (1 + m). The interval over items is the infinitesimal jackknife of the linear combination of
    distances, with quantiles of t; that over models the two-sample jackknife of Arvesen (1969), the degrees of freedom
    by Satterthwaite; over both, the sum of the variances less what the items add to the jackknife over models.

    Args:
        distances: Symmetric matrix (models, models), larger is less alike; NaN where a pair was not compared. All pairs
            of specialists and pool are needed.
        specialists: Indices of the specialists.
        pool: Indices of the generalists, at least three.
        influence: Influence of the items on the distance of each pair (items, pairs), pairs i < j in the order of
            ``np.triu_indices(models, 1)``: the derivative by an item's weight, times the number of items. NaN for a
            pair whose influence is not known.
        names: One name a model, for messages and words.
        permutations: Assignments drawn where not all are gone through.
        seed: Seed of the draws.
        alpha: Intervals cover 1 - alpha.

    Raises:
        InputError: if the pool has fewer than three models, there is no specialist, a model is in both, or a pair or an
            influence that is needed is missing.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(9, 4))
        >>> points[:3] *= 4  # three specialists lie farther out
        >>> found = diverging(np.linalg.norm(points[:, None] - points, axis=2), range(3), range(3, 9))
        >>> round(found.difference, 1), found.assignments, found.exact, round(found.p_value, 3)
        (3.6, 84, True, 0.012)
    """
    matrix = as_square(distances, "distances")
    called = as_names(names, len(matrix))
    s, p = _members(specialists, "specialists", len(matrix)), _members(pool, "pool", len(matrix))
    _check_roles(s, p, called)
    as_count(permutations, "permutations")
    alpha = as_alpha(alpha)
    require_compared(matrix, [*s, *p], "distances", called)
    few = matrix[np.ix_([*s, *p], [*s, *p])]
    inner = Roles(few, len(s))
    each = few[: len(s), len(s) :].mean(axis=1)
    value = inner.value()
    orders, exact = assignments_of(len(few), len(s), permutations, as_seed(seed))
    gaps, precision = inner.reassigned(orders)
    slack = TIES * float(np.abs(few).max())
    reached = int(np.sum(gaps >= value - slack))
    own = inner.reassigned(np.arange(len(s))[None, :])[1][0]
    moves = influence_of(influence, matrix, [*s, *p], called)
    over_items, over_models, over_both = intervals_of(inner, value, None if moves is None else [moves], alpha)
    return Divergence(
        names=tuple(called[i] for i in s),
        pool_pool=inner.within_pool(),
        each=each,
        each_p=np.array([_alone(few, i, len(s), slack) for i in range(len(s))]),
        difference=value,
        over_items=over_items,
        over_models=over_models,
        over_both=over_both,
        p_value=reached / len(orders) if exact else (1 + reached) / (1 + len(orders)),
        assignments=len(orders),
        exact=exact,
        least_p=1 / math.comb(len(few), len(s)) if exact else 1 / (1 + len(orders)),
        auprc=float(own),
        auprc_chance=float(precision.mean()),
        alpha=alpha,
    )


def _members(given: Any, what: str, models: int) -> list[int]:
    try:
        found = [int(i) for i in given]
    except (TypeError, ValueError) as reason:
        raise InputError(f"{what} takes indices of models, found {quoted(given)}.") from reason
    wrong = [i for i in found if not 0 <= i < models]
    if wrong:
        raise InputError(f"{what}: there is no model {wrong[0]}; the matrix has models 0 to {models - 1}.")
    if len(set(found)) != len(found):
        raise InputError(f"{what}: model {max(found, key=found.count)} is there twice; give each once.")
    return found


def _check_roles(specialists: list[int], pool: list[int], names: Sequence[str]) -> None:
    if not specialists:
        raise InputError("specialists: there is none; give at least one model to hold against the pool.")
    both = [names[i] for i in specialists if i in pool]
    if both:
        raise InputError(f"{listed(both)} cannot be in specialists and in the pool; leave it out of one of them.")
    if len(pool) < 3:
        raise InputError(
            f"pool has {len(pool)} model(s); at least 3 are needed, whose distances to each other say what is usual."
        )


class Roles:
    """Distances of the models in play, the first `count` of which are specialists.

    The statistic is linear in the distances, so it is kept as one weight a pair.

    Example:
        >>> roles = Roles(np.array([[0.0, 3, 3], [3, 0, 1], [3, 1, 0]]), 1)
        >>> roles.value(), roles.weights().tolist()
        (2.0, [0.5, 0.5, -1.0])
    """

    def __init__(self, few: Floats, count: int) -> None:
        self.few, self.count = few, count
        self.pairs = pairs_of(len(few))
        self.flat = few[self.pairs]

    def weights(self, left_out: int | None = None) -> Floats:
        """Weight of each pair in the difference, one model left out or none."""
        there = np.arange(len(self.few)) != (-1 if left_out is None else left_out)
        is_s = np.arange(len(self.few)) < self.count
        i, j = self.pairs
        kept = there[i] & there[j]
        across, within = kept & (is_s[i] != is_s[j]), kept & ~is_s[i] & ~is_s[j]
        return np.asarray(across / across.sum() - within / within.sum())

    def value(self) -> float:
        """Mean distance of a specialist to the pool less that of two of the pool."""
        return float(self.weights() @ self.flat)

    def within_pool(self) -> float:
        """Mean distance of two models of the pool."""
        part = self.few[self.count :, self.count :]
        return float(part.sum() / (len(part) * (len(part) - 1)))

    def jackknifed(self) -> list[Floats]:
        """Weights (left out, pairs) with each specialist left out, if there are three, and with each of the pool."""
        m = len(self.few)
        sides = [range(self.count)] if self.count > 2 else []
        return [np.array([self.weights(out) for out in side]) for side in [*sides, range(self.count, m)]]

    def reassigned(self, chosen: Floats) -> tuple[Floats, Floats]:
        """The difference and the average precision with other models called specialists, chosen (assignments, s)."""
        m, step = len(self.few), max(1, _BLOCK // len(self.few) ** 2)
        gaps, precision = np.empty(len(chosen)), np.empty(len(chosen))
        for start in range(0, len(chosen), step):
            some = chosen[start : start + step]
            is_s = np.zeros((len(some), m), dtype=bool)
            np.put_along_axis(is_s, some, True, axis=1)
            to_pool = (~is_s).astype(np.float64) @ self.few
            size = m - is_s.sum(axis=1, keepdims=True)
            mean = to_pool / np.where(is_s, size, size - 1)
            gaps[start : start + step] = (
                np.sum(mean * is_s, axis=1) / is_s.sum(axis=1) - np.sum(mean * ~is_s, axis=1) / size[:, 0]
            )
            precision[start : start + step] = _average_precision(mean, is_s)
        return gaps, precision


def _average_precision(scores: Floats, positive: Floats) -> Floats:
    """Average precision of each row (rows,): of every positive, the share of positives among what scores as high."""
    slack = TIES * np.abs(scores).max()
    above = scores[:, None, :] >= scores[:, :, None] - slack
    share = np.sum(above & positive[:, None, :], axis=2) / above.sum(axis=2)
    return np.asarray(np.sum(share * positive, axis=1) / positive.sum(axis=1))


def assignments_of(models: int, count: int, permutations: int, seed: int) -> tuple[Floats, bool]:
    """Which models are called specialists (assignments, count), and whether these are all that there are."""
    if math.comb(models, count) <= _ENUMERATED:
        return np.array(list(itertools.combinations(range(models), count))), True
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(models)[:count] for _ in range(permutations)]), False


def _alone(few: Floats, one: int, count: int, slack: float) -> float:
    """The p of one specialist against the pool: in how many of the places its difference would be as large."""
    at = [one, *range(count, len(few))]
    roles = Roles(few[np.ix_(at, at)], 1)
    gaps, _ = roles.reassigned(np.arange(len(at))[:, None])
    return float(np.mean(gaps >= gaps[0] - slack))


def influence_of(influence: Any, matrix: Floats, at: list[int], names: Sequence[str]) -> Floats | None:
    """Influence on the pairs of the models in play (items, pairs), or None.

    Raises:
        InputError: if it does not fit, or is not known for a pair of these.
    """
    if influence is None:
        return None
    whole = as_influence(influence, len(matrix))
    place = np.empty(matrix.shape, dtype=np.intp)
    i, j = pairs_of(len(matrix))
    place[i, j] = place[j, i] = np.arange(len(i))
    a, b = pairs_of(len(at))
    found = whole[:, place[np.array(at)[a], np.array(at)[b]]]
    missing = np.flatnonzero(~np.isfinite(found).all(axis=0))
    if len(missing):
        pair = f"{names[at[a[missing[0]]]]} × {names[at[b[missing[0]]]]}"
        raise InputError(
            f"influence is not finite for {len(missing)} of the pairs that are needed (first {pair}). Take a metric "
            "whose sampling theory is known for all of them, or leave influence out: no interval over items then."
        )
    return np.asarray(found)


def intervals_of(
    roles: Roles, value: float, influences: Sequence[Floats] | None, alpha: float
) -> tuple[Interval | None, Interval, Interval | None]:
    """Over items, over models, over both; items may be of several samples that are independent of each other."""
    sides = roles.jackknifed()
    parts = [_jackknife(weights @ roles.flat[:, None])[0] for weights in sides]
    models, degrees = _pooled(parts, [len(w) - 1 for w in sides])
    over_models = Interval.of(value, math.sqrt(models), degrees, alpha)
    if influences is None:
        return None, over_models, None
    by_sample = [float(np.sum((moves @ roles.weights()) ** 2)) / len(moves) ** 2 for moves in influences]
    items, own = by_sample[0], float(len(influences[0]) - 1)
    if len(by_sample) > 1:
        items, own = _pooled(by_sample, [len(moves) - 1 for moves in influences])
    # what the jackknife over models holds of the items' own noise, which the variance over items holds too
    twice = sum(
        float(_jackknife(weights @ moves.T).sum()) / len(moves) ** 2 for weights in sides for moves in influences
    )
    both = max(items + models - twice, items, models)
    _, joint = _pooled([items, models], [own, degrees])
    return (
        Interval.of(value, math.sqrt(items), own, alpha),
        over_models,
        Interval.of(value, math.sqrt(both), joint, alpha),
    )


def _jackknife(values: Floats) -> Floats:
    """Jackknife variance of each column of values with one model left out (models, columns)."""
    m = len(values)
    return np.asarray((m - 1) / m * np.sum((values - values.mean(axis=0)) ** 2, axis=0))


def _pooled(variances: Sequence[float], degrees: Sequence[float]) -> tuple[float, float]:
    """Sum of variances and its degrees of freedom (Satterthwaite 1946)."""
    total = float(sum(variances))
    below = sum(float(v) ** 2 / d for v, d in zip(variances, degrees, strict=True))
    return total, total**2 / below if below > 0 else float(sum(degrees))
