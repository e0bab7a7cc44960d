"""Maps by one free matrix: ridge, least squares, whitened affine; and the two controls, mean and identity."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.memory import block_bytes
from .._core.rows import BlockRows
from ..errors import InputError
from ._affine import AffineMap, Factor, factorize, positive, require_own_factor
from ._base import Map, Matrix, as_float64
from ._block_fits import BlockFactor, ridge_by_blocks
from ._ridge_path import CACHE_BYTES, RidgePath

PENALTIES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Default grid, in shares of the total variance of `x`."""


class Ridge(AffineMap):
    """Ridge regression with an intercept, its penalty chosen by exact leave-one-out.

    Minimises ``|y - x C - b|² + penalty · |x - mean|² · |C|²``: the penalty is a share of the total variance of `x`,
    so that it means the same whatever the scale and the number of items. Of several penalties the one with the least
    leave-one-out error, summed over all features of `y`, is kept; that needs no refit.

    Args:
        penalties: One share above 0, or several to choose from.

    Attributes:
        penalty_: The chosen share.
        loo_errors_: Leave-one-out mean squared error per item and feature of `y` for each penalty, or None if there
            was nothing to choose.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x @ noise[:6] + 0.5 * noise[::-1]  # linear, with noise
        >>> fitted = iso.make_map("ridge").fit(x[:80], y[:80])
        >>> round(fitted.score(x[80:], y[80:]), 3)  # held-out R²
        0.947
    """

    name: ClassVar[str] = "ridge"
    in_blocks: ClassVar[bool] = True
    reference: ClassVar[str] = (
        "Hoerl & Kennard 1970; leave-one-out in closed form: Allen 1974 (PRESS). Equals scikit-learn's RidgeCV with "
        "alphas = penalties * |x - mean|²."
    )

    def __init__(self, penalties: float | Sequence[float] = PENALTIES) -> None:
        self.penalties = penalties

    def factor(self, x: Any) -> RidgePath | BlockFactor:
        """One singular value decomposition, shared by all fits on the same rows of `x`."""
        if isinstance(x, BlockRows) and not x.fit_whole:
            return BlockFactor.of(x)
        return self._factor_whole(x)

    def _factor_whole(self, x: Any) -> RidgePath:
        return RidgePath(factorize(x), penalty_grid(self, self.penalties))

    def _factor_once(self, x: Matrix) -> RidgePath:
        return dataclasses.replace(self._factor_whole(x), shared=False)

    def _fit_blocks(self, x: BlockRows, y: BlockRows, factor: Any) -> None:
        grid = penalty_grid(self, self.penalties)
        own = factor if isinstance(factor, BlockFactor) else BlockFactor.of(x)
        which, self.loo_errors_, self.coef_ = ridge_by_blocks(own, y, grid)
        self.x_mean_, self.y_mean_, self.penalty_ = own.rows.mean, y.mean, grid[which]

    def fit_grid(self, xs: Sequence[Any], ys: Sequence[Any]) -> Iterator[tuple[int, int, Ridge]]:
        """Fits from every layer of `xs` to every layer of `ys`, over the same items.

        One singular value decomposition an x layer and one Gram matrix a y layer do the choice of all penalties; one
        product a pair remains. The maps come one at a time, since all of them together can fill the memory.

        Args:
            xs: Layers (n_pairs, d_i).
            ys: Layers (n_pairs, d_j), rows paired with those of `xs`.

        Yields:
            Position in `xs`, position in `ys`, and the fitted map.

        Raises:
            InputError: as `fit`.
        """
        if any(isinstance(rows, BlockRows) for rows in (*xs, *ys)):
            for i, j, fitted in super().fit_grid(xs, ys):
                assert isinstance(fitted, Ridge)  # copies of this map
                yield i, j, fitted
            return
        centered = [(y := as_float64(each, f"ys[{j}]")) - y.mean(axis=0) for j, each in enumerate(ys)]
        share = bool(centered) and len(centered[0]) ** 2 * 8 * len(centered) <= block_bytes(CACHE_BYTES)
        grams = [y @ y.T if share else None for y in centered]
        for i, x in enumerate(xs):
            path = self._factor_whole(x)
            for j, y in enumerate(ys):
                fitted = Ridge(self.penalties)
                fitted._gram = grams[j]
                fitted.fit(x, y, factor=path)
                del fitted._gram
                yield i, j, fitted

    _gram: Matrix | None = None

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        require_own_factor(factor, RidgePath, x, self)
        self.x_mean_, self.y_mean_ = factor.factor.mean, y.mean(axis=0)
        centered = y - self.y_mean_
        which, self.loo_errors_ = choose_penalty(factor, centered, self._gram)
        self.penalty_ = factor.penalties[which]
        self.coef_ = factor.solve(which, centered)


