"""PLS: against scikit-learn, its place between CCA and CKA, ties, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics.prediction import fold_of_items

from .test_prediction import held_out, layers, r2


def test_one_component_is_the_correlation_of_the_first_latent_variables() -> None:
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    x, y = layers()
    latent = decomposition.PLSSVD(n_components=1, scale=False).fit_transform(x, y)
    assert metric("pls(components=1)")(x, y) == pytest.approx(np.corrcoef(latent[0].T, latent[1].T)[0, 1], abs=1e-10)


def test_several_components_correlate_all_latent_coordinates_at_once() -> None:
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    x, y = layers()
    left, right = decomposition.PLSSVD(n_components=3, scale=False).fit_transform(x, y)
    expected = np.corrcoef(left.ravel(), right.ravel())[0, 1]  # each has mean zero
    assert metric("pls(components=3)")(x, y) == pytest.approx(expected, abs=1e-10)


def test_all_components_of_layers_of_one_width_are_procrustes() -> None:
    x, y = layers(d1=4)
    assert metric("pls(components=9)")(x, y) == pytest.approx(metric("procrustes")(x, y), abs=1e-10)


def test_variance_decides_where_cca_sees_correlation_alone() -> None:
    rng = np.random.default_rng(0)
    shared, x, y = (rng.standard_normal((200, d)) for d in (1, 3, 3))
    x, y = np.c_[0.01 * shared, x], np.c_[0.01 * shared, y]
    assert metric("cca")(x, y) > 0.25  # one correlation of four is perfect
    assert metric("pls(components=1)")(x, y) < 0.5


def test_layers_that_share_no_covariance_score_zero() -> None:
    q = np.linalg.qr(np.c_[np.ones(20), np.random.default_rng(0).standard_normal((20, 4))])[0][:, 1:]
    assert metric("pls")(q[:, :2], np.c_[q[:, 2], 2 * q[:, 3]]) == pytest.approx(0, abs=1e-12)


def test_the_cut_must_not_part_directions_of_the_same_covariance() -> None:
    q = np.linalg.qr(np.c_[np.ones(20), np.random.default_rng(0).standard_normal((20, 3))])[0][:, 1:]
    x = q * [3.0, 2.0, 2.0]
    assert metric("pls(components=1)")(x, x) == pytest.approx(1)
    with pytest.raises(InputError, match="components 2 and 3 are directions of the same covariance"):
        metric("pls(components=2)")(x, x)


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("d1", [5, 55])
def test_predictivity_equals_scikit_learn(components: int, d1: int) -> None:
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    x, y = layers(d1=d1)
    model = decomposition.PLSRegression(n_components=components, scale=False, tol=1e-15, max_iter=100_000)
    predicted = held_out(model, x, y, fold_of_items(60, 5))
    m = metric(f"pls_predictivity(components={components}, direction='x_to_y')")
    assert m(x, y) == pytest.approx(r2(y, predicted), abs=1e-8)


def test_predictivity_with_all_components_is_least_squares() -> None:
    x, y = layers()
    linear = metric("linear_predictivity")(x, y)
    assert metric("pls_predictivity(components=5)")(x, y) == pytest.approx(linear, abs=1e-10)
    assert metric("pls_predictivity(components=50)")(x, y) == pytest.approx(linear, abs=1e-10)
    assert metric("pls_predictivity(components=1)")(x, y) < linear - 0.01


def test_pearson_without_holding_out_equals_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    x, y = layers()
    model = decomposition.PLSRegression(n_components=2, scale=False, tol=1e-15, max_iter=100_000)
    predicted = model.fit(x, y).predict(x)
    expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, y.T, strict=True)])
    m = metric("pls_predictivity(components=2, direction='x_to_y', measure='pearson', folds=None)")
    assert m(x, y) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pls(components=0)", r"pls: components=0 must be a whole number of directions, at least 1"),
        ("pls_predictivity(components=0)", r"pls_predictivity: components=0"),
        ("pls_predictivity(folds='loo')", r"folds='loo' is not to be had.*use a number of folds"),
        ("pls_predictivity(direction='sideways')", r"direction='sideways' is not known"),
    ],
)
def test_bad_parameters_are_refused_in_words(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(spec)
