"""Sums of products of symmetric matrices under re-pairings of their items, for all pairs of two sides at once.

A table holds the pairs of items as rows and the matrices as columns, so that a re-pairing gathers whole rows: what all
matrices of a side have for one pair of items lies together. One product of the tables then gives every pair of
matrices. Only what lies above the diagonals is stored, gathered and multiplied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, to_numpy
from .._core.parallel import on_threads
from .._core.triangles import Ints, Tiles

Floats = np.ndarray[Any, Any]
State = TypeVar("State")

CHUNK = 1 << 13  # pairs of items that one product sums in the matrices' dtype before float64 takes over
_GATHERED = 1 << 20  # entries that are gathered for one product: they stay near the processor
_COLUMNS = 64  # of a gathered table: where matrices are few, several re-pairings share a product
TURNED = 32  # columns that are written at once: two cache lines of a table
_PARTS = 16  # that the pairs of items are summed in, whatever the number of threads: the same sums, the same bits


@dataclasses.dataclass(frozen=True, eq=False)
class PairTable:
    """Symmetric matrices over the same items, by pairs of items.

    Attributes:
        tiles: Where the pairs lie.
        values: (pairs, matrices), row after row.
        diagonals: (matrices, n), float64; None if the diagonals are zero or do not count.
    """

    tiles: Tiles
    values: Array
    diagonals: Floats | None = None

    @classmethod
    def of(cls, matrices: Iterable[Array], count: int, *, diagonal: bool = False) -> PairTable:
        """Of symmetric matrices (n, n) of one namespace; their diagonals count only if that is said.

        Args:
            matrices: They are taken one after the other, so that they need not exist at once.
            count: How many there are.
            diagonal: Whether their diagonals count.
        """
        tiles, diagonals = Tiles(1), []

        def blocks() -> Iterator[Array]:
            nonlocal tiles
            some: list[Array] = []
            for number, matrix in enumerate(matrices, 1):
                xp = array_namespace(matrix)
                tiles = Tiles(matrix.shape[0])
                some.append(tiles.packed(matrix))
                if diagonal:
                    diagonals.append(to_numpy(xp.linalg.diagonal(matrix)).astype(np.float64))
                if len(some) == TURNED or number == count:
                    yield xp.stack(some)
                    some = []

        values = columns(blocks(), count)
        return cls(tiles, values, np.stack(diagonals) if diagonal else None)


def columns(blocks: Iterable[Array], count: int) -> Array:
    """Rows as the columns of a table (entries, count) that lies row after row.

    Args:
        blocks: The rows, some at a time: (rows, entries); a block is done with when the next is asked for.
        count: How many rows there are in all.
    """
    out, done = None, 0
    for block in blocks:
        xp, size = array_namespace(block), block.shape[0]
        dtype = block.dtype if out is None else xp.result_type(out.dtype, block.dtype)
        if isinstance(block, np.ndarray):
            if out is None or out.dtype != dtype:
                narrow, out = out, np.empty((block.shape[1], count), dtype=dtype)
                if narrow is not None:
                    out[:, :done] = narrow[:, :done]
            out[:, done : done + size] = block.T
        else:
            parts = [xp.astype(v, dtype, copy=False) for v in (out, block.T) if v is not None]
            out = xp.concat(parts, axis=1) if len(parts) > 1 else parts[0]
        done += size
    return out


def pair_tables(
    xs: Sequence[State], ys: Sequence[State], table: Callable[[Sequence[State]], PairTable]
) -> tuple[PairTable, PairTable]:
    """`table` of both sides, made once if they are the same objects."""
    left = table(xs)
    return left, left if [id(x) for x in xs] == [id(y) for y in ys] else table(ys)


def permuted_products(xs: PairTable, ys: PairTable, orders: Ints) -> Iterator[Floats]:
    """<A, B[order][:, order]> for every order, A of `xs` and B of `ys`: arrays (matrices, matrices) in float64.

    The side with fewer matrices is gathered, all its matrices at once, and several orders share one product where it
    is small. Products run in the dtype of the tables over `CHUNK` pairs of items, sums of these in float64, so that a
    cosine of float32 tables is right to better than 1e-6.

    Args:
        xs: Matrices of one side.
        ys: Matrices of the other, which are permuted; it may be the same table.
        orders: Permutations (n_orders, n).
    """
    orders = np.asarray(orders, dtype=np.int64)
    if xs.values.shape[1] < ys.values.shape[1]:  # <A, B[p][:, p]> == <A[q][:, q], B> with q the inverse of p
        for block in permuted_products(ys, xs, np.argsort(orders, axis=1)):
            yield block.T
        return
    many, few = xs.values.shape[1], ys.values.shape[1]
    group = max(1, min(len(orders), _COLUMNS // few))
    for start in range(0, len(orders), group):
        some = orders[start : start + group]
        products = 2.0 * _products(xs, ys, some).reshape(many, len(some), few)
        for i, row in enumerate(some):
            if xs.diagonals is None or ys.diagonals is None:
                yield products[:, i, :]
            else:
                yield products[:, i, :] + xs.diagonals @ ys.diagonals[:, row].T


def _products(xs: PairTable, ys: PairTable, orders: Ints) -> Floats:
    """Sums above the diagonals, (matrices, orders of matrices)."""
    xp, tiles = array_namespace(xs.values, ys.values), ys.tiles
    dtype = xp.result_type(xs.values.dtype, ys.values.dtype)
    wide = len(orders) * ys.values.shape[1]
    chunks = list(tiles.chunks(min(CHUNK, max(1, _GATHERED // wide))))
    base, order = (xp.asarray(v, device=device(ys.values)) for v in (tiles.base, np.ascontiguousarray(orders.T)))

    def part(chunks: Sequence[tuple[int, int, int]]) -> Floats:
        total = np.zeros((xs.values.shape[1], wide))
        for begin, end, first in chunks:
            i, j = order[begin:end, None, :], order[None, first:, :]
            at = xp.reshape(xp.take(base, xp.reshape(xp.minimum(i, j), (-1,))), (-1,))
            at = at + xp.reshape(xp.maximum(i, j), (-1,))
            gathered = xp.take(ys.values, at, axis=0)
            start = int(tiles.base[begin]) + first
            rows = xs.values[start : start + (end - begin) * (tiles.n - first), :]
            gathered = xp.reshape(gathered, (rows.shape[0], wide))
            rows, gathered = (xp.astype(v, dtype, copy=False) for v in (rows, gathered))
            total += to_numpy(xp.astype(xp.matrix_transpose(rows) @ gathered, xp.float64))
        return total

    parts = min(_PARTS, len(chunks))
    shared = [chunks[len(chunks) * k // parts : len(chunks) * (k + 1) // parts] for k in range(parts)]
    work = float(tiles.size) * xs.values.shape[1] * wide if isinstance(ys.values, np.ndarray) else 0.0
    return np.asarray(sum(on_threads(part, shared, work)))
