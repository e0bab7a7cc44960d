"""Stochastic shape distances: layers that answer a condition differently each time are compared with their noise.

Items are repeats of conditions: trials, augmentations, dropout samples. Each condition is a Gaussian, the mean and the
covariance of its repeats, and one rotation of all conditions is to bring the Gaussians of x onto those of y.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, as_pair, take_rows, to_numpy
from ..errors import InputError
from ._base import Metric, choice
from ._engines.spectra.axes import compressed, wide_centered
from .shape import RIGID

Floats = np.ndarray[Any, np.dtype[np.float64]]
Groups = Sequence[np.ndarray[Any, np.dtype[np.int64]]]

KINDS = ("angular", "euclidean")
_ROUNDS = 1000
_STILL = 1e-11  # by which a round must still improve the fit, over the norms of both layers
_ONE = 1e-14  # below one that the cosine of layers that are equal up to rounding may lie


class Conditions(NamedTuple):
    """A layer as conditions, in units of `scale`.

    Attributes:
        features: As they came (n, d).
        means: (m, p), centred over conditions.
        spreads: (m, r, p): the repeats of a condition less their mean, over the root of their number, so that the
            product of a condition's rows with themselves is its covariance. Fewer repeats than r are filled with zeros.
        scale: The largest absolute entry of the centred features.
        size: The norm of the layer: the root of what a condition holds on average, means and covariances weighted.
    """

    features: Array
    means: Floats
    spreads: Floats
    scale: float
    size: float


def _prepared(x: Array, groups: Groups, alpha: float, name: str) -> Conditions:
    """The layer as conditions.

    Raises:
        InputError: if nothing varies in what the weights look at.
    """
    c, scale = wide_centered(x)
    rows = np.asarray(to_numpy(compressed(c)), dtype=np.float64)
    means = np.stack([rows[g].mean(axis=0) for g in groups])
    means = means - means.mean(axis=0)  # conditions count alike, however many repeats they have
    spreads = np.zeros((len(groups), max(map(len, groups)), rows.shape[1]))
    for at, g in enumerate(groups):
        spreads[at, : len(g)] = (rows[g] - rows[g].mean(axis=0)) / len(g) ** 0.5
    size = math.sqrt((alpha * np.sum(means**2) + (2 - alpha) * np.sum(spreads**2)) / len(groups))
    if size <= 1e-12:  # of a largest entry of one
        what = "the means of its conditions do not vary" if alpha == 2 else "no condition varies over its repeats"
        raise InputError(f"{name} is not defined here: a layer is constant in what alpha={alpha:g} looks at: {what}.")
    return Conditions(x, means, spreads, scale, size)


def _rotation(m: Floats) -> Floats:
    """The orthogonal matrix nearest to one, or to each of several."""
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    u = u * (s > 1e-13 * s[..., :1])[..., None, :]  # what is fitted to nothing is arbitrary
    return np.asarray(u @ vt)


def _overlap(x: Conditions, y: Conditions, alpha: float) -> float:
    """The largest inner product of two layers that one rotation of all conditions gives, over the number of them.

    Each round turns the repeats of every condition onto each other for the rotation at hand, then finds the rotation
    that is best for these: neither step can lower the product. From repeats as they are paired, so the same layers
    give the same fit whatever their features are turned by.
    """
    means, turned = x.means.T @ y.means, x.spreads
    limit, before = x.size * y.size, -math.inf
    for _ in range(_ROUNDS):
        across = alpha * means + (2 - alpha) * np.einsum("mrp,mrq->pq", turned, y.spreads)
        q = _rotation(across)
        inner = x.spreads @ q @ y.spreads.transpose(0, 2, 1)
        u, s, vt = np.linalg.svd(inner)
        value = (alpha * float(np.sum(means * q)) + (2 - alpha) * float(s.sum())) / len(x.means)
        if value - before <= _STILL * limit:
            break
        before = value
        # the turn of the repeats of x that fits those of y best: (u vt)' on the left
        turned = (u @ vt).transpose(0, 2, 1) @ x.spreads
    return value


def _distance(x: Conditions, y: Conditions, alpha: float, kind: str) -> float:
    gap = max(0.0, 1.0 - _overlap(x, y, alpha) / (x.size * y.size))
    gap = gap if gap > _ONE else 0.0
    if kind == "angular":
        return 2 * math.asin(math.sqrt(min(gap / 2, 1.0)))
    unit = max(x.scale, y.scale)
    one, two = x.size * (x.scale / unit), y.size * (y.scale / unit)
    return math.sqrt((one - two) ** 2 + 2 * gap * one * two) * unit


def _check(name: str, alpha: object, kind: object) -> None:
    choice(name, "kind", kind, KINDS)
    if not (isinstance(alpha, (int, float)) and 0 <= alpha <= 2):
        raise InputError(
            f"{name}: alpha={alpha!r} must be between 0 (covariances alone) and 2 (means alone); 1 weighs both as the "
            "Wasserstein distance does."
        )


@dataclasses.dataclass(frozen=True)
class StochasticShape(Metric[Conditions]):
    """Stochastic shape distance: how far two layers' responses to each condition, means and noise, are from each other.

    Items are the repeats of conditions, in order: the first `repeats` items are the first condition, and so on. Each
    condition is the Gaussian of its repeats' mean and covariance; one rotation of all brings those of x onto those of
    y, and what is left is averaged over conditions. For conditions of unequal numbers of repeats, or in another order,
    use `stochastic_shape`, which takes a label for each item.

    Args:
        repeats: How many items in a row are repeats of one condition, at least 2.
        alpha: Weight of the means, in [0, 2], beside 2 - alpha for the covariances: 1 is the 2-Wasserstein distance of
            Gaussians, 2 the means alone (`procrustes_distance` of the conditions), 0 the covariances alone.
        kind: ``"angular"``: the angle of the two layers after the best rotation, which no scale changes.
            ``"euclidean"``: the length, in the units of the features: the authors' distance.

    Raises:
        InputError: if an argument does not fit, or the items are not whole conditions.

    Formula:
        euclidean: min over orthogonal Q of √(1/m Σ_c α |Q'μ_c - ν_c|² + (2 - α) B²(Q'Σ_c Q, T_c)),
        B²(Σ, T) = tr Σ + tr T - 2 tr (Σ^½ T Σ^½)^½, means μ and ν, covariances Σ and T of m conditions
        angular: arccos of the inner product that is subtracted there, over the norms of both layers

    Cost:
        O(n d min(n, d)) a layer; a pair some tens of rounds, each an SVD of a p x p matrix and m of r x r for r
        repeats, p = min(n, d), on the host. No exact null, so a sampled permutation costs what a pair does.

    Misleads:
        The rotation is found step by step from the repeats as they are paired, and may not be the best one. Covariances
        of few repeats are mostly chance and alike in that: unrelated layers are nearer than the top of the range.
        Permuting single items breaks the conditions up, so that null says "no conditions"; for "the same conditions
        mean something else" permute whole conditions (`groups` of scan).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> means, noise = np.repeat(rng.normal(size=(20, 4)), 5, axis=0), rng.normal(size=(2, 100, 4))
        >>> narrow, wide = means + 0.3 * noise[0], means + noise[1]
        >>> others = {"rotated": narrow[:, ::-1], "noisier": wide, "other means": wide[::-1]}
        >>> for alpha in (2, 1, 0):
        ...     m = iso.metric(f"stochastic_shape_distance(repeats=5, alpha={alpha})")
        ...     print(alpha, {name: round(m(narrow, y), 2) for name, y in others.items()})
        2 {'rotated': 0.0, 'noisier': 0.41, 'other means': 1.07}
        1 {'rotated': 0.0, 'noisier': 0.64, 'other means': 1.06}
        0 {'rotated': 0.0, 'noisier': 0.66, 'other means': 0.68}
    """

    name: ClassVar[str] = "stochastic_shape_distance"
    aliases: ClassVar[dict[str, str]] = {"stochastic_shape": "stochastic_shape_distance"}
    shown: ClassVar[tuple[str, ...]] = ("repeats", "alpha")
    variants: ClassVar[tuple[str, ...]] = (
        "stochastic_shape_distance",
        "stochastic_shape_distance(alpha=0.5, kind='euclidean')",
    )
    repeats: int = 2
    alpha: float = 1.0
    kind: Literal["angular", "euclidean"] = "angular"

    def __post_init__(self) -> None:
        _check("stochastic_shape_distance", self.alpha, self.kind)
        if not isinstance(self.repeats, int) or isinstance(self.repeats, bool) or self.repeats < 2:
            raise InputError(
                f"stochastic_shape_distance: repeats={self.repeats!r} must be a whole number, at least 2: a condition "
                "that is seen once has no covariance. Use procrustes_distance for such items."
            )

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.pi / 2 if self.kind == "angular" else math.inf

    @property
    def distance(self) -> bool:
        return True

    @property
    def invariances(self) -> frozenset[str]:
        held = RIGID - {"item_permutation"}
        return held if self.kind == "euclidean" else held | {"isotropic_scale"}

    @property
    def min_items(self) -> int:
        return 3 * self.repeats

    @property
    def chance(self) -> str:
        return "below the top of the range and falling with d / n, as covariances of few repeats are alike; sampled"

    @property
    def reference(self) -> str:
        return (
            "Duong, Zhou, Nassar, Berman, Olieslagers and Williams (2023), 'Representational dissimilarity metric "
            "spaces for stochastic neural networks', the Gaussian case; netrep's GaussianStochasticMetric at alpha=1, "
            "which starts from the rotation of the means. The angle is ours, as for deterministic shapes."
        )

    def prepare(self, x: Array) -> Conditions:
        n, repeats = int(x.shape[0]), self.repeats
        if n % repeats:
            raise InputError(
                f"stochastic_shape_distance: {n} items are not whole conditions of {repeats} repeats each. Leave out "
                f"{n % repeats}, give another repeats, or use stochastic_shape(x, y, groups=…) for unequal numbers."
            )
        return _prepared(x, np.split(np.arange(n), n // repeats), self.alpha, self.name)

    def compare(self, xs: Sequence[Conditions], ys: Sequence[Conditions]) -> Array:
        scores = np.array([[_distance(x, y, self.alpha, self.kind) for y in ys] for x in xs])
        return array_namespace(xs[0].features).asarray(scores, device=device(xs[0].features))

    def permute(self, state: Conditions, order: np.ndarray[Any, Any]) -> Conditions:
        return self.prepare(take_rows(state.features, order))


def stochastic_shape(
    x: Any, y: Any, *, groups: Any, alpha: float = 1.0, kind: Literal["angular", "euclidean"] = "angular"
) -> float:
    """Stochastic shape distance of two layers of which each item is a repeat of a condition that is named.

    Args:
        x: Features (n_items, d1).
        y: Features (n_items, d2) of the same items.
        groups: The condition of every item, one label each; at least 2 items a condition, in any order.
        alpha: As for `StochasticShape`.
        kind: As for `StochasticShape`.

    Returns:
        The distance: in [0, π/2] if angular, else in the units of the features; 0 for layers that a rotation makes
        equal. Chance is below the top of the range.

    Raises:
        InputError: if the inputs do not fit, there are fewer than 3 conditions, or one has a single item.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> conditions = rng.permutation(np.repeat(np.arange(20), 5))
        >>> x = rng.normal(size=(20, 4))[conditions] + 0.3 * rng.normal(size=(100, 4))
        >>> round(stochastic_shape(x, 2 * x[:, ::-1], groups=conditions), 6)
        0.0
    """
    _check("stochastic_shape", alpha, kind)
    x, y = as_pair(x, y, min_items=6)
    labels = np.asarray(groups)
    if labels.shape != (x.shape[0],):
        raise InputError(f"groups must be one label for each of the {x.shape[0]} items, found shape {labels.shape}.")
    names, of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(names) < 3 or counts.min() < 2:
        raise InputError(
            f"groups must name at least 3 conditions of at least 2 items each, found {len(names)} conditions, the "
            f"smallest, {names[counts.argmin()]!r}, of {counts.min()}. Leave out conditions that were seen once."
        )
    rows = [np.flatnonzero(of == c) for c in range(len(names))]
    left, right = (_prepared(a, rows, alpha, "stochastic_shape") for a in (x, y))
    return _distance(left, right, alpha, kind)
