"""The linear models under the heads, against scikit-learn on features scaled the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from isomorph.errors import InputError
from isomorph.heads import Target, as_target, checked_spaces, fit_linear, folds_of, log_loss, reading_error
from isomorph.heads._linear import RIDGE

Matrix = np.ndarray[Any, Any]
N = 90
RNG = np.random.default_rng(1)
X = RNG.standard_normal((N, 6)) * np.linspace(3, 0.3, 6) + 5
Y = 1000 * RNG.standard_normal((N, 130))  # more features than items
NUMBERS = Target("numbers", X[:, :2] @ RNG.standard_normal((2, 2)) + RNG.standard_normal((N, 2)), ("a", "b"))
CLASSES = Target("classes", np.digitize(X[:, 0] - 5 + RNG.standard_normal(N), [-1, 1]), ("low", "middle", "high"))
TWO = Target("classes", (CLASSES.values > 0).astype(int), ("no", "yes"))
LABELS = Target("labels", np.column_stack([TWO.values, CLASSES.values > 1]).astype(int), ("a", "b"))
FOLDS = folds_of(CLASSES, None, 0)


def scaled(rows: Matrix) -> Matrix:
    """Mean zero and total variance one, written by hand."""
    centered: Matrix = rows - rows.mean(axis=0)
    return centered / np.sqrt(centered.var(axis=0).sum())


@pytest.mark.parametrize("rows", [X, Y], ids=["few features", "many features"])
def test_ridge_is_scikit_learns_with_its_leave_one_out(rows: Matrix) -> None:
    ours = fit_linear({"s": rows}, NUMBERS, folds=FOLDS)
    theirs = RidgeCV(alphas=[N * p for p in RIDGE], scoring="neg_mean_squared_error").fit(scaled(rows), NUMBERS.values)
    assert ours.penalty == pytest.approx(theirs.alpha_ / N)
    np.testing.assert_allclose(ours.coef["s"], theirs.coef_.T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.predict({"s": rows}), theirs.predict(scaled(rows)), rtol=1e-7)
    refits = cross_val_predict(Ridge(alpha=theirs.alpha_), scaled(rows), NUMBERS.values, cv=LeaveOneOut())
    np.testing.assert_allclose(ours.unseen, refits, rtol=1e-6, atol=1e-6)
    assert reading_error(rows, NUMBERS, "s") == pytest.approx(np.sum((refits - NUMBERS.values) ** 2), rel=1e-6)


def test_ridge_with_weights_is_ridge_on_weighted_spaces() -> None:
    noise = np.random.default_rng(2).standard_normal((N, 60))
    ours = fit_linear({"x": X, "noise": noise}, NUMBERS, folds=FOLDS)
    assert ours.weights["x"] == 1 > ours.weights["noise"]
    weighted = np.hstack([np.sqrt(ours.weights[k]) * scaled(v) for k, v in (("x", X), ("noise", noise))])
    total = float(np.sum(weighted**2))
    theirs = Ridge(alpha=ours.penalty * total).fit(weighted, NUMBERS.values)
    np.testing.assert_allclose(ours.predict({"x": X, "noise": noise}), theirs.predict(weighted), rtol=1e-6)


def test_weights_of_the_spaces_lower_the_error_where_one_is_wide_noise() -> None:
    rng = np.random.default_rng(3)
    x, noise = rng.standard_normal((500, 20)), rng.standard_normal((500, 200))
    truth = x @ rng.standard_normal((20, 1)) + 2 * rng.standard_normal((500, 1))
    target = Target("numbers", truth[:150], ("t",))
    errors = {}
    for banded in (True, False):
        fit = fit_linear({"x": x[:150], "n": noise[:150]}, target, folds=folds_of(target, None, 0), banded=banded)
        errors[banded] = np.mean((fit.predict({"x": x[150:], "n": noise[150:]}) - truth[150:]) ** 2)
    assert errors[True] < 0.9 * errors[False]


@pytest.mark.parametrize("rows", [X, Y], ids=["few features", "many features"])
@pytest.mark.parametrize("penalty", [1e-2, 1e-4])
def test_logistic_regression_is_scikit_learns(rows: Matrix, penalty: float) -> None:
    ours = fit_linear({"s": rows}, CLASSES, folds=FOLDS, penalties=[penalty])
    options: dict[str, Any] = {"tol": 1e-9, "max_iter": 20_000}
    theirs = LogisticRegression(C=1 / (N * penalty), **options).fit(scaled(rows), CLASSES.values)
    np.testing.assert_allclose(ours.predict({"s": rows}), theirs.predict_proba(scaled(rows)), atol=1e-3)
    size = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(ours.coef["s"] / size, theirs.coef_.T / size, atol=3e-3)
    for fold in range(3):
        train, test = fold != FOLDS, fold == FOLDS
        again = LogisticRegression(C=1 / (train.sum() * penalty), **options)
        again.fit(scaled(rows)[train], CLASSES.values[train])
        gaps = np.abs(ours.unseen[test] - again.predict_proba(scaled(rows)[test]))
        assert gaps.max() < 0.05, "by fits that stop early, for the choice of a decade"
        assert gaps.mean() < 0.01


def test_two_classes_and_several_labels_are_scikit_learns_too() -> None:
    options: dict[str, Any] = {"tol": 1e-9, "max_iter": 20_000}
    ours = fit_linear({"x": X}, TWO, folds=FOLDS, penalties=[1e-3])
    # a coefficient for each of two classes, each half as large: half the penalty
    theirs = LogisticRegression(C=2 / (N * 1e-3), **options).fit(scaled(X), TWO.values)
    np.testing.assert_allclose(ours.predict({"x": X}), theirs.predict_proba(scaled(X)), atol=1e-3)
    ours = fit_linear({"x": X}, LABELS, folds=FOLDS, penalties=[1e-3])
    for k in range(2):
        one = LogisticRegression(C=1 / (N * 1e-3), **options).fit(scaled(X), LABELS.values[:, k])
        np.testing.assert_allclose(ours.predict({"x": X})[:, k], one.predict_proba(scaled(X))[:, 1], atol=1e-3)


def test_copies_that_lack_a_space_are_items_of_less_weight() -> None:
    z = Y[:, :4] / 1000
    ours = fit_linear({"x": X, "z": z}, CLASSES, folds=FOLDS, banded=False, penalties=[1e-3], copies=0.5)
    a, b = scaled(X), scaled(z)
    rows = np.vstack([np.hstack([a, b]), np.hstack([0 * a, b]), np.hstack([a, 0 * b])])
    weights = np.repeat([1.0, 0.25, 0.25], N) / (1.5 * N)
    theirs = LogisticRegression(C=1e3, tol=1e-9, max_iter=20_000)
    theirs.fit(rows, np.tile(CLASSES.values, 3), sample_weight=weights)
    np.testing.assert_allclose(ours.predict({"x": X, "z": z}), theirs.predict_proba(rows[:N]), atol=1e-3)


def test_the_penalty_is_the_one_of_least_log_loss_on_the_folds() -> None:
    grid = (1e-2, 1e-3, 1e-4)
    losses = [
        log_loss(fit_linear({"x": X}, CLASSES, folds=FOLDS, penalties=[p]).unseen, CLASSES.outcomes, "classes").mean()
        for p in grid
    ]
    assert fit_linear({"x": X}, CLASSES, folds=FOLDS, penalties=grid).penalty == grid[int(np.argmin(losses))]


def test_a_missing_space_stands_at_its_mean() -> None:
    z = Y[:, :4]
    fit = fit_linear({"x": X, "z": z}, CLASSES, folds=FOLDS, banded=False)
    at_mean = fit.predict({"x": X, "z": np.tile(z.mean(axis=0), (N, 1))})
    np.testing.assert_allclose(fit.predict({"x": X, "z": None}), at_mean, atol=1e-12)


def test_log_loss_is_by_hand() -> None:
    p = np.array([[0.8, 0.2], [0.5, 0.5]])
    np.testing.assert_allclose(log_loss(p, np.eye(2), "classes"), -np.log([0.8, 0.5]))
    both = log_loss(p, np.array([[1, 0], [1, 1]]), "labels")
    np.testing.assert_allclose(both, [-2 * np.log(0.8), -2 * np.log(0.5)])


def test_folds_keep_groups_whole_and_spread_classes() -> None:
    groups = np.repeat(np.arange(30), 3)
    folds = folds_of(CLASSES, groups, 4)
    assert all(len(set(folds[groups == g])) == 1 for g in range(30))
    spread = [np.bincount(FOLDS[CLASSES.values == c], minlength=3) for c in range(3)]
    assert all(np.ptp(counts) <= 1 for counts in spread)
    np.testing.assert_array_equal(FOLDS, folds_of(CLASSES, None, 0))
    assert (folds_of(CLASSES, None, 1) != FOLDS).any()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: checked_spaces({}), "nothing to predict from"),
        (lambda: checked_spaces([X]), "features by name"),
        (lambda: checked_spaces({"x": X, "y": X[:5]}), "x has 90, y has 5"),
        (lambda: checked_spaces({"x": np.zeros((5, 2, 3))}), "Pool the tokens"),
        (lambda: as_target(["a"] * 5, 5), "single class"),
        (lambda: as_target(CLASSES, 5), "has 90 items, the spaces have 5"),
        (lambda: folds_of(CLASSES, np.zeros(N), 0), "one group"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_words(call: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        call()
