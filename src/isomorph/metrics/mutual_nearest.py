"""Mutual nearest neighbours across two spaces: does an item find itself again on the other side, and is it found?

Rows of two spaces can be neighbours of each other only in one coordinate system. The metric makes one of what the
layers share, the items: each row is described by its similarities to all other items. The function of the same name
takes rows that are in one space already, such as features after a map or of two epochs, and needs no pairing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array, as_features, as_pair, namespace, take_rows, to_numpy
from .._core.linalg import centered_scaled, number, sum_squares, u_center, unit_rows
from .._core.memory import require
from ..errors import InputError
from ._base import EQUALLY_ALIKE, NO_DIRECTION, NOTHING_VARIES, Metric, about_mean, check_centered, choice
from ._engines.neighbors.graphs import SIMILARITIES, check_k
from ._engines.pairs import over_pairs

Floats = np.ndarray[Any, np.dtype[np.float64]]

_TIE = 1e-12  # similarities of unit profiles that rounding alone tells apart are the same


class Profiles(NamedTuple):
    """A layer's items as unit rows (n, n): each one's similarities to the others, U-centred; float64."""

    rows: Array


@dataclasses.dataclass(frozen=True)
class MutualNearest(Metric[Profiles]):
    """Share of items whose two rows, one of either layer, are mutual nearest neighbours across the two spaces.

    The spaces have no common coordinates, so item i is described in each by its similarities to all other items (its
    relative representation, every item an anchor; its similarity to itself is left out and the items' mean levels are
    taken away). Row i of x and row j of y are a mutual pair if each is among the other's k nearest by the cosine of
    these profiles. `pairs` lists all such pairs.

    Ties are shared: where t rows compete for the last p places, each has p / t of one, whatever their order; the share
    counts each item with the product of both its sides.

    Args:
        k: Neighbours a row has in the other space.
        similarity: Of two items within a layer: ``"cosine"``, or ``"euclidean"`` (minus the squared distance, which
            U-centring turns into the inner product of the centred features).
        centered: For cosine: whether the mean over items is taken out first, which makes all cosines alike.

    Formula:
        (1 / n) · number of items i with rank of i in row i and in column i of S at most k, S_ij = cos(a_i, b_j)
        a_i row i of U-centred cos(x_i, x_j) or -‖x_i - x_j‖², b_j row j of that of y

    Cost:
        O(n² d) and n² numbers a layer, O(n³) a pair and a sampled permutation: some thousand items are practical. No
        exact null.

    Misleads:
        The items are their own anchors, so the pairing that is tested also makes the coordinates: it shows that the
        layers relate the items alike, not that a stranger could be matched. It falls as items are added. An item with a
        near copy in both layers is easily found by that copy, whatever else differs. Compare at equal n and k only.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> others = {"the same": x, "half noise": x + noise, "unrelated": noise}
        >>> {name: round(iso.metric("mutual_nearest(k=5)")(x, y), 2) for name, y in others.items()}
        {'the same': 1.0, 'half noise': 0.69, 'unrelated': 0.04}
    """

    name: ClassVar[str] = "mutual_nearest"
    aliases: ClassVar[dict[str, str]] = {"mutual_nearest_pairs": "mutual_nearest"}
    shown: ClassVar[tuple[str, ...]] = ("k",)
    variants: ClassVar[tuple[str, ...]] = (
        "mutual_nearest(k=10)",
        "mutual_nearest(k=1)",
        "mutual_nearest(k=3, similarity='euclidean')",
    )

    k: int = 10
    similarity: str = "cosine"
    centered: bool = False

    def __post_init__(self) -> None:
        check_k(self.name, self.k)
        check_centered(self.name, self.centered, "Euclidean distances", moved=self.similarity != "euclidean")
        choice(self.name, "similarity", self.similarity, ("cosine", "euclidean"))

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        always = {"rotation", "reflection", "isotropic_scale", "unit_permutation", "item_permutation"}
        fixed = self.centered or self.similarity == "euclidean"
        return frozenset(always | ({"translation"} if fixed else set()))

    @property
    def min_items(self) -> int:
        return max(4, self.k + 2)

    @property
    def refuses(self) -> Mapping[str, str]:
        directed = self.similarity == "cosine" and not self.centered
        return NOTHING_VARIES | EQUALLY_ALIKE | (NO_DIRECTION if directed else {})

    @property
    def chance(self) -> str:
        return "below k / n: between half of it (k = 1) and all of it in many dimensions, less in few; sampled"

    @property
    def reference(self) -> str:
        return (
            "Haghverdi et al. 2018, Batch effects in single-cell RNA-sequencing data are corrected by matching mutual "
            "nearest neighbors (cosine, k-nearest form); Moschella et al. 2023 for similarities to common items as "
            "coordinates. Leaving the item itself out, U-centring and the share of paired items are ours."
        )

    def prepare(self, x: Array) -> Profiles:
        xp, n = array_namespace(x), x.shape[0]
        require(
            3 * 8 * n * n,
            f"The similarities of {n:,} items to each other",
            "Use fewer items, or mutual_knn, whose memory does not grow with their square.",
        )
        x = x.detach() if hasattr(x, "detach") else x
        x = xp.astype(x, xp.float64)
        x = about_mean(x, self.centered)
        rows = unit_rows(x) if self.similarity == "cosine" else centered_scaled(x)
        profiles = u_center(rows @ xp.matrix_transpose(rows))
        sizes = sum_squares(profiles, axis=1)
        largest = xp.max(sum_squares(rows, axis=1))
        if not number(xp.max(sizes)) > 64 * n * (float(xp.finfo(xp.float64).eps) * number(largest)) ** 2:
            raise InputError(
                "All items of a layer are equally similar to each other, so that nothing tells one from another and "
                "mutual_nearest is not defined. Leave this layer out."
            )
        sizes = xp.where(sizes > 0, sizes, xp.ones_like(sizes))  # a row without any profile is near to none
        return Profiles(profiles / (sizes**0.5)[:, None])

    def permute(self, state: Profiles, order: np.ndarray[Any, Any]) -> Profiles:
        turn = array_namespace(state.rows).matrix_transpose
        return Profiles(turn(take_rows(turn(take_rows(state.rows, order)), order)))

    def compare(self, xs: Sequence[Profiles], ys: Sequence[Profiles]) -> Array:
        xp = array_namespace(xs[0].rows)
        return xp.stack([xp.stack([self._share(x, y) for y in ys]) for x in xs])

    def pairs(self, x: Any, y: Any) -> list[tuple[int, int, float]]:
        """All mutual nearest pairs across the two spaces, by falling similarity; ties for the k-th place all count.

        Args:
            x: Features (n_items, d1).
            y: Features (n_items, d2) of the same items.

        Returns:
            ``(item of x, item of y, cosine of their profiles)``; an item that finds itself has both numbers equal.

        Raises:
            InputError: as the score.
        """
        x, y = as_pair(x, y, min_items=self.min_items)
        s = to_numpy(_across(self.prepare(x), self.prepare(y)))
        i, j = mutual_places(s, self.k, _TIE)
        order = np.lexsort((j, i, -s[i, j]))
        return [(int(i[a]), int(j[a]), float(s[i[a], j[a]])) for a in order]

    @property
    def contribution(self) -> str:
        return "whether the item's two rows are mutual nearest neighbours, 1 or 0; a share where places are tied"

    def contributions(self, xs: Sequence[Profiles], ys: Sequence[Profiles]) -> Floats:
        return over_pairs(self._found, xs, ys)

    def _share(self, x: Profiles, y: Profiles) -> Array:
        return array_namespace(x.rows).mean(self._found(x, y))

    def _found(self, x: Profiles, y: Profiles) -> Array:
        """Whether each item's two rows are mutual nearest neighbours, (n,)."""
        s = _across(x, y)
        own = array_namespace(s).linalg.diagonal(s)
        return self._places(s, own[:, None], 1) * self._places(s, own[None, :], 0)

    def _places(self, s: Array, own: Array, axis: int) -> Array:
        """Of the k places along the axis, the part that falls to the item itself."""
        xp = array_namespace(s)
        nearer = xp.sum(xp.astype(s > own + _TIE, xp.float64), axis=axis)
        tied = xp.sum(xp.astype(xp.abs(s - own) <= _TIE, xp.float64), axis=axis)
        return xp.clip((self.k - nearer) / tied, 0.0, 1.0)


