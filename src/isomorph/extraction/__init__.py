"""Run an encoder over a view, batch by batch, into the feature store."""

from __future__ import annotations

from ._extract import extract, input_statistics
from ._ranges import Extraction, check_share
from ._settings import ExtractSettings

__all__ = ["ExtractSettings", "Extraction", "check_share", "extract", "input_statistics"]
