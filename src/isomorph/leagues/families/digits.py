"""Small convolutional networks on scikit-learn's digits, made different in every way that a criterion asks of."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from ._pictures import Pictures
from ._recipes import CONVOLUTIONAL
from ._trained import Trained
from ._training import Task

ITEMS = 400
"""Images that no network is trained on, on which all are compared."""
SIDE = 8


@dataclasses.dataclass(frozen=True)
class Digits(Trained):
    """Convolutional networks on scikit-learn's digits, with label noise, shortcuts, augmentation and several widths.

    Four convolutions, a dense layer of 64 units and a head, trained by Adam on 1,397 images and compared on the 400
    others. Ten plain networks (all layers kept), `seeds` each with a quarter to all labels at random, with marks in the
    image that tell the label of none to all of the images, and with augmentation of four strengths; three each of other
    widths; five that are kept at seven moments of their training. Networks with marks are trained on pale, noisy images
    with a white patch, whose place tells the label or lies; they see the 400 images with a patch at random, and say as
    attribute ``follows_mark`` in which share of those whose patch lies they answer as it tells (by chance: .1).
    Trained once, then kept in Isomorph's cache folder, one file a network, so that it can be interrupted.

    Attributes:
        seeds: Networks of each kind.
        epochs: Passes over the images.
    """

    name: ClassVar[str] = "digits"
    reference: ClassVar[str] = (
        "Images: scikit-learn's digits (UCI Optical Recognition of Handwritten Digits, 1,797 of 8×8); design of the "
        "kinds after ReSi (Klabunde et al. 2025)."
    )
    plain: ClassVar[int] = 10
    runs: ClassVar[int] = 5
    others: ClassVar[tuple[tuple[str, int], ...]] = tuple((CONVOLUTIONAL, width) for width in (4, 8, 32))

    seeds: int = 5
    epochs: int = 20

    def task(self) -> Pictures:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(x))
        x, y = (x[order] / 16).astype(np.float32).reshape(-1, 1, SIDE, SIDE), y[order].astype(np.int64)
        return Pictures(x[ITEMS:], y[ITEMS:], x[:ITEMS], y[:ITEMS])

    def key(self, task: Task) -> list[str]:
        return []  # the images are always these; networks that were kept before names held their items are still read
