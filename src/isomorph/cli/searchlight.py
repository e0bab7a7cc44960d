"""`isomorph searchlight`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..errors import InputError
from ..rdm_models import SearchlightSettings, searchlight
from ..store import Layers
from ._settings import given_lines, named_paths, with_settings
from ._text import saved


@with_settings(SearchlightSettings)
def command(
    responses: Annotated[Path, typer.Argument(help="Responses (n_measurements, channels) as .npy.")],
    positions: Annotated[Path, typer.Argument(help="Where each channel is (channels, 1 to 3) as .npy.")],
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="NAME=FILE of one model RDM; repeatable.")
    ] = None,
    conditions: Annotated[Path | None, typer.Option(help="What was shown in each measurement: a line each.")] = None,
    runs: Annotated[Path | None, typer.Option(help="The run of each measurement: a line each.")] = None,
    to: Annotated[Path, typer.Option("--to", "--out", help="Result file.")] = Path("searchlight.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Compare model RDMs with those of the channels around each place, with p of the maximum over all.

    Example: isomorph searchlight voxels.npy places.npy --model shape=shape.npy --radius 2
    """
    check_target(to)
    found = searchlight(
        _array(responses, "RESPONSES"),
        _array(positions, "POSITIONS"),
        named_paths(model),
        conditions=None if conditions is None else given_lines(conditions, "the conditions"),
        runs=None if runs is None else given_lines(runs, "the runs"),
        name=responses.stem,
        **settings,
    )
    print(found)
    saved(found, to)


def _array(path: Path, which: str) -> Any:
    """The one array of a file.

    Raises:
        InputError: if it holds several.
    """
    layers = Layers.load(path)
    if len(layers) != 1:
        raise InputError(
            f"{which}: {path} holds {len(layers)} arrays, {', '.join(layers)}; save one by itself as .npy."
        )
    return layers[next(iter(layers))]
