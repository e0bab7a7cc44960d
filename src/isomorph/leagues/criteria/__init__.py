"""What metrics are held against: one file a criterion, found by its registry."""

from __future__ import annotations

from ..._core.registry import Registry
from ._base import Criterion, Question

REGISTRY: Registry[Criterion] = Registry("criterion", __name__, Criterion, "isomorph.criteria", "criteria")

__all__ = ["REGISTRY", "Criterion", "Question"]
