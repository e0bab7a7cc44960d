"""Columns to paired items: which columns are ids, views, labels and groups, and which items cannot be used."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core.checks import as_count, as_ids, check_flag
from ..errors import InputError, UnknownNameError, quoted
from ._base import PairedItems, as_names
from ._columns import Parts, is_texts, spread
from ._encoded import EncodedView
from ._files import fault, modality_of, view_of

_log = logging.getLogger(__name__)

Column = list[Any] | EncodedView
Columns = dict[str, Column]
"""Column -> one value a row: texts, numbers, paths, lists of texts; or the encoded files of a whole column."""


class Classes(list[Any]):
    """A column of class labels by name, which is one of labels even where no one says so."""


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What a user says of the columns of a source.

    Attributes:
        id: Column of unique ids; None takes those that the source gives its rows.
        views: Modality -> columns; all None where columns are told apart by what they hold.
        label: Columns of labels; None takes those of class labels, and ``label``.
        group: Column of groups; None takes ``group`` if there is one.
        covariate: Columns of covariates.
        captions_each: Take so many texts of a list of texts at most, the first ones.
        skip_bad: Whether items that cannot be used are left out.
    """

    id: str | None
    views: Mapping[str, Sequence[str] | None]
    label: Sequence[str] | None
    group: str | None
    covariate: Sequence[str]
    captions_each: int | None = None
    skip_bad: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """Where columns come from.

    Attributes:
        where: What messages call it, such as its path.
        name: What the items are called.
        source: The spec that makes them again.
        base: Folder that paths in columns are relative to; None where there can be none.
        rows: Ids of the rows where no column is that of ids.
    """

    where: str
    name: str
    source: str
    base: Path | None
    rows: Sequence[str] | None = None


def settle(dataset: Any, kind: str) -> None:
    """Check the parameters that datasets of columns share, and make single names tuples of one.

    Raises:
        InputError: if one is of the wrong kind.
    """
    for field in ("text", "image", "audio", "video", "label", "covariate"):
        value = getattr(dataset, field, None)
        if value is not None:
            object.__setattr__(dataset, field, as_names(value, f"{kind}: {field}"))
    for field in ("id", "group"):
        value = getattr(dataset, field, None)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{kind}: {field} must be the name of a column, found {quoted(value)}.")
    if getattr(dataset, "captions_each", None) is not None:
        as_count(dataset.captions_each, f"{kind}: captions_each")
    check_flag(dataset.skip_bad, f"{kind}: skip_bad")


def paired(columns: Columns, chosen: Chosen, place: Place) -> PairedItems:
    """The items of columns; files are decoded when they are asked for.

    Raises:
        InputError: if no column can be a view, a file is missing, a text is empty, an id is there twice, or an item has
            no label.
        UnknownNameError: if there is no column of a name that was given.
    """
    if chosen.label is None:
        own = tuple(c for c, values in columns.items() if c == "label" or isinstance(values, Classes))
        chosen = dataclasses.replace(chosen, label=own)
    if chosen.group is None and "group" in columns:
        chosen = dataclasses.replace(chosen, group="group")
    labels = chosen.label or ()
    if chosen.id is not None:
        require(chosen.id, columns, place.where, "The column of ids is chosen by id='…'; id=None takes row numbers.")
    roles = _roles(columns, chosen, place.where)
    for column in (*labels, *([chosen.group] if chosen.group else []), *chosen.covariate):
        require(column, columns, place.where)
    n = len(next(iter(columns.values())))
    ids = (
        unique_ids(plain(columns, chosen.id, place.where), place.where, chosen.id)
        if chosen.id is not None
        else list(place.rows if place.rows is not None else map(str, range(n)))
    )
    cells = {c: _cells(columns[c], kind, chosen.captions_each) for c, kind in roles.items()}
    bad = _faults(roles, cells, ids, place, decode=chosen.skip_bad)
    if bad and not chosen.skip_bad:
        first = next(iter(bad.values()))
        more = f" {len(bad) - 1} more items have such faults." if len(bad) > 1 else ""
        raise InputError(f"{place.where}: {first}{more} Repair it, or leave such items out with skip_bad=True.")
    keep = [i for i, id_ in enumerate(ids) if id_ not in bad]
    if not keep:
        raise InputError(
            f"{place.where}: none of its {len(ids)} items can be used; the first: {next(iter(bad.values()))}"
        )
    if bad:
        _log.warning("%s: left out %d of %d items that cannot be used.", place.where, len(bad), len(ids))
    return _made(cells, roles, columns, chosen, place, [(i, ids[i]) for i in keep], bad)


