"""Ladders in one line: a table whose model has braces is one encoder for each thing that they hold."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from ..errors import InputError, quoted

_BRACES = re.compile(r"\{([^{}]*)\}")


def expanded(name: str, table: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The tables that one table of an encoder stands for: itself where its model has no braces.

    Several braces give every combination, the last changing fastest. Attributes with a list have one value for each.

    Args:
        name: Name of the encoder, which each of several is called by, and by what its braces hold.
        table: The table.
        where: What it is called in messages.

    Raises:
        InputError: if braces hold fewer than two things, two of them are equal, or attributes do not fit.

    Example:
        >>> list(expanded("lite", {"model": "bundled:efficientnet-lite{0,1,2}"}, "study.toml"))
        ['lite-0', 'lite-1', 'lite-2']
    """
    model, attributes = table.get("model"), table.get("attributes", {})
    if not isinstance(attributes, Mapping):
        raise InputError(
            f"{where}: attributes={quoted(attributes)} must be a table, such as {{family = 'vit', epochs = 300}}."
        )
    pieces = _BRACES.split(model) if isinstance(model, str) else [""]  # what stands between braces, and in them
    parts = [[part.strip() for part in held.split(",")] for held in pieces[1::2]]
    for held in parts:
        if len(held) < 2 or not all(held) or len(set(held)) < len(held):
            raise InputError(
                f"{where}: model={quoted(model)}: braces hold two different texts or more, parted by commas, such as "
                "'bundled:efficientnet-lite{0,1,2}'."
            )
    products = list(itertools.product(*parts))
    found = {}
    for k, chosen in enumerate(products):
        own = {a: _one(a, v, k, len(products), where) for a, v in attributes.items()}
        called = "-".join([name, *(re.sub(r"[/\\\0]", "-", part) for part in chosen)])  # part of file names
        found[called] = {**table, **({"attributes": own} if own else {})}
        if parts:
            spec = [piece for pair in zip(pieces[::2], chosen, strict=False) for piece in pair]
            found[called]["model"] = "".join([*spec, pieces[-1]])
    return found


def _one(attribute: str, value: Any, k: int, count: int, where: str) -> str | float:
    """The attribute of the k-th of several encoders.

    Raises:
        InputError: if it is neither a text nor a number, or a list of another length.
    """
    if isinstance(value, list):
        if len(value) != count:
            raise InputError(
                f"{where}: attributes.{attribute} has {len(value)} values for {count} encoder{'s' * (count > 1)}; give "
                "one each, or one for all."
            )
        value = value[k]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InputError(f"{where}: attributes.{attribute}={quoted(value)} must be a text or a number.")
    return value if isinstance(value, str) else float(value)
