"""How much each item moves a comparison of RDMs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy

from ....nulls.influence import Influence

Floats = np.ndarray[Any, Any]


def rdm_influence(xs: Sequence[Floats], ys: Sequence[Floats], n: int, *, ranked: bool, rescaled: bool) -> Influence:
    """Influence of every item on every correlation of two RDMs, all of whose n - 1 dissimilarities it moves.

    The score is r = Σ_p a_p b_p over pairs of items p, of unit vectors. A pair moves it by
    g_p = c_p(a, b) - r (c_p(a, a) + c_p(b, b)) / 2 with c_p(a, b) = a_p b_p, and item i by ψ_i = n Σ_j g_ij. Of ranks
    the others change too where a pair is added: by u, the step between two ranks, for all above it, so that
    c_p(a, b) = a_p b_p + u_a Σ_{q: a_q > a_p} b_q + u_b Σ_{q: b_q > b_p} a_q, ties by half. Every g_p is there for both
    of its items, so that the variance of Σ_p g_p is Σ_i (Σ_j g_ij)² - Σ_p g_p².

    Args:
        xs: What the comparison reads of the condensed RDMs of one side.
        ys: The same of the other side.
        n: Number of items.
        ranked: Whether they hold ranks.
        rescaled: Whether their norm is made one, and not left what it is without ties.
    """
    made: Callable[[Floats], Any] = _Ranked.of if ranked else _Valued
    left, right = ([made(v) for v in side] for side in (xs, ys))
    values, second = np.empty((n, len(xs), len(ys))), np.empty((len(xs), len(ys)))
    first: Any = None
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            g = a.with_other(b)
            r = float(a.vector @ b.vector)
            g -= r / 2 * (a.with_itself() + b.with_itself()) if rescaled else 3 * r / len(g)
            values[:, i, j] = n * item_sums(g, n)
            second[i, j] = g @ g
            first = g if first is None else first
    return Influence(values, second, lambda s, e: scipy.spatial.distance.squareform(first, checks=False)[s:e])


def item_sums(vector: Floats, n: int) -> Floats:
    """Sums over all pairs with each item, of a condensed triangle."""
    lengths = np.arange(n - 1, 0, -1)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    sums = np.append(np.add.reduceat(vector, starts), 0.0)
    for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        sums[i + 1 :] += vector[start : start + length]
    return sums


class _Valued(NamedTuple):
    """A vector that is compared as it is."""

    vector: Floats

    def with_other(self, other: _Valued) -> Floats:
        """What each entry moves the product with another vector by."""
        return np.multiply(self.vector, other.vector, dtype=np.float64)

    def with_itself(self) -> Floats:
        """What each entry moves the squared norm by."""
        return self.with_other(self)


class _Ranked(NamedTuple):
    """A vector of ranks.

    Attributes:
        vector: Its entries.
        order: Where they are in ascending order.
        first: Where in that order entries begin that tie with none before; None if there are no ties.
        step: What one rank more adds to an entry.
    """

    vector: Floats
    order: np.ndarray[Any, Any]
    first: np.ndarray[Any, Any] | None
    step: float

    @classmethod
    def of(cls, vector: Floats) -> _Ranked:
        size = len(vector)
        order = np.argsort(vector).astype(np.int32 if size < 2**31 else np.int64)
        rising = vector[order]
        first = np.flatnonzero(np.concatenate([[True], rising[1:] > rising[:-1]]))
        ends = first[1] - first[0] + size - first[-1]  # how many share the lowest and the highest rank
        step = (float(rising[-1]) - float(rising[0])) / (size - ends / 2)
        return cls(vector, order, None if len(first) == size else first, step)

    def with_other(self, other: _Ranked) -> Floats:
        """What each entry moves the product with another vector by, as itself and by moving the ranks above it."""
        moved = self._above(other.vector)
        moved += other._above(self.vector)
        moved += np.multiply(self.vector, other.vector, dtype=np.float64)
        return moved

    def with_itself(self) -> Floats | float:
        """What each entry moves the squared norm by: without ties all entries by as much."""
        return 3.0 / len(self.vector) if self.first is None else self.with_other(self)

    def _above(self, weight: Floats) -> Floats:
        """The sum of a weight over all entries above each, half of those that tie with it, times the step."""
        sums = weight[self.order].astype(np.float64)
        if self.first is not None:
            sums = np.add.reduceat(sums, self.first)
        above = np.cumsum(sums[::-1])[::-1] - sums / 2
        if self.first is not None:
            above = np.repeat(above, np.diff(np.append(self.first, len(weight))))
        out = np.empty_like(above)
        out[self.order] = above * self.step
        return np.asarray(out)