def _made(
    cells: Columns,
    roles: Mapping[str, str],
    columns: Columns,
    chosen: Chosen,
    place: Place,
    kept: Sequence[tuple[int, str]],
    bad: dict[str, str],
) -> PairedItems:
    """The items of the rows that are kept, each a row's number and id."""
    rows, ids = [i for i, _ in kept], [id_ for _, id_ in kept]

    def view(column: str, kind: str) -> Any:
        own = cells[column]
        if isinstance(own, EncodedView):
            return own.take(rows).called(ids)
        values = [own[i] for i in rows]
        several = kind == "text" and any(isinstance(v, list) for v in values)
        return values if several else view_of(kind, values, place.base or Path(), ids)

    def marks(column: str) -> tuple[str, ...]:
        return _marks(column, plain(columns, column, place.where), kept, place.where)

    parts = spread(
        Parts(
            tuple(ids),
            {c: view(c, kind) for c, kind in roles.items()},
            {c: marks(c) for c in chosen.label or ()},
            marks(chosen.group) if chosen.group else None,
            {c: [numbers(plain(columns, c, place.where))[i] for i in rows] for c in chosen.covariate},
        )
    )
    return PairedItems(
        name=place.name,
        ids=parts.ids,
        views=parts.views,
        labels=parts.labels,
        groups=parts.groups,
        source=place.source,
        skipped=bad,
        covariates=parts.covariates,
    )


def require(column: str, columns: Mapping[str, Any], where: str, hint: str = "") -> None:
    """Check that there is a column of this name.

    Raises:
        UnknownNameError: if there is none; the nearest, or all that there are, are named.
    """
    if column not in columns:
        error = UnknownNameError(f"column of {where}", column, columns, hint)
        if not error.near:  # all are named already
            raise error
        names = [*columns]
        there = ", ".join(map(quoted, names[:20])) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
        raise UnknownNameError(f"column of {where}", column, columns, f"Its columns are {there}. {hint}".strip())


def plain(columns: Columns, column: str, where: str) -> list[Any]:
    """The values of a column that holds no files.

    Raises:
        InputError: if it holds files.
    """
    values = columns[column]
    if isinstance(values, EncodedView):
        raise InputError(
            f"{where}: the column {quoted(column)} holds {_MANY[values.kind]}, which can be no id, label, group or "
            "covariate."
        )
    return values


def unique_ids(values: Sequence[Any], where: str, column: str) -> list[str]:
    """Ids of items from a column.

    Raises:
        InputError: if one is missing, no text or whole number, or there twice.
    """
    seen: set[str] = set()
    for row, value in enumerate(values, 1):
        if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
            raise InputError(
                f"{where}: row {row} has the id {quoted(value)} in column {column!r}; a text or number is needed."
            )
        if str(value) in seen:
            raise InputError(
                f"{where}: row {row} has the id {quoted(str(value))} again; ids must be unique, since they join items."
            )
        seen.add(str(value))
    return list(as_ids(values, where))


def numbers(values: Sequence[Any]) -> list[Any]:
    """Values with None for empty ones; numbers where all that are there are texts of numbers."""
    cells = [None if v is None or (isinstance(v, str) and not v.strip()) else v for v in values]
    there = [v for v in cells if v is not None]
    if there and all(isinstance(v, str) and _is_number(v) for v in there):
        return [None if v is None else float(v) for v in cells]
    return cells


def joined(parts: Sequence[Column], name: str, where: str) -> Column:
    """One column of the same column of several sources, one after another.

    Raises:
        InputError: if it holds files in some and values in others, or files of several kinds.
    """
    encoded = [part for part in parts if isinstance(part, EncodedView)]
    if not encoded:
        values = [value for part in parts for value in part]
        return Classes(values) if all(isinstance(part, Classes) for part in parts) else values
    kinds = sorted({part.kind for part in encoded})
    if len(encoded) < len(parts) or len(kinds) > 1:
        raise InputError(f"{where}: the column {quoted(name)} holds other things in some of the files than in others.")
    starts = [0, *itertools.accumulate(map(len, encoded))]

    def read(row: int) -> bytes:
        k = bisect.bisect_right(starts, row) - 1
        return encoded[k].read(encoded[k].rows[row - starts[k]])

    missing = frozenset(s + row for s, part in zip(starts, encoded, strict=False) for row in part.missing)
    return EncodedView(read, range(starts[-1]), kinds[0], missing)


