"""How much each item moves a score: what standard errors and tests of differences are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.spatial.distance import squareform

from .._arrays import to_numpy
from ._gram import Kernel
from ._graphs import Neighbours

Floats = np.ndarray[Any, Any]

BLOCK_BYTES = 64 << 20  # working memory for the rows of all layers' kernels
PROBES = 24  # random signs that a sum of squares is estimated from, to some 10 %
FEW_ITEMS = 64  # that are probed one by one


class Influence(NamedTuple):
    """The infinitesimal jackknife of every score of a block.

    Attributes:
        values: (n, len(xs), len(ys)); n times the change of the score per weight given to an item. They sum to zero
            over items.
        second: (len(xs), len(ys)); what pairs of items add to the first-order variance twice, once for each of their
            items, though they vary once. It is also the least that the variance can be. Zero where items do not
            interact.
        pairs: What that is made of, for the first score of the block: gives rows start to stop, dense or sparse, of the
            symmetric matrix of what two items add together, up to a constant, zero on the diagonal. Its sum of squares
            about the mean is twice `second`. None where items do not interact.
        products: The same where rows would be dear: gives the products of that matrix with columns.
        own: (n, len(xs), len(ys)); n times half the second derivative by an item's own weight: what the score does not
            lose when the item is left out. None where it is nothing.
        higher: Whether more than two items also add something together, as beneath a root. The share of the variance
            that the first order counts k times over is then counted k (k - 1) / 2 times in `second`, and so on with
            changing signs; 1 / (1 + second / first) is taken for the sum of that series.
        known: (len(xs), len(ys)); which scores have influences. None if all have.
    """

    values: Floats
    second: Floats
    pairs: Callable[[int, int], Any] | None = None
    products: Callable[[Floats], Floats] | None = None
    own: Floats | None = None
    higher: bool = False
    known: np.ndarray[Any, np.dtype[np.bool_]] | None = None

    @property
    def left_out(self) -> Floats:
        """What the score loses when an item is left out, times n, about its mean."""
        return self.values if self.own is None else np.asarray(self.values - self.own + self.own.mean(axis=0))

    @property
    def variance(self) -> Floats:
        """Variance of the score over samples of items."""
        first, lost = (np.sum(v**2, axis=0) / len(v) ** 2 for v in (self.values, self.left_out))
        if self.higher:
            return np.asarray(lost / (1 + self.second / np.where(first > 0, first, 1.0)))
        return np.asarray(np.maximum(lost - self.second, self.second))

    def minus(self, other: Influence) -> Influence:
        """Influence on the difference of two scores over the same items, blocks of one score each."""
        values, n = self.values - other.values, self.values.shape[0]
        own = None if self.own is None or other.own is None else self.own - other.own
        if self.products is not None and other.products is not None:
            one, two = self.products, other.products

            def products(z: Floats) -> Floats:
                return one(z) - two(z)

            # half of it: where two scores are high, the whole made errors an eighth too small, and a test must not be
            return Influence(values, np.full((1, 1), _probed(products, n) / 4), None, products, own, higher=True)
        if self.pairs is None or other.pairs is None:
            return Influence(values, np.zeros((1, 1)), own=own)
        first, second = self.pairs, other.pairs

        def pairs(start: int, stop: int) -> Any:
            return first(start, stop) - second(start, stop)

        width = max(1, min(n, BLOCK_BYTES // (4 * n * 8)))
        blocks = (pairs(s, min(n, s + width)) for s in range(0, n, width))
        squares, sums = np.sum([_sums(block) for block in blocks], axis=0)
        return Influence(values, np.full((1, 1), _about_mean(squares, sums, n) / 2), pairs, own=own)


def _sums(block: Any) -> tuple[float, float]:
    entries = block.data if sparse.issparse(block) else block
    return float(np.sum(entries * entries, dtype=np.float64)), float(np.sum(entries, dtype=np.float64))


def _about_mean(squares: float, total: float, n: int) -> float:
    """Sum of squares about the mean of the entries outside the diagonal."""
    return max(squares - total**2 / (n * (n - 1)), 0.0)


def _probed(products: Callable[[Floats], Floats], n: int) -> float:
    """Sum of squares about the mean of a matrix without its diagonal; of many items from products with random signs."""
    if n <= FEW_ITEMS:
        return _about_mean(*_sums(products(np.eye(n))), n)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(n, PROBES))
    found = products(np.column_stack([signs, np.ones(n)]))
    return _about_mean(float(np.sum(found[:, :-1] ** 2)) / PROBES, float(found[:, -1].sum()), n)


def overlap_influence(
    xs: Sequence[Neighbours],
    ys: Sequence[Neighbours],
    score: Callable[[Floats], Floats],
    slope: Callable[[Floats], Any],
) -> Influence:
    """Influence of every item on every neighbour overlap, as the one who looks and as the one who is looked at.

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
        slope: By how much more with one more, which e_ji is weighted by, for item j that looks.
    """
    n = xs[0].n
    left, right = [_Lists.of(g) for g in xs], [_Lists.of(g) for g in ys]
    values, second = np.empty((n, len(xs), len(ys))), np.empty((len(xs), len(ys)))
    first: Any = None
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            values[:, i, j], pairs = _overlap_terms(a, b, score, slope)
            second[i, j] = _about_mean(*_sums(pairs), n) / 2
            first = pairs if first is None else first
    return Influence(values, second, lambda s, e: first[s:e])


class _Lists(NamedTuple):
    """What the influences need of one neighbour graph.

    Attributes:
        k: Length of the lists.
        graph: Adjacency matrix with weights.
        source: The item of each edge.
        outer: The weights of the edges in the outer half of the lists, else 0, (edges,).
        seen: For each edge j → i the outer edges of j and its neighbours, those from or to i left out.
        place: Place of each edge in its list, from the mean (k + 1) / 2.
    """

    k: int
    graph: Any
    source: Floats
    outer: Floats
    seen: Floats
    place: Floats

    @classmethod
    def of(cls, g: Neighbours) -> _Lists:
        graph = sparse.csr_array((g.weights, g.target, g.start), shape=(g.n, g.n))
        outer = np.where(g.ranks > g.k / 2, g.weights, 0.0)
        lists = cls(g.k, graph, g.source, outer, outer, g.ranks - (g.k + 1) / 2)
        return lists._replace(seen=lists.around(outer))

    def around(self, weight: Floats) -> Floats:
        """For each edge j → i the sum of a weight over the edges of j and its neighbours, those from or to i left out.

        Without i, since its own edges would tell of themselves: chances made of them hide what it adds.
        """
        graph, target = self.graph, self.graph.indices
        some = np.flatnonzero(weight)  # few edges are shared, and the product costs as many operations as there are
        part = sparse.csr_array((weight[some], (self.source[some], target[some])), shape=graph.shape)
        own = part.sum(axis=1)
        near = (graph @ part)[self.source, target]
        return np.asarray((own + graph @ own)[self.source] - graph.data * own[target] - weight - near)

    def refill(self, shared: Floats, p: float) -> Floats:
        """Chance that the next item of the list of j, behind the last, is shared, for each edge j → i.

        The share of the outer edges around j that are shared says where lists agree; a line through the shares at all
        places says how much less they agree one half place behind the last one.

        Args:
            shared: Weight with which the other graph has each edge.
            p: Mean overlap.
        """
        w = self.graph.data
        spread = np.sum(w * self.place**2)
        slope = np.sum(w * self.place * shared) / spread if spread > 0 else 0.0
        behind = np.clip(p + slope * self.k / 2, 0.0, 1.0)
        hits = self.outer * shared
        mean = hits.sum() / self.outer.sum()
        if mean == 0:
            return np.full(len(w), behind)
        # with k = 1 nothing is left around an edge
        local = np.divide(self.around(hits), self.seen, out=np.full(len(w), mean), where=self.seen > 1e-9)
        return np.asarray(np.clip(local / mean * behind, 0.0, 1.0))


def _overlap_terms(
    a: _Lists, b: _Lists, score: Callable[[Floats], Floats], slope: Callable[[Floats], Any]
) -> tuple[Floats, Any]:
    """Influences on the overlap of two graphs, and what pairs of items add together (`Influence.pairs`)."""
    n, k = a.graph.shape[0], a.k
    shared = a.graph.multiply(b.graph).tocsr()
    looking = shared.sum(axis=1)
    p = float(looking.sum()) / (n * k)
    fills = []
    for one, other in ((a, b), (b, a)):
        held = np.asarray(other.graph[one.source, one.graph.indices])
        filled = one.refill(held, p) * one.graph.data
        fills.append(sparse.csr_array((filled, one.graph.indices, one.graph.indptr), shape=shared.shape))
    twice = sparse.diags_array(1 / (k + 1 - looking)) @ fills[0].minimum(fills[1])
    edges = shared - fills[0] - fills[1] + twice
    edges = sparse.diags_array(np.broadcast_to(slope(looking), n)) @ edges
    looks, seen = score(looking), edges.sum(axis=0)
    return looks - looks.mean() + seen - seen.mean(), (edges + edges.T).tocsr() / n


def kernel_influence(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Influence:
    """Influence of every item on every CKA, at the cost of some products of the size of the score's own.

    CKA is c = <K, L> / (|K| |L|) of centred kernels. Weighting the items, and noting that centring has no first-order
    effect (a centred kernel sums to zero along each item), item i moves it by ψ_i = 2 n Σ_j g_ij with
    g = K L / (|K| |L|) - c (K² / |K|² + L² / |L|²) / 2. The variance of Σ_ij g_ij is, in expectation,
    4 Σ_i (Σ_j g_ij)² - 2 Σ_ij g_ij²; without the second term intervals of unrelated representations are √2 too wide.
    A diagonal, which only biased kernels have, is of single items and none of the pairs.

    Args:
        xs: Kernels of one side, all of one estimator.
        ys: Kernels of the other side.
    """
    n, every = xs[0].n, [*xs, *ys]
    width = max(1, min(n, BLOCK_BYTES // (len(every) * n * 8)))
    starts = range(0, n, width)
    left, right = len(xs), len(ys)
    rows = np.empty((n, left, right))
    own, diagonal = np.empty((n, left + right)), np.empty((n, left + right))
    s22, s31, s13 = (np.zeros((left, right)) for _ in range(3))
    s4 = np.zeros(left + right)
    for s in starts:
        e = min(n, s + width)
        k = np.stack([_rows(kernel, s, e) for kernel in every])  # (layers, e - s, n)
        a, b = k[:left], k[left:]
        square = k * k
        rows[s:e] = np.matmul(a.transpose(1, 0, 2), b.transpose(1, 2, 0))
        own[s:e] = square.sum(axis=2, dtype=np.float64).T
        diagonal[s:e] = k[:, np.arange(e - s), np.arange(s, e)].T
        flat, flat2 = (v.reshape(len(every), -1) for v in (k, square))
        s22 += flat2[:left] @ flat2[left:].T
        flat3 = flat * flat2
        s31 += flat3[:left] @ flat[left:].T
        s13 += flat[:left] @ flat3[left:].T
        s4 += np.einsum("ij,ij->i", flat2, flat2, dtype=np.float64)
    h = own.sum(axis=0)
    hx, hy = h[:left, None], h[None, left:]
    norm = np.sqrt(hx * hy)
    c = rows.sum(axis=0) / norm
    share = own / h
    values = 2 * n * (rows / norm - c / 2 * (share[:, :left, None] + share[:, None, left:]))
    fourth = s4 / h**2
    squares = (1 + c**2 / 2) * s22 / norm**2 + c**2 / 4 * (fourth[:left, None] + fourth[None, left:])
    squares -= c * (s31 / (hx * norm) + s13 / (hy * norm))
    if xs[0].estimator == "biased":  # the others have no diagonal
        a, b = diagonal[:, :left, None], diagonal[:, None, left:]
        single = a * b / norm - c / 2 * (a * a / hx + b * b / hy)
        squares = squares - np.sum(single**2, axis=0) - single.sum(axis=0) ** 2 / (n * (n - 1))

    def pairs(s: int, e: int) -> Floats:
        a, b = _rows(xs[0], s, e), _rows(ys[0], s, e)
        added = 2 * a * b / norm[0, 0] - c[0, 0] * (a * a / h[0] + b * b / h[left])
        added[np.arange(e - s), np.arange(s, e)] = 0.0
        return np.asarray(added)

    return Influence(values, 2 * np.maximum(squares, 0.0), pairs)


def _rows(kernel: Kernel, start: int, stop: int) -> Floats:
    """Rows start:stop of the adjusted kernel matrix, whose diagonal was near one before, as `Kernel` keeps it."""
    held = to_numpy(kernel.array)
    if kernel.features is None:
        return np.asarray(held[start:stop])  # of root mean square one
    k = held[start:stop] @ held.T
    if kernel.estimator != "biased":
        if kernel.estimator == "unbiased":
            n, r = kernel.n, to_numpy(kernel.row_sums())
            u = (r.sum() / (2 * (n - 1) * (n - 2)) - r / (n - 2)).astype(k.dtype)  # U-centring, as in `Kernel`
            k += u[start:stop, None] + u[None, :]
        k[np.arange(stop - start), np.arange(start, stop)] = 0.0
    return np.asarray(k)


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
            values[:, i, j] = n * _item_sums(g, n)
            second[i, j] = g @ g
            first = g if first is None else first
    return Influence(values, second, lambda s, e: squareform(first, checks=False)[s:e])


def _item_sums(vector: Floats, n: int) -> Floats:
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


def rotation_influence(
    xs: Sequence[Floats], ys: Sequence[Floats], known: np.ndarray[Any, np.dtype[np.bool_]]
) -> Influence:
    """Influence of every item on every Procrustes similarity, to the second order.

    The score is s = |C|_* / sqrt(A B) with C = X'Y, A = |X|², B = |Y|² of centred layers. With C = U diag(σ) V', the
    singular vectors as axes of both layers (a = U'x, b = V'y for each item), and the layers scaled to A = B = n:

    - item p moves the nuclear norm by t_p = a_p'b_p - s, and s by ψ_p = t_p - s (|x_p|² + |y_p|² - 2) / 2;
    - items p and q together move the nuclear norm by Σ_{i<j} α^p_ij α^q_ij / (σ_i + σ_j) - a_p'b_q - a_q'b_p, where
      α_ij = a_i b_j - a_j b_i: its second derivative, and that of centring; A and B likewise by -2 x_p'x_q.

    Near chance σ is small, the norm is bent there, and first-order standard errors are up to √2 too wide.

    Args:
        xs: Centred layers of unit norm of one side.
        ys: The same of the other side.
        known: (len(xs), len(ys)); for which pairs that holds.
    """
    n = xs[0].shape[0]
    values, own = np.zeros((2, n, *known.shape))
    second = np.zeros(known.shape)
    first: Any = None
    for i, j in np.argwhere(known):
        values[:, i, j], own[:, i, j], products = _rotation_terms(xs[i] * np.sqrt(n), ys[j] * np.sqrt(n))
        second[i, j] = _probed(products, n) / 2
        first = products if first is None else first
    return Influence(values, second, None, first, own, higher=True, known=None if known.all() else known)


def _rotation_terms(x: Floats, y: Floats) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
    """Influences on the similarity of two layers, what they leave, and the products of what pairs add together."""
    n = len(x)
    if x.shape[1] > y.shape[1]:
        x, y = y, x
    u, sigma, vt = np.linalg.svd(x.T @ y / n)
    wider = y.shape[1] - x.shape[1]  # as if the narrower layer were padded with zeros
    a, b = np.pad(x @ u, ((0, 0), (0, wider))), y @ vt.T
    sigma = np.pad(sigma, (0, wider))
    score = float(sigma.sum())
    if score < 1e-9:  # the norm has a corner at 0, so no derivative: what an item can move it by at the most
        return np.sqrt(np.sum(x * x, axis=1) * np.sum(y * y, axis=1)), np.zeros(n), np.zeros_like
    sums = sigma[:, None] + sigma[None, :]
    bend = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 1e-12 * score)
    t, size = np.sum(a * b, axis=1) - score, np.sum(x * x, axis=1) + np.sum(y * y, axis=1) - 2
    sizes = [np.sum(v * v, axis=1) - 1 for v in (x, y)]
    values = t - score / 2 * size

    def outer(z: Floats, column: Floats) -> Floats:
        return np.asarray(column[:, None] * (column @ z))

    def whole(z: Floats) -> Floats:
        bent = np.empty_like(z)
        for k in range(z.shape[1]):
            w = (a * z[:, k, None]).T @ b
            bent[:, k] = np.sum((a @ (bend * (w - w.T))) * b, axis=1)
        norms = bent - a @ (b.T @ z) - b @ (a.T @ z) - outer(z, t) / score + outer(z, values) / score
        scales = [v @ (v.T @ z) + outer(z, s) / 2 for v, s in zip((x, y), sizes, strict=True)]
        return np.asarray(norms + score * (scales[0] + scales[1]))

    diagonal = np.sum((a**2 @ bend) * b**2, axis=1) - np.sum(((a * b) @ bend) * a * b, axis=1)
    diagonal += -2 * np.sum(a * b, axis=1) - t**2 / score + values**2 / score
    diagonal += score * sum(np.sum(v * v, axis=1) + s**2 / 2 for v, s in zip((x, y), sizes, strict=True))

    def products(z: Floats) -> Floats:
        return np.asarray((whole(z) - diagonal[:, None] * z) / n**2)

    return values, diagonal / (2 * n), products
