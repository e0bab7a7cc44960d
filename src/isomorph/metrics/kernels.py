"""Kernel metrics: centred kernel alignment (CKA)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._arrays import Array, to_numpy
from .._linalg import centred_scaled, unit_rows
from ._base import Metric, Null, choice
from ._gram import ESTIMATORS, Kernel, inner_products, linear_kernel
from ._ucentred import invariants, moments, permuted_products, skewness

KERNELS = ("linear", "cosine")
TABLE_BYTES = 2 << 30  # the most that whole kernels may take when permutations are sampled from them


@dataclasses.dataclass(frozen=True)
class Cka(Metric[Kernel]):
    """Centred kernel alignment: the cosine between two kernel matrices over the same items.

    Measures whether the two spaces put the same pairs of items close together, weighting directions by their variance.
    """

    name: ClassVar[str] = "cka"
    aliases: ClassVar[Mapping[str, str]] = {
        "unbiased_cka": "cka(estimator='unbiased')",
        "debiased_cka": "cka(estimator='unbiased')",
        "biased_cka": "cka(estimator='biased')",
        "cka-kernel=linear-hsic=song-score": "cka(estimator='unbiased')",
        "cka-kernel=linear-hsic=gretton-score": "cka(estimator='biased')",
        "cka-kernel=linear-hsic=lange-score": "cka(estimator='lange')",
    }
    shown: ClassVar[tuple[str, ...]] = ("estimator",)
    variants: ClassVar[tuple[str, ...]] = (
        "cka(estimator='unbiased')",
        "cka(estimator='biased')",
        "cka(estimator='lange')",
        "cka(kernel='cosine')",
    )

    estimator: str = "unbiased"
    kernel: str = "linear"

    def __post_init__(self) -> None:
        choice(self.name, "estimator", self.estimator, ESTIMATORS)
        choice(self.name, "kernel", self.kernel, KERNELS)

    @property
    def range(self) -> tuple[float, float]:
        return (0.0 if self.estimator == "biased" else -1.0, 1.0)

    @property
    def invariances(self) -> frozenset[str]:
        common = {"rotation", "reflection", "isotropic_scale", "unit_permutation", "item_permutation"}
        return frozenset(common if self.kernel == "cosine" else common | {"translation"})

    @property
    def chance(self) -> str:
        return {
            "unbiased": "0, exactly, for any data",
            "biased": "about sqrt(d1 d2 / ((n + d1) (n + d2))) for noise: 0.43 at n = 1024, d = 768",
            "lange": "about -1/n times the spread of the items' norms: near 0",
        }[self.estimator]

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        """Expected score of independent isotropic Gaussian noise."""
        if self.estimator == "biased" and self.kernel == "linear":
            return float(np.sqrt(d1 * d2 / ((n + d1) * (n + d2))))
        return 0.0 if self.estimator == "unbiased" else None

    @property
    def reference(self) -> str:
        return (
            "Kornblith, Norouzi, Lee and Hinton (2019), eq. 3; estimators: Gretton et al. (2005), Song et al. (2012), "
            "eq. 5, Lange et al. (2022). No constant is added to the denominator and nothing is clamped."
        )

    @property
    def differentiable(self) -> bool:
        return True

    @property
    def min_items(self) -> int:
        return 4 if self.estimator == "unbiased" else 3

    def prepare(self, x: Array) -> Kernel:
        return linear_kernel(centred_scaled(unit_rows(x) if self.kernel == "cosine" else x), self.estimator)

    def compare(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Array:
        cross, own_x, own_y = inner_products(xs, ys)
        return cross / own_x[:, None] ** 0.5 / own_y[None, :] ** 0.5

    def permute(self, state: Kernel, order: np.ndarray[Any, Any]) -> Kernel:
        return state.permuted(order)

    def null_moments(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Null:
        """Exact mean, standard deviation and skewness under re-pairing; see `_ucentred`."""
        u_centred = self.estimator == "unbiased"
        of = {id(k): invariants(k.whole(), u_centred=u_centred) for k in {id(k): k for k in (*xs, *ys)}.values()}
        moment = moments([of[id(k)] for k in xs], [of[id(k)] for k in ys])
        _, own_x, own_y = inner_products(xs, ys)
        norm = np.sqrt(np.outer(to_numpy(own_x), to_numpy(own_y)))
        return Null(
            moment.mean / norm,
            np.sqrt(moment.variance) / norm,
            skewness(moment),
            True,
            xs[0].n,
            "exact moments over all re-pairings",
        )

    def compare_permuted(
        self, xs: Sequence[Kernel], ys: Sequence[Kernel], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        if (len(xs) + len(ys)) * xs[0].n ** 2 * 8 > TABLE_BYTES:
            yield from super().compare_permuted(xs, ys, orders)
            return
        _, own_x, own_y = inner_products(xs, ys)
        norm = np.sqrt(np.outer(to_numpy(own_x), to_numpy(own_y)))
        matrices_x, matrices_y = ([k.whole() for k in side] for side in (xs, ys))
        for products in permuted_products(matrices_x, matrices_y, orders, diagonal=self.estimator == "biased"):
            yield products / norm
