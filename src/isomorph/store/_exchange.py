"""Features in and out of one file: ``.npz``, ``.safetensors``, and platonic-rep's ``.pt``; nothing is unpickled.

Both formats that are written hold one array a layer under the layer's own name, so that any reader opens them. Ids,
encoder and provenance travel along: in an array ``ids`` and a JSON text ``__isomorph__`` (`.npz`), or in the
metadata (`.safetensors`), which is written here from its published layout: 8 bytes of length, a JSON head, the raw
arrays.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from .._core.arrayfiles import TYPES, read_arrays
from .._core.arrays import as_features, to_numpy
from .._core.checks import as_ids
from .._core.files import atomic_file, check_target, parse_json, reason, regular
from .._core.provenance import canonical_json
from ..errors import InputError, IsomorphError, MissingExtraError, StoreError, quoted

_META = "__isomorph__"
WRITTEN = (".npz", ".safetensors")
"""Suffixes of the formats that are written."""
_SUFFIXES = (".npy", ".npz", ".safetensors", ".pt")
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
        if name in ("ids", _META, "__metadata__") or not name:
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
        if stem != name and (stem in layers or stem in ("ids", _META)):
            raise InputError(
                f"A .npz file cannot hold {quoted(name)} and {quoted(stem)} apart; rename the layer, or save it as "
                ".safetensors."
            )


def load(path: Path, ids: Sequence[str] | None) -> tuple[dict[str, Any], Sequence[str] | None, dict[str, Any]]:
    """Read layers from a `.npy`, `.npz`, `.safetensors` or `.pt` file.

    Layers come in the order that the file states, or that of its arrays; where its format keeps none, in natural
    order.

    Returns:
        Layer -> features (n, d); one id a row, of the file or as given; and the facts that travelled along.

    Raises:
        InputError: if the file cannot be read, is damaged, or holds no features.
        MissingExtraError: if a `.pt` file is given and torch is not installed.
    """
    kind = path.suffix.lower()
    if kind not in _SUFFIXES:
        raise InputError(
            f"Cannot read features from {path}: the suffix must be .npy, .npz, .safetensors or .pt, "
            f"found {quoted(path.suffix)}."
        )
    path = regular(path, "features from")
    try:
        arrays, meta = _load_platonic(path) if kind == ".pt" else _load_arrays(path)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {reason(error)}.") from error
    found = meta.get("ids")
    if ids is not None and found is not None and as_ids(ids, "ids") != found:
        raise InputError(f"{path} carries ids of its own, which differ from those given; leave out `ids`.")
    if not arrays:
        raise InputError(f"{path} holds no features: each layer must be an array of shape (n_items, n_features).")
    for name, array in arrays.items():
        if array.ndim != 2:
            raise InputError(
                f"{path}: {quoted(name)} has shape {array.shape}; every layer must have shape (n_items, n_features), "
                "and ids are kept under the name 'ids'."
            )
    facts = {
        "encoder": meta.get("encoder") or path.stem,
        "view": meta.get("view", ""),
        "modality": meta.get("modality", "features"),
        "n_parameters": meta.get("n_parameters"),
        "provenance": {**meta.get("provenance", {}), "file": path.name},
    }
    return {k: arrays[k] for k in meta.get("layers", arrays)}, found if found is not None else ids, facts


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
        write(_META, np.array(meta, dtype=np.str_))


def _save_safetensors(layers: Mapping[str, Any], ids: Sequence[str], meta: str, file: IO[bytes]) -> None:
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
    file.write(len(text).to_bytes(8, "little") + text)
    for name in layers:
        array = to_numpy(layers[name])
        file.write(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)


def _load_arrays(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays of a `.npy`, `.npz` or `.safetensors` file, and its description, checked.

    Raises:
        InputError: if the file or its description is damaged.
    """
    found, texts = read_arrays(path)
    # plain arrays over the mapping: slices of np.memmap carry its attributes along and are slow
    arrays: dict[str, Any] = {name: np.asarray(array) for name, array in found.items()}
    if path.suffix.lower() == ".npz":
        text = str(arrays.pop(_META)) if _META in arrays else ""
        ids = arrays.pop("ids", None)
    else:
        text, ids = texts.get(_META, ""), None
        if not text and "ids" in texts:
            ids = _json(path, texts["ids"], list)
    meta = _described(path, _json(path, text), arrays) if text else {}
    if ids is not None and not text:
        meta["ids"] = as_ids(np.atleast_1d(ids) if isinstance(ids, np.ndarray) else ids, str(path))
    return arrays, meta


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


def _load_platonic(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("Reading a .pt file", "torch", "models") from error
    try:
        content = torch.load(os.fspath(path), map_location="cpu", weights_only=True)
        return _platonic(path, content, torch)
    except (OSError, IsomorphError):
        raise
    except Exception as error:  # whatever a damaged file makes torch trip over
        raise InputError(
            f"{path} is no file of tensors only, or is truncated or damaged; the rest is not unpickled. Save a "
            "dictionary of tensors with torch.save, or use .npz or .safetensors."
        ) from error


def _platonic(path: Path, content: Any, torch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Layers and facts of what a `.pt` file holds.

    Raises:
        InputError: if that is not what platonic-rep saves.
    """
    feats = content.get("feats") if isinstance(content, dict) else None
    if feats is None:
        raise InputError(f"{path} has no entry 'feats', which platonic-rep's files hold.")
    if isinstance(feats, torch.Tensor):
        if feats.ndim != 3:
            raise InputError(f"{path}: 'feats' has shape {tuple(feats.shape)}; (items, layers, features) is needed.")
        feats = [feats[:, i] for i in range(feats.shape[1])]
    if not isinstance(feats, (list, tuple)) or not all(isinstance(f, torch.Tensor) for f in feats):
        raise InputError(f"{path}: 'feats' must be a tensor or a list of tensors, found {type(feats).__name__}.")
    if sum(f.numel() * f.element_size() for f in feats) > path.stat().st_size:
        # a tensor of stride 0 states any number of values and holds one
        raise InputError(f"{path}: 'feats' states more values than the file holds; save whole tensors.")
    arrays = {f"layer.{i}": as_features(f.detach(), f"{path.name}: feats[{i}]").numpy() for i, f in enumerate(feats)}
    parameters = content.get("num_params")
    return arrays, {"n_parameters": int(parameters)} if isinstance(parameters, (int, float)) else {}


def _json(path: Path, text: str, kind: type[Any] = dict) -> Any:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: its description is no JSON text: {error}.") from error
    if not isinstance(value, kind):
        raise InputError(f"{path}: its description is {type(value).__name__}, not {kind.__name__}.")
    return value
