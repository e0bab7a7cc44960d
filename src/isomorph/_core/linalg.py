"""Linear algebra that several metrics and maps share, each operation written once over the array API.

Precision: sums and means run in float64; products run in the dtype of the features, whose centring and scaling to unit
size keep float32 products near one, so that the default agrees with float64 to 1e-6.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_extra as xpx
import numpy as np
from array_api_compat import array_namespace, device, is_jax_array, is_torch_array, to_device

from ..errors import InputError
from .arrays import Array, is_traced, to_numpy
from .memory import block_bytes
from .parallel import on_threads

STRIP = 256  # rows of a product that stay in the cache, and are enough for its full speed
_MOST_ROWS = 2048  # of a matrix of similarities held at once


def number(x: Array) -> float:
    """The value of a 0-d array as a float, outside of any gradient."""
    return float(x.detach() if is_torch_array(x) else x)


def center(x: Array) -> Array:
    """Subtract each column's mean, taken in float64 and subtracted in two parts, so that no offset costs digits."""
    xp = array_namespace(x)
    mean = xp.sum(x, axis=0, keepdims=True, dtype=xp.float64) / x.shape[0]
    high = xp.astype(mean, x.dtype)
    if x.dtype == xp.float64:
        return x - high
    centered = x - high
    centered -= xp.astype(mean - xp.astype(high, xp.float64), x.dtype)
    return centered


def are_few_values(values: np.ndarray[Any, Any], tolerance: np.ndarray[Any, Any]) -> bool:
    """Whether ascending values are few, which rounding has spread: two or more to a value, and values well apart.

    Values that are many lie closer than any tolerance somewhere, which makes none of them equal; so all must fall into
    groups no wider than four tolerances.

    Args:
        values: Host array (m,), ascending.
        tolerance: How far two equal ones may lie apart, (m,).
    """
    apart = np.flatnonzero(np.diff(values) > tolerance[1:])
    first, last = np.append(0, apart + 1), np.append(apart, len(values) - 1)
    return bool(2 * len(first) <= len(values) and np.all(values[last] - values[first] <= 4 * tolerance[last]))


FAR = 1e6
"""Times the median squared distance from most items, from which on an item is far away."""


def about_most(rows: Array) -> Array:
    """Rows less the mean of the nearer half of them."""
    xp = array_namespace(rows)
    squares = sum_squares(rows, axis=1)
    most = xp.astype(squares <= float(np.median(to_numpy(squares))), rows.dtype)
    return rows - (most @ rows)[None, :] / xp.sum(most)


def has_far_item(rows: Array, squares: Array | None = None) -> bool:
    """Whether an item of centred rows is so far away that the mean of all says little of the others.

    Args:
        rows: Centred rows (n, d).
        squares: Their squared norms, where they are known.
    """
    if is_traced(rows):
        return False
    squares = to_numpy(sum_squares(rows, axis=1) if squares is None else squares)
    # a far item draws the mean along: all others are then equally far from it, and at most n - 1 times nearer
    if squares.max() <= min(FAR, (len(squares) - 1) ** 2 / 4) * np.median(squares):
        return False
    squares = to_numpy(sum_squares(about_most(rows), axis=1))
    return bool(squares.max() > FAR * np.median(squares))


def gathered(rows: Array) -> Array:
    """Centred rows moved to where most of them are, if an item is far away; else as they are.

    A far item draws the mean from all others, which costs their distances and inner products the digits that tell them
    apart. Only for what does not depend on where the origin lies.
    """
    return about_most(rows) if has_far_item(rows) else rows


def largest_magnitude(x: Array) -> Array:
    """The largest absolute value, without an array of absolute values."""
    xp = array_namespace(x)
    return xp.maximum(xp.max(x), -xp.min(x))


