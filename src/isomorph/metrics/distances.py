"""Distances made of similarity scores: the angle whose cosine a score is, and the lengths that belong to it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array, to_numpy
from ..errors import InputError
from . import REGISTRY
from ._base import Ints, Metric, choice
from ._engines.spectra.axes import norm, wide_centered

KINDS = ("angular", "chordal", "euclidean", "squared_euclidean")
_ONE = 1e-14  # below one that a score of layers that are equal up to rounding may lie
_STEMS = {
    **{
        f"cka-kernel={kernel}-hsic={theirs}": f"cka(estimator={ours!r}{more})"
        for kernel, more in (("linear", ""), ("(rbf-sigma=1.0)", ", kernel='rbf', median=None"))
        for theirs, ours in (("gretton", "biased"), ("song", "unbiased"), ("lange", "lange"))
    },
    "cca": "cca",
    "permutation_metric": "permutation_procrustes",
    "pwcca": "pwcca(weights='mean')",
    "svcca-dim=10": "svcca(variance=None, count=10)",
    "svcca-var=0.95": "svcca(variance=0.95)",
    "svcca-var=0.99": "svcca(variance=0.99)",
}
"""How similarity-repository begins the names of scores that have no distance of their own here -> the score."""


class Scored(NamedTuple):
    """A layer prepared for the metric that gives the score, and the norm of the centred features.

    Attributes:
        state: What the metric prepares.
        size: 0-d, in units of `scale`; None where no length is asked for.
        scale: The largest absolute entry of the centred features.
    """

    state: Any
    size: Array = None
    scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class ScoreDistance(Metric[Scored]):
    r"""A similarity score as a distance: the angle whose cosine it is, or a length that belongs to the angle.

    Where a score is the cosine of two vectors made of the layers, as for CKA (centred kernels), RSA's cosine (RDMs) or
    the Procrustes similarity, the angle between them is a distance that keeps the triangle inequality, which one minus
    the score does not.

    Args:
        of: Spec of the metric that gives the score c, which must be 1 for equal layers and within [-1, 1].
        kind: ``"angular"``: arccos c. ``"chordal"``: √(2 - 2c), the Euclidean distance of the vectors scaled to norm
            one. ``"euclidean"``: √(|X|² + |Y|² - 2 |X| |Y| c) with the norms of the centred features, and
            ``"squared_euclidean"`` its square: what similarity-repository means by these words for all its scores. It
            is the length left by the best fit for `procrustes` alone, since the norms of other scores' vectors are not
            those of the features.

    Raises:
        InputError: if `kind` is not known, or `of` is a distance or no score of this kind.
        UnknownNameError: if there is no metric `of`.

    Formula:
        angular: arccos c; chordal: √(2 - 2c);
        euclidean: √(|Xc|² + |Yc|² - 2 |Xc| |Yc| c); squared_euclidean: |Xc|² + |Yc|² - 2 |Xc| |Yc| c

    Cost:
        That of the metric `of`; no exact null, and a sampled permutation costs what one of that metric does.

    Misleads:
        All that misleads about the score misleads about the distance, chance levels first: unrelated layers are not at
        the far end of the range. An unbiased score below 0 gives an angle beyond π/2 by noise alone. Of scores that are
        no cosine, such as shares of neighbours, the angle is a change of scale and no distance.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> angle = iso.metric("measure/netrep/cka-kernel=linear-hsic=gretton-distance=angular")  # a peer's name
        >>> angle.spec
        'score_distance(of="cka(estimator=\'biased\')", kind=\'angular\')'
        >>> {name: round(angle(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 0.99, 'unrelated': 1.5}
    """

    name: ClassVar[str] = "score_distance"
    aliases: ClassVar[Mapping[str, str]] = {
        "angular_cka": "score_distance",
        **{
            f"{stem}-distance={kind}": f"score_distance(of={of!r}, kind={kind!r})"
            for stem, of in _STEMS.items()
            for kind in ("angular", "euclidean", "squared_euclidean")
        },
        "procrustes-distance=squared_euclidean": "score_distance(of='procrustes', kind='squared_euclidean')",
        "nbs-distance=squared_euclidean": "score_distance(of='procrustes', kind='squared_euclidean')",
    }
    shown: ClassVar[tuple[str, ...]] = ("of", "kind")
    variants: ClassVar[tuple[str, ...]] = (
        "score_distance(of='cca', kind='chordal')",
        "score_distance",
        "score_distance(of='procrustes', kind='euclidean')",
    )
    of: str = "cka(estimator='biased')"
    kind: Literal["angular", "chordal", "euclidean", "squared_euclidean"] = "angular"

    def __post_init__(self) -> None:
        choice("score_distance", "kind", self.kind, KINDS)
        base = self.base
        if base.distance or base.identity != 1.0 or not -1.0 <= base.range[0] < base.range[1] <= 1.0:
            raise InputError(
                f"score_distance: of={self.of!r} must be a similarity within [-1, 1] that is 1 for equal layers, but "
                f"{'it is a distance' if base.distance else f'its range is {base.range}'}. Use one such as 'cka', "
                "'cca' or 'procrustes'."
            )
        object.__setattr__(self, "of", base.spec)  # one spelling of one variant

    @property
    def base(self) -> Metric[Any]:
        """The metric that gives the score."""
        return REGISTRY.make(self.of)

    @property
    def _scaled(self) -> bool:
        return self.kind in ("euclidean", "squared_euclidean")

    @property
    def distance(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        furthest = math.acos(self.base.range[0])
        tops = {"angular": furthest, "chordal": 2 * math.sin(furthest / 2)}
        return 0.0, tops.get(self.kind, math.inf)

    @property
    def bound(self) -> str:
        return "" if self._scaled else self.base.bound

    @property
    def symmetric(self) -> bool:
        return self.base.symmetric

    @property
    def differentiable(self) -> bool:
        return self.base.differentiable

    @property
    def min_items(self) -> int:
        return self.base.min_items

    @property
    def reads_rdms(self) -> bool:
        return self.base.reads_rdms and not self._scaled

    @property
    def streams(self) -> bool:
        return self.base.streams and not self._scaled

    @property
    def copies(self) -> int:
        return self.base.copies

    @property
    def refuses(self) -> Mapping[str, str]:
        return self.base.refuses

    @property
    def invariances(self) -> frozenset[str]:
        rigid = frozenset({"rotation", "reflection", "translation", "unit_permutation", "item_permutation"})
        return self.base.invariances & rigid if self._scaled else self.base.invariances

    @property
    def chance(self) -> str:
        return f"near the distance that belongs to the chance level of {self.base.name}; sampled"

    @property
    def reference(self) -> str:
        return (
            "Williams et al. (2021) and Lange et al. (2023) for angles of CKA and of shapes; similarity-repository "
            "(Cloos et al. 2024), whose names distance=angular, euclidean and squared_euclidean are understood, with "
            "the norms of the features as they come where we centre them."
        )

    def prepare(self, x: Array) -> Scored:
        state = self.base.prepare(x)
        if not self._scaled:
            return Scored(state)
        c, scale = wide_centered(x)
        return Scored(state, norm(c), scale)

    def permute(self, state: Scored, order: np.ndarray[Any, Any]) -> Scored:
        return state._replace(state=self.base.permute(state.state, order))

    def neighbors(self, state: Scored, count: int) -> Ints | None:
        return self.base.neighbors(state.state, count)

    def compare(self, xs: Sequence[Scored], ys: Sequence[Scored]) -> Array:
        return self._lengths(self.base.compare(*([s.state for s in side] for side in (xs, ys))), xs, ys)

    def compare_permuted(
        self, xs: Sequence[Scored], ys: Sequence[Scored], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        left, right = ([s.state for s in side] for side in (xs, ys))
        sizes = [
            [Scored(None, None if s.size is None else to_numpy(s.size), s.scale) for s in side] for side in (xs, ys)
        ]
        for scores in self.base.compare_permuted(left, right, orders):
            yield self._lengths(np.asarray(scores, dtype=np.float64), *sizes)

    def _lengths(self, scores: Array, xs: Sequence[Scored], ys: Sequence[Scored]) -> Array:
        """The distances of scores (len(xs), len(ys))."""
        xp = array_namespace(scores)
        gap = xp.clip(1.0 - scores, 0.0, 2.0)
        gap = xp.where(gap > _ONE, gap, xp.zeros_like(gap))
        if self.kind == "angular":
            return 2 * xp.asin(xp.sqrt(gap / 2))
        if self.kind == "chordal":
            return xp.sqrt(2 * gap)
        unit = max(s.scale for s in (*xs, *ys))
        one, two = (xp.stack([s.size * (s.scale / unit) for s in side]) for side in (xs, ys))
        squared = (one[:, None] - two[None, :]) ** 2 + 2 * gap * one[:, None] * two[None, :]
        return squared * unit * unit if self.kind == "squared_euclidean" else xp.sqrt(squared) * unit
