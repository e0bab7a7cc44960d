"""`isomorph open`."""

from __future__ import annotations

import json
import os
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ._text import tell


def command(
    page: Annotated[Path, typer.Argument(help="A page, or the folder of a study's results.")] = Path("runs/demo"),
) -> None:
    """Open a page in the browser: of a study's folder, or of saved results.

    Nothing is served: the page is one file.

    Example: isomorph open runs/demo
    """
    found = page / "report.html" if os.path.isdir(page) else page  # noqa: PTH112  # of a name too long too
    if not os.path.isfile(found) or found.suffix not in (".html", ".htm"):  # noqa: PTH113  # Path.is_file raises there
        raise InputError(
            f"{page} is no page: give a folder with report.html in it, as `isomorph run` writes, or a page; of saved "
            "results `isomorph report RESULT.json` makes one."
        )
    opened = webbrowser.open(found.resolve().as_uri())
    tell(json.dumps({"page": str(found.resolve()), "opened": opened}))
    if opened:
        print(f"Opened {found}")
    else:
        print(f"No browser was found here; the page is {found.resolve()}")
