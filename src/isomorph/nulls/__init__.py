"""What a score would be by chance, which p it gets, and how much each item moves it."""

from __future__ import annotations

from .influence import Influence
from .items import Exact, ItemScores, Moves, mixed
from .judge import Judgment, Sample, judge
from .null import Null

__all__ = ["Exact", "Influence", "ItemScores", "Judgment", "Moves", "Null", "Sample", "judge", "mixed"]
