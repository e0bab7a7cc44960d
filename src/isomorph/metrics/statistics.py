"""Statistics of one representation, and the distance between two by such a statistic.

Each function takes the features of one layer and returns a float. None looks at how the items of two layers are
paired, so a distance of such statistics can say that two layers differ, never that they agree on any item.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy
from array_api_compat import array_namespace, device

from .._core.arrays import Array, as_features, to_numpy
from .._core.linalg import gathered, nearest_others, number, unit_rows
from .._core.memory import block_bytes
from ..errors import InputError
from ..nulls import Null
from ._base import NO_DIRECTION, NOTHING_VARIES, Metric, choice
from ._engines.neighbors.graphs import nearest
from ._engines.spectra.axes import block, compressed, principal_axes, wide_centered

Floats = np.ndarray[Any, np.dtype[np.float64]]
BLOCK = 2048  # rows of a similarity matrix held at a time, at the most


def participation_ratio(x: Any) -> float:
    """How many principal components carry the variance: (Σλ)² / Σλ², λ the eigenvalues of the covariance.

    Between 1 and min(n - 1, d). Gao et al. (2017).

    Args:
        x: Features (n_items, n_features).

    Raises:
        InputError: if `x` is not a representation or is constant.
    """
    c, _ = wide_centered(as_features(x, min_items=2))
    c = compressed(c)
    xp = array_namespace(c)
    gram = c.T @ c
    return number(xp.sum(c * c) ** 2 / xp.sum(gram * gram))


def effective_rank(x: Any) -> float:
    """How many directions a layer uses: the exponential of the entropy of its singular values as shares of their sum.

    Roy and Vetterli (2007); RankMe is the same without centring.
    Between 1 and min(n - 1, d).

    Args:
        x: Features (n_items, n_features).

    Raises:
        InputError: if `x` is not a representation or is constant.
    """
    s = principal_axes(as_features(x, min_items=2)).s
    xp = array_namespace(s)
    p = s / xp.sum(s)
    return math.exp(number(-xp.sum(p * xp.log(p))))


def twonn_dimension(x: Any, *, estimator: str = "maximum_likelihood") -> float:
    """Intrinsic dimension from the ratio of the distances to the second and first neighbour (TwoNN).

    The ratios are taken as independent with density d / μ^(d+1) (Facco et al. 2017, whose own estimate fits a line to
    their cumulative distribution and agrees for large n).

    Args:
        x: Features (n_items, n_features).
        estimator: ``"maximum_likelihood"``: n / Σ log(r_2 / r_1), `gride_dimension` at scale 1; on average n / (n - 1)
            times too high. ``"unbiased"``: (n - 1) / Σ log(r_2 / r_1) (Denti et al. 2022).

    Raises:
        InputError: if `x` is not a representation, has fewer than 4 items, or has items that are the same, or if the
            estimator is not known.
    """
    choice("twonn_dimension", "estimator", estimator, ("maximum_likelihood", "unbiased"))
    x = as_features(x, min_items=4)
    most_likely = gride_dimension(x, scale=1)
    return most_likely if estimator == "maximum_likelihood" else most_likely * (x.shape[0] - 1) / x.shape[0]


def gride_dimension(x: Any, *, scale: int = 2) -> float:
    """Intrinsic dimension from the ratio of the distances to neighbours 2·scale and scale (GRIDE).

    The maximum-likelihood estimate of Denti et al. (2022): the ratio μ has density proportional to
    ``d (μ^d - 1)^(n2-n1-1) / μ^((n2-1)d+1)`` with n1 = scale, n2 = 2·scale. Larger scales are less sensitive to noise.

    Args:
        x: Features (n_items, n_features).
        scale: Rank of the nearer neighbour.

    Raises:
        InputError: if `x` is not a representation, has too few items, or has items that are the same.
    """
    if not isinstance(scale, int) or scale < 1:
        raise InputError(f"gride_dimension: scale={scale!r} must be a whole number, at least 1.")
    r = neighbor_distances(as_features(x, min_items=2 * scale + 2), 2 * scale)
    near, far = r[:, scale - 1], r[:, 2 * scale - 1]
    same = int(np.sum(near <= 1e-7 * np.median(far)))
    if same:
        raise InputError(
            f"{same} items have {scale} or more others at the same place, so the ratio of neighbour distances is not "
            "defined. Leave the copies out first."
        )
    log_mu = np.log(far / near)
    if not np.any(log_mu > 0):
        raise InputError("All items are equally far from their neighbours: the intrinsic dimension is not defined.")
    if scale == 1:
        return float(len(log_mu) / log_mu.sum())
    return _gride(log_mu[log_mu > 0], scale)


def _gride(log_mu: Floats, scale: int) -> float:
    """Root of the score function, which falls monotonically in d."""

    def slope(log_d: float) -> float:
        d = math.exp(log_d)
        grown = -np.expm1(-d * log_mu)
        return float(len(log_mu) / d + (scale - 1) * np.sum(log_mu / grown) - (2 * scale - 1) * np.sum(log_mu))

    return math.exp(scipy.optimize.brentq(slope, math.log(1e-6), math.log(1e9), xtol=1e-13))


def uniformity(x: Any, *, t: float = 2.0) -> float:
    """Log of the mean Gaussian potential of all pairs of items on the unit sphere; lower is more uniform.

    ``log mean_{i<j} exp(-t |u_i - u_j|²)``, at most 0. Wang and Isola (2020). ReSi leaves rows at their length and
    counts every item with itself.

    Args:
        x: Features (n_items, n_features).
        t: Sharpness of the potential.

    Raises:
        InputError: if `x` is not a representation or has a zero row.
    """
    u = _unit(as_features(x, min_items=2))
    xp, n = array_namespace(u), u.shape[0]
    total = 0.0
    step = _step(n)
    for s in range(0, n, step):
        rows = u[s : min(n, s + step), :]
        total += number(xp.sum(xp.exp(-2 * t * (1 - xp.clip(rows @ u.T, -1.0, 1.0)))))
    return math.log((total - n) / (n * (n - 1)))


def anisotropy(x: Any) -> float:
    """Mean cosine similarity of two different items, not centred: Ethayarajh (2019). In [-1 / (n - 1), 1].

    Args:
        x: Features (n_items, n_features).

    Raises:
        InputError: if `x` is not a representation or has a zero row.
    """
    u = _unit(as_features(x, min_items=2))
    xp, n = array_namespace(u), int(u.shape[0])
    total = number(xp.sum(xp.sum(u, axis=0) ** 2))
    return (total - n) / (n * (n - 1))


def concentricity(x: Any) -> float:
    """Mean cosine similarity of the items to their mean: Wang et al. (2022), as in ReSi. In [0, 1] up to rounding.

    Args:
        x: Features (n_items, n_features).

    Raises:
        InputError: if `x` is not a representation, has a zero row, or its mean is zero.
    """
    x = as_features(x, min_items=2)
    xp = array_namespace(x)
    u, wide = _unit(x), xp.astype(x, xp.float64)
    wide = wide / xp.max(xp.abs(wide))
    mean = xp.mean(wide, axis=0)
    length = number(xp.sqrt(xp.sum(mean * mean)))
    if length <= 4 * float(xp.finfo(x.dtype).eps):
        raise InputError("The mean of the items is zero, so no item has an angle to it: concentricity is not defined.")
    return number(xp.mean(u @ (mean / length)))


def magnitude(x: Any) -> float:
    """Length of the mean of the items, as in ReSi's magnitude difference.

    Args:
        x: Features (n_items, n_features).

    Raises:
        InputError: if `x` is not a representation.
    """
    x = as_features(x)
    xp = array_namespace(x)
    wide = xp.astype(x, xp.float64)
    largest = number(xp.max(xp.abs(wide)))
    if largest == 0:
        return 0.0
    mean = xp.mean(wide / largest, axis=0)
    length = number(xp.sqrt(xp.sum(mean * mean)))
    return largest * length


def hubness(x: Any, *, k: int = 10) -> float:
    """Skewness of how often an item is among the k nearest neighbours (cosine) of the others.

    Near 0 without hubs; large where a few items are everybody's neighbours. Radovanović et al. (2010). Tied items share
    their places, as in `mutual_knn`.

    Args:
        x: Features (n_items, n_features).
        k: Number of neighbours.

    Raises:
        InputError: if `x` is not a representation, has fewer than k + 2 items, or has a zero row.
    """
    if not isinstance(k, int) or k < 1:
        raise InputError(f"hubness: k={k!r} must be a whole number, at least 1.")
    graph = nearest(as_features(x, min_items=k + 2), k, "cosine")
    counts = np.bincount(graph.target, graph.weights, minlength=graph.n)
    spread = counts.std()
    return float(np.mean((counts - k) ** 3) / spread**3) if spread > 1e-9 * k else 0.0


def neighbor_distances(x: Array, k: int) -> Floats:
    """Euclidean distances (n, k) of every item to its k nearest others, nearest first, recomputed from differences."""
    c, scale = wide_centered(x)
    c = gathered(c)
    xp, n = array_namespace(c), c.shape[0]
    out = np.empty((n, k))
    nearest = nearest_others(c, k, euclidean=True)
    for s in range(0, n, BLOCK):
        stop = min(n, s + BLOCK)
        for j in range(k):
            other = xp.take(c, xp.asarray(nearest[s:stop, j], device=device(c)), axis=0)
            out[s:stop, j] = to_numpy(xp.sqrt(xp.sum((c[s:stop, :] - other) ** 2, axis=1)))
    return np.sort(out, axis=1) * scale


def _step(n: int) -> int:
    """Rows of a similarity matrix held at a time."""
    return max(1, block_bytes(8 * n * BLOCK) // (8 * n))


def _unit(x: Array) -> Array:
    xp = array_namespace(x)
    return unit_rows(xp.astype(x, xp.float64))


# ---- the distance of two layers by one of these ---------------------------------------------------------------------


class Value(NamedTuple):
    """The statistic of one layer, 0-d where the layer lives, and its number of items."""

    value: Array
    n: int


class Statistic(NamedTuple):
    """What `StatisticDistance` needs to know of a statistic."""

    of: Callable[[Any], float]
    invariances: tuple[str, ...]
    min_items: int = 3
    refuses: Mapping[str, str] = NOTHING_VARIES


_COPIES = ("zero items", "many equal items", "two values", "one-hot labels")
_COINCIDE = NOTHING_VARIES | dict.fromkeys(
    ("equidistant items", *_COPIES), "the ratio of an item's distances to its neighbours is 0/0 or always 1"
)
_NO_MEAN = {"uncorrelated features": "the mean of centred items is zero, so none has an angle to it"}

RIGID = ("rotation", "reflection", "unit_permutation")
STATISTICS: dict[str, Statistic] = {
    "participation_ratio": Statistic(participation_ratio, (*RIGID, "translation", "isotropic_scale")),
    "effective_rank": Statistic(effective_rank, (*RIGID, "translation", "isotropic_scale")),
    "twonn_dimension": Statistic(
        twonn_dimension,
        (*RIGID, "translation", "isotropic_scale"),
        4,
        _COINCIDE | {"items equal in twos": "the nearest neighbour of every item is its copy, at distance 0"},
    ),
    "gride_dimension": Statistic(gride_dimension, (*RIGID, "translation", "isotropic_scale"), 6, _COINCIDE),
    "uniformity": Statistic(uniformity, (*RIGID, "isotropic_scale"), refuses=NO_DIRECTION),
    "anisotropy": Statistic(anisotropy, (*RIGID, "isotropic_scale"), refuses=NO_DIRECTION),
    "concentricity": Statistic(concentricity, (*RIGID, "isotropic_scale"), refuses=NO_DIRECTION | _NO_MEAN),
    "magnitude": Statistic(magnitude, RIGID, refuses={}),
    "hubness": Statistic(hubness, (*RIGID, "isotropic_scale"), 12, NO_DIRECTION),
}


@dataclasses.dataclass(frozen=True)
class StatisticDistance(Metric[Value]):
    """Absolute difference of a statistic that each layer has by itself; lower is more alike.

    The pairing of the items plays no part, so re-pairing them changes nothing and no p-value can be had.

    Args:
        statistic: Name of a function of this module, at its default parameters.

    Formula:
        |s(x) - s(y)|, s one of
        participation_ratio: (Σλ)² / Σλ², λ the eigenvalues of the covariance
        effective_rank: exp(-Σ p log p), p = σ / Σσ, σ the singular values of the centred layer
        twonn_dimension, gride_dimension: maximum likelihood from the ratios of distances to neighbours 2 and 1, 4 and 2
        uniformity: log of the mean over pairs of exp(-2 ‖u_i - u_j‖²), u = x / ‖x‖
        anisotropy: mean over pairs of cos(x_i, x_j)
        concentricity: mean over items of cos(x_i, x̄), x̄ the mean of the items
        magnitude: ‖x̄‖
        hubness: skewness over items of how often one is among the 10 nearest of another

    Cost:
        That of the statistic, once a layer: O(n² d) for neighbours and cosines, O(n d min(n, d)) for spectra. A pair
        O(1).

    Misleads:
        Two layers with nothing in common may have the same statistic, so a distance of 0 is no evidence of alignment;
        only a large one says something, namely that the layers differ. Estimates of dimension depend on n, so compare
        at equal n.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": x + noise, "half as wide": x[:, :4]}
        >>> {name: round(iso.metric("statistic_distance")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 0.04, 'half as wide': 3.44}
    """

    name: ClassVar[str] = "statistic_distance"
    aliases: ClassVar[dict[str, str]] = {
        "magnitude_difference": "statistic_distance(statistic='magnitude')",
        "concentricity_difference": "statistic_distance(statistic='concentricity')",
    }
    shown: ClassVar[tuple[str, ...]] = ("statistic",)
    variants: ClassVar[tuple[str, ...]] = tuple(f"statistic_distance(statistic={s!r})" for s in STATISTICS)
    statistic: str = "participation_ratio"

    def __post_init__(self) -> None:
        choice("statistic_distance", "statistic", self.statistic, tuple(STATISTICS))

    @property
    def distance(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.inf

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({*STATISTICS[self.statistic].invariances, "item_permutation"})

    @property
    def min_items(self) -> int:
        return STATISTICS[self.statistic].min_items

    @property
    def refuses(self) -> Mapping[str, str]:
        return STATISTICS[self.statistic].refuses

    @property
    def chance(self) -> str:
        return "the score itself: the pairing of the items plays no part"

    @property
    def reference(self) -> str:
        return f"{self.statistic}: see isomorph.metrics.statistics.{self.statistic}; differences as in ReSi (2024)."

    def prepare(self, x: Array) -> Value:
        xp = array_namespace(x)
        value = STATISTICS[self.statistic].of(x)
        return Value(xp.asarray(value, dtype=xp.float64, device=device(x)), x.shape[0])

    def compare(self, xs: Sequence[Value], ys: Sequence[Value]) -> Array:
        xp = array_namespace(xs[0].value)
        return block(xs, ys, lambda x, y: xp.abs(x.value - y.value), xp)

    def permute(self, state: Value, order: np.ndarray[Any, Any]) -> Value:
        del order  # the statistic does not see it
        return state

    def null_moments(self, xs: Sequence[Value], ys: Sequence[Value]) -> Null:
        score = to_numpy(self.compare(xs, ys))
        zero = np.zeros_like(score)
        return Null(score, zero, zero, True, xs[0].n, "the pairing plays no part")
