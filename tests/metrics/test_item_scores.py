"""Scores of single items: against enumeration, against the metric's own terms, and what re-pairing makes of them."""

from __future__ import annotations

import numpy as np
import pytest

import isomorph as iso
from isomorph.metrics import REGISTRY
from isomorph.nulls.judge import every_order

ABLE = [name for name in REGISTRY.classes if iso.metric(name).item_score]
EXACT = ("mutual_knn(k=2)", "mutual_knn(k=3)", "jaccard_knn(k=2)")
ROWS = ("cka", "cka(estimator='biased')", "cka(kernel='rbf')", "rsa", "rsa(comparison='kendall')", "hsic")


def pair(n=40, d=6, seed=0):
    x, noise = np.random.default_rng(seed).normal(size=(2, n, d))
    return x, x + 0.7 * noise


def scores(spec, x, y):
    metric = iso.metric(spec)
    return metric.item_scores(metric.prepare(x), metric.prepare(y))


@pytest.mark.parametrize("name", [n for n in ABLE if "item_permutation" in iso.metric(n).invariances])
def test_items_in_another_order_have_the_same_scores(name):
    x, y = pair()
    order = np.random.default_rng(1).permutation(len(x))
    given, turned = scores(name, x, y), scores(name, x[order], y[order])
    assert given.values.shape == (len(x),)
    np.testing.assert_allclose(turned.values, given.values[order], atol=1e-6)


@pytest.mark.parametrize("name", ABLE)
def test_a_re_pairing_is_the_score_of_re_paired_items(name):
    x, y = pair(30)
    order = np.random.default_rng(2).permutation(30)
    (found,) = scores(name, x, y).permuted(order[None])
    np.testing.assert_allclose(found, scores(name, x, y[order]).values, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in ABLE if iso.metric(n).item_score == iso.metric(n).contribution])
def test_by_default_an_item_scores_what_it_gives_to_the_score(name):
    x, y = pair()
    metric = iso.metric(name)
    sign = -1 if metric.distance else 1
    np.testing.assert_allclose(sign * scores(name, x, y).values, metric.per_item(x, y), atol=1e-9)


@pytest.mark.parametrize("spec", EXACT)
@pytest.mark.parametrize("n", [6, 7])
def test_the_exact_p_of_an_overlap_is_that_of_all_pairings(spec, n):
    x, y = pair(n, 3, seed=n)
    found = scores(spec, x, y)
    null = np.array(list(found.permuted(every_order(n))))
    np.testing.assert_allclose(found.exact.p_values, np.mean(null >= found.values - 1e-9, axis=0), atol=1e-12)
    np.testing.assert_allclose(found.exact.chance, null.mean(axis=0), atol=1e-12)


def test_ties_have_no_exact_p_but_the_exact_chance():
    x, y = (np.random.default_rng(s).integers(1, 4, (7, 2)).astype(float) for s in (0, 1))
    found = scores("mutual_knn(k=2, similarity='euclidean')", x, y)
    null = np.array(list(found.permuted(every_order(7))))
    assert np.isnan(found.exact.p_values).any()
    np.testing.assert_allclose(null.mean(axis=0), found.exact.chance, atol=1e-12)


@pytest.mark.parametrize("spec", ROWS)
def test_row_scores_are_correlations_of_similarities(spec):
    x, y = pair(20)
    metric = iso.metric(spec)
    a, b = metric.prepare(x), metric.prepare(y)
    matrices = [m.whole() if hasattr(m, "whole") else None for m in (a, b)]
    if matrices[0] is None:
        from isomorph.metrics._engines.rdms.vectors import square

        matrices = [square(np.asarray(p.vector), p.n) for p in (a, b)]
    others = ~np.eye(20, dtype=bool)
    rows = [np.corrcoef(matrices[0][i][others[i]], matrices[1][i][others[i]])[0, 1] for i in range(20)]
    np.testing.assert_allclose(metric.item_scores(a, b).values, rows, atol=1e-6)


def test_row_scores_have_the_moments_of_all_pairings():
    x, y = np.random.default_rng(3).exponential(size=(2, 7, 2))
    found = scores("cka", x, y)
    null = np.array(list(found.permuted(every_order(7))))
    np.testing.assert_allclose(null.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(null.var(axis=0), 1 / (7 - 2), atol=1e-6)
    assert np.isnan(found.exact.p_values).all()  # of seven items the tail of moments is not believed


def test_the_p_of_row_scores_is_that_of_sampled_pairings():
    x, y = pair(60, 4)
    found = scores("cka", x, np.random.default_rng(5).normal(size=y.shape) + 0.3 * x)
    rng = np.random.default_rng(6)
    null = np.array(list(found.permuted(np.array([rng.permutation(60) for _ in range(4000)]))))
    counted = np.mean(null >= found.values, axis=0)
    error = np.sqrt(np.maximum(counted * (1 - counted), 1e-4) / 4000)
    assert np.all(np.abs(found.exact.p_values - counted) < 5 * error + 0.01)


@pytest.mark.parametrize("spec", ["mutual_knn(k=3)", "jaccard_knn(k=3)", "cka", "rsa"])
def test_moves_say_what_an_item_more_does_to_other_scores(spec):
    """The spread of a mean over half of the items, by its jackknife, is near that over samples of the items."""
    n, rng = 60, np.random.default_rng(7)
    means, told = [], []
    weights = np.r_[np.ones(30), np.zeros(30)][None] / 30
    for _ in range(120):
        x = rng.normal(size=(n, 4))
        found = scores(spec, x, x + 0.8 * rng.normal(size=(n, 4)))
        means.append(float(weights[0] @ found.values))
        own = weights[0] * (found.values - means[-1])
        moved = found.moves.sums(weights)[0]
        told.append(np.sum((own + moved - moved.mean()) ** 2) - found.moves.twice(weights)[0])
    ratio = np.sqrt(np.mean(told)) / np.std(means)
    assert 0.75 < ratio < 1.35  # 120 samples: a standard deviation to 6 %; the jackknife of 60 items to some 15 %


def test_a_row_that_says_nothing_scores_nothing():
    from isomorph.nulls.rows import row_scores

    flat = np.ones((30, 30))
    other = np.random.default_rng(0).normal(size=(30, 30))
    assert np.all(row_scores(flat, other + other.T).values == 0)


def test_means_over_models_and_folds_mix_scores():
    from isomorph.nulls import mixed

    x, y = pair()
    first, second = scores("mutual_knn(k=3)", x, y), scores("mutual_knn(k=3)", x, x)
    mask = np.arange(40) < 20
    found = mixed([(mask.astype(float), first), ((~mask).astype(float), second)])
    np.testing.assert_array_equal(found.values, np.where(mask, first.values, second.values))
    np.testing.assert_array_equal(found.exact.p_values, np.where(mask, first.exact.p_values, second.exact.p_values))
    half = mixed([(np.full(40, 0.5), first), (np.full(40, 0.5), second)])
    np.testing.assert_allclose(half.values, (first.values + second.values) / 2)
    assert np.isnan(half.exact.p_values).all()
    order = np.random.default_rng(1).permutation(40)[None]
    (a,), (b,), (c,) = (list(s.permuted(order)) for s in (first, second, half))
    np.testing.assert_allclose(c, (a + b) / 2)
