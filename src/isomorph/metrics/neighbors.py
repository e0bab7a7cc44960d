"""Neighbour metrics: do two representations agree on which items are close?

All read the k nearest neighbours of each item in either representation. How they are found, what happens to the item
itself and to ties is the same for all and stated in `isomorph.metrics._engines.neighbors.graphs`: self is excluded by
index, tied items share their places.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import scipy

from .._core.arrays import Array, Unread, as_features
from ..nulls import Influence, ItemScores, Null
from ..nulls.motifs import Moments, permutation_moments
from ._base import NO_NEIGHBORS, NOTHING_VARIES, Metric, about_mean, check_centered, choice
from ._engines.neighbors.edges import EdgeTable, Hits, common, common_permuted, row_sums, total_overlap
from ._engines.neighbors.graphs import INDEXES, SIMILARITIES, Neighbors, check_k, count_duplicates, nearest, recall_of
from ._engines.neighbors.influence import overlap_influence
from ._engines.neighbors.items import overlap_scores
from ._engines.neighbors.lists import found_again
from ._engines.neighbors.overlaps import overlap_moments, pair_histogram, spacing
from ._engines.pairs import over_pairs

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Graphs = Sequence[Neighbors]

PRH = "Huh, Cheung, Wang and Isola 2024, The Platonic Representation Hypothesis"


@dataclasses.dataclass(frozen=True)
class NeighborMetric(Metric[Neighbors]):
    """Base of the metrics that read k-nearest-neighbour lists.

    Args:
        k: Neighbours an item; at least k + 2 items are needed.
        similarity: What near means: ``"cosine"``, ``"euclidean"`` or ``"dot"`` (inner product of the raw features).
        index: ``"exact"`` compares all items with all, n² d operations; ``"approximate"`` compares
            each with the items of so many of its nearest clusters that at least 95 % of the true neighbours of 1000
            sampled items are found; that share is printed, kept in the prepared state (`recall`) and named with the
            null. Missed neighbours lower a score: by up to twice the share missed.
        centered: Whether the mean over items is taken out first. A mean that all items share (anisotropic features)
            makes all cosines alike, and what is left then decides who is near. Does nothing to distances.
    """

    k: int = 10
    similarity: str = "cosine"
    index: str = "exact"
    centered: bool = False

    shown: ClassVar[tuple[str, ...]] = ("k",)
    ordered: ClassVar[bool] = False
    """Whether the order within a list is read."""

    def __post_init__(self) -> None:
        check_k(self.name, self.k)
        choice(self.name, "similarity", self.similarity, SIMILARITIES)
        choice(self.name, "index", self.index, INDEXES)
        check_centered(self.name, self.centered, "Euclidean distances", moved=self.similarity != "euclidean")

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 1.0)

    @property
    def invariances(self) -> frozenset[str]:
        always = {"rotation", "reflection", "isotropic_scale", "unit_permutation", "item_permutation"}
        fixed = self.centered or self.similarity == "euclidean"
        return frozenset(always | ({"translation"} if fixed else set()))

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES if self.centered else NO_NEIGHBORS[self.similarity]

    @property
    def min_items(self) -> int:
        return self.k + 2

    @property
    def copies(self) -> int:
        return 0 if self.streams else 2

    @property
    def streams(self) -> bool:
        return self.index == "approximate"

    def prepare(self, x: Array) -> Neighbors:
        if isinstance(x, Unread) and self.streams:  # a mean is taken from a copy
            x = x.whole() if self.centered else x.seen()
        x = about_mean(x, self.centered)
        return nearest(x, self.k, self.similarity, ordered=self.ordered, index=self.index)

    def permute(self, state: Neighbors, order: np.ndarray[Any, Any]) -> Neighbors:
        return state.permuted(order)

    def neighbors(self, state: Neighbors, count: int) -> Ints:
        return state.first(count)

    def recall(self, x: Any) -> float:
        """Share of the true neighbours of a sample of the items of `x` that the index finds; 1 if it is exact.

        Raises:
            InputError: if `x` is not a representation, or has too few items.
        """
        found = self.prepare(as_features(x, min_items=self.min_items)).recall
        return 1.0 if found is None else found

    def duplicates(self, x: Any) -> int:
        """How many items of `x` have exactly the features of another item, and so tie with it everywhere.

        Raises:
            InputError: if `x` is not a representation.
        """
        return count_duplicates(as_features(x))


@dataclasses.dataclass(frozen=True)
class EdgeMetric(NeighborMetric):
    """Base of the metrics that read which edges two graphs share."""

    reverse: ClassVar[bool] = False
    """Whether the edges of x are turned around first."""

    def compare(self, xs: Graphs, ys: Graphs) -> Array:
        return xs[0].home.put(self._score(common(*self._tables(xs, ys)), xs[0].n))

    def compare_permuted(self, xs: Graphs, ys: Graphs, orders: np.ndarray[Any, Any]) -> Iterator[Floats]:
        for hits in common_permuted(*self._tables(xs, ys), orders):
            yield self._score(hits, xs[0].n)

    def _tables(self, xs: Graphs, ys: Graphs) -> tuple[EdgeTable, EdgeTable]:
        return EdgeTable.of(xs, places=self.ordered, reverse=self.reverse), EdgeTable.of(ys, places=self.ordered)

    def contributions(self, xs: Graphs, ys: Graphs) -> Floats:
        out = np.zeros((xs[0].n, len(xs), len(ys)))
        for items, values in self._items(common(*self._tables(xs, ys))):
            out[items] = values
        return out

    def _score(self, hits: Hits, n: int) -> Floats:
        """Scores of all pairs from the shared edges."""
        out = np.zeros((hits.x.shape[1], hits.y.shape[1]))
        for _, values in self._items(hits):
            out += np.sum(values, axis=0)
        return out / n

    @abstractmethod
    def _items(self, hits: Hits) -> Iterator[tuple[Ints, Floats]]:
        """Blocks of items that share edges, and what they score (items, graphs x, graphs y); all others score 0."""


@dataclasses.dataclass(frozen=True)
class MutualKnn(EdgeMetric):
    """Mean share of common items among the k nearest neighbours, |N_x(i) ∩ N_y(i)| / k.

    Local and insensitive to any monotone change of the similarities. Chance is exactly k/(n-1) whatever the features,
    so scores at different n or k are not comparable as they stand. With duplicated items, ties are shared out (see
    `isomorph.metrics._engines.neighbors.graphs`) and a representation may score below 1 with itself.

    Platonic-rep normalises no rows by itself: its published figures are ``similarity="cosine"`` on rows of unit norm,
    the same call on raw features is ``similarity="dot"``.

    Formula:
        (1 / n) Σ_i |N_x(i) ∩ N_y(i)| / k, N(i) the k nearest others of item i

    Cost:
        O(n² d) and O(n k) numbers a layer, O(n k) a pair and a sampled permutation, exact null from sparse counts of
        about O(n k²) a layer; an interval O(n k²) a pair.

    Misleads:
        It falls as items are added, since neighbours get nearer than the alignment is fine: compare at equal n and k
        only. Global structure is invisible: two layers with the same neighbourhoods may place the clusters anywhere.
        Near duplicates (two captions of one image) raise it without any deeper agreement.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("mutual_knn(k=5)")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.17, 'unrelated': 0.05}
    """

    name: ClassVar[str] = "mutual_knn"
    aliases: ClassVar[Mapping[str, str]] = {
        "mknn": "mutual_knn",
        "mutual_nn": "mutual_knn",
        **{f"mutual_knn-topk={k}": f"mutual_knn(k={k}, similarity='dot')" for k in (5, 10, 20, 50, 100)},
    }

    @property
    def chance(self) -> str:
        return "k / (n - 1), exactly"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        return self.k / (n - 1)

    @property
    def reference(self) -> str:
        return f"{PRH}, appendix A; exact null and sharing of ties are ours"

    @property
    def contribution(self) -> str:
        return "the share of the item's k neighbours that both have, |N_x(i) ∩ N_y(i)| / k"

    def null_moments(self, xs: Graphs, ys: Graphs) -> Null:
        n, m = xs[0].n, _overlap_count(xs, ys)
        unit = n * self.k
        return Null(
            m.mean / unit,
            np.sqrt(m.variance) / unit,
            m.skewness,
            True,
            n,
            "exact moments over all n! re-pairings of the two neighbour graphs" + recall_of(*xs, *ys),
            step=1.0 / unit,
        )

    def influence(self, xs: Graphs, ys: Graphs) -> Influence:
        return overlap_influence(xs, ys, lambda o: o / self.k, lambda o: 1 / self.k)

    def item_scores(self, x: Neighbors, y: Neighbors) -> ItemScores:
        return overlap_scores(x, y, lambda o: o / self.k, lambda o: 1 / self.k)

    def _score(self, hits: Hits, n: int) -> Floats:
        return total_overlap(hits) / (n * self.k)  # without the sums of single items, which take longer

    def _items(self, hits: Hits) -> Iterator[tuple[Ints, Floats]]:
        for items, overlap in row_sums(hits):
            yield items, overlap / self.k


def _overlap_count(xs: Graphs, ys: Graphs) -> Moments:
    """Exact moments of the number of shared edges."""
    return permutation_moments(np.stack([x.invariants for x in xs]), np.stack([y.invariants for y in ys]), xs[0].n)


@dataclasses.dataclass(frozen=True)
class JaccardKnn(EdgeMetric):
    """Mean Jaccard index of the k nearest neighbours, |N_x(i) ∩ N_y(i)| / |N_x(i) ∪ N_y(i)|.

    With o common neighbours it is o / (2k - o); where ties are shared, o is the expected number of them.

    Formula:
        (1 / n) Σ_i |N_x(i) ∩ N_y(i)| / |N_x(i) ∪ N_y(i)|

    Cost:
        As `mutual_knn`, its null included, and once for each n and k a table of pairs (0.1 s at k = 10, seconds at
        k = 100). Mean and deviation of the null are exact, of its skewness what one and two items contribute; what
        three do is taken over from `mutual_knn`. With ties the null is sampled.

    Misleads:
        As `mutual_knn`, of which it is a bent version: with o common neighbours o / (2k - o) instead of o / k, so it
        looks lower for the same overlap. Values of the two must not be compared with each other.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("jaccard_knn(k=5)")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.11, 'unrelated': 0.03}
    """

    name: ClassVar[str] = "jaccard_knn"
    aliases: ClassVar[Mapping[str, str]] = {"jaccard": "jaccard_knn", "jaccard_similarity": "jaccard_knn"}

    @property
    def contribution(self) -> str:
        return "the Jaccard index of the item's two neighbourhoods"

    @property
    def chance(self) -> str:
        return "E[h / (2k - h)] with h hypergeometric (n - 1, k, k), exactly where nothing is tied; about k / (2n)"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        h = np.arange(self.k + 1)
        return float(np.sum(scipy.stats.hypergeom.pmf(h, n - 1, self.k, self.k) * h / (2 * self.k - h)))

    @property
    def reference(self) -> str:
        return "Klabunde et al. 2023, Similarity of Neural Network Models, section 3.4 (after Schumacher et al. 2021)"

    def null_moments(self, xs: Graphs, ys: Graphs) -> Null | None:
        """Mean and standard deviation are exact; of the skewness one of three sums is not, see `overlap_moments`.

        None where items are tied: a share of a neighbour is not a common neighbour or none.
        """
        if any(g.tied is not None for g in (*xs, *ys)):
            return None
        n, k = xs[0].n, self.k
        values = tuple(Fraction(h, 2 * k - h) for h in range(k + 1))
        left, right = (np.stack([pair_histogram(g) for g in side]) for side in (xs, ys))
        m = overlap_moments(left, right, n, values, _overlap_count(xs, ys))
        return Null(
            np.full(m.variance.shape, m.mean / n),
            np.sqrt(m.variance) / n,
            m.skewness,
            True,
            n,
            "exact mean and standard deviation over all n! re-pairings of the two neighbour graphs; skewness exact but "
            "for what three items add together, which is mutual_knn's in proportion" + recall_of(*xs, *ys),
            step=spacing(n, values) / n,
            exact_skewness=False,
        )

    def influence(self, xs: Graphs, ys: Graphs) -> Influence:
        union = 2 * self.k
        return overlap_influence(xs, ys, lambda o: o / (union - o), lambda o: union / (union - o) ** 2)

    def item_scores(self, x: Neighbors, y: Neighbors) -> ItemScores:
        union = 2 * self.k
        return overlap_scores(x, y, lambda o: o / (union - o), lambda o: union / (union - o) ** 2)

    def _items(self, hits: Hits) -> Iterator[tuple[Ints, Floats]]:
        for items, overlap in row_sums(hits):
            yield items, overlap / (2 * self.k - overlap)


@dataclasses.dataclass(frozen=True)
class RankSimilarity(EdgeMetric):
    """Do common neighbours stand at like places, near ones counting most?

    Over the common neighbours j of an item, at places r and r', the mean of 2 / ((1 + |r - r'|) (r + r')), divided by
    1 + 1/2 + … + 1/(number of them), its largest possible value; 0 without common neighbours. Tied neighbours stand at
    their mean place and count with their weight; the harmonic sum is continued to fractional numbers.

    Formula:
        (1 / n) Σ_i [Σ_j 2 / ((1 + |r_x(j) - r_y(j)|) (r_x(j) + r_y(j)))] / (1 + 1/2 + … + 1/m_i)
        j over the m_i common neighbours of item i, r(j) the place of j in the list, from 1

    Cost:
        O(n² d) and O(n k) numbers a layer, O(n k) a pair and a sampled permutation; no exact null.

    Misleads:
        Only the places of the common neighbours count, so one shared first neighbour scores 1 whatever the other k - 1
        are; a high score may go with a small overlap. Read it beside `mutual_knn`. Like all neighbour metrics it is
        comparable at equal n and k only.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("rank_similarity(k=5)")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.16, 'unrelated': 0.05}
    """

    name: ClassVar[str] = "rank_similarity"
    aliases: ClassVar[Mapping[str, str]] = {"ranksim": "rank_similarity"}
    ordered: ClassVar[bool] = True

    @property
    def contribution(self) -> str:
        return "how alike the places of the item's common neighbours are, from 0 to 1"

    @property
    def chance(self) -> str:
        return "a little below the chance of one common neighbour, k² / (n - 1); sampled"

    @property
    def reference(self) -> str:
        return "Wang et al. 2020, Towards Understanding the Instability of Network Embedding; Klabunde et al. 2023, 3.4"

    def _items(self, hits: Hits) -> Iterator[tuple[Ints, Floats]]:
        for items, sums in row_sums(hits, _rank_terms):
            score, number = sums[..., 0], sums[..., 1]
            harmonic = scipy.special.digamma(number + 1) + np.euler_gamma
            yield items, np.divide(score, harmonic, out=np.zeros_like(score), where=number > 0)


def _rank_terms(x: Floats, y: Floats, place_x: Floats, place_y: Floats) -> Floats:
    number = x * y
    score = 2 * number / ((1 + np.abs(place_x - place_y)) * np.maximum(place_x + place_y, 1))
    return np.stack([score, number], axis=-1)


@dataclasses.dataclass(frozen=True)
class CycleKnn(EdgeMetric):
    """Share of items that are found again: some y-neighbour of the item has the item among its x-neighbours.

    Not symmetric. Where ties are shared, the share expected when they are broken at random.

    Formula:
        (1 / n) · number of items i for which some j in N_y(i) has i in N_x(j)

    Cost:
        O(n² d) and O(n k) numbers a layer, O(n k) a pair and a sampled permutation (O(n k²) with ties); no exact null.

    Misleads:
        It saturates: an item has k² chances to be found again, so at k = 10 and a few hundred items it is near 1 where
        `mutual_knn` is below a half. Use a small k, and its null. It is not symmetric, and a layer need not score 1
        with itself where neighbourhoods are not mutual (hubs).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("cycle_knn(k=5)")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.99, 'half noise': 0.62, 'unrelated': 0.23}
    """

    name: ClassVar[str] = "cycle_knn"
    variants: ClassVar[tuple[str, ...]] = ("cycle_knn(k=2)",)  # so few that not everything returns in small tests
    reverse: ClassVar[bool] = True

    @property
    def symmetric(self) -> bool:
        return False

    @property
    def identity(self) -> float | None:
        return None

    @property
    def contribution(self) -> str:
        return "whether the item is found again, 1 or 0; its chance where ties are shared"

    @property
    def chance(self) -> str:
        return "about 1 - exp(-k² / (n - 1)); sampled"

    @property
    def reference(self) -> str:
        return f"{PRH}, reference code: knn_x[knn_y]; sharing of ties is ours"

    def compare(self, xs: Graphs, ys: Graphs) -> Array:
        if all(g.tied is None for g in (*xs, *ys)):
            return super().compare(xs, ys)
        return xs[0].home.put(np.array([[np.cumsum(found_again(x, y))[-1] / x.n for y in ys] for x in xs]))

    def compare_permuted(self, xs: Graphs, ys: Graphs, orders: np.ndarray[Any, Any]) -> Iterator[Floats]:
        if all(g.tied is None for g in (*xs, *ys)):
            yield from super().compare_permuted(xs, ys, orders)
        else:
            yield from Metric.compare_permuted(self, xs, ys, orders)

    def contributions(self, xs: Graphs, ys: Graphs) -> Floats:
        if all(g.tied is None for g in (*xs, *ys)):
            return super().contributions(xs, ys)
        return over_pairs(found_again, xs, ys)

    def _items(self, hits: Hits) -> Iterator[tuple[Ints, Floats]]:
        for items, overlap in row_sums(hits):
            yield items, (overlap > 0).astype(np.float64)
