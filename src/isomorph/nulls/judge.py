"""Which p a score gets, and from what: the one place that decides it, for every verb.

In this order:

1. **counted among all pairings** where these are few (`FEW` items or fewer, n! - 1 orders beside the observed one);
2. **exact**: the tail of a distribution with the null's exact moments, where moments tell the tail: not among fewer
   than 28 items, where tails were measured to reject too often, nor where a few items decide nearly all of the score;
3. **sampled**: counted among random permutations, where no tail is known, or where the sample rejects the exact tail:
   its exceedance count has a binomial tail probability below 1e-4 under the exact p;
4. **a bound** that holds for every distribution of that mean and deviation (Cantelli), where moments tell no tail and
   nothing was sampled.

Scores that agree to rounding are equal, which can only raise a p-value: where all re-pairings score the same, rounding
must not look like evidence.
"""

from __future__ import annotations

import dataclasses
import itertools
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import scipy

from .._core.distributions import binomial_sf
from ..errors import InputError

Floats = np.ndarray[Any, Any]

FEW = 7
"""Among so many items or fewer all pairings are counted: 5,040 at the most."""
ROUNDING = 1e-6
"""Relative difference under which two scores are equal: float32 products agree with float64 to this."""
_REFUTED = 1e-4  # binomial tail probability of the exceedance count, below which the exact p is rejected


class KnownMoments(Protocol):
    """What the rule asks of a null: its first moments, whether they tell its tail, and that tail."""

    @property
    def mean(self) -> Any: ...
    @property
    def std(self) -> Any: ...
    @property
    def source(self) -> str: ...
    @property
    def tail_known(self) -> Any: ...
    @property
    def tail_unknown(self) -> str: ...
    def tail_p(self, score: Any) -> Floats: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """What re-pairings of the items say of scores, all arrays of the shape of the scores.

    Attributes:
        mean: Mean score of the re-pairings.
        p_value: (1 + reached) / (used + 1), or as the stopping rule of a sequential sampling says.
        reached: Re-pairings that scored at least as well.
        used: Re-pairings that each score was held against.
        source: What they are, such as ``"200 sampled permutations"``.
        complete: Whether they are all that there are, the observed one apart.

    Example:
        >>> sample = Sample.counted(0.5, [0.1, 0.6, 0.2, 0.3])  # one of four permuted scores is higher
        >>> float(sample.p_value), int(sample.reached), sample.source
        (0.4, 1, '4 sampled permutations')
    """

    mean: Floats
    p_value: Floats
    reached: Floats
    used: Any
    source: str
    complete: bool = False

    @classmethod
    def counted(
        cls, values: Any, null: Any, *, distance: bool = False, complete: bool = False, with_observed: bool = False
    ) -> Sample:
        """Scores held against those of the same re-pairings, shape (count, *values.shape).

        Args:
            values: Scores.
            null: Scores of the re-pairings.
            distance: Whether lower scores are more alike.
            complete: Whether these are all re-pairings that there are.
            with_observed: Whether the observed pairing is one of them.

        Raises:
            InputError: if the shapes do not fit or a score is not finite.
        """
        v, z = oriented(values, null, distance=distance)
        reached = np.asarray(np.sum(z >= v - slack(v, z), axis=0))
        return cls._of(values, null, reached, complete=complete, with_observed=with_observed)

    @classmethod
    def counted_in_one(cls, values: Any, drawn: Any, *, distance: bool = False, complete: bool = False) -> Sample:
        """Scores of any shape, all held against the same re-pairings of one pair of layers.

        Args:
            values: Scores.
            drawn: Scores of the re-pairings, (count,).
            distance: Whether lower scores are more alike.
            complete: Whether these are all re-pairings that there are, the observed one among them.

        Raises:
            InputError: if there are none, or a score is not finite.
        """
        v, z = (np.asarray(a, dtype=np.float64) for a in (values, np.reshape(drawn, -1)))
        oriented(np.abs(v).max(initial=0.0), z)  # whose checks are those of all scores
        sign = -1.0 if distance else 1.0
        z = np.sort(sign * z)
        reached = len(z) - np.searchsorted(z, sign * v - slack(sign * v, z.reshape(-1, *(1,) * v.ndim)))
        null = np.asarray(drawn, dtype=np.float64).reshape(-1, *(1,) * v.ndim)
        return cls._of(v, null, np.asarray(reached), complete=complete, with_observed=complete)

    @classmethod
    def _of(cls, values: Any, null: Any, reached: Floats, *, complete: bool, with_observed: bool) -> Sample:
        own, count = (0 if with_observed else 1), len(null)
        source = f"all {count + own} pairings of the items" if complete else f"{count} sampled permutations"
        mean = np.asarray(null, dtype=np.float64).mean(axis=0)
        if complete and own:
            mean = (mean * count + np.asarray(values, dtype=np.float64)) / (count + 1)
        return cls(mean, np.asarray((1.0 * own + reached) / (count + own)), reached, count, source, complete)


