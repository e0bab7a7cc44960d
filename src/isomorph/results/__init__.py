"""What Isomorph answers with: frozen, labelled results that save, load and say how to make them again."""

from __future__ import annotations

from ._about import about
from ._alignment import AT_CEILING, Alignment, Best, Ceiling, Gallery, HeldOut, Permuted, SubjectCeiling, Tested
from ._atlas import Atlas, Neighbor
from ._base import Result, load_result
from ._common_space import CommonSpace
from ._concept_map import ConceptMap, Example, WholeScore
from ._concept_tables import (
    BOUND_TO_BOTH,
    BOUND_TO_X,
    BOUND_TO_Y,
    SHARED,
    UNDECIDED,
    UNSTABLE,
    VERDICTS,
    ConceptItems,
    ConceptLabels,
    chance_corrected,
)
from ._conditions import BASELINE, CEILING, CONTROL, MAIN, Condition
from ._contrasts import FORMS, Contrast
from ._covariates import CategoryEffect, CovariateEffect, Covariates, PairedDifference, PairedScores
from ._depths import Depth
from ._diagnosis import Diagnosis, Finding
from ._encoding import Encoding, UnitScores
from ._fusion import BestHead, Fusion
from ._guide import TABLE as GUIDE_TABLE
from ._guide import Advice, Guide
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
from ._league import League
from ._limits import STRUCTURES, CeilingShare, Extrapolation, Limit, Limits, Reading, Redundancy
from ._map_scores import DESCENDING, DIRECTIONS, RETRIEVAL, Curve, Examples, MapScores, Margin, Score
from ._match import BlindMatch
from ._migration import Migration
from ._modalities import (
    SHARED_BY_ALL,
    SHARED_BY_NONE,
    SHARED_THROUGH,
    MapItems,
    MapLabels,
    Modalities,
    Transfer,
    TransferLoss,
    TransferPath,
)
from ._model_alignment import Combined, ModelAlignment
from ._model_comparison import ModelComparison, ModelScore, RegionModels
from ._networks import NETWORK_CONDITIONS, CutStitch, NetworkStitch
from ._numbers import LEAST_P, format_p, listed, stands_on_floor
from ._odd_one_out import LayerAccuracy, OddOneOut
from ._outputs import OUTPUT_MEASURES, SIGNED, Measured, OutputModel, OutputPair, Outputs
from ._questions import QUESTIONS, Answer, check_question, read_question
from ._rdm_explanation import ModelShare, RdmExplanation, VariancePart
from ._scan import Neighborhoods, Scan
from ._searchlight import Searchlight
from ._standings import CRITERION_KINDS, Standing, Standings
from ._stitch import BestMap, Stitch
from ._trend import LABELS as TREND_LABELS
from ._trend import Rung, Slope, Step, Threshold, Trend
from ._verdict import EQUIVALENT, LESS, MORE, OPEN, UNTESTED, Verdict, baseline_words, reading, short_metrics

__all__ = [
    "AT_CEILING",
    "BASELINE",
    "BEYOND",
    "BOUND_TO_BOTH",
    "BOUND_TO_X",
    "BOUND_TO_Y",
    "CEILING",
    "CONTROL",
    "CRITERION_KINDS",
    "DESCENDING",
    "DIRECTIONS",
    "EQUIVALENT",
    "FORMS",
    "FUSION_DESCENDING",
    "GUIDE_TABLE",
    "LEAST_P",
    "LESS",
    "MAIN",
    "MORE",
    "NETWORK_CONDITIONS",
    "OPEN",
    "OUTPUT_MEASURES",
    "QUESTIONS",
    "RETRIEVAL",
    "SHARED",
    "SHARED_BY_ALL",
    "SHARED_BY_NONE",
    "SHARED_THROUGH",
    "SIGNED",
    "STRUCTURES",
    "TREND_LABELS",
    "UNDECIDED",
    "UNSTABLE",
    "UNTESTED",
    "VERDICTS",
    "Advice",
    "Alignment",
    "Answer",
    "Atlas",
    "Best",
    "BestHead",
    "BestMap",
    "BlindMatch",
    "Calibration",
    "CategoryEffect",
    "Ceiling",
    "CeilingShare",
    "Combined",
    "CommonSpace",
    "ConceptItems",
    "ConceptLabels",
    "ConceptMap",
    "Condition",
    "Conflict",
    "Contrast",
    "CovariateEffect",
    "Covariates",
    "Curve",
    "CutStitch",
    "Depth",
    "Diagnosis",
    "Dominance",
    "Encoding",
    "Example",
    "Examples",
    "Extrapolation",
    "Finding",
    "Fusion",
    "Gain",
    "Gallery",
    "Guide",
    "HeadScores",
    "HeldOut",
    "Interaction",
    "LayerAccuracy",
    "LayerPairs",
    "League",
    "Limit",
    "Limits",
    "MapItems",
    "MapLabels",
    "MapScores",
    "Margin",
    "Measured",
    "Migration",
    "Modalities",
    "ModelAlignment",
    "ModelComparison",
    "ModelScore",
    "ModelShare",
    "Neighbor",
    "Neighborhoods",
    "NetworkStitch",
    "OddOneOut",
    "OutputModel",
    "OutputPair",
    "Outputs",
    "PairedDifference",
    "PairedScores",
    "Permuted",
    "RdmExplanation",
    "Reading",
    "Redundancy",
    "RegionModels",
    "Result",
    "Rung",
    "Scan",
    "Score",
    "Searchlight",
    "Single",
    "Slope",
    "Standing",
    "Standings",
    "Step",
    "Stitch",
    "SubjectCeiling",
    "Tested",
    "Threshold",
    "Transfer",
    "TransferLoss",
    "TransferPath",
    "Trend",
    "UnitScores",
    "VariancePart",
    "Verdict",
    "WholeScore",
    "about",
    "baseline_words",
    "chance_corrected",
    "check_question",
    "format_p",
    "listed",
    "load_result",
    "read_question",
    "reading",
    "short_metrics",
    "stands_on_floor",
]
