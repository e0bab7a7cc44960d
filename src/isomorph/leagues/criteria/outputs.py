"""Networks whose answers are known: how accurate they are, where they disagree, how their probabilities differ."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Self

import numpy as np

from ..._core.checks import check_choice
from ...errors import InputError
from ...output_agreement import agreement, jensen_shannon
from .._family import Family, Network
from ._base import RANKED, Criterion, Floats, PairQuestion, Question


@dataclasses.dataclass(frozen=True)
class Answers(Criterion):
    """Pairs of networks whose answers differ more against pairs whose answers differ less.

    Attributes:
        statistic: ``"spearman"`` or ``"kendall"``: correlation, over pairs of networks, of the score with how close
            their answers are; chance is 0.
    """

    kind: ClassVar[str] = "function"

    statistic: str = "spearman"

    def __post_init__(self) -> None:
        check_choice(self.statistic, f"{self.name}: statistic", RANKED)

    def ask(self, family: Family, seed: int) -> Question:
        found = [network for network in family.asked(self.name) if network.outputs is not None]
        if len(found) < 4:
            raise InputError(
                f"{len(found)} networks have outputs; at least 4 are needed: Network(…, outputs=probabilities)."
            )
        return PairQuestion(found, self.apart(found, family), self.statistic)

    def apart(self, networks: list[Network], family: Family) -> Floats:
        """How far apart the answers of the networks are, symmetric.

        Raises:
            InputError: if the family does not hold what that takes.
        """
        raise NotImplementedError

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        # nested features: networks that see nearly as much are nearly as right
        hidden = np.random.default_rng(0).normal(size=(600, 12))
        cuts = [np.quantile(hidden.sum(axis=1), q) for q in (0.25, 0.5, 0.75)]
        made = []
        for seen in range(2, 13):
            answer = np.searchsorted(cuts, hidden[:, :seen].sum(axis=1) * np.sqrt(12 / seen))
            made.append(Network(f"n{seen}", {"last": hidden[:, :seen]}, 0.04 + 0.84 * np.eye(4)[answer]))
        classes = np.searchsorted(cuts, hidden.sum(axis=1))
        return cls(), Family("example", made, labels=classes)


@dataclasses.dataclass(frozen=True)
class Accuracy(Answers):
    """Do scores fall with the difference of accuracies?"""

    name: ClassVar[str] = "accuracy"
    reference: ClassVar[str] = "ReSi (Klabunde et al. 2025), test 1 (accuracy difference)."
    purpose: ClassVar[str] = "whether two networks are equally accurate"

    def apart(self, networks: list[Network], family: Family) -> Floats:
        if family.labels is None:
            raise InputError("the family has no labels, by which answers are right or wrong: Family(…, labels=…).")
        right = np.array([np.mean(np.argmax(v.outputs, axis=1) == family.labels) for v in networks])
        return np.asarray(np.abs(right[:, None] - right[None, :]))


@dataclasses.dataclass(frozen=True)
class Disagreement(Answers):
    """Do scores fall with the share of items to which two networks give different answers?"""

    name: ClassVar[str] = "disagreement"
    reference: ClassVar[str] = "ReSi (Klabunde et al. 2025), test 2 (output difference): disagreement."
    purpose: ClassVar[str] = "whether two networks give the same answers"

    def apart(self, networks: list[Network], family: Family) -> Floats:
        answers = [np.argmax(v.outputs, axis=1) for v in networks]
        return np.array([[1 - agreement(a, b) for b in answers] for a in answers])


@dataclasses.dataclass(frozen=True)
class Divergence(Answers):
    """Do scores fall with the mean Jensen-Shannon divergence of two networks' probabilities?"""

    name: ClassVar[str] = "jensen_shannon"
    reference: ClassVar[str] = "ReSi (Klabunde et al. 2025), test 2 (output difference): Jensen-Shannon divergence."
    purpose: ClassVar[str] = "whether two networks are equally sure of the same answers"

    def apart(self, networks: list[Network], family: Family) -> Floats:
        return np.array([[jensen_shannon(a.outputs, b.outputs) for b in networks] for a in networks])