def penalty_grid(owner: Map, penalties: Any) -> tuple[float, ...]:
    """The penalties as a tuple.

    Raises:
        InputError: if there is none, or one is not a positive number.
    """
    values = (
        penalties if isinstance(penalties, (Sequence, np.ndarray)) and not isinstance(penalties, str) else (penalties,)
    )
    if len(values) == 0:
        raise InputError(f"{owner.name}: penalties is empty; give at least one share of the variance, such as 0.01.")
    return tuple(positive(owner, "penalties", v) for v in values)


def choose_penalty(path: RidgePath, y: Matrix, gram: Matrix | None = None) -> tuple[int, Matrix | None]:
    """Position of the penalty with the least leave-one-out error, and the mean squared errors of all."""
    if len(path.penalties) == 1:
        return 0, None
    errors = path.errors(y, gram) / y.size
    return int(np.argmin(errors)), errors


class LeastSquares(AffineMap):
    """Ordinary least squares with an intercept: the solution of smallest norm, by the pseudo-inverse.

    With fewer pairs than features it passes through every pair, and near equality it is at its worst on new items
    (double descent); `ridge` is the careful choice.

    Args:
        tolerance: Singular values of `x` up to this share of the largest are taken for zero; by default
            ``max(n, d) * eps``, as `numpy.linalg.matrix_rank`.

    Attributes:
        rank_: Number of directions of `x` that were used.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x @ noise[:6] + 0.5 * noise[::-1]  # linear, with noise
        >>> fitted = iso.make_map("least_squares").fit(x[:80], y[:80])
        >>> round(fitted.score(x[80:], y[80:]), 3)  # held-out R²
        0.947
    """

    name: ClassVar[str] = "least_squares"
    reference: ClassVar[str] = "Penrose 1956; direct matching A⁺B of Csiszárik et al. 2021, here with an intercept."

    def __init__(self, tolerance: float | None = None) -> None:
        self.tolerance = tolerance

    def factor(self, x: Any) -> Factor:
        """One singular value decomposition, shared by all fits on the same rows of `x`."""
        return factorize(x)

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        require_own_factor(factor, Factor, x, self)
        share = 0.0 if self.tolerance is None else positive(self, "tolerance", self.tolerance, zero=True)
        self.rank_ = int(np.sum(factor.s > share * factor.s[0]))
        if self.rank_ == 0:
            raise InputError(f"{self.name}: tolerance={share} leaves no direction of x; it must be below 1.")
        self.x_mean_, self.y_mean_ = factor.mean, y.mean(axis=0)
        u, s, vt = factor.u[:, : self.rank_], factor.s[: self.rank_], factor.vt[: self.rank_]
        self.coef_ = vt.T @ ((u.T @ (y - self.y_mean_)) / s[:, None])


