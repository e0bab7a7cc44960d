from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.significance import duplicates, permutations, sampled_null, sampled_p


def features(n=30, d=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def test_equal_items_are_found_and_others_are_not():
    x = features()
    x[[7, 20]] = x[3]
    x[5] = x[4]
    found = duplicates(x)
    assert found.sets == ((3, 7, 20), (4, 5))
    assert found.extra == 3
    assert len(found.keep) == 27
    assert set(found.keep) == set(range(30)) - {5, 7, 20}
    assert found.labels[[3, 7, 20]].tolist() == [3, 3, 3]
    assert "5 of 30 items are in 2 sets of identical ones" in str(found)


def test_items_without_copies_make_no_sets():
    found = duplicates(features())
    assert found.sets == ()
    assert found.extra == 0
    assert "No duplicates" in str(found)


def test_zero_and_minus_zero_are_equal():
    assert duplicates(np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0]])).sets == ((0, 1),)


def test_near_items_are_found_by_their_share_of_the_typical_distance_whatever_scale_and_offset():
    x = features(40, 20)
    typical = np.sqrt(2 * x.var(axis=0).sum() * 40 / 39)
    x[11] = x[2]
    x[11, 0] += 0.009 * typical
    x[30] = x[11]
    x[30, 0] += 0.009 * typical  # a chain: 30 is near 11, which is near 2
    for moved in (x, 1e-6 * x, x + 1e4):
        assert duplicates(moved, 0.01).sets == ((2, 11, 30),)
        assert duplicates(moved, 0.005).sets == ()


def test_items_that_are_all_equal_are_one_set():
    assert duplicates(np.ones((5, 2)), 0.1).sets == ((0, 1, 2, 3, 4),)


@pytest.mark.parametrize("tolerance", [-0.1, 1e-9, 1.0])
def test_a_tolerance_that_means_nothing_is_refused(tolerance):
    with pytest.raises(InputError, match="tolerance"):
        duplicates(features(), tolerance)


def test_copies_make_noise_look_alike_and_permuting_them_as_groups_mends_it():
    m, twice = metric("cka"), np.repeat(np.arange(25), 2)
    plain, grouped = [], []
    for seed in range(60):
        x, y = features(25, 4, seed)[twice], features(25, 4, 1000 + seed)[twice]
        xs, ys = [m.prepare(x)], [m.prepare(y)]
        value = m.compare(xs, ys)
        plain.append(sampled_p(value, sampled_null(m, xs, ys, permutations(50, 39, seed)))[0, 0])
        labels = duplicates(np.hstack([x, y])).labels
        orders = permutations(50, 39, seed, groups=labels)
        grouped.append(sampled_p(value, sampled_null(m, xs, ys, orders))[0, 0])
    assert np.sum(np.array(plain) <= 0.05) >= 12  # nominal: 3 of 60
    assert np.sum(np.array(grouped) <= 0.05) <= 9
