"""Scan: metrics over every pair of layers of two sides, beside baselines and ceilings."""

from __future__ import annotations

from ..metrics import DEFAULT_METRICS
from ._scan import scan
from .settings import SELECTIONS, ScanSettings

__all__ = ["DEFAULT_METRICS", "SELECTIONS", "ScanSettings", "scan"]
