"""Isomorph's own files, and plain arrays of anybody: ``.npy``, ``.npz`` and ``.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, quoted
from ..arrayfiles import read_arrays
from ..checks import as_ids
from ..files import parse_json
from ._read import Read

ENDINGS = (".npy", ".npz", ".safetensors")
META = "__isomorph__"
"""Name under which a file describes itself."""


def read(path: Path) -> Read:
    """Arrays of a `.npy`, `.npz` or `.safetensors` file, and its description, checked.

    Raises:
        InputError: if the file or its description is damaged.
    """
    found, texts = read_arrays(path)
    # plain arrays over the mapping: slices of np.memmap carry its attributes along and are slow
    arrays: dict[str, Any] = {name: np.asarray(array) for name, array in found.items()}
    if path.suffix.lower() == ".npz":
        text = str(arrays.pop(META)) if META in arrays else ""
        ids = arrays.pop("ids", None)
    else:
        text, ids = texts.get(META, ""), None
        if not text and "ids" in texts:
            ids = _json(path, texts["ids"], list)
    meta = _described(path, _json(path, text), arrays) if text else {}
    if ids is not None and not text:
        meta["ids"] = as_ids(np.atleast_1d(ids) if isinstance(ids, np.ndarray) else ids, str(path))
    return Read(arrays, meta.pop("ids", None), meta)


_FACTS: dict[str, Any] = {
    "encoder": str,
    "view": str,
    "modality": str,
    "provenance": dict,
    "n_parameters": (int, type(None)),
}


def _described(path: Path, meta: dict[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """A file's description, if it is one of these arrays.

    Raises:
        InputError: if it is not.
    """
    for name, kind in _FACTS.items():
        if name in meta and (not isinstance(meta[name], kind) or isinstance(meta[name], bool)):
            raise InputError(f"{path}: its description says {name}={quoted(meta[name])}, so it is damaged.")
    if "layers" in meta:
        order = meta["layers"]
        if not isinstance(order, list) or sorted(map(str, order)) != sorted(arrays):
            raise InputError(f"{path}: its description names other layers than it holds, so it is damaged.")
    return meta | ({"ids": as_ids(meta["ids"], str(path))} if "ids" in meta else {})


def _json(path: Path, text: str, kind: type[Any] = dict) -> Any:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: its description is no JSON text: {error}.") from error
    if not isinstance(value, kind):
        raise InputError(f"{path}: its description is {type(value).__name__}, not {kind.__name__}.")
    return value
