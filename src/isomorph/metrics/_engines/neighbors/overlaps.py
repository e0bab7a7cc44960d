"""Exact moments of Σ_i f(h_i), h_i the common neighbours of item i, over all re-pairings of the items.

One list meets a uniformly random list, so h_i is hypergeometric: that gives the mean and the terms of single items of
the second moment. Two items i and j of one graph land on two random items i' and j' of the other, and the other n - 2
items on each other at random. Beside k and n the expectation of f(h_i) f(h_j) needs four things: which of the edges
i → j and j → i either graph has (an edge that both have is one common neighbour for sure), and how many of the other
items both lists hold, in either graph. So each graph is reduced to a histogram over its ordered pairs of items, and a
pair of graphs costs one product with a table of n, k and f.

That table comes from factorial moments. With f(h) = Σ_t a_t C(h, t), a_t the t-th forward difference at 0, the product
C(h_i, s) C(h_j, t) counts pairs of subsets, S of i's and T of j's neighbours, that land inside the other lists. A pair
with |S ∩ T| = r does so with a probability of (pairs like it in the other two lists) / (pairs like it in all n - 2
items). Where the differences have one sign, as for h / (2k - h), all terms have, and nothing cancels.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy

from ....nulls.motifs import Moments
from .graphs import Neighbors

Floats = np.ndarray[Any, np.dtype[np.float64]]

Values = tuple[Fraction, ...]
"""f(0), …, f(k); fractions, so that high differences keep their digits."""


class OverlapMoments(NamedTuple):
    """Moments of Σ_i f(h_i) over all n! re-pairings.

    Attributes:
        mean: Expectation, the same for all graphs.
        variance: Central second moment for all pairs of graphs, never below zero.
        skewness: Third standardised moment for all pairs, up to the sum over three different items.
    """

    mean: float
    variance: Floats
    skewness: Floats


def pair_histogram(graph: Neighbors) -> Floats:
    """How many ordered pairs i ≠ j of items have which edges between them and how many common neighbours.

    Args:
        graph: A graph without ties.

    Returns:
        (4, k + 1): by [i → j is an edge] + 2 [j → i is an edge], and by the number of common neighbours.
    """
    n, k = graph.n, graph.k
    a = scipy.sparse.csr_array((np.ones(n * k, dtype=np.int64), graph.target, graph.start), shape=(n, n))
    code = (4 * (a @ a.T) + a + 2 * a.T).tocoo()
    counts = np.bincount(code.data[code.row != code.col], minlength=4 * (k + 1)).astype(np.float64)
    counts[0] = n * (n - 1) - counts[1:].sum()  # pairs with nothing between them, most of which are not stored
    return np.asarray(counts.reshape(k + 1, 4).T)


def spacing(n: int, values: Values) -> float:
    """How far apart neighbouring values of Σ_i f(h_i) lie, for the tail of a continuous distribution to step back by.

    Where the values of f are whole multiples of a large unit (k ≤ 3 for h / (2k - h)) that is it. With a small unit the
    sums still bunch at multiples of f(1) while few items have more than one common neighbour, and are dense where many
    have. In between it is f(1) times the chance that two sums with the same position in their bunch meet: that they
    have as many items with h = 2, as many with h = 3, …, each number taken as Poisson.
    """
    k = len(values) - 1
    numbers = np.array([n * float(Fraction(w, math.comb(n - 1, k))) for w in _ways(n, k)[2:]])
    whole = math.lcm(*(f.denominator for f in values))
    unit = math.gcd(*(int(f * whole) for f in values)) / whole
    return max(unit, float(values[1]) * float(np.prod(scipy.special.ive(0, 2 * numbers))))


def overlap_moments(a: Floats, b: Floats, n: int, values: Values, counted: Moments) -> OverlapMoments:
    """Moments of Σ_i f(h_i) for all pairs of graphs, from their pair histograms.

    The third central moment sums over one, two or three different items. The first two sums are exact. For the third f
    is replaced by the line through it that fits best: it is then that of Σ_i h_i, whose third moment is known.

    Args:
        a: Histograms of one side, (graphs, 4, k + 1).
        b: Histograms of the other side, likewise.
        n: Number of items, at least k + 1 and 2.
        values: f(0), …, f(k). Precise where its forward differences from the first on have one sign.
        counted: Moments of Σ_i h_i for all pairs of graphs.
    """
    k = len(values) - 1
    mean = _mean(n, values)
    f, h = _centered(n, values), _centered(n, tuple(Fraction(i) for i in range(k + 1)))
    f2, h2 = (tuple(v * v for v in z) for z in (f, h))

    def pairs(first: Values, second: Values) -> Floats:
        left, right = (z.reshape(len(z), -1) for z in (a, b))
        return np.asarray(left @ _pair_table(n, first, second) @ right.T / (n * (n - 1)))

    square = n * float(_mean(n, f2))
    variance = square + pairs(f, f)
    # variance lost in rounding against the square of the mean is no variance
    variance = np.where(variance > 1e-12 * (square + (n * float(mean)) ** 2), variance, 0.0)
    one, one_h = (n * float(_mean(n, tuple(v**3 for v in z))) for z in (f, h))
    triples_h = counted.skewness * counted.variance**1.5 - one_h - 3 * pairs(h2, h)
    spread = _mean(n, h2)
    slope = float(_mean(n, tuple(x * y for x, y in zip(f, h, strict=True))) / spread) if spread else 0.0
    third = one + 3 * pairs(f2, f) + slope**3 * triples_h
    skewness = np.divide(third, variance**1.5, out=np.zeros_like(third), where=variance > 0)
    return OverlapMoments(n * float(mean), variance, skewness)


def _ways(n: int, k: int) -> list[int]:
    """In how many of the C(n - 1, k) ways a list meets a fixed one in 0, …, k items."""
    return [math.comb(k, h) * math.comb(n - 1 - k, k - h) for h in range(k + 1)]


def _mean(n: int, values: Values) -> Fraction:
    """Expectation of f(h), h hypergeometric (n - 1, k, k)."""
    k = len(values) - 1
    return sum((w * f for w, f in zip(_ways(n, k), values, strict=True)), Fraction(0)) / math.comb(n - 1, k)


def _centered(n: int, values: Values) -> Values:
    mean = _mean(n, values)
    return tuple(f - mean for f in values)


@lru_cache(maxsize=32)
def _pair_table(n: int, first: Values, second: Values) -> Floats:
    """E[f(h_i) g(h_j)] for a pair of items of one graph upon a pair of the other, (4 (k + 1), 4 (k + 1))."""
    k, m = len(first) - 1, n - 2
    terms = max(_terms(n, first), _terms(n, second))
    size = np.arange(terms + 1)
    # of f(h) and of f(h + 1), the latter for at most k - 1 others
    alpha, beta = (
        [_differences(v, terms), np.append(_differences(v[1:], min(terms, k - 1)), np.zeros(max(terms - k + 1, 0)))]
        for v in (first, second)
    )
    falling = np.concatenate([[0.0], np.cumsum(np.log(np.arange(m, max(m - 2 * terms, 0), -1.0)))])
    s, t = size[:, None], size[None, :]
    table = np.zeros((4, k + 1, 4, k + 1))
    for r in range(terms + 1):
        # one over the number of pairs of subsets of m items; there are none where they do not fit
        possible = (s >= r) & (t >= r) & (s + t - r < len(falling))
        log_all = falling[np.where(possible, s + t - r, 0)] - sum(
            scipy.special.gammaln(np.where(possible, v, 0) + 1.0) for v in (s - r, t - r, r)
        )
        scale = np.where(possible, np.exp(-log_all / 2), 0.0)
        counts = [(_subset_pairs(k - (e & 1), k - (e >> 1), r, k, terms) * scale).reshape(k + 1, -1) for e in range(4)]
        for e in range(4):
            for e2 in range(4):
                both = e & e2
                weight = np.outer(alpha[both & 1], beta[both >> 1]).reshape(-1)
                table[e, :, e2, :] += (counts[e] * weight) @ counts[e2].T
    return table.reshape(4 * (k + 1), 4 * (k + 1))


def _subset_pairs(a: int, b: int, r: int, k: int, terms: int) -> Floats:
    """How many S ⊂ A, T ⊂ B have |S| = s, |T| = t, |S ∩ T| = r; |A| = a, |B| = b, |A ∩ B| = c: (c ≤ k, s, t)."""
    c, s, t = np.ogrid[: k + 1, : terms + 1, : terms + 1]
    out = np.zeros((k + 1, terms + 1, terms + 1))
    for u in range(terms + 1 - r):  # of the rest of S, how many lie in A ∩ B, where T cannot take them
        only_s = _comb(c - r, u) * _comb(a - c, s - r - u)
        out += only_s * _comb(np.asarray(b - r - u), t - r)
    return np.asarray(out * _comb(c, np.asarray(r)))


def _comb(n: Any, k: Any) -> Floats:
    """Binomial coefficients, 0 outside their triangle."""
    return np.asarray(scipy.special.comb(n, k))


def _differences(values: Values, terms: int) -> Floats:
    """Forward differences at the first value, of order 0 to `terms`."""
    out, row = [], list(values)
    for _ in range(terms + 1):
        out.append(float(row[0]))
        row = [y - x for x, y in itertools.pairwise(row)]
    return np.array(out)


def _terms(n: int, values: Values) -> int:
    """The last term of the expansion of f that can be seen in the moments: they fall about as (k / 2n)^t."""
    k = len(values) - 1
    heights = np.arange(k + 1)
    p = np.array([float(Fraction(w, math.comb(n - 1, k))) for w in _ways(n, k)])
    square = float(_mean(n, tuple(f * f for f in values)))
    differences, rest = _differences(values, k), np.zeros(k + 1)
    for t in range(k, 1, -1):
        rest += differences[t] * _comb(heights, np.asarray(t))
        # Cauchy-Schwarz: what is left out moves no mean product over pairs by more than the product of the norms
        if n * np.sqrt(np.sum(p * rest**2)) > 1e-13 * np.sqrt(square):
            return t
    return min(k, 1)
