"""Settings of a verb as one frozen value: the same for the function, a study's table, the command and the cache key.

A new setting is a field of the value, with its sentence and its check, and whatever uses it: the study's table takes
it, the command shows it as an option, and the key under which a study keeps its results holds it, without being told.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self, TypeVar

from ..errors import InputError, UnknownNameError, quoted

S = TypeVar("S", bound="Settings")

_AT = re.compile(r"^(?P<what>.*) - at `\$\.?(?P<where>.*)`$")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of the settings of a verb: a frozen dataclass that checks itself and documents its fields."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the settings."""
        return tuple(f.name for f in dataclasses.fields(cls))

    @classmethod
    def help(cls) -> Mapping[str, str]:
        """Setting -> what it means, as the class and its bases say under ``Attributes``."""
        return {k: v for kind in reversed(cls.__mro__) for k, v in _documented(kind.__doc__ or "").items()}

    @classmethod
    def read(cls, table: Mapping[str, Any], where: str) -> Self:
        """Settings from a table of a file, with plain values.

        Args:
            table: Setting -> value.
            where: The table, for messages.

        Raises:
            UnknownNameError: if there is no such setting; the nearest is suggested.
            InputError: if a value is of another type, or out of range.
        """
        return read_table(cls, table, where)

    def facts(self) -> dict[str, Any]:
        """Every setting as plain data: what the results depend on."""
        return {name: _plain(getattr(self, name)) for name in self.names()}


def read_table(kind: type[S], table: Mapping[str, Any], where: str) -> S:
    """A dataclass from a table of a file, by the types of its fields.

    Raises:
        UnknownNameError: if it has no such field.
        InputError: if a value is of another type, or the class refuses it.
    """
    import msgspec

    known = [f.name for f in dataclasses.fields(kind)]
    for key in table:
        if key not in known:
            raise UnknownNameError(f"setting in {where}", str(key), known)
    try:
        return msgspec.convert(dict(table), kind)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InputError):  # the class's own check
            raise InputError(f"{where}: {error.__cause__}") from error
        match = _AT.match(str(error))
        if match is None:
            raise InputError(f"{where}: {error}.") from error
        key = re.split(r"[.\[]", match["where"])[0]
        found, place = table.get(key), key
        for i in map(int, re.findall(r"\[(\d+)\]", match["where"])):  # the element of the list that is meant
            if isinstance(found, list):
                found, place = found[i], f"{place}[{i}]"
        raise InputError(f"{where}: {place} must be {_wanted(match['what'])}, found {quoted(found)}.") from error


def _wanted(message: str) -> str:
    """Msgspec's ``Expected `int | null`, got `str` `` in words."""
    names = {
        **{"str": "a text", "bool": "true or false", "int": "a whole number", "float": "a number", "array": "a list"},
        **{"object": "a table", "null": ""},
    }
    match = re.match(r"Expected `(?P<kinds>[^`]*)`", message)
    if match is None:
        return message
    kinds = [names.get(k.strip(), k.strip()) for k in match["kinds"].split("|")]
    return " or ".join(k for k in kinds if k)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return getattr(value, "variant", value)  # of a metric or a map


@lru_cache
def _documented(doc: str) -> Mapping[str, str]:
    text = inspect.cleandoc(doc)
    _, _, after = text.partition("Attributes:\n")
    after = re.split(r"^\S", after, maxsplit=1, flags=re.MULTILINE)[0]  # up to the next section
    found: dict[str, str] = {}
    for name, words in re.findall(r"^(\w+): (.*(?:\n {2,}.*)*)", textwrap.dedent(after), flags=re.M):
        found[name] = " ".join(words.split())
    return found
