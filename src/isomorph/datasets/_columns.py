"""Items of what is at hand in a notebook: one sequence a view."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from .._core.checks import as_ids
from .._core.frames import by_index
from ..errors import InputError, quoted
from ._encoded import file_of, sniffed
from ._files import READERS, fault, modality_of, view_of
from ._views import Audio, MemoryView, View, as_view

Value = float | str | bool | None


@dataclasses.dataclass(frozen=True)
class Parts:
    """What paired items are made of."""

    ids: tuple[str, ...]
    views: dict[str, View]
    labels: dict[str, Any] = dataclasses.field(default_factory=dict)
    groups: Any = None
    covariates: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def as_covariate(values: Any, ids: Sequence[str], name: str, where: str) -> tuple[Value, ...]:
    """One value an item: numbers, or texts and truth values; None for what is missing, NaN or empty.

    Args:
        values: In the order of the items, or by id: a mapping or a series with an index.
        ids: Ids of the items.
        name: The covariate's name.
        where: Whose it is, for messages.

    Raises:
        InputError: if they are not one an item, or one is no such value.

    Example:
        >>> as_covariate({"b": 2.5, "a": float("nan")}, ("a", "b"), "size", "pets")
        (None, 2.5)
    """
    what = f"{where}: covariate {name!r}"
    if isinstance(values, Mapping):
        if not any(i in values for i in ids):
            raise InputError(f"{what} has none of the {len(ids)} items; its ids begin with {quoted([*values][:3])}.")
        values = [values.get(i) for i in ids]
    values = by_index(values, ids, what)
    several = hasattr(values, "__len__") and hasattr(values, "__iter__") and getattr(values, "ndim", 1) > 0
    if isinstance(values, str) or not several:
        raise InputError(f"{what} must be one value an item, found {quoted(values)}.")
    if len(values) != len(ids):
        raise InputError(f"{what} has {len(values)} entries but there are {len(ids)} ids; one each is needed.")
    plain = to_numpy(values).tolist() if hasattr(values, "dtype") else list(values)
    return tuple(_value(v, id_, what) for v, id_ in zip(plain, ids, strict=True))


def _value(value: Any, id_: str, what: str) -> Value:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Real):
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
        if math.isinf(number):
            raise InputError(f"{what}: item {id_!r} is infinite; leave it empty (None) if it is not known.")
        return None if math.isnan(number) else number
    raise InputError(f"{what}: item {id_!r} has {quoted(value)}; a number, a text, True or False is needed.")


def collected(views: Mapping[str, Any], ids: Any, labels: Any, groups: Any, covariates: Any) -> Parts:
    """Parts of items from one sequence a view; see `PairedItems.from_views`.

    Raises:
        InputError: as there.
    """
    if not views:
        raise InputError(
            "from_views: there are no views; give one argument each, such as "
            "PairedItems.from_views(image=[…], text=[…], ids=[…])."
        )
    known = as_ids(ids, "from_views: ids") if ids is not None else _ids_of(views)
    entries = {k: _entries(v, k, known) for k, v in views.items()}
    sizes = {k: len(v) for k, v in entries.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{k!r} has {n}" for k, n in sizes.items())
        raise InputError(f"from_views: entry i of every view must be the same item, but view {told} entries.")
    n = next(iter(sizes.values()))
    if known is not None and len(known) != n:
        raise InputError(f"from_views: there are {len(known)} ids for {n} entries of each view; one each is needed.")
    if not n:
        raise InputError(f"from_views: view {next(iter(views))!r} is empty; at least one item is needed.")
    known = known or as_ids(range(n), "ids")
    if labels is not None and not isinstance(labels, Mapping):
        labels = {"label": labels}
    if covariates is not None and not isinstance(covariates, Mapping):
        raise InputError(f"from_views: covariates must map names to one value an item, found {quoted(covariates)}.")
    named = {k: by_index(_listed(v), known, f"labels[{k!r}]") for k, v in (labels or {}).items()}
    own = None if groups is None else by_index(_listed(groups), known, "groups")
    for what, values in [
        *((f"label set {k!r}", v) for k, v in named.items()),
        *([] if own is None else [("groups", own)]),
    ]:
        if not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0 or len(values) != n:
            raise InputError(f"from_views: {what} must hold one entry for each of {n} items, found {quoted(values)}.")
    return spread(Parts(known, entries, named, own, covariates or {}))


def _ids_of(views: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Ids that the first view brings that has some: keys of a mapping, or an index that somebody set."""
    for name, view in views.items():
        if isinstance(view, Mapping):
            return as_ids(list(view), f"view {name!r}")
        index = getattr(view, "index", None)
        if index is not None and not callable(index) and hasattr(view, "to_numpy"):
            found = as_ids(list(index), f"the index of view {name!r}")
            if found != tuple(map(str, range(len(found)))):
                return found
    return None


