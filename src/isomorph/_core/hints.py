"""Whether a value has the shape that a type hint says: of a spec's parameters, and of the fields of a file."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from ..errors import InputError, quoted
from .checks import as_seed


def fits(value: Any, hint: Any) -> bool:
    """Whether a value has the shape that a type says, as far as plain data go; a whole number is also a float."""
    origin: Any = get_origin(hint) or hint
    args: tuple[Any, ...] = get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, a) for a in args)
    if origin is Literal:
        return any(type(value) is type(a) and value == a for a in args)
    if is_typeddict(origin):
        hints = get_type_hints(origin)
        optional = origin.__optional_keys__
        return isinstance(value, dict) and all(
            fits(value[k], h) if k in value else k in optional for k, h in hints.items()
        )
    if isinstance(value, bool) and origin in (int, float):
        return False
    if origin is float:
        return isinstance(value, int | float)
    if origin is None:
        return value is None
    if origin is Any or not isinstance(origin, type):
        return True
    if not isinstance(value, origin):
        return False
    if isinstance(value, Mapping) and args:
        return all(fits(v, args[1]) for v in value.values())
    if isinstance(value, tuple) and args:
        inner = args[:1] * len(value) if args[-1] is Ellipsis else args
        return len(inner) == len(value) and all(map(fits, value, inner))
    return True


def check_parameters(factory: Callable[..., Any], label: str, bound: Mapping[str, Any]) -> None:
    """Check the parameters of a spec against the types that its class states, before it is made.

    Only plain types are checked (numbers, texts, flags, None): what takes more says by itself what it takes.

    Args:
        factory: The class or function.
        label: What it is called in messages, such as ``"metric 'svcca(variance=2)'"``.
        bound: Parameter -> value.

    Raises:
        InputError: if a value is of another type, or a number that is NaN, infinite or beyond any float.
    """
    hints = _plain_hints(factory)
    for name, value in bound.items():
        if name not in hints:
            continue
        if not fits(value, hints[name]):
            raise InputError(f"The {label}: {name} must be {_words(hints[name])}, found {quoted(value)}.")
        if name == "seed" and value is not None:
            as_seed(value, f"The {label}: seed")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"The {label}: {name}={value} is no number that can be used.")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise InputError(f"The {label}: {name}={quoted(value)} is too large a number.")


_LARGEST = 1 << 128  # seeds are below
_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", NoneType: "None"}


def _plain_hints(factory: Callable[..., Any]) -> dict[str, Any]:
    try:
        hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except (NameError, TypeError, AttributeError):  # a plug-in's hints that cannot be resolved
        return {}
    return {k: h for k, h in hints.items() if all(_is_plain(a) for a in _members(h))}


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_plain(hint: Any) -> bool:
    return hint in _WORDS or hint is None or get_origin(hint) is Literal


def _words(hint: Any) -> str:
    words = []
    for member in _members(hint):
        words += [repr(a) for a in get_args(member)] if get_origin(member) is Literal else [_WORDS[member or NoneType]]
    return ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1]
