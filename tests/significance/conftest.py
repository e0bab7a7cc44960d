"""A metric made for these tests, so that they do not depend on the real ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from isomorph.metrics import Metric


@dataclasses.dataclass(frozen=True)
class _GramCosine(Metric[np.ndarray]):
    """Cosine of doubly centred Grams, or its distance."""

    away: bool = False

    name = "test_gram_cosine"
    range = (0.0, 1.0)
    invariances = frozenset({"rotation"})
    chance = "positive"
    reference = "made for these tests"

    @property
    def distance(self):
        return self.away

    def prepare(self, x):
        gram = (x - x.mean(0)) @ (x - x.mean(0)).T
        return gram / np.linalg.norm(gram)

    def compare(self, xs, ys):
        scores = np.array([[np.sum(x * y) for y in ys] for x in xs])
        return 1 - scores if self.away else scores

    def permute(self, state, order):
        return state[np.ix_(order, order)]


@pytest.fixture(scope="session")
def gram_cosine():
    return _GramCosine()


@pytest.fixture(scope="session")
def gram_distance():
    return _GramCosine(away=True)
