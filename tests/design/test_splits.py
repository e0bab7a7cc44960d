"""Who is held out: whole units, what groups tie together, and what a user chose."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.design import (
    Split,
    chosen_split,
    coded,
    drawn_split,
    fold_of_items,
    joint_units,
    share_of_units,
    units,
)
from isomorph.errors import InputError


@pytest.mark.parametrize("seed", range(5))
def test_units_that_a_group_ties_together_are_the_components_of_their_graph(seed):
    rng = np.random.default_rng(seed)
    own, groups = (coded(rng.integers(0, k, 60), 60, "labels") for k in (40, 45))
    expected = {frozenset({a}) for a in own.tolist()}
    for group in range(groups.max() + 1):  # by hand: whatever a group touches becomes one
        touched = {part for part in expected if part & set(own[groups == group].tolist())}
        expected = (expected - touched) | {frozenset().union(*touched)}
    joint = joint_units(own, groups)
    assert 1 < len(expected) < own.max() + 1
    assert {frozenset(own[joint == j].tolist()) for j in range(joint.max() + 1)} == expected
    firsts = [own[joint == j].min() for j in range(joint.max() + 1)]
    assert firsts == sorted(firsts)


def test_units_are_items_labels_or_groups_and_never_part_a_group():
    labels, groups = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 3, 3])
    assert units("item", 6, None, None).tolist() == [0, 1, 2, 3, 4, 5]
    assert units("item", 6, labels, groups).tolist() == [0, 1, 1, 2, 3, 3]
    assert units("label", 6, labels, None).tolist() == [0, 0, 1, 1, 2, 2]
    assert units("label", 6, labels, groups).tolist() == [0, 0, 0, 0, 1, 1]
    assert units("group", 6, None, groups).tolist() == [0, 1, 1, 2, 3, 3]
    with pytest.raises(InputError, match="by='label' needs labels"):
        units("label", 6, None, groups)
    with pytest.raises(InputError, match="by='class' is not known"):
        units("class", 6, labels, groups)


def test_a_drawn_split_holds_out_whole_units_of_about_the_share_and_repeats_differ():
    unit = coded(np.repeat(np.arange(30), np.arange(30) % 4 + 1), 73, "groups")
    splits = [drawn_split(unit, 0.3, 0, r) for r in range(4)]
    for split in splits:
        assert not set(unit[split.train]) & set(unit[split.test])
        assert sorted([*split.train, *split.test]) == list(range(73))
        assert abs(len(split.test) - 0.3 * 73) <= 2  # half the largest unit
    assert len({tuple(s.test) for s in splits}) == 4
    assert drawn_split(unit, 0.3, 0, 2).test.tolist() == splits[2].test.tolist()
    with pytest.raises(InputError, match="single unit"):
        drawn_split(np.zeros(5, dtype=np.int64), 0.5, 0, 0)


def test_the_inner_split_is_of_the_rows_to_fit_on_alone_and_keeps_units_whole():
    unit = np.repeat(np.arange(20), 3)
    outer = drawn_split(unit, 0.3, 1, 0)
    inner = outer.inner(unit, 0.3, 1)
    assert sorted([*inner.train, *inner.test]) == outer.train.tolist()
    assert not set(unit[inner.train]) & set(unit[inner.test])


def test_a_share_of_units_counts_units_and_takes_its_share_of_every_stratum():
    unit = np.array([0] * 50 + [1, 2, 3])
    assert {int(share_of_units(unit, 0.5, s).sum()) for s in range(20)} == {2, 51}
    strata = np.repeat([0, 1], [20, 40])
    assert np.bincount(strata[share_of_units(np.arange(60), 0.5, 0, strata)]).tolist() == [10, 20]
    assert share_of_units(np.arange(60), 0.001, 0, least=1).sum() == 1
    with pytest.raises(InputError, match="leaves one part empty"):
        share_of_units(np.arange(60), 0.001, 0)


def test_a_chosen_split_is_by_ids_or_rows_and_says_what_leaks():
    ids = ("a", "b", "c", "d")
    assert chosen_split(["d", 0], 4, ids).test.tolist() == [0, 3]
    assert chosen_split(np.array([2, 1]), 4).train.tolist() == [0, 3]
    groups = np.array([0, 0, 1, 1])
    assert chosen_split([3, 2], 4, kept={"group": groups, "label": None}).test.tolist() == [2, 3]
    with pytest.raises(InputError, match=r"1 group has items on both sides.*'b' \(held out\) and 'a' \(fitted on\)"):
        chosen_split(["b"], 4, ids, {"group": groups})


@pytest.mark.parametrize(
    ("test", "ids", "message"),
    [
        (["e"], "abcd", "neither an id nor a row of the 4 items"),
        (["e"], (), "no row, which are 0 to 3,"),
        ([-1], (), "names -1"),
        ([4], (), "names 4"),
        ([True, False, True, False], (), "names True"),
        ([1, 1], (), "twice"),
        (["b", 1], "abcd", "twice"),
        ([], (), "holds 0 of 4"),
        ([0, 1, 2, 3], (), "holds 4 of 4"),
        ("ab", "abcd", "must be a list of ids or row numbers"),
        (7, (), "must be a list of row numbers"),
        ({"a": 1}, "abcd", "must be a list"),
    ],
)
def test_a_chosen_split_that_means_nothing_is_refused(test, ids, message):
    with pytest.raises(InputError, match=message):
        chosen_split(test, 4, tuple(ids))


def test_a_split_with_too_few_items_in_a_part_is_refused():
    split = Split.of(np.array([True, False, False]))
    assert split.require(1) is split
    with pytest.raises(InputError, match="3 items into 2 to fit on and 1 held out"):
        split.require()


def test_folds_never_part_a_group_and_differ_by_no_more_than_the_largest_group():
    groups = np.repeat(np.arange(17), np.arange(17) % 5 + 1)
    fold = fold_of_items(len(groups), 4, 0, groups)
    assert all(len(set(fold[groups == g])) == 1 for g in range(17))
    assert np.ptp(np.bincount(fold)) <= 5
    with pytest.raises(InputError, match="18 folds need at least 18 groups, found 17"):
        fold_of_items(len(groups), 18, 0, groups)
