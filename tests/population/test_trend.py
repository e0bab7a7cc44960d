"""Slopes against independent fits, their p against all orders, their intervals against repeated sampling."""

import itertools

import numpy as np
import pytest
from scipy import stats

from isomorph.errors import InputError
from isomorph.population import fit_line

X = np.array([0.0, 1.0, 2.0, 4.0, 7.0])


def test_the_slope_and_its_interval_over_models_are_those_of_least_squares():
    y = 0.3 * X + np.random.default_rng(0).normal(size=5)
    found, wanted = fit_line(X, y), stats.linregress(X, y)
    assert found.value == pytest.approx(wanted.slope)
    half = stats.t.ppf(0.975, 3) * wanted.stderr
    assert found.over_models == pytest.approx((wanted.slope - half, wanted.slope + half))
    assert found.rank == pytest.approx(stats.spearmanr(X, y).statistic)


def test_a_slope_within_families_is_that_of_a_regression_with_a_level_each():
    rng = np.random.default_rng(1)
    families = np.array([0, 0, 0, 1, 1, 1, 1])
    x, y = rng.normal(size=(2, 7))
    y += 5 * families
    design = np.column_stack([x, families == 0, families == 1]).astype(float)
    coef, rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    found = fit_line(x, y, families=families)
    assert found.value == pytest.approx(coef[0])
    error = np.sqrt(float(rss[0]) / 4 * np.linalg.inv(design.T @ design)[0, 0])
    assert found.over_models[1] - found.value == pytest.approx(stats.t.ppf(0.975, 4) * error)


@pytest.mark.parametrize("families", [None, [0, 0, 1, 1, 1]])
def test_p_is_the_share_of_all_orders_with_as_large_a_slope(families):
    y = np.array([0.1, 0.4, 0.2, 0.6, 0.5])
    x = X if families is None else np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    found = fit_line(x, y, families=families)
    codes = np.zeros(5, dtype=int) if families is None else np.array(families)
    about = x - np.array([x[codes == c].mean() for c in codes])
    reached = total = 0
    for order in itertools.permutations(range(5)):
        if any(codes[i] != codes[k] for k, i in enumerate(order)):
            continue
        total += 1
        reached += abs(about @ y[list(order)]) >= abs(about @ y) - 1e-12
    assert found.p_value == pytest.approx(reached / total)
    assert found.source == f"all {total} orders of the models"


def test_two_families_of_four_rungs_carry_a_test():
    x = np.tile([0.0, 1.0, 2.0, 3.0], 2)
    found = fit_line(x, x, families=[0] * 4 + [1] * 4)
    assert found.p_value == pytest.approx(2 / 576)


def test_many_models_are_sampled_and_a_seed_repeats_them():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 12))
    one, again, other = (fit_line(x, y, permutations=499, seed=s) for s in (0, 0, 1))
    assert one == again
    assert one.p_value != other.p_value
    assert one.source == "499 orders of the models"
    assert one.p_value == pytest.approx(stats.pearsonr(x, y).pvalue, abs=0.08)


def test_the_interval_over_items_holds_the_slope_of_the_population():
    rng = np.random.default_rng(3)
    held, both = 0, 0
    for _ in range(300):
        items = rng.normal(size=(60, 5)) + rng.normal(size=(60, 1))  # all models share what an item does
        scores = 0.1 * X + items.mean(axis=0)
        about = (items - items.mean(axis=0)) / 60
        found = fit_line(X, scores, deviations=about)
        held += found.items[0] <= 0.1 <= found.items[1]
        both += found.both[0] <= 0.1 <= found.both[1]
    assert 0.9 <= held / 300 <= 0.99
    assert both / 300 >= 0.9


def test_the_interval_over_both_holds_the_slope_where_models_scatter():
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(300):
        items = rng.normal(size=(60, 5))
        scores = 0.1 * X + 0.2 * rng.normal(size=5) + items.mean(axis=0)
        found = fit_line(X, scores, deviations=(items - items.mean(axis=0)) / 60)
        held += found.both[0] <= 0.1 <= found.both[1]
    assert 0.91 <= held / 300 <= 0.985


@pytest.mark.parametrize(
    ("x", "families", "message"),
    [([1.0], None, "two models or more"), ([2.0, 2.0], None, "one value"), ([1.0, 2.0], [0, 1], "inside any family")],
)
def test_what_has_no_slope_is_refused(x, families, message):
    with pytest.raises(InputError, match=message):
        fit_line(x, [0.1] * len(x), families=families)
