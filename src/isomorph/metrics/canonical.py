"""Canonical correlations and their kin: what is alike up to any invertible linear map, and the roads from there.

With ``X = U S V'`` the thin SVD of a centred layer, every metric here is a function of the products ``U_x' U_y``, with
weights on the axes that differ from metric to metric: none (CCA), the leading ones only (SVCCA), or smooth ones
(regularised CCA, decoding, GULP).

Unrelated layers do not score zero: of two random subspaces of ranks r1 and r2 among n items the mean squared canonical
correlation is exactly max(r1, r2) / (n - 1). With r1 + r2 > n - 1 at least r1 + r2 - (n - 1) correlations are one by
counting dimensions, and with either rank at n - 1 all are; that last case is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array
from .._core.linalg import number
from ..errors import InputError
from ..nulls import Null
from ..nulls.null import LATE_TAIL_FROM
from ._base import NOTHING_VARIES, Metric, choice
from ._engines.pairs import over_pairs
from ._engines.spectra.axes import Axes, block, nuclear_norm, principal_axes
from ._engines.spectra.items import aligned, projected
from ._engines.spectra.projections import projection_null, projection_permuted

ALWAYS = frozenset({"rotation", "reflection", "isotropic_scale", "translation", "unit_permutation", "item_permutation"})

FULL_RANK = dict.fromkeys(
    ("as many features as items", "more features than items", "equidistant items"),
    "a layer of the rank of the items reproduces every other",
)
SATURATED = {**NOTHING_VARIES, **FULL_RANK, "fewest items": "three items of two features have full rank"}


def canonical_correlations(x: Axes, y: Axes) -> Array:
    """All min(r1, r2) canonical correlations, descending, within [0, 1]."""
    xp = array_namespace(x.u)
    return xp.clip(xp.linalg.svdvals(x.u.T @ y.u), 0.0, 1.0)


def refuse_saturation(axes: Axes, d: int, name: str) -> Axes:
    """The axes, if they leave room for a difference.

    Raises:
        InputError: if the rank is n - 1 or more, so that every canonical correlation is 1.
    """
    if axes.rank >= axes.n - 1:
        raise InputError(
            f"{name} is not defined here: the layer has rank {axes.rank} on n = {axes.n} items (d = {d} features), "
            f"so its axes "
            "reproduce any other layer and every canonical correlation is 1. Use more items than features, keep fewer "
            "axes with svcca(variance=0.99) or svcca(count=…), regularise with rcca(regularization=…) or "
            "decoding(regularization=…), or cross-validate with ridge_predictivity."
        )
    return axes


def _mean_correlation(x: Axes, y: Axes, summary: str) -> Array:
    """Mean of the canonical correlations or of their squares; the latter needs no decomposition."""
    xp = array_namespace(x.u)
    m = x.u.T @ y.u
    total = xp.sum(m * m) if summary == "mean_square" else nuclear_norm(m, max(x.eps, y.eps))
    return xp.clip(total / min(m.shape), 0.0, 1.0)


def _ones(axes: Axes) -> Array:
    return array_namespace(axes.s).ones_like(axes.s)


def _smaller_rank(x: Axes, y: Axes) -> float:
    return float(min(x.rank, y.rank))


_GIVEN = {
    "mean": "n times the products of the item's canonical variates in x and y, summed, over min(r1, r2)",
    "mean_square": "n times the sum of the item's row of the product of the two projections, over min(r1, r2)",
}


def _given(x: Axes, y: Axes, summary: str) -> np.ndarray[Any, Any]:
    """What each item gives to `_mean_correlation`, (n,)."""
    rows = projected(x, y, _ones(x), _ones(y)) if summary == "mean_square" else aligned(x.u, y.u)
    return np.asarray(x.n * rows / min(x.rank, y.rank))


def _mean_square_null(xs: Sequence[Axes], ys: Sequence[Axes]) -> Null:
    return projection_null(xs, ys, _ones, _smaller_rank)


def _mean_square_permuted(
    xs: Sequence[Axes], ys: Sequence[Axes], orders: np.ndarray[Any, Any]
) -> Iterator[np.ndarray[Any, Any]] | None:
    return projection_permuted(xs, ys, orders, _ones, _smaller_rank)


@dataclasses.dataclass(frozen=True)
class CCA(Metric[Axes]):
    """Mean canonical correlation (or mean squared) of two layers.

    ``ρ_i`` are the singular values of ``U_x' U_y``; the score is their mean over min(r1, r2), the numerical ranks of
    the centred layers (numpy.linalg.matrix_rank's rule).

    Args:
        summary: ``"mean"`` of ρ, or ``"mean_square"`` of ρ² (Yanai's coefficient; Kornblith's R²_CCA), whose mean under
            random re-pairing is exactly max(r1, r2) / (n - 1).

    Formula:
        mean: Σ_i ρ_i / min(r1, r2), ρ_i the singular values of U_x'U_y
        mean_square: Σ_i ρ_i² / min(r1, r2) = ‖U_x'U_y‖² / min(r1, r2)

    Cost:
        One thin SVD a layer, O(n d min(n, d)); a pair O(n r1 r2) and the singular values of an r1 x r2 matrix (none for
        mean_square). mean_square has an exact null, one n x n x n product a layer; for 'mean' a sampled permutation
        costs what a pair does.

    Misleads:
        A direction with a millionth of the variance counts like the main one, so noise dimensions decide. Chance grows
        with the ranks: 0.81 (mean) for independent noise at n = 1024, d = 768, and with r1 + r2 > n - 1 some
        correlations are 1 whatever the data. Compare at equal n and ranks only; it says nothing on how much of a layer
        is shared.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("cca")(x, y), 2) for name, y in others.items()}
        {'another basis': 1.0, 'noisy': 0.49, 'unrelated': 0.23}
    """

    name: ClassVar[str] = "cca"
    aliases: ClassVar[dict[str, str]] = {
        "cca-score": "cca",
        "cca-squared_score": "cca(summary='mean_square')",
        "mean_cca": "cca",
        "yanai": "cca(summary='mean_square')",
    }
    variants: ClassVar[tuple[str, ...]] = ("cca", "cca(summary='mean_square')")
    summary: Literal["mean", "mean_square"] = "mean"

    def __post_init__(self) -> None:
        choice("cca", "summary", self.summary, ("mean", "mean_square"))

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return ALWAYS | {"invertible_linear"}

    @property
    def refuses(self) -> Mapping[str, str]:
        return SATURATED

    @property
    def chance(self) -> str:
        if self.summary == "mean_square":
            return "max(r1, r2) / (n - 1), r the ranks: exact"
        return "at most the root of the mean square, max(r1, r2) / (n - 1), r the ranks"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        return max(d1, d2) / (n - 1) if self.summary == "mean_square" and max(d1, d2) < n - 1 else None

    @property
    def reference(self) -> str:
        return (
            "Hotelling (1936); mean of ρ and of ρ² as in Kornblith et al. (2019), Table 1, divided by min(r1, r2). "
            "google/svcca averages only the leading correlations that hold 98 % of their sum."
        )

    def prepare(self, x: Array) -> Axes:
        return refuse_saturation(principal_axes(x), x.shape[1], "cca")

    def compare(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Array:
        return block(xs, ys, lambda x, y: _mean_correlation(x, y, self.summary), array_namespace(xs[0].u))

    def permute(self, state: Axes, order: np.ndarray[Any, Any]) -> Axes:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return _GIVEN[self.summary]

    def contributions(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> np.ndarray[Any, Any]:
        return over_pairs(lambda x, y: _given(x, y, self.summary), xs, ys)

    def null_moments(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Null | None:
        return _mean_square_null(xs, ys) if self.summary == "mean_square" else None

    def compare_permuted(
        self, xs: Sequence[Axes], ys: Sequence[Axes], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        shared = _mean_square_permuted(xs, ys, orders) if self.summary == "mean_square" else None
        return super().compare_permuted(xs, ys, orders) if shared is None else shared


@dataclasses.dataclass(frozen=True)
class SVCCA(Metric[Axes]):
    """CCA between the leading principal axes of two layers.

    Each centred layer keeps its leading axes, then the mean canonical correlation is taken over min(k1, k2). It is not
    monotone in the threshold.

    Args:
        variance: The fewest leading axes whose squared singular values hold this share of the variance are kept.
        count: Keep exactly this many axes instead; `variance` is then None.
        summary: ``"mean"`` of ρ, or ``"mean_square"`` of ρ².

    Raises:
        InputError: if neither or an impossible threshold is given, or the cut would part axes of the same variance.

    Formula:
        mean: Σ_i ρ_i / min(k1, k2), ρ_i the singular values of U_x[:, :k1]'U_y[:, :k2]
        mean_square: Σ_i ρ_i² / min(k1, k2)

    Cost:
        As `cca`, with the numbers of axes kept in place of the ranks.

    Misleads:
        The score moves up and down with the threshold, which decides how many axes are compared and so the chance
        level: two layers of different spectra are compared at different k. Within the kept axes all count alike,
        however little variance they hold. Without a p-value it cannot be read.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("svcca")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.72, 'unrelated': 0.23}
    """

    name: ClassVar[str] = "svcca"
    aliases: ClassVar[dict[str, str]] = {
        "svcca-var=0.99-score": "svcca(variance=0.99)",
        "svcca-var=0.99-squared_score": "svcca(variance=0.99, summary='mean_square')",
        "svcca-var=0.95-score": "svcca(variance=0.95)",
        "svcca-var=0.95-squared_score": "svcca(variance=0.95, summary='mean_square')",
        "svcca-dim=10-score": "svcca(count=10)",
        "svcca-dim=10-squared_score": "svcca(count=10, summary='mean_square')",
    }
    shown: ClassVar[tuple[str, ...]] = ("variance",)
    variants: ClassVar[tuple[str, ...]] = ("svcca(variance=0.9)", "svcca(count=1, summary='mean_square')")
    variance: float | None = 0.99
    count: int | None = None
    summary: Literal["mean", "mean_square"] = "mean"

    def __post_init__(self) -> None:
        choice("svcca", "summary", self.summary, ("mean", "mean_square"))
        if self.count is not None:
            object.__setattr__(self, "variance", None)
            if not isinstance(self.count, int) or self.count < 1:
                raise InputError(f"svcca: count={self.count!r} must be a whole number of axes, at least 1.")
        elif self.variance is None or not 0.0 < self.variance <= 1.0:
            raise InputError(
                f"svcca: variance={self.variance!r} must be above 0 and at most 1; or give count, a number of axes."
            )

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return ALWAYS

    @property
    def refuses(self) -> Mapping[str, str]:
        why = "axes hold the same variance, so which of them is kept is arbitrary"
        equal = ("equidistant items",) if self.count is None else ("equidistant items", "uncorrelated features")
        return NOTHING_VARIES | dict.fromkeys(equal, why)

    @property
    def chance(self) -> str:
        if self.summary == "mean_square":
            return "max(k1, k2) / (n - 1), k the numbers of axes kept: exact"
        return "at most the root of the mean square, max(k1, k2) / (n - 1), k the numbers of axes kept"

    @property
    def reference(self) -> str:
        return (
            "Raghu et al. (2017); threshold on the variance (squared singular values) of the centred layer, mean over "
            "min(k1, k2), no noise added and no iteration, so the same bytes every time. platonic-rep takes 10 left "
            "singular vectors by a random method; ReSi always keeps 1; anatome thresholds the sum of uncentred values."
        )

    def prepare(self, x: Array) -> Axes:
        axes = principal_axes(x)
        k = self._kept(axes, x.shape[1])
        s = axes.s[max(0, k - 1) : k + 1]
        # axes are found in double precision whatever the features are: neighbours that it tells apart are apart
        if k < axes.rank and number(s[0] - s[1]) <= 1e3 * np.finfo(np.float64).eps * number(axes.s[0]):
            raise InputError(
                f"svcca: the layer's axes {k} and {k + 1} hold the same variance, so which of them is kept is "
                "arbitrary, and so is the score. Change variance or count, so that both are kept or neither, or use "
                "cca."
            )
        return refuse_saturation(axes.first(k), x.shape[1], "svcca")

    def _kept(self, axes: Axes, d: int) -> int:
        if self.count is not None:
            if self.count > axes.rank:
                raise InputError(
                    f"svcca: count={self.count} axes were asked for, but the layer has rank {axes.rank} "
                    f"(n = {axes.n}, d = {d}); ask for at most {axes.rank}."
                )
            return self.count
        assert self.variance is not None  # __post_init__ leaves one of the two
        xp = array_namespace(axes.s)
        energy = axes.s * axes.s
        share = xp.cumulative_sum(energy) / xp.sum(energy)
        return min(axes.rank, int(xp.sum(xp.astype(share < self.variance, xp.int64))) + 1)

    def compare(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Array:
        return block(xs, ys, lambda x, y: _mean_correlation(x, y, self.summary), array_namespace(xs[0].u))

    def permute(self, state: Axes, order: np.ndarray[Any, Any]) -> Axes:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return _GIVEN[self.summary]

    def contributions(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> np.ndarray[Any, Any]:
        return over_pairs(lambda x, y: _given(x, y, self.summary), xs, ys)

    def null_moments(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Null | None:
        if self.summary != "mean_square":
            return None
        return dataclasses.replace(_mean_square_null(xs, ys), tail_from=LATE_TAIL_FROM)

    def compare_permuted(
        self, xs: Sequence[Axes], ys: Sequence[Axes], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        shared = _mean_square_permuted(xs, ys, orders) if self.summary == "mean_square" else None
        return super().compare_permuted(xs, ys, orders) if shared is None else shared


@dataclasses.dataclass(frozen=True)
class EigenspaceOverlap(Metric[Axes]):
    """Overlap of what two layers can say linearly: ``|U_x' U_y|²_F / max(r1, r2)``, layers not centred.

    U are the left singular vectors of the layers as they come, so a common offset of the features is part of what
    overlaps.

    Formula:
        ‖U_x'U_y‖² / max(r1, r2), U the left singular vectors of the layers as they come

    Cost:
        One thin SVD a layer, O(n d min(n, d)); a pair O(n r1 r2); the exact null one n x n x n product a layer.

    Misleads:
        Every direction of the numerical rank counts alike, noise included. Layers are not centred, so their offsets
        count as shared structure: unrelated layers of few features score high where the offset exceeds the variation.
        Unequal ranks cap the score at min(r1, r2) / max(r1, r2).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("eigenspace_overlap")(x, y), 2) for name, y in others.items()}
        {'another basis': 1.0, 'noisy': 0.31, 'unrelated': 0.07}
    """

    name: ClassVar[str] = "eigenspace_overlap"
    aliases: ClassVar[dict[str, str]] = {"eigenspace_overlap_score": "eigenspace_overlap", "eos": "eigenspace_overlap"}

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return (ALWAYS - {"translation"}) | {"invertible_linear"}

    @property
    def refuses(self) -> Mapping[str, str]:
        return FULL_RANK | {"zero layer": "it has no directions to compare"}

    @property
    def chance(self) -> str:
        return "min(r1, r2) / n for layers without offset, r the ranks"

    @property
    def reference(self) -> str:
        return (
            "May et al. (2019), 'On the downstream performance of compressed word embeddings'. "
            "Divided by "
            "the larger rank; ReSi divides by the larger number of features, the same for layers of full column rank."
        )

    def prepare(self, x: Array) -> Axes:
        axes = principal_axes(x, centered=False)
        if axes.rank >= axes.n:
            raise InputError(
                f"eigenspace_overlap is not defined here: the layer has rank {axes.rank} on n = {axes.n} items, so "
                f"it spans "
                "every layer and the overlap is a ratio of ranks. Use more items than features, or svcca."
            )
        return axes

    def compare(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Array:
        return block(xs, ys, _overlap, array_namespace(xs[0].u))

    def permute(self, state: Axes, order: np.ndarray[Any, Any]) -> Axes:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the sum of the item's row of the product of the two projections, over max(r1, r2)"

    def contributions(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> np.ndarray[Any, Any]:
        return over_pairs(lambda x, y: x.n * projected(x, y, _ones(x), _ones(y)) / max(x.rank, y.rank), xs, ys)

    def null_moments(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Null:
        return projection_null(xs, ys, _ones, lambda x, y: float(max(x.rank, y.rank)))


def _overlap(x: Axes, y: Axes) -> Array:
    xp = array_namespace(x.u)
    m = x.u.T @ y.u
    return xp.clip(xp.sum(m * m) / max(m.shape), 0.0, 1.0)
