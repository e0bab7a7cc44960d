"""What is kept of each model while blocks of units go by: scores, p-values, and the best and the mean of all units."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nulls.judge import Sample, counted_p
from ..results import UnitScores
from ..significance import benjamini_hochberg

Matrix = np.ndarray[Any, Any]
EDGES = np.linspace(-1, 1, 201)
"""Bins of the null's histogram."""
LOOKED_AT = 50
"""Permutations that are in it."""
_COLUMNS = 4096


class Tally:
    """Scores of one model over all units.

    Args:
        varies: Whether each unit varies (units,).
        folds: Outer folds.
        permutations: Permutations of the responses.
    """

    def __init__(self, varies: Matrix, folds: int, permutations: int) -> None:
        units = len(varies)
        self.varies, self.permutations = varies, permutations
        self.r, self.r2, self.p = (np.full(units, np.nan, dtype=np.float32) for _ in range(3))
        self.option = np.full((folds, units), np.nan, dtype=np.float32)
        self._best = np.full(permutations, -np.inf)
        self._sum = np.zeros(permutations)
        self._counts = np.zeros(len(EDGES) - 1)

    def add(self, part: slice, r: Matrix, r2: Matrix, option: Matrix, null: Matrix | None) -> None:
        """Take in a block of units.

        Args:
            part: Which units.
            r: Their correlations.
            r2: Their explained variance.
            option: What was chosen (folds, units).
            null: Correlations under each permutation (permutations, units).
        """
        there = self.varies[part]
        self.r[part], self.r2[part] = (np.where(there, v, np.nan) for v in (r, r2))
        self.option[:, part] = np.where(there, option, np.nan)
        if null is None or not there.any():
            return
        null = null[:, there]
        p = np.concatenate([
            counted_p(r[there][at : at + _COLUMNS], null[:, at : at + _COLUMNS])
            for at in range(0, null.shape[1], _COLUMNS)
        ])  # fmt: skip
        self.p[np.flatnonzero(there) + part.start] = p
        self._counts += np.histogram(null[:LOOKED_AT], EDGES)[0]
        np.maximum(self._best, null.max(axis=1), out=self._best)
        self._sum += null.sum(axis=1, dtype=np.float64)

    @property
    def mean(self) -> float:
        """Mean r over the units that vary."""
        return float(np.nanmean(self.r, dtype=np.float64))

    @property
    def null_means(self) -> Matrix:
        """The same under each permutation (permutations,)."""
        means: Matrix = self._sum / max(1, int(self.varies.sum()))
        return means

    def scores(self) -> UnitScores:
        """All of it."""
        p = highest = q = mean_p = None
        if self.permutations:
            there = self.varies
            p, highest, q = self.p, np.full_like(self.p, np.nan), np.full_like(self.p, np.nan)
            highest[there] = Sample.counted_in_one(self.r[there], self._best).p_value
            q[there] = benjamini_hochberg(p[there].astype(np.float64))
            mean_p = float(counted_p(np.array([self.mean]), self.null_means[:, None])[0])
        counts = self._counts if self.permutations else None
        return UnitScores(self.r, self.r2, p, highest, q, self.option, counts, self.mean, mean_p)
