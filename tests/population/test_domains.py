"""Specialists on items of their own kind and on others: by hand, by enumeration, planted, at the level."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.population import as_matrices, diverging, diverging_by_domain

MODELS, SPECIALISTS = 9, 3
PAIRS = np.triu_indices(MODELS, 1)
ACROSS = (PAIRS[0] < SPECIALISTS) != (PAIRS[1] < SPECIALISTS)


def gap_by_hand(d, some):
    rest = [m for m in range(len(d)) if m not in some]
    across = np.mean([d[s, p] for s in some for p in rest])
    return across - np.mean([d[a, b] for a, b in itertools.combinations(rest, 2)])


def drawn(rng, gap, own, items, common):
    """Distances of one domain and the influence of its items: effects of models that both domains share, and noise.

    By `common` an item moves all specialists together.
    """
    truth = 1 + own[PAIRS[0]] + own[PAIRS[1]] + gap * ACROSS
    rows = truth + rng.normal(size=(items, len(truth))) + common * rng.normal(size=(items, 1)) * ACROSS
    return as_matrices(rows.mean(axis=0), MODELS), rows - rows.mean(axis=0)


def both(seed, first=0.0, second=0.0, items=(80, 60), spread=0.1, common=1.0):
    rng = np.random.default_rng(seed)
    own = spread * rng.normal(size=MODELS)
    found = [drawn(rng, gap, own, n, common) for gap, n in zip((first, second), items, strict=True)]
    return dict(zip("ab", (m for m, _ in found), strict=True)), dict(zip("ab", (i for _, i in found), strict=True))


def asked(matrices, influences=None, **rest):
    return diverging_by_domain(matrices, range(SPECIALISTS), range(SPECIALISTS, MODELS), influences=influences, **rest)


def test_both_divergences_are_those_of_each_and_p_of_the_difference_is_that_of_enumeration():
    matrices, influences = both(0, 0.5, 0.1)
    found = asked(matrices, influences)
    for domain, one in zip("ab", (found.inside, found.outside), strict=True):
        alone = diverging(matrices[domain], range(3), range(3, 9), influence=influences[domain])
        assert (one.difference, one.p_value, one.over_both) == (alone.difference, alone.p_value, alone.over_both)
    null = [
        gap_by_hand(matrices["a"], s) - gap_by_hand(matrices["b"], s)
        for s in itertools.combinations(range(MODELS), SPECIALISTS)
    ]
    assert found.difference == pytest.approx(null[0])
    assert found.difference == pytest.approx(found.inside.difference - found.outside.difference)
    assert (found.exact, found.assignments) == (True, 84)
    assert found.p_value == pytest.approx(np.mean(np.abs(null) >= abs(null[0]) - 1e-12))
    turned = asked(dict(reversed(matrices.items())), influences)
    assert turned.difference == pytest.approx(-found.difference)
    assert turned.p_value == found.p_value


def test_the_variance_over_items_is_the_sum_of_both_and_what_models_have_in_common_cancels():
    matrices, influences = both(1, 0.3, 0.3, items=(800, 600), spread=1.0)
    found = asked(matrices, influences)
    errors = [one.over_items.error for one in (found.inside, found.outside)]
    assert found.over_items.error == pytest.approx(np.hypot(*errors))
    assert found.over_both.error >= found.over_items.error
    # effects of models are many times the noise, and the same on both domains
    assert found.over_models.error < 0.3 * min(one.over_models.error for one in (found.inside, found.outside))
    assert asked(matrices, {"a": influences["a"], "b": None}).over_items is None
    assert asked(matrices).over_both is None


def test_a_planted_difference_is_shown_and_said_and_the_same_distance_on_both_is_not():
    found = asked(*both(2, 1.0, 0.0))
    assert found.differs
    assert found.over_both.low < 1.0 < found.over_both.high
    assert found.told.endswith("they lie farther out on a.")
    assert asked(*both(2, 0.0, 1.0)).told.endswith("they lie farther out on b.")
    same = asked(*both(3, 1.0, 1.0))
    assert same.inside.diverges
    assert same.outside.diverges
    assert not same.differs
    assert "not more than chance" in same.told


@pytest.mark.thorough
def test_where_both_are_alike_a_difference_is_shown_at_the_level_and_intervals_cover():
    called, p_alone, covered, trials = 0, 0, 0, 300
    for seed in range(trials):
        found = asked(*both(seed, 0.4, 0.4))
        called += found.differs
        covered += found.over_items.low <= 0 <= found.over_items.high
        p_alone += asked(both(seed, 0.4, 0.4, common=0.0)[0]).p_value <= 0.05
    slack = 3 * np.sqrt(0.05 * 0.95 / trials)
    assert abs(covered / trials - 0.95) <= slack
    assert p_alone / trials <= 0.05 + slack
    # items that move all specialists together make p small, which knows of models alone: the interval decides
    assert called / trials <= 0.05 + slack


def test_too_few_models_are_told_that_nothing_can_be_shown():
    d = as_matrices(np.array([1.0, 1, 1, 0.1, 0.1, 0.1]), 4)
    found = diverging_by_domain({"a": d, "b": d / 2}, [0], [1, 2, 3])
    assert found.least_p == 0.25
    assert "no p below 0.25" in found.told
    assert not found.differs


@pytest.mark.parametrize(
    ("distances", "says"),
    [
        ({"a": np.zeros((5, 5))}, "two domains"),
        ([np.zeros((5, 5))] * 2, "two domains"),
        ({"a": np.zeros((5, 5)), "b": np.zeros((6, 6))}, "of 5 models on a and of 6 on b"),
        ({"a": np.zeros((5, 5)), "b": np.full((5, 5), np.nan)}, "not compared"),
    ],
)
def test_what_cannot_be_is_said(distances, says):
    with pytest.raises(InputError, match=says):
        diverging_by_domain(distances, [0], [1, 2, 3])
