"""Small networks on Zalando's pictures of clothes."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..._core import packages as _packages
from ..._core.packages import Package
from ._pictures import Pictures, halved
from ._trained import Trained
from ._training import Array

PACKAGE = Package(
    "dataset-fashion-mnist",
    "0.0~git20200523.55506a9-1",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    "MIT",
    client="apt",
)
TRAIN, ITEMS = 4000, 400
_HOME = "usr/share/datasets/fashion-mnist/"


@dataclasses.dataclass(frozen=True)
class Fashion(Trained):
    """Convolutional, recurrent and attention networks on Fashion-MNIST: ten kinds of clothes, 14×14.

    As `digits`, but harder, with more architectures and fewer seeds: trained on 4,000 of the 60,000 pictures, each
    averaged over 2×2 pixels, and compared on 400 of the test set. Five plain networks (all layers kept), `seeds` each
    with label noise, marks and augmentation, three each of two widths, of recurrent units and of self-attention over
    columns, three that are kept at seven moments of their training. The pictures are those of Debian's package, fetched
    once with ``apt-get download`` (31 MB), pinned by hash and never installed.

    Attributes:
        seeds: Networks of each kind.
        epochs: Passes over the pictures.
    """

    name: ClassVar[str] = "fashion"
    reference: ClassVar[str] = (
        "Images: Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, MIT), Debian's package dataset-fashion-mnist; design of "
        "the kinds after ReSi (Klabunde et al. 2025)."
    )

    seeds: int = 3
    epochs: int = 6

    def task(self) -> Pictures:
        home = _packages.unpacked(PACKAGE, (_HOME,)) / _HOME
        x, y = _part(home, "train", TRAIN)
        held, y_held = _part(home, "t10k", ITEMS)
        return Pictures(x, y, held, y_held)


def _part(home: Path, part: str, count: int) -> tuple[Array, Array]:
    """The first pictures (n, 1, 14, 14) of a part and their classes."""
    pictures = _bytes(home / f"{part}-images-idx3-ubyte.gz", 16, count * 28 * 28)
    labels = _bytes(home / f"{part}-labels-idx1-ubyte.gz", 8, count)
    return halved(pictures.reshape(count, 1, 28, 28)), labels.astype(np.int64)


def _bytes(path: Path, header: int, count: int) -> Array:
    """The first bytes of a compressed file after its header."""
    with gzip.open(path) as file:
        return np.frombuffer(file.read(header + count), np.uint8, offset=header)
