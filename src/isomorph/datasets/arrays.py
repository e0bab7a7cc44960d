"""Features that exist already: ``.npy``, ``.npz`` and ``.safetensors`` files, joined by id."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._core.registry import format_spec
from ..errors import InputError
from ._base import Dataset, MemoryView, PairedItems, as_names

_MAX_HEADER = 100_000_000  # bytes, the limit of the safetensors format itself
# bfloat16 has no NumPy type; its bits are the upper half of a float32
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"} | {
    f"{'U' if kind == 'u' else 'I'}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)
}


@dataclasses.dataclass(frozen=True)
class Arrays(Dataset):
    """Views of features read from files, each an array of shape ``(n_items, n_features)``.

    A ``.npy`` file is one view under the file's name without its ending (memory-mapped: read as it is used); every 2-D
    array in a ``.npz`` or ``.safetensors`` file is a view under its own name. Row i of every array is the item with the
    i-th id. Nothing is unpickled.

    Attributes:
        paths: One path, several, or a mapping from view name to the path of a ``.npy`` file.
        ids: A ``.txt`` (one id a line), ``.json`` (a list) or ``.npy`` file of ids. Without it, an array ``ids`` inside
            a ``.npz`` file is taken, else the row numbers ``0``, ``1``, …
    """

    name: ClassVar[str] = "arrays"
    reference: ClassVar[str] = "Files of the user's own."

    paths: str | Sequence[str] | Mapping[str, str]
    ids: str | None = None

    def __post_init__(self) -> None:
        given = self.paths
        if isinstance(given, Mapping):
            paths: Any = dict(zip(given, as_names([_text(p) for p in given.values()], "arrays: paths"), strict=True))
        else:
            paths = as_names(
                [_text(p) for p in given] if isinstance(given, list | tuple) else _text(given), "arrays: paths"
            )
        object.__setattr__(self, "paths", paths)
        object.__setattr__(self, "ids", _text(self.ids))

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        ids = [f"item-{7919 * i % 10007}" for i in range(n)]
        (folder / f"ids-{n}.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
        rows = np.random.default_rng(0).standard_normal((n, 3))  # row by row: more items begin with the same
        np.savez(folder / f"features-{n}.npz", x=rows, y=rows[:, :2] ** 2)
        return cls(str(folder / f"features-{n}.npz"), ids=str(folder / f"ids-{n}.txt"))

    def load(self) -> PairedItems:
        """Open the files.

        Raises:
            InputError: if a file cannot be read, is no array of real numbers of shape (n, d), or lengths, view names or
                ids do not fit.
        """
        views: dict[str, np.ndarray[Any, Any]] = {}
        ids: tuple[str, ...] | None = None
        for given, path in self._files():
            found = _open(path)
            if path.suffix.lower() == ".npz" and "ids" in found:
                inside = _as_ids(found.pop("ids"), path)
                if self.ids is None and ids is not None and inside != ids:
                    raise InputError(f"arrays: the ids in {path} differ from those before; give one file of ids.")
                ids = inside
            for key, array in found.items():
                view = given or key
                if view in views:
                    raise InputError(f"arrays: two arrays would be the view {view!r}; name them with paths={{'x': …}}.")
                views[view] = _checked(array, f"{path}: {key!r}")
        if not views:
            raise InputError("arrays: there is no array of shape (n_items, n_features) in the given files.")
        if self.ids is not None:
            ids = _read_ids(Path(self.ids).expanduser())
        if ids is None:
            ids = tuple(map(str, range(len(next(iter(views.values()))))))
        return PairedItems(
            name="arrays",
            ids=ids,
            views={k: MemoryView(v, "features") for k, v in views.items()},
            source=self._source(),
        )

    def _files(self) -> list[tuple[str | None, Path]]:
        if not isinstance(self.paths, Mapping):
            return [(None, Path(p).expanduser()) for p in self.paths]
        named = {str(k): Path(v).expanduser() for k, v in self.paths.items()}
        for name, path in named.items():
            if path.suffix.lower() != ".npy":
                raise InputError(f"arrays: only a .npy file can be given the name {name!r}, found {path}.")
        return list(named.items())

    def _source(self) -> str:
        return format_spec("arrays", {"paths": self.paths} | ({"ids": self.ids} if self.ids else {}))


def _text(path: Any) -> Any:
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _open(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Array name -> array.

    Raises:
        InputError: if the file cannot be read as arrays.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".npy":
            return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}
        if kind == ".npz":
            # opened here, because NumPy leaves a damaged file open
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        if kind == ".safetensors":
            return _open_safetensors(path)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, struct.error, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        if "allow_pickle" in reason:
            reason = "it holds pickled objects, which are never read; save plain numbers"
        raise InputError(f"Cannot read {path} as arrays: {reason}.") from error
    raise InputError(f"arrays: {path} ends in {kind!r}; expected .npy, .npz or .safetensors.")


def _open_safetensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Memory-map every tensor of a safetensors file: 8 bytes of length, a JSON header, then the raw values.

    Raises:
        InputError: if the file is truncated or damaged, or holds a type that NumPy cannot.
    """
    with open(path, "rb") as file:
        length = int(struct.unpack("<Q", file.read(8))[0])
        if length > min(_MAX_HEADER, path.stat().st_size):
            raise InputError(f"Cannot read {path} as arrays: its header is longer than the file, so it is truncated.")
        header = json.loads(file.read(length))
    found: dict[str, np.ndarray[Any, Any]] = {}
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
        if entry["dtype"] not in _DTYPES:
            raise InputError(f"{path}: {key!r} is of type {entry['dtype']}; expected one of {', '.join(_DTYPES)}.")
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        if end - start != math.prod(shape) * dtype.itemsize or 8 + length + end > path.stat().st_size:
            raise InputError(f"Cannot read {path} as arrays: {key!r} does not fit into the file, which is damaged.")
        if 0 in shape:
            found[key] = np.zeros(shape, dtype)
            continue
        array: np.ndarray[Any, Any] = np.memmap(path, dtype, "r", offset=8 + length + start, shape=shape)
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        found[key] = array
    return found


def _checked(array: np.ndarray[Any, Any], what: str) -> np.ndarray[Any, Any]:
    """The array if it can be features; that its values are finite is checked where they are used.

    Raises:
        InputError: if it is not a matrix of real numbers.
    """
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} holds values of type {array.dtype}; real numbers are needed.")
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{what} has shape {array.shape}; features of shape (n_items, n_features) are needed.")
    return array


def _read_ids(path: Path) -> tuple[str, ...]:
    kind = path.suffix.lower()
    if kind == ".npy":
        return _as_ids(_open(path)[path.stem], path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        values = json.loads(text) if kind == ".json" else text.splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read ids from {path}: {reason}.") from error
    if kind not in (".txt", ".json"):
        raise InputError(f"arrays: ids are read from .txt, .json or .npy files, found {path}.")
    good = isinstance(values, list) and all(isinstance(v, str | int) and not isinstance(v, bool) for v in values)
    if not good or not all(str(v).strip() for v in values):
        raise InputError(f"{path}: expected a list of ids, each a text or a whole number, none of them empty.")
    return tuple(map(str, values))


def _as_ids(array: np.ndarray[Any, Any], path: Path) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "Uiu":
        raise InputError(f"{path}: its ids have shape {array.shape} and type {array.dtype}; a list of texts is needed.")
    return tuple(map(str, array.tolist()))
