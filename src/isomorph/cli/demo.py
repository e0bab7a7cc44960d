"""`isomorph demo`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from .._core.files import write_target
from .run import run_study


def command(
    atlas: Annotated[
        bool, typer.Option("--atlas", help="Many models at once: 23 of them, three modalities, ladders, specialists.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the results; runs/demo, or runs/atlas with --atlas.")
    ] = None,
) -> None:
    """The first experiments of the survey on real pretrained models: image, text and speech of the same emoji.

    Example: isomorph demo --output runs/demo
    """
    from ..study import load_study

    name = "atlas" if atlas else "demo"
    folder = output or Path("runs") / name
    source = (files("isomorph") / f"{name}.toml").read_text(encoding="utf-8")
    path = write_target(folder / "study.toml", source, "output")
    run_study(load_study(path, output=folder), force=False)
