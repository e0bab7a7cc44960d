"""Stitching: fit maps between two spaces on some pairs, score them on pairs, classes and groups never seen."""

from __future__ import annotations

from ._stitch import DEFAULT_MAPS, stitch

__all__ = ["DEFAULT_MAPS", "stitch"]
