"""Models' outputs, whatever a user gives, brought to the same items in the same order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.arrays import to_numpy
from .._core.checks import as_ids
from ..conditions import Side, all_joined, as_side
from ..datasets import PairedItems, matching, read_labels
from ..design import Codes, coded, label_text
from ..errors import InputError, quoted
from ..store import Layers
from ._rows import Floats

_FEWEST = 5  # items: of four, no p of all re-pairings is below 0.04


class Output(NamedTuple):
    """One model's outputs as they were given, over the common items.

    Attributes:
        values: Scores (n, columns), or numbers of names (n, places) where `names` says what they number.
        columns: Names of the columns, or None where they have none.
        names: Names that `values` number: labels or gallery items; None of scores.
    """

    values: Floats
    columns: tuple[str, ...] | None
    names: tuple[str, ...] | None


class Joined(NamedTuple):
    """All models' outputs over the same items.

    Attributes:
        outputs: Name -> outputs.
        n: Number of items.
        ids: Their ids, or None.
        facts: Name -> how the outputs came about.
        notes: In words which models had more items.
    """

    outputs: dict[str, Output]
    n: int
    ids: tuple[str, ...] | None
    facts: dict[str, dict[str, Any]]
    notes: list[str]


def read_outputs(models: Any, classes: Any, ids: Any, *, rankings: bool) -> Joined:
    """The models' outputs, joined by id where there are ids.

    Args:
        models: Name -> outputs.
        classes: As in `outputs`.
        ids: As in `outputs`.
        rankings: Whether two axes of names are rankings.

    Raises:
        InputError: if there are fewer than two models or five items, outputs do not join, or one is no output.
    """
    if not isinstance(models, Mapping):
        raise InputError(
            f"models must map names to outputs, such as {{'a': probabilities, 'b': other}}, found "
            f"{type(models).__name__}."
        )
    if len(models) < 2:
        raise InputError(f"models has {len(models)}: outputs are compared between two models or more.")
    known = None if ids is None else as_ids(ids, "ids")
    sides, columns, names = {}, {}, {}
    for key, value in models.items():
        label, where = str(key), f"models[{quoted(key)}]"
        if label in sides:
            raise InputError(f"models: two are called {quoted(label)}; give each a name of its own.")
        columns[label] = _columns(value, classes, key)
        given, names[label] = _numbered(value, where, rankings=rankings)
        sides[label] = _side(given, where, label, known)
    joined, notes = all_joined(sides)
    first = next(iter(joined.values()))
    if first.n < _FEWEST:
        raise InputError(f"models have {first.n} items in common; at least {_FEWEST} are needed to say anything.")
    found = {}
    for label, side in joined.items():
        values = np.asarray(to_numpy(side.features(next(iter(side.layers)))))
        _check_columns(columns[label], values.shape[1], names[label], f"models[{quoted(label)}]")
        found[label] = Output(values, columns[label] if names[label] is None else None, names[label])
    return Joined(found, first.n, first.ids, {k: dict(v.facts) for k, v in sides.items()}, notes)


def _side(given: Any, where: str, label: str, ids: tuple[str, ...] | None) -> Side:
    """A model's outputs as a side of one layer.

    Raises:
        InputError: if there are several layers, or ids are not one a row.
    """
    side = as_side(given, where, label)
    if len(side.layers) != 1:
        raise InputError(
            f"{where} holds {len(side.layers)} layers ({', '.join(map(repr, list(side.layers)[:3]))}, …), and outputs "
            f"are one; give it, such as {{{quoted(label)}: x[{next(iter(side.layers))!r}]}}."
        )
    own = isinstance(side.layers, Layers) and side.layers.ids_given
    if ids is None or own:
        return side
    if len(ids) != side.n:
        raise InputError(f"ids has {len(ids)} entries and {where} has {side.n} rows; one id a row is needed.")
    layers = Layers.from_arrays({k: side.layers[k] for k in side.layers}, ids, encoder=label)
    return as_side(layers, where, label)


def _numbered(given: Any, where: str, *, rankings: bool) -> tuple[Any, tuple[str, ...] | None]:
    """Predicted labels, or rankings, as numbers of names (n, places) in a form that has the ids of what was given.

    Raises:
        InputError: if a label is missing, or rankings are no table of names.
    """
    if isinstance(given, (Layers, str, os.PathLike)):
        if not rankings:
            return given, None
        side = as_side(given, where, None)
        if len(side.layers) != 1:
            return given, None  # refused where sides are made
        (layer,) = side.layers
        codes, names = _codes(np.asarray(to_numpy(side.layers[layer])), where)
        ids = side.ids if getattr(side.layers, "ids_given", False) else None
        return Layers.from_arrays({layer: codes}, ids, encoder=where), names
    try:
        array = np.asarray(to_numpy(given) if hasattr(given, "__array__") or hasattr(given, "__dlpack__") else given)
    except (TypeError, ValueError):  # lists of unlike lengths and other things, refused where sides are made
        return given, None
    if array.ndim == 1 and len(array):
        values = _labels(array, where)
    elif rankings and array.ndim == 2:
        values = array
    else:
        return (array if array.ndim == 2 and isinstance(given, (list, tuple)) else given), None
    codes, names = _codes(values, where)
    index = getattr(given, "index", None)
    if index is None or callable(index) or list(index) == list(range(len(codes))):
        return codes, names
    return Layers.from_arrays({"answers": codes}, as_ids(list(index), f"The index of {where}"), encoder=where), names


def _labels(array: Any, where: str) -> Any:
    """Predicted labels as a column (n, 1).

    Raises:
        InputError: if they are numbers that are not whole, so that they are no labels.
    """
    if array.dtype.kind == "f":
        odd = array[~np.isfinite(array) | (array != np.floor(array))]
        if len(odd):
            raise InputError(
                f"{where} is one number an item, such as {odd[0]:g}, and predicted labels are texts or whole numbers. "
                "Of two classes, give the probabilities of both: np.column_stack([1 - p, p])."
            )
    return array[:, None]


def _codes(values: Any, where: str) -> tuple[Floats, tuple[str, ...]]:
    """Numbers of names (n, places) as floats, and the names, sorted.

    Raises:
        InputError: if one is missing.
    """
    flat = [label_text(v) for v in values.ravel().tolist()]
    lost = next((i for i, v in enumerate(values.ravel().tolist()) if v is None or v != v), None)  # noqa: PLR0124  # NaN
    if lost is not None:
        raise InputError(
            f"{where} has no answer for item {lost // values.shape[1]}: none may be missing. Leave that item out, or "
            "give it an answer of its own, such as 'none'."
        )
    names, codes = np.unique(np.array(flat, dtype=object).astype(str), return_inverse=True)
    return codes.reshape(values.shape).astype(np.float64), tuple(map(str, names))


def _columns(given: Any, classes: Any, key: Any) -> tuple[str, ...] | None:
    """Names of a model's columns: as `classes` says, or those of a table.

    Raises:
        InputError: if they are no list of names, or one is there twice.
    """
    own = classes.get(key) if isinstance(classes, Mapping) else classes
    if own is None and hasattr(type(given), "columns") and hasattr(given, "dtypes"):
        own = [*given.columns]
        if own == list(range(len(own))):  # nobody named them
            own = None
    if own is None:
        return None
    if isinstance(own, (str, bytes)) or not (isinstance(own, Sequence) or hasattr(own, "__array__")):
        raise InputError(
            f"classes={quoted(classes)} must be one name a column, or a mapping from models to such lists."
        )
    named = tuple(map(label_text, np.asarray(own).tolist()))
    if len(set(named)) < len(named):
        twice = next(v for v in named if named.count(v) > 1)
        raise InputError(
            f"classes of {quoted(str(key))}: {quoted(twice)} is there twice; each column needs its own name."
        )
    return named


def _check_columns(columns: tuple[str, ...] | None, width: int, names: Any, where: str) -> None:
    """Refuse names of columns that are not one each.

    Raises:
        InputError: if they are not.
    """
    if names is None and columns is not None and len(columns) != width:
        raise InputError(f"{where} has {width} columns, and classes has {len(columns)} names; one each is needed.")


def by_item(given: Any, joined: Joined, ids: Any, items: PairedItems | None, name: str) -> tuple[str, ...] | None:
    """One text an item, in the order of the joined items: labels or groups.

    Args:
        given: One an item; by id as a mapping or series; or the name of a label set of `items`.
        joined: The models' outputs.
        ids: Ids of the rows of `given`, where it is a plain list.
        items: The items.
        name: The argument's name.

    Raises:
        InputError: if it is not one an item, or it cannot be known which label is whose.
    """
    if isinstance(given, Mapping):
        keyed = {str(k): v for k, v in given.items()}
        if joined.ids is None or (set(joined.ids) - set(keyed) and len(keyed) == joined.n and _rows_alone(joined)):
            given = list(keyed.values())
        else:
            lost = [i for i in joined.ids if i not in keyed]
            if lost:
                raise InputError(
                    f"{name} has nothing for {len(lost)} of {joined.n} items, such as {quoted(lost[0])}; its ids are "
                    f"like {quoted(next(iter(keyed), ''))}. Add them, or leave these items out of the outputs."
                )
            given = [keyed[i] for i in joined.ids]
    elif ids is not None and given is not None and not isinstance(given, str) and joined.ids is not None:
        rows = {i: k for k, i in enumerate(as_ids(ids, "ids"))}
        values = to_numpy(given).tolist() if hasattr(given, "__array__") else list(given)
        if len(values) != len(rows):
            raise InputError(f"{name} has {len(values)} entries and ids has {len(rows)}; one id each is needed.")
        lost = [i for i in joined.ids if i not in rows]
        if lost:
            raise InputError(f"ids lacks {len(lost)} of {joined.n} items, such as {quoted(lost[0])}; give one a row.")
        given = [values[rows[i]] for i in joined.ids]
    elif joined.notes and given is not None and not isinstance(given, str) and callable(getattr(given, "index", len)):
        raise InputError(
            f"{name} is a plain list, and {joined.notes[0]} Which of its entries are of the {joined.n} others is not "
            f"known: give ids=, one for each entry, or {name} as a mapping from id to value."
        )
    own = None if _rows_alone(joined) else joined.ids
    return read_labels(matching(items, own, joined.n), given, joined.n, name, own)


def _rows_alone(joined: Joined) -> bool:
    """Whether ids are row numbers, so that row i is item i."""
    return joined.ids == tuple(map(str, range(joined.n)))


def group_codes(texts: tuple[str, ...] | None) -> Codes | None:
    """Groups as numbers."""
    return None if texts is None else coded(texts, len(texts), "groups", "text")
