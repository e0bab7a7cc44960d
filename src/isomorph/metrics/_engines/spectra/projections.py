"""The exact null of scores that are an inner product of two weighted projections.

The score is ``<G_x, G_y>`` with ``G = U diag(w) U'``. A re-pairing of the items turns G_y into P G_y P', so mean,
variance and skewness over all n! re-pairings are exact (`isomorph.nulls.ucentered`), and sampled values of all pairs
come from shared products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...._core.arrays import Array
from ...._core.memory import ceiling
from ....nulls.null import Null
from ....nulls.permuted import PairTable, pair_tables, permuted_products
from ....nulls.ucentered import invariants, moments, skewness
from ..pairs import made_once
from .axes import Axes

SHARED_BYTES = 2 << 30
"""Above this many bytes of n x n matrices, sampled permutations fall back to one product a pair."""

Weigh = Callable[[Axes], Array]
Norm = Callable[[Axes, Axes], float]


def projection(axes: Axes, weights: Array) -> Array:
    """``U diag(weights) U'`` (n, n)."""
    return (axes.u * weights[None, :]) @ axes.u.T


def inner(x: Axes, y: Axes, wx: Array, wy: Array) -> Array:
    """``<G_x, G_y>`` of the weighted projections, from the (r1, r2) product."""
    xp = array_namespace(x.u)
    m = x.u.T @ y.u
    return xp.sum(wx[:, None] * (m * m) * wy[None, :])


def projection_null(xs: Sequence[Axes], ys: Sequence[Axes], weigh: Weigh, norm: Norm) -> Null:
    """Exact moments of ``<G_x, G_y> / norm(x, y)`` for all pairs; one n x n matrix in memory at a time."""
    exact = moments(*made_once(lambda axes: invariants(projection(axes, weigh(axes))), xs, ys))
    norms = np.array([[norm(x, y) for y in ys] for x in xs])
    return Null(
        exact.mean / norms,
        np.sqrt(exact.variance) / norms,
        skewness(exact),
        True,
        xs[0].n,
        "exact moments over all re-pairings (Kazi-Aoual et al. 1995)",
        scale=exact.scale,
    )


def projection_permuted(
    xs: Sequence[Axes], ys: Sequence[Axes], orders: np.ndarray[Any, Any], weigh: Weigh, norm: Norm
) -> Iterator[np.ndarray[Any, Any]] | None:
    """Scores under every re-pairing of `orders` by shared products, or None if the n x n matrices are too large."""
    if (len(xs) + len(ys)) * xs[0].n ** 2 * 8 > min(SHARED_BYTES, ceiling() // 2):
        return None
    norms = np.array([[norm(x, y) for y in ys] for x in xs])

    def table(side: Sequence[Axes]) -> PairTable:
        return PairTable.of((projection(a, weigh(a)) for a in side), len(side), diagonal=True)

    return (block / norms for block in permuted_products(*pair_tables(xs, ys, table), orders))
