"""CKNNA: kernel alignment on shared neighbours."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, take_rows, to_numpy
from .._core.linalg import number, top_k, unit_rows
from .._core.memory import require
from ..errors import InputError
from ._base import EQUALLY_ALIKE, NO_DIRECTION, NOTHING_VARIES, Metric, about_mean, check_centered
from ._engines.pairs import over_pairs


@dataclasses.dataclass(frozen=True)
class Cknna(Metric["MaskedKernel"]):
    """Centred kernel nearest-neighbour alignment: unbiased CKA of cosine kernels on the neighbours that both share.

    With k = n - 1 it is unbiased cosine CKA up to the centring of the masked kernels; with few neighbours it measures
    local agreement like mutual_knn, weighted by similarity. The mask "j is among the k nearest of i" is not symmetric,
    and in its third term neither is the score.

    Attributes:
        k: Neighbours of an item; the item itself is excluded by identity, and all items tied with the k-th count.
        centered: Whether the mean over items is taken out first, which makes all cosines alike.

    Formula:
        h(x, y) / √(h(x, x) h(y, y)), M_ij = 1 where j is among the k nearest of i, C the cosines, C̃ = C ∘ M_x ∘ M_y
        h(x, y) = tr(C̃_x C̃_y) + 1'C̃_x1 · 1'C̃_y1 / ((n - 1)(n - 2)) - 2 · 1'C̃_x C̃_y1 / (n - 2)

    Cost:
        O(n² d) and 2 n² numbers a layer, O(n²) a pair and a sampled permutation; no exact null.

    Misleads:
        Cosines are not centred: with a common offset (anisotropic features) all are near one and the score counts
        shared neighbours, as `mutual_knn` does with an exact chance level. Few shared edges make it noisy; it may
        exceed 1, and where the self term is not positive there is no answer. Scores at different k or n are not
        comparable.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("cknna")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.33, 'unrelated': 0.1}
    """

    name: ClassVar[str] = "cknna"
    shown: ClassVar[tuple[str, ...]] = ("k",)
    variants: ClassVar[tuple[str, ...]] = ("cknna(k=10)", "cknna(k=30)")

    k: int = 10
    centered: bool = False

    def __post_init__(self) -> None:
        check_centered(self.name, self.centered, "cosines", moved=True)
        if not (isinstance(self.k, int) and self.k >= 2):
            raise InputError(f"cknna: k={self.k!r} must be a whole number of at least 2.")

    @property
    def range(self) -> tuple[float, float]:
        return -math.inf, math.inf

    @property
    def identity(self) -> float | None:
        return 1.0

    @property
    def symmetric(self) -> bool:
        return False

    @property
    def invariances(self) -> frozenset[str]:
        always = {"rotation", "reflection", "unit_permutation", "item_permutation", "isotropic_scale"}
        return frozenset(always | ({"translation"} if self.centered else set()))

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES | EQUALLY_ALIKE | ({} if self.centered else NO_DIRECTION)

    @property
    def chance(self) -> str:
        return "between 0 and k / (n - 1), depending on the neighbours' similarities: sample it"

    @property
    def reference(self) -> str:
        return (
            "Huh, Cheung, Wang and Isola (2024), appendix A, as their code has it (platonic-rep, unbiased=True, on "
            "rows of unit norm), without its 1e-6 in the denominator."
        )

    @property
    def min_items(self) -> int:
        return max(4, self.k + 1)

    def prepare(self, x: Array) -> MaskedKernel:
        xp = array_namespace(x)
        n = x.shape[0]
        require(
            7 * n * n * xp.finfo(x.dtype).bits // 8,  # of both layers, with what comparing them takes
            f"The masked kernels of {n:,} items",
            "Use mutual_knn, which works in blocks, or fewer items.",
        )
        rows = unit_rows(about_mean(x, self.centered))
        similarity = rows @ xp.matrix_transpose(rows)
        similarity = (similarity + xp.matrix_transpose(similarity)) / 2
        eye = xp.eye(n, dtype=xp.bool, device=device(x))
        without = xp.where(eye, -xp.ones_like(similarity) * 2, similarity)  # below every cosine
        kth = top_k(without, self.k)[0][:, self.k - 1]
        tie = 8 * float(xp.finfo(x.dtype).eps)  # cosines that rounding alone tells apart are the same
        mask = xp.astype(without >= kth[:, None] - tie, x.dtype)
        return MaskedKernel(mask, mask * similarity)

    def compare(self, xs: Sequence[MaskedKernel], ys: Sequence[MaskedKernel]) -> Array:
        xp = array_namespace(*(s.mask for s in (*xs, *ys)))
        own_x, own_y = ([self._own(s) for s in side] for side in (xs, ys))
        rows = [
            xp.stack([_masked_hsic(x, y) / (ox**0.5 * oy**0.5) for y, oy in zip(ys, own_y, strict=True)])
            for x, ox in zip(xs, own_x, strict=True)
        ]
        return xp.stack(rows)

    def neighbors(self, state: MaskedKernel, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        masked = np.where(to_numpy(state.mask) > 0, to_numpy(state.values), -np.inf)
        return np.argsort(-masked, axis=1, kind="stable")[:, : min(count, self.k)]

    @property
    def contribution(self) -> str:
        return "n times what the item's shared neighbours, either way, add to h(x, y), over √(h(x, x) h(y, y))"

    def contributions(self, xs: Sequence[MaskedKernel], ys: Sequence[MaskedKernel]) -> np.ndarray[Any, Any]:
        def pair(x: MaskedKernel, y: MaskedKernel) -> Array:
            return _masked_items(x, y) * (x.mask.shape[0] / (self._own(x) ** 0.5 * self._own(y) ** 0.5))

        return over_pairs(pair, xs, ys)

    def permute(self, state: MaskedKernel, order: np.ndarray[Any, Any]) -> MaskedKernel:
        turn = array_namespace(state.mask).matrix_transpose
        mask, values = (turn(take_rows(turn(take_rows(m, order)), order)) for m in (state.mask, state.values))
        return MaskedKernel(mask, values, dict(state.cache))

    def _own(self, state: MaskedKernel) -> Array:
        if "self" not in state.cache:
            own = _masked_hsic(state, state)
            if number(own) <= 0:
                raise InputError(
                    f"The unbiased HSIC of a layer with itself on its {self.k} nearest neighbours is not positive, as "
                    "where its items are equally similar, so CKNNA is not defined there. Choose a larger k, or "
                    "mutual_knn, which has no such denominator."
                )
            state.cache["self"] = own
        return state.cache["self"]


@dataclasses.dataclass(frozen=True)
class MaskedKernel:
    """Neighbour mask (n, n), the similarities on it, and what was computed from them before."""

    mask: Array
    values: Array
    cache: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)


def _masked_hsic(x: MaskedKernel, y: MaskedKernel) -> Array:
    """Song et al. (2012), eq. 5, times n (n - 3), of two kernels on the intersection of their masks."""
    n = x.mask.shape[0]
    xp = array_namespace(x.mask, y.mask)
    left, right = x.values * y.mask, y.values * x.mask
    columns, rows = xp.sum(left, axis=0, dtype=xp.float64), xp.sum(right, axis=1, dtype=xp.float64)
    both = xp.sum(left * xp.matrix_transpose(right), dtype=xp.float64)
    return both + xp.sum(columns) * xp.sum(rows) / ((n - 1) * (n - 2)) - 2 * xp.sum(columns * rows) / (n - 2)


def _masked_items(x: MaskedKernel, y: MaskedKernel) -> Array:
    """What each item adds to `_masked_hsic`, (n,): its edges, half of each end, less what its level explains."""
    n = x.mask.shape[0]
    xp = array_namespace(x.mask, y.mask)
    left, right = x.values * y.mask, y.values * x.mask
    columns, rows = xp.sum(left, axis=0, dtype=xp.float64), xp.sum(right, axis=1, dtype=xp.float64)
    both = left * xp.matrix_transpose(right)
    edges = (xp.sum(both, axis=0, dtype=xp.float64) + xp.sum(both, axis=1, dtype=xp.float64)) / 2
    levels = (columns * xp.sum(rows) + rows * xp.sum(columns)) / (2 * (n - 1) * (n - 2))
    return edges + levels - 2 * columns * rows / (n - 2)
