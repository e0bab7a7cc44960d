"""Is a score more than chance: permutations, sampled nulls, p-values over many layers, intervals, baselines.

Exact nulls live with the metrics (`Metric.null_moments`); what is here works for every metric.
"""

from __future__ import annotations

from ._decisions import (
    Calibration,
    Family,
    benjamini_hochberg,
    benjamini_yekutieli,
    calibrate,
    family,
    maximum_p,
    sampled_p,
    single_step,
    step_down_p,
    studentize,
)
from ._permutations import log10_distinct, permutations
from ._sampling import Sequential, sampled_null, seconds_per_permutation, sequential

__all__ = [
    "Calibration",
    "Family",
    "Sequential",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "calibrate",
    "family",
    "log10_distinct",
    "maximum_p",
    "permutations",
    "sampled_null",
    "sampled_p",
    "seconds_per_permutation",
    "sequential",
    "single_step",
    "step_down_p",
    "studentize",
]
