"""The statistics of leagues against independent implementations and closed forms."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from isomorph.leagues._statistics import (
    Jackknife,
    average_precision,
    conformity,
    rank_correlation,
    rank_correlations,
    ranks,
)
from isomorph.nulls.judge import holm

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_scikit_learn(ties):
    for _ in range(20):
        scores = RNG.normal(size=60)
        scores = np.round(scores, 0 if ties else 9)
        positive = RNG.random(60) < 0.3
        assert average_precision(scores, positive) == pytest.approx(
            average_precision_score(positive, scores), abs=1e-12
        )


def test_conformity_is_the_area_under_the_roc_curve_where_nothing_is_tied_and_ties_violate():
    scores, positive = RNG.normal(size=80), RNG.random(80) < 0.4
    assert conformity(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert conformity(np.ones(80), positive) == 0.0
    assert conformity([1.0, 1.0, 2.0], [True, False, True]) == 0.5


@pytest.mark.parametrize("kind", ["spearman", "kendall"])
def test_rank_correlations_are_those_of_scipy(kind):
    known = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[kind]
    for _ in range(10):
        a, b = np.round(RNG.normal(size=(2, 30)), 1)
        assert rank_correlation(a, b, kind) == pytest.approx(known(a, b).statistic, abs=1e-12)
    assert rank_correlation(np.ones(30), b, kind) == 0.0


def test_many_rows_at_once_are_the_same_as_one_by_one():
    rows, truth = np.round(RNG.normal(size=(5, 12)), 1), RNG.normal(size=12)
    one = [rank_correlation(row, truth) for row in rows]
    np.testing.assert_allclose(rank_correlations(rows, truth), one, atol=1e-12)


def test_the_jackknife_of_means_is_the_t_test():
    a, b = RNG.normal(size=(2, 40)) + np.array([[0.4], [0.0]])
    sample = np.stack([a, b], axis=1)
    without = np.array([np.delete(sample, k, axis=0).mean(axis=0) for k in range(40)])
    found = Jackknife.of(sample.mean(axis=0), without)
    np.testing.assert_allclose(found.errors, sample.std(axis=0, ddof=1) / np.sqrt(40), rtol=1e-10)
    gap, p, error = found.differences()
    assert error[0, 1] == pytest.approx((a - b).std(ddof=1) / np.sqrt(40), rel=1e-10)
    assert gap[0, 1] == pytest.approx(a.mean() - b.mean())
    assert p[0, 1] == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-8)
    low, high = found.interval(0.05)[0]
    assert (low, high) == pytest.approx(stats.ttest_1samp(a, 0).confidence_interval(0.95), rel=1e-8)


def test_draws_of_the_jackknife_have_its_covariance():
    sample = RNG.normal(size=(30, 3)) @ RNG.normal(size=(3, 3))
    without = np.array([np.delete(sample, k, axis=0).mean(axis=0) for k in range(30)])
    drawn = Jackknife.of(sample.mean(axis=0), without).draws(100_000, np.random.default_rng(1))
    expected = np.cov(sample.T) / 30
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=5 * np.abs(expected).max() / np.sqrt(100_000))


def test_what_never_moves_is_different_with_no_more_than_a_sign_test_could_give():
    without = np.tile([1.0, 0.5, 0.5], (6, 1))
    gap, p, _ = Jackknife.of(np.array([1.0, 0.5, 0.5]), without).differences()
    assert gap[0, 1] == 0.5
    assert p[0, 1] == 2.0**-5
    assert p[1, 2] == 1.0


def test_ranks_share_places_and_holm_holds_all():
    np.testing.assert_array_equal(ranks(np.array([[0.1, 0.5, 0.5], [3, 2, 1]])), [[3, 1.5, 1.5], [1, 2, 3]])
    p = [0.01, 0.04, 0.03, 0.005]
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
