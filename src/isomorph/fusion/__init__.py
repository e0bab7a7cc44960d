"""What several frozen spaces give together about a target, and whether one of them does all the work."""

from __future__ import annotations

from ._fuse import fuse
from .settings import FuseSettings

__all__ = ["FuseSettings", "fuse"]
