"""Partial least squares: what is alike along the directions of the largest covariance of two layers.

`pls` is the PLS correlation (PLSC, PLS-SVD): the singular vectors of the cross-covariance, and how well the layers
agree along them. `pls_predictivity` is PLS regression on held-out items, the fit of Brain-Score's neural
predictivity. With all components the first is near `procrustes`, the second is `linear_predictivity`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array, is_traced, take_rows, to_numpy
from .._core.linalg import number
from ..errors import InputError
from ._base import NOTHING_VARIES, Metric
from ._engines.pairs import over_pairs
from ._engines.spectra.axes import block
from ._engines.spectra.shapes import Shape, unit_shape
from .prediction import Predictivity, Predictor
from .shape import RIGID

_TIED = 1e3 * float(np.finfo(np.float64).eps)
"""Covariances nearer than this, over the largest, are the same to rounding."""
_NOTHING = 1e-10  # of the first covariance: what is left to a further component then is rounding
_SAME = "directions of the same covariance, so which of them is taken is arbitrary"


def _components(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name}: components={value!r} must be a whole number of directions, at least 1.")


def _refuse_tie(name: str, first: Array, kept: Array, left: Array, at: int) -> None:
    """Refuse a choice between equal directions.

    Raises:
        InputError: if the covariances of components `at` and `at` + 1 are the same.
    """
    if number(kept - left) <= _TIED * number(first):
        raise InputError(
            f"{name} is not defined here: components {at} and {at + 1} are directions of the same covariance, so which "
            "of them is taken is arbitrary. This is so where all items are equally far from each other or all features "
            "are uncorrelated and of the same variance. Change components, or use procrustes, which takes all."
        )


class _Latent(NamedTuple):
    """The leading pairs of latent variables of two layers of unit norm."""

    x: Array  # (n, k)
    y: Array
    covariance: Array  # (k,), the sums of the products of x and y


def _latent(x: Shape, y: Shape, components: int) -> _Latent:
    xp = array_namespace(x.unit)
    u, s, vt = xp.linalg.svd(x.unit.T @ y.unit, full_matrices=False)
    k = min(components, s.shape[0])
    if not is_traced(s):
        # directions without covariance are arbitrary; what rounding the features leaves is in units of their norm
        noise = max(x.eps, y.eps) * max(x.unit.shape)
        k = min(k, max(1, int(xp.sum(xp.astype(s > max(noise * number(s[0]), _NOTHING * number(s[0])), xp.int64)))))
        if k == components and k < s.shape[0] and number(s[0]) > 0:
            _refuse_tie("pls", s[0], s[k - 1], s[k], k)
    return _Latent(x.unit @ u[:, :k], y.unit @ vt[:k, :].T, s[:k])


def _size(latent: Array) -> Array:
    xp = array_namespace(latent)
    return xp.sqrt(xp.sum(latent * latent))


def _correlation(x: Shape, y: Shape, components: int) -> Array:
    xp = array_namespace(x.unit)
    found = _latent(x, y, components)
    size = _size(found.x) * _size(found.y)
    if not is_traced(size) and number(size) == 0.0:
        return xp.zeros_like(size)
    return xp.clip(xp.sum(found.covariance) / size, 0.0, 1.0)


def _given(x: Shape, y: Shape, components: int) -> np.ndarray[Any, Any]:
    """What each item gives to `_correlation`, (n,)."""
    left, right, _ = (to_numpy(v) for v in _latent(x, y, components))
    size = float(np.sqrt(np.sum(left * left) * np.sum(right * right)))
    return np.asarray(len(left) * np.vecdot(left, right) / (size if size > 0 else 1.0))


@dataclasses.dataclass(frozen=True)
class Pls(Metric[Shape]):
    """PLS correlation: how well two layers agree along the directions of their largest covariance.

    The singular vectors of the cross-covariance give pairs of directions, the first pair that of the largest
    covariance. The score is the correlation of the layers' coordinates along the leading pairs, all of them together;
    of one pair it is the correlation of the first latent variables. Between CCA, which asks for correlation however
    little variance carries it, and CKA, which asks for variance.

    Args:
        components: How many pairs of directions count, at most; fewer where the layers share fewer.

    Raises:
        InputError: if `components` is no whole number of at least 1.

    Formula:
        Σ_{i≤k} σ_i / √(Σ_{i≤k} |Xc u_i|² · Σ_{i≤k} |Yc v_i|²), Xc'Yc = U diag(σ) V' the thin SVD, σ falling

    Cost:
        O(n d min(n, d)) a layer; a pair O(n m²) and the SVD of an m x m matrix, m = min(n, d). No exact null, so a
        sampled permutation costs what a pair does.

    Misleads:
        The directions are fitted to the items that are scored: unrelated layers of many features score well above 0.
        With few components a single direction of large variance on both sides, such as the norm of the items, decides;
        layers that share all else score no higher.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> turned = x @ np.linalg.qr(noise[:8])[0]
        >>> others = {"rotated": turned, "half noise": turned + noise, "unrelated": noise}
        >>> {name: round(iso.metric("pls(components=3)")(x, y), 2) for name, y in others.items()}
        {'rotated': 1.0, 'half noise': 0.78, 'unrelated': 0.36}
    """

    name: ClassVar[str] = "pls"
    aliases: ClassVar[dict[str, str]] = {
        "plsc": "pls",
        "pls_svd": "pls",
        "pls_correlation": "pls",
    }
    shown: ClassVar[tuple[str, ...]] = ("components",)
    variants: ClassVar[tuple[str, ...]] = ("pls(components=1)", "pls(components=3)")
    components: int = 1

    def __post_init__(self) -> None:
        _components("pls", self.components)

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return RIGID | {"isotropic_scale"}

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES | dict.fromkeys(("uncorrelated features", "equidistant items"), _SAME)

    @property
    def chance(self) -> str:
        return "above 0 and growing with d / n: the directions are fitted to the scored items; sampled"

    @property
    def reference(self) -> str:
        return (
            "McIntosh et al. (1996), Krishnan et al. (2011), PLS correlation; scikit-learn's PLSSVD(scale=False). Of "
            "several components we correlate all latent coordinates at once, which no rotation among directions of "
            "equal covariance changes, instead of averaging over components."
        )

    @property
    def differentiable(self) -> bool:
        return True

    def prepare(self, x: Array) -> Shape:
        return unit_shape(x)

    def compare(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> Array:
        return block(xs, ys, lambda x, y: _correlation(x, y, self.components), array_namespace(xs[0].unit))

    def permute(self, state: Shape, order: np.ndarray[Any, Any]) -> Shape:
        return state.permuted(order)

    @property
    def contribution(self) -> str:
        return "n times the product of the item's latent coordinates in x and y, over the norms of all"

    def contributions(self, xs: Sequence[Shape], ys: Sequence[Shape]) -> np.ndarray[Any, Any]:
        return over_pairs(lambda x, y: _given(x, y, self.components), xs, ys)


class PlsPredictor(Predictor):
    """A layer that predicts by PLS regression: the fit depends on what is predicted, so there is no smoother.

    Attributes:
        components: How many directions the fit takes, at most.
    """

    components: int

    def predict(self, y: Predictor) -> Array:
        if self.fold is None:
            return self._fitted(self.centered, y.centered, self.centered)
        parts, rows = [], []
        for f in self.fold_numbers:
            test, train = np.flatnonzero(self.fold == f), np.flatnonzero(self.fold != f)
            known, outcomes = take_rows(self.centered, train), take_rows(y.centered, train)
            parts.append(self._fitted(known, outcomes, take_rows(self.centered, test)))
            rows.append(test)
        xp = array_namespace(self.centered)
        return take_rows(xp.concat(parts, axis=0), np.argsort(np.concatenate(rows)))

    def _fitted(self, known: Array, outcomes: Array, asked: Array) -> Array:
        """PLS2 with deflation of the predictors: each direction is that of the largest covariance left."""
        xp = array_namespace(known)
        mean, level = (xp.mean(v, axis=0, keepdims=True) for v in (known, outcomes))
        known, asked, outcomes = known - mean, asked - mean, outcomes - level
        predicted = xp.zeros_like(asked[:, :1]) + level
        first = None
        for at in range(1, min(self.components, *known.shape) + 1):
            u, s, _ = xp.linalg.svd(known.T @ outcomes, full_matrices=False)
            first = s[0] if first is None else first
            if number(s[0]) <= _NOTHING * number(first) or number(first) == 0.0:
                break
            if s.shape[0] > 1:
                _refuse_tie(self.name, first, s[0], s[1], at)
            scores, told = known @ u[:, :1], asked @ u[:, :1]
            size = xp.sum(scores * scores)
            predicted = predicted + told @ (scores.T @ outcomes) / size
            loadings = scores.T @ known / size
            known, asked = known - scores @ loadings, asked - told @ loadings
        return predicted


@dataclasses.dataclass(frozen=True)
class PlsPredictivity(Predictivity):
    """How well PLS regression predicts one layer's units from the other's, on held-out items.

    The fit takes a few directions of the predicting layer, one after the other that of the largest covariance with
    what it is to predict; their number regularises it, where `ridge_predictivity` shrinks all directions.

    Args:
        direction: ``"x_to_y"``, ``"y_to_x"``, or ``"symmetric"``, the mean of both.
        measure: As for `LinearPredictivity`.
        folds: Number of folds, or None: no holding out.
        seed: As for `LinearPredictivity`.
        components: How many directions the fit takes; fewer where the layer has fewer.

    Raises:
        InputError: if an argument does not fit, or `folds` is ``"loo"``: no closed form is known.

    Formula:
        as linear_predictivity, with W_f of PLS2: for a = 1 … k, w_a the first left singular vector of X_a'Y,
        t_a = X_a w_a, X_{a+1} = X_a - t_a t_a' X_a / |t_a|², Ŷ = Σ_a t_a t_a' Y / |t_a|²

    Cost:
        A pair takes the SVD of a d1 x d2 matrix for each component, fold and direction; so does each sampled
        permutation, and there is no exact null. Seconds a pair at d = 768.

    Misleads:
        The score rises and falls with `components`: too few miss what lies in directions of little variance, too many
        fit noise. Units are pooled, so those of high variance decide; items in groups leak between folds; the mean of
        both directions hides that one layer contains the other.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("pls_predictivity(components=4)")(x, y), 2) for name, y in others.items()}
        {'another basis': 0.65, 'noisy': 0.2, 'unrelated': -0.11}
    """

    name: ClassVar[str] = "pls_predictivity"
    aliases: ClassVar[dict[str, str]] = {
        "pls_regression": "pls_predictivity",
        "pls-pearsonr-cv=5folds": "pls_predictivity(direction='x_to_y', measure='pearson', components=25)",
    }
    shown: ClassVar[tuple[str, ...]] = ("components", "direction", "measure", "folds")
    variants: ClassVar[tuple[str, ...]] = (
        "pls_predictivity(components=1, direction='y_to_x', folds=None)",
        "pls_predictivity(components=2)",
        "pls_predictivity(components=3, direction='x_to_y', measure='pearson')",
    )
    components: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        _components(self.name, self.components)
        if self.folds == "loo":
            raise InputError(
                f"{self.name}: folds='loo' is not to be had, as leaving one out has no closed form here; use a number "
                "of folds, such as 5, or ridge_predictivity(folds='loo')."
            )

    @property
    def copies(self) -> int:
        return 10

    @property
    def penalty(self) -> float:
        return 0.0  # the number of components regularises

    @property
    def identity(self) -> float | None:
        return None

    @property
    def refuses(self) -> Mapping[str, str]:
        tied = ("equidistant items",) if self.folds else ("equidistant items", "uncorrelated features")
        return NOTHING_VARIES | dict.fromkeys(tied, _SAME)

    @property
    def chance(self) -> str:
        if self.folds is None:
            return "above 0: the directions are fitted to the items that are scored"
        return super().chance

    @property
    def reference(self) -> str:
        return (
            "Wold, Sjöström and Eriksson (2001); scikit-learn's PLSRegression(scale=False). Brain-Score (Schrimpf et "
            "al. 2018) takes 25 components and the median over units of Pearson's r, where we take the mean."
        )

    def _predictor(self, x: Array, fold: np.ndarray[Any, Any] | None) -> PlsPredictor:
        made = PlsPredictor(x, fold=fold, leave_one_out=False, regularization=self.penalty, name=self.name)
        made.components = self.components
        return made
