"""Stitching: fit maps between two spaces on some pairs, score them on pairs, classes and groups never seen."""

from __future__ import annotations

from ._stitch import stitch
from .settings import DEFAULT_MAPS, StitchSettings

__all__ = ["DEFAULT_MAPS", "StitchSettings", "stitch"]
