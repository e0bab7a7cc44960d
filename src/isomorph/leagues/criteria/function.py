"""What two networks can do for each other: stitching, prediction, retrieval, probes, fusion, steering.

Maps between networks are ridge regressions, their penalty chosen by leave-one-out, fitted on one half of the items and
judged on the other; both directions count alike.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..._core.checks import check_choice
from ...errors import InputError
from ...heldout.readout import classifier, readout
from .._family import Family, Network
from ._base import RANKED, Criterion, Floats, PairQuestion, Question


class Halves:
    """Items to fit on and items to judge on, and every network's features mapped to every other's.

    Attributes:
        fit: Rows that maps are fitted on.
        test: Rows that they are judged on.
    """

    def __init__(self, family: Family, networks: Sequence[Network], seed: int) -> None:
        order = np.random.default_rng(seed).permutation(family.n)
        self.fit, self.test = np.sort(order[: family.n // 2]), np.sort(order[family.n // 2 :])
        self.family, self.networks = family, tuple(networks)
        self.spaces = [np.asarray(network.last, dtype=np.float64) for network in networks]

    @functools.cached_property
    def maps(self) -> list[list[Any]]:
        """Fitted map of the features of the first network to those of the second; None on the diagonal."""
        return [[None if a is b else readout(a[self.fit], b[self.fit]) for b in self.spaces] for a in self.spaces]

    @functools.cached_property
    def mapped(self) -> list[list[Any]]:
        """Held-out rows of the first network in the space of the second."""
        return [
            [None if m is None else m.predict(a[self.test]) for m in row]
            for a, row in zip(self.spaces, self.maps, strict=True)
        ]

    def both_ways(self, judge: Callable[[int, int], float]) -> Floats:
        """The mean of what is judged of each pair of networks in both directions; 0 on the diagonal."""
        m = len(self.networks)
        found = np.array([[0.0 if i == j else judge(i, j) for j in range(m)] for i in range(m)])
        return np.asarray((found + found.T) / 2)

    @property
    def classes(self) -> Any:
        """The class of each item.

        Raises:
            InputError: if the family has none.
        """
        if self.family.labels is None:
            raise InputError("the family has no labels: Family(…, labels=…).")
        return self.family.labels


@dataclasses.dataclass(frozen=True)
class Functional(Criterion):
    """Do scores fall as two networks can do less for each other?

    Attributes:
        statistic: ``"spearman"`` or ``"kendall"``: correlation of score and function over pairs of networks; chance is
            0.
    """

    kind: ClassVar[str] = "function"

    statistic: str = "spearman"

    def __post_init__(self) -> None:
        check_choice(self.statistic, f"{self.name}: statistic", RANKED)

    def members(self, family: Family) -> list[Network]:
        """The networks that can be asked."""
        return list(family.asked(self.name))

    def ask(self, family: Family, seed: int) -> Question:
        found = self.members(family)
        if family.n < 20:
            raise InputError(f"the family has {family.n} items; half of them fit a map, and at least 20 are needed.")
        names = tuple(network.name for network in found)
        halves = family.once(("halves", names, seed), lambda: Halves(family, found, seed))
        return PairQuestion(found, self.apart(halves), self.statistic)

    def apart(self, halves: Halves) -> Floats:
        """How little networks can do for each other, symmetric.

        Raises:
            InputError: if the family does not hold what that takes.
        """
        raise NotImplementedError

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        rng = np.random.default_rng(0)
        classes = np.arange(80) % 4
        space = np.eye(6)[classes] + 0.35 * rng.normal(size=(80, 6))
        made = []
        for k in range(6):
            part = space @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + 0.2 * k * rng.normal(size=space.shape)
            weight = classifier(part, classes).coef_.T
            made.append(Network(f"n{k}", {"last": part}, head=(weight, np.zeros(4))))
        return cls(), Family("example", made, labels=classes)


@dataclasses.dataclass(frozen=True)
class Stitching(Functional):
    """Do scores fall with what is lost when one network's features are mapped into another, whose head then answers?"""

    name: ClassVar[str] = "stitching"
    reference: ClassVar[str] = (
        "Lenc and Vedaldi (2015), Bansal et al. (2021): accuracy of the second network's head on mapped features of "
        "the first, less its own; by a linear map without training on the task (Balogh and Jelasity 2025)."
    )
    purpose: ClassVar[str] = "whether one network can stand in for the other"

    def members(self, family: Family) -> list[Network]:
        found = [network for network in family.asked(self.name) if network.head is not None]
        if len(found) < 4:
            raise InputError(
                f"{len(found)} networks have a head; at least 4 are needed: Network(…, head=(weights, biases))."
            )
        return found

    def apart(self, halves: Halves) -> Floats:
        truth = halves.classes[halves.test]

        def right(j: int, features: Any) -> float:
            weight, bias = halves.networks[j].head  # type: ignore[misc]  # members have one
            return float(np.mean(np.argmax(features @ weight + bias, axis=1) == truth))

        own = [right(j, space[halves.test]) for j, space in enumerate(halves.spaces)]
        return halves.both_ways(lambda i, j: own[j] - right(j, halves.mapped[i][j]))


