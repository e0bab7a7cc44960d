"""Exact permutation moments of the statistic T(p) = Σ_ij A_ij B_p(i)p(j).

Neighbour overlap (A and B adjacency matrices of directed graphs) and rank sums over neighbours have this form. For
symmetric matrices `isomorph.nulls.ucentered` has the same with fewer sums. Expanding T, T² and T³ gives sums over
one, two or three directed edges; grouping the terms by which end points coincide gives, for each of the 1 + 6 + 24
shapes that up to three edges can take,

    (number of such terms) × D(A) × D(B) / (n (n-1) … (n-v+1)),

where D is the sum of the product of the entries over all placements of the shape on *distinct* vertices and v its
number of vertices. D is a Möbius combination of the unconstrained sums, which row and column sums and one matrix
product give. So each matrix is reduced to 31 numbers once, and all pairs of matrices cost one tiny product.

The first two moments are Mantel (1967) and Hubert and Schultz (1976); the third follows the same way. Tests check all
three against the enumeration of every permutation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy

from .._core.memory import block_bytes

FEW = 200
"""Up to so many items a sparse matrix takes longer than a dense one: its overhead is more than what it spares."""
_STRIP_BYTES = 64 << 20
_WALK_BYTES = 24  # a place, a weight, and the same again while they are sorted

Edges = tuple[tuple[int, int], ...]
Floats = np.ndarray[Any, np.dtype[np.float64]]

SHAPES: dict[str, Edges] = {
    "edge": ((0, 1),),
    "parallel": ((0, 1), (0, 1)),
    "reciprocal": ((0, 1), (1, 0)),
    "fork": ((0, 1), (0, 2)),
    "join": ((1, 0), (2, 0)),
    "chain": ((0, 1), (1, 2)),
    "two": ((0, 1), (2, 3)),
    "triple": ((0, 1), (0, 1), (0, 1)),
    "parallel and back": ((0, 1), (0, 1), (1, 0)),
    "parallel, out of source": ((0, 1), (0, 1), (0, 2)),
    "parallel, into source": ((0, 1), (0, 1), (2, 0)),
    "parallel, out of target": ((0, 1), (0, 1), (1, 2)),
    "parallel, into target": ((0, 1), (0, 1), (2, 1)),
    "reciprocal, out": ((0, 1), (1, 0), (0, 2)),
    "reciprocal, in": ((0, 1), (1, 0), (2, 0)),
    "cycle": ((0, 1), (1, 2), (2, 0)),
    "transitive": ((0, 1), (1, 2), (0, 2)),
    "star 3 out": ((0, 1), (0, 2), (0, 3)),
    "star 2 out": ((0, 1), (0, 2), (3, 0)),
    "star 1 out": ((0, 1), (2, 0), (3, 0)),
    "star 0 out": ((1, 0), (2, 0), (3, 0)),
    "path": ((0, 1), (1, 2), (2, 3)),
    "path into": ((0, 1), (1, 2), (3, 2)),
    "path out of": ((1, 0), (1, 2), (2, 3)),
    "path zigzag": ((0, 1), (2, 1), (2, 3)),
    "parallel + edge": ((0, 1), (0, 1), (2, 3)),
    "reciprocal + edge": ((0, 1), (1, 0), (2, 3)),
    "fork + edge": ((0, 1), (0, 2), (3, 4)),
    "join + edge": ((1, 0), (2, 0), (3, 4)),
    "chain + edge": ((0, 1), (1, 2), (3, 4)),
    "three": ((0, 1), (2, 3), (4, 5)),
}
"""Every loop-free directed multigraph of one, two or three edges without lone vertices, one representative each."""

_NAMES = tuple(SHAPES)
_INDEX = {name: i for i, name in enumerate(_NAMES)}


class Moments(NamedTuple):
    """Moments of T over all n! permutations, arrays over (matrices A, matrices B).

    Attributes:
        mean: Expectation.
        variance: Central second moment, never below zero.
        skewness: Third standardised moment, zero where the variance is.
    """

    mean: Floats
    variance: Floats
    skewness: Floats


def invariants(matrix: Any) -> Floats:
    """The sums over all placements of each shape on distinct vertices.

    Args:
        matrix: Square matrix with a zero diagonal, a NumPy array or a SciPy sparse array. Subtract the mean of the
            off-diagonal entries of a dense matrix first: it spares the third moment cancellation.

    Returns:
        One number for each of `SHAPES`, in that order.
    """
    return _mobius() @ _unconstrained(matrix)


def permutation_moments(a: Floats, b: Floats, n: int) -> Moments:
    """Mean, variance and skewness of T for all pairs of matrices, from their `invariants`.

    Args:
        a: Invariants, shape (matrices A, shapes).
        b: Invariants, shape (matrices B, shapes).
        n: Number of items.
    """
    vertices, counts, edges = _tables()
    falling = np.array([math.perm(n, int(v)) for v in vertices], dtype=np.float64)
    weight = np.divide(counts, falling, out=np.zeros_like(falling), where=falling > 0)
    first, second, third = ((a * np.where(edges == e, weight, 0.0)) @ b.T for e in (1, 2, 3))
    variance = second - first * first
    # variance lost in rounding against the square of the mean is no variance
    variance = np.where(variance > 1e-12 * np.abs(second), variance, 0.0)
    central = third - 3.0 * first * second + 2.0 * first**3
    skewness = np.divide(central, variance**1.5, out=np.zeros_like(central), where=variance > 0)
    return Moments(first, variance, skewness)


# ---- sums over all placements, end points free to coincide -------------------------------------------------


def _unconstrained(matrix: Any) -> Floats:
    if scipy.sparse.issparse(matrix) and matrix.shape[0] <= FEW:
        matrix = matrix.toarray()
    a: Any = scipy.sparse.csr_array(matrix) if scipy.sparse.issparse(matrix) else np.asarray(matrix, dtype=np.float64)
    transposed = a.T.tocsr() if scipy.sparse.issparse(a) else a.T
    times = (lambda p, q: p.multiply(q).tocsr()) if scipy.sparse.issparse(a) else np.multiply
    ones = np.ones(a.shape[0])
    squared = times(a, a)
    out, into = a @ ones, transposed @ ones
    out2, into2 = squared @ ones, squared.T @ ones
    mutual = times(a, transposed) @ ones
    cycles, shortcuts = _closed_walks(a, transposed)
    total = float(out.sum())
    s = {
        "edge": total,
        "parallel": out2.sum(),
        "reciprocal": mutual.sum(),
        "fork": out @ out,
        "join": into @ into,
        "chain": into @ out,
        "triple": times(squared, a).sum(),
        "parallel and back": times(squared, transposed).sum(),
        "parallel, out of source": out2 @ out,
        "parallel, into source": out2 @ into,
        "parallel, out of target": into2 @ out,
        "parallel, into target": into2 @ into,
        "reciprocal, out": mutual @ out,
        "reciprocal, in": mutual @ into,
        "cycle": cycles,
        "transitive": shortcuts,
        "star 3 out": (out**3).sum(),
        "star 2 out": (out**2) @ into,
        "star 1 out": out @ (into**2),
        "star 0 out": (into**3).sum(),
        "path": into @ (a @ out),
        "path into": into @ (a @ into),
        "path out of": out @ (a @ out),
        "path zigzag": out @ (a @ into),
        "two": total**2,
        "three": total**3,
    }
    s |= {f"{name} + edge": s[name] * total for name in ("parallel", "reciprocal", "fork", "join", "chain")}
    return np.array([float(s[name]) for name in _NAMES])


def _closed_walks(a: Any, transposed: Any) -> tuple[float, float]:
    """Sums over walks of two edges times the edge that leads back, and the edge that leads the same way.

    In strips of rows: of a million lists of ten, all walks of two edges would take over a gigabyte.
    """
    n = a.shape[0]
    each = a.nnz**2 / n**2 if scipy.sparse.issparse(a) else n  # walks from a row, about
    rows = max(1, int(block_bytes(_STRIP_BYTES) // (_WALK_BYTES * max(each, 1))))
    back = along = 0.0
    for begin in range(0, n, rows):
        end = min(n, begin + rows)
        walks = a[begin:end] @ a
        if scipy.sparse.issparse(a):
            back += float(walks.multiply(transposed[begin:end]).sum())
            along += float(walks.multiply(a[begin:end]).sum())
        else:
            back += float(np.sum(walks * transposed[begin:end]))
            along += float(np.sum(walks * a[begin:end]))
    return back, along


# ---- combinatorial tables, made once -----------------------------------------------------------------------


def shape_of(edges: Sequence[tuple[int, int]]) -> str:
    """The shape of a loop-free directed multigraph of one to three edges."""
    return _by_signature()[_signature(edges)]


def _signature(edges: Sequence[tuple[int, int]]) -> tuple[Any, ...]:
    # the degrees at both ends of every edge tell all shapes apart (tested against brute-force isomorphism)
    out, into = Counter(u for u, _ in edges), Counter(v for _, v in edges)
    ends = sorted((out[u], into[u], out[v], into[v]) for u, v in edges)
    return (len(set(out) | set(into)), *ends)


@lru_cache(maxsize=1)
def _by_signature() -> dict[tuple[Any, ...], str]:
    return {_signature(edges): name for name, edges in SHAPES.items()}


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """All set partitions."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for p in partitions(rest):
        yield [[first], *p]
        for i in range(len(p)):
            yield [*p[:i], [first, *p[i]], *p[i + 1 :]]


