"""Units in another order: how alike layers are after the best one-to-one reordering of units, in their own sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import scipy
from array_api_compat import array_namespace, device

from .._core.arrays import Array, take_rows, to_numpy
from ._base import Metric
from ._engines.spectra.axes import norm, wide_centered
from .matching import UNITS


@dataclasses.dataclass(frozen=True)
class PermutationProcrustes(Metric[Array]):
    """Procrustes similarity under permutations: the cosine of two layers after the best reordering of units.

    What `procrustes` is for rotations, for one-to-one assignments of units alone: units keep their sizes, so that loud
    ones decide, where `unit_matching` counts every unit alike. Narrower layers are padded with zeros.

    Formula:
        max over one-to-one matchings π of Σ_i ⟨x_i, y_π(i)⟩ / (‖Xc‖ ‖Yc‖), x_i and y_j the centred units

    Cost:
        O(n d1 d2) and an assignment of about O(d³) a pair, on the host; no exact null, so a sampled permutation costs
        what a pair does.

    Misleads:
        A rotation of one layer, which no linear readout notices, destroys it. Units of great variance decide: two
        layers that share one loud unit are alike whatever the others do. It is the best of many matchings, so that
        unrelated layers score above 0, the more so the wider they are for their items.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> others = {"units shuffled": x[:, ::-1], "half noise": (x + noise)[:, ::-1], "unrelated": noise}
        >>> {name: round(iso.metric("permutation_procrustes")(x, y), 2) for name, y in others.items()}
        {'units shuffled': 1.0, 'half noise': 0.74, 'unrelated': 0.1}
    """

    name: ClassVar[str] = "permutation_procrustes"
    aliases: ClassVar[dict[str, str]] = {"permutation_metric-score": "permutation_procrustes"}

    @property
    def range(self) -> tuple[float, float]:
        return -1.0, 1.0

    @property
    def identity(self) -> float | None:
        return 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return UNITS

    @property
    def chance(self) -> str:
        return "above 0: about sqrt(2 log(d) / n) for d independent units a side of one size; sampled"

    @property
    def reference(self) -> str:
        return (
            "Williams et al. (2021), netrep's PermutationMetric, whose distances are those of `score_distance`; ReSi's "
            "PermutationProcrustes is the Euclidean distance of layers scaled to norm one."
        )

    def prepare(self, x: Array) -> Array:
        c, _ = wide_centered(x)
        return c / norm(c)

    def compare(self, xs: Sequence[Array], ys: Sequence[Array]) -> Array:
        scores = np.array([[_total(to_numpy(x.T @ y)) for y in ys] for x in xs])
        return array_namespace(xs[0]).asarray(scores, device=device(xs[0]))

    def permute(self, state: Array, order: np.ndarray[Any, Any]) -> Array:
        return take_rows(state, order)


def _total(c: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    rows, columns = scipy.optimize.linear_sum_assignment(c, maximize=True)
    return float(np.clip(c[rows, columns].sum(), -1.0, 1.0))
