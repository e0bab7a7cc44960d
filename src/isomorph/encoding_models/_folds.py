"""Nested folds of whole runs: the outer ones are scored, the inner ones choose penalties, components and layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..design import Codes, Split, fold_of_items
from ..errors import InputError

FOLDS, INNER = 5, 4
LEAST = 3
"""Held-out rows of a fold: of two the correlation is 1 or -1 whatever they are."""


@dataclasses.dataclass(frozen=True, eq=False)
class Fold:
    """Rows that are held out, rows to fit on, and how these are parted once more.

    Attributes:
        split: The rows to fit on, and those held out.
        inner: Splits of the rows to fit on.
    """

    split: Split
    inner: Sequence[Split]


def nested(n: int, runs: Codes | None, folds: int | None, inner: int | None, seed: int) -> list[Fold]:
    """The folds; no run is ever parted.

    Args:
        n: Number of rows.
        runs: One run a row, or None where every row may be parted from every other.
        folds: Outer folds; None: as many as there can be, at most 5.
        inner: Inner folds; None: at most 4.
        seed: Seed.

    Raises:
        InputError: if there are too few runs or rows.
    """
    units = n if runs is None else int(runs.max()) + 1
    what = "rows" if runs is None else "runs"
    if units < 3:
        raise InputError(
            f"Nested folds need at least 3 {what}, found {units}: one to score, and two that choose the penalty. "
            + ("Give more items." if runs is None else "Cut the runs, such as at rest periods, into three or more.")
        )
    outer = min(FOLDS, units) if folds is None else folds
    if outer > units:
        raise InputError(f"folds={outer}: there are {units} {what}, which are not parted; use folds={units} or fewer.")
    fold = fold_of_items(n, outer, seed, runs)
    found = []
    for k in range(outer):
        split = Split.of(fold == k)
        if len(split.test) < LEAST:
            raise InputError(
                f"A fold holds out {len(split.test)} of {n} rows; at least {LEAST} are needed for a correlation. Use "
                f"fewer folds than {outer}, or give more rows."
            )
        own = None if runs is None else np.unique(runs[split.train], return_inverse=True)[1].reshape(-1)
        left = len(split.train) if own is None else int(own.max()) + 1
        parts = min(INNER, left) if inner is None else inner
        if not 2 <= parts <= left:
            raise InputError(
                f"inner_folds={parts}: {left} {what} are left to fit on, which are not parted; use "
                f"{'fewer outer folds' if left < 2 else f'inner_folds={left} or fewer'}."
            )
        part = fold_of_items(len(split.train), parts, seed + 1 + k, own)
        inside = [Split(split.train[part != j], split.train[part == j]) for j in range(parts)]
        found.append(Fold(split, inside))
    return found
