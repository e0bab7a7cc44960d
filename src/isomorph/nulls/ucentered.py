"""Two symmetric n x n matrices under random re-pairing of their items: exact moments, and sampled values in blocks.

For symmetric A and B and a uniformly random permutation P of the n items, <A, P B P'> has an exact mean, variance and
third central moment, in O(n^2) per matrix plus one n x n x n product (for tr A^3), and O(1) per pair. **Any**
symmetric matrices will do: with or without a diagonal, with any row sums; the usual ones are U-centred kernels
(unbiased CKA: zero diagonal, zero row sums), double-centred kernels (biased CKA, the RV coefficient: diagonal, zero row
sums) and distance matrices (RSA with Pearson, Mantel's test: zero diagonal, any row sums).

How: the third moment is a sum over the 203 ways in which the six indices of A_ij A_kl A_pq can coincide; each way is a
multigraph with three edges, whose sum over *distinct* items follows from unrestricted sums (graph homomorphism counts)
by Möbius inversion over coarser coincidences. Every connected multigraph with up to three edges is one of the 17
`INVARIANTS` below, so these 17 numbers per matrix are all that is needed. For double-centred matrices this agrees with
Kazi-Aoual, Hitier, Sabatier and Lebreton (1995) and for zero-diagonal ones with Mantel (1967); the tests enumerate all
permutations at n = 6 and 7.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import array_api_extra as xpx
import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array

Floats = np.ndarray[Any, Any]
Signature = tuple[tuple[int, int], ...]  # of a connected multigraph: (edge ends, loops) of each vertex, sorted

# Notation: a = diagonal of A, r = row sums, q = row sums of squares (diagonal included in both).
INVARIANTS: dict[Signature, int] = {
    signature: position
    for position, signature in enumerate(
        [
            ((0, 1),),  # 0: sum a
            ((1, 0), (1, 0)),  # 1: sum A
            ((0, 2),),  # 2: sum a^2
            ((1, 0), (1, 1)),  # 3: sum a r
            ((2, 0), (2, 0)),  # 4: sum A^2
            ((1, 0), (1, 0), (2, 0)),  # 5: sum r^2
            ((0, 3),),  # 6: sum a^3
            ((1, 0), (1, 2)),  # 7: sum a^2 r
            ((1, 1), (1, 1)),  # 8: a'A a
            ((2, 0), (2, 1)),  # 9: sum a q
            ((1, 0), (1, 0), (2, 1)),  # 10: sum a r^2
            ((1, 0), (1, 1), (2, 0)),  # 11: a'A r
            ((3, 0), (3, 0)),  # 12: sum A^3
            ((1, 0), (2, 0), (3, 0)),  # 13: sum q r
            ((2, 0), (2, 0), (2, 0)),  # 14: tr A^3 (matrix power)
            ((1, 0), (1, 0), (1, 0), (3, 0)),  # 15: sum r^3
            ((1, 0), (1, 0), (2, 0), (2, 0)),  # 16: r'A r
        ]
    )
}


class Invariants(NamedTuple):
    """What one matrix brings to the moments.

    Attributes:
        n: Number of items.
        trace: Sum of its diagonal.
        off: Sum of its off-diagonal entries.
        sums: The 17 sums of `INVARIANTS`, after the mean of the diagonal and that of the rest were subtracted.
        squares: The same of the matrix of squared effects, main effects of items on its diagonal and interactions of
            pairs off it, from which `Moments.scale` follows: its trace, the sum of its off-diagonal entries, and sums 2
            to 5 of `INVARIANTS` after both means were subtracted.
    """

    n: int
    trace: float
    off: float
    sums: Floats
    squares: Floats


class Moments(NamedTuple):
    """Mean, variance and third central moment of <A, P B P'> for every A and B: arrays (len(as), len(bs)).

    ``scale`` is the relative variance of the conditional variance: V, the variance over random signs of all effects,
    given which item meets which. With main effects and interactions A_ij = u_i + u_j + W_ij off the diagonal, less the
    mean, and likewise B, it is V = Σ_i l_i² l'_π(i)² + 2 Σ_i≠j W_ij² W'_π(i)π(j)², l_i² = A_ii² + 2 (n - 2) u_i². With
    outlying items V varies much, since the score is large only when they meet: a tail that three moments do not show.
    """

    mean: Floats
    variance: Floats
    third: Floats
    scale: Floats


def invariants(matrix: Array, *, u_centered: bool = False) -> Invariants:
    """The permutation invariants of a symmetric matrix (n, n).

    Args:
        matrix: Symmetric; its values are used in float64, its cube by products in its own dtype.
        u_centered: Promise that diagonal and row sums are zero, so that three sums are enough.
    """
    xp = array_namespace(matrix)
    n = matrix.shape[0]
    if u_centered:
        sums = np.zeros(len(INVARIANTS))
        *sums[[4, 12, 14]], fourth, rows = _powers(matrix)
        # W is the matrix itself, and the squares have the row sums √2 q
        total = math.sqrt(2.0) * sums[4]
        inner, outer = 2 * fourth - total**2 / (n * (n - 1)), 2 * rows - total**2 / n
        return Invariants(n, 0.0, 0.0, sums, np.array([0.0, total, 0.0, 0.0, max(0.0, inner), max(0.0, outer)]))
    a = xp.astype(xp.linalg.diagonal(matrix), xp.float64)
    trace = float(xp.sum(a))
    off = float(xp.sum(matrix, dtype=xp.float64)) - trace
    # both means are taken out first: they only shift the score, and the moments then lose no digits to them
    c = off / (n * (n - 1))
    a = a - trace / n
    m = xp.reshape(xp.astype(matrix, xp.float64) - c, (-1,))
    m = xp.reshape(xpx.at(m)[:: n + 1].set(a), (n, n))
    square = m * m
    r, q = xp.sum(m, axis=1), xp.sum(square, axis=1)
    ma, mr = m @ a, m @ r
    own = xp.astype(m, matrix.dtype, copy=False)  # the one product, in the dtype of the matrix
    cubes, triangles = (xp.sum(xp.vecdot(v, m)) for v in (square, xp.astype(own @ own.T, xp.float64, copy=False)))
    parts = [
        *(xp.sum(v) for v in (a, r, a * a, a * r, q, r * r, a**3, a * a * r, a * ma, a * q, a * r * r, a * mr)),
        *(cubes, xp.sum(q * r), triangles, xp.sum(r**3), xp.sum(r * mr)),
    ]
    sums = np.array([float(p) for p in parts])
    sums[:2] = 0.0
    return Invariants(n, trace, off, sums, _squares(m))


def moments(xs: Sequence[Invariants], ys: Sequence[Invariants]) -> Moments:
    """Exact moments of <A, P B P'> over all n! permutations P, for every A of `xs` and B of `ys`."""
    n = xs[0].n
    mean = np.outer([x.trace for x in xs], [y.trace for y in ys]) / n
    mean += np.outer([x.off for x in xs], [y.off for y in ys]) / (n * (n - 1))
    hx, hy = np.stack([x.sums for x in xs]), np.stack([y.sums for y in ys])
    second, third = (_raw_moment(hx, hy, n, order) for order in (2, 3))
    return Moments(mean, np.maximum(second, 0.0), third, _scale(xs, ys))  # the mean was taken out: they are central


