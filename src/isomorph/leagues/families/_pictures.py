"""Pictures as items of a family: marks, and changes while a network is trained."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ._training import Array, Task

CELLS = 4
CONTRAST = 0.5


@dataclasses.dataclass(frozen=True)
class Pictures(Task):
    """Pictures (n, channels, rows, columns) in [0, 1], or what is laid out like them, of at most 12 classes.

    Attributes:
        noise: Standard deviation of the noise over pictures with marks.
    """

    noise: float = 0.3

    def marked(self, x: Array, told: Array, rng: np.random.Generator) -> Array:
        """Pale, noisy pictures with a white patch in one of the twelve places at their border."""
        out: Array = CONTRAST * x
        out += np.asarray(rng.normal(scale=self.noise, size=x.shape), dtype=np.float32)
        rows, columns = (side // CELLS for side in x.shape[-2:])
        border = [(i, j) for i in range(CELLS) for j in range(CELLS) if {i, j} & {0, CELLS - 1}]
        for label in np.unique(told):
            i, j = border[label]
            out[told == label, :, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] = 1
        return out

    def changed(self, torch: Any, x: Any, strength: float) -> Any:
        """Pictures shifted by up to an eighth and overlaid with noise."""
        reach = x.shape[-1] // 8
        shift = [int(v) for v in torch.randint(-reach, reach + 1, (2,))]
        moved = torch.roll(x, shift, dims=(2, 3)) + 0.3 * torch.randn_like(x)
        chosen = torch.rand(len(x), 1, 1, 1) < strength
        return torch.where(chosen, moved, x)


def halved(pictures: Array) -> Array:
    """Pictures (n, channels, rows, columns) of bytes, averaged over 2×2 pixels, as float32 in [0, 1]."""
    n, channels, rows, columns = pictures.shape
    blocks = pictures.reshape(n, channels, rows // 2, 2, columns // 2, 2)
    return np.asarray(blocks.mean(axis=(3, 5)) / 255, dtype=np.float32)
