"""The evaluation transforms of timm and open_clip, done with PIL alone: no torchvision runs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..errors import InputError
from ._inputs import RESAMPLING, ImagePreprocessing

MODES = ("center", "squash", "border")


@dataclasses.dataclass(frozen=True)
class EvalTransform(ImagePreprocessing):
    """Resize, cut or fill up to the size that the network takes, scale and normalise.

    It differs from `ImagePreprocessing` where torchvision does: in which pixel a crop begins whose margin is odd, in
    networks whose input is no square, and in the mode that keeps the whole image and fills the rest.

    Attributes:
        height: Of what the network takes.
        width: Of what the network takes.
        mode: ``"center"`` resizes the shorter edge to its part of `scaled` and cuts; ``"squash"`` resizes both edges to
            `scaled` and cuts; ``"border"`` resizes the longer edge to its part of `scaled` and fills with `fill`.
        scaled: Height and width that are resized to.
        fill: Colour of the border.
    """

    height: int = 224
    width: int = 224
    mode: str = "center"
    scaled: tuple[int, int] = (224, 224)
    fill: tuple[int, int, int] = (0, 0, 0)

    def _one(self, image: Any, position: int) -> np.ndarray[Any, Any]:
        target = self._target(*image.size)
        if target != image.size:
            image = image.resize(target, RESAMPLING.index(self.resample))
        image = self._fit(image)
        x = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) * np.float32(self.scale)
        mean, std = (np.asarray(v, dtype=np.float32)[:, None, None] for v in (self.mean, self.std))
        return np.ascontiguousarray((x - mean) / std)

    def _target(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after resizing."""
        high, wide = self.scaled
        if self.mode == "squash":
            return wide, high
        if self.mode == "center" and high == wide:  # torchvision's Resize: the longer edge is rounded down
            short, long = sorted((width, height))
            other = int(high * long / short)
            return (high, other) if width <= height else (other, high)
        ratios = (height / high, width / wide)
        ratio = max(ratios) if self.mode == "border" else min(ratios)
        return max(1, round(width / ratio)), max(1, round(height / ratio))

    def _fit(self, image: Any) -> Any:
        """Cut the middle out, or lay the image into the middle of a border, each axis by itself."""
        from PIL import Image

        width, height = image.size
        left, top = max(0, self.width - width) // 2, max(0, self.height - height) // 2
        if self.width > width or self.height > height:
            paper = Image.new("RGB", (max(self.width, width), max(self.height, height)), self.fill)
            paper.paste(image, (left, top))
            image = paper
        width, height = image.size
        # torchvision rounds half a pixel to the even one
        x, y = round((width - self.width) / 2), round((height - self.height) / 2)
        return image.crop((x, y, x + self.width, y + self.height))

    @property
    def facts(self) -> dict[str, Any]:
        facts = super().facts
        for unused in ("size", "crop", "keep_aspect"):
            facts.pop(unused)
        return facts | {"kind": "image", "transform": "eval", "scaled": list(self.scaled), "fill": list(self.fill)}


def timm_transform(config: dict[str, Any]) -> EvalTransform:
    """The transform that timm's resolved data configuration describes.

    Raises:
        InputError: if the network does not take colour images, or the configuration names an unknown way.
    """
    channels, height, width = (int(n) for n in config["input_size"])
    mean, std = tuple(config["mean"]), tuple(config["std"])
    if channels != 3 or len(mean) != 3:
        raise InputError(f"The network takes images of {channels} channels; those of 3 (colour) can be encoded.")
    mode = config.get("crop_mode") or "center"
    share = config.get("crop_pct") or 0.875
    scaled = (math.floor(height / share), math.floor(width / share))
    return EvalTransform(
        height=height,
        width=width,
        mode=_known("crop_mode", mode, MODES),
        scaled=scaled,
        fill=_color([round(255 * v) for v in mean]),
        resample=_known("interpolation", config.get("interpolation") or "bilinear", RESAMPLING),
        mean=mean,
        std=std,
    )


def open_clip_transform(config: dict[str, Any]) -> EvalTransform:
    """The transform that open_clip's preprocessing configuration describes.

    Raises:
        InputError: if the configuration names an unknown way.
    """
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else (int(n) for n in size)
    modes = {"shortest": "center", "squash": "squash", "longest": "border"}
    mode = _known("resize_mode", config.get("resize_mode") or "shortest", modes)
    resample = config.get("interpolation") or "bicubic"
    if resample == "random" or (modes[mode] == "center" and height != width):
        resample = "bicubic"  # as open_clip does, whatever else its configuration names
    fill = config.get("fill_color") or 0
    return EvalTransform(
        height=height,
        width=width,
        mode=modes[mode],
        scaled=(height, width),
        fill=_color([fill] * 3 if isinstance(fill, int) else fill),
        resample=_known("interpolation", resample, ("bicubic", "bilinear")),
        mean=_three(config["mean"]),
        std=_three(config["std"]),
    )


def _three(values: Any) -> tuple[float, ...]:
    return tuple(values) if isinstance(values, (list, tuple)) else (values,) * 3


def _color(values: Any) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in values)
    return red, green, blue


def _known(what: str, value: str, known: Any) -> str:
    if value not in known:
        raise InputError(f"The preprocessing configuration has {what}={value!r}; {', '.join(known)} are understood.")
    return value
