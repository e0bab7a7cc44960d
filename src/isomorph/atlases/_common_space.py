"""One space for all models: layers chosen and the space fitted on one half of the items, judged on the other."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..population import consensus
from ..results import CommonSpace, ModelAlignment
from ._compare import Plan

ORDERS = 199
"""Permuted orders of the held-out items."""


def common_space(plan: Plan, alignment: ModelAlignment) -> CommonSpace:
    """The space of the models of a plan.

    The halves are those of the first split; of each model the layer is taken that its pairs choose most often on the
    half that the space is fitted on, the last one where scores are of several layers.

    Args:
        plan: The models.
        alignment: What the halves chose, by the metric that comes first.

    Raises:
        InputError: if half the items are fewer than eight, or a layer does not vary on them.
    """
    sides, n = plan.sides[: plan.models], plan.sides[0].n
    part = plan.design.part(n, 0.5, plan.settings.seed)
    votes: list[Counter[int]] = [Counter() for _ in sides]
    for (i, j), (a, b) in zip(alignment.pairs.tolist(), alignment.chosen_on_halves[0].tolist(), strict=True):
        for model, layer in ((i, a), (j, b)):
            if layer >= 0 and max(i, j) < plan.models:
                votes[model][layer] += 1
    layers = []
    for side, own in zip(sides, votes, strict=True):
        at = min(own, key=lambda layer: (-own[layer], layer)) if own else -1
        layers.append(list(side.layers)[at])
    held = int(n - part.sum())
    found = consensus(
        {side.name: side.features(layer) for side, layer in zip(sides, layers, strict=True)},
        np.flatnonzero(part).tolist(),
        np.flatnonzero(~part).tolist(),
        rank=plan.settings.consensus,
        permutations=min(ORDERS, held - 1) if plan.design.series else ORDERS,
        groups=plan.design,
        seed=plan.settings.seed,
    )
    return CommonSpace.of(found, tuple(layers), plan.settings.alpha)
