"""What each item gives to a score of projections or of rotated layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...._core.arrays import Array, to_numpy
from .axes import Axes
from .projections import projection

Floats = np.ndarray[Any, np.dtype[np.float64]]

_NOTHING = 1e-10  # singular values this far below the largest carry nothing, and their vectors are arbitrary


def projected(x: Axes, y: Axes, wx: Array, wy: Array) -> Floats:
    """Row sums of ``G_x ∘ G_y``, ``G = U diag(w) U'``, (n,): they add up to ``<G_x, G_y>``."""
    (u, v), (a, b) = _host(x.u, y.u), _host(wx, wy)
    return np.asarray(np.vecdot((u * a) @ (u.T @ v), v * b))


def projection_differences(x: Axes, y: Axes, wx: Array, wy: Array) -> Floats:
    """Squared norms of the rows of ``G_x - G_y``, (n,)."""
    (u, v), (a, b) = _host(x.u, y.u), _host(wx, wy)
    rows = (u * u) @ (a * a) + (v * v) @ (b * b) - 2 * projected(x, y, wx, wy)
    if rows.sum() > 1e-6 * float(np.sum(a * a) + np.sum(b * b)):
        return np.asarray(rows)
    difference = to_numpy(projection(x, wx)) - to_numpy(projection(y, wy))  # before rounding swamps it
    return np.asarray(np.sum(difference**2, axis=1))


def aligned(x: Array, y: Array) -> Floats:
    """Inner products of the items of two layers after the best rotation, (n,): they add up to ``|X'Y|_*``."""
    a, b = _host(x, y)
    left, sigma, right = np.linalg.svd(a.T @ b, full_matrices=False)
    keep = sigma > _NOTHING * sigma[0]
    return np.asarray(np.vecdot(a @ left[:, keep], b @ right[keep].T))


def residuals(x: Array, y: Array) -> Floats:
    """Squared distances of the items of two layers after the best rotation, (n,)."""
    a, b = _host(x, y)
    if a.shape[1] > b.shape[1]:
        a, b = b, a
    rows = np.vecdot(a, a) + np.vecdot(b, b) - 2 * aligned(a, b)
    if rows.sum() > 1e-6 * float(np.sum(a * a) + np.sum(b * b)):
        return np.asarray(rows)
    left, _, right = np.linalg.svd(a.T @ b, full_matrices=False)
    return np.asarray(np.sum((a @ (left @ right) - b) ** 2, axis=1))  # before rounding swamps it


def _host(*arrays: Array) -> list[Floats]:
    return [np.asarray(to_numpy(a), dtype=np.float64) for a in arrays]
