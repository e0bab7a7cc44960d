"""Reading a model spec: ``provider:id@revision``, a bare hub id, or a path."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..errors import InputError


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """What a model spec says.

    Attributes:
        provider: Such as ``"transformers"``; empty for a bare name, which names nothing by itself.
        id: Hub id, path or bundled name.
        revision: Pinned revision, or None.
    """

    provider: str
    id: str
    revision: str | None = None


def parse_model_spec(spec: str) -> ModelSpec:
    """Split a model spec.

    ``provider:id@revision`` names its provider. Of the bare forms, a file ending in ``.onnx`` goes to ``onnx``; an
    existing folder, or what starts with ``/``, ``.`` or ``~``, is a local checkpoint; ``org/name`` is a hub id (both
    ``transformers``).

    Raises:
        InputError: if the spec is empty or lacks a part.
    """
    text = spec.strip()
    provider, colon, rest = text.partition(":")
    # one letter before a colon is a drive, and a path may hold a colon behind a slash
    if colon and len(provider) > 1 and "/" not in provider and "\\" not in provider:
        if not rest:
            raise InputError(
                f"The model {spec!r} names no model behind the colon; expected provider:id, such as bundled:minilm-l6."
            )
        id_, revision = _split_revision(rest)
        return ModelSpec(provider, id_, revision)
    id_, revision = _split_revision(text)
    if not id_:
        raise InputError("An empty text names no model; expected provider:id@revision, org/name or a path.")
    if id_.endswith(".onnx"):
        return ModelSpec("onnx", id_, revision)
    if is_path(id_) or "/" in id_:
        return ModelSpec("transformers", id_, revision)
    return ModelSpec("", id_, revision)


def is_path(text: str) -> bool:
    """Whether a text means a place on disk rather than a hub id."""
    return text.startswith(("/", "./", "../", "~", ".\\")) or text in (".", "..") or Path(text).is_dir()


def _split_revision(text: str) -> tuple[str, str | None]:
    if Path(text).expanduser().exists():  # a path may hold an @
        return text, None
    id_, at, revision = text.rpartition("@")
    if not at:
        return text, None
    if not id_ or not revision:
        raise InputError(f"The model {text!r} lacks a part around the @; expected id@revision.")
    return id_, revision
