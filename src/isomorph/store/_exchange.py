"""Features in and out of one file: ``.npz``, ``.safetensors``, and platonic-rep's ``.pt``; nothing is unpickled.

Both formats that are written hold one array a layer under the layer's own name, so that any reader opens them. Ids,
encoder and provenance travel along: in an array ``ids`` and a JSON text ``__isomorph__`` (`.npz`), or in the
metadata (`.safetensors`). The safetensors format is read and written here from its published layout (8 bytes of
length, a JSON head, the raw arrays), so that it needs no package and stays memory-mapped.
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from .._core.arrays import to_numpy
from .._core.provenance import atomic_path, canonical_json
from ..errors import InputError, MissingExtraError, StoreError

_META = "__isomorph__"
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
_NAMES = {np.dtype(v).str: k for k, v in _TYPES.items()}
_LARGEST_HEAD = 100_000_000  # bytes; the format's own limit


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
    writers = {".npz": _save_npz, ".safetensors": _save_safetensors}
    if path.suffix not in writers:
        raise InputError(
            f"Cannot write features to {path}: the suffix must be .npz or .safetensors, found {path.suffix!r}."
        )
    for name in layers:
        if name in ("ids", _META, "__metadata__") or not name:
            raise InputError(
                f"A layer called {name!r} cannot be written to a file: that name is reserved; rename the layer."
            )
    try:
        with atomic_path(path) as temporary:
            writers[path.suffix](layers, ids, canonical_json({"layers": list(layers), **facts}), temporary)
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error.strerror or error}. Nothing was left behind.") from error
    return path


def load(path: Path, ids: Sequence[str] | None) -> tuple[dict[str, Any], Sequence[str] | None, dict[str, Any]]:
    """Read layers from a `.npy`, `.npz`, `.safetensors` or `.pt` file.

    Returns:
        Layer -> features (n, d); one id a row, of the file or as given; and the facts that travelled along.

    Raises:
        InputError: if the file cannot be read, or holds no features.
        MissingExtraError: if a `.pt` file is given and torch is not installed.
    """
    readers = {".npy": _load_npy, ".npz": _load_npz, ".safetensors": _load_safetensors, ".pt": _load_platonic}
    if path.suffix not in readers:
        raise InputError(
            f"Cannot read features from {path}: the suffix must be .npy, .npz, .safetensors or .pt, "
            f"found {path.suffix!r}."
        )
    try:
        arrays, meta = readers[path.suffix](path)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    found = meta.get("ids")
    if ids is not None and found is not None and list(map(str, ids)) != found:
        raise InputError(f"{path} carries ids of its own, which differ from those given; leave out `ids`.")
    if not arrays:
        raise InputError(f"{path} holds no features: each layer must be an array of shape (n_items, n_features).")
    order = [k for k in meta.get("layers", arrays) if k in arrays]
    facts = {
        "encoder": meta.get("encoder") or path.stem,
        "view": meta.get("view", ""),
        "modality": meta.get("modality", "features"),
        "n_parameters": meta.get("n_parameters"),
        "provenance": {**meta.get("provenance", {}), "file": path.name},
    }
    return {k: arrays[k] for k in order}, found if found is not None else ids, facts


def _save_npz(layers: Mapping[str, Any], ids: Sequence[str], meta: str, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as file:

        def write(name: str, array: np.ndarray[Any, Any]) -> None:
            # a fixed date: the same features give the same bytes
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with file.open(member, "w", force_zip64=True) as out:
                npy.write_array(out, np.asanyarray(array), allow_pickle=False)

        for name in layers:
            write(name, np.ascontiguousarray(to_numpy(layers[name])))
        write("ids", np.array(ids, dtype=np.str_))
        write(_META, np.array(meta, dtype=np.str_))


def _load_npy(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read as .npy: {_reason(error)}.") from error
    return {path.stem: _check_layer(path, path.stem, array)}, {}


def _load_npz(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays: dict[str, Any] = {}
    try:
        # the file is opened here, because NumPy leaves a truncated one open
        with open(path, "rb") as raw, _npz(raw) as file:
            content = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read as .npz: {_reason(error)}.") from error
    meta = _json(path, str(content.pop(_META))) if _META in content else {}
    if "ids" in content:
        ids = content.pop("ids")
        if not meta or "ids" in meta:
            meta["ids"] = [str(i) for i in np.atleast_1d(ids)]
    for name, array in content.items():
        arrays[name] = _check_layer(path, name, array)
    return arrays, meta


def _reason(error: Exception) -> str:
    """Why NumPy could not read a file, without its advice to unpickle what it takes for objects."""
    text = str(error).rstrip(".")
    if "pickle" not in text and "Python objects" not in text:
        return text
    return "it is damaged, no such file at all, or holds Python objects, which are not unpickled; save plain numbers"


def _npz(raw: IO[bytes]) -> Any:
    file = np.load(raw, allow_pickle=False)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array, a .npy file")  # noqa: TRY004  # as NumPy's own, for one except clause
    return file


def _save_safetensors(layers: Mapping[str, Any], ids: Sequence[str], meta: str, path: Path) -> None:
    head: dict[str, Any] = {"__metadata__": {"format": "isomorph", _META: meta}}
    offset = 0
    for name in layers:
        array = to_numpy(layers[name])
        size = array.size * array.itemsize
        head[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<").str],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in layers:
            array = to_numpy(layers[name])
            file.write(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)


def _load_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LARGEST_HEAD):
            raise InputError(f"{path} is no safetensors file, or is truncated.")
        head = _json(path, file.read(length).decode("utf-8", "replace"))
    arrays: dict[str, Any] = {}
    metadata = head.pop("__metadata__", {})
    for name, info in head.items():
        arrays[name] = _check_layer(path, name, _tensor(path, name, info, 8 + length, size))
    meta = _json(path, metadata[_META]) if _META in metadata else {}
    if not meta and "ids" in metadata:
        meta = {"ids": [str(i) for i in _json(path, metadata["ids"], list)]}
    return arrays, meta


def _tensor(path: Path, name: str, info: Any, base: int, size: int) -> np.ndarray[Any, Any]:
    try:
        kind, shape, (start, stop) = info["dtype"], tuple(map(int, info["shape"])), map(int, info["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the head of {name!r} cannot be understood.") from error
    if kind != "BF16" and kind not in _TYPES:
        raise InputError(f"{path}: {name!r} has type {kind}; known are {', '.join([*_TYPES, 'BF16'])}.")
    dtype = np.dtype("<u2" if kind == "BF16" else _TYPES[kind])
    if min(shape, default=1) < 1 or start < 0 or base + stop > size or stop - start != np.prod(shape) * dtype.itemsize:
        raise InputError(f"{path}: {name!r} does not fit into the file, which is truncated or damaged.")
    array = np.memmap(path, dtype=dtype, mode="r", offset=base + start, shape=shape)
    if kind == "BF16":  # the upper half of a float32
        return (np.asarray(array).astype(np.uint32) << 16).view(np.float32)
    return np.asarray(array)


def _load_platonic(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("Reading a .pt file", "torch", "models") from error
    try:
        content = torch.load(os.fspath(path), map_location="cpu", weights_only=True)
    except OSError:
        raise
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{path} is no file of tensors only, or is truncated; the rest is not unpickled. Save a dictionary of "
            "tensors with torch.save, or use .npz or .safetensors."
        ) from error
    feats = content.get("feats") if isinstance(content, dict) else None
    if feats is None:
        raise InputError(f"{path} has no entry 'feats', which platonic-rep's files hold.")
    if isinstance(feats, torch.Tensor):
        if feats.ndim != 3:
            raise InputError(f"{path}: 'feats' has shape {tuple(feats.shape)}; (items, layers, features) is needed.")
        feats = [feats[:, i] for i in range(feats.shape[1])]
    if not isinstance(feats, (list, tuple)) or not all(isinstance(f, torch.Tensor) for f in feats):
        raise InputError(f"{path}: 'feats' must be a tensor or a list of tensors, found {type(feats).__name__}.")
    arrays = {}
    for i, f in enumerate(feats):
        name = f"layer.{i}"
        arrays[name] = _check_layer(path, name, (f.float() if f.dtype == torch.bfloat16 else f).numpy())
    parameters = content.get("num_params")
    return arrays, {"n_parameters": int(parameters)} if isinstance(parameters, (int, float)) else {}


def _check_layer(path: Path, name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.ndim != 2:
        raise InputError(
            f"{path}: {name!r} has shape {array.shape}; every layer must have shape (n_items, n_features), and ids are "
            "kept under the name 'ids'."
        )
    return array


def _json(path: Path, text: str, kind: type[Any] = dict) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: its description is no JSON text: {error}.") from error
    if not isinstance(value, kind):
        raise InputError(f"{path}: its description is {type(value).__name__}, not {kind.__name__}.")
    return value
