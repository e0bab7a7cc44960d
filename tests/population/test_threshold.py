"""Thresholds and the end of growth on ladders whose truth is known."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from isomorph.errors import InputError
from isomorph.population import isotonic, leaving, saturation

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
