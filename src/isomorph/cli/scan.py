"""`isomorph scan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..conditions import load_side
from ..datasets import load_dataset
from ..scanning import ScanSettings, scan
from ._settings import given_files, with_settings
from ._text import LEGEND, saved


@with_settings(ScanSettings, metrics="--metric -m", within="--in-order")
def command(
    x: Annotated[
        Path, typer.Argument(help="Features: .npz, .npy, .safetensors or platonic-rep's .pt; RDMs: rdms:FILE.")
    ],
    y: Annotated[Path, typer.Argument(help="Features or RDMs of the same items.")],
    x_baseline: Annotated[list[str] | None, typer.Option(help="NAME=FILE that takes X's place; repeatable.")] = None,
    y_baseline: Annotated[list[str] | None, typer.Option(help="NAME=FILE that takes Y's place; repeatable.")] = None,
    x_ceiling: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE of X's kind (other seed, other model), as a ceiling; repeatable."),
    ] = None,
    y_ceiling: Annotated[list[str] | None, typer.Option(help="NAME=FILE of Y's kind; repeatable.")] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for labels and groups of the items.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("scan.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Compare every layer of X with every layer of Y, each score with its chance level.

    Example: isomorph scan vision.npz text.npz -m cka -m 'mutual_knn(k=5)' --x-baseline untrained=twin.npz
    """
    check_target(to)
    (x_name, left), (y_name, right) = load_side(x), load_side(y)
    result = scan(
        left,
        right,
        x_baselines=given_files(x_baseline),
        y_baselines=given_files(y_baseline),
        x_ceilings=given_files(x_ceiling),
        y_ceilings=given_files(y_ceiling),
        items=load_dataset(items) if items else None,
        x_name=x_name,
        y_name=y_name,
        **settings,
    )
    print(f"{result}\n\n{LEGEND}")
    saved(result, to)
