"""Views of items, read lazily: texts, images, recordings, films or feature rows."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._core.files import regular
from ..errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class Audio:
    """A mono recording.

    Attributes:
        samples: float32 array (n_samples,) in [-1, 1].
        rate: Samples per second.

    Example:
        >>> import numpy as np
        >>> from isomorph.datasets import Audio
        >>> tone = Audio(np.sin(np.arange(1600, dtype=np.float32) / 10), rate=16_000)
        >>> len(tone.samples) / tone.rate  # seconds
        0.1
    """

    samples: np.ndarray[Any, Any]
    rate: int


class View(Sequence[Any], ABC):
    """One view of all items, read lazily: texts, images, recordings or feature rows.

    Example:
        >>> view = as_view(["a cat", "a dog", "a cow"])
        >>> view.modality, len(view), view[0]
        ('text', 3, 'a cat')
        >>> view.digest(0) == view.take([0]).digest(0)  # of the content alone
        True
    """

    @property
    @abstractmethod
    def modality(self) -> str:
        """``"text"``, ``"image"``, ``"audio"``, ``"video"`` or ``"features"``; ``"image+text"`` of two together."""

    @abstractmethod
    def digest(self, index: int) -> bytes:
        """Hash of one item's content, independent of where it is kept."""

    @abstractmethod
    def take(self, indices: Sequence[int]) -> View:
        """The same view of some items, in the given order."""


@dataclasses.dataclass(frozen=True, eq=False)
class MemoryView(View):
    """A view whose items are at hand.

    Attributes:
        items: Texts, images as uint8 arrays (h, w, 3), `Audio`, or rows of features (an array of them is kept as one).
        kind: The modality.

    Example:
        >>> view = MemoryView(["a cat", "a dog", "a cow"], "text")
        >>> view.take([2, 0])[0], len(view)
        ('a cow', 3)
    """

    items: Sequence[Any] | np.ndarray[Any, Any]
    kind: str

    @property
    def modality(self) -> str:
        return self.kind

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def digest(self, index: int) -> bytes:
        return content_digest(self.items[index])

    def take(self, indices: Sequence[int]) -> MemoryView:
        if isinstance(self.items, np.ndarray):
            return MemoryView(self.items[np.asarray(indices, dtype=np.intp)], self.kind)
        return MemoryView([self.items[i] for i in indices], self.kind)


@dataclasses.dataclass(frozen=True)
class JoinedView(View):
    """Several views of the same items together; an item is a tuple.

    Attributes:
        parts: The views.
    """

    parts: tuple[View, ...]

    @property
    def modality(self) -> str:
        return "+".join(part.modality for part in self.parts)

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return tuple(part[index] for part in self.parts)

    def digest(self, index: int) -> bytes:
        return hashlib.sha256(b"".join(part.digest(index) for part in self.parts)).digest()

    def take(self, indices: Sequence[int]) -> JoinedView:
        return JoinedView(tuple(part.take(indices) for part in self.parts))


@dataclasses.dataclass(frozen=True)
class FileView(View):
    """A view that reads one file an item, when it is asked for.

    Attributes:
        paths: One path an item.
        kind: The modality.
        read: Turns a path into the item; raises `InputError` naming an unreadable file.
        ids: What the items are called in such an error.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("cat.txt").write_text("a cat")
        >>> view = FileView(["cat.txt"], "text", lambda path: Path(path).read_text())  # read when it is asked for
        >>> view[0], view.modality
        ('a cat', 'text')
    """

    paths: Sequence[Any]
    kind: str
    read: Callable[[Any], Any]
    ids: Sequence[str] | None = None

    @property
    def modality(self) -> str:
        return self.kind

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._item(i) for i in range(*index.indices(len(self)))]
        return self._item(index)

    def _item(self, index: int) -> Any:
        path = self.paths[index]
        try:
            return self.read(path)
        except InputError as error:
            if self.ids is None:
                raise
            raise InputError(f"Item {self.ids[index]!r}: {error}") from error

    def digest(self, index: int) -> bytes:
        try:
            with open(regular(self.paths[index]), "rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise InputError(f"Cannot read {self.paths[index]}: {error.strerror or error}.") from error

    def take(self, indices: Sequence[int]) -> FileView:
        ids = None if self.ids is None else [self.ids[i] for i in indices]
        return FileView([self.paths[i] for i in indices], self.kind, self.read, ids)


def as_view(values: Sequence[Any], name: str = "view") -> View:
    """Wrap a plain sequence, telling its modality from its first item.

    Raises:
        InputError: if the items are of no known kind, or differ in kind.

    Example:
        >>> as_view(["a cat", "a dog"]).modality, as_view(np.eye(3)).modality
        ('text', 'features')
        >>> as_view([np.zeros((4, 4, 3), dtype=np.uint8)]).modality
        'image'
    """
    values = list(values) if not isinstance(values, np.ndarray) else values
    kinds = {_kind(v) for v in values}
    if len(kinds) != 1 or None in kinds:
        found = sorted({type(v).__name__ for v in values})
        raise InputError(
            f"View {name!r} holds {', '.join(found) or 'nothing'}; its items must all be texts (str), images (uint8 "
            "arrays (h, w, 3) or PIL images), videos (uint8 arrays (frames, h, w, 3)), recordings "
            "(isomorph.datasets.Audio) or feature rows (1-D arrays)."
        )
    return MemoryView(values, str(kinds.pop()))


def content_digest(item: Any) -> bytes:
    """Hash of a text, image, recording or feature row."""
    if isinstance(item, str):
        return hashlib.sha256(b"t" + item.encode("utf-8", "surrogatepass")).digest()
    if isinstance(item, Audio):
        return hashlib.sha256(b"a" + str(item.rate).encode() + np.ascontiguousarray(item.samples).tobytes()).digest()
    array = np.ascontiguousarray(item)
    return hashlib.sha256(repr((array.shape, array.dtype.str)).encode() + array.tobytes()).digest()


def _kind(item: Any) -> str | None:
    if isinstance(item, str):
        return "text"
    if isinstance(item, Audio):
        return "audio"
    if hasattr(item, "convert") and hasattr(item, "size"):
        return "image"
    shape, dtype = getattr(item, "shape", None), getattr(item, "dtype", None)
    if shape is not None and len(shape) == 3 and dtype == np.uint8:
        return "image"
    if shape is not None and len(shape) == 4 and dtype == np.uint8:
        return "video"
    if shape is not None and len(shape) == 1:
        return "features"
    return None


def pixels(image: Any) -> np.ndarray[Any, Any]:
    """A picture, an array or one of PIL, as uint8 RGB (h, w, 3)."""
    return np.asarray(image.convert("RGB") if hasattr(image, "convert") else image, dtype=np.uint8)
