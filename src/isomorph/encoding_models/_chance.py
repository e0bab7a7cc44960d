"""Held-out scores of predictions, and what they are under permutations of the responses.

Two nulls. *Refit*: the whole of fitting and choosing is done anew for responses whose rows changed places inside their
run or fold; these are further columns of the same products. It is exact where the rows may change places.

*Predictions*: held-out responses change places against predictions that stay. That alone would reject too often: the
fold that is predicted here helps to predict the others, so that the score of fold a from fold b and that of b from a
are nearly one number counted twice, which permutations of the one against the other do not know. For a linear readout
the variance of the sum over folds is at most twice that of fixed predictions (Cauchy-Schwarz over the two halves of
every pair of folds), so deviations from the mean of the null are widened by the root of 2.

All places that a run may take are the circular shifts of its rows (in their order, or in one random order where time
means nothing): a group of permutations, all of whose correlations one Fourier transform gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy

from ..design import Codes
from ._folds import Fold

Matrix = np.ndarray[Any, Any]
WIDENED = math.sqrt(2)
_COLUMNS = 512  # units whose transforms are held at once


def normalized(rows: Matrix, folds: Sequence[Fold]) -> Matrix:
    """Columns about their mean and of length one in each fold; zero where a column does not vary in it."""
    out = np.empty_like(rows)
    for fold in folds:
        part = rows[fold.split.test]
        size = np.abs(part).max(axis=0)
        part = part - part.mean(axis=0)
        length = np.sqrt(np.einsum("ij,ij->j", part, part, dtype=np.float64))
        flat = length <= 16 * np.finfo(rows.dtype).eps * size * math.sqrt(len(part))
        out[fold.split.test] = np.where(flat, 0.0, part / np.where(flat, 1.0, length))
    return out


def correlations(truth: Matrix, predictions: Matrix, folds: int) -> Matrix:
    """Mean over folds of the correlation (columns,), from normalised rows."""
    found: Matrix = np.einsum("ij,ij->j", truth, predictions, dtype=np.float64) / folds
    return found


def explained(y: Matrix, predictions: Matrix, folds: Sequence[Fold]) -> Matrix:
    """R² (columns,): one minus the squared errors of all folds over the squared deviations from each fold's mean."""
    error, total = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for fold in folds:
        truth = y[fold.split.test].astype(np.float64)
        error += np.sum((truth - predictions[fold.split.test]) ** 2, axis=0)
        total += np.sum((truth - truth.mean(axis=0)) ** 2, axis=0)
    return 1 - error / np.where(total > 0, total, 1.0)


class Shifts:
    """Draws of one circular shift for each run (or each fold, where rows have no runs).

    Args:
        blocks: Rows of each run inside each fold, in the order in which they are shifted.
        count: Draws.
        seed: Seed.
    """

    def __init__(self, blocks: Sequence[Codes], count: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 3])
        self.blocks, self.count = blocks, count
        self.drawn = [rng.integers(len(rows), size=count) for rows in blocks]

    def orders(self, n: int) -> Iterator[Codes]:
        """The draws as orders of all n rows."""
        for k in range(self.count):
            order = np.arange(n)
            for rows, drawn in zip(self.blocks, self.drawn, strict=True):
                order[rows] = np.roll(rows, -int(drawn[k]))
            yield order

    def null(self, truth: Matrix, predictions: Matrix, folds: int) -> Matrix:
        """Mean correlations under the draws (count, columns), predictions held; deviations are widened."""
        out = np.zeros((self.count, truth.shape[1]), dtype=truth.dtype)
        for start in range(0, truth.shape[1], _COLUMNS):
            part = slice(start, start + _COLUMNS)
            room = out[:, part]
            for rows, drawn in zip(self.blocks, self.drawn, strict=True):
                spectra = [scipy.fft.rfft(side[rows, part], axis=0) for side in (predictions, truth)]
                shifted = scipy.fft.irfft(np.conj(spectra[0]) * spectra[1], n=len(rows), axis=0)
                room += shifted.astype(out.dtype, copy=False)[drawn]
            room /= folds
            mean = room.mean(axis=0)
            room += (room - mean) * (WIDENED - 1)
        return out


def shifted_blocks(runs: Codes | None, folds: Sequence[Fold], circular: bool, seed: int) -> list[Codes]:
    """The rows that are shifted against each other: each run, or each fold; in random order unless `circular`."""
    rng = np.random.default_rng([seed, 4])
    found: list[Codes] = []
    for fold in folds:
        test = fold.split.test
        parts = [test] if runs is None else [test[runs[test] == r] for r in np.unique(runs[test])]
        found += [rows if circular else rng.permutation(rows) for rows in parts]
    return found
