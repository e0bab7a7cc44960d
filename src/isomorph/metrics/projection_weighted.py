"""Projection-weighted CCA: canonical correlations weighted by how much of a layer's units each variate accounts for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import scipy
from array_api_compat import array_namespace, device

from .._core.arrays import Array, to_numpy
from .._core.linalg import number
from ._base import Metric, choice
from ._engines.pairs import over_pairs
from ._engines.spectra.axes import Axes, block, principal_axes
from .canonical import SATURATED, refuse_saturation

_TIED = 1e-10  # correlations closer than this are the same: what rounding does to equal ones


@dataclasses.dataclass(frozen=True)
class PWCCA(Metric[Axes]):
    """Projection-weighted CCA: canonical correlations weighted by how much of a layer each variate accounts for.

    ``Σ α_i ρ_i / Σ α_i`` with ``α_i = Σ_j |<h_i, x_j>|``, where ``h_i`` is the i-th canonical variate of one side over
    the items and ``x_j`` are that side's centred units. Only the min(r1, r2) proper variates count. Where correlations
    are tied the variates are defined up to a rotation: each then weighs what it does in the mean over all rotations.

    Args:
        weights: Whose units weigh: ``"x"``, ``"y"``, or ``"mean"`` of the two scores, which is symmetric.

    Formula:
        S_x = Σ_i α_i ρ_i / Σ_i α_i, α_i = Σ_j |⟨h_i, x_j⟩|, h_i the i-th canonical variate of x, x_j its centred units
        S_y likewise with the variates and units of y; mean: (S_x + S_y) / 2

    Cost:
        One thin SVD a layer with its right vectors, O(n d min(n, d)); a pair O(n r1 r2), an eigendecomposition of the
        smaller side and O(k r d) for the weights; no exact null.

    Misleads:
        The weights are sums of absolute values over single units, so a rotation of the features changes the score
        although CCA itself would not move. As for `cca`, chance is far above 0 where the ranks are not small against n.
        Libraries disagree on the definition: published values can be compared only if they come from one code.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("pwcca")(x, y), 2) for name, y in others.items()}
        {'another basis': 1.0, 'noisy': 0.51, 'unrelated': 0.23}
    """

    name: ClassVar[str] = "pwcca"
    shown: ClassVar[tuple[str, ...]] = ("weights",)
    variants: ClassVar[tuple[str, ...]] = ("pwcca(weights='x')", "pwcca(weights='y')", "pwcca(weights='mean')")
    weights: Literal["x", "y", "mean"] = "mean"

    def __post_init__(self) -> None:
        choice("pwcca", "weights", self.weights, ("x", "y", "mean"))

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"isotropic_scale", "translation", "unit_permutation", "item_permutation"})

    @property
    def symmetric(self) -> bool:
        return self.weights == "mean"

    @property
    def refuses(self) -> Mapping[str, str]:
        return SATURATED

    @property
    def chance(self) -> str:
        return "near that of cca, about sqrt(max(r1, r2) / (n - 1)) or less"

    @property
    def reference(self) -> str:
        return (
            "Morcos et al. (2018), in sample space as in Kornblith et al. (2019), Table 1; 'mean' is the "
            "mean of both "
            "sides' scores. Seven peers give six other numbers: google/svcca weighs by coefficients that lack the "
            "whitening (so does similarity-repository's pwcca-score, which is therefore no name of this), anatome "
            "leaves x uncentred, platonic-universe's weights are constant (it is svcca), Aristotelian's nearly so (it "
            "is cca)."
        )

    def prepare(self, x: Array) -> Axes:
        return refuse_saturation(principal_axes(x, vectors=True), x.shape[1], "pwcca")

    def compare(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> Array:
        return block(xs, ys, self._pair, array_namespace(xs[0].u))

    def permute(self, state: Axes, order: np.ndarray[Any, Any]) -> Axes:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the products of the item's canonical variates in x and y, weighted like their correlations"

    def contributions(self, xs: Sequence[Axes], ys: Sequence[Axes]) -> np.ndarray[Any, Any]:
        return over_pairs(self._given, xs, ys)

    def _given(self, x: Axes, y: Axes) -> np.ndarray[Any, Any]:
        left, rho, right = _thin_factors(x.u.T @ y.u)
        variates = to_numpy((x.u @ left) * (y.u @ right)) * (to_numpy(rho) > _TIED)
        sides = (("x", left, x), ("y", right, y))
        alphas = [to_numpy(_alphas(rho, c, axes)) for side, c, axes in sides if self._weighs(side)]
        return np.asarray(sum(x.n * (variates @ alpha) / alpha.sum() for alpha in alphas) / len(alphas))

    def _weighs(self, side: str) -> bool:
        return self.weights in (side, "mean")

    def _pair(self, x: Axes, y: Axes) -> Array:
        xp = array_namespace(x.u)
        left, rho, right = _thin_factors(x.u.T @ y.u)
        scores = []
        if self._weighs("x"):
            scores.append(_weighted(rho, left, x))
        if self._weighs("y"):
            scores.append(_weighted(rho, right, y))
        return xp.clip(sum(scores) / len(scores), 0.0, 1.0)


def _weighted(rho: Array, coordinates: Array, axes: Axes) -> Array:
    """Mean of `rho` weighted by the projections of the variates, at `coordinates` (r, k) on the axes, on the units."""
    xp = array_namespace(rho)
    alpha = _alphas(rho, coordinates, axes)
    return xp.sum(alpha * rho) / xp.sum(alpha)


def _alphas(rho: Array, coordinates: Array, axes: Axes) -> Array:
    assert axes.vt is not None  # prepared with vectors
    projections = (coordinates * axes.s[:, None]).T @ axes.vt
    return _weights_of_ties(projections, to_numpy(rho))


def _weights_of_ties(projections: Array, rho: np.ndarray[Any, Any]) -> Array:
    """Sum of absolute projections of each variate, (k,); of variates of one correlation the mean over their rotations.

    A unit whose projection on m tied variates has the length p projects on each of them with a mean absolute value of
    ``p Γ(m/2) / (√π Γ((m + 1)/2))``.
    """
    xp = array_namespace(projections)
    same = np.cumsum(np.concatenate([[0], np.abs(np.diff(rho)) > _TIED]))
    if same[-1] == len(rho) - 1:
        return xp.sum(xp.abs(projections), axis=1)
    sizes = np.bincount(same)
    share = np.exp(scipy.special.gammaln(sizes / 2) - scipy.special.gammaln((sizes + 1) / 2)) / math.sqrt(math.pi)
    where = device(projections)
    member = xp.asarray((same[None, :] == np.arange(len(sizes))[:, None]).astype(np.float64), device=where)
    lengths = xp.sum((member @ projections**2) ** 0.5, axis=1)
    return xp.matrix_transpose(member) @ (xp.asarray(share, device=where) * lengths)


def _thin_factors(m: Array) -> tuple[Array, Array, Array]:
    """Left vectors (r1, k), singular values (k,) and right vectors (r2, k) of `m`, k = min(r1, r2).

    From the eigenvectors of the smaller Gram, a third of the time of an SVD, unless small singular values would lose
    digits.
    """
    xp = array_namespace(m)
    if m.shape[0] > m.shape[1]:
        right, rho, left = _thin_factors(m.T)
        return left, rho, right
    values, left = xp.linalg.eigh(m @ m.T)
    if number(values[0]) < 1e-8:
        left, rho, rightt = xp.linalg.svd(m, full_matrices=False)
        return left, xp.clip(rho, 0.0, 1.0), rightt.T
    rho = xp.sqrt(values)
    return left, xp.clip(rho, 0.0, 1.0), (m.T @ left) / rho[None, :]
