"""The settings of an atlas, checked once."""

from __future__ import annotations

import dataclasses
import math

from .._core.checks import as_count, check_choice
from .._core.memory import parse_bytes
from ..conditions import ComparisonSettings, check_device
from ..errors import InputError, quoted

LAYERS = ("best", "last", "row maxima", "matching", "stacked")
"""How the layers of two models become one score."""
PAIRS = ("all", "across modality", "to reference")
"""Which pairs of models are compared."""


@dataclasses.dataclass(frozen=True)
class AtlasSettings(ComparisonSettings):
    """How many models are compared with each other, whatever they are.

    Attributes:
        layers: How the layers of two models become one score: ``"best"`` pair, ``"last"`` of both, ``"row maxima"``
            (the mean over the layers of both of each one's best partner), ``"matching"`` (the mean over the best
            one-to-one matching) or ``"stacked"`` (all layers side by side, each of variance one).
        pairs: Which models are compared: ``"all"``, ``"across modality"``, or ``"to reference"`` with those named.
        reference: Models that all are compared with under ``pairs="to reference"``.
        permutations: Random re-pairings of the items, the same for all models and metrics.
        splits: Cuts of the items into halves: layers chosen on one half are scored on the other, both ways.
        domains: Label set of the items, or ``"LABELSET=VALUE"`` for that value against all others: the models are
            compared on the items of each label by themselves as well.
        consensus: Axes of one space for all models, fitted on half of the items and judged on the other half; 0 makes
            none.
        memory: Working memory that the metrics may take, such as ``"4GB"`` or bytes.
        device: Device of torch on which metrics compute, such as ``"cuda"``; None computes where the features are.

    Example:
        >>> AtlasSettings(metrics=["cka"], layers="last").facts()["layers"]
        'last'
        >>> AtlasSettings.read({"metrics": ["cka"], "splits": 2}, "atlas 1").splits
        2
    """

    layers: str = "best"
    pairs: str = "all"
    reference: tuple[str, ...] = ()
    splits: int = 5
    domains: str | None = None
    consensus: int = 0
    memory: str | int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
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
        least = math.ceil(1 / self.alpha - 1e-9) - 1
        as_count(self.permutations, "permutations", 1)
        if self.permutations < least:
            raise InputError(
                f"permutations={self.permutations} cannot give a p of alpha={self.alpha} or less; use at least {least}."
            )
        as_count(self.splits, "splits", 1)
        as_count(self.consensus, "consensus", 0)
        if self.memory is not None:
            parse_bytes(self.memory)
        check_device(self.device)
