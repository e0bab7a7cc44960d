"""Which pair of layers: chosen on training pairs only; and, for the map along depth, held-out scores of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.memory import require
from .._core.rows import WHAT_TO_DO, BlockRows, mean_of
from ..conditions.sides import Side
from ..design import Codes, Split
from ..errors import InputError
from ..heldout.holdout import Holdout
from ..heldout.scores import mean_reciprocal_rank, ranked_both_ways
from ..maps import Map

Matrix = np.ndarray[Any, Any]
LAYER_GALLERY = 2000
"""Held-out items that score every pair of layers, at most; the chosen pair is scored on all."""


def features(side: Side) -> list[Matrix]:
    """Every layer as float64 where this machine computes, or as `BlockRows` where copies of it would not fit."""
    return [side.rows(layer) for layer in side.layers]


def require_blocks(rows: Sequence[Any], maps: Sequence[Map], splits: Sequence[Split], *, labels: bool) -> None:
    """Refuse, before anything is fitted, what cannot be done on rows that are read in blocks.

    Args:
        rows: All layers of both sides.
        maps: The maps.
        splits: The splits.
        labels: Whether classes are told apart, by a classifier that holds its rows.

    Raises:
        InputError: naming what cannot be done, and what to do.
    """
    large = [r for r in rows if isinstance(r, BlockRows)]
    if not large:
        return
    n, d = len(large[0]), max(r.shape[1] for r in rows)
    for map in maps:
        map.require_blocks(f"{n:,} pairs of up to {d} features")
    if labels:
        raise InputError(
            f"Classes are told apart by a classifier that is fitted in memory, and {n:,} rows of {d} features do not "
            f"fit there. Leave labels out, or: {WHAT_TO_DO}"
        )
    held = max(len(s.test) for s in splits)
    require(
        10 * 8 * held * d,
        f"Comparing {held:,} held-out items with each other",
        f"Hold out fewer of them, such as test=range({min(5_000, n // 10)}) or a smaller test_fraction.",
    )


def pair_scores(
    map: Map, xs: Sequence[Matrix], ys: Sequence[Matrix], split: Split, groups: Codes | None, correction: str | None
) -> tuple[Matrix, float]:
    """Held-out mean reciprocal rank of every pair of layers (len(xs), len(ys)), and its chance level.

    Raises:
        InputError: as the map's `fit`.
    """
    test = split.test[:LAYER_GALLERY]
    key = test if groups is None else groups[test]
    scores, chance = np.empty((len(xs), len(ys))), 0.0
    for i, j, fitted in map.fit_grid([x[split.train] for x in xs], [y[split.train] for y in ys]):
        mapped, target = fitted.embed_x(xs[i][test]), fitted.embed_y(ys[j][test])
        origin = mean_of(ys[j][split.train]) if fitted.direct else 0.0
        score = mean_reciprocal_rank(ranked_both_ways(mapped - origin, target - origin, key, correction))
        scores[i, j], chance = score.value, score.chance
    return scores, chance


def choose(
    map: Map, xs: Sequence[Matrix], ys: Sequence[Matrix], split: Split, holdout: Holdout, correction: str | None
) -> tuple[int, int]:
    """The pair of layers with the best mean reciprocal rank on an inner part of the training pairs.

    Raises:
        InputError: if the training pairs are too few to be parted once more.
    """
    if len(xs) * len(ys) == 1:
        return 0, 0
    try:
        scores, _ = pair_scores(map, xs, ys, holdout.inner(split), holdout.groups, correction)
    except InputError as error:
        raise InputError(
            f"The layers are chosen on a part of the {len(split.train)} training pairs, and that did not work: {error} "
            "Give one layer a side, more items, or a first map that needs fewer pairs."
        ) from error
    i, j = np.unravel_index(int(np.argmax(scores)), scores.shape)
    return int(i), int(j)
