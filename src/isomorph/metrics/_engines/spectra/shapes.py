"""Layers as shapes: centred, of unit norm, and compared after the best rotation of one onto the other.

The nuclear norm ``|X'Y|_*`` is the largest inner product that a rotation, reflections included, can give two of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ...._core.arrays import Array, take_rows
from ...._core.linalg import number
from .axes import compressed, norm, nuclear_norm, wide_centered


class Shape(NamedTuple):
    """A centred layer of unit Frobenius norm, turned into at most n features, and the norm it had."""

    unit: Array  # (n, min(n, d))
    size: Array  # 0-d
    eps: float

    def permuted(self, order: np.ndarray[Any, Any]) -> Shape:
        """The shape of the reordered items."""
        return self._replace(unit=take_rows(self.unit, order))


def unit_shape(x: Array) -> Shape:
    """The shape of a layer.

    Raises:
        InputError: if nothing varies in `x`.
    """
    xp = array_namespace(x)
    c, scale = wide_centered(x)
    size = norm(c)
    return Shape(compressed(c / size), size * scale, float(xp.finfo(x.dtype).eps))


def shape_cosine(x: Shape, y: Shape) -> Array:
    """``|X'Y|_*`` of unit shapes: their inner product after the best rotation."""
    xp = array_namespace(x.unit)
    return xp.clip(nuclear_norm(x.unit.T @ y.unit, max(x.eps, y.eps)), 0.0, 1.0)


def shape_gap(x: Shape, y: Shape) -> Array:
    """``1 - |X'Y|_*`` for unit shapes, kept to full relative precision where the two are nearly the same.

    Near zero it is half the squared residual of the fitted rotation, which rounding does not swamp.
    """
    xp = array_namespace(x.unit)
    gap = 1.0 - shape_cosine(x, y)
    if number(gap) > 1e-6:
        return gap
    if x.unit.shape[1] > y.unit.shape[1]:
        x, y = y, x
    u, _, vt = xp.linalg.svd(x.unit.T @ y.unit, full_matrices=False)
    residual = x.unit @ (u @ vt) - y.unit
    return xp.sum(residual * residual) / 2


def shape_angle(x: Shape, y: Shape) -> Array:
    """Arc cosine of the cosine, without its loss of digits near 1."""
    xp = array_namespace(x.unit)
    return 2 * xp.asin(xp.sqrt(shape_gap(x, y) / 2))
