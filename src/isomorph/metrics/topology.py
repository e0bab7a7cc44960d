"""Multi-scale shape of the item clouds: heat on neighbour graphs (IMD) and persistent homology (RTD)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, take_rows, to_numpy
from .._core.memory import require
from ..errors import InputError
from ..nulls import Null
from ._base import Metric
from ._engines.neighbors.graphs import nearest
from ._engines.spectra.axes import block, wide_centered
from ._engines.topology.cross_barcode import cross_barcodes
from .distance_correlation import euclidean_distances

TIMES = np.logspace(-1, 1, 256)
RIGID = frozenset({"rotation", "reflection", "isotropic_scale", "translation", "unit_permutation", "item_permutation"})


class HeatTrace(NamedTuple):
    """The heat kernel trace of a layer's neighbour graph over `TIMES`, per item."""

    trace: Array
    n: int


@dataclasses.dataclass(frozen=True)
class IMD(Metric[HeatTrace]):
    """Intrinsic multi-scale distance: how differently heat spreads on the neighbour graphs of two layers.

    ``max_t exp(-2 (t + 1/t)) |h_x(t) - h_y(t)|`` over 256 times t between 0.1 and 10, where h is the trace of
    ``exp(-t L)`` per item and L the normalised Laplacian of the graph that joins items if either is among the other's k
    nearest (Euclidean; tied items share their places, and an edge weighs as much as its share). Lower is more alike;
    the pairing of the items plays no part.

    Args:
        k: Number of neighbours.

    Formula:
        max_t e^(-2 (t + 1/t)) |h_x(t) - h_y(t)|,
        h(t) = tr(e^(-t L)) / n, L the normalised Laplacian of the k-neighbour graph

    Cost:
        O(n² d) and the eigenvalues of an n x n matrix a layer, O(n³); a pair O(1).

    Misleads:
        The pairing of the items plays no part: unrelated layers of like shape score 0, so it cannot show alignment. The
        weight keeps all distances below e⁻⁴ = 0.018 and most far below; only comparisons at equal n and k mean
        something.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> turns = np.linspace(0, 2 * np.pi, 100, endpoint=False)
        >>> ring, noise = np.c_[np.cos(turns), np.sin(turns)], np.random.default_rng(0).normal(size=(100, 2))
        >>> others = {"stretched": 3 * ring, "a path": np.c_[turns, turns], "unrelated": noise}
        >>> {name: round(iso.metric("imd_distance")(ring, y), 5) for name, y in others.items()}
        {'stretched': 0.0, 'a path': 1e-05, 'unrelated': 0.00015}
    """

    name: ClassVar[str] = "imd_distance"
    aliases: ClassVar[dict[str, str]] = {"imd": "imd_distance", "imd_score": "imd_distance"}
    shown: ClassVar[tuple[str, ...]] = ("k",)
    k: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise InputError(f"imd_distance: k={self.k!r} must be a whole number, at least 1.")

    @property
    def distance(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.exp(-4)

    @property
    def bound(self) -> str:
        return "the heat traces of neighbour graphs of the same size differ little"

    @property
    def invariances(self) -> frozenset[str]:
        return RIGID

    @property
    def min_items(self) -> int:
        return self.k + 2

    @property
    def chance(self) -> str:
        return "the score itself: the pairing of the items plays no part"

    @property
    def reference(self) -> str:
        return (
            "Tsitsulin et al. (2020), 'The shape of data: intrinsic distance for data distributions', with all "
            "eigenvalues "
            "instead of a stochastic Lanczos estimate, so the same number every time, in O(n³) a layer."
        )

    def prepare(self, x: Array) -> HeatTrace:
        n = x.shape[0]
        require(6 * 8 * n * n, f"The Laplacian of {n:,} items", "Use fewer items: its spectrum takes O(n³).")
        c, _ = wide_centered(x)
        graph = nearest(c, self.k, "euclidean")
        joined = np.zeros((n, n))
        joined[graph.source, graph.target] = graph.weights
        joined = joined + joined.T - joined * joined.T  # either way, where tied items share their places
        root = 1 / np.sqrt(joined.sum(axis=1))
        eigenvalues = np.linalg.eigvalsh(np.eye(n) - root[:, None] * joined * root[None, :])
        trace = np.exp(-TIMES[:, None] * np.clip(eigenvalues, 0.0, 2.0)[None, :]).mean(axis=1)
        return HeatTrace(array_namespace(x).asarray(trace, device=device(x)), n)

    def compare(self, xs: Sequence[HeatTrace], ys: Sequence[HeatTrace]) -> Array:
        xp = array_namespace(xs[0].trace)
        weight = xp.asarray(np.exp(-2 * (TIMES + 1 / TIMES)), device=device(xs[0].trace))
        return block(xs, ys, lambda x, y: xp.max(weight * xp.abs(x.trace - y.trace)), xp)

    def permute(self, state: HeatTrace, order: np.ndarray[Any, Any]) -> HeatTrace:
        del order  # the spectrum does not see it
        return state

    def null_moments(self, xs: Sequence[HeatTrace], ys: Sequence[HeatTrace]) -> Null:
        score = to_numpy(self.compare(xs, ys))
        zero = np.zeros_like(score)
        return Null(score, zero, zero, True, xs[0].n, "the pairing plays no part")


@dataclasses.dataclass(frozen=True)
class RTD(Metric[Array]):
    """Representation topology divergence: loops and clusters that one cloud of items has and the other has not.

    The total length of the one-dimensional bars of the R-Cross-Barcode of two distance matrices over the same items,
    the mean of both directions; 0 for equal clouds. Distances are in units of their 0.9 quantile over pairs. All items
    take part, in double precision, where the authors average over random batches.

    Formula:
        (b(D_x, D_y) + b(D_y, D_x)) / 2,
        b(D, E) the total length of the 1-dimensional bars of the R-Cross-Barcode of D and E

    Cost:
        n² numbers a layer; a pair mostly O(n² log n) to O(n³) short steps: less than a second for both directions and
        1000 items, some seconds if a loop stays open. No exact null, so each sampled permutation costs that again.

    Misleads:
        A sum over bars: many short bars of noise weigh like one real loop, and the sum grows with n. It is not
        normalised, so only pairs at equal n compare. Clouds of like topology are near each other wherever their items
        lie along a common loop or cluster.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("rtd_distance")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 6.79, 'unrelated': 9.59}
    """

    name: ClassVar[str] = "rtd_distance"
    aliases: ClassVar[dict[str, str]] = {"rtd": "rtd_distance"}

    @property
    def distance(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.inf

    @property
    def invariances(self) -> frozenset[str]:
        return RIGID

    @property
    def chance(self) -> str:
        return "depends on both clouds; sampled"

    @property
    def reference(self) -> str:
        return (
            "Barannikov et al. (2022), 'Representation topology divergence: a method for comparing neural network "
            "representations', on all items instead of random batches."
        )

    def prepare(self, x: Array) -> Array:
        n = x.shape[0]
        require(
            100 * n * n,  # what is kept of each pair of items
            f"The barcode of {n:,} items",
            "Use fewer items: some thousand are practical.",
        )
        c, _ = wide_centered(x)
        d = euclidean_distances(c)
        pairs = to_numpy(d)[np.triu_indices(c.shape[0], 1)]
        unit = float(np.quantile(pairs, 0.9))
        if unit == 0.0:
            raise InputError(
                "rtd_distance is not defined here: nine tenths of the pairs of items are at the same place."
            )
        return d / unit

    def compare(self, xs: Sequence[Array], ys: Sequence[Array]) -> Array:
        scores = np.array([[divergence(a, b) for b in map(to_numpy, ys)] for a in map(to_numpy, xs)])
        return array_namespace(xs[0]).asarray(scores, device=device(xs[0]))

    def permute(self, state: Array, order: np.ndarray[Any, Any]) -> Array:
        return take_rows(take_rows(state, order).T, order).T


def divergence(w: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """Total length of the bars of both R-Cross-Barcodes of two distance matrices, halved."""
    return sum(float(np.sum(bars[:, 1] - bars[:, 0])) for bars in cross_barcodes(w, other)) / 2
