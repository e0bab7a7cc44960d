"""Neighbourhoods over all scales: do two layers agree on who is near, from the nearest item to half of all?

`mutual_knn` answers for one k, and layers may agree on close neighbours and not on the rest, or the other way round.
Persistence, which follows clusters and loops over all radii at once, is `rtd_distance`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.arrays import Array
from .._core.memory import require
from ..errors import InputError
from ..nulls import Null
from ._base import NO_NEIGHBORS, Floats, Ints, Metric, choice
from ._engines.neighbors.graphs import SIMILARITIES, Neighbors
from .neighbors import Graphs, MutualKnn

Scales = tuple[Neighbors, ...]


@dataclasses.dataclass(frozen=True)
class MultiscaleKnn(Metric[Scales]):
    """Mean agreement of neighbourhoods over many sizes, each as the share of what chance leaves to be gained.

    For k = 1, 2, 4, … up to a share of the other items, the mean share of common neighbours (`mutual_knn`) is scaled so
    that unrelated layers score 0 and equal ones 1, and the scales are averaged: every doubling of the neighbourhood
    counts alike.

    Args:
        similarity: What near means: ``"cosine"``, ``"euclidean"`` or ``"dot"`` (inner product of the raw features).
        largest: The largest neighbourhood as a share of the other items, above 0 and below 1.

    Raises:
        InputError: if an argument does not fit.

    Formula:
        mean over k of (Q(k) - k / (n - 1)) / (1 - k / (n - 1)), k = 1, 2, 4, … ≤ largest · (n - 1),
        Q(k) = (1 / n) Σ_i |N_x(i) ∩ N_y(i)| / k, N(i) the k nearest others of item i

    Cost:
        O(n² d) a scale and layer, of which there are log2(n) - 1, and O(n²) numbers in all; O(n²) a pair and a sampled
        permutation. Of the null the mean alone is known, exactly.

    Misleads:
        One number for all scales hides where the agreement lies: a score of 0.3 may be perfect clusters of strangers or
        faithful close neighbours in no order. Look at `mutual_knn` at single k. Between scores at different n the
        number of scales differs, and so what is averaged.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> clusters = np.repeat(10 * np.eye(8)[:5], 20, axis=0)  # shared by both: all else is unrelated
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("multiscale_knn")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.18, 'unrelated': 0.0}
        >>> round(iso.metric("multiscale_knn")(x + clusters, noise + clusters), 2)
        0.32
    """

    name: ClassVar[str] = "multiscale_knn"
    aliases: ClassVar[dict[str, str]] = {"rnx_auc": "multiscale_knn", "co_ranking": "multiscale_knn"}
    variants: ClassVar[tuple[str, ...]] = ("multiscale_knn(similarity='cosine', largest=0.2)", "multiscale_knn")
    similarity: str = "euclidean"
    largest: float = 0.5

    def __post_init__(self) -> None:
        choice("multiscale_knn", "similarity", self.similarity, SIMILARITIES)
        if not (isinstance(self.largest, (int, float)) and 0 < self.largest < 1):
            raise InputError(
                f"multiscale_knn: largest={self.largest!r} must be above 0 and below 1: the largest neighbourhood as a "
                "share of the other items, such as 0.5. With all of them nothing is left to differ."
            )

    def _metric(self, k: int) -> MutualKnn:
        return MutualKnn(k=k, similarity=self.similarity)

    def scales(self, n: int) -> tuple[int, ...]:
        """The sizes of the neighbourhoods of `n` items."""
        most = max(1, int(self.largest * (n - 1)))
        return tuple(1 << e for e in range(most.bit_length()))

    @property
    def range(self) -> tuple[float, float]:
        return -1.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return self._metric(1).invariances

    @property
    def refuses(self) -> Mapping[str, str]:
        return NO_NEIGHBORS[self.similarity]

    @property
    def min_items(self) -> int:
        return 4

    @property
    def chance(self) -> str:
        return "0, exactly"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        return 0.0

    @property
    def reference(self) -> str:
        return (
            "Lee, Peluffo-Ordóñez and Verleysen (2015), 'Multi-scale similarities in stochastic neighbour embedding', "
            "the area under R_NX(K) over log K; we take powers of two up to half of the items where they take all K "
            "with weight 1 / K, and share tied places out."
        )

    def prepare(self, x: Array) -> Scales:
        n, scales = x.shape[0], self.scales(x.shape[0])
        require(
            6 * 8 * n * sum(scales),  # lists and edges of both layers
            f"The neighbourhoods of {n:,} items at {len(scales)} scales",
            "Lower largest, use mutual_knn at single k, or fewer items.",
        )
        return tuple(self._metric(k).prepare(x) for k in scales)

    def permute(self, state: Scales, order: np.ndarray[Any, Any]) -> Scales:
        return tuple(graph.permuted(order) for graph in state)

    def neighbors(self, state: Scales, count: int) -> Ints:
        return state[-1].first(count)

    def compare(self, xs: Sequence[Scales], ys: Sequence[Scales]) -> Array:
        return self._over_scales([m.compare(x, y) for m, x, y in self._each(xs, ys)], xs[0][0].n)

    def compare_permuted(
        self, xs: Sequence[Scales], ys: Sequence[Scales], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        for scores in zip(*(m.compare_permuted(x, y, orders) for m, x, y in self._each(xs, ys)), strict=True):
            yield self._over_scales(scores, xs[0][0].n)

    @property
    def contribution(self) -> str:
        return "the mean over scales of the item's share of common neighbours less chance, over one less chance"

    def contributions(self, xs: Sequence[Scales], ys: Sequence[Scales]) -> Floats:
        return np.asarray(self._over_scales([m.contributions(x, y) for m, x, y in self._each(xs, ys)], xs[0][0].n))

    def null_moments(self, xs: Sequence[Scales], ys: Sequence[Scales]) -> Null:
        mean = np.zeros((len(xs), len(ys)))
        return Null(mean, None, None, True, xs[0][0].n, "exact mean over all re-pairings")

    def _each(self, xs: Sequence[Scales], ys: Sequence[Scales]) -> Iterator[tuple[MutualKnn, Graphs, Graphs]]:
        """For every scale the metric of one k, and both sides at that scale."""
        for at, graph in enumerate(xs[0]):
            yield self._metric(graph.k), [x[at] for x in xs], [y[at] for y in ys]

    def _over_scales(self, shares: Sequence[Any], n: int) -> Any:
        """Mean over scales of shares of common neighbours, each from its chance to one."""
        levels = [k / (n - 1) for k in self.scales(n)]
        return sum((s - c) / (1 - c) for s, c in zip(shares, levels, strict=True)) / len(levels)
