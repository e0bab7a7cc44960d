"""`isomorph report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    results: Annotated[list[Path], typer.Argument(help="Saved results (.json).")],
    to: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    items: Annotated[str | None, typer.Option(help="Dataset spec, for pictures and texts of the items.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for all figures as SVG and PNG.")] = None,
) -> None:
    """Draw saved results as one self-contained page; its figures as files on request.

    Example: isomorph report scan.json stitch.json --to page.html --figures figures
    """
    from ..datasets import load_dataset
    from ..reporting import report as write_report

    given = load_dataset(items) if items else None
    page = write_report(list(results), to=to, items=given, title=title, figures=figures)
    print(page)
