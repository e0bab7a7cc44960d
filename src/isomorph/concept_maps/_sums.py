"""How sure weighted sums of item scores are: means of labels, differences, coefficients of a regression.

An item counts in such a sum twice: by its own score, and by how it moves the scores of the items that it is a neighbour
of. The own part is the jackknife of a regression (HC3 of single items, CR3 of groups), with the degrees of freedom of
Bell and McCaffrey (2002); the other part is an infinitesimal jackknife over `Moves`. What two items do together is
counted for both of them and taken off once, as in `isomorph.nulls.influence`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..design import rows_by_code
from ..nulls import Moves

Floats = np.ndarray[Any, Any]
Ints = np.ndarray[Any, np.dtype[np.int64]]

PROBES = 32
"""Random signs that what groups do together is estimated from, to some 5 %."""
_ALONE = 1e-8  # share of a direction that is left when one unit is taken away, below which that unit alone holds it


class Spread(NamedTuple):
    """How weighted sums of scores vary over samples of items.

    Attributes:
        variance: Variance of each sum (m,); NaN where one unit alone holds it, so that nothing can be said.
        degrees: Degrees of freedom of each variance (m,).
        covariance: Of all sums (m, m), for tests of several together; NaN likewise.
        together: Degrees of freedom of the sum of the variances.
    """

    variance: Floats
    degrees: Floats
    covariance: Floats
    together: float


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A least-squares fit of item scores.

    Attributes:
        scores: Scores of the fitted items (n,).
        basis: Orthonormal basis of the design (n, p).
        units: Which items are drawn together (n,), numbered from 0; None for single items.
        moves: How items move each other's scores, None to take the scores of different units as independent.
        rows: Where the fitted items are among those that `moves` knows (n,).
        total: How many `moves` knows.
        all_units: The unit of each of those (total,); None for single items.
    """

    scores: Floats
    basis: Floats
    units: Ints | None = None
    moves: Moves | None = None
    rows: Ints | None = None
    total: int = 0
    all_units: Ints | None = None

    @property
    def residual(self) -> Floats:
        """What the design leaves of the scores (n,)."""
        return np.asarray(self.scores - self.basis @ (self.basis.T @ self.scores))

    def left_out(self) -> Floats:
        """Residual of each item by the fit to all other units (n,)."""
        return np.asarray(self._unseen(self.residual[None, :])[0][0])

    def spread(self, weights: Floats, *, each: bool = True) -> Spread:
        """How Σ_i w_ri s_i varies over samples of units.

        Args:
            weights: Weights (m, n) in the span of the design.
            each: Whether the degrees of freedom of every sum are wanted; else they are NaN.
        """
        lifted, alone = self._unseen(weights)
        own = self._by_unit(lifted * self.residual)
        degrees, together = self._degrees(lifted, each)
        if self.moves is None:
            covariance = own @ own.T
            variance = np.diag(covariance).copy()
        else:
            moved, both, noise = self._moved(weights)
            whole = _added(own, moved, self.units, self.rows, self.all_units)
            covariance = whole @ whole.T
            counted = np.diag(covariance).copy()
            # of groups both halves of the pairs are the least: moves of few, large groups are no small changes
            least = both if self.all_units is not None else np.minimum(both, np.sum(own * own, axis=1))
            variance = np.maximum(counted - noise - both, least)
            scale = np.sqrt(variance / np.where(counted > 0, counted, 1.0))
            covariance = covariance * scale[:, None] * scale[None, :]
        variance[alone] = np.nan
        covariance[alone] = np.nan
        return Spread(variance, degrees, covariance, together)

    def _parts(self) -> tuple[Ints, list[Ints]]:
        """Rows of units of one item, and the rows of each other unit."""
        n = len(self.scores)
        if self.units is None:
            return np.arange(n), []
        parts = rows_by_code(self.units)
        single = [rows for rows in parts if len(rows) == 1]
        return np.concatenate([np.zeros(0, dtype=np.int64), *single]), [rows for rows in parts if len(rows) > 1]

    def _unseen(self, values: Floats) -> tuple[Floats, Ints]:
        """(I - H_gg)⁻¹ v for every unit g, H the hat matrix, and which rows hang on one unit alone.

        Of residuals this is what the fit to the other units leaves; of weights, what they weigh residuals by when the
        unit is left out.
        """
        u = self.basis
        out, alone = values.astype(np.float64), np.zeros(len(values), dtype=bool)
        size = np.linalg.norm(values, axis=1)
        single, larger = self._parts()
        left = 1 - np.einsum("ij,ij->i", u[single], u[single])
        held = left < _ALONE
        out[:, single] /= np.where(held, 1.0, left)
        alone |= (np.abs(values[:, single[held]]) > 1e-6 * size[:, None]).any(axis=1)
        out[:, single[held]] = 0.0
        for rows in larger:
            own = u[rows]
            share, turn = np.linalg.eigh(own.T @ own)
            z = (values[:, rows] @ own) @ turn  # along the directions that the unit holds a share of
            held = 1 - share < _ALONE
            alone |= (np.linalg.norm(z[:, held], axis=1) > 1e-6 * size) if held.any() else False
            back = np.where(held, -1.0, 1 / np.where(held, 1.0, 1 - share))  # a direction that is lost counts nothing
            out[:, rows] += (z * back) @ turn.T @ own.T
        return out, np.flatnonzero(alone)

    def _by_unit(self, values: Floats) -> Floats:
        """Sums over the items of each unit (m, units)."""
        return _summed(values, self.units)

    def _degrees(self, lifted: Floats, each: bool) -> tuple[Floats, float]:
        """Degrees of freedom of each variance and of their sum, by two moments if scores are independent and alike."""
        u = self.basis
        single, larger = self._parts()
        p = lifted[:, single]
        own, base = u[single], p * p
        room = 1 - 2 * np.einsum("ij,ij->i", own, own)
        mean, square = base @ ((1 + room) / 2), (base * base) @ room
        inner = [own.T @ (own * b[:, None]) for b in base] if each else []
        sums = base.sum(axis=0)
        both, every = float((sums * sums) @ room), own.T @ (own * sums[:, None])
        for rows in larger:
            q, part = lifted[:, rows], u[rows]
            z, d = q @ part, q @ q.T
            near = z @ z.T
            mean = mean + np.diag(d) - np.diag(near)
            square = square + np.diag(d) ** 2 - 2 * np.diag(d) * np.diag(near)
            inner = [m + np.outer(row, row) for m, row in zip(inner, z, strict=True)] if each else []
            both += float(np.sum(d * d) - 2 * np.sum(d * near))
            every = every + z.T @ z
        both += float(np.sum(every * every))
        together = max(float(mean.sum() ** 2 / both), 1.0) if both > 0 else 1.0
        if not each:
            return np.full(len(lifted), np.nan), together
        square = square + np.array([np.sum(m * m) for m in inner])
        degrees = np.where(square > 0, mean**2 / np.where(square > 0, square, 1.0), 1.0)
        return np.maximum(degrees, 1.0), together

    def _moved(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """How every unit moves the sums by the scores of other units, and what of the variance of that is too much.

        Returns:
            How units move the sums (m, units of all items), the variance of what two units do together (m,), which is
            counted for both, and the variance that probing adds (m,).
        """
        assert self.moves is not None
        assert self.rows is not None
        wide = np.zeros((len(weights), self.total))
        wide[:, self.rows] = weights
        found = self.moves.sums(wide)
        found = found - found.mean(axis=1, keepdims=True)
        if self.all_units is None:
            return found, np.asarray(self.moves.twice(wide), dtype=np.float64), np.zeros(len(weights))
        probes = [probed(self.moves.sums, row, self.all_units) for row in wide]
        moved = _summed(found, self.all_units) - np.array([p.own for p in probes])
        return moved, np.array([p.pairs for p in probes]), np.array([p.noise for p in probes])


class Probed(NamedTuple):
    """What units do to a weighted sum, from random signs; E_gh is what unit h adds by the scores of unit g.

    Attributes:
        own: E_gg (units,), which is gone with the unit itself.
        pairs: Σ over pairs g < h of (E_gh + E_hg)².
        noise: Σ of the variances of `own`.
    """

    own: Floats
    pairs: float
    noise: float


def probed(sums: Callable[[Floats], Floats], row: Floats, units: Ints) -> Probed:
    """Random signs of the units give the sums of E_gh² and of E_gh E_hg, and E_gg with the noise of the others.

    Args:
        sums: `Moves.sums`.
        row: Weights of the sum (n,).
        units: Unit of each item (n,), numbered from 0.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(PROBES, int(units.max()) + 1))
    first = _summed(sums(signs[:, units] * row), units)
    own = np.mean(signs * first, axis=0)
    first = first - signs * own  # what units do by themselves would drown the rest
    second = _summed(sums(first[:, units] * row), units) - first * own
    others = float(np.mean(np.sum(first * first, axis=1))) * PROBES / (PROBES - 1)
    turned = float(np.mean(np.sum(signs * second, axis=1)))
    return Probed(own, max(others + turned, 0.0), others / PROBES)


def _summed(values: Floats, units: Ints | None) -> Floats:
    """Sums of the columns of each unit."""
    if units is None:
        return values
    out = np.zeros((len(values), int(units.max()) + 1))
    for row, given in enumerate(values):
        out[row] = np.bincount(units, weights=given, minlength=out.shape[1])
    return out


def _added(own: Floats, moved: Floats, units: Ints | None, rows: Ints | None, all_units: Ints | None) -> Floats:
    """Both parts of every unit; units of items that were left out of the fit have no own part."""
    assert rows is not None
    out = moved.copy()
    if all_units is None:
        out[:, rows] += own
    else:
        assert units is not None
        of = np.zeros(own.shape[1], dtype=np.int64)
        of[units] = all_units[rows]
        out[:, of] += own
    return out
