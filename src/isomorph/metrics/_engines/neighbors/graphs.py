"""Directed k-nearest-neighbour graphs: found once a layer, permuted at no cost, intersected for all pairs at once.

**Self** is excluded by its index, never by its place in the list: with duplicated items an item's nearest neighbour by
value may stand before the item itself.

**Ties.** Items whose similarities differ by less than the rounding of double precision (16 ulp) are tied. Tied items
share the places that they compete for: of t items tied for the last p places of the list, each has weight p/t, so that
the weights of a list always sum to k. The overlap Σ w_x w_y of two lists is then the expected number of common
neighbours when each side breaks its ties at random and independently. It does not depend on the order of the items,
equals the plain count where nothing is tied, and keeps chance at exactly k/(n-1). Rows whose order single precision
cannot settle are computed again in double precision: float32 features give the neighbours that exact arithmetic on
the same features gives. Only where similarities take few values but for the rounding of float32 features, as those of
binary features after a rotation, do they tie to that rounding.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy
from array_api_compat import (
    array_namespace,
    device,
    is_jax_array,
    is_numpy_namespace,
    is_torch_array,
    to_device,
)

from ...._core.arrays import Array, forget_pages, is_traced, take_rows, to_numpy, widened
from ...._core.linalg import (
    are_few_values,
    center,
    centered_scaled,
    gathered,
    has_far_item,
    largest_magnitude,
    number,
    scaled,
    similarities,
    sum_squares,
    unit_rows,
)
from ...._core.memory import block_bytes, require
from ...._core.progress import notice, progress
from ....errors import InputError
from ....nulls.motifs import invariants
from . import tiles
from .approximate import SAMPLE, Found, Rows, approximate, needed

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

INDEXES = ("exact", "approximate")
SIMILARITIES = ("cosine", "euclidean", "dot")
_ULPS = 16  # rounding of a product of unit vectors stays well below this many units in the last place
_FEWEST_ROWS = 512  # that are compared with all others at once
_DOUBLE = float(np.finfo(np.float64).eps)
_SOME_ROWS = 32  # that tell whether similarities take few values
_SOME = 1024  # items that tell the size of an offset
_FEW_DIGITS = 64  # units in the last place
_ODD = np.random.default_rng(0).integers(1 << 62, size=8, dtype=np.uint64) * np.uint64(2) + np.uint64(1)  # for a hash


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
class Neighbors:
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
        recall: Share of the true neighbours that an approximate index found, measured on a sample; None if exact.
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
    recall: float | None = None

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
        return invariants(scipy.sparse.csr_array((self.weights, self.target, self.start), shape=(self.n, self.n)))

    def first(self, count: int) -> Ints:
        """The nearest neighbours of every item, at most k, (n, min(count, k)); tied ones in an arbitrary order."""
        return np.asarray(self.target[self.start[:-1, None] + np.arange(min(count, self.k))])

    def permuted(self, order: np.ndarray[Any, Any]) -> Neighbors:
        """The graph of the layer whose row i is this layer's row ``order[i]``."""
        order = np.asarray(order, dtype=np.int64)
        new = np.empty_like(order)
        new[order] = np.arange(self.n)
        counts = np.diff(self.start)[order]
        start = np.concatenate([[0], np.cumsum(counts)])
        entry = np.repeat(self.start[:-1][order] - start[:-1], counts) + np.arange(len(self.target))
        return dataclasses.replace(
            self,
            start=start,
            target=new[self.target[entry]],
            weight=None if self.weight is None else self.weight[entry],
            rank=None if self.rank is None else self.rank[entry],
            tied=None if self.tied is None else self.tied[entry],
        )


# ---- finding neighbours ------------------------------------------------------------------------------------


class _Search(NamedTuple):
    """Rows whose products, less the offsets, order the neighbours; with what bounds their rounding."""

    rows: Array
    offset: Array | None
    squares: Floats


def nearest(x: Array, k: int, similarity: str, *, ordered: bool = False, index: str = "exact") -> Neighbors:
    """The k nearest neighbours of every item among the others.

    Args:
        x: Checked features (n, d).
        k: Neighbours an item.
        similarity: One of `SIMILARITIES`.
        ordered: Whether the order within a list matters, so that ties inside it are found too.
        index: One of `INDEXES`.

    Raises:
        InputError: if a cosine or a distance is not defined on these features, or an approximate index does not fit.
    """
    x = _detached(x)
    n = x.shape[0]
    _tell_offset(x, similarity)
    recall = None
    if index == "approximate":
        search, near = _approximate(x, k, similarity)
        lists, recall = near.items[:, :k], near.recall
        rows, floor = _doubtful(search, similarity, k, 0, near.values[:, : k + 1], lists, ordered)
        unclear = {int(r): near.items[r][near.values[r] >= f] for r, f in zip(rows, floor, strict=True)}
        _tell(k, near, n)
    else:
        lists, unclear = _exact(_search(x, similarity), similarity, k, ordered)
    start = np.arange(0, n * k + 1, k)
    found = Neighbors(n, k, start, lists.reshape(-1), None, None, None, count_duplicates(x), Home.of(x), recall)
    return _settled(found, x, similarity, unclear) if unclear else found


