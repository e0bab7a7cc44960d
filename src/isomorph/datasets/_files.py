"""Files of pictures, recordings and films: told by their endings, checked, and read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._core.checks import is_text
from ..errors import InputError, MissingExtraError, quoted
from ._media import AUDIO_SUFFIXES, IMAGE_SUFFIXES, read_audio, read_image
from ._video import VIDEO_SUFFIXES, read_video
from ._views import FileView, MemoryView, View

READERS: dict[str, Callable[..., Any]] = {"image": read_image, "audio": read_audio, "video": read_video}
ENDINGS = {"image": IMAGE_SUFFIXES, "audio": AUDIO_SUFFIXES, "video": VIDEO_SUFFIXES}
"""Modality -> endings of the files that hold it."""


def modality_of(paths: Sequence[str]) -> str | None:
    """The modality of files by their endings, or None if they do not all have one of the same."""
    for kind, endings in ENDINGS.items():
        if all(path.lower().endswith(endings) for path in paths):
            return kind
    return None


def fault(value: Any, kind: str, base: Path, *, decode: bool) -> str | None:
    """What is wrong with a text, or with the file at a path, in words; None if nothing is.

    Args:
        value: The text, or the path relative to `base`.
        kind: The modality that it must be.
        base: Folder that paths are relative to.
        decode: Whether the file is read, not only looked for.

    Raises:
        MissingExtraError: if the package that reads it is not installed.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return "the text is empty." if kind == "text" else "there is no path."
    if not isinstance(value, str):
        return f"a text was expected, found {type(value).__name__} {quoted(value)}."
    if kind == "text":
        return None if is_text(value) else "the text holds half a surrogate pair, which is no valid text."
    if not os.path.isfile(base / value):  # noqa: PTH113  # Path.is_file raises for a name that is too long
        return f"there is no file {base / value}."
    if decode:
        try:
            READERS[kind](base / value)
        except MissingExtraError:
            raise
        except InputError as error:
            return str(error)
    return None


def view_of(kind: str, values: Sequence[str], base: Path, ids: Sequence[str]) -> View:
    """A view of texts, or of the files at paths relative to `base`."""
    if kind == "text":
        return MemoryView(list(values), "text")
    return FileView([base / v for v in values], kind, READERS[kind], list(ids))
