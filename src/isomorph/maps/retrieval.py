"""Retrieval in a space of comparison: nearest items, ranks of the right item, and corrections for hubs.

A hub is an item that is near to many others whatever they are; in high dimensions a few of them can be the answer to
most queries. Both corrections lower the score of such items.

Large galleries are gone through in blocks of queries, so memory is bounded and nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._core.arrays import as_features, as_pair, to_numpy
from .._core.linalg import unit_rows
from .._core.memory import block_bytes
from ..errors import InputError
from ._base import Matrix

BLOCK_BYTES = 1 << 27
"""Scores that are held at a time."""
CHUNK = 128
"""Columns of which the largest is looked at first when the best of a long row are sought."""
CORRECTIONS = (None, "csls")


class Nearest(NamedTuple):
    """The best items of a gallery for every query.

    Attributes:
        rows: Rows of the gallery (n_queries, k), best first.
        scores: Their scores (n_queries, k): cosines, or 2 cos - r_query - r_gallery under CSLS.
    """

    rows: Matrix
    scores: Matrix


def csls(similarity: Any, k: int = 10) -> Matrix:
    """Cross-domain similarity local scaling: ``2 s_ij - r_i - r_j``.

    Here r_i is the mean of the k largest similarities in row i, r_j that in column j.

    Args:
        similarity: Cosines (n_queries, n_gallery).
        k: Neighbours of the mean, at most the smaller number of rows and columns.

    Returns:
        Corrected similarities, same shape, in [-4, 4]; comparable along rows and along columns.

    Raises:
        InputError: if `similarity` is no matrix of finite numbers, or k is out of range.

    Source: Conneau et al. 2018 (word translation without parallel data).
    """
    s = _matrix(similarity)
    _neighbors(k, *s.shape)
    return 2 * s - _mean_largest(s, k)[:, None] - _mean_largest(s.T, k)[None, :]


def inverted_softmax(similarity: Any, temperature: float = 0.05) -> Matrix:
    """Logarithm of the probability of each query given the gallery item: ``s_ij / t - log Σ_i exp(s_ij / t)``.

    The sum runs over the queries, so an item that is near to all of them is near to none in particular. Given as a
    logarithm, because at low temperatures the probabilities themselves vanish and could no longer be told apart.

    Args:
        similarity: Similarities (n_queries, n_gallery).
        temperature: t, above 0.

    Returns:
        Log probabilities, same shape, at most 0; columns sum to 1 after exponentiation.

    Raises:
        InputError: if `similarity` is no matrix of finite numbers, or the temperature is not above 0.

    Source: Smith et al. 2017 (offline bilingual word vectors).
    """
    s = _matrix(similarity)
    if not (isinstance(temperature, (int, float)) and np.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature={temperature!r} must be a number above 0.")
    s = s / temperature
    top = s.max(axis=0)
    logarithms: Matrix = s - (top + np.log(np.exp(s - top).sum(axis=0)))
    return logarithms


def nearest(queries: Any, gallery: Any, k: int = 10, *, correction: str | None = None, neighbors: int = 10) -> Nearest:
    """The k items of the gallery that are most like each query, by cosine.

    Args:
        queries: Rows (n_queries, d) in the space of comparison.
        gallery: Rows (n_gallery, d).
        k: How many.
        correction: ``csls``, or none.
        neighbors: Neighbours of the CSLS means.

    Raises:
        InputError: if the widths differ, a row is zero, or `k`, `neighbors` or `correction` is out of range.
    """
    q, g = _rows(queries, gallery)
    if not 1 <= k <= len(g):
        raise InputError(f"k={k} must lie between 1 and the size of the gallery, {len(g)}.")
    index, score = np.empty((len(q), k), dtype=np.int64), np.empty((len(q), k), dtype=q.dtype)
    for rows, block in _blocks(q, g, correction, neighbors):
        score[rows], index[rows] = _best(block, k)
    return Nearest(index, score)


def ranks(
    queries: Any, gallery: Any, truth: Any = None, *, correction: str | None = None, neighbors: int = 10
) -> Matrix:
    """The rank of the right item of the gallery for each query: 1 is best, ``(n_gallery + 1) / 2`` is chance.

    Ties share the mean of their ranks, so a map that sends everything to one place scores chance and not 1.

    Args:
        queries: Rows (n_queries, d) in the space of comparison.
        gallery: Rows (n_gallery, d).
        truth: Row of the gallery (n_queries,) that belongs to each query; by default row i to query i.
        correction: ``csls``, or none.
        neighbors: Neighbours of the CSLS means.

    Returns:
        Ranks (n_queries,), which can be halves.

    Raises:
        InputError: as `nearest`, or if `truth` does not fit.
    """
    q, g = _rows(queries, gallery)
    right = np.arange(len(q)) if truth is None else np.asarray(truth)
    if right.shape != (len(q),) or right.dtype.kind not in "iu" or right.min() < 0 or right.max() >= len(g):
        raise InputError(
            f"truth must hold one row of the gallery (0 to {len(g) - 1}) for each of the {len(q)} queries; "
            f"found shape {right.shape}."
        )
    found = np.empty(len(q))
    slack = 8 * float(np.finfo(q.dtype).eps)
    for rows, block in _blocks(q, g, correction, neighbors):
        own = np.take_along_axis(block, right[rows][:, None], axis=1)
        better = np.count_nonzero(block > own + slack, axis=1)
        level = np.count_nonzero(block >= own - slack, axis=1) - better
        found[rows] = better + (level + 1) / 2
    return found


def _rows(queries: Any, gallery: Any) -> tuple[Matrix, Matrix]:
    q, g = (to_numpy(as_features(side, name)) for side, name in ((queries, "queries"), (gallery, "gallery")))
    if q.shape[1] != g.shape[1]:
        raise InputError(f"queries have {q.shape[1]} features and the gallery {g.shape[1]}; both must be in one space.")
    dtype = np.result_type(q, g)
    return unit_rows(q, "queries").astype(dtype, copy=False), unit_rows(g, "gallery").astype(dtype, copy=False)


def _matrix(similarity: Any) -> Matrix:
    checked: Matrix = to_numpy(as_pair(similarity, similarity, ("similarity", "similarity"))[0])
    return checked


def _neighbors(k: int, rows: int, columns: int) -> None:
    if not 1 <= k <= min(rows, columns):
        raise InputError(
            f"CSLS over {k} neighbours needs at least that many queries and gallery items, found {rows} and {columns}; "
            "lower it."
        )


def _mean_largest(scores: Matrix, k: int) -> Matrix:
    largest: Matrix = _best(np.ascontiguousarray(scores), k)[0].mean(axis=1)
    return largest


def _blocks(q: Matrix, g: Matrix, correction: str | None, neighbors: int) -> Iterator[tuple[slice, Matrix]]:
    """Scores of a block of queries with the whole gallery, one block after the other.

    Raises:
        InputError: if there is no such correction, or there are too few rows for it.
    """
    if correction not in CORRECTIONS:
        raise InputError(f"correction={correction!r} is not known; use one of {', '.join(map(repr, CORRECTIONS))}.")
    hub = None
    if correction == "csls":
        _neighbors(neighbors, len(q), len(g))
        hub = np.concatenate([_mean_largest(block, neighbors) for _, block in products(g, q)])
    for rows, block in products(q, g):
        if hub is not None:
            own = _mean_largest(block, neighbors)
            np.multiply(block, 2, out=block)
            np.subtract(block, own[:, None], out=block)
            np.subtract(block, hub[None, :], out=block)
        yield rows, block


def products(a: Matrix, b: Matrix) -> Iterator[tuple[slice, Matrix]]:
    """Blocks of rows of ``a b'``, each valid until the next one is asked for."""
    step = max(1, min(len(a), block_bytes(BLOCK_BYTES) // (len(b) * a.itemsize)))
    room = np.empty((step, len(b)), dtype=a.dtype)  # one room for all, since fresh memory costs as much as the product
    for i in range(0, len(a), step):
        rows = slice(i, min(i + step, len(a)))
        yield rows, np.matmul(a[rows], b.T, out=room[: rows.stop - i])


def _best(scores: Matrix, k: int) -> tuple[Matrix, Matrix]:
    """The k largest of every row, descending, and their columns.

    The k largest lie in the k chunks of columns with the largest maxima, so only those are searched.
    """
    n, m = scores.shape
    whole = m // CHUNK * CHUNK
    if (k + 1) * CHUNK >= whole:
        return _sorted_best(scores, k)
    tops = scores[:, :whole].reshape(n, -1, CHUNK).max(axis=2)
    chunks = np.argpartition(tops, tops.shape[1] - k, axis=1)[:, tops.shape[1] - k :]
    columns = (np.sort(chunks, axis=1)[:, :, None] * CHUNK + np.arange(CHUNK)).reshape(n, -1)
    columns = np.hstack([columns, np.broadcast_to(np.arange(whole, m), (n, m - whole))])
    values, at = _sorted_best(np.take_along_axis(scores, columns, axis=1), k)
    return values, np.take_along_axis(columns, at, axis=1)


def _sorted_best(scores: Matrix, k: int) -> tuple[Matrix, Matrix]:
    part = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k :]
    part.sort(axis=1)  # so that equal scores come in the order of the gallery
    values = np.take_along_axis(scores, part, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(part, order, axis=1)
