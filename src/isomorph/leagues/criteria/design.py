"""Networks that were made differently on purpose: labels at random, shortcuts, augmentation, architectures."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Self

import numpy as np

from ..._core.checks import check_choice
from .._family import Family, Network
from ._base import GROUPED, Criterion, GroupQuestion, Question, known


@dataclasses.dataclass(frozen=True)
class Grouped(Criterion):
    """Networks of one kind against networks of several: the attribute of the criterion's name says which kind.

    Attributes:
        statistic: ``"auprc"``: area under the precision-recall curve of pairs of one kind among all pairs; chance is
            their share. ``"conformity"``: one minus the violation rate, the share of pairs of one kind that score
            higher than a pair of two; chance is 1/2. ``"auprc_by_kind"`` and ``"conformity_by_kind"``: the mean of that
            over kinds, each of them against the pairs in which one network is of that kind, as in ReSi; a kind whose
            networks are all alike then cannot stand for the others.
    """

    kind: ClassVar[str] = "design"

    statistic: str = "auprc"

    def __post_init__(self) -> None:
        check_choice(self.statistic, f"{self.name}: statistic", GROUPED)

    def ask(self, family: Family, seed: int) -> Question:
        return GroupQuestion(known(family, self.name, self.name), self.name, self.statistic)

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        rng = np.random.default_rng(0)
        made = []
        for kind in range(3):
            center = rng.normal(size=(30, 5))
            made += [
                Network(f"{kind}-{k}", {"last": center + 0.3 * rng.normal(size=(30, 5))}, attributes={cls.name: kind})
                for k in range(3)
            ]
        return cls(), Family("example", made)


@dataclasses.dataclass(frozen=True)
class LabelNoise(Grouped):
    """Are networks that were trained with the same share of random labels more alike than others?

    Reads the attribute ``label_noise``: the share of training labels that was drawn at random.
    """

    name: ClassVar[str] = "label_noise"
    reference: ClassVar[str] = (
        "ReSi (Klabunde et al. 2025), test 3 (label randomisation): AUPRC and conformity over pairs of networks."
    )
    purpose: ClassVar[str] = "whether two networks learnt from labels that are equally reliable"


@dataclasses.dataclass(frozen=True)
class Shortcut(Grouped):
    """Are networks that lean equally on a shortcut more alike than others?

    Reads the attribute ``shortcut``: the share of training items whose mark tells the label.
    """

    name: ClassVar[str] = "shortcut"
    reference: ClassVar[str] = (
        "ReSi (Klabunde et al. 2025), test 4 (shortcut affinity): AUPRC and conformity over pairs."
    )
    purpose: ClassVar[str] = "whether two networks lean on the same shortcut"


@dataclasses.dataclass(frozen=True)
class Augmentation(Grouped):
    """Are networks that were trained with equally strong augmentation more alike than others?

    Reads the attribute ``augmentation``: how strongly training items were changed.
    """

    name: ClassVar[str] = "augmentation"
    reference: ClassVar[str] = "ReSi (Klabunde et al. 2025), test 5 (augmentation): AUPRC and conformity over pairs."
    purpose: ClassVar[str] = "whether two networks were made robust to the same changes"


@dataclasses.dataclass(frozen=True)
class Architecture(Grouped):
    """Are networks of one architecture more alike than networks of two?

    Reads the attribute ``architecture``.
    """

    name: ClassVar[str] = "architecture"
    reference: ClassVar[str] = "Bo and Khosla (2024), Wu and Khosla (2025): separation of families of models."
    purpose: ClassVar[str] = "whether two networks are of one architecture"
