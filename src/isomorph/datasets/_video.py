"""Films and animations as frames, evenly spaced over their length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError
from ._media import MAX_PIXELS

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")


def read_video(path: Any, frames: int = 16) -> np.ndarray[Any, Any]:
    """Frames of a film as uint8 RGB of shape (frames, h, w, 3), evenly spaced from the first to the last.

    Args:
        path: A film; an animated GIF or WEBP; or a ``.npy`` file of uint8 frames (n, h, w, 3).
        frames: How many are taken; of a shorter film some are taken twice.

    Raises:
        InputError: if it cannot be read, holds no frames, or so many frames are too large.
        MissingExtraError: if the package that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Cannot read {path} as a video: there is no such file.")
    readers = {".npy": _stack, ".gif": _animation, ".webp": _animation}
    read = readers.get(path.suffix.lower(), _film)
    try:
        found = read(path, frames)
    except (InputError, MissingExtraError):
        raise
    except Exception as error:  # decoders raise whatever a damaged file makes them trip over
        raise InputError(f"Cannot read {path} as a video: {error}. Repair or leave it out.") from error
    return np.ascontiguousarray(found)


def _places(n: int, frames: int, path: Path) -> np.ndarray[Any, Any]:
    if n < 1:
        raise InputError(f"Cannot read {path} as a video: it holds no frames.")
    return np.linspace(0, n - 1, frames).round().astype(int)


def _bounded(frames: int, height: int, width: int, path: Path) -> None:
    if frames * height * width > MAX_PIXELS:
        raise InputError(
            f"The video {path} is too large: {frames} frames of {height} × {width}, and at most {MAX_PIXELS:,} pixels "
            "are read in all. Scale it down first, or take fewer frames."
        )


def _stack(path: Path, frames: int) -> Any:
    stack = np.load(path, mmap_mode="r", allow_pickle=False)
    if stack.ndim != 4 or stack.dtype != np.uint8 or stack.shape[-1] != 3:
        raise InputError(f"{path} holds {stack.dtype} of shape {stack.shape}; a video is uint8 of shape (n, h, w, 3).")
    _bounded(frames, stack.shape[1], stack.shape[2], path)
    return stack[_places(len(stack), frames, path)]


def _animation(path: Path, frames: int) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Reading animations", "Pillow", "data") from error
    with Image.open(path, formats=("GIF", "WEBP")) as image:
        _bounded(frames, image.height, image.width, path)
        chosen = []
        for place in _places(getattr(image, "n_frames", 1), frames, path):
            image.seek(int(place))
            chosen.append(np.asarray(image.convert("RGB")))
    return np.stack(chosen)


def _film(path: Path, frames: int) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("Reading films", "av", "video") from error
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        _bounded(frames, stream.height, stream.width, path)
        n = sum(1 for _ in film.decode(stream))  # what the head says is often wrong
    places = _places(n, frames, path)
    wanted = set(places.tolist())
    with av.open(str(path)) as film:
        found = {i: f.to_ndarray(format="rgb24") for i, f in enumerate(film.decode(video=0)) if i in wanted}
    return np.stack([found[i] for i in places.tolist()])
