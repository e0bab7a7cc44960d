"""`isomorph apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..migration import apply_map


def command(
    map: Annotated[Path, typer.Argument(help="A map that `isomorph fit-map` wrote.")],
    old: Annotated[Path, typer.Argument(help="Embeddings of the old model: .npy, .safetensors, .npz and others.")],
    to: Annotated[Path, typer.Option(help="Mapped rows: a .npy file, whole or not there.")],
    layer: Annotated[str | None, typer.Option(help="Which layer of OLD, if it has several.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    memory: Annotated[str | None, typer.Option(help="Working memory, such as 4GB.")] = None,
) -> None:
    """Carry embeddings of an old model into the space of a new one with a map that was fitted.

    Rows are read, mapped and written in blocks, so that millions need no more memory than thousands.

    Example: isomorph apply map.json old.npz --to mapped.npy
    """
    print(apply_map(map, old, to, layer=layer, overwrite=overwrite, memory=memory))
