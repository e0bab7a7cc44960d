"""Linear predictivity: how well one layer's features foretell the other's on items that the fit has not seen.

A linear fit predicts by a matrix that depends on the predicting layer only, ``Ŷ = H_x Y``. So the held-out smoother H_x
of each layer is made once, and every pair is one product. Row i of H_x is zero in the columns of the items that the fit
for item i did not see.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, as_pair, take_rows, to_numpy
from .._core.memory import require
from ..design import fold_of_items
from ..errors import InputError
from ._base import NOTHING_VARIES, Metric, choice
from ._engines.pairs import over_pairs
from ._engines.spectra.axes import block, principal_axes, wide_centered
from .canonical import FULL_RANK

Folds = int | Literal["loo"] | None
DIRECTIONS = ("symmetric", "x_to_y", "y_to_x")


class Predictor:
    """One layer, ready to predict and to be predicted.

    Attributes:
        centered: The layer (n, d), centred over all items, in float64.
        fold: The fold of every item; ``None`` for leave-one-out or no holding out.
    """

    def __init__(
        self, x: Array, *, fold: np.ndarray[Any, Any] | None, leave_one_out: bool, regularization: float, name: str
    ) -> None:
        self.centered, _ = wide_centered(x)
        self.fold, self.leave_one_out, self.regularization, self.name = fold, leave_one_out, regularization, name

    @cached_property
    def smoother(self) -> Array:
        """H (n, n): the held-out prediction of anything over the items is H times it."""
        x, xp, n = self.centered, array_namespace(self.centered), self.centered.shape[0]
        if self.fold is None:
            h = self._weights(None, None) + 1 / n
            return _leave_one_out(h, self.name) if self.leave_one_out else h
        rows = []
        for f in self.fold_numbers:
            test, train = np.flatnonzero(self.fold == f), np.flatnonzero(self.fold != f)
            weights = self._weights(train, test) + 1 / len(train)
            spread = xp.concat([weights, xp.zeros((len(test), len(test)), dtype=x.dtype, device=device(x))], axis=1)
            rows.append(take_rows(spread.T, np.argsort(np.concatenate([train, test]))).T)
        items = np.concatenate([np.flatnonzero(self.fold == f) for f in self.fold_numbers])
        return take_rows(xp.concat(rows, axis=0), np.argsort(items))

    @property
    def fold_numbers(self) -> list[int]:
        """The folds that hold items."""
        assert self.fold is not None  # asked for only where there are folds
        return [int(f) for f in np.unique(self.fold)]

    def predict(self, y: Predictor) -> Array:
        """The held-out predictions of the centred layer `y`, of its shape."""
        return self.smoother @ y.centered

    def _weights(self, train: np.ndarray[Any, Any] | None, test: np.ndarray[Any, Any] | None) -> Array:
        """What `_fit` gives of these items; of all for all if none are named."""
        if train is None or test is None:
            return self._fit(self.centered, self.centered)
        known = take_rows(self.centered, train)
        mean = array_namespace(known).mean(known, axis=0, keepdims=True)
        return self._fit(known - mean, take_rows(self.centered, test) - mean)

    def _fit(self, known: Array, asked: Array) -> Array:
        """Weights (asked, known) by which centred outcomes of the known items predict those of the asked ones.

        Raises:
            InputError: if nothing is regularised and the known items are too few for the layer's rank, or they are all
                the same.
        """
        xp = array_namespace(known)
        n, d = known.shape
        if self.regularization == 0:
            axes = principal_axes(known, "a training part of the layer", vectors=True)
            if axes.rank >= n - 1:
                raise InputError(
                    f"{self.name} is not defined here: {n} training items for a layer of rank {axes.rank} (d = "
                    f"{d}), so the "
                    "fit passes through every one of them. Use more items than features, or ridge_predictivity."
                )
            assert axes.vt is not None  # asked for
            return (asked @ (axes.vt.T / (axes.s * axes.scale)[None, :])) @ axes.u.T
        total = xp.sum(known * known)
        if bool(total <= 1e-24 * xp.sum(self.centered * self.centered)):
            raise InputError(
                f"{self.name} is not defined here: without the items of one fold all others have the same features, so "
                "nothing can be fitted to them. Leave the few items that differ out, or use more of them."
            )
        ridge = self.regularization * total
        if n <= d:
            gram = known @ known.T + ridge * xp.eye(n, dtype=known.dtype, device=device(known))
            return xp.linalg.solve(gram, known @ asked.T).T
        gram = known.T @ known + ridge * xp.eye(d, dtype=known.dtype, device=device(known))
        return asked @ xp.linalg.solve(gram, known.T)

    def permuted(self, order: np.ndarray[Any, Any]) -> Predictor:
        """The layer with reordered items; folds stay where they are, so the smoother is made anew if it is needed."""
        moved = copy.copy(self)
        moved.centered = take_rows(self.centered, order)
        moved.__dict__.pop("smoother", None)
        if self.fold is None and "smoother" in self.__dict__:
            moved.__dict__["smoother"] = take_rows(take_rows(self.smoother, order).T, order).T
        return moved


def require_smoothers(n: int, *, matrices: int) -> None:
    """Refuse to begin where the smoothers of two layers, with what making one takes, do not fit.

    Args:
        n: Number of items.
        matrices: How many n x n matrices that is.

    Raises:
        InputError: if they are larger than the working memory.
    """
    require(
        matrices * 8 * n * n,
        f"The weights by which {n:,} items predict each other",
        "Use fewer items, or decoding, which needs no such matrix.",
    )


def _leave_one_out(h: Array, name: str) -> Array:
    """The smoother of fits that never saw their item, from the one of the fit to all (Allen's PRESS).

    Raises:
        InputError: if an item alone spans a direction of the layer.
    """
    xp = array_namespace(h)
    own = xp.linalg.diagonal(h)
    if bool(xp.any(own > 1 - 1e-10)):
        item = int(xp.argmax(own))
        raise InputError(
            f"{name}: item {item} alone spans a direction of the layer, so no fit without it can predict it. Leave "
            f"the item "
            "out, or use ridge_predictivity."
        )
    eye = xp.eye(h.shape[0], dtype=h.dtype, device=device(h))
    return (h * (1 - eye)) / (1 - own)[:, None]


def r_squared(x: Predictor, y: Predictor) -> Array:
    """``1 - |Y - H_x Y|² / |Y|²``, all units together, Y centred over all items."""
    xp = array_namespace(y.centered)
    error = y.centered - x.predict(y)
    return 1 - xp.sum(error * error) / xp.sum(y.centered * y.centered)


def r_squared_of_items(x: Predictor, y: Predictor) -> Array:
    """``1 - n |y_i - ŷ_i|² / |Y|²`` of every item (n,), whose mean is `r_squared`."""
    xp = array_namespace(y.centered)
    error = y.centered - x.predict(y)
    return 1 - error.shape[0] * xp.sum(error * error, axis=1) / xp.sum(y.centered * y.centered)


def pearson(x: Predictor, y: Predictor) -> Array:
    """Mean over folds and over units that vary of the correlation of prediction and outcome within the fold."""
    xp = array_namespace(y.centered)
    predicted = x.predict(y)
    total = xp.sum(y.centered * y.centered, axis=0)
    varies = total > 1e-24 * xp.max(total)
    scores = []
    for f in x.fold_numbers if x.fold is not None else [None]:
        rows = np.arange(y.centered.shape[0]) if f is None else np.flatnonzero(x.fold == f)
        a, b = (take_rows(m, rows) for m in (predicted, y.centered))
        a, b = (m - xp.mean(m, axis=0, keepdims=True) for m in (a, b))
        scale = xp.sqrt(xp.sum(a * a, axis=0) * xp.sum(b * b, axis=0))
        defined = scale > 1e-12 * xp.max(total)  # what is flat within this fold correlates with nothing
        r = xp.where(defined, xp.sum(a * b, axis=0) / xp.where(defined, scale, xp.ones_like(scale)), 0.0)
        scores.append(xp.sum(xp.where(varies, r, xp.zeros_like(r))) / xp.sum(xp.astype(varies, r.dtype)))
    return sum(scores) / len(scores)


@dataclasses.dataclass(frozen=True)
class Predictivity(Metric[Predictor]):
    """What the predictivities share."""

    direction: Literal["symmetric", "x_to_y", "y_to_x"] = "symmetric"
    measure: Literal["r2", "pearson"] = "r2"
    folds: Folds = 5
    seed: int = 0

    @property
    @abstractmethod
    def penalty(self) -> float:
        """Ridge as a share of the total variance."""

    def __post_init__(self) -> None:
        choice(self.name, "direction", self.direction, DIRECTIONS)
        choice(self.name, "measure", self.measure, ("r2", "pearson"))
        folds = self.folds
        if folds not in ("loo", None) and not (isinstance(folds, int) and folds >= 2):
            raise InputError(
                f"{self.name}: folds={folds!r} must be a number of folds (2 or more), 'loo' for leave-one-out, or None "
                "for the fit to all items, which is optimistic."
            )
        if folds == "loo" and self.measure == "pearson":
            raise InputError(
                f"{self.name}: measure='pearson' needs folds of several items: over single held-out items the moving "
                "means of the rest correlate negatively with them. Use folds=5, or measure='r2'."
            )

    @property
    def range(self) -> tuple[float, float]:
        return (-math.inf, 1.0) if self.measure == "r2" else (-1.0, 1.0)

    @property
    def identity(self) -> float | None:
        return 1.0 if self.penalty == 0 else None

    @property
    def symmetric(self) -> bool:
        return self.direction == "symmetric"

    @property
    def min_items(self) -> int:
        folds = self.folds
        return 3 * folds if isinstance(folds, int) else 4

    @property
    def invariances(self) -> frozenset[str]:
        held = {"isotropic_scale", "translation", "unit_permutation"}
        if self.measure == "r2":
            held |= {"rotation", "reflection"}
        if not isinstance(self.folds, int):
            held |= {"item_permutation"}
        return frozenset(held)

    @property
    def chance(self) -> str:
        if self.folds is None:
            return "above 0: r / (n - 1) for measure='r2' without regularisation, r the rank of the predicting layer"
        return "0 or below: unrelated features predict worse than the mean" if self.measure == "r2" else "0"

    def prepare(self, x: Array) -> Predictor:
        folds = self.folds
        fold = fold_of_items(x.shape[0], folds, self.seed) if isinstance(folds, int) else None
        return self._predictor(x, fold)

    def _predictor(self, x: Array, fold: np.ndarray[Any, Any] | None) -> Predictor:
        require_smoothers(x.shape[0], matrices=5)
        loo = self.folds == "loo"
        return Predictor(x, fold=fold, leave_one_out=loo, regularization=self.penalty, name=self.name)

    def compare(self, xs: Sequence[Predictor], ys: Sequence[Predictor]) -> Array:
        xp = array_namespace(xs[0].centered)
        pair = r_squared if self.measure == "r2" else pearson
        there = 0.0 if self.direction == "y_to_x" else block(xs, ys, pair, xp)
        back = 0.0 if self.direction == "x_to_y" else block(ys, xs, pair, xp).T
        return (there + back) / 2 if self.symmetric else there + back

    @property
    def contribution(self) -> str:
        if self.measure == "pearson":
            return ""  # correlations within folds are sums over items that each fold centres and scales anew
        return "1 - n times the squared error of the item's prediction over the total sum of squares"

    def contributions(self, xs: Sequence[Predictor], ys: Sequence[Predictor]) -> np.ndarray[Any, Any] | None:
        if self.measure == "pearson":
            return None

        def pair(x: Predictor, y: Predictor) -> Array:
            there = [] if self.direction == "y_to_x" else [r_squared_of_items(x, y)]
            back = [] if self.direction == "x_to_y" else [r_squared_of_items(y, x)]
            return sum((*there, *back)) / len([*there, *back])

        return over_pairs(pair, xs, ys)

    def permute(self, state: Predictor, order: np.ndarray[Any, Any]) -> Predictor:
        return state.permuted(order)


@dataclasses.dataclass(frozen=True)
class LinearPredictivity(Predictivity):
    """How well least squares with intercept predict one layer's units from the other's, on held-out items.

    Args:
        direction: ``"x_to_y"``, ``"y_to_x"``, or ``"symmetric"``, the mean of both.
        measure: ``"r2"``: 1 - Σ(y - ŷ)² / Σ(y - ȳ)² over all held-out predictions and units together, ȳ over all items;
            ``"pearson"``: the correlation of prediction and outcome within a fold, mean over units, then over folds.
        folds: Number of folds; ``"loo"``: leave-one-out in closed form; None: no holding out, R²_LR of Kornblith et al.
        seed: Seed by which items, by position, are dealt to folds.

    Formula:
        r2: 1 - ‖Y - Ŷ‖² / ‖Y - Ȳ‖², Ŷ_i = b_f + x_i W_f from least squares on the items outside the fold f of item i
        pearson: mean over folds and over units j of the correlation of Ŷ_j and Y_j within the fold

    Cost:
        A decomposition a fold and layer, O(folds · n d min(n, d)), and an n x n smoother; a pair O(n² d). No exact
        null; a sampled permutation fits the permuted layer anew, unless nothing is held out.

    Misleads:
        Near d = n the fit is unstable and the score far below 0, -15 for independent noise at n = 1024, d = 768, and
        low for related layers too; use `ridge_predictivity` there. Units are pooled, so those of high variance decide.
        Items that come in groups leak between folds (`grouped_predictivity`). The mean of both directions hides that
        one layer contains the other. With folds=None the score is optimistic.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("linear_predictivity")(x, y), 2) for name, y in others.items()}
        {'another basis': 1.0, 'noisy': 0.22, 'unrelated': -0.16}
    """

    name: ClassVar[str] = "linear_predictivity"
    aliases: ClassVar[dict[str, str]] = {
        "linear_regression": "linear_predictivity(direction='x_to_y', folds=None)",
    }
    shown: ClassVar[tuple[str, ...]] = ("direction", "measure", "folds")
    variants: ClassVar[tuple[str, ...]] = (
        "linear_predictivity",
        "linear_predictivity(direction='x_to_y', measure='pearson')",
        "linear_predictivity(direction='y_to_x', folds='loo')",
        "linear_predictivity(direction='x_to_y', folds=None)",
    )

    @property
    def penalty(self) -> float:
        return 0.0

    @property
    def refuses(self) -> Mapping[str, str]:
        alone = {"far item": "an item that spans a direction alone cannot be predicted without it"}
        return NOTHING_VARIES | FULL_RANK | (alone if self.folds == "loo" else {})

    @property
    def reference(self) -> str:
        return (
            "Yamins et al. (2014) for neural predictivity; without holding out, R²_LR of Kornblith et al. (2019), "
            "Table 1 "
            "(ReSi's linear regression). Leave-one-out by Allen's PRESS."
        )


@dataclasses.dataclass(frozen=True)
class RidgePredictivity(Predictivity):
    """How well ridge regression with intercept predicts one layer's units from the other's, on held-out items.

    Args:
        regularization: Ridge as a share of the total variance of the predicting layer's training items, so that it
            means the same for every scale and width; with leave-one-out, of all items.
        direction: ``"x_to_y"``, ``"y_to_x"``, or ``"symmetric"``, the mean of both.
        measure: As for `LinearPredictivity`.
        folds: As for `LinearPredictivity`.
        seed: As for `LinearPredictivity`.

    Formula:
        As linear_predictivity, with W_f = (Xc'Xc + λ ‖Xc‖² I)⁻¹ Xc'Yc over the items outside the fold, centred there

    Cost:
        A linear solve a fold and layer, O(folds · n d min(n, d)), and an n x n smoother; a pair O(n² d). No exact null;
        a sampled permutation fits the permuted layer anew, unless nothing is held out.

    Misleads:
        One λ for all layers shrinks a layer of flat spectrum more than one of few strong directions: a low score may be
        the ridge, not the layers. Units are pooled, items in groups leak between folds, and the mean of both directions
        hides nesting, as for `linear_predictivity`.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> mixed = x @ noise[:8]
        >>> others = {"another basis": mixed, "noisy": mixed + 3 * noise, "unrelated": noise}
        >>> {name: round(iso.metric("ridge_predictivity")(x, y), 2) for name, y in others.items()}
        {'another basis': 0.93, 'noisy': 0.23, 'unrelated': -0.14}
    """

    name: ClassVar[str] = "ridge_predictivity"
    aliases: ClassVar[dict[str, str]] = {"ridge": "ridge_predictivity"}
    shown: ClassVar[tuple[str, ...]] = ("regularization", "direction", "measure", "folds")
    variants: ClassVar[tuple[str, ...]] = (
        "ridge_predictivity",
        "ridge_predictivity(direction='x_to_y', measure='pearson')",
        "ridge_predictivity(direction='y_to_x', folds='loo')",
    )
    regularization: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.regularization, (int, float)) and 0 < self.regularization < math.inf):
            raise InputError(
                f"{self.name}: regularization={self.regularization!r} must be a finite share of the total variance "
                "above 0; for none use linear_predictivity."
            )

    @property
    def penalty(self) -> float:
        return self.regularization

    @property
    def reference(self) -> str:
        return (
            "Hoerl and Kennard (1970); scikit-learn's Ridge with alpha = regularization Σ(x - x̄)² over training items."
        )


def grouped_predictivity(
    x: Any,
    y: Any,
    *,
    groups: Any,
    regularization: float = 0.01,
    measure: Literal["r2", "pearson"] = "r2",
    folds: int = 5,
    seed: int = 0,
) -> float:
    """Predictivity from x to y with folds that never part a group, such as the captions of one image.

    Args:
        x: Features (n_items, d1).
        y: Features (n_items, d2) of the same items.
        groups: One label for every item.
        regularization: As for `RidgePredictivity`; 0 is ordinary least squares.
        measure: ``"r2"`` or ``"pearson"``, as for `LinearPredictivity`.
        folds: Number of folds.
        seed: Seed by which groups are dealt to folds, the largest first.

    Raises:
        InputError: if the inputs do not fit, `regularization` is negative, or there are fewer groups than folds.
    """
    x, y = as_pair(x, y, min_items=4)
    choice("grouped_predictivity", "measure", measure, ("r2", "pearson"))
    if not 0 <= regularization < math.inf:
        raise InputError(f"grouped_predictivity: regularization={regularization!r} must be finite and 0 or more.")
    fold = fold_of_items(x.shape[0], folds, seed, groups)
    left, right = (
        Predictor(a, fold=fold, leave_one_out=False, regularization=regularization, name="grouped_predictivity")
        for a in (x, y)
    )
    return float(to_numpy((r_squared if measure == "r2" else pearson)(left, right)))
