from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from isomorph.metrics import metric
from isomorph.metrics._base import pearson3_sf
from isomorph.metrics._tails import far_tail, leading_eigenvalues, leading_weights, saddlepoint_sf


def test_the_saddlepoint_tail_is_that_of_a_sum_of_chi_squares():
    # Σ w (z² - 1) with 10 equal weights is a chi-square with 10 degrees of freedom
    weights = np.full(10, np.sqrt(0.97 / 20))
    rest = stats.norm(0, np.sqrt(0.03))
    skewness = 8 * np.sum(weights**3)
    grid = np.linspace(-0.8, 0.8, 4001)
    for z in (2.5, 4.0, 6.0, 10.0):
        exact = np.sum(rest.pdf(grid) * stats.chi2.sf((z - grid) / weights[0] + 10, 10)) * (grid[1] - grid[0])
        assert saddlepoint_sf(z, skewness, weights) == pytest.approx(exact, rel=0.02)


def test_without_leading_weights_the_saddlepoint_tail_is_near_pearson_iii():
    for z in (2.5, 4.0, 7.0):
        assert saddlepoint_sf(z, 0.8, np.zeros(1)) == pytest.approx(float(pearson3_sf(z, 0.8)), rel=0.02)


def test_a_symmetric_null_without_weights_has_a_normal_tail():
    assert saddlepoint_sf(5.0, 0.0, np.zeros(1)) == pytest.approx(stats.norm.sf(5.0), rel=1e-6)


def test_weights_that_carry_more_than_the_variance_still_give_a_tail():
    p = saddlepoint_sf(5.0, 2.0, np.array([0.9, 0.5]))
    assert 1e-5 < p < 1e-2


def test_leading_eigenvalues_are_those_of_the_matrix_without_its_mean_diagonal():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 20)) / np.sqrt(1 + np.arange(20.0)) ** 2
    x -= x.mean(axis=0)
    gram = x @ x.T
    exact = np.linalg.eigvalsh(gram) - np.trace(gram) / 59
    exact = exact[np.argsort(-np.abs(exact))][:4]
    np.testing.assert_allclose(leading_eigenvalues(gram), exact, rtol=1e-6)


def test_weights_are_the_products_of_the_eigenvalues():
    weights = leading_weights([np.array([2.0, 1.0])], [np.array([3.0, 0.5]), np.array([1.0, 1.0])], 11)
    assert weights.shape == (1, 2, 4)
    assert sorted(weights[0, 0] * 10) == [0.5, 1.0, 3.0, 6.0]


def test_the_far_tail_only_raises_small_p_values_and_stays_below_where_it_sets_in():
    p, z = np.array([0.3, 0.009, 1e-4, 1.0]), np.array([0.5, 2.4, 5.0, -np.inf])
    raised = far_tail(p, z, np.array(0.9), np.array([0.5, 0.2]))
    assert raised[[0, 3]].tolist() == [0.3, 1.0]
    assert (raised >= p).all()
    assert (raised[1:3] <= 0.01).all()
    assert raised[2] > 1e-4


def test_p_falls_as_the_score_rises():
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((50, 30)) / np.sqrt(1 + np.arange(30)) for _ in range(2))
    null = metric("cka").null(x, y)
    p = np.array([null.p_value(s) for s in np.linspace(0, 1, 400)])
    assert (np.diff(p) <= 1e-15).all()
    assert (p > 0).all()


def test_far_p_values_of_cka_do_not_claim_more_than_sampling_shows():
    n, rng, m = 40, np.random.default_rng(1), metric("cka")
    x, y = (rng.standard_normal((n, 40)) / np.sqrt(1 + np.arange(40)) for _ in range(2))
    a, b = (np.asarray(m.prepare(z).whole()) for z in (x, y))
    null = m.null(x, y)
    i, j = np.triu_indices(n, 1)
    weight = 2 * a[i, j] / np.linalg.norm(a) / np.linalg.norm(b)
    orders = rng.permuted(np.tile(np.arange(n), (40_000, 1)), axis=1)
    scores = np.concatenate([b[o[:, i], o[:, j]] @ weight for o in np.array_split(orders, 50)])
    level = 1e-3
    plain = null.mean + null.std * stats.pearson3.isf(level, null.skewness)
    grid = np.linspace(plain, 3 * plain, 500)
    ours = grid[np.argmax(np.array([null.p_value(s) for s in grid]) <= level)]
    assert np.sum(scores >= plain) > 50  # Pearson III alone: 40 are meant
    assert np.sum(scores >= ours) <= 55
    assert np.sum(scores >= ours) >= 20
