"""What Isomorph answers with: frozen, labelled results that save, load and say how to make them again."""

from __future__ import annotations

from ._base import Result, load_result
from ._scan import Alignment, Best, Neighborhoods, Scan, format_p

__all__ = ["Alignment", "Best", "Neighborhoods", "Result", "Scan", "format_p", "load_result"]
