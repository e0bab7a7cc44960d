"""Two-sample distances: do the items of two layers fill space alike, once the layers are laid over each other?

The energy distance and the maximum mean discrepancy (MMD) compare two sets of points of one space, whichever point is
which. Two layers are not in one space, so they are first brought there as for `procrustes`: centred, scaled to the same
size (a mean squared norm of one), the narrower padded with zeros, and x turned by the rotation that fits the items
best. The pairing of the items enters through that rotation alone.

On paired items without such an alignment, the two distances ask whether the pairs are independent. Between the joint
distribution of (x, y) and the product of its margins, MMD² is `hsic` and the energy distance the distance covariance;
their normalised forms are `cka(kernel='rbf')` and `distance_correlation`.
"""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array, is_traced, take_rows
from .._core.linalg import number
from .._core.memory import require
from ..errors import InputError
from ._base import Metric
from ._engines.kernels.matrices import median_of_squares
from ._engines.spectra.axes import block
from ._engines.spectra.shapes import Shape, unit_shape
from .distance_correlation import euclidean_distances
from .shape import RIGID


def _distances(x: Shape, y: Shape) -> Array:
    """Distances (2 n, 2 n) of the items of x, turned by the best orthogonal map into the space of y, and those of y.

    Both clouds have a mean squared norm of one. Directions of the wider layer that the narrower has no room for are
    kept: distances are those of layers padded with zeros.
    """
    xp = array_namespace(x.unit)
    if x.unit.shape[1] < y.unit.shape[1]:
        n, swapped = x.unit.shape[0], _distances(y, x)
        order = np.r_[n : 2 * n, :n]
        return take_rows(take_rows(swapped, order).T, order).T
    u, _, vt = xp.linalg.svd(x.unit.T @ y.unit, full_matrices=False)
    along = x.unit @ u
    rest = x.unit - along @ u.T
    both = xp.concat([xp.concat([along @ vt, rest], axis=1), xp.concat([y.unit, xp.zeros_like(rest)], axis=1)])
    return euclidean_distances(both * float(x.unit.shape[0]) ** 0.5)


def _contrast(similarity: Array) -> Array:
    """Mean within x plus mean within y less twice the mean across, of a matrix (2 n, 2 n) over both clouds."""
    xp = array_namespace(similarity)
    n = similarity.shape[0] // 2
    within = xp.mean(similarity[:n, :n]) + xp.mean(similarity[n:, n:])
    return within - 2 * xp.mean(similarity[:n, n:])


def _root(squared: Array) -> Array:
    xp = array_namespace(squared)
    return xp.sqrt(xp.clip(squared, 0.0, None))


@dataclasses.dataclass(frozen=True)
class _TwoSample(Metric[Shape]):
    """What the two-sample distances share."""

    @property
    def distance(self) -> bool:
        return True

    @property
    def invariances(self) -> frozenset[str]:
        return RIGID | {"isotropic_scale"}

    @property
    def chance(self) -> str:
        return "above 0, and near it where both clouds are of like shape: the pairing enters by the rotation; sampled"

    def prepare(self, x: Array) -> Shape:
        n = x.shape[0]
        require(
            8 * 8 * 2 * n * n,  # the distances within and across both clouds, and what is made of them
            f"The distances within and between two layers of {n:,} items",
            "Use procrustes_distance, which needs no such matrix, or fewer items.",
        )
        return unit_shape(x)

    def compare(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].unit))

    def permute(self, state: Shape, order: np.ndarray[Any, Any]) -> Shape:
        return state.permuted(order)

    @abstractmethod
    def _pair(self, x: Shape, y: Shape) -> Array:
        """The score of two layers."""


