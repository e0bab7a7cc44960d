"""Thresholds and the end of growth on ladders whose truth is known."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from isomorph.errors import InputError
from isomorph.population import further, isotonic, leaving, saturation

ERROR = 0.05


def drawn(truth, seed):
    return np.asarray(truth) + ERROR * np.random.default_rng(seed).normal(size=len(truth)), ERROR * np.eye(len(truth))


def test_the_threshold_is_found_within_a_rung_and_its_interval_holds_it():
    truth, near, inside = [0, 0, 0, 0.2, 0.3, 0.4], 0, 0
    for seed in range(200):
        found = leaving(*drawn(truth, seed), draws=200, seed=seed)
        near += found.rung in (2, 3, 4)
        inside += found.rung is not None and found.low <= 3 <= found.high
    assert near >= 180
    assert inside >= 180


def test_where_nothing_is_shared_a_threshold_is_found_at_the_level_and_no_more():
    found = sum(leaving(*drawn([0] * 5, seed), draws=50, seed=seed).rung is not None for seed in range(400))
    assert found / 400 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 400)


def test_all_rungs_above_have_the_first_as_threshold_and_a_late_fall_has_none():
    assert leaving([1.0, 1.0, 1.0], ERROR * np.eye(3)).rung == 0
    assert leaving([1.0, 1.0, 0.0], ERROR * np.eye(3)).rung is None


def test_items_that_would_be_needed_show_the_difference_in_four_of_five_samples():
    gap = 0.03
    factor = leaving([0.0, gap], ERROR * np.eye(2)).factor
    smaller = ERROR / np.sqrt(factor)
    shown = np.mean(gap + smaller * np.random.default_rng(0).normal(size=20_000) > 1.645 * smaller)
    assert shown == pytest.approx(0.8, abs=0.01)
    assert leaving([-0.1, -0.2], ERROR * np.eye(2)).factor is None


def test_rungs_that_would_be_needed_reach_a_difference_that_four_of_five_samples_show():
    slope, start = 0.03, -0.06
    gaps = start + slope * np.arange(5)  # -0.06 to 0.06, each with an error of 0.05
    assert leaving(gaps, ERROR * np.eye(5)).rung is None
    found = further(range(5), gaps, ERROR * np.eye(5))
    assert found.lacking == ""

    def shown(steps):
        at = gaps[-1] + slope * steps
        return np.mean(at + ERROR * np.random.default_rng(0).normal(size=20_000) > 1.645 * ERROR)

    assert shown(found.steps) >= 0.8 > shown(found.steps - 1)
    # a mean step is as long as the ladder's places say
    assert further([0, 2, 4, 6, 8], gaps, ERROR * np.eye(5)) == found


def test_rungs_are_not_promised_where_nothing_rises_or_the_end_is_too_far():
    flat = further(range(5), [0.01, 0.0, 0.02, 0.0, 0.01], ERROR * np.eye(5))
    assert (flat.steps, flat.lacking) == (None, "the differences are not shown to rise along these rungs")
    deep = further(range(5), np.arange(-0.9, -0.4, 0.1), ERROR * np.eye(5))
    assert deep.steps is None
    assert "farther beyond the last rung than this ladder is long" in deep.lacking
    falling = further(range(4), [0.4, 0.3, 0.2, 0.1], 0.001 * np.eye(4))
    assert falling.steps is None


def test_growth_ends_where_it_does():
    found = saturation([0.1, 0.3, 0.6, 0.6, 0.6], 0.02 * np.eye(5))
    assert (found.rung, found.grows) == (2, True)
    assert found.support > 0.8
    assert saturation([0.1, 0.2, 0.3, 0.4, 0.5], 0.02 * np.eye(5)).rung is None  # goes on
    flat = saturation([0.3, 0.31, 0.3, 0.29], 0.02 * np.eye(4))
    assert (flat.rung, flat.grows) == (None, False)


def test_the_isotonic_fit_is_scikit_learns():
    values = np.random.default_rng(0).normal(size=20).cumsum()
    assert np.allclose(isotonic(values), IsotonicRegression().fit_transform(np.arange(20), values))


def test_too_few_rungs_are_refused():
    with pytest.raises(InputError, match="two rungs"):
        leaving([1.0], np.eye(1))
    with pytest.raises(InputError, match="three rungs"):
        saturation([1.0, 2.0], np.eye(2))
    with pytest.raises(InputError, match="three rungs"):
        further([0, 1], [1.0, 2.0], np.eye(2))
