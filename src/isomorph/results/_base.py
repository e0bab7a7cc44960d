"""Results as JSON: one file, no pickle, the same bytes for the same result."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Self, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np

from .._core.files import parse_json, read_text, reason, write_target
from ..errors import InputError

FORMAT = 1
_KINDS: dict[str, type[Result]] = {}
R = TypeVar("R", bound="Result")


class Result:
    """Base of every result: a frozen dataclass of numbers, texts, arrays, mappings and other results."""

    kind: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.kind] = cls

    @classmethod
    def upgraded(cls, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of a file, with those that files of earlier versions do not hold."""
        return fields

    def to_json(self) -> str:
        """The result as text; floats keep every digit, and equal results give equal bytes."""
        return json.dumps({"isomorph": FORMAT, **_encode(self)}, indent=1, allow_nan=False) + "\n"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the result to a JSON file, whole or not at all."""
        return write_target(path, self.to_json())

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
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise InputError(f"Cannot read the result {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not a saved result: it is not JSON ({error}).") from error
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or data.get("isomorph") != FORMAT or kind not in _KINDS:
        raise InputError(f"{path} is not a result of this version of Isomorph (format {FORMAT}).")
    data.pop("isomorph")
    try:
        return _decode(data)
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise InputError(f"{path} is damaged: {error}. Make it again with the command in its provenance.") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number that a result can hold")


def _has_gaps(field: dataclasses.Field[Any]) -> bool:
    """Whether an array may have no number at some places: NaN in memory, null in the file."""
    return bool(field.metadata.get("gaps", False))


def _encode(value: Any, gaps: bool = False) -> Any:
    if isinstance(value, Result):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]  # every Result is a dataclass
        return {"kind": value.kind, **{f.name: _encode(getattr(value, f.name), _has_gaps(f)) for f in fields}}
    if isinstance(value, np.ndarray):
        data = value.ravel().tolist()
        data = [None if math.isnan(v) else v for v in data] if gaps else data
        return {"kind": "array", "dtype": value.dtype.str, "shape": list(value.shape), "data": data}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): _encode(v) for k, v in value.items()}
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
        if None in value["data"] and not gaps:
            raise ValueError("an array holds null, no number")
        array = np.array(value["data"], dtype=value["dtype"]).reshape(value["shape"])
        if array.dtype.kind not in "biuf":
            raise ValueError(f"an array holds {array.dtype}, not numbers")
        return array
    if isinstance(kind, str) and kind in _KINDS:
        cls: Any = _KINDS[kind]  # for the cache, as a class that can be hashed
        may = {f.name for f in dataclasses.fields(cls) if _has_gaps(f)}
        fields = dict(cls.upgraded({k: _decode(v, k in may) for k, v in value.items() if k != "kind"}))
        for name, hint in _hints(cls).items():
            if name in fields and not _is(fields[name], hint):
                raise ValueError(f"{kind}.{name}={fields[name]!r} cannot be".replace("\n", " "))
        return cls(**fields)
    return {k: _decode(v) for k, v in value.items()}


@cache
def _hints(cls: Any) -> dict[str, Any]:
    names = {f.name for f in dataclasses.fields(cls)}
    return {k: v for k, v in get_type_hints(cls).items() if k in names}


def _is(value: Any, hint: Any) -> bool:
    """Whether a value has the shape that a field's type says, as far as results go."""
    origin: Any = get_origin(hint) or hint
    args: tuple[Any, ...] = get_args(hint)
    if origin in (Union, UnionType):
        return any(_is(value, a) for a in args)
    if is_typeddict(origin):
        hints = get_type_hints(origin)
        return isinstance(value, dict) and all(k in value and _is(value[k], h) for k, h in hints.items())
    if isinstance(value, bool) and origin in (int, float):
        return False
    if origin is float:
        return isinstance(value, int | float)
    if origin is Any or not isinstance(origin, type):
        return True
    if not isinstance(value, origin):
        return False
    if isinstance(value, Mapping) and args:
        return all(_is(v, args[1]) for v in value.values())
    if isinstance(value, tuple) and args:
        inner = args[:1] * len(value) if args[-1] is Ellipsis else args
        return len(inner) == len(value) and all(map(_is, value, inner))
    return True