def _listed(values: Any) -> Any:
    """A generator or other iterable as a list; what has a length as it is."""
    return values if hasattr(values, "__len__") or not isinstance(values, Iterable) else list(values)


def _entries(values: Any, name: str, ids: Sequence[str] | None) -> Any:
    """The entries of one view: a `View`, or what `spread` makes one of.

    Raises:
        InputError: if they are no sequence, or a mapping lacks an item.
    """
    if isinstance(values, View):
        return values
    if isinstance(values, Mapping) and ids is not None:
        lost = [i for i in ids if i not in values]
        if lost:
            raise InputError(
                f"from_views: view {name!r} has nothing for {len(lost)} of {len(ids)} items, such as {lost[0]!r}; "
                "leave these out of all views."
            )
        values = [values[i] for i in ids]
    one = isinstance(values, str | bytes | os.PathLike) or not isinstance(values, Iterable)
    if one or getattr(values, "ndim", 1) == 0:
        raise InputError(f"from_views: view {name!r} must be a list with one entry an item, found {quoted(values)}.")
    values = _listed(by_index(values, ids, f"view {name!r}"))
    return to_numpy(values) if getattr(values, "ndim", 0) == 2 else list(values)


def spread(parts: Parts) -> Parts:
    """With every text an item of its own where the entries of a view are lists of texts, and views made of entries.

    Raises:
        InputError: if that is so of several views, a list is empty, or as `_viewed`.
    """
    ids = parts.ids
    several = [k for k, v in parts.views.items() if isinstance(v, list) and all(is_texts(e) for e in v)]
    if len(several) > 1:
        raise InputError(
            f"The views {', '.join(map(repr, several))} all hold several texts an item, and which of them belong "
            "together is not known; give one text an item in all but one."
        )
    if not several:
        return dataclasses.replace(parts, views={k: _viewed(v, k, ids) for k, v in parts.views.items()})
    (name,) = several
    texts: Any = parts.views[name]
    rows = [i for i, own in enumerate(texts) for _ in own]
    new = tuple(f"{id_}#{k}" for id_, own in zip(ids, texts, strict=True) for k in range(len(own)))
    empty = next((i for i, own in zip(ids, texts, strict=True) if not len(own)), None)
    if empty is not None:
        raise InputError(f"view {name!r}: item {empty!r} has an empty list of texts; every item needs one at least.")
    views = {
        k: MemoryView([t for own in v for t in own], "text") if k == name else _viewed(v, k, ids).take(rows)
        for k, v in parts.views.items()
    }
    labels = {k: [v[i] for i in rows] for k, v in parts.labels.items()}
    covariates = {k: as_covariate(v, ids, k, "items") for k, v in parts.covariates.items()}
    groups = [(ids if parts.groups is None else parts.groups)[i] for i in rows]
    return Parts(new, views, labels, groups, {k: [v[i] for i in rows] for k, v in covariates.items()})


def is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)


