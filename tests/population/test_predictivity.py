"""What a specialist and a pool say of each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from isomorph.errors import InputError
from isomorph.population import directions

HIGH, MIDDLE, LOW = [0.8, 0.82, 0.79], [0.3, 0.31, 0.32], [0.01, 0.0, 0.02]


@pytest.mark.parametrize(
    ("forward", "backward", "relation", "inner"),
    [
        (HIGH, HIGH, "equivalent", None),
        (HIGH, LOW, "nested", "specialist"),
        (LOW, HIGH, "nested", "pool"),
        (LOW, LOW, "disjoint", None),
        (MIDDLE, MIDDLE, "overlapping", None),
        (HIGH, MIDDLE, "overlapping", None),
        (MIDDLE, LOW, "overlapping", None),
    ],
)
def test_every_case_has_its_word(forward, backward, relation, inner):
    found = directions(forward, backward)
    assert (found.relation, found.inner, found.settled) == (relation, inner, True)


def test_real_subspaces_get_their_words():
    """Regressions of spaces that hold known parts of each other."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 8))

    def r2(x, y):
        w = np.linalg.lstsq(x[:400], y[:400], rcond=None)[0]
        return 1 - np.sum((y[400:] - x[400:] @ w) ** 2) / np.sum((y[400:] - y[:400].mean(axis=0)) ** 2)

    def space(columns):
        return z[:, columns] @ rng.normal(size=(len(columns), len(columns)))

    cases = {
        "nested": ([0], range(8)),
        "equivalent": (range(4), range(4)),
        "disjoint": (range(4), range(4, 8)),
        "overlapping": (range(4), range(3, 7)),
    }
    for word, (own, others) in cases.items():
        specialist, pool = space(list(own)), [space(list(others)) for _ in range(4)]
        found = directions([r2(p, specialist) for p in pool], [r2(specialist, p) for p in pool], low=0.3)
        assert found.relation == word
    assert found.inner is None


def test_chance_is_taken_off_and_worse_than_the_mean_counts_as_nothing():
    found = directions([0.6, 0.6, 0.6], [-3.0, -9.0, 0.2], chance=(0.5, [0.2, 0.2, 0.2]))
    assert (found.forward, found.backward) == pytest.approx((0.2, 0.0))
    assert found.relation == "overlapping"


def test_the_interval_is_students_and_the_word_is_open_where_it_crosses_a_threshold():
    forward = [0.4, 0.55, 0.65, 0.5]
    found = directions(forward, [*LOW, 0.01])
    low, high = stats.t.interval(0.95, 3, np.mean(forward), stats.sem(forward))
    assert found.forward_interval[:2] == pytest.approx((low, high))
    assert found.relation == "nested"
    assert not found.settled
    assert "other pools could give another word" in found.told
    assert "The specialist is nested" in found.told


def test_the_words_do_not_depend_on_the_side_that_is_called_forward():
    for a, b in itertools.product((HIGH, MIDDLE, LOW), repeat=2):
        one, other = directions(a, b), directions(b, a)
        assert one.relation == other.relation
        assert (one.inner, other.inner) in {(None, None), ("specialist", "pool"), ("pool", "specialist")}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"forward": [0.1, 0.2]}, "at least 3 models"),
        ({"forward": [0.1, 0.2, 1.2]}, "at most 1"),
        ({"backward": [0.1, np.nan, 0.2]}, "backward: R² must be finite"),
        ({"backward": [0.1] * 4}, "forward has 3 models and backward 4"),
        ({"chance": 0.1}, "chance takes two figures"),
        ({"chance": (0.1,)}, "chance takes two figures, forward and backward, found 1"),
        ({"chance": (0.1, 1.0)}, r"chance \(backward\) must be finite and below 1"),
        ({"chance": ([0.1, 0.2], 0.0)}, r"chance \(forward\) has shape \(2,\)"),
        ({"low": 0.6}, "0 <= low < high <= 1"),
    ],
)
def test_what_does_not_fit_is_named(arguments, told):
    with pytest.raises(InputError, match=told):
        directions(**{"forward": HIGH, "backward": LOW} | arguments)
