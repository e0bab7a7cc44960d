"""`isomorph explain-rdms`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..rdm_models import ExplainSettings, explain_rdms
from ._settings import named_paths, with_settings
from ._text import saved


@with_settings(ExplainSettings)
def command(
    rdms: Annotated[Path, typer.Argument(help="Measured RDMs, of one subject or several: .npy, .mat, .h5 or .csv.")],
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="NAME=FILE of one model RDM; repeatable.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the measured RDMs; by default the file's name.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", "--out", help="Result file.")] = Path("explained.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Explain measured RDMs by several model RDMs together, and say what each adds to the others.

    RDMs are joined by the names of the items where both have them.

    Example: isomorph explain-rdms rdms.npy --model shape=shape.npy --model color=color.npy
    """
    check_target(to)
    found = explain_rdms(rdms, named_paths(model), name=name or rdms.stem, **settings)
    print(found)
    saved(found, to)
