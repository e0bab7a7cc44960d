"""The settings of an atlas, checked once."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .._core.checks import as_count, as_seed, check_choice, check_flag, is_share
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted
from ..metrics import DEFAULT_METRICS, read_metrics

LAYERS = ("best", "last", "row maxima", "matching", "stacked")
"""How the layers of two models become one score."""
PAIRS = ("all", "across modality", "to reference")
"""Which pairs of models are compared."""


@dataclasses.dataclass(frozen=True)
class AtlasSettings(Settings):
    """How many models are compared with each other, whatever they are.

    Attributes:
        metrics: Specs such as ``"mutual_knn(k=10)"``, or metrics.
        layers: How the layers of two models become one score: ``"best"`` pair, ``"last"`` of both, ``"row maxima"``
            (the mean over the layers of both of each one's best partner), ``"matching"`` (the mean over the best
            one-to-one matching) or ``"stacked"`` (all layers side by side, each of variance one).
        pairs: Which models are compared: ``"all"``, ``"across modality"``, or ``"to reference"`` with those named.
        reference: Models that all are compared with under ``pairs="to reference"``.
        permutations: Random re-pairings of the items, the same for all models and metrics.
        splits: Cuts of the items into halves: layers chosen on one half are scored on the other, both ways.
        seed: Seed of permutations and halves.
        alpha: Level of thresholds; intervals cover 1 - alpha.
        groups: Label set of the items that changes places as a whole.
        strata: Label set of the items, or ``"groups"``, inside which items change places.
        circular: Items are one time series, shifted in a circle instead of shuffled.
        within: Items inside a group are shuffled as well.
        memory: Working memory that the metrics may take, such as ``"4GB"`` or bytes.

    Example:
        >>> AtlasSettings(metrics=["cka"], layers="last").facts()["layers"]
        'last'
        >>> AtlasSettings.read({"metrics": ["cka"], "splits": 2}, "atlas 1").splits
        2
    """

    metrics: Any = DEFAULT_METRICS
    layers: str = "best"
    pairs: str = "all"
    reference: tuple[str, ...] = ()
    permutations: int = 200
    splits: int = 5
    seed: int = 0
    alpha: float = 0.05
    groups: str | None = None
    strata: str | None = None
    circular: bool = False
    within: bool = True
    memory: str | int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", read_metrics(self.metrics))
        check_choice(self.layers, "layers", LAYERS)
        check_choice(self.pairs, "pairs", PAIRS)
        given = self.reference
        if given is not None and not isinstance(given, (str, list, tuple)):
            raise InputError(f"reference={quoted(given)} must be the name of a model, or several.")
        names = (given,) if isinstance(given, str) else tuple(given or ())
        if not all(isinstance(name, str) for name in names):
            raise InputError(f"reference={quoted(given)} must be the name of a model, or several.")
        object.__setattr__(self, "reference", names)
        if bool(names) != (self.pairs == "to reference"):
            raise InputError(
                f"reference={quoted(names[0])} is for pairs='to reference'; leave it out with pairs={self.pairs!r}."
                if names
                else "pairs='to reference' needs reference=, the models that all are compared with."
            )
        object.__setattr__(self, "seed", as_seed(self.seed))
        if not is_share(self.alpha):
            raise InputError(f"alpha={quoted(self.alpha)}: a level between 0 and 1 is needed.")
        least = math.ceil(1 / self.alpha - 1e-9) - 1
        as_count(self.permutations, "permutations", 1)
        if self.permutations < least:
            raise InputError(
                f"permutations={self.permutations} cannot give a p of alpha={self.alpha} or less; use at least {least}."
            )
        as_count(self.splits, "splits", 1)
        for name in ("circular", "within"):
            check_flag(getattr(self, name), name)
        if self.strata is not None and self.circular:
            raise InputError(
                "circular=True and strata exclude each other: a shift takes items out of their label. Give each series "
                "as a group."
            )
        if self.memory is not None:
            parse_bytes(self.memory)
