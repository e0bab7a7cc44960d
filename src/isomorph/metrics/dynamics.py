"""Dynamical similarity: do two layers change in time alike, whatever their states look like?

Items are time points in order. Each layer becomes the linear operator that carries its delay-embedded state to the
next, and two operators are compared up to a change of coordinates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import scipy
from array_api_compat import array_namespace, device

from .._core.arrays import Array, take_rows
from ..errors import InputError
from ._base import NOTHING_VARIES, Metric, choice
from ._engines.dynamics.operators import Floats, series_operator
from ._engines.dynamics.similarity import best_overlaps
from .shape import RIGID

KINDS = ("angular", "euclidean", "spectrum")
_ONE = 1e-13  # below one that the cosine of operators that are equal up to rounding may lie
_BATCH = 64  # pairs of operators that are climbed at once


class Dynamics(NamedTuple):
    """A layer's features (n, d) as they came, and its operator (rank, rank)."""

    features: Array
    operator: Floats


@dataclasses.dataclass(frozen=True)
class DynamicalSimilarity(Metric[Dynamics]):
    """Dynamical similarity analysis (DSA): how far the dynamics of two layers are from each other.

    Items are time points, in order, of one series or of several of the same length. A state is `delays` time points one
    after the other, reduced to its leading axes, each scaled to unit variance; least squares give the operator A that
    takes a state to the next (HAVOK). Two operators are compared after the orthogonal change of coordinates that brings
    them nearest, so rotated, rescaled and permuted features change nothing; which state occurs when does not count.

    Args:
        delays: How many time points one after the other make a state; 1 is the features alone.
        rank: How many axes of the delayed series are kept.
        series: How many time points each series has; None: all items are one series.
        kind: ``"angular"``: the angle between the operators, in [0, π]. ``"euclidean"``: the Frobenius norm of their
            difference. ``"spectrum"``: no change of coordinates is sought and the eigenvalues are matched one to one:
            the root of their summed squared distances, which any invertible change of coordinates leaves as it is.

    Raises:
        InputError: if an argument does not fit, or the items are not whole series.

    Formula:
        angular: min over orthogonal C of arccos ⟨A, C'BC⟩ / (‖A‖ ‖B‖); euclidean: min over C of ‖A - C'BC‖
        spectrum: √(min over matchings π of Σ_i |λ_i - μ_π(i)|²), λ and μ the eigenvalues of A and B

    Cost:
        The SVD of the delayed series a layer, O(n (delays · min(n, d))²). A pair climbs from some ten starts on the
        host: 2 ms at rank 3, 20 ms at 5, 0.2 s at 8; a spectrum less than 1 ms. No exact null, and a sampled
        permutation makes the operator anew.

    Misleads:
        Above order two the change of coordinates found may not be the best, so the distance is an upper bound. Rank and
        delays decide: too few miss modes, too many fit noise. Permuting time points asks whether there are dynamics at
        all, which any smooth series answers; whether two layers share them is to be read from the distances between
        layers known to be alike or not. The spectrum says nothing of how modes are coupled.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> def series(turn, decay, coordinates):
        ...     a, x = decay * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]), [np.ones(2)]
        ...     for _ in range(199):
        ...         x.append(a @ x[-1] + 0.1 * rng.normal(size=2))
        ...     return np.array(x) @ coordinates
        >>> slow, fast = series(0.2, 0.95, rng.normal(size=(2, 5))), series(1.5, 0.95, rng.normal(size=(2, 3)))
        >>> others = {"rotated": slow[:, ::-1], "again": series(0.2, 0.95, rng.normal(size=(2, 4))), "faster": fast}
        >>> {name: round(iso.metric("dsa_distance(delays=1, rank=2)")(slow, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'again': 0.04, 'faster': 1.26}
    """

    name: ClassVar[str] = "dsa_distance"
    aliases: ClassVar[dict[str, str]] = {"dsa": "dsa_distance", "dynamical_similarity": "dsa_distance"}
    shown: ClassVar[tuple[str, ...]] = ("delays", "rank", "kind")
    variants: ClassVar[tuple[str, ...]] = (
        "dsa_distance(delays=2, rank=2)",
        "dsa_distance(delays=1, rank=2, kind='euclidean')",
        "dsa_distance(delays=3, rank=3, kind='spectrum')",
    )
    delays: int = 5
    rank: int = 3
    series: int | None = None
    kind: Literal["angular", "euclidean", "spectrum"] = "angular"

    def __post_init__(self) -> None:
        choice("dsa_distance", "kind", self.kind, KINDS)
        for name, value in (("delays", self.delays), ("rank", self.rank)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"dsa_distance: {name}={value!r} must be a whole number, at least 1.")
        least = self.delays + 1
        if self.series is not None and (not isinstance(self.series, int) or self.series < least):
            raise InputError(
                f"dsa_distance: series={self.series!r} must be the number of time points of each series, at least "
                f"{least} for delays={self.delays}, or None for one series."
            )

    @property
    def copies(self) -> int:
        return 7 * self.delays  # each state is so many time points

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.pi if self.kind == "angular" else math.inf

    @property
    def bound(self) -> str:
        why = "the best change of coordinates leaves an obtuse angle between nearly opposite operators only"
        return why if self.kind == "angular" else ""

    @property
    def distance(self) -> bool:
        return True

    @property
    def invariances(self) -> frozenset[str]:
        return (RIGID - {"item_permutation"}) | {"isotropic_scale"}

    @property
    def min_items(self) -> int:
        return max(self.delays + self.rank + 2, self.series or 0)

    @property
    def refuses(self) -> dict[str, str]:
        why = "axes of the delayed series hold the same variance, so which of them is kept is arbitrary"
        tied = ("equidistant items", "uncorrelated features") if self.delays == 1 else ("equidistant items",)
        return NOTHING_VARIES | dict.fromkeys(tied, why)

    @property
    def chance(self) -> str:
        return "depends on the dynamics that are left after re-pairing time points, which are those of noise; sampled"

    @property
    def reference(self) -> str:
        return (
            "Ostrow, Eisen, Kozachkov and Fiete (2023), 'Beyond geometry: comparing the temporal structure of "
            "computation in neural circuits with dynamical similarity analysis', on the operator of whitened "
            "coordinates (A_v) that their package DSA compares. It climbs by Adam from one start for each determinant; "
            "we by Newton steps from several. The spectrum is the root of its score_method='wasserstein' (Redman et "
            "al. 2023). We centre each layer over all time points first."
        )

    def prepare(self, x: Array) -> Dynamics:
        n, length = int(x.shape[0]), self.series or int(x.shape[0])
        if n % length:
            raise InputError(
                f"dsa_distance: {n} items are not whole series of {length} time points each. Leave out {n % length}, "
                "or give the length that all series have."
            )
        return Dynamics(x, series_operator(x, [length] * (n // length), self.delays, self.rank, self.name))

    def permute(self, state: Dynamics, order: np.ndarray[Any, Any]) -> Dynamics:
        return self.prepare(take_rows(state.features, order))

    def compare(self, xs: Sequence[Dynamics], ys: Sequence[Dynamics]) -> Array:
        x = xs[0].features
        return array_namespace(x).asarray(self._distances(xs, ys), device=device(x))

    def compare_permuted(
        self, xs: Sequence[Dynamics], ys: Sequence[Dynamics], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        step = max(1, _BATCH // (len(xs) * len(ys)))
        for begin in range(0, len(orders), step):
            moved = [self.permute(y, order) for order in orders[begin : begin + step] for y in ys]
            yield from np.split(self._distances(xs, moved), len(moved) // len(ys), axis=1)

    def _distances(self, xs: Sequence[Dynamics], ys: Sequence[Dynamics]) -> Floats:
        """Distances (len(xs), len(ys))."""
        if self.kind == "spectrum":
            modes, others = ([np.linalg.eigvals(s.operator) for s in side] for side in (xs, ys))
            return np.array([[_matched(a, b) for b in others] for a in modes])
        left, right = (np.stack([s.operator for s in side]) for side in (xs, ys))
        a, b = np.repeat(left, len(ys), axis=0), np.tile(right, (len(xs), 1, 1))
        sizes = [np.sqrt(np.sum(v * v, axis=(1, 2))) for v in (a, b)]
        found = np.concatenate([best_overlaps(a[s : s + _BATCH], b[s : s + _BATCH]) for s in range(0, len(a), _BATCH)])
        product = sizes[0] * sizes[1]
        gap = np.where(
            product > 0, 1 - found / np.where(product > 0, product, 1.0), np.where(sizes[0] == sizes[1], 0, 1)
        )
        gap = np.where(gap > _ONE, gap, 0.0)
        if self.kind == "angular":
            out = 2 * np.arcsin(np.sqrt(np.minimum(gap / 2, 1.0)))
        else:
            out = np.sqrt((sizes[0] - sizes[1]) ** 2 + 2 * gap * product)
        return np.asarray(out.reshape(len(xs), len(ys)))


def _matched(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    squared = np.abs(a[:, None] - b[None, :]) ** 2
    return math.sqrt(float(squared[scipy.optimize.linear_sum_assignment(squared)].sum()))
