"""The settings of a diagnosis, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .._core.checks import as_seed
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted
from ._base import REGISTRY


@dataclasses.dataclass(frozen=True)
class DiagnoseSettings(Settings):
    """What is looked for, whatever is diagnosed.

    Attributes:
        signatures: Names of signatures to look for; all if None.
        seed: Seed of what is drawn.
        memory: Working memory, such as ``"4GB"`` or bytes.

    Example:
        >>> DiagnoseSettings(signatures=("hubs", "duplicates")).facts()
        {'signatures': ['hubs', 'duplicates'], 'seed': 0, 'memory': None}
        >>> DiagnoseSettings.read({"signatures": ["hubs"]}, "diagnose").signatures
        ('hubs',)
    """

    signatures: tuple[str, ...] | None = None
    seed: int = 0
    memory: str | int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", as_seed(self.seed))
        if self.memory is not None:
            parse_bytes(self.memory)
        names = self.signatures
        if names is None:
            return
        if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names):
            raise InputError(f"signatures={quoted(names)} must be a list of names, or None for all.")
        for name in names:
            REGISTRY.make(name)
        object.__setattr__(self, "signatures", tuple(names))
