"""Kernel functions on features: the matrices that kernel metrics adjust and compare."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from ...._core.arrays import Array, is_traced
from ...._core.linalg import center, centered_scaled, gathered, number, require_variation, scaled_and_size, sum_squares
from ....errors import InputError

MEDIANS = ("pairs", "all", None)
_INVISIBLE = 1.5e-8  # the square root of double precision's step: next to a diagonal of ones its square is nothing


def rbf_matrix(x: Array, bandwidth: float, median: str | None) -> Array:
    """Gaussian kernel exp(-|x_i - x_j|^2 / (2 s^2)) less one in float64, s = `bandwidth` times the median distance.

    The one, which every way of centring takes away, is left out so that wide kernels lose no digits.

    Args:
        x: Features (n, d).
        bandwidth: Fraction of the median distance.
        median: ``"pairs"``: over the n (n - 1) / 2 pairs of different items; ``"all"``: over all n^2 entries of the
            distance matrix, its zero diagonal included, as google-research and ckatorch do. The root of the median of
            the squared distances is meant. None: s is `bandwidth` itself, in the units of the features.

    Raises:
        InputError: if the items are all the same, or more than half of the pairs are, so that the median is zero; or if
            the bandwidth is so small that the kernel is the identity matrix.
    """
    xp = array_namespace(x)
    centered = center(xp.astype(x, xp.float64))
    require_variation(x, centered)
    x, size = scaled_and_size(centered)
    x, n = gathered(x), x.shape[0]
    norms = sum_squares(x, axis=1)
    squared = norms[:, None] + norms[None, :] - 2 * (x @ xp.matrix_transpose(x))
    # duplicates are exactly as far from each other as an item is from itself, whatever rounding says
    noise = 8 * float(xp.finfo(xp.float64).eps) * (norms[:, None] + norms[None, :])
    squared = xp.where(squared > noise, squared, xp.zeros_like(squared))
    if median is None:
        # in units of the bandwidth; what is further than 1e150 of them is as good as infinitely far
        exponents = squared * xp.clip(size / bandwidth, 0.0, 1e150) ** 2 / -2
    else:
        middle = median_of_squares(squared, n, median)
        if not is_traced(middle) and number(middle) <= 0:
            raise InputError(
                "The median distance between items is zero: at least half of them are duplicates, so an RBF kernel "
                "with a bandwidth relative to it is not defined. Remove duplicates or use another kernel."
            )
        exponents = squared / (-2 * bandwidth**2 * middle)
    # half of the pairs are no further apart than the median: a bandwidth near it cannot leave them all unlike
    doubtful = median is None or math.exp(-0.5 / bandwidth / bandwidth) < _INVISIBLE
    if doubtful and not is_traced(exponents):
        _refuse_identity(exponents, bandwidth, median)
    return xp.expm1(exponents)


def _refuse_identity(exponents: Array, bandwidth: float, median: str | None) -> None:
    """Refuse a kernel of which only the diagonal is left.

    Raises:
        InputError: if no two items are similar enough to be seen beside the ones on the diagonal.
    """
    xp = array_namespace(exponents)
    eye = xp.eye(exponents.shape[0], dtype=xp.bool, device=device(exponents))
    nearest = number(xp.exp(xp.max(xp.where(eye, -xp.ones_like(exponents) * float("inf"), exponents))))
    if nearest < _INVISIBLE:
        relative = "in the units of the features" if median is None else "times the median distance"
        raise InputError(
            f"At a bandwidth of {bandwidth:g} {relative} even the nearest two items have an RBF similarity of "
            f"{nearest:.1g}: the kernel is the identity matrix, whose biased CKA with any other such kernel is 1. "
            "Choose a larger bandwidth, or one relative to the median distance: median='pairs', bandwidth=1."
        )


def polynomial_matrix(x: Array, degree: int, offset: float) -> Array:
    """Polynomial kernel (<x_i, x_j> + offset)^degree in float64, of centred features of mean squared norm one."""
    xp = array_namespace(x)
    x = centered_scaled(xp.astype(x, xp.float64))
    return (x @ xp.matrix_transpose(x) + offset) ** degree


def median_of_squares(squared: Array, n: int, median: str) -> Array:
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
