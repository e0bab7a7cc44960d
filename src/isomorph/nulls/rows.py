"""Correlations of the rows of two similarity matrices: what metrics of kernels and RDMs say of single items."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._core.memory import block_bytes, require
from .items import Exact, ItemScores, Moves
from .null import TAIL_FROM
from .tails import pearson3_sf

Floats = np.ndarray[Any, Any]
_BLOCK = 64 << 20
_ROWS = 128


@dataclasses.dataclass(frozen=True, eq=False)
class RowMoves(Moves):
    """Moves of the correlations of rows: e_ij = z_ij z'_ij - r_i (z_ij² + z'_ij²) / 2, z rows of norm one."""

    x: Floats
    y: Floats
    values: Floats

    def _blocks(self) -> Iterator[tuple[slice, Floats]]:
        n = len(self.values)
        step = max(1, block_bytes(_BLOCK) // (8 * 4 * n))
        for s in range(0, n, step):
            rows = slice(s, min(n, s + step))
            a, b = (v[rows].astype(np.float64) for v in (self.x, self.y))
            yield rows, a * b - self.values[rows, None] * (a * a + b * b) / 2

    def errors(self) -> Floats:
        """Standard error of each correlation over the other items (n,)."""
        return np.asarray(np.sqrt(np.concatenate([np.sum(e * e, axis=1) for _, e in self._blocks()])))

    def sums(self, weights: Floats) -> Floats:
        out = np.zeros(weights.shape)
        for rows, e in self._blocks():
            out += weights[:, rows] @ e
        return out

    def twice(self, weights: Floats) -> Floats:
        out = np.zeros(len(weights))
        for rows, e in self._blocks():
            a, b = (v[:, rows].T.astype(np.float64) for v in (self.x, self.y))
            turned = a * b - self.values[None, :] * (a * a + b * b) / 2  # e_ji of the rows' items
            out += weights[:, rows] ** 2 @ np.sum(e * e, axis=1)
            out += np.einsum("ri,ri->r", weights[:, rows], weights @ (e * turned).T)
        return out


def standard_rows(similarities: Any) -> Floats:
    """Rows of a similarity matrix (n, n) without its diagonal, less their means, of norm one.

    A row whose entries are all the same says nothing and becomes zeros.
    """
    z = np.array(similarities, dtype=np.float64)
    n = len(z)
    np.fill_diagonal(z, 0.0)
    size = np.abs(z).max(axis=1, keepdims=True)
    z /= np.where(size > 0, size, 1.0)
    z -= z.sum(axis=1, keepdims=True) / (n - 1)
    np.fill_diagonal(z, 0.0)
    norm = np.sqrt(np.einsum("ij,ij->i", z, z))[:, None]
    told = norm > 1e-12 * np.sqrt(n)  # of rows of largest entry one
    return np.asarray(np.where(told, z / np.where(told, norm, 1.0), 0.0))


def row_scores(x: Any, y: Any) -> ItemScores:
    """Correlation of each item's similarities to all others, on one side with the other.

    Under free re-pairing of all items the mean is exactly 0 and the variance 1 / (n - 2), whatever the rows; the third
    moment is that of the item's row times the mean over the rows of the other side. p is the tail of a Pearson III
    distribution with these moments, and none is given of fewer than 28 items. An item's score also tells of the
    others: where they are seen alike, its similarities to them are, wherever it is itself.

    Args:
        x: Similarities or dissimilarities (n, n), the diagonal of which is not read.
        y: The same of the other side.

    Raises:
        InputError: if five such matrices do not fit the working memory.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = row_scores(x @ x.T, (x + noise) @ (x + noise).T)
        >>> found.values[:3].round(2).tolist(), found.exact.p_values[:3].round(5).tolist()
        ([0.11, 0.53, 0.61], [0.21104, 3e-05, 0.0])
    """
    n = len(x)
    require(5 * 8 * n * n, f"Correlations of the rows of {n:,} x {n:,} similarities", "Use a neighbour metric.")
    left, right = standard_rows(x), standard_rows(y)
    values = np.einsum("ij,ij->i", left, right)
    p = np.full(n, np.nan)
    if n >= TAIL_FROM:
        own, other = (np.einsum("ij,ij->i", v * v, v) for v in (left, right))
        m = n - 1
        skewness = own * other.mean() * m / ((m - 1) * (m - 2)) * (m - 1) ** 1.5
        p = np.clip(pearson3_sf(values * np.sqrt(m - 1), skewness), 0.0, 1.0)

    def permuted(orders: Any) -> Iterator[Floats]:
        a, b = left.astype(np.float32), right.astype(np.float32)  # sampled scores need no more digits
        for order in np.asarray(orders, dtype=np.int64):
            out = np.empty(n)
            for s in range(0, n, _ROWS):  # whose columns are picked while they are in the cache
                rows = slice(s, s + _ROWS)
                out[rows] = np.einsum("ij,ij->i", a[rows], np.take(b[order[rows]], order, axis=1))
            yield out

    moves = RowMoves(left, right, values)
    return ItemScores(values, permuted, Exact(np.zeros(n), p), moves, moves.errors(), (-1.0, 1.0))
