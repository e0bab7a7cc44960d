"""The settings of odd-one-out judgements, checked once."""

from __future__ import annotations

import dataclasses
from typing import Any

from .._core.checks import as_count, as_seed, check_choice, is_finite, is_share
from .._core.settings import Settings
from ..errors import InputError, quoted

SIMILARITIES = ("cosine", "dot", "euclidean")


@dataclasses.dataclass(frozen=True)
class OddOneOutSettings(Settings):
    """How a model chooses, and what it is held against.

    Attributes:
        similarity: ``"cosine"`` (the same whatever the lengths of the rows), ``"dot"`` (the convention of THINGS, for
            embeddings whose coordinates are not negative) or ``"euclidean"`` (minus the distance).
        permutations: Permutations of the items against the judgements; 0 for no p.
        alpha: Intervals cover 1 - alpha.
        seed: Seed of the permutations.

    Example:
        >>> OddOneOutSettings(similarity="dot").facts()["similarity"]
        'dot'
    """

    similarity: str = "cosine"
    permutations: int = 999
    alpha: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.similarity, "similarity", SIMILARITIES)
        if as_count(self.permutations, "permutations", 0, 10**6):
            as_count(self.permutations, "permutations", 19, 10**6)
        if not is_share(self.alpha):
            raise InputError(f"alpha={quoted(self.alpha)} must be a number between 0 and 1, such as alpha=0.05.")
        object.__setattr__(self, "seed", as_seed(self.seed))


def as_ceiling(value: Any) -> float | None:
    """A ceiling that was given as a number, or None if it is something else.

    Raises:
        InputError: if it is a number out of range.
    """
    if not is_finite(value):
        return None
    if not 1 / 3 < float(value) <= 1:
        raise InputError(f"ceiling={quoted(value)}: the accuracy of people lies between chance, 1/3, and 1.")
    return float(value)
