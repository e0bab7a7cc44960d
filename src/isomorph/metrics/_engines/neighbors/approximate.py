"""Nearest neighbours by a navigable small-world graph (faiss HNSW), its recall measured on a sample of the items.

How widely the graph is searched is doubled until the measured recall reaches `TARGET`. The graph is built by one
thread from a seeded generator: the same features give the same neighbours. The index holds the one copy of the rows
that is made, in single precision; they are given in blocks, so that a file is read as it is needed. Where that copy
does not fit, it is in half precision, and the similarities of all candidates are computed from the rows themselves.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...._core.linalg import top_k
from ...._core.memory import block_bytes, fits
from ...._core.progress import progress
from ....errors import InputError, MissingExtraError

Ints = np.ndarray[Any, np.dtype[np.int64]]
Real = np.ndarray[Any, Any]

TARGET = 0.95
"""The least share of the true neighbours that an index must find."""
SAMPLE = 1000  # items on which the recall is measured
SPARE = 8  # places beyond k that are asked for, so that ties around place k are seen
_LINKS, _BUILD, _WIDEST = 24, 64, 2048  # links an item, candidates while building and, at the most, while searching
_PARTS = 64  # of the rows that are added one after another; a power of two, as the index doubles its memory when full
_ONE_PART = 1 << 14  # items that are added at once


class Found(NamedTuple):
    """What an approximate index gives.

    Attributes:
        items: Items (n, width) without the item itself, the most similar first.
        values: Their similarities, in the order's sense: inner products, less half the squared norm for distances.
        recall: Share of the true k nearest neighbours of a sample of items that were found.
        effort: Candidates that were kept in the search of one item.
    """

    items: Ints
    values: Real
    recall: float
    effort: int


def needed(n: int, d: int, k: int, *, half: bool = False) -> int:
    """Bytes that the index of n items and their lists take, its copy of the rows in half precision or in single."""
    return n * ((2 if half else 4) * d + 8 * _LINKS + 32 + 12 * _width(n, k) + 60 * k)


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Rows whose products order the neighbours, made when they are asked for.

    Attributes:
        of: Gives the rows of a slice or of row numbers.
        shape: Items and features.
    """

    of: Callable[[Any], Real]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Any) -> Real:
        return np.ascontiguousarray(self.of(which), dtype=np.float32)


def approximate(rows: Callable[[Any], Real], shape: tuple[int, int], offset: Real | None, k: int) -> Found:
    """The neighbours of all rows, ordered by product less `offset` (half the squared norms, for distances).

    Args:
        rows: Gives those rows whose products order the neighbours, of a slice or of row numbers.
        shape: Items and features.
        offset: What is subtracted for each item (n,), or None.
        k: Neighbours an item.

    Raises:
        InputError: if the index does not find enough of the true neighbours.
        MissingExtraError: if faiss is not installed.
    """
    faiss = _faiss()
    n, d = shape
    width = _width(n, k)
    half = not fits(needed(n, d, k))
    sense = faiss.METRIC_INNER_PRODUCT if offset is None else faiss.METRIC_L2
    if half:
        index = faiss.IndexHNSWSQ(d, faiss.ScalarQuantizer.QT_fp16, _LINKS, sense)
        index.train(np.ascontiguousarray(rows(slice(0, min(n, SAMPLE))), dtype=np.float32))
    else:
        index = faiss.IndexHNSWFlat(d, _LINKS, sense)
    index.hnsw.efConstruction = max(_BUILD, k)
    _build(faiss, index, rows, n)
    data: Any = Rows(rows, shape)
    if not half:  # the index has them
        data = faiss.rev_swig_ptr(faiss.downcast_index(index.storage).get_xb(), n * d).reshape(n, d)
    sample = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])
    bound = _by_all(data, offset, sample, k)[1][:, -1]
    # by value, so that another of several tied items counts as found
    bound -= 2e-6 * (np.abs(bound) + (0 if offset is None else 2 * offset[sample]))
    effort = max(32, 2 * width)
    while True:
        index.hnsw.efSearch = effort
        found, values = _search(index, data, offset, sample, width)
        recall = float(np.mean(values[:, :k] >= bound[:, None]))
        if recall >= TARGET:
            break
        effort *= 2
        if effort > max(_WIDEST, 4 * width):
            raise InputError(
                f"The approximate index finds {recall:.1%} of the true {k} nearest neighbours, {TARGET:.0%} are needed "
                "for a score that can be trusted: use index='exact'."
            )
    found, values = _all(index, data, offset, width, k)
    return Found(found, values, recall, effort)


