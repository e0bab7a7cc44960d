"""Tiles: models whose layers are compared with those of others at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

Pairs = Sequence[tuple[int, int]]

TILE = 320
"""Layers of one tile: all pairs of so many are compared at once."""


class Tile(NamedTuple):
    """Models whose layers are compared at once with those of others.

    Attributes:
        first: Positions of the models whose layers are the rows.
        second: Of those whose layers are the columns.
        asked: Positions of the pairs, and of their models in the tile.
        row_ends: Where the layers of each begin and end.
        column_ends: The same of the columns.
    """

    first: Sequence[int]
    second: Sequence[int]
    asked: Sequence[tuple[int, int, int]]
    row_ends: Sequence[int]
    column_ends: Sequence[int]

    def blocks(self) -> Iterator[tuple[int, slice, slice]]:
        """Every pair of models, with the rows and columns of its layers."""
        for k, a, b in self.asked:
            yield k, slice(self.row_ends[a], self.row_ends[a + 1]), slice(self.column_ends[b], self.column_ends[b + 1])


def tiles_of(sizes: Sequence[int], models: int, pairs: Pairs) -> list[Tile]:
    """Tiles of at most `TILE` layers a side that hold all pairs; models are taken in order.

    Args:
        sizes: Number of layers of every model and twin.
        models: How many of them are models; twins come after, in tiles of their own.
        pairs: The pairs that are compared.
    """
    runs: list[list[int]] = []
    for model, size in enumerate(sizes):
        if runs and model != models and sum(sizes[m] for m in runs[-1]) + size <= TILE:
            runs[-1].append(model)
        else:
            runs.append([model])
    place = {m: (r, a) for r, run in enumerate(runs) for a, m in enumerate(run)}
    asked: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for k, (i, j) in enumerate(pairs):
        (r, a), (c, b) = place[i], place[j]
        asked.setdefault((r, c), []).append((k, a, b))

    def ends(run: Sequence[int]) -> list[int]:
        return [int(e) for e in np.cumsum([0, *(sizes[m] for m in run)])]

    found = []
    for (r, c), wanted in asked.items():
        rows = sorted({a for _, a, _ in wanted})
        columns = sorted({b for _, _, b in wanted})
        first, second = [runs[r][a] for a in rows], [runs[c][b] for b in columns]
        at = [(k, rows.index(a), columns.index(b)) for k, a, b in wanted]
        found.append(Tile(first, second, at, ends(first), ends(second)))
    return found
