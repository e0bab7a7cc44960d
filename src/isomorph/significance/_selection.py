"""Choosing the layers on one half of the items and scoring them on the other: a search that needs no correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import Array, take_rows, to_numpy
from ..design import Design, Labels
from ..errors import InputError
from ..metrics import Metric
from ..results import HeldOut
from ._intervals import _features, _scores
from ._judge import judge_block, orders_for


def select_split(
    metric: Metric[Any],
    xs: Mapping[str, Any] | Sequence[Any],
    ys: Mapping[str, Any] | Sequence[Any],
    *,
    fraction: float = 0.5,
    seed: int = 0,
    groups: Labels | None = None,
    strata: Labels | None = None,
    circular: bool = False,
    within: bool = True,
    permutations: int = 1000,
    budget: float | None = None,
) -> HeldOut:
    """Choose the best layer pair on a part of the items, score it on the rest.

    Args:
        metric: The metric.
        xs: Features of the layers of one side, arrays (n, d), by name or in order (then called ``"layer_00"``, …).
        ys: Features of the layers of the other side.
        fraction: Share of the items (or groups) that choose.
        seed: Seed of the split and of the permutations.
        groups: One group an item; groups are never parted, and permuted as such.
        strata: One label an item; both parts get their share of each, and items are permuted inside labels.
        circular: Items are one time series: its beginning chooses, its end is scored and shifted against itself. With
            `groups`, whole series choose or are scored.
        within: Whether items inside a group are shuffled as well.
        permutations: Re-pairings to sample where the metric has no exact null, or items are not permuted freely; of one
            series, at most all its shifts.
        budget: Seconds for these, after which the score is sampled only until it is settled, or None.

    Raises:
        InputError: if the sides do not fit each other, or a part has too few items for the metric.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = select_split(iso.metric("cka"), {"early": noise, "late": x}, {"last": x + 0.5 * noise})
        >>> found["x_layer"], round(found["selection_value"], 2), round(found["value"], 2)
        ('late', 0.83, 0.85)
    """
    design = Design(groups, strata, circular, within)
    return held_out(
        metric, _named(xs), _named(ys), design, fraction=fraction, seed=seed, permutations=permutations, budget=budget
    )


def held_out(
    metric: Metric[Any],
    xs: Mapping[str, Any],
    ys: Mapping[str, Any],
    design: Design,
    *,
    fraction: float = 0.5,
    seed: int = 0,
    permutations: int = 1000,
    budget: float | None = None,
) -> HeldOut:
    """`select_split` under a design.

    Raises:
        InputError: as `select_split`.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> layers = {"early": noise, "late": x}
        >>> found = held_out(iso.metric("cka"), layers, {"last": x + 0.5 * noise}, Design())
        >>> found["x_layer"], round(found["value"], 2), found["n_score"]
        ('late', 0.85, 30)
    """
    left, right = _features(metric, list(xs.values()), "xs"), _features(metric, list(ys.values()), "ys")
    n = left[0].shape[0]
    if right[0].shape[0] != n:
        raise InputError(f"xs has {n} items and ys has {right[0].shape[0]}; row i of both must be the same item.")
    first, rest = split_rows(metric, n, design, fraction=fraction, seed=seed)
    scores = _scores(metric, _rows(left, first), _rows(right, first))
    best = int(np.argmin(scores) if metric.distance else np.argmax(scores))
    i, j = (int(k) for k in np.unravel_index(best, scores.shape))
    x, y = (metric.prepare(take_rows(side[k], rest)) for side, k in ((left, i), (right, j)))
    value = np.asarray(to_numpy(metric.compare([x], [y])), dtype=np.float64)
    count = min(permutations, len(rest) - 1) if design.series else permutations
    orders = orders_for(design.take(rest), len(rest), count, seed)
    found = judge_block(metric, [x], [y], value, orders, design, budget=budget)
    return {
        "x_layer": list(xs)[i],
        "y_layer": list(ys)[j],
        "value": float(value[0, 0]),
        "chance": float(found.chance[0, 0]),
        "p_value": float(found.p_value[0, 0]),
        "selection_value": float(scores[i, j]),
        "n_selection": len(first),
        "n_score": len(rest),
        "null": found.source,
    }


def _named(layers: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    if isinstance(layers, Mapping):
        return dict(layers)
    return {f"layer_{i:02d}": layer for i, layer in enumerate(layers)}


def split_rows(
    metric: Metric[Any], n: int, design: Design, *, fraction: float = 0.5, seed: int = 0
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The rows that choose the layers, and those that score them.

    Raises:
        InputError: if either are too few for the metric, or nothing of the latter can change places.

    Example:
        >>> chosen, scored = split_rows(iso.metric("cka"), 10, Design(), fraction=0.5, seed=0)
        >>> len(chosen), len(scored), set(chosen) & set(scored)
        (5, 5, set())
    """
    chooses = design.part(n, fraction, seed)
    first, rest = np.flatnonzero(chooses), np.flatnonzero(~chooses)
    if min(len(first), len(rest)) < metric.min_items:
        raise InputError(
            f"A split of {n} items into {len(first)} and {len(rest)} is too small: {metric} needs "
            f"{metric.min_items} in each part."
        )
    try:
        design.take(rest).orders(len(rest), 0, seed)
    except InputError as error:
        raise InputError(
            f"A split of the {n} items leaves {len(rest)} that score the layers, {design}, and these cannot be "
            f"permuted by themselves: {str(error).removeprefix('permutations: ')} Or score on all items "
            "(selection='all')."
        ) from error
    return first, rest


def _rows(layers: Sequence[Array], rows: np.ndarray[Any, Any]) -> list[Array]:
    return [take_rows(layer, rows) for layer in layers]
