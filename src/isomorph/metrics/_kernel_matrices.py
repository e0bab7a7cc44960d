"""Kernel functions on features: the matrices that kernel metrics adjust and compare."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from .._arrays import Array, is_traced
from .._linalg import centred_scaled, number, sum_squares
from ..errors import InputError

MEDIANS = ("pairs", "all")


def rbf_matrix(x: Array, bandwidth: float, median: str) -> Array:
    """Gaussian kernel exp(-|x_i - x_j|^2 / (2 s^2)) in float64, s = `bandwidth` times the median distance.

    Args:
        x: Features (n, d).
        bandwidth: Fraction of the median distance.
        median: ``"pairs"``: over the n (n - 1) / 2 pairs of different items; ``"all"``: over all n^2 entries of the
            distance matrix, its zero diagonal included, as google-research and ckatorch do. The root of the median of
            the squared distances is meant.

    Raises:
        InputError: if the items are all the same, or more than half of the pairs are, so that the median is zero.
    """
    xp = array_namespace(x)
    x = centred_scaled(xp.astype(x, xp.float64))
    n = x.shape[0]
    norms = sum_squares(x, axis=1)
    squared = norms[:, None] + norms[None, :] - 2 * (x @ xp.matrix_transpose(x))
    # duplicates are exactly as far from each other as an item is from itself, whatever rounding says
    noise = 8 * float(xp.finfo(xp.float64).eps) * (norms[:, None] + norms[None, :])
    squared = xp.where(squared > noise, squared, xp.zeros_like(squared))
    middle = _median_of_squares(squared, n, median)
    if not is_traced(middle) and number(middle) <= 0:
        raise InputError(
            "The median distance between items is zero: at least half of them are duplicates, so an RBF kernel with a "
            "bandwidth relative to it is not defined. Remove duplicates or use another kernel."
        )
    return xp.exp(squared / (-2 * bandwidth**2 * middle))


def polynomial_matrix(x: Array, degree: int, offset: float) -> Array:
    """Polynomial kernel (<x_i, x_j> + offset)^degree in float64, of centred features of mean squared norm one."""
    xp = array_namespace(x)
    x = centred_scaled(xp.astype(x, xp.float64))
    return (x @ xp.matrix_transpose(x) + offset) ** degree


def _median_of_squares(squared: Array, n: int, median: str) -> Array:
    """Median of the squared distances; a symmetric matrix holds every pair twice, which moves no median."""
    xp = array_namespace(squared)
    if median == "pairs":
        eye = xp.eye(n, dtype=xp.bool, device=device(squared))
        squared = xp.where(eye, -xp.ones_like(squared), squared)  # sorts before every pair
    ignored = n if median == "pairs" else 0
    count = n * n - ignored
    ranks = (ignored + (count - 1) // 2, ignored + count // 2)
    low, high = _order_statistics(xp.reshape(squared, (-1,)), ranks)
    return (low + high) / 2


def _order_statistics(values: Array, ranks: tuple[int, int]) -> Any:
    if is_numpy_array(values):
        return np.partition(values, ranks)[list(ranks)]
    ordered = array_namespace(values).sort(values)
    return ordered[ranks[0]], ordered[ranks[1]]