def _width(n: int, k: int) -> int:
    return min(n - 1, k + SPARE)


def _build(faiss: Any, index: Any, rows: Callable[[Any], Real], n: int) -> None:
    """Fill the index with one thread: with several, the order of their turns would show in the graph."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    step = n if n <= _ONE_PART else -(-n // _PARTS)
    try:
        with progress(n, f"index of {n:,} items") as advance:
            for s in range(0, n, step):
                some = np.ascontiguousarray(rows(slice(s, min(n, s + step))), dtype=np.float32)
                index.add(some)
                advance(len(some))
    finally:
        faiss.omp_set_num_threads(threads)


def _all(index: Any, data: Real, offset: Real | None, width: int, k: int) -> tuple[Ints, Real]:
    """Every item's neighbours; items from which too few others can be reached are compared with all."""
    n = len(data)
    found, values = np.empty((n, width), dtype=np.int64), np.empty((n, width), dtype=np.float32)
    beside = 4 * data.shape[1] * (width + 1) if isinstance(data, Rows) else 0  # candidates' own rows
    step = max(1, block_bytes(64 << 20) // (data.shape[1] * 8 + width * 24 + beside))
    with progress(n, "approximate neighbours") as advance:
        for s in range(0, n, step):
            items = np.arange(s, min(n, s + step))
            found[items], values[items] = _search(index, data, offset, items, width)
            advance(len(items))
    short = np.flatnonzero(found[:, k - 1] < 0)
    found[short], values[short] = _by_all(data, offset, short, width)
    return found, values


def _search(index: Any, data: Real, offset: Real | None, items: Ints, width: int) -> tuple[Ints, Real]:
    """The most similar others of some items; places that could not be filled hold -1 and minus infinity."""
    queries = data[items]
    values, found = index.search(queries, width + 1)
    if isinstance(data, Rows):
        found, values = _anew(data, queries, offset, found)
    elif offset is not None:  # from squared distances to products less half the squared norm of the other
        values = offset[items].astype(np.float32)[:, None] - values / 2
    own = found == items[:, None]
    own[~own.any(axis=1), -1] = True  # self was crowded out by duplicates: the last place goes instead
    found, values = found[~own].reshape(len(items), width), values[~own].reshape(len(items), width)
    return found, np.where(found < 0, -np.inf, values)


def _anew(data: Rows, queries: Real, offset: Real | None, found: Ints) -> tuple[Ints, Real]:
    """Candidates in the order of their similarities, from the rows themselves and not from the index's copy of them."""
    some, at = np.unique(np.maximum(found, 0), return_inverse=True)
    at = at.reshape(found.shape)
    values = np.empty(found.shape, dtype=np.float32)
    step = max(1, block_bytes(64 << 20) // (8 * found.shape[1] * data.shape[1]))
    rows = data[some]
    for s in range(0, len(found), step):
        part = slice(s, s + step)
        values[part] = np.matmul(rows[at[part]], queries[part, :, None])[:, :, 0]
    if offset is not None:
        values -= offset[some].astype(np.float32)[at]
    values = np.where(found < 0, np.float32(-np.inf), values)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)


def _by_all(data: Real, offset: Real | None, items: Ints, width: int) -> tuple[Ints, Real]:
    """The most similar others of some items, exactly."""
    found = np.zeros((len(items), width), dtype=np.int64)
    values = np.full((len(items), width), -np.inf, dtype=np.float32)
    for i in range(0, len(items), SAMPLE):
        part = items[i : i + SAMPLE]
        rows, best = data[part], (values[i : i + SAMPLE], found[i : i + SAMPLE])
        step = max(width, block_bytes(64 << 20) // (16 * len(part)))
        for s in range(0, len(data), step):
            products = rows @ data[s : s + step].T
            if offset is not None:
                products -= offset[s : s + step].astype(np.float32)[None, :]
            here = np.flatnonzero((part >= s) & (part < s + step))
            products[here, part[here] - s] = -np.inf
            v, c = top_k(products, min(width, products.shape[1]))
            v, c = np.concatenate([best[0], v], axis=1), np.concatenate([best[1], c + s], axis=1)
            best[0][:], order = top_k(v, width)
            best[1][:] = np.take_along_axis(c, order, axis=1)
    return found, values


def _faiss() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of its generated bindings, from Python 3.12 on
            import faiss
    except ImportError as error:
        raise MissingExtraError("index='approximate'", "faiss-cpu", "approximate") from error
    return faiss
