"""Items under a map against folds fitted by hand, their p against all pairings, labels against all re-pairings."""

import itertools

import numpy as np
import pytest
from scipy import stats

import isomorph as iso
from isomorph._core.memory import working_memory
from isomorph.concept_maps._ranks import Candidates, Folds, HeldOut, PartnerRanks, map_items
from isomorph.concept_maps._sets import Members, means, members
from isomorph.design import Split, fold_of_items, permutations
from isomorph.errors import InputError
from isomorph.heldout.retrieval import rank
from isomorph.maps import make_map
from isomorph.results import MapItems


def related(n, d=4, noise=1.0, seed=0):
    x, e = np.random.default_rng(seed).normal(size=(2, n, d))
    return x, x + noise * e


def held_out(spec, x, y, fold):
    """Fold, its rows, their mapped rows and partners about the mean of the others, by hand."""
    for k in np.unique(fold):
        test, train = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        fitted = make_map(spec).fit(x[train], y[train])
        mean = y[train].mean(axis=0) if fitted.direct else 0.0
        yield test, fitted.embed_x(x[test]) - mean, fitted.embed_y(y[test]) - mean


def cosines(a, b):
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


@pytest.mark.parametrize("spec", ["ridge", "procrustes", "relative(anchors=6)"])
def test_an_item_is_ranked_among_its_fold_by_a_map_that_never_saw_it(spec):
    x, y = related(60)
    found = map_items(spec, x, y, folds=4, seed=3)
    fold = fold_of_items(60, 4, 3)
    assert np.array_equal(found.folds, fold)
    for test, mapped, target in held_out(spec, x, y, fold):
        places = np.array([stats.rankdata(-row)[i] for i, row in enumerate(cosines(mapped, target))])
        assert found.ranks[test] == pytest.approx(places)
        assert found.scores[test] == pytest.approx(1 - (places - 1) / (len(test) - 1))
        assert found.p_values[test] == pytest.approx(places / len(test))
        assert found.cosine[test] == pytest.approx(np.diag(cosines(mapped, target)))
        assert found.ranks[test] == pytest.approx(rank(mapped, target, test, test).rank())
        error = np.sum((target - mapped) ** 2, axis=1)
        if make_map(spec).direct:
            assert found.explained[test] == pytest.approx(1 - error / np.sum(target**2, axis=1))
        else:
            assert np.isnan(found.explained[test]).all()
    assert found.chance == pytest.approx(np.full(60, 0.5))


def test_a_map_that_knows_nothing_stands_at_chance_and_is_no_evidence():
    x, y = related(40)
    found = map_items("mean", x, y, labels=["a", "b"] * 20, permutations=99)
    assert np.all(found.scores == 0.5)
    assert np.all(found.p_values == 1)
    assert np.all(found.labels.p_values == 1)


