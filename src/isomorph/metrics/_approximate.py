"""Nearest neighbours by a navigable small-world graph (faiss HNSW), its recall measured on a sample of the items.

How widely the graph is searched is doubled until the measured recall reaches `TARGET`. The graph is built by one
thread from a seeded generator: the same features give the same neighbours.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from .._linalg import top_k
from ..errors import InputError, MissingExtraError
from ._memory import block_bytes, require

Ints = np.ndarray[Any, np.dtype[np.int64]]
Real = np.ndarray[Any, Any]

TARGET = 0.95
"""The least share of the true neighbours that an index must find."""
SAMPLE = 1000  # items on which the recall is measured
SPARE = 8  # places beyond k that are asked for, so that ties around place k are seen
_LINKS, _BUILD, _WIDEST = 24, 64, 2048  # links an item, candidates while building and, at the most, while searching


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


def approximate(rows: Real, offset: Real | None, k: int) -> Found:
    """The neighbours of all rows, ordered by product less `offset` (half the squared norms, for distances).

    Args:
        rows: Rows (n, d) whose products order the neighbours.
        offset: What is subtracted for each item (n,), or None.
        k: Neighbours an item.

    Raises:
        InputError: if the index does not fit, or does not find enough of the true neighbours.
        MissingExtraError: if faiss is not installed.
    """
    faiss = _faiss()
    n, d = rows.shape
    width = min(n - 1, k + SPARE)
    require(
        n * (4 * d + 8 * _LINKS + 12 * width), f"The index of {n:,} items", "Use index='exact', which works in blocks."
    )
    data = np.ascontiguousarray(rows, dtype=np.float32)
    index = faiss.IndexHNSWFlat(d, _LINKS, faiss.METRIC_INNER_PRODUCT if offset is None else faiss.METRIC_L2)
    index.hnsw.efConstruction = max(_BUILD, k)
    _build(faiss, index, data)
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


def _build(faiss: Any, index: Any, data: Real) -> None:
    """Fill the index with one thread: with several, the order of their turns would show in the graph."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.add(data)
    finally:
        faiss.omp_set_num_threads(threads)


def _all(index: Any, data: Real, offset: Real | None, width: int, k: int) -> tuple[Ints, Real]:
    """Every item's neighbours; items from which too few others can be reached are compared with all."""
    n = len(data)
    found, values = np.empty((n, width), dtype=np.int64), np.empty((n, width), dtype=np.float32)
    step = max(1, block_bytes(64 << 20) // (data.shape[1] * 8 + width * 24))
    for s in range(0, n, step):
        items = np.arange(s, min(n, s + step))
        found[items], values[items] = _search(index, data, offset, items, width)
    short = np.flatnonzero(found[:, k - 1] < 0)
    found[short], values[short] = _by_all(data, offset, short, width)
    return found, values


def _search(index: Any, data: Real, offset: Real | None, items: Ints, width: int) -> tuple[Ints, Real]:
    """The most similar others of some items; places that could not be filled hold -1 and minus infinity."""
    values, found = index.search(data[items], width + 1)
    if offset is not None:  # from squared distances to products less half the squared norm of the other
        values = offset[items].astype(np.float32)[:, None] - values / 2
    own = found == items[:, None]
    own[~own.any(axis=1), -1] = True  # self was crowded out by duplicates: the last place goes instead
    found, values = found[~own].reshape(len(items), width), values[~own].reshape(len(items), width)
    return found, np.where(found < 0, -np.inf, values)


def _by_all(data: Real, offset: Real | None, items: Ints, width: int) -> tuple[Ints, Real]:
    """The most similar others of some items, exactly."""
    found, values = np.empty((len(items), width), dtype=np.int64), np.empty((len(items), width), dtype=np.float32)
    step = max(1, block_bytes(64 << 20) // (8 * len(data)))
    for s in range(0, len(items), step):
        part = items[s : s + step]
        products = data[part] @ data.T
        if offset is not None:
            products -= offset.astype(np.float32)[None, :]
        products[np.arange(len(part)), part] = -np.inf
        values[s : s + step], found[s : s + step] = top_k(products, width)
    return found, values


def _faiss() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of its generated bindings, from Python 3.12 on
            import faiss
    except ImportError as error:
        raise MissingExtraError("index='approximate'", "faiss-cpu", "approximate") from error
    return faiss
