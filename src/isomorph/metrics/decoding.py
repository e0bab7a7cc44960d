"""Canonical metrics with smooth weights: regularised CCA, the decoding family and GULP.

Each axis of a centred layer counts by ``g = e / (e + λ)``, where e is its share of the layer's total variance and λ the
regularisation in the same unit. So λ means the same for every layer, width and scale: axes that hold much more than λ
of the variance count fully, those that hold much less hardly count.

This joins the families: at λ = 0 all axes count alike (CCA), for λ far above 1 they count by their variance (CKA for
`decoding`, Procrustes for `rcca` with the cosine).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array, to_numpy
from .._core.linalg import number
from ..errors import InputError
from ..nulls import Null
from ._base import NOTHING_VARIES, Metric, choice
from ._engines.pairs import over_pairs, shares
from ._engines.spectra.axes import Axes, block, nuclear_norm, principal_axes
from ._engines.spectra.items import aligned, projected, projection_differences
from ._engines.spectra.projections import inner, projection, projection_null, projection_permuted
from .canonical import ALWAYS, SATURATED, refuse_saturation


def gains(axes: Axes, regularization: float) -> Array:
    """``e / (e + λ)`` of every axis, e its share of the variance."""
    xp = array_namespace(axes.s)
    energy = axes.s * axes.s
    share = energy / xp.sum(energy)
    return share / (share + regularization)


def _prepare(x: Array, name: str, regularization: float) -> Axes:
    axes = principal_axes(x)
    return axes if regularization > 0 else refuse_saturation(axes, x.shape[1], name)


def _check(name: str, regularization: float) -> None:
    if not (isinstance(regularization, (int, float)) and 0 <= regularization < math.inf):
        raise InputError(
            f"{name}: regularization={regularization!r} must be a finite share of the total variance, 0 or more."
        )


@dataclasses.dataclass(frozen=True)
class RCCA(Metric[Axes]):
    """Regularised (ridge) CCA: canonical correlations in which directions of little variance count less.

    The ρ_i are the singular values of ``(C_xx + λ v_x I)^-½ C_xy (C_yy + λ v_y I)^-½`` with v the total variance of a
    side.

    Args:
        regularization: λ, as a share of a layer's total variance; 0 is CCA.
        summary: ``"mean"`` of the ρ_i over min(r1, r2), which is below 1 even for a layer with itself;
            ``"cosine"``, Σρ_i over the root of what the two sides would score with themselves, which is 1 there, joins
            CCA (λ = 0, equal ranks) to `procrustes` (λ large), and is the shape metric of the ridge-whitened layers.

    Formula:
        mean: Σ_i ρ_i / min(r1, r2), ρ_i the singular values of diag(√g_x) U_x'U_y diag(√g_y), g = e / (e + λ)
        cosine: Σ_i ρ_i / √(Σ g_x · Σ g_y)

    Cost:
        One thin SVD a layer, O(n d min(n, d)); a pair O(n r1 r2) and the singular values of an r1 x r2 matrix; no exact
        null, so a sampled permutation costs what a pair does.

    Misleads:
        λ decides what is compared and there is no value that is right for all data: report a range. 'mean' divides by a
        number of axes most of which hardly count, so it is small for wide layers even of themselves, and two pairs of
        different widths cannot be compared by it; use 'cosine' there.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("rcca")(x, y), 2) for name, y in others.items()}
        {'another basis': 0.8, 'noisy': 0.45, 'unrelated': 0.21}
    """

    name: ClassVar[str] = "rcca"
    aliases: ClassVar[dict[str, str]] = {"regularized_cca": "rcca", "ridge_cca": "rcca"}
    shown: ClassVar[tuple[str, ...]] = ("regularization",)
    variants: ClassVar[tuple[str, ...]] = ("rcca", "rcca(summary='cosine')", "rcca(regularization=0)")
    regularization: float = 0.01
    summary: Literal["mean", "cosine"] = "mean"

    def __post_init__(self) -> None:
        _check("rcca", self.regularization)
        choice("rcca", "summary", self.summary, ("mean", "cosine"))

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def identity(self) -> float | None:
        return 1.0 if self.summary == "cosine" or self.regularization == 0 else None

    @property
    def invariances(self) -> frozenset[str]:
        return ALWAYS | {"invertible_linear"} if self.regularization == 0 else ALWAYS

    @property
    def refuses(self) -> Mapping[str, str]:
        return SATURATED if self.regularization == 0 else NOTHING_VARIES

    @property
    def chance(self) -> str:
        return "above 0: at most that of cca, falling as the regularisation grows; sampled"

    @property
    def reference(self) -> str:
        return (
            "Vinod (1976); Kornblith et al. (2019), appendix on canonical ridge regression. The ridge is a share of "
            "the "
            "total variance, not an absolute number, so that it does not depend on the units of the features."
        )

    def prepare(self, x: Array) -> Axes:
        return _prepare(x, "rcca", self.regularization)

    def compare(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].u))

    def permute(self, state: Axes, order: np.ndarray[Any, Any]) -> Axes:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the products of the item's regularised variates in x and y, summed, over what the score is over"

    def contributions(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> np.ndarray[Any, Any]:
        return over_pairs(self._given, xs, ys)

    def _given(self, x: Axes, y: Axes) -> np.ndarray[Any, Any]:
        gx, gy = (gains(axes, self.regularization) for axes in (x, y))
        rows = aligned(x.u * (gx**0.5)[None, :], y.u * (gy**0.5)[None, :])
        cosine = self.summary == "cosine"
        over = math.sqrt(float(to_numpy(gx).sum() * to_numpy(gy).sum())) if cosine else min(x.rank, y.rank)
        return np.asarray(x.n * rows / over)

    def _pair(self, x: Axes, y: Axes) -> Array:
        xp = array_namespace(x.u)
        gx, gy = gains(x, self.regularization), gains(y, self.regularization)
        m = (x.u * xp.sqrt(gx)[None, :]).T @ (y.u * xp.sqrt(gy)[None, :])
        total = nuclear_norm(m, max(x.eps, y.eps))
        if self.summary == "cosine":
            return xp.clip(total / xp.sqrt(xp.sum(gx) * xp.sum(gy)), 0.0, 1.0)
        return xp.clip(total / min(m.shape), 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Decoding(Metric[Axes]):
    """Average agreement of the best linear readouts of two layers over random targets.

    ``<G_x, G_y> / (|G_x| |G_y|)`` with ``G = X (X'X + λ v I)^-1 X'`` the ridge smoother of a centred layer of total
    variance v: the expected inner product of the two layers' ridge predictions of a target drawn at random, normalised.
    λ = 0 gives Σρ² / √(r1 r2) (mean squared CCA for equal ranks), λ far above 1 gives biased linear CKA.

    Args:
        regularization: λ, as a share of a layer's total variance.

    Formula:
        ⟨G_x, G_y⟩ / (‖G_x‖ ‖G_y‖), G = X (X'X + λ v I)⁻¹ X' = U diag(e / (e + λ)) U'

    Cost:
        One thin SVD a layer, O(n d min(n, d)); a pair O(n r1 r2); the exact null one n x n x n product a layer, a
        sampled permutation O(n²) a pair.

    Misleads:
        For small λ it is CCA and for large λ biased CKA, with the faults of each: at n = 1024, d = 768 independent
        noise scores 0.47 at the default λ. The targets it averages over are random, not the ones anybody wants to
        decode: a layer may lose a rare but needed distinction without the score moving.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("decoding")(x, y), 2) for name, y in others.items()}
        {'another basis': 0.94, 'noisy': 0.32, 'unrelated': 0.07}
    """

    name: ClassVar[str] = "decoding"
    aliases: ClassVar[dict[str, str]] = {"linear_decoding_similarity": "decoding"}
    shown: ClassVar[tuple[str, ...]] = ("regularization",)
    variants: ClassVar[tuple[str, ...]] = ("decoding", "decoding(regularization=0)", "decoding(regularization=100.0)")
    regularization: float = 0.01

    def __post_init__(self) -> None:
        _check("decoding", self.regularization)

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return ALWAYS | {"invertible_linear"} if self.regularization == 0 else ALWAYS

    @property
    def refuses(self) -> Mapping[str, str]:
        return SATURATED if self.regularization == 0 else NOTHING_VARIES

    @property
    def chance(self) -> str:
        return "tr G_x tr G_y / ((n - 1) |G_x| |G_y|): exact"

    @property
    def reference(self) -> str:
        return (
            "Harvey, Lipshutz and Williams (2024), 'What representational similarity measures imply about decodable "
            "information', the family of normalised readout similarities; the ridge is a share of the total variance."
        )

    def prepare(self, x: Array) -> Axes:
        return _prepare(x, "decoding", self.regularization)

    def compare(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].u))

    def permute(self, state: Axes, order: np.ndarray[Any, Any]) -> Axes:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the sum of the item's row of the product of the two smoothers, over |G_x| |G_y|"

    def contributions(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> np.ndarray[Any, Any]:
        def pair(x: Axes, y: Axes) -> Any:
            return x.n * projected(x, y, self._weights(x), self._weights(y)) / self._norm(x, y)

        return over_pairs(pair, xs, ys)

    def null_moments(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Null:
        return projection_null(xs, ys, self._weights, self._norm)

    def compare_permuted(
        self, xs: Sequence[Axes], ys: Sequence[Axes], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        shared = projection_permuted(xs, ys, orders, self._weights, self._norm)
        return super().compare_permuted(xs, ys, orders) if shared is None else shared

    def _weights(self, axes: Axes) -> Array:
        return gains(axes, self.regularization)

    def _norm(self, x: Axes, y: Axes) -> float:
        return math.sqrt(float(np.sum(to_numpy(self._weights(x)) ** 2) * np.sum(to_numpy(self._weights(y)) ** 2)))

    def _pair(self, x: Axes, y: Axes) -> Array:
        xp = array_namespace(x.u)
        wx, wy = self._weights(x), self._weights(y)
        norm = xp.sqrt(xp.sum(wx**2) * xp.sum(wy**2))  # `_norm`, but as an array: a gradient must pass through it too
        return xp.clip(inner(x, y, wx, wy) / norm, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class GULP(Metric[Axes]):
    """GULP distance: how differently two layers predict, at worst on average over all targets of unit norm.

    ``|G_x - G_y|_F`` with G the ridge smoothers of `decoding`; 0 for equal layers, below √(r1 + r2). Lower is more
    alike.

    Args:
        regularization: λ, as a share of a layer's total variance, which is the original's λ for layers normalised as
        there.
        squared: Whether the square is returned, as ReSi does.

    Formula:
        ‖G_x - G_y‖ = √(‖G_x‖² + ‖G_y‖² - 2 ⟨G_x, G_y⟩), G the ridge smoothers of decoding

    Cost:
        One thin SVD a layer, O(n d min(n, d)); a pair O(n r1 r2), and O(n² r) where the two are nearly equal; no exact
        null for the distance, so a sampled permutation costs what a pair does.

    Misleads:
        It grows with how many directions count: two wide unrelated layers are further apart than two narrow ones, and a
        layer of low effective rank is near to everything of low rank. Only pairs with like spectra can be compared;
        `decoding` is the same comparison normalised.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("gulp_distance")(x, y), 2) for name, y in others.items()}
        {'another basis': 0.91, 'noisy': 3.02, 'unrelated': 3.55}
    """

    name: ClassVar[str] = "gulp_distance"
    aliases: ClassVar[dict[str, str]] = {"gulp": "gulp_distance"}
    shown: ClassVar[tuple[str, ...]] = ("regularization",)
    variants: ClassVar[tuple[str, ...]] = ("gulp_distance", "gulp_distance(regularization=0, squared=True)")
    regularization: float = 0.01
    squared: bool = False

    def __post_init__(self) -> None:
        _check("gulp_distance", self.regularization)

    @property
    def distance(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.inf

    @property
    def invariances(self) -> frozenset[str]:
        return ALWAYS | {"invertible_linear"} if self.regularization == 0 else ALWAYS

    @property
    def refuses(self) -> Mapping[str, str]:
        return SATURATED if self.regularization == 0 else NOTHING_VARIES

    @property
    def chance(self) -> str:
        return "the mean of its square is |G_x|² + |G_y|² - 2 tr G_x tr G_y / (n - 1); sampled"

    @property
    def reference(self) -> str:
        return (
            "Boix-Adserà et al. (2022), 'GULP: a prediction-based metric between representations', on "
            "centred "
            "layers of total variance one. ReSi returns the square, at λ = 0."
        )

    def prepare(self, x: Array) -> Axes:
        return _prepare(x, "gulp_distance", self.regularization)

    def compare(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].u))

    def permute(self, state: Axes, order: np.ndarray[Any, Any]) -> Axes:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the squared norm of the item's row of G_x - G_y" + ("" if self.squared else ", over the score")

    def contributions(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> np.ndarray[Any, Any]:
        def pair(x: Axes, y: Axes) -> Any:
            gx, gy = (gains(axes, self.regularization) for axes in (x, y))
            return shares(self._pair(x, y), projection_differences(x, y, gx, gy))

        return over_pairs(pair, xs, ys)

    def _pair(self, x: Axes, y: Axes) -> Array:
        xp = array_namespace(x.u)
        gx, gy = gains(x, self.regularization), gains(y, self.regularization)
        sizes = xp.sum(gx * gx) + xp.sum(gy * gy)
        square = sizes - 2 * inner(x, y, gx, gy)
        if number(square) < 1e-6 * number(sizes):  # the difference itself, before rounding swamps it
            difference = projection(x, gx) - projection(y, gy)
            square = xp.sum(difference * difference)
        return square if self.squared else xp.sqrt(square)
