"""Features written to one file, ``.npz`` or ``.safetensors``; `isomorph._core.featurefiles` reads them.

Both formats hold one array a layer under the layer's own name, so that any reader opens them. Ids,
encoder and provenance travel along: in an array ``ids`` and a JSON text ``__isomorph__`` (`.npz`), or in the
metadata (`.safetensors`), which is written here from its published layout: 8 bytes of length, a JSON head, the raw
arrays.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from .._core.arrayfiles import TYPES
from .._core.arrays import to_numpy
from .._core.checks import as_ids
from .._core.featurefiles import META
from .._core.files import atomic_file, check_target, reason
from .._core.provenance import canonical_json
from ..errors import InputError, StoreError, quoted

WRITTEN = (".npz", ".safetensors")
"""Suffixes of the formats that are written."""
_NAMES = {np.dtype(v).str: k for k, v in TYPES.items() if k != "BF16"}


def save(layers: Mapping[str, Any], ids: Sequence[str], facts: Mapping[str, Any], path: Path) -> Path:
    """Write layers to a `.npz` or `.safetensors` file, whole or not at all.

    Args:
        layers: Layer -> features (n, d).
        ids: One id a row.
        facts: What travels along, JSON-able; with ``ids`` if somebody gave them.
        path: The file.

    Raises:
        InputError: if the suffix is another one, or a layer's name is reserved.
        StoreError: if the file cannot be written.
    """
    writers = dict(zip(WRITTEN, (_save_npz, _save_safetensors), strict=True))
    check_target(path, "path", suffixes=WRITTEN)
    kind = path.suffix.lower()
    for name in layers:
        if name in ("ids", META, "__metadata__") or not name:
            raise InputError(
                f"A layer called {name!r} cannot be written to a file: that name is reserved; rename the layer."
            )
    as_ids(list(layers), "names of layers")  # what ids cannot hold, names of arrays cannot either
    if kind == ".npz":
        _require_apart(layers)
    try:
        with atomic_file(path) as file:
            writers[kind](layers, ids, canonical_json({"layers": list(layers), **facts}), file)
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {reason(error)}. Nothing was left behind.") from error
    return path


def _require_apart(layers: Mapping[str, Any]) -> None:
    """Refuse names that readers of `.npz` take for each other: they leave out one ".npy".

    Raises:
        InputError: if there are any.
    """
    for name in layers:
        stem = name.removesuffix(".npy")
        if stem != name and (stem in layers or stem in ("ids", META)):
            raise InputError(
                f"A .npz file cannot hold {quoted(name)} and {quoted(stem)} apart; rename the layer, or save it as "
                ".safetensors."
            )


def _save_npz(layers: Mapping[str, Any], ids: Sequence[str], meta: str, raw: IO[bytes]) -> None:
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED, allowZip64=True) as file:

        def write(name: str, array: np.ndarray[Any, Any]) -> None:
            # a fixed date: the same features give the same bytes
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with file.open(member, "w", force_zip64=True) as out:
                npy.write_array(out, np.asanyarray(array), allow_pickle=False)

        for name in layers:
            write(name, np.ascontiguousarray(to_numpy(layers[name])))
        write("ids", np.array(ids, dtype=np.str_))
        write(META, np.array(meta, dtype=np.str_))


def safetensors_head(arrays: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """The head of a ``.safetensors`` file whose arrays follow, row by row, in the order given.

    Args:
        arrays: Name -> dtype and shape.
        metadata: What the file says of itself.
    """
    head: dict[str, Any] = {"__metadata__": {"format": "isomorph", **metadata}}
    offset = 0
    for name, (dtype, shape) in arrays.items():
        size = math.prod(shape) * dtype.itemsize
        head[name] = {
            "dtype": _NAMES[dtype.newbyteorder("<").str],
            "shape": list(shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    return len(text).to_bytes(8, "little") + text


def _save_safetensors(layers: Mapping[str, Any], ids: Sequence[str], meta: str, file: IO[bytes]) -> None:
    forms = {}
    for name in layers:  # one layer at a time is in memory
        array = to_numpy(layers[name])
        forms[name] = (array.dtype, array.shape)
    file.write(safetensors_head(forms, {META: meta}))
    for name in layers:
        array = to_numpy(layers[name])
        file.write(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