def _scale(xs: Sequence[Invariants], ys: Sequence[Invariants]) -> Floats:
    n = xs[0].n
    mean = np.outer([x.squares[0] for x in xs], [y.squares[0] for y in ys]) / n
    mean += np.outer([x.squares[1] for x in xs], [y.squares[1] for y in ys]) / (n * (n - 1))
    hx, hy = np.zeros((2, max(len(xs), len(ys)), len(INVARIANTS)))
    for h, side in ((hx, xs), (hy, ys)):
        h[: len(side), 2:6] = [v.squares[2:] for v in side]
    variance = np.maximum(_raw_moment(hx[: len(xs)], hy[: len(ys)], n, 2), 0.0)
    return np.asarray(np.where(mean > 0, variance / np.where(mean > 0, mean, 1.0) ** 2, 0.0))


def _squares(m: Array) -> Floats:
    """`Invariants.squares` of a symmetric matrix in float64, the means of its diagonal and of the rest taken out."""
    xp = array_namespace(m)
    n = m.shape[0]
    a = xp.linalg.diagonal(m)
    effects = (xp.sum(m, axis=1) - a) / (n - 2) if n > 2 else xp.zeros_like(a)
    size = a * a + 2 * (n - 2) * effects * effects
    rest = m - effects[:, None] - effects[None, :]
    rest = xp.reshape(rest * rest, (-1,))
    rest = xp.reshape(xpx.at(rest)[:: n + 1].set(0.0), (n, n))
    root = math.sqrt(2.0)
    rows = xp.sum(rest, axis=1)
    total, level = root * float(xp.sum(rows)), root * float(xp.sum(rows)) / (n * (n - 1))
    size, mean = size - xp.sum(size) / n, float(xp.sum(size)) / n
    rows = root * rows - (n - 1) * level + size
    own = float(xp.sum(size * size))
    inner = max(0.0, 2 * float(xp.sum(xp.vecdot(rest, rest))) - total * level)
    return np.array([n * mean, total, own, float(xp.sum(size * rows)), inner + own, float(xp.sum(rows * rows))])