@dataclasses.dataclass(frozen=True)
class Predictivity(Functional):
    """Do scores fall with the share of variance that linear maps do not predict?"""

    name: ClassVar[str] = "predictivity"
    reference: ClassVar[str] = "Linear predictivity (Schrimpf et al. 2018): held-out R² of ridge maps, both ways."
    purpose: ClassVar[str] = "whether one network's features can be computed from the other's by a linear map"

    def apart(self, halves: Halves) -> Floats:
        def missed(i: int, j: int) -> float:
            target = halves.spaces[j][halves.test]
            left = np.sum((target - halves.mapped[i][j]) ** 2)
            return float(left / np.sum((target - halves.spaces[j][halves.fit].mean(axis=0)) ** 2))

        return halves.both_ways(missed)


@dataclasses.dataclass(frozen=True)
class Retrieval(Functional):
    """Do scores fall with the share of items that are not found again through a map?"""

    name: ClassVar[str] = "retrieval"
    reference: ClassVar[str] = "R@1 of held-out items by cosine, through ridge maps, both ways."
    purpose: ClassVar[str] = "whether items can be found by one network in an index of the other"

    def apart(self, halves: Halves) -> Floats:
        def lost(i: int, j: int) -> float:
            center = halves.spaces[j][halves.fit].mean(axis=0)
            a, b = (_directions(v - center) for v in (halves.mapped[i][j], halves.spaces[j][halves.test]))
            return float(np.mean(np.argmax(a @ b.T, axis=1) != np.arange(len(a))))

        return halves.both_ways(lost)


@dataclasses.dataclass(frozen=True)
class Probes(Functional):
    """Do scores fall with the share of items to which linear probes of the two networks give different classes?"""

    name: ClassVar[str] = "probes"
    reference: ClassVar[str] = "Harvey et al. (2024): agreement of decoders; here ridge classifiers of held-out items."
    purpose: ClassVar[str] = "whether the same can be read out of two networks"

    def apart(self, halves: Halves) -> Floats:
        classes = halves.classes
        answers = [
            classifier(space[halves.fit], classes[halves.fit]).predict(space[halves.test]) for space in halves.spaces
        ]
        return halves.both_ways(lambda i, j: float(np.mean(answers[i] != answers[j])))


@dataclasses.dataclass(frozen=True)
class FusionGain(Functional):
    """Do scores fall with what two networks give together beyond the better one alone?"""

    name: ClassVar[str] = "fusion_gain"
    reference: ClassVar[str] = (
        "Held-out accuracy of a ridge classifier on both networks' features (each of unit total variance) less that of "
        "the better one."
    )
    purpose: ClassVar[str] = "whether two networks give more together than one alone"

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        # windows on what classes hang on: the further apart, the more there is in both together
        hidden = np.random.default_rng(0).normal(size=(400, 12))
        classes = hidden.sum(axis=1) > 0
        made = [Network(f"n{k}", {"last": hidden[:, k : k + 6]}) for k in range(7)]
        return cls(), Family("example", made, labels=classes)

    def apart(self, halves: Halves) -> Floats:
        classes = halves.classes
        scaled = [_scaled(space, halves.fit) for space in halves.spaces]

        def right(features: Any) -> float:
            fitted = classifier(features[halves.fit], classes[halves.fit])
            return float(np.mean(fitted.predict(features[halves.test]) == classes[halves.test]))

        own = [right(space) for space in scaled]
        return halves.both_ways(
            lambda i, j: 0.0 if j < i else 2 * (right(np.hstack([scaled[i], scaled[j]])) - max(own[i], own[j]))
        )


@dataclasses.dataclass(frozen=True)
class Steering(Functional):
    """Do scores fall as directions from one class to the others lose their meaning on the way to the other network?"""

    name: ClassVar[str] = "steering"
    reference: ClassVar[str] = (
        "One minus the cosine of a class direction (mean of the class less the mean of all others) carried by the "
        "linear map with the other network's own direction on held-out items; the mean over classes."
    )
    purpose: ClassVar[str] = "whether a steering direction of one network works in the other"

    def apart(self, halves: Halves) -> Floats:
        classes = halves.classes
        ways = [[_ways(space[rows], classes[rows]) for rows in (halves.fit, halves.test)] for space in halves.spaces]

        def turned(i: int, j: int) -> float:
            carried = ways[i][0] @ halves.maps[i][j].coef_.T
            return 1 - float(np.mean(np.sum(_directions(carried) * _directions(ways[j][1]), axis=1)))

        return halves.both_ways(turned)


def _directions(rows: Any) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


def _scaled(space: Floats, fit: Any) -> Floats:
    centered = space - space[fit].mean(axis=0)
    total = float(np.sqrt(np.sum(centered[fit] ** 2))) or 1.0
    return np.asarray(centered / total)


def _ways(rows: Floats, classes: Any) -> Floats:
    """Direction of each class: its mean less that of all others."""
    return np.stack([rows[classes == c].mean(axis=0) - rows[classes != c].mean(axis=0) for c in np.unique(classes)])
