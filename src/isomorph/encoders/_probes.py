"""What encoders are probed with, and what is said of one that fails."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import InputError

PROBED = ("text", "image", "audio", "video")
"""Modalities that have probes."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One property that an encoder was found not to have.

    Attributes:
        kind: ``"random"``, ``"state"``, ``"padding"``, ``"batch"``, ``"alike"``, ``"constant"``, ``"width"``,
            ``"prefix"`` or ``"run"``.
        layer: The first layer that shows it.
        text: What was seen.
        way_out: What to do.
    """

    kind: str
    layer: str
    text: str
    way_out: str


def probes_of(modality: str) -> list[Any]:
    """A few items of a modality: short and long texts, images of unlike shape, clips of unlike length, two alike.

    Raises:
        InputError: if there are none for that modality.
    """
    rng = np.random.default_rng(20251124)
    if modality == "text":
        return [
            "a small red cat",
            "home",
            "the dog runs home now and sleeps on a mat",
            "the dog sat on",
            "blue birds sing here",
        ]
    if modality == "image":
        shapes = [(224, 224), (224, 224), (150, 260), (260, 150)]
        return [rng.integers(0, 256, (*s, 3), dtype=np.uint8) for s in shapes]
    if modality == "video":
        return [rng.integers(0, 256, (16, 64, 64, 3), dtype=np.uint8) for _ in range(3)]
    if modality == "audio":
        return [
            SimpleNamespace(samples=(0.1 * rng.standard_normal(n)).astype(np.float32), rate=16000)
            for n in (16000, 9600, 16000)
        ]
    raise InputError(f"There are no probes for items of modality {modality!r}; give some by probes=[…].")