def skewness(moment: Moments) -> Floats:
    """Third standardised moment, zero where the score does not vary."""
    spread = np.where(moment.variance > 0, moment.variance, 1.0) ** 1.5
    return np.where(moment.variance > 0, moment.third / spread, 0.0)


def strict_upper(width: int, xp: Any, dtype: Any, where: Any) -> Array:
    """Ones above the diagonal, zeros on and below it: what a square block at the diagonal counts."""
    return xp.triu(xp.ones((width, width), dtype=dtype, device=where), k=1)


def _powers(matrix: Array, block: int = 512) -> tuple[float, float, float, float, float]:
    """Sums of squares and cubes, the trace of the cube, sums of fourth powers and of squared row sums of squares.

    All are summed in float64 over blocks of rows.
    """
    xp = array_namespace(matrix)
    squares = cubes = triangles = fourth = rows_squared = 0.0
    whole = matrix @ matrix.T if matrix.shape[0] <= 4096 else None  # symmetric, so BLAS does half the work
    for s in range(0, matrix.shape[0], block):
        e = min(matrix.shape[0], s + block)
        rows = matrix[s:e, :]
        product = rows @ matrix if whole is None else whole[s:e, :]
        square = rows * rows
        wide = xp.astype(square, xp.float64)  # fourth powers leave the range of single precision
        of_rows = xp.sum(wide, axis=1)
        squares += float(xp.sum(of_rows))
        rows_squared += float(xp.sum(of_rows * of_rows))
        fourth += float(xp.sum(xp.vecdot(wide, wide)))
        cubes += float(xp.sum(xp.astype(square * rows, xp.float64)))
        triangles += float(xp.sum(xp.astype(product * rows, xp.float64)))
    return squares, cubes, triangles, fourth, rows_squared


# ---- the combinatorics, done once ------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _coincidences(order: int) -> tuple[Floats, list[tuple[int, ...]], list[int], Floats]:
    """All ways in which the 2 * order indices of `order` entries coincide, up to renaming of the items.

    Returns:
        matrix: (classes, classes), from unrestricted sums to sums over distinct items.
        factors: For each class the positions in `INVARIANTS` whose product is its unrestricted sum.
        vertices: For each class its number of distinct items.
        counts: For each class how many of the ways belong to it.
    """
    slots = tuple(range(2 * order))
    partitions = list(_partitions(slots))
    classes: dict[tuple[int, ...], int] = {}
    factors: list[tuple[int, ...]] = []
    vertices: list[int] = []
    representative: list[list[list[int]]] = []
    counts: list[int] = []
    for partition in partitions:
        key = _factors(partition, order)
        if key not in classes:
            classes[key] = len(factors)
            factors.append(key)
            vertices.append(len(partition))
            representative.append(partition)
            counts.append(0)
        counts[classes[key]] += 1
    matrix = np.zeros((len(factors), len(factors)))
    for row, partition in enumerate(representative):
        for merge in _partitions(tuple(range(len(partition)))):
            coarser = [[slot for b in group for slot in partition[b]] for group in merge]
            weight = math.prod((-1) ** (len(g) - 1) * math.factorial(len(g) - 1) for g in merge)
            matrix[row, classes[_factors(coarser, order)]] += weight
    return matrix, factors, vertices, np.array(counts, dtype=np.float64)


def _raw_moment(hx: Floats, hy: Floats, n: int, order: int) -> Floats:
    matrix, factors, vertices, counts = _coincidences(order)
    dx, dy = (np.stack([np.prod(h[:, list(f)], axis=1) for f in factors], axis=1) @ matrix.T for h in (hx, hy))
    falling = np.array([math.perm(n, v) for v in vertices], dtype=np.float64)
    weight = np.where(falling > 0, counts / np.where(falling > 0, falling, 1.0), 0.0)
    return np.asarray((dx * weight) @ dy.T)


def _factors(partition: Sequence[Sequence[int]], order: int) -> tuple[int, ...]:
    """Connected parts of the multigraph whose vertices are the blocks and whose edge e joins slots 2e and 2e + 1."""
    block = {slot: b for b, slots in enumerate(partition) for slot in slots}
    edges = [(block[2 * e], block[2 * e + 1]) for e in range(order)]
    component = list(range(len(partition)))
    for u, v in edges:
        component = [component[u] if c == component[v] else c for c in component]
    found = []
    for root in set(component):
        signature = sorted(
            (sum((u == v0) + (v == v0) for u, v in edges if u != v), sum(u == v == v0 for u, v in edges))
            for v0 in range(len(partition))
            if component[v0] == root
        )
        found.append(INVARIANTS[tuple(signature)])
    return tuple(sorted(found))


def _partitions(items: tuple[int, ...]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for others in itertools.combinations(rest, size):
            left = tuple(i for i in rest if i not in others)
            for tail in _partitions(left):
                yield [[first, *others], *tail]
