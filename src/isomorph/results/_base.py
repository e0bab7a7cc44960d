"""Results as JSON: one file, no pickle, the same bytes for the same result."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, get_type_hints

import numpy as np

from .._core.files import parse_json, read_text, reason, write_target
from .._core.hints import fits
from ..errors import InputError, quoted
from ._ranges import check_ranges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT = 1
_KINDS: dict[str, type[Result]] = {}
R = TypeVar("R", bound="Result")


class Result:
    """Base of every result: a frozen dataclass of numbers, texts, arrays, mappings and other results.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(60, 8))
        >>> scan = iso.scan(x, x, "cka", permutations=20)
        >>> again = type(scan).load(scan.save("scan.json"))
        >>> scan.kind, again.to_json() == scan.to_json()
        ('scan', True)
    """

    kind: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.kind] = cls

    @classmethod
    def upgraded(cls, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of a file, with those that files of earlier versions do not hold."""
        return fields

    def contradictions(self) -> Iterator[str]:
        """What in a result that was read from a file contradicts itself, such as lists of unlike lengths."""
        yield from ()

    def to_json(self) -> str:
        """The result as text; floats keep every digit, and equal results give equal bytes."""
        return json.dumps({"isomorph": FORMAT, **_encode(self)}, indent=1, allow_nan=False) + "\n"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the result to a JSON file, whole or not at all."""
        return write_target(path, self.to_json())

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the page of this result alone, or its text where no page draws it."""
        drawing = import_module("isomorph.reporting")  # by name: results know nothing of what draws them
        try:
            return str(drawing.notebook_html(self))
        except InputError:
            return None

    def _ipython_key_completions_(self) -> list[str]:
        """What a notebook offers inside ``result["``: the names that the result holds something under."""
        if not hasattr(self, "__getitem__"):
            return []
        if isinstance(self, Mapping):
            return [*self]
        held = (getattr(self, name, None) for name in ("scores", "regions", "models"))
        return [*next((v for v in held if isinstance(v, Mapping)), getattr(self, "criteria", ()))]

    def plot(self, part: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the result for print: a column wide, text of 7 points, chance, intervals and baselines in it.

        Args:
            part: What of it to draw, where it holds several: a metric of a `Scan` or `Atlas`, a score of a `Stitch`, a
                label set of a `ConceptMap`, a region, a criterion, …; None is the one that decides.
            ax: Axes of matplotlib to draw in; None makes a figure.

        Returns:
            The axes; ``axes.figure.savefig("scan.pdf")`` writes the figure.

        Raises:
            InputError: if no figure shows a result of this kind, or `ax` is no axes of matplotlib.
            UnknownNameError: if it has no such part.
            MissingExtraError: if matplotlib is not installed.

        Example:
            >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
            >>> ax = iso.scan({"first": noise, "last": x}, x + noise, "cka", permutations=20).plot()
            >>> [line.get_label() for line in ax.get_lines()][0]
            'chance'
        """
        drawing = import_module("isomorph.reporting.plots")  # by name: results know nothing of what draws them
        return drawing.plot(self, part, ax=ax)  # type: ignore[no-any-return]  # of a module found by name

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a result of this class back.

        Raises:
            InputError: if the file is no result, or one of another kind.
        """
        result = load_result(path)
        if not isinstance(result, cls):
            raise InputError(
                f"{path} holds a {type(result).__name__}, not a {cls.__name__}; use load_result to read any."
            )
        return result


def load_result(path: str | os.PathLike[str]) -> Any:
    """Read any saved result.

    Args:
        path: A file that `save` wrote.

    Raises:
        InputError: if the file cannot be read as a result.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> path = iso.scan(x, noise, "cka", permutations=20, seed=1).save("scan.json")
        >>> iso.load_result(path).seed
        1
    """
    text = read_text(path, "the result")
    try:
        data = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path} is not a saved result: it is not JSON that can be read ({error}).") from error
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or data.get("isomorph") != FORMAT or kind not in _KINDS:
        raise InputError(f"{path} is not a result of this version of Isomorph (format {FORMAT}).")
    data.pop("isomorph")
    try:
        return _decode(data)
    except Exception as error:  # whatever a file that was edited makes its class trip over
        what = f"{quoted(error.args[0])} is missing" if isinstance(error, KeyError) and error.args else reason(error)
        raise InputError(f"{path} is damaged: {what}. Make it again with the command in its provenance.") from error


def _has_gaps(field: dataclasses.Field[Any]) -> bool:
    """Whether an array may have no number at some places: NaN in memory, null in the file."""
    return bool(field.metadata.get("gaps", False))


