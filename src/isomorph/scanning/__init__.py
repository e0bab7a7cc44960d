"""Scan: metrics over every pair of layers of two sides, beside baselines and ceilings."""

from __future__ import annotations

from ._design import check_shifts, design_of
from ._scan import scan
from .settings import DEFAULT_METRICS, SELECTIONS, ScanSettings

__all__ = ["DEFAULT_METRICS", "SELECTIONS", "ScanSettings", "check_shifts", "design_of", "scan"]
