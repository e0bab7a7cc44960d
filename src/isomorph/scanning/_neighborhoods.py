"""Nearest neighbours of items in the best pair of layers: where two models agree and where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .._core.arrays import Array, as_features, take_rows, to_numpy
from .._core.linalg import sum_squares, top_k
from ..conditions.sides import Side
from ..results import Alignment, Neighborhoods

SHOWN_ITEMS = 12  # neighbourhoods kept of the items seen most alike, and of those seen least alike


def neighborhoods(left: Side, right: Side, alignment: Alignment, k: int) -> Neighborhoods | None:
    """Neighbours, by cosine, of the items with the highest and the lowest overlap."""
    assert left.ids is not None  # the caller lists neighbours only where ids are known
    best = alignment.best()
    k = min(k, left.n - 1)
    (x_sim, x_near), (y_sim, y_near) = (
        _nearest(as_features(side.layers[layer], layer), k)
        for side, layer in ((left, best.x_layer), (right, best.y_layer))
    )
    overlap = np.array([len(np.intersect1d(a, b)) for a, b in zip(x_near, y_near, strict=True)]) / k
    # among equal overlaps, items whose neighbours are close in both spaces say the most
    closeness = _standard(x_sim.mean(axis=1)) + _standard(y_sim.mean(axis=1))
    order = np.lexsort((np.arange(left.n), -closeness, -overlap))
    least = np.lexsort((np.arange(left.n), -closeness, overlap))
    shown = min(SHOWN_ITEMS, left.n // 2)
    rows = np.concatenate([order[:shown], least[:shown][::-1]])
    ids = left.ids
    return Neighborhoods(
        x_layer=best.x_layer,
        y_layer=best.y_layer,
        k=k,
        ids=tuple(ids[i] for i in rows),
        overlap=tuple(float(overlap[i]) for i in rows),
        x_neighbors=tuple(tuple(ids[j] for j in x_near[i]) for i in rows),
        y_neighbors=tuple(tuple(ids[j] for j in y_near[i]) for i in rows),
    )


def _nearest(features: Array, k: int, block: int = 2048) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Cosines and indices of each item's k nearest other items; an item without direction is equally near to all."""
    xp = array_namespace(features)
    norms = sum_squares(features, axis=1) ** 0.5
    unit = features / xp.astype(xp.where(norms > 0, norms, xp.ones_like(norms)), features.dtype)[:, None]
    similarities, indices = [], []
    n = unit.shape[0]
    for start in range(0, n, block):
        rows = np.arange(start, min(n, start + block))
        scores = np.array(to_numpy(take_rows(unit, rows) @ unit.T))
        scores[np.arange(len(rows)), rows] = -np.inf
        values, index = top_k(scores, k)
        similarities.append(values)
        indices.append(index)
    return np.concatenate(similarities), np.concatenate(indices)


def _standard(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
