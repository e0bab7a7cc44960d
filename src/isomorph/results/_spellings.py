"""Finding what was computed by any spelling of its spec, without asking a registry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from .._core.registry import parse_spec


class Spelled(Protocol):
    """What has a full spec, with every parameter, and shorter ones."""

    @property
    def variant(self) -> str:
        """The full spec."""

    @property
    def spellings(self) -> tuple[str, ...]:
        """The shortest spec, with the parameters that are not at their defaults, and other names of the same."""


def find_spelled(wanted: str, among: Iterable[Spelled]) -> Any:
    """The one of that spec, or None.

    Args:
        wanted: A spec in any spelling: parameters in any order, by position or by name, those at their defaults named
            or not; or another name that the field has for it.
        among: What there is.

    Raises:
        InputError: if the spec cannot be read.
    """
    name, positional, named = parse_spec(wanted)
    for one in among:
        if wanted in (one.variant, *one.spellings):
            return one
        own, _, every = parse_spec(one.variant)
        if own != name or len(positional) > len(every):
            continue
        given = dict(zip(every, positional, strict=False)) | named
        needed = parse_spec(one.spellings[0])[2] if one.spellings else {}
        if needed.keys() <= given.keys() and given.items() <= every.items():
            return one
    return None
