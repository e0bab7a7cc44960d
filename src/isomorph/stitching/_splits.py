"""Which items are held out: at random, whole labels (concepts never seen), or whole groups; nothing ever leaks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ..errors import InputError

Codes = np.ndarray[Any, np.dtype[np.int64]]
BY = ("item", "label", "group")


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows that are fitted on and rows that are held out, both ascending."""

    train: Codes
    test: Codes


def codes(labels: Sequence[Hashable], n: int, name: str) -> tuple[Codes, tuple[str, ...]]:
    """Labels as numbers by sorted text, and their texts.

    Raises:
        InputError: if there is not one for each item, or one is missing.
    """
    if len(labels) != n:
        raise InputError(f"{name} has {len(labels)} entries but there are {n} items; one each is needed.")
    for i, label in enumerate(labels):
        if label is None or (isinstance(label, float) and math.isnan(label)):  # a table's empty cells
            raise InputError(f"{name} has no entry for item {i}; give one for every item, or leave the item out.")
    names, code = np.unique(np.array([str(label) for label in labels]), return_inverse=True)
    return np.asarray(code, dtype=np.int64).reshape(-1), tuple(map(str, names))


def units(by: str, n: int, labels: Codes | None, groups: Codes | None) -> Codes:
    """What is held out as one: items, labels or groups. A group is never parted, whatever `by` says.

    Raises:
        InputError: if `by` is not known, or there are no such labels or groups.
    """
    if by not in BY:
        raise InputError(f"by={by!r} is not known; use one of {', '.join(map(repr, BY))}.")
    own = {"item": np.arange(n), "label": labels, "group": groups}[by]
    if own is None:
        raise InputError(f"by={by!r} needs {by}s: give {by}s= one for each item, or items= that have them.")
    return own if groups is None else _merged(own, groups)


def draw(unit: Codes, fraction: float, seed: int, repeat: int) -> Split:
    """Hold out about `fraction` of the items, in whole units taken in random order.

    Raises:
        InputError: if a part would be empty or one unit is all there is.
    """
    count = int(unit.max()) + 1
    if count < 2:
        raise InputError(
            "There is a single unit to hold out (every item hangs together with every other by label or group), so no "
            "part can be held out. Hold out by something finer."
        )
    order = np.random.default_rng([seed, repeat]).permutation(count)
    reached = np.cumsum(np.bincount(unit)[order])
    wanted = fraction * len(unit)
    taken = int(np.argmin(np.abs(reached - wanted))) + 1
    taken = min(taken, count - 1)
    held = np.isin(unit, order[:taken])
    return Split(np.flatnonzero(~held), np.flatnonzero(held))


def given(
    test: Sequence[Any], n: int, ids: Sequence[str], by: str, labels: Codes | None, groups: Codes | None
) -> Split:
    """A split that the user chose, by ids or row numbers.

    Raises:
        InputError: if an entry is not known or given twice, a part is empty, or a group (or with ``by="label"`` a
            label) has items on both sides.
    """
    where = {id_: i for i, id_ in enumerate(ids)}
    rows = []
    for entry in test:
        whole = isinstance(entry, (int, np.integer)) and not isinstance(entry, bool)
        row = int(entry) if whole else where.get(str(entry), -1)
        if not 0 <= row < n:
            raise InputError(f"test names {entry!r}, which is neither an id nor a row of the {n} items.")
        rows.append(row)
    if len(set(rows)) < len(rows):
        raise InputError("test names an item twice.")
    if not 0 < len(rows) < n:
        raise InputError(f"test holds {len(rows)} of {n} items; both parts need some.")
    held = np.isin(np.arange(n), rows)
    for what, code in (("group", groups), ("label", labels if by == "label" else None)):
        if code is None:
            continue
        both = np.intersect1d(code[held], code[~held])
        if len(both):
            inside, outside = (int(np.flatnonzero((code == both[0]) & side)[0]) for side in (held, ~held))
            raise InputError(
                f"test leaks: {len(both)} {what}{'s have' if len(both) > 1 else ' has'} items on both sides of the "
                f"split, such as the one of {ids[inside]!r} (held out) and {ids[outside]!r} (fitted on). Hold out "
                f"whole {what}s, or leave test= out and hold out by={by!r}."
            )
    return Split(np.flatnonzero(~held), np.flatnonzero(held))


def _merged(own: Codes, groups: Codes) -> Codes:
    """Units joined where a group straddles them."""
    n = len(own)
    left, right = own, int(own.max()) + 1 + groups
    size = int(right.max()) + 1
    graph = sparse.coo_array((np.ones(n, dtype=np.int8), (left, right)), shape=(size, size))
    component = csgraph.connected_components(graph, directed=False)[1][own]
    return np.asarray(np.unique(component, return_inverse=True)[1], dtype=np.int64).reshape(-1)
