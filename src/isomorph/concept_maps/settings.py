"""The settings of a map of concepts, checked once."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .._core.checks import as_count, as_seed, check_choice, check_flag, is_share
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted
from ..maps import make_map
from ..metrics import metric

DEFAULT_METRIC = "mutual_knn(k=10)"
MISSING = ("refuse", "leave out")


@dataclasses.dataclass(frozen=True)
class ConceptSettings(Settings):
    """How a map of concepts is made, whatever is mapped.

    Attributes:
        metric: Spec of a metric with a score per item, such as ``"mutual_knn(k=10)"``, or a metric.
        x_layer: Layer of `x`, fixed beforehand; empty chooses it on other items.
        y_layer: Layer of `y`, likewise.
        folds: Parts of the items: the layers of each are chosen on the others.
        permutations: Random re-pairings of the items.
        seed: Seed of folds and re-pairings.
        alpha: Level of tests and false discoveries; intervals cover 1 - alpha.
        shared: Share of the ceilings that a concept must reach across modalities to be called shared, and stay below
            to be called bound.
        stable: Chance-corrected agreement within a modality above which a concept is stable there.
        limits: Whether to tell agreement as a share of the ceilings by gallery size, where both sides have ceilings.
        redundancy: Whether to tell what share of its variance the score stands for, by synthetic spaces.
        map: A map such as ``"ridge"`` under which items are ranked too; empty for none.
        missing: What becomes of items that lack a covariate: ``"refuse"`` or ``"leave out"``.
        groups: Label set of the items that changes places as a whole.
        strata: Label set of the items, or ``"groups"``, inside which items change places.
        memory: Working memory that the metric may take, such as ``"4GB"`` or bytes.

    Example:
        >>> ConceptSettings(metric="mknn", folds=2).metric.spec
        'mutual_knn(k=10)'
    """

    metric: Any = DEFAULT_METRIC
    x_layer: str = ""
    y_layer: str = ""
    folds: int = 5
    permutations: int = 1000
    seed: int = 0
    alpha: float = 0.05
    shared: float = 0.5
    stable: float = 0.1
    limits: bool = True
    redundancy: bool = False
    map: str = ""
    missing: str = "refuse"
    groups: str | None = None
    strata: str | None = None
    memory: str | int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", metric(self.metric))
        object.__setattr__(self, "seed", as_seed(self.seed))
        as_count(self.folds, "folds", 2)
        for name in ("alpha", "shared", "stable"):
            if not is_share(getattr(self, name)):
                raise InputError(f"{name}={quoted(getattr(self, name))}: a share between 0 and 1 is needed.")
        for name in ("limits", "redundancy"):
            check_flag(getattr(self, name), name)
        check_choice(self.missing, "missing", MISSING)
        if self.map:
            object.__setattr__(self, "map", make_map(self.map).spec)
        for name in ("x_layer", "y_layer"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name}={quoted(getattr(self, name))} must be the name of a layer, or empty.")
        least = math.ceil(1 / self.alpha - 1e-9) - 1
        as_count(self.permutations, "permutations", 1)
        if self.permutations < least:
            raise InputError(
                f"permutations={self.permutations} cannot give a p of alpha={self.alpha} or less; use at least {least}."
            )
        if self.memory is not None:
            parse_bytes(self.memory)
