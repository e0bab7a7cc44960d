"""Numbers, texts and hashes as JSON-able facts, and the names of things."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import sys
import types
from typing import Any

import numpy as np

READABLE = 300  # longer facts are given by their hash
SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})


def digest(facts: Any) -> str:
    """Sha256 of JSON-able facts."""
    return sha(canonical(facts).encode())


def scalar(x: Any) -> Any:
    """A number, text or bytes as JSON that tells it from all others."""
    if isinstance(x, str):
        if len(x) > READABLE:
            return {"text of": len(x), "sha256": sha(x.encode("utf-8", "surrogatepass"))}
        return x if x.isascii() or _is_unicode(x) else {"text": ascii(x)}
    if isinstance(x, bytes):
        return {"bytes": x.hex() if len(x) <= 32 else sha(x), "length": len(x)}
    if isinstance(x, complex) or (isinstance(x, float) and not np.isfinite(x)):
        return {"number": repr(x)}
    if isinstance(x, int) and x.bit_length() > 1024:
        return {"number": sha(hex(x).encode())}
    return x


def _is_unicode(x: str) -> bool:
    try:
        x.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_literal(x: Any) -> bool:
    """Whether a container holds numbers and texts alone, however deep: its text says it all then."""
    waiting, seen = [x], set()
    while waiting:
        y = waiting.pop()
        if type(y) is int and y.bit_length() > 1024:
            return False
        if type(y) in SCALARS:
            continue
        if type(y) not in (dict, list, tuple) or id(y) in seen:
            return False
        seen.add(id(y))
        waiting.extend(y)
        waiting.extend(y.values() if type(y) is dict else ())
    return True


def short(facts: Any) -> Any:
    """The facts, or their hash where they are long."""
    text = canonical(facts)
    if len(text) <= READABLE:
        return facts
    label = {k: v for k, v in list(facts.items())[:1] if isinstance(v, str) and len(v) < 120}
    return label | {"sha256": sha(text.encode())}


def canonical(facts: Any) -> str:
    """One text for equal facts."""
    return json.dumps(facts, sort_keys=True)


def sha(data: Any) -> str:
    """Sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def name_of(c: type) -> str:
    """A class's module and name."""
    return f"{c.__module__}.{c.__qualname__}"


def module_of(x: Any) -> str:
    """The module that a function's code or a class stands in; what wraps a function may claim another."""
    return str(x.__globals__.get("__name__") if isinstance(x, types.FunctionType) else x.__module__)


def content_of(cell: types.CellType) -> Any:
    """The value of a closure's variable."""
    try:
        return cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return Ellipsis


def unwrapped(x: Any) -> Any:
    """The functions in what wraps the functions of a class."""
    if isinstance(x, staticmethod | classmethod):
        return x.__func__
    if isinstance(x, property):
        return (x.fget, x.fset, x.fdel)
    return x.func if isinstance(x, functools.cached_property) else x


def slots_of(c: type) -> list[str]:
    """The names under which instances keep what a class declares as slots."""
    slots = c.__dict__.get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    private = [n.startswith("__") and not n.endswith("__") for n in names]
    stem = c.__name__.lstrip("_")
    return [
        f"_{stem}{n}" if p else n for n, p in zip(names, private, strict=True) if n not in ("__dict__", "__weakref__")
    ]


def is_named(x: Any) -> bool:
    """Whether an object is what its module has under its name."""
    found: Any = sys.modules.get(str(getattr(x, "__module__", "")))
    for name in str(getattr(x, "__qualname__", getattr(x, "__name__", ""))).split("."):
        found = getattr(found, name, None)
    return found is not None and getattr(found, "__func__", found) is x


def kind_of(x: Any) -> str:
    """What to call an object in a message."""
    if isinstance(x, io.IOBase):
        return "an open file"
    return "a generator" if isinstance(x, types.GeneratorType) else f"of type {name_of(type(x))}"
