"""Predictivity: against scikit-learn, refits written out, grouped folds, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics.prediction import fold_of_items, grouped_predictivity

Pair = tuple[np.ndarray, np.ndarray]


def layers(n: int = 60, d1: int = 5, d2: int = 4, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 3))
    x = z @ rng.standard_normal((3, d1)) + 0.5 * rng.standard_normal((n, d1)) + 2
    return x, np.tanh(z @ rng.standard_normal((3, d2))) + 0.3 * rng.standard_normal((n, d2)) - 1


def held_out(model: Any, x: np.ndarray, y: np.ndarray, fold: np.ndarray, *, ridge: float = 0.0) -> np.ndarray:
    """Held-out predictions by scikit-learn, fold by fold."""
    out = np.empty_like(y)
    for f in np.unique(fold):
        known = x[fold != f]
        if ridge:
            model.set_params(alpha=ridge * np.sum((known - known.mean(axis=0)) ** 2))
        out[fold == f] = model.fit(known, y[fold != f]).predict(x[fold == f])
    return out


def r2(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean(axis=0)) ** 2))


@pytest.mark.parametrize("d1", [5, 55])
@pytest.mark.parametrize("folds", [3, 5])
def test_ridge_predictivity_equals_scikit_learn_with_fewer_and_more_features_than_items(d1: int, folds: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = layers(d1=d1)
    predicted = held_out(linear_model.Ridge(), x, y, fold_of_items(60, folds), ridge=0.03)
    m = metric(f"ridge_predictivity(regularization=0.03, direction='x_to_y', folds={folds})")
    assert m(x, y) == pytest.approx(r2(y, predicted), abs=1e-10)
    back = metric(f"ridge_predictivity(regularization=0.03, direction='y_to_x', folds={folds})")
    assert back(y, x) == pytest.approx(r2(y, predicted), abs=1e-10)


def test_linear_predictivity_equals_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = layers()
    predicted = held_out(linear_model.LinearRegression(), x, y, fold_of_items(60, 5, seed=7))
    m = metric("linear_predictivity(direction='x_to_y', folds=5, seed=7)")
    assert m(x, y) == pytest.approx(r2(y, predicted), abs=1e-10)


def test_pearson_is_the_mean_over_folds_and_units() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = layers()
    fold = fold_of_items(60, 5)
    predicted = held_out(linear_model.LinearRegression(), x, y, fold)
    expected = np.mean(
        [[np.corrcoef(predicted[fold == f, j], y[fold == f, j])[0, 1] for j in range(4)] for f in range(5)]
    )
    m = metric("linear_predictivity(direction='x_to_y', measure='pearson', folds=5)")
    assert m(x, y) == pytest.approx(expected, abs=1e-10)
    dead = np.insert(y, 2, 3.0, axis=1)
    assert m(x, dead) == pytest.approx(expected, abs=1e-10)


def test_symmetric_predictivity_is_the_mean_of_both_directions() -> None:
    x, y = layers()
    for name in ("linear_predictivity", "ridge_predictivity"):
        there, back = (metric(f"{name}(direction={d!r})")(x, y) for d in ("x_to_y", "y_to_x"))
        assert metric(name)(x, y) == pytest.approx((there + back) / 2, abs=1e-12)
        assert there != pytest.approx(back, abs=1e-3)


@pytest.mark.parametrize("d1", [5, 80])
def test_leave_one_out_in_closed_form_equals_refitting_without_every_item(d1: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = layers(n=30, d1=d1)
    model = linear_model.Ridge(alpha=0.1 * np.sum((x - x.mean(axis=0)) ** 2))
    predicted = held_out(model, x, y, np.arange(30))
    m = metric("ridge_predictivity(regularization=0.1, direction='x_to_y', folds='loo')")
    assert m(x, y) == pytest.approx(r2(y, predicted), abs=1e-10)


def test_leave_one_out_of_least_squares_equals_refitting_without_every_item() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = layers(n=30)
    predicted = held_out(linear_model.LinearRegression(), x, y, np.arange(30))
    m = metric("linear_predictivity(direction='x_to_y', folds='loo')")
    assert m(x, y) == pytest.approx(r2(y, predicted), abs=1e-10)


def test_without_holding_out_it_is_resis_linear_regression() -> None:
    x, y = layers()
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    w, v = np.linalg.eigh(xc.T @ xc)
    basis = xc @ (v / np.sqrt(w) @ v.T)
    expected = np.linalg.norm(basis.T @ yc) ** 2 / np.linalg.norm(yc) ** 2
    assert metric("linear_regression")(x, y) == pytest.approx(expected, abs=1e-12)


def test_unrelated_layers_do_not_predict_each_other() -> None:
    rng = np.random.default_rng(0)
    scores = [metric("linear_predictivity")(*(rng.standard_normal((60, 6)) for _ in range(2))) for _ in range(20)]
    assert np.mean(scores) < 0  # worse than the mean
    fitted = [metric("linear_regression")(*(rng.standard_normal((60, 6)) for _ in range(2))) for _ in range(60)]
    assert np.mean(fitted) == pytest.approx(6 / 59, abs=0.02)  # optimistic by r / (n - 1)


def test_copies_across_folds_inflate_the_score_and_grouped_folds_do_not() -> None:
    rng = np.random.default_rng(0)
    x, y = (np.repeat(rng.standard_normal((40, 30)), 3, axis=0) for _ in range(2))  # three copies of unrelated items
    leaked = metric("ridge_predictivity(regularization=0.001, direction='x_to_y')")(x, y)
    honest = grouped_predictivity(x, y, groups=np.repeat(np.arange(40), 3), regularization=0.001)
    assert leaked > 0.3
    assert honest < 0


def test_grouped_predictivity_with_every_item_its_own_group_is_of_the_same_size_as_the_metric() -> None:
    x, y = layers(n=200)
    for measure in ("r2", "pearson"):
        found = grouped_predictivity(x, y, groups=np.arange(200), regularization=0.01, measure=measure)  # type: ignore[arg-type]  # literals in a loop
        expected = metric(f"ridge_predictivity(regularization=0.01, direction='x_to_y', measure={measure!r})")(x, y)
        assert found == pytest.approx(expected, abs=0.05)


def test_folds_are_even_deterministic_and_never_part_a_group() -> None:
    fold = fold_of_items(23, 5, seed=3)
    assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5]
    np.testing.assert_array_equal(fold, fold_of_items(23, 5, seed=3))
    assert (fold != fold_of_items(23, 5, seed=4)).any()
    groups = np.array([f"image {i // 5}" for i in range(60)])
    grouped = fold_of_items(60, 4, groups=groups)
    assert all(len(set(grouped[groups == g])) == 1 for g in set(groups))
    assert sorted(np.bincount(grouped)) == [15, 15, 15, 15]


def test_too_few_items_groups_or_labels_are_refused() -> None:
    x, y = layers(n=12)
    with pytest.raises(InputError, match="at least 15"):
        metric("ridge_predictivity(folds=5)")(x, y)
    with pytest.raises(InputError, match="found 3; lower folds"):
        grouped_predictivity(x, y, groups=np.arange(12) % 3)
    with pytest.raises(InputError, match="regularization=-1"):
        grouped_predictivity(x, y, groups=np.arange(12), regularization=-1)
    with pytest.raises(InputError, match="groups has 2 labels for 12 items"):
        grouped_predictivity(x, y, groups=[1, 2])
    with pytest.raises(InputError, match="at least 20"):
        fold_of_items(12, 20)


@pytest.mark.parametrize("folds", ["5", "'loo'", "None"])
def test_least_squares_with_as_many_features_as_items_is_refused_with_the_fix(folds: str) -> None:
    x, y = layers(n=40, d1=60)
    with pytest.raises(InputError, match="ridge_predictivity"):
        metric(f"linear_predictivity(direction='x_to_y', folds={folds})")(x, y)


def test_an_item_that_alone_spans_a_direction_is_named() -> None:
    x, y = layers()
    x = np.insert(x, 0, 0.0, axis=1)
    x[17, 0] = 1.0
    with pytest.raises(InputError, match="item 17"):
        metric("linear_predictivity(direction='x_to_y', folds='loo')")(x, y)


@pytest.mark.parametrize(
    "spec",
    [
        "linear_predictivity(direction='both')",
        "linear_predictivity(measure='mse')",
        "linear_predictivity(folds=1)",
        "linear_predictivity(folds='five')",
        "linear_predictivity(measure='pearson', folds='loo')",
        "ridge_predictivity(regularization=0)",
        "ridge_predictivity(regularization=-1.0)",
    ],
)
def test_impossible_parameters_are_refused(spec: str) -> None:
    with pytest.raises(InputError):
        metric(spec)


@pytest.mark.parametrize("direction", ["x_to_y", "symmetric"])
def test_a_layer_that_is_constant_without_one_fold_predicts_nothing_and_is_refused(direction):
    x = np.zeros((60, 3))
    x[0] = 1
    y = np.random.default_rng(0).normal(size=(60, 5))
    with pytest.raises(InputError, match="without the items of one fold all others have the same features"):
        metric(f"ridge_predictivity(direction='{direction}')")(x, y)
