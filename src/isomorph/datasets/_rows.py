"""Items of rows: of a torch ``Dataset``, a data frame, or any iterable of mappings or tuples."""

from __future__ import annotations

import dataclasses
import itertools
import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .._core.checks import as_count, as_ids
from ..errors import InputError, quoted
from ._columns import Parts, entry, is_texts, spread
from ._files import modality_of
from ._views import View, as_view, content_digest


@dataclasses.dataclass(frozen=True, eq=False)
class RowView(View):
    """A view of a dataset that gives rows by number; a row is read when its item is asked for.

    Attributes:
        read: Row number -> the item.
        rows: Number of the row of each item.
        digests: Hash of each item's content when the dataset was looked through.
        kind: The modality.
    """

    read: Callable[[int], Any]
    rows: Sequence[int]
    digests: Sequence[bytes]
    kind: str

    @property
    def modality(self) -> str:
        return self.kind

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        item = self.read(self.rows[index])
        if content_digest(item) != self.digests[index]:
            raise InputError(
                f"Row {self.rows[index]} of the dataset holds another {self.kind} than before. Features "
                "must be of the item alone: turn random transforms and shuffling off."
            )
        return item

    def digest(self, index: int) -> bytes:
        return self.digests[index]

    def take(self, indices: Sequence[int]) -> RowView:
        return RowView(self.read, [self.rows[i] for i in indices], [self.digests[i] for i in indices], self.kind)


_Columns = dict[Any, list[Any]]


def read_rows(rows: Any, views: Any, roles: tuple[Any, Any, Any, Any], limit: int | None) -> Parts:
    """Parts of items from one row an item; see `PairedItems.from_rows`.

    Args:
        rows: The rows.
        views: The columns that are views, view name -> column, or None.
        roles: Columns of ids, labels, groups and covariates, or None.
        limit: Take so many rows at most.

    Raises:
        InputError: as there.
    """
    if limit is not None:
        as_count(limit, "limit")
    if isinstance(rows, Mapping | str | bytes) or not (hasattr(rows, "__iter__") or hasattr(rows, "__getitem__")):
        raise InputError(
            f"from_rows takes an iterable of mappings or tuples, one an item, found {type(rows).__name__}; for one "
            "list a view there is PairedItems.from_views(image=[…], text=[…])."
        )
    rows, _ = undecoded(rows)
    frame = hasattr(rows, "to_dict") and hasattr(rows, "columns")
    index = None
    if frame:
        index = list(rows.index) if hasattr(rows, "index") else None
        rows = rows.to_dict("records") if hasattr(rows, "iloc") else rows.to_dicts()
        index = None if index == list(range(len(rows))) else index
    by_number = not isinstance(rows, list | tuple) and hasattr(rows, "__len__") and hasattr(rows, "__getitem__")
    found = (rows[i] for i in range(len(rows))) if by_number else iter(rows)
    source = _Source(rows, by_number)
    columns = source.columns(itertools.islice(found, limit))
    return source.parts(columns, views, roles, index[:limit] if index is not None else None)


def undecoded(rows: Any) -> tuple[Any, list[str]]:
    """A dataset or stream of Hugging Face with its files as they are encoded, and the columns that hold such.

    Isomorph decodes them as it decodes all files; the library's own decoders need packages of their own. What a user
    made of the rows by a transform stays.
    """
    features = getattr(rows, "features", None)
    if not type(rows).__module__.startswith("datasets.") or not features:
        return rows, []
    if getattr(rows, "format", {}).get("type") == "custom":
        return rows, []
    files = [c for c, f in features.items() if type(f).__name__ in ("Image", "Audio", "Video")]
    rows = rows.with_format(None)
    for column in files:
        rows = rows.cast_column(column, dataclasses.replace(features[column], decode=False))
    return rows, files


