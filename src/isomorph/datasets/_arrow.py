"""Columns of Parquet, Arrow and Feather files; pictures, recordings and films in them are read a row at a time."""

from __future__ import annotations

import bisect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .._core.files import reason
from ..errors import InputError, MissingExtraError, quoted
from ._encoded import EncodedView, file_of, sniffed
from ._records import Classes, Columns

ARROW = (".parquet", ".arrow", ".feather")
"""Endings of files that `read_arrow` reads."""

_MOST_CELLS = 10**8  # of a Parquet file, whose encoding can repeat one value without end
_HELD = 1 << 28  # bytes of one column that are held of a Parquet file; a larger group of rows is read in batches
_MEDIA = {"Image": "image", "Audio": "audio", "Video": "video"}


class Source(ABC):
    """Rows with typed columns, of which single cells can be read.

    Attributes:
        where: What messages call it.
        schema: Its Arrow schema.
        features: Column -> Hugging Face's description of it, as JSON; empty where there is none.
        n: Rows.
    """

    where: str
    schema: Any
    features: Mapping[str, Any]
    n: int

    @abstractmethod
    def values(self, name: str) -> list[Any]:
        """All cells of a column."""

    @abstractmethod
    def cells(self, name: str) -> Callable[[int], Any]:
        """Row -> its cell of a column."""

    @abstractmethod
    def may_lack(self, name: str) -> bool:
        """Whether to look for rows that have nothing in a column of encoded files.

        Where not, such a row is named when its file is asked for.
        """


def read_arrow(path: Path) -> Columns:
    """All columns of a file: lists, and views of those that hold encoded pictures, recordings or films.

    Columns that Hugging Face's `datasets` wrote keep their meaning: the names of classes, and what is a picture. Of a
    column of structures (`{"de": …, "en": …}`) every field is a column, ``name.de``.

    Raises:
        InputError: if it cannot be read, has too many rows, or a column is there twice.
        MissingExtraError: if pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401  # asked for here, so that the error is not taken for that of a damaged file
    except ImportError as error:
        raise MissingExtraError(f"Reading {path.suffix} files", "pyarrow", "data") from error
    form = "Parquet" if path.suffix.lower() == ".parquet" else "Arrow"
    try:
        source: Source = _ParquetSource(path) if form == "Parquet" else _mapped(path)
        return columns_of(source, path.parent)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes pyarrow trip over
        raise InputError(f"Cannot read {path} as {form}: {reason(error)}.") from error


def columns_of(source: Source, base: Path | None) -> Columns:
    """The columns of rows: lists, and views of encoded files.

    Args:
        source: The rows.
        base: Folder that paths of files are relative to; None where only files inside count.

    Raises:
        InputError: if a column is there twice.
    """
    names = list(source.schema.names)
    twice = sorted({c for c in names if names.count(c) > 1})
    if twice:
        raise InputError(f"{source.where}: the column {quoted(twice[0])} is there twice; column names must be unique.")
    columns: Columns = {}
    for name in names:
        feature = source.features.get(name)
        feature = feature if isinstance(feature, Mapping) else {}
        kind = _kind(source, name, feature)
        if kind is not None:
            columns[name] = _encoded(source, name, kind, base)
            continue
        values = source.values(name)
        if feature.get("_type") == "ClassLabel":
            columns[name] = Classes(_named(values, feature.get("names")))
            continue
        fields = _fields(source.schema.field(name).type)
        columns |= {f"{name}.{f}": [None if v is None else v[f] for v in values] for f in fields} or {name: values}
    return columns


def _named(values: list[Any], names: Any) -> list[Any]:
    """Class labels by name; None where there is none, which Hugging Face writes as -1."""
    if not isinstance(names, list):
        return values
    return [names[v] if isinstance(v, int) and 0 <= v < len(names) else None for v in values]


def _fields(kind: Any) -> list[str]:
    from pyarrow import types

    return [kind.field(i).name for i in range(kind.num_fields)] if types.is_struct(kind) else []


def _kind(source: Source, name: str, feature: Mapping[str, Any]) -> str | None:
    """The modality of a column of encoded files: as Hugging Face describes it, or as its first file begins."""
    from pyarrow import types

    kind = source.schema.field(name).type
    struct = types.is_struct(kind) and "bytes" in _fields(kind)
    if feature.get("_type") in _MEDIA and (struct or _is_binary(kind)):
        return _MEDIA[feature["_type"]]
    if not (_is_binary(kind.field("bytes").type) if struct else _is_binary(kind)):
        return None
    read = source.cells(name)
    for row in range(source.n):
        cell = read(row)
        data = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if data is not None:
            return sniffed(data)
    return None


def _is_binary(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _encoded(source: Source, name: str, kind: str, base: Path | None) -> EncodedView:
    read, missing = source.cells(name), frozenset[int]()
    if source.may_lack(name):
        missing = frozenset(i for i in range(source.n) if _is_empty(read(i)))

    def file(row: int) -> bytes:
        try:
            return file_of(read(row), base, f"{source.where}, column {name!r}, row {row}")
        except InputError:
            raise
        except Exception as error:  # whatever a damaged file makes pyarrow trip over
            raise InputError(f"Cannot read row {row} of {source.where}: {reason(error)}.") from error

    return EncodedView(file, range(source.n), kind, missing)


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, Mapping) and cell.get("bytes") is None and cell.get("path") is None)


def _described(schema: Any) -> Mapping[str, Any]:
    """What Hugging Face's `datasets` wrote of the columns into a file."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class _ParquetSource(Source):
    """A Parquet file, read a group of rows at a time."""

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.where, self.size = str(path), path.stat().st_size
        self.file = parquet.ParquetFile(path)
        self.schema = self.file.schema_arrow
        self.features = _described(self.schema)
        about = self.file.metadata
        self.n = about.num_rows
        if self.n * max(about.num_columns, 1) > _MOST_CELLS:
            raise InputError(
                f"The table {path} has {self.n:,} rows; at most {_MOST_CELLS:,} values are read. Take a part of it."
            )
        self.starts = [0]
        for group in range(about.num_row_groups):
            self.starts.append(self.starts[-1] + about.row_group(group).num_rows)

    def values(self, name: str) -> list[Any]:
        found: list[Any] = self.file.read(columns=[name]).column(0).to_pylist()
        return found

    def cells(self, name: str) -> Callable[[int], Any]:
        return _Cells(self, name)

    def may_lack(self, name: str) -> bool:
        # counts of nulls in the foot would tell at once, but pyarrow ends the process over those of a damaged file
        return self.size <= _HELD


