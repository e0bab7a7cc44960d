"""Chance levels and p-values: exact moments against enumeration, exact tests against SciPy's, type-I errors."""

import numpy as np
import pytest
from scipy import special, stats

import isomorph as iso
from isomorph.design import Design
from isomorph.nulls.judge import every_order
from isomorph.output_agreement import _chance
from isomorph.output_agreement._calibration import Stated
from isomorph.output_agreement._chance import Repairing, judged, table_of
from isomorph.output_agreement._kernels import JensenShannon, KullbackLeibler, Shared
from isomorph.output_agreement._rows import one_hot, rank_biased, top
from isomorph.output_agreement._scores import accuracy_swap_p, calibration_swap_p


def kernels(n, rng):
    """Every kind of kernel over n items, by name."""
    p, q = rng.dirichlet(np.ones(4), size=(2, n))
    codes = rng.integers(0, 3, size=(2, n))
    return {
        "answers": Shared(one_hot(codes[0], 3), one_hot(codes[1], 3)),
        "two answers": Shared(one_hot(codes[0] % 2, 2), one_hot(codes[1] % 2, 2)),
        "tied answers": Shared(top(np.round(p, 1), 1), top(np.round(q, 1), 1)),
        "top_k": Shared(top(p, 2), top(q, 2), 0.5),
        "rbo": Shared(rank_biased(p, 0.9), rank_biased(q, 0.9)),
        "jsd": JensenShannon(p, q),
        "kl": KullbackLeibler(np.log(p), np.log(q)),
    }


NAMES = list(kernels(5, np.random.default_rng(0)))


@pytest.mark.parametrize("name", NAMES)
def test_the_moments_are_those_of_all_re_pairings(name):
    kernel = kernels(6, np.random.default_rng(3))[name]
    table, _, whole = table_of(kernel, 6, 0)
    assert whole
    all_means = np.array([kernel.at(order).mean() for order in every_order(6)])
    null = table.null(0.0)
    assert null.mean == pytest.approx(all_means.mean(), abs=1e-12)
    assert null.std == pytest.approx(all_means.std(), abs=1e-12)
    assert null.skewness == pytest.approx(stats.skew(all_means), abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_and_the_items_say_the_same(name):
    kernel, order = kernels(9, np.random.default_rng(1))[name], np.random.default_rng(2).permutation(9)
    table = table_of(kernel, 9, 0)[0]
    np.testing.assert_allclose(table.at(order), kernel.at(order), atol=1e-12)
    np.testing.assert_allclose(table.at(np.arange(9)), kernel.at(), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_of_few_items_p_is_counted_among_all_re_pairings(name):
    kernel = kernels(6, np.random.default_rng(3))[name]
    all_means = np.array([kernel.at(order).mean() for order in every_order(6)])
    value = kernel.at().mean()
    as_alike = all_means <= value + 1e-9 if kernel.distance else all_means >= value - 1e-9
    found = judged(kernel, Repairing(6, Design(), 99, 0))
    assert found.p_value == pytest.approx(as_alike.mean(), abs=1e-12)
    assert found.chance == pytest.approx(all_means.mean(), abs=1e-12)
    assert "all 720 pairings" in found.source


def test_of_two_answers_p_is_that_of_fishers_exact_test():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, 40)
    b = np.where(rng.random(40) < 0.3, a, rng.integers(0, 2, 40))
    found = judged(Shared(one_hot(a, 2), one_hot(b, 2)), Repairing(40, Design(), 99, 0))
    table = [[np.sum((a == i) & (b == j)) for j in (0, 1)] for i in (0, 1)]
    assert found.p_value == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-9)


def test_two_answers_that_share_one_are_judged_by_what_they_share():
    a, b = np.array([0, 0, 0, 1, 1, 1, 0, 1] * 2), np.array([2, 2, 2, 1, 1, 1, 2, 1] * 2)
    found = judged(Shared(one_hot(a, 3), one_hot(b, 3)), Repairing(16, Design(), 99, 0))
    assert found.p_value == pytest.approx(1 / 12870, rel=1e-9)  # one of the C(16, 8) ways


def test_a_model_that_always_says_the_same_has_a_p_of_one():
    found = judged(Shared(one_hot([0] * 40, 2), one_hot([0, 1] * 20, 2)), Repairing(40, Design(), 99, 0))
    assert (found.chance, found.p_value) == (0.5, 1.0)


