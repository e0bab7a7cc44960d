"""Leading principal coordinates of a space: few numbers an item, whatever the width and scale of its features."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .._core.shared_space import Scaled, eigenbasis

Matrix = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
    """What takes the rows of a space to its leading principal coordinates.

    Attributes:
        scaling: Of the space.
        axes: What takes scaled rows to coordinates (d, r).
    """

    scaling: Scaled
    axes: Matrix

    @classmethod
    def of(cls, rows: Matrix, name: str, most: int, *, whitened: bool) -> Coordinates:
        """The coordinates that the rows fitted on ask for.

        Args:
            rows: Features (n, d).
            name: The space's name, for messages.
            most: The most coordinates that are kept.
            whitened: Whether each coordinate has variance 1; else they have it on average, and keep their proportions.

        Raises:
            InputError: if the rows do not vary.
        """
        scaling, scaled = Scaled.of(rows, name)
        basis, back = eigenbasis([scaled])
        size = np.sqrt(np.mean(basis[:, -most:] ** 2, axis=0))  # the leading ones come last
        return cls(scaling, back[:, -most:] / (size if whitened else np.sqrt(np.mean(size**2))))

    def __call__(self, rows: Matrix) -> Matrix:
        """Coordinates (m, r) of rows (m, d)."""
        found: Matrix = self.scaling(rows) @ self.axes
        return found
