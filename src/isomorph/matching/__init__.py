"""Matching: which item of one space is which item of another, without knowing any pair."""

from __future__ import annotations

from ._layers import one_layer, truth_by_id
from ._match import blind_match
from .settings import MatchSettings

__all__ = ["MatchSettings", "blind_match", "one_layer", "truth_by_id"]