def sum_squares(x: Array, axis: int | None = None) -> Array:
    """Sum of squares of a vector or matrix, or of a matrix's rows (axis=1) or columns (axis=0), in float64."""
    xp = array_namespace(x)
    if x.ndim == 1:
        wide = xp.astype(x, xp.float64, copy=False)
        return xp.vecdot(wide, wide)
    if axis == 0:
        wide = xp.astype(x, xp.float64, copy=False)
        return xp.sum(wide * wide, axis=0)
    # rows whose float64 copy stays in the cache, or keeps a device busy
    step = max(1, (1 << (15 if isinstance(x, np.ndarray) else 18)) // x.shape[1])
    parts = []
    for s in range(0, x.shape[0], step):
        wide = xp.astype(x[s : min(x.shape[0], s + step), :], xp.float64, copy=False)
        parts.append(xp.vecdot(wide, wide))
    rows = parts[0] if len(parts) == 1 else xp.concat(parts)
    return rows if axis == 1 else xp.sum(rows)


def scaled(x: Array, what: str = "x") -> Array:
    """`x` divided by its Frobenius norm over sqrt(n_items): rows have a mean squared norm of one.

    Raises:
        InputError: if `x` is zero (all items are the same after centring).
    """
    return scaled_and_size(x, what)[0]


def scaled_and_size(x: Array, what: str = "x") -> tuple[Array, Array]:
    """`scaled`, and what `x` was divided by: the root of its rows' mean squared norm, float64.

    Raises:
        InputError: if `x` is zero (all items are the same after centring).
    """
    xp = array_namespace(x)
    if x.dtype == xp.float32 and not is_traced(x):
        squares = sum_squares(x, axis=1)
        if 1e-30 * x.shape[1] ** 0.5 < number(xp.max(squares)) ** 0.5 < 1e30:  # so no feature is near a float's ends
            size = (xp.sum(squares) / x.shape[0]) ** 0.5
            return x / xp.astype(size, x.dtype), size
    largest = largest_magnitude(x)
    if not is_traced(x) and number(largest) == 0.0:
        raise InputError(
            f"{what} is constant: all its items have the same features, so nothing varies that could be alike. "
            "Leave this layer out."
        )
    x = x / largest  # first, so that the squares of very small or large features neither vanish nor overflow
    size = (sum_squares(x) / x.shape[0]) ** 0.5
    return x / xp.astype(size, x.dtype), size * xp.astype(largest, xp.float64)


def require_variation(x: Array, centered: Array, what: str = "x") -> None:
    """Refuse features whose variation is lost in rounding against their offset.

    Raises:
        InputError: if all items are the same to the features' precision.
    """
    xp = array_namespace(x)
    eps = float(xp.finfo(x.dtype).eps)
    if is_traced(x):
        return
    if number(largest_magnitude(centered)) <= 4 * eps * number(largest_magnitude(x)):
        raise InputError(
            f"{what} is constant: all its items have the same features (to the precision of {x.dtype}), so nothing "
            "varies that could be alike. Leave this layer out."
        )


def centered_scaled(x: Array, what: str = "x") -> Array:
    """`center` then `scaled`, refusing constant features.

    Raises:
        InputError: if all items are the same to the features' precision.
    """
    c = center(x)
    require_variation(x, c, what)
    return scaled(c, what)


def unit_rows(x: Array, what: str = "x") -> Array:
    """Rows scaled to unit Euclidean norm, norms in float64.

    Raises:
        InputError: if a row is zero: it has no direction.
    """
    xp = array_namespace(x)
    largest = xp.max(xp.abs(x), axis=1, keepdims=True)
    if not is_traced(x) and bool(xp.any(largest == 0)):
        rows = np.flatnonzero(to_numpy(largest == 0))
        where = f" (first at row {rows[0]})"
        raise InputError(
            f"{what} has an item whose features are all zero{where}: it has no direction, so no cosine. "
            "Leave the item out or choose a Euclidean variant."
        )
    x = x / largest
    norms = sum_squares(x, axis=1) ** 0.5
    return x / xp.astype(norms, x.dtype)[:, None]


def directions(rows: np.ndarray[Any, Any], flat: float = 0.0) -> np.ndarray[Any, Any]:
    """Rows scaled to unit Euclidean norm; those that have no direction become zero (`unit_rows` refuses them).

    Args:
        rows: Host array (n, d).
        flat: Norm, as a share of the largest, up to which a row has no direction.
    """
    # by a power of two, which moves no digit, so that no square of a very large or small feature is lost
    rows = np.ldexp(rows, -int(np.frexp(np.abs(rows).max(initial=0.0))[1]))
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    none = norms <= flat * max(float(norms.max(initial=0.0)), np.finfo(np.float64).tiny)
    return np.asarray(np.where(none, 0.0, rows / np.where(none, 1.0, norms)))


def u_center(kernel: Array) -> Array:
    """U-centred kernel (Székely and Rizzo 2014, eq. 2.2): zero diagonal and zero row sums.

    The inner product of two U-centred kernels over n (n - 3) is the unbiased HSIC of Song et al. (2012, eq. 5).
    """
    xp = array_namespace(kernel)
    n = kernel.shape[0]
    eye = xp.eye(n, dtype=xp.bool, device=device(kernel))
    zero = xp.zeros((), dtype=kernel.dtype, device=device(kernel))
    k = xp.where(eye, zero, kernel)
    rows = xp.sum(k, axis=1, dtype=xp.float64)
    total = xp.sum(rows)
    k = k - xp.astype(rows / (n - 2), k.dtype)[:, None] - xp.astype(rows / (n - 2), k.dtype)[None, :]
    k = k + xp.astype(total / ((n - 1) * (n - 2)), k.dtype)
    return xp.where(eye, zero, k)


def double_center(kernel: Array) -> Array:
    """Kernel with row and column means taken out: H K H with H = I - 11'/n."""
    xp = array_namespace(kernel)
    rows = xp.sum(kernel, axis=1, dtype=xp.float64) / kernel.shape[0]
    half = rows - xp.sum(rows) / (2 * kernel.shape[0])
    return kernel - xp.astype(half, kernel.dtype)[:, None] - xp.astype(half, kernel.dtype)[None, :]


def long_product(left: Array, right: Array) -> Array:
    """(a, m) @ (m, b) for small a and b and long m, float64: chunks in the arrays' own dtype, summed in float64.

    Chunks fit the cache and are too small for BLAS to split between threads, which costs more than it gains there.
    """
    xp = array_namespace(left, right)
    m = left.shape[1]
    chunk = min(8192, max(64, (1 << 18) // (left.shape[0] * right.shape[1])))
    total = xp.zeros((left.shape[0], right.shape[1]), dtype=xp.float64, device=device(left))
    for c in range(0, m, chunk):
        e = min(m, c + chunk)
        total = total + xp.astype(left[:, c:e] @ right[c:e, :], xp.float64)
    return total


class Svd(NamedTuple):
    """Thin singular value decomposition of a centred layer, cut at its numerical rank.

    Attributes:
        u: Left singular vectors (n, r).
        s: Singular values (r,), descending.
        vt: Right singular vectors (r, d).
    """

    u: Array
    s: Array
    vt: Array


def thin_svd(x: Array, what: str = "x") -> Svd:
    """Thin SVD of `x` cut where s <= s_max * max(n, d) * eps, which is numpy.linalg.matrix_rank's rule.

    Raises:
        InputError: if `x` is zero.
    """
    xp = array_namespace(x)
    u, s, vt = xp.linalg.svd(x, full_matrices=False)
    top = number(s[0])
    if top == 0.0:
        raise InputError(f"{what} is constant: it has no directions to compare. Leave this layer out.")
    rank = int(xp.sum(xp.astype(s > top * max(x.shape) * float(xp.finfo(x.dtype).eps), xp.int64)))
    return Svd(u[:, :rank], s[:rank], vt[:rank, :])


def top_k(scores: Array, k: int) -> tuple[Array, Array]:
    """The k largest entries of each row in descending order, and their columns."""
    if is_torch_array(scores):
        values, index = scores.topk(k, dim=1)
        return values, index
    if is_jax_array(scores):
        import jax

        values, index = jax.lax.top_k(scores, k)
        return values, index
    xp = array_namespace(scores)
    rest = scores.shape[1] - k
    part = xpx.argpartition(scores, rest, axis=1)[:, rest:]
    values = xp.take_along_axis(scores, part, axis=1)
    order = xp.argsort(-values, axis=1, stable=True)
    return xp.take_along_axis(values, order, axis=1), xp.take_along_axis(part, order, axis=1)


def similarities(rows: Array, begin: int, end: int, offset: Array | None = None) -> Array:
    """Inner products of rows begin:end with all rows, (end - begin, n), minus infinity with themselves.

    Args:
        rows: Rows (n, d).
        begin: The first of the rows that are compared.
        end: The first that is not.
        offset: What is subtracted for each row that they are compared with, (n,): half the squared norms make the order
            that of Euclidean distances.
    """
    n, own = rows.shape[0], np.arange(begin, end)
    s = self_products(rows) if end - begin == n else rows[begin:end, :] @ rows.T
    if offset is not None:
        s = s - offset[None, :]
    xp = array_namespace(s)
    if isinstance(s, np.ndarray):
        s[np.arange(len(own)), own] = -np.inf
        return s
    if is_torch_array(s):
        s[xp.arange(len(own)), xp.asarray(own)] = -xp.inf
        return s
    at = xp.asarray(own[:, None] == np.arange(n)[None, :])
    at = at if is_jax_array(s) else to_device(at, device(s))
    return xp.where(at, xp.asarray(-xp.inf, dtype=s.dtype, device=device(s)), s)


def upper_strip(rows: np.ndarray[Any, Any], begin: int, end: int, out: np.ndarray[Any, Any]) -> None:
    """Inner products of rows begin:end with those from begin on, into `out`.

    BLAS makes the square at the diagonal in half the work, and copies its halves fast where it is small.
    """
    part, square = rows[begin:end], end - begin
    out[:, :square] = part @ part.T
    if end < len(rows):
        np.matmul(part, rows[end:].T, out=out[:, square:])


def self_products(rows: Array) -> Array:
    """Inner products of all rows (n, n), each pair of rows once where NumPy's BLAS makes them."""
    n = rows.shape[0]
    if not isinstance(rows, np.ndarray) or n < 2 * STRIP:
        return rows @ rows.T
    out = np.empty((n, n), dtype=rows.dtype)

    def strip(begin: int) -> None:
        end = min(n, begin + STRIP)
        upper_strip(rows, begin, end, out[begin:end, begin:])
        out[end:, begin:end] = out[begin:end, end:].T

    on_threads(strip, range(0, n, STRIP), n * n * rows.shape[1] / 2)
    return out


def nearest_others(rows: Array, k: int, *, euclidean: bool = False) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The k nearest other rows of each, nearest first, by inner product or by Euclidean distance: host array (n, k).

    A row is excluded by its index, so a copy of it may be its nearest. Similarities are made in blocks of the working
    memory.
    """
    n = rows.shape[0]
    offset = array_namespace(rows).sum(rows * rows, axis=1) / 2 if euclidean else None
    step = max(1, block_bytes(8 * n * _MOST_ROWS) // (8 * n))
    blocks = (similarities(rows, s, min(n, s + step), offset) for s in range(0, n, step))
    return np.concatenate([to_numpy(top_k(block, k)[1]) for block in blocks])
