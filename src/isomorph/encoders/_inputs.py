"""From items to what networks eat: images with PIL alone, recordings at the model's rate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from .._core.parallel import PICTURE, on_threads
from ..errors import InputError, MissingExtraError

R = TypeVar("R")

RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # in PIL's own numbering
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class ImagePreprocessing:
    """Resize, crop, scale and normalise, in this order; resizing is done by PIL, with antialiasing, on 8-bit values.

    Attributes:
        size: The shorter edge after resizing if `keep_aspect`, else both edges.
        crop: Edge of the central square that is cut out, or None for no cropping.
        keep_aspect: Whether the shape of the image is kept when it is resized.
        resample: PIL's filter, one of `RESAMPLING`.
        scale: Factor on the 8-bit values.
        mean: Subtracted from each scaled channel.
        std: Each channel is divided by it then.
    """

    size: int | None = 224
    crop: int | None = 224
    keep_aspect: bool = True
    resample: str = "bicubic"
    scale: float = 1 / 255
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __call__(self, items: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Float32 array (b, 3, h, w).

        Raises:
            InputError: if an item is no image, is smaller than the crop, or sizes differ where nothing resizes them.
        """
        arrays = each_picture(self._one, items)
        if len({a.shape for a in arrays}) > 1:
            raise InputError("Images of unlike size cannot share a batch; set size= so that they are resized.")
        return np.stack(arrays)

    def _one(self, image: Any, position: int) -> np.ndarray[Any, Any]:
        if self.size is not None:
            width, height = image.size
            if self.keep_aspect:
                # as transformers and torchvision: the longer edge is rounded down
                short, long = sorted((width, height))
                other = int(self.size * long / short)
                target = (self.size, other) if width <= height else (other, self.size)
            else:
                target = (self.size, self.size)
            image = image.resize(target, RESAMPLING.index(self.resample))
        if self.crop is not None:
            width, height = image.size
            if min(width, height) < self.crop:
                raise InputError(
                    f"Item {position} of the batch is {width} × {height}, smaller than the crop of {self.crop}."
                )
            left, top = (width - self.crop) // 2, (height - self.crop) // 2
            image = image.crop((left, top, left + self.crop, top + self.crop))
        x = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) * np.float32(self.scale)
        mean, std = (np.asarray(v, dtype=np.float32)[:, None, None] for v in (self.mean, self.std))
        return np.ascontiguousarray((x - mean) / std)

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able description, part of an encoder's identity."""
        return {
            "kind": "image",
            "version": 1,
            **dataclasses.asdict(self),
            "mean": list(self.mean),
            "std": list(self.std),
        }


def as_pil(item: Any, position: int) -> Any:
    """An RGB PIL image; transparency is laid over white.

    Raises:
        InputError: if the item is no image; `position` names it.
        MissingExtraError: if Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Reading images", "Pillow", "models") from error
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3 or 0 in item.shape:
            raise InputError(
                f"Item {position} of the batch is an array of shape {item.shape} and type {item.dtype}; "
                "an image is uint8 of shape (h, w, 3)."
            )
        return Image.fromarray(np.ascontiguousarray(item))
    if not isinstance(item, Image.Image):
        raise InputError(f"Item {position} of the batch is of type {type(item).__name__}; an image is needed here.")
    try:
        if item.mode in ("RGBA", "LA", "PA") or "transparency" in item.info:
            rgba = item.convert("RGBA")
            paper = Image.new("RGBA", rgba.size, "white")
            return Image.alpha_composite(paper, rgba).convert("RGB")
        return item.convert("RGB")
    except OSError as error:
        raise InputError(f"Item {position} of the batch is an unreadable image: {error}.") from error


def each_picture(prepare: Callable[[Any, int], R], batch: Sequence[Any]) -> list[R]:
    """What one network takes of each picture of a batch, several at once where this process may use several threads.

    Args:
        prepare: Called with a PIL image and its place in the batch; PIL and NumPy let others run while they compute.
        batch: Pictures.

    Raises:
        InputError: if an item is no image, or `prepare` refuses one.
    """

    def one(position: int) -> R:
        return prepare(as_pil(batch[position], position), position)

    return on_threads(one, range(len(batch)), PICTURE * len(batch))


def as_text(item: Any, position: int) -> str:
    """The text itself.

    Raises:
        InputError: if it is no text or empty.
    """
    if not isinstance(item, str):
        raise InputError(f"Item {position} of the batch is of type {type(item).__name__}; a text is needed here.")
    try:
        item.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"Item {position} of the batch is no valid text: {error}. Repair it or leave it out."
        ) from error
    if not item.strip():
        raise InputError(f"Item {position} of the batch is an empty text; it has no features. Leave it out.")
    return item


def as_samples(item: Any, position: int, rate: int) -> np.ndarray[Any, Any]:
    """Float32 samples at `rate`; other rates are resampled by a polyphase filter (scipy.signal.resample_poly).

    Raises:
        InputError: if it is no mono recording, empty or not finite.
    """
    samples, own = getattr(item, "samples", None), getattr(item, "rate", None)
    if samples is None or own is None:
        raise InputError(
            f"Item {position} of the batch is of type {type(item).__name__}; a recording is needed here "
            "(isomorph.datasets.Audio)."
        )
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all():
        what = (
            "holds no samples" if not x.size else f"has shape {x.shape}" if x.ndim != 1 else "holds non-finite samples"
        )
        raise InputError(f"Item {position} of the batch {what}; a recording is a 1-D array of finite samples.")
    if int(own) != rate:
        from scipy.signal import resample_poly

        common = math.gcd(int(own), rate)
        x = resample_poly(x, rate // common, int(own) // common)
    return x.astype(np.float32)
