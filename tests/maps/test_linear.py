"""Ridge, least squares, whitened affine, mean, identity."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.linear_model import Ridge as SklearnRidge

from isomorph.errors import InputError
from isomorph.maps import _ridge_path, make_map
from isomorph.maps.linear import PENALTIES, Affine, LeastSquares, Mean, Ridge


def data(n: int, d: int, t: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + d)
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 3, d) + 5
    return x, x @ rng.normal(size=(d, t)) * 0.3 + rng.normal(size=(n, t)) + 2


def total(x: np.ndarray) -> float:
    return float(((x - x.mean(axis=0)) ** 2).sum())


@pytest.mark.parametrize(("n", "d"), [(40, 12), (25, 60), (21, 20)])
def test_leave_one_out_errors_equal_those_of_refits_without_each_item(n: int, d: int) -> None:
    x, y = data(n, d, 5)
    fitted = Ridge((1e-5, 1e-3, 0.1)).fit(x, y)
    for penalty, error in zip(fitted.penalties, fitted.loo_errors_, strict=True):
        residuals = []
        for i in range(n):
            rest = np.arange(n) != i
            model = SklearnRidge(alpha=penalty * total(x)).fit(x[rest], y[rest])
            residuals.append(model.predict(x[i : i + 1])[0] - y[i])
        assert error == pytest.approx(np.mean(np.square(residuals)), rel=1e-8)


@pytest.mark.parametrize(("n", "d"), [(50, 12), (25, 60)])
def test_large_problems_that_keep_no_forms_give_the_same_errors_and_coefficients(
    n: int, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = data(n, d, 5)
    kept = Ridge().fit(x, y)
    monkeypatch.setattr(_ridge_path, "CACHE_BYTES", 0)
    streamed = Ridge().fit(x, y)
    np.testing.assert_allclose(streamed.loo_errors_, kept.loo_errors_, rtol=1e-8)
    np.testing.assert_allclose(streamed.coef_, kept.coef_, atol=1e-10)


def test_ridge_chooses_and_predicts_as_ridge_cv_of_scikit_learn() -> None:
    x, y = data(60, 20, 7)
    ours, theirs = Ridge().fit(x, y), RidgeCV(alphas=np.array(PENALTIES) * total(x)).fit(x, y)
    assert ours.penalty_ * total(x) == pytest.approx(theirs.alpha_)
    np.testing.assert_allclose(ours.coef_, theirs.coef_.T, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-9)


def test_the_penalty_means_the_same_whatever_the_scale_of_x() -> None:
    x, y = data(30, 8, 3)
    np.testing.assert_allclose(Ridge(0.1).fit(x, y).predict(x), Ridge(0.1).fit(1e4 * x, y).predict(1e4 * x), atol=1e-8)


def test_a_grid_of_layers_gives_the_maps_that_single_fits_give() -> None:
    x, y = data(30, 8, 3)
    xs, ys = [x, x[:, :5]], [y, y**2, x]
    seen = set()
    for i, j, fitted in Ridge().fit_grid(xs, ys):
        alone = Ridge().fit(xs[i], ys[j])
        assert fitted.penalty_ == alone.penalty_
        np.testing.assert_allclose(fitted.coef_, alone.coef_, atol=1e-10)
        seen.add((i, j))
    assert seen == {(i, j) for i in range(2) for j in range(3)}


def test_fit_each_shares_one_factorisation(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data(30, 8, 3)
    calls = []
    whole = Ridge.factor
    monkeypatch.setattr(Ridge, "factor", lambda self, rows: calls.append(1) or whole(self, rows))
    first, second = Ridge().fit_each(x, [y, y[:, :2]])
    assert len(calls) == 1
    np.testing.assert_allclose(first.coef_[:, :2].shape, second.coef_.shape)


def test_a_factor_of_other_rows_is_refused() -> None:
    x, y = data(30, 8, 3)
    with pytest.raises(InputError, match="not made from these rows"):
        Ridge().fit(x, y, factor=Ridge().factor(x[::-1] + 1))


@pytest.mark.parametrize("penalties", [0, -1.0, (), (0.1, float("nan")), "much"])
def test_penalties_that_are_no_positive_numbers_are_refused(penalties: object) -> None:
    x, y = data(30, 8, 3)
    with pytest.raises(InputError, match="penalties"):
        Ridge(penalties).fit(x, y)  # type: ignore[arg-type]  # the wrong types are the point


@pytest.mark.parametrize(("n", "d"), [(40, 12), (12, 40)])
def test_least_squares_equals_linear_regression_also_with_fewer_pairs_than_features(n: int, d: int) -> None:
    x, y = data(n, d, 4)
    ours, theirs = LeastSquares().fit(x, y), LinearRegression().fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_.T, atol=1e-9)
    assert ours.rank_ == min(n - 1, d)


def test_least_squares_leaves_out_directions_below_its_tolerance() -> None:
    x, y = data(40, 6, 4)
    x[:, 5] = x[:, 4] + 1e-6 * x[:, 5]
    assert LeastSquares().fit(x, y).rank_ == 6
    assert LeastSquares(tolerance=1e-4).fit(x, y).rank_ == 5
    with pytest.raises(InputError, match="leaves no direction"):
        LeastSquares(tolerance=1.0).fit(x, y)


def test_affine_carries_the_covariance_of_x_to_that_of_y() -> None:
    x, y = data(60, 6, 6)
    mapped = Affine(0.0).fit(x, y).predict(x)
    np.testing.assert_allclose(np.cov(mapped.T), np.cov(y.T), atol=1e-8)
    np.testing.assert_allclose(mapped.mean(axis=0), y.mean(axis=0))


def test_affine_finds_an_affine_relation_and_its_inverse_returns() -> None:
    x, _ = data(60, 6, 6)
    y = x @ np.random.default_rng(0).normal(size=(6, 6)) + 1
    fitted = Affine(0.0).fit(x, y)
    np.testing.assert_allclose(fitted.predict(x), y, atol=1e-8)
    np.testing.assert_allclose(fitted.inverse().predict(y), x, atol=1e-8)
    np.testing.assert_allclose(fitted.inverse().inverse().predict(x), y, atol=1e-8)


def test_regularised_affine_still_has_an_exact_inverse() -> None:
    x, y = data(60, 6, 6)
    fitted = Affine(0.1).fit(x, y)
    np.testing.assert_allclose(fitted.inverse().predict(fitted.predict(x)), x, atol=1e-8)


def test_the_mean_predictor_explains_nothing_of_what_it_was_fitted_on() -> None:
    x, y = data(30, 8, 3)
    assert Mean().fit(x, y).score(x, y) == pytest.approx(0.0)


def test_identity_moves_the_mean_only_and_refuses_unequal_widths() -> None:
    x, y = data(30, 8, 3)
    moved = make_map("identity").fit(x, x + 2)
    np.testing.assert_allclose(moved.predict(x), x + 2)
    np.testing.assert_allclose(moved.inverse().predict(x + 2), x)
    with pytest.raises(InputError, match="same width, found 8 and 3"):
        make_map("identity").fit(x, y)


@pytest.mark.parametrize("spec", ["ridge", "least_squares", "affine", "orthogonal", "low_rank(rank=1)"])
def test_constant_features_are_refused(spec: str) -> None:
    _, y = data(30, 8, 3)
    with pytest.raises(InputError, match="constant"):
        make_map(spec).fit(np.ones((30, 4)), y)


@pytest.mark.parametrize(("n", "d"), [(60, 20), (30, 50)])
def test_a_single_fit_makes_no_forms_for_further_outcomes_and_gives_the_same(n: int, d: int) -> None:
    x, y = data(n, d, 7)
    alone, shared = Ridge().fit(x, y), Ridge()
    factor = shared.factor(x)
    shared.fit(x, y, factor=factor)
    assert factor.shared
    assert alone.penalty_ == shared.penalty_
    np.testing.assert_allclose(alone.loo_errors_, shared.loo_errors_, rtol=1e-10)
    np.testing.assert_allclose(alone.coef_, shared.coef_, rtol=1e-9, atol=1e-12)
    assert not Ridge()._factor_once(x).shared
