"""Fits of affine maps from sums over items, for rows that are read in blocks and never held.

Ridge from the eigendecomposition of X'X = V diag(s²) V': coefficients are V diag(1 / (s² + p)) V' X'Y. The penalty is
chosen by exact leave-one-out errors: of all items up to `JUDGED`, else of as many, evenly spread over all. The
difference between the errors of two penalties is paired over items, so that so many decide as all would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

from .._core.rows import BlockRows
from ..errors import InputError

Matrix = np.ndarray[Any, Any]

JUDGED = 1 << 16
"""Items whose leave-one-out errors choose a penalty, at most."""
_LEAST = 1e-13  # of the largest eigenvalue of X'X: below it is rounding of sums over many items


@dataclasses.dataclass(frozen=True, eq=False)
class BlockFactor:
    """What all fits on the same rows of `x` share: the eigenbasis of their covariance.

    Attributes:
        rows: The rows.
        squares: Eigenvalues of X'X, X centred (r,), descending.
        axes: Eigenvectors (d, r).
    """

    rows: BlockRows
    squares: Matrix
    axes: Matrix

    @classmethod
    def of(cls, rows: BlockRows) -> BlockFactor:
        """One pass over the rows for their mean, one for their covariance.

        Raises:
            InputError: if all rows are the same.
        """
        products = cross_products(rows, rows)
        values, vectors = scipy.linalg.eigh(products, driver="evd")
        # what rounding of the stored values leaves of a constant layer is no variation
        floor = len(rows) * products.shape[0] * (4 * np.finfo(np.float32).eps * rows.largest) ** 2 * 1e-3
        if not values[-1] > floor:
            raise InputError(
                f"{rows.name} is constant: all its items have the same features, so nothing varies that could be "
                "mapped. Leave this layer out."
            )
        kept = values > _LEAST * values[-1]
        return cls(rows, values[kept][::-1], vectors[:, kept][:, ::-1])

    @property
    def total(self) -> float:
        """Sum of squares of the centred rows."""
        return float(self.squares.sum())


def cross_products(x: BlockRows, y: BlockRows) -> Matrix:
    """X'Y (d_x, d_y) of centred rows."""
    total = np.zeros((x.shape[1], y.shape[1]))
    for part, block in x.blocks(beside=2 * y.shape[1]):
        a = block - x.mean
        # where both are the same array one half of a symmetric product suffices
        b = a if y is x else y.part(part) - y.mean
        total += a.T @ b
    return total


def ridge_by_blocks(factor: BlockFactor, y: BlockRows, penalties: Sequence[float]) -> tuple[int, Matrix | None, Matrix]:
    """The penalty with the least leave-one-out error, the errors of all, and the regression matrix.

    Args:
        factor: Of the rows of `x`.
        y: As many rows.
        penalties: Shares of the total variance of `x`.

    Returns:
        Position of the chosen penalty; mean squared leave-one-out errors (p,), None of a single penalty; (d_x, d_y).
    """
    x, axes, s2 = factor.rows, factor.axes, factor.squares
    inner = axes.T @ cross_products(x, y)  # V'X'Y
    shares = np.asarray(penalties) * factor.total
    errors = None if len(shares) == 1 else _loo_errors(factor, y, inner, shares)
    which = 0 if errors is None else int(np.argmin(errors))
    coef: Matrix = axes @ (inner / (s2 + shares[which])[:, None])
    return which, errors, coef


def _loo_errors(factor: BlockFactor, y: BlockRows, inner: Matrix, penalties: Matrix) -> Matrix:
    """Mean squared errors (p,), per item and outcome, of the fits that leave each item out."""
    n = len(y)
    some = np.unique(np.linspace(0, n - 1, min(n, JUDGED)).astype(np.int64))
    x, axes, s2 = factor.rows, factor.axes, factor.squares
    u_shares, shrunk = s2[:, None] / (s2[:, None] + penalties[None, :]), 1 / (s2[:, None] + penalties[None, :])
    seen, total = x[some], np.zeros(len(penalties))
    for part, block in seen.blocks(beside=4 * (y.shape[1] + len(s2))):
        z = (block - x.mean) @ axes
        wanted = y.part(some[part]) - y.mean
        leverage = 1 / n + (z * z / s2) @ u_shares
        for k in range(len(penalties)):
            residuals = wanted - (z * shrunk[:, k]) @ inner
            total[k] += float(np.sum(np.einsum("ij,ij->i", residuals, residuals) / (1 - leverage[:, k]) ** 2))
    return total / (len(some) * y.shape[1])
