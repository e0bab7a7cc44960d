"""One layer as an implicit n x n kernel matrix over its items.

Every estimator of CKA and HSIC is an inner product of *adjusted* kernel matrices:

- ``biased``: double-centred (Gretton et al. 2005; Kornblith et al. 2019);
- ``unbiased``: U-centred, zero diagonal and zero row sums (Song et al. 2012, eq. 5, rearranged as by Székely and Rizzo
  2014), over n (n - 3);
- ``lange``: double-centred, then the diagonal dropped (Lange, Kwok, Matelsky, Wang, Rolnick and Kording 2022).

A kernel has one of three forms: a linear one is its features (`FeatureKernel`), or, of NumPy features of many items in
memory or on disk, rows that are read when they are needed, without a copy (`StreamedKernel`); any other is its matrix
(`MatrixKernel`). `products` has their inner products.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, NamedTuple

import array_api_extra as xpx
import numpy as np
from array_api_compat import array_namespace

from ...._core.arrays import MANY, Array, Unread, is_traced, take_rows
from ...._core.linalg import (
    center,
    double_center,
    gathered,
    has_far_item,
    number,
    require_variation,
    scaled_and_size,
    sum_squares,
    u_center,
)
from ...._core.memory import require
from ....errors import InputError
from .streaming import Rows, rows_of

ESTIMATORS = ("unbiased", "biased", "lange")


class Missing(NamedTuple):
    """What a sketch of a kernel leaves out, as Frobenius norms of the difference, in the units of the data.

    Attributes:
        bound: What it is at most: the trace of the difference, which is positive semi-definite.
        measured: An estimate of it from some of the items.
    """

    bound: float
    measured: float


@dataclasses.dataclass(eq=False)
class Kernel(ABC):
    """A layer's adjusted kernel matrix (n, n), in units in which its mean diagonal (or mean square) is one.

    Attributes:
        estimator: One of `ESTIMATORS`.
        own: Its inner product with itself, once some comparison has made it; no order of the items changes it.
        missing: How far this kernel is from the one that it stands for, where it is a sketch; else None.
    """

    estimator: str
    own: Array | None = dataclasses.field(default=None, kw_only=True, repr=False)
    missing: Missing | None = dataclasses.field(default=None, kw_only=True, repr=False)

    @property
    @abstractmethod
    def n(self) -> int:
        """Number of items."""

    @property
    @abstractmethod
    def dtype(self) -> Any:
        """Dtype of the features, or of the matrix."""

    @property
    @abstractmethod
    def scale(self) -> Any:
        """Factor f, a number: the kernel matrix in the units of the data is f² times the one that is compared."""

    @property
    @abstractmethod
    def resident(self) -> FeatureKernel | MatrixKernel:
        """The same kernel with all that it is made of in memory.

        Raises:
            InputError: if its rows are many and a centred copy of them does not fit.
        """

    @abstractmethod
    def permuted(self, order: Any) -> Kernel:
        """The kernel of the items in another order."""

    def whole(self) -> Array:
        """The adjusted matrix itself (n, n).

        Raises:
            InputError: as `resident`.
        """
        return self.resident.whole()


@dataclasses.dataclass(eq=False)
class MatrixKernel(Kernel):
    """A kernel held as its adjusted matrix.

    Attributes:
        matrix: The adjusted matrix (n, n).
        unit: What `scale` is.
    """

    matrix: Array
    unit: Any = 1.0

    @property
    def n(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def dtype(self) -> Any:
        return self.matrix.dtype

    @property
    def scale(self) -> Any:
        return self.unit

    @property
    def resident(self) -> MatrixKernel:
        return self

    @property
    def array(self) -> Array:
        """The array that is held."""
        return self.matrix

    @cached_property
    def diagonal(self) -> Array:
        """Diagonal of the adjusted matrix, float64 (n,)."""
        xp = array_namespace(self.matrix)
        return xp.astype(xp.linalg.diagonal(self.matrix), xp.float64)

    def strip(self, start: int, stop: int) -> Array:
        """Rows start:stop from column `start` on, a view of the matrix."""
        return self.matrix[start:stop, start:]

    def whole(self) -> Array:
        return self.matrix

    def permuted(self, order: Any) -> MatrixKernel:
        turn = array_namespace(self.matrix).matrix_transpose
        matrix = turn(take_rows(turn(take_rows(self.matrix, order)), order))
        return MatrixKernel(self.estimator, matrix, self.unit, own=self.own)


@dataclasses.dataclass(eq=False)
class LinearKernel(Kernel):
    """A linear kernel, for which features stand: what both of its forms share.

    Attributes:
        same_feature: Sum over features of the unbiased inner product of that feature's own kernel with itself, for
            Chun's estimator; None until `same_feature_products` has made it.
    """

    same_feature: Array | None = dataclasses.field(default=None, kw_only=True, repr=False)

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Number of features."""

    @property
    @abstractmethod
    def resident(self) -> FeatureKernel:
        """The same kernel as centred features in memory.

        Raises:
            InputError: if the rows are many and a centred copy of them does not fit.
        """

    def same_feature_products(self) -> Array:
        """`same_feature`, made now unless it is known.

        Raises:
            InputError: if there is one feature only: no pair of different features is left.
        """
        if self.same_feature is None:
            x, n = self.resident.features, self.n
            xp = array_namespace(x)
            if x.shape[1] < 2:
                raise InputError(
                    "cka(estimator='chun') needs at least 2 features: it removes what a feature shares with itself."
                )
            if self.resident.far:
                self.same_feature = _same_feature_of_others(x)
                return self.same_feature
            squares = xp.astype(x, xp.float64) ** 2
            totals = xp.sum(squares, axis=0) ** 2
            pairs, items = 1 + 1 / ((n - 1) * (n - 2)), 1 + 2 / (n - 2)
            self.same_feature = xp.sum(totals) * pairs - xp.sum(squares**2) * items
        return self.same_feature


