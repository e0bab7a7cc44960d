"""`isomorph stitch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.featurefiles import read_ids
from .._core.files import check_target
from ..datasets import load_dataset
from ..stitching import StitchSettings, stitch
from ..store import Layers
from ._settings import given_files, with_settings
from ._text import saved


@with_settings(StitchSettings, maps="--map")
def command(
    x: Annotated[Path, typer.Argument(help="Features: .npz, .npy, .safetensors or platonic-rep's .pt.")],
    y: Annotated[Path, typer.Argument(help="Features of the same items.")],
    x_baseline: Annotated[list[str] | None, typer.Option(help="NAME=FILE that takes X's place; repeatable.")] = None,
    y_baseline: Annotated[list[str] | None, typer.Option(help="NAME=FILE that takes Y's place; repeatable.")] = None,
    x_ceiling: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE of X's kind (other seed, other model), as a ceiling; repeatable."),
    ] = None,
    y_ceiling: Annotated[list[str] | None, typer.Option(help="NAME=FILE of Y's kind; repeatable.")] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for labels and groups of the items.")] = None,
    test: Annotated[
        Path | None, typer.Option(help="File with the ids of the items to hold out (.txt, one a line; .json, .npy).")
    ] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("stitch.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Fit maps from X to Y on some pairs and score them on items held out, beside every control.

    Example: isomorph stitch vision.npz text.npz --map ridge --map orthogonal --repeats 3
    """
    check_target(to)
    result = stitch(
        Layers.load(x),
        Layers.load(y),
        x_baselines=given_files(x_baseline),
        y_baselines=given_files(y_baseline),
        x_ceilings=given_files(x_ceiling),
        y_ceilings=given_files(y_ceiling),
        items=load_dataset(items) if items else None,
        x_name=x.stem,
        y_name=y.stem,
        test=None if test is None else read_ids(test),
        **settings,
    )
    print(result)
    saved(result, to)
