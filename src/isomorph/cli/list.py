"""`isomorph list`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from ..errors import InputError, UnknownNameError
from ._text import console, plain_table, tell


def command(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="models, providers, sides, metrics, datasets, maps, heads, signatures, sections or criteria; all "
            "kinds if left out."
        ),
    ] = None,
    model: Annotated[str | None, typer.Argument(help="For sides: the model.")] = None,
) -> None:
    """What there is: models, metrics, datasets, maps and other kinds; or the sides of one model.

    Example: isomorph list metrics
    """
    from .. import listing

    if kind is None:
        _show_kinds(listing.KINDS)
        return
    if kind not in (*listing.KINDS, "sides"):
        raise UnknownNameError("list", kind, [*listing.KINDS, "sides"], "`isomorph list` shows them all.")
    if (model is not None) != (kind == "sides"):
        raise InputError("`isomorph list sides MODEL` lists the sides of one model; the other lists take no model.")
    columns, rows = listing.list_sides(model) if model is not None else listing.KINDS[kind]()
    table = plain_table(*columns)
    for row in rows:
        table.add_row(*row)
    console().print(table)
    tell(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], ensure_ascii=False, indent=1))


def _show_kinds(kinds: Mapping[str, Callable[[], Any]]) -> None:
    """How many there are of each kind, and how to list them."""
    table = plain_table("kind", "number", "list them")
    counted = {kind: len(list(rows()[1])) for kind, rows in kinds.items()}
    for kind, count in counted.items():
        table.add_row(kind, str(count), f"isomorph list {kind}")
    table.add_row("sides", "", "isomorph list sides MODEL")
    console().print(table)
    tell(json.dumps(counted))
