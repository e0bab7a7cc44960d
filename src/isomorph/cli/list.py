"""`isomorph list`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import InputError
from ._text import console, plain_table


def command(
    kind: Annotated[
        str,
        typer.Argument(
            help="models, providers, sides, metrics, datasets, maps, heads, signatures, sections or criteria."
        ),
    ],
    model: Annotated[str | None, typer.Argument(help="For sides: the model.")] = None,
) -> None:
    """What there is: models, metrics, datasets, maps and other kinds; or the sides of one model.

    Example: isomorph list metrics
    """
    from .. import listing

    if kind not in (*listing.KINDS, "sides"):
        raise InputError(f"There is no list of {kind!r}; choose one of {', '.join([*listing.KINDS, 'sides'])}.")
    if (model is not None) != (kind == "sides"):
        raise InputError("`isomorph list sides MODEL` lists the sides of one model; the other lists take no model.")
    columns, rows = listing.list_sides(model) if model is not None else listing.KINDS[kind]()
    table = plain_table(*columns)
    for row in rows:
        table.add_row(*row)
    console().print(table)
