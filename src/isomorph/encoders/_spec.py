"""Reading a model spec: ``provider:id@revision``, a bare hub id, or a path."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..errors import InputError

_FILES = (".onnx", ".gguf", ".tflite")


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """What a model spec says.

    Attributes:
        provider: Such as ``"transformers"``; empty for a bare name, which names nothing by itself.
        id: Hub id, path or bundled name.
        revision: Pinned revision, or None.
        side: Which part of a model with several, or None.

    Example:
        >>> ModelSpec("transformers", "org/name", side="vision").side
        'vision'
    """

    provider: str
    id: str
    revision: str | None = None
    side: str | None = None


def parse_model_spec(spec: str) -> ModelSpec:
    """Split a model spec.

    ``provider:id@revision#side`` names its provider. Of the bare forms, a file ending in ``.onnx``, ``.gguf`` or
    ``.tflite`` goes to the provider of that name; an existing folder, or what starts with ``/``, ``.`` or
    ``~``, is a local checkpoint; ``org/name`` is a hub id (both ``transformers``).

    Raises:
        InputError: if the spec is empty or lacks a part.

    Example:
        >>> parse_model_spec("timm:vit_small@abc123")
        ModelSpec(provider='timm', id='vit_small', revision='abc123', side=None)
        >>> parse_model_spec("org/name#vision")  # a Hugging Face id needs no provider
        ModelSpec(provider='transformers', id='org/name', revision=None, side='vision')
    """
    text = spec.strip()
    provider, colon, rest = text.partition(":")
    # one letter before a colon is a drive, and a path may hold a colon behind a slash
    if colon and len(provider) > 1 and "/" not in provider and "\\" not in provider:
        if not rest:
            raise InputError(
                f"The model {spec!r} names no model behind the colon; expected provider:id, such as bundled:minilm-l6."
            )
        if provider == "api":  # a URL may hold what divides other specs; the provider reads it
            return ModelSpec(provider, rest)
        id_, side = _split(rest, "#", "side")
        id_, revision = _split(id_, "@", "revision")
        return ModelSpec(provider, id_, revision, side)
    id_, side = _split(text, "#", "side")
    id_, revision = _split(id_, "@", "revision")
    if not id_:
        raise InputError("An empty text names no model; expected provider:id@revision, org/name or a path.")
    ending = Path(id_).suffix.lower()
    if ending in _FILES and not Path(id_).expanduser().is_dir():
        return ModelSpec(ending[1:], id_, revision, side)
    if is_path(id_) or "/" in id_:
        return ModelSpec("transformers", id_, revision, side)
    return ModelSpec("", id_, revision, side)


def is_path(text: str) -> bool:
    """Whether a text means a place on disk rather than a hub id."""
    return text.startswith(("/", "./", "../", "~", ".\\")) or text in (".", "..") or _is_dir(text) or _is_weights(text)


def _is_dir(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def _is_weights(text: str) -> bool:
    return Path(text).suffix.lower() in (".pt", ".pth", ".ckpt", ".bin", ".safetensors") and _exists(text)


def _split(text: str, mark: str, what: str) -> tuple[str, str | None]:
    if _exists(text):  # a path may hold the mark
        return text, None
    id_, found, rest = text.rpartition(mark)
    if not found:
        return text, None
    if not id_ or not rest:
        raise InputError(f"The model {text!r} lacks a part around the {mark}; expected id{mark}{what}.")
    return id_, rest


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long for a path, or no home to expand to
        return False
