"""The settings of fitting a map between an old and a new space, checked once."""

from __future__ import annotations

import dataclasses
from typing import Any

from .._core.checks import as_count, as_seed, check_choice, is_share
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted
from ..maps import make_map

NORMS = ("as_new", "unit", "free")


@dataclasses.dataclass(frozen=True)
class MigrationSettings(Settings):
    """How the map is fitted and scored.

    Attributes:
        map: Spec of a map that predicts rows, such as ``"ridge"``, ``"orthogonal"`` or ``"low_rank(rank=64)"``.
        norms: Lengths of mapped rows: ``"unit"``, ``"free"``, or ``"as_new"`` (unit where all new rows are).
        groups: Label set of the items that is never parted; by default their groups.
        test_fraction: Share of the pairs held out, of which at most 5,000 are.
        seed: Seed of the split, the re-pairings and the bootstrap.
        permutations: Random re-pairings of the held-out pairs.
        alpha: Intervals over held-out pairs cover 1 - alpha.
        draws: Bootstrap samples of these.
        memory: Working memory, such as ``"4GB"`` or bytes.

    Example:
        >>> MigrationSettings(map="orthogonal").facts()["map"]
        'orthogonal'
    """

    map: Any = "ridge"
    norms: str = "as_new"
    groups: str | None = None
    test_fraction: float = 0.2
    seed: int = 0
    permutations: int = 999
    alpha: float = 0.05
    draws: int = 500
    memory: str | int | None = None

    def __post_init__(self) -> None:
        made = make_map(self.map)
        if not made.direct:
            raise InputError(
                f"map={quoted(made.spec)} brings both sides into a shared space and predicts no rows of the new one; "
                "use a map that does, such as 'ridge' or 'orthogonal'."
            )
        object.__setattr__(self, "map", made)
        check_choice(self.norms, "norms", NORMS)
        for name in ("test_fraction", "alpha"):
            value = getattr(self, name)
            if not is_share(value):
                raise InputError(f"{name}={quoted(value)} must be a number between 0 and 1.")
        object.__setattr__(self, "seed", as_seed(self.seed))
        as_count(self.permutations, "permutations", 19, 10**6)
        as_count(self.draws, "draws", 20, 10**6)
        if self.memory is not None:
            parse_bytes(self.memory)