def _is_packed(field: dataclasses.Field[Any]) -> bool:
    """Whether its arrays are written as their bytes in base64: matrices too large for a text of numbers."""
    return bool(field.metadata.get("packed", False))


def _encode(value: Any, gaps: bool = False, packed: bool = False) -> Any:
    if isinstance(value, Result):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]  # every Result is a dataclass
        inside = {f.name: _encode(getattr(value, f.name), _has_gaps(f), _is_packed(f)) for f in fields}
        return {"kind": value.kind, **inside}
    if isinstance(value, np.ndarray) and packed:
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        text = base64.b64encode(little.tobytes()).decode()
        return {"kind": "array", "dtype": little.dtype.str, "shape": list(value.shape), "base64": text}
    if isinstance(value, np.ndarray):
        data = value.ravel().tolist()
        data = [None if math.isnan(v) else v for v in data] if gaps else data
        return {"kind": "array", "dtype": value.dtype.str, "shape": list(value.shape), "data": data}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): _encode(v, packed=packed) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(v) for v in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"A result cannot hold a {type(value).__name__}.")


def _decode(value: Any, gaps: bool = False) -> Any:
    if isinstance(value, list):
        return tuple(_decode(v) for v in value)
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind == "array" and "shape" in value:
        return _array(value, gaps)
    if isinstance(kind, str) and kind in _KINDS:
        cls: Any = _KINDS[kind]  # for the cache, as a class that can be hashed
        may = {f.name for f in dataclasses.fields(cls) if _has_gaps(f)}
        fields = dict(cls.upgraded({k: _decode(v, k in may) for k, v in value.items() if k != "kind"}))
        for name, hint in _hints(cls).items():
            if name in fields and not fits(fields[name], hint):
                raise ValueError(f"{kind}.{name}={quoted(fields[name])} cannot be")
        check_ranges(kind, fields, _hints(cls))
        if not _is_plain(fields.get("provenance", {})):
            raise ValueError(f"{kind}.provenance holds more than names, texts and numbers")
        result = cls(**fields)
        for problem in result.contradictions():
            raise ValueError(f"{kind}: {problem}")
        return result
    return {k: _decode(v) for k, v in value.items()}


def _array(value: Mapping[str, Any], gaps: bool) -> np.ndarray[Any, Any]:
    """The array of a file.

    Raises:
        ValueError: if it holds something else than numbers of its type, or not as many as its shape says.
    """
    data: Any = value.get("data")
    dtype, shape = value.get("dtype"), value.get("shape")
    if "base64" in value:
        data = _unpacked(value["base64"], dtype)
    if (
        not isinstance(data, (list, np.ndarray))
        or not isinstance(dtype, str)
        or re.fullmatch(r"[<>|=]?[biuf][1248]", dtype) is None
    ):
        raise ValueError(f"an array holds {quoted(dtype)}, not numbers")
    if (
        not isinstance(shape, list)
        or not all(type(k) is int and k >= 0 for k in shape)
        or math.prod(shape) != len(data)
    ):
        raise ValueError(f"an array of shape {quoted(shape)} does not hold {len(data)} values")
    kinds = set() if "base64" in value else {type(v) for v in data} - ({type(None)} if gaps else set())
    by_kind: dict[str, set[type[Any]]] = {"b": {bool}, "f": {int, float}}
    wanted = by_kind.get(np.dtype(dtype).kind, {int})
    if not kinds <= wanted:
        odd = next(v for v in data if type(v) not in wanted and not (gaps and v is None))
        raise ValueError(
            f"an array of type {dtype} holds {'null' if odd is None else quoted(odd)}, no number of that type"
        )
    array = np.array(data, dtype=dtype).reshape(shape)
    if array.dtype.kind == "f" and not np.isfinite(array[~np.isnan(array)] if gaps else array).all():
        raise ValueError("an array holds an infinite number")
    return array


def _unpacked(text: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """The values of an array that was written as bytes.

    Raises:
        ValueError: if it is no such text, or holds no whole number of values.
    """
    if not isinstance(text, str) or not isinstance(dtype, str) or re.fullmatch(r"<[iuf][248]", dtype) is None:
        raise ValueError(f"a packed array holds {quoted(dtype)}, not numbers")
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype)
    except ValueError as error:
        raise ValueError(f"a packed array is no text of whole numbers in base64 ({error})") from error


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))


@cache
def _hints(cls: Any) -> dict[str, Any]:
    names = {f.name for f in dataclasses.fields(cls)}
    return {k: v for k, v in get_type_hints(cls).items() if k in names}
