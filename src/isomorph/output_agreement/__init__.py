"""What models answer to the same items: agreement, divergence, shared errors, calibration, rankings; with chance."""

from __future__ import annotations

from ._outputs import outputs
from .measures import (
    agreement,
    calibration_error,
    chance_agreement,
    cohen_kappa,
    debiased_calibration_error,
    error_consistency,
    error_consistency_bounds,
    jensen_shannon,
    kullback_leibler,
    rank_biased_overlap,
    right,
    top_k_overlap,
)
from .settings import OutputsSettings

__all__ = [
    "OutputsSettings",
    "agreement",
    "calibration_error",
    "chance_agreement",
    "cohen_kappa",
    "debiased_calibration_error",
    "error_consistency",
    "error_consistency_bounds",
    "jensen_shannon",
    "kullback_leibler",
    "outputs",
    "rank_biased_overlap",
    "right",
    "top_k_overlap",
]
