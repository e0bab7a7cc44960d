"""Shape metrics: what is left to differ after the best rotation of one layer onto the other.

The nuclear norm ``|X'Y|_*`` of two centred layers is the largest inner product that a rotation (reflections included)
can give them; everything here is made of it. Layers of unequal width are compared as if the narrower were padded with
zeros.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .._arrays import Array, take_rows
from ._base import Metric, choice
from ._spectra import block, compressed, norm, nuclear_norm, wide_centred

RIGID = frozenset({"rotation", "reflection", "translation", "unit_permutation", "item_permutation"})


class Shape(NamedTuple):
    """A centred layer of unit Frobenius norm, turned into at most n features, and the norm it had."""

    unit: Array  # (n, min(n, d))
    size: Array  # 0-d
    eps: float

    def permuted(self, order: np.ndarray[Any, Any]) -> Shape:
        """The shape of the reordered items."""
        return self._replace(unit=take_rows(self.unit, order))


def _shape(x: Array) -> Shape:
    xp = array_namespace(x)
    c, scale = wide_centred(x)
    size = norm(c)
    return Shape(compressed(c / size), size * scale, float(xp.finfo(x.dtype).eps))


def _cosine(x: Shape, y: Shape) -> Array:
    xp = array_namespace(x.unit)
    return xp.clip(nuclear_norm(x.unit.T @ y.unit, max(x.eps, y.eps)), 0.0, 1.0)


def _gap(x: Shape, y: Shape) -> Array:
    """``1 - |X'Y|_*`` for unit shapes, kept to full relative precision where the two are nearly the same.

    Near zero it is half the squared residual of the fitted rotation, which rounding does not swamp.
    """
    xp = array_namespace(x.unit)
    gap = 1.0 - _cosine(x, y)
    if float(gap) > 1e-6:
        return gap
    if x.unit.shape[1] > y.unit.shape[1]:
        x, y = y, x
    u, _, vt = xp.linalg.svd(x.unit.T @ y.unit, full_matrices=False)
    residual = x.unit @ (u @ vt) - y.unit
    return xp.sum(residual * residual) / 2


@dataclasses.dataclass(frozen=True)
class Procrustes(Metric[Shape]):
    """Procrustes similarity: the cosine of two layers after the best rotation.

    ``|X'Y|_* / (|X| |Y|)`` of the centred layers. It is the normalised Bures similarity (NBS) of their Gram matrices,
    rsatoolbox's ``bures``. `procrustes_distance` has the distances made of it.
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
        return "above 0 and growing with d / n: about sqrt(d / n) for d < n independent noise features"

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
        return _shape(x)

    def compare(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> Array:
        return block(xs, ys, _cosine, array_namespace(xs[0].unit))

    def permute(self, state: Shape, order: np.ndarray[Any, Any]) -> Shape:
        return state.permuted(order)


@dataclasses.dataclass(frozen=True)
class ProcrustesDistance(Metric[Shape]):
    """Procrustes distances: 0 for layers that a rotation makes equal; lower means more alike.

    With c the score of `procrustes`:

    Args:
        kind: ``"angular"``: arccos c, in [0, π/2], a metric on shapes.
            ``"size_and_shape"``: the Frobenius norm of what the best rotation leaves, sqrt(|X|² + |Y|² - 2 |X'Y|_*),
            the only one that sees scale; also the Bures distance of the Gram matrices.
            ``"ding"``: 2 - 2c, in [0, 2] (Ding et al. 2021). ``"ding_root"``: its root, ReSi's value.
    """

    name: ClassVar[str] = "procrustes_distance"
    aliases: ClassVar[dict[str, str]] = {
        "angular_procrustes": "procrustes_distance(kind='angular')",
        "procrustes-distance=angular": "procrustes_distance(kind='angular')",
        "procrustes-distance=euclidean": "procrustes_distance(kind='size_and_shape')",
        "procrustes-distance=squared_euclidean": "procrustes_distance(kind='ding')",
        "orthogonal_procrustes": "procrustes_distance(kind='ding')",
        "bures_distance": "procrustes_distance(kind='size_and_shape')",
    }
    shown: ClassVar[tuple[str, ...]] = ("kind",)
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
            "Kendall (1984), Williams et al. (2021), eq. 8 ('angular', netrep with alpha=1); Ding et al. (2021), "
            "eq. 2 ('ding', "
            "which ReSi returns rooted)."
        )

    def prepare(self, x: Array) -> Shape:
        return _shape(x)

    def compare(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].unit))

    def permute(self, state: Shape, order: np.ndarray[Any, Any]) -> Shape:
        return state.permuted(order)

    def _pair(self, x: Shape, y: Shape) -> Array:
        xp = array_namespace(x.unit)
        gap = _gap(x, y)
        if self.kind == "ding":
            return 2 * gap
        if self.kind == "ding_root":
            return xp.sqrt(2 * gap)
        if self.kind == "angular":
            return 2 * xp.asin(xp.sqrt(gap / 2))  # arccos(1 - gap), without its loss of digits near 1
        return xp.sqrt((x.size - y.size) ** 2 + 2 * gap * x.size * y.size)