def _exact(search: _Search, similarity: str, k: int, ordered: bool) -> tuple[Ints, dict[int, Ints]]:
    """The k most similar items of each by all products, and candidates of those that rounding or ties leave open."""
    n, block = search.rows.shape[0], tiles.entries(search.rows)
    lists = np.empty((n, k), dtype=np.int64)
    unclear: dict[int, Ints] = {}
    step = max(1, block // n)
    # few rows at once would read all columns again and again
    tiled = step < min(n, _FEWEST_ROWS) and (isinstance(search.rows, np.ndarray) or is_torch_array(search.rows))
    if tiled:
        step = min(n, int(block**0.5))
    with progress(n, "neighbours") if tiled else contextlib.nullcontext(lambda _: None) as advance:
        for begin in range(0, n, step):
            end = min(n, begin + step)
            if tiled:
                best = tiles.most_similar(search.rows, search.offset, begin, end, min(n - 1, k + 1), block)
                values, columns = best.values, best.found
            else:
                s = similarities(search.rows, begin, end, search.offset)
                values, columns = (to_numpy(a) for a in tiles.largest(s, min(n - 1, k + 1)))
            lists[begin:end] = columns[:, :k]
            rows, floor = _doubtful(search, similarity, k, begin, values, columns, ordered)
            if tiled:
                unclear |= tiles.reached(search.rows, search.offset, begin + rows, floor, block)
            elif len(rows):
                near = np.asarray(to_numpy(take_rows(s, rows))) >= floor[:, None]
                unclear |= {int(begin + r): np.flatnonzero(c) for r, c in zip(rows, near, strict=True)}
            advance(end - begin)
    return lists, unclear


def _approximate(x: Array, k: int, similarity: str) -> tuple[_Search, Found]:
    """Neighbours by an index. Directions are made as they are read; other rows need a copy of their own."""
    features = np.asarray(to_numpy(x))
    n, d = features.shape
    copies = 0 if similarity == "cosine" else 2 * features.nbytes
    require(needed(n, d, k) + copies, f"The index of {n:,} items", "Use index='exact', which works in blocks.")
    if similarity != "cosine":
        search = _search(features.astype(widened(features.dtype), copy=False), similarity)
        offset = None if search.offset is None else search.squares / 2
        return search, approximate(Rows(search.rows.__getitem__, (n, d)), offset, k, similarity)

    def raw(which: Any) -> Array:
        found = np.array(features[which])
        forget_pages(features)
        return found

    def made(found: Array) -> Array:
        return np.asarray(_directions(found.astype(widened(features.dtype), copy=False)), dtype=np.float32)

    def rows(which: Any) -> Array:
        try:
            return made(raw(which))
        except InputError:  # a row of zeros: name it by its place among all
            return np.asarray(unit_rows(features)[which])

    given = Rows(rows, (n, d), raw, made, features.itemsize)
    return _Search(features, None, np.ones(n)), approximate(given, None, k, similarity)


def _doubtful(
    search: _Search, similarity: str, k: int, begin: int, values: Any, columns: Ints, ordered: bool
) -> tuple[Ints, Floats]:
    """Rows whose order rounding or ties leave open, and the least similarity that must be looked at again there."""
    items = np.arange(begin, begin + len(values))
    tolerance = _tolerance(values.dtype, _scale(search, similarity, items, columns[:, k - 1]))
    gaps = values[:, :-1] - values[:, 1:] if ordered else values[:, k - 1 : -1] - values[:, k:]
    rows = np.flatnonzero(np.any(gaps <= tolerance[:, None], axis=1))
    # wide enough that whatever could be tied or misplaced is looked at again
    return rows, values[rows, k - 1] - 4 * tolerance[rows]


def _tell_offset(x: Array, similarity: str) -> None:
    """Say that an offset of all items leaves too few digits to tell which of them are near, if it does.

    An offset of 1 / r times the spread leaves of an inner product the share r that differs between items, of a cosine
    the share r².
    """
    if similarity == "euclidean" or is_traced(x):  # which takes the offset out, or refuses what is left
        return
    xp = array_namespace(x)
    some = x[:: max(1, x.shape[0] // _SOME), :]
    if isinstance(some, np.ndarray):
        some = some.astype(widened(some.dtype), copy=False)
    largest = number(largest_magnitude(some))
    if largest == 0.0:
        return
    exact = _FEW_DIGITS * float(xp.finfo(xp.float64).eps)
    least = max(_FEW_DIGITS * float(xp.finfo(some.dtype).eps), exact**0.5 if similarity == "cosine" else exact)
    few = center(xp.astype(some[:_SOME_ROWS, :], xp.float64) / largest)
    if number(xp.sum(few * few)) > 4 * least**2 * some.shape[0] * some.shape[1]:
        return  # these rows alone differ by more than what would be too little among all, were each value the largest
    rows = xp.astype(some, xp.float64) / largest
    size, spread = (number(xp.sum(v * v)) ** 0.5 for v in (rows, center(rows)))
    if spread <= least * size:
        few = f"{size / spread:.0e} times as large as" if spread > 0 else "all that there is beside"
        notice(
            f"Neighbours by {similarity}: an offset that all items share is {few} what tells them apart, so that "
            "rounding decides who is near and scores say chance. Center the features first, in double precision and "
            "before they are stored (x - x.mean(0)), or, where digits are left, use centered=True or "
            "similarity='euclidean'."
        )


def _tell(k: int, near: Found, n: int) -> None:
    notice(
        f"Approximate {k} nearest neighbours of {n:,} items: {near.recall:.1%} of the true ones found (on "
        f"{min(n, SAMPLE):,} items checked against all; {near.effort} candidates an item)."
    )


def recall_of(*graphs: Neighbors) -> str:
    """What to add where a result says how it came about: the least recall of the graphs, nothing if all are exact."""
    recalls = [g.recall for g in graphs if g.recall is not None]
    return f" (approximate index: recall {min(recalls):.3f} on {SAMPLE:,} items)" if recalls else ""


def count_duplicates(x: Array) -> int:
    """How many items have exactly the same features as another item."""
    rows = np.asarray(to_numpy(_detached(x)))
    # few items share their first features, so few need to be looked at in full
    hashes = np.empty(len(rows), dtype=np.uint64)
    step = max(1, (32 << 20) // (rows.shape[1] * rows.itemsize))
    for s in range(0, len(rows), step):
        first = np.ascontiguousarray(rows[s : s + step, :8]) + 0.0  # + 0.0 makes -0.0 and 0.0 the same bits
        bits = first.view(f"u{first.itemsize}").astype(np.uint64)
        hashes[s : s + step] = (bits * _ODD[: bits.shape[1]]).sum(axis=1, dtype=np.uint64)
        forget_pages(rows)
    _, which, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    keys = [row.tobytes() for row in rows[counts[which] > 1] + 0.0]
    forget_pages(rows)
    return sum(count for count in Counter(keys).values() if count > 1)


def mid_ranks(x: Array, similarity: str) -> Floats:
    """Rank of every item j among the neighbours of every item i, 1 the nearest, ties at their mean rank; 0 for j = i.

    Returns:
        Host array (n, n).

    Raises:
        InputError: if that array does not fit the working memory.
    """
    x = _detached(x)
    n = x.shape[0]
    _tell_offset(x, similarity)
    step = max(1, min(tiles.BLOCK // 4, block_bytes(8 * tiles.BLOCK) // 32) // n)
    require(8 * n * n, f"The ranks of all pairs of {n:,} items", "Use fewer items, or a metric with a fixed k.")
    out = np.empty((n, n))
    search, eps = _search(_double(x), similarity), _tie_eps(x, similarity)
    for begin in range(0, n, step):
        end = min(n, begin + step)
        values = np.asarray(to_numpy(similarities(search.rows, begin, end, search.offset)), dtype=np.float64)
        order = np.argsort(-values, axis=1, kind="stable")
        values = np.take_along_axis(values, order, axis=1)[:, :-1]  # self, at minus infinity, is last
        scale = _scale(search, similarity, np.arange(begin, end), order[:, 0])
        new = np.ones(values.shape, dtype=bool)
        new[:, 1:] = values[:, :-1] - values[:, 1:] > (_ULPS * eps * scale)[:, None]
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
        return _Search(_directions(x), None, np.ones(x.shape[0]))
    rows = centered_scaled(x) if similarity == "euclidean" else scaled(x)
    if similarity == "euclidean" and has_far_item(rows):  # what is left beside it needs more digits
        rows = gathered(centered_scaled(_double(x)))
        x = rows
    squares = sum_squares(rows, axis=1)
    half = array_namespace(x).astype(squares / 2, x.dtype) if similarity == "euclidean" else None
    return _Search(rows, half, np.asarray(to_numpy(squares), dtype=np.float64))


def _directions(x: Array) -> Array:
    """Rows of unit norm, to the precision of the features: what this leaves open is settled in double precision."""
    xp = array_namespace(x)
    squares = np.einsum("ij,ij->i", x, x) if isinstance(x, np.ndarray) else xp.sum(x * x, axis=1)
    if float(xp.min(squares)) > 1e-30 and float(xp.max(squares)) < 1e30:
        return x / xp.sqrt(squares)[:, None]
    return unit_rows(x)  # squares near the ends of the range of floats need more care


def _tolerance(dtype: Any, scale: Any) -> Any:
    return _ULPS * float(np.finfo(dtype).eps) * scale


def _scale(search: _Search, similarity: str, rows: Ints, kth: Ints) -> Floats:
    """The size of the products around the k-th place, which their rounding is relative to."""
    if similarity == "euclidean":
        return search.squares[rows] + search.squares[kth]
    return np.asarray(np.sqrt(search.squares[rows] * search.squares[kth]))


def _settled(found: Neighbors, x: Array, similarity: str, unclear: dict[int, Ints]) -> Neighbors:
    """The graph with the given rows settled in double precision among their candidates, ties shared."""
    n, k = found.n, found.k
    eps = _tie_eps(x, similarity) if 8 * len(unclear) >= n else _DOUBLE
    again = {row: _settled_row(x, similarity, row, near, k, eps) for row, near in unclear.items()}
    counts = np.full(n, k)
    rows = np.fromiter(again, dtype=np.int64)
    counts[rows] = [len(again[r][0]) for r in again]
    start = np.concatenate([[0], np.cumsum(counts)])
    keep = np.ones(n, dtype=bool)
    keep[rows] = False
    plain = np.repeat(keep, counts)
    parts = (
        found.target.reshape(n, k),
        np.ones((n, k)),
        np.tile(np.arange(1.0, k + 1), (n, 1)),
        np.zeros((n, k), bool),
    )
    filled = []
    for which, part in enumerate(parts):
        out = np.empty(start[-1], dtype=part.dtype)
        out[plain] = part[keep].reshape(-1)
        out[~plain] = np.concatenate([again[r][which] for r in sorted(again)])
        filled.append(out)
    if not filled[3].any():
        return dataclasses.replace(found, target=filled[0])
    return dataclasses.replace(found, start=start, target=filled[0], weight=filled[1], rank=filled[2], tied=filled[3])


def _tie_eps(x: Array, similarity: str) -> float:
    """The rounding to which similarities tie: that of the features where these give few values but for it."""
    if isinstance(x, np.ndarray):
        x = x.astype(widened(x.dtype), copy=False)
    eps = float(array_namespace(x).finfo(x.dtype).eps)
    if eps < 1e-10 or similarity == "dot":
        return _DOUBLE
    search, some = _search(_double(x), similarity), min(_SOME_ROWS, x.shape[0])
    values = -np.sort(-np.asarray(to_numpy(similarities(search.rows, 0, some, search.offset))), axis=1)[:, :-1]
    few = 0
    for row, squares in zip(values, search.squares[:some], strict=True):
        far = np.maximum((1.0 if search.offset is None else squares / 2) - row, 0.0)  # half the squared distances
        few += are_few_values(far, _ULPS * eps * np.sqrt(far * max(squares, float(np.median(search.squares)))))
    return eps if 2 * few > some else _DOUBLE


def _settled_row(
    x: Array, similarity: str, row: int, near: Ints, k: int, eps: float
) -> tuple[Ints, Floats, Floats, Any]:
    """Neighbours, weights, places and ties of one item, from the similarities to its candidates in double precision."""
    items = np.asarray(to_numpy(take_rows(x, np.concatenate([[row], near]))), dtype=np.float64)
    items = items / (np.abs(items).max() or 1.0)  # all zero where the nearest are duplicates at the origin
    own, others = items[0], items[1:]
    if similarity == "euclidean":
        values = -np.sum((others - own) ** 2, axis=1)
    elif similarity == "dot":
        values = np.sum(others * own, axis=1)  # row by row alike, so that equal rows have equal values
    else:
        items = unit_rows(items)
        values = np.sum(items[1:] * items[0], axis=1)
    order = np.argsort(-values, kind="stable")
    v = values[order]
    scale = {"euclidean": abs(v[k - 1]), "cosine": 1.0}.get(
        similarity, np.linalg.norm(own) * np.linalg.norm(others[order[k - 1]])
    )
    new = np.concatenate([[True], v[:-1] - v[1:] > _ULPS * eps * scale])
    first = np.flatnonzero(new)
    size = np.diff(np.append(first, len(v)))
    places = np.clip(k - first, 0, size)
    group = np.cumsum(new) - 1
    keep = places[group] > 0
    group = group[keep]
    return near[order[keep]], (places / size)[group], (first + (places + 1) / 2)[group], (size > 1)[group]


def check_k(owner: str, k: object) -> None:
    """Refuse a k that is no number of neighbours.

    Raises:
        InputError: if `k` is not a positive whole number.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InputError(f"{owner}: k={k!r} is not a number of neighbours; use a whole number of at least 1.")
