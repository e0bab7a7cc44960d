"""What a criterion is: a truth about networks, and a statistic of how well a metric's scores tell it."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..._core.registry import format_spec
from ...errors import InputError
from .._family import Family, Network, having
from .._scores import Scorer
from .._statistics import average_precision, conformity, rank_correlation

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

GROUPED = ("auprc", "conformity", "auprc_by_kind", "conformity_by_kind")
RANKED = ("spearman", "kendall")


class Question(ABC):
    """A criterion asked of one family: its truth is known, and a metric's scores can be held against it.

    Attributes:
        units: What was drawn and could be drawn anew: networks, or trials. Statistics leave each out in turn.
        chance: The statistic of scores that tell nothing.
        items: Number of items.

    Example:
        >>> from isomorph.leagues import REGISTRY, Scorer
        >>> criterion, family = REGISTRY.classes["label_noise"].example()
        >>> question = criterion.ask(family, seed=0)
        >>> question.value(question.scores(Scorer(iso.metric("cka"))), np.arange(len(question.units)))
        1.0
    """

    units: tuple[str, ...]
    chance: float
    items: int
    of_networks: ClassVar[bool] = False
    """Whether it reads one score of two networks, which can be made of any of their layers."""

    @abstractmethod
    def scores(self, scorer: Scorer) -> Any:
        """All that the metric says, whatever its form.

        Raises:
            InputError: if the metric has no score on these spaces.
        """

    @abstractmethod
    def value(self, scores: Any, keep: Ints) -> float:
        """The statistic of what the metric says of some of the units, at least 2; higher is better."""

    @abstractmethod
    def permuted(self, scores: Any, rng: np.random.Generator) -> float:
        """The statistic with the truth in a random order among the units."""


class Criterion(ABC):
    """A registered question to metrics: a frozen dataclass whose fields are its parameters.

    Example:
        >>> from isomorph.leagues.criteria import REGISTRY
        >>> REGISTRY.make("label_noise").spec
        "label_noise(statistic='auprc')"
    """

    name: ClassVar[str]
    """Registered name."""
    kind: ClassVar[str]
    """``"design"``, ``"layers"``, ``"function"``, ``"geometry"`` or ``"reliability"``."""
    reference: ClassVar[str]
    """Where the question comes from, and where ours differs."""
    purpose: ClassVar[str]
    """What a user wants to know who should look at this criterion, in words that follow "to know"."""

    @property
    def spec(self) -> str:
        """Name and parameters."""
        return format_spec(self.name, {f.name: getattr(self, f.name) for f in dataclasses.fields(self)})  # type: ignore[arg-type]  # every criterion is a dataclass

    @abstractmethod
    def ask(self, family: Family, seed: int) -> Question:
        """The question to this family.

        Raises:
            InputError: if the family does not hold what it needs; the message begins with what is missing.
        """

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        """A small family that it fits, for the contract suite."""
        raise NotImplementedError(f"{cls.__name__} gives no example")


class PairQuestion(Question):
    """Are pairs of networks that the truth sets further apart scored less alike?

    Attributes:
        distances: How far apart the networks are in truth, symmetric.
        statistic: ``"spearman"`` or ``"kendall"`` of score and closeness, over pairs.
    """

    chance = 0.0
    of_networks = True

    def __init__(self, networks: Sequence[Network], distances: Floats, statistic: str = "spearman") -> None:
        """Check that the truth varies.

        Raises:
            InputError: if there are fewer than 4 networks, or all are equally far apart.
        """
        self.units = tuple(network.name for network in networks)
        if len(networks) < 4:
            raise InputError(
                f"{len(networks)} networks have what it reads; at least 4 are needed for a correlation over pairs."
            )
        self.layers, self.items = layers_of(networks), networks[0].n
        self.distances, self.statistic = distances, statistic
        upper = distances[np.triu_indices(len(distances), 1)]
        if np.ptp(upper) <= 1e-12 * max(1.0, float(np.abs(upper).max())):
            raise InputError("all pairs of its networks are equally far apart: there is nothing to predict.")

    def scores(self, scorer: Scorer) -> Floats:
        return scorer.networks(self.layers)

    def value(self, scores: Floats, keep: Ints) -> float:
        return self._of(scores, self.distances, keep)

    def permuted(self, scores: Floats, rng: np.random.Generator) -> float:
        order = rng.permutation(len(self.distances))
        return self._of(scores, self.distances[np.ix_(order, order)], np.arange(len(order)))

    def _of(self, scores: Floats, distances: Floats, keep: Ints) -> float:
        i, j = np.triu_indices(len(keep), 1)
        rows, columns = keep[i], keep[j]
        return rank_correlation(scores[rows, columns], -distances[rows, columns], self.statistic)


class GroupQuestion(Question):
    """Are pairs of networks of one kind scored more alike than pairs of two kinds?

    Attributes:
        groups: The kind of each network.
        statistic: ``"auprc"`` (chance: the share of pairs of one kind) or ``"conformity"`` (chance 1/2), of all
            pairs at once; with ``_by_kind`` the mean over kinds, each against the pairs with a network of that kind.
    """

    of_networks = True

    def __init__(self, networks: Sequence[Network], attribute: str, statistic: str = "auprc") -> None:
        """Check that there are kinds.

        Raises:
            InputError: if there are fewer than two kinds with two networks each.
        """
        self.units = tuple(network.name for network in networks)
        self.groups = np.array([str(network.attributes[attribute]) for network in networks])
        kinds, counts = np.unique(self.groups, return_counts=True)
        if len(kinds) < 2 or counts.min() < 3:
            raise InputError(
                f"{attribute!r} sets {len(kinds)} kinds of networks apart, the fewest with "
                f"{counts.min() if len(counts) else 0}; two kinds or more with 3 networks each are needed."
            )
        self.layers, self.items, self.statistic = layers_of(networks), networks[0].n, statistic
        self.chance = 0.5
        if statistic.startswith("auprc"):
            shares = [np.mean(same) for _, same in self._parts(self.groups, np.arange(len(self.groups)))]
            self.chance = float(np.mean(shares))

    def scores(self, scorer: Scorer) -> Floats:
        return scorer.networks(self.layers)

    def value(self, scores: Floats, keep: Ints) -> float:
        return self._of(scores, self.groups, keep)

    def permuted(self, scores: Floats, rng: np.random.Generator) -> float:
        return self._of(scores, rng.permutation(self.groups), np.arange(len(self.groups)))

    def _of(self, scores: Floats, groups: Any, keep: Ints) -> float:
        judge = average_precision if self.statistic.startswith("auprc") else conformity
        return float(np.mean([judge(scores[pairs], same) for pairs, same in self._parts(groups, keep)]))

    def _parts(self, groups: Any, keep: Ints) -> list[tuple[tuple[Any, Any], Any]]:
        """The pairs of networks that are judged together, and which of them are of one kind."""
        i, j = np.triu_indices(len(keep), 1)
        rows, columns = keep[i], keep[j]
        same = groups[rows] == groups[columns]
        if not self.statistic.endswith("_by_kind"):
            return [((rows, columns), same)]
        kinds, counts = np.unique(groups[keep], return_counts=True)
        parts = []
        for kind in kinds[counts > 1]:  # one network alone has no pair of its kind
            of_kind = (groups[rows] == kind) | (groups[columns] == kind)
            parts.append(((rows[of_kind], columns[of_kind]), same[of_kind]))
        return parts


def layers_of(networks: Sequence[Network]) -> list[list[Any]]:
    """The layers of each network, from input to output."""
    return [[*network.layers.values()] for network in networks]


def known(family: Family, criterion: str, attribute: str) -> tuple[Network, ...]:
    """The networks of which an attribute is known.

    Raises:
        InputError: if there are none.
    """
    found = having(family.asked(criterion), attribute)
    if not found:
        names = sorted({k for network in family for k in network.attributes})
        raise InputError(
            f"no network says its {attribute!r} (attributes={{{attribute!r}: …}}); they say "
            f"{', '.join(map(repr, names)) or 'nothing'}."
        )
    return found


def numbers(networks: Sequence[Network], attribute: str) -> Floats:
    """An attribute as numbers.

    Raises:
        InputError: if one is none.
    """
    try:
        return np.array([float(network.attributes[attribute]) for network in networks])
    except (TypeError, ValueError) as error:
        raise InputError(f"the attribute {attribute!r} must be a number of every network: {error}.") from error
