"""The settings of a match without pairs, checked once."""

from __future__ import annotations

import dataclasses

from .._core.checks import as_count, as_seed, check_budget, check_choice, is_finite
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted

METHODS = ("qap", "gw")


@dataclasses.dataclass(frozen=True)
class MatchSettings(Settings):
    """How two spaces are matched, whatever they are.

    Attributes:
        method: ``"qap"`` maximises the correlation of inner products, ``"gw"`` that of distances.
        restarts: Independent starts; up to 7 items all pairings are tried instead.
        bootstraps: Matchings with resampled features; used where the truth is not known.
        surrogates: Matchings with unrelated spaces of the same spectrum; used where the truth is not known.
        required: Share of items that must be right, or stable, for a verdict of matchable.
        seed: Seed of everything random.
        memory: Working memory, such as ``"4GB"`` or bytes.
        budget: Seconds that matchings beside the first may take; as many as fit are made.

    Example:
        >>> MatchSettings(restarts=50).facts()["restarts"]
        50
        >>> MatchSettings.read({"restarts": 50, "seed": 1}, "a table").seed
        1
    """

    method: str = "qap"
    restarts: int = 200
    bootstraps: int = 40
    surrogates: int = 39
    required: float = 0.9
    seed: int = 0
    memory: str | int | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        check_choice(self.method, "method", METHODS)
        for name, least in (("restarts", 2), ("bootstraps", 0), ("surrogates", 0)):
            as_count(getattr(self, name), name, least)
        if not is_finite(self.required) or not 0 < self.required <= 1:
            raise InputError(f"required={quoted(self.required)} must be a share above 0 and at most 1.")
        object.__setattr__(self, "seed", as_seed(self.seed))
        if self.memory is not None:
            parse_bytes(self.memory)
        check_budget(self.budget)
