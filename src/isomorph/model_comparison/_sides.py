"""RDMs of subjects and of models, whatever a user gives, brought to the same items in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .._core.rdm import Rdm
from ..conditions import Side, all_joined, as_side
from ..errors import InputError, quoted
from ..metrics.rdm import RDMs, compute_rdm
from ..store import Layers
from ._bootstrap import Measured
from ._weighted import UNCENTERED
from .settings import ModelComparisonSettings

DATA = "the RDMs"
"""What the RDMs of the subjects are called beside the models, in messages."""
_FEWEST = 5  # items: of four, a bootstrap sample has three different ones in two of three draws, and three pairs


class Joined(NamedTuple):
    """One region's RDMs and the models, over the items that all have.

    Attributes:
        measured: Both as tables.
        rdms: The region's RDMs of these items.
        subjects: Names of the subjects.
        lost: In words which sides had more items.
    """

    measured: Measured
    rdms: RDMs
    subjects: tuple[str, ...]
    lost: list[str]


class Models(NamedTuple):
    """The models as sides.

    Attributes:
        sides: Name -> what was given, checked.
        places: Model -> its side and layer: every layer or RDM is a model.
    """

    sides: dict[str, Side]
    places: dict[str, tuple[str, str]]


def model_sides(models: Any) -> Models:
    """The models, checked.

    Raises:
        InputError: if there are none, or two have one name.
    """
    whole = isinstance(models, Layers | RDMs)
    if not whole and not isinstance(models, Mapping):
        raise InputError(
            f"models must map names to features or RDMs, such as {{'pixels': x, 'categories': rdm}}, found "
            f"{type(models).__name__}."
        )
    if not len(models):
        raise InputError("models is empty; give one or more, such as {'pixels': features}.")
    given = {"models": models} if whole else models
    sides, places = {}, {}
    for key, value in given.items():
        name = str(key)
        side = as_side(value, name if whole else f"models[{quoted(key)}]", None if whole else name)
        for layer in side.layers:
            label = layer if whole else name if len(side.layers) == 1 else f"{name} {layer}"
            if label in places or name == DATA:
                raise InputError(f"models: two are called {quoted(label)}; give each a name of its own.")
            places[label] = (name, layer)
        sides[name] = side
    return Models(sides, places)


def joined_with(rdms: Any, models: Models, settings: ModelComparisonSettings, where: str) -> Joined:
    """The RDMs of subjects and the models over their common items.

    Args:
        rdms: RDMs of the subjects.
        models: The models.
        settings: Settings of the comparison.
        where: What the RDMs are called in messages.

    Raises:
        InputError: if they are no RDMs, do not join, or have too few items or subjects for the inference asked for.
    """
    if not isinstance(rdms, RDMs):
        raise InputError(f"{where} must be RDMs, such as iso.RDMs.load(path), found {type(rdms).__name__}.")
    sides, lost = all_joined({DATA: as_side(rdms, where, None), **models.sides})
    ids = sides[DATA].ids
    if ids is not None and ids != rdms.ids:
        rdms = rdms.subset(ids)
    subjects, owners = _owners(rdms, settings.by, where)
    units, drawn = _units(rdms, settings.groups, where)
    if settings.generalize != "items" and len(subjects) < 2:
        raise InputError(
            f"{where}: all {len(rdms)} RDMs are of one subject, so that nothing says how subjects differ. Give RDMs of "
            "two or more, or use generalize='items', which holds for this subject."
        )
    if settings.generalize != "subjects" and drawn < _FEWEST:
        what = "items" if settings.groups is None else f"groups of items by {settings.groups!r}"
        raise InputError(
            f"{where}: {drawn} {what} are too few to be drawn from; at least {_FEWEST} are needed, or "
            "generalize='subjects', which holds for these items."
        )
    tables = np.stack(
        [_condensed(sides[s], k, label, settings.dissimilarity) for label, (s, k) in models.places.items()]
    )
    measured = Measured(np.array(rdms.dissimilarities), tables, owners, units, settings.comparison)
    _require_patterns(measured, rdms.names, list(models.places), where)
    return Joined(measured, rdms, subjects, lost)


def _owners(rdms: RDMs, by: str, where: str) -> tuple[tuple[str, ...], Any]:
    """The subjects, and the place of each RDM's.

    Raises:
        InputError: if there is no such descriptor.
    """
    if by != "subject" and by not in rdms.rdms:
        raise InputError(
            f"{where}: by={quoted(by)} is no descriptor of these RDMs; they have "
            f"{', '.join(map(repr, rdms.rdms)) or 'none'}."
        )
    whose = [str(v) for v in rdms.rdms.get(by, rdms.names)]
    who = tuple(dict.fromkeys(whose))
    return who, np.array([who.index(v) for v in whose])


def _units(rdms: RDMs, groups: str | None, where: str) -> tuple[Any, int]:
    """The unit of drawing of each item, and how many there are.

    Raises:
        InputError: if there is no such descriptor of the items.
    """
    if groups is None:
        return np.arange(rdms.n), rdms.n
    if groups not in rdms.items:
        raise InputError(
            f"{where}: groups={quoted(groups)} is no descriptor of the items of these RDMs; they have "
            f"{', '.join(map(repr, rdms.items)) or 'none'}."
        )
    places = np.unique([str(v) for v in rdms.items[groups]], return_inverse=True)[1].reshape(-1)
    return places, int(places.max()) + 1


def _condensed(side: Side, layer: str, label: str, dissimilarity: str) -> Any:
    features = side.features(layer, min_items=3, rdms=True)
    if isinstance(features, Rdm):
        return features.condensed
    try:
        return np.asarray(compute_rdm(features, dissimilarity), dtype=np.float64)
    except InputError as error:
        raise InputError(f"The model {quoted(label)}: {error}") from error


def _require_patterns(measured: Measured, names: tuple[str, ...], models: list[str], where: str) -> None:
    """Refuse RDMs all of whose dissimilarities are the same, and whitened comparisons of RDMs with gaps.

    Raises:
        InputError: if there is such a one.
    """
    for rows, called in ((measured.data, [f"the RDM {n!r} of {where}" for n in names]),
                         (measured.models, [f"the model {n!r}" for n in models])):  # fmt: skip
        for row, name in zip(rows, called, strict=True):
            known = row[~np.isnan(row)]
            flat = len(known) == 0 or np.ptp(known) <= 1e-12 * np.abs(known).max()
            if flat and (measured.comparison not in UNCENTERED or not len(known) or not known.any()):
                raise InputError(
                    f"All dissimilarities of {name} are the same or missing over the {len(measured.units)} items that "
                    "all sides have, so that there is no pattern to compare. Leave it out."
                )


def gaps(joined: Joined) -> int:
    """Dissimilarities that are missing in the RDMs and the models."""
    measured = joined.measured
    return int(np.isnan(measured.data).sum() + np.isnan(measured.models).sum())
