"""Linear readouts of held-out rows, one factorisation for all units and all penalties: ridge, banded ridge, PLS.

All are of one form. From the features of the rows to fit on, and of the rows to predict, follow a basis ``left``
(n_fit, r), its image ``right`` (n_predicted, r), and for every penalty (or number of components) a gain per direction:
the prediction is ``right * gain @ (left.T @ y)``, so that further units and penalties are matrix products only.

Bands are brought to a total variance of 1 each, on the rows to fit on. With weights on the simplex the weighted
features then have a total variance of 1 too, and a penalty is a share of it whatever the bands and their scales.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy

from .._core.memory import block_bytes
from ..design import Split
from ..errors import InputError

Matrix = np.ndarray[Any, Any]
KEPT_BYTES = 1 << 29
"""Readouts of all folds are kept for the next block of units while they take less than this."""


@dataclasses.dataclass(frozen=True, eq=False)
class Readout:
    """What predicts rows from responses; see the module.

    Attributes:
        left: Basis of the rows that are fitted on (n_fit, r).
        right: Its image on the rows that are predicted (n_predicted, r).
        gains: Gain of each direction (options, r), an option being a penalty or a number of components.
    """

    left: Matrix
    right: Matrix
    gains: Matrix

    def cast(self, dtype: Any) -> Readout:
        """The same in another precision."""
        return Readout(*(np.ascontiguousarray(a, dtype=dtype) for a in (self.left, self.right, self.gains)))


class Method(ABC):
    """A way of fitting, with its settings and the features of all rows.

    Attributes:
        weights: Weights of the bands that are tried (weightings, bands); one of ones where there is nothing to try.
        options: What is chosen per unit under each weighting: penalties, or numbers of components.
    """

    weights: Matrix
    options: tuple[float, ...]

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], Callable[[int], Readout]] = {}
        self._size = 0

    def readouts(self, split: Split, dtype: Any) -> Callable[[int], Readout]:
        """From the number of a weighting to its readout on a split.

        Raises:
            InputError: if the features do not vary over the rows to fit on.
        """
        key = (id(split), np.dtype(dtype).str)
        if key in self._kept:
            return self._kept[key]
        prepared = self._prepare(split)
        if len(self.weights) > 1:  # each weighting is a factorisation of its own, made when it is tried
            return lambda weighting: prepared(self.weights[weighting]).cast(dtype)
        only = prepared(self.weights[0]).cast(dtype)
        self._size += only.left.nbytes + only.right.nbytes
        if self._size <= block_bytes(KEPT_BYTES):
            self._kept[key] = lambda _weighting: only
        return lambda _weighting: only

    @abstractmethod
    def _prepare(self, split: Split) -> Callable[[Matrix], Readout]:
        """From the weights of the bands (bands,) to the readout on a split."""


class BandedRidge(Method):
    """Ridge regression of one or more bands of features, each scaled by the root of its weight.

    Equals himalaya's multiple-kernel ridge with the bands' linear kernels at a trace of 1, and with one band
    scikit-learn's ridge with ``alpha`` = penalty times the total variance.

    Args:
        bands: Features of each band (n, d_b).
        penalties: Shares of the total variance.
        weights: Weights of the bands to try (weightings, bands).
        zscore: Whether each feature is brought to a deviation of 1.
    """

    def __init__(self, bands: Sequence[Matrix], penalties: tuple[float, ...], weights: Matrix, zscore: bool) -> None:
        super().__init__()
        self.bands, self.options, self.weights, self.zscore = bands, penalties, weights, zscore

    def _prepare(self, split: Split) -> Callable[[Matrix], Readout]:
        parts = [scaled(band, split, self.zscore) for band in self.bands]
        widths = [fitted.shape[1] for fitted, _ in parts]
        penalties = np.asarray(self.options)[:, None]
        if len(split.train) <= sum(widths):  # products of rows are the smaller ones
            own = [fitted @ fitted.T for fitted, _ in parts]
            across = [other @ fitted.T for fitted, other in parts]

            def dual(weights: Matrix) -> Readout:
                values, basis = _eigen(_weighted(own, weights))
                return Readout(basis, _weighted(across, weights) @ basis, 1 / (values + penalties))

            return dual
        fitted, other = (np.concatenate(rows, axis=1) for rows in zip(*parts, strict=True))
        products = fitted.T @ fitted

        def primal(weights: Matrix) -> Readout:
            root = np.repeat(np.sqrt(weights), widths)
            values, basis = _eigen(root[:, None] * products * root)
            basis = root[:, None] * basis
            return Readout(fitted @ basis, other @ basis, 1 / (values + penalties))

        return primal


class PartialLeastSquares(Method):
    """Partial least squares of all units together (PLS2): scores that covary most with the responses.

    The components depend on the responses through the products of their rows only, so that any number of units costs
    one pass. Equals scikit-learn's `PLSRegression`, with ``scale=True`` for z-scores (then of the responses too).

    Args:
        features: Features (n, d).
        components: Numbers of components.
        gram: From a split to the products (n_fit, n_fit) of the responses' rows that are fitted on, centred there.
        zscore: Whether each feature is brought to a deviation of 1.
    """

    def __init__(
        self, features: Matrix, components: tuple[int, ...], gram: Callable[[Split], Matrix], zscore: bool
    ) -> None:
        super().__init__()
        self.features, self.gram, self.zscore = features, gram, zscore
        self.options, self.weights = tuple(map(float, components)), np.ones((1, 1))

    def _prepare(self, split: Split) -> Callable[[Matrix], Readout]:
        fitted, other = scaled(self.features, split, self.zscore)
        if fitted.shape[1] > fitted.shape[0]:  # the same in the directions that the rows span
            values, basis = _eigen(fitted @ fitted.T)
            root = np.sqrt(values)
            fitted, other = basis * root, (other @ fitted.T) @ (basis / root)
        wanted = int(self.options[-1])
        scores, image = pls_scores(fitted, other, self.gram(split), wanted)
        kept = np.arange(scores.shape[1])
        gains = (kept < np.asarray(self.options)[:, None]).astype(np.float64)
        return lambda _weights: Readout(scores, image, gains)


def pls_scores(fitted: Matrix, other: Matrix, gram: Matrix, components: int) -> tuple[Matrix, Matrix]:
    """Orthonormal scores of rows that were fitted on, and the scores of other rows in the same units.

    Args:
        fitted: Centred features (n_fit, d).
        other: Features of other rows about the same mean (m, d).
        gram: Products of the rows of the responses (n_fit, n_fit).
        components: Components that are wanted; there are fewer where the features have no more.
    """
    scores: list[Matrix] = []
    weights, loadings = [], []
    rest = fitted.copy()
    size = np.linalg.norm(rest)
    covariance = rest.T @ gram @ rest
    first = 0.0
    for _ in range(min(components, *fitted.shape)):
        last = covariance.shape[0] - 1
        value, vector = scipy.linalg.eigh(covariance, subset_by_index=[last, last])
        first = max(first, float(value[0]))
        score = rest @ vector[:, 0]
        length = np.linalg.norm(score)
        if not value[0] > first * 1e-14 or length <= 1e-10 * size:
            break
        score /= length
        loading = rest.T @ score
        weights.append(vector[:, 0] / length)
        loadings.append(loading)
        scores.append(score)
        rest = rest - np.outer(score, loading)
        covariance = rest.T @ gram @ rest
    if not scores:  # responses that have nothing to do with the features at all
        return np.zeros((len(fitted), 1)), np.zeros((len(other), 1))
    w, p = np.stack(weights, axis=1), np.stack(loadings, axis=1)
    return np.stack(scores, axis=1), other @ (w @ np.linalg.inv(p.T @ w))


def scaled(features: Matrix, split: Split, zscore: bool) -> tuple[Matrix, Matrix]:
    """Rows to fit on and the others, about the mean of the former, which get a total variance of 1.

    Raises:
        InputError: if the features do not vary over the rows to fit on.
    """
    fitted = np.asarray(features[split.train], dtype=np.float64)
    mean = fitted.mean(axis=0)
    fitted = fitted - mean
    other = np.asarray(features[split.test], dtype=np.float64) - mean
    deviation = np.sqrt(np.mean(fitted**2, axis=0))
    flat = deviation <= 1e-12 * np.maximum(np.abs(mean), deviation.max(initial=0.0))
    if flat.all():
        raise InputError(
            "A layer does not vary over the rows that a fold fits on, so nothing can be read from it. Leave it out "
            "with layers=[…], or fit on other folds (seed=)."
        )
    if zscore:
        fitted, other = (np.where(flat, 0.0, rows / np.where(flat, 1.0, deviation)) for rows in (fitted, other))
    size = np.sqrt(np.vdot(fitted, fitted))
    return fitted / size, other / size


def simplex(bands: int, searches: int, seed: int) -> Matrix:
    """Weights of bands to try: equal ones, each band alone, and draws from Dirichlet distributions.

    Half of the draws are of few bands (concentration 0.1), half are even over the simplex (1), as himalaya's.
    """
    if bands == 1:
        return np.ones((1, 1))
    rng = np.random.default_rng([seed, 5])
    draws = [rng.dirichlet(np.full(bands, 0.1 if k % 2 == 0 else 1.0)) for k in range(searches)]
    return np.concatenate([np.full((1, bands), 1 / bands), np.eye(bands), np.reshape(draws, (searches, bands))])


def _weighted(kernels: Sequence[Matrix], weights: Matrix) -> Matrix:
    out: Matrix = kernels[0] * weights[0]
    for kernel, weight in zip(kernels[1:], weights[1:], strict=True):
        out = out + weight * kernel
    return out


def _eigen(products: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues above rounding, and their vectors."""
    values, vectors = scipy.linalg.eigh(products, check_finite=False)
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    return values[kept], vectors[:, kept]
