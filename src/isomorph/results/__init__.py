"""What Isomorph answers with: frozen, labelled results that save, load and say how to make them again."""

from __future__ import annotations

from ._base import Result, load_result
from ._diagnosis import Diagnosis, Finding
from ._networks import CutStitch, NetworkStitch
from ._scan import Alignment, Best, Ceiling, Gallery, HeldOut, Neighborhoods, Permuted, Scan, Tested
from ._stitch import DESCENDING, DIRECTIONS, RETRIEVAL, BestMap, Curve, Examples, MapScores, Margin, Score, Stitch
from ._summary import format_p

__all__ = [
    "DESCENDING",
    "DIRECTIONS",
    "RETRIEVAL",
    "Alignment",
    "Best",
    "BestMap",
    "Ceiling",
    "Curve",
    "CutStitch",
    "Diagnosis",
    "Examples",
    "Finding",
    "Gallery",
    "HeldOut",
    "MapScores",
    "Margin",
    "Neighborhoods",
    "NetworkStitch",
    "Permuted",
    "Result",
    "Scan",
    "Score",
    "Stitch",
    "Tested",
    "format_p",
    "load_result",
]
