"""Which items and concepts two sides see alike, beyond chance, and what is bound to one modality."""

from __future__ import annotations

from ._computed import COMPUTED, read_covariates
from ._concepts import concepts
from ._covariates import explain_items, read_columns
from ._label_sets import label_sets
from ._limits import limits
from ._modalities import modalities
from ._paired import paired_items
from ._ranks import map_items
from ._redundancy import redundancies, redundancy
from ._transfer import transfer
from .settings import ConceptSettings

__all__ = [
    "COMPUTED",
    "ConceptSettings",
    "concepts",
    "explain_items",
    "label_sets",
    "limits",
    "map_items",
    "modalities",
    "paired_items",
    "read_columns",
    "read_covariates",
    "redundancies",
    "redundancy",
    "transfer",
]
