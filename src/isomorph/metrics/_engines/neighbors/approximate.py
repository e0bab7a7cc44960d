"""Nearest neighbours among the items of the nearest clusters, their recall measured on a sample of the items.

Items are clustered by k-means, and an item's neighbours are sought, by products, in as many of the clusters nearest to
it as hold `TARGET` of the true neighbours of sampled items. How many that takes hangs on the features: where neighbours
are spread over more than half of the clusters, and of few items, all are compared with all. The same features give the
same neighbours in the same blocks. Rows are given in blocks, so that a file is read as it is needed; they are held, in
the order of their clusters, if that fits, or what they are made from, such as half precision.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy

from ...._core.memory import block_bytes, fits
from ...._core.progress import progress
from . import tiles
from .tiles import Best, Ints, Real

TARGET = 0.95
"""The least share of the true neighbours that an index must find."""
FEWEST = 4096
"""Items of which all are compared with all: clusters of fewer save nothing."""
SAMPLE = 1000  # items on which the recall is measured
SPARE = 8  # places beyond k that are asked for, so that ties around place k are seen
_OF_A_CLUSTER, _TURNS = 48, 6  # items a cluster from which k-means learns, and how often it moves its centers
_BYTES = 256 << 20  # of rows that look for neighbours at once
_LEAST_WIDTH = 256  # features of a row, at the least, as far as memory goes: its nearest clusters stand beside it
_FIRST = 2  # clusters that are looked at first: few items of the others are nearer than what is found there


class Found(NamedTuple):
    """What an approximate index gives.

    Attributes:
        items: Items (n, width) without the item itself, the most similar first.
        values: Their similarities, in the order's sense: inner products, less half the squared norm for distances.
        recall: Share of the true k nearest neighbours of a sample of items that were found.
        effort: Items that each is compared with, in the mean.
    """

    items: Ints
    values: Real
    recall: float
    effort: int


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Rows whose products order the neighbours, made when they are asked for.

    Attributes:
        of: Gives the rows of a slice or of row numbers.
        shape: Items and features.
        raw: Gives what they are made from, which may be narrower; None if they are made already.
        make: Makes rows of that.
        width: Bytes of one value of that.
    """

    of: Callable[[Any], Real]
    shape: tuple[int, int]
    raw: Callable[[Any], Real] | None = None
    make: Callable[[Any], Real] = np.asarray
    width: int = 4

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Any) -> Real:
        return np.ascontiguousarray(self.of(which), dtype=np.float32)

    def step(self) -> int:
        """How many rows are worked on at once."""
        return max(1, block_bytes(_BYTES) // (8 * max(self.shape[1], _LEAST_WIDTH)))

    def blocks(self, step: int) -> Iterator[tuple[Ints, Real]]:
        """Numbers and rows, so many at once."""
        for s in range(0, len(self), step):
            items = np.arange(s, min(len(self), s + step))
            yield items, self[s : s + step]


def needed(n: int, d: int, k: int) -> int:
    """Bytes that the index of n items and their lists take; the rows themselves are held only if they fit beside."""
    return n * (24 + 12 * _width(n, k) + 60 * k) + 8 * _count(n) * d


def approximate(rows: Rows, offset: Real | None, k: int, similarity: str) -> Found:
    """The neighbours of all rows, ordered by product less `offset` (half the squared norms, for distances).

    Args:
        rows: The rows.
        offset: What is subtracted for each item (n,), or None.
        k: Neighbours an item.
        similarity: ``"cosine"`` of rows of norm one, ``"euclidean"``, or ``"dot"``: what near is said of centers too.
    """
    n, width = len(rows), _width(len(rows), k)
    if n < FEWEST:
        found, values = _by_all(rows, offset, np.arange(n), width)
        return Found(found, values, 1.0, n - 1)
    index = _Index.of(rows, offset, similarity)
    sample = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])
    places = index.places(rows[sample], _by_all(rows, offset, sample, k)[0])
    clusters = int(np.sort(places, axis=None)[math.ceil(TARGET * places.size) - 1]) + 1
    if clusters > index.count / 2:
        found, values = _by_all(rows, offset, np.arange(n), width)
        return Found(found, values, 1.0, n - 1)
    found, values = np.empty((n, width), dtype=np.int64), np.empty((n, width), dtype=np.float32)
    with progress(n, "approximate neighbours") as advance:
        for items, block in rows.blocks(rows.step()):
            best = index.search(items, block, clusters, width)
            found[items], values[items] = best.found, best.values
            advance(len(items))
    short = np.flatnonzero(found[:, k - 1] < 0)  # whose clusters are too small
    found[short], values[short] = _by_all(rows, offset, short, width)
    return Found(found, values, float(np.mean(places < clusters)), clusters * n // index.count)


def _width(n: int, k: int) -> int:
    return min(n - 1, k + SPARE)


def _count(n: int) -> int:
    return max(1, int(3 * n**0.5))


@dataclasses.dataclass(frozen=True, eq=False)
class _Index:
    """Items by cluster.

    Attributes:
        rows: The rows, from which a cluster's are read if they are not held.
        offset: What is subtracted for each item (n,), or None.
        centers: Centers of the clusters (clusters, d).
        less: What is subtracted from products with them (clusters,).
        cluster: Each item's.
        order: The items, cluster after cluster.
        start: Where each cluster begins there.
        held: The rows in that order, or what they are made from if only that fits; None if neither does.
        make: Makes rows of what is held.
    """

    rows: Rows
    offset: Real | None
    centers: Real
    less: Real
    cluster: Ints
    order: Ints
    start: Ints
    held: Real | None
    make: Callable[[Any], Real]

    @classmethod
    def of(cls, rows: Rows, offset: Real | None, similarity: str) -> _Index:
        """Cluster the rows."""
        n = len(rows)
        count = _count(n)
        some = np.sort(np.random.default_rng(1).permutation(n)[: _OF_A_CLUSTER * count])
        with progress(_TURNS + 1, f"clusters of {n:,} items", unit="passes") as advance:
            centers = _means(rows[some], count, advance, directions=similarity == "cosine")
            cluster = np.concatenate([_nearest(block, centers) for _, block in rows.blocks(rows.step())])
            advance(1)
        order = np.argsort(cluster, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(cluster, minlength=count))])
        less = np.zeros(count, np.float32) if similarity == "dot" else _half_squares(centers)
        held, make = _held(rows, order)
        return cls(rows, offset, centers, less, cluster, order, start, held, make)

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return len(self.centers)

    def places(self, queries: Real, neighbors: Ints) -> Ints:
        """How many clusters are nearer to each of some rows than the one that holds a neighbour, for each neighbour."""
        near = queries @ self.centers.T - self.less
        own = np.take_along_axis(near, self.cluster[neighbors], axis=1)
        return np.stack([np.sum(near > mine[:, None], axis=1) for mine in own.T], axis=1)

    def search(self, items: Ints, queries: Real, clusters: int, width: int) -> Best:
        """The most similar others of some items in their nearest clusters."""
        step = max(1, block_bytes(8 * tiles.BLOCK) // (8 * self.count))
        near = (queries[s : s + step] @ self.centers.T - self.less for s in range(0, len(items), step))
        nearest = np.concatenate([tiles.largest(part, clusters)[1].astype(np.int32) for part in near])
        best = Best(len(items), width, np.float32)
        for part in (nearest[:, :_FIRST], nearest[:, _FIRST:]):
            if not part.size:
                continue
            asked, of_whom = part.reshape(-1), np.repeat(np.arange(len(items)), part.shape[1])
            order = np.argsort(asked, kind="stable")
            which, begin = np.unique(asked[order], return_index=True)
            for cluster, who in zip(which, np.split(of_whom[order], begin[1:]), strict=True):
                self._look(best, int(cluster), items, queries, who)
        return best

    def _look(self, best: Best, cluster: int, items: Ints, queries: Real, who: Ints) -> None:
        """Compare some of the items with all of a cluster."""
        where = slice(self.start[cluster], self.start[cluster + 1])
        members = self.order[where]
        rows = self.rows[members] if self.held is None else self.make(self.held[where])
        step = max(1, block_bytes(8 * tiles.BLOCK) // (8 * max(1, len(members))))
        for s in range(0, len(who) if len(members) else 0, step):
            some = who[s : s + step]
            products = queries[some] @ rows.T
            if self.offset is not None:
                products -= self.offset[members].astype(np.float32)
            same = self.cluster[items[some]] == cluster
            if same.any():
                at = np.searchsorted(members, items[some[same]])
                products[np.flatnonzero(same), at] = -np.inf
            best.see(some, products, members)


def _held(rows: Rows, order: Ints) -> tuple[Real | None, Callable[[Any], Real]]:
    """The rows in an order, or what they are made from, or None; and what makes rows of them."""
    n, d = rows.shape
    if fits(needed(n, d, 10) + 4 * n * d):
        read, make = rows.__getitem__, Rows.make
    elif rows.raw is not None and fits(needed(n, d, 10) + rows.width * n * d):
        read, make = rows.raw, rows.make
    else:
        return None, rows.make
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    held, step = np.empty((n, d), dtype=read(slice(0, 1)).dtype), rows.step()
    for s in range(0, n, step):
        held[place[s : s + step]] = read(slice(s, s + step))
    return held, make


def _means(rows: Real, count: int, advance: Callable[[int], object], *, directions: bool) -> Real:
    """Centers of clusters of some rows, by k-means from rows among them; a center that no row is nearest to stays.

    Those of directions are directions again: the mean of a wide cluster is short, and would seem far from its own.
    """
    m = len(rows)
    centers = rows[np.random.default_rng(2).permutation(m)[:count]].copy()
    for _ in range(_TURNS):
        nearest = _nearest(rows, centers)
        sizes = np.bincount(nearest, minlength=count)
        sums = scipy.sparse.csr_array((np.ones(m, np.float32), (nearest, np.arange(m))), shape=(count, m)) @ rows
        centers = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centers).astype(np.float32)
        if directions:
            centers /= np.maximum(np.linalg.norm(centers, axis=1, keepdims=True), 1e-12)
        advance(1)
    return centers


def _half_squares(centers: Real) -> Real:
    return np.asarray(np.einsum("ij,ij->i", centers, centers) / 2)


def _nearest(rows: Real, centers: Real) -> Ints:
    """The nearest center of each row."""
    less = _half_squares(centers)
    step = max(1, block_bytes(8 * tiles.BLOCK) // (8 * len(centers)))
    parts = range(0, len(rows), step)
    return np.concatenate([np.argmax(rows[s : s + step] @ centers.T - less, axis=1) for s in parts])


def _by_all(rows: Rows, offset: Real | None, items: Ints, width: int) -> tuple[Ints, Real]:
    """The most similar others of some items, exactly."""
    found = np.full((len(items), width), -1, dtype=np.int64)
    values = np.full((len(items), width), -np.inf, dtype=np.float32)
    step = rows.step()
    for s in range(0, len(items), step):
        part = items[s : s + step]
        queries, best = rows[part], Best(len(part), width, np.float32)
        for candidates, block in rows.blocks(max(width, block_bytes(8 * tiles.BLOCK) // (8 * len(part)))):
            products = queries @ block.T
            if offset is not None:
                products -= offset[candidates].astype(np.float32)
            here = np.flatnonzero((part >= candidates[0]) & (part <= candidates[-1]))
            products[here, part[here] - candidates[0]] = -np.inf
            best.see(slice(None), products, candidates)
        found[s : s + step], values[s : s + step] = best.found, best.values
    return found, values
