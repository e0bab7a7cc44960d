"""A block of units that is fitted together: its responses, their permutations, and the layer chosen for each unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._chance import correlations, explained, normalized
from ._plan import Plan
from ._search import Predicted
from .settings import REFIT

Matrix = np.ndarray[Any, Any]


class Block:
    """Responses of some units about their means, and, where all is fitted anew to permutations, these as columns too.

    Args:
        plan: The plan.
        y: Responses (n, units).

    Attributes:
        y: The responses about their means.
        columns: What is fitted (n, columns): the responses, and behind them their permutations.
        units: Number of units.
    """

    def __init__(self, plan: Plan, y: Matrix) -> None:
        self.y, self.units = y - y.mean(axis=0), y.shape[1]
        self.columns = self.y
        if plan.null == REFIT and plan.shifts is not None:
            self.columns = np.empty((len(y), self.units * (1 + plan.shifts.count)), dtype=y.dtype)
            self.columns[:, : self.units] = self.y
            for k, order in enumerate(plan.shifts.orders(len(y)), start=1):
                self.columns[:, k * self.units : (k + 1) * self.units] = self.y[order]
        self._plan, self._truth = plan, normalized(self.columns, plan.folds)

    def scored(self, found: Predicted) -> tuple[Matrix, Matrix, Matrix | None]:
        """Correlation and R² of the units (units,), and correlations under each permutation (permutations, units)."""
        folds, shifts = self._plan.folds, self._plan.shifts
        own = normalized(found.rows, folds)
        r = correlations(self._truth, own, len(folds))
        r2 = explained(self.y, found.rows[:, : self.units], folds)
        if shifts is None:
            return r, r2, None
        if self._plan.null == REFIT:
            each = r.reshape(1 + shifts.count, self.units)
            return each[0], r2, each[1:]
        return r, r2, shifts.null(self._truth, own, len(folds))


class Choice:
    """The layer of least error in the inner folds of each fold, unit by unit.

    Args:
        layers: Number of layers.
        units: Number of all units.
    """

    def __init__(self, layers: int, units: int) -> None:
        self._votes = np.zeros((layers, units), dtype=np.int32)
        self._errors = np.zeros((layers, units), dtype=np.float32)
        self.found: Predicted | None = None
        self.option: Matrix = np.empty((0, 0))
        self._layer: Matrix = np.empty((0, 0))

    def look(self, k: int, found: Predicted, option: Matrix, plan: Plan, part: slice) -> None:
        """Take from a layer what it predicts better than those before it.

        Args:
            k: Number of the layer; 0 begins a block.
            found: Its predictions.
            option: What it chose (folds, units).
            plan: The plan.
            part: Which units these are.
        """
        units = option.shape[1]
        self._errors[k, part] = found.errors[:, :units].sum(axis=0)
        if k == 0:
            self.found, self.option = found, option
            self._layer = np.zeros(option.shape, dtype=np.int32)
        elif self.found is not None:
            better = found.errors < self.found.errors
            self.found.take(better, found, plan.folds)
            self.option = np.where(better[:, :units], option, self.option)
            self._layer[better[:, :units]] = k
        if k == len(self._votes) - 1:
            for j in range(k + 1):
                self._votes[j, part] = (self._layer == j).sum(axis=0)

    def preference(self, varies: Matrix) -> tuple[Matrix, Matrix]:
        """The layer that most folds chose (units,), -1 for a unit that does not vary; and the share of the folds.

        Where two have as many, it is the one of less error.
        """
        worst = self._errors.max(axis=0)
        tie = 0.5 * self._errors / np.where(worst > 0, worst, 1.0)
        best = np.argmax(self._votes - tie, axis=0)
        share = np.take_along_axis(self._votes, best[None], axis=0)[0] / self._votes.sum(axis=0)
        return np.where(varies, best, -1).astype(np.int32), np.where(varies, share, np.nan).astype(np.float32)
