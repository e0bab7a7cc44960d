"""Regression over pairs of models: coefficients by least squares, p by enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from isomorph.errors import InputError
from isomorph.population import explain


def dependent(rng, m, *, heavy=False):
    """A symmetric matrix whose entries share effects of their models and latent positions."""
    own = rng.standard_t(3, size=m) if heavy else rng.normal(size=m)
    pairs, places = np.triu(rng.normal(size=(m, m)), 1), rng.normal(size=(m, 2))
    return own[:, None] + own + pairs + pairs.T + places @ places.T


def families(rng, m):
    return [f"f{k}" for k in rng.permutation(np.arange(m) % 3)]


def same(values):
    values = np.array(values)
    return (values[:, None] == values).astype(float)


def apart(values):
    values = np.array(values, dtype=float)
    return np.abs(values[:, None] - values)


def test_the_coefficients_are_those_of_least_squares_over_the_compared_pairs():
    rng = np.random.default_rng(0)
    m = 12
    y, family, size, deep = dependent(rng, m), families(rng, m), rng.normal(size=m), rng.integers(3, 9, size=m)
    y[0, 5] = y[5, 0] = y[2, 9] = y[9, 2] = np.nan
    found = explain(y, {"family": family, "size": size, "depth": deep.tolist()}, permutations=19)
    i, j = np.triu_indices(m, 1)
    kept = ~np.isnan(y[i, j])
    i, j = i[kept], j[kept]
    wide = [np.ones(len(i)), same(family)[i, j], apart(size)[i, j], apart(deep)[i, j]]
    x, values = np.column_stack(wide), y[i, j]
    beta, rss = np.linalg.lstsq(x, values, rcond=None)[:2]
    assert found.pairs == len(values) == 64
    assert [e.coefficient for e in found.effects.values()] == pytest.approx(beta[1:])
    assert found.r2 == pytest.approx(1 - rss[0] / np.sum((values - values.mean()) ** 2))
    for k, (name, effect) in enumerate(found.effects.items(), 1):
        rest = np.delete(x, k, axis=1)
        without = np.linalg.lstsq(rest, values, rcond=None)[1][0]
        assert effect.partial_r2 == pytest.approx((without - rss[0]) / without)
        left = np.linalg.lstsq(rest, x[:, k], rcond=None)[1][0] / np.sum((x[:, k] - x[:, k].mean()) ** 2)
        assert (effect.shared, effect.inflation) == pytest.approx((1 - left, 1 / left))
        assert effect.standardized == pytest.approx(effect.coefficient * x[:, k].std())
        assert effect.kind == ("same" if name == "family" else "difference")


def test_with_few_models_p_is_by_all_their_orders_of_the_residual():
    """Double semi-partialing written out, t statistics by lstsq."""
    rng = np.random.default_rng(1)
    m = 5
    y, a, b = dependent(rng, m), rng.normal(size=m), ["p", "p", "q", "q", "q"]
    found = explain(y, {"a": a, "b": b}, permutations=999)
    i, j = np.triu_indices(m, 1)
    assert (found.exact, found.permutations) == (True, 120)

    def t(x, other):
        columns = np.column_stack([np.ones(len(i)), other, x])
        beta, rss, *_ = np.linalg.lstsq(columns, y[i, j], rcond=None)
        return abs(beta[-1]) / math.sqrt(rss[0] / (len(i) - 3) * np.linalg.inv(columns.T @ columns)[-1, -1])

    for name, x, other in (("a", apart(a), same(b)), ("b", same(b), apart(a))):
        weights = np.linalg.lstsq(np.column_stack([np.ones(len(i)), other[i, j]]), x[i, j], rcond=None)[0]
        residual = x - weights[0] - weights[1] * other
        null = []
        for order in map(list, itertools.permutations(range(m))):
            moved = residual[np.ix_(order, order)]
            null.append(t(moved[i, j], other[i, j]))
        assert found.effects[name].p_value == pytest.approx(np.mean(np.array(null) >= null[0] - 1e-9))


@pytest.mark.thorough
@pytest.mark.parametrize("heavy", [False, True])
def test_tests_keep_their_level_under_dependence_beside_another_effect_and_find_a_planted_one(heavy):
    rng = np.random.default_rng(2)
    m, trials = 10, 300
    size_p, family_p, whole_p, naive = [], [], [], []
    for trial in range(trials):
        y, family = dependent(rng, m, heavy=heavy), families(rng, m)
        size = rng.normal(size=m) + [1.5 * int(f[1]) for f in family]  # confounded with the family in part
        found = explain(y + 3 * same(family), {"family": family, "size": size}, permutations=99, seed=trial)
        size_p.append(found.effects["size"].p_value)
        family_p.append(found.effects["family"].p_value)
        none = explain(y, {"family": family, "size": size}, permutations=99, seed=trial)
        whole_p.append(none.p_value)
        i, j = np.triu_indices(m, 1)
        odd = rng.standard_t(2, size=m)  # some models are far off in it
        naive.append(stats.linregress(apart(odd)[i, j], y[i, j]).pvalue)
    low, high = stats.binom.interval(0.998, trials, 0.05)
    assert low <= np.sum(np.array(size_p) <= 0.05) <= high
    assert low <= np.sum(np.array(whole_p) <= 0.05) <= high
    assert np.mean(np.array(family_p) <= 0.05) > 0.85
    assert np.sum(np.array(naive) <= 0.05) > high  # what a plain regression would say: the data are a real trial


def test_factors_that_are_the_same_for_all_models_cannot_be_told_apart():
    rng = np.random.default_rng(3)
    family, size = list("aaabbbccc"), rng.normal(size=9)
    objective = [{"a": "contrastive", "b": "masked", "c": "labels"}[f] for f in family]  # family under other names
    y = dependent(rng, 9) + 5 * same(family)
    factors = {"family": family, "objective": objective, "size": size, "twice": 2 * size, "depth": rng.normal(size=9)}
    found = explain(y, factors, permutations=199)
    assert found.confounded == (("family", "objective"), ("size", "twice"))
    assert math.isnan(found.effects["family"].coefficient)
    assert math.isnan(found.effects["twice"].p_value)
    assert math.isinf(found.effects["size"].inflation)
    alone = explain(y, {"family": family, "size": size, "depth": factors["depth"]}, permutations=199)
    for figure in ("coefficient", "partial_r2", "p_value"):
        assert getattr(found.effects["depth"], figure) == pytest.approx(getattr(alone.effects["depth"], figure))
    assert found.r2 == pytest.approx(alone.r2)
    assert "family and objective cannot be told apart" in found.told
    assert "family: " not in found.told
    assert not found.nearly


def test_three_factors_of_which_each_two_give_the_third_are_named_together():
    rng = np.random.default_rng(4)
    size = np.sort(rng.normal(size=8))
    small, large = np.minimum(size, 0), np.maximum(size, 0)  # differences add up on sorted halves
    found = explain(dependent(rng, 8), {"size": size, "small": small, "large": large}, permutations=19)
    assert found.confounded == (("size", "small", "large"),)
    assert "each is given exactly by the others" in found.told


def test_factors_that_nearly_agree_are_called_so_with_the_nearest():
    rng = np.random.default_rng(5)
    size, other = rng.normal(size=15), rng.normal(size=15)
    factors = {"other": other, "size": size, "layers": size + 0.02 * rng.normal(size=15)}
    found = explain(dependent(rng, 15), factors, permutations=19)
    assert found.nearly == {"size": "layers", "layers": "size"}
    assert "size can hardly be told apart from layers: R² 1.00" in found.told
    assert found.effects["size"].p_value > 0  # it still has an effect of its own


def test_units_of_factors_and_of_the_matrix_do_not_matter():
    rng = np.random.default_rng(6)
    y, size, family = dependent(rng, 9), rng.normal(size=9), families(rng, 9)
    a = explain(y, {"size": size, "family": family}, permutations=99)
    b = explain(1e6 * y - 3, {"size": 1e-9 * size, "family": family}, permutations=99)
    for name in ("size", "family"):
        assert b.effects[name].p_value == a.effects[name].p_value
        assert b.effects[name].standardized == pytest.approx(1e6 * a.effects[name].standardized)
    assert b.effects["size"].coefficient == pytest.approx(1e15 * a.effects["size"].coefficient)
    assert b.p_value == a.p_value


def test_a_matrix_that_the_factors_give_exactly_leaves_nothing_to_a_further_one():
    family = list("aabbcc")
    found = explain(same(family), {"family": family, "size": [1, 5, 2, 7, 3, 4]})
    assert found.r2 == pytest.approx(1)
    assert found.effects["family"].partial_r2 == pytest.approx(1)
    assert found.effects["size"].partial_r2 == 0
    assert found.effects["size"].p_value == 1


def test_truth_values_and_texts_are_categories():
    y = dependent(np.random.default_rng(7), 6)
    a = explain(y, {"trained": [True, True, False, False, True, False]}, permutations=19)
    b = explain(y, {"trained": ["yes", "yes", "no", "no", "yes", "no"]}, permutations=19)
    assert a.effects == b.effects


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ({}, "factors: there is none"),
        ({"size": [1, 2, None, 4, float("nan"), 6]}, "'size' is missing for c and e"),
        ({"family": ["a", "b", "", "a", "b", "a"]}, "'family' is missing for c"),
        ({"family": ["a"] * 6}, "'family' is constant: the two models of every compared pair agree"),
        ({"family": list("abcdef")}, "'family' is constant: .* differ"),
        ({"size": [3.0] * 6}, "'size' is constant: .* equally far apart"),
        ({"size": [1, 2, 3]}, "one value for each of the 6 models, found 3"),
        ({"family": "abcdef"}, "one value for each of the 6 models, found 'abcdef'"),
        ({"mixed": [1, "b", 3, 4, 5, 6]}, "'mixed' mixes numbers and texts"),
        ({"size": [1, 2, 3, 4, 5, math.inf]}, "not finite"),
    ],
)
def test_factors_that_do_not_fit_are_named(factors, told):
    with pytest.raises(InputError, match=told):
        explain(dependent(np.random.default_rng(8), 6), factors, names=list("abcdef"))


def test_matrices_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="matrix has 4 models; at least 5"):
        explain(np.eye(4), {"size": [1, 2, 3, 4]})
    with pytest.raises(InputError, match="matrix is constant"):
        explain(np.ones((5, 5)), {"size": [1, 2, 3, 4, 9]})
    y = np.full((6, 6), np.nan)
    y[0, 1] = y[1, 0] = y[0, 2] = y[2, 0] = 1.0
    with pytest.raises(InputError, match="2 compared pairs, too few for 1 factors"):
        explain(y, {"size": range(6)})
    with pytest.raises(InputError, match="permutations=0"):
        explain(dependent(np.random.default_rng(9), 6), {"size": range(6)}, permutations=0)
