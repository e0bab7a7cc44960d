"""Adjusted kernels of NumPy layers as tables of what lies above their diagonals, and the products of these tables.

A layer costs one symmetric product of its features, in strips of rows that stay in the cache until they are adjusted
and packed; all pairs of layers cost one product of the packed triangles. Layers, then parts of the triangles, are
shared out to threads. Products run in the dtype of the kernels over `CHUNK` entries, sums of these in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...._core.linalg import STRIP, upper_strip
from ...._core.memory import block_bytes, ceiling
from ...._core.parallel import on_threads
from ...._core.triangles import WIDTH, Tiles
from ....nulls.permuted import TURNED, PairTable, columns
from ..pairs import distinct
from .gram import FeatureKernel, Kernel, MatrixKernel

Floats = np.ndarray[Any, np.dtype[np.float64]]
Resident = FeatureKernel | MatrixKernel

PAIR_BYTES = 2 << 30  # the most that tables by pairs of items may take when permutations are sampled from them
TABLE_BYTES = 256 << 20  # working memory for the triangles of all layers, or for as many of their rows as fit
CHUNK = 1 << 13  # entries that one product sums in the features' dtype before float64 takes over
_PARTS = 16  # that the entries are summed in, whatever the number of threads: the same sums, the same bits


def triangle_products(every: Sequence[Resident], at_x: Sequence[int], at_y: Sequence[int]) -> tuple[Floats, Floats]:
    """Sums of the products of the entries above the diagonal, for all pairs of two sides and of each with itself.

    Args:
        every: Kernels of one dtype, held by NumPy.
        at_x: Which of them are on one side.
        at_y: Which are on the other.

    Returns:
        cross: (len(at_x), len(at_y)), symmetric to the last bit if both sides are the same.
        own: (len(every),).
    """
    count, n, dtype = len(every), every[0].n, every[0].array.dtype
    limit = block_bytes(TABLE_BYTES) // dtype.itemsize
    tiles = Tiles(n, max(1, min(WIDTH, limit // (count * n))))
    cross, own = np.zeros((len(at_x), len(at_y))), np.zeros(count)
    table, stop = np.empty((count, 0), dtype=dtype), 0
    while stop < n:
        start, first = stop, tiles.position(stop)
        while stop < n:  # as many rows as fit
            more = min(n, stop + tiles.width)
            if stop > start and count * (tiles.position(more) - first) > limit:
                break
            stop = more
        size = tiles.position(stop) - first
        if table.size < count * size:
            table = np.empty((count, size), dtype=dtype)
        part = table.reshape(-1)[: count * size].reshape(count, size)
        fill(part, every, tiles, start, stop)
        a, b = _products(part, at_x, at_y)
        cross += a
        own += b
    return cross, own


def pairs_fit(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> bool:
    """Whether the tables of both sides by pairs of items may be held, and the items are few enough for that to pay."""
    limit, n = min(PAIR_BYTES, ceiling() // 2), xs[0].n
    if 2 * 8 * n * n > limit:
        return False
    every = distinct(xs, ys)[0]
    held = len(every) if [id(x) for x in xs] == [id(y) for y in ys] else len(xs) + len(ys)
    bits = max(int(array_namespace(k.resident.array).finfo(k.dtype).bits) for k in every)
    return held * Tiles(n).size * bits // 8 <= limit


def pair_table(kernels: Sequence[Kernel]) -> PairTable:
    """Adjusted kernels by pairs of items, for re-pairings of these; diagonals count for the biased estimator alone."""
    every = [k.resident for k in kernels]
    if not isinstance(every[0].array, np.ndarray):
        return PairTable.of((k.whole() for k in every), len(every), diagonal=every[0].estimator == "biased")
    n = every[0].n
    tiles = Tiles(n)

    def blocks() -> Iterator[np.ndarray[Any, Any]]:
        for s in range(0, len(every), TURNED):
            some = every[s : s + TURNED]
            block = np.empty((len(some), tiles.size), dtype=np.result_type(*(k.array.dtype for k in some)))
            fill(block, some, tiles, 0, n)
            yield block

    values = columns(blocks(), len(every))
    biased = every[0].estimator == "biased"
    return PairTable(tiles, values, np.stack([k.diagonal for k in every]) if biased else None)


def fill(table: np.ndarray[Any, Any], every: Sequence[Resident], tiles: Tiles, start: int, stop: int) -> None:
    """Write the tiles of rows start:stop of every adjusted kernel into its row of the table (kernels, entries)."""
    most = min(STRIP, block_bytes(TABLE_BYTES) // (tiles.n * table.itemsize))
    rows = max(1, most // tiles.width) * tiles.width

    def one(index: int) -> None:
        kernel, out, at = every[index], table[index], 0
        level = None
        if isinstance(kernel, FeatureKernel) and kernel.estimator == "unbiased":
            level = kernel.level.astype(kernel.dtype)
        for s in range(start, stop, rows):
            e = min(stop, s + rows)
            size = tiles.position(e) - tiles.position(s)
            if isinstance(kernel, MatrixKernel):
                strip = kernel.array[s:e, s:]
            else:
                strip = np.empty((e - s, kernel.n - s), dtype=kernel.dtype)
                upper_strip(kernel.array, s, e, strip)
            tiles.cut(strip, s, out[at : at + size], level)
            at += size

    width = max(k.array.shape[1] if isinstance(k, FeatureKernel) else 1 for k in every)
    on_threads(one, range(len(every)), float(table.size) * width)


def _products(table: np.ndarray[Any, Any], at_x: Sequence[int], at_y: Sequence[int]) -> tuple[Floats, Floats]:
    """`triangle_products` of one table (kernels, entries)."""
    count, size = table.shape
    apart = 2 * len(at_x) * len(at_y) <= count * count  # else one symmetric product of all has every pair
    rows_x, rows_y = _rows(at_x), _rows(at_y)
    step = -(-size // (_PARTS * CHUNK)) * CHUNK

    def part(begin: int) -> tuple[Floats, Floats]:
        cross, own = np.zeros((len(at_x), len(at_y)) if apart else (count, count)), np.zeros(count)
        for c in range(begin, min(size, begin + step), CHUNK):
            block = table[:, c : min(size, begin + step, c + CHUNK)]
            if apart:
                cross += block[rows_x] @ block[rows_y].T
                own += np.vecdot(block, block)
            else:
                cross += block @ block.T
        return cross, own if apart else np.diagonal(cross)

    found = on_threads(part, range(0, size, step), float(size) * count * count)
    cross, own = (np.sum(np.stack(values), axis=0) for values in zip(*found, strict=True))
    return cross if apart else cross[np.ix_(at_x, at_y)], own


def _rows(at: Sequence[int]) -> Any:
    """What takes these rows of a table, without a copy where they follow each other."""
    return slice(at[0], at[-1] + 1) if list(at) == list(range(at[0], at[0] + len(at))) else np.asarray(at)
