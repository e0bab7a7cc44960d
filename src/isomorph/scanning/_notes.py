"""What a reader of a scan's p-values must know about its items: copies, near copies, and what a design rules out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..conditions.sides import Side
from ..design import rows_by_code
from ..significance import Design, duplicates

NEAR = 0.01  # two items this close, over the typical distance, are as good as one
NEAR_ITEMS = 10_000  # above this the distances of all pairs would take longer than many a scan

Sets = Sequence[tuple[int, ...]]
Codes = np.ndarray[Any, np.dtype[np.int64]]


def notes(given: Sequence[Side], left: Side, right: Side, design: Design, alpha: float) -> tuple[str, ...]:
    """All notes, each a sentence or two that begin with what they are about.

    Args:
        given: Both sides as they were given.
        left: The side x as it was scanned.
        right: The side y as it was scanned.
        design: How items were permuted.
        alpha: The level.
    """
    return (*_unpaired(given, left.n), *_design(left.n, design, alpha), *_copies(left, right, design))


def _unpaired(given: Sequence[Side], n: int) -> list[str]:
    left_out = [f"{side.n - n:,} of the {side.n:,} items of {side.name}" for side in given if side.n > n]
    return [f"{' and '.join(left_out)} have no partner by id and were left out."] if left_out else []


def _design(n: int, design: Design, alpha: float) -> list[str]:
    found = []
    if design.series:
        found.append(
            "The items are one series, so that none is independent of the others: no intervals over items are given, "
            "and differences from baselines are not tested."
        )
    digits = design.log10_distinct(n)
    if 10**-digits > alpha:
        found.append(
            f"Items {design} can stand in {10**digits:.0f} orders only, so that hardly any p can fall below "
            f"{10**-digits:.2g}."
        )
    return found


def _copies(left: Side, right: Side, design: Design) -> list[str]:
    """Which items are copies or near copies on one side, and how many on both, which alone concerns p-values."""
    if design.circular:  # neighbours in a smooth series are near copies, and shifts keep them together
        return []
    found, same = [], [_alike(side, 0.0) for side in (left, right)]
    close = [_alike(side, NEAR) for side in (left, right)] if left.n <= NEAR_ITEMS else same
    for side, exact, near in zip((left, right), same, close, strict=True):
        sets = _apart(_sets(exact), design)
        if sets:
            found.append(f"{side.name} gives the same features to several items ({_shown(sets, side, ' = ')}).")
        more = [s for s in _apart(_sets(near), design) if s not in sets]
        if more:
            found.append(
                f"{side.name} gives nearly the same features, closer than {NEAR:.0%} of the typical distance, to "
                f"several items ({_shown(more, side, ' ≈ ')})."
            )
    if found:
        both = sum(len(s) - 1 for s in _apart(_sets(_joint(close)), design))
        found.append(
            f"{both} of the {left.n} items are copies of another, or nearly, on both sides. These are alike whatever "
            "the models are, so that p-values are too small, with many copies far too small: leave them out or give "
            "copies as groups."
            if both
            else "No item is a copy or near copy of another on both sides, so that p-values are not concerned."
        )
    if left.n > NEAR_ITEMS:
        found.append(
            f"Near copies were not looked for: that takes the distances of all pairs, and {left.n:,} items are more "
            f"than {NEAR_ITEMS:,}. iso.significance.duplicates(features, {NEAR}) looks for them."
        )
    return found


def _alike(side: Side, tolerance: float) -> Codes:
    """One label an item, shared by items that are alike in every layer."""
    label = np.arange(side.n)
    for number, layer in enumerate(reversed(list(side.layers))):
        own = duplicates(side.features(layer), tolerance).labels
        label = own if number == 0 else _joint([label, own])
        if not _sets(label):
            break
    return label


def _joint(labels: Sequence[Codes]) -> Codes:
    return np.asarray(np.unique(np.stack(labels), axis=1, return_inverse=True)[1]).reshape(-1)


def _sets(label: Codes) -> Sets:
    """Rows that share a label, those of the first row first."""
    return sorted(tuple(int(i) for i in rows) for rows in rows_by_code(label) if len(rows) > 1)


def _apart(sets: Sets, design: Design) -> Sets:
    """The sets whose items may change places apart: copies inside one group keep together already."""
    groups = design.groups
    return sets if groups is None else [s for s in sets if len({groups[i] for i in s}) > 1]


def _shown(sets: Sets, side: Side, sign: str) -> str:
    ids = side.ids or tuple(map(str, range(side.n)))
    more = f" and {len(sets) - 3} more sets" if len(sets) > 3 else ""
    return ", ".join(sign.join(ids[i] for i in group[:3]) for group in sets[:3]) + more
