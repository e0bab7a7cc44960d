"""Encoding models: from a model's layers to the responses of units (voxels, neurons, sensors), each held out."""

from __future__ import annotations

from ._encode import fit_encoding
from .settings import EncodingSettings

__all__ = ["EncodingSettings", "fit_encoding"]
