"""The one rule that decides which p a score gets, and every place that shows one."""

import dataclasses
import itertools

import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError
from isomorph.nulls import Null, Sample, judge
from isomorph.nulls.null import TAIL_FROM
from isomorph.significance import Design, judge_block, orders_for, sampled_p

EXACT = Null(0.0, 0.01, 0.0, True, 100, "exact moments")


def sample(p, reached, used):
    return Sample(np.zeros(np.shape(p)), np.asarray(p), np.asarray(reached), used, f"{used} sampled permutations")


def test_an_exact_p_that_the_sample_speaks_against_is_not_shown():
    values = np.array([[0.03, 0.03]])
    found = judge(values, EXACT, sample([[0.002, 0.05]], [[1, 49]], 999))
    assert found.p_value[0, 0] == EXACT.p_value(0.03)
    assert found.p_value[0, 1] == 0.05
    assert "1 of 2 pairs of layers reach their score more often in 999 sampled permutations" in found.source


def test_where_few_items_decide_p_is_sampled_or_a_bound():
    wild = Null(0.0, 0.01, 9.0, True, 100, "exact moments")
    values = np.array([[0.05]])
    assert judge(values, wild).p_value[0, 0] == pytest.approx(1 / 26)
    assert "the bound 1 / (1 + z²)" in judge(values, wild).source
    assert judge(values, wild, sample([[0.01]], [[9]], 999)).p_value[0, 0] == 0.01


def test_without_moments_and_sample_there_is_no_p():
    with pytest.raises(InputError, match="knows its mean only"):
        judge(np.zeros((1, 1)), Null(0.1))


@pytest.mark.parametrize("gap", [0.0, 2.5e-7, 4e-7])
def test_scores_that_agree_to_rounding_are_equal_wherever_a_p_is_counted(gap):
    drawn = np.array([0.2, 0.5 - gap, 0.1])
    null = Null(0.0, 1.0, exact=False, n=10, sample=drawn)
    assert null.p_value(0.5) == 0.5
    assert sampled_p(0.5, drawn) == 0.5
    assert Sample.counted(np.array(0.5), drawn).p_value == 0.5


@pytest.mark.parametrize("spec", ["cka", "biased_cka", "rsa", "mutual_knn(k=2)", "procrustes", "procrustes_distance"])
@pytest.mark.parametrize("n", [4, 5, 6])
def test_among_few_items_p_is_counted_among_all_pairings(spec, n):
    rng = np.random.default_rng(n)
    metric = iso.metric(spec)
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(n, 4))
    scores = np.array([metric(x, y[list(order)]) for order in itertools.permutations(range(n))])
    sign = -1 if metric.distance else 1
    wanted = np.mean(sign * scores >= sign * scores[0] - 1e-6 * np.abs(scores).max())
    null = metric.null(x, y)
    assert null.exact
    assert null.source == f"all {len(scores)} pairings of the items"
    assert null.p_value(metric(x, y)) == pytest.approx(wanted, abs=1e-12)
    found = iso.scan(x, y, spec, permutations=99)[spec]
    assert found.p_value[0, 0] == pytest.approx(wanted, abs=1e-12)
    assert found.p_maximum == pytest.approx(wanted, abs=1e-12)
    assert found.permutations == len(scores) - 1


@pytest.mark.parametrize("spec", ["biased_cka", "distance_correlation", "rsa(dissimilarity='euclidean')"])
@pytest.mark.parametrize("n", [4, 5, pytest.param(6, marks=pytest.mark.thorough)])
def test_no_more_pairings_of_few_items_are_significant_than_the_level_says(spec, n):
    metric = iso.metric(spec)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
        scores = [metric(x, y[list(order)]) for order in itertools.permutations(range(n))]
        assert np.mean(np.asarray(metric.null(x, y).p_value(np.array(scores))) <= 0.05) <= 0.05


def test_every_verb_shows_the_p_of_the_one_rule():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(80, 3))
    x, y = z + rng.normal(size=z.shape), z + rng.normal(size=z.shape)
    metric = iso.metric("cka")
    found = iso.scan(x, y, metric, permutations=199, seed=5)["cka"]
    assert found.p_value[0, 0] == pytest.approx(metric.null(x, y).p_value(metric(x, y)), rel=1e-9)
    xs, ys = [metric.prepare(x)], [metric.prepare(y)]
    orders = orders_for(Design(), 80, 199, 5)
    judged = judge_block(metric, xs, ys, np.asarray(metric.compare(xs, ys)), orders, Design())
    assert judged.p_value[0, 0] == pytest.approx(found.p_value[0, 0], rel=1e-9)
    assert judged.source == found.null


