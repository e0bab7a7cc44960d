"""Kernel predictivity: what a smooth nonlinear map of one layer tells of the other on items it has not seen.

Kernel ridge predicts by a matrix that depends on the predicting layer only, as ridge does, so all else is that of
`isomorph.metrics.prediction`. Banded ridge, which gives each of several predicting spaces its own penalty, is ridge
where one space predicts another; joint models of several spaces are `iso.fuse` and the encoding models.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace, device

from .._core.arrays import Array, take_rows
from ..errors import InputError
from ._base import NOTHING_VARIES
from ._engines.kernels.matrices import rbf_matrix
from .prediction import Predictor, RidgePredictivity, require_smoothers


class KernelPredictor(Predictor):
    """A layer that predicts by kernel ridge.

    Attributes:
        kernel: The Gaussian kernel of its items less one (n, n), float64: centring takes the one away.
    """

    kernel: Array

    def _weights(self, train: np.ndarray[Any, Any] | None, test: np.ndarray[Any, Any] | None) -> Array:
        """Weights (asked, known) of kernel ridge with intercept: both centred on the known items in feature space.

        Raises:
            InputError: if the known items are all the same.
        """
        xp, k = array_namespace(self.kernel), self.kernel
        every = np.arange(k.shape[0])
        train, test = (every if rows is None else rows for rows in (train, test))
        columns = take_rows(k, train)  # (known, all): the kernel is symmetric
        known, asked = take_rows(columns.T, train), take_rows(columns.T, test)
        mean = xp.mean(known, axis=0, keepdims=True)
        asked = asked - xp.mean(asked, axis=1, keepdims=True) - mean + xp.mean(mean)
        known = known - xp.mean(known, axis=1, keepdims=True) - mean + xp.mean(mean)
        total = xp.sum(xp.linalg.diagonal(known))
        if bool(total <= 1e-24 * k.shape[0]):
            raise InputError(
                f"{self.name} is not defined here: without the items of one fold all others have the same features, so "
                "nothing can be fitted to them. Leave the few items that differ out, or use more of them."
            )
        ridge = self.regularization * total
        eye = xp.eye(len(train), dtype=known.dtype, device=device(known))
        return xp.linalg.solve(known + ridge * eye, asked.T).T

    def permuted(self, order: np.ndarray[Any, Any]) -> KernelPredictor:
        moved = super().permuted(order)
        assert isinstance(moved, KernelPredictor)  # a copy of this
        moved.kernel = take_rows(take_rows(self.kernel, order).T, order).T
        return moved


@dataclasses.dataclass(frozen=True)
class KernelPredictivity(RidgePredictivity):
    """How well kernel ridge regression with intercept predicts one layer's units from the other's, on held-out items.

    The kernel is Gaussian: ``exp(-|x_i - x_j|² / (2 s²))``, s in units of the median distance between the items of the
    predicting layer. Held-out items take part in that median by their features; what is to be predicted of them does
    not.

    Args:
        regularization: Ridge as a share of the trace of the centred kernel of the training items.
        direction: ``"x_to_y"``, ``"y_to_x"``, or ``"symmetric"``, the mean of both.
        measure: As for `LinearPredictivity`.
        folds: As for `LinearPredictivity`.
        seed: As for `LinearPredictivity`.
        bandwidth: s over the median distance. Far above 1 the fit becomes that of ridge regression.

    Formula:
        As linear_predictivity, with Ŷ_i - Ȳ_f = k_i (K + λ tr(K) I)⁻¹ (Y - Ȳ_f), K and k_i the kernel among the items
        outside the fold f of item i and from i to them, centred in feature space on the former

    Cost:
        n² d and n² numbers a layer, a linear solve a fold and layer, O(folds · n³), and an n x n smoother; a pair
        O(n² d). No exact null; a sampled permutation fits the permuted layer anew, unless nothing is held out.

    Misleads:
        A smooth map from a layer of few dimensions tells much of anything that depends on it, however entangled: a high
        score is no claim that a linear readout could do the same; set it beside `ridge_predictivity`. In many
        dimensions all distances are alike and it says what ridge says. λ and the bandwidth are the same for all layers,
        so a low score may be theirs. Items in groups leak between folds.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 200, 3))
        >>> others = {"bent": np.cos(2 * x), "bent, noisy": np.cos(2 * x) + noise, "unrelated": noise}
        >>> fit = iso.metric("kernel_predictivity(direction='x_to_y', bandwidth=0.5, regularization=0.001)")
        >>> {name: round(fit(x, y), 2) for name, y in others.items()}
        {'bent': 0.93, 'bent, noisy': 0.22, 'unrelated': -0.27}
        >>> {name: round(iso.metric("ridge_predictivity(direction='x_to_y')")(x, y), 2) for name, y in others.items()}
        {'bent': -0.03, 'bent, noisy': -0.04, 'unrelated': -0.05}
    """

    name: ClassVar[str] = "kernel_predictivity"
    aliases: ClassVar[dict[str, str]] = {"kernel_ridge": "kernel_predictivity"}
    shown: ClassVar[tuple[str, ...]] = ("regularization", "direction", "measure", "folds")
    variants: ClassVar[tuple[str, ...]] = (
        "kernel_predictivity(direction='y_to_x', folds='loo')",
        "kernel_predictivity",
        "kernel_predictivity(direction='x_to_y', measure='pearson')",
    )
    bandwidth: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.bandwidth, (int, float)) and 0 < self.bandwidth < math.inf):
            raise InputError(
                f"{self.name}: bandwidth={self.bandwidth!r} must be above 0 and finite: the width of the kernel over "
                "the median distance between items, such as 1."
            )

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES

    @property
    def reference(self) -> str:
        return (
            "Saunders, Gammerman and Vovk (1998); scikit-learn's KernelRidge on the kernel centred by KernelCenterer, "
            "with alpha = regularization · tr K. The median bandwidth is that of rbf_cka. Leave-one-out by Allen's "
            "PRESS."
        )

    def _predictor(self, x: Array, fold: np.ndarray[Any, Any] | None) -> KernelPredictor:
        require_smoothers(x.shape[0], matrices=9)  # the kernels of both layers, and what making one takes
        loo = self.folds == "loo"
        made = KernelPredictor(x, fold=fold, leave_one_out=loo, regularization=self.penalty, name=self.name)
        made.kernel = rbf_matrix(x, self.bandwidth, "pairs")
        return made
