"""The settings of a league, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from .._core.checks import as_count, as_seed, check_choice, check_flag, is_share
from .._core.settings import Settings
from ..errors import InputError, quoted
from ..metrics import read_metrics
from .criteria import REGISTRY, Criterion

METRICS = (
    "cka",
    "cka(estimator='biased')",
    "cka(kernel='rbf')",
    "distance_correlation",
    "rsa",
    "mutual_knn(k=10)",
    "jaccard_knn(k=10)",
    "cknna(k=10)",
    "procrustes",
    "cca",
    "svcca",
    "pwcca",
    "ridge_predictivity",
    "second_order_cosine(k=10)",
    "information_imbalance",
)
"""Metrics of a league that names none: the field's main ones, each cheap enough for hundreds of pairs."""

LAYERS = ("last", "max", "all")
"""By which layers networks are compared."""


@dataclasses.dataclass(frozen=True)
class LeagueSettings(Settings):
    """How metrics are held against the truth of a family.

    Attributes:
        metrics: Specs of metrics, or metrics.
        criteria: Specs of criteria such as ``"label_noise"``; None takes all that the family can answer.
        above_chance: Also rank every metric with chance taken off its scores.
        layers: By which layers two networks are compared: ``"last"``; ``"max"``: also by the largest score of any of
            their pairs of layers; ``"all"``: also by layers of equal relative depth, which takes a while.
        permutations: Random orders of the truth among networks, for p.
        draws: Draws of networks anew, for intervals of ranks.
        seed: Seed of all that is drawn.
        alpha: Level of differences; intervals cover 1 - alpha.

    Example:
        >>> LeagueSettings(criteria=["label_noise", "noise(trials=5)"], seed=3).criteria[1].trials
        5
    """

    metrics: Any = METRICS
    criteria: Any = None
    above_chance: bool = False
    layers: str = "last"
    permutations: int = 999
    draws: int = 2000
    seed: int = 0
    alpha: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", read_metrics(self.metrics))
        if self.criteria is not None:
            object.__setattr__(self, "criteria", read_criteria(self.criteria))
        object.__setattr__(self, "seed", as_seed(self.seed))
        check_flag(self.above_chance, "above_chance")
        check_choice(self.layers, "layers", LAYERS)
        as_count(self.permutations, "permutations", 19, 10**6)
        as_count(self.draws, "draws", 100, 10**6)
        if not is_share(self.alpha):
            raise InputError(f"alpha={quoted(self.alpha)}: a level between 0 and 1 is needed.")


def read_criteria(given: Any) -> tuple[Criterion, ...]:
    """Criteria from one spec or several, each once.

    Raises:
        InputError: if none is given, or one twice.
        UnknownNameError: if there is no such criterion.

    Example:
        >>> [criterion.name for criterion in read_criteria("noise")]
        ['noise']
    """
    several: Sequence[Any] = (given,) if isinstance(given, (str, Criterion)) else given
    if not isinstance(several, (list, tuple)) or not several:
        raise InputError(f"criteria={quoted(given)}: one criterion or a list of them is needed, such as 'label_noise'.")
    found = tuple(REGISTRY.make(spec) for spec in several)
    for spec in (criterion.spec for criterion in found):
        if sum(criterion.spec == spec for criterion in found) > 1:
            raise InputError(f"criteria: {spec} is given twice; leave one out.")
    return found
