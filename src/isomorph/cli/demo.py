"""`isomorph demo`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from .._core.files import write_target
from .run import run_study


def command(
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/demo"),
) -> None:
    """The first experiments of the survey on real pretrained models: image, text and speech of the same emoji.

    Example: isomorph demo --output runs/demo
    """
    from ..study import load_study

    source = (files("isomorph") / "demo.toml").read_text(encoding="utf-8")
    path = write_target(output / "study.toml", source, "output")
    run_study(load_study(path, output=output), force=False)
