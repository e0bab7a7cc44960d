"""What is asked of a map beside items and concepts: covariates, limits, what a score means, a third modality."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..datasets import PairedItems
from ..errors import InputError, quoted
from ..nulls import ItemScores
from ..results import ConceptMap, Covariates, Limits, MapItems, Modalities, Redundancy, Transfer
from ._computed import read_covariates
from ._covariates import explain_items
from ._limits import limits
from ._modalities import modalities
from ._ranks import map_items
from ._redundancy import redundancy
from ._tables import Task
from ._transfer import transfer


class Parts(NamedTuple):
    """Fields of a `ConceptMap`; None where they were not asked for."""

    covariates: Covariates | None = None
    limits: Limits | None = None
    redundancy: Redundancy | None = None
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
) -> Parts:
    """What was asked for beside items and concepts.

    Args:
        task: The task.
        scores: Scores of all items.
        features: Of both sides, in the layers that most folds chose.
        ceilings: Model -> features in the layers that most folds chose, of each side.
        items: The items, in the order of the rows.
        covariates: As `concepts` takes them.
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
    if settings.limits and all(ceilings):
        found = found._replace(
            limits=limits(*features, *ceilings, metrics=settings.metric, seed=settings.seed, **common)
        )
    if settings.redundancy:
        found = found._replace(redundancy=redundancy(settings.metric, *features, seed=settings.seed, **common))
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
