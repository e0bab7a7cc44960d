"""Shape metrics: what is left to differ after the best rotation of one layer onto the other.

The nuclear norm ``|X'Y|_*`` of two centred layers is the largest inner product that a rotation (reflections included)
can give them; everything here is made of it. Layers of unequal width are compared as if the narrower were padded with
zeros.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, to_numpy
from .._core.linalg import number
from ..errors import InputError
from ..nulls import Influence
from ._base import NOTHING_VARIES, Metric, choice
from ._engines.pairs import over_pairs, shares
from ._engines.spectra.axes import Axes, block, principal_axes, quick_axes
from ._engines.spectra.influence import rotation_influence
from ._engines.spectra.items import aligned, residuals
from ._engines.spectra.shapes import Shape, shape_angle, shape_cosine, shape_gap, unit_shape
from .canonical import SATURATED, refuse_saturation

_ITEMS_A_FEATURE = 3  # that intervals need
_SQUARED = (1e-140, 1e140)  # sizes whose squares are floats of full precision

RIGID = frozenset({"rotation", "reflection", "translation", "unit_permutation", "item_permutation"})


@dataclasses.dataclass(frozen=True)
class Procrustes(Metric[Shape]):
    """Procrustes similarity: the cosine of two layers after the best rotation.

    ``|X'Y|_* / (|X| |Y|)`` of the centred layers. It is the normalised Bures similarity (NBS) of their Gram matrices,
    rsatoolbox's ``bures``. `procrustes_distance` has the distances made of it.

    Formula:
        ‖Xc'Yc‖_* / (‖Xc‖ ‖Yc‖) = max over orthogonal Q of ⟨Xc Q, Yc⟩ / (‖Xc‖ ‖Yc‖), narrower layers padded with zeros

    Cost:
        O(n d min(n, d)) a layer; a pair O(n m²) and the singular values of an m x m matrix, m = min(n, d). No exact
        null, so a sampled permutation costs what a pair does.

    Misleads:
        Unrelated layers score high: 0.67 for independent Gaussian noise at n = 1024, d = 768, and 0.92 at n = 256. It
        never falls much below that, so raw values and their trends with width or n say little. Directions count by
        their standard deviation: less one-sided than CKA, still blind to small ones.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("procrustes")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.73, 'unrelated': 0.23}
    """

    name: ClassVar[str] = "procrustes"
    aliases: ClassVar[dict[str, str]] = {
        "nbs": "procrustes",
        "nbs-score": "procrustes",
        "bures": "procrustes",
        "procrustes-score": "procrustes",
    }

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return RIGID | {"isotropic_scale"}

    @property
    def chance(self) -> str:
        return "above 0 and growing with d / n: near 8 / (3π) √(d / n) for d features of noise a side, d well below n"

    @property
    def reference(self) -> str:
        return (
            "Schönemann (1966); as a similarity: normalised Bures similarity (Tang et al. 2020; Harvey et al. "
            "2024), rotations "
            "and reflections alike, zero-padded. anatome's procrustes is one minus this."
        )

    @property
    def differentiable(self) -> bool:
        return True

    def prepare(self, x: Array) -> Shape:
        return unit_shape(x)

    def compare(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> Array:
        return block(xs, ys, shape_cosine, array_namespace(xs[0].unit))

    def permute(self, state: Shape, order: np.ndarray[Any, Any]) -> Shape:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the inner product of the item's two rows after the best rotation, of layers of norm one"

    def contributions(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> np.ndarray[Any, Any]:
        return over_pairs(lambda x, y: x.unit.shape[0] * aligned(x.unit, y.unit), xs, ys)

    def influence(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> Influence | None:
        left, right = ([to_numpy(s.unit).astype(np.float64) for s in side] for side in (xs, ys))
        # near saturation the score bends too much: intervals hold the truth in 81 to 92 % of samples
        narrow = [np.array([_ITEMS_A_FEATURE * v.shape[1] <= v.shape[0] for v in side]) for side in (left, right)]
        known = np.logical_and.outer(*narrow)
        return rotation_influence(left, right, known) if known.any() else None


@dataclasses.dataclass(frozen=True)
class ProcrustesDistance(Metric[Shape]):
    """Procrustes distances: 0 for layers that a rotation makes equal; lower means more alike.

    Args:
        kind: ``"angular"``: the angle of `procrustes`, in [0, π/2], a metric on shapes.
            ``"size_and_shape"``: the Frobenius norm of what the best rotation leaves, sqrt(|X|² + |Y|² - 2 |X'Y|_*),
            the only one that sees scale; also the Bures distance of the Gram matrices.
            ``"ding"``: 2 - 2c, in [0, 2] (Ding et al. 2021). ``"ding_root"``: its root, ReSi's value.

    Formula:
        with c = ‖Xc'Yc‖_* / (‖Xc‖ ‖Yc‖), the score of procrustes:
        angular: arccos c; ding: 2 - 2c; ding_root: √(2 - 2c); size_and_shape: √(‖Xc‖² + ‖Yc‖² - 2 ‖Xc'Yc‖_*)

    Cost:
        As `procrustes`; where two layers are nearly equal the singular vectors of the pair too.

    Misleads:
        Unrelated layers are not at the far end of the range, and move nearer as d / n grows: an angle of 0.83 of at
        most 1.57 for independent noise at n = 1024, d = 768. size_and_shape compares sizes, which between different
        networks are units of measurement.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("procrustes_distance")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 0.75, 'unrelated': 1.34}
    """

    name: ClassVar[str] = "procrustes_distance"
    aliases: ClassVar[dict[str, str]] = {
        "angular_procrustes": "procrustes_distance(kind='angular')",
        "procrustes-distance=angular": "procrustes_distance(kind='angular')",
        "procrustes-distance=euclidean": "procrustes_distance(kind='size_and_shape')",
        "nbs-distance=angular": "procrustes_distance(kind='angular')",
        "nbs-distance=euclidean": "procrustes_distance(kind='size_and_shape')",
        "shape_metric-alpha=1.0-distance=euclidean": "procrustes_distance(kind='size_and_shape')",
        "orthogonal_angular_shape_metric_centered": "procrustes_distance(kind='angular')",
        "orthogonal_procrustes_centered_and_normalized": "procrustes_distance(kind='ding_root')",
        "bures_distance": "procrustes_distance(kind='size_and_shape')",
    }
    shown: ClassVar[tuple[str, ...]] = ("kind",)
    variants: ClassVar[tuple[str, ...]] = tuple(
        f"procrustes_distance(kind={kind!r})" for kind in ("angular", "size_and_shape", "ding", "ding_root")
    )
    kind: Literal["angular", "size_and_shape", "ding", "ding_root"] = "angular"

    def __post_init__(self) -> None:
        choice("procrustes_distance", "kind", self.kind, ("angular", "size_and_shape", "ding", "ding_root"))

    @property
    def range(self) -> tuple[float, float]:
        tops = {"angular": math.pi / 2, "size_and_shape": math.inf, "ding": 2.0, "ding_root": math.sqrt(2.0)}
        return 0.0, tops[self.kind]

    @property
    def distance(self) -> bool:
        return True

    @property
    def invariances(self) -> frozenset[str]:
        return RIGID if self.kind == "size_and_shape" else RIGID | {"isotropic_scale"}

    @property
    def chance(self) -> str:
        return "below the top of the range and falling with d / n, see procrustes"

    @property
    def reference(self) -> str:
        return (
            "Kendall (1984), Williams et al. (2021) ('angular', netrep with alpha=1); Ding et al. (2021) ('ding', "
            "which "
            "ReSi returns rooted)."
        )

    def prepare(self, x: Array) -> Shape:
        return unit_shape(x)

    def compare(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].unit))

    def permute(self, state: Shape, order: np.ndarray[Any, Any]) -> Shape:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the score times the item's share of the squared distances that the best rotation leaves"

    def contributions(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> np.ndarray[Any, Any]:
        return over_pairs(lambda x, y: _given(self._pair(x, y), x, y, sized=self.kind == "size_and_shape"), xs, ys)

    def _pair(self, x: Shape, y: Shape) -> Array:
        if self.kind == "angular":
            return shape_angle(x, y)
        xp = array_namespace(x.unit)
        gap = shape_gap(x, y)
        if self.kind == "ding":
            return 2 * gap
        if self.kind == "ding_root":
            return xp.sqrt(2 * gap)
        return shape_length(x, y)


def shape_length(x: Shape, y: Shape) -> Array:
    """The length that the best rotation leaves, in the units of the features."""
    xp = array_namespace(x.unit)
    gap, one, two = shape_gap(x, y), x.size, y.size
    largest = xp.maximum(one, two)
    if not _SQUARED[0] < number(largest) < _SQUARED[1]:
        return largest * xp.sqrt((one / largest - two / largest) ** 2 + 2 * gap * (one / largest) * (two / largest))
    return xp.sqrt((one - two) ** 2 + 2 * gap * one * two)


def _given(score: Array, x: Shape, y: Shape, *, sized: bool) -> np.ndarray[Any, Any]:
    """The items' parts of a distance: shares of the squared residuals, of layers in their sizes or of norm one."""
    largest = max(number(x.size), number(y.size)) if sized else 1.0
    sizes = [s.size / largest if sized else 1.0 for s in (x, y)]
    return shares(score, residuals(x.unit * sizes[0], y.unit * sizes[1]))


@dataclasses.dataclass(frozen=True)
class GeneralizedShape(Metric[Shape]):
    """Generalised shape distance: what is left after partly whitening both layers and rotating one onto the other.

    A layer ``U S V'`` (centred) becomes ``U (α S + (1 - α) c) V'``, where c is a common size, then the angular
    Procrustes distance is taken, or the Euclidean one. α = 1 is `procrustes_distance`, α = 0 lets any invertible linear
    map pass: the angle is arccos of the mean canonical correlation for equal ranks.

    Args:
        alpha: Share of the layer that stays as it is, in [0, 1].
        reference_scale: What c is. ``"rms"``: the root mean square of the layer's singular values, so that the distance
            does not depend on its scale. ``"unit"``: 1 in the units of the features, netrep's value, which for 0 < α <
            1 changes with the scale.
        kind: ``"angular"``: the angle, in [0, π/2]. ``"euclidean"``: the length, in the units of the features where
            `alpha` is above 0.

    Formula:
        angular: arccos(‖X̃'Ỹ‖_* / (‖X̃‖ ‖Ỹ‖)); euclidean: √(‖X̃‖² + ‖Ỹ‖² - 2 ‖X̃'Ỹ‖_*);
        X̃ = U_x diag(α s + (1 - α) c), U_x diag(s) V_x' the thin SVD of the centred layer

    Cost:
        One thin SVD a layer, O(n d min(n, d)); a pair O(n r1 r2) and the singular values of an r1 x r2 matrix. No exact
        null.

    Misleads:
        Small α lifts directions of noise to the weight of the main ones, and chance with it. The distance for one α
        says nothing of another: report α, or several. Unrelated layers are nearer than the top of the range, the more
        so the larger d / n.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("shape_distance")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 0.75, 'unrelated': 1.34}
    """

    name: ClassVar[str] = "shape_distance"
    aliases: ClassVar[dict[str, str]] = {
        "shape_metric": "shape_distance",
        "shape": "shape_distance",
        "shape_metric-alpha=0.0-distance=angular": "shape_distance(alpha=0.0)",
        "shape_metric-alpha=0.5-distance=angular": "shape_distance(alpha=0.5, reference_scale='unit')",
        "shape_metric-alpha=1.0-distance=angular": "shape_distance(alpha=1.0)",
        **{
            f"shape_metric-alpha={alpha}-distance=euclidean": (
                f"shape_distance(alpha={alpha}, reference_scale='unit', kind='euclidean')"
            )
            for alpha in (0.0, 0.5)
        },
    }
    shown: ClassVar[tuple[str, ...]] = ("alpha",)
    variants: ClassVar[tuple[str, ...]] = (
        "shape_distance(alpha=0.0)",
        "shape_distance(alpha=0.5)",
        "shape_distance(alpha=0.5, reference_scale='unit')",
        "shape_distance(alpha=1.0)",
        "shape_distance(alpha=0.5, kind='euclidean')",
        "shape_distance(alpha=0.0, reference_scale='unit', kind='euclidean')",
    )
    alpha: float = 0.5
    reference_scale: Literal["rms", "unit"] = "rms"
    kind: Literal["angular", "euclidean"] = "angular"

    def __post_init__(self) -> None:
        if not (isinstance(self.alpha, (int, float)) and 0 <= self.alpha <= 1):
            raise InputError(f"shape_distance: alpha={self.alpha!r} must be between 0 (whitened) and 1 (as it is).")
        choice("shape_distance", "reference_scale", self.reference_scale, ("rms", "unit"))
        choice("shape_distance", "kind", self.kind, ("angular", "euclidean"))

    @property
    def distance(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.pi / 2 if self.kind == "angular" else math.inf

    @property
    def invariances(self) -> frozenset[str]:
        if self.alpha == 0 and (self.kind == "angular" or self.reference_scale == "unit"):
            return RIGID | {"isotropic_scale", "invertible_linear"}
        scaled = self.kind == "euclidean" or (self.reference_scale == "unit" and self.alpha < 1)
        return RIGID if scaled else RIGID | {"isotropic_scale"}

    @property
    def refuses(self) -> Mapping[str, str]:
        return SATURATED if self.alpha == 0 else NOTHING_VARIES

    @property
    def chance(self) -> str:
        return "below π/2 and falling with d / n" if self.kind == "angular" else "depends on both sizes; sampled"

    @property
    def reference(self) -> str:
        return (
            "Williams et al. (2021), 'Generalized shape metrics on neural representations'. netrep's "
            "LinearMetric "
            "also raises eigenvalues below 1e-7, which we cut at the numerical rank instead."
        )

    def prepare(self, x: Array) -> Shape:
        if self.alpha == 1:
            return unit_shape(x)
        if self.alpha == 0:
            axes = refuse_saturation(principal_axes(x), x.shape[1], "shape_distance(alpha=0)")
        else:
            axes = quick_axes(x)
        xp = array_namespace(axes.s)
        common = 1.0 / axes.scale if self.reference_scale == "unit" else xp.sqrt(xp.mean(axes.s * axes.s))
        s = self.alpha * axes.s + (1 - self.alpha) * common
        unit = common if number(xp.max(s)) > _SQUARED[1] else 1.0  # nothing else counts in it
        s = s / unit
        size = xp.sqrt(xp.sum(s * s))
        return Shape(axes.u * (s / size)[None, :], size * (unit * axes.scale), axes.eps)

    def compare(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].unit))

    @property
    def _pair(self) -> Callable[[Shape, Shape], Array]:
        return shape_angle if self.kind == "angular" else shape_length

    def permute(self, state: Shape, order: np.ndarray[Any, Any]) -> Shape:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the score times the item's share of the squared distances that the best rotation leaves"

    def contributions(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> np.ndarray[Any, Any]:
        return over_pairs(lambda x, y: _given(self._pair(x, y), x, y, sized=self.kind == "euclidean"), xs, ys)


@dataclasses.dataclass(frozen=True)
class Riemannian(Metric[Axes]):
    """Affine-invariant Riemannian distance of the items' second moments.

    ``sqrt(Σ log² λ_i)`` over the generalised eigenvalues of ``M_x`` and ``M_y``, the n x n Gram matrices of the centred
    layers scaled to a mean diagonal of one and shrunk: ``M = (1 - γ) K n / tr K + γ I``. Without shrinkage a centred
    Gram is singular and the distance infinite, so γ is part of the metric and there is no default that is right for
    all data.

    Args:
        shrinkage: γ, above 0 and below 1.

    Formula:
        √(Σ_i log² λ_i), λ_i the generalised eigenvalues of M_x and M_y, M = (1 - γ) n K / tr K + γ I, K = Xc Xc'

    Cost:
        One thin SVD a layer, O(n d min(n, d)); a pair O(n (r1 + r2)²) and the eigenvalues of a matrix of order min(r1 +
        r2, n). No exact null.

    Misleads:
        γ decides: small γ lets directions that hold hardly any variance dominate through their logarithms. The distance
        grows with n and with the ranks, so only pairs of like n, width and γ compare. There is no largest value to read
        it against, only its null.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("riemannian_distance")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 15.73, 'unrelated': 18.5}
    """

    name: ClassVar[str] = "riemannian_distance"
    aliases: ClassVar[dict[str, str]] = {"riemannian": "riemannian_distance", "airm": "riemannian_distance"}
    shown: ClassVar[tuple[str, ...]] = ("shrinkage",)
    shrinkage: float = 0.1

    def __post_init__(self) -> None:
        if not (isinstance(self.shrinkage, (int, float)) and 0 < self.shrinkage < 1):
            raise InputError(
                f"riemannian_distance: shrinkage={self.shrinkage!r} must be above 0 and below 1: at 0 the Gram "
                f"matrices of "
                "centred layers are singular, at 1 nothing of them is left."
            )

    @property
    def copies(self) -> int:
        return 13

    @property
    def distance(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.inf

    @property
    def invariances(self) -> frozenset[str]:
        return RIGID | {"isotropic_scale"}

    @property
    def chance(self) -> str:
        return "depends on both spectra; sampled"

    @property
    def reference(self) -> str:
        return (
            "Shahbazi et al. (2021), 'Using distance on the Riemannian manifold to compare representations in brain "
            "and in "
            "models'; on n x n second moments, with the shrinkage declared. pyriemann.distance_riemann of the "
            "shrunk matrices."
        )

    def prepare(self, x: Array) -> Axes:
        return principal_axes(x)

    def compare(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].u))

    def permute(self, state: Axes, order: np.ndarray[Any, Any]) -> Axes:
        return state.permuted(order)

    def _pair(self, x: Axes, y: Axes) -> Array:
        """Both moments are γ I outside the span of both layers' axes, so only that span is decomposed."""
        xp = array_namespace(x.u)
        ex, ey = self._excess(x), self._excess(y)
        if x.rank + y.rank < x.n:
            q = xp.linalg.qr(xp.concat([x.u, y.u], axis=1))[0]
            ux, uy = q.T @ x.u, q.T @ y.u
        else:
            ux, uy = x.u, y.u
        # M_x^-½ = (I + U diag((1 + e)^-½ - 1) U') / √γ, and likewise M_y = γ (I + U diag(e) U')
        shrink = 1 / xp.sqrt(1 + ex) - 1
        left = xp.eye(ux.shape[0], dtype=ux.dtype, device=device(ux)) + (ux * shrink[None, :]) @ ux.T
        tail = left @ uy
        ratio = left @ left + (tail * ey[None, :]) @ tail.T
        logs = xp.log(xp.linalg.eigvalsh((ratio + ratio.T) / 2))
        return xp.sqrt(xp.sum(logs * logs))

    def _excess(self, axes: Axes) -> Array:
        """Eigenvalues of the scaled Gram over γ / (1 - γ)."""
        xp = array_namespace(axes.s)
        energy = axes.s * axes.s
        return energy * axes.n / xp.sum(energy) * ((1 - self.shrinkage) / self.shrinkage)
