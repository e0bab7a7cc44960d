"""How much each item moves an overlap of neighbourhoods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy

from ....nulls.influence import Influence, about_mean, sums
from ....nulls.motifs import FEW
from .graphs import Neighbors

Floats = np.ndarray[Any, Any]


def overlap_influence(
    xs: Sequence[Neighbors],
    ys: Sequence[Neighbors],
    score: Callable[[Floats], Floats],
    slope: Callable[[Floats], Any],
) -> Influence:
    """Influence of every item on every neighbour overlap, by its own list (out-edges) and in other lists (in-edges).

    The overlap is p = Σ_ij A_ij B_ij / (n k). An item that is taken away takes its own list with it and leaves a place
    in the lists that it was in. The next item of such a list fills it, which the other list shares with the chance that
    holds at the end of lists: below the mean overlap where near neighbours agree more than far ones, and not the same
    everywhere (the lists of a tight cluster agree, those of scattered items do not). With these chances a_i and b_i
    for the lists of item i, an edge counts by e_ij = A_ij B_ij - a_i A_ij - b_i B_ij, and item i moves the score by

        ψ_i = (Σ_j A_ij B_ij - k p + Σ_j e_ji - mean of the same) / k.

    Where both lists lose the item, one and the same item may fill both places: of the k - o + 1 items that the one that
    fills a place can be shared as, o shared before, one is that; its share of the lesser chance is added back to e_ij.
    Leaving the chances out, or taking p / 2 for them, counts every item by how often it is a neighbour at all, and
    makes the standard error up to twice as large where hubs or clusters are.
    Where many clusters are no larger than k, an item more or less is no small change, and standard errors come out up
    to a fifth too small.

    Edges between the same two items are counted for both: the variance of Σ_ij e_ij is
    Σ_i (Σ_j e_ij + e_ji)² - Σ_ij (e_ij² + e_ij e_ji), the dyadic estimator of Aronow, Samii and Assenova (2015). A
    bootstrap of the items that look, graph fixed, leaves the other half out: its intervals are too narrow for the
    population (see docs/calibration.md).

    Args:
        xs: Graphs of one side.
        ys: Graphs of the other side.
        score: What an item with that many common neighbours o_i scores: o / k above, of which all else is made.
        slope: The derivative of `score` at o_j, which e_ji is weighted by.
    """
    n = xs[0].n
    left, right = [_Lists.of(g) for g in xs], [_Lists.of(g) for g in ys]
    values, second = np.empty((n, len(xs), len(ys))), np.empty((len(xs), len(ys)))
    first: Any = None
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            values[:, i, j], pairs = _overlap_terms(a, b, score, slope)
            second[i, j] = about_mean(*sums(pairs), n) / 2
            first = pairs if first is None else first
    return Influence(values, second, lambda s, e: first[s:e])


class _Lists(NamedTuple):
    """What the influences need of one neighbour graph.

    Attributes:
        g: The graph.
        matrix: Its adjacency matrix with weights, see `_on_edges`.
        source: The item of each edge.
        weights: The weights of the edges.
        outer: The weights of the edges in the outer half of the lists, else 0, (edges,).
        outer_around: Total of `outer` over the lists of j and of its neighbours, for each edge j → i, leave-one-out:
            without edges from or to i. The denominator of the local overlap of `refill`.
        place: Place of each edge in its list, from the mean (k + 1) / 2.
    """

    g: Neighbors
    matrix: Any
    source: Floats
    weights: Floats
    outer: Floats
    outer_around: Floats
    place: Floats

    @classmethod
    def of(cls, g: Neighbors) -> _Lists:
        weights, ranks = g.weights, g.ranks
        outer = np.where(ranks > g.k / 2, weights, 0.0)
        lists = cls(g, _on_edges(g, weights), g.source, weights, outer, outer, ranks - (g.k + 1) / 2)
        return lists._replace(outer_around=lists.around(outer))

    def around(self, weight: Floats) -> Floats:
        """Leave-one-out totals of a weight over the lists of j and of its neighbours, for each edge j → i.

        Edges from or to i are left out, since chances estimated from them would hide what i itself adds.
        """
        matrix, target = self.matrix, self.g.target
        if scipy.sparse.issparse(matrix):
            some = np.flatnonzero(weight)  # few edges are shared, and the product costs as many operations as there are
            part: Any = scipy.sparse.csr_array((weight[some], (self.source[some], target[some])), shape=matrix.shape)
        else:
            part = _on_edges(self.g, weight)
        own = part.sum(axis=1)
        near = (matrix @ part)[self.source, target]
        return np.asarray((own + matrix @ own)[self.source] - self.weights * own[target] - weight - near)

    def refill(self, shared: Floats, p: float) -> Floats:
        """Chance that the item at place k + 1 of the list of j is shared, for each edge j → i.

        A local estimate, the overlap of the outer edges around j, times a linear extrapolation of the overlap by place
        to half a place behind the last.

        Args:
            shared: Weight with which the other graph has each edge.
            p: Mean overlap.
        """
        w = self.weights
        spread = np.sum(w * self.place**2)
        slope = np.sum(w * self.place * shared) / spread if spread > 0 else 0.0
        behind = np.clip(p + slope * self.g.k / 2, 0.0, 1.0)
        hits = self.outer * shared
        mean = hits.sum() / self.outer.sum()
        if mean == 0:
            return np.full(len(w), behind)
        # with k = 1 nothing is left around an edge
        local = np.divide(
            self.around(hits), self.outer_around, out=np.full(len(w), mean), where=self.outer_around > 1e-9
        )
        return np.asarray(np.clip(local / mean * behind, 0.0, 1.0))


def shared_edges(x: Neighbors, y: Neighbors, slope: Callable[[Floats], Any]) -> tuple[Floats, Any]:
    """Overlap of each item's two lists (n,), and what edges add to a mean score of the items that they start from.

    Args:
        x: One graph.
        y: The other.
        slope: As in `overlap_influence`.

    Returns:
        The overlaps, and the matrix of e_ij of `overlap_influence`, dense where few items are, rows times their slopes.
    """
    return _edges(_Lists.of(x), _Lists.of(y), slope)


def _edges(a: _Lists, b: _Lists, slope: Callable[[Floats], Any]) -> tuple[Floats, Any]:
    n, k = a.g.n, a.g.k
    shared = a.matrix * b.matrix
    overlaps = shared.sum(axis=1)
    p = float(overlaps.sum()) / (n * k)
    fills = []
    for one, other in ((a, b), (b, a)):
        held = np.asarray(other.matrix[one.source, one.g.target])
        fills.append(_on_edges(one.g, one.refill(held, p) * one.weights))
    both = fills[0].minimum(fills[1]) if scipy.sparse.issparse(shared) else np.minimum(*fills)
    edges = shared - fills[0] - fills[1] + _rows_times(1 / (k + 1 - overlaps), both)
    return overlaps, _rows_times(np.broadcast_to(slope(overlaps), n), edges)


def _overlap_terms(
    a: _Lists, b: _Lists, score: Callable[[Floats], Floats], slope: Callable[[Floats], Any]
) -> tuple[Floats, Any]:
    """Influences on the overlap of two graphs, and what pairs of items add together (`Influence.pairs`)."""
    overlaps, edges = _edges(a, b, slope)
    own, others = score(overlaps), edges.sum(axis=0)
    pairs = edges + edges.T
    pairs = pairs.tocsr() if scipy.sparse.issparse(pairs) else pairs
    return own - own.mean() + others - others.mean(), pairs / len(overlaps)


def _on_edges(g: Neighbors, values: Floats) -> Any:
    """The square matrix with a value at each edge: sparse, but dense where that is less work."""
    if g.n > FEW:
        return scipy.sparse.csr_array((values, g.target, g.start), shape=(g.n, g.n))
    matrix = np.zeros((g.n, g.n))
    matrix[g.source, g.target] = values
    return matrix


def _rows_times(factors: Floats, matrix: Any) -> Any:
    """Each row times its factor."""
    return scipy.sparse.diags_array(factors) @ matrix if scipy.sparse.issparse(matrix) else factors[:, None] * matrix
