"""Comparison of models by the RDMs of several subjects, with inference over subjects and items."""

from __future__ import annotations

from ._compare import compare_models
from .settings import ModelComparisonSettings

__all__ = ["ModelComparisonSettings", "compare_models"]
