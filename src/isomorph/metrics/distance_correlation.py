"""Distance correlation: dependence of two layers through the Euclidean distances of their items."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, to_numpy
from .._core.linalg import double_center, gathered, number, u_center
from .._core.memory import ceiling, require
from ..errors import InputError
from ..nulls import Influence, ItemScores, Null
from ..nulls.permuted import PairTable, pair_tables, permuted_products
from ..nulls.rows import row_scores
from ..nulls.ucentered import invariants, moments, skewness
from ._base import EQUALLY_ALIKE, NOTHING_VARIES, Metric, choice
from ._engines.kernels.gram import MatrixKernel
from ._engines.kernels.influence import kernel_influence
from ._engines.kernels.products import item_products
from ._engines.pairs import made_once
from ._engines.spectra.axes import block, compressed, wide_centered
from ._engines.spectra.projections import SHARED_BYTES


def euclidean_distances(c: Array) -> Array:
    """Distances (n, n) of centred rows; what rounding leaves between items at the same place is taken as zero."""
    xp, n = array_namespace(c), c.shape[0]
    c = compressed(gathered(c))
    squares = xp.sum(c * c, axis=1)
    sums = squares[:, None] + squares[None, :]
    d2 = sums - 2 * (c @ c.T)
    apart = (d2 > 1e-14 * sums) & ~xp.eye(n, dtype=xp.bool, device=device(c))
    return xp.sqrt(xp.where(apart, d2, xp.zeros_like(d2)))


@dataclasses.dataclass(frozen=True)
class DistanceCorrelation(Metric[MatrixKernel]):
    """Distance correlation of two layers, zero in the limit of many items exactly when they are independent.

    The cosine of the centred Euclidean distance matrices of the items.

    Args:
        estimator: ``"biased"``: double-centred matrices, then the root: dCor, in [0, 1]. ``"biased_squared"``: without
            the root, dCor². ``"unbiased"``: U-centred matrices, not rooted: the bias-corrected dCor², in [-1, 1], whose
            mean under random re-pairing is exactly 0.

    Formula:
        ⟨A, B⟩ / (‖A‖ ‖B‖), A and B the centred matrices of the distances ‖x_i - x_j‖ and ‖y_i - y_j‖
        unbiased: U-centred; biased_squared: double-centred; biased: the root of the latter

    Cost:
        O(n² min(n, d)) and n² numbers a layer, O(n²) a pair and a sampled permutation; the exact null one n x n x n
        product a layer, and none for 'biased'.

    Misleads:
        The biased forms are high for unrelated layers of many features: 0.87 (biased) and 0.75 (biased_squared) for
        independent Gaussian noise at n = 1024, d = 768. In many dimensions all distances are nearly equal and what
        varies is nearly linear: it then says what linear CKA says. Directions of high variance dominate.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("distance_correlation")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.5, 'unrelated': -0.01}
    """

    name: ClassVar[str] = "distance_correlation"
    aliases: ClassVar[dict[str, str]] = {
        "dcor": "distance_correlation(estimator='biased')",
        "bcdcor": "distance_correlation(estimator='unbiased')",
    }
    shown: ClassVar[tuple[str, ...]] = ("estimator",)
    variants: ClassVar[tuple[str, ...]] = tuple(
        f"distance_correlation(estimator={e!r})" for e in ("unbiased", "biased", "biased_squared")
    )
    estimator: Literal["unbiased", "biased", "biased_squared"] = "unbiased"

    def __post_init__(self) -> None:
        choice("distance_correlation", "estimator", self.estimator, ("unbiased", "biased", "biased_squared"))

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.estimator == "unbiased" else (0.0, 1.0)

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset(
            {"rotation", "reflection", "isotropic_scale", "translation", "unit_permutation", "item_permutation"}
        )

    @property
    def min_items(self) -> int:
        return 4 if self.estimator == "unbiased" else 3  # U-centring takes all that three items have

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES | (EQUALLY_ALIKE if self.estimator == "unbiased" else {})

    @property
    def chance(self) -> str:
        return "0: exact" if self.estimator == "unbiased" else "above 0, and near 1 for many features and few items"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        return 0.0 if self.estimator == "unbiased" else None

    @property
    def reference(self) -> str:
        return (
            "Székely, Rizzo and Bakirov (2007) for 'biased' (ReSi's value), Székely and Rizzo (2014) for "
            "'unbiased'. It is "
            "invariant to isotropic scale, which ReSi's flags deny."
        )

    def prepare(self, x: Array) -> MatrixKernel:
        n = x.shape[0]
        require(
            5 * 8 * n * n,  # of both layers, with what centring takes
            f"The distances of {n:,} items",
            "Use linear CKA, which needs no such matrix, or fewer items.",
        )
        c, _ = wide_centered(x)
        distances = euclidean_distances(c)
        xp = array_namespace(c)
        m = u_center(distances) if self.estimator == "unbiased" else double_center(distances)
        size = xp.sqrt(xp.sum(m * m))  # an array: a gradient must pass through it too
        if number(size) <= 1e-13 * number(xp.max(distances)) * c.shape[0]:
            raise InputError(
                "distance_correlation is not defined here: all items are equally far from each other, so no "
                "distance varies. "
                "Leave this layer out."
            )
        return MatrixKernel("unbiased" if self.estimator == "unbiased" else "biased", m / size)

    def compare(self, xs: Sequence[MatrixKernel], ys: Sequence[MatrixKernel]) -> Array:
        xp = array_namespace(xs[0].matrix)
        low = self.range[0]
        scores = block(xs, ys, lambda x, y: xp.clip(xp.sum(x.matrix * y.matrix), low, 1.0), xp)
        return xp.sqrt(scores) if self.estimator == "biased" else scores

    def permute(self, state: MatrixKernel, order: np.ndarray[Any, Any]) -> MatrixKernel:
        return state.permuted(order)

    def null_moments(self, xs: Sequence[MatrixKernel], ys: Sequence[MatrixKernel]) -> Null | None:
        if self.estimator == "biased":
            return None
        special = self.estimator == "unbiased"
        exact = moments(*made_once(lambda k: invariants(k.matrix, u_centered=special), xs, ys))
        n = xs[0].n
        source = "exact moments over all re-pairings"
        return Null(exact.mean, np.sqrt(exact.variance), skewness(exact), True, n, source, scale=exact.scale)

    @property
    def item_score(self) -> str:
        return "correlation of the item's centred distances to all others, on one side with the other"

    def item_scores(self, x: MatrixKernel, y: MatrixKernel) -> ItemScores:
        return row_scores(to_numpy(x.matrix), to_numpy(y.matrix))

    @property
    def contribution(self) -> str:
        product = "n times the sum of the item's row of A ∘ B"
        return f"{product}, over the score" if self.estimator == "biased" else product

    def contributions(self, xs: Sequence[MatrixKernel], ys: Sequence[MatrixKernel]) -> np.ndarray[Any, Any]:
        given = np.asarray(xs[0].n * item_products(xs, ys))
        if self.estimator != "biased":
            return given
        score = np.sqrt(np.clip(given.mean(axis=0), 0.0, None))
        return np.asarray(np.divide(given, score, out=np.zeros_like(given), where=score > 0))

    def influence(self, xs: Sequence[MatrixKernel], ys: Sequence[MatrixKernel]) -> Influence | None:
        if self.estimator == "biased":
            return None  # a root bends where the score is near 0
        return kernel_influence(xs, ys)

    def compare_permuted(
        self, xs: Sequence[MatrixKernel], ys: Sequence[MatrixKernel], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        if (len(xs) + len(ys)) * xs[0].n ** 2 * 8 > min(SHARED_BYTES, ceiling() // 2):
            yield from super().compare_permuted(xs, ys, orders)
            return
        whole = self.estimator != "unbiased"

        def table(side: Sequence[MatrixKernel]) -> PairTable:
            return PairTable.of((k.matrix for k in side), len(side), diagonal=whole)

        for scores in permuted_products(*pair_tables(xs, ys, table), orders):
            clipped = np.clip(scores, self.range[0], 1.0)
            yield np.sqrt(clipped) if self.estimator == "biased" else clipped
