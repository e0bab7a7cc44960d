"""Ridge regression for a grid of penalties from one factorisation, with leave-one-out errors in closed form.

With ``x - mean = U diag(s) V'``, penalty p and shrinkage ``q = p / (s² + p)``, the residuals of the fit to all items
are ``e = U diag(q) A + R``, where ``A = U'y`` and ``R = y - U A`` is what the features cannot reach; the share of its
own outcome that item i does not explain is ``1 - h_i = Σ_k U_ik² q_k + r_i`` with ``r_i`` likewise; and the error of
the fit that never saw item i is ``e_i / (1 - h_i)`` (Allen 1974; the intercept is fitted anew each time too). Written
in q and R, both stay exact when the fit almost interpolates, where ``y - ŷ`` and ``1 - h`` would cancel.

The sum of squares over items and outcomes needs the outcomes through their products only: ``A A'`` and ``R A'``, or
``y y'`` against one matrix a penalty that depends on `x` alone. So a further penalty costs a few inner products, and
so does a further `x` for a `y` whose products are known.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np

from .._core.memory import block_bytes
from ._affine import Factor
from ._base import Matrix

CACHE_BYTES = 1 << 29
"""Forms of all penalties are kept for the next outcomes while they take less than this."""


@dataclasses.dataclass(frozen=True)
class RidgePath:
    """What all ridge fits on the same rows of `x` share.

    Attributes:
        factor: The factorisation of the rows.
        penalties: Penalties (p,), as shares of the total variance of `x`.
        shared: Whether several outcomes are fitted: forms that serve all of them cost more than one of them needs.
    """

    factor: Factor
    penalties: tuple[float, ...]
    shared: bool = True

    @cached_property
    def shrinkage(self) -> Matrix:
        """The share q (p, r) of each direction that a penalty takes away."""
        penalty = np.asarray(self.penalties)[:, None] * self.factor.total
        share: Matrix = penalty / (self.factor.s**2 + penalty)
        return share

    @cached_property
    def weights(self) -> Matrix:
        """(1 - h_i)^-2 (p, n)."""
        u = self.factor.u
        squares = u * u
        beyond = np.zeros(len(u)) if self.factor.spans_items else 1 - 1 / len(u) - squares.sum(axis=1)
        own = self.shrinkage @ squares.T + np.maximum(beyond, 0.0)
        with np.errstate(divide="ignore"):
            weights: Matrix = own**-2.0
        return weights

    @cached_property
    def _small(self) -> bool:
        """Whether one matrix (n, n) a penalty may be kept for the next outcomes, and loses no digits."""
        size = len(self.penalties) * len(self.factor.u) ** 2 * 8
        return self.shared and not self.factor.spans_items and size <= block_bytes(CACHE_BYTES)

    @cached_property
    def _error_forms(self) -> Matrix:
        """Quadratic forms (p, n * n) that give the errors: ``(I - H) W (I - H)``."""
        u, n = self.factor.u, len(self.factor.u)
        beyond = np.eye(n) - 1 / n - u @ u.T
        forms = np.empty((len(self.penalties), n * n))
        for form, q, w in zip(forms, self.shrinkage, self.weights, strict=True):
            # the same array on both sides, so that the products are symmetric ones at half the cost
            root = u * np.sqrt(q)
            half = root @ root.T
            half += beyond
            half *= np.sqrt(w)[:, None]
            form[:] = (half.T @ half).reshape(-1)
        return forms

    def errors(self, y: Matrix, gram: Matrix | None = None) -> Matrix:
        """Leave-one-out sums of squares (p,) over all items and outcomes.

        Args:
            y: Centred outcomes (n, d_y).
            gram: ``y y'``, where it is known.
        """
        if self._small:
            gram = y @ y.T if gram is None else gram
            forms: Matrix = self._error_forms @ gram.reshape(-1)
            return forms
        u, w = self.factor.u, self.weights
        a = u.T @ y
        products = a @ a.T
        total: Matrix = np.empty(len(w))
        for i, q in enumerate(self.shrinkage):
            rows = u * np.sqrt(w[i])[:, None] * q
            total[i] = np.vdot(rows.T @ rows, products)
        if self.factor.spans_items:
            return total
        rest = y - u @ a
        total += 2 * np.einsum("pi,pi->p", w, self.shrinkage @ (u * (rest @ a.T)).T)
        total += w @ np.einsum("ij,ij->i", rest, rest)
        return total

    def solve(self, which: int, y: Matrix) -> Matrix:
        """Regression matrix (d_x, d_y) of one penalty for centred outcomes."""
        u, vt = self.factor.u, self.factor.vt
        gain = (1 - self.shrinkage[which]) / self.factor.s
        if not self._small:
            coef: Matrix = vt.T @ (gain[:, None] * (u.T @ y))
            return coef
        if which not in self._solvers:
            self._solvers[which] = (vt.T * gain) @ u.T
        return self._solvers[which] @ y

    @cached_property
    def _solvers(self) -> dict[int, Matrix]:
        """Regularised pseudo-inverses (d_x, n) of the penalties that were chosen so far."""
        return {}
