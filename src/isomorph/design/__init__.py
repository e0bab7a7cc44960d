"""Who may be parted from whom: labels and groups as numbers, which orders of the items are allowed, splits and folds.

Every room that permutes, splits or resamples items asks here, so that a group that keeps together in one keeps together
in all.
"""

from __future__ import annotations

from .labels import Codes, Labels, as_labels, coded, label_text, named, rows_by_code
from .orders import Design, log10_distinct, permutations
from .splits import Split, chosen_split, drawn_split, fold_of_items, joint_units, share_of_units, units

__all__ = [
    "Codes",
    "Design",
    "Labels",
    "Split",
    "as_labels",
    "chosen_split",
    "coded",
    "drawn_split",
    "fold_of_items",
    "joint_units",
    "label_text",
    "log10_distinct",
    "named",
    "permutations",
    "rows_by_code",
    "share_of_units",
    "units",
]
