"""Kernel metrics: HSIC and centred kernel alignment (CKA) with every kernel and estimator of the field.

| estimator | what is compared | bias |
|---|---|---|
| ``unbiased`` | U-centred kernels (Song et al. 2012, eq. 5) | mean exactly 0 under re-pairing |
| ``biased`` | double-centred kernels (Gretton et al. 2005); equals the RV coefficient if linear | grows with d / n |
| ``lange`` | double-centred kernels without their diagonal (Lange et al. 2022) | about -1/n |
| ``chun`` | as unbiased, the self terms also corrected for a finite number of features (Chun et al. 2025) | 0; noisy |
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, is_traced, to_numpy
from .._core.checks import is_finite
from .._core.linalg import unit_rows
from .._core.memory import fits, require
from ..errors import InputError
from ..nulls import Influence, ItemScores, Null
from ..nulls.permuted import pair_tables, permuted_products
from ..nulls.rows import row_scores
from ..nulls.tails import leading_eigenvalues, leading_weights
from ..nulls.ucentered import Invariants, invariants, moments, skewness
from ._base import EQUALLY_ALIKE, NO_DIRECTION, NOTHING_VARIES, Metric, about_mean, choice
from ._engines.kernels.gram import Kernel, LinearKernel, MatrixKernel, dense_kernel, linear_kernel
from ._engines.kernels.influence import kernel_influence
from ._engines.kernels.matrices import MEDIANS, polynomial_matrix, rbf_matrix
from ._engines.kernels.products import inner_products, item_products, normalizer, own_products
from ._engines.kernels.triangles import pair_table, pairs_fit
from ._engines.pairs import made_once

KERNELS = ("linear", "cosine", "rbf", "polynomial")
_NO_OTHER_FEATURES = dict.fromkeys(
    ("one feature", "uncorrelated features"), "no feature shares anything with another, which is all that counts"
)
ROTATIONS = {"rotation", "reflection", "unit_permutation", "item_permutation"}


def _beyond_floats() -> np.errstate:
    """Around what features in huge units make infinite: such scores are refused in words, without a warning first."""
    return np.errstate(over="ignore", invalid="ignore")


@dataclasses.dataclass(frozen=True)
class KernelMetric(Metric[Kernel]):
    """What HSIC and CKA share: kernels, their adjustment, their exact null, and permutations in blocks.

    Attributes:
        estimator: How kernels are adjusted before they are compared; see the module's table.
        kernel: ``"linear"``; ``"cosine"`` (linear on rows of unit norm); ``"rbf"``; ``"polynomial"`` (on centred
            features of mean squared norm one).
        bandwidth: Of the RBF kernel, as a fraction of the median distance between items.
        median: Of which distances: ``"pairs"`` of different items, or ``"all"`` n^2, zeros included. None: of none, the
            bandwidth is σ itself in the units of the features. The field's default of σ = 1 turns the kernel of
            features that are not of unit norm into the identity, whose biased CKA with anything is 1: refused here.
        degree: Of the polynomial kernel.
        offset: Added to the inner product by the polynomial kernel.
        centered: For the cosine kernel: whether the mean over items is taken out before rows are scaled to unit norm.
    """

    shown: ClassVar[tuple[str, ...]] = ("estimator",)
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "biased")

    estimator: str = "unbiased"
    kernel: str = "linear"
    bandwidth: float = 1.0
    median: str | None = "pairs"
    degree: int = 3
    offset: float = 1.0
    centered: bool = False

    def __post_init__(self) -> None:
        choice(self.name, "estimator", self.estimator, self.estimators)
        choice(self.name, "kernel", self.kernel, KERNELS)
        choice(self.name, "median", self.median, MEDIANS)
        if not (is_finite(self.bandwidth) and self.bandwidth > 0):
            raise InputError(f"{self.name}: bandwidth={self.bandwidth!r} must be a positive number.")
        if not (isinstance(self.degree, int) and self.degree >= 1):
            raise InputError(f"{self.name}: degree={self.degree!r} must be a whole number of at least 1.")
        if not (is_finite(self.offset) and self.offset >= 0):
            raise InputError(f"{self.name}: offset={self.offset!r} must be a number of at least 0.")
        choice(self.name, "centered", self.centered, (False, True))
        options = {"bandwidth": "rbf", "median": "rbf", "degree": "polynomial", "offset": "polynomial"}
        options |= {"centered": "cosine"}
        for name, kernel in options.items():
            value = getattr(self, name)
            if kernel != self.kernel and value != type(self).__dataclass_fields__[name].default:
                raise InputError(
                    f"{self.name}: {name}={value!r} does nothing with the {self.kernel} kernel; leave it out, or add "
                    f"kernel={kernel!r}."
                )

    @property
    def _absolute(self) -> bool:
        """Whether the bandwidth is in the units of the features."""
        return self.kernel == "rbf" and self.median is None

    @property
    def differentiable(self) -> bool:
        return True

    @property
    def min_items(self) -> int:
        return 4 if self.estimator in {"unbiased", "chun"} else 3

    @property
    def refuses(self) -> Mapping[str, str]:
        centered = self.estimator in {"unbiased", "chun"}
        return (
            NOTHING_VARIES
            | (NO_DIRECTION if self.kernel == "cosine" and not self.centered else {})
            | (EQUALLY_ALIKE if centered else {})
            | (_NO_OTHER_FEATURES if self.estimator == "chun" else {})
            | ({"far scale": "a bandwidth in the units of the features fits one scale only"} if self._absolute else {})
        )

    @property
    def streams(self) -> bool:
        return self.kernel == "linear"

    @property
    def copies(self) -> int:
        if self.kernel == "linear":
            return 4 if self.estimator == "chun" else 0
        return 2 if self.kernel == "cosine" else 0  # others say what their matrix takes

    def prepare(self, x: Array) -> Kernel:
        adjust = "unbiased" if self.estimator == "chun" else self.estimator
        if self.kernel in {"linear", "cosine"}:
            return linear_kernel(unit_rows(about_mean(x, self.centered)) if self.kernel == "cosine" else x, adjust)
        n = x.shape[0]
        require(
            3 * 8 * n * n,
            f"A {self.kernel} kernel of {n:,} x {n:,} items",
            "Use the linear kernel, which needs no such matrix"
            + (f", nystrom_{self.name}, a sketch of this one that states its error," if self.kernel == "rbf" else "")
            + " or fewer items.",
        )
        if self.kernel == "rbf":
            return dense_kernel(rbf_matrix(x, self.bandwidth, self.median), adjust, x.dtype)
        return dense_kernel(polynomial_matrix(x, self.degree, self.offset), adjust, x.dtype)

    def permute(self, state: Kernel, order: np.ndarray[Any, Any]) -> Kernel:
        return state.permuted(order)

    def compare(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Array:
        cross, own_x, own_y = inner_products(xs, ys)
        with _beyond_floats():
            return cross * (self._factors(xs, own_x)[:, None] * self._factors(ys, own_y)[None, :])

    @property
    def contribution(self) -> str:
        return "n times the sum of the item's row of K̃ ∘ L̃, over what the score is over"

    def contributions(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> np.ndarray[Any, Any]:
        return np.asarray(item_products(xs, ys) * (xs[0].n * self._outer_factors(xs, ys)))

    @property
    def item_score(self) -> str:
        return "correlation of the item's similarities to all others, on one side with the other"

    def item_scores(self, x: Kernel, y: Kernel) -> ItemScores:
        return row_scores(to_numpy(x.whole()), to_numpy(y.whole()))

    def null_moments(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Null:
        """Exact mean, standard deviation and skewness under re-pairing; see `isomorph.nulls.ucentered`."""
        n, of_features = xs[0].n, not isinstance(xs[0], MatrixKernel)
        if of_features and not fits(4 * n * n * 8):
            return self._mean_alone(xs, ys)
        centered = self.estimator in {"unbiased", "chun"}

        def terms(k: Kernel) -> tuple[Invariants, Any]:
            matrix = k.whole()
            return invariants(matrix, u_centered=centered), leading_eigenvalues(matrix)

        left, right = made_once(terms, xs, ys)
        moment = moments([sums for sums, _ in left], [sums for sums, _ in right])
        factor = self._outer_factors(xs, ys)
        with _beyond_floats():
            mean, std = moment.mean * factor, np.sqrt(moment.variance) * factor
            unit = factor / np.where(std > 0, std, 1.0)
        weights = leading_weights([lead for _, lead in left], [lead for _, lead in right], n)
        return Null(
            mean,
            std,
            skewness(moment),
            True,
            n,
            "exact moments over all re-pairings",
            weights=weights * unit[:, :, None],
            scale=moment.scale,
        )

    def null_mean(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> np.ndarray[Any, Any] | None:
        if isinstance(xs[0], MatrixKernel):
            return super().null_mean(xs, ys)
        return np.asarray(self._mean_alone(xs, ys).mean)

    def compare_permuted(
        self, xs: Sequence[Kernel], ys: Sequence[Kernel], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        if not pairs_fit(xs, ys):
            yield from super().compare_permuted(xs, ys, orders)
            return
        factor = self._outer_factors(xs, ys)
        for products in permuted_products(*pair_tables(xs, ys, pair_table), orders):
            yield products * factor

    def _mean_alone(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Null:
        """The exact mean for kernels of mean diagonal one whose n x n matrices do not fit."""
        n = xs[0].n
        # <A, P B P'> has the mean tr A tr B / (n - 1) where rows sum to zero, sum A sum B / (n (n - 1)) where the
        # diagonal is zero; the trace was n
        mean = {"biased": n * n / (n - 1), "lange": n / (n - 1)}.get(self.estimator, 0.0)
        source = f"exact mean; spread from permutations, as kernels of {n:,} x {n:,} do not fit the working memory"
        return Null(mean * self._outer_factors(xs, ys), None, None, True, n, source)

    def _factors(self, states: Sequence[Kernel], own: Array) -> Array:
        """What each layer brings to the score beside the inner products of the adjusted kernels, (len(states),)."""
        raise NotImplementedError

    def _outer_factors(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> np.ndarray[Any, Any]:
        x, y = (to_numpy(self._factors(side, own_products(side))) for side in (xs, ys))
        with _beyond_floats():
            return np.outer(x, y)


@dataclasses.dataclass(frozen=True)
class Cka(KernelMetric):
    """Centred kernel alignment: the cosine between two kernel matrices over the same items.

    Measures whether the two spaces put the same pairs of items close together, weighting directions by their variance.

    Formula:
        ⟨K̃, L̃⟩ / (‖K̃‖ ‖L̃‖), Frobenius, K̃ and L̃ the adjusted kernel matrices (n, n) of the two layers
        unbiased: K̃_ij = K_ij - (r_i + r_j) / (n - 2) + s / ((n - 1)(n - 2)) for i ≠ j, K̃_ii = 0,
                  r the row sums of K without its diagonal, s their sum
        biased: K̃ = H K H, H = I - 11'/n; for the linear kernel it is ‖Xc'Yc‖² / (‖Xc'Xc‖ ‖Yc'Yc‖), Xc, Yc centred

    Cost:
        linear and cosine: O(n d) a layer; a block makes each kernel once in strips, O(n² d) a layer, or the d1 x d2
        products of each pair, whichever is less, in fixed memory. rbf and polynomial: O(n² d) and n² numbers a layer. A
        pair O(n²), the exact null one n x n x n product a layer, a sampled permutation O(n²) a pair.

    Misleads:
        Directions count by the square of their variance: a few outlying items or one dominant direction can decide the
        score while everything else differs, or sink it while nothing a linear readout uses has changed (Davari et al.
        2023). The biased estimator tends to 1 as d / n grows, related or not. A high score does not say that one layer
        can replace the other. RBF with a small bandwidth turns every kernel into the identity.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated and scaled": 3 * turned, "half noise": x + noise, "unrelated": noise}
        >>> {name: round(iso.metric("cka")(x, y), 3) for name, y in others.items()}
        {'rotated and scaled': 1.0, 'half noise': 0.545, 'unrelated': -0.005}
    """

    name: ClassVar[str] = "cka"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "biased", "lange", "chun")
    aliases: ClassVar[Mapping[str, str]] = {
        "unbiased_cka": "cka(estimator='unbiased')",
        "debiased_cka": "cka(estimator='unbiased')",
        "linear_cka": "cka(estimator='biased')",
        "biased_cka": "cka(estimator='biased')",
        "rv_coefficient": "cka(estimator='biased')",
        "rbf_cka": "cka(estimator='biased', kernel='rbf', median='all')",
        "cka-kernel=linear-hsic=song-score": "cka(estimator='unbiased')",
        "cka-kernel=linear-hsic=gretton-score": "cka(estimator='biased')",
        "cka-kernel=linear-hsic=lange-score": "cka(estimator='lange')",
        **{
            f"cka-kernel=(rbf-sigma=1.0)-hsic={theirs}-score": f"cka(estimator={ours!r}, kernel='rbf', median=None)"
            for theirs, ours in (("song", "unbiased"), ("gretton", "biased"), ("lange", "lange"))
        },
    }
    variants: ClassVar[tuple[str, ...]] = (
        "cka(estimator='unbiased')",
        "cka(estimator='biased')",
        "cka(estimator='lange')",
        "cka(estimator='chun')",
        "cka(kernel='cosine')",
        "cka(estimator='biased', kernel='rbf', bandwidth=0.5)",
        "cka(kernel='rbf', median='all')",
        "cka(estimator='biased', kernel='rbf', bandwidth=5.0, median=None)",
        "cka(kernel='polynomial', degree=2)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.estimator == "chun" and self.kernel not in {"linear", "cosine"}:
            raise InputError("cka: the estimator 'chun' corrects for features of a linear or cosine kernel only.")

    @property
    def range(self) -> tuple[float, float]:
        low = {"biased": 0.0, "chun": -math.inf}.get(self.estimator, -1.0)
        return low, math.inf if self.estimator == "chun" else 1.0

    @property
    def identity(self) -> float | None:
        return None if self.estimator == "chun" else 1.0

    @property
    def invariances(self) -> frozenset[str]:
        common = ROTATIONS | ({"translation"} if self.kernel != "cosine" or self.centered else set())
        common |= set() if self._absolute else {"isotropic_scale"}
        # the correction for finite features counts features, so it is tied to their basis
        return frozenset(common - {"rotation", "reflection"} if self.estimator == "chun" else common)

    @property
    def chance(self) -> str:
        if self.estimator == "biased" and self.kernel not in {"linear", "cosine"}:
            return "above 0, the more the nearer the kernels are to the identity: the exact mean is in the null"
        return {
            "unbiased": "0, exactly, for any data",
            "chun": "0, exactly, for any data",
            "biased": "about sqrt(d1 d2 / ((n + d1) (n + d2))) for linear noise: 0.43 at n = 1024, d = 768",
            "lange": "near 0: the exact mean is in the null",
        }[self.estimator]

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        """Expected score of independent standard Gaussian features."""
        if self.estimator == "biased" and self.kernel == "linear":
            return math.sqrt(d1 * d2 / ((n + d1) * (n + d2)))
        return 0.0 if self.estimator == "unbiased" else None  # 'chun' is not defined on noise: nothing is shared there

    @property
    def reference(self) -> str:
        return (
            "Kornblith, Norouzi, Lee and Hinton (2019), eq. 3; estimators: Gretton et al. (2005), Song et al. (2012), "
            "eq. 5, Lange et al. (2022), Chun et al. (2025). Nothing is added to the denominator or clamped."
        )

    def prepare(self, x: Array) -> Kernel:
        state = super().prepare(x)
        if self.estimator == "chun":
            _linear(state).same_feature_products()  # a single feature is refused here
        return state

    def influence(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Influence | None:
        return None if self.estimator == "chun" else kernel_influence(xs, ys)

    def _factors(self, states: Sequence[Kernel], own: Array) -> Array:
        if self.estimator != "chun":
            return own**-0.5
        xp = array_namespace(own)
        linear = [_linear(k) for k in states]
        d = [k.n_features for k in linear]
        same = xp.stack([k.same_feature_products() for k in linear])
        ratio = xp.asarray([q / (q - 1) for q in d], dtype=xp.float64, device=device(own))
        corrected = (own - same) * ratio
        if not is_traced(own) and bool(xp.any(corrected <= 0)):
            raise InputError(
                "The self-similarity of a layer, corrected for its finite number of features, is not positive: its "
                "features share no structure beyond chance, so this estimator has no answer; "
                "use cka(estimator='unbiased')."
            )
        return corrected**-0.5


def _linear(state: Kernel) -> LinearKernel:
    assert isinstance(state, LinearKernel)  # Chun's estimator takes no other kernel
    return state


@dataclasses.dataclass(frozen=True)
class Hsic(KernelMetric):
    """Hilbert-Schmidt independence criterion: the covariance of two kernels over pairs of items, not normalised.

    Zero in the population if and only if the two spaces are independent (RBF); in the units of the kernels.

    Formula:
        biased: tr(K H L H) / (n - 1)², H = I - 11'/n
        unbiased, lange: ⟨K̃, L̃⟩ / (n (n - 3)), K̃ and L̃ the adjusted kernels of cka

    Cost:
        As `cka` without its self terms.

    Misleads:
        Its size depends on the units, the width and the kernel of both layers, so scores of different pairs cannot be
        compared: only the sign and the p-value can be read. The biased form is above 0 for unrelated layers.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> others = {"the same": x, "scaled": 2 * x, "unrelated": noise}
        >>> {name: round(iso.metric("hsic")(x, y), 2) for name, y in others.items()}
        {'the same': 8.18, 'scaled': 32.74, 'unrelated': -0.04}
    """

    name: ClassVar[str] = "hsic"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "biased", "lange")
    variants: ClassVar[tuple[str, ...]] = (
        "hsic(estimator='unbiased')",
        "hsic(estimator='biased')",
        "hsic(estimator='lange')",
        "hsic(kernel='rbf')",
        "hsic(kernel='polynomial', degree=2)",
        "hsic(kernel='cosine')",
    )
    aliases: ClassVar[Mapping[str, str]] = {
        "unbiased_hsic": "hsic(estimator='unbiased')",
        "biased_hsic": "hsic(estimator='biased')",
    }

    @property
    def min_items(self) -> int:
        return 3 if self.estimator == "biased" else 4

    @property
    def range(self) -> tuple[float, float]:
        return (0.0 if self.estimator == "biased" else -math.inf), math.inf

    @property
    def identity(self) -> float | None:
        return None

    @property
    def invariances(self) -> frozenset[str]:
        scale = set() if self.kernel == "linear" or self._absolute else {"isotropic_scale"}
        fixed = {"translation"} if self.kernel != "cosine" or self.centered else set()
        return frozenset(ROTATIONS | scale | fixed)

    @property
    def chance(self) -> str:
        if self.estimator == "unbiased":
            return "0, exactly, for any data"
        if self.estimator == "lange":
            return "near 0: the exact mean is in the null"
        return "product of the traces of the centred kernels over (n - 1)^3: d1 d2 / (n - 1) for linear standard noise"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        """Expected score of independent standard Gaussian features."""
        if self.estimator == "unbiased":
            return 0.0
        return d1 * d2 / (n - 1) if self.kernel == "linear" and self.estimator == "biased" else None

    @property
    def reference(self) -> str:
        return (
            "Gretton, Bousquet, Smola and Schölkopf (2005), with 1/(n - 1)^2 (biased); Song, Smola, Gretton, Bedo and "
            "Borgwardt (2012), eq. 5 (unbiased); Lange et al. (2022). Chun's correction is of self terms alone, so for "
            "HSIC it is the unbiased estimator."
        )

    def _factors(self, states: Sequence[Kernel], own: Array) -> Array:
        xp = array_namespace(own)
        scales = xp.stack([xp.astype(k.scale, xp.float64) for k in states])
        debiased = self.estimator != "biased"
        with _beyond_floats():
            return scales**2 / normalizer("unbiased" if debiased else "biased", states[0].n) ** 0.5
