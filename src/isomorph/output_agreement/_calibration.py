"""Calibration: are answers of which a model says that they are 80 % sure right in 80 % of the cases?

Both errors use bins of equal mass. The plain one (Naeini et al. 2015, ℓ1) is above 0 for a calibrated model too, so it
comes with the value that such a model is expected to have. The debiased one (Kumar, Liang and Ma 2019, ℓ2) takes the
noise of each bin's accuracy out, and is around 0 then.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from ..heldout.scores import ItemScore
from ._rows import Floats

_LEAST = 2  # answers in a bin, so that its variance is known
_BLOCK = 1 << 22  # random numbers that are held at once


@dataclasses.dataclass(frozen=True, eq=False)
class Stated:
    """What a model said of its own answers.

    Attributes:
        confidence: Probability that it gave to its answer (n,).
        right: Whether the answer was right, or with which probability where answers tie (n,).
        bins: Number of bins.
    """

    confidence: Floats
    right: Floats
    bins: int

    @functools.cached_property
    def bin(self) -> Any:
        """The bin of each answer: of nearly equal mass, by rank; equal confidences share the bin of the first."""
        n = len(self.confidence)
        order = np.argsort(self.confidence, kind="stable")
        ranked = self.confidence[order]
        first = np.searchsorted(ranked, ranked)  # rank of the first of equals
        out = np.empty(n, dtype=np.int64)
        out[order] = first * self._count // n
        return out

    @property
    def _count(self) -> int:
        return max(1, min(self.bins, len(self.confidence) // _LEAST))

    def error(self, weights: Floats, *, debiased: bool) -> Floats:
        """The error of samples of the items, as often as `weights` (draws, n) says each is in one (draws,)."""
        inside = np.equal(self.bin[:, None], np.arange(self._count)).astype(np.float64)
        return _error(weights @ inside, (weights * self.confidence) @ inside, (weights * self.right) @ inside, debiased)

    def whole(self, *, debiased: bool) -> float:
        """The error over all items."""
        mass, stated, actual = (
            np.bincount(self.bin, w, self._count)[None, :].astype(np.float64)
            for w in (None, self.confidence, self.right)
        )
        return float(_error(mass, stated, actual, debiased)[0])

    def calibrated(self, draws: int, seed: int) -> Floats:
        """Plain errors of a calibrated model that states the same: right answers drawn with the stated probabilities.

        Bröcker and Smith (2007), consistency resampling.
        """
        rng = np.random.default_rng([seed, 19])
        inside = np.equal(self.bin[:, None], np.arange(self._count)).astype(np.float64)
        mass, stated = inside.sum(axis=0)[None, :], (self.confidence @ inside)[None, :]
        step = max(1, _BLOCK // len(self.confidence))
        found = []
        for start in range(0, draws, step):
            drawn = rng.random((min(step, draws - start), len(self.confidence))) < self.confidence
            found.append(_error(mass, stated, drawn @ inside, debiased=False))
        return np.concatenate(found)


def _error(mass: Floats, stated: Floats, actual: Floats, debiased: bool) -> Floats:
    """The error from the mass, and the stated and the actual number of right answers, of each bin (draws, bins)."""
    total, there = mass.sum(axis=1), np.where(mass > 0, mass, 1.0)
    gap = np.abs(stated - actual) / there
    if not debiased:
        return np.asarray((mass * gap).sum(axis=1) / total)
    share = actual / there
    noise = np.where(mass > 1, share * (1 - share) / np.where(mass > 1, mass - 1, 1.0), 0.0)
    square = (mass * (gap**2 - noise)).sum(axis=1) / total
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationScore(ItemScore):
    """A calibration error with its spread over items.

    Attributes:
        stated: What the model said.
        debiased: Which of the two errors.
    """

    stated: Stated = dataclasses.field(default_factory=lambda: Stated(np.zeros(1), np.zeros(1), 1))
    debiased: bool = False

    @classmethod
    def of(cls, stated: Stated, *, debiased: bool, chance: float = 0.0) -> CalibrationScore:
        """The score of what a model said."""
        one = np.ones(len(stated.right))
        return cls(one, one, chance, 0.0, 1.0, False, stated, debiased)

    @property
    def value(self) -> float:
        """The error."""
        return self.stated.whole(debiased=self.debiased)

    def drawn(self, weights: Floats) -> Floats:
        """The error of samples of the items, moved to where it is: drawing with replacement adds noise to every bin."""
        found = self.stated.error(weights, debiased=self.debiased)
        return np.asarray(found - found.mean() + self.value)
