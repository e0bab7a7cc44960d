"""What Isomorph answers with: frozen, labelled results that save, load and say how to make them again."""

from __future__ import annotations

from ._about import about
from ._alignment import Alignment, Best, Ceiling, Gallery, HeldOut, Permuted, Tested
from ._atlas import Atlas, Depth, Neighbor
from ._base import Result, load_result
from ._conditions import BASELINE, CEILING, CONTROL, MAIN, Condition
from ._diagnosis import Diagnosis, Finding
from ._fusion import BestHead, Fusion
from ._head_scores import (
    BEYOND,
    FUSION_DESCENDING,
    Calibration,
    Conflict,
    Dominance,
    Gain,
    HeadScores,
    Interaction,
    LayerPairs,
    Single,
)
from ._map_scores import DESCENDING, DIRECTIONS, RETRIEVAL, Curve, Examples, MapScores, Margin, Score
from ._match import BlindMatch
from ._model_alignment import Combined, ModelAlignment
from ._networks import NETWORK_CONDITIONS, CutStitch, NetworkStitch
from ._numbers import LEAST_P, format_p, listed, stands_on_floor
from ._questions import QUESTIONS, Answer, check_question, read_question
from ._scan import Neighborhoods, Scan
from ._stitch import BestMap, Stitch
from ._trend import LABELS as TREND_LABELS
from ._trend import Rung, Slope, Step, Threshold, Trend
from ._verdict import EQUIVALENT, LESS, MORE, OPEN, UNTESTED, Verdict, baseline_words, reading, short_metrics

__all__ = [
    "BASELINE",
    "BEYOND",
    "CEILING",
    "CONTROL",
    "DESCENDING",
    "DIRECTIONS",
    "EQUIVALENT",
    "FUSION_DESCENDING",
    "LEAST_P",
    "LESS",
    "MAIN",
    "MORE",
    "NETWORK_CONDITIONS",
    "OPEN",
    "QUESTIONS",
    "RETRIEVAL",
    "TREND_LABELS",
    "UNTESTED",
    "Alignment",
    "Answer",
    "Atlas",
    "Best",
    "BestHead",
    "BestMap",
    "BlindMatch",
    "Calibration",
    "Ceiling",
    "Combined",
    "Condition",
    "Conflict",
    "Curve",
    "CutStitch",
    "Depth",
    "Diagnosis",
    "Dominance",
    "Examples",
    "Finding",
    "Fusion",
    "Gain",
    "Gallery",
    "HeadScores",
    "HeldOut",
    "Interaction",
    "LayerPairs",
    "MapScores",
    "Margin",
    "ModelAlignment",
    "Neighbor",
    "Neighborhoods",
    "NetworkStitch",
    "Permuted",
    "Result",
    "Rung",
    "Scan",
    "Score",
    "Single",
    "Slope",
    "Step",
    "Stitch",
    "Tested",
    "Threshold",
    "Trend",
    "Verdict",
    "about",
    "baseline_words",
    "check_question",
    "format_p",
    "listed",
    "load_result",
    "read_question",
    "reading",
    "short_metrics",
    "stands_on_floor",
]
