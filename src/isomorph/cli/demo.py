"""`isomorph demo`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from .run import run_study


def command(
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/demo"),
) -> None:
    """The first experiments of the survey on real pretrained models: image, text and speech of the same emoji.

    Example: isomorph demo --output runs/demo
    """
    from ..study import load_study

    source = (files("isomorph") / "demo.toml").read_text(encoding="utf-8")
    output.mkdir(parents=True, exist_ok=True)
    path = output / "study.toml"
    path.write_text(source, encoding="utf-8")
    run_study(load_study(path, output=output), force=False)
