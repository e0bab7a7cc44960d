"""`isomorph fit-map`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..conditions import load_side
from ..datasets import load_dataset
from ..migration import MigrationSettings, fit_map
from ._settings import with_settings


@with_settings(MigrationSettings)
def command(
    old: Annotated[Path, typer.Argument(help="Embeddings of the old model: .npz, .npy, .safetensors and others.")],
    new: Annotated[Path, typer.Argument(help="Embeddings of the same items by the new model.")],
    old_layer: Annotated[str | None, typer.Option(help="Which layer of OLD, if it has several.")] = None,
    new_layer: Annotated[str | None, typer.Option(help="Which layer of NEW, if it has several.")] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for groups of the items.")] = None,
    to: Annotated[Path, typer.Option(help="The map, with its held-out scores.")] = Path("map.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Fit a map from an old model's embeddings to a new one's, and say what is lost by it.

    Files with ids are joined by id, others row by row. `isomorph apply` uses the map.

    Example: isomorph fit-map old.npz new.npz --to map.json
    """
    check_target(to, suffixes=(".json",))
    (old_name, old_rows), (new_name, new_rows) = load_side(old), load_side(new)
    fitted = fit_map(
        old_rows,
        new_rows,
        old_layer=old_layer,
        new_layer=new_layer,
        items=load_dataset(items) if items else None,
        old_name=old_name,
        new_name=new_name,
        **settings,
    )
    print(fitted)
    fitted.save(to)
    print(f"Saved to {to}; `isomorph apply {to} OLD --to NEW.npy` uses it.")
