"""The distribution of a score when the items of one side are paired anew at random."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import InputError
from .judge import FEW, Sample, judge, least_p
from .tails import far_tail, is_known, mixed_tail, pearson3_sf

Floats = np.ndarray[Any, Any]

TAIL_FROM = 28
"""Items from which on the tails of exact nulls were measured to hold their level (docs/calibration.md)."""
LATE_TAIL_FROM = 48
"""The same where one item or one direction decides more: sums of distances (RSA with Pearson), the first axis alone."""


@dataclasses.dataclass(frozen=True)
class Null:
    """The distribution of a score when the items of one side are paired anew at random, all n! ways equally likely.

    Fields are floats for one pair of representations or arrays over (x layers, y layers).

    Attributes:
        mean: Expected score: the chance level.
        std: Standard deviation, or None where only the mean is known.
        skewness: Third standardised moment, or None where it is not known.
        exact: True if the moments are exact for this data, False if they were sampled; of the skewness see below.
        n: Number of items.
        source: Where the moments come from.
        step: Lattice spacing where scores are counts, 0 otherwise: continuity correction reads the continuous tail half
            a step lower.
        weights: Leading weights of the weighted chi-squares that carry the far tail, where they are known, in units of
            `std`, along a last axis; see `nulls/tails.py`.
        exact_skewness: False where the skewness beside an exact mean and deviation is an approximation; `source` says
            which.
        scale: Relative variance of the conditional variance (given how the sizes of the entries of the two matrices
            meet), where it is known; above about 1 a few outlying items decide.
        sample: Scores of sampled re-pairings, or where all pairings are few those of all (`exact` is true then, and the
            observed one is among them): p is counted among them.
        distance: Whether lower scores are more alike: p is then the chance of a score at most as high.
        tail_from: Number of items from which on the tail was measured to hold its level (docs/calibration.md); with
            fewer it is not known, whatever the moments.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> null = iso.metric("cka").null(x, noise)  # exact: no pairing is sampled
        >>> round(float(null.mean), 3), round(float(null.std), 3)
        (0.0, 0.024)
        >>> round(null.p_value(0.1), 4)
        0.0003
    """

    mean: Any
    std: Any = None
    skewness: Any = None
    exact: bool = True
    n: int = 0
    source: str = ""
    step: float = 0.0
    weights: Any = None
    exact_skewness: bool = True
    scale: Any = None
    sample: Any = None
    distance: bool = False
    tail_from: int = TAIL_FROM

    @property
    def tail_known(self) -> Any:
        """Whether the tail can be told from these moments.

        False among fewer than `tail_from` items, and where a few items decide nearly all of the score.
        """
        known = is_known(self.skewness, self.scale) & (self.n >= self.tail_from)
        return bool(known) if known.ndim == 0 else known

    @property
    def tail_unknown(self) -> str:
        """Why the tail is not known, where it is not: a phrase with a place for which scores."""
        if self.n < self.tail_from:
            return f"no tail is known to hold among fewer than {self.tail_from} items for {{}}"
        return "a few items decide the score of {}"

    def p_value(self, score: Any) -> Any:
        """One-sided p: the chance of a score at least this high (for a distance, this low), by the rule of scans.

        Counted among all re-pairings where these are few, and among the sampled ones where there are some and no tail
        is known, (1 + #{sampled >= score}) / (K + 1). Else from the moments, never below 1/n!: see `tail_p`.

        Raises:
            InputError: if only the mean is known, so that permutations must be sampled.
        """
        sample = None
        if self.sample is not None:
            v = np.asarray(score, dtype=np.float64)
            complete = self.exact and self.n <= FEW
            sample = Sample.counted_in_one(v, self.sample, distance=self.distance, complete=complete)
        moments = None if sample is not None and not self.exact else self
        if moments is not None:  # many scores may be held against one null
            score = np.broadcast_to(score, np.broadcast_shapes(np.shape(score), np.shape(self.mean)))
        p = judge(score, moments, sample, distance=self.distance).p_value
        return float(p) if np.ndim(p) == 0 else p

    def tail_p(self, score: Any) -> Floats:
        """The upper tail of the null at a score, from its moments.

        With a skewness the tail is Pearson III matched to three moments, without one it is the normal tail. It claims
        too much where few directions carry the score, and where few items do: with `weights` p is at least, below 0.01,
        a saddlepoint approximation that keeps those directions, with `scale`, below 0.03, the tail of a variable of
        random scale. Where `tail_known` is False no tail is right, and p is the bound that holds for every distribution
        of this mean and deviation (Cantelli): 1 / (1 + z²).

        Raises:
            InputError: if only the mean is known.
        """
        if self.std is None:
            raise InputError("This null knows its mean only; sample permutations for a p-value (scan(permutations=…)).")
        sign = -1.0 if self.distance else 1.0
        std = np.asarray(self.std, dtype=np.float64)
        excess = sign * (np.asarray(score, dtype=np.float64) - self.mean) - self.step / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(std > 0, excess / std, 0.0)
        # a degenerate null (every re-pairing scores the same) can reject nothing
        skewness = sign * np.asarray(0.0 if self.skewness is None else self.skewness, dtype=np.float64)
        p = np.where(std > 0, pearson3_sf(z, skewness), 1.0)
        if self.weights is not None and self.skewness is not None:
            p = far_tail(p, z, skewness, np.asarray(self.weights))
        if self.scale is not None and self.skewness is not None:
            p = mixed_tail(p, z, skewness, np.asarray(self.scale))
        p = np.where(self.tail_known | (std == 0), p, 1 / (1 + np.maximum(z, 0.0) ** 2))
        return np.clip(p, least_p(self.n), 1.0)