@dataclasses.dataclass(frozen=True, eq=False)
class Judgment:
    """The chance level and the p of scores, of their shape, and what both come from.

    Example:
        >>> sample = Sample.counted(0.5, np.linspace(0, 0.4, 99))
        >>> found = judge(0.5, None, sample)
        >>> float(found.p_value), round(float(found.chance), 2), found.source
        (0.01, 0.2, '99 sampled permutations')
    """

    chance: Floats
    p_value: Floats
    source: str


def judge(
    values: Any, moments: KnownMoments | None, sample: Sample | None = None, *, distance: bool = False
) -> Judgment:
    """The p-value of each score, by the rule of this module.

    Args:
        values: Scores.
        moments: Their exact null, fields of a shape that broadcasts to that of the scores; None where none is known.
        sample: What re-pairings say of them, or None if none were made.
        distance: Whether lower scores are more alike; exact tails are those of high scores, and are not used then
            where there is a sample.

    Raises:
        InputError: if neither knows more than the mean.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> null = iso.metric("cka").null(x, noise)
        >>> found = judge(0.05, null)  # exact: nothing was sampled
        >>> round(float(found.p_value), 3), found.source
        (0.027, 'exact moments over all re-pairings')
    """
    v = np.asarray(values, dtype=np.float64)
    exact = moments is not None and moments.std is not None
    if sample is not None and (sample.complete or not exact or distance):
        mean = sample.mean if moments is None else moments.mean
        return Judgment(_over(mean, v), sample.p_value, sample.source)
    if moments is None or not exact:
        raise InputError("This null knows its mean only; sample permutations for a p-value (scan(permutations=…)).")
    p = np.broadcast_to(np.asarray(moments.tail_p(v)), v.shape)
    told = np.broadcast_to(moments.tail_known, v.shape)
    few = "" if told.all() else f"; {moments.tail_unknown.format(_pairs(~told))}, so p there is "
    if sample is None:
        return Judgment(_over(moments.mean, v), p, moments.source + (few and few + "the bound 1 / (1 + z²)"))
    refuted = told & (binomial_sf(sample.reached - 1, sample.used, p) < _REFUTED)
    source = moments.source + (few and few + f"from {sample.source}")
    if refuted.any():
        source += f"; {_pairs(refuted)} reach their score more often in {sample.source}, which p there is from"
    return Judgment(_over(moments.mean, v), np.where(told & ~refuted, p, sample.p_value), source)


@lru_cache(maxsize=FEW)
def every_order(n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Every order of n items, shape (n!, n), the one that they stand in first."""
    orders = np.array(list(itertools.permutations(range(n))), dtype=np.int64)
    orders.flags.writeable = False
    return orders


def oriented(values: Any, null: Any, *, distance: bool = False) -> tuple[Floats, Floats]:
    """Scores and their null as float64 arrays in which higher is more alike.

    Raises:
        InputError: if the shapes do not fit or a score is not finite.
    """
    v, z = np.asarray(values, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if z.ndim != v.ndim + 1 or z.shape[1:] != v.shape or len(z) == 0 or v.size == 0:
        raise InputError(
            f"The null has shape {z.shape}; for scores of shape {v.shape} it must be (permutations, "
            f"{', '.join(map(str, v.shape))}) with at least one permutation."
        )
    if not (np.all(np.isfinite(v)) and np.all(np.isfinite(z))):
        raise InputError("Scores and their null must be finite: a metric returned NaN or infinity.")
    return (-v, -z) if distance else (v, z)


def slack(values: Floats, null: Floats) -> Floats:
    """How far two scores may lie apart and be equal, for each score: `null` has one more axis in front.

    It is relative to the size of the scores: the observed one, the best and the middle one of its null. A few that are
    far below, as R² can be, say nothing of rounding.
    """
    middle, best = np.median(np.abs(null), axis=0), np.abs(null.max(axis=0))
    return np.asarray(ROUNDING * np.maximum(np.abs(values), np.maximum(middle, best)))


def counted_p(values: Any, null: Any, *, distance: bool = False) -> Floats:
    """The p of each score by counting alone: (1 + #{null >= score}) / (K + 1).

    Raises:
        InputError: if the shapes do not fit or a score is not finite.
    """
    return Sample.counted(values, null, distance=distance).p_value


def least_p(n: int) -> float:
    """The smallest p that n! pairings can give."""
    return max(float(np.exp(-scipy.special.gammaln(n + 1))) if n else 0.0, float(np.finfo(np.float64).tiny))


def _pairs(which: Floats) -> str:
    return "all pairs of layers" if which.all() else f"{int(which.sum())} of {which.size} pairs of layers"


def _over(mean: Any, values: Floats) -> Floats:
    return np.broadcast_to(np.asarray(mean, dtype=np.float64), values.shape).copy()


def holm(p_values: Any) -> Floats:
    """p-values adjusted for their number under any dependence (Holm 1979), which bounds the chance of any false one.

    Args:
        p_values: p-values of any shape, all of one family.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    flat = p.ravel()
    order = np.argsort(flat, kind="stable")
    out = np.empty_like(flat)
    out[order] = np.minimum(np.maximum.accumulate(np.arange(len(flat), 0, -1) * flat[order]), 1.0)
    return out.reshape(p.shape)
