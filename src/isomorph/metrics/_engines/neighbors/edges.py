"""Intersecting neighbour graphs: all pairs of layers at once, and again for every re-pairing of the items."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy

from ...._core.memory import block_bytes
from .graphs import Floats, Ints, Neighbors

_BLOCK = 1 << 24  # entries of a table held at once
_SPARSE = 16  # entries of a dense table that cost as much as one of a sparse one


@dataclasses.dataclass(frozen=True, eq=False)
class EdgeTable:
    """The edges of several graphs over the same items, each edge once.

    Attributes:
        n: Number of items.
        codes: Sorted edge numbers source × n + target (edges,).
        weights: Weight of each edge in each graph (edges, graphs): sparse where nearly all are zero or there are too
            many, else dense.
        places: Place of each edge in each graph's lists, 0 where it is not there; None if not asked for.
    """

    n: int
    codes: Ints
    weights: Any
    places: Any

    @classmethod
    def of(cls, graphs: Sequence[Neighbors], *, places: bool = False, reverse: bool = False) -> EdgeTable:
        """Table of the given graphs.

        Args:
            graphs: Graphs over the same items.
            places: Whether places in the lists are needed.
            reverse: Whether to turn every edge around.
        """
        n = graphs[0].n
        flat = np.concatenate([g.target * n + g.source if reverse else g.source * n + g.target for g in graphs])
        codes, edge = np.unique(flat, return_inverse=True)
        layer = np.repeat(np.arange(len(graphs)), [len(g.target) for g in graphs])

        def table(values: list[Floats]) -> Any:
            out = scipy.sparse.coo_array(
                (np.concatenate(values), (edge, layer)), shape=(len(codes), len(graphs))
            ).tocsr()
            size = len(codes) * len(graphs)
            return out.toarray() if size <= min(_SPARSE * out.nnz, block_bytes(32 * _BLOCK) // 8) else out

        ranks = table([g.ranks for g in graphs]) if places else None
        return cls(n, codes, table([g.weights for g in graphs]), ranks)

    @cached_property
    def _position(self) -> np.ndarray[Any, np.dtype[np.int32]] | None:
        if self.n**2 > block_bytes(16 * _BLOCK) // 4:
            return None
        out = np.full(self.n**2, -1, dtype=np.int32)
        out[self.codes] = np.arange(len(self.codes))
        return out

    def find(self, codes: Ints) -> tuple[Ints, Ints]:
        """Which of the given edges are in this table, and where."""
        if self._position is not None:
            at = np.take(self._position, codes)
            hit = np.flatnonzero(at >= 0)
            return hit, at[hit].astype(np.int64)
        at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        hit = np.flatnonzero(self.codes[at] == codes)
        return hit, at[hit]


class Hits(NamedTuple):
    """Edges that both tables hold.

    Attributes:
        row: The source item of each edge, as numbered on the x side.
        x: Weights in the graphs of x (hits, graphs).
        y: Weights in the graphs of y (hits, graphs).
        x_places: Places in the lists of x; None if not asked for.
        y_places: Places in the lists of y; None if not asked for.
    """

    row: Ints
    x: Any
    y: Any
    x_places: Any = None
    y_places: Any = None


def _hits(tx: EdgeTable, ty: EdgeTable, row: Ints, at_x: Ints, at_y: Ints) -> Hits:
    if tx.places is None or ty.places is None:
        return Hits(row, tx.weights[at_x], ty.weights[at_y])
    return Hits(row, tx.weights[at_x], ty.weights[at_y], tx.places[at_x], ty.places[at_y])


def common(tx: EdgeTable, ty: EdgeTable) -> Hits:
    """The edges that some graph of either side has."""
    hit, at = tx.find(ty.codes)
    return _hits(tx, ty, ty.codes[hit] // tx.n, at, hit)


def common_permuted(tx: EdgeTable, ty: EdgeTable, orders: np.ndarray[Any, Any]) -> Iterator[Hits]:
    """`common` of x with y permuted, for each row of `orders`; the side with fewer edges is looked up in the other."""
    n = tx.n
    forward = len(tx.codes) <= len(ty.codes)
    small, large = (tx, ty) if forward else (ty, tx)
    source, target = np.divmod(small.codes, n)
    for order in np.asarray(orders, dtype=np.int64):
        place = order
        if not forward:
            place = np.empty_like(order)
            place[order] = np.arange(n)
        hit, at = large.find(place[source] * n + place[target])
        row = source[hit]
        yield _hits(tx, ty, row, hit, at) if forward else _hits(tx, ty, place[row], at, hit)


def total_overlap(hits: Hits) -> Floats:
    """Σ over edges of w_x w_y for all pairs of graphs."""
    x, y, (graphs_x, graphs_y) = hits.x, hits.y, (hits.x.shape[1], hits.y.shape[1])
    if not (scipy.sparse.issparse(x) or scipy.sparse.issparse(y)):
        return np.asarray(x.T @ y)
    if scipy.sparse.issparse(x) and scipy.sparse.issparse(y):
        terms = np.diff(x.indptr).astype(np.int64) * np.diff(y.indptr)  # of every edge
        if _SPARSE * int(terms.sum()) <= len(hits.row) * graphs_x * graphs_y:
            return _scattered(x, y, terms)
    # graphs that share most edges: their zeros cost less than their places
    out = np.zeros((graphs_x, graphs_y))
    step = max(1, block_bytes(8 * _BLOCK) // (8 * (graphs_x + graphs_y)))
    for s in range(0, len(hits.row), step):
        out += _dense(x, slice(s, s + step)).T @ _dense(y, slice(s, s + step))
    return out


def _scattered(x: Any, y: Any, terms: Ints) -> Floats:
    """The product x' y of sparse tables (edges, graphs) by places alone; `terms` is how many terms each edge gives."""
    shape = (x.shape[1], y.shape[1])
    out, ends = np.zeros(shape[0] * shape[1]), np.cumsum(terms)
    plain = bool(np.all(x.data == 1.0) and np.all(y.data == 1.0))  # no ties: terms need only be counted
    most, begin = block_bytes(8 * _BLOCK) // 64, 0
    while begin < len(terms):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + most, side="right")))
        left, right = x[begin:end], y[begin:end]
        size = np.diff(right.indptr).astype(np.int64)
        edge = np.repeat(np.arange(end - begin), np.diff(left.indptr))  # of each entry of x
        times = size[edge]  # which meets all entries of y there
        skipped = np.cumsum(times) - times - right.indptr[edge]
        at = np.arange(int(times.sum())) - np.repeat(skipped, times)
        place = np.repeat(left.indices.astype(np.int64) * shape[1], times) + right.indices[at]
        weight = None if plain else np.repeat(left.data, times) * right.data[at]
        out += np.bincount(place, weight, minlength=len(out))
        begin = end
    return out.reshape(shape)


