"""Linear readouts: what can be read from a space by ridge regression, its penalty chosen by exact leave-one-out.

scikit-learn's `RidgeCV` and `RidgeClassifierCV`; the penalties are shares of the total variance, so that neither the
scale of a space nor its width sets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.linalg import require_variation

Matrix = np.ndarray[Any, Any]
PENALTIES = tuple(10.0**e for e in range(-7, 2))
"""In shares of the total variance of the features, as for the map `ridge`."""
CARRIED = (1e-2,)
"""The same for a readout that will be used on rows mapped from elsewhere.

Leave-one-out at home would take a smaller one and lean on directions of tiny variance, which no map carries over: on
relative representations of networks trained apart such a probe keeps its accuracy at home and loses it across.
"""


def readout(rows: Matrix, outcomes: Matrix, penalties: Sequence[float] = PENALTIES) -> Any:
    """Fit outcomes (n, k) from rows (n, d) by ridge; of the penalties the one with the least leave-one-out error.

    Returns:
        A fitted `sklearn.linear_model.RidgeCV`; its `predict` takes rows (m, d) to outcomes (m, k).

    Raises:
        InputError: if the rows do not vary.
    """
    from sklearn.linear_model import RidgeCV

    return RidgeCV(_alphas(rows, penalties)).fit(rows, outcomes)


def classifier(rows: Matrix, labels: Matrix, penalties: Sequence[float] = PENALTIES) -> Any:
    """A ridge classifier, one outcome a class.

    Returns:
        A fitted `sklearn.linear_model.RidgeClassifierCV`; its `predict` takes rows (m, d) to labels (m,).

    Raises:
        InputError: if the rows do not vary.
    """
    from sklearn.linear_model import RidgeClassifierCV

    return RidgeClassifierCV(_alphas(rows, penalties)).fit(rows, labels)


def _alphas(rows: Matrix, shares: Sequence[float]) -> Matrix:
    """Penalties in the units of scikit-learn: of the sum of squares.

    Raises:
        InputError: if the rows do not vary.
    """
    centered = rows - rows.mean(axis=0)
    require_variation(rows, centered)
    return np.asarray(shares) * float(np.sum(centered**2))
