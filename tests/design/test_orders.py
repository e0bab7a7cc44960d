from __future__ import annotations

import itertools

import numpy as np
import pytest

from isomorph.design import Design, log10_distinct, permutations
from isomorph.errors import InputError

DESIGNS = [
    {},
    {"groups": [0, 0, 1, 1, 2, 2, 3, 3]},
    {"groups": [0, 0, 1, 1, 2, 2, 3, 3], "within": False},
    {"strata": "aabbbbcc"},
    {"groups": [0, 0, 1, 1, 2, 2, 3, 3], "strata": "aaaabbbb"},
    {"circular": True},
    {"circular": True, "groups": "aaaabbbb"},
]


@pytest.mark.parametrize("design", DESIGNS)
def test_every_row_is_an_order_of_the_items(design):
    orders = permutations(8, 7, 0, **design)
    assert orders.shape == (7, 8)
    assert (np.sort(orders, axis=1) == np.arange(8)).all()


@pytest.mark.parametrize("design", DESIGNS)
def test_the_same_seed_gives_the_same_orders_and_a_longer_run_begins_with_a_shorter_one(design):
    np.testing.assert_array_equal(permutations(8, 7, 3, **design)[:4], permutations(8, 4, 3, **design))


def test_another_seed_gives_other_orders():
    assert (permutations(50, 5, 0) != permutations(50, 5, 1)).any()


def test_free_orders_are_uniform():
    orders = permutations(4, 24_000, 0)
    counts = np.unique(orders @ [1000, 100, 10, 1], return_counts=True)[1]
    assert len(counts) == 24
    assert np.sum((counts - 1000) ** 2 / 1000) < 49.7  # chi-square with 23 degrees of freedom, p = 0.001


def test_whole_groups_take_each_others_place():
    groups = np.array([0, 1, 0, 1, 2, 2])
    for order in permutations(6, 50, 0, groups=groups):
        for g in range(3):
            assert len(set(groups[order[groups == g]])) == 1


def test_all_arrangements_of_groups_are_reached_and_counted():
    groups = [0, 0, 1, 1, 2, 2]
    for within, expected in ((False, 6), (True, 48)):
        orders = permutations(6, 2000, 0, groups=groups, within=within)
        assert len(np.unique(orders, axis=0)) == expected
        assert 10 ** log10_distinct(6, groups=groups, within=within) == pytest.approx(expected)


def test_items_of_a_group_keep_their_order_unless_they_may_move_within():
    orders = permutations(6, 200, 0, groups=[0, 0, 0, 1, 1, 1], within=False)
    assert {tuple(o) for o in orders} == {(0, 1, 2, 3, 4, 5), (3, 4, 5, 0, 1, 2)}


def test_groups_exchange_only_with_groups_of_the_same_size():
    groups = [0, 0, 1, 1, 2, 2, 2]
    for order in permutations(7, 50, 0, groups=groups):
        assert set(order[4:]) == {4, 5, 6}


def test_groups_whose_sizes_all_differ_are_refused():
    with pytest.raises(InputError, match=r"no two groups have the same size \(sizes 1, 2, 3\)"):
        permutations(6, 5, 0, groups=[0, 1, 1, 2, 2, 2])


def test_items_stay_in_their_stratum():
    strata = np.array(list("abacbcab"))
    for order in permutations(8, 50, 0, strata=strata):
        assert (strata[order] == strata).all()


def test_strata_of_one_item_each_are_refused():
    with pytest.raises(InputError, match="nothing can move"):
        permutations(3, 5, 0, strata="abc")


def test_groups_move_inside_their_stratum_only():
    groups, strata = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array(list("aaaabbbb"))
    seen = {tuple(groups[o]) for o in permutations(8, 100, 0, groups=groups, strata=strata)}
    assert seen == {
        tuple(np.repeat([*first, *second], 2))
        for first, second in itertools.product([(0, 1), (1, 0)], [(2, 3), (3, 2)])
    }


def test_a_group_over_two_strata_is_refused():
    with pytest.raises(InputError, match="several strata"):
        permutations(4, 5, 0, groups=[0, 0, 1, 1], strata="abab")


def test_circular_shifts_are_distinct_and_never_the_identity():
    orders = permutations(9, 8, 0, circular=True)
    shifts = orders[:, 0]
    assert sorted(shifts) == list(range(1, 9))
    assert ((orders - shifts[:, None]) % 9 == np.arange(9)).all()


