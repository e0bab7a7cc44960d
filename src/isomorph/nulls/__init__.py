"""What a score would be by chance, and how much each item moves it: exact moments, tails, influence functions."""

from __future__ import annotations

from .influence import Influence
from .null import Null

__all__ = ["Influence", "Null"]