@dataclasses.dataclass(eq=False)
class FeatureKernel(LinearKernel):
    """A linear kernel held as its features.

    Attributes:
        features: Centred features (n, d) of mean squared row norm one.
        unit: What `scale` is.
        far: Whether an item is far from all others. Features are about where those are then, and the d1 x d2 products,
            in which its square cancels, do not serve.
    """

    features: Array
    unit: Any = 1.0
    far: bool = False

    @property
    def n(self) -> int:
        return int(self.features.shape[0])

    @property
    def n_features(self) -> int:
        return int(self.features.shape[1])

    @property
    def dtype(self) -> Any:
        return self.features.dtype

    @property
    def scale(self) -> Any:
        return self.unit

    @property
    def resident(self) -> FeatureKernel:
        return self

    @property
    def array(self) -> Array:
        """The array that is held."""
        return self.features

    @cached_property
    def diagonal(self) -> Array:
        """Squared norms of the features, float64 (n,): the diagonal of the centred kernel before any is dropped."""
        return sum_squares(self.features, axis=1)

    @cached_property
    def row_sums(self) -> Array:
        """Row sums of the zero-diagonal kernel of the features, float64 (n,).

        They are -|x_i|^2 but for what centring leaves in float32, which an outlying item of the other side would show.
        """
        x = self.features
        xp = array_namespace(x)
        left = xp.astype(xp.sum(x, axis=0, dtype=xp.float64), x.dtype)
        return xp.astype(x @ left, xp.float64) - self.diagonal

    @cached_property
    def level(self) -> Array:
        """What U-centring adds: u_i + u_j at (i, j), here u, float64 (n,)."""
        r, n = self.row_sums, self.n
        return array_namespace(r).sum(r) / (2 * (n - 1) * (n - 2)) - r / (n - 2)

    def strip(self, start: int, stop: int) -> Array:
        """Rows start:stop of the adjusted matrix from column `start` on; its diagonal is not meant to be used."""
        x = self.features
        k = x[start:stop, :] @ x[start:, :].T
        if self.estimator == "unbiased":
            u = array_namespace(x).astype(self.level, x.dtype)
            k += u[start:stop][:, None]
            k += u[start:][None, :]
        return k

    def whole(self) -> Array:
        require(
            3 * self.n**2 * (array_namespace(self.features).finfo(self.dtype).bits // 8),
            f"The kernel of {self.n:,} x {self.n:,} items",
            "The score alone needs no such matrix; for what is said of each pair or item, use fewer items.",
        )
        k = self.strip(0, self.n)
        return k if self.estimator == "biased" else without_diagonal(k)

    def permuted(self, order: Any) -> FeatureKernel:
        features = take_rows(self.features, order)
        return dataclasses.replace(self, features=features)


def _same_feature_of_others(x: Array) -> Array:
    """`same_feature` from sums over the other items of each, so that the square of a far item need not cancel."""
    xp, n = array_namespace(x), x.shape[0]

    def others(values: Array) -> Array:
        none = xp.zeros_like(values[:1, :])
        before = xp.concat([none, xp.cumulative_sum(values, axis=0)[:-1, :]])
        behind = xp.flip(xp.concat([none, xp.cumulative_sum(xp.flip(values, axis=0), axis=0)[:-1, :]]), axis=0)
        return before + behind

    rows = x * others(x)  # row sums of each feature's own kernel without its diagonal
    entries = xp.sum(x * x * others(x * x))
    return entries - xp.sum(rows**2) * 2 / (n - 2) + xp.sum(xp.sum(rows, axis=0) ** 2) / ((n - 1) * (n - 2))


@dataclasses.dataclass(eq=False)
class StreamedKernel(LinearKernel):
    """A linear kernel of many items whose rows are read where they lie.

    Attributes:
        rows: How they are read; a first comparison may find that this must be done with more care.
        size: What `scale` is, once a comparison that read the rows has made it.
    """

    rows: Rows
    size: Any = None

    @property
    def n(self) -> int:
        return self.rows.shape[0]

    @property
    def n_features(self) -> int:
        return self.rows.shape[1]

    @property
    def dtype(self) -> Any:
        return self.rows.dtype

    @property
    def scale(self) -> Any:
        if self.size is None:  # not read in blocks: a copy was made
            self.size = self.resident.unit
        return self.size

    @cached_property
    def resident(self) -> FeatureKernel:
        n, d = self.rows.shape
        require(
            2 * n * d * self.rows.dtype.itemsize,
            f"A centred copy of features of shape {(n, d)}",
            "Scores alone need no copy; for what needs one, use fewer items.",
        )
        return _centered_kernel(self.rows.array(), self.estimator)

    def permuted(self, order: Any) -> StreamedKernel:
        return dataclasses.replace(self, rows=self.rows.permuted(order))


def linear_kernel(x: Array | Unread, estimator: str, what: str = "x") -> LinearKernel:
    """The linear kernel of features (n, d): as centred features, or as rows to be read where NumPy has many.

    Raises:
        InputError: if all items are the same (of many items, when they are compared); the values of `Unread` features
            are checked when they are first read, before anything that came of them is returned.
    """
    if isinstance(x, Unread) or (isinstance(x, np.ndarray) and len(x) >= MANY):
        return StreamedKernel(estimator, rows_of(x))
    return _centered_kernel(x, estimator, what)


def _centered_kernel(x: Array, estimator: str, what: str = "x") -> FeatureKernel:
    """The linear kernel as centred features of mean squared row norm one.

    Raises:
        InputError: if all items are the same.
    """
    xp = array_namespace(x)
    centered = center(x)
    require_variation(x, centered, what)
    features, size = scaled_and_size(centered, what)
    kernel = FeatureKernel(estimator, features, size)
    if xp.finfo(x.dtype).bits < 64 and not is_traced(x) and number(xp.max(kernel.diagonal)) > 0.4 * x.shape[0]:
        # one item is far from all others: what is left beside it needs more digits
        return _centered_kernel(xp.astype(x, xp.float64), estimator, what)
    if estimator == "unbiased" and has_far_item(features, kernel.diagonal):
        return FeatureKernel(estimator, gathered(features), size, True)
    return kernel


def dense_kernel(matrix: Array, estimator: str, dtype: Any, what: str = "x") -> MatrixKernel:
    """Adjust any symmetric kernel matrix (n, n) and hold it in `dtype`.

    Raises:
        InputError: if nothing is left after adjusting, as when all items are equally similar.
    """
    adjusted = u_center(matrix) if estimator == "unbiased" else double_center(matrix)
    if estimator == "lange":
        adjusted = without_diagonal(adjusted)
    xp = array_namespace(matrix)
    noise = 0.0 if is_traced(matrix) else 64 * float(xp.finfo(matrix.dtype).eps) ** 2 * number(sum_squares(matrix))
    size = require_spread(sum_squares(adjusted), noise, what) ** 0.5 / matrix.shape[0]  # root mean square
    held = xp.astype(adjusted / xp.astype(size, adjusted.dtype), dtype)
    return MatrixKernel(estimator, held, size**0.5)


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