def _across(x: Profiles, y: Profiles) -> Array:
    return x.rows @ array_namespace(x.rows).matrix_transpose(y.rows)


def mutual_places(s: Floats, k: int, tolerance: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows and columns of the entries that are among the k largest of both; all tied at the k-th place count."""
    by_row = s >= np.partition(s, -k, axis=1)[:, [-k]] - tolerance
    by_column = s >= np.partition(s, -k, axis=0)[[-k], :] - tolerance
    rows, columns = np.nonzero(by_row & by_column)
    return rows, columns


# ---- two sets of points in one space -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class MutualPairs:
    """Pairs of items, one of either space, that are among each other's k nearest across the spaces.

    Attributes:
        pairs: Item numbers (pairs, 2): row of x, row of y; sorted.
        share: Where x and y hold the same items: the share of items whose own two rows are a mutual pair, else None.
        chance: The share expected if the items were paired at random, pairs / n²; None where `share` is.
    """

    pairs: np.ndarray[Any, np.dtype[np.int64]]
    share: float | None
    chance: float | None


def mutual_nearest(x: Any, y: Any, k: int = 1, similarity: str = "cosine") -> MutualPairs:
    """Mutual nearest neighbours ("best buddies") of two sets of points in one shared space.

    Both must live in the same space: the same features, or features made comparable by a map or by similarities to
    common anchors. Rows need no pairing, and the numbers of items may differ. All items tied at the k-th place
    count.

    Args:
        x: Features (n, d).
        y: Features (m, d).
        k: Neighbours an item in the other set.
        similarity: ``"cosine"``, ``"euclidean"`` or ``"dot"``.

    Raises:
        InputError: if the features are not of one space, or there are fewer than k items on a side.

    Reference: Haghverdi et al. 2018 (k-nearest form); Dekel et al. 2015, Best-Buddies Similarity (k = 1).
    """
    check_k("mutual_nearest", k)
    choice("mutual_nearest", "similarity", similarity, SIMILARITIES)
    x, y = as_features(x, "x", min_items=k), as_features(y, "y", min_items=k)
    namespace(x, y)
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"x has {x.shape[1]} features and y has {y.shape[1]}; nearest pairs across spaces need one shared space. "
            "Map one side first, or use the metric mutual_nearest, which describes both by their similarities to "
            "common items."
        )
    a, b = (np.asarray(to_numpy(v), dtype=np.float64) for v in (x, y))
    if similarity == "cosine":
        a, b = unit_rows(a, "x"), unit_rows(b, "y")
    offset = a.mean(axis=0) if similarity == "euclidean" else 0.0
    a, b = a - offset, b - offset
    rows = np.zeros(len(b)) if similarity != "euclidean" else np.sum(b * b, axis=1) / 2
    columns = np.zeros(len(a)) if similarity != "euclidean" else np.sum(a * a, axis=1) / 2
    s = a @ b.T - rows[None, :] - columns[:, None]
    tolerance = 16 * np.finfo(np.float64).eps * np.sqrt(np.outer(np.sum(a * a, axis=1), np.sum(b * b, axis=1)).max())
    pairs = np.stack(mutual_places(s, k, tolerance), axis=1)
    if len(a) != len(b):
        return MutualPairs(pairs, None, None)
    share = float(np.mean(np.bincount(pairs[pairs[:, 0] == pairs[:, 1], 0], minlength=len(a))))
    return MutualPairs(pairs, share, len(pairs) / len(a) ** 2)


__all__ = ["MutualNearest", "MutualPairs", "Profiles", "mutual_nearest"]
