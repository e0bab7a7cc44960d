"""Choosing weights and penalties per unit in inner folds, and predicting what is held out: matrix products only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..design import Split
from ._folds import Fold
from ._readouts import Method, Readout

Matrix = np.ndarray[Any, Any]
COLUMNS = 1024
"""Units in one product: its results stay in the processor's cache while they are scored."""


@dataclasses.dataclass(frozen=True, eq=False)
class Predicted:
    """Held-out predictions of some columns of responses, and what was chosen for each.

    Attributes:
        rows: Predictions (n, columns), each row from a fit that did not see its fold.
        errors: Mean squared error in the inner folds (folds, columns) of what was chosen.
        weighting: Number of the chosen weighting (folds, columns).
        option: Number of the chosen penalty, or number of components (folds, columns).
    """

    rows: Matrix
    errors: Matrix
    weighting: Matrix
    option: Matrix

    def take(self, better: Matrix, other: Predicted, folds: Sequence[Fold]) -> None:
        """Replace what another method does better (folds, columns)."""
        for k, fold in enumerate(folds):
            here = np.flatnonzero(better[k])
            self.rows[np.ix_(fold.split.test, here)] = other.rows[np.ix_(fold.split.test, here)]
        self.errors[better] = other.errors[better]


def predicted(y: Matrix, method: Method, folds: Sequence[Fold], advance: Callable[[int], object]) -> Predicted:
    """Predictions of every row from fits that did not see its fold.

    Args:
        y: Responses (n, columns), about a mean near zero; nothing is shared among columns.
        method: The method, with the features of the same rows.
        folds: Nested folds.
        advance: Called with 1 after each fold.

    Raises:
        InputError: as `Method.readouts`.
    """
    count, columns = len(folds), y.shape[1]
    found = Predicted(
        np.zeros_like(y), np.full((count, columns), np.inf), *(np.zeros((count, columns), np.int32) for _ in range(2))
    )
    for k, fold in enumerate(folds):
        choose(y, method, fold.inner, found.errors[k], found.weighting[k], found.option[k])
        _predict(y, method, fold.split, found.weighting[k], found.option[k], found.rows)
        advance(1)
    return found


def choose(
    y: Matrix, method: Method, inner: Sequence[Split], errors: Matrix, weighting: Matrix, option: Matrix
) -> None:
    """Find for every column the weighting and option of least error, the mean over folds of the mean squared error.

    Args:
        y: Responses (n, columns).
        method: The method.
        inner: Splits of the rows that may be looked at.
        errors: Errors so far (columns,), infinite at first; changed in place, as are the next two.
        weighting: Number of the best weighting (columns,).
        option: Number of the best option (columns,).

    Raises:
        InputError: as `Method.readouts`.
    """
    readouts = [method.readouts(split, y.dtype) for split in inner]
    for weights in range(len(method.weights)):
        total = np.zeros((len(method.options), y.shape[1]))
        for split, of in zip(inner, readouts, strict=True):
            _add_errors(y, split, of(weights), total)
        total /= len(inner)
        best = np.argmin(total, axis=0)
        least = np.take_along_axis(total, best[None], axis=0)[0]
        better = least < errors
        errors[better], weighting[better], option[better] = least[better], weights, best[better]


def _add_errors(y: Matrix, split: Split, readout: Readout, total: Matrix) -> None:
    """Add the mean squared error of every option (options, columns)."""
    stacked = [readout.right * gain for gain in readout.gains]
    ones = np.ones(len(split.test), dtype=y.dtype)
    for part in _blocks(y.shape[1]):
        fitted, held, mean = _centered(y, split, part)
        projected = readout.left.T @ fitted
        held -= mean
        room = np.empty_like(held)
        for k, matrix in enumerate(stacked):
            np.matmul(matrix, projected, out=room)
            np.subtract(held, room, out=room)
            np.multiply(room, room, out=room)
            total[k, part] += (ones @ room) / len(held)


def _predict(y: Matrix, method: Method, split: Split, weighting: Matrix, option: Matrix, into: Matrix) -> None:
    """Predict the held-out rows of every column with what was chosen for it."""
    of = method.readouts(split, y.dtype)
    for weights in np.unique(weighting):
        readout = of(int(weights))
        for part in _blocks(y.shape[1]):
            own = np.flatnonzero(weighting[part] == weights)
            if not len(own):
                continue
            fitted, _, mean = _centered(y, split, part)
            projected = readout.left.T @ fitted[:, own]
            chosen = option[part][own]
            for k in np.unique(chosen):
                here = np.flatnonzero(chosen == k)
                rows = (readout.right * readout.gains[k]) @ projected[:, here] + mean[own[here]]
                into[np.ix_(split.test, part.start + own[here])] = rows


def _centered(y: Matrix, split: Split, part: slice) -> tuple[Matrix, Matrix, Matrix]:
    """Rows to fit on about their mean, the other rows as they are, and that mean."""
    columns = np.ascontiguousarray(y[:, part])
    fitted = columns[split.train]
    mean = fitted.mean(axis=0)
    fitted -= mean
    return fitted, columns[split.test], mean


def _blocks(columns: int) -> Iterator[slice]:
    for start in range(0, columns, COLUMNS):
        yield slice(start, min(start + COLUMNS, columns))
