"""What users give as measured RDMs and model RDMs: condensed, over the same items in the same order."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.rdm import Rdm
from ..errors import InputError, quoted
from ..metrics.rdm import RDMs, entries_of, mean_rdm, regressors, scaled_rdms

Floats = np.ndarray[Any, np.dtype[np.float64]]
FEWEST = 6
"""Items at the least: two folds of three, each a smallest RDM."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """Measured RDMs and the models that are to explain them.

    Attributes:
        data: Measured RDMs (RDMs, entries), NaN where they lack an entry.
        models: Model RDMs (models, entries), likewise.
        names: Names of the models.
        owners: The place in `subjects` of each measured RDM's.
        subjects: Whose they are.
        n: Number of items.
        rows: The places in the measured RDMs of the items that are left.
        lost: Items of the measured RDMs that a model lacks.
    """

    data: Floats
    models: Floats
    names: tuple[str, ...]
    owners: np.ndarray[Any, np.dtype[np.int64]]
    subjects: tuple[str, ...]
    n: int
    rows: np.ndarray[Any, np.dtype[np.int64]]
    lost: int

    @property
    def gaps(self) -> bool:
        """Whether any entry is missing."""
        return bool(np.isnan(self.data).any() or np.isnan(self.models).any())


def pooled(rows: Floats, comparison: str) -> Floats:
    """The RDM (entries,) that by the comparison is most like all of some RDMs (RDMs, entries), up to a factor.

    For the whitened ones, which have no gaps, each counts by its length after entries are decorrelated.
    """
    if not comparison.startswith("whitened"):
        return mean_rdm(scaled_rdms(rows, comparison))
    vectors = regressors(rows, comparison)
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    rows = rows if comparison.endswith("cosine") else rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(np.mean(rows / np.where(length > 0, length, 1.0)[:, None], axis=0))


def read_problem(rdms: Any, models: Any, by: str) -> Problem:
    """Measured and model RDMs over the items that all have: joined by name where both name them, else row by row.

    Raises:
        InputError: if either holds no RDMs, they are of other items, or there is no such descriptor.
    """
    measured = as_rdms(rdms, "rdms")
    given = named_models(models)
    rows = shared_rows(measured.ids, measured.n, given, "rdms")
    if len(rows) < FEWEST:
        raise InputError(
            f"rdms and models share {len(rows)} items; at least {FEWEST} are needed, so that weights can be fitted on "
            "some and scored on others."
        )
    if by not in measured.rdms and by != "subject":
        raise InputError(
            f"by={quoted(by)} is no descriptor of these RDMs; they have "
            f"{', '.join(map(repr, measured.rdms)) or 'none'}."
        )
    whose = [str(v) for v in measured.rdms.get(by, measured.names)]
    subjects = tuple(dict.fromkeys(whose))
    return Problem(
        data=entries_of(measured.dissimilarities, rows),
        models=np.concatenate([in_order(m, measured.ids, rows) for m in given.values()]),
        names=tuple(given),
        owners=np.array([subjects.index(v) for v in whose]),
        subjects=subjects,
        n=len(rows),
        rows=rows,
        lost=measured.n - len(rows),
    )


def as_rdms(given: Any, name: str) -> RDMs:
    """`RDMs` from themselves, a file, or arrays.

    Raises:
        InputError: if they are none of these, or no RDMs.
    """
    if isinstance(given, RDMs):
        checked = RDMs.from_arrays(given.dissimilarities, negative=True)
        return dataclasses.replace(given, dissimilarities=checked.dissimilarities)
    if isinstance(given, (str, os.PathLike)):
        return RDMs.load(os.fspath(given).removeprefix("rdms:") if isinstance(given, str) else given, negative=True)
    if isinstance(given, Rdm):
        return RDMs.from_arrays(given.condensed, given.ids, negative=True)
    if given is None or isinstance(given, (Mapping, set, bool, bytes)):
        raise InputError(
            f"{name} must be RDMs: iso.RDMs, a file of them, or an array, condensed or square; found "
            f"{type(given).__name__}."
        )
    try:
        return RDMs.from_arrays(given, negative=True)
    except InputError as error:
        raise InputError(f"{name}: {error} Of features, isomorph.metrics.rdm.compute_rdm makes an RDM.") from error


def named_models(models: Any) -> dict[str, RDMs]:
    """One RDM a model, by name.

    Raises:
        InputError: if there are none, or one is no single RDM.
    """
    if isinstance(models, RDMs):
        return {name: dataclasses.replace(models, dissimilarities=models.dissimilarities[[i]], rdms={})
                for i, name in enumerate(models.names)}  # fmt: skip
    if not isinstance(models, Mapping) or not models:
        raise InputError(
            f"models must be a mapping of names to RDMs, such as {{'dnn': rdm, 'pixels': rdm}}, or iso.RDMs; found "
            f"{type(models).__name__}{' without entries' if isinstance(models, Mapping) else ''}."
        )
    found = {str(k): as_rdms(v, f"models[{quoted(k)}]") for k, v in models.items()}
    for name, rdm in found.items():
        if len(rdm) != 1:
            raise InputError(f"models[{quoted(name)}] holds {len(rdm)} RDMs; give one each, such as rdms[name].")
    return found


def shared_rows(ids: Sequence[str] | None, n: int, models: Mapping[str, RDMs], which: str) -> Any:
    """The rows of the measured items that all models have.

    Args:
        ids: Names of the measured items, or None where they have none.
        n: Their number.
        models: One RDM a model.
        which: What was measured, for messages.

    Raises:
        InputError: if a model has other items.
    """
    named = {k: m.ids for k, m in models.items() if m.ids is not None}
    if ids is None and len(set(named.values())) > 1:
        raise InputError(
            f"models name their items in different orders and {which} name none, so that they cannot be joined; give "
            "ids= to RDMs.from_arrays or RDMs.load, or conditions= of responses."
        )
    for name, model in models.items():
        if (model.ids is None or ids is None) and model.n != n:
            raise InputError(
                f"models[{quoted(name)}] has {model.n} items and {which} {n}; give both with names of items to join "
                "them: iso.RDMs with ids=."
            )
    if ids is None:
        return np.arange(n)
    there: Sequence[set[str]] = [set(v) for v in named.values()]
    return np.array([i for i, v in enumerate(ids) if all(v in s for s in there)], dtype=np.int64)


def in_order(model: RDMs, ids: Sequence[str] | None, rows: Any) -> Floats:
    """The model's entries (1, entries) of some rows of the measured items."""
    if model.ids is None or ids is None:
        return entries_of(model.dissimilarities, rows)
    place = {v: i for i, v in enumerate(model.ids)}
    return entries_of(model.dissimilarities, np.array([place[ids[i]] for i in rows]))
