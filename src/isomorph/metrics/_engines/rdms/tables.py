"""A square RDM in a table of text (.csv), with the names of its items or without."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import InputError, quoted

_MISSING = frozenset({"", "na", "nan", "n/a", "null", "none"})


def read_table(path: Path) -> tuple[np.ndarray[Any, Any], list[str] | None]:
    """The values of a square table, and the names of its items if its first row or column has them.

    Cells are parted by commas, semicolons or tabs; an empty cell, NA or NaN is a dissimilarity that is not known.

    Raises:
        InputError: if it cannot be read, is not square, a cell is no number, or rows and columns have other names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table of text: {error}.") from error
    first = text.partition("\n")[0]
    parted = max(",;\t", key=first.count)
    rows = [[c.strip() for c in row] for row in csv.reader(text.splitlines(), delimiter=parted) if any(row)]
    if not rows:
        raise InputError(f"{path.name} is empty; a square table of dissimilarities is needed.")
    columns, names, body = _parted(rows)
    if columns is not None and names is not None and columns != names:
        raise InputError(
            f"{path.name}: rows and columns have different names, such as "
            f"{next(f'{quoted(a)} and {quoted(b)}' for a, b in zip(names, columns, strict=True) if a != b)}; an RDM "
            "has the same items in the same order on both."
        )
    if any(len(row) != len(body) for row in body):
        found = sorted({len(row) for row in body})
        raise InputError(
            f"{path.name} is not square: {len(body)} rows of {' or '.join(map(str, found))} values; one row and one "
            "column an item are needed, with names of the items in the first of both, or in none."
        )
    names = names or columns
    return np.array([[_value(c, path, i, j) for j, c in enumerate(row)] for i, row in enumerate(body)]), names


def _parted(rows: list[list[str]]) -> tuple[list[str] | None, list[str] | None, list[list[str]]]:
    """Names of the columns and of the rows, where the shape of the table leaves room for them, and what is left."""
    height, first, others = len(rows), len(rows[0]), {len(row) for row in rows[1:]}
    corner = _number(rows[0][0])
    if others == {first} == {height} and (corner is None or not rows[0][0]):
        return rows[0][1:], [row[0] for row in rows[1:]], [row[1:] for row in rows[1:]]
    if others == {height} and first == height - 1:  # as R writes it: no cell above the names of the rows
        return rows[0], [row[0] for row in rows[1:]], [row[1:] for row in rows[1:]]
    if others == {first} == {height - 1} and _named(rows[0]):
        return rows[0], None, rows[1:]
    if others == {first} == {height + 1} and _named([row[0] for row in rows]):
        return None, [row[0] for row in rows], [row[1:] for row in rows]
    return None, None, rows


def _named(cells: list[str]) -> bool:
    """Whether cells are names: numbers alone are dissimilarities, of a table that is not square."""
    return any(_number(c) is None for c in cells)


def _number(cell: str) -> float | None:
    if cell.lower() in _MISSING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return None


def _value(cell: str, path: Path, row: int, column: int) -> float:
    found = _number(cell)
    if found is None:
        raise InputError(f"{path.name}: row {row + 1}, column {column + 1} holds {quoted(cell)}, which is no number.")
    return found
