"""What maps of the form ``x -> (x - mean_x) C + mean_y`` share, and the factorisation that they fit from."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, Self

import numpy as np

from .._core.checks import MOST, as_count, is_finite
from .._core.linalg import require_variation, thin_svd
from ..errors import InputError, quoted
from ._base import Map, Matrix, as_float64


class AffineMap(Map):
    """A direct map by one matrix and two means, the intercept being ``mean_y - mean_x C``.

    Attributes:
        coef_: Matrix C (d_x, d_y).
        x_mean_: Mean of the training rows of `x` (d_x,).
        y_mean_: Mean of the training rows of `y` (d_y,).
    """

    coef_: Matrix
    x_mean_: Matrix
    y_mean_: Matrix

    @abstractmethod
    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        """Learn `coef_`, `x_mean_` and `y_mean_`."""

    def embed_x(self, x: Any) -> Matrix:
        rows: Matrix = (self._rows(x) - self.x_mean_) @ self.coef_ + self.y_mean_
        return rows

    def by_blocks(self, dtype: Any) -> Callable[[Matrix, Matrix], None]:
        self._require_fitted()
        coef, x_mean, y_mean = (np.ascontiguousarray(a, dtype=dtype) for a in (self.coef_, self.x_mean_, self.y_mean_))

        work = np.empty((0, len(x_mean)), dtype=dtype)

        def into(rows: Matrix, room: Matrix) -> None:
            nonlocal work
            if len(work) < len(rows):
                work = np.empty(rows.shape, dtype=dtype)
            # before the product, so that no offset costs digits
            centered = np.subtract(rows, x_mean, out=work[: len(rows)], casting="same_kind")
            np.matmul(centered, coef, out=room)
            np.add(room, y_mean, out=room)

        return into

    @property
    def intercept_(self) -> Matrix:
        """What is added to ``x C`` (d_y,)."""
        intercept: Matrix = self.y_mean_ - self.x_mean_ @ self.coef_
        return intercept

    def _reversed(self, coef: Matrix, inverse: Self) -> Self:
        """`inverse` fitted as the map back, with the given matrix."""
        inverse.coef_, inverse.x_mean_, inverse.y_mean_ = coef, self.y_mean_, self.x_mean_
        inverse.n_features_in_, inverse.n_targets_ = self.n_targets_, self.n_features_in_
        return inverse


@dataclasses.dataclass(frozen=True)
class Factor:
    """The thin singular value decomposition of one side's centred rows, ``x - mean = U diag(s) V'``.

    Attributes:
        mean: Column means (d,).
        u: Left singular vectors (n, r), cut at the numerical rank.
        s: Singular values (r,), descending.
        vt: Right singular vectors (r, d).
    """

    mean: Matrix
    u: Matrix
    s: Matrix
    vt: Matrix

    @property
    def rank(self) -> int:
        """Numerical rank of the centred rows."""
        return len(self.s)

    @cached_property
    def total(self) -> float:
        """Sum of squares of the centred rows."""
        return float(self.s @ self.s)

    @property
    def spans_items(self) -> bool:
        """Whether every centred outcome is a combination of the features: a fit without penalty passes through it."""
        return bool(self.rank >= self.u.shape[0] - 1)


def factorize(x: Any, what: str = "x") -> Factor:
    """`Factor` of checked rows.

    Raises:
        InputError: if all rows are the same.
    """
    x = as_float64(x, what)
    mean = x.mean(axis=0)
    centered = x - mean
    require_variation(x, centered, what)
    svd = thin_svd(centered, what)
    return Factor(mean, svd.u, svd.s, svd.vt)


def require_own_factor(factor: Any, kind: type[Any], x: Matrix, owner: Map) -> None:
    """Refuse a factorisation that was made from other rows.

    Raises:
        InputError: if `factor` is of another kind or belongs to other rows.
    """
    own = factor if isinstance(factor, Factor) else getattr(factor, "factor", None)
    if (
        not isinstance(factor, kind)
        or not isinstance(own, Factor)
        or own.u.shape[0] != x.shape[0]
        or not np.array_equal(own.mean, x.mean(axis=0))
    ):
        raise InputError(f"{owner.spec}: factor was not made from these rows of x; pass factor=map.factor(x).")


def positive(owner: Map, parameter: str, value: Any, *, zero: bool = False) -> float:
    """A parameter that must be a positive number (or zero, if `zero`).

    Raises:
        InputError: if it is not.
    """
    if not is_finite(value) or float(value) < 0 or (float(value) == 0 and not zero):
        least = "a number of at least 0" if zero else "a number above 0"
        raise InputError(f"{owner.name}: {parameter}={quoted(value)} must be {least}.")
    return float(value)


def whole(owner: Map, parameter: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """A parameter that must be a whole number.

    Raises:
        InputError: if it is not, is below `least`, or above `most`.
    """
    return as_count(value, f"{owner.name}: {parameter}", least, most)


def one_of(owner: Map, parameter: str, value: Any, allowed: tuple[str, ...]) -> str:
    """A parameter that has named options.

    Raises:
        InputError: if `value` is none of them.
    """
    if value not in allowed:
        raise InputError(
            f"{owner.name}: {parameter}={value!r} is not known; use one of {', '.join(map(repr, allowed))}."
        )
    return str(value)
