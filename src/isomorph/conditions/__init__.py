"""What is compared, as data: the sides that a user gives, and the conditions under which they are."""

from __future__ import annotations

from ..results import BASELINE, CEILING, CONTROL, MAIN, Condition
from ._comparisons import Comparison, comparisons
from ._design import check_shifts, design_of
from .devices import check_device, moved_to, on_device
from .settings import ComparisonSettings
from .sides import Side, all_joined, as_side, content, joined, load_side, lost_items

__all__ = [
    "BASELINE",
    "CEILING",
    "CONTROL",
    "MAIN",
    "Comparison",
    "ComparisonSettings",
    "Condition",
    "Side",
    "all_joined",
    "as_side",
    "check_device",
    "check_shifts",
    "comparisons",
    "content",
    "design_of",
    "joined",
    "load_side",
    "lost_items",
    "moved_to",
    "on_device",
]
