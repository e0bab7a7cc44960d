"""The settings of a diagnosis, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .._core.checks import as_seed
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted
from ..results import Guide
from ._base import REGISTRY


@dataclasses.dataclass(frozen=True)
class DiagnoseSettings(Settings):
    """What is looked for, whatever is diagnosed.

    Attributes:
        signatures: Names of signatures to look for; all if None.
        seed: Seed of what is drawn.
        memory: Working memory, such as ``"4GB"`` or bytes.
        purposes: Names of criteria of leagues, such as ``"stitching"``, for which to say which metric to trust; what
            was given decides if None.

    Example:
        >>> DiagnoseSettings(signatures=("hubs", "duplicates")).facts()
        {'signatures': ['hubs', 'duplicates'], 'seed': 0, 'memory': None, 'purposes': None}
        >>> DiagnoseSettings.read({"signatures": ["hubs"]}, "diagnose").signatures
        ('hubs',)
    """

    signatures: tuple[str, ...] | None = None
    seed: int = 0
    memory: str | int | None = None
    purposes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", as_seed(self.seed))
        if self.memory is not None:
            parse_bytes(self.memory)
        known: dict[str, Callable[[str], Any]] = {"signatures": REGISTRY.make, "purposes": Guide.packaged().__getitem__}
        for field, find in known.items():
            names = getattr(self, field)
            if names is None:
                continue
            if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names):
                raise InputError(f"{field}={quoted(names)} must be a list of names, or None for all.")
            for name in names:
                find(name)
            object.__setattr__(self, field, tuple(names))
