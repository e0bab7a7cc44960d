"""Overlaps of neighbourhoods, item by item: exact p, re-paired scores, and how items move each other's overlaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy

from ...._core.memory import block_bytes
from ....nulls.items import Exact, ItemScores, MatrixMoves
from .edges import EdgeTable, common, row_sums
from .graphs import Neighbors
from .influence import shared_edges

Floats = np.ndarray[Any, Any]
_TABLE = 256 << 20  # bytes of a table of all pairs of items


def overlap_scores(
    x: Neighbors, y: Neighbors, score: Callable[[Floats], Floats], slope: Callable[[Floats], Any]
) -> ItemScores:
    """What overlaps of two graphs say of single items.

    Under free re-pairing an item's list meets a random list of the same length among the n - 1 others, so that its
    overlap is hypergeometric (n - 1, k, k), and its tail is the exact p. Where ties are shared the overlap is a sum of
    weights: no p is given, and the chance of scores other than the overlap itself is that without ties.

    The standard error of an item's score is that of a share of k draws, one more found and one more missed added to
    the count, so that none is zero.

    Args:
        x: One graph.
        y: The other, over the same items.
        score: What an item with that many common neighbours scores.
        slope: Its derivative, as in `overlap_influence`.
    """
    overlaps, edges = shared_edges(x, y, slope)
    values = np.asarray(score(overlaps), dtype=np.float64)
    counts = np.arange(x.k + 1)
    law = scipy.stats.hypergeom(x.n - 1, x.k, x.k)
    p = law.sf(counts - 1)[np.rint(overlaps).astype(np.int64)]
    if x.tied is not None or y.tied is not None:
        p = np.where(_untied(x) & _untied(y), p, np.nan)
    chance = float(np.sum(law.pmf(counts) * score(counts.astype(np.float64))))
    share = (overlaps + 1) / (x.k + 2)
    return ItemScores(
        values,
        lambda orders: (score(o) for o in _permuted(x, y, orders)),
        Exact(np.full(x.n, chance), np.asarray(p)),
        MatrixMoves(scipy.sparse.csr_array(edges)),
        np.asarray(np.abs(slope(overlaps)) * np.sqrt(x.k * share * (1 - share))),
        (0.0, 1.0),
    )


def _untied(g: Neighbors) -> Any:
    """Which items have whole neighbours only."""
    return np.asarray(np.diff(g.start) == g.k) if g.tied is not None else np.ones(g.n, dtype=bool)


def _permuted(x: Neighbors, y: Neighbors, orders: Any) -> Iterator[Floats]:
    """Overlap of each item with y in each order."""
    n = x.n
    if x.weight is not None or y.weight is not None or n * n > block_bytes(_TABLE):
        table = EdgeTable.of([x])
        for order in np.asarray(orders, dtype=np.int64):
            out = np.zeros(n)
            for items, sums in row_sums(common(table, EdgeTable.of([y.permuted(order)]))):
                out[items] = sums[:, 0, 0]
            yield out
        return
    edges = np.zeros(n * n, dtype=bool)
    edges[x.source * n + x.target] = True
    target = y.target.reshape(n, y.k)
    new = np.empty(n, dtype=np.int64)
    for order in np.asarray(orders, dtype=np.int64):
        new[order] = np.arange(n)
        shared = edges[np.arange(n)[:, None] * n + new[target[order]]]
        yield shared.sum(axis=1, dtype=np.float64)
