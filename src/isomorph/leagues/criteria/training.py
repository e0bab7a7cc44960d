"""Checkpoints of runs: are states of one run the less alike the further apart in training they are?"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Self

import numpy as np

from ..._core.checks import check_choice
from ...errors import InputError
from .._family import Family, Network, having
from ._base import Criterion, Question, known, numbers
from .layers import Ordered


@dataclasses.dataclass(frozen=True)
class Checkpoints(Criterion):
    """Are checkpoints of one run the less alike the further apart they are?

    Reads the attributes ``run`` and ``step`` (a number); runs need 4 checkpoints each, and there must be 3 runs.

    Attributes:
        statistic: ``"spearman"`` of score and distance in checkpoints (chance 0), or ``"conformity"`` of triples in
            order (chance 1/2); the mean over runs.
    """

    name: ClassVar[str] = "checkpoints"
    kind: ClassVar[str] = "design"
    reference: ClassVar[str] = "ReSi's layer monotonicity (Klabunde et al. 2025), asked of training instead of depth."
    purpose: ClassVar[str] = "how far apart in training two states of a network are"

    statistic: str = "spearman"

    def __post_init__(self) -> None:
        check_choice(self.statistic, "checkpoints: statistic", ("spearman", "conformity"))

    def ask(self, family: Family, seed: int) -> Question:
        networks = having(known(family, self.name, "run"), "step")
        runs: dict[str, list[Network]] = {}
        for network, _ in sorted(zip(networks, numbers(networks, "step"), strict=True), key=lambda pair: pair[1]):
            runs.setdefault(str(network.attributes["run"]), []).append(network)
        whole = {run: states for run, states in runs.items() if len(states) >= 4}
        if len(whole) < 3:
            raise InputError(f"{len(whole)} runs have 4 checkpoints or more; at least 3 such runs are needed.")
        return Ordered([*whole], [[state.last for state in states] for states in whole.values()], self.statistic)

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        rng = np.random.default_rng(0)
        made = []
        for run in range(3):
            space = rng.normal(size=(40, 6))
            for step in range(5):
                made.append(Network(f"{run}@{step}", {"last": space}, attributes={"run": run, "step": 10**step}))
                space = space + rng.normal(size=space.shape)
        return cls(), Family("example", made)