@pytest.mark.parametrize("n", [16, pytest.param(40, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.thorough] * (n not in {"answers", "jsd"})) for n in NAMES]
)
def test_unrelated_models_pass_as_often_as_they_may(name, n):
    rng = np.random.default_rng(7)
    p = np.array([judged(kernels(n, rng)[name], Repairing(n, Design(), 39, k)).p_value for k in range(200)])
    for level in (0.05, 0.2):
        # above three standard errors of a binomial share the p would be too small
        assert np.mean(p <= level) <= level + 3 * np.sqrt(level * (1 - level) / len(p))
    if name not in ("answers", "two answers", "tied answers"):  # of counts p is coarse, and larger than it need be
        assert np.mean(p <= 0.2) >= 0.2 - 3 * np.sqrt(0.16 / len(p))


def test_groups_change_places_whole_and_dependence_inside_them_is_no_evidence():
    rng, free, grouped = np.random.default_rng(5), [], []
    group = np.arange(60) // 6
    for k in range(60):
        a, b = (rng.integers(0, 2, 10)[group] for _ in range(2))
        kernel = Shared(one_hot(a, 2), one_hot(b, 2))
        free.append(judged(kernel, Repairing(60, Design(), 39, k)).p_value)
        grouped.append(judged(kernel, Repairing(60, Design(group), 39, k)).p_value)
    assert np.mean(np.array(free) <= 0.05) > 0.2
    assert np.mean(np.array(grouped) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_many_items_are_judged_by_as_many_as_a_table_holds(monkeypatch):
    monkeypatch.setattr(_chance, "MOST_ITEMS", 50)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=200)
    q = (p + rng.dirichlet(np.ones(4), size=200)) / 2
    found = judged(JensenShannon(p, q), Repairing(200, Design(), 99, 0))
    assert "50 of the 200 items" in found.source
    assert found.p_value < 1e-4
    monkeypatch.undo()
    whole = judged(JensenShannon(p, q), Repairing(200, Design(), 99, 0))
    assert found.chance == pytest.approx(whole.chance, rel=0.15)


def test_equal_accuracies_are_told_by_mcnemars_exact_test():
    rng = np.random.default_rng(0)
    a, b = (rng.random((2, 50)) < 0.6).astype(float)
    first, second = int(np.sum((a == 1) & (b == 0))), int(np.sum((a == 0) & (b == 1)))
    p, source = accuracy_swap_p(a, b, None, 99, 0)
    assert p == stats.binomtest(first, first + second).pvalue
    assert "exact" in source
    sampled, _ = accuracy_swap_p(a, b, np.arange(50), 4999, 0)  # groups of one item: the same test, sampled
    assert sampled == pytest.approx(p, abs=0.03)


def test_differences_of_equal_models_pass_as_often_as_they_may():
    rng = np.random.default_rng(0)
    labels, found = np.arange(60) % 3, []
    for k in range(60):
        logits = np.eye(3)[labels] + rng.normal(size=(2, 60, 3))
        stated = [
            Stated(special.softmax(z, axis=1).max(axis=1), (z.argmax(axis=1) == labels) * 1.0, 10) for z in logits
        ]
        accuracies = accuracy_swap_p(stated[0].right, stated[1].right, None, 39, k)
        found.append([accuracies[0], calibration_swap_p(*stated, None, 39, k)[0]])
    assert np.all(np.mean(np.array(found) <= 0.1, axis=0) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 60))


def test_calibration_is_judged_against_a_model_that_is_calibrated():
    rng, p = np.random.default_rng(0), []
    for k in range(60):
        rows = rng.dirichlet(np.ones(3), size=100)
        labels = (rng.random((100, 1)) > np.cumsum(rows, axis=1)).sum(axis=1)
        stated = Stated(rows.max(axis=1), (rows.argmax(axis=1) == labels) * 1.0, 15)
        p.append((1 + np.sum(stated.calibrated(39, k) >= stated.whole(debiased=False))) / 40)
    assert np.mean(np.array(p) <= 0.1) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 60)
    sharp = rows**4 / np.sum(rows**4, axis=1, keepdims=True)  # the same answers, too sure of them
    found = iso.outputs({"a": rows, "b": sharp}, labels, seed=0)
    assert found.each["b"]["calibration_error"].p_value < 0.01
    assert found["a", "b"]["calibration_difference"].high < 0
