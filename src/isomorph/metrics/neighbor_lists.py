"""Neighbour metrics that read the lists as sequences: do two representations agree on the order of who is close?

Neighbours are those of `isomorph.metrics.neighbors`: self is excluded by index. A place that tied items
share holds none.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from .._core.arrays import Array
from ._engines.neighbors.lists import edit_distance, longest_common_subsequence
from .neighbors import PRH, Floats, Graphs, NeighborMetric


@dataclasses.dataclass(frozen=True)
class ListMetric(NeighborMetric):
    """Base of the metrics that read neighbour lists as sequences.

    A place that tied items share holds none of them: it matches nothing.
    """

    ordered: ClassVar[bool] = True

    def compare(self, xs: Graphs, ys: Graphs) -> Array:
        total = np.zeros((len(xs), len(ys)))
        for alike in self._blocks(xs, ys):
            total += alike.sum(axis=0)
        return xs[0].home.put(total / (xs[0].n * self.k))

    def contributions(self, xs: Graphs, ys: Graphs) -> Floats:
        return np.concatenate(list(self._blocks(xs, ys))) / self.k

    def _blocks(self, xs: Graphs, ys: Graphs) -> Iterator[Floats]:
        a, b = np.stack([x.lists for x in xs], axis=1), np.stack([y.lists for y in ys], axis=1)
        step = max(1, (1 << 22) // (len(xs) * len(ys) * (self.k + 1)))
        for begin in range(0, len(a), step):
            yield self._alike(a[begin : begin + step], b[begin : begin + step])

    @abstractmethod
    def _alike(self, a: Any, b: Any) -> Floats:
        """Places out of k on which lists (items, layers x, k) and (items, layers y, k) agree, (items, x, y)."""


@dataclasses.dataclass(frozen=True)
class LcsKnn(ListMetric):
    """Mean length of the longest common subsequence of the two neighbour lists, divided by k.

    Platonic-rep reports the length itself (k times ours).

    Formula:
        (1 / n) Σ_i |longest common subsequence of the ordered lists N_x(i) and N_y(i)| / k

    Cost:
        O(n² d) and O(n k) numbers a layer, O(n k²) a pair and a sampled permutation; no exact null.

    Misleads:
        It asks for the same order of the neighbours, which noise scrambles first: where similarities lie close together
        it is low although the neighbours are the same. Never above the share of common neighbours.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("lcs_knn(k=5)")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.15, 'unrelated': 0.05}
    """

    name: ClassVar[str] = "lcs_knn"

    @property
    def contribution(self) -> str:
        return "the length of the longest common subsequence of the item's two lists, over k"

    @property
    def chance(self) -> str:
        return "about k / (n - 1), a little less; sampled"

    @property
    def reference(self) -> str:
        return f"{PRH}, appendix; divided by k, and places shared by ties match nothing"

    def _alike(self, a: Any, b: Any) -> Floats:
        return longest_common_subsequence(a, b)


@dataclasses.dataclass(frozen=True)
class EditKnn(ListMetric):
    """Do neighbour lists agree place by place? One minus their mean Levenshtein distance over k.

    Formula:
        1 - (1 / n) Σ_i Levenshtein distance of the ordered lists N_x(i) and N_y(i) / k

    Cost:
        O(n² d) and O(n k) numbers a layer, O(n k²) a pair and a sampled permutation; no exact null.

    Misleads:
        A neighbour counts only if few edits bring the lists together, so a list shifted by one place loses 2 / k and a
        reversed one nearly all. It is low where `lcs_knn` and `mutual_knn` are moderate; do not read it on their scale.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("edit_knn(k=5)")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.03, 'unrelated': 0.01}
    """

    name: ClassVar[str] = "edit_knn"
    aliases: ClassVar[Mapping[str, str]] = {"edit_distance_knn": "edit_knn"}

    @property
    def contribution(self) -> str:
        return "one minus the edit distance of the item's two lists over k"

    @property
    def chance(self) -> str:
        return "about 1 / (n - 1); sampled"

    @property
    def reference(self) -> str:
        return f"{PRH}, appendix (edit_distance_knn); places shared by ties match nothing"

    def _alike(self, a: Any, b: Any) -> Floats:
        return self.k - edit_distance(a, b)
