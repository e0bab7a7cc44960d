"""`isomorph encode`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .._core.files import check_target
from ..conditions import load_side
from ..encoding_models import EncodingSettings, fit_encoding
from ..results import Encoding
from ._settings import given_files, given_lines, with_settings
from ._text import saved


@with_settings(EncodingSettings)
def command(
    x: Annotated[Path, typer.Argument(help="Features of the items: .npz, .npy, .safetensors, .h5 and others.")],
    responses: Annotated[Path, typer.Argument(help="Responses (items × units), or (repeats × items × units) as .npy.")],
    layer: Annotated[list[str] | None, typer.Option(help="A layer of X to use; may be given several times.")] = None,
    also: Annotated[list[str] | None, typer.Option(help="NAME=FILE of another model, beside X.")] = None,
    runs: Annotated[
        Path | None, typer.Option(help="A text file with the run of each row of RESPONSES, a line.")
    ] = None,
    repeats: Annotated[Path | None, typer.Option(help="Responses to repeated items, for the ceiling: .npy.")] = None,
    responses_layer: Annotated[str | None, typer.Option(help="Layer of RESPONSES, if there are several.")] = None,
    table: Annotated[Path | None, typer.Option(help="Where to write one row a unit: .csv or .npy.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("encoding.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Predict the responses of units (voxels, neurons) from a model's layers, on items that no fit saw.

    Example: isomorph encode vision.npz voxels.npy --runs runs.txt --permutations 99 --table units.csv
    """
    check_target(to, suffixes=(".json",))
    if table is not None:
        check_target(table, suffixes=(".csv", ".npy"))
    name, features = load_side(x)
    if also:
        features = {name: features, **given_files(also)}  # type: ignore[assignment]  # several models
    found = fit_encoding(
        features,
        responses,
        layers=layer,
        runs=None if runs is None else given_lines(runs, "the runs"),
        repeats=repeats,
        x_name=None if also else name,
        responses_layer=responses_layer,
        **settings,
    )
    print(found)
    if table is not None:
        _write(found, table)
        print(f"One row a unit in {table}.")
    saved(found, to)


def _write(found: Encoding, path: Path) -> None:
    """One row a unit."""
    columns = found.columns()
    if path.suffix.lower() == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(v.tolist() for v in columns.values()), strict=True))
        return
    width = max((len(str(v)) for v in columns.get("layer", ())), default=1) or 1
    kinds = [(name, f"U{width}" if values.dtype == object else values.dtype) for name, values in columns.items()]
    rows = np.empty(found.n_units, dtype=kinds)
    for name, values in columns.items():
        rows[name] = values
    np.save(path, rows)