def _merged(edges: Edges, partition: list[list[int]]) -> list[tuple[int, int]] | None:
    """The edges after vertices of one block became one, None if an edge became a loop."""
    label = {v: i for i, block in enumerate(partition) for v in block}
    out = [(label[u], label[v]) for u, v in edges]
    return None if any(u == v for u, v in out) else out


@lru_cache(maxsize=1)
def _mobius() -> Floats:
    """Matrix from unconstrained sums to sums over distinct vertices; loops vanish with the diagonal."""
    table = np.zeros((len(_NAMES), len(_NAMES)))
    for name, edges in SHAPES.items():
        vertices = sorted({v for e in edges for v in e})
        for p in partitions(vertices):
            merged = _merged(edges, p)
            if merged is not None:
                sign = math.prod((-1) ** (len(b) - 1) * math.factorial(len(b) - 1) for b in p)
                table[_INDEX[name], _INDEX[shape_of(merged)]] += sign
    return table


@lru_cache(maxsize=1)
def _tables() -> tuple[Floats, Floats, Floats]:
    """For each shape: its vertices, how many terms of T, T² or T³ have it, and its edges."""
    counts = np.zeros(len(_NAMES))
    for m in (1, 2, 3):
        free = tuple((2 * i, 2 * i + 1) for i in range(m))
        for p in partitions(list(range(2 * m))):
            merged = _merged(free, p)
            if merged is not None:
                counts[_INDEX[shape_of(merged)]] += 1
    vertices = np.array([len({v for e in edges for v in e}) for edges in SHAPES.values()], dtype=np.float64)
    return vertices, counts, np.array([len(edges) for edges in SHAPES.values()], dtype=np.float64)