_MANY = {"text": "texts", "image": "pictures", "audio": "recordings", "video": "films"}


def _roles(columns: Columns, chosen: Chosen, where: str) -> dict[str, str]:
    """View column -> ``text``, ``image``, ``audio`` or ``video``.

    Raises:
        InputError: if no column can be a view, or one is given as two kinds, or as another kind than it holds.
    """
    roles: dict[str, str] = {}
    if any(v is not None for v in chosen.views.values()):
        for kind, names in chosen.views.items():
            for column in names or ():
                require(column, columns, where)
                own = columns[column]
                if roles.setdefault(column, kind) != kind:
                    raise InputError(f"{where}: the column {quoted(column)} is given as {roles[column]} and as {kind}.")
                if isinstance(own, EncodedView) and own.kind != kind:
                    raise InputError(
                        f"{where}: the column {quoted(column)} holds {_MANY[own.kind]} and is given as {kind}; say "
                        f"{own.kind}={[column]!r}."
                    )
    else:
        taken = {chosen.id, chosen.group, "group", "label", *(chosen.label or ()), *chosen.covariate}
        guesses = {c: _guess(v) for c, v in columns.items() if c not in taken}
        roles = {c: kind for c, kind in guesses.items() if kind is not None}
    if not roles:
        raise InputError(
            f"{where} has no column that can be a view; its columns are {', '.join(columns)}. "
            "Name some with text=['…'], image=['…'], audio=['…'] or video=['…']."
        )
    return roles


def _guess(values: Column) -> str | None:
    if isinstance(values, EncodedView):
        return values.kind
    if isinstance(values, Classes):
        return None
    if any(isinstance(v, list) for v in values):
        return "text" if all(v is None or isinstance(v, str) or (v and is_texts(v)) for v in values) else None
    if not all(isinstance(v, str) or v is None for v in values):
        return None
    texts = [v for v in values if v]
    if not texts:
        return None
    return modality_of(texts) or (None if all(map(_is_number, texts)) else "text")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cells(values: Column, kind: str, most: int | None) -> Column:
    """The cells of a view, of lists of texts at most so many texts; one alone is no list."""
    if isinstance(values, EncodedView) or kind != "text" or not any(isinstance(v, list) for v in values):
        return values
    if most == 1:
        return [(v[0] if v else None) if isinstance(v, list) else v for v in values]
    return [v[:most] if isinstance(v, list) else [v] for v in values]


def _faults(roles: dict[str, str], cells: Columns, ids: Sequence[str], place: Place, *, decode: bool) -> dict[str, str]:
    """Id -> what is wrong with the item, for those with a fault."""
    faults: dict[str, str] = {}
    for column, kind in roles.items():
        values = cells[column]
        for i, id_ in enumerate(ids):
            if id_ in faults:
                continue
            problem = (
                _encoded_fault(values, i, decode=decode)
                if isinstance(values, EncodedView)
                else _fault(values[i], kind, place.base, decode=decode)
            )
            if problem:
                faults[id_] = f"item {id_!r}, column {column!r}: {problem}"
    return faults


def _encoded_fault(view: EncodedView, i: int, *, decode: bool) -> str | None:
    if view.rows[i] in view.missing:
        return f"there is no {view.kind}."
    if decode:
        try:
            view[i]
        except InputError as error:
            return str(error)
    return None


def _fault(value: Any, kind: str, base: Path | None, *, decode: bool) -> str | None:
    if isinstance(value, list) and kind == "text":
        if not value:
            return "the list of texts is empty."
        return next(filter(None, (fault(v, kind, Path(), decode=False) for v in value)), None)
    if base is None and kind != "text":
        return f"a path was found, {quoted(value)}, and there are no files beside it; the {kind} itself is needed."
    return fault(value, kind, base or Path(), decode=decode)


def _marks(column: str, values: Sequence[Any], kept: Sequence[tuple[int, str]], where: str) -> tuple[str, ...]:
    """The labels or groups of the items that are kept.

    Raises:
        InputError: if an item has none.
    """
    for i, id_ in kept:
        if values[i] is None or not str(values[i]).strip():
            raise InputError(f"{where}: item {id_!r} has nothing in column {column!r}; every item needs a value there.")
    return tuple(str(values[i]) for i, _ in kept)
