"""Ridge regression for a grid of penalties from one factorisation, with leave-one-out errors in closed form.

With ``x - mean = U diag(s) V'``, penalty p and shrinkage ``q = p / (s² + p)``, the residuals of the fit to all items
are ``e = U diag(q) A + R``, where ``A = U'y`` and ``R = y - U A`` is what the features cannot reach; the share of its
own outcome that item i does not explain is ``1 - h_i = Σ_k U_ik² q_k + r_i`` with ``r_i`` likewise; and the error of
the fit that never saw item i is ``e_i / (1 - h_i)`` (Allen 1974; the intercept is fitted anew each time too). Written
in q and R, both stay exact when the fit almost interpolates, where ``y - ŷ`` and ``1 - h`` would cancel.

The sum of squares over items and outcomes needs the outcomes through ``A A'`` and ``R A'`` only, so the cost of a
further penalty is that of a few inner products.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ._affine import Factor
from ._base import Matrix

CACHE_BYTES = 1 << 29
"""Weighted Grams of all penalties are kept for the next outcomes while they take less than this."""


@dataclasses.dataclass(frozen=True)
class RidgePath:
    """What all ridge fits on the same rows of `x` share.

    Attributes:
        factor: The factorisation of the rows.
        penalties: Penalties (p,), as shares of the total variance of `x`.
    """

    factor: Factor
    penalties: tuple[float, ...]

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
    def _kept(self) -> list[Matrix] | None:
        small = len(self.penalties) * self.factor.rank**2 * 8 <= CACHE_BYTES
        return list(self._made_grams()) if small else None

    def _made_grams(self) -> Iterator[Matrix]:
        for q, w in zip(self.shrinkage, self.weights, strict=True):
            # one factor on both sides, so that the product is a symmetric one at half the cost
            rows = self.factor.u * np.sqrt(w)[:, None] * q
            yield rows.T @ rows

    def errors(self, y: Matrix, a: Matrix) -> Matrix:
        """Leave-one-out sums of squares (p,) over all items and outcomes.

        Args:
            y: Centred outcomes (n, d_y).
            a: ``U'y`` (r, d_y).
        """
        gram = a @ a.T
        total = np.array([np.vdot(g, gram) for g in (self._made_grams() if self._kept is None else self._kept)])
        if self.factor.spans_items:
            return total
        rest = y - self.factor.u @ a
        cross = self.factor.u * (rest @ a.T)
        total += 2 * np.einsum("pi,pi->p", self.weights, self.shrinkage @ cross.T)
        total += self.weights @ np.einsum("ij,ij->i", rest, rest)
        return total

    def coefficients(self, which: int, a: Matrix) -> Matrix:
        """Regression matrix (d_x, d_y) of one penalty."""
        return self.factor.vt.T @ (((1 - self.shrinkage[which]) / self.factor.s)[:, None] * a)
