"""Inner products of all pairs of adjusted kernels.

Of linear kernels two routes exist and the cheaper one is taken for a whole block: the n x n kernels in strips of rows
above the diagonal, or the d1 x d2 cross-covariances. Neither holds more of them than a fixed working memory. Products
run in the dtype of the features, sums of blocks in float64. NumPy features of many items, in memory or on disk, are
not even copied: see `streaming`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

import array_api_extra as xpx
import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array, is_torch_array

from ...._core.arrays import Array, to_numpy
from ...._core.linalg import long_product, sum_squares
from ...._core.memory import block_bytes, fits
from ....errors import InputError
from ....nulls.ucentered import strict_upper
from ..pairs import distinct, over_pairs
from .gram import FeatureKernel, Kernel, LinearKernel, MatrixKernel, StreamedKernel, require_spread
from .streaming import products
from .triangles import CHUNK, triangle_products

Floats = np.ndarray[Any, np.dtype[np.float64]]

STRIP_BYTES = 64 << 20  # working memory for the strips of all layers of a block


def inner_products(xs: Sequence[Kernel], ys: Sequence[Kernel], *, check: bool = True) -> tuple[Array, Array, Array]:
    """Inner products of all pairs of adjusted kernels, and of each with itself, all float64.

    Returns:
        cross: (len(xs), len(ys)).
        own_x: (len(xs),).
        own_y: (len(ys),).

    Args:
        xs: Layers of one side.
        ys: Layers of the other.
        check: Whether to refuse kernels that are zero up to rounding.

    Raises:
        InputError: if the numbers of items differ, or a kernel has no structure.
    """
    sizes = {k.n for k in (*xs, *ys)}
    if len(sizes) > 1:
        raise InputError(f"Layers of one comparison must have the same items, found {sorted(sizes)} items.")
    cross, own = _products(xs, ys)
    xp = array_namespace(cross)
    checked = []
    for k, value in zip((*xs, *ys), own, strict=True):
        if k.own is None and check:
            k.own = require_spread(value, _noise(k))
        checked.append(value if k.own is None else k.own)
    return cross, xp.stack(checked[: len(xs)]), xp.stack(checked[len(xs) :])


def own_products(kernels: Sequence[Kernel]) -> Array:
    """The inner product of each kernel with itself, as `inner_products` gives it, without making any other."""
    missing = [k for k in distinct(kernels, [])[0] if k.own is None]
    if missing:
        inner_products(missing, missing[:1])
    values = [k.own for k in kernels]
    return array_namespace(*values).stack(values)


def _noise(kernel: Kernel) -> float:
    """What rounding leaves of an inner product of a linear kernel with itself whose true value is zero."""
    if not isinstance(kernel, LinearKernel):
        return 0.0
    xp = array_namespace(kernel.features) if isinstance(kernel, FeatureKernel) else np
    eps = float(xp.finfo(kernel.dtype).eps)
    return 64 * eps**2 * kernel.n**2  # its trace is n


def _products(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> tuple[Array, list[Array]]:
    if _are_linear(xs) and _are_linear(ys):
        strips = _strips_are_cheaper(xs, ys)
        if not (_are_streamed(xs) and _are_streamed(ys)):
            return (_strip_products if strips else _covariance_products)(xs, ys)
        copies = sum(k.n * k.n_features * k.dtype.itemsize for k in distinct(xs, ys)[0])
        if not (strips and fits(2 * copies)):
            return _streamed_products(xs, ys)
    return _strip_products(xs, ys)


def _are_linear(side: Sequence[Kernel]) -> TypeGuard[Sequence[LinearKernel]]:
    return all(isinstance(k, LinearKernel) for k in side)


def _are_streamed(side: Sequence[Kernel]) -> TypeGuard[Sequence[StreamedKernel]]:
    return all(isinstance(k, StreamedKernel) for k in side)


def _strips_are_cheaper(xs: Sequence[LinearKernel], ys: Sequence[LinearKernel]) -> bool:
    """Whether strips of the kernels cost less than cross-covariances, or keep the digits that these lose."""
    if any(isinstance(k, FeatureKernel) and k.far for k in (*xs, *ys)):
        return True
    d1, d2 = ([k.n_features for k in side] for side in (xs, ys))
    n = xs[0].n
    strips = n * n * (sum(d1) + sum(d2) + len(d1) * len(d2) + len(d1) + len(d2))
    covariances = 2 * n * (sum(d1) * sum(d2) + sum(d * d for d in (*d1, *d2)))
    return bool(strips <= covariances)


def _strip_products(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> tuple[Array, list[Array]]:
    kernels, rows_x, rows_y = distinct(xs, ys)
    every = [k.resident for k in kernels]
    xp = array_namespace(*(k.array for k in every))
    where = device(every[0].array)
    dtype = xp.result_type(*(k.array.dtype for k in every))
    every = [_in_dtype(k, dtype) for k in every]
    at_x, at_y = (xp.asarray(r, device=where) for r in (rows_x, rows_y))
    if is_numpy_array(every[0].array):
        cross, own = triangle_products(every, rows_x, rows_y)
    else:
        cross = xp.zeros((len(xs), len(ys)), dtype=xp.float64, device=where)
        own = xp.zeros((len(every),), dtype=xp.float64, device=where)
        for part in _strips(every):
            own = own + xp.astype(xp.vecdot(part, part), xp.float64)
            left, right = xp.take(part, at_x, axis=0), xp.take(part, at_y, axis=0)
            cross = cross + long_product(left, xp.matrix_transpose(right))
    cross, own = 2 * cross, 2 * own  # of both triangles
    if xs[0].estimator == "biased":
        diagonals = xp.stack([k.diagonal for k in every])
        cross = cross + xp.take(diagonals, at_x, axis=0) @ xp.take(diagonals, at_y, axis=0).T
        own = own + xp.stack([xp.sum(k.diagonal**2) for k in every])
    return cross, [own[r] for r in (*rows_x, *rows_y)]


def _in_dtype(kernel: FeatureKernel | MatrixKernel, dtype: Any) -> FeatureKernel | MatrixKernel:
    """The kernel in a dtype that is no narrower: beside a layer that needs more digits."""
    if kernel.dtype == dtype:
        return kernel
    wider = array_namespace(kernel.array).astype(kernel.array, dtype)
    if isinstance(kernel, FeatureKernel):
        return FeatureKernel(kernel.estimator, wider)
    return MatrixKernel(kernel.estimator, wider)


def _strips(every: Sequence[FeatureKernel | MatrixKernel]) -> Iterator[Array]:
    """What lies above the diagonal of every adjusted matrix, zero below it, a part of a strip of rows at a time."""
    held = every[0].array
    n, xp = every[0].n, array_namespace(held)
    width = max(1, min(n, 256, block_bytes(STRIP_BYTES) // (len(every) * n * (xp.finfo(held.dtype).bits // 8))))
    for start in range(0, n, width):
        stop = min(n, start + width)
        mask = strict_upper(stop - start, xp, held.dtype, device(held))
        strips = []
        for k in every:
            strip = xp.astype(k.strip(start, stop), held.dtype, copy=isinstance(k, MatrixKernel))  # never into a matrix
            strips.append(xp.reshape(xpx.at(strip)[:, : stop - start].multiply(mask), (-1,)))
        for c in range(0, strips[0].shape[0], CHUNK):
            yield xp.stack([strip[c : min(strip.shape[0], c + CHUNK)] for strip in strips])


def _covariance_products(xs: Sequence[LinearKernel], ys: Sequence[LinearKernel]) -> tuple[Array, list[Array]]:
    left, right = ([k.resident for k in side] for side in (xs, ys))
    xp = array_namespace(*(k.features for k in (*left, *right)))
    cross = xp.stack([xp.stack([_linear_product(x, y) for y in right]) for x in left])
    return cross, [_linear_product(k.resident, k.resident) if k.own is None else k.own for k in (*xs, *ys)]


def _streamed_products(xs: Sequence[StreamedKernel], ys: Sequence[StreamedKernel]) -> tuple[Array, list[Array]]:
    """Through cross-covariances of rows that are read once, or, where there are very many layers, a few times."""
    every, at_x, at_y = distinct(xs, ys)
    pairs = dict.fromkeys((i, j) for i in at_x for j in at_y)
    own = dict.fromkeys((i, i) for i, k in enumerate(every) if k.own is None or k.size is None)
    rows = [k.rows for k in every]
    values, traces = products(rows, list(own | pairs), xs[0].estimator)
    unit = traces / every[0].n  # mean squared norms
    for i, k in enumerate(every):
        k.rows = rows[i]
        k.size = np.float64(rows[i].unit * math.sqrt(unit[i]))
    cross = np.array([[_at(values, i, j, unit) for j in at_y] for i in at_x])
    selves = [np.float64(_at(values, i, i, unit)) if (i, i) in values else k.own for i, k in enumerate(every)]
    return cross, [selves[i] for i in (*at_x, *at_y)]


def _at(values: dict[tuple[int, int], float], i: int, j: int, unit: Any) -> float:
    return float(values[i, j] / (unit[i] * unit[j]))


def _linear_product(x: FeatureKernel, y: FeatureKernel) -> Array:
    """One inner product of adjusted linear kernels through their cross-covariance."""
    n, dx, dy = x.n, x.diagonal, y.diagonal
    xp = array_namespace(dx, dy)
    full = sum_squares(cross_covariance(x.features, y.features))
    if x.estimator == "biased":
        return full
    both = xp.sum(dx * dy)
    if x.estimator == "lange":
        return full - both
    rx, ry = x.row_sums, y.row_sums
    value = full - both - xp.sum(rx * ry) * 2 / (n - 2) + xp.sum(rx) * xp.sum(ry) / ((n - 1) * (n - 2))
    # what the float64 sums themselves may leave of a true zero counts as zero
    return xp.where(xp.abs(value) > 64 * float(xp.finfo(xp.float64).eps) * full, value, value * 0)


def item_products(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Floats:
    """What each item gives to the inner products of all pairs: the sums of the rows of K ∘ L, (n, len(xs), len(ys)).

    Of linear kernels from their cross-covariances where these are cheaper than rows of the kernels.

    Raises:
        InputError: if rows that are many do not fit the memory.
    """
    if _are_linear(xs) and _are_linear(ys) and not _strips_are_cheaper(xs, ys):
        return over_pairs(_linear_item_products, xs, ys)
    n, (every, at_x, at_y) = xs[0].n, distinct(xs, ys)
    out = np.empty((n, len(xs), len(ys)))
    width = max(1, min(n, block_bytes(STRIP_BYTES) // (len(every) * n * 8)))
    for s in range(0, n, width):
        e = min(n, s + width)
        k = np.stack([host_rows(kernel, s, e) for kernel in every], axis=1)  # (e - s, layers, n)
        out[s:e] = np.matmul(k[:, at_x], k[:, at_y].transpose(0, 2, 1))
    return out


def _linear_item_products(x: LinearKernel, y: LinearKernel) -> Floats:
    """Row i of K ∘ L sums to x_i'(X'Y) y_i, to which adjusting the kernels adds what `_linear_product` adds in all."""
    one, two, n = x.resident, y.resident, x.n
    cross = to_numpy(cross_covariance(one.features, two.features))
    left, right = (np.asarray(to_numpy(k.features)) for k in (one, two))
    full = np.empty(n)
    for s in range(0, n, CHUNK):
        a, b = (z[s : s + CHUNK].astype(np.float64) for z in (left, right))
        full[s : s + CHUNK] = np.vecdot(a @ cross, b)
    if x.estimator == "biased":
        return full
    a, b = to_numpy(one.diagonal), to_numpy(two.diagonal)
    if x.estimator == "lange":
        return np.asarray(full - a * b)
    u, v, ra, rb = (np.asarray(to_numpy(w)) for w in (one.level, two.level, one.row_sums, two.row_sums))
    # off the diagonal the U-centred kernels are x_i'x_j + u_i + u_j and y_i'y_j + v_i + v_j
    mixed = left @ (left.T @ v) - a * v + v * ra + right @ (right.T @ u) - b * u + u * rb
    levels = (n - 4) * u * v + u * v.sum() + v * u.sum() + u @ v
    return np.asarray(full - a * b + mixed + levels)


def cross_covariance(x: Array, y: Array) -> Array:
    """Cross-covariance x' y in float64, from products over blocks of rows in the features' own dtype."""
    xp = array_namespace(x, y)
    dtype = xp.result_type(x.dtype, y.dtype)
    total = None
    for s in range(0, x.shape[0], CHUNK):
        e = min(x.shape[0], s + CHUNK)
        a, b = (xp.astype(z[s:e, :], dtype, copy=False) for z in (x, y))
        part = xp.astype(xp.matrix_transpose(a) @ b, xp.float64)
        total = part if total is None else total + part
    return total


def normalizer(estimator: str, n: int) -> float:
    """What an inner product of adjusted kernels is divided by to become HSIC."""
    return float(n * (n - 3)) if estimator == "unbiased" else math.pow(n - 1, 2)


def host_rows(kernel: Kernel, start: int, stop: int) -> Floats:
    """Rows start:stop of the adjusted kernel matrix, whose diagonal was near one before, as it is held."""
    return np.asarray(to_numpy(rows_of(kernel, start, stop)))


def rows_of(kernel: Kernel, start: int, stop: int) -> Array:
    """The same, on their device where torch holds the kernel and in NumPy else."""
    resident = kernel.resident
    keep = is_torch_array(resident.array)
    held = resident.array if keep else to_numpy(resident.array)
    if isinstance(resident, MatrixKernel):
        return held[start:stop, :]  # of root mean square one
    k = held[start:stop, :] @ held.T
    if kernel.estimator != "biased":
        if kernel.estimator == "unbiased":
            u = resident.level if keep else to_numpy(resident.level)
            u = array_namespace(k).astype(u, k.dtype)
            k += u[start:stop, None] + u[None, :]
        k[np.arange(stop - start), np.arange(start, stop)] = 0.0
    return k
