"""How much each item moves a score: what standard errors and tests of differences are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy

from .._core.memory import block_bytes

Floats = np.ndarray[Any, Any]

BLOCK_BYTES = 64 << 20  # working memory for the rows of all layers' kernels
PROBES = 24  # random signs that a sum of squares is estimated from, to some 10 %
FEW_ITEMS = 64  # that are probed one by one


class Influence(NamedTuple):
    """The infinitesimal jackknife of every score of a block.

    Attributes:
        values: Influence function (n, len(xs), len(ys)): the derivative of the score by an item's weight, times n. It
            sums to zero over items.
        second: Second-order variance of Hoeffding's decomposition (len(xs), len(ys)), of interactions of two items,
            which the first-order jackknife counts twice: subtracted once, and the least that the variance can be. Zero
            where items do not interact.
        pairs: Second-order terms of the first score of the block: gives rows start to stop, dense or sparse, of the
            symmetric matrix of the interactions of two items, up to a constant, zero on the diagonal. Its sum of
            squares about the mean is twice `second`. None where items do not interact.
        products: The same where rows would cost too much: gives the products of that matrix with columns.
        own: Half the second derivative by an item's own weight, times n, (n, len(xs), len(ys)): the difference between
            the infinitesimal jackknife and leaving the item out. None where it is zero.
        higher: True for scores nonlinear beyond second order (Procrustes). The jackknife's bias is an alternating
            series in second / first then; its sum is approximated by 1 / (1 + second / first).
        known: Which scores have influences (len(xs), len(ys)). None if all have.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> cka = iso.metric("cka")
        >>> found = cka.influence([cka.prepare(x)], [cka.prepare(x + noise)])
        >>> found.values.shape, round(float(np.sqrt(found.variance[0, 0])), 3)  # the standard error of the score
        ((60, 1, 1), 0.032)
    """

    values: Floats
    second: Floats
    pairs: Callable[[int, int], Any] | None = None
    products: Callable[[Floats], Floats] | None = None
    own: Floats | None = None
    higher: bool = False
    known: np.ndarray[Any, np.dtype[np.bool_]] | None = None

    @property
    def left_out(self) -> Floats:
        """The jackknife: what the score loses when an item is left out, times n, less the mean over items."""
        return self.values if self.own is None else np.asarray(self.values - self.own + self.own.mean(axis=0))

    @property
    def variance(self) -> Floats:
        """Variance of the score over samples of items."""
        first, lost = (np.sum(v**2, axis=0) / len(v) ** 2 for v in (self.values, self.left_out))
        if self.higher:
            return np.asarray(lost / (1 + self.second / np.where(first > 0, first, 1.0)))
        return np.asarray(np.maximum(lost - self.second, self.second))

    def minus(self, other: Influence) -> Influence:
        """Influence on the difference of two scores over the same items, blocks of one score each."""
        values, n = self.values - other.values, self.values.shape[0]
        own = None if self.own is None or other.own is None else self.own - other.own
        if self.products is not None and other.products is not None:
            one, two = self.products, other.products

            def products(z: Floats) -> Floats:
                return one(z) - two(z)

            # half the correction: the full one made tests anticonservative (errors 1/8 too small) at high scores
            return Influence(values, np.full((1, 1), probed(products, n) / 4), None, products, own, higher=True)
        if self.pairs is None or other.pairs is None:
            return Influence(values, np.zeros((1, 1)), own=own)
        first, second = self.pairs, other.pairs

        def pairs(start: int, stop: int) -> Any:
            return first(start, stop) - second(start, stop)

        width = max(1, min(n, block_bytes(BLOCK_BYTES) // (4 * n * 8)))
        blocks = (pairs(s, min(n, s + width)) for s in range(0, n, width))
        squares, total = np.sum([sums(block) for block in blocks], axis=0)
        return Influence(values, np.full((1, 1), about_mean(squares, total, n) / 2), pairs, own=own)


def sums(block: Any) -> tuple[float, float]:
    """Sum of squares and sum of the entries of a matrix, dense or sparse."""
    entries = block.data if scipy.sparse.issparse(block) else block
    return float(np.sum(entries * entries, dtype=np.float64)), float(np.sum(entries, dtype=np.float64))


def about_mean(squares: float, total: float, n: int) -> float:
    """Sum of squares about the mean of the off-diagonal entries of an (n, n) matrix."""
    return max(squares - total**2 / (n * (n - 1)), 0.0)


def probed(products: Callable[[Floats], Floats], n: int) -> float:
    """Sum of squares about the mean of a matrix without its diagonal; of many items from products with random signs."""
    if n <= FEW_ITEMS:
        return about_mean(*sums(products(np.eye(n))), n)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(n, PROBES))
    found = products(np.column_stack([signs, np.ones(n)]))
    return about_mean(float(np.sum(found[:, :-1] ** 2)) / PROBES, float(found[:, -1].sum()), n)
