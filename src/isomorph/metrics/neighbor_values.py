"""Neighbour metrics that also read similarities or ranks beyond the neighbour lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from .._core.arrays import Array, take_rows, to_numpy
from .._core.linalg import unit_rows
from .._core.memory import block_bytes
from ..nulls import Null
from ..nulls.motifs import invariants, permutation_moments
from ._base import NO_DIRECTION, NO_NEIGHBORS, NOTHING_VARIES, Metric, about_mean, check_centered, choice
from ._engines.neighbors.edges import EdgeTable
from ._engines.neighbors.graphs import SIMILARITIES, Floats, Ints, Neighbors, check_k, mid_ranks, nearest
from ._engines.pairs import over_pairs

_BLOCK = 1 << 24  # similarities of all layers held at once
_ULPS = 16  # what rounding leaves of a similarity or distance of zero


# ---- second-order cosine -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Surroundings:
    """What second-order cosine reads of a layer: its neighbour graph and its rows of unit norm."""

    graph: Neighbors
    rows: Array


@dataclasses.dataclass(frozen=True)
class SecondOrderCosine(Metric[Surroundings]):
    """Mean cosine of the two vectors of an item's similarities to its neighbours in either representation.

    For each item the cosine similarities to the union of its k nearest neighbours in x and in y are listed once in x
    and once in y; the score is the mean cosine of the two lists. A tied neighbour counts with its chance to be in the
    union. An item whose list is all zero in one representation scores 0.

    Args:
        k: Neighbours an item.
        values: ``"similarity"`` (the definition) or ``"distance"`` (1 - cosine, what ReSi's code lists).
        centered: Whether the mean over items is taken out first, which makes all cosines alike.

    Formula:
        mean over items i of cos(s_x(i), s_y(i)), s(i) = (sim(i, j) for j in N_x(i) ∪ N_y(i))

    Cost:
        O(n² d) a layer to find neighbours and again in every comparison, O(n k) a pair; no exact null, and a sampled
        permutation costs what a comparison does.

    Misleads:
        Where all similarities are alike (features with a common offset; values='distance' in many dimensions) any two
        lists point the same way and unrelated layers score near 1. It reads the sizes of similarities, so two layers
        with the same neighbours may differ. Only the difference to its null says anything.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("second_order_cosine(k=5)")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.63, 'unrelated': -0.06}
    """

    name: ClassVar[str] = "second_order_cosine"
    aliases: ClassVar[Mapping[str, str]] = {
        "2nd_order_cosine": "second_order_cosine",
        "second_order_cosine_similarity": "second_order_cosine(values='distance')",
    }
    variants: ClassVar[tuple[str, ...]] = ("second_order_cosine", "second_order_cosine(values='distance')")
    shown: ClassVar[tuple[str, ...]] = ("k",)

    k: int = 10
    values: str = "similarity"
    centered: bool = False

    def __post_init__(self) -> None:
        check_k(self.name, self.k)
        check_centered(self.name, self.centered, "cosines", moved=True)
        choice(self.name, "values", self.values, ("similarity", "distance"))

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0 if self.values == "similarity" else 0.0, 1.0)

    @property
    def invariances(self) -> frozenset[str]:
        always = {"rotation", "reflection", "isotropic_scale", "unit_permutation", "item_permutation"}
        return frozenset(always | ({"translation"} if self.centered else set()))

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES if self.centered else NO_DIRECTION

    @property
    def chance(self) -> str:
        return "depends on the features (high where all similarities are alike); sampled"

    @property
    def reference(self) -> str:
        return "Hamilton, Leskovec and Jurafsky 2016 (local neighbourhood measure); Klabunde et al. 2023, 3.4"

    @property
    def min_items(self) -> int:
        return self.k + 2

    def prepare(self, x: Array) -> Surroundings:
        x = about_mean(x, self.centered)
        graph = nearest(x, self.k, "cosine")
        x = x.detach() if hasattr(x, "detach") else x
        return Surroundings(graph, unit_rows(x))

    def permute(self, state: Surroundings, order: np.ndarray[Any, Any]) -> Surroundings:
        return Surroundings(state.graph.permuted(order), take_rows(state.rows, order))

    def compare(self, xs: Sequence[Surroundings], ys: Sequence[Surroundings]) -> Array:
        total = np.zeros((len(xs), len(ys)))
        for _, i, j, cosines in self._cosines(xs, ys):
            total[i, j] += cosines.sum()
        return xs[0].graph.home.put(total / xs[0].graph.n)

    def neighbors(self, state: Surroundings, count: int) -> Ints:
        return state.graph.first(count)

    @property
    def contribution(self) -> str:
        return "the cosine of the item's two lists"

    def contributions(self, xs: Sequence[Surroundings], ys: Sequence[Surroundings]) -> Floats:
        out = np.empty((xs[0].graph.n, len(xs), len(ys)))
        for items, i, j, cosines in self._cosines(xs, ys):
            out[items, i, j] = cosines
        return out

    def _cosines(
        self, xs: Sequence[Surroundings], ys: Sequence[Surroundings]
    ) -> Iterator[tuple[slice, int, int, Floats]]:
        """Blocks of items, a pair of layers, and the cosines of these items' lists."""
        n = xs[0].graph.n
        step = max(1, block_bytes(8 * _BLOCK) // 8 // (n * 2 * (len(xs) + len(ys))))
        for begin in range(0, n, step):
            end = min(n, begin + step)
            left, right = ([self._block(s, begin, end) for s in side] for side in (xs, ys))
            for i, (sx, wx, ex) in enumerate(left):
                for j, (sy, wy, ey) in enumerate(right):
                    yield slice(begin, end), i, j, _union_cosines(sx, wx, ex, sy, wy, ey, n)

    def _block(self, state: Surroundings, begin: int, end: int) -> tuple[Any, Any, Any]:
        """Values (flat), weights (flat, zero for non-neighbours) and the neighbours' flat places of some items."""
        g = state.graph
        s = np.asarray(to_numpy(state.rows[begin:end, :] @ state.rows.T))
        if self.values == "distance":
            s = 1 - s
        s = np.where(
            np.abs(s) <= _ULPS * np.finfo(s.dtype).eps, 0, s
        )  # copies are at no distance, whatever rounding says
        cut = slice(g.start[begin], g.start[end])
        edges = (g.source[cut] - begin) * g.n + g.target[cut]
        weights = np.zeros((end - begin) * g.n, dtype=np.float32)
        weights[edges] = g.weights[cut]
        return s.reshape(-1), weights, edges


def _union_cosines(sx: Any, wx: Any, ex: Any, sy: Any, wy: Any, ey: Any, n: int) -> Floats:
    """Cosines over the union of the neighbours, for each item of a block that has neighbours (all do)."""
    only_y = ey[wx[ey] == 0]
    edge = np.concatenate([ex, only_y])
    weight = np.concatenate([wx[ex] + wy[ex] - wx[ex] * wy[ex], wy[only_y]]).astype(np.float64)
    row = edge // n
    a, b = sx[edge].astype(np.float64), sy[edge].astype(np.float64)
    dot, aa, bb = (np.bincount(row, weight * v) for v in (a * b, a * a, b * b))
    norm = np.sqrt(aa * bb)
    return np.asarray(np.divide(dot, norm, out=np.zeros_like(dot), where=norm > 0))


# ---- information imbalance ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Ranking:
    """What information imbalance reads of a layer.

    Attributes:
        graph: Its k nearest neighbours.
        ranks: Rank of every item j among the neighbours of every item i (n, n), 0 on the diagonal.
    """

    graph: Neighbors
    ranks: Floats

    @cached_property
    def invariants(self) -> Floats:
        """What the exact null needs of the ranks, less their mean n / 2."""
        centered = self.ranks - len(self.ranks) / 2
        np.fill_diagonal(centered, 0.0)
        return invariants(centered)


@dataclasses.dataclass(frozen=True)
class InformationImbalance(Metric[Ranking]):
    """How near in y are the items that are nearest in x? Information imbalance, turned and scaled to 1 at the top.

    Δ(x → y) is 2/n times the mean rank in y of the k nearest neighbours in x: (k + 1)/n if they are the k nearest in
    y too, 1 if closeness in x tells nothing of closeness in y. The score is (1 - Δ) / (1 - (k + 1)/n). Not symmetric:
    compare both directions to see which of two representations holds more.

    Args:
        k: Neighbours an item; 1 is the definition.
        similarity: ``"euclidean"`` (the definition), ``"cosine"`` or ``"dot"``.
        centered: For cosine and dot: whether the mean over items is taken out first.

    Formula:
        (1 - Δ) / (1 - (k + 1) / n),
        Δ = (2 / n) · mean over i and j in N_x(i) of the rank of j among the neighbours of i in y

    Cost:
        O(n² d + n² log n) and n² numbers a layer, O(n k) a pair and a sampled permutation; the exact null one n x n x n
        product a layer.

    Misleads:
        With k = 1 it rests on one neighbour an item: noise that swaps the nearest two lowers it, so large n or k is
        needed. The score of x → y alone does not say that the two are alike: y may be a coarse summary of x. Duplicates
        in x share their places and blur it.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("information_imbalance")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.51, 'unrelated': -0.09}
    """

    name: ClassVar[str] = "information_imbalance"
    shown: ClassVar[tuple[str, ...]] = ("k",)
    variants: ClassVar[tuple[str, ...]] = ("information_imbalance", "information_imbalance(similarity='cosine')")

    k: int = 1
    similarity: str = "euclidean"
    centered: bool = False

    def __post_init__(self) -> None:
        check_k(self.name, self.k)
        choice(self.name, "similarity", self.similarity, SIMILARITIES)
        check_centered(self.name, self.centered, "Euclidean distances", moved=self.similarity != "euclidean")

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0)

    @property
    def invariances(self) -> frozenset[str]:
        always = {"rotation", "reflection", "isotropic_scale", "unit_permutation", "item_permutation"}
        fixed = self.centered or self.similarity == "euclidean"
        return frozenset(always | ({"translation"} if fixed else set()))

    @property
    def symmetric(self) -> bool:
        return False

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES if self.centered else NO_NEIGHBORS[self.similarity]

    @property
    def chance(self) -> str:
        return "0, exactly"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        return 0.0

    @property
    def reference(self) -> str:
        return "Glielmo et al. 2022, Ranking the information content of distance measures, eq. 3; scale, null: ours"

    @property
    def min_items(self) -> int:
        return self.k + 2

    def prepare(self, x: Array) -> Ranking:
        x = about_mean(x, self.centered)
        ranks = mid_ranks(x, self.similarity)  # first, since it refuses too many items
        return Ranking(nearest(x, self.k, self.similarity), ranks)

    def permute(self, state: Ranking, order: np.ndarray[Any, Any]) -> Ranking:
        order = np.asarray(order)
        return Ranking(state.graph.permuted(order), state.ranks[order][:, order])

    def compare(self, xs: Sequence[Ranking], ys: Sequence[Ranking]) -> Array:
        order = np.arange(xs[0].graph.n)[None, :]
        return xs[0].graph.home.put(next(self.compare_permuted(xs, ys, order)))

    def compare_permuted(
        self, xs: Sequence[Ranking], ys: Sequence[Ranking], orders: np.ndarray[Any, Any]
    ) -> Iterator[Floats]:
        n = xs[0].graph.n
        table = EdgeTable.of([x.graph for x in xs])
        source, target = np.divmod(table.codes, n)
        for order in np.asarray(orders, dtype=np.int64):
            at = order[source] * n + order[target]
            total = table.weights.T @ np.stack([np.take(y.ranks.reshape(-1), at) for y in ys], axis=1)
            yield (n / 2 - np.asarray(total) / (n * self.k)) / ((n - self.k - 1) / 2)

    def neighbors(self, state: Ranking, count: int) -> Ints:
        return state.graph.first(count)

    @property
    def contribution(self) -> str:
        return "the score of the item's own k neighbours: 1 if they are its nearest in y too, 0 on average by chance"

    def contributions(self, xs: Sequence[Ranking], ys: Sequence[Ranking]) -> Floats:
        n = xs[0].graph.n

        def pair(x: Ranking, y: Ranking) -> Floats:
            edges = x.graph.weights * y.ranks[x.graph.source, x.graph.target]
            return np.asarray((n / 2 - np.bincount(x.graph.source, edges) / self.k) / ((n - self.k - 1) / 2))

        return over_pairs(pair, xs, ys)

    def null_moments(self, xs: Sequence[Ranking], ys: Sequence[Ranking]) -> Null | None:
        n = xs[0].graph.n
        m = permutation_moments(np.stack([x.graph.invariants for x in xs]), np.stack([y.invariants for y in ys]), n)
        std = np.sqrt(m.variance) / (n * self.k * (n - self.k - 1) / 2)
        source = "exact moments over all n! re-pairings of the neighbour graph and the ranks"
        return Null(np.zeros_like(std), std, -m.skewness, True, n, source)
