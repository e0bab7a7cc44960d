"""Which pair of layers: chosen on training pairs only; and, for the map along depth, held-out scores of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from ..conditions.sides import Side
from ..errors import InputError
from ..maps import Map
from ._retrieval import rank
from ._scores import deciding
from ._splits import Codes, Split, draw

Matrix = np.ndarray[Any, Any]
LAYER_GALLERY = 2000
"""Held-out items that score every pair of layers, at most; the chosen pair is scored on all."""
INNER_FRACTION = 0.3


def features(side: Side) -> list[Matrix]:
    """Every layer as float64 where this machine computes."""
    return [np.asarray(to_numpy(layer), dtype=np.float64) for layer in side.layers.values()]


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
        origin = ys[j][split.train].mean(axis=0) if fitted.direct else 0.0
        a, b = mapped - origin, target - origin
        part = deciding({"x_to_y": rank(a, b, key, key, correction), "y_to_x": rank(b, a, key, key, correction)})
        scores[i, j], chance = part.value, part.chance
    return scores, chance


def choose(
    map: Map,
    xs: Sequence[Matrix],
    ys: Sequence[Matrix],
    split: Split,
    unit: Codes,
    groups: Codes | None,
    seed: int,
    correction: str | None,
) -> tuple[int, int]:
    """The pair of layers with the best mean reciprocal rank on an inner part of the training pairs.

    Raises:
        InputError: if the training pairs are too few to be parted once more.
    """
    if len(xs) * len(ys) == 1:
        return 0, 0
    try:
        _, own = np.unique(unit[split.train], return_inverse=True)
        inner = draw(own.reshape(-1), INNER_FRACTION, seed, 1)
        nested = Split(split.train[inner.train], split.train[inner.test])
        scores, _ = pair_scores(map, xs, ys, nested, groups, correction)
    except InputError as error:
        raise InputError(
            f"The layers are chosen on a part of the {len(split.train)} training pairs, and that did not work: {error} "
            "Give one layer a side, more items, or a first map that needs fewer pairs."
        ) from error
    i, j = np.unravel_index(int(np.argmax(scores)), scores.shape)
    return int(i), int(j)
