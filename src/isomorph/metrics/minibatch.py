"""CKA from batches of items, for layers whose kernels are too large to hold."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array, is_traced, take_rows, to_numpy
from .._core.linalg import center, centered_scaled, number
from ..errors import InputError
from ._base import EQUALLY_ALIKE, NOTHING_VARIES, Metric
from ._engines.kernels.gram import FeatureKernel
from ._engines.kernels.products import inner_products, item_products, normalizer


@dataclasses.dataclass(frozen=True)
class Batches:
    """A layer's centred, scaled features and, of each batch of its items, the kernel."""

    features: Array
    kernels: tuple[FeatureKernel, ...]


@dataclasses.dataclass(frozen=True)
class MinibatchCka(Metric[Batches]):
    """CKA from HSIC averaged over batches of consecutive items, so that no kernel is larger than a batch.

    The averaged HSIC terms are unbiased, their ratio is not: its bias falls with the number of batches. Items are cut
    into n // batch_size batches of nearly equal size (at least batch_size, so that none is left over and all count
    alike), in the order in which they come.

    Attributes:
        batch_size: Fewest items in a batch.

    Formula:
        Σ_b HSIC(X_b, Y_b) / √(Σ_b HSIC(X_b, X_b) · Σ_b HSIC(Y_b, Y_b)), HSIC unbiased, b over the batches

    Cost:
        O(n m (d1 + d2)) a pair for batches of m items, or the d1 x d2 products where those are less; no exact null, and
        a sampled permutation cuts and centres the batches anew.

    Misleads:
        Batches follow the order of the items: sorted by class, a batch sees nothing of what tells the classes apart,
        and layers that agree on the classes alone score 0. Shuffle the items first. With few or small batches the ratio
        is biased although its terms are not; where all items fit, `cka` is better in every way.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("minibatch_cka(batch_size=25)")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.53, 'unrelated': 0.01}
    """

    name: ClassVar[str] = "minibatch_cka"
    shown: ClassVar[tuple[str, ...]] = ("batch_size",)
    variants: ClassVar[tuple[str, ...]] = ("minibatch_cka(batch_size=12)",)

    batch_size: int = 256

    def __post_init__(self) -> None:
        if not (isinstance(self.batch_size, int) and self.batch_size >= 4):
            raise InputError(f"minibatch_cka: batch_size={self.batch_size!r} must be a whole number of at least 4.")

    @property
    def range(self) -> tuple[float, float]:
        return -1.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"rotation", "reflection", "unit_permutation", "isotropic_scale", "translation"})

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES | EQUALLY_ALIKE

    @property
    def chance(self) -> str:
        return "0 up to the order of 1/n: each batch's HSIC has mean exactly 0 under re-pairing"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        """Expected score of independent standard Gaussian features."""
        return 0.0

    @property
    def reference(self) -> str:
        return (
            "Nguyen, Raghu and Kornblith (2021), eq. 3, in one pass. We cut the items evenly instead of weighting a "
            "short last batch like the others."
        )

    @property
    def differentiable(self) -> bool:
        return True

    @property
    def min_items(self) -> int:
        return 4

    def prepare(self, x: Array) -> Batches:
        return self._cut(centered_scaled(x))

    def _cut(self, features: Array) -> Batches:
        n = features.shape[0]
        edges = np.linspace(0, n, max(1, n // self.batch_size) + 1).astype(int).tolist()
        parts = [center(features[s:e, :]) for s, e in itertools.pairwise(edges)]
        return Batches(features, tuple(FeatureKernel("unbiased", part) for part in parts))

    def compare(self, xs: Sequence[Batches], ys: Sequence[Batches]) -> Array:
        cross: Array = 0.0
        own_x: Array = 0.0
        own_y: Array = 0.0
        noise = 0.0
        for b in range(len(xs[0].kernels)):
            sides = [[s.kernels[b] for s in side] for side in (xs, ys)]
            weight = 1 / normalizer("unbiased", sides[0][0].n)
            c, x, y = inner_products(*sides, check=False)
            cross, own_x, own_y = cross + c * weight, own_x + x * weight, own_y + y * weight
            if not is_traced(c):
                noise += weight * max(_rounding(k) for side in sides for k in side)
        for own in (own_x, own_y):
            xp = array_namespace(own)
            if not is_traced(own) and bool(xp.any(own <= noise)):
                raise InputError(
                    "All items of a batch of minibatch_cka are equally similar to each other, in every batch of a "
                    "layer, so the score would be 0/0. Leave this layer out, or shuffle the items."
                )
        return cross / own_x[:, None] ** 0.5 / own_y[None, :] ** 0.5

    @property
    def contribution(self) -> str:
        return "n times the sum of the item's row of K̃ ∘ L̃ of its batch, over what the score is over"

    def contributions(self, xs: Sequence[Batches], ys: Sequence[Batches]) -> np.ndarray[Any, Any]:
        parts, own_x, own_y = [], np.zeros(len(xs)), np.zeros(len(ys))
        for b in range(len(xs[0].kernels)):
            sides = [[s.kernels[b] for s in side] for side in (xs, ys)]
            weight = 1 / normalizer("unbiased", sides[0][0].n)
            parts.append(weight * item_products(*sides))
            _, x, y = inner_products(*sides, check=False)
            own_x, own_y = own_x + weight * to_numpy(x), own_y + weight * to_numpy(y)
        given = np.concatenate(parts)
        return np.asarray(len(given) * given / np.sqrt(own_x[:, None] * own_y[None, :]))

    def permute(self, state: Batches, order: np.ndarray[Any, Any]) -> Batches:
        return self._cut(take_rows(state.features, order))


def _rounding(kernel: FeatureKernel) -> float:
    """What rounding leaves of the inner product of a batch's kernel with itself where its true value is zero."""
    xp = array_namespace(kernel.features)
    trace = number(xp.sum(kernel.diagonal))
    return 64 * (float(xp.finfo(kernel.dtype).eps) * trace) ** 2
