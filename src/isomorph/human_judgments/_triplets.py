"""Odd-one-out judgements: three items, of which a person chose the one that is least like the others."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.arrayfiles import read_arrays
from .._core.arrays import to_numpy
from .._core.files import as_path, read_text
from ..errors import InputError, quoted

Rows = np.ndarray[Any, np.dtype[np.int64]]
_ODD = ("odd", "odd_one_out", "odd_one", "choice", "chosen", "answer", "least")
"""Names of a column that holds the odd item."""


@dataclasses.dataclass(frozen=True, eq=False)
class Triplets:
    """Judgements of three items each.

    Attributes:
        rows: Rows of the items (judgements, 3), the odd one last.
        missing: Judgements left out since one of their items is not there.

    Example:
        >>> read_triplets([("cat", "dog", "car"), ("car", "bus", "cat")], ["bus", "car", "cat", "dog"]).rows.tolist()
        [[2, 3, 1], [1, 0, 2]]
    """

    rows: Rows
    missing: int = 0


def read_triplets(triplets: Any, ids: Sequence[str] | None, n: int | None = None, what: str = "triplets") -> Triplets:
    """Judgements as rows of the items, the odd one last.

    Args:
        triplets: One judgement a row (m, 3), the odd item last: ids or row numbers, as an array or list; or a file:
            ``.npy``, or text (``.csv``, ``.tsv``, ``.txt``) separated by commas, semicolons, tabs or spaces. A head
            line may name the column of the odd item: ``odd``, ``choice`` or ``answer``.
        ids: Ids of the items, or None where row numbers say which is meant.
        n: Number of items, if there are no ids.
        what: The argument's name, for messages.

    Raises:
        InputError: if they are no such judgements, an item is not there, or one is there twice in a judgement.

    Example:
        >>> read_triplets([[0, 1, 2]], None, 3).rows.tolist()
        [[0, 1, 2]]
    """
    count = len(ids) if ids is not None else int(n or 0)
    if isinstance(triplets, str | Path):
        triplets = _from_file(as_path(triplets, what))
    table = _table(triplets, what)
    if ids is not None and table.dtype.kind not in "iu":
        table, missing = _by_id(table, ids, what)
    else:
        table, missing = _by_number(table, count, what), 0
    same = (table[:, 0] == table[:, 1]) | (table[:, 0] == table[:, 2]) | (table[:, 1] == table[:, 2])
    if same.any():
        raise InputError(f"{what}: judgement {int(np.argmax(same))} names an item twice; three items are needed.")
    return Triplets(table, missing)


def _table(triplets: Any, what: str) -> np.ndarray[Any, Any]:
    """Judgements as an array (m, 3) of texts or whole numbers.

    Raises:
        InputError: if they are none.
    """
    if isinstance(triplets, bytes | Mapping | set) or not (
        hasattr(triplets, "__array__") or isinstance(triplets, Sequence)
    ):
        raise InputError(
            f"{what} must be judgements (m, 3), the odd item last, or a file of them, found {quoted(triplets)}."
        )
    try:
        table = np.asarray(to_numpy(triplets) if hasattr(triplets, "__array__") else triplets)
    except ValueError as error:
        raise InputError(f"{what} must have three items in every row: {error}") from error
    if table.ndim != 2 or table.shape[1] != 3 or not len(table):
        raise InputError(f"{what} has shape {table.shape}; judgements (m, 3) are needed, the odd item last.")
    if table.dtype.kind == "f" and np.all(np.isfinite(table)) and np.all(table == np.floor(table)):
        table = table.astype(np.int64)
    if table.dtype.kind not in "iuUSO":
        raise InputError(f"{what} holds {table.dtype}; ids or row numbers of items are needed.")
    if table.dtype.kind in "SO":
        table = np.array([[v.decode() if isinstance(v, bytes) else str(v) for v in row] for row in table.tolist()])
    return table


def _by_id(table: np.ndarray[Any, Any], ids: Sequence[str], what: str) -> tuple[Rows, int]:
    where = {id_: i for i, id_ in enumerate(ids)}
    names, places = np.unique(table, return_inverse=True)
    rows = np.array([where.get(str(name), -1) for name in names])[places.reshape(table.shape)]
    there = (rows >= 0).all(axis=1)
    if not there.any():
        raise InputError(
            f"{what} and the features have no three items in common: {what} are of items like "
            f"{', '.join(map(quoted, names[:3].tolist()))}, the features of {', '.join(map(quoted, list(ids)[:3]))}."
        )
    return np.asarray(rows[there], dtype=np.int64), int((~there).sum())


def _by_number(table: np.ndarray[Any, Any], n: int, what: str) -> Rows:
    if table.dtype.kind not in "iu":
        raise InputError(
            f"{what} names items by texts such as {quoted(str(table[0, 0]))}, and the features have no ids. Give them "
            "with ids (iso.Layers.from_arrays(arrays, ids=…)), or row numbers."
        )
    low, high = int(table.min()), int(table.max())
    if low < 0 or high >= n:
        one = f" Rows are counted from 0; these may be counted from 1: {what} - 1." if low >= 1 and high == n else ""
        raise InputError(f"{what} names rows {low} to {high}, and the features have rows 0 to {n - 1}.{one}")
    return table.astype(np.int64)


def _from_file(path: Path) -> Any:
    """The judgements of a file.

    Raises:
        InputError: if it holds none.
    """
    if path.suffix.lower() == ".npy":
        (array,) = read_arrays(path)[0].values()
        return array
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        raise InputError(f"Cannot read judgements from {path}: expected .npy, .csv, .tsv or .txt.")
    lines = [line for line in read_text(path, "judgements").splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty; one judgement a line is needed, three items, the odd one last.")
    mark = next((m for m in "\t;," if m in lines[0]), None)
    rows = [re.split(r"\s+", line.strip()) for line in lines] if mark is None else [
        [cell.strip() for cell in row] for row in csv.reader(lines, delimiter=mark)
    ]  # fmt: skip
    head = [cell.lower() for cell in rows[0]]
    odd = next((k for k, cell in enumerate(head) if cell in _ODD), None)
    if odd is not None:
        rows = rows[1:]
        if len(head) < 3 or not rows:
            raise InputError(f"{path} has columns {', '.join(head)}; two items and the odd one are needed, and a row.")
        others = [k for k in range(len(head)) if k != odd][:2]
        if len(head) > 3:
            named = [
                k for k, cell in enumerate(head) if re.fullmatch(r"(item|image|object)?_?[123abijk]|first|second", cell)
            ]
            others = [k for k in named if k != odd][:2]
            if len(others) < 2:
                raise InputError(
                    f"{path} has columns {', '.join(head)}; name two of them item_1 and item_2, and one odd."
                )
        short = next((k for k, row in enumerate(rows) if len(row) != len(head)), None)
        if short is not None:
            raise InputError(f"{path}: line {short + 2} has {len(rows[short])} cells, the head {len(head)}.")
        rows = [[row[others[0]], row[others[1]], row[odd]] for row in rows]
    short = next((k for k, row in enumerate(rows) if len(row) != 3), None)
    if short is not None:
        raise InputError(
            f"{path}: judgement {short} has {len(rows[short])} items; three are needed, the odd one last, or a head "
            "line that names its column 'odd'."
        )
    whole = all(cell.isdecimal() and len(cell) < 10 for row in rows for cell in row)
    return np.array(rows, dtype=np.int64) if whole else np.array(rows)
