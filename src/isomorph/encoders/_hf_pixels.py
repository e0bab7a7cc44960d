"""Pixels as image processors make them that exist for torchvision only, without torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ._inputs import IMAGENET_MEAN, IMAGENET_STD


class OwnPixels:
    """What a preprocessor_config.json says, for processors that exist for torchvision only, and for videos.

    The steps are torchvision's: rescaling and resizing of floats, with antialiasing, in the order that the class of the
    processor has.

    Raises:
        InputError: if the file asks for a size that is not known here.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        size = facts.get("size") or {"height": 224, "width": 224}
        crop = facts.get("crop_size") if facts.get("do_center_crop") else None
        self._size = {"height": size, "width": size} if isinstance(size, int) else size
        self._crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
        if not ({"height", "width"} <= set(self._size) or "shortest_edge" in self._size):
            raise InputError(f"The image processor asks for size={size}, which cannot be done without torchvision.")
        self._mode = {0: "nearest", 2: "bilinear", 3: "bicubic"}.get(facts.get("resample", 2))
        if self._mode is None:
            raise InputError(f"The image processor asks for resample={facts['resample']}, which needs torchvision.")

    def __call__(self, images: Sequence[Any], **_: Any) -> dict[str, Any]:
        """Pixels (b, 3, h, w)."""
        import torch

        return {"pixel_values": torch.stack([self._one(np.asarray(image)) for image in images])}

    def _one(self, image: Any) -> Any:
        import torch

        first = "DINOv3" in str(self._facts.get("image_processor_type"))  # it rescales before it resizes
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)
        x = self._rescaled(x.float()) if first else x
        if self._facts.get("do_resize", True):
            x = self._resized(x)
        if self._crop:
            top, left = ((n - self._crop[k]) // 2 for n, k in zip(x.shape[1:], ("height", "width"), strict=True))
            if min(top, left) < 0:
                raise InputError(f"An image of {x.shape[1]} × {x.shape[2]} is smaller than the crop {self._crop}.")
            x = x[:, top : top + self._crop["height"], left : left + self._crop["width"]]
        x = x if first else self._rescaled(x.float())
        if self._facts.get("do_normalize", True):
            mean, std = (
                torch.tensor(self._facts.get(k) or default)[:, None, None]
                for k, default in (("image_mean", IMAGENET_MEAN), ("image_std", IMAGENET_STD))
            )
            x = (x - mean) / std
        return x

    def _rescaled(self, x: Any) -> Any:
        return x * float(self._facts.get("rescale_factor", 1 / 255)) if self._facts.get("do_rescale", True) else x

    def _resized(self, x: Any) -> Any:
        import torch

        height, width = x.shape[1:]
        if "shortest_edge" in self._size:
            edge = self._size["shortest_edge"]
            short, long = min(height, width), max(height, width)
            other = int(edge * long / short)
            target = (edge, other) if height <= width else (other, edge)
        else:
            target = (self._size["height"], self._size["width"])
        options = {} if self._mode == "nearest" else {"antialias": True, "align_corners": False}
        return torch.nn.functional.interpolate(x[None], size=target, mode=str(self._mode), **options)[0]

    def to_dict(self) -> dict[str, Any]:
        """What determines the pixels."""
        return {"own": 1, **self._facts}
