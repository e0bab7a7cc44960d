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
) -> None:
    """Draw saved results as one self-contained page, with its figures as SVG and PNG beside it.

    Example: isomorph report scan.json stitch.json --to page.html
    """
    from ..datasets import load_dataset
    from ..reporting import report as write_report

    page = write_report(list(results), to=to, items=load_dataset(items) if items else None, title=title)
    print(page)
