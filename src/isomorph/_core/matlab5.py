"""MATLAB 5 files (``-v6``, ``-v7``), read as data with every length checked: SciPy's reader crashes on damaged ones.

The format is that of MathWorks' "MAT-File Format": elements of a type, a length and data, matrices nested in them.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_COMPLEX = 0x08
_DEEPEST = 16  # cells and structs inside each other
_RATIO = 1032  # by which zlib can compress at most


class Structs(NamedTuple):
    """A struct array.

    Attributes:
        fields: Field -> its value in each element, in MATLAB's order.
    """

    fields: Mapping[str, list[Any]]


class _DamagedError(ValueError):
    """What is not as the format says."""


def read_matlab5(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB 5 file: arrays, texts, lists (cells and texts of several rows) and `Structs`.

    Sparse matrices, objects, functions and complex numbers are left out: None stands for them.

    Args:
        path: The file.

    Raises:
        InputError: if it is of another version, or damaged.
    """
    try:
        return _variables(memoryview(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read as a MATLAB file: {error}.") from error
    except (ValueError, struct.error, zlib.error) as error:
        raise InputError(f"{path} cannot be read as a MATLAB file: {error}.") from error


def _variables(raw: memoryview) -> dict[str, Any]:
    """The variables of a file.

    Raises:
        _DamagedError: if it is not as the format says.
    """
    if len(raw) < 128 or 0 in bytes(raw[:4]) or bytes(raw[126:128]) not in (b"IM", b"MI"):
        raise _DamagedError("it does not begin as one of version 5 does; in MATLAB, save with '-v7'")
    order = "<" if bytes(raw[126:128]) == b"IM" else ">"
    out: dict[str, Any] = {}
    at = 128
    while at < len(raw):
        kind, data, at = _element(raw, at, order, padded=False)
        if kind == _COMPRESSED:
            kind, data, _ = _element(_inflated(data, order), 0, order)
        if kind == _MATRIX:
            name, value = _matrix(data, order, 0)
            out[name] = value
    return out


def _element(raw: memoryview, at: int, order: str, *, padded: bool = True) -> tuple[int, memoryview, int]:
    """Type and data of the element at a place, and where the next one is.

    Raises:
        _DamagedError: if it is not as the format says.
    """
    if at + 8 > len(raw):
        raise _DamagedError("it ends too early")
    kind, size = struct.unpack_from(order + "II", raw, at)
    if kind >> 16:  # a small element has both in four bytes, and its data in the next four
        kind, size, begin, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if size > 4:
            raise _DamagedError("a small element is too large")
    else:
        begin = at + 8
        compact = kind == _COMPRESSED and not padded  # compressed elements alone are not filled up to eight bytes
        after = begin + (size if compact else size + -size % 8)
    if begin + size > len(raw):
        raise _DamagedError("it ends too early")
    return kind, raw[begin : begin + size], after


def _inflated(data: memoryview, order: str) -> memoryview:
    """A compressed element, to no more than the length that it states.

    Raises:
        _DamagedError: if it is not as the format says.
    """
    opened = zlib.decompressobj()
    head = opened.decompress(data, 8)
    if len(head) < 8:
        raise _DamagedError("a compressed variable is cut off")
    size = struct.unpack(order + "II", head)[1]
    if size > _RATIO * len(data):
        raise _DamagedError("a compressed variable states a length that it cannot have")
    return memoryview(head + opened.decompress(opened.unconsumed_tail, max(1, size)))


def _matrix(data: memoryview, order: str, depth: int) -> tuple[str, Any]:
    """Name and value of a matrix element.

    Raises:
        _DamagedError: if it is not as the format says.
    """
    if depth > _DEEPEST:
        raise _DamagedError("its variables are nested too deeply")
    if not len(data):
        return "", np.empty((0, 0))
    _, flags, at = _element(data, 0, order)
    _, sizes, at = _element(data, at, order)
    _, label, at = _element(data, at, order)
    if len(flags) < 4 or not len(sizes) or len(sizes) % 4:
        raise _DamagedError("a variable has no shape")
    word = struct.unpack_from(order + "I", flags)[0]
    kind, shape = word & 0xFF, tuple(np.frombuffer(sizes, order + "i4").tolist())
    if min(shape) < 0:
        raise _DamagedError("a variable has a negative size")
    return bytes(label).decode("utf-8", "replace"), _value(
        data, at, order, depth, kind, shape, bool(word >> 8 & _COMPLEX)
    )


def _value(
    data: memoryview, at: int, order: str, depth: int, kind: int, shape: tuple[int, ...], imaginary: bool
) -> Any:
    count = math.prod(shape)
    if kind == _CELL:
        return _nested(data, at, order, depth, count)
    if kind == _STRUCT:
        _, width, at = _element(data, at, order)
        _, names, at = _element(data, at, order)
        step = struct.unpack_from(order + "i", width)[0]
        if step < 1:
            raise _DamagedError("a struct has no names of its fields")
        fields = [
            bytes(names[k : k + step]).split(b"\0")[0].decode("utf-8", "replace") for k in range(0, len(names), step)
        ]
        values = _nested(data, at, order, depth, count * len(fields))
        return Structs({name: values[k :: len(fields)] for k, name in enumerate(fields)})
    if kind == _CHAR:
        return _text(data, at, order, shape) if count else ""
    if kind not in _CLASSES or imaginary:
        return None
    stored, real, _ = _element(data, at, order)
    if stored not in _NUMBERS or len(real) != count * np.dtype(_NUMBERS[stored]).itemsize:
        raise _DamagedError("a matrix does not have as many numbers as its shape says")
    return np.frombuffer(real, order + _NUMBERS[stored]).astype(_CLASSES[kind]).reshape(shape, order="F")


def _nested(data: memoryview, at: int, order: str, depth: int, count: int) -> list[Any]:
    if count > len(data) // 8:  # each has a head of eight bytes
        raise _DamagedError("a cell array or struct does not have as many values as its shape says")
    out = []
    for _ in range(count):
        kind, inner, at = _element(data, at, order)
        if kind != _MATRIX:
            raise _DamagedError("a cell array or struct holds what is no matrix")
        out.append(_matrix(inner, order, depth + 1)[1])
    return out


def _text(data: memoryview, at: int, order: str, shape: tuple[int, ...]) -> str | list[str]:
    """A text, or a list of the rows of a matrix of characters, which is kept column by column.

    Raises:
        _DamagedError: if it is not as the format says.
    """
    stored, raw, _ = _element(data, at, order)
    if stored not in _TEXTS:
        raise _DamagedError("a text has no known encoding")
    wide = {"utf-16": "-le", "utf-32": "-le"} if order == "<" else {"utf-16": "-be", "utf-32": "-be"}
    text = bytes(raw).decode(_TEXTS[stored] + wide.get(_TEXTS[stored], ""))
    if shape[0] == 1:
        return text
    return [text[k :: shape[0]].rstrip() for k in range(min(shape[0], len(text)))]
