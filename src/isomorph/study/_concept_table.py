"""Reading a table of ``[[concepts]]``: which encoders, which concepts, and what the ceilings of both sides are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.settings import Settings, read_table
from ..concept_maps import ConceptSettings
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
    name: str = ""


def read_concepts(table: Mapping[str, Any], encoders: Sequence[str], where: str, seed: int) -> ConceptEntry:
    """What one table of ``[[concepts]]`` says.

    Args:
        table: The table.
        encoders: Names of the encoders of the study.
        where: What it is called in messages.
        seed: Seed of the study, where the table has none.

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
    named = {"x": (own.x,), "y": (own.y,)} | ceilings
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
    return ConceptEntry(own.x, own.y, settings, **ceilings, labels=_several(own.labels), name=own.name)


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