class Affine(AffineMap):
    """Whiten `x`, rotate, colour as `y`: the affine map that carries covariance to covariance.

    Both sides are whitened by their own covariance, joined by the orthogonal map between the whitened pairs, and the
    whitening of `y` is undone. Other than regression it does not shrink towards the mean, and it has an inverse.
    Directions that the pairs do not span are mapped to the mean. Where the ranks differ the join is a partial isometry.

    Args:
        regularization: Share of the mean variance per direction that is added to every direction before whitening,
            on both sides; keeps the smallest directions from being blown up.

    Attributes:
        rank_: Directions that are carried over: the smaller of the two ranks.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x @ noise[:6] + 1  # an affine image
        >>> fitted = iso.make_map("affine(regularization=0.0)").fit(x[:80], y[:80])
        >>> round(fitted.score(x[80:], y[80:]), 3)  # held-out R²
        1.0
    """

    name: ClassVar[str] = "affine"
    reference: ClassVar[str] = (
        "Whitening and colouring around an orthogonal Procrustes solution (the framework of Artetxe et al. 2018)."
    )

    def __init__(self, regularization: float = 0.01) -> None:
        self.regularization = regularization

    def factor(self, x: Any) -> Factor:
        """One singular value decomposition, shared by all fits on the same rows of `x`."""
        return factorize(x)

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        require_own_factor(factor, Factor, x, self)
        share = positive(self, "regularization", self.regularization, zero=True)
        fx, fy = factor, factorize(y, "y")
        wide_x, wide_y = (np.sqrt(f.s**2 + share * f.total / f.rank) for f in (fx, fy))
        left, _, right = np.linalg.svd(
            (fx.s / wide_x)[:, None] * (fx.u.T @ fy.u) * (fy.s / wide_y), full_matrices=False
        )
        rotation = left @ right
        self.rank_ = min(fx.rank, fy.rank)
        self.x_mean_, self.y_mean_ = fx.mean, fy.mean
        self.coef_ = (fx.vt.T / wide_x) @ rotation @ (wide_y[:, None] * fy.vt)
        self._back = (fy.vt.T / wide_y) @ rotation.T @ (wide_x[:, None] * fx.vt)

    def inverse(self) -> Affine:
        """Whiten `y`, rotate back, colour as `x`: exact on the directions that were carried over.

        Raises:
            InputError: if the map is not fitted.
        """
        self._require_fitted()
        inverse = self._reversed(self._back, Affine(self.regularization))
        inverse._back, inverse.rank_ = self.coef_, self.rank_
        return inverse


class Mean(AffineMap):
    """Control: predicts the mean of `y` whatever `x` is. What a map scores above it, it learnt from the pairs.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x @ noise[:6]  # linear, which the control does not use
        >>> fitted = iso.make_map("mean").fit(x[:80], y[:80])
        >>> round(fitted.score(x[80:], y[80:]), 3)  # held-out R²
        -0.076
    """

    name: ClassVar[str] = "mean"
    reads_x: ClassVar[bool] = False
    reference: ClassVar[str] = "The zero of R²."

    in_blocks: ClassVar[bool] = True

    def __init__(self) -> None:
        pass

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        self.x_mean_, self.y_mean_ = x.mean(axis=0), y.mean(axis=0)
        self.coef_ = np.zeros((x.shape[1], y.shape[1]))

    def _fit_blocks(self, x: BlockRows, y: BlockRows, factor: Any) -> None:
        self.x_mean_, self.y_mean_ = x.mean, y.mean
        self.coef_ = np.zeros((x.shape[1], y.shape[1]))


class Identity(AffineMap):
    """Control: takes `x` for `y` as it is, up to the means; only for spaces of the same width.

    Two networks trained apart have no common basis, so this fails (Lenc & Vedaldi 2015) unless the spaces share one,
    as checkpoints of one run or a residual stream do.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x + 1  # moved; the means are learnt
        >>> fitted = iso.make_map("identity").fit(x[:80], y[:80])
        >>> round(fitted.score(x[80:], y[80:]), 3)  # held-out R²
        1.0
    """

    name: ClassVar[str] = "identity"
    equal_widths: ClassVar[bool] = True
    reference: ClassVar[str] = "Lenc & Vedaldi 2015, identity stitch; here the means are matched."

    def __init__(self) -> None:
        pass

    in_blocks: ClassVar[bool] = True

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        self._between(x.mean(axis=0), y.mean(axis=0))

    def _fit_blocks(self, x: BlockRows, y: BlockRows, factor: Any) -> None:
        self._between(x.mean, y.mean)

    def _between(self, x_mean: Matrix, y_mean: Matrix) -> None:
        if len(x_mean) != len(y_mean):
            raise InputError(
                f"identity needs spaces of the same width, found {len(x_mean)} and {len(y_mean)} features. "
                "Leave this control out here, or use orthogonal."
            )
        self.x_mean_, self.y_mean_ = x_mean, y_mean
        self.coef_ = np.eye(len(x_mean))

    def inverse(self) -> Identity:
        """The identity from `y` to `x`.

        Raises:
            InputError: if the map is not fitted.
        """
        self._require_fitted()
        return self._reversed(self.coef_, Identity())
