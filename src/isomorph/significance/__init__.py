"""Is a score more than chance: permutations, sampled nulls, p-values over many layers, intervals, power.

Exact nulls live with the metrics (`Metric.null_moments`); what is here works for every metric.
"""

from __future__ import annotations

from ..design import Design, log10_distinct, permutations
from ._decisions import (
    Calibration,
    Family,
    benjamini_hochberg,
    benjamini_yekutieli,
    best_of_each,
    calibrate,
    family,
    maximum_p,
    sampled_p,
    single_step,
    step_down_p,
    studentize,
)
from ._discoveries import Discovery, false_discovery
from ._intervals import (
    Difference,
    Interval,
    difference,
    interval,
    model_interval,
    query_interval,
    subsample_interval,
    within_range,
)
from ._items import Duplicates, duplicates
from ._judge import Judged, chance_level, judge_block, orders_for
from ._noise_ceilings import AT, BELOW, NOT_BELOW, NoiseCeiling, Reached, SplitHalf, noise_ceiling, split_half
from ._power import GalleryPoint, Power, gallery_curve, gallery_points, gallery_subsets, planted, power
from ._sampling import Orders, Sequential, orders_at_once, sampled_null, seconds_per_permutation, sequential
from ._selection import held_out, select_split, split_rows
from .settings import PowerSettings

__all__ = [
    "AT",
    "BELOW",
    "NOT_BELOW",
    "Calibration",
    "Design",
    "Difference",
    "Discovery",
    "Duplicates",
    "Family",
    "GalleryPoint",
    "Interval",
    "Judged",
    "NoiseCeiling",
    "Orders",
    "Power",
    "PowerSettings",
    "Reached",
    "Sequential",
    "SplitHalf",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "best_of_each",
    "calibrate",
    "chance_level",
    "difference",
    "duplicates",
    "false_discovery",
    "family",
    "gallery_curve",
    "gallery_points",
    "gallery_subsets",
    "held_out",
    "interval",
    "judge_block",
    "log10_distinct",
    "maximum_p",
    "model_interval",
    "noise_ceiling",
    "orders_at_once",
    "orders_for",
    "permutations",
    "planted",
    "power",
    "query_interval",
    "sampled_null",
    "sampled_p",
    "seconds_per_permutation",
    "select_split",
    "sequential",
    "single_step",
    "split_half",
    "split_rows",
    "step_down_p",
    "studentize",
    "subsample_interval",
    "within_range",
]
