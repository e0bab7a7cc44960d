"""Language models from GGUF files, as llama.cpp and its kin write them: ``./model.gguf``, or ``gguf:model.gguf``.

The file's weights are de-quantised to float32 by transformers and its tokeniser is taken out, once: the result is kept
in the cache under the sha256 of the file's content, whatever the file is called, and checked against its own hash at
every load. Layers, poolings, twins and options are then those of the provider `transformers`. What was quantised to
four bits stays as coarse as it is: the features are those of the quantised model, computed in float32.

Only texts, and only the architectures that transformers can convert; others are refused by name.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, ClassVar

from .._core.packages import file_sha256
from ..errors import InputError, IsomorphError, MissingExtraError
from ._base import Encoder
from ._converted import converted
from ._hf_load import import_transformers, load_parts
from ._hub import refuse_pointer
from ._provider import Options, Provider
from .transformers import build

_MAGIC = b"GGUF"
_READING = ("attention", "weights_dtype")


class Gguf(Provider):
    """A GGUF file: a language model as llama.cpp stores it.

    Example:
        >>> import isomorph as iso
        >>> encoder = iso.load_encoder("./tiny.gguf")
        >>> encoder.layers
        ('embedding', 'block_01', 'block_02', 'final_norm')
        >>> encoder.encode(["a cat", "a dog"])[encoder.layers[-1]].shape
        (2, 32)
    """

    name: ClassVar[str] = "gguf"
    spec: ClassVar[str] = "gguf:FILE"
    reads: ClassVar[str] = "text"
    extras: ClassVar[tuple[str, ...]] = ("max_length", "truncate", "padding_side", "prompt", *_READING)

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        path = Path(id).expanduser()
        if revision is not None:
            raise InputError(f"{id}@{revision}: a file has no revisions; its content is its revision. Leave @… out.")
        if not path.is_file():
            raise InputError(f"There is no file {id}; a GGUF model is a file.")
        import_transformers()
        check_file(path)
        sha256 = file_sha256(path)
        folder = _converted(path, f"gguf-{sha256[:32]}")
        own = {k: extra.pop(k) for k in _READING if k in extra}
        parts = load_parts(str(folder), None, options, **own)
        return build(parts, options, name=f"gguf:{path.name}", revision=f"sha256-{sha256[:16]}", **extra)


def check_file(path: Path) -> None:
    """See that a file is a whole GGUF model of texts.

    Raises:
        InputError: if it is not.
        MissingExtraError: if the package gguf is not installed.
    """
    refuse_pointer(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] != _MAGIC:
        raise InputError(f"{path} is no GGUF file: it begins with {head[:4]!r} where {_MAGIC!r} is expected.")
    version = struct.unpack("<I", head[4:])[0] if len(head) == 8 else 0
    if version not in (2, 3):
        raise InputError(f"{path} is GGUF of version {version}; versions 2 and 3 can be read. Convert it anew.")
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError("Reading a GGUF file", "gguf", "models") from error
    try:
        reader = gguf.GGUFReader(str(path))
    except Exception as error:  # its reader raises whatever numpy does on bytes that do not fit
        text = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} is damaged or cut off ({type(error).__name__}: {text}). Download it again."
        ) from error
    if not reader.tensors:
        raise InputError(f"{path} holds no weights (a vocabulary alone?); a model is needed.")
    end = max(int(t.data_offset) + int(t.n_bytes) for t in reader.tensors)
    if end > path.stat().st_size:
        raise InputError(f"{path} has {path.stat().st_size} bytes where its weights end at {end}: it was cut off.")
    if reader.get_field("tokenizer.ggml.tokens") is None:
        raise InputError(f"{path} holds no tokeniser, so no text can be encoded with it (a vision part alone?).")


def _converted(path: Path, stem: str) -> Path:
    """Folder of the converted checkpoint.

    Raises:
        InputError: if transformers cannot convert it.
    """  # noqa: DOC501  # errors of ours pass
    try:
        return converted(path, stem)
    except (IsomorphError, MemoryError):
        raise
    except Exception as error:  # transformers raises many classes for what it cannot convert
        text = " ".join(str(error).split())[:400]
        raise InputError(
            f"{path} cannot be converted by transformers ({type(error).__name__}: {text}). Either it does not know "
            "this architecture, or the file is damaged; use the model's original checkpoint (org/name or a folder)."
        ) from error
