"""Atlas: many models at once, all with all, and what goes with their alignment."""

from __future__ import annotations

from ._atlas import atlas
from ._attributes import read_attributes
from ._compare import LAYERS_FILE
from ._domains import domains_of
from .settings import LAYERS, PAIRS, AtlasSettings

__all__ = ["LAYERS", "LAYERS_FILE", "PAIRS", "AtlasSettings", "atlas", "domains_of", "read_attributes"]
