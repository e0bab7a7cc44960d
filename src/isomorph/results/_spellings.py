"""Finding what was computed by any spelling of its spec, without asking a registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from .._core.registry import parse_spec
from ..errors import InputError


class Spelled(Protocol):
    """What has a full spec, with every parameter, and shorter ones."""

    @property
    def variant(self) -> str:
        """The full spec."""

    @property
    def spellings(self) -> tuple[str, ...]:
        """The shortest spec, with the parameters that are not at their defaults, and other names of the same."""


S = TypeVar("S", bound=Spelled)


def spelled(wanted: str, among: Mapping[str, S], lacking: str, undefined: Mapping[str, str] | None = None) -> S:
    """What a result holds under a spec, by any spelling.

    Args:
        wanted: A spec in any spelling: parameters in any order, by position or by name, those at their defaults named
            or not; or another name that the field has for it.
        among: Spec -> what was computed.
        lacking: What to say of a spec that was not, before the list of those that were.
        undefined: Spec -> why it is not defined here.

    Raises:
        KeyError: if it was not computed, or is no spec.
    """
    if wanted in among:
        return among[wanted]
    try:
        found: S | None = _found(wanted, among.values())
    except InputError as error:
        raise KeyError(str(error)) from error
    if found is not None:
        return found
    if undefined and wanted in undefined:
        raise KeyError(f"{wanted} is not defined on these items: {undefined[wanted]}")
    raise KeyError(f"{wanted} {lacking} {', '.join(among)}.")


def _found(wanted: str, among: Iterable[Spelled]) -> Any:
    """The one of that spec, or None.

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
