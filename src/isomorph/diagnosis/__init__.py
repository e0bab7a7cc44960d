"""Diagnosis: failure signatures of representations and of results about them, each with evidence and what to do."""

from __future__ import annotations

from ._base import REGISTRY, Case, Signature
from ._diagnose import diagnose
from .settings import DiagnoseSettings
from .translation import translation_limit

__all__ = ["REGISTRY", "Case", "DiagnoseSettings", "Signature", "diagnose", "translation_limit"]
