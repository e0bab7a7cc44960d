"""Embeddings in tables: vectors in a column of Parquet, a number a column in Parquet and CSV, and word vectors."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, MissingExtraError, quoted
from ..files import reason
from ..memory import require
from ._read import Read, id_column

ENDINGS = (".parquet", ".csv", ".tsv", ".vec")


def read(path: Path) -> Read:
    """Features of a table with a column of ids: every column of vectors is a layer, or all columns of numbers are one.

    A ``.vec`` file is one word and its vector a line, as fastText and MUSE write them.

    Raises:
        InputError: if it cannot be read, or holds no numbers.
        MissingExtraError: if a Parquet file is given and pyarrow is not installed.
    """
    kind = path.suffix.lower()
    if kind == ".parquet":
        return _parquet(path)
    try:
        return _words(path) if kind == ".vec" else _csv(path, "," if kind == ".csv" else "\t")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read features from {path}: {reason(error)}.") from error


def _parquet(path: Path) -> Read:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Reading Parquet", "pyarrow", "data") from error
    try:
        table = parquet.read_table(path)
    except Exception as error:  # whatever a damaged file makes pyarrow trip over
        raise InputError(f"Cannot read {path} as Parquet: {reason(error)}.") from error
    types = pa.types
    scalar = [f.name for f in table.schema if types.is_string(f.type) or types.is_large_string(f.type)]
    whole = [f.name for f in table.schema if types.is_integer(f.type)]
    id_ = id_column(scalar) or id_column(whole) or (scalar[0] if len(scalar) == 1 else None)
    ids = None if id_ is None else table.column(id_).to_pylist()
    vectors = [f for f in table.schema if _is_list(f.type, types)]
    if vectors:
        arrays = {f.name: _vectors(table.column(f.name), f.name, path) for f in vectors}
        return Read(arrays, ids, {}, rows_alone=False)
    numbers = [
        f.name for f in table.schema if (types.is_floating(f.type) or types.is_integer(f.type)) and f.name != id_
    ]
    if not numbers:
        raise InputError(f"{path} holds no vectors and no numbers; its columns are {_columns(table.column_names)}.")
    rows = np.stack([table.column(c).to_numpy().astype(np.float64) for c in numbers], axis=1)
    return Read({path.stem: rows}, ids, {}, rows_alone=False)


def _is_list(kind: Any, types: Any) -> bool:
    of_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(of_list and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)))


def _vectors(column: Any, name: str, path: Path) -> np.ndarray[Any, Any]:
    """The vectors of a column, all of one length.

    Raises:
        InputError: if one is missing or has another length.
    """
    from pyarrow import compute

    lengths = compute.unique(compute.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or not lengths[0]:
        raise InputError(f"{path}: the vectors of column {name!r} have different lengths, or some are missing.")
    return np.asarray(compute.list_flatten(column).to_numpy()).reshape(len(column), lengths[0])


def _csv(path: Path, delimiter: str) -> Read:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        header = next(rows, [])
        body = [row for row in rows if row]
    if not body:
        raise InputError(f"{path} has no rows.")
    id_ = id_column(header) or (header[0] if header and not _are_numbers(row[0] for row in body[:50]) else None)
    columns = [i for i, name in enumerate(header) if name != id_ and _are_numbers(r[i] for r in body[:1] if i < len(r))]
    if not columns:
        raise InputError(f"{path} holds no columns of numbers; its columns are {_columns(header)}.")
    values = np.empty((len(body), len(columns)))
    for number, row in enumerate(body):
        try:
            values[number] = [row[i] for i in columns]
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}, row {number + 2}: not a number in every column ({reason(error)}).") from error
    ids = None if id_ is None else [row[header.index(id_)] for row in body]
    return Read({path.stem: values}, ids, {}, rows_alone=False)


def _words(path: Path) -> Read:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = lines[0].split() if lines else []
    body = [line.rstrip().split(" ") for line in (lines[1:] if len(head) == 2 else lines) if line.strip()]
    if not body or len({len(row) for row in body}) > 1 or len(body[0]) < 2:
        raise InputError(f"{path}: a word and as many numbers a line are needed, parted by single spaces.")
    require(8 * len(body) * len(body[0]), f"Reading {path}", "Take fewer words.")
    try:
        values = np.array([row[1:] for row in body], dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: {reason(error)}; a word and its numbers a line are needed.") from error
    return Read({path.stem: values}, [row[0] for row in body], {}, rows_alone=False)


def _are_numbers(texts: Any) -> bool:
    try:
        return all(float(text) is not None for text in texts)
    except ValueError:
        return False


def _columns(names: Any) -> str:
    return quoted(list(names)[:12])
