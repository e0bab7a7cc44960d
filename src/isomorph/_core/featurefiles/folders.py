"""Folders of features: thingsvision's, mteb's cache, and a ``.npy`` a layer with a file of ids."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, quoted
from ..arrayfiles import in_order
from ..files import parse_json, read_text
from . import hdf5, matlab, own, tensors
from ._read import ID_FILES, Read, read_ids

_KINDS: Mapping[str, Callable[[Path], Read]] = {
    ".npy": own.read,
    ".pt": tensors.read,
    ".hdf5": hdf5.read,
    ".h5": hdf5.read,
    ".mat": matlab.read,
}
_MOST = 10_000
_PART = re.compile(r"(?P<name>.*?)[_\-.](?P<start>\d+)(?:-(?P<end>\d+))?")


def read(path: Path) -> Read:
    """Features of a folder.

    Known are mteb's cache of embeddings (``vectors.npy``, ``index.json``, ``dimension``), whose ids are the hashes that
    it keeps; and files of features, one a layer, or a folder a module as thingsvision writes, with a file of ids in the
    folder or in that of a module. Numbered parts of one array are put together.

    Raises:
        InputError: if it holds no features, or files of several kinds.
    """
    if (path / "index.json").is_file() and (path / "dimension").is_file():
        return _mteb(path)
    files = _files(path)
    kinds = {f.suffix.lower() for f in files}
    if not files:
        there = sorted(entry.name for entry in os.scandir(path))
        raise InputError(
            f"{path} holds no features ({', '.join(_KINDS)}); it holds {quoted(there[:12]) if there else 'nothing'}. "
            f"Pictures and texts are read with iso.load_dataset(\"folder(path='{path}')\") and given to an encoder; a "
            "store is opened with iso.FeatureStore."
        )
    if len(kinds) > 1:
        raise InputError(f"{path} holds features in several formats, {', '.join(sorted(kinds))}; give one file.")
    ids = _own_ids(path, files)
    modules: dict[str, list[Path]] = {}
    for f in files:
        modules.setdefault(str(f.parent.relative_to(path)), []).append(f)
    arrays: dict[str, Any] = {}
    for module, members in modules.items():
        prefix = "" if module == "." else module
        arrays |= _module(prefix, members, None if ids is None else len(ids))
    return Read({k: arrays[k] for k in in_order(arrays)}, ids, {}, rows_alone=False)


def _files(path: Path) -> list[Path]:
    """Files of features below a folder, hidden ones left out.

    Raises:
        InputError: if there are too many to be layers.
    """
    found: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [
            Path(folder, n) for n in sorted(names) if n.endswith(tuple(_KINDS)) and n not in ID_FILES and n[0] != "."
        ]
        if len(found) > _MOST:
            raise InputError(
                f"{path} holds more than {_MOST:,} files of features; give one file, or a folder of layers."
            )
    return found


def _own_ids(path: Path, files: list[Path]) -> tuple[str, ...] | None:
    """Ids of the folder or its modules, which must agree.

    Raises:
        InputError: if they do not.
    """
    found: tuple[str, ...] | None = None
    for folder in dict.fromkeys([path, *(f.parent for f in files)]):
        for name in ID_FILES:
            if (folder / name).is_file():
                ids = read_ids(folder / name)
                if found is not None and ids != found:
                    raise InputError(
                        f"{folder / name} names other items than the file before; all modules are of the same."
                    )
                found = ids
    return found


def _module(name: str, files: list[Path], n: int | None) -> dict[str, Any]:
    """Layers of one folder: a file each, or one array in numbered parts that together have `n` rows."""
    arrays = {f.stem: next(iter(_KINDS[f.suffix.lower()](f).arrays.values())) for f in files if f.suffix == ".npy"}
    if not arrays:
        for f in files:
            own_arrays = _KINDS[f.suffix.lower()](f).arrays
            arrays |= {(f.stem if len(own_arrays) == 1 else f"{f.stem}/{k}"): a for k, a in own_arrays.items()}
    parts = {k: m for k in arrays if (m := _PART.fullmatch(k)) is not None}
    whole = len(parts) == len(arrays) > 1 and len({m["name"] for m in parts.values()}) == 1
    if whole and n is not None and len(next(iter(arrays.values()))) != n and sum(map(len, arrays.values())) == n:
        order = sorted(parts, key=lambda k: int(parts[k]["start"]))
        return {name or next(iter(parts.values()))["name"]: np.concatenate([arrays[k] for k in order])}
    if name and len(arrays) == 1:
        return {name: next(iter(arrays.values()))}
    return {f"{name}/{k}" if name else k: a for k, a in arrays.items()}


def _mteb(path: Path) -> Read:
    """The vectors of mteb's cache, in the order of their numbers; what the file has room for beyond is left.

    Raises:
        InputError: if its files are damaged or do not belong together.
    """
    try:
        index = parse_json(read_text(path / "index.json"))
        d = int(read_text(path / "dimension").strip())
        order = sorted(index, key=lambda k: int(index[k]))
        rows = np.array([int(index[k]) for k in order], dtype=np.int64)
        vectors = np.asarray(np.memmap(path / "vectors.npy", dtype=np.float32, mode="r")).reshape(-1, d)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is a cache of mteb that cannot be read: {error}.") from error
    if not len(rows) or rows.min() < 0 or rows.max() >= len(vectors):
        raise InputError(f"{path}: index.json names rows that vectors.npy has not; the cache is damaged.")
    return Read({path.name: np.asarray(vectors[rows])}, order, {}, rows_alone=False)
