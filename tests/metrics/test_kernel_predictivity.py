"""Kernel predictivity: against scikit-learn, its limits, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics.prediction import fold_of_items

from .test_prediction import layers, r2


def held_out(x: np.ndarray, y: np.ndarray, fold: np.ndarray, share: float, width: float) -> np.ndarray:
    """Held-out predictions of scikit-learn's kernel ridge on kernels centred by its KernelCenterer."""
    ridge: Any = pytest.importorskip("sklearn.kernel_ridge")
    preprocessing: Any = pytest.importorskip("sklearn.preprocessing")
    distance: Any = pytest.importorskip("scipy.spatial.distance")
    squared = distance.squareform(distance.pdist(x, "sqeuclidean"))
    median = np.median(squared[np.triu_indices(len(x), 1)])
    kernel = np.exp(-squared / (2 * width**2 * median))
    out = np.empty_like(y)
    for f in np.unique(fold):
        test, train = fold == f, fold != f
        centerer = preprocessing.KernelCenterer()
        known = centerer.fit_transform(kernel[np.ix_(train, train)])
        model = ridge.KernelRidge(alpha=share * np.trace(known), kernel="precomputed")
        level = y[train].mean(axis=0)
        model.fit(known, y[train] - level)
        out[test] = level + model.predict(centerer.transform(kernel[np.ix_(test, train)]))
    return out


@pytest.mark.parametrize("d1", [5, 55])
@pytest.mark.parametrize(("share", "width"), [(0.01, 1.0), (0.1, 0.3)])
def test_it_equals_scikit_learn(d1: int, share: float, width: float) -> None:
    x, y = layers(d1=d1)
    predicted = held_out(x, y, fold_of_items(60, 5), share, width)
    m = metric(f"kernel_predictivity(regularization={share}, bandwidth={width}, direction='x_to_y')")
    assert m(x, y) == pytest.approx(r2(y, predicted), abs=1e-10)


def test_leave_one_out_equals_refits() -> None:
    x, y = layers(n=24)
    m = metric("kernel_predictivity(direction='x_to_y', folds='loo', regularization=0.05)")
    kernel_share = 0.05  # of the trace over all items, which refits without one item would otherwise not have
    distance: Any = pytest.importorskip("scipy.spatial.distance")
    squared = distance.squareform(distance.pdist(x, "sqeuclidean"))
    kernel = np.exp(-squared / (2 * np.median(squared[np.triu_indices(24, 1)])))
    centred = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    ridge = kernel_share * np.trace(centred)
    predicted = np.empty_like(y)
    for i in range(24):
        rest = np.arange(24) != i
        # ridge with intercept as one linear system: the intercept is not penalised, weights sum to zero
        system = np.block([[kernel[np.ix_(rest, rest)] + ridge * np.eye(23), np.ones((23, 1))], [np.ones((1, 23)), 0]])
        solution = np.linalg.solve(system, np.r_[y[rest], np.zeros((1, y.shape[1]))])
        predicted[i] = np.r_[kernel[i, rest], 1] @ solution
    assert m(x, y) == pytest.approx(r2(y, predicted), abs=1e-9)


def test_a_wide_kernel_is_ridge_regression() -> None:
    x, y = layers()
    wide = metric("kernel_predictivity(bandwidth=1000.0)")(x, y)
    assert wide == pytest.approx(metric("ridge_predictivity")(x, y), abs=1e-4)
    assert abs(metric("kernel_predictivity(bandwidth=1.0)")(x, y) - wide) > 1e-3


def test_a_bent_copy_is_found_where_a_linear_fit_finds_nothing() -> None:
    x = np.random.default_rng(0).standard_normal((150, 2))
    y = np.cos(2 * x)  # even in x
    assert metric("kernel_predictivity(direction='x_to_y', bandwidth=0.5, regularization=0.001)")(x, y) > 0.9
    assert metric("ridge_predictivity(direction='x_to_y')")(x, y) < 0.1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("kernel_predictivity(bandwidth=0.0)", r"kernel_predictivity: bandwidth=0\.0 must be above 0"),
        ("kernel_predictivity(regularization=0.0)", r"kernel_predictivity: regularization=0\.0 must be a finite share"),
    ],
)
def test_bad_parameters_are_refused_in_words(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(spec)


def test_training_items_that_are_all_the_same_are_refused() -> None:
    x, y = layers(n=20, d1=3)
    x = np.ones_like(x)
    x[fold_of_items(20, 5) == 0] += np.arange(4)[:, None]
    with pytest.raises(InputError, match=r"duplicates|same features"):
        metric("kernel_predictivity")(x, y)
