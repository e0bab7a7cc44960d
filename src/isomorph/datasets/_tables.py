"""Files of tables: CSV, TSV, JSON lines, and what `_arrow` reads, as columns."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .._core.files import beside, parse_json, regular
from ..errors import InputError, quoted
from ._arrow import ARROW, read_arrow
from ._records import Columns

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", *ARROW)
"""Endings of tables."""


def files_of(path: str | Sequence[str], kind: str) -> list[Path]:
    """The files that a path, several, or patterns such as ``"data/train-*.parquet"`` name, sorted where a pattern does.

    Raises:
        InputError: if a pattern names none, or a file is named twice.
    """
    found: list[Path] = []
    for text in [path] if isinstance(path, str) else path:
        own = Path(text).expanduser()
        if any(sign in text for sign in "*?[") and not own.exists():
            root = Path(own.anchor) if own.is_absolute() else Path()
            matches = sorted(root.glob(str(own.relative_to(root))))
            if not matches:
                raise InputError(f"{kind}: no file is called as {quoted(text)} says.{beside(own)}")
            found += matches
        else:
            found.append(own)
    twice = next((p for p in found if found.count(p) > 1), None)
    if twice is not None or not found:
        raise InputError(f"{kind}: {f'{twice} is named twice' if twice else 'no path is named'}; name every file once.")
    return found


def read_table(path: Path) -> dict[str, list[Any]]:
    """The columns of a table as they are, one value a row; columns of embedded pictures and the like are left out.

    Raises:
        InputError: if the file cannot be read, or has no rows.
        MissingExtraError: if a Parquet file is given and pyarrow is not installed.
    """
    return {name: values for name, values in read_columns_of(path).items() if isinstance(values, list)}


def read_columns_of(path: Path) -> Columns:
    """All columns of a table.

    Raises:
        InputError: if the file cannot be read, or has no rows.
        MissingExtraError: if a Parquet file is given and pyarrow is not installed.
    """
    kind = path.suffix.lower()
    if kind not in TABLES:
        fix = " Unpack it first." if kind in (".zip", ".gz", ".7z") else ""
        fix = f" Shards are read by webdataset({str(path)!r})." if kind == ".tar" else fix
        fix = " Save it as CSV in UTF-8." if kind in (".xlsx", ".xls", ".ods") else fix
        raise InputError(f"table: {path} ends in {path.suffix!r}; expected one of {', '.join(TABLES)}.{fix}")
    json, separator = kind in (".jsonl", ".ndjson"), "\t" if kind == ".tsv" else ","
    regular(path, "the table")
    columns: Columns
    try:
        if kind in ARROW:
            columns = read_arrow(path)
        else:
            columns = {**(_read_json_lines(path) if json else _read_csv(path, separator))}
    except OSError as error:
        raise InputError(f"Cannot read the table {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"The table {path} is not in UTF-8 ({error.reason} at byte {error.start}); convert it."
        ) from error
    if not columns or not len(next(iter(columns.values()))):
        raise InputError(f"The table {path} has no rows.")
    return columns


def _read_csv(path: Path, delimiter: str) -> dict[str, list[Any]]:
    with open(path, newline="", encoding="utf-8-sig") as file, _long_fields():
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            twice = sorted({c for c in header if header.count(c) > 1})
            if twice:
                raise InputError(f"{path}: the column {quoted(twice[0])} is there twice; column names must be unique.")
            columns: dict[str, list[Any]] = {c: [] for c in header}
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(row)} fields where the header has {len(header)}. "
                        "A field that holds the delimiter or a line break must be quoted."
                    )
                for column, value in zip(header, row, strict=True):
                    columns[column].append(value)
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}.") from error
    return columns


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Let fields be longer than the csv module's 128 kB, which is a setting of the whole process."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_json_lines(path: Path) -> dict[str, list[Any]]:
    rows: list[dict[str, Any]] = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line, finite=False)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: not JSON that can be read ({error}).") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: expected an object, found {type(row).__name__}.")
            rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
