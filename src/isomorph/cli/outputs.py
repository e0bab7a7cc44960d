"""`isomorph outputs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.featurefiles import read_ids
from .._core.files import check_target
from ..datasets import load_dataset, read_column
from ..errors import InputError
from ..output_agreement import OutputsSettings, outputs
from ._settings import given_files, with_settings
from ._text import saved

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@with_settings(OutputsSettings)
def command(
    models: Annotated[list[str], typer.Argument(help="FILE or NAME=FILE of one model's outputs; two or more.")],
    labels: Annotated[
        str | None,
        typer.Option(
            help="What is right: a table of ids and labels (.csv, .tsv, .jsonl, .parquet), or a label set of --items."
        ),
    ] = None,
    column: Annotated[str | None, typer.Option(help="Column of the table, if there are several.")] = None,
    id_column: Annotated[str, typer.Option(help="Column of the table that holds the ids.")] = "id",
    classes: Annotated[
        Path | None, typer.Option(help="File with the names of the columns, one a line (.txt), .json or .npy.")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="A table of ids and groups, or a label set of --items; by default their groups.")
    ] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for labels and groups of the items.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("outputs.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Compare what models answer: agreement, divergence, shared errors, calibration, each with chance.

    Example: isomorph outputs answers-a.npz answers-b.npz --labels labels.csv --classes classes.txt
    """
    check_target(to)
    named = [m if "=" in m else f"{Path(m).stem}={m}" for m in models]
    result = outputs(
        given_files(named),
        _by_id(labels, column, id_column),
        classes=None if classes is None else list(read_ids(classes)),
        groups=_by_id(groups, None, id_column),
        items=load_dataset(items) if items else None,
        **settings,
    )
    print(result)
    saved(result, to)


def _by_id(given: str | None, column: str | None, id_column: str) -> Any:
    """Values by id out of a table, or the name of a label set.

    Raises:
        InputError: if a column is named, and there is no table.
    """
    if given is not None and Path(given).suffix.lower() in _TABLES:
        return read_column(given, column, id_column)[1]
    if column is not None:
        raise InputError(f"--column {column} names a column of a table, and --labels is none; leave it out.")
    return given
