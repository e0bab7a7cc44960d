"""`isomorph diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..diagnosis import DiagnoseSettings, diagnose
from ..results import Fusion, Scan, Stitch
from ..store import Layers
from ._settings import with_settings
from ._text import saved


@with_settings(DiagnoseSettings, signatures="--signature", purposes="--purpose")
def command(
    x: Annotated[Path | None, typer.Argument(help="Features: .npz, .npy, .safetensors or platonic-rep's .pt.")] = None,
    y: Annotated[Path | None, typer.Argument(help="Features of the same items, if there are two sides.")] = None,
    scan: Annotated[Path | None, typer.Option(help="A saved scan of the two.")] = None,
    stitch: Annotated[Path | None, typer.Option(help="A saved stitch of the two.")] = None,
    fusion: Annotated[Path | None, typer.Option(help="A saved fusion.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("diagnosis.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Look for known ways in which similarity misleads, each with its evidence and what to do.

    The features may be left out where results are given.

    Example: isomorph diagnose vision.npz text.npz --scan scan.json
    """
    check_target(to)
    result = diagnose(
        Layers.load(x) if x else None,
        Layers.load(y) if y else None,
        scan=Scan.load(scan) if scan else None,
        stitch=Stitch.load(stitch) if stitch else None,
        fusion=Fusion.load(fusion) if fusion else None,
        **settings,
    )
    print(result)
    saved(result, to)
