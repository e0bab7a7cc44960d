"""How much each item moves a score: what standard errors and tests of differences are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .._arrays import to_numpy
from ._gram import Kernel
from ._graphs import Neighbours

Floats = np.ndarray[Any, Any]

BLOCK_BYTES = 64 << 20  # working memory for the rows of all layers' kernels


class Influence(NamedTuple):
    """The infinitesimal jackknife of every score of a block.

    Attributes:
        values: (n, len(xs), len(ys)); n times the change of the score per weight given to an item. They sum to zero
            over items, and sum(values ** 2) / n ** 2 is the first-order variance of the score.
        second: (len(xs), len(ys)); what pairs of items add to that sum twice, once for each of their items, though
            they vary once. It is also the least that the variance can be. Zero where items do not interact.
    """

    values: Floats
    second: Floats

    @property
    def variance(self) -> Floats:
        """Variance of the score over samples of items."""
        first = np.sum(self.values**2, axis=0) / self.values.shape[0] ** 2
        return np.asarray(np.maximum(first - self.second, self.second))


def mean_influence(item_scores: Any) -> Influence:
    """Influence on scores that are means over items, with everything that an item is compared to held fixed.

    Args:
        item_scores: (n, len(xs), len(ys)).
    """
    scores = np.asarray(item_scores, dtype=np.float64)
    return Influence(scores - scores.mean(axis=0), np.zeros(scores.shape[1:]))


def overlap_influence(xs: Sequence[Neighbours], ys: Sequence[Neighbours]) -> Influence:
    """Influence of every item on every neighbour overlap, as the one who looks and as the one who is looked at.

    The overlap is p = Σ_ij A_ij B_ij / (n k). An item that is taken away takes its own list with it, and leaves a place
    in the lists that it was in, which another item fills that is shared as often as any. So an edge counts by
    e_ij = A_ij B_ij - p (A_ij + B_ij) / 2, and item i by ψ_i = Σ_j (e_ij + e_ji) / k. Edges between the same two items
    are counted for both: the variance of Σ_ij e_ij is Σ_i (Σ_j e_ij + e_ji)² - Σ_ij (e_ij² + e_ij e_ji), the dyadic
    estimator of Aronow, Samii and Assenova (2015). A bootstrap of the items that look, graph fixed, leaves the other
    half out: its intervals are too narrow for the population (see docs/calibration.md).

    Args:
        xs: Graphs of one side.
        ys: Graphs of the other side.
    """
    n, k = xs[0].n, xs[0].k
    left, right = ([sparse.csr_array((g.weights, g.target, g.start), shape=(n, n)) for g in side] for side in (xs, ys))
    values, second = np.empty((n, len(xs), len(ys))), np.empty((len(xs), len(ys)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            shared = a.multiply(b)
            edges = shared - (shared.sum() / (n * k) / 2) * (a + b)
            values[:, i, j] = (edges.sum(axis=1) + edges.sum(axis=0)) / k
            second[i, j] = (edges.multiply(edges).sum() + edges.multiply(edges.T).sum()) / (n * k) ** 2
    return Influence(values, np.maximum(second, 0.0))


def kernel_influence(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Influence:
    """Influence of every item on every CKA, at the cost of some products of the size of the score's own.

    CKA is c = <K, L> / (|K| |L|) of centred kernels. Weighting the items, and noting that centring has no first-order
    effect (a centred kernel sums to zero along each item), item i moves it by ψ_i = 2 n Σ_j g_ij with
    g = K L / (|K| |L|) - c (K² / |K|² + L² / |L|²) / 2. The variance of Σ_ij g_ij is, in expectation,
    4 Σ_i (Σ_j g_ij)² - 2 Σ_ij g_ij²; without the second term intervals of unrelated representations are √2 too wide.

    Args:
        xs: Kernels of one side, all of one estimator.
        ys: Kernels of the other side.
    """
    n, every = xs[0].n, [*xs, *ys]
    width = max(1, min(n, BLOCK_BYTES // (len(every) * n * 8)))
    starts = range(0, n, width)
    left, right = len(xs), len(ys)
    rows = np.empty((n, left, right))
    own = np.empty((n, left + right))
    s22, s31, s13 = (np.zeros((left, right)) for _ in range(3))
    s4 = np.zeros(left + right)
    for s in starts:
        e = min(n, s + width)
        k = np.stack([_rows(kernel, s, e) for kernel in every])  # (layers, e - s, n)
        a, b = k[:left], k[left:]
        square = k * k
        rows[s:e] = np.matmul(a.transpose(1, 0, 2), b.transpose(1, 2, 0))
        own[s:e] = square.sum(axis=2, dtype=np.float64).T
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
    return Influence(values, 2 * np.maximum(squares, 0.0))


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
