"""Several spaces over the same items brought into one: scaling, principal coordinates, generalised CCA."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from .linalg import require_variation

Matrix = np.ndarray[Any, Any]

LEAST = 1e-10  # of the largest eigenvalue: below it is rounding


@dataclasses.dataclass(frozen=True, eq=False)
class Scaled:
    """How the rows of one space are brought to mean zero and total variance one.

    Attributes:
        mean: Mean of the rows fitted on (d,).
        size: Root of their total variance.
    """

    mean: Matrix
    size: float

    @classmethod
    def of(cls, rows: Matrix, name: str) -> tuple[Scaled, Matrix]:
        """The scaling that rows ask for, and the scaled rows.

        Raises:
            InputError: if the rows do not vary.
        """
        mean = rows.mean(axis=0)
        centered = rows - mean
        require_variation(rows, centered, name)
        largest = float(np.abs(centered).max())
        size = largest * float(np.sqrt(np.sum((centered / largest) ** 2) / len(rows)))
        return cls(mean, size), centered / size

    def __call__(self, rows: Matrix) -> Matrix:
        """Rows as those fitted on were scaled."""
        return (rows - self.mean) / self.size


def eigenbasis(spaces: Sequence[Matrix]) -> tuple[Matrix, Matrix]:
    """Principal coordinates (n, r) of centred spaces side by side, and what takes features (D, r) to them."""
    wide = np.hstack(spaces) if len(spaces) > 1 else spaces[0]
    n, d = wide.shape
    if d <= n:
        values, vectors = scipy.linalg.eigh(wide.T @ wide, driver="evd")
        kept = values > LEAST * max(values[-1], 0.0)
        back = vectors[:, kept]
        return wide @ back, back
    values, vectors = scipy.linalg.eigh(wide @ wide.T, driver="evd")
    kept = values > LEAST * max(values[-1], 0.0)
    u, s = vectors[:, kept], np.sqrt(values[kept])
    return u * s, (wide.T @ u) / s


def generalized_cca(
    spaces: Mapping[str, Matrix], dims: int, regularization: float
) -> tuple[dict[str, Scaled], dict[str, Matrix]]:
    """MAXVAR generalised CCA (Kettenring 1971, Carroll 1968), regularised, by the Gram matrices of the spaces.

    Args:
        spaces: Features (n, d) by name, the same items in each.
        dims: Dimensions of the shared space, at most half the items and the least rank.
        regularization: Ridge share of each space's total variance, above 0.

    Returns:
        Of each space, its scaling and what takes scaled rows to the shared space (d, kept), the axes by descending
        agreement.

    Raises:
        InputError: if the rows of a space do not vary.

    Example:
        >>> z, noise = np.random.default_rng(0).normal(size=(2, 60, 3))
        >>> scaling, back = generalized_cca({"x": z, "y": z @ noise[:3]}, 2, 1e-2)
        >>> x, y = (scaling[name](rows) @ back[name] for name, rows in (("x", z), ("y", z @ noise[:3])))
        >>> round(float(np.corrcoef(x[:, 0], y[:, 0])[0, 1]), 2)
        1.0
    """
    scaling, sides = {}, {}
    for name, rows in spaces.items():
        scaling[name], scaled = Scaled.of(rows, name)
        basis, axes = eigenbasis([scaled])
        s = np.sqrt(np.einsum("ij,ij->j", basis, basis))
        sides[name] = (basis / s, s, axes, s**2 / (s**2 + regularization * len(rows)))
    n = len(rows)
    kept = min(dims, max(1, n // 2), *(u.shape[1] for u, *_ in sides.values()))
    agreed = sum((u * shrunk) @ u.T for u, _, _, shrunk in sides.values())
    common = scipy.linalg.eigh(agreed, subset_by_index=(n - kept, n - 1))[1][:, ::-1] * np.sqrt(n)
    back = {}
    for name, (u, s, axes, shrunk) in sides.items():
        back[name] = (axes * (shrunk / s)) @ (u.T @ common)
    return scaling, back
