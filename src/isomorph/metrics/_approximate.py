"""Nearest neighbours by an inverted-file index (faiss), its recall measured on a sample of the items.

Items are put into about 4 sqrt(n) lists by k-means; an item's neighbours are looked for in the lists nearest to it. How
many lists are searched is doubled until the measured recall reaches `TARGET`, in the worst case all of them, which is
exact. The sample and the clustering are seeded: the same features give the same graph.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .._linalg import top_k
from ..errors import MissingExtraError
from ._memory import block_bytes

Ints = np.ndarray[Any, np.dtype[np.int64]]
Real = np.ndarray[Any, Any]

TARGET = 0.95
"""The least share of the true neighbours that an index must find."""
SAMPLE = 1000  # items on which the recall is measured
SPARE = 8  # places beyond k that are asked for, so that ties around place k are seen
_SEED = 0


class Found(NamedTuple):
    """What an approximate index gives.

    Attributes:
        items: Items (n, width) without the item itself, the most similar first.
        values: Their similarities, in the order's sense: inner products, less half the squared norm for distances.
        recall: Share of the true k nearest neighbours of a sample of items that were found.
        searched: Share of the lists that were searched.
    """

    items: Ints
    values: Real
    recall: float
    searched: float


def approximate(rows: Real, offset: Real | None, k: int) -> Found:
    """The neighbours of all rows, ordered by product less `offset` (half the squared norms, for distances).

    Args:
        rows: Rows (n, d) whose products order the neighbours.
        offset: What is subtracted for each item (n,), or None.
        k: Neighbours an item.

    Raises:
        MissingExtraError: if faiss is not installed.
    """
    faiss = _faiss()
    n, d = rows.shape
    data = np.ascontiguousarray(rows, dtype=np.float32)
    lists = max(1, min(int(4 * math.sqrt(n)), n // 40))
    metric = faiss.METRIC_INNER_PRODUCT if offset is None else faiss.METRIC_L2
    quantizer = faiss.IndexFlat(d, metric)
    index = faiss.IndexIVFFlat(quantizer, d, lists, metric)
    index.cp.seed, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = _SEED + 1, 128, 1
    index.train(data)
    index.add(data)
    width = min(n - 1, k + SPARE)
    sample = np.sort(np.random.default_rng(_SEED).permutation(n)[:SAMPLE])
    bound = _kth(data, offset, sample, k)
    # so that another of several tied items counts as found
    bound -= 2e-6 * (np.abs(bound) + (0 if offset is None else 2 * offset[sample]))
    index.nprobe = min(lists, 4)
    while True:
        found, values = _search(index, data, offset, sample, width)
        recall = float(np.mean(values[:, :k] >= bound[:, None]))
        if recall >= TARGET or index.nprobe == lists:
            break
        index.nprobe = min(lists, 2 * index.nprobe)
    found, values = _all(index, data, offset, width, k, lists)
    return Found(found, values, recall, index.nprobe / lists)


def _all(index: Any, data: Real, offset: Real | None, width: int, k: int, lists: int) -> tuple[Ints, Real]:
    """Every item's neighbours; items whose lists hold too few others are looked for in all lists."""
    n = len(data)
    found, values = np.empty((n, width), dtype=np.int64), np.empty((n, width), dtype=np.float32)
    step = max(1, block_bytes(64 << 20) // (data.shape[1] * 8 + width * 24))
    for s in range(0, n, step):
        items = np.arange(s, min(n, s + step))
        found[items], values[items] = _search(index, data, offset, items, width)
    short = np.flatnonzero(found[:, k - 1] < 0)
    if len(short):
        probes, index.nprobe = index.nprobe, lists
        found[short], values[short] = _search(index, data, offset, short, width)
        index.nprobe = probes
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


def _kth(data: Real, offset: Real | None, sample: Ints, k: int) -> Real:
    """The exact similarity of the k-th nearest neighbour of some items."""
    bound = np.empty(len(sample), dtype=np.float32)
    step = max(1, block_bytes(64 << 20) // (8 * len(data)))
    for s in range(0, len(sample), step):
        part = sample[s : s + step]
        products = data[part] @ data.T
        if offset is not None:
            products -= offset.astype(np.float32)[None, :]
        products[np.arange(len(part)), part] = -np.inf
        bound[s : s + step] = top_k(products, k)[0][:, -1]
    return bound


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("index='approximate'", "faiss-cpu", "approximate") from error
    return faiss
