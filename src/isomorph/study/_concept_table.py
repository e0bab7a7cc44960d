"""Reading a table of ``[[concepts]]``: which encoders, which concepts, and what the ceilings of both sides are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core.settings import Settings, read_table
from ..concept_maps import ConceptSettings
from ..datasets import read_columns
from ..errors import InputError, UnknownNameError, quoted
from ._entries import ConceptEntry


@dataclasses.dataclass(frozen=True)
class _Asked(Settings):
    """What a table says beside the settings of the map."""

    x: str
    y: str
    x_ceilings: str | tuple[str, ...] = ()
    y_ceilings: str | tuple[str, ...] = ()
    labels: str | tuple[str, ...] = ()
    covariates: str | tuple[str, ...] = ()
    others: str = ""
    name: str = ""


def read_concepts(
    table: Mapping[str, Any], encoders: Sequence[str], where: str, seed: int, folder: Path
) -> ConceptEntry:
    """What one table of ``[[concepts]]`` says.

    Args:
        table: The table.
        encoders: Names of the encoders of the study.
        where: What it is called in messages.
        seed: Seed of the study, where the table has none.
        folder: Where tables of covariates lie that are given by relative paths.

    Raises:
        InputError: if a side is missing or is its own ceiling, or a value does not fit.
        UnknownNameError: if there is no such setting or encoder.
    """
    known = [*_Asked.names(), *ConceptSettings.names()]
    for key in table:
        if key not in known:
            raise UnknownNameError(f"setting in {where}", str(key), known)
    for name in ("x", "y"):
        if name not in table:
            raise InputError(f"{where}: a table has no {name!r}; it needs x and y, each an encoder.")
    own = read_table(_Asked, {k: v for k, v in table.items() if k in _Asked.names()}, where)
    settings = ConceptSettings.read(
        {"seed": seed} | {k: v for k, v in table.items() if k in ConceptSettings.names()}, where
    )
    ceilings = {key: _several(getattr(own, key)) for key in ("x_ceilings", "y_ceilings")}
    _check_names(own, ceilings, encoders, where)
    try:
        covariates = _covariates(_several(own.covariates), folder)
    except InputError as error:
        raise InputError(f"{where}: covariates: {error}") from error
    return ConceptEntry(
        own.x,
        own.y,
        settings,
        **ceilings,
        labels=_several(own.labels),
        covariates=covariates,
        others=own.others,
        name=own.name,
    )


def _check_names(own: _Asked, ceilings: Mapping[str, tuple[str, ...]], encoders: Sequence[str], where: str) -> None:
    """Check that all encoders are there, and that none stands for two things.

    Raises:
        InputError: if one is compared with itself.
        UnknownNameError: if there is no such encoder.
    """
    named = {"x": (own.x,), "y": (own.y,), "others": _several(own.others or ()), **ceilings}
    for key, names in named.items():
        for name in names:
            if name not in encoders:
                raise UnknownNameError(f"encoder in {where}: {key}", name, encoders)
    if own.x == own.y:
        raise InputError(f"{where}: x and y are both {quoted(own.x)}; a map of concepts is of two encoders.")
    for key, names in ceilings.items():
        for name in names:
            if name in (own.x, own.y):
                raise InputError(
                    f"{where}: {key} names {quoted(name)}, which is compared itself; name another encoder of the "
                    f"modality of {key[0]}."
                )
    if own.others in (own.x, own.y):
        raise InputError(
            f"{where}: others={quoted(own.others)} is x or y already; name an encoder of a third modality."
        )


def _covariates(given: Sequence[str], folder: Path) -> dict[str, Any]:
    """Covariate -> its name where it is a label set or computed, or its values by id where a table holds it.

    Raises:
        InputError: if a table cannot be read, or one is given twice.
    """
    found: dict[str, Any] = {}
    for name in given:
        tabled = Path(name).suffix and "(" not in name
        for column, values in (read_columns(folder / name) if tabled else {name: name}).items():
            if column in found:
                raise InputError(f"{quoted(column)} is given twice; leave one out.")
            found[column] = values
    return found


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
