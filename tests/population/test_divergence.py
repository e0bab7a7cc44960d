"""Specialists against a pool: the statistic, its intervals and its test; by hand, by enumeration, planted."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from isomorph.errors import InputError
from isomorph.population import Interval, as_matrices, diverging


def between(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def effects(rng, pool, specialists, *, items=0, gap=0.0, spread=0.1):
    """Distances with an effect of every model and of every pair, each a mean over items if there are any."""
    m = pool + specialists
    i, j = np.triu_indices(m, 1)
    own = spread * rng.normal(size=m)
    across = (i < specialists) != (j < specialists)
    truth = 1 + own[i] + own[j] + spread * rng.normal(size=len(i)) + gap * across
    if not items:
        return as_matrices(truth, m), None, own
    # items move all pairs across together, and each model
    seen = rng.normal(size=(items, m))
    by_item = truth + rng.normal(size=(items, 1)) * across + seen[:, i] + seen[:, j] + rng.normal(size=(items, len(i)))
    return as_matrices(by_item.mean(axis=0), m), by_item - by_item.mean(axis=0), own


def gap_by_hand(d, specialists, pool):
    across = np.mean([d[s, p] for s in specialists for p in pool])
    return across - np.mean([d[a, b] for a, b in itertools.combinations(pool, 2)])


def test_the_difference_and_its_p_are_those_of_plain_enumeration():
    d = between(np.random.default_rng(0).normal(size=(9, 3)))
    specialists, pool = [7, 2, 4], [0, 8, 1, 5]  # 3 and 6 are in neither
    found = diverging(d, specialists, pool)
    everyone = specialists + pool
    null = [
        gap_by_hand(d, some, [m for m in everyone if m not in some]) for some in itertools.combinations(everyone, 3)
    ]
    observed = gap_by_hand(d, specialists, pool)
    assert found.difference == pytest.approx(observed)
    assert found.difference == pytest.approx(found.specialist_pool - found.pool_pool)
    assert (found.exact, found.assignments, found.least_p) == (True, 35, 1 / 35)
    assert found.p_value == pytest.approx(np.mean([g >= observed - 1e-12 for g in null]))
    for one, p in zip(specialists, found.each_p, strict=True):
        places = [gap_by_hand(d, [m], [k for k in (one, *pool) if k != m]) for m in (one, *pool)]
        assert p == pytest.approx(np.mean([g >= places[0] - 1e-12 for g in places]))


def test_the_average_precision_is_scikit_learns_with_ties_too():
    rng = np.random.default_rng(1)
    for trial in range(20):
        d = between(rng.normal(size=(9, 2)))
        if trial % 2:
            d = np.round(d)  # many ties
        found = diverging(d, range(3), range(3, 9))
        mean = [d[s, 3:].mean() for s in range(3)] + [d[p, 3:].sum() / 5 for p in range(3, 9)]
        assert found.auprc == pytest.approx(average_precision_score([1] * 3 + [0] * 6, np.round(mean, 9)))
    assert 1 / 3 < found.auprc_chance < 0.6


def test_a_sample_of_the_assignments_agrees_with_the_normal_sum_of_all_of_them():
    d, _, _ = effects(np.random.default_rng(2), 12, 6, gap=0.05)  # 18,564 assignments: sampled
    found = diverging(d, range(6), range(6, 18), permutations=4000)
    assert not found.exact
    null = [
        gap_by_hand(d, some, [m for m in range(18) if m not in some])
        for some in itertools.islice(itertools.combinations(range(18), 6), 0, None, 25)
    ]
    expected = np.mean(np.array(null) >= found.difference)
    assert found.p_value == pytest.approx(expected, abs=4 * math.sqrt(0.25 / len(null)))
    again = diverging(d, range(6), range(6, 18), permutations=4000)
    assert again.p_value == found.p_value
    assert diverging(d, range(6), range(6, 18), permutations=4000, seed=1).p_value != found.p_value


def test_the_p_keeps_its_level_and_finds_planted_specialists():
    rng = np.random.default_rng(3)
    reached = dict.fromkeys((0.0, 0.5), 0)
    for gap in reached:
        for _ in range(400):
            d, _, _ = effects(rng, 8, 4, gap=gap)
            reached[gap] += diverging(d, range(4), range(4, 12)).p_value <= 0.05
    low, high = stats.binom.interval(0.998, 400, 0.05)
    assert low <= reached[0.0] <= high
    assert reached[0.5] >= 0.95 * 400


@pytest.mark.parametrize(("pool", "specialists"), [(4, 3), (6, 1), (8, 4)])
def test_the_interval_over_items_and_models_covers(pool, specialists):
    rng = np.random.default_rng(4)
    covered = {"both": 0, "models": 0}
    for _ in range(300):
        d, influence, own = effects(rng, pool, specialists, items=60)
        found = diverging(d, range(specialists), range(specialists, pool + specialists), influence=influence)
        # one specialist is kept: its own effect is what the interval speaks of
        truth = own[0] if specialists == 1 else 0.0
        covered["both"] += found.over_both.low <= truth <= found.over_both.high
        covered["models"] += found.over_models.low <= truth <= found.over_models.high
    assert covered["both"] >= stats.binom.ppf(0.001, 300, 0.95)
    if (pool, specialists) != (4, 3):  # which ignores that items are a sample
        assert covered["models"] < stats.binom.ppf(0.001, 300, 0.95)


def test_the_interval_over_items_is_that_of_a_mean_over_items():
    rng = np.random.default_rng(5)
    values = 1 + rng.normal(size=(40, 15))
    d = as_matrices(values.mean(axis=0), 6)
    found = diverging(d, [5, 0], [1, 2, 4], influence=values - values.mean(axis=0))
    each = np.array([gap_by_hand(as_matrices(v, 6), [5, 0], [1, 2, 4]) for v in values])
    assert found.over_items.error == pytest.approx(each.std() / math.sqrt(40))
    reach = stats.t.isf(0.025, 39) * found.over_items.error
    assert (found.over_items.low, found.over_items.high) == pytest.approx((each.mean() - reach, each.mean() + reach))
    assert found.over_both.error >= max(found.over_items.error, found.over_models.error)


def test_the_error_over_both_adds_what_each_varies_by_and_counts_nothing_twice():
    rng = np.random.default_rng(9)
    d, influence, _ = effects(rng, 6, 4, items=50)
    calm = diverging(d, range(4), range(4, 10), influence=1e-9 * influence)
    assert calm.over_both.error == pytest.approx(calm.over_models.error)
    errors, values = [], []
    for _ in range(300):  # models that are all alike: only the items' noise in each pair, which models share too
        d, influence, _ = effects(rng, 6, 4, items=50, spread=0.0)
        found = diverging(d, range(4), range(4, 10), influence=influence)
        errors.append((found.over_items.error**2, found.over_models.error**2, found.over_both.error**2))
        values.append(found.difference)
    items, models, both = np.mean(errors, axis=0)
    assert models > 0.3 * items  # which is that same noise
    assert both == pytest.approx(np.var(values), rel=0.25)
    assert both < items + 0.6 * models


def test_the_interval_over_models_is_the_jackknife():
    d = between(np.random.default_rng(6).normal(size=(8, 3)))
    specialists, pool = [0, 1, 2], [3, 4, 5, 6, 7]
    found = diverging(d, specialists, pool)
    variance = 0.0
    for side, other, first in ((specialists, pool, True), (pool, specialists, False)):
        left = [[m for m in side if m != out] for out in side]
        values = np.array([gap_by_hand(d, some, other) if first else gap_by_hand(d, other, some) for some in left])
        variance += (len(side) - 1) / len(side) * np.sum((values - values.mean()) ** 2)
    assert found.over_models.error == pytest.approx(math.sqrt(variance))
    assert found.over_items is None
    assert found.over_both is None
    narrow = diverging(d, specialists, pool, alpha=0.5).over_models
    assert narrow.high - narrow.low < found.over_models.high - found.over_models.low


def test_the_order_of_models_and_of_the_matrix_does_not_matter():
    rng = np.random.default_rng(7)
    d, influence, _ = effects(rng, 5, 3, items=30)
    order = rng.permutation(8)
    where = np.argsort(order)
    moved = np.array([as_matrices(row, 8)[np.ix_(order, order)][np.triu_indices(8, 1)] for row in influence])
    a = diverging(d, range(3), range(3, 8), influence=influence)
    b = diverging(d[np.ix_(order, order)], where[:3], where[:2:-1], influence=moved)
    assert b.p_value == a.p_value
    assert b.over_both == pytest.approx(a.over_both)


def test_words_say_when_nothing_can_be_shown():
    d = between(np.r_[0.0, 0.1, 0.2, 9.0][:, None])
    few = diverging(d, [3], [0, 1, 2])
    assert few.least_p == 0.25
    assert not few.diverges
    assert "So few models allow no p below 0.25" in few.told
    near = diverging(between(np.arange(9.0)[:, None]), [4], [0, 1, 2, 3, 5, 6, 7, 8])
    assert near.difference < 0
    assert "no farther" in near.told
    far = diverging(between(np.r_[np.arange(20) / 10, 50.0][:, None]), [20], range(20))
    assert far.diverges
    assert "farther from the pool" in far.told
    assert "chance" not in far.told


def test_pairs_that_are_not_needed_may_be_missing():
    d = between(np.random.default_rng(8).normal(size=(7, 2)))
    whole = diverging(d, [0], [1, 2, 3, 4])
    d[5, :] = d[:, 5] = d[6, 0] = d[0, 6] = np.nan
    influence = np.random.default_rng(8).normal(size=(10, 21))
    influence[:, -1] = np.nan  # 5 × 6
    assert diverging(d, [0], [1, 2, 3, 4], influence=influence).difference == whole.difference
    d[1, 2] = d[2, 1] = np.nan
    with pytest.raises(InputError, match=r"were not compared \(b × c\)"):
        diverging(d, [0], [1, 2, 3, 4], names=list("abcdefg"))
    influence[:, 0] = np.nan
    d[1, 2] = d[2, 1] = 1.0
    with pytest.raises(InputError, match=r"influence is not finite for 1 of the pairs .* 0 × 1"):
        diverging(d, [0], [1, 2, 3, 4], influence=influence)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pool": [1, 2]}, "pool has 2 model"),
        ({"specialists": []}, "specialists: there is none"),
        ({"specialists": [1]}, "1 cannot be in specialists and in the pool"),
        ({"specialists": [0, 0]}, "model 0 is there twice"),
        ({"specialists": [9]}, "there is no model 9"),
        ({"specialists": "a"}, "specialists takes indices"),
        ({"alpha": 1.5}, "alpha=1.5 must"),
        ({"permutations": 0}, "permutations=0"),
        ({"seed": -1}, "seed=-1"),
        ({"names": ["a", "a", "b", "c", "d"]}, "5 different names"),
        ({"influence": np.ones((3, 4))}, r"\(items, 10\) is needed"),
        ({"distances": np.ones((3, 4))}, r"distances has shape \(3, 4\)"),
        ({"distances": np.triu(np.ones((5, 5)))}, "distances is not symmetric"),
        ({"distances": np.full((5, 5), np.inf)}, "distances is infinite for the models 0 and 1"),
        ({"distances": "no"}, "distances takes numbers"),
    ],
)
def test_what_does_not_fit_is_named(change, told):
    good = {"distances": np.ones((5, 5)), "specialists": [0], "pool": [1, 2, 3, 4]}
    with pytest.raises(InputError, match=told):
        diverging(**good | change)


def test_the_quantile_of_infinite_degrees_is_normal():
    assert Interval.of(0.0, 1.0, np.inf).high == pytest.approx(1.959964, abs=1e-6)
    with pytest.raises(InputError, match="3 pairs of 3 models"):
        as_matrices([1.0], 3)
