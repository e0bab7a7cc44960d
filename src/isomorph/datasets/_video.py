"""Films and animations as frames, evenly spaced over their length."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError
from ._media import MAX_PIXELS

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")


def read_video(source: Any, frames: int = 16, name: str = "the film") -> np.ndarray[Any, Any]:
    """Frames of a film as uint8 RGB of shape (frames, h, w, 3), evenly spaced from the first to the last.

    Args:
        source: A film; an animated GIF or WEBP; or a ``.npy`` file of uint8 frames (n, h, w, 3). A path, told by its
            ending, or the bytes of such a file, told by how they begin.
        frames: How many are taken; of a shorter film some are taken twice.
        name: What to call it in messages when bytes are given.

    Raises:
        InputError: if it cannot be read, holds no frames, or so many frames are too large.
        MissingExtraError: if the package that reads it is not installed.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        where, kind = name, _kind(bytes(source[:12]))
    else:
        source = Path(source)
        where, kind = str(source), source.suffix.lower()
        if not source.is_file():
            raise InputError(f"Cannot read {where} as a video: there is no such file.")
    readers = {".npy": _stack, ".gif": _animation, ".webp": _animation}
    read = readers.get(kind, _film)
    try:
        found = read(source, frames, where)
    except (InputError, MissingExtraError):
        raise
    except Exception as error:  # decoders raise whatever a damaged file makes them trip over
        raise InputError(f"Cannot read {where} as a video: {error}. Repair or leave it out.") from error
    return np.ascontiguousarray(found)


def _kind(head: bytes) -> str:
    """The ending that the beginning of a file stands for; empty for films."""
    if head.startswith(b"GIF8"):
        return ".gif"
    if head.startswith(b"\x93NUMPY"):
        return ".npy"
    return ".webp" if head[:4] == b"RIFF" and head[8:] == b"WEBP" else ""


def _opened(source: Any) -> Any:
    """What a reader is given: a path, or a file in memory."""
    return source if isinstance(source, Path) else io.BytesIO(source)


def _places(n: int, frames: int, where: str) -> np.ndarray[Any, Any]:
    if n < 1:
        raise InputError(f"Cannot read {where} as a video: it holds no frames.")
    return np.linspace(0, n - 1, frames).round().astype(int)


def _bounded(frames: int, height: int, width: int, where: str) -> None:
    if frames * height * width > MAX_PIXELS:
        raise InputError(
            f"The video {where} is too large: {frames} frames of {height} × {width}, and at most {MAX_PIXELS:,} pixels "
            "are read in all. Scale it down first, or take fewer frames."
        )


def _stack(source: Any, frames: int, where: str) -> Any:
    lazily = "r" if isinstance(source, Path) else None
    stack = np.load(_opened(source), mmap_mode=lazily, allow_pickle=False)  # type: ignore[arg-type]  # None is allowed
    if stack.ndim != 4 or stack.dtype != np.uint8 or stack.shape[-1] != 3:
        raise InputError(f"{where} holds {stack.dtype} of shape {stack.shape}; a video is uint8 of shape (n, h, w, 3).")
    _bounded(frames, stack.shape[1], stack.shape[2], where)
    return stack[_places(len(stack), frames, where)]


def _animation(source: Any, frames: int, where: str) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Reading animations", "Pillow", "data") from error
    with Image.open(_opened(source), formats=("GIF", "WEBP")) as image:
        _bounded(frames, image.height, image.width, where)
        chosen = []
        for place in _places(getattr(image, "n_frames", 1), frames, where):
            image.seek(int(place))
            chosen.append(np.asarray(image.convert("RGB")))
    return np.stack(chosen)


def _film(source: Any, frames: int, where: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("Reading films", "av", "video") from error

    def opened() -> Any:
        return av.open(str(source) if isinstance(source, Path) else io.BytesIO(source))

    with opened() as film:
        stream = film.streams.video[0]
        _bounded(frames, stream.height, stream.width, where)
        n = sum(1 for _ in film.decode(stream))  # what the head says is often wrong
    places = _places(n, frames, where)
    wanted = set(places.tolist())
    with opened() as film:
        found = {i: f.to_ndarray(format="rgb24") for i, f in enumerate(film.decode(video=0)) if i in wanted}
    return np.stack([found[i] for i in places.tolist()])
