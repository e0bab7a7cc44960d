"""Migration of embeddings: a map from an old model's space to a new one's, its held-out loss, and where it fails."""

from __future__ import annotations

from ._apply import Applied, apply_map
from ._fit import fit_map
from .settings import MigrationSettings

__all__ = ["Applied", "MigrationSettings", "apply_map", "fit_map"]
