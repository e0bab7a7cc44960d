"""How much each item moves a normalised inner product of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...._core.arrays import to_numpy
from ...._core.memory import block_bytes
from ....nulls.influence import BLOCK_BYTES, Influence
from .gram import Kernel
from .products import host_rows, rows_of

Floats = np.ndarray[Any, Any]


def kernel_influence(xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Influence:
    """Influence of every item on every CKA, at the cost of some products of the size of the score's own.

    CKA is c = <K, L> / (|K| |L|) of centred kernels. Weighting the items, and noting that centring has no first-order
    effect (a centred kernel sums to zero along each item), item i moves it by ψ_i = 2 n Σ_j g_ij with
    g = K L / (|K| |L|) - c (K² / |K|² + L² / |L|²) / 2. The variance of Σ_ij g_ij is, in expectation,
    4 Σ_i (Σ_j g_ij)² - 2 Σ_ij g_ij²; without the second term intervals of unrelated representations are √2 too wide.
    A diagonal, which only biased kernels have, is of single items and none of the pairs.

    Args:
        xs: Kernels of one side, all of one estimator.
        ys: Kernels of the other side.
    """
    n, every = xs[0].n, [*xs, *ys]
    width = max(1, min(n, block_bytes(BLOCK_BYTES) // (len(every) * n * 8)))
    starts = range(0, n, width)
    left, right = len(xs), len(ys)
    rows = np.empty((n, left, right))
    own, diagonal = np.empty((n, left + right)), np.empty((n, left + right))
    s22, s31, s13 = (np.zeros((left, right)) for _ in range(3))
    s4 = np.zeros(left + right)
    for s in starts:
        e = min(n, s + width)
        k = [rows_of(kernel, s, e) for kernel in every]
        xp = array_namespace(*k)
        k = xp.stack(k)  # (layers, e - s, n)
        a, b = k[:left, :, :], k[left:, :, :]
        square = k * k
        rows[s:e] = to_numpy(xp.matmul(xp.permute_dims(a, (1, 0, 2)), xp.permute_dims(b, (1, 2, 0))))
        own[s:e] = to_numpy(xp.sum(square, axis=2, dtype=xp.float64)).T
        diagonal[s:e] = to_numpy(k[:, np.arange(e - s), np.arange(s, e)]).T
        flat, flat2 = (xp.reshape(v, (len(every), -1)) for v in (k, square))
        s22 += to_numpy(flat2[:left, :] @ flat2[left:, :].T)
        flat3 = flat * flat2
        s31 += to_numpy(flat3[:left, :] @ flat[left:, :].T)
        s13 += to_numpy(flat[:left, :] @ flat3[left:, :].T)
        s4 += to_numpy(xp.sum(flat2 * flat2, axis=1, dtype=xp.float64))
    h = own.sum(axis=0)
    hx, hy = h[:left, None], h[None, left:]
    norm = np.sqrt(hx * hy)
    c = rows.sum(axis=0) / norm
    share = own / h
    values = 2 * n * (rows / norm - c / 2 * (share[:, :left, None] + share[:, None, left:]))
    fourth = s4 / h**2
    squares = (1 + c**2 / 2) * s22 / norm**2 + c**2 / 4 * (fourth[:left, None] + fourth[None, left:])
    squares -= c * (s31 / (hx * norm) + s13 / (hy * norm))
    if xs[0].estimator == "biased":  # the others have no diagonal
        a, b = diagonal[:, :left, None], diagonal[:, None, left:]
        single = a * b / norm - c / 2 * (a * a / hx + b * b / hy)
        squares = squares - np.sum(single**2, axis=0) - single.sum(axis=0) ** 2 / (n * (n - 1))

    def pairs(s: int, e: int) -> Floats:
        a, b = host_rows(xs[0], s, e), host_rows(ys[0], s, e)
        added = 2 * a * b / norm[0, 0] - c[0, 0] * (a * a / h[0] + b * b / h[left])
        added[np.arange(e - s), np.arange(s, e)] = 0.0
        return np.asarray(added)

    return Influence(values, 2 * np.maximum(squares, 0.0), pairs)