def _viewed(values: Any, name: str, ids: Sequence[str]) -> View:
    """A view of entries, with what other libraries hold made into what a view holds.

    Raises:
        InputError: if an entry is missing or of no kind that can be shown, or there is no file at a path.
    """
    if isinstance(values, View):
        return values
    if isinstance(values, np.ndarray):
        return MemoryView(values, "features")
    for id_, value in zip(ids, values, strict=True):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            raise InputError(f"view {name!r} has nothing for the item {id_!r}; every item needs an entry.")
    paths = [os.fspath(v) for v in values if isinstance(v, str | os.PathLike)]
    kind = modality_of(paths) if len(paths) == len(values) else None
    if kind is None and any(isinstance(v, os.PathLike) for v in values):
        raise InputError(f"view {name!r}: {quoted(paths[0])} …: paths must all be of pictures, recordings or films.")
    if kind is not None:
        for id_, path in zip(ids, paths, strict=True):
            problem = fault(path, kind, Path(), decode=False)
            if problem:
                raise InputError(f"view {name!r}, item {id_!r}: {problem} Paths are relative to {Path.cwd()}.")
        return view_of(kind, paths, Path(), ids)
    return as_view([entry(v, f"view {name!r}, item {id_!r}") for id_, v in zip(ids, values, strict=True)], name)


def entry(value: Any, where: str) -> Any:
    """An entry as a view holds it: files and recordings of Hugging Face, torchaudio's, and pictures that are tensors.

    Raises:
        InputError: if it is a tensor whose picture is not known, or a file that cannot be read.
    """
    if isinstance(value, Mapping) and set(value) == {"bytes", "path"}:
        data = file_of(value, Path(), where)
        kind = sniffed(data)
        if kind is None:
            raise InputError(f"{where}: the file is none of a picture, recording or film that is known.")
        return READERS[kind](data, name=where)
    if isinstance(value, Mapping) and {"array", "sampling_rate"} <= set(value):
        return _recording(value["array"], value["sampling_rate"], where)
    pair = isinstance(value, tuple) and len(value) == 2
    if pair and hasattr(value[0], "shape") and isinstance(value[1], numbers.Integral):
        return _recording(value[0], value[1], where)
    if hasattr(value, "detach"):
        value = to_numpy(value)
        return _picture(value, where) if value.ndim == 3 else value
    return value


def _recording(samples: Any, rate: Any, where: str) -> Audio:
    array = np.asarray(to_numpy(samples))
    if array.ndim == 2 and array.shape[0] <= 8:  # torchaudio's (channels, samples)
        array = array.mean(axis=0)
    if array.ndim != 1 or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise InputError(
            f"{where}: a recording must be finite floating-point samples in [-1, 1] of shape (samples,), or "
            f"(channels, samples), found {array.dtype} of shape {array.shape}."
        )
    return Audio(np.ascontiguousarray(array, dtype=np.float32), int(rate))


def _picture(array: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    """The uint8 picture (h, w, 3) that a tensor (channels, h, w) was made of.

    Raises:
        InputError: if it was normalised or is no picture.
    """
    if array.dtype == np.uint8 and array.shape[2] == 3 and array.shape[0] not in (1, 3):
        return array
    if array.shape[0] not in (1, 3):
        raise InputError(f"{where}: a tensor of shape {array.shape} is no picture; (3, h, w) is needed.")
    if array.dtype != np.uint8:
        scaled = array.astype(np.float64) * 255
        if not np.all((scaled > -0.5) & (scaled < 255.5)) or np.abs(scaled - scaled.round()).max() > 0.1:
            raise InputError(
                f"{where}: the tensor of values from {array.min():.3g} to {array.max():.3g} is no picture of 8 bits "
                "over 255: it was normalised or resized. Give pictures as they were before the transforms (PIL images "
                "or uint8); every encoder prepares them in its own way."
            )
        array = scaled.round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array.transpose(1, 2, 0), (*array.shape[1:], 3)))
