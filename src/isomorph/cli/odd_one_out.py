"""`isomorph odd-one-out`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..conditions import load_side
from ..human_judgments import OddOneOutSettings, odd_one_out
from ._settings import with_settings
from ._text import saved


@with_settings(OddOneOutSettings)
def command(
    x: Annotated[Path, typer.Argument(help="Features of the items: .npz, .npy, .safetensors, .h5 and others.")],
    triplets: Annotated[Path, typer.Argument(help="Three items a line, the odd one last: .csv, .tsv, .txt or .npy.")],
    layer: Annotated[list[str] | None, typer.Option(help="A layer of X to use; may be given several times.")] = None,
    ceiling: Annotated[str | None, typer.Option(help="Accuracy of people, or a file of repeated judgements.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("odd-one-out.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """How often each layer chooses the odd one of three items that people chose.

    Example: isomorph odd-one-out vision.npz triplets.csv --permutations 99
    """
    check_target(to, suffixes=(".json",))
    name, features = load_side(x)
    given: Any = ceiling
    if ceiling is not None and ceiling.replace(".", "", 1).isdecimal():
        given = float(ceiling)
    found = odd_one_out(features, triplets, layers=layer, ceiling=given, x_name=name, **settings)
    print(found)
    saved(found, to)
