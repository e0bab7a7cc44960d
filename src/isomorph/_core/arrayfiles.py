"""Arrays in files of other libraries: ``.npy``, ``.npz`` and ``.safetensors``, read as data and checked as they come.

Nothing is unpickled, and nothing is believed: sizes, offsets and names that a file states are held against the file
itself before memory is taken for them. What `.npy` and `.safetensors` hold stays memory-mapped.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ..errors import InputError, quoted
from .files import parse_json, reason, regular
from .memory import require, shown

Found = dict[str, np.ndarray[Any, Any]]

_LARGEST_HEAD = 100_000_000  # bytes of a safetensors head; the format's own limit
_UNFOLDED, _TIMES = 1 << 28, 50  # bytes, and times the file's size, from which on a zip unfolds to more than features
# BF16 has no NumPy type; its bits are the upper half of a float32
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"} | {
    f"{'U' if kind == 'u' else 'I'}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)
}


def read_arrays(path: Path) -> tuple[Found, dict[str, str]]:
    """All arrays of a `.npy`, `.npz` or `.safetensors` file by name, and the texts that a safetensors file carries.

    A `.npy` file's array has the file's name. Arrays of a `.npz` file come in the order of the file; safetensors keeps
    none, so they come in natural order (`in_order`).

    Raises:
        InputError: if the file cannot be read, is damaged, or states what it does not hold.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise InputError(f"Cannot read arrays from {path}: expected .npy, .npz or .safetensors, found {quoted(kind)}.")
    return _in_words(path, kind)


def read_npz(path: Path) -> Found:
    """All arrays of a `.npz` file by name, whatever its suffix.

    Raises:
        InputError: as `read_arrays`.
    """
    return _in_words(path, ".npz")[0]


def _in_words(path: Path, kind: str) -> tuple[Found, dict[str, str]]:
    path = regular(path, "arrays from")
    try:
        return _READERS[kind](path)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes NumPy and zipfile trip over
        raise InputError(f"Cannot read {path} as {kind}: {_why(error)}.") from error


def in_order(names: Iterable[str]) -> list[str]:
    """Names in natural order, numbers in them counted as numbers: ``layer_2`` before ``layer_10``."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]+)", name)
        return [(1, 0, p) if i % 2 == 0 else (0, int(p[:4000]), p) for i, p in enumerate(parts) if p]

    return sorted(names, key=key)


def _why(error: Exception) -> str:
    """Why NumPy could not read a file, without its advice to unpickle what it takes for objects."""
    text = reason(error)
    if any(word in text for word in ("pickle", "Python objects", "magic string")):
        return (
            "it is damaged, no such file at all, or holds Python objects, which are not unpickled; save plain numbers"
        )
    return f"it is nested too deeply ({text})" if isinstance(error, RecursionError) else text


def _read_npy(path: Path) -> tuple[Found, dict[str, str]]:
    # not `np.load`, which opens a zip archive under this name as well, and leaves it open
    return {path.stem: npy.open_memmap(path, mode="r")}, {}


def _read_npz(path: Path) -> tuple[Found, dict[str, str]]:
    # read by member: NumPy's own archive gives the array of "x" for "x.npy", if both are there
    with open(path, "rb") as raw:
        if raw.read(6) == npy.MAGIC_PREFIX:
            raise InputError(f"Cannot read {path} as .npz: it is a single array, a .npy file.")
        with zipfile.ZipFile(raw) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _require_room(path, sum(info.file_size for info in members))
            found: Found = {}
            for info in members:
                name = info.filename.removesuffix(".npy")
                if name in found:
                    raise InputError(f"{path} holds two arrays called {quoted(name)}; names must be unique.")
                with archive.open(info) as member:
                    found[name] = npy.read_array(member, allow_pickle=False)
                    if member.read(1):
                        raise InputError(f"{path}: {quoted(name)} is longer than it says, so it is damaged.")
    return found, {}


def _require_room(path: Path, unfolded: int) -> None:
    """Refuse an archive whose arrays need far more memory than features do.

    Raises:
        InputError: if they need more than there is, or were packed more tightly than any features.
    """
    size = path.stat().st_size
    if unfolded > max(_UNFOLDED, _TIMES * size):
        raise InputError(
            f"{path} has {shown(size)} and would unfold to {shown(unfolded)}, as no features do. Save its arrays "
            "uncompressed (numpy.savez) if they are meant so."
        )
    require(unfolded, f"Reading {path}", "Save its arrays as .npy or .safetensors, which are not read whole.")


def _read_safetensors(path: Path) -> tuple[Found, dict[str, str]]:
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LARGEST_HEAD):
            raise InputError(f"Cannot read {path} as .safetensors: it is no such file, or is truncated.")
        head = parse_json(file.read(length).decode())
    if not isinstance(head, dict):
        raise InputError(f"{path}: its head is {type(head).__name__}, not a table of arrays.")
    texts = head.pop("__metadata__", None) or {}
    if not isinstance(texts, dict) or not all(isinstance(v, str) for v in texts.values()):
        raise InputError(f"{path}: its metadata must be a table of texts, found {quoted(texts)}.")
    plans = {name: _planned(path, name, head[name]) for name in in_order(head)}
    _require_tiled(path, plans, size - 8 - length)
    return {name: _mapped(path, *plan, base=8 + length) for name, plan in plans.items()}, texts


Plan = tuple[str, tuple[int, ...], int, int]  # type, shape, from where, to where


def _planned(path: Path, name: str, entry: Any) -> Plan:
    """What a safetensors head says of one array.

    Raises:
        InputError: if it says it wrongly, or contradicts itself.
    """
    entry = entry if isinstance(entry, dict) else {}
    kind, shape, place = (entry.get(k) for k in ("dtype", "shape", "data_offsets"))
    whole = all(isinstance(v, list) and all(type(i) is int and i >= 0 for i in v) for v in (shape, place))
    if not isinstance(kind, str) or not whole or len(place) != 2 or len(shape) > 32:
        raise InputError(f"{path}: the head of {quoted(name)} cannot be understood.")
    if kind not in TYPES:
        raise InputError(f"{path}: {quoted(name)} has type {quoted(kind)}; known are {', '.join(TYPES)}.")
    if place[1] - place[0] != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise InputError(f"Cannot read {path}: {quoted(name)} does not fit into the file, which is damaged.")
    return kind, tuple(shape), place[0], place[1]


def _require_tiled(path: Path, plans: Mapping[str, Plan], size: int) -> None:
    """Refuse arrays that overlap, leave gaps or do not fill the file, as the format's own reader does.

    Raises:
        InputError: if they do.
    """
    end = 0
    for name, (_, _, start, stop) in sorted(plans.items(), key=lambda p: p[1][2:]):
        if start != end:
            what = "overlaps another array" if start < end else "leaves a gap before it"
            raise InputError(f"{path}: {quoted(name)} {what}, so the file is damaged.")
        end = stop
    if end != size:
        raise InputError(f"Cannot read {path}: its arrays do not fit into the file, which is truncated or damaged.")


def _mapped(path: Path, kind: str, shape: tuple[int, ...], start: int, stop: int, *, base: int) -> np.ndarray[Any, Any]:
    dtype = np.dtype(TYPES[kind])
    if start == stop:
        return np.zeros(shape, np.float32 if kind == "BF16" else dtype)
    array = np.memmap(path, dtype=dtype, mode="r", offset=base + start, shape=shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else array


_READERS: dict[str, Callable[[Path], tuple[Found, dict[str, str]]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}
