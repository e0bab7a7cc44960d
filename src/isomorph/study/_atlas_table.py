"""Reading a table of ``[[atlases]]``: which encoders, and what is asked of them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .._core.settings import Settings, read_table
from ..atlases import AtlasSettings, read_attributes
from ..errors import InputError, UnknownNameError, quoted
from ..results import check_question, read_question
from ._entries import AtlasEntry

_LISTS = {
    "trends": "trend",
    "thresholds": "threshold",
    "divergence": "divergence",
    "domain_divergence": "domain_divergence",
}
_NAMED = ("reference", "models", "specialists", "pool")  # arguments of questions that name models


@dataclasses.dataclass(frozen=True)
class _Asked(Settings):
    """What a table says beside the settings of the atlas."""

    models: str | tuple[str, ...] = ("*",)
    exclude: str | tuple[str, ...] = ()
    baselines: bool = True
    name: str = ""
    attributes: str | None = None
    keep: str = ""
    trends: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    thresholds: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    divergence: dict[str, Any] | list[dict[str, Any]] = dataclasses.field(default_factory=list)
    domain_divergence: dict[str, Any] | list[dict[str, Any]] = dataclasses.field(default_factory=list)
    factors: list[str] = dataclasses.field(default_factory=list)


def read_atlas(table: Mapping[str, Any], encoders: Sequence[str], where: str, seed: int, folder: Path) -> AtlasEntry:
    """What one table of ``[[atlases]]`` says.

    Args:
        table: The table.
        encoders: Names of the encoders of the study, which patterns such as ``"whisper-*"`` choose from.
        where: What it is called in messages.
        seed: Seed of the study, where the table has none.
        folder: Where a table of attributes lies that is given by a relative path.

    Raises:
        InputError: if fewer than two models are named, a value does not fit, or the table of attributes cannot be read.
        UnknownNameError: if there is no such setting, encoder or question.
    """
    known = [*_Asked.names(), *AtlasSettings.names()]
    for key in table:
        if key not in known:
            raise UnknownNameError(f"setting in {where}", str(key), known)
    own = read_table(_Asked, {k: v for k, v in table.items() if k in _Asked.names()}, where)
    left = chosen(own.exclude, encoders, f"{where}: exclude")
    models = tuple(m for m in chosen(own.models, encoders, f"{where}: models") if m not in left)
    if len(models) < 2:
        raise InputError(
            f"{where}: models={quoted(table.get('models', '*'))} without exclude are {', '.join(models) or 'none'}; "
            "two encoders or more are compared."
        )
    rest = {k: v for k, v in table.items() if k in AtlasSettings.names()}
    if "reference" in rest:
        rest["reference"] = list(chosen(rest["reference"], models, f"{where}: reference"))
    settings = AtlasSettings.read({"seed": seed} | rest, where)
    questions, attributes = tuple(_questions(own, models, where)), {}
    if own.attributes is not None:
        try:
            attributes = read_attributes(folder / own.attributes, models)
        except InputError as error:
            raise InputError(f"{where}: attributes={quoted(own.attributes)}: {error}") from error
    return AtlasEntry(models, settings, own.baselines, questions, own.name, attributes, own.keep)


def chosen(given: Any, names: Sequence[str], where: str) -> tuple[str, ...]:
    """The names that a name, a pattern with ``*``, or a list of these stands for, each once.

    Raises:
        InputError: if it is none of these, or a pattern fits no name.
        UnknownNameError: if there is no such name.
    """
    wanted = (given,) if isinstance(given, str) else given
    if not isinstance(wanted, (list, tuple)) or not all(isinstance(w, str) for w in wanted):
        raise InputError(f"{where}={quoted(given)} must be a name, a pattern such as 'whisper-*', or a list of these.")
    found: dict[str, None] = {}
    for pattern in wanted:
        fitting = [name for name in names if name == pattern or ("*" in pattern and fnmatchcase(name, pattern))]
        if not fitting and "*" in pattern:
            raise InputError(f"{where}: no encoder fits {quoted(pattern)}; there are {', '.join(names)}.")
        if not fitting:
            raise UnknownNameError(f"encoder in {where}", pattern, names)
        found |= dict.fromkeys(fitting)
    return tuple(found)


def _questions(own: _Asked, models: Sequence[str], where: str) -> list[dict[str, Any]]:
    """All that is asked, in the order of the fields, with patterns of names filled in."""
    tables: list[tuple[str, dict[str, Any]]] = []
    for key, ask in _LISTS.items():
        given = getattr(own, key)
        for k, table in enumerate([given] if isinstance(given, dict) else given):
            place = f"{where}: {key}" if isinstance(given, dict) else f"{where}: {key}[{k}]"
            tables.append((place, {"ask": ask} | table))
    if own.factors:
        tables.append((f"{where}: factors", {"ask": "factors", "factors": own.factors}))
    found = []
    for place, table in tables:
        filled = dict(table)
        for name in _NAMED:
            value = table.get(name)
            several = value if isinstance(value, list) else [value]
            if any(isinstance(v, str) and "*" in v for v in several):
                filled[name] = list(chosen(several, models, f"{place}: {name}"))
        question = read_question(filled, place)
        check_question(question, place, models=models)
        found.append(question)
    return found
