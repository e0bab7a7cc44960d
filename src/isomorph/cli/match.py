"""`isomorph match`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..matching import MatchSettings, blind_match, one_layer, truth_by_id
from ..store import Layers
from ._settings import with_settings
from ._text import saved


@with_settings(MatchSettings)
def command(
    x: Annotated[Path, typer.Argument(help="Features, a row an item or class: .npz, .npy, .safetensors or .pt.")],
    y: Annotated[Path, typer.Argument(help="Features of the same items in an unknown order.")],
    x_layer: Annotated[str | None, typer.Option(help="Layer of X, if there are several.")] = None,
    y_layer: Annotated[str | None, typer.Option(help="Layer of Y, if there are several.")] = None,
    by_id: Annotated[bool, typer.Option("--by-id", help="Ids say the true pairing, for the verdict only.")] = False,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("match.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Match the rows of X and Y without knowing any pair, and say whether the match can be believed.

    Example: isomorph match classes-vision.npz classes-text.npz --restarts 100
    """
    check_target(to)
    left, right = one_layer(Layers.load(x), x_layer, "x"), one_layer(Layers.load(y), y_layer, "y")
    truth = truth_by_id(left, right) if by_id else None
    result = blind_match(left, right, truth=truth, x_name=x.stem, y_name=y.stem, **settings)
    print(result)
    saved(result, to)
