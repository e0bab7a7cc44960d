"""Whether rows are like those that a map was fitted on: a distance to these, with its range over held-out rows.

The distance is Mahalanobis's in the leading principal components of the training rows, the rest counted by one
variance. Its bounds are order statistics of held-out rows, so that a row drawn as they were falls outside with a known
probability, whatever the distribution (split conformal prediction, Vovk et al. 2005); both ends count, since rows that
were scaled down lie too near.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy

Matrix = np.ndarray[Any, Any]
COMPONENTS = 256
OUTSIDE = 0.01
"""Share of rows like those that were fitted on that lies outside, where enough were held out to say."""


def fitted_shift(train: Matrix, held_out: Matrix) -> dict[str, Any]:
    """What tells rows from others: mean (d,), components (d, r), variances (r + 1,), and the bounds with their counts.

    Args:
        train: Rows that were fitted on (n, d).
        held_out: Rows that were not (m, d).
    """
    mean = train.mean(axis=0)
    centered = train - mean
    values, vectors = np.linalg.eigh(centered.T @ centered / max(1, len(train) - 1))
    r = min(COMPONENTS, train.shape[1], max(1, (len(train) - 1) // 4))
    values, components = np.maximum(values[::-1], 0), vectors[:, ::-1][:, :r]
    least = values.sum() / len(values) * 1e-6  # a direction in which nothing varied
    rest = values[r:].mean() if len(values) > r else 0.0
    variance = np.maximum(np.append(values[:r], rest), least)
    shift = {"mean": mean, "components": components.astype(np.float32), "variance": variance}
    distance = np.sort(distances(shift, held_out))
    m = len(distance)
    k = max(1, int(OUTSIDE / 2 * (m + 1)))
    return shift | {"low": float(distance[k - 1]), "high": float(distance[m - k]), "k": k, "held_out": m}


def distances(shift: Mapping[str, Any], rows: Matrix) -> Matrix:
    """The distance of each row (n, d) from those that were fitted on, (n,): about 1 for rows like them."""
    centered = rows.astype(np.float64) - shift["mean"]
    along = centered @ shift["components"].astype(np.float64)
    with np.errstate(over="ignore"):  # rows so far away are outside all the same
        squares = np.sum(along**2 / shift["variance"][:-1], axis=1)
        if along.shape[1] < centered.shape[1]:
            beyond = np.maximum(np.sum(centered**2, axis=1) - np.sum(along**2, axis=1), 0.0)
            squares += beyond / shift["variance"][-1]
    out: Matrix = np.sqrt(squares / len(shift["mean"]))
    return out


def outside(shift: Mapping[str, Any], distance: Matrix) -> tuple[Matrix, float, float]:
    """Which rows lie outside of the range of held-out ones, the share that is expected to, and the p of so many.

    The p is exact for rows that are exchangeable with those held out: the count is beta-binomial.

    Args:
        shift: What `fitted_shift` gave.
        distance: The rows' `distances` (n,).
    """
    slack = 1e-6 * shift["high"]  # the same rows in single precision lie where they did
    out = (distance < shift["low"] - slack) | (distance > shift["high"] + slack)
    k, m = int(shift["k"]), int(shift["held_out"])
    if 2 * k > m:
        return out, 1.0, 1.0
    p = float(scipy.stats.betabinom.sf(int(out.sum()) - 1, len(distance), 2 * k, m + 1 - 2 * k))
    return out, 2 * k / (m + 1), min(1.0, p)
