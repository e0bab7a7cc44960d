"""Would the scores be the same on other items, or on fewer?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ...errors import InputError
from .._family import Family, Network
from .._scores import Scorer
from .._statistics import rank_correlation
from ._base import Criterion, Floats, Ints, Question, layers_of


class _Parts(Question):
    """Do scores of pairs of networks on some items order the pairs as scores on others do?"""

    chance = 0.0
    of_networks = True

    def __init__(self, networks: Sequence[Network], parts: Sequence[Ints]) -> None:
        self.units = tuple(network.name for network in networks)
        self.layers, self.parts = layers_of(networks), parts
        self._kept: dict[bool, list[Any]] = {}
        self.items = min(map(len, parts))

    def scores(self, scorer: Scorer) -> list[Floats]:
        if scorer.every not in self._kept:  # kept, since what was scored already is known by its spaces
            chosen = self.layers if scorer.every else [own[-1:] for own in self.layers]
            self._kept[scorer.every] = [[[space[rows] for space in own] for own in chosen] for rows in self.parts]
        return [scorer.networks(part) for part in self._kept[scorer.every]]

    def value(self, scores: list[Floats], keep: Ints) -> float:
        i, j = np.triu_indices(len(keep), 1)
        first, second = (found[keep[i], keep[j]] for found in scores)
        return rank_correlation(first, second)

    def permuted(self, scores: list[Floats], rng: np.random.Generator) -> float:
        order = rng.permutation(len(self.units))
        return self.value([scores[0], scores[1][np.ix_(order, order)]], np.arange(len(order)))


@dataclasses.dataclass(frozen=True)
class OtherItems(Criterion):
    """Do scores on one half of the items order pairs of networks as scores on the other half do?"""

    name: ClassVar[str] = "other_items"
    kind: ClassVar[str] = "reliability"
    reference: ClassVar[str] = "Spearman over pairs of networks between scores on two random halves of the items."
    purpose: ClassVar[str] = "what would be found on other items"

    def ask(self, family: Family, seed: int) -> Question:
        order = np.random.default_rng(seed).permutation(family.n)
        return _Parts(_enough(family, self.name), [np.sort(v) for v in np.array_split(order, 2)])

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        return cls(), _spread()


@dataclasses.dataclass(frozen=True)
class FewerItems(Criterion):
    """Do scores on a quarter of the items order pairs of networks as scores on the other three quarters do?"""

    name: ClassVar[str] = "fewer_items"
    kind: ClassVar[str] = "reliability"
    reference: ClassVar[str] = (
        "Spearman over pairs of networks between scores on a quarter and on the rest of the items."
    )
    purpose: ClassVar[str] = "what would be found on many more items"

    def ask(self, family: Family, seed: int) -> Question:
        order = np.random.default_rng(seed).permutation(family.n)
        return _Parts(_enough(family, self.name), [np.sort(order[: family.n // 4]), np.sort(order[family.n // 4 :])])

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        return cls(), _spread()


def _enough(family: Family, criterion: str) -> tuple[Network, ...]:
    found = family.asked(criterion)
    if len(found) < 4:
        raise InputError(f"{len(found)} networks; at least 4 are needed for a correlation over pairs.")
    return found


def _spread() -> Family:
    rng = np.random.default_rng(0)
    space = rng.normal(size=(96, 6))
    made = [Network(f"n{k}", {"last": space + 0.3 * k * rng.normal(size=space.shape)}) for k in range(6)]
    return Family("example", made)
