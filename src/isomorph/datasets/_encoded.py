"""Pictures, recordings and films that lie encoded in a larger file: of a table, a shard, a Hugging Face dataset."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core.files import reason, regular
from ..errors import InputError, quoted
from ._files import READERS
from ._views import View


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedView(View):
    """A view whose items are files within a file; each is read and decoded when it is asked for.

    An item's hash is that of its encoded file, as in a `FileView`: the same pictures in a folder, a table or a shard
    are the same view.

    Attributes:
        read: Row -> the encoded file; raises `InputError` if there is none.
        rows: Row of each item.
        kind: ``"image"``, ``"audio"`` or ``"video"``.
        missing: Rows that have no file.
        ids: What the items are called in errors.

    Example:
        >>> netpbm = [b"P6 1 1 255 abc", b"P6 2 1 255 abcdef"]
        >>> view = EncodedView(netpbm.__getitem__, range(2), "image")
        >>> view[1].shape, view.take([1, 0])[1].shape
        ((1, 2, 3), (1, 1, 3))
    """

    read: Callable[[int], bytes]
    rows: Sequence[int]
    kind: str
    missing: frozenset[int] = frozenset()
    ids: Sequence[str] | None = None

    @property
    def modality(self) -> str:
        return self.kind

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        name = f"row {self.rows[index]}" if self.ids is None else f"the {self.kind} of item {self.ids[index]!r}"
        return READERS[self.kind](self._file(index), name=name)

    def _file(self, index: int) -> bytes:
        try:
            return self.read(self.rows[index])
        except InputError as error:
            if self.ids is None:
                raise
            raise InputError(f"Item {self.ids[index]!r}: {error}") from error

    def digest(self, index: int) -> bytes:
        return hashlib.sha256(self._file(index)).digest()

    def take(self, indices: Sequence[int]) -> EncodedView:
        ids = None if self.ids is None else [self.ids[i] for i in indices]
        return dataclasses.replace(self, rows=[self.rows[i] for i in indices], ids=ids)

    def called(self, ids: Sequence[str]) -> EncodedView:
        """The same view, whose items have these ids."""
        return dataclasses.replace(self, ids=list(ids))


def file_of(cell: Any, base: Path | None, where: str) -> bytes:
    """The encoded file in a cell: bytes, or Hugging Face's ``{"bytes", "path"}``.

    Raises:
        InputError: if there is none, or it is a path that cannot be read.
    """
    data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (cell, None)
    if data is not None:
        return bytes(data)
    if path is None:
        raise InputError(f"{where}: there is no file in this row.")
    if base is None and not Path(path).is_absolute():
        raise InputError(f"{where}: the file {quoted(path)} itself is not in the data, only its name.")
    target = regular((base or Path()) / path)
    try:
        return target.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {target}: {reason(error)}.") from error


def sniffed(data: bytes) -> str | None:
    """The modality of an encoded file, told by how it begins; None if it is of no known kind."""
    if data[:4] == b"RIFF":
        return {b"WAVE": "audio", b"WEBP": "image", b"AVI ": "video"}.get(data[8:12])
    if data[4:8] == b"ftyp":  # ISO base media: films, and pictures under brands of their own
        return "image" if data[8:12] in (b"avif", b"avis") else "video"
    if data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE0 == 0xE0:  # an MPEG frame of sound
        return "audio"
    return next((kind for kind, begins in _BEGIN.items() if data.startswith(begins)), None)


_BEGIN = {
    "image": (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P3", b"P5", b"P6"),
    "audio": (b"fLaC", b"OggS", b"ID3", b"FORM"),
    "video": (b"\x1aE\xdf\xa3",),
}