class _Cells:
    """Cells of one column of a Parquet file; neighbours are held, since rows are mostly asked for in order."""

    def __init__(self, source: _ParquetSource, name: str) -> None:
        self.source, self.name = source, name
        self.first, self.held = 0, None  # the row that the held cells begin with

    def __call__(self, row: int) -> Any:
        if self.held is None or not self.first <= row < self.first + len(self.held):
            self._hold(row)
        return self.held[row - self.first].as_py()  # type: ignore[index]  # it was just read

    def _hold(self, row: int) -> None:
        """Read the group of rows that holds this one, or of a large group a batch.

        Raises:
            InputError: if the row is not there.
        """
        starts = self.source.starts
        group = bisect.bisect_right(starts, row) - 1
        first, rows = starts[group], starts[group + 1] - starts[group]
        size = self.source.file.metadata.row_group(group).total_byte_size
        each = max(1, min(rows, rows * _HELD // max(size, 1)))
        for batch in self.source.file.iter_batches(each, row_groups=[group], columns=[self.name]):
            if row < first + len(batch):
                self.first, self.held = first, batch.column(0)
                return
            first += len(batch)
        raise InputError(f"{self.source.where}: row {row} is missing, which its foot promises. Write it again.")


class TableSource(Source):
    """An Arrow table, in memory or mapped from a file.

    Args:
        table: The table.
        features: Column -> Hugging Face's description of it, as JSON.
        where: What messages call it.
    """

    def __init__(self, table: Any, features: Mapping[str, Any], where: str) -> None:
        table.validate(full=True)  # offsets of a damaged file would point anywhere; pictures are not looked at
        self.table, self.features, self.where = table, features, where
        self.schema, self.n = table.schema, table.num_rows

    def values(self, name: str) -> list[Any]:
        found: list[Any] = self.table.column(name).to_pylist()
        return found

    def cells(self, name: str) -> Callable[[int], Any]:
        column = self.table.column(name)
        return lambda row: column[row].as_py()

    def may_lack(self, name: str) -> bool:
        from pyarrow import compute, types

        column = self.table.column(name)
        inside = compute.struct_field(column, "bytes") if types.is_struct(column.type) else column
        return bool(column.null_count or inside.null_count)


def _mapped(path: Path) -> TableSource:
    """An Arrow file or stream, which is mapped, not read."""
    import pyarrow

    mapped = pyarrow.memory_map(str(path))
    try:
        table = pyarrow.ipc.open_file(mapped).read_all()
    except pyarrow.ArrowInvalid:  # Hugging Face's caches are streams
        mapped.seek(0)
        table = pyarrow.ipc.open_stream(mapped).read_all()
    return TableSource(table, _described(table.schema), str(path))