class _Source:
    """Rows on their way to columns; of those that can be had again by number, pictures and sounds are not kept."""

    def __init__(self, rows: Any, by_number: bool) -> None:
        self.rows, self.by_number = rows, by_number
        self.names: list[Any] = []

    def columns(self, found: Iterable[Any]) -> _Columns:
        columns: _Columns = {}
        for i, row in enumerate(found):
            cells = _cells(row, i)
            if i == 0:
                columns = {name: [] for name in cells}
                self.names = list(cells)
            elif cells.keys() != columns.keys():
                raise InputError(
                    f"from_rows: row {i} has the columns {_named(cells)} where row 0 has {_named(columns)}; all rows "
                    "must have the same."
                )
            for name, value in cells.items():
                plain = value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
                columns[name].append(self._kept(name, plain, i))
        if not columns:
            raise InputError("from_rows: there are no rows, or they have no columns; at least one item is needed.")
        return columns

    def _kept(self, name: Any, value: Any, i: int) -> Any:
        if not self.by_number or isinstance(value, str | os.PathLike | numbers.Number) or value is None:
            return value
        item = entry(value, f"row {i}, column {name!r}")
        kind = _kind(item)
        return _Later(kind, content_digest(item)) if kind in ("image", "audio", "video") else value

    def _read(self, name: Any) -> Callable[[int], Any]:
        return lambda i: entry(_cells(self.rows[i], i)[name], f"row {i}, column {name!r}")

    def parts(self, columns: _Columns, views: Any, roles: tuple[Any, Any, Any, Any], index: Any) -> Parts:
        id_, label, group, covariate = roles
        n = len(next(iter(columns.values())))
        id_ = "id" if id_ is None and "id" in columns else id_
        group = "group" if group is None and "group" in columns else group
        labels = _several(label) if label is not None else self._own_label(columns, id_, covariate)
        named = [*([id_] if id_ is not None else []), *([group] if group is not None else []), *labels]
        named += (covariates := _several(covariate))
        chosen = self._views(columns, views, named)
        for column in [*named, *chosen.values()]:
            if column not in columns:
                raise InputError(self._no_column(column, columns))
        ids = as_ids(columns[id_] if id_ is not None else index if index is not None else range(n), "from_rows: id")
        return spread(
            Parts(
                ids,
                {name: self._view(columns[column], column) for name, column in chosen.items()},
                _labels(columns, labels, self._classes),
                columns[group] if group is not None else None,
                {_text(c): columns[c] for c in covariates},
            )
        )

    def _classes(self, column: Any) -> Any:
        """Names of the classes in a column, where the dataset has such."""
        features = getattr(self.rows, "features", None) or {}
        named = getattr(features.get(column), "names", None) if isinstance(features, Mapping) else None
        return named if named is not None else getattr(self.rows, "classes", None)

    def _own_label(self, columns: _Columns, id_: Any, covariate: Any) -> list[Any]:
        features = getattr(self.rows, "features", None)
        known = features if isinstance(features, Mapping) else {}
        own = [c for c in columns if c == "label" or hasattr(known.get(c), "int2str")]
        if own:
            return own
        whole = [c for c, v in columns.items() if isinstance(c, int) and all(_is_whole(x) for x in v)]
        whole = [c for c in whole if c != id_ and c not in _several(covariate)]
        return whole if len(whole) == 1 else []

    def _views(self, columns: _Columns, views: Any, named: Sequence[Any]) -> dict[str, Any]:
        if isinstance(views, Mapping):
            return {str(k): v for k, v in views.items()}
        if views is not None:
            return {_text(c): c for c in _several(views)}
        seen = {c: _kind(v[0]) for c, v in columns.items() if c not in named}
        kinds = {c: kind for c, kind in seen.items() if kind is not None}
        if not kinds:
            raise InputError(
                f"from_rows: no column holds texts, pictures, recordings or films; the columns are "
                f"{_named(columns)}, and row 0 holds {_shown({c: v[0] for c, v in columns.items()})}. Name the views, "
                "such as views={'text': COLUMN}."
            )
        names = [str(c) if isinstance(c, str) else kind for c, kind in kinds.items()]
        twice = {name for name in names if names.count(name) > 1}
        return {f"{v}_{c}" if v in twice else v: c for v, c in zip(names, kinds, strict=True)}

    def _view(self, values: list[Any], column: Any) -> Any:
        if not all(isinstance(v, _Later) for v in values):
            return values
        kinds = sorted({v.kind for v in values})
        if len(kinds) > 1:
            raise InputError(f"from_rows: the column {column!r} holds {' and '.join(kinds)}; one kind is needed.")
        return RowView(self._read(column), range(len(values)), [v.digest for v in values], kinds[0])

    def _no_column(self, column: Any, columns: _Columns) -> str:
        kinds = {c: _kind(v[0]) for c, v in columns.items()}
        fit = next((c for c, kind in kinds.items() if kind is not None), self.names[0])
        return (
            f"from_rows: there is no column {quoted(column)}; the columns are {_named(columns)}. For example: "
            f"PairedItems.from_rows(rows, views=[{fit!r}])."
        )


@dataclasses.dataclass(frozen=True)
class _Later:
    """A picture, recording or film that was looked at and is read again when it is used."""

    kind: str
    digest: bytes


def _cells(row: Any, number: int) -> dict[Any, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    if hasattr(row, "_asdict"):
        return dict(row._asdict())
    if isinstance(row, list | tuple):
        return dict(enumerate(row))
    raise InputError(
        f"from_rows: row {number} is {type(row).__name__}; every row must be a mapping or a tuple. For one list a view "
        "there is PairedItems.from_views(image=[…], text=[…])."
    )


def _kind(value: Any) -> str | None:
    """The modality of a cell, or None if it is no entry of a view (numbers, features of unknown meaning)."""
    if isinstance(value, _Later):
        return value.kind
    if isinstance(value, str):
        return modality_of([value]) or "text"
    if isinstance(value, os.PathLike):
        return modality_of([os.fspath(value)])
    if is_texts(value) and len(value):
        return "text"
    try:
        return as_view([entry(value, "")]).modality
    except InputError:
        return "image" if hasattr(value, "detach") and getattr(value, "ndim", 0) == 3 else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _labels(columns: _Columns, labels: Sequence[Any], classes: Callable[[Any], Any]) -> dict[str, list[Any]]:
    if len(labels) == 1 and isinstance(labels[0], int):
        return {"label": _class_names(columns[labels[0]], classes(labels[0]))}
    return {_text(c): _class_names(columns[c], classes(c)) for c in labels}


def _class_names(values: Sequence[Any], classes: Any) -> list[Any]:
    """Labels, whole numbers of a torchvision dataset by the names of its classes."""
    if isinstance(classes, list | tuple) and all(_is_whole(v) and 0 <= v < len(classes) for v in values):
        return [str(classes[v]) for v in values]
    return list(values)


def _several(columns: Any) -> list[Any]:
    return [] if columns is None else list(columns) if isinstance(columns, list | tuple) else [columns]


def _text(column: Any) -> str:
    """What a column is called where names are texts."""
    return column if isinstance(column, str) else f"column {column}"


def _named(columns: Iterable[Any]) -> str:
    names = [repr(c) for c in columns]
    return ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")


def _shown(row: Mapping[Any, Any]) -> str:
    return ", ".join(f"{c!r}: {type(v).__name__}" for c, v in [*row.items()][:8])
