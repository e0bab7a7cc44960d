"""`isomorph diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..diagnosis import DiagnoseSettings, diagnose
from ..results import Scan, Stitch
from ..store import Layers
from ._settings import with_settings
from ._text import saved


@with_settings(DiagnoseSettings, signatures="--signature")
def command(
    x: Annotated[Path, typer.Argument(help="Features: .npz, .npy, .safetensors or platonic-rep's .pt.")],
    y: Annotated[Path | None, typer.Argument(help="Features of the same items, if there are two sides.")] = None,
    scan: Annotated[Path | None, typer.Option(help="A saved scan of the two.")] = None,
    stitch: Annotated[Path | None, typer.Option(help="A saved stitch of the two.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("diagnosis.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Look for known ways in which similarity misleads, each with its evidence and what to do.

    Example: isomorph diagnose vision.npz text.npz --scan scan.json
    """
    check_target(to)
    result = diagnose(
        Layers.load(x),
        Layers.load(y) if y else None,
        scan=Scan.load(scan) if scan else None,
        stitch=Stitch.load(stitch) if stitch else None,
        **settings,
    )
    print(result)
    saved(result, to)
