"""Held-out work, whatever was fitted: scores on items that no fit saw, controls, intervals, curves.

A verb says what is fitted by a `Trial` of each split: a function that fits the inputs of some rows to the targets of
others and scores the held-out ones, item by item. Maps between two spaces are such trials, and heads over any number of
spaces, with a space or labels as the target. Everything else follows from the scores:

- `Holdout`: the splits, which respect labels and groups, and the re-pairings of their training rows;
- `scores`, `retrieval`, `readout`: what a prediction scores on each held-out item;
- `Bootstrap`: intervals over splits and items, of scores and of paired differences;
- `evidence`: summaries, margins over controls, p-values from refits to permuted pairs;
- `curves`: scores against the number of items that were fitted on.
"""

from __future__ import annotations

from .bootstrap import Bootstrap
from .curves import SizeCurve, curve_fits, size_curves, sizes
from .evidence import best_refit_p, margins, refit_p, shared_names, summaries
from .holdout import Holdout, Trial, splits_of
from .readout import CARRIED, PENALTIES, Readout, classifier, readout
from .retrieval import CORRECTIONS, Ranked, directions, rank
from .scores import (
    ItemScore,
    Scores,
    accuracy,
    averaged,
    mean_reciprocal_rank,
    neighbor_overlap,
    prediction_scores,
    ranked_both_ways,
    retrieval_scores,
)

__all__ = [
    "CARRIED",
    "CORRECTIONS",
    "PENALTIES",
    "Bootstrap",
    "Holdout",
    "ItemScore",
    "Ranked",
    "Readout",
    "Scores",
    "SizeCurve",
    "Trial",
    "accuracy",
    "averaged",
    "best_refit_p",
    "classifier",
    "curve_fits",
    "directions",
    "margins",
    "mean_reciprocal_rank",
    "neighbor_overlap",
    "prediction_scores",
    "rank",
    "ranked_both_ways",
    "readout",
    "refit_p",
    "retrieval_scores",
    "shared_names",
    "size_curves",
    "sizes",
    "splits_of",
    "summaries",
]
