"""How alike two sides see each item, in layers that the item had no part in choosing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import take_rows, to_numpy
from ..conditions import Side
from ..errors import InputError
from ..metrics import Metric
from ..nulls import ItemScores, mixed
from ..significance import sampled_null

Codes = np.ndarray[Any, np.dtype[np.int64]]
_SAME = 1e-9  # from a score of 1
Chosen = tuple[tuple[str, str], ...]
"""The layers of both sides, for each fold of the items."""


def check_has_items(metric: Metric[Any]) -> None:
    """Check that a metric has scores per item.

    Raises:
        InputError: if it has none; those that have are named.
    """
    from ..metrics import REGISTRY

    if not metric.item_score:
        able = [name for name in REGISTRY.classes if REGISTRY.make(name).item_score]
        raise InputError(
            f"metric={metric.spec!r} has no score per item, so it cannot tell which items are seen alike. Use one that "
            f"has: {', '.join(able)}."
        )


def choose(
    metric: Metric[Any],
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    fold: Codes,
    *,
    lefts: Sequence[Sequence[str]],
    rights: Sequence[Sequence[str]],
) -> Chosen:
    """The best pair of layers for each fold, by the items of the other folds.

    Args:
        metric: What is best by.
        left: Layer -> features (n, d).
        right: The same of the other side.
        fold: The fold of each item.
        lefts: For each fold, the layers of `left` that may be chosen.
        rights: The same of `right`.

    Raises:
        InputError: if the items of the other folds are too few for the metric.
    """
    chosen = []
    for f in range(len(lefts)):
        names = list(lefts[f]), list(rights[f])
        if len(names[0]) == len(names[1]) == 1:
            chosen.append((names[0][0], names[1][0]))
            continue
        rows = np.flatnonzero(fold != f)
        if len(rows) < metric.min_items:
            raise InputError(
                f"{metric.spec} needs {metric.min_items} items to choose layers by, and {len(rows)} are left where a "
                "fold is held out. Give more items, or x_layer= and y_layer=."
            )
        states = [
            [metric.prepare(take_rows(side[name], rows)) for name in some]
            for side, some in zip((left, right), names, strict=True)
        ]
        scores = np.asarray(to_numpy(metric.compare(*states)), dtype=np.float64)
        best = int(np.argmin(scores) if metric.distance else np.argmax(scores))
        i, j = np.unravel_index(best, scores.shape)
        chosen.append((names[0][int(i)], names[1][int(j)]))
    return tuple(chosen)


class Prepared:
    """Layers that a metric has prepared, each once: sides are compared with each other and with their ceilings."""

    def __init__(self, metric: Metric[Any]) -> None:
        self.metric = metric
        self._states: dict[int, tuple[Any, Any]] = {}

    def __call__(self, features: Any) -> Any:
        """The prepared state of features; those that were given are held, so that none takes the place of another."""
        held = self._states.get(id(features))
        if held is None:
            held = self._states[id(features)] = (features, self.metric.prepare(features))
        return held[1]


def agreement(
    prepared: Prepared, left: Mapping[str, Any], right: Mapping[str, Any], fold: Codes, chosen: Chosen
) -> ItemScores:
    """Scores of all items, each among all others, in the layers of its fold.

    Raises:
        InputError: if the metric has no score per item on these features.
    """
    metric = prepared.metric
    parts = []
    for pair in dict.fromkeys(chosen):
        folds = [f for f, found in enumerate(chosen) if found == pair]
        scores = metric.item_scores(prepared(left[pair[0]]), prepared(right[pair[1]]))
        if scores is None:
            raise InputError(f"metric={metric.spec!r} has no score per item on these features.")
        parts.append((np.isin(fold, folds).astype(np.float64), scores))
    return mixed(parts)


def searched(
    prepared: Prepared, left: Mapping[str, Any], right: Mapping[str, Any], orders: Any, advance: Any
) -> tuple[ItemScores, list[tuple[ItemScores, Any]]]:
    """Item scores in the layers that are best for all items, and re-pairings in those that are best in each of them.

    Layers that were chosen among many agree by chance on more than the items that chose them: where most items lie
    alike, so does an item that had no part. A p is therefore that of a search by all items, held against re-pairings
    with a search of their own: the same is done to both, so that it is exact.

    Args:
        prepared: What is best by.
        left: Layer -> features of one side, those that may be chosen.
        right: The same of the other side.
        orders: Re-pairings.
        advance: Called with 1 after each.
    """
    metric = prepared.metric
    xs, ys = ([prepared(features) for features in side.values()] for side in (left, right))
    sign = -1.0 if metric.distance else 1.0
    null = sign * sampled_null(metric, xs, ys, orders, advance=advance).reshape(len(orders), -1)
    own = int(np.argmax(sign * np.asarray(to_numpy(metric.compare(xs, ys)), dtype=np.float64)))
    best = np.argmax(null, axis=1)

    def scores(pair: int) -> ItemScores:
        i, j = divmod(pair, len(ys))
        found = metric.item_scores(xs[i], ys[j])
        assert found is not None  # it has some on the layers that were chosen
        return found

    return scores(own), [(scores(int(pair)), orders[:][best == pair]) for pair in np.unique(best)]


def ceiling(
    prepared: Prepared,
    own: Mapping[str, Any],
    own_layers: Sequence[str],
    others: Sequence[Side],
    fold: Codes,
) -> tuple[ItemScores, list[Chosen], list[str]]:
    """Scores of a side with other models of its modality: their mean over these models.

    Args:
        prepared: The metric, with the layers that it has prepared.
        own: Layer -> features of the side.
        own_layers: The layer of the side for each fold, as it was chosen against the other modality.
        others: The other models, over the same items.
        fold: The fold of each item.

    Returns:
        The scores, which layers were used for each model, and the models that agree with the side on every item.
    """
    found, layers, copies = [], [], []
    for other in others:
        features = {name: other.features(name) for name in other.layers}
        chosen = choose(
            prepared.metric,
            own,
            features,
            fold,
            lefts=[(name,) for name in own_layers],
            rights=[list(features)] * len(own_layers),
        )
        scores = agreement(prepared, own, features, fold, chosen)
        if np.all(scores.values >= 1 - _SAME):
            copies.append(other.name)
        found.append(scores)
        layers.append(chosen)
    share = np.full(len(fold), 1 / len(found))
    return mixed([(share, scores) for scores in found]), layers, copies
