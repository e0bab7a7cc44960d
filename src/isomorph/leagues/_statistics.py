"""The statistics of a league: how well scores tell a truth, how sure that is, and which metrics are told apart.

Networks are the units throughout: two pairs that share a network are not independent, so that errors come from leaving
networks out (the jackknife of a statistic of pairs), and p-values from permuting the truth among networks.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy

from .._core.distributions import t_isf, t_sf

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
_TINY = 1e-12


def average_precision(scores: Any, positive: Any) -> float:
    """Area under the precision-recall curve: do positive pairs score highest? Ties are resolved on average.

    Chance is the share of positive pairs. Equal scores form one step of the curve, as in scikit-learn's
    ``average_precision_score``.

    Example:
        >>> average_precision([0.9, 0.8, 0.1], [True, False, True]).__round__(2)
        0.83
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last of each run of equal scores
    found = hits[ends]
    gained = np.diff(np.concatenate([[0], found]))
    return float(np.sum(gained * found / (ends + 1)) / max(1, positive.sum()))


def conformity(scores: Any, positive: Any) -> float:
    """Share of pairs of pairs in which the positive one scores higher: one minus the violation rate; chance is 1/2.

    Equal scores violate, so that a constant scores 0.

    Example:
        >>> conformity([0.9, 0.8, 0.1], [True, False, True])
        0.5
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    others = np.sort(scores[~positive])
    below = np.searchsorted(others, scores[positive], side="left")
    return float(below.mean() / max(1, len(others)))


def rank_correlation(scores: Any, truth: Any, kind: str = "spearman") -> float:
    """Spearman's or Kendall's correlation; 0 where one side does not vary, which tells nothing of the other.

    Example:
        >>> rank_correlation([3, 2, 1], [0, 1, 5])
        -1.0
        >>> rank_correlation([1, 1, 1], [0, 1, 5])
        0.0
    """
    a, b = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if kind == "spearman":
        return float(rank_correlations(a[None], b)[0])
    if _flat(a) or _flat(b):
        return 0.0
    return float(scipy.stats.kendalltau(a, b).statistic)


def rank_correlations(scores: Floats, truth: Any) -> Floats:
    """Spearman's correlation of each row of scores with one truth; 0 where one of them does not vary.

    Example:
        >>> rank_correlations(np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]), [0, 1, 5]).tolist()
        [-1.0, 0.0]
    """
    goal = _ranks(np.asarray(truth, dtype=np.float64))
    goal -= goal.mean()
    rows = np.stack([_ranks(row) for row in scores])
    rows -= rows.mean(axis=1, keepdims=True)
    size = np.sqrt(np.sum(rows**2, axis=1) * np.sum(goal**2))
    flat = np.array([_flat(row) for row in scores]) | _flat(np.asarray(truth, dtype=np.float64))
    return np.asarray(np.where(flat, 0.0, rows @ goal / np.where(size > 0, size, 1.0)))


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs: of few values, in a tenth of the time of SciPy's."""
    ordered = np.sort(values)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + upto + 1) / 2)


def _flat(values: Floats) -> bool:
    """Whether values are the same but for rounding."""
    return bool(np.ptp(values) <= _TINY * np.abs(values).max())


@dataclasses.dataclass(frozen=True, eq=False)
class Jackknife:
    """A statistic of several metrics on the same units, with how it moves with each unit.

    Attributes:
        values: The statistic of each metric (metrics,).
        moves: What each unit gives beyond its share, divided by the number of units: their products are the
            covariance of the statistics over networks drawn anew (units, metrics).

    Example:
        >>> sample = np.random.default_rng(0).normal(size=(200, 1))
        >>> without = np.array([np.delete(sample, i, axis=0).mean(axis=0) for i in range(200)])
        >>> found = Jackknife.of(sample.mean(axis=0), without)
        >>> bool(np.isclose(found.errors[0], sample.std(ddof=1) / 200**0.5))
        True
    """

    values: Floats
    moves: Floats

    @classmethod
    def of(cls, values: Floats, without: Floats) -> Jackknife:
        """From the statistic of all units (metrics,) and without each of them (units, metrics)."""
        units = len(without)
        centered = without - without.mean(axis=0)
        return cls(values, -centered * np.sqrt((units - 1) / units))

    @property
    def errors(self) -> Floats:
        """Standard error of each statistic."""
        return np.asarray(np.sqrt(np.sum(self.moves**2, axis=0)))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of an error."""
        return len(self.moves) - 1

    def interval(self, alpha: float) -> Floats:
        """Ends of the interval of each statistic (metrics, 2), by Student's t."""
        reach = t_isf(alpha / 2, self.degrees) * self.errors
        return np.asarray(np.stack([self.values - reach, self.values + reach], axis=1))

    def differences(self) -> tuple[Floats, Floats, Floats]:
        """Every metric minus every other, the two-sided p of no difference (1 where nothing differs), and the error."""
        gap = self.values[:, None] - self.values[None, :]
        error = np.sqrt(np.sum((self.moves[:, :, None] - self.moves[:, None, :]) ** 2, axis=0))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(gap) / error
        p = 2 * t_sf(t, self.degrees)
        least = 2.0 ** (1 - len(self.moves))  # of a sign test over the units, where no unit moves anything
        return gap, np.where(np.abs(gap) <= _TINY, 1.0, np.where(error > _TINY, p, least)), error

    def draws(self, count: int, rng: np.random.Generator) -> Floats:
        """Statistics as they might be on other networks: normal with the covariance above (count, metrics)."""
        return np.asarray(self.values + rng.normal(size=(count, len(self.moves))) @ self.moves)


def ranks(values: Floats) -> Floats:
    """Ranks along the last axis, 1 the best; equal values share their mean rank.

    Example:
        >>> ranks(np.array([0.2, 0.9, 0.9])).tolist()
        [3.0, 1.5, 1.5]
    """
    return np.asarray(scipy.stats.rankdata(-values, axis=-1))
