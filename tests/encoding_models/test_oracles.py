"""Ridge, banded ridge and PLS against scikit-learn and himalaya: other programs, the same numbers."""

import numpy as np
import pytest
from himalaya.kernel_ridge import MultipleKernelRidgeCV, solve_multiple_kernel_ridge_random_search
from himalaya.ridge import GroupRidgeCV, RidgeCV
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import StandardScaler

import isomorph as iso
from isomorph.design import Split
from isomorph.encoding_models._folds import nested
from isomorph.encoding_models._plan import products_of
from isomorph.encoding_models._readouts import BandedRidge, PartialLeastSquares, scaled, simplex
from isomorph.encoding_models._search import choose, predicted
from isomorph.encoding_models._sources import Units

N, UNITS = 90, 12
ALPHAS = (1e-4, 1e-2, 1e-1, 1.0)
ABSOLUTE = (1e-2, 1.0, 30.0, 100.0, 300.0)
CLOSE = {"rtol": 0, "atol": 1e-8}


def data(widths, seed=0):
    rng = np.random.default_rng(seed)
    bands = [rng.normal(size=(N, d)) * 3 + 1 for d in widths]
    y = sum(b @ rng.normal(size=(b.shape[1], UNITS)) * rng.uniform(0, 1, UNITS) for b in bands)
    return bands, y / y.std(axis=0) + rng.normal(size=(N, UNITS)) + 5


def held(y, method, folds):
    return predicted(y - y.mean(axis=0), method, folds, lambda _: None)


@pytest.mark.parametrize("width", [8, 200], ids=["d below n", "d above n"])
@pytest.mark.parametrize("zscore", [False, True])
def test_ridge_of_one_penalty_is_scikit_learns(width, zscore):
    (x,), y = data([width])
    (fold, *_) = folds = nested(N, None, 3, 2, 0)
    found = held(y, BandedRidge([x], (1e-3,), np.ones((1, 1)), zscore), folds)
    train, test = fold.split.train, fold.split.test
    scaler = StandardScaler(with_std=zscore).fit(x[train])
    fitted = scaler.transform(x[train])
    wanted = Ridge(alpha=1e-3 * np.sum(fitted**2)).fit(fitted, y[train]).predict(scaler.transform(x[test]))
    np.testing.assert_allclose(found.rows[test] + y.mean(axis=0), wanted, **CLOSE)


