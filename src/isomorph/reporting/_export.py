"""Files of the report: whole or not at all, figures as SVG and PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .._core.files import write_target
from .._core.progress import progress
from ..errors import InputError
from ._svg import Figure

_ZOOM = 3  # pixels of a PNG per CSS pixel: 300 dots an inch at the figure's natural size


def prepare_folder(folder: Path) -> None:
    """Make a folder.

    Raises:
        InputError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {folder}: {error.strerror or error}.") from error


def write_figures(figures: Sequence[Figure], folder: Path, *, beside: Path) -> str:
    """Write every figure as SVG, and as PNG where that can be done.

    Args:
        figures: What to write.
        folder: Where to; made if there is something to write.
        beside: The page's folder, for the note.

    Returns:
        A sentence for the page that says what was written, and if not everything, why.

    Raises:
        InputError: if a file cannot be written.
    """
    if not figures:
        return ""
    prepare_folder(folder)
    reason = png_obstacle()
    with progress(len(figures), "figures", unit="files") as advance:
        for figure in figures:
            svg = figure.standalone()
            write_target(folder / f"{figure.name}.svg", svg.encode())
            if reason is None:
                write_target(folder / f"{figure.name}.png", to_png(svg))
            advance(1)
    where = os.path.relpath(folder, beside) if folder.is_relative_to(beside) else folder.name
    kinds = "SVG and PNG files" if reason is None else f"SVG files (no PNG copies: {reason})"
    return f"The {len(figures)} figures of this page are also in the folder {where} as {kinds}."


def png_obstacle() -> str | None:
    """Why PNG copies cannot be made here, or None if they can."""
    try:
        import resvg_py  # noqa: F401  # only whether it is there
    except ImportError:
        return "they need pip install 'isomorph[images]'"
    # without fonts the renderer leaves texts out and says nothing
    frame = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'
    if to_png(frame.format('<text x="2" y="16" font-family="sans-serif">M</text>')) == to_png(frame.format("")):
        return "this machine has no fonts"
    return None


def to_png(svg: str) -> bytes:
    """A figure as PNG."""
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=_ZOOM))
