"""Held-out work for anything that is fitted: here a head over three spaces whose target are labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isomorph.design import Codes, Split
from isomorph.errors import InputError
from isomorph.heldout.bootstrap import Bootstrap
from isomorph.heldout.curves import CURVE_REPEATS, curve_fits, size_curves, sizes
from isomorph.heldout.evidence import best_refit_p, margins, refit_p, shared_names, summaries
from isomorph.heldout.holdout import Holdout, splits_of
from isomorph.heldout.readout import classifier
from isomorph.heldout.scores import ItemScore, Scores, accuracy, averaged

N = 240
GROUPS = np.repeat(np.arange(N // 2), 2)


@pytest.fixture(scope="module")
def planted() -> tuple[list[np.ndarray], np.ndarray]:
    """Two spaces that hold one bit of the class each, a third of noise, and four classes."""
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 2, (N, 2))
    spaces = [rng.normal(size=(N, 6)) for _ in range(3)]
    for k in range(2):
        spaces[k] += 1.5 * (2 * bits[:, k : k + 1] - 1)
    return spaces, 2 * bits[:, 0] + bits[:, 1]


class Head:
    """A linear head over some spaces: a trial of one split."""

    def __init__(self, spaces: list[np.ndarray], labels: np.ndarray, split: Split, alone: int | None = None) -> None:
        self.joined = np.hstack(spaces)
        self.labels, self.split, self.alone = labels, split, alone
        self.asked: list[tuple[Codes, Codes]] = []

    def __call__(self, rows: Codes, partners: Codes) -> Scores:
        self.asked.append((rows, partners))
        if len(rows) < 8:
            raise InputError("a head needs 8 items")
        head, truth = classifier(self.joined[rows], self.labels[partners]), self.labels[self.split.test]
        return {"accuracy": accuracy(head.predict(self.joined[self.split.test]) == truth, truth)}


def holdout(permutations: int = 19, groups: np.ndarray | None = None, repeats: int = 4) -> Holdout:
    splits, unit = splits_of(N, groups=groups, repeats=repeats, seed=1)
    return Holdout(splits, unit, groups, permutations, seed=1)


def trials(planted, plan: Holdout, which: list[int]) -> list[Head]:
    spaces, labels = planted
    return [Head([spaces[k] for k in which], labels, split) for split in plan.splits]


def fitted(planted, plan: Holdout, which: list[int]) -> tuple[list[Scores], list[list[Scores]]]:
    heads = trials(planted, plan, which)
    return [plan.fitted(h, r) for r, h in enumerate(heads)], [plan.permuted(h, r) for r, h in enumerate(heads)]


def test_a_head_over_several_spaces_is_judged_as_a_map_is(planted):
    plan = holdout()
    both, alone, noise = (fitted(planted, plan, which) for which in ([0, 1], [0], [2]))
    bootstrap = Bootstrap(plan.splits, None, N, 300, 0.95, 1)
    score = summaries(both[0], bootstrap)["accuracy"]
    assert score.low < score.value < score.high
    assert score.value > 0.85
    assert score.value == pytest.approx(np.mean([s["accuracy"].value for s in both[0]]))
    permuted = [{"accuracy": averaged([p["accuracy"] for p in split])} for split in both[1]]
    found = margins(both[0], {"one space": alone[0], "permuted pairs": permuted}, bootstrap)["accuracy"]
    assert all(m.low > 0 for m in found.values())
    assert found["permuted pairs"].value > found["one space"].value
    none = margins(alone[0], {"with noise": fitted(planted, plan, [0, 2])[0]}, bootstrap)["accuracy"]["with noise"]
    assert none.low < 0 or none.value < 0.05
    assert refit_p(*both, names=["accuracy"])["accuracy"] == pytest.approx(1 / 20)
    assert refit_p(*noise, names=["accuracy"])["accuracy"] > 1 / 20
    assert best_refit_p([both, noise], "accuracy") == pytest.approx(1 / 20)


def test_no_trial_sees_a_held_out_item_and_permuted_pairs_move_whole_groups(planted):
    plan = holdout(permutations=5, groups=GROUPS)
    for repeat, head in enumerate(trials(planted, plan, [0, 1])):
        plan.fitted(head, repeat)
        plan.permuted(head, repeat)
        inside = set(plan.splits[repeat].train.tolist())
        assert not {int(i) // 2 for i in inside} & {int(i) // 2 for i in plan.splits[repeat].test}
        assert len(head.asked) == 6
        for rows, partners in head.asked:
            assert set(rows.tolist()) == set(partners.tolist()) == inside
            for g in set(GROUPS[rows]):
                assert len(set(GROUPS[partners[GROUPS[rows] == g]])) == 1
        assert (head.asked[0][0] == head.asked[0][1]).all()
        assert all((rows != partners).any() for rows, partners in head.asked[1:])
    one, other = trials(planted, plan, [0]), trials(planted, plan, [1])
    plan.permuted(one[0], 0)
    plan.permuted(other[0], 0)
    for (_, a), (_, b) in zip(one[0].asked, other[0].asked, strict=True):  # what is compared shares its permutations
        np.testing.assert_array_equal(a, b)


def test_choices_are_made_on_a_split_of_the_rows_to_fit_on():
    plan = holdout(groups=GROUPS)
    inner = plan.inner(plan.splits[0])
    assert sorted([*inner.train, *inner.test]) == plan.splits[0].train.tolist()
    assert not set(GROUPS[inner.train]) & set(GROUPS[inner.test])


def test_more_items_to_fit_on_score_better_and_sizes_that_cannot_be_fitted_are_told(planted):
    done: list[int] = []
    splits, unit = splits_of(N, repeats=4, seed=1)
    plan = Holdout(splits, unit, None, 0, 1, done.append)
    spaces, labels = planted
    curves, refused = size_curves(lambda split: Head(spaces[:2], labels, split), plan, ["accuracy"])
    curve = curves["accuracy"]
    assert curve.sizes == sizes(len(splits[0].train))
    assert curve.sizes[:3] == (10, 20, 50)
    assert curve.values[-1] > curve.values[0] + 0.05
    assert all(a <= v <= b for a, v, b in zip(curve.low, curve.values, curve.high, strict=True))
    assert sum(done) == curve_fits(plan) == CURVE_REPEATS * len(curve.sizes)
    assert not refused
    nothing, why = size_curves(lambda split: Head(spaces, labels, split), plan, ["another score"])
    assert (nothing, why) == ({}, {})

    class Picky(Head):
        def __call__(self, rows: Codes, partners: Codes) -> Scores:
            if len(rows) < 50:
                raise InputError(f"{len(rows)} are too few")
            return super().__call__(rows, partners)

    curves, refused = size_curves(lambda split: Picky(spaces, labels, split), plan)
    assert refused == {10: "10 are too few", 20: "20 are too few"}
    assert curves["accuracy"].sizes[0] == 50


def flat(value: float) -> Scores:
    return {"score": ItemScore(np.full(3, value), np.ones(3), 0.0)}


@pytest.mark.parametrize("descending", [False, True])
def test_p_counts_refits_at_least_as_good_with_the_fit_itself_and_ties_to_rounding(descending):
    sign = -1.0 if descending else 1.0
    own = [flat(sign * 1.0), flat(sign * 3.0)]  # mean 2
    null = [[1.0, 3.0, 2.0, 1.0 + 1e-9], [2.0, 3.0, 2.0, 3.0 - 1e-7]]  # means 1.5, 3, 2, 2
    permuted = [[flat(sign * v) for v in split] for split in null]
    less = ["score"] if descending else []
    assert refit_p(own, permuted, ["score"], less) == {"score": pytest.approx((1 + 3) / 5)}
    assert best_refit_p([(own, permuted)], "score", descending=descending) == pytest.approx(4 / 5)
    assert refit_p(own, [[], []], ["score"]) == {}


def test_the_best_of_several_is_held_against_the_best_of_all_of_each_permutation():
    rng = np.random.default_rng(0)
    values, null = rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 30))  # fits, splits, permutations
    fits = [
        ([flat(v) for v in own], [[flat(v) for v in split] for split in permuted])
        for own, permuted in zip(values, null, strict=True)
    ]
    best, bests = values.mean(axis=1).max(), null.mean(axis=1).max(axis=0)
    assert best_refit_p(fits, "score") == pytest.approx((1 + np.sum(bests >= best)) / 31)


def test_scores_that_are_not_in_every_split_are_left_out():
    one = flat(1.0) | {"probe": flat(2.0)["score"]}
    assert shared_names([one, flat(1.0)]) == {"score"}
    splits, _ = splits_of(10, test=[0, 1, 2])
    assert list(summaries([one], Bootstrap(splits, None, 10, 100, 0.9, 0))) == ["probe", "score"]


def test_margins_leave_out_what_cannot_be_compared():
    splits, _ = splits_of(10, test=[0, 1, 2])
    bootstrap = Bootstrap(splits, None, 10, 100, 0.9, 0)
    own, other = [flat(1.0)], [flat(3.0)]
    assert margins(own, {"c": other}, bootstrap)["score"]["c"].value == -2.0
    assert margins(own, {"c": other}, bootstrap, descending=["score"])["score"]["c"].value == 2.0
    assert margins(own, {"c": other}, bootstrap, comparable=lambda name, control: control != "c") == {}
    assert margins(own, {"c": [{}]}, bootstrap) == {}


def test_intervals_over_items_are_those_of_a_mean_and_wider_over_groups():
    rng = np.random.default_rng(2)
    n = 4000
    hits = np.repeat(rng.integers(0, 2, n // 2), 2).astype(float)  # both items of a group alike
    splits, _ = splits_of(2 * n, test=np.arange(n))
    score = ItemScore(hits, np.ones(n), 0.5)
    groups = np.repeat(np.arange(n), 2)
    items, grouped = (Bootstrap(splits, g, 2 * n, 2000, 0.95, 0).score([score]) for g in (None, groups))
    half = 1.96 * hits.std() / np.sqrt(n)
    assert items.high - items.low == pytest.approx(2 * half, rel=0.1)
    assert grouped.high - grouped.low == pytest.approx(2 * half * np.sqrt(2), rel=0.1)


def test_accuracy_has_the_most_frequent_class_as_its_chance():
    truth = np.array([0, 0, 0, 1])
    score = accuracy(np.array([1.0, 0.5, 0.0, 1.0]), truth)  # a tie of two answers counts half
    assert (score.value, score.chance) == (0.625, 0.75)


@pytest.mark.parametrize("by", ["item", "label", "group"])
def test_splits_respect_labels_and_groups(by):
    labels = GROUPS % 12
    splits, unit = splits_of(N, by=by, labels=labels, groups=GROUPS, repeats=3, seed=4)
    for split, other in itertools.combinations(splits, 2):
        assert split.test.tolist() != other.test.tolist()
    for split in splits:
        assert not set(unit[split.train]) & set(unit[split.test])
        assert not set(GROUPS[split.train]) & set(GROUPS[split.test])
        assert bool(set(labels[split.train]) & set(labels[split.test])) == (by != "label")