DESIGNS = {
    "free": (None, None),
    "groups": ([0, 0, 1, 1, 2, 2, 3, 4], None),
    "strata": (None, [0, 0, 0, 0, 1, 1, 1, 1]),
    "both": ([0, 0, 1, 1, 2, 3, 4, 5], [0, 0, 0, 0, 1, 1, 1, 1]),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_the_p_of_an_item_is_the_share_of_all_pairings_of_the_design(design):
    """One fold of 8 rows, enumerated: every order of whole units among those of their size and stratum."""
    groups, strata = (None if v is None else np.array(v) for v in DESIGNS[design])
    rng = np.random.default_rng(1)
    mapped, target = rng.normal(size=(2, 8, 2)).round(0)  # with ties, some rows without direction
    sets = members({"first": [0, 1, 4], "all": range(8)}, 8)
    rows = np.arange(8)
    whole = Folds((Split(rows[:0], rows),), rows if groups is None else groups, groups, strata)
    ranks = PartnerRanks(8, sets, 4000)
    ranks.add(HeldOut.of(0, whole, 4000, 0), mapped, target)
    unit = np.arange(8) if groups is None else groups
    units = [np.flatnonzero(unit == g) for g in np.unique(unit)]
    kinds = [(len(u), 0 if strata is None else strata[u[0]]) for u in units]

    norms = [np.linalg.norm(z, axis=1, keepdims=True) for z in (mapped, target)]
    q, g = (np.where(s > 0, z / np.where(s > 0, s, 1), 0) for z, s in zip((mapped, target), norms, strict=True))
    best = np.array([[np.max((g[u] @ row).round(9)) for u in units] for row in q])
    places = np.array([(stats.rankdata(row) - 1) / (len(units) - 1) for row in best])

    def scores(order):
        """Score of every item where unit g has the partners of unit order[g]."""
        return places[np.arange(8), np.asarray(order)[unit]]

    identity = list(range(len(units)))
    orders = [
        o
        for o in itertools.permutations(identity)
        if all(kinds[a] == kinds[b] for a, b in zip(o, identity, strict=True))
    ]
    null, own = np.array([scores(o) for o in orders]), scores(identity)
    assert ranks.scores == pytest.approx(own)
    assert ranks.p_values == pytest.approx(np.mean(null >= own - 1e-9, axis=0))
    assert ranks.chance == pytest.approx(null.mean(axis=0))
    for k, rows in enumerate(([0, 1, 4], range(8))):
        of_set = null[:, list(rows)].mean(axis=1)
        wider = of_set.mean() + np.sqrt(2) * (of_set - of_set.mean())
        exact = np.mean(wider >= own[list(rows)].mean() - 1e-9)
        assert abs(ranks.p_of_sets()[k] - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000) + 1 / 4001


def test_labels_over_two_folds_are_held_against_all_re_pairings_of_both():
    x, y = related(8, d=2, noise=2.0, seed=4)
    rows = [0, 1, 2, 5]
    found = map_items("procrustes", x, y, folds=2, labels={"a": rows}, permutations=6000, seed=1)
    sums = []
    for test, mapped, target in held_out("procrustes", x, y, fold_of_items(8, 2, 1)):
        places = np.array([stats.rankdata(row) - 1 for row in cosines(mapped, target)]) / 3
        own = np.isin(test, rows)
        sums.append([places[np.arange(4), list(o)][own].sum() for o in itertools.permutations(range(4))])
    null = np.add.outer(*sums).ravel()
    observed = found.scores[rows].sum()
    exact = np.mean(null.mean() + np.sqrt(2) * (null - null.mean()) >= observed - 1e-9)
    assert found.labels.scores[0] * 4 == pytest.approx(observed)
    assert found.labels.chance[0] * 4 == pytest.approx(null.mean())
    assert abs(found.labels.p_values[0] - exact) < 4 * np.sqrt(exact * (1 - exact) / 6000) + 1 / 6001


def test_a_label_of_one_item_has_the_p_of_the_item():
    x, y = related(40)
    found = map_items("ridge", x, y, labels={"one": [7]}, permutations=4000)
    exact = found.p_values[7]
    assert abs(found.labels.p_values[0] - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000) + 1 / 4001


def unrelated(t, n=40):
    """Unrelated pairs: plain, with ties, in groups of two, duplicated in groups."""
    rng = np.random.default_rng([7, t])
    x, y = rng.normal(size=(2, n, 3))
    kind = t % 4
    if kind == 1:
        x, y = x.round(0), y.round(0)
    if kind == 3:
        x, y = x[np.arange(n) // 2], y[np.arange(n) // 2]
    return x, y, np.arange(n) // 2 if kind > 1 else None


@pytest.mark.parametrize("trials", [100, pytest.param(400, marks=pytest.mark.thorough)])
def test_unrelated_items_and_labels_are_told_at_most_at_the_rate_of_the_level(trials):
    """The p of an item is exact. All items together are told at the level, smaller labels more rarely."""
    item, label = [], []
    sets = {"all": range(40), "half": range(20), "few": range(6)}
    for t in range(trials):
        x, y, groups = unrelated(t)
        found = map_items("ridge", x, y, folds=4, groups=groups, labels=sets, permutations=199, seed=t)
        item.append(np.mean(found.p_values <= 0.2))  # 10 candidates a fold, or 5
        label.append(found.labels.p_values <= 0.05)
    assert 0.15 < np.mean(item) < 0.2 + 4 * np.std(item) / np.sqrt(trials)
    reach = 4 * np.sqrt(0.05 * 0.95 / trials)
    assert np.all(np.mean(label, axis=0) < 0.05 + reach)
    assert np.mean(label, axis=0)[0] > 0.05 - reach


@pytest.mark.thorough
def test_under_maps_that_are_fitted_anew_labels_are_told_at_the_rate_of_the_level():
    label, trials = [], 100
    sets = {"all": range(24), "half": range(12), "few": range(4)}
    for t in range(trials):
        x, y, groups = unrelated(t, 24)
        found = map_items("procrustes", x, y, folds=3, groups=groups, labels=sets, refits=19, seed=t)
        label.append(found.labels.p_values <= 0.1)
    assert found.labels.permutations == 19
    assert found.labels.source.startswith("refits")
    reach = 4 * np.sqrt(0.1 * 0.9 / trials)
    assert np.all(np.abs(np.mean(label, axis=0) - 0.1) < reach)


def test_refits_are_those_of_a_loop_over_orders():
    x, y = related(24, noise=2.0)
    order = permutations(24, 19, 3)
    scores = [map_items("ridge", x, y[o], folds=3, seed=3).scores.mean() for o in order]
    found = map_items("ridge", x, y, folds=3, labels=["a"] * 24, refits=19, seed=3)
    reached = np.sum(np.array(scores) >= found.scores.mean() - 1e-9)
    assert found.labels.p_values[0] == pytest.approx((1 + reached) / 20)


def test_strata_take_what_both_sides_know_of_them_for_chance():
    rng = np.random.default_rng(5)
    strata = np.repeat([0, 1, 2, 3], 30)
    place = 5 * rng.normal(size=(4, 6))
    x, y = (place[strata] + rng.normal(size=(120, 6)) for _ in range(2))  # alike by stratum, and by nothing else
    free = map_items("ridge", x, y, labels=strata, permutations=199)
    within = map_items("ridge", x, y, labels=strata, strata=strata, permutations=199)
    assert np.array_equal(free.scores, within.scores)
    assert np.all(free.labels.p_values <= 0.05)
    assert np.all(within.labels.p_values > 0.01)
    assert np.all(np.abs(within.labels.scores - within.labels.chance) < 0.1)
    assert np.all(within.labels.chance > 0.8)


def test_groups_are_held_out_whole_and_any_item_of_the_right_one_is_right():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(20), 3)
    x = rng.normal(size=(20, 5))[groups]
    y = x + 0.1 * rng.normal(size=(60, 5))
    shuffled = y.copy()
    for g in range(20):  # captions of one picture change places
        shuffled[3 * g : 3 * g + 3] = y[3 * g + rng.permutation(3)]
    found, again = (map_items("ridge", x, z, groups=groups, folds=4) for z in (y, shuffled))
    assert all(len(set(found.folds[groups == g])) == 1 for g in range(20))
    assert found.gallery == (5, 5, 5, 5)
    assert np.all(found.scores == 1)
    assert np.all(found.p_values == 0.2)
    assert np.array_equal(again.scores, found.scores)


def test_sets_may_overlap_and_each_is_what_it_is_alone():
    x, y = related(50)
    sets = {"all": np.ones(50, dtype=bool), "few": [3, 1, 4], "more": np.arange(0, 50, 3)}
    found = map_items("ridge", x, y, labels=sets, permutations=199).labels
    assert found.names == ("all", "few", "more")
    for k, (name, rows) in enumerate(sets.items()):
        alone = map_items("ridge", x, y, labels={name: rows}, permutations=199).labels
        assert (alone.scores[0], alone.p_values[0], alone.low[0]) == pytest.approx(
            (found.scores[k], found.p_values[k], found.low[k])
        )


def test_small_blocks_and_another_order_of_memory_give_the_same_scores():
    x, y = related(400, d=3)
    labels = np.arange(400) % 7
    whole = map_items("ridge", x, y, folds=2, labels=labels, permutations=50)
    with working_memory("16MB"):
        blocks = map_items("ridge", np.asfortranarray(x), y, folds=2, labels=labels, permutations=50)
    assert blocks.scores == pytest.approx(whole.scores)
    assert blocks.labels.p_values == pytest.approx(whole.labels.p_values)


def test_means_have_the_interval_of_t_and_whole_groups_are_its_units():
    rng = np.random.default_rng(8)
    values = rng.uniform(0.2, 0.8, size=30)
    found = means(values, members({"some": np.arange(12)}, 30), np.arange(30), 0.1, (0, 1))
    wanted = stats.t.interval(0.9, 11, values[:12].mean(), stats.sem(values[:12]))
    assert (found.low[0], found.high[0]) == pytest.approx(wanted)
    assert found.p_values[0] == pytest.approx(stats.ttest_1samp(values[:12], 0).pvalue)
    groups = np.repeat(np.arange(10), 3)
    found = means(values, members({"all": np.arange(30)}, 30), groups, 0.1, (0, 1))
    wanted = stats.t.interval(0.9, 9, values.mean(), stats.sem(values.reshape(10, 3).mean(axis=1)))
    assert (found.low[0], found.high[0]) == pytest.approx(wanted)
    one = means(values, members({"one": [0, 1, 2]}, 30), groups, 0.1, (0, 1))
    assert np.isnan([one.low[0], one.high[0], one.p_values[0]]).all()


def test_items_that_all_score_the_same_are_not_known_without_error():
    found = means(np.ones(10), members({"three": [0, 1, 2], "ten": range(10)}, 10), np.arange(10), 0.05, (0, 1))
    assert found.high.tolist() == [1, 1]
    # with this lower bound as the share of items that score 1, three (ten) in a row do so in 2.5 of 100 samples
    assert found.low == pytest.approx([0.025 ** (1 / 3), 0.025 ** (1 / 10)])


def test_candidates_change_places_among_those_of_their_size_and_stratum():
    test = np.array([2, 5, 6, 7, 9])
    groups = np.array([0, 0, 1, 0, 0, 2, 1, 3, 0, 2])
    found = Candidates.of(test, groups, None)
    assert found.count == 3
    assert sorted(found.sizes.tolist()) == [1, 2]
    assert [set(test[found.at[found.candidate == c]]) for c in range(3)] == [{7}, {2, 6}, {5, 9}]


def test_saved_and_read_again_it_is_the_same(tmp_path):
    x, y = related(30)
    for spec in ("ridge", "relative(anchors=5)"):
        found = map_items(spec, x, y, labels=["a"] + ["b"] * 29, permutations=19)
        again = MapItems.load(found.save(tmp_path / "items.json"))
        assert again.to_json() == found.to_json()
        assert again.labels.records()[0]["low"] is None  # of one item there is no scatter
        assert map_items(spec, x, y, labels=["a"] + ["b"] * 29, permutations=19).to_json() == found.to_json()
        assert "mean score" in repr(found)


X, Y = related(20)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": Y[:10]}, "20 items and y has 10"),
        ({"folds": 1}, "folds=1: a whole number of at least 2"),
        ({"folds": 11}, "11 folds of 20 items hold out fewer than 2 at a time.*use folds=10 or fewer"),
        ({"groups": [0] * 10 + [1] * 10, "folds": 2}, "2 folds of 2 groups.*give more groups"),
        ({"map": "relative(anchors=50)"}, "leave 16 to fit on, and relative.* needs 50"),
        ({"map": "no_such"}, "Unknown map"),
        ({"labels": ["a"] * 3}, "labels has 3 labels for 20 items"),
        ({"labels": {}}, "labels: 0 sets"),
        ({"labels": {"a": [20]}}, r"labels\['a'\] must hold different rows from 0 to 19"),
        ({"labels": {"a": []}}, r"labels\['a'\] must hold"),
        ({"labels": {"a": [1, 1]}}, r"labels\['a'\] must hold"),
        ({"groups": np.arange(20) // 2, "strata": np.arange(20)}, "a group has items of several strata"),
        ({"strata": np.arange(20)}, "No held-out partner can take the place of another"),
        ({"permutations": 0}, "permutations=0"),
        ({"refits": -1}, "refits=-1"),
        ({"alpha": 2}, "alpha=2"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_what_cannot_be_is_answered_in_words(change, words):
    given = {"map": "ridge", "x": X, "y": Y} | change
    with pytest.raises((InputError, iso.errors.UnknownNameError), match=words):
        map_items(given.pop("map"), given.pop("x"), given.pop("y"), **given)


def test_members_of_one_label_an_item_are_sorted_by_their_texts():
    found = members(["b", "a", "b"], 3)
    assert isinstance(found, Members)
    assert found.names == ("a", "b")
    assert found.counts.tolist() == [1, 2]
