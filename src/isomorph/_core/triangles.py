"""The part above the diagonal of symmetric matrices, in tiles: half the memory, and still one product for all of them.

A tile is some rows from the first of them on: rows s:e, columns s:n, one after the other. What lies on or below the
diagonal in its first square is zero, a few percent of all. So tiles are cut out of strips of a matrix as they are
made, and an entry is found by a sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .arrays import Array

Ints = np.ndarray[Any, np.dtype[np.int64]]

WIDTH = 64  # rows of a tile: of 1024 items 6 % of the entries are zeros that the tiles hold for nothing


class Tiles:
    """Where the entries above the diagonal of an n x n matrix lie.

    Attributes:
        n: Number of items.
        width: Rows of a tile; the last may have fewer.
        starts: Where each tile begins, and where the last ends.
    """

    def __init__(self, n: int, width: int = WIDTH) -> None:
        self.n, self.width = n, min(n, width)
        first = np.arange(0, n, self.width)
        sizes = (np.minimum(first + self.width, n) - first) * (n - first)
        self.starts = [0, *(int(v) for v in np.cumsum(sizes))]

    @property
    def size(self) -> int:
        """Number of entries, zeros included."""
        return self.starts[-1]

    def position(self, row: int) -> int:
        """Where the tiles from `row` on begin, `row` the first of a tile or n."""
        return self.starts[-(-row // self.width)]

    @cached_property
    def base(self) -> Ints:
        """What the column is added to, (n,): the entry (i, j), i <= j, is at base[i] + j."""
        i = np.arange(self.n)
        first = i // self.width * self.width
        return np.asarray(np.asarray(self.starts)[i // self.width] + (i - first) * (self.n - first) - first)

    def chunks(self, entries: int) -> Iterator[tuple[int, int, int]]:
        """Rows b:e and the columns from s on that make at most `entries` entries (or one row), in their order."""
        for s in range(0, self.n, self.width):
            last, step = min(self.n, s + self.width), max(1, entries // (self.n - s))
            for b in range(s, last, step):
                yield b, min(last, b + step), s

    def cut(self, strip: np.ndarray[Any, Any], begin: int, out: np.ndarray[Any, Any], level: Any = None) -> None:
        """Write the tiles of a strip of a NumPy matrix.

        Args:
            strip: Rows from `begin` on, the first of a tile, and columns from `begin` on.
            begin: The first row.
            out: Where the tiles go, flat.
            level: What is added to entry (i, j) is level[i] + level[j]; None for nothing.
        """
        at = 0
        for s in range(0, len(strip), self.width):
            part = strip[s : s + self.width, s:]
            tile = out[at : at + part.size].reshape(part.shape)
            at += part.size
            if level is None:
                tile[...] = part
            else:
                u = level[begin + s :]
                np.add(part, u[None, :], out=tile)
                tile += u[: len(part), None]
            tile[:, : len(part)][np.tri(len(part), dtype=bool)] = 0

    def packed(self, matrix: Array) -> Array:
        """The tiles of a symmetric matrix (n, n) of any namespace, flat."""
        xp = array_namespace(matrix)
        if isinstance(matrix, np.ndarray):
            out = np.empty(self.size, dtype=matrix.dtype)
            self.cut(matrix, 0, out)
            return out
        strips = [matrix[s : min(self.n, s + self.width), s:] for s in range(0, self.n, self.width)]
        return xp.concat([xp.reshape(xp.triu(strip, k=1), (-1,)) for strip in strips])
