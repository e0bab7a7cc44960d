from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics._engines.neighbors import influence as influence_of_overlaps
from isomorph.metrics.rdm import compute_rdm
from isomorph.significance import (
    difference,
    interval,
    model_interval,
    planted,
    query_interval,
    subsample_interval,
)

CKAS = ["cka", "cka(estimator='biased')", "cka(estimator='lange')", "cka(kernel='rbf')", "cka(kernel='polynomial')"]


def prepared(m, *layers):
    return [m.prepare(x) for x in layers]


def data(seed, n=60, strength=0.4):
    return planted(n, 12, 9, 3, strength, np.random.default_rng(seed))


@pytest.mark.parametrize("spec", CKAS)
def test_influences_on_cka_are_the_derivatives_by_the_items_weights(spec):
    m = metric(spec)
    x, y = data(0, n=12)
    xs, ys = prepared(m, x, x[:, :4]), prepared(m, y, y[:, 2:], y**2)
    influence = m.influence(xs, ys)
    assert (influence.variance > 0).all()
    left, right = ([np.asarray(s.whole(), dtype=float) for s in side] for side in (xs, ys))

    def weighted(a, b, w):
        ww = np.outer(w, w)
        return np.sum(ww * a * b) / np.sqrt(np.sum(ww * a * a) * np.sum(ww * b * b))

    step = 1e-5
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            for item in range(12):
                up, down = np.ones(12), np.ones(12)
                up[item] += step
                down[item] -= step
                slope = (weighted(a, b, up) - weighted(a, b, down)) / (2 * step)
                assert influence.values[item, i, j] == pytest.approx(12 * slope, abs=1e-7)


@pytest.mark.parametrize("estimator", ["unbiased", "biased_squared"])
def test_influences_on_distance_correlation_are_those_on_cka_of_the_distances(estimator):
    x, y = data(0, n=14)
    m = metric(f"distance_correlation(estimator={estimator!r})")
    influence = m.influence(prepared(m, x), prepared(m, y))
    a, b = (m.prepare(v).matrix for v in (x, y))
    c = np.sum(a * b)
    g = a * b - c / 2 * (a * a + b * b)
    np.testing.assert_allclose(influence.values[:, 0, 0], 2 * 14 * g.sum(axis=1), atol=1e-12)
    pairs = g[~np.eye(14, dtype=bool)]
    assert influence.second[0, 0] == pytest.approx(2 * np.sum((pairs - pairs.mean()) ** 2))
    assert metric("dcor").influence(prepared(m, x), prepared(m, y)) is None


RSAS = [
    "rsa",
    "rsa(comparison='pearson')",
    "rsa(comparison='rho_a')",
    "rsa(dissimilarity='cosine', comparison='cosine')",
]


@pytest.mark.parametrize("spec", RSAS)
@pytest.mark.parametrize("tied", [False, True])
def test_influences_on_rsa_are_the_derivatives_by_the_items_weights(spec, tied):
    m = metric(spec)
    x, y = data(0, n=12)
    if tied:  # few distinct dissimilarities, 0 among them
        x, y = (np.round(v[:, :3]) + np.array([0.5, 0.0, -4.0]) for v in (x, y))
        x[4], y[7] = x[2], y[2]
    influence = m.influence(prepared(m, x), prepared(m, y))
    kind = m.dissimilarity
    first, second = (np.asarray(compute_rdm(v, kind)).round(12) for v in (x, y))
    rows, columns = np.triu_indices(12, 1)
    ranked, centered = m.comparison in ("spearman", "rho_a"), m.comparison != "cosine"

    def weighted(w):
        ww = w[rows] * w[columns]
        ww = ww / ww.sum()
        a, b = first, second
        if ranked:  # the share of pairs below, ties by half
            a, b = ((ww * (np.sign(v[:, None] - v[None, :]) + 1) / 2).sum(axis=1) for v in (a, b))
        if centered:
            a, b = a - ww @ a, b - ww @ b
        if m.comparison == "rho_a":
            return 12 * np.sum(ww * a * b)
        return np.sum(ww * a * b) / np.sqrt(np.sum(ww * a * a) * np.sum(ww * b * b))

    step = 1e-5
    for item in range(12):
        up, down = np.ones(12), np.ones(12)
        up[item] += step
        down[item] -= step
        slope = (weighted(up) - weighted(down)) / (2 * step)
        # ranks are 1 … m where shares are (rank - 1/2) / m: ρ-a divides by m³ - m, not m³
        slope *= 66**3 / (66**3 - 66) if m.comparison == "rho_a" else 1.0
        assert influence.values[item, 0, 0] == pytest.approx(12 * slope, abs=1e-7)


