"""The settings of an estimate of power, checked once."""

from __future__ import annotations

import dataclasses

from .._core.checks import as_count, as_seed, is_share
from .._core.settings import Settings
from ..errors import InputError, quoted

_LEAST_LEVEL = 1e-6  # of a test that is simulated: it takes 1 / level permutations in each trial


@dataclasses.dataclass(frozen=True)
class PowerSettings(Settings):
    """What is asked of n items, whatever the metric.

    Attributes:
        rank: Dimensions that both sides share.
        alpha: Level of the test.
        target: Wanted probability of passing, between 0 and 1.
        pairs: Layer pairs that will be searched; each is tested at alpha / pairs.
        trials: Simulated data sets at each strength.
        seed: Seed of the simulated data.

    Example:
        >>> PowerSettings(pairs=12).facts()["pairs"]
        12
    """

    rank: int = 8
    alpha: float = 0.05
    target: float = 0.8
    pairs: int = 1
    trials: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rank", "pairs", "trials"):
            as_count(getattr(self, name), f"power: {name}")
        object.__setattr__(self, "seed", as_seed(self.seed))
        for name in ("alpha", "target"):
            if not is_share(getattr(self, name)):
                raise InputError(f"power: {name}={quoted(getattr(self, name))} must lie between 0 and 1.")
        if self.level < _LEAST_LEVEL:
            raise InputError(
                f"power: alpha={self.alpha:g} over pairs={self.pairs} is a level of {self.level:.2g}, which needs "
                f"{1 / max(self.level, 1e-300):.0e} permutations in each trial and would not end; a level of at least "
                f"{_LEAST_LEVEL:g} takes a greater alpha, or fewer pairs."
            )

    @property
    def level(self) -> float:
        """The level at which each pair is tested: what a maximum over unlike layers costs at most."""
        return self.alpha / self.pairs
