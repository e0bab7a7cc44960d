"""What a reader of a scan's p-values must know about its items: copies, near copies, and what a design rules out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._arrays import as_features
from .._sides import Side
from ..significance import Design, duplicates

NEAR = 0.01  # two items this close, over the typical distance, are as good as one
NEAR_ITEMS = 10_000  # above this the distances of all pairs would take longer than many a scan

Sets = Sequence[tuple[int, ...]]


def notes(left: Side, right: Side, design: Design, alpha: float) -> tuple[str, ...]:
    """All notes, each a sentence or two that begin with what they are about."""
    return (*_design(left.n, design, alpha), *_copies(left, right, design))


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
    if design.circular:  # neighbours in a smooth series are near copies, and shifts keep them together
        return []
    found, near, apart = [], [], False
    for side in (left, right):
        rows = as_features(list(side.layers.values())[-1])
        exact = _apart(duplicates(rows).sets, design)
        if exact:
            found.append(
                f"{side.name} gives the same features to several items ({_shown(exact, side, ' = ')}). Copies make "
                f"p-values a little too small: leave {sum(len(s) - 1 for s in exact)} of the {side.n} items out, or "
                "give copies as groups."
            )
        if side.n > NEAR_ITEMS:
            continue
        close = duplicates(rows, NEAR)
        near.append(close.labels)
        more = [s for s in _apart(close.sets, design) if s not in exact]
        if more:
            apart = True
            found.append(
                f"{side.name} gives nearly the same features, closer than {NEAR:.0%} of the typical distance, to "
                f"several items ({_shown(more, side, ' ≈ ')})."
            )
    if left.n > NEAR_ITEMS:
        found.append(
            f"Near copies were not looked for: that takes the distances of all pairs, and {left.n:,} items are more "
            f"than {NEAR_ITEMS:,}. iso.significance.duplicates(features, {NEAR}) looks for them."
        )
    elif apart:
        both = left.n - np.unique(np.stack(near), axis=1).shape[1]
        found.append(
            f"{both} of the {left.n} items are near copies of another on both sides; these make p-values too small, as "
            "copies do: leave them out or give them as groups."
            if both
            else "No item is a near copy of another on both sides, so that p-values are not concerned."
        )
    return found


def _apart(sets: Sets, design: Design) -> Sets:
    """The sets whose items may change places apart: copies inside one group keep together already."""
    groups = design.groups
    return sets if groups is None else [s for s in sets if len({groups[i] for i in s}) > 1]


def _shown(sets: Sets, side: Side, sign: str) -> str:
    ids = side.ids or tuple(map(str, range(side.n)))
    more = f" and {len(sets) - 3} more sets" if len(sets) > 3 else ""
    return ", ".join(sign.join(ids[i] for i in group[:3]) for group in sets[:3]) + more