@pytest.mark.parametrize("spec", ["rsa(comparison='kendall')", "rsa(dissimilarity='mahalanobis')"])
def test_rsa_gives_no_influences_where_an_item_moves_what_all_others_are_measured_by(spec):
    m = metric(spec)
    assert m.influence(prepared(m, data(0)[0]), prepared(m, data(0)[1])) is None


@pytest.mark.parametrize("widths", [(6, 6), (7, 3), (2, 5)])
def test_influences_on_procrustes_are_derivatives_to_the_second_order(widths):
    m, n, step = metric("procrustes"), 24, 1e-4
    x, y = (v[:, :d] for v, d in zip(data(3, n=n), widths, strict=True))
    influence = m.influence(prepared(m, x), prepared(m, y))
    together = influence.products(np.eye(n))

    def weighted(p, q, up, side):
        w = np.ones(n)
        w[p] += up * step
        w[q] += side * step
        a, b = (v - np.average(v, axis=0, weights=w) for v in (x, y))
        nuclear = np.linalg.svd((a * w[:, None]).T @ b, compute_uv=False).sum()
        return nuclear / np.sqrt(np.sum(w[:, None] * a * a) * np.sum(w[:, None] * b * b))

    for p, q in ((0, 1), (5, 20), (23, 2)):
        slope = (weighted(p, q, 1, 0) - weighted(p, q, -1, 0)) / (2 * step)
        assert influence.values[p, 0, 0] == pytest.approx(n * slope, abs=1e-6)
        corners = [weighted(p, q, *c) * c[0] * c[1] for c in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
        # that all weights together change nothing is no doing of a pair
        own = influence.values[[p, q], 0, 0].sum() / n**2
        assert together[p, q] == pytest.approx(sum(corners) / (4 * step**2) + own, abs=1e-6)
    np.testing.assert_allclose(together, together.T, atol=1e-15)
    np.testing.assert_allclose(np.diag(together), 0.0, atol=1e-15)
    away = together[~np.eye(n, dtype=bool)]
    assert influence.second[0, 0] == pytest.approx(np.sum((away - away.mean()) ** 2) / 2)


def test_what_pairs_of_many_items_add_is_estimated_by_probes():
    m, n = metric("procrustes"), 100
    x, y = data(3, n=n)
    influence = m.influence(prepared(m, x), prepared(m, y))
    away = influence.products(np.eye(n))[~np.eye(n, dtype=bool)]
    assert influence.second[0, 0] == pytest.approx(np.sum((away - away.mean()) ** 2) / 2, rel=0.25)


def test_intervals_of_procrustes_are_numbers_where_the_score_is_zero():
    m = metric("procrustes")
    # 64 items: their unit rows are ±1/8, whose products cancel exactly in any order of summation
    x, y = np.tile([0.0, 1.0], 32)[:, None], np.repeat([0.0, 1.0], 32)[:, None]
    i = interval(m, prepared(m, x), prepared(m, y))
    assert (i.low[0, 0], i.values[0, 0]) == (0.0, 0.0)
    assert i.high[0, 0] == pytest.approx(2.0 / np.sqrt(64), rel=0.05)  # a correlation of 64 items at zero
    grouped = interval(m, prepared(m, x), prepared(m, y), groups=np.arange(64) // 2)
    assert 0 < grouped.standard_error[0, 0] < 1
    found = difference("procrustes", (x, x), (x, y))
    assert found.p_value < 0.01
    assert np.isfinite([found.low, found.high]).all()


def test_bounds_at_an_end_of_the_range_do_not_turn_on_rounding():
    m = metric("procrustes")
    x, y = np.tile([0.0, 1.0], 32)[:, None], np.repeat([0.0, 1.0], 32)[:, None]
    exact = interval(m, prepared(m, x), prepared(m, y))
    rounded = interval(m, prepared(m, x), prepared(m, y + 1e-14 * x))
    assert 0 < rounded.values[0, 0] < 1e-13
    assert rounded.high[0, 0] == pytest.approx(exact.high[0, 0], abs=1e-12)


def test_differences_of_procrustes_take_out_what_pairs_of_items_add():
    m = metric("procrustes")
    x, y = data(5, n=48)
    one, two = (m.influence(prepared(m, v), prepared(m, y)) for v in (x, x[:, :5]))
    gap = one.minus(two)
    np.testing.assert_array_equal(gap.values, one.values - two.values)
    assert 0 < gap.second[0, 0] < 2 * (one.second + two.second)[0, 0]
    assert gap.variance[0, 0] < np.sum(gap.left_out**2) / 48**2
    assert one.minus(one).variance[0, 0] == 0.0


def test_procrustes_gives_no_interval_where_features_are_as_many_as_items():
    m = metric("procrustes")
    x, y = data(3, n=30)
    assert interval(m, prepared(m, x), prepared(m, y)) is None


def test_a_layer_too_wide_takes_no_interval_from_the_others():
    m = metric("procrustes")
    x, y = data(3, n=60)
    wide = np.random.default_rng(0).normal(size=(60, 40))
    alone = interval(m, prepared(m, x), prepared(m, y))
    beside = interval(m, prepared(m, wide, x), prepared(m, y, wide))
    for name in ("low", "high", "standard_error"):
        found = getattr(beside, name)
        np.testing.assert_array_equal(np.isnan(found), [[True, True], [False, True]])
        assert found[1, 0] == pytest.approx(getattr(alone, name)[0, 0], rel=1e-12)  # blocks of another shape
    assert np.isfinite(beside.values).all()


def test_the_second_order_part_is_the_sum_over_pairs_of_items():
    m = metric("cka")
    x, y = data(1, n=15)
    xs, ys = prepared(m, x), prepared(m, y)
    a, b = (np.asarray(s.whole(), dtype=float) for s in (xs[0], ys[0]))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    c = np.sum(a * b)
    g = a * b - c / 2 * (a * a + b * b)
    influence = m.influence(xs, ys)
    np.testing.assert_allclose(influence.second[0, 0], 2 * np.sum(g * g))
    np.testing.assert_allclose(influence.values[:, 0, 0], 2 * 15 * g.sum(axis=1), atol=1e-12)


def slow_overlap_influence(a, b, places_a, places_b, k):
    """Item by item, as `overlap_influence` says; adjacency matrices and the places in the lists."""
    n = len(a)
    p = np.sum(a * b) / (n * k)
    edges, fills = a * b, []
    for own, other, places in ((a, b, places_a), (b, a, places_b)):
        fills.append(np.zeros((n, n)))
        shares = [
            np.mean([other[i, j] for i in range(n) for j in range(n) if places[i, j] == r]) for r in range(1, k + 1)
        ]
        slope = np.polyfit(range(1, k + 1), shares, 1)[0]
        outer = own * (places > k / 2)
        chance = np.clip(p + slope * k / 2, 0, 1) / (np.sum(outer * other) / outer.sum())
        for j, i in zip(*np.nonzero(own), strict=True):
            rows = [r for r in range(n) if (r == j or own[j, r]) and r != i]
            rest = outer[rows].copy()
            rest[:, i] = 0
            fills[-1][j, i] = min(chance * np.sum(rest * other[rows]) / rest.sum(), 1)
    places_left = k + 1 - np.sum(a * b, axis=1, keepdims=True)
    edges = edges - fills[0] - fills[1] + a * b * np.minimum(*fills) / places_left
    looking, seen = np.sum(a * b, axis=1), edges.sum(axis=0)
    both = (edges + edges.T)[~np.eye(n, dtype=bool)] / (n * k)
    return (looking - looking.mean() + seen - seen.mean()) / k, np.sum((both - both.mean()) ** 2) / 2


@pytest.mark.parametrize("few", [0, 200])  # sparse, dense
def test_influences_on_neighbour_overlap_agree_with_slow_sums(few, monkeypatch):
    monkeypatch.setattr(influence_of_overlaps, "FEW", few)
    m = metric("mutual_knn(k=4)")
    x, y = data(2, n=25)
    xs, ys = prepared(m, x), prepared(m, y)
    graphs = []
    for state in (xs[0], ys[0]):
        places = np.zeros((25, 25))
        places[np.arange(25)[:, None], state.lists] = np.arange(1, 5)
        graphs.append(places)
    values, second = slow_overlap_influence(*((g > 0).astype(float) for g in graphs), *graphs, 4)
    influence = m.influence(xs, ys)
    np.testing.assert_allclose(influence.values[:, 0, 0], values, atol=1e-12)
    np.testing.assert_allclose(influence.second[0, 0], second)
    assert abs(influence.values.sum()) < 1e-10


@pytest.mark.parametrize("few", [0, 200])
def test_influences_of_many_layers_are_those_of_each_pair(few, monkeypatch):
    monkeypatch.setattr(influence_of_overlaps, "FEW", few)
    m = metric("mutual_knn(k=4)")
    x, y = data(3, n=30)
    xs, ys = prepared(m, x, x[:, :4], np.round(x)), prepared(m, y, np.repeat(y[::2], 2, axis=0))
    block = m.influence(xs, ys)
    for i, a in enumerate(xs):
        for j, b in enumerate(ys):
            one = m.influence([a], [b])
            np.testing.assert_allclose(block.values[:, i, j], one.values[:, 0, 0], atol=1e-12)
            np.testing.assert_allclose(block.second[i, j], one.second[0, 0])
    assert np.isfinite(block.values).all()


@pytest.mark.parametrize("spec", ["mutual_knn(k=1)", "mutual_knn(k=3)", "mutual_knn(k=28)"])
def test_neighbour_overlap_has_influences_at_the_ends_of_the_range_of_k(spec):
    m = metric(spec)
    x, y = data(4, n=30)
    for other in (y, x, np.ones_like(x)):
        i = interval(m, prepared(m, x), prepared(m, other))
        assert 0 <= i.low[0, 0] <= i.values[0, 0] <= i.high[0, 0] <= 1


@pytest.mark.parametrize("spec", ["cka", "cka(estimator='biased')", "mutual_knn(k=4)", "jaccard_knn(k=4)", *RSAS])
def test_what_pairs_of_items_add_is_what_the_second_order_part_is_made_of(spec):
    m = metric(spec)
    x, y = data(6, n=40)
    influence = m.influence(prepared(m, x), prepared(m, y))
    pairs = [influence.pairs(s, e) for s, e in ((0, 13), (13, 40))]
    w = np.concatenate([p.toarray() if hasattr(p, "toarray") else p for p in pairs])
    np.testing.assert_allclose(w, w.T, atol=1e-15)
    away = w - w.sum() / (40 * 39)
    np.fill_diagonal(away, 0.0)
    np.testing.assert_allclose(np.diag(w), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.sum(away**2), 2 * influence.second[0, 0], rtol=1e-5)
    other = m.influence(prepared(m, x[:, :5]), prepared(m, y))
    gap = influence.minus(other)
    np.testing.assert_array_equal(gap.values, influence.values - other.values)
    assert 0 < gap.second[0, 0] < 2 * (influence.second[0, 0] + other.second[0, 0])
    assert influence.minus(influence).second[0, 0] == 0.0


@pytest.mark.parametrize("name", ["mutual_knn", "jaccard_knn"])
def test_intervals_of_lists_that_are_nearly_the_same_are_narrow(name):
    m, rng = metric(f"{name}(k=10)"), np.random.default_rng(0)
    x = rng.standard_normal((200, 8))
    same = m.influence(prepared(m, x), prepared(m, x))
    np.testing.assert_allclose(same.values, 0.0, atol=1e-12)  # whoever is taken away, they stay the same
    i = interval(m, prepared(m, x), prepared(m, x + 0.005 * rng.standard_normal(x.shape)))
    assert 0.9 < i.low[0, 0] < i.values[0, 0] < 1


@pytest.mark.parametrize("spec", ["mutual_knn(k=1)", "jaccard_knn(k=1)"])
def test_no_shared_neighbour_at_all_may_be_chance(spec):
    m, rng = metric(spec), np.random.default_rng(0)
    held = 0
    for _ in range(100):
        i = interval(m, *(prepared(m, rng.standard_normal((30, 5))) for _ in range(2)))
        held += i.low[0, 0] <= 1 / 29 <= i.high[0, 0]
    assert held > 85


@pytest.mark.thorough
@pytest.mark.parametrize(
    "spec", ["cka(estimator='biased')", "distance_correlation(estimator='biased_squared')", "rsa", "procrustes"]
)
@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_standard_errors_are_the_spread_over_samples_with_few_items_a_feature(strength, spec):
    m, rng = metric(spec), np.random.default_rng(2)
    mixing = rng.standard_normal((2, 3, 16)) / 2
    values, errors, gaps, gap_errors = [], [], [], []
    for _ in range(200):
        z = rng.standard_normal((64, 3))
        x, y, twin = (
            np.sqrt(strength) * z @ w + np.sqrt(1 - strength) * rng.standard_normal((64, 16))
            for w in (*mixing, mixing[0])
        )
        i, gap = interval(m, prepared(m, x), prepared(m, y)), difference(m, (x, y), (twin, y))
        values.append(i.values[0, 0])
        errors.append(i.standard_error[0, 0])
        gaps.append(gap.value)
        gap_errors.append(gap.standard_error)
    # the spread alone is known to 5 %; those of procrustes are careful, most so where it is chance
    most = {("procrustes", 0.0): 1.5, ("procrustes", 0.5): 1.3}.get((spec, strength), 1.2)
    assert 0.85 < np.mean(errors) / np.std(values) < most
    assert 0.85 < np.mean(gap_errors) / np.std(gaps) < most


def test_influences_on_jaccard_are_those_on_the_overlap_where_all_items_share_as_many():
    x = np.random.default_rng(0).standard_normal((30, 4))
    overlap, bent = (metric(f"{name}(k=5)") for name in ("mutual_knn", "jaccard_knn"))
    one, two = (m.influence(prepared(m, x), prepared(m, x)) for m in (overlap, bent))
    np.testing.assert_allclose(two.values, 2 * one.values, atol=1e-12)  # o / (2k - o) rises by 2 / k at o = k


@pytest.mark.parametrize("spec", ["mutual_knn(k=8)", "jaccard_knn(k=8)"])
@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_the_standard_error_of_neighbour_overlap_is_its_spread_over_samples(strength, spec):
    m = metric(spec)
    rng = np.random.default_rng(5)
    mixing = rng.standard_normal((2, 4, 16)) / 2
    centers = rng.standard_normal((5, 4))  # clusters, where a chance that is the same everywhere overstates it by half
    values, errors = [], []
    for _ in range(150):
        z = 1.5 * centers[rng.integers(5, size=120)] + 0.4 * rng.standard_normal((120, 4))
        x, y = (np.sqrt(strength) * z @ a + np.sqrt(1 - strength) * rng.standard_normal((120, 16)) for a in mixing)
        i = interval(m, prepared(m, x), prepared(m, y))
        values.append(i.values[0, 0])
        errors.append(i.standard_error[0, 0])
    assert np.mean(errors) / np.std(values) == pytest.approx(1.0, abs=0.2)  # the spread alone is known to 6 %


@pytest.mark.parametrize("spec", ["cka", "mutual_knn(k=5)", "rsa", "procrustes", "distance_correlation"])
def test_intervals_cover_the_expected_score_about_as_often_as_they_say(spec):
    m = metric(spec)
    rng = np.random.default_rng(3)
    mixing = rng.standard_normal((3, 12)), rng.standard_normal((3, 9))
    found = []
    for _ in range(150):
        z = rng.standard_normal((80, 3))
        x, y = (0.7 * z @ a + rng.standard_normal((80, a.shape[1])) for a in mixing)
        i = interval(m, prepared(m, x), prepared(m, y))
        found.append((i.values[0, 0], i.low[0, 0], i.high[0, 0]))
    value, low, high = np.array(found).T
    covered = np.sum((low <= value.mean()) & (value.mean() <= high))
    assert 132 <= covered <= 150  # 0.88 of 150: below it with probability 1e-4 at a true coverage of 0.95


def test_intervals_stay_inside_the_range_and_widen_with_the_level():
    m = metric("cka(estimator='biased')")
    x, _ = data(4, n=20)
    xs, ys = prepared(m, x), prepared(m, x + 0.02 * np.random.default_rng(0).standard_normal(x.shape))
    narrow, wide = interval(m, xs, ys, alpha=0.5), interval(m, xs, ys, alpha=0.001)
    assert 0 <= wide.low[0, 0] < narrow.low[0, 0] < narrow.values[0, 0] < narrow.high[0, 0] < wide.high[0, 0] <= 1


def test_repeating_every_item_does_not_narrow_the_interval_if_copies_are_a_group():
    m = metric("cka(estimator='biased')")  # its kernels only repeat, so the score is the same
    x, y = data(5, n=40)
    twice = np.repeat(np.arange(40), 2)
    plain = interval(m, prepared(m, x), prepared(m, y))
    alone = interval(m, prepared(m, x[twice]), prepared(m, y[twice]))
    grouped = interval(m, prepared(m, x[twice]), prepared(m, y[twice]), groups=twice)
    assert grouped.values[0, 0] == pytest.approx(plain.values[0, 0])
    ratio = grouped.standard_error[0, 0] / plain.standard_error[0, 0]
    assert 1 <= ratio <= 1.45  # the second-order part is not taken out for groups: at most √2
    assert alone.standard_error[0, 0] < 0.9 * plain.standard_error[0, 0]


def test_a_metric_without_influences_has_no_such_interval(gram_cosine):
    x, y = data(0)
    assert interval(gram_cosine, prepared(gram_cosine, x), prepared(gram_cosine, y)) is None


def test_the_query_bootstrap_gives_the_spread_of_a_mean():
    scores = np.random.default_rng(0).uniform(size=(200, 2, 3))
    result = query_interval(scores, repeats=4000)
    np.testing.assert_allclose(result.values, scores.mean(0))
    np.testing.assert_allclose(result.standard_error, scores.std(0) / np.sqrt(200), rtol=0.05)
    np.testing.assert_allclose(result.high - result.low, 2 * 1.96 * result.standard_error, rtol=0.07)
    assert result.over == "queries"


def test_the_query_bootstrap_draws_whole_groups():
    scores = np.repeat(np.random.default_rng(0).uniform(size=50), 4)[:, None, None]
    grouped = query_interval(scores, groups=np.repeat(np.arange(50), 4), repeats=2000)
    assert grouped.standard_error[0, 0] == pytest.approx(scores[::4].std() / np.sqrt(50), rel=0.1)
    assert query_interval(scores).standard_error[0, 0] < 0.7 * grouped.standard_error[0, 0]


def test_subsamples_give_the_spread_of_a_smooth_score():
    m = metric("cka")
    x, y = data(6, n=120)
    told = []
    subsampled = subsample_interval(m, [x], [y], repeats=150, advance=told.append)
    jackknifed = interval(m, prepared(m, x), prepared(m, y))
    assert subsampled.values == pytest.approx(jackknifed.values)
    assert subsampled.standard_error[0, 0] == pytest.approx(jackknifed.standard_error[0, 0], rel=0.3)
    assert sum(told) == 150


def test_subsamples_never_repeat_an_item(gram_cosine):
    seen = []

    class Spy:
        min_items, range, reads_rdms = 3, (0.0, 1.0), False

        def prepare(self, x):
            seen.append(x[:, 0])
            return gram_cosine.prepare(x)

        def compare(self, xs, ys):
            return gram_cosine.compare(xs, ys)

    x = np.random.default_rng(0).standard_normal((20, 3))
    x[:, 0] = np.arange(20)
    groups = np.arange(20) // 2
    subsample_interval(Spy(), [x], [x], repeats=10, groups=groups)
    assert all(len(set(rows)) == len(rows) for rows in seen)
    assert all(set(rows // 2) == set((rows // 2)[::2]) for rows in seen[2:])


def test_subsets_that_are_too_small_for_the_metric_are_refused():
    x, y = data(0, n=16)
    with pytest.raises(InputError, match="8 items, but the metric needs 12"):
        subsample_interval(metric("mutual_knn(k=10)"), [x], [y])


@pytest.mark.parametrize(
    "arguments", [{"fraction": 1.0}, {"fraction": 0.0}, {"repeats": 3}, {"fraction": 0.3, "repeats": 1}]
)
def test_subsets_without_spread_are_refused(arguments):
    x, y = data(0)
    with pytest.raises(InputError, match=r"give no spread|a share of the items between 0 and 1"):
        subsample_interval(metric("cka"), [x], [y], **arguments)


def test_intervals_over_models_hold_the_mean_and_are_wider_where_models_differ():
    rng = np.random.default_rng(0)
    per_model = rng.normal(0.5, 0.1, 30)
    result = model_interval(per_model)
    assert result.standard_error == pytest.approx(per_model.std(ddof=1) / np.sqrt(30), rel=0.1)
    assert result.over == "models"
    noise, models = rng.normal(0.5, 0.1, (12, 12)), rng.normal(0.5, 0.1, (12, 1)) + np.zeros((12, 12))
    assert model_interval(models).standard_error > 1.5 * model_interval(noise).standard_error


@pytest.mark.parametrize("scores", [[0.1, 0.2], [[0.1]], np.zeros((2, 9)), [0.1, 0.2, np.nan]])
def test_too_few_models_or_broken_scores_are_refused(scores):
    with pytest.raises(InputError):
        model_interval(scores)


@pytest.mark.parametrize("spec", ["cka", "mutual_knn(k=5)", "rsa", "procrustes", "decoding"])
def test_a_real_difference_is_found_and_has_the_right_sign(spec):
    x, y = planted(150, 12, 12, 3, 0.7, np.random.default_rng(0))
    worse = x + 2 * np.random.default_rng(1).standard_normal(x.shape)
    result = difference(metric(spec), (x, y), (worse, y))
    assert result.value > 0
    assert result.p_value < 0.01
    assert result.low > 0
    back = difference(metric(spec), (worse, y), (x, y))
    assert (back.value, back.p_value) == pytest.approx((-result.value, result.p_value))


@pytest.mark.parametrize("spec", ["cka", "mutual_knn(k=8)"])
def test_no_difference_is_claimed_about_as_often_as_the_level_says(spec):
    m, p = metric(spec), []
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((3, 10)), rng.standard_normal((3, 8))
    for _ in range(200):
        z = rng.standard_normal((80, 3))
        x, twin = (z @ a + rng.standard_normal((80, 10)) for _ in range(2))
        p.append(difference(m, (x, z @ b + rng.standard_normal((80, 8))), (twin, y_of(z, b, rng))).p_value)
    assert 2 <= np.sum(np.array(p) <= 0.05) <= 21  # binomial 99.9 % bounds at 0.05


def y_of(z, b, rng):
    return z @ b + rng.standard_normal((len(z), b.shape[1]))


def test_a_score_does_not_differ_from_itself():
    x, y = data(0)
    result = difference(metric("cka"), (x, y), (x, y))
    assert (result.value, result.p_value) == (0.0, 1.0)


def test_pairs_of_other_items_are_refused():
    with pytest.raises(InputError, match="first pair has 60 items, the second 50"):
        difference(metric("cka"), data(0), data(1, n=50))


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_coverage_outside_zero_and_one_is_refused(level):
    x, y = data(0)
    with pytest.raises(InputError, match=r"0\.05 gives intervals of 95 %"):
        difference(metric("cka"), (x, y), (x, y), alpha=level)


def test_a_difference_names_arguments_of_a_wrong_kind():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 4))
    for bad in ((x,), (x, y, y), x, None, "xy"):
        with pytest.raises(InputError, match="first must be two representations"):
            difference("cka", bad, (x, y))
    wrong = ({"alpha": "a"}, {"fraction": "h"}, {"fraction": 1.0}, {"seed": -1}, {"repeats": 2.5})
    for given in wrong:
        with pytest.raises(InputError, match=f"{next(iter(given))}="):
            difference("svcca", (x, y), (y, x), **given)


def test_scores_that_are_equal_to_rounding_do_not_differ():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 5))
    found = difference("cka", (x, x), (y @ np.linalg.qr(x[:5])[0], y))
    assert (found.value, found.standard_error, found.p_value) == (0.0, 0.0, 1.0)
