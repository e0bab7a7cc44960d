"""Checks of plain settings that several doors share, so that each gives the same answer to the same mistake."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import InputError, quoted

_SEEDS = 1 << 63  # what every library's generators take in


def as_seed(seed: Any, name: str = "seed") -> int:
    """A seed of random draws, checked.

    Args:
        seed: A whole number of at least 0; NumPy's integers are fine.
        name: The setting's name, for messages.

    Raises:
        InputError: if it is anything else.
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= int(seed) < _SEEDS:
        raise InputError(
            f"{name}={quoted(seed)}: a seed must be a whole number of at least 0 (and below 2^63), such as "
            f"{name.rpartition(' ')[2]}=0."
        )
    return int(seed)


MOST = 10**7
"""Most that a setting counts by default: what is done that often takes days, and holds one number each."""


def as_count(value: Any, name: str, least: int = 1, most: int = MOST) -> int:
    """A whole number, checked.

    Args:
        value: A whole number from `least` to `most`; NumPy's integers are fine.
        name: The setting's name, for messages.
        least: The smallest that is allowed.
        most: The largest.

    Raises:
        InputError: if it is anything else.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) > most:
        raise InputError(f"{name}={quoted(value)}: at most {most:,} can be done in a time that anybody has.")
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InputError(f"{name}={quoted(value)}: a whole number of at least {least} is needed.")
    return int(value)


def is_finite(value: Any) -> bool:
    """Whether a value is a number that is neither infinite nor NaN."""
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and _is_held(value)


def _is_held(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def is_share(value: Any) -> bool:
    """Whether a value is a number between 0 and 1, both excluded."""
    return is_finite(value) and 0 < float(value) < 1


def check_choice(value: Any, name: str, options: Iterable[str | None]) -> None:
    """Check a setting that is one of a few words.

    Raises:
        InputError: if it is none of them.
    """
    known = tuple(options)
    if not (value is None or isinstance(value, str)) or value not in known:
        words = ", ".join(map(repr, known))
        raise InputError(f"{name}={quoted(value)} is not known; use one of {words}.")


def check_type(value: Any, name: str, kinds: type[Any] | tuple[type[Any], ...], what: str) -> None:
    """Check an argument that is an object of the library's own, or None.

    Args:
        value: What was given.
        name: The argument's name, for messages.
        kinds: What it must be one of.
        what: That in words.

    Raises:
        InputError: if it is something else.
    """
    if value is not None and not isinstance(value, kinds):
        raise InputError(f"{name}= takes {what}, found {type(value).__name__}.")


def check_name(value: Any, name: str) -> None:
    """Check a setting that is a text, or None for the default.

    Raises:
        InputError: if it is neither.
    """
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} must be a text, found {quoted(value)}.")


def check_flag(value: Any, name: str) -> None:
    """Check a setting that is True or False: a text such as "no" would count as True.

    Raises:
        InputError: if it is neither.
    """
    if type(value).__name__ not in ("bool", "bool_"):  # the second is NumPy's
        raise InputError(f"{name}={quoted(value)} must be True or False.")


def check_budget(budget: float | None) -> None:
    """Check a limit of seconds.

    Raises:
        InputError: if it is given and is no number of seconds of at least 0.
    """
    if budget is None:
        return
    if not is_finite(budget) or budget < 0:
        raise InputError(f"budget={quoted(budget)}: a number of seconds of at least 0 is needed, or none for no limit.")


def as_ids(values: Any, where: str) -> tuple[str, ...]:
    """Ids of items as unique texts that any file can hold.

    Args:
        values: Texts, whole numbers or other values with one text each; bytes are read as UTF-8. A text is one id a
            letter.
        where: Whose ids they are, for messages, such as ``"b.npz"``.

    Raises:
        InputError: if they are no sequence, one is missing, there twice, or holds what files cannot: a NUL character
            or half a surrogate pair.
    """
    if isinstance(values, bytes) or not hasattr(values, "__iter__"):
        raise InputError(f"{where}: ids must be a sequence with one id an item, found {quoted(values)}.")
    given = values.tolist() if isinstance(values, np.ndarray) else list(values)
    ids = tuple(v if type(v) is str else _id(v, where) for v in given)
    whole = "\n".join(ids)
    if "\0" in whole or not is_text(whole):
        bad = next(i for i in ids if "\0" in i or not is_text(i))
        what = "a NUL character" if "\0" in bad else "half a surrogate pair, which is no valid text"
        raise InputError(f"{where}: the id {quoted(bad)} holds {what}; files would lose it. Give that item another id.")
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]  # `or` idiom
        raise InputError(
            f"{where}: the id {quoted(twice)} is there twice; ids must be unique, since items are joined by id."
        )
    return ids


def _id(value: Any, where: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: the id {quoted(value)} is no text in UTF-8.") from error
    if value is None or (isinstance(value, float) and math.isnan(value)) or isinstance(value, (list, dict, set)):
        raise InputError(f"{where}: {quoted(value)} is no id; every item needs one, a text or a whole number.")
    try:
        return str(value)
    except ValueError as error:  # a whole number of thousands of digits
        raise InputError(f"{where}: {quoted(value)} is no id; a text or a whole number is needed.") from error


def is_text(text: str) -> bool:
    """Whether a text can be written in UTF-8: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
