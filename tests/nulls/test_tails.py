from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from isomorph.metrics import metric
from isomorph.nulls.tails import far_tail, leading_eigenvalues, leading_weights, mixed_tail, pearson3_sf, saddlepoint_sf
from isomorph.nulls.ucentered import invariants, moments


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


def symmetric(n, rng, kind):
    m = rng.normal(size=(n, n))
    m = m + m.T
    if kind == "u-centred":
        np.fill_diagonal(m, 0)
        r = m.sum(axis=1)
        m = m - (r[:, None] + r[None]) / (n - 2) + r.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(m, 0)
    return m


def squared_effects(m):
    """Of items, squared, and of pairs, squared, as `Moments.scale` defines them."""
    n = len(m)
    a, w = np.diag(m) - np.trace(m) / n, m - m[~np.eye(n, dtype=bool)].mean()
    np.fill_diagonal(w, 0)
    u = w.sum(axis=1) / (n - 2)
    w = w - u[:, None] - u[None]
    np.fill_diagonal(w, 0)
    return a**2 + 2 * (n - 2) * u**2, w**2


@pytest.mark.parametrize("kind", ["any", "u-centred"])
@pytest.mark.parametrize("n", [4, 6, 7])
def test_the_scale_is_the_variance_over_all_pairings_of_what_meets(n, kind):
    rng = np.random.default_rng(n)
    a, b = (symmetric(n, rng, kind) for _ in range(2))
    (own_a, pair_a), (own_b, pair_b) = squared_effects(a), squared_effects(b)
    orders = [list(p) for p in itertools.permutations(range(n))]
    v = np.array([own_a @ own_b[p] + 2 * np.sum(pair_a * pair_b[np.ix_(p, p)]) for p in orders])
    of = [[invariants(m, u_centered=kind == "u-centred")] for m in (a, b)]
    assert moments(*of).scale[0, 0] == pytest.approx(v.var() / v.mean() ** 2, abs=1e-10)


def test_the_mixed_tail_is_that_of_a_normal_variable_of_random_scale():
    rng = np.random.default_rng(0)
    for scale in (0.05, 0.5, 3.0):
        draws = np.sqrt(rng.gamma(1 / scale, scale, 2_000_000)) * rng.standard_normal(2_000_000)
        for z in (2.5, 3.0, 4.0):
            found = mixed_tail(np.zeros(1), np.array([z]), np.array([0.0]), np.array([scale]))[0]
            share = np.mean(draws >= z)
            assert found == pytest.approx(share, abs=4 * np.sqrt(share / 2e6) + 1e-7)


def test_the_mixed_tail_leaves_alone_what_has_no_random_scale_and_scores_below_chance():
    p, z = np.array([0.2, 0.01, 0.7, 0.04, 0.02]), np.array([0.8, 2.3, -0.5, 1.75, 0.9])
    assert mixed_tail(p, z, np.zeros(5), np.array([0.0, 1e-6, 1.0, 1.0, 1.0])).tolist() == [0.2, 0.01, 0.7, 0.04, 0.03]


def item_scales(n, rng):
    return rng.normal(size=(n, 16)) * np.exp(0.75 * rng.normal(size=(n, 1)))


def three_far(n, rng):
    return rng.normal(size=(n, 16)) * np.where(np.arange(n) < 3, 5.0, 1.0)[:, None]


@pytest.mark.parametrize(
    "spec", ["cka", "cka(estimator='biased')", "rsa(dissimilarity='euclidean', comparison='pearson')"]
)
@pytest.mark.parametrize("make", [item_scales, three_far])
def test_p_keeps_its_level_where_some_items_are_far_out(spec, make):
    n, count, m, rng = 64, 20_000, metric(spec), np.random.default_rng(2)
    states = [[m.prepare(make(n, rng))] for _ in range(2)]
    null = m.null_moments(*states)
    orders = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
    scores = np.array([s[0, 0] for s in m.compare_permuted(*states, orders)])[:, None, None]
    p = null.p_value(scores)
    for level, most in ((0.05, 1.35), (0.01, 1.4), (0.001, 2.0)):
        assert np.mean(p <= level) <= most * level
    plain = pearson3_sf((scores - null.mean) / null.std, null.skewness)
    if null.tail_known.all() and spec == "cka":
        assert np.mean(plain <= 0.001) > 0.002, "three moments alone claim too much"


def test_where_a_few_items_decide_p_is_a_bound_that_always_holds():
    n, rng, m = 60, np.random.default_rng(0), metric("cka")
    x, y = rng.normal(size=(n, 8)), rng.normal(size=(n, 8))
    x[:3] *= 30
    y[10:13] *= 30
    null = m.null(x, y)
    assert null.tail_known is False
    for z in (0.5, 3.0, 20.0):
        assert null.p_value(null.mean + z * null.std) == pytest.approx(1 / (1 + z * z))
    assert null.p_value(null.mean - null.std) == 1.0
    assert m.null(rng.normal(size=(n, 8)), y).tail_known is True


def test_a_score_below_its_chance_level_has_a_large_p_whatever_the_data():
    for seed in range(30):
        rng = np.random.default_rng([9, 282 + seed])
        x, y = rng.standard_cauchy((128, 8)), rng.standard_cauchy((128, 8))
        null = metric("cka").null(x, y)
        assert null.p_value(null.mean - 0.1 * null.std) > 0.3


def test_p_of_a_sampled_null_is_counted_among_the_sample_and_looks_the_right_way():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5))
    y = x + 0.1 * rng.normal(size=(30, 5))
    for name in ("procrustes", "procrustes_distance"):
        m = metric(name)
        null = m.null(x, y, permutations=99)
        assert null.p_value(m(x, y)) == 0.01, "the least that 99 permutations can give"
        scores = [s[0, 0] for s in m.compare_permuted([m.prepare(x)], [m.prepare(y)], _orders(30, 99))]
        at_least = np.sum(np.array(scores) <= null.mean if m.distance else np.array(scores) >= null.mean)
        assert null.p_value(null.mean) == pytest.approx((1 + at_least) / 100)


def _orders(n, count):
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(n) for _ in range(count)])
