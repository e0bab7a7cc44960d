"""Directed k-nearest-neighbour graphs: found once a layer, permuted at no cost, intersected for all pairs at once.

**Self** is excluded by its index, never by its place in the list: with duplicated items an item's nearest neighbour by
value may stand before the item itself.

**Ties.** Items whose similarities differ by less than the rounding of double precision (16 ulp) are tied. Tied items
share the places that they compete for: of t items tied for the last p places of the list, each has weight p/t, so that
the weights of a list always sum to k. The overlap Σ w_x w_y of two lists is then the expected number of common
neighbours when each side breaks its ties at random and independently. It does not depend on the order of the items,
equals the plain count where nothing is tied, and keeps chance at exactly k/(n-1). Rows whose order single precision
cannot settle are computed again in double precision: float32 features give the neighbours that exact arithmetic on
the same features gives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import (
    array_namespace,
    device,
    is_jax_array,
    is_numpy_namespace,
    is_torch_array,
    to_device,
)
from scipy import sparse

from .._arrays import Array, take_rows, to_numpy
from .._linalg import centred_scaled, scaled, sum_squares, top_k, unit_rows
from ..errors import InputError
from ._motifs import invariants

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

SIMILARITIES = ("cosine", "euclidean", "dot")
_ULPS = 16  # rounding of a product of unit vectors stays well below this many units in the last place
_BLOCK = 1 << 24  # similarities held at once


class Home(NamedTuple):
    """Where an array came from, so that results can be returned there."""

    xp: Any
    device: Any

    @classmethod
    def of(cls, x: Array) -> Home:
        """The namespace and device of `x`."""
        return cls(array_namespace(x), device(x))

    def put(self, values: np.ndarray[Any, Any]) -> Array:
        """`values` in this namespace, on this device."""
        if is_numpy_namespace(self.xp):
            return values
        array = self.xp.asarray(values)
        return array if is_jax_array(array) else to_device(array, self.device)


@dataclasses.dataclass(frozen=True, eq=False)
class Neighbours:
    """The k-nearest-neighbour lists of one layer, row after row, nearest first.

    Attributes:
        n: Number of items.
        k: Length of the lists (the sum of the weights of a row).
        start: Where each row begins (n + 1).
        target: The neighbours' item numbers.
        weight: Their weights in (0, 1]; None where nothing is tied, all are one and each row has k entries.
        rank: Their places 1 … k, the mean place of tied ones; None where nothing is tied.
        tied: Whether a neighbour shares its places with others; None where nothing is tied.
        duplicates: How many items have the same features as another item.
        home: Where the features live.
    """

    n: int
    k: int
    start: Ints
    target: Ints
    weight: Floats | None
    rank: Floats | None
    tied: np.ndarray[Any, np.dtype[np.bool_]] | None
    duplicates: int
    home: Home

    @property
    def source(self) -> Ints:
        """The item that each entry is a neighbour of."""
        return np.repeat(np.arange(self.n), np.diff(self.start))

    @property
    def weights(self) -> Floats:
        """Weights, spelled out."""
        return np.ones(len(self.target)) if self.weight is None else self.weight

    @property
    def ranks(self) -> Floats:
        """Places, spelled out."""
        return np.tile(np.arange(1.0, self.k + 1), self.n) if self.rank is None else self.rank

    @property
    def lists(self) -> Ints:
        """Items by place, (n, k); -1 where tied items share the place."""
        if self.tied is None:
            return self.target.reshape(self.n, self.k)
        out = np.full((self.n, self.k), -1, dtype=np.int64)
        sure = ~self.tied
        out[self.source[sure], self.ranks[sure].astype(np.int64) - 1] = self.target[sure]
        return out

    @cached_property
    def invariants(self) -> Floats:
        """What the exact null needs of this graph; no permutation changes it."""
        return invariants(sparse.csr_array((self.weights, self.target, self.start), shape=(self.n, self.n)))

    def permuted(self, order: np.ndarray[Any, Any]) -> Neighbours:
        """The graph of the layer whose row i is this layer's row ``order[i]``."""
        order = np.asarray(order, dtype=np.int64)
        new = np.empty_like(order)
        new[order] = np.arange(self.n)
        counts = np.diff(self.start)[order]
        start = np.concatenate([[0], np.cumsum(counts)])
        entry = np.repeat(self.start[:-1][order] - start[:-1], counts) + np.arange(len(self.target))
        pick = [None if a is None else a[entry] for a in (self.weight, self.rank, self.tied)]
        return Neighbours(self.n, self.k, start, new[self.target[entry]], *pick, self.duplicates, self.home)


