"""Unit-level metrics: which single units of two layers answer alike, item by item.

All but the last compare units by their correlation over the items, so they see the layers' privileged axes: a rotation
of the features changes them, a permutation of the units does not. A unit that is constant on these items has no
correlation; it is left out on its side, before anything is averaged.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import scipy
from array_api_compat import array_namespace, device

from .._core.arrays import Array, as_pair, take_rows, to_numpy
from .._core.memory import require
from ..errors import InputError, MissingExtraError
from ._base import Metric, choice
from ._engines.spectra.axes import wide_centered

Floats = np.ndarray[Any, np.dtype[np.float64]]
UNITS = frozenset({"isotropic_scale", "translation", "unit_permutation", "item_permutation"})
TIE = 1e-12
"""Correlations closer than this are the same: what rounding does to units that are copies of each other."""


class Units(NamedTuple):
    """The units of a layer that vary.

    Attributes:
        z: Centred responses of unit norm (n, d_alive), float64.
        alive: Their positions among the layer's features.
    """

    z: Array
    alive: np.ndarray[Any, Any]


def live_units(x: Array, what: str = "x") -> Units:
    """Standardise the units of a layer, leaving out those that are constant to the precision of the features.

    Raises:
        InputError: if all units are constant.
    """
    xp = array_namespace(x)
    c, scale = wide_centered(x, what)
    largest = xp.max(xp.abs(c), axis=0)
    offsets = xp.astype(xp.max(xp.abs(x), axis=0), xp.float64) / scale
    alive = np.flatnonzero(to_numpy(largest > 4 * float(xp.finfo(x.dtype).eps) * offsets))
    index = xp.asarray(alive, device=device(x))
    c = xp.take(c, index, axis=1) / xp.take(largest, index)[None, :]
    return Units(c / xp.sqrt(xp.sum(c * c, axis=0))[None, :], alive)


def unit_correlations(x: Units, y: Units) -> Floats:
    """Pearson correlations (d1, d2) of all pairs of units."""
    return np.asarray(np.clip(to_numpy(x.z.T @ y.z), -1.0, 1.0), dtype=np.float64)


def _block(xs: Sequence[Units], ys: Sequence[Units], absolute: bool, pair: Callable[[Floats], float]) -> Array:
    scores = np.empty((len(xs), len(ys)))
    for i, x in enumerate(xs):
        for j, y in enumerate(ys):
            c = unit_correlations(x, y)
            scores[i, j] = pair(np.abs(c) if absolute else c)
    xp = array_namespace(xs[0].z)
    return xp.asarray(scores, device=device(xs[0].z))


@dataclasses.dataclass(frozen=True)
class _UnitMetric(Metric[Units]):
    """What the correlation-based metrics share."""

    absolute: bool = False

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.absolute else (-1.0, 1.0)

    @property
    def identity(self) -> float | None:
        return 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return UNITS

    def prepare(self, x: Array) -> Units:
        return live_units(x)

    def permute(self, state: Units, order: np.ndarray[Any, Any]) -> Units:
        return state._replace(z=take_rows(state.z, order))


@dataclasses.dataclass(frozen=True)
class UnitMatching(_UnitMetric):
    """Mean correlation of units matched one to one so that it is largest (Hungarian algorithm).

    With unequal widths every unit of the narrower layer is matched and the rest of the wider one is not counted.

    Args:
        absolute: Whether a unit may be matched to another's negative.

    Formula:
        max over one-to-one matchings π of Σ_i c_iπ(i) / min(d1, d2), c_ij the correlation of unit i of x and j of y

    Cost:
        O(n d1 d2) and an assignment of about O(d³) a pair, on the host; no exact null, so a sampled permutation costs
        what a pair does.

    Misleads:
        A rotation of one layer, which no linear readout notices, destroys it. It is a mean of maxima: with many units
        and few items unrelated layers score well above 0 (0.09 for d = 500 noise units at n = 1000). With unequal
        widths the unmatched units of the wider layer are not looked at.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> others = {"units shuffled": x[:, ::-1], "half noise": (x + noise)[:, ::-1], "unrelated": noise}
        >>> {name: round(iso.metric("unit_matching")(x, y), 2) for name, y in others.items()}
        {'units shuffled': 1.0, 'half noise': 0.73, 'unrelated': 0.1}
    """

    name: ClassVar[str] = "unit_matching"
    aliases: ClassVar[dict[str, str]] = {
        "hard_correlation_match": "unit_matching",
        "hungarian_matching": "unit_matching",
    }
    variants: ClassVar[tuple[str, ...]] = ("unit_matching", "unit_matching(absolute=True)")

    @property
    def chance(self) -> str:
        return "above 0: about sqrt(2 log(d) / n) for d independent units a side; sampled"

    @property
    def reference(self) -> str:
        return "Li et al. (2016), 'Convergent learning', bipartite matching; ReSi's hard correlation match."

    def compare(self, xs: Sequence[Units], ys: Sequence[Units]) -> Array:
        return _block(xs, ys, self.absolute, _assignment)


def _assignment(c: Floats) -> float:
    rows, columns = scipy.optimize.linear_sum_assignment(c, maximize=True)
    return float(c[rows, columns].mean())


@dataclasses.dataclass(frozen=True)
class SemiMatching(_UnitMetric):
    """Mean over units of the correlation with their best partner, which several may share.

    Args:
        direction: ``"x_to_y"``: each unit of x seeks its partner in y; ``"y_to_x"``; ``"symmetric"``: the mean of both.
        absolute: Whether a unit's partner may be another's negative.

    Formula:
        x_to_y: mean over units i of x of max_j c_ij; y_to_x: mean over j of max_i c_ij; symmetric: the mean of both

    Cost:
        O(n d1 d2) a pair; no exact null, so a sampled permutation costs what a pair does.

    Misleads:
        One unit of y may serve all units of x: many copies of one feature score high while the rest of y is matched by
        nothing; look at both directions. As for `unit_matching`, a rotation destroys it and chance grows with the
        width.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> others = {"units shuffled": x[:, ::-1], "half noise": (x + noise)[:, ::-1], "unrelated": noise}
        >>> {name: round(iso.metric("semi_matching")(x, y), 2) for name, y in others.items()}
        {'units shuffled': 1.0, 'half noise': 0.73, 'unrelated': 0.13}
    """

    name: ClassVar[str] = "semi_matching"
    aliases: ClassVar[dict[str, str]] = {"soft_correlation_match": "semi_matching(direction='symmetric')"}
    shown: ClassVar[tuple[str, ...]] = ("direction",)
    variants: ClassVar[tuple[str, ...]] = (
        "semi_matching(direction='symmetric')",
        "semi_matching(direction='x_to_y')",
        "semi_matching(direction='y_to_x', absolute=True)",
    )
    direction: Literal["symmetric", "x_to_y", "y_to_x"] = "symmetric"

    def __post_init__(self) -> None:
        choice("semi_matching", "direction", self.direction, ("symmetric", "x_to_y", "y_to_x"))

    @property
    def symmetric(self) -> bool:
        return self.direction == "symmetric"

    @property
    def chance(self) -> str:
        return "above 0: about sqrt(2 log(d) / n) for d independent units to choose from; sampled"

    @property
    def reference(self) -> str:
        return (
            "Li et al. (2016), 'Convergent learning', semi-matching; symmetrised it is ReSi's soft correlation match."
        )

    def compare(self, xs: Sequence[Units], ys: Sequence[Units]) -> Array:
        return _block(xs, ys, self.absolute, self._pair)

    def _pair(self, c: Floats) -> float:
        there, back = c.max(axis=1).mean(), c.max(axis=0).mean()
        return float({"x_to_y": there, "y_to_x": back, "symmetric": (there + back) / 2}[self.direction])


@dataclasses.dataclass(frozen=True)
class SoftMatching(_UnitMetric):
    """Largest mean correlation of units under a soft matching: optimal transport between the two sets of units.

    Every unit of a layer carries the same weight, which may be split over several partners; for equal widths the best
    plan is one to one and the score is that of `unit_matching`. The soft-matching distance of units of unit norm is
    ``sqrt(2 - 2 score)``. Unequal widths need the package POT.

    Args:
        absolute: Whether a unit may be matched to another's negative.

    Formula:
        max over plans T ≥ 0 with row sums 1/d1 and column sums 1/d2 of Σ_ij T_ij c_ij

    Cost:
        O(n d1 d2) and a transport problem of about O(d³ log d) a pair, on the host; for equal widths the assignment of
        `unit_matching`; no exact null.

    Misleads:
        All units weigh the same, so units that have no like in the other layer must be matched all the same and pull
        the score down. As for `unit_matching`, a rotation destroys it and chance grows with the width.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> others = {"units shuffled": x[:, ::-1], "half noise": (x + noise)[:, ::-1], "unrelated": noise}
        >>> {name: round(iso.metric("soft_matching")(x, y), 2) for name, y in others.items()}
        {'units shuffled': 1.0, 'half noise': 0.73, 'unrelated': 0.1}
    """

    name: ClassVar[str] = "soft_matching"
    aliases: ClassVar[dict[str, str]] = {"soft_matching_correlation": "soft_matching"}

    @property
    def chance(self) -> str:
        return "above 0: about sqrt(2 log(d) / n) for d independent units a side; sampled"

    @property
    def reference(self) -> str:
        return (
            "Khosla and Williams (2024), 'Soft matching distance: a metric on neural representations that captures "
            "single-neuron "
            "tuning', as a correlation; exact transport by POT's network simplex."
        )

    def compare(self, xs: Sequence[Units], ys: Sequence[Units]) -> Array:
        return _block(xs, ys, self.absolute, _transport)


def _transport(c: Floats) -> float:
    if c.shape[0] == c.shape[1]:
        return _assignment(c)
    ot = _pot("soft_matching between layers of unequal width")
    a, b = (np.full(d, 1.0 / d) for d in c.shape)
    plan = ot.emd(a, b, 1.0 - c, numItermax=10_000_000)
    return float(np.sum(plan * c))


def _pot(what: str) -> Any:
    try:
        import ot
    except ImportError as error:
        raise MissingExtraError(what, "POT", "matching") from error
    return ot


@dataclasses.dataclass(frozen=True)
class BestBuddies(_UnitMetric):
    """Share of units that have a best buddy: each is among the other's k best partners by correlation.

    The mean of both sides' shares. `best_buddy_pairs` lists the pairs. Partners tied with the k-th best count.

    Args:
        k: How many best partners count.
        absolute: Whether a unit's partner may be another's negative.

    Formula:
        (share of units of x in a pair of B + share of units of y in a pair of B) / 2
        B: the pairs (i, j) with c_ij among the k largest of row i and of column j

    Cost:
        O(n d1 d2) and a partial sort of the correlations a pair; no exact null.

    Misleads:
        Only the order of the correlations counts, not their size: unrelated layers score about 1/2 at k = 1. Read it
        against its null, and look at the correlations of the pairs (`best_buddy_pairs`) before calling a unit
        universal.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> others = {"units shuffled": x[:, ::-1], "half noise": (x + noise)[:, ::-1], "unrelated": noise}
        >>> {name: round(iso.metric("best_buddies")(x, y), 2) for name, y in others.items()}
        {'units shuffled': 1.0, 'half noise': 1.0, 'unrelated': 0.38}
    """

    name: ClassVar[str] = "best_buddies"
    aliases: ClassVar[dict[str, str]] = {"rosetta": "best_buddies", "mutual_best_units": "best_buddies"}
    shown: ClassVar[tuple[str, ...]] = ("k",)
    k: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise InputError(f"best_buddies: k={self.k!r} must be a whole number, at least 1.")

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def chance(self) -> str:
        return (
            "about 1/2 for k = 1 however weak the correlations: (d1 + d2) / (2 (d1 + d2 - 1)) if they are exchangeable"
        )

    @property
    def reference(self) -> str:
        return (
            "Dravid et al. (2023), 'Rosetta neurons', mutual nearest neighbours by correlation; the share of units "
            "is ours. "
            "As chance is high, look at the correlations of the pairs too."
        )

    def compare(self, xs: Sequence[Units], ys: Sequence[Units]) -> Array:
        return _block(xs, ys, self.absolute, lambda c: _buddy_share(_buddies(c, self.k)))


def _buddy_share(mutual: np.ndarray[Any, Any]) -> float:
    return float((mutual.any(axis=1).mean() + mutual.any(axis=0).mean()) / 2)


def _buddies(c: Floats, k: int) -> np.ndarray[Any, Any]:
    if k > min(c.shape):
        raise InputError(f"best_buddies: k={k} partners were asked for, but the layers have {c.shape} units that vary.")
    by_row, by_column = _kth_best(c, k), _kth_best(c.T, k)
    return np.asarray((c >= by_row[:, None] - TIE) & (c >= by_column[None, :] - TIE))


def _kth_best(c: Floats, k: int) -> Floats:
    if k == 1:
        return np.asarray(c.max(axis=1))
    return np.partition(np.ascontiguousarray(c), c.shape[1] - k, axis=1)[
        :, c.shape[1] - k
    ]  # along memory: many times faster


def best_buddy_pairs(x: Any, y: Any, *, k: int = 1, absolute: bool = False) -> list[tuple[int, int, float]]:
    """The pairs of units behind `BestBuddies`, by falling correlation.

    Args:
        x: Features (n_items, d1).
        y: Features (n_items, d2) of the same items.
        k: How many best partners count.
        absolute: Whether the absolute correlation decides; the signed one is returned.

    Returns:
        ``(unit of x, unit of y, correlation)``, units as columns of `x` and `y`.

    Raises:
        InputError: if the inputs are not two representations of the same items, all units of one are constant, or `k`
            is
            larger than the number of units.
    """
    x, y = as_pair(x, y, min_items=3)
    left, right = live_units(x), live_units(y, "y")
    c = unit_correlations(left, right)
    i, j = np.nonzero(_buddies(np.abs(c) if absolute else c, k))
    strength = np.abs(c[i, j]) if absolute else c[i, j]
    order = np.argsort(-strength, kind="stable")
    return [(int(left.alive[a]), int(right.alive[b]), float(c[a, b])) for a, b in zip(i[order], j[order], strict=True)]


@dataclasses.dataclass(frozen=True)
class GromovWasserstein(Metric[Array]):
    """Gromov-Wasserstein distance of the two clouds of items, from the known pairing on: lower is more alike.

    ``sqrt(Σ T_ik T_jl (D_x[i, j] - D_y[k, l])²)`` over Euclidean distances, with the plan T lowered from the given
    pairing by conditional gradients (POT). The problem is not convex: this is the nearest local optimum to the pairing,
    an upper bound of the distance, and at most what the pairing itself scores. The unit is each layer's own mean
    distance over all n² pairs, the zero distances of items from themselves included, so scale plays no part; 0.1 says
    that distances differ by about a tenth of the mean one. POT's ``gw_dist`` is its square, in the units that it is
    given; Mémoli's distance is half of it.

    Formula:
        √(Σ_ijkl T_ik T_jl (D_x[i, j] - D_y[k, l])²), T a plan with all row and column sums 1/n

    Cost:
        n² numbers a layer; a pair some tens of iterations of O(n³), on the host: some hundred items are practical. No
        exact null.

    Misleads:
        The plan may move away from the true pairing: a low distance says that the clouds have like shapes, not that the
        same items lie at like places; a symmetry of the cloud is enough. It is a local optimum, so small differences
        between pairs mean little, and where many items are copies of each other which one is reached depends on their
        order.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("gromov_wasserstein_distance")(x, y), 2) for name, y in others.items()}
        {'rotated': 0.0, 'half noise': 0.2, 'unrelated': 0.23}
    """

    name: ClassVar[str] = "gromov_wasserstein_distance"
    aliases: ClassVar[dict[str, str]] = {"gromov_wasserstein": "gromov_wasserstein_distance"}

    @property
    def distance(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, math.inf

    @property
    def invariances(self) -> frozenset[str]:
        return UNITS | {"rotation", "reflection"}

    @property
    def chance(self) -> str:
        return "depends on both clouds; sampled"

    @property
    def reference(self) -> str:
        return "Mémoli (2011); Peyré, Cuturi and Solomon (2016), square loss, by POT's conditional gradient."

    def prepare(self, x: Array) -> Array:
        n = x.shape[0]
        require(
            12 * 8 * n * n,  # distances of both layers, the plan, and what each of its steps takes
            f"The plan between {n:,} items",
            "Use fewer items (some hundred: each of its steps takes O(n³)), or procrustes_distance.",
        )
        _pot(self.name)
        c, _ = wide_centered(x)
        xp = array_namespace(c)
        squares = xp.sum(c * c, axis=1)
        d2 = squares[:, None] + squares[None, :] - 2 * (c @ c.T)
        d = xp.sqrt(xp.clip(d2, 0.0, None)) * (1 - xp.eye(c.shape[0], dtype=c.dtype, device=device(c)))
        return d / xp.mean(d)

    def compare(self, xs: Sequence[Array], ys: Sequence[Array]) -> Array:
        scores = np.array([[_gromov(to_numpy(x), to_numpy(y)) for y in ys] for x in xs])
        return array_namespace(xs[0]).asarray(scores, device=device(xs[0]))

    def permute(self, state: Array, order: np.ndarray[Any, Any]) -> Array:
        return take_rows(take_rows(state, order).T, order).T


def _gromov(dx: Floats, dy: Floats) -> float:
    ot = _pot("gromov_wasserstein_distance")
    weights = np.full(len(dx), 1.0 / len(dx))
    plan = ot.gromov.gromov_wasserstein(
        dx, dy, weights, weights, "square_loss", G0=np.diag(weights), max_iter=1000, tol_rel=1e-12, tol_abs=1e-12
    )
    # the loss itself, from the plan: the solver's running value loses digits near zero
    loss = weights @ (dx**2) @ weights + weights @ (dy**2) @ weights - 2 * np.sum((dx @ plan @ dy.T) * plan)
    if loss < 1e-9:
        loss = _loss_of_sparse(dx, dy, plan)
    return math.sqrt(max(float(loss), 0.0))


def _loss_of_sparse(dx: Floats, dy: Floats, plan: Floats) -> float:
    i, k = np.nonzero(plan)
    mass = plan[i, k]
    return float(mass @ (dx[np.ix_(i, i)] - dy[np.ix_(k, k)]) ** 2 @ mass)
