"""Sides of a study that no encoder makes: RDMs of brains or people, and features that other tools wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .._core.settings import Settings, read_table
from ..conditions import content
from ..datasets import PairedItems
from ..errors import InputError, UnknownNameError, quoted
from ..metrics.rdm import RDMs
from ..store import Layers


@dataclasses.dataclass(frozen=True)
class SideEntry(Settings):
    """One ``[sides.NAME]`` table.

    Attributes:
        rdms: File of RDMs, see `isomorph.RDMs.load`.
        features: File or folder of features, see `isomorph.Layers.load`.
        in_order: Whether the file names no items, but has those of the study in their order.
        ids: Descriptor of an RDM file that names the items, if it has several.
        variable: Variable of a ``.mat`` file of RDMs, if several may be RDMs.
        only: Which RDMs or layers are taken: patterns of their names, such as ``"subject 1*"``, or their places from 0;
            by default all.
        subjects: Whose each RDM is, if the file does not say.
        sessions: When each RDM was measured, if the file does not say.
        average_by: Descriptor of the RDMs, such as ``"subject"``: those of each value are averaged, such as a person's
            sessions; ``"all"`` averages all.
        negative: Whether dissimilarities may be below 0, as cross-validated ones are by chance.
        attributes: What an atlas is told of the side.

    Example:
        >>> SideEntry(rdms="it.mat", only=("human*",)).source
        'it.mat'
    """

    rdms: str | None = None
    features: str | None = None
    in_order: bool = False
    ids: str | None = None
    variable: str | None = None
    only: tuple[str | int, ...] = ()
    subjects: tuple[str | int, ...] | None = None
    sessions: tuple[str | int, ...] | None = None
    average_by: str | None = None
    negative: bool = False
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def source(self) -> str:
        """The file."""
        return self.rdms or self.features or ""


def read_sides(tables: Mapping[str, Any], encoders: Iterable[str], path: Path) -> dict[str, SideEntry]:
    """All tables of ``[sides]``.

    Args:
        tables: Name -> table.
        encoders: Names of the encoders of the study.
        path: The study file, beside which relative paths lie.

    Raises:
        InputError: if a table does not fit, or names no file or both kinds, or is called like an encoder.
        UnknownNameError: if there is no such setting.
    """
    found = {}
    for name, table in tables.items():
        where = f"{path}, sides.{name}"
        if not isinstance(table, dict):
            raise InputError(f"{where} must be a table ([sides.{name}]), found {quoted(table)}.")
        if name in encoders:
            raise InputError(f"{where}: an encoder is called {quoted(name)} too; rename one of them.")
        if not name or name.startswith(".") or set(name) & set("/\\\0"):
            raise InputError(f"{where}: a name is part of file names; use letters, digits and dashes.")
        for key in table:
            if key not in SideEntry.names():
                raise UnknownNameError(f"setting in {where}", str(key), SideEntry.names())
        entry = read_table(SideEntry, _listed(table), where)
        if (entry.rdms is None) == (entry.features is None):
            raise InputError(f'{where} needs one file: rdms = "…" (dissimilarities) or features = "…".')
        if entry.features is not None and (lost := [k for k in _RDMS_ONLY if table.get(k)]):
            raise InputError(f"{where}: {lost[0]} is of RDMs, and the file is one of features.")
        place = str(path.parent / Path(entry.source).expanduser())
        found[name] = (
            dataclasses.replace(entry, features=place) if entry.rdms is None else dataclasses.replace(entry, rdms=place)
        )
    return found


def load_sides(entries: Mapping[str, SideEntry], items: PairedItems) -> dict[str, Layers | RDMs]:
    """Read the files of all sides.

    Args:
        entries: From `read_sides`.
        items: Those of the study, whose ids a side without any takes.

    Raises:
        InputError: if a file cannot be read, or its items are not those of the study.
    """
    found: dict[str, Layers | RDMs] = {}
    for name, entry in entries.items():
        try:
            found[name] = _loaded(name, entry, items)
        except InputError as error:
            raise InputError(f"sides.{name}: {error}") from error
    return found


def origin(side: Layers | RDMs) -> Any:
    """What a result depends on of a side: how its features came about, or the dissimilarities themselves."""
    if isinstance(side, Layers):
        return side.provenance
    return [
        content({name: side[name] for name in side}),
        side.ids,
        {k: list(map(str, v)) for k, v in side.rdms.items()},
    ]


_RDMS_ONLY = ("ids", "variable", "subjects", "sessions", "average_by", "negative")


def _listed(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table whose `only` is a list, also where one pattern is given."""
    only = table.get("only")
    return dict(table) | ({"only": [only]} if isinstance(only, (str, int)) else {})


def _loaded(name: str, entry: SideEntry, items: PairedItems) -> Layers | RDMs:
    if entry.rdms is None:
        given = Layers.load(Path(entry.source), ids=items.ids if entry.in_order else None)
        _check_ids(given.ids if given.ids_given else None, given.n, items)
        arrays = {k: given[k] for k in _chosen(given, entry.only)}
        facts = given.provenance | {"file": Path(entry.source).name, "content": content(arrays)}
        return Layers.from_arrays(arrays, given.ids, encoder=name, provenance=facts)
    rdms = RDMs.load(
        entry.source,
        ids=None if entry.in_order else entry.ids,
        subjects=entry.subjects,
        sessions=entry.sessions,
        variable=entry.variable,
        negative=entry.negative,
    )
    if entry.in_order:
        _check_count(rdms.n, items)
        rdms = dataclasses.replace(rdms, items={"id": items.ids})
    _check_ids(rdms.ids, rdms.n, items)
    kept = _chosen(rdms, entry.only)
    rows = [i for i, k in enumerate(rdms) if k in kept]
    told = {k: [v[i] for i in rows] for k, v in rdms.rdms.items()}
    taken = dataclasses.replace(rdms, dissimilarities=rdms.dissimilarities[rows], rdms=told)
    if entry.average_by is None:
        return taken
    return taken.average_by(None if entry.average_by == "all" else entry.average_by)


def _chosen(names: Iterable[str], only: Sequence[str | int]) -> list[str]:
    """The names that fit a pattern or stand at a place, or all.

    Raises:
        InputError: if a pattern fits none, or there is no such place.
    """
    known = [*names]
    found: set[str] = set() if only else {*known}
    for wanted in only:
        fitting = (
            {name for name in known if fnmatchcase(name, wanted)}
            if isinstance(wanted, str)
            else {known[wanted]}
            if 0 <= wanted < len(known)
            else set()
        )
        if not fitting:
            raise InputError(f"only={quoted(wanted)} fits none of {quoted(known)}.")
        found |= fitting
    return [name for name in known if name in found]


def _check_count(n: int, items: PairedItems) -> None:
    if n != len(items):
        raise InputError(f"in_order: the file has {n} items and the study {len(items)}; they must be the same.")


def _check_ids(ids: Sequence[str] | None, n: int, items: PairedItems) -> None:
    """Check that a file's items can be joined with those of the study.

    Raises:
        InputError: if it names none, or others.
    """
    if ids is None:
        raise InputError(
            f"the file names none of its {n} items. If they are the {len(items)} of the study in their order, say "
            "in_order = true."
        )
    if not set(ids) & set(items.ids):
        raise InputError(
            f"the file's items {quoted([*ids[:3]])} are none of the study's {quoted([*items.ids[:3]])}. If they are "
            "the same things in the same order, say in_order = true."
        )