def test_a_held_out_score_too_is_held_against_its_sample(monkeypatch):
    from isomorph.metrics.kernels import Cka

    metric = iso.metric("cka")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 4))
    honest = Cka.null_moments

    def false(self, xs, ys):  # claims far too much: a deviation of a hundredth of the right one
        found = honest(self, xs, ys)
        return Null(np.asarray(found.mean) - 1.0, np.asarray(found.std) / 100, None, True, found.n, "false moments")

    monkeypatch.setattr(Cka, "null_moments", false)
    found = iso.scan(x, y, metric, permutations=199, selection="split")["cka"]
    assert found.held_out["p_value"] > 0.01
    assert "reach their score more often" in found.held_out["null"]


def test_scores_far_below_do_not_make_others_equal():
    drawn = np.concatenate([[-1e7], np.linspace(0.1, 0.2, 18)])
    assert sampled_p(0.3, drawn) == 1 / 20


def test_among_few_items_no_tail_is_taken_for_known() -> None:
    rng = np.random.default_rng(0)
    metric = iso.metric("cka")
    for n in (8, TAIL_FROM - 1, TAIL_FROM):
        x, y = rng.normal(size=(2, n, 3))
        null = metric.null(x, y)
        assert null.exact
        assert null.tail_known == (n >= TAIL_FROM)
        assert ("9,999 sampled" in null.source) == (n < TAIL_FROM)
        bound = metric.null(x, y, permutations=0)
        z = (0.5 - bound.mean) / bound.std
        expected = 1 / (1 + z**2) if n < TAIL_FROM else bound.tail_p(0.5)
        assert bound.p_value(0.5) == pytest.approx(expected)
    few = iso.scan(x[:10], y[:10], "cka", permutations=99)["cka"]
    assert f"fewer than {TAIL_FROM} items" in few.null
    assert "from 99 sampled permutations" in few.null
    assert few.p_value[0, 0] == pytest.approx(np.round(few.p_value[0, 0] * 100) / 100), "counted among 99 and itself"
    alone = iso.scan(x[:10], y[:10], "cka", permutations=0)["cka"]
    assert "the bound 1 / (1 + z²)" in alone.null


@pytest.mark.parametrize("n", [8, pytest.param(9, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("spec", ["cka(estimator='biased')", "rsa(dissimilarity='euclidean', comparison='pearson')"])
def test_the_p_of_few_items_keeps_its_level_where_the_tail_does_not(spec: str, n: int) -> None:
    metric = iso.metric(spec)
    tails = []
    for seed in range(6):
        rng = np.random.default_rng([n, seed])
        x, y = rng.standard_t(3, (2, n, 4))
        xs, ys = [metric.prepare(x)], [metric.prepare(y)]
        orders = np.stack([rng.permutation(n) for _ in range(6000)])
        scores = np.array([s[0, 0] for s in metric.compare_permuted(xs, ys, orders)])
        null = metric.null(x, y)
        share = np.mean(null.p_value(scores) <= 0.05)
        assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 * (1 / 6000 + 1 / 9999))
        tails.append(np.mean(dataclasses.replace(null, tail_from=0).tail_p(scores) <= 0.05))
    assert max(tails) > 0.06, "the tail alone rejects too often here"


def test_scores_of_any_shape_held_against_one_null_are_counted_one_by_one() -> None:
    rng = np.random.default_rng(1)
    drawn = np.round(rng.normal(size=400), 2)  # with ties
    values = np.round(rng.normal(size=(3, 5)), 2)
    for distance in (False, True):
        one = Sample.counted_in_one(values, drawn, distance=distance)
        null = np.broadcast_to(drawn[:, None, None], (400, 3, 5))
        many = Sample.counted(values, null, distance=distance)
        np.testing.assert_array_equal(one.p_value, many.p_value)
        np.testing.assert_array_equal(one.reached, many.reached)
    with pytest.raises(iso.InputError, match="finite"):
        Sample.counted_in_one([0.0, np.nan], drawn)
