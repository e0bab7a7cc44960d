"""Tables and labelled arrays of other libraries: their values, and the ids in their index.

They are told by what they can do, so that no such library is imported. Items are joined by id: an index that nobody
looked at would pair other items than its owner means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, quoted
from .checks import as_ids
from .rdm import Rdm

_ID_COLUMNS = ("id", "ids", "index", "item", "item_id", "unnamed: 0")


class Labeled(NamedTuple):
    """Values of a table, with the ids of its rows.

    Attributes:
        values: The values, as they are.
        ids: One id a row, or None where the kind of table has none.
        given: False where the ids are the row numbers that a table has if nobody gave it any.
    """

    values: Any
    ids: tuple[str, ...] | None
    given: bool


def unlabeled(x: Any, name: str) -> Labeled:
    """What is in a DataFrame (pandas, polars), a DataArray (xarray) or an RDM; anything else is passed through.

    Raises:
        InputError: if it is such a table, and a column holds no numbers or looks like ids, or ids repeat.
    """
    if isinstance(x, Rdm):
        return Labeled(x, x.ids, x.ids is not None)
    if type(x).__module__.partition(".")[0] == "xarray":
        return _from_xarray(x, name)
    # asked of the type, since a lazy table computes its columns when it is asked itself
    if isinstance(x, np.ndarray) or not any(hasattr(type(x), k) for k in ("columns", "column_names")):
        return Labeled(x, None, False)
    if not all(hasattr(type(x), k) for k in ("to_numpy", "dtypes", "columns")):
        raise InputError(
            f"{name} is a table ({type(x).__module__.partition('.')[0]} {type(x).__name__}) that cannot be read as it "
            f"is; pass a pandas or polars DataFrame, such as {name}.to_pandas() or {name}.collect(), or an array."
        )
    _require_numbers(x, name)
    values = x.to_numpy()
    if hasattr(x, "index"):
        if values.dtype == object:  # columns of several types, or with missing values, which become NaN
            values = x.to_numpy(dtype=np.float64, na_value=np.nan)
        # row by row in memory, as arrays mostly are: the same features give the same score to the last digit
        return _with_ids(np.ascontiguousarray(values), list(x.index), name)
    return Labeled(np.ascontiguousarray(values), None, False)


def _require_numbers(x: Any, name: str) -> None:
    """Refuse columns that are no features.

    Raises:
        InputError: if there are any; it says what to do with them.
    """
    for column, dtype in zip(x.columns, list(x.dtypes), strict=True):
        kind = getattr(dtype, "kind", None)
        numeric = kind in set("fiub") if kind else str(dtype).startswith(("Int", "UInt", "Float", "Boolean"))
        if numeric and str(column).lower() not in _ID_COLUMNS:
            continue
        what = f"holds {dtype}, no real numbers" if not numeric else "would count as a feature"
        fix = (
            f"If it holds the ids, make it the index: {name}.set_index({quoted(column)})"
            if hasattr(x, "index")
            else "If it holds the ids, give it as ids= of iso.Layers.from_arrays"
        )
        raise InputError(f"{name}: the column {quoted(column)} {what}. {fix}; else leave it out.")


def _from_xarray(x: Any, name: str) -> Labeled:
    if not hasattr(x, "dims") or hasattr(x, "data_vars"):
        raise InputError(f"{name} is an xarray {type(x).__name__}; pass one of its arrays, such as {name}['features'].")
    index = x.indexes.get(x.dims[0]) if x.ndim == 2 else None
    return Labeled(x.values, None, False) if index is None else _with_ids(x.values, list(index), name)


def _with_ids(values: Any, index: Sequence[Any], name: str) -> Labeled:
    ids = as_ids(index, f"The index of {name}")
    return Labeled(values, ids, ids != tuple(map(str, range(len(ids)))))


def by_index(values: Any, ids: Sequence[str] | None, name: str) -> Any:
    """One value an item, in the order of the items.

    Those that have an index of their own (a pandas Series, a DataArray) are found by id, others are as they are.

    Args:
        values: What may be such a series.
        ids: Ids of the items, or None where they have none.
        name: What they are called in messages.

    Raises:
        InputError: if they have an index, and the items have no ids, or one of them is not in it.
    """
    index = getattr(values, "index", None)
    if type(values).__module__.partition(".")[0] == "xarray":
        index = getattr(values, "indexes", {}).get(values.dims[0]) if getattr(values, "ndim", 0) == 1 else None
    if index is None or callable(index) or not hasattr(type(values), "to_numpy"):
        return values
    found = as_ids(list(index), f"The index of {name}")
    plain = values.to_numpy()
    if found == tuple(map(str, range(len(found)))) or found == tuple(ids or ()):
        return plain
    if ids is None:
        raise InputError(
            f"{name} has an index of its own ({_few(found)}, …), and the items have no ids to find in it. If its rows "
            f"are the items in their order, pass {name}.to_numpy(); else give the features with ids."
        )
    where = {id_: i for i, id_ in enumerate(found)}
    lost = [id_ for id_ in ids if id_ not in where]
    if lost:
        raise InputError(
            f"{name} has nothing for {len(lost)} of {len(ids)} items, such as {quoted(lost[0])}: its index holds "
            f"{_few(found)}, …. Reindex it by the ids of the items, or pass {name}.to_numpy() in their order."
        )
    return plain[[where[id_] for id_ in ids]]


def common_rows(
    left: Sequence[str], right: Sequence[str], names: tuple[str, str], given: tuple[bool, bool]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Rows of both sides with the same ids, in the order of the left; None if they are the same in the same order.

    Args:
        left: Ids of one side.
        right: Ids of the other.
        names: What the sides are called in messages.
        given: Whether somebody gave each side's ids, or the row numbers stand in for them.

    Raises:
        InputError: if no item is in both, or if one has row numbers for ids and the lengths differ.
    """
    if tuple(left) == tuple(right):
        return None
    if not all(given) and len(left) != len(right):
        raise InputError(
            f"{names[0]} has {len(left)} items and {names[1]} has {len(right)}, and "
            f"{'one was not' if any(given) else 'neither was'} given ids: which rows belong together is not known. "
            "Give both their ids, for example Layers.from_arrays(arrays, ids=…)."
        )
    where = {id_: i for i, id_ in enumerate(right)}
    rows = [(i, where[id_]) for i, id_ in enumerate(left) if id_ in where]
    if not rows:
        raise InputError(
            f"{names[0]} and {names[1]} have no item in common: their ids are like {_few(left)} and {_few(right)}. "
            "Items are joined by id, so both need the same ids for the same things."
        )
    ours, theirs = np.array(rows, dtype=np.int64).T
    return ours, theirs


def _few(ids: Sequence[str]) -> str:
    return ", ".join(map(quoted, ids[:3])) or "none"