def test_more_shifts_than_there_are_is_refused_with_the_number_there_is():
    with pytest.raises(InputError, match="at most 8"):
        permutations(9, 9, 0, circular=True)


def test_each_series_is_shifted_inside_itself():
    series = np.array([0, 1, 0, 1, 0, 1, 1])
    shifts = set()
    for order in permutations(7, 60, 0, circular=True, groups=series):
        for s, size in ((0, 3), (1, 4)):
            members = np.flatnonzero(series == s)
            moved = np.searchsorted(members, order[members])
            shift = int(moved[0])
            assert (moved == (np.arange(size) + shift) % size).all()
            shifts.add((s, shift))
    assert len(shifts) == 7
    assert 10 ** log10_distinct(7, circular=True, groups=series) == pytest.approx(12)


def test_labels_of_another_length_are_refused():
    with pytest.raises(InputError, match="groups has 3 labels for 4 items"):
        permutations(4, 2, 0, groups="abc")


@pytest.mark.parametrize(("n", "count"), [(1, 5), (5, -1)])
def test_too_few_items_and_negative_counts_are_refused(n, count):
    with pytest.raises(InputError, match="at least 2 items"):
        permutations(n, count, 0)


@pytest.mark.parametrize("design", DESIGNS)
def test_no_orders_can_be_asked_for(design):
    assert permutations(8, 0, 0, **design).shape == (0, 8)


def test_counts_of_orders():
    assert 10 ** log10_distinct(5) == pytest.approx(120)
    assert 10 ** log10_distinct(5, strata="aabbb") == pytest.approx(12)
    assert 10 ** log10_distinct(5, circular=True) == pytest.approx(5)


def test_a_design_says_what_it_is_and_takes_some_of_its_items():
    groups, strata = [0, 0, 1, 1, 2, 2], list("aaaabb")
    assert str(Design()) == "permuted freely"
    assert str(Design(groups)) == "permuted as whole groups (3 groups)"
    assert str(Design(groups, within=False)) == "permuted as whole groups (3 groups, each in order)"
    assert str(Design(groups, strata)) == "permuted as whole groups (3 groups) within labels (2 labels)"
    assert str(Design(circular=True)) == "shifted in a circle as one series"
    assert str(Design(groups, circular=True)) == "shifted in a circle as one series a group (3 groups)"
    some = Design(groups, strata, within=False).take([5, 0])
    assert (some.groups, some.strata, some.within, some.free) == ([2, 0], ["b", "a"], False, False)
    assert Design().free
    assert Design(circular=True).series
    assert not Design(groups, circular=True).series


@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_draws_the_orders_of_its_arguments(design):
    assert (Design(**design).orders(8, 5, 3) == permutations(8, 5, 3, **design)).all()
    assert Design(**design).log10_distinct(8) == log10_distinct(8, **design)


def test_a_part_has_its_share_of_every_label_whole_groups_and_the_beginning_of_a_series():
    strata = np.repeat([0, 1, 2], [20, 10, 10])
    taken = Design(strata=strata).part(40, 0.5, 0)
    assert np.bincount(strata[taken]).tolist() == [10, 5, 5]
    assert (Design(strata=strata).part(40, 0.5, 1) != taken).any()
    groups = np.repeat(np.arange(20), 2)
    taken = Design(groups, strata).part(40, 0.5, 0)
    assert np.bincount(strata[taken]).tolist() == [10, 4, 6]
    assert (taken[::2] == taken[1::2]).all()
    assert Design(circular=True).part(9, 1 / 3, 0).nonzero()[0].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="leaves one part empty"):
        Design().part(9, 0.0, 0)


def test_labels_of_another_array_library_are_equal_by_value():
    torch = pytest.importorskip("torch")
    labels = np.repeat(np.arange(5), 2)
    np.testing.assert_array_equal(
        permutations(10, 4, 0, groups=torch.tensor(labels)), permutations(10, 4, 0, groups=labels)
    )


@pytest.mark.parametrize("bad", [b"abcd", dict.fromkeys(range(4), 0), {1, 2, 3, 4}, 3, [1, 1, None, 1], [[1]] * 4])
def test_labels_that_would_be_misread_are_refused(bad):
    with pytest.raises(InputError, match=r"groups(\[\d\] is| must be a list)"):
        permutations(4, 1, 0, groups=bad)
    with pytest.raises(InputError, match="within='no'"):
        permutations(4, 1, 0, groups=[1, 1, 2, 2], within="no")
