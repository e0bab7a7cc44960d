"""Samples of held-out items: which are drawn, and what is held of them."""

import numpy as np
import pytest

from isomorph.design import Split
from isomorph.heldout import bootstrap as module
from isomorph.heldout.bootstrap import Bootstrap
from isomorph.heldout.scores import ItemScore

N, DRAWS = 60, 40
rng = np.random.default_rng(0)


def score(test):
    return ItemScore(rng.normal(size=len(test)), rng.uniform(1, 2, size=len(test)), 0.0)


@pytest.mark.parametrize("groups", [None, np.arange(N) // 4])
@pytest.mark.parametrize("block", [2**25, 100])
def test_a_sample_is_the_score_of_items_or_groups_drawn_with_replacement(groups, block, monkeypatch):
    monkeypatch.setattr(module, "_WEIGHTS", block)
    splits = [Split(np.arange(20, N), np.arange(20)), Split(np.arange(40), np.array([45, 41, 59]))]
    scores = [score(split.test) for split in splits]
    found = Bootstrap(splits, groups, N, DRAWS, 0.9, seed=3).score(scores)

    draw = np.random.default_rng([3, 7])
    unit = np.arange(N) if groups is None else groups
    count = unit.max() + 1
    times = draw.multinomial(count, np.full(count, 1 / count), size=DRAWS)[:, unit]
    chosen = draw.integers(2, size=(DRAWS, 2))
    samples = []
    for weights, which in zip(times, chosen, strict=True):
        each = []
        for s, split in zip(scores, splits, strict=True):
            w = weights[split.test]
            each.append(w @ s.numerator / (w @ s.denominator) if w @ s.denominator else s.value)
        samples.append(np.mean([each[k] for k in which]))
    assert [found.low, found.high] == pytest.approx(np.quantile(samples, [0.05, 0.95]))


def test_of_many_items_only_those_that_are_tested_are_held():
    n = 200_000
    test = np.arange(0, n, n // 50)
    sampled = Bootstrap([Split(np.arange(1, n, 2), test)], None, n, 20, 0.95, seed=0)
    assert sum(a.nbytes for a in vars(sampled).values() if isinstance(a, np.ndarray)) < 20 * n
    assert np.isfinite(sampled.score([score(test)]).low)
