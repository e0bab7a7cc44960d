"""Features in files and folders, whoever wrote them: one module a kind, read as data and checked as they come.

Nothing is unpickled. Whatever has no ids asks for them, but for plain arrays, whose rows may stand as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError, quoted
from ..checks import as_ids
from ..files import as_path, reason, regular
from . import folders, hdf5, keyed, matlab, netcdf, own, tables, tensors
from ._read import ID_FILES, Read, read_ids
from .own import META

_READERS: dict[str, Callable[[Path], Read]] = {
    ending: kind.read for kind in (own, tensors, hdf5, netcdf, matlab, keyed, tables) for ending in kind.ENDINGS
}
ENDINGS = tuple(_READERS)
"""Endings of the files that are read."""
_PICKLES = (".pkl", ".pickle", ".joblib", ".p")


def read_features(path: Path, ids: Any = None) -> tuple[dict[str, Any], Sequence[str] | None, dict[str, Any]]:
    """Layers from a file or folder of features.

    Layers come in the order that the file states, or that of its arrays; where its format keeps none, in natural
    order.

    Args:
        path: The file or folder.
        ids: One id a row, or the path of a file of them (``.txt``, ``.json``, ``.npy``), for files that carry none.

    Returns:
        Layer -> features (n, d); one id a row, of the file or as given; and the facts that travelled along.

    Raises:
        InputError: if it cannot be read, is damaged, holds no features, or nobody says which items they are of.
        MissingExtraError: if the package that reads it is not installed.
    """
    if isinstance(ids, os.PathLike) or (isinstance(ids, str) and ids.lower().endswith((".txt", ".json", ".npy"))):
        ids = read_ids(as_path(ids, "ids").expanduser())
    elif ids is not None:
        ids = as_ids(ids, "ids")
    if os.path.isdir(path):  # noqa: PTH112  # Path.is_dir raises for a name that is too long
        found = folders.read(path)
    else:
        reader = _reader(path)
        path = regular(path, "features from")
        try:
            found = reader(path)
        except OSError as error:
            raise InputError(f"Cannot read {path}: {reason(error)}.") from error
    own_ids = found.ids if found.ids is None else as_ids(found.ids, str(path))
    if ids is not None and own_ids is not None and tuple(ids) != own_ids:
        raise InputError(f"{path} carries ids of its own, which differ from those given; leave out `ids`.")
    known = own_ids if own_ids is not None else ids
    if not found.arrays:
        raise InputError(f"{path} holds no features: each layer must be an array of shape (n_items, n_features).")
    arrays = _layers(found.arrays, None if known is None else len(known), path)
    if known is None and not found.rows_alone:
        raise InputError(_question(path, len(next(iter(arrays.values())))))
    facts = found.facts
    told = {
        "encoder": facts.get("encoder") or path.stem,
        "view": facts.get("view", ""),
        "modality": facts.get("modality", "features"),
        "n_parameters": facts.get("n_parameters"),
        "provenance": {**facts.get("provenance", {}), "file": path.name},
    }
    return {k: arrays[k] for k in facts.get("layers", arrays)}, known, told


def _reader(path: Path) -> Callable[[Path], Read]:
    """The reader of a file by its ending.

    Raises:
        InputError: if there is none.
    """
    kind = path.suffix.lower()
    if kind in _READERS:
        return _READERS[kind]
    if kind in _PICKLES:
        raise InputError(
            f"{path} is a pickle, which runs whatever it holds when it is opened, and is not read. Where you trust it, "
            "open it and save plain arrays: np.savez('features.npz', last=embeddings, ids=ids)."
        )
    if kind in (".zip", ".gz", ".tar", ".tgz", ".7z"):
        raise InputError(f"{path} is an archive; unpack it first, and give the file or folder of features in it.")
    raise InputError(
        f"Cannot read features from {path}: the suffix must be one of {', '.join(ENDINGS)}, or it must be a folder; "
        f"found {quoted(path.suffix)}."
    )


def _layers(arrays: dict[str, Any], n: int | None, path: Path) -> dict[str, Any]:
    """Arrays (n, d), those of three axes parted into layers.

    Raises:
        InputError: if an array has another shape, or it is not known which axis is that of items.
    """
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.ndim == 2:
            found[name] = array
        elif array.ndim == 3:
            prefix = "layer" if len(arrays) == 1 else name
            for i, layer in enumerate(_parted(array, n, name, path)):
                found[f"{prefix}.{i}"] = layer
        else:
            raise InputError(
                f"{path}: {quoted(name)} has shape {array.shape}; every layer must have shape (n_items, n_features), "
                "and ids are kept under the name 'ids'."
            )
    return found


def _parted(array: Any, n: int | None, name: str, path: Path) -> list[Any]:
    if n is None:
        raise InputError(
            f"{path}: {quoted(name)} has shape {array.shape}, and which axis is that of items is not known without "
            "ids. Give one id an item: Layers.load(path, ids=[…]), or ids='file_names.txt'."
        )
    if array.shape[0] == n:
        return [array[:, i] for i in range(array.shape[1])]
    if array.shape[1] == n:
        return list(array)
    raise InputError(
        f"{path}: {quoted(name)} has shape {array.shape} and there are {n} ids; (items, layers, features) is needed."
    )


def _question(path: Path, n: int) -> str:
    return (
        f"{path} holds features of {n:,} items and does not say which. Give their ids, which join them with the other"
        f" side: Layers.load({str(path)!r}, ids=[…]), or ids='ids.txt' with one a line; if row i is item i on both "
        f"sides: ids=range({n})."
    )


__all__ = ["ENDINGS", "ID_FILES", "META", "read_features", "read_ids"]
