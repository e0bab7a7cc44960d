"""Drawings (SVG files) to arrays, by resvg, the renderer of the report's figures too."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .._core.files import read_text
from ..errors import InputError, MissingExtraError
from ._media import read_image

WIDTH = 256
"""Pixels across, whatever size a drawing says it has."""

_ELSEWHERE = re.compile(r"<(?:\w+:)?(?:fe)?image\b[^>]*?href\s*=\s*[\"'](?!#|data:)([^\"']*)", re.IGNORECASE)


def read_drawing(path: Any) -> np.ndarray[Any, Any]:
    """Render a drawing to uint8 RGB of shape (h, 256, 3) on white, without fonts: texts in it are left out.

    Raises:
        InputError: if it cannot be read or rendered, nothing is seen, or it names a picture in another file.
        MissingExtraError: if resvg-py or Pillow is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise MissingExtraError("Reading drawings (SVG)", "resvg-py", "images") from error
    text = read_text(path, "the drawing")
    if elsewhere := _ELSEWHERE.search(text):
        raise InputError(f"The drawing {path} shows another file, {elsewhere[1]!r}, which is not read. Leave it out.")
    try:  # fonts differ between machines
        png = resvg_py.svg_to_bytes(svg_string=text, width=WIDTH, skip_system_fonts=True, background="#ffffff")
    except ValueError as error:
        raise InputError(f"Cannot render the drawing {path}: {str(error).rstrip('.')}. Leave it out.") from error
    pixels = read_image(bytes(png), str(path))
    if (pixels == pixels[0, 0]).all():
        raise InputError(f"The drawing {path} renders as nothing: all pixels are the same. Leave it out.")
    return pixels
