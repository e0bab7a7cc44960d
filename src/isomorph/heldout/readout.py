"""Linear readouts: what can be read from a space by ridge regression, its penalty chosen by exact leave-one-out.

Few outcomes (classes) on many items: every penalty costs one product with the outcomes, nothing of size n x n.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.linalg import require_variation, thin_svd

Matrix = np.ndarray[Any, Any]
PENALTIES = tuple(10.0**e for e in range(-7, 2))
"""In shares of the total variance of the features, as for the map `ridge`."""
CARRIED = (1e-2,)
"""The same for a readout that will be used on rows mapped from elsewhere.

Leave-one-out at home would take a smaller one and lean on directions of tiny variance, which no map carries over: on
relative representations of networks trained apart such a probe keeps its accuracy at home and loses it across.
"""


@dataclasses.dataclass(frozen=True)
class Readout:
    """A fitted readout ``x -> (x - x_mean) coef + y_mean``."""

    x_mean: Matrix
    y_mean: Matrix
    coef: Matrix
    penalty: float

    def __call__(self, rows: Matrix) -> Matrix:
        """Predicted outcomes (n, outcomes)."""
        out: Matrix = (rows - self.x_mean) @ self.coef + self.y_mean
        return out


def readout(rows: Matrix, outcomes: Matrix, penalties: Sequence[float] = PENALTIES) -> Readout:
    """Fit outcomes (n, k) from rows (n, d) by ridge; of the penalties the one with the least leave-one-out error.

    Raises:
        InputError: if the rows do not vary.
    """
    x_mean, y_mean = rows.mean(axis=0), outcomes.mean(axis=0)
    centred, y = rows - x_mean, outcomes - y_mean
    require_variation(rows, centred)
    u, s, vt = thin_svd(centred)
    projected = u.T @ y
    rest = y - u @ projected
    own = np.maximum(1 - 1 / len(rows) - np.sum(u * u, axis=1), 0.0)
    best: tuple[float, float] | None = None
    for share in penalties:
        penalty = share * float(s @ s)
        q = penalty / (s**2 + penalty)
        left = u @ (q[:, None] * projected) + rest
        error = float(np.sum((left / (own + (u * u) @ q)[:, None]) ** 2))
        if best is None or error < best[0]:
            best = (error, penalty)
    assert best is not None  # there are penalties
    coef = vt.T @ ((s / (s**2 + best[1]))[:, None] * projected)
    return Readout(x_mean, y_mean, coef, best[1])


def classifier(rows: Matrix, labels: Matrix, penalties: Sequence[float] = PENALTIES) -> Any:
    """A ridge classifier, one outcome a class, as a function from rows to labels.

    Raises:
        InputError: if the rows do not vary.
    """
    classes = np.unique(labels)
    fitted = readout(rows, (labels[:, None] == classes[None, :]).astype(np.float64), penalties)
    return lambda new: classes[np.argmax(fitted(new), axis=1)]
