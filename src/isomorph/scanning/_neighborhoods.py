"""Nearest neighbours of items in the best pair of layers: where two models agree and where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from .._core.linalg import directions, nearest_others
from ..conditions.sides import Side
from ..errors import InputError
from ..metrics import Metric
from ..results import Alignment, Neighborhoods

SHOWN_ITEMS = 12  # neighbourhoods kept of the items seen most alike, and of those seen least alike
_BLOCK = 512  # items whose neighbours' features are held at once

Floats = np.ndarray[Any, Any]
Ints = np.ndarray[Any, np.dtype[np.int64]]


def neighborhoods(left: Side, right: Side, metric: Metric[Any], alignment: Alignment, k: int) -> Neighborhoods | None:
    """Neighbours of the items that give most and least to the best score.

    A neighbor metric's own neighbours are listed, of any other metric those by cosine. Items are ranked by what they
    give to the score (`Metric.contributions`), or by the share of common neighbours where that has no meaning.

    Args:
        left: One side, its ids known.
        right: The other side.
        metric: The metric of the alignment.
        alignment: Whose best pair of layers is shown.
        k: Neighbours an item, at the most.
    """
    assert left.ids is not None  # the caller lists neighbours only where ids are known
    best, count = alignment.best(), min(k, left.n - 1)
    rows = [side.features(layer) for side, layer in ((left, best.x_layer), (right, best.y_layer))]
    states = [metric.prepare(v) for v in rows]
    units = [directions(np.asarray(to_numpy(v))) for v in rows]
    own = [metric.neighbors(state, count) for state in states]
    x_near, y_near = (nearest_others(u, count) if o is None else o for u, o in zip(units, own, strict=True))
    overlap = (x_near[:, :, None] == y_near[:, None, :]).any(axis=2).mean(axis=1)
    given = _contributions(metric, states)
    score = overlap if given is None else -given if metric.distance else given
    # of items that score the same, those whose neighbours are close in both spaces say the most
    closeness = np.sum([_standard(_mean_cosines(u, v)) for u, v in zip(units, (x_near, y_near), strict=True)], axis=0)
    order = np.lexsort((np.arange(left.n), -closeness, -score))
    least = np.lexsort((np.arange(left.n), -closeness, score))
    shown = min(SHOWN_ITEMS, left.n // 2)
    chosen = np.concatenate([order[:shown], least[:shown][::-1]])
    ids = left.ids
    return Neighborhoods(
        x_layer=best.x_layer,
        y_layer=best.y_layer,
        k=int(x_near.shape[1]),
        ids=tuple(ids[i] for i in chosen),
        overlap=tuple(float(overlap[i]) for i in chosen),
        x_neighbors=tuple(tuple(ids[j] for j in x_near[i]) for i in chosen),
        y_neighbors=tuple(tuple(ids[j] for j in y_near[i]) for i in chosen),
        nearest_by="cosine" if own[0] is None else metric.spec,
        ranked_by="overlap" if given is None else metric.spec,
        given=tuple(float(v) for v in (overlap if given is None else given)[chosen]),
    )


def _contributions(metric: Metric[Any], states: Sequence[Any]) -> Floats | None:
    try:
        found = metric.contributions(*([state] for state in states))
    except InputError:  # of as many items the score fits the memory, what each gives to it does not
        return None
    return None if found is None else found[:, 0, 0]


def _mean_cosines(unit: Floats, near: Ints) -> Floats:
    """Mean cosine of each item with its neighbours."""
    out = np.empty(len(unit))
    for s in range(0, len(unit), _BLOCK):
        rows = slice(s, s + _BLOCK)
        out[rows] = np.einsum("id,ikd->i", unit[rows], unit[near[rows]]) / near.shape[1]
    return out


def _standard(values: Floats) -> Floats:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