@pytest.mark.parametrize("width", [8, 200], ids=["d below n", "d above n"])
def test_each_unit_is_predicted_with_its_own_penalty_as_scikit_learn_does(width):
    (x,), y = data([width])
    folds = nested(N, np.arange(N) // 10, 3, 2, 0)
    found = held(y, BandedRidge([x], ALPHAS, np.ones((1, 1)), False), folds)
    assert len(np.unique(found.option)) > 1
    for k, fold in enumerate(folds):
        train, test = fold.split.train, fold.split.test
        total = np.sum((x[train] - x[train].mean(axis=0)) ** 2)
        for u in range(UNITS):
            fit = Ridge(alpha=ALPHAS[found.option[k, u]] * total).fit(x[train], y[train, u])
            np.testing.assert_allclose(found.rows[test, u] + y[:, u].mean(), fit.predict(x[test]), **CLOSE)


def in_inner_folds(method, y, fold):
    """What is chosen in the inner folds of one fold, and the parts of its rows as scikit-learn names them."""
    errors = np.full(UNITS, np.inf)
    weighting, option = np.zeros(UNITS, dtype=int), np.zeros(UNITS, dtype=int)
    choose(y - y.mean(axis=0), method, fold.inner, errors, weighting, option)
    part = np.zeros(len(fold.split.train), dtype=int)
    for j, inner in enumerate(fold.inner):
        part[np.isin(fold.split.train, inner.test)] = j
    return errors, weighting, option, PredefinedSplit(part)


def test_the_penalty_of_each_unit_is_the_one_that_himalayas_ridge_cv_chooses():
    (x,), y = data([6])
    y *= np.linspace(0.1, 1, UNITS)
    y += np.random.default_rng(1).normal(size=y.shape)
    fold = nested(N, np.arange(N) // 10, 3, 2, 0)[0]
    errors, _, option, parts = in_inner_folds(Absolute([x], ABSOLUTE, np.ones((1, 1)), False), y, fold)
    other = RidgeCV(alphas=ABSOLUTE, cv=parts, fit_intercept=True).fit(x[fold.split.train], y[fold.split.train])
    assert len(np.unique(option)) > 1
    np.testing.assert_allclose(np.asarray(ABSOLUTE)[option], other.best_alphas_, rtol=1e-12)
    np.testing.assert_allclose(-errors, np.ravel(other.cv_scores_), **CLOSE)


class Absolute(BandedRidge):
    """Ridge whose bands and penalties are in units of the features, as himalaya's, not shares of their variance."""

    def _prepare(self, split):
        sizes = [np.sum((b[split.train] - b[split.train].mean(axis=0)) ** 2) for b in self.bands]
        own = super()._prepare(split)
        return lambda weights: own(np.asarray(weights) * sizes)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # himalaya's logarithm of a weight of 0
@pytest.mark.parametrize("widths", [(5, 7), (60, 80, 4)], ids=["d below n", "d above n"])
def test_weights_and_penalties_of_bands_are_those_of_himalayas_random_search(widths):
    bands, y = data(widths)
    weights = simplex(len(bands), 12, seed=3)
    fold = nested(N, np.arange(N) // 10, 3, 3, 0)[0]
    train, test = fold.split.train, fold.split.test
    method = Absolute(bands, ABSOLUTE, weights, False)
    errors, weighting, option, parts = in_inner_folds(method, y, fold)
    assert len(np.unique(weighting)) > 1
    kernels = np.stack([b[train] @ b[train].T for b in bands])
    search = {"n_iter": weights, "alphas": np.array(ABSOLUTE), "progress_bar": False}
    deltas, _, scores = solve_multiple_kernel_ridge_random_search(
        kernels, y[train], cv=parts, fit_intercept=True, return_weights="dual", **search
    )[:3]
    np.testing.assert_allclose(-errors, scores.max(axis=0), **CLOSE)
    ours = weights[weighting] / np.asarray(ABSOLUTE)[option][:, None]
    np.testing.assert_allclose(ours, np.exp(deltas).T, **CLOSE)
    found = held(y, method, [fold]).rows[test] + y.mean(axis=0)
    rows = {"solver": "random_search", "cv": parts, "fit_intercept": True, "solver_params": search}
    by_kernels = MultipleKernelRidgeCV(kernels="precomputed", **rows).fit(kernels, y[train])
    np.testing.assert_allclose(found, by_kernels.predict(np.stack([b[test] @ b[train].T for b in bands])), **CLOSE)
    inside = weights[np.all(weights > 1e-6, axis=1)]  # himalaya's groups divide by the root of a weight
    rows["solver_params"] = search | {"n_iter": inside, "warn": False}
    by_groups = GroupRidgeCV(groups="input", **rows).fit([b[train] for b in bands], y[train])
    found = held(y, Absolute(bands, ABSOLUTE, inside, False), [fold]).rows[test] + y.mean(axis=0)
    np.testing.assert_allclose(found, by_groups.predict([b[test] for b in bands]), **CLOSE)


@pytest.mark.parametrize("width", [8, 200], ids=["d below n", "d above n"])
@pytest.mark.parametrize("zscore", [False, True])
def test_partial_least_squares_is_scikit_learns(width, zscore):
    (x,), y = data([width])
    y = y * np.arange(1, UNITS + 1)  # where units are z-scored they count the same, else not
    split = Split(np.arange(60), np.arange(60, N))
    components = (1, 2, 4)
    method = PartialLeastSquares(x, components, products_of(Units((y,), None, "y", {}), zscore), zscore)
    readout = method.readouts(split, np.float64)(0)
    centered = y[split.train] - y[split.train].mean(axis=0)
    for k, count in enumerate(components):
        found = (readout.right * readout.gains[k]) @ (readout.left.T @ centered) + y[split.train].mean(axis=0)
        # scikit-learn's tolerance is of a squared distance: its default stops at 1e-3
        other = PLSRegression(count, scale=zscore, tol=1e-27, max_iter=100_000).fit(x[split.train], y[split.train])
        np.testing.assert_allclose(found, other.predict(x[split.test]), rtol=0, atol=1e-8 * np.abs(y).max())


def test_the_whole_verb_scores_as_scikit_learn_and_scipy_do():
    (x,), y = data([10])
    runs = np.arange(N) // 15
    found = iso.fit_encoding(x, y, runs=runs, alphas=0.01, folds=3, permutations=0)
    rows, r = np.zeros_like(y), []
    for fold in nested(N, runs, 3, 2, 0):
        train, test = fold.split.train, fold.split.test
        total = np.sum((x[train] - x[train].mean(axis=0)) ** 2)
        rows[test] = Ridge(alpha=0.01 * total).fit(x[train], y[train]).predict(x[test])
        r.append([np.corrcoef(rows[test, u], y[test, u])[0, 1] for u in range(UNITS)])
    np.testing.assert_allclose(found["x"].r, np.mean(r, axis=0), atol=1e-6)  # kept in single precision


def test_features_that_are_scaled_have_a_total_variance_of_one():
    (x,), _ = data([10])
    fitted, other = scaled(x, Split(np.arange(60), np.arange(60, N)), False)
    assert np.sum(fitted**2) == pytest.approx(1)
    assert other.shape == (30, 10)
