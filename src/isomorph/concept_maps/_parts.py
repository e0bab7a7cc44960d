"""What is asked of a map beside items and concepts: covariates, limits, what a score means, a third modality."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..conditions import Side
from ..datasets import PairedItems
from ..errors import InputError, quoted
from ..metrics import DEFAULT_METRICS, Metric, read_metrics
from ..nulls import ItemScores
from ..results import ConceptMap, Covariates, Limits, MapItems, Modalities, Redundancy, Transfer
from ._computed import read_covariates
from ._covariates import explain_items
from ._limits import limits
from ._modalities import modalities
from ._ranks import map_items
from ._redundancy import redundancies
from ._tables import Task
from ._transfer import transfer

BY_EVERY_METRIC = 3_000
"""Items up to which limits and redundancy are told by the default metrics as well, and limits by depth."""
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_FEWEST_LAYERS = 3


class Parts(NamedTuple):
    """Fields of a `ConceptMap`; None, or none, where they were not asked for."""

    covariates: Covariates | None = None
    limits: Limits | None = None
    redundancy: tuple[Redundancy, ...] = ()
    maps: MapItems | None = None


def check_third(others: Any, names: Sequence[str]) -> tuple[str, Any] | None:
    """The third modality and its representations.

    Raises:
        InputError: if they are no mapping of one name, or the name is taken.
    """
    if others is None:
        return None
    if not isinstance(others, Mapping) or len(others) != 1:
        raise InputError(
            "others must hold one further modality of the same items, such as {'speech': layers}, found "
            f"{quoted(others)}."
        )
    name, layers = next(iter(others.items()))
    if len(set(names)) < len(names):
        raise InputError(
            f"others: x and y are both called {quoted(names[0])}, and three modalities need names that differ; give "
            "x_name= and y_name=."
        )
    if str(name) in names:
        raise InputError(f"others: {quoted(str(name))} is the name of x or y already; give it another.")
    return str(name), layers


def parts(
    task: Task,
    scores: ItemScores,
    features: Sequence[Any],
    ceilings: Sequence[Mapping[str, Any]],
    items: PairedItems | None,
    covariates: Any,
    others: Sequence[Mapping[str, Side]],
) -> Parts:
    """What was asked for beside items and concepts.

    Args:
        task: The task.
        scores: Scores of all items.
        features: Of both sides, in the layers that most folds chose.
        ceilings: Model -> features in the layers that most folds chose, of each side.
        items: The items, in the order of the rows.
        covariates: As `concepts` takes them.
        others: The other models of both sides with all their layers.
    """
    settings, groups = task.settings, task.design.groups
    sides = dict(zip("xy", features, strict=True))
    ids = task.left.ids
    common: dict[str, Any] = {"groups": groups, "alpha": settings.alpha}
    found = Parts()
    if covariates is not None:
        columns = read_covariates(covariates, items=items, sides=sides, ids=ids, n=task.n)
        explained = explain_items(
            scores.values, columns, moves=scores.moves, ids=task.ids, missing=settings.missing, **common
        )
        found = found._replace(covariates=explained)
    several = _several(settings.metric, task.n)
    if settings.limits and all(ceilings):
        found = found._replace(
            limits=limits(
                *features,
                *ceilings,
                metrics=several,
                depths=_depths(task, others) if len(several) > 1 else None,
                seed=settings.seed,
                **common,
            )
        )
    if settings.redundancy:
        clusters = len(task.sets[0].names) if task.sets else None
        found = found._replace(
            redundancy=tuple(redundancies(several, *features, clusters=clusters, seed=settings.seed, **common))
        )
    if settings.map:
        labels = {name: rows for s in task.sets[:1] for name, rows in zip(s.names, s.rows, strict=True)}
        found = found._replace(
            maps=map_items(
                settings.map,
                *features,
                folds=settings.folds,
                labels=labels or None,
                permutations=settings.permutations,
                strata=task.design.strata,
                seed=settings.seed,
                **common,
            )
        )
    return found


def _several(metric: Metric[Any], n: int) -> list[Metric[Any]]:
    """The metric of the map, and of not too many items the default ones beside it: they may tell different things."""
    return list(read_metrics([metric, *(DEFAULT_METRICS if n <= BY_EVERY_METRIC else ())]))


def _depths(task: Task, others: Sequence[Mapping[str, Side]]) -> dict[float, Any] | None:
    """Relative depth -> the layers of all models there; None where one has fewer than three."""
    sides = [task.left, task.right, *(side for given in others for side in given.values())]
    if min(len(side.layers) for side in sides) < _FEWEST_LAYERS:
        return None

    def at(side: Side, depth: float) -> Any:
        return side.features(list(side.layers)[round(depth * (len(side.layers) - 1))])

    return {
        depth: (
            at(task.left, depth),
            at(task.right, depth),
            *({name: at(side, depth) for name, side in given.items()} for given in others),
        )
        for depth in DEPTHS
    }


def third(
    task: Task, maps: Mapping[tuple[str, str], ConceptMap], features: Mapping[str, Any]
) -> tuple[Modalities | None, Transfer]:
    """Which concepts three modalities share, and whether a detour through one of them loses anything.

    Args:
        task: The task of the first two.
        maps: The map of each pair of modalities; the concepts of their first label sets are compared.
        features: Modality -> features of one layer.
    """
    settings = task.settings
    labels = {name: rows for s in task.sets[:1] for name, rows in zip(s.names, s.rows, strict=True)}
    shared = None
    if labels:
        none = np.empty((0, 3))  # the third has no ceilings, and the three pairs are to be compared
        shared = modalities(
            {pair: dataclasses.replace(m.labels, x_ceilings=none, y_ceilings=none) for pair, m in maps.items()},
            least=settings.stable,
            alpha=settings.alpha,
            correction="bh",  # as over the concepts of one pair; p of re-pairings has a floor that Holm would not pass
            items={pair: found.items.q_values for pair, found in maps.items()},
        )
    moved = transfer(
        features,
        settings.map or "ridge",
        folds=settings.folds,
        groups=task.design.groups,
        strata=task.design.strata,
        labels=labels or None,
        permutations=settings.permutations,
        seed=settings.seed,
        alpha=settings.alpha,
    )
    return shared, moved
