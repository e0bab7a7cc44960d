"""Paired differences of item scores: against t-tests by hand, refits, and simulated rates."""

import numpy as np
import pytest
from scipy import stats

import isomorph as iso
from isomorph.concept_maps._paired import paired_items
from isomorph.errors import InputError
from isomorph.results import PairedScores


def test_differences_are_paired_t_tests():
    rng = np.random.default_rng(0)
    a = rng.uniform(size=40)
    b = a + 0.1 + 0.1 * rng.normal(size=40)
    labels = np.repeat(["u", "v"], [10, 30])
    found = paired_items(a, b, labels)
    for row, rows in ((found.all, slice(None)), (found.labels[0], labels == "u"), (found.labels[1], labels == "v")):
        d = (b - a)[rows]
        n = len(d)
        assert row.difference == pytest.approx(d.mean())
        assert (row.a, row.b) == pytest.approx((a[rows].mean(), b[rows].mean()))
        # the jackknife of a mean is its classical variance; HC3 divides by n - 1 twice
        error = d.std(ddof=1) / np.sqrt(n) * np.sqrt(n / (n - 1))
        half = stats.t.ppf(0.975, n - 1) * error
        assert (row.low, row.high) == pytest.approx((d.mean() - half, d.mean() + half))
    p = [row.p_value for row in found.labels]
    assert sorted(row.q_value for row in found.labels) == pytest.approx(sorted([min(2 * min(p), max(p)), max(p)]))


def test_groups_are_drawn_as_a_whole():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 4)
    a = rng.uniform(size=48)
    b = a + rng.normal(size=12)[groups] * 0.2
    d = b - a
    without = np.array([d[groups != g].mean() for g in range(12)])
    variance = np.sum((d.mean() - without) ** 2)
    found = paired_items(a, b, groups=groups)
    assert (found.all.high - found.all.difference) == pytest.approx(stats.t.ppf(0.975, 11) * np.sqrt(variance))
    assert found.all.high - found.all.low > 1.5 * (paired_items(a, b).all.high - paired_items(a, b).all.low)
    assert "12 groups" in found.over


def test_labels_of_one_item_or_one_group_have_no_interval():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 12))
    found = paired_items(a, b, ["one", *["many"] * 11])
    assert (found.labels[1].label, found.labels[1].low, found.labels[1].p_value) == ("one", None, None)
    assert found.labels[0].q_value == pytest.approx(found.labels[0].p_value)
    grouped = paired_items(a, b, ["u"] * 3 + ["v"] * 9, groups=np.arange(12) // 3)
    assert grouped.labels[0].low is None
    assert grouped.labels[1].low is not None


def rate(trials, planted):
    knn = iso.metric("mutual_knn(k=10)")
    hits, naive = 0, 0
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        z = rng.normal(size=(120, 4))
        x = knn.prepare(z)
        one, two = (knn.item_scores(x, knn.prepare(z + s * rng.normal(size=z.shape))) for s in (0.5, 0.5 + planted))
        half = np.where(z[:, 0] > 0, "right", "left")
        found = paired_items(one.values, two.values, half, a_moves=one.moves, b_moves=two.moves)
        hits += np.array([found.all.p_value <= 0.05, found.labels[0].p_value <= 0.05])
        naive += paired_items(one.values, two.values).all.p_value <= 0.05
    return hits / trials, naive / trials


@pytest.mark.thorough
def test_equal_noise_is_called_different_in_the_band():
    found, _ = rate(400, 0.0)
    low, high = (stats.binom.ppf(q, 400, 0.05) / 400 for q in (0.005, 0.995))
    assert low <= found[0] <= high
    assert low <= found[1] <= high


def test_more_noise_is_found():
    found, _ = rate(30, 0.3)
    assert found[0] == 1


def test_results_are_saved_and_loaded(tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20))
    found = paired_items(a, b, ["u", *["v"] * 19], b_name="words shuffled")
    again = PairedScores.load(found.save(tmp_path / "d.json"))
    assert again.to_json() == found.to_json()
    assert [r["label"] for r in again.to_records()] == ["all", "u", "v"]
    assert len(found.to_frame()) == 3
    assert "words shuffled less original" in repr(again)


def test_bad_input_is_refused_in_words():
    with pytest.raises(InputError, match="a has 3 scores and b has 2"):
        paired_items([1, 2, 3], [1, 2])
    with pytest.raises(InputError, match=r"b\[0\] is nan"):
        paired_items([1, 2, 3], [np.nan, 2, 3])
    with pytest.raises(InputError, match="labels has 2 labels for 3 items"):
        paired_items([1, 2, 3], [1, 2, 4], ["a", "b"])
    knn = iso.metric("mutual_knn(k=2)")
    moves = knn.item_scores(*(knn.prepare(np.random.default_rng(k).normal(size=(9, 2))) for k in (0, 1))).moves
    with pytest.raises(InputError, match="go together"):
        paired_items(np.arange(9.0), np.arange(9.0) ** 2, a_moves=moves)


def test_a_few_items_that_all_move_alike_are_no_proof():
    """Scores of neighbors are few values, so that two or three items of a label often differ by just the same."""
    a = np.array([0.3, 0.5, 0.2, 0.7, 0.1, 0.6, 0.4, 0.8])
    b = a + np.array([0.1, 0.1, -0.2, 0.1, 0.1, 0.0, 0.2, -0.1])
    found = paired_items(a, b, labels=["alike"] * 2 + ["mixed"] * 6).labels
    alike = next(d for d in found if d.label == "alike")
    assert alike.p_value == 0.5  # of the four ways to flip two signs, two are as far out
    assert paired_items(a, a + 0.1).all.p_value == pytest.approx(2.0**-7)
    assert paired_items(a, a).all.p_value == 1.0


def test_scores_too_large_to_square_are_refused():
    with pytest.raises(InputError, match="a holds values of size 8e"):
        paired_items(np.arange(9) * 1e200, np.arange(9.0))
