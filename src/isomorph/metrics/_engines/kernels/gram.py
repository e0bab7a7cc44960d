"""One layer as an implicit n x n kernel matrix, and the inner products of all pairs of them.

Every estimator of CKA and HSIC is an inner product of *adjusted* kernel matrices:

- ``biased``: double-centred (Gretton et al. 2005; Kornblith et al. 2019);
- ``unbiased``: U-centred, zero diagonal and zero row sums (Song et al. 2012, eq. 5, rearranged as by Székely and Rizzo
  2014), over n (n - 3);
- ``lange``: double-centred, then the diagonal dropped (Lange, Kwok, Matelsky, Wang, Rolnick and Kording 2022).

A linear kernel is kept as its features, so that two routes exist and the cheaper one is taken for a whole block: the
n x n kernels in strips of rows above the diagonal, or the d1 x d2 cross-covariances. Neither holds more of them
than a fixed working memory. Products run in the dtype of the features, sums of blocks in float64. NumPy features of
many items, in memory or on disk, are not even copied: see `_streaming`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import array_api_extra as xpx
import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from ...._core.arrays import MANY, Array, Unread, is_traced, take_rows
from ...._core.linalg import (
    centre,
    double_centre,
    long_product,
    number,
    require_variation,
    scaled_and_size,
    sum_squares,
    u_centre,
)
from ...._core.memory import block_bytes, fits, require
from ....errors import InputError
from ....nulls.ucentred import strict_upper
from .streaming import Rows, products, rows_of

ESTIMATORS = ("unbiased", "biased", "lange")
STRIP_BYTES = 64 << 20  # working memory for the strips of all layers of a block
WHOLE_BYTES = 256 << 20  # the same where whole matrices are made instead
CHUNK = 1 << 13  # entries that one product sums in the features' dtype before float64 takes over


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A layer's adjusted kernel matrix, held as centred and scaled features (linear kernels) or as itself.

    Attributes:
        estimator: One of `ESTIMATORS`.
        held: Centred features (n, d) of mean squared row norm one, or None.
        matrix: The adjusted matrix (n, n), or None.
        unit: The kernel matrix in the units of the data is this, squared, times what is held.
        rows: Where rows are read from as they are needed, in the place of `held`; or None.
        cache: Results that were needed before.
    """

    estimator: str
    held: Array | None
    matrix: Array | None
    unit: Any = 1.0
    rows: Rows | None = None
    cache: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    @property
    def features(self) -> Array | None:
        """Centred features (n, d) of mean squared row norm one; None if the kernel is held as its matrix.

        Raises:
            InputError: if the rows are many and a centred copy of them does not fit.
        """
        if self.rows is None:
            return self.held
        if "whole" not in self.cache:
            n, d = self.rows.shape
            require(
                2 * n * d * self.rows.source.dtype.itemsize,
                f"A centred copy of features of shape {(n, d)}",
                "Scores alone need no copy; for what needs one, use fewer items.",
            )
            self.cache["whole"] = _centred_kernel(self.rows.array(), self.estimator)
        held: Array = self.cache["whole"].held
        return held

    @property
    def linear(self) -> bool:
        """Whether features stand for the matrix."""
        return self.matrix is None

    @property
    def array(self) -> Array:
        """The array that is held."""
        return self.features if self.linear else self.matrix

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of that array."""
        shape = self.array.shape if self.rows is None else self.rows.shape
        return (int(shape[0]), int(shape[1]))

    @property
    def dtype(self) -> Any:
        """Its dtype."""
        return self.array.dtype if self.rows is None else self.rows.source.dtype

    @property
    def n(self) -> int:
        """Number of items."""
        return self.shape[0]

    @property
    def scale(self) -> Any:
        """The kernel matrix in the units of the data is this scale, squared, times the kernel that is compared."""
        if self.rows is None:
            return self.unit
        if "size" not in self.cache:
            own_products([self])
        if "size" not in self.cache:  # a copy was made
            _ = self.features
            self.cache["size"] = self.cache["whole"].unit
        return self.cache["size"]

    def diagonal(self) -> Array:
        """Diagonal of the centred kernel before any of it is dropped, float64 (n,): squared norms if linear."""
        if "diagonal" not in self.cache:
            xp = array_namespace(self.array)
            if self.linear:
                self.cache["diagonal"] = sum_squares(self.features, axis=1)
            else:
                self.cache["diagonal"] = xp.astype(xp.linalg.diagonal(self.matrix), xp.float64)
        return self.cache["diagonal"]

    def strip(self, start: int, stop: int) -> Array:
        """Rows start:stop of the adjusted matrix from column `start` on; its diagonal is not meant to be used."""
        if not self.linear:
            return self.matrix[start:stop, start:]  # type: ignore[index]  # one of the two is always there
        x = self.features
        k = x[start:stop, :] @ x[start:, :].T  # type: ignore[index]  # linear kernels have features
        if self.estimator == "unbiased":
            u = self._shift()
            k += u[start:stop][:, None]
            k += u[start:][None, :]
        return k

    def whole(self) -> Array:
        """The adjusted matrix itself (n, n)."""
        if not self.linear:
            return self.matrix
        k = self.strip(0, self.n)
        return k if self.estimator == "biased" else without_diagonal(k)

    def permuted(self, order: Any) -> Kernel:
        """The kernel of the items in another order."""
        same: dict[str, Any] = {
            key: self.cache[key] for key in ("self", "size") if key in self.cache
        }  # sums over all items
        if self.rows is not None:
            return dataclasses.replace(self, rows=self.rows.permuted(order), cache=same)
        if self.held is not None:
            return dataclasses.replace(self, held=take_rows(self.held, order), cache=same)
        turn = array_namespace(self.matrix).matrix_transpose
        matrix = turn(take_rows(turn(take_rows(self.matrix, order)), order))
        return dataclasses.replace(self, matrix=matrix, cache=same)

    def row_sums(self) -> Array:
        """Row sums of the zero-diagonal kernel of the features, float64 (n,).

        They are -|x_i|^2 but for what centring leaves in float32, which an outlying item of the other side would show.
        """
        if "row_sums" not in self.cache:
            x = self.features
            xp = array_namespace(x)
            left = xp.astype(xp.sum(x, axis=0, dtype=xp.float64), x.dtype)  # type: ignore[union-attr]  # features only
            self.cache["row_sums"] = xp.astype(x @ left, xp.float64) - self.diagonal()
        return self.cache["row_sums"]

    def _shift(self) -> Array:
        r = self.row_sums()  # U-centring adds u_i + u_j
        xp = array_namespace(r)
        u = xp.sum(r) / (2 * (self.n - 1) * (self.n - 2)) - r / (self.n - 2)
        return xp.astype(u, self.array.dtype)


def linear_kernel(x: Array | Unread, estimator: str, what: str = "x") -> Kernel:
    """The linear kernel of features (n, d): as centred features, or as rows to be read where NumPy has many.

    Raises:
        InputError: if all items are the same (of many items, when they are compared); the values of `Unread` features
            are checked when they are first read, before anything that came of them is returned.
    """
    if isinstance(x, Unread) or (isinstance(x, np.ndarray) and len(x) >= MANY):
        return Kernel(estimator, None, None, rows=rows_of(x))
    return _centred_kernel(x, estimator, what)


def _centred_kernel(x: Array, estimator: str, what: str = "x") -> Kernel:
    """The linear kernel as centred features of mean squared row norm one.

    Raises:
        InputError: if all items are the same.
    """
    xp = array_namespace(x)
    centred = centre(x)
    require_variation(x, centred, what)
    features, size = scaled_and_size(centred, what)
    kernel = Kernel(estimator, features, None, size)
    if xp.finfo(x.dtype).bits < 64 and not is_traced(x) and number(xp.max(kernel.diagonal())) > 0.4 * x.shape[0]:
        # one item is far from all others: what is left beside it needs more digits
        return _centred_kernel(xp.astype(x, xp.float64), estimator, what)
    return kernel


def dense_kernel(matrix: Array, estimator: str, dtype: Any, what: str = "x") -> Kernel:
    """Adjust any symmetric kernel matrix (n, n) and hold it in `dtype`.

    Raises:
        InputError: if nothing is left after adjusting, as when all items are equally similar.
    """
    adjusted = u_centre(matrix) if estimator == "unbiased" else double_centre(matrix)
    if estimator == "lange":
        adjusted = without_diagonal(adjusted)
    xp = array_namespace(matrix)
    noise = 0.0 if is_traced(matrix) else 64 * float(xp.finfo(matrix.dtype).eps) ** 2 * number(sum_squares(matrix))
    size = require_spread(sum_squares(adjusted), noise, what) ** 0.5 / matrix.shape[0]  # root mean square
    held = xp.astype(adjusted / xp.astype(size, adjusted.dtype), dtype)
    return Kernel(estimator, None, held, size**0.5)


def without_diagonal(k: Array) -> Array:
    """A fresh square matrix with its diagonal set to zero (in place where arrays can be written)."""
    xp = array_namespace(k)
    n = k.shape[0]
    flat = xpx.at(xp.reshape(k, (-1,)))[:: n + 1].set(0)
    return xp.reshape(flat, (n, n))


def require_spread(own: Array, noise: float, what: str = "a layer") -> Array:
    """Pass a kernel's inner product with itself.

    Raises:
        InputError: if it is zero up to rounding: similarity to anything is then 0/0.
    """
    if not is_traced(own) and not number(own) > noise:
        raise InputError(
            f"All items of {what} are equally similar to each other (to rounding), so its kernel has no structure that "
            "another could share and the score would be 0/0. Leave this layer out, or use another estimator."
        )
    return own


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
        if "self" not in k.cache and check:
            k.cache["self"] = require_spread(value, _noise(k) if k.linear else 0.0)
        checked.append(k.cache.get("self", value))
    return cross, xp.stack(checked[: len(xs)]), xp.stack(checked[len(xs) :])


def own_products(kernels: Sequence[Kernel]) -> Array:
    """The inner product of each kernel with itself, as `inner_products` gives it, without making any other."""
    for k in kernels:
        if "self" not in k.cache:
            inner_products([k], [k])
    values = [k.cache["self"] for k in kernels]
    return array_namespace(*values).stack(values)


def _noise(kernel: Kernel) -> float:
    """What rounding leaves of an inner product of a linear kernel with itself whose true value is zero."""
    xp = np if kernel.rows is not None else array_namespace(kernel.array)
    eps = float(xp.finfo(kernel.dtype).eps)
    return 64 * eps**2 * kernel.n**2  # its trace is n


def _products(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> tuple[Array, list[Array]]:
    every = (*xs, *ys)
    if not all(k.linear for k in every):
        return _strip_products(xs, ys)
    if all(k.rows is not None for k in every):
        copies = sum(k.n * k.shape[1] * k.dtype.itemsize for k in {id(k): k for k in every}.values())
        return (_strip_products if _strips_are_cheaper(xs, ys) and fits(2 * copies) else _streamed_products)(xs, ys)
    return (_strip_products if _strips_are_cheaper(xs, ys) else _covariance_products)(xs, ys)


def _strips_are_cheaper(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> bool:
    d1, d2 = ([k.shape[1] for k in side] for side in (xs, ys))
    n = xs[0].n
    strips = n * n * (sum(d1) + sum(d2) + len(d1) * len(d2) + len(d1) + len(d2))
    covariances = 2 * n * (sum(d1) * sum(d2) + sum(d * d for d in (*d1, *d2)))
    return bool(strips <= covariances)


def _strip_products(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> tuple[Array, list[Array]]:
    every = list({id(k): k for k in (*xs, *ys)}.values())
    row = {id(k): r for r, k in enumerate(every)}
    rows_x, rows_y = [row[id(k)] for k in xs], [row[id(k)] for k in ys]
    xp = array_namespace(*(k.array for k in every))
    dtype = xp.result_type(*(k.array.dtype for k in every))
    where = device(every[0].array)
    n = every[0].n
    item_bytes = xp.finfo(dtype).bits // 8
    # BLAS makes a whole x x' in half the work through NumPy, so strips are for what would be too large
    whole = is_numpy_array(every[0].array) and len(every) * n * n * item_bytes <= block_bytes(WHOLE_BYTES)
    width = n if whole else max(1, min(n, 256, block_bytes(STRIP_BYTES) // (len(every) * n * item_bytes)))
    cross = xp.zeros((len(xs), len(ys)), dtype=xp.float64, device=where)
    own = xp.zeros((len(every),), dtype=xp.float64, device=where)
    index = [xp.asarray(r, device=where) for r in (rows_x, rows_y)]
    for start in range(0, n, width):
        strips = [_above_diagonal(k, start, min(n, start + width), dtype, whole) for k in every]
        for c in range(0, strips[0].shape[0], CHUNK):
            part = xp.stack([strip[c : min(strip.shape[0], c + CHUNK)] for strip in strips])
            own = own + xp.astype(xp.vecdot(part, part), xp.float64)
            left, right = xp.take(part, index[0], axis=0), xp.take(part, index[1], axis=0)
            cross = cross + long_product(left, xp.matrix_transpose(right))
    if not whole:
        cross, own = 2 * cross, 2 * own
    if xs[0].estimator == "biased":
        dx, dy = (xp.stack([k.diagonal() for k in side]) for side in (xs, ys))
        cross = cross + dx @ dy.T
        own = own + xp.stack([xp.sum(k.diagonal() ** 2) for k in every])
    return cross, [own[row[id(k)]] for k in (*xs, *ys)]


def _above_diagonal(kernel: Kernel, start: int, stop: int, dtype: Any, whole: bool) -> Array:
    """A strip of the adjusted matrix, flat, zero on and below the diagonal; the whole of it: zero on the diagonal."""
    if kernel.linear and kernel.array.dtype != dtype:  # beside a layer that needs more digits
        wider = array_namespace(kernel.array).astype(kernel.array, dtype)
        kernel = dataclasses.replace(kernel, held=wider, rows=None, cache={})
    strip = kernel.strip(start, stop)
    xp = array_namespace(strip)
    strip = xp.astype(strip, dtype, copy=not kernel.linear)  # never write into the matrix that is held
    if whole:
        strip = without_diagonal(strip)
    else:
        strip = xpx.at(strip)[:, : stop - start].multiply(strict_upper(stop - start, xp, dtype, device(strip)))
    return xp.reshape(strip, (-1,))


def _covariance_products(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> tuple[Array, list[Array]]:
    xp = array_namespace(*(k.array for k in (*xs, *ys)))
    cross = xp.stack([xp.stack([_linear_product(x, y) for y in ys]) for x in xs])
    return cross, [k.cache["self"] if "self" in k.cache else _linear_product(k, k) for k in (*xs, *ys)]


def _streamed_products(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> tuple[Array, list[Array]]:
    """Through cross-covariances of rows that are read once, or, where there are very many layers, a few times."""
    every = list({id(k): k for k in (*xs, *ys)}.values())
    place = {id(k): i for i, k in enumerate(every)}
    pairs = dict.fromkeys((place[id(x)], place[id(y)]) for x in xs for y in ys)
    own = dict.fromkeys((i, i) for i, k in enumerate(every) if "self" not in k.cache or "size" not in k.cache)
    rows: list[Any] = [k.cache.get("rows", k.rows) for k in every]
    values, traces = products(rows, list(own | pairs), xs[0].estimator)
    unit = traces / every[0].n  # mean squared norms
    for i, k in enumerate(every):
        k.cache["rows"] = rows[i]
        k.cache["size"] = np.float64(rows[i].unit * math.sqrt(unit[i]))
    cross = np.array([[_at(values, place[id(x)], place[id(y)], unit) for y in ys] for x in xs])
    selves = {id(k): k.cache["self"] if (i, i) not in values else _at(values, i, i, unit) for i, k in enumerate(every)}
    return cross, [np.float64(selves[id(k)]) for k in (*xs, *ys)]


def _at(values: dict[tuple[int, int], float], i: int, j: int, unit: Any) -> float:
    return float(values[i, j] / (unit[i] * unit[j]))


def _linear_product(x: Kernel, y: Kernel) -> Array:
    """One inner product of adjusted linear kernels through their cross-covariance."""
    n, dx, dy = x.n, x.diagonal(), y.diagonal()
    xp = array_namespace(dx, dy)
    full = sum_squares(cross_covariance(x.features, y.features))
    if x.estimator == "biased":
        return full
    both = xp.sum(dx * dy)
    if x.estimator == "lange":
        return full - both
    rx, ry = x.row_sums(), y.row_sums()
    value = full - both - xp.sum(rx * ry) * 2 / (n - 2) + xp.sum(rx) * xp.sum(ry) / ((n - 1) * (n - 2))
    # what the float64 sums themselves may leave of a true zero counts as zero
    return xp.where(xp.abs(value) > 64 * float(xp.finfo(xp.float64).eps) * full, value, value * 0)


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


def normaliser(estimator: str, n: int) -> float:
    """What an inner product of adjusted kernels is divided by to become HSIC."""
    return float(n * (n - 3)) if estimator == "unbiased" else math.pow(n - 1, 2)