# ---- finding neighbours ------------------------------------------------------------------------------------


class _Search(NamedTuple):
    """Rows whose products, less the offsets, order the neighbours; with what bounds their rounding."""

    rows: Array
    offset: Array | None
    squares: Floats


def nearest(x: Array, k: int, similarity: str, *, ordered: bool = False) -> Neighbours:
    """The k nearest neighbours of every item among the others.

    Args:
        x: Checked features (n, d).
        k: Neighbours an item.
        similarity: One of `SIMILARITIES`.
        ordered: Whether the order within a list matters, so that ties inside it are found too.

    Raises:
        InputError: if a cosine or a distance is not defined on these features.
    """
    x = _detached(x)
    n = x.shape[0]
    search = _search(x, similarity)
    width = min(n - 1, k + 1)
    index = np.empty((n, k), dtype=np.int64)
    unclear = []
    for begin in range(0, n, max(1, _BLOCK // n)):
        end = min(n, begin + max(1, _BLOCK // n))
        values, columns = (to_numpy(a) for a in top_k(_similarities(search, begin, end), width))
        index[begin:end] = columns[:, :k]
        scale = _scale(search, similarity, np.arange(begin, end), columns[:, k - 1])
        tolerance = _ULPS * float(np.finfo(values.dtype).eps) * scale
        gaps = values[:, :-1] - values[:, 1:] if ordered else values[:, k - 1 : -1] - values[:, k:]
        unclear.append(begin + np.flatnonzero(np.any(gaps <= tolerance[:, None], axis=1)))
    rows = np.concatenate(unclear)
    found = Neighbours(
        n, k, np.arange(0, n * k + 1, k), index.reshape(-1), None, None, None, count_duplicates(x), Home.of(x)
    )
    return _settled(found, x, similarity, rows) if len(rows) else found


def count_duplicates(x: Array) -> int:
    """How many items have exactly the same features as another item."""
    rows = np.ascontiguousarray(to_numpy(_detached(x))) + 0.0  # makes -0.0 and 0.0 the same bytes
    counts: dict[bytes, int] = {}
    for row in rows:
        key = row.tobytes()
        counts[key] = counts.get(key, 0) + 1
    return sum(c for c in counts.values() if c > 1)


def mid_ranks(x: Array, similarity: str) -> Floats:
    """Rank of every item j among the neighbours of every item i, 1 the nearest, ties at their mean rank; 0 for j = i.

    Returns:
        Host array (n, n).
    """
    x = _detached(x)
    n = x.shape[0]
    out = np.empty((n, n))
    step = max(1, _BLOCK // (4 * n))
    search = _search(_double(x), similarity)
    for begin in range(0, n, step):
        end = min(n, begin + step)
        values = np.asarray(to_numpy(_similarities(search, begin, end)), dtype=np.float64)
        order = np.argsort(-values, axis=1, kind="stable")
        values = np.take_along_axis(values, order, axis=1)[:, :-1]  # self, at minus infinity, is last
        scale = _scale(search, similarity, np.arange(begin, end), order[:, 0])
        new = np.ones(values.shape, dtype=bool)
        new[:, 1:] = values[:, :-1] - values[:, 1:] > (_ULPS * np.finfo(np.float64).eps * scale)[:, None]
        place = np.arange(n - 1)
        first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
        ends = np.concatenate([new[:, 1:], np.ones((end - begin, 1), dtype=bool)], axis=1)
        last = np.minimum.accumulate(np.where(ends, place, n)[:, ::-1], axis=1)[:, ::-1]
        ranks = np.concatenate([(first + last) / 2 + 1, np.zeros((end - begin, 1))], axis=1)
        np.put_along_axis(out[begin:end], order, ranks, axis=1)
    return out


def _detached(x: Array) -> Array:
    return x.detach() if is_torch_array(x) else x


def _double(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.astype(x, xp.float64)


def _search(x: Array, similarity: str) -> _Search:
    if similarity == "cosine":
        return _Search(unit_rows(x), None, np.ones(x.shape[0]))
    rows = centred_scaled(x) if similarity == "euclidean" else scaled(x)
    squares = sum_squares(rows, axis=1)
    half = array_namespace(x).astype(squares / 2, x.dtype) if similarity == "euclidean" else None
    return _Search(rows, half, np.asarray(to_numpy(squares), dtype=np.float64))


def _scale(search: _Search, similarity: str, rows: Ints, kth: Ints) -> Floats:
    """The size of the products around the k-th place, which their rounding is relative to."""
    if similarity == "euclidean":
        return search.squares[rows] + search.squares[kth]
    return np.asarray(np.sqrt(search.squares[rows] * search.squares[kth]))


def _similarities(search: _Search, begin: int, end: int, rows: Ints | None = None) -> Array:
    """Similarities of some items with all, minus infinity with themselves."""
    z = search.rows
    if rows is None:
        rows = np.arange(begin, end)
        block = z if end - begin == z.shape[0] else z[begin:end, :]
    else:
        block = take_rows(z, rows)
    s = block @ z.T
    if search.offset is not None:
        s = s - search.offset[None, :]
    xp = array_namespace(s)
    if isinstance(s, np.ndarray):
        s[np.arange(len(rows)), rows] = -np.inf
        return s
    if is_torch_array(s):
        s[xp.arange(len(rows)), xp.asarray(rows)] = -xp.inf
        return s
    own = xp.asarray(rows[:, None] == np.arange(z.shape[0])[None, :])
    own = own if is_jax_array(s) else to_device(own, device(s))
    return xp.where(own, xp.asarray(-xp.inf, dtype=s.dtype, device=device(s)), s)


def _settled(found: Neighbours, x: Array, similarity: str, rows: Ints) -> Neighbours:
    """The graph with the given rows computed again in double precision, their ties shared."""
    n, k = found.n, found.k
    search = _search(_double(x), similarity)
    again: dict[int, tuple[Ints, Floats, Floats, Any]] = {}
    step = max(1, _BLOCK // (2 * n))
    for begin in range(0, len(rows), step):
        some = rows[begin : begin + step]
        values = np.asarray(to_numpy(_similarities(search, 0, 0, some)), dtype=np.float64)
        kth = np.argpartition(values, n - k, axis=1)[:, n - k]
        tolerance = _ULPS * np.finfo(np.float64).eps * _scale(search, similarity, some, kth)
        for i, row in enumerate(some):
            again[int(row)] = _tied_row(values[i], k, values[i, kth[i]], float(tolerance[i]))
    counts = np.full(n, k)
    counts[rows] = [len(again[int(r)][0]) for r in rows]
    start = np.concatenate([[0], np.cumsum(counts)])
    plain = np.repeat(~np.isin(np.arange(n), rows), counts)
    parts = (
        found.target.reshape(n, k),
        np.ones((n, k)),
        np.tile(np.arange(1.0, k + 1), (n, 1)),
        np.zeros((n, k), bool),
    )
    keep = np.ones(n, dtype=bool)
    keep[rows] = False
    filled = []
    for which, part in enumerate(parts):
        out = np.empty(start[-1], dtype=part.dtype)
        out[plain] = part[keep].reshape(-1)
        out[~plain] = np.concatenate([again[int(r)][which] for r in rows])
        filled.append(out)
    if not filled[3].any():
        return dataclasses.replace(found, target=filled[0])
    return dataclasses.replace(found, start=start, target=filled[0], weight=filled[1], rank=filled[2], tied=filled[3])


def _tied_row(values: Floats, k: int, kth: float, tolerance: float) -> tuple[Ints, Floats, Floats, Any]:
    """Neighbours, weights, places and ties of one row of similarities."""
    # ties chain: a neighbour of a neighbour in value is tied too, so look somewhat below the k-th place
    candidates = np.flatnonzero(values >= kth - 64 * tolerance)
    order = candidates[np.argsort(-values[candidates], kind="stable")]
    v = values[order]
    new = np.concatenate([[True], v[:-1] - v[1:] > tolerance])
    first = np.flatnonzero(new)
    size = np.diff(np.append(first, len(v)))
    places = np.clip(k - first, 0, size)
    group = np.cumsum(new) - 1
    keep = places[group] > 0
    group = group[keep]
    return order[keep], (places / size)[group], (first + (places + 1) / 2)[group], (size > 1)[group]


# ---- intersecting graphs -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class EdgeTable:
    """The edges of several graphs over the same items, each edge once.

    Attributes:
        n: Number of items.
        codes: Sorted edge numbers source × n + target (edges,).
        weights: Weight of each edge in each graph (edges, graphs): dense where that fits, else sparse.
        places: Place of each edge in each graph's lists, 0 where it is not there; None if not asked for.
    """

    n: int
    codes: Ints
    weights: Any
    places: Any

    @classmethod
    def of(cls, graphs: Sequence[Neighbours], *, places: bool = False, reverse: bool = False) -> EdgeTable:
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
            out = sparse.coo_array((np.concatenate(values), (edge, layer)), shape=(len(codes), len(graphs))).tocsr()
            return out.toarray() if len(codes) * len(graphs) <= 4 * _BLOCK else out

        ranks = table([g.ranks for g in graphs]) if places else None
        return cls(n, codes, table([g.weights for g in graphs]), ranks)

    @cached_property
    def _position(self) -> np.ndarray[Any, np.dtype[np.int32]] | None:
        if self.n**2 > 4 * _BLOCK:
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
    product = hits.x.T @ hits.y
    return np.asarray(product.toarray() if sparse.issparse(product) else product)


def expected_overlap(x: Floats, y: Floats) -> Floats:
    """The term w_x w_y."""
    return x * y


def row_sums(hits: Hits, term: Callable[..., Floats] = expected_overlap) -> Iterator[tuple[Ints, Floats]]:
    """Blocks of items that have common neighbours, and for all pairs of graphs the sums of a term over these.

    Args:
        hits: The shared edges.
        term: Takes weights x (edges, graphs x, 1) and y (edges, 1, graphs y), and if there are places these of both
            likewise; returns (edges, graphs x, graphs y) or more axes behind.
    """
    order = np.argsort(hits.row, kind="stable")
    row = hits.row[order]
    first = np.flatnonzero(np.diff(row, prepend=-1))
    per_block = max(1, _BLOCK // 8 // max(1, hits.x.shape[1] * hits.y.shape[1]))
    begin = 0
    while begin < len(first):
        # whole rows, as many as fit
        last = int(np.searchsorted(first, first[begin] + per_block, side="right"))
        last = max(begin + 1, min(last, len(first)) - (last < len(first)))
        stop = first[last] if last < len(first) else len(row)
        some = order[first[begin] : stop]
        x, y, *places = (_dense(w, some) for w in hits[1:] if w is not None)
        args = [
            x[:, :, None],
            y[:, None, :],
            *(p[:, :, None] if i == 0 else p[:, None, :] for i, p in enumerate(places)),
        ]
        yield row[first[begin:last]], np.add.reduceat(term(*args), first[begin:last] - first[begin], axis=0)
        begin = last


def _dense(table: Any, rows: Ints) -> Floats:
    some = table[rows]
    return np.asarray(some.toarray() if sparse.issparse(some) else some)


def check_k(owner: str, k: object) -> None:
    """Refuse a k that is no number of neighbours.

    Raises:
        InputError: if `k` is not a positive whole number.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InputError(f"{owner}: k={k!r} is not a number of neighbours; use a whole number of at least 1.")