def row_sums(hits: Hits, term: Callable[..., Floats] | None = None) -> Iterator[tuple[Ints, Floats]]:
    """Blocks of items that have common neighbours, and for all pairs of graphs the sums of a term over these.

    Args:
        hits: The shared edges.
        term: Takes weights x (edges, graphs x, 1) and y (edges, 1, graphs y), and the places of both likewise;
            returns (edges, graphs x, graphs y) or more axes behind. If None it is w_x w_y, at the speed of a product.
    """
    order = np.argsort(hits.row, kind="stable")
    row = hits.row[order]
    first = np.flatnonzero(np.diff(row, prepend=-1))
    per_block = max(1, block_bytes(8 * _BLOCK) // 64 // max(1, hits.x.shape[1] * hits.y.shape[1]))
    begin = 0
    while begin < len(first):
        # whole rows, as many as fit
        last = int(np.searchsorted(first, first[begin] + per_block, side="right"))
        last = max(begin + 1, min(last, len(first)) - (last < len(first)))
        stop = first[last] if last < len(first) else len(row)
        some, at = order[first[begin] : stop], first[begin:last] - first[begin]
        x, y = _dense(hits.x, some), _dense(hits.y, some)
        if term is None:
            sums = _padded_products(x, y, at)
        else:
            px, py = _dense(hits.x_places, some), _dense(hits.y_places, some)
            sums = np.add.reduceat(term(x[:, :, None], y[:, None, :], px[:, :, None], py[:, None, :]), at, axis=0)
        yield row[first[begin:last]], sums
        begin = last


def _padded_products(x: Floats, y: Floats, first: Ints) -> Floats:
    """Per group of rows that begins at `first`, x' y: groups are filled up to equal length with zeros."""
    size = np.diff(np.append(first, len(x)))
    group = np.repeat(np.arange(len(first)), size)
    place = np.arange(len(x)) - first[group]
    left, right = (np.zeros((len(first), int(size.max()), w.shape[1])) for w in (x, y))
    left[group, place], right[group, place] = x, y
    return np.asarray(left.transpose(0, 2, 1) @ right)


def _dense(table: Any, rows: Ints | slice) -> Floats:
    some = table[rows]
    return np.asarray(some.toarray() if scipy.sparse.issparse(some) else some)
