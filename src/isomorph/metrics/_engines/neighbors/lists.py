"""Neighbour lists as sequences, and walks that return: the parts of neighbour metrics that are no sums over edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from .graphs import Floats, Neighbors


def longest_common_subsequence(a: Any, b: Any) -> Floats:
    """Lengths for all pairs of lists.

    Args:
        a: Items by place (rows, lists, k), -1 where a place matches nothing.
        b: The same (rows, other lists, k).

    Returns:
        Lengths (rows, lists, other lists).
    """
    k = a.shape[2]
    above = np.zeros((k + 1, a.shape[0], a.shape[1], b.shape[1]), dtype=np.int32)
    for i in range(k):
        row = np.zeros_like(above)
        for j in range(k):
            longer = above[j] + _equal(a, b, i, j)
            row[j + 1] = np.maximum(np.maximum(above[j + 1], row[j]), longer)
        above = row
    return np.asarray(above[k], dtype=np.float64)


def edit_distance(a: Any, b: Any) -> Floats:
    """Levenshtein distances for all pairs of lists, arguments as `longest_common_subsequence`."""
    k = a.shape[2]
    above = np.empty((k + 1, a.shape[0], a.shape[1], b.shape[1]), dtype=np.int32)
    above[:] = np.arange(k + 1)[:, None, None, None]
    for i in range(k):
        row = np.empty_like(above)
        row[0] = i + 1
        for j in range(k):
            replaced = above[j] + 1 - _equal(a, b, i, j)
            row[j + 1] = np.minimum(np.minimum(above[j + 1], row[j]) + 1, replaced)
        above = row
    return np.asarray(above[k], dtype=np.float64)


def _equal(a: Any, b: Any, i: int, j: int) -> Any:
    here = a[:, :, i][:, :, None]
    return ((here == b[:, :, j][:, None, :]) & (here >= 0)).astype(np.int32)


def found_again(x: Neighbors, y: Neighbors) -> Floats:
    """Whether item i has some j in N_y(i) that has i in N_x(j), expected under random breaking of ties, (n,).

    The x lists of different j break their ties independently; of the t items tied in i's y list, r places make every
    r-subset equally likely, so the chance to miss i is a mean of products over subsets (an elementary symmetric
    polynomial).
    """
    n = x.n
    back = scipy.sparse.csr_array((x.weights, x.target, x.start), shape=(n, n)).T.tocsr()
    ahead = scipy.sparse.csr_array((y.weights, y.target, y.start), shape=(n, n))
    both = back.multiply(ahead.sign()).tocsr()  # at (i, j): how surely j of N_y(i) leads back to i
    found = np.zeros(n)
    for i in np.flatnonzero(np.diff(both.indptr)):
        back_i = dict(
            zip(
                both.indices[both.indptr[i] : both.indptr[i + 1]],
                both.data[both.indptr[i] : both.indptr[i + 1]],
                strict=True,
            )
        )
        row = slice(y.start[i], y.start[i + 1])
        weight = y.weights[row]
        miss = 1.0 - np.array([back_i.get(j, 0.0) for j in y.target[row]])
        shared = weight < 1
        chance = float(np.prod(miss[~shared]))
        if shared.any():
            t = int(shared.sum())
            r = round(float(weight[shared].sum()))
            chance *= _symmetric(miss[shared], r) / scipy.special.comb(t, r)
        found[i] = 1.0 - chance
    return found


def _symmetric(values: Floats, r: int) -> float:
    """Elementary symmetric polynomial: the sum over all r-subsets of the product of their values."""
    sums = np.zeros(r + 1)
    sums[0] = 1.0
    for v in values:
        sums[1:] += v * sums[:-1]
    return float(sums[r])