@dataclasses.dataclass(frozen=True)
class EnergyDistance(_TwoSample):
    """Energy distance of two layers laid over each other: 0 if and only if their items are spread alike.

    Both are centred, scaled to a mean squared norm of one, padded to the same width, and x is turned onto y by the best
    orthogonal map (`procrustes`); which item is which does not count after that.

    Formula:
        √(2 E|a - b| - E|a - a'| - E|b - b'|), a and a' items of X Q, b and b' items of Y, means over all n² pairs,
        Q the orthogonal matrix of the largest ⟨X Q, Y⟩

    Cost:
        O(n d min(n, d)) a layer; a pair one SVD of a d1 x d2 matrix and 4 n² distances, O(n² d). No exact null, so a
        sampled permutation costs what a pair does.

    Misleads:
        It compares distributions, not items: two unrelated layers of round clouds are near each other, and a layer
        whose items are shuffled hardly further from itself. So it shows that two layers fill space differently, never
        that they agree on the items; read it beside `procrustes_distance`. Features should be comparable in kind.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise, "cubed": x**3}
        >>> {name: round(iso.metric("energy_distance")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 0.1, 'unrelated': 0.12, 'cubed': 0.28}
    """

    name: ClassVar[str] = "energy_distance"
    aliases: ClassVar[dict[str, str]] = {"energy": "energy_distance"}

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.inf

    @property
    def reference(self) -> str:
        return (
            "Székely and Rizzo (2013), the root of the V-statistic, in one dimension scipy.stats.energy_distance; the "
            "alignment that brings both layers into one space is ours."
        )

    def _pair(self, x: Shape, y: Shape) -> Array:
        return _root(_contrast(-_distances(x, y)))


@dataclasses.dataclass(frozen=True)
class MmdDistance(_TwoSample):
    """Maximum mean discrepancy of two layers laid over each other: how far apart the means of a Gaussian kernel are.

    Both are centred, scaled to a mean squared norm of one, padded to the same width, and x is turned onto y by the best
    orthogonal map (`procrustes`); which item is which does not count after that.

    Args:
        bandwidth: Width of the kernel over the median distance of all pairs of items, within and across the layers.

    Raises:
        InputError: if the bandwidth is not above 0 and finite.

    Formula:
        √(E k(a, a') + E k(b, b') - 2 E k(a, b)), k(a, b) = exp(-|a - b|² / (2 s²)), a and a' items of X Q, b and b' of
        Y, means over all n² pairs, Q the orthogonal matrix of the largest ⟨X Q, Y⟩, s = bandwidth · median distance

    Cost:
        As `energy_distance`, with a median of 2 n (2 n - 1) / 2 distances.

    Misleads:
        As `energy_distance` it compares distributions, not items: unrelated layers of like spread are near 0. The
        bandwidth decides what is seen: small ones the fine structure, large ones moments alone, which the scaling has
        made equal.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise, "cubed": x**3}
        >>> {name: round(iso.metric("mmd_distance")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 0.03, 'unrelated': 0.04, 'cubed': 0.15}
    """

    name: ClassVar[str] = "mmd_distance"
    aliases: ClassVar[dict[str, str]] = {"mmd": "mmd_distance"}
    shown: ClassVar[tuple[str, ...]] = ("bandwidth",)
    bandwidth: float = 1.0

    def __post_init__(self) -> None:
        if not (isinstance(self.bandwidth, (int, float)) and 0 < self.bandwidth < math.inf):
            raise InputError(
                f"mmd_distance: bandwidth={self.bandwidth!r} must be above 0 and finite: the width of the kernel over "
                "the median distance between items, such as 1."
            )

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.sqrt(2.0)

    @property
    def bound(self) -> str:
        return "clouds of the same centre and size overlap"

    @property
    def reference(self) -> str:
        return (
            "Gretton et al. (2012), the root of the V-statistic MMD_b; the alignment that brings both layers into one "
            "space is ours."
        )

    def _pair(self, x: Shape, y: Shape) -> Array:
        distances = _distances(x, y)
        squared = distances * distances
        middle = median_of_squares(squared, squared.shape[0], "pairs")
        if not is_traced(middle) and number(middle) <= 0.0:
            raise InputError(
                "mmd_distance is not defined here: at least half of all pairs of items are at the same place, so the "
                "median distance is zero. Remove duplicates, or use energy_distance."
            )
        return _root(_contrast(array_namespace(squared).expm1(squared / (-2 * self.bandwidth**2 * middle))))
