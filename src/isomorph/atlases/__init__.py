"""Atlas: many models at once, all with all, and what goes with their alignment."""

from __future__ import annotations

from ._atlas import atlas
from .settings import LAYERS, PAIRS, AtlasSettings

__all__ = ["LAYERS", "PAIRS", "AtlasSettings", "atlas"]
