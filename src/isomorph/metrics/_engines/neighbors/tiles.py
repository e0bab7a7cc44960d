"""The most similar items, kept while products come in blocks of rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from ...._core.arrays import Array, take_rows, to_numpy
from ...._core.linalg import top_k
from ...._core.memory import block_bytes

Ints = np.ndarray[Any, np.dtype[np.int64]]
Real = np.ndarray[Any, Any]

BLOCK = 1 << 24
"""Similarities held at once."""
_ON_GPU = 1 << 30  # the same on a device, if its memory has room for them


class Best:
    """The most similar candidates of some items so far.

    Args:
        items: How many items.
        width: Candidates that are kept of each.
        dtype: Of the similarities.

    Attributes:
        values: Similarities (items, width), the largest first; minus infinity in places not filled.
        found: The candidates' numbers; -1 in places not filled.
    """

    def __init__(self, items: int, width: int, dtype: Any) -> None:
        self.values = np.full((items, width), -np.inf, dtype=dtype)
        self.found = np.full((items, width), -1, dtype=np.int64)

    def see(self, which: Any, similarities: Real, candidates: Ints) -> None:
        """Look at more candidates of some of the items.

        Args:
            which: The items: all, as ``slice(None)``, or numbers.
            similarities: Of shape (those items, candidates).
            candidates: Numbers of the columns.
        """
        values = self.values[which]
        bound = values[:, -1:]
        hit = None if np.isneginf(bound).any() else np.flatnonzero(similarities > bound)
        if hit is None or len(hit) > values.size:  # nothing much is known yet
            new, column = largest(similarities, min(values.shape[1], similarities.shape[1]))
            self.merge(which, new, candidates[column])
        elif len(hit):
            row, column = np.divmod(hit, similarities.shape[1])
            rows, first, counts = np.unique(row, return_index=True, return_counts=True)
            place = np.arange(len(hit)) - np.repeat(first, counts)
            at = np.repeat(np.arange(len(rows)), counts), place
            new = np.full((len(rows), counts.max()), -np.inf, dtype=values.dtype)
            more = np.full(new.shape, -1, dtype=np.int64)
            new[at], more[at] = similarities[row, column], candidates[column]
            self.merge(rows if isinstance(which, slice) else which[rows], new, more)

    def merge(self, which: Any, values: Real, found: Ints) -> None:
        """Add candidates of some of the items, each of its own.

        Args:
            which: The items: all, as ``slice(None)``, or numbers.
            values: Similarities (those items, candidates).
            found: The candidates' numbers.
        """
        both = np.concatenate([self.values[which], values], axis=1)
        numbers = np.concatenate([self.found[which], found], axis=1)
        best, order = top_k(both, self.values.shape[1])
        self.values[which], self.found[which] = best, np.take_along_axis(numbers, order, axis=1)


def most_similar(rows: Array, offset: Array | None, begin: int, end: int, width: int, block: int) -> Best:
    """The most similar others of rows begin:end by all products, which are made in blocks of columns.

    Args:
        rows: Rows (n, d).
        offset: What is subtracted for each row that they are compared with (n,), or None.
        begin: The first of the rows.
        end: The first that is not.
        width: Others an item.
        block: Products held at once.
    """
    n, own = rows.shape[0], np.arange(begin, end)
    best = Best(end - begin, width, np.float64 if "64" in str(rows.dtype) else np.float32)
    step = max(width, block // (end - begin))
    for s in range(0, n, step):
        stop = min(n, s + step)
        products = rows[begin:end, :] @ rows[s:stop, :].T
        if offset is not None:
            products -= offset[None, s:stop]
        here = np.flatnonzero((own >= s) & (own < stop))
        if len(here):
            products[here, own[here] - s] = -np.inf
        candidates = np.arange(s, stop)
        if isinstance(products, np.ndarray):
            best.see(slice(None), products, candidates)
        else:
            values, column = (to_numpy(a) for a in top_k(products, min(width, stop - s)))
            best.merge(slice(None), values, candidates[column])
    return best


def reached(rows: Array, offset: Array | None, which: Ints, floor: Real, block: int) -> dict[int, Ints]:
    """Of some rows, all others that are at least so similar.

    Args:
        rows: Rows (n, d).
        offset: What is subtracted for each row that they are compared with (n,), or None.
        which: The rows.
        floor: The least similarity of each that counts.
        block: Products held at once.
    """
    n = rows.shape[0]
    out: dict[int, Ints] = {}
    step = max(1, block // n)
    for s in range(0, len(which), step):
        part = which[s : s + step]
        products = take_rows(rows, part) @ rows.T
        if offset is not None:
            products = products - offset[None, :]
        products = np.asarray(to_numpy(products))
        near = products >= floor[s : s + step, None]
        near[np.arange(len(part)), part] = False
        out |= {int(r): np.flatnonzero(c) for r, c in zip(part, near, strict=True)}
    return out


def entries(rows: Array) -> int:
    """How many products are held at once: `BLOCK`, more in the free memory of a GPU, less under a limit."""
    most = BLOCK
    if is_torch_array(rows) and rows.device.type == "cuda":
        import torch

        free = torch.cuda.mem_get_info(rows.device)[0]
        # beside the products stand their copy while an offset is subtracted, and what finding the largest needs
        most = max(BLOCK, min(_ON_GPU, free // (8 * rows.element_size())))
    return min(most, block_bytes(8 * most) // 8)


def largest(s: Array, k: int) -> tuple[Array, Array]:
    """`top_k`; on NumPy, where partitioning whole rows is slow, only of what exceeds a bound.

    The k-th largest of the maxima of groups of columns is a lower bound of the k-th largest entry, and few entries
    reach it.
    """
    rows, n = s.shape
    size = min(64, n // (8 * k))
    if not isinstance(s, np.ndarray) or size < 4:
        return top_k(s, k)
    groups = n // size
    maxima = s[:, : groups * size].reshape(rows, size, groups).max(axis=1)
    maxima = np.concatenate([maxima, s[:, groups * size :]], axis=1)
    bound = np.partition(maxima, maxima.shape[1] - k, axis=1)[:, maxima.shape[1] - k]
    hit = np.flatnonzero(s >= bound[:, None])
    if len(hit) > 16 * k * rows:  # nearly everything ties
        return top_k(s, k)
    row, column = np.divmod(hit, n)
    values = s.reshape(-1)[hit]
    order = np.lexsort((-values, row))
    pick = order[np.searchsorted(row, np.arange(rows))[:, None] + np.arange(k)]
    return values[pick], column[pick]
