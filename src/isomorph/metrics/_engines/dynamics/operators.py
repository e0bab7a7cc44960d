"""Linear operators of series: delay embedding, reduction to the leading axes, least squares (HAVOK, DMD)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...._core.arrays import Array, to_numpy
from ....errors import InputError
from ..spectra.axes import compressed, wide_centered

Floats = np.ndarray[Any, np.dtype[np.float64]]

_TIED = 1e3 * float(np.finfo(np.float64).eps)


def series_operator(x: Array, lengths: Sequence[int], delays: int, rank: int, name: str) -> Floats:
    """The operator (rank, rank) that takes the delay-embedded state of a layer to the next.

    The state is that in coordinates of unit variance along the leading axes of all delayed items. Fewer axes than
    `rank` are filled with zeros.

    Args:
        x: Checked features (n, d), time point after time point, series after series.
        lengths: How many time points each series has; they add up to n.
        delays: How many time points one after the other make a state.
        rank: How many axes are kept.
        name: Of the metric, for messages.

    Raises:
        InputError: if nothing varies, or the cut would part axes of the same variance.
    """
    rows = np.asarray(to_numpy(compressed(wide_centered(x)[0])), dtype=np.float64)
    series = np.split(rows, np.cumsum(lengths)[:-1])
    states = [np.concatenate([s[j : len(s) - delays + 1 + j] for j in reversed(range(delays))], axis=1) for s in series]
    whole = np.concatenate(states)
    u, s, _ = np.linalg.svd(whole, full_matrices=False)
    eps = float(array_namespace(x).finfo(x.dtype).eps)
    kept = min(rank, int(np.sum(s > eps * max(whole.shape) * s[0])))
    if kept < len(s) and s[kept - 1] - s[kept] <= _TIED * s[0]:
        raise InputError(
            f"{name}: axes {kept} and {kept + 1} of the delayed series hold the same variance, so which of them is "
            "kept is arbitrary, and so is the score. Change rank or delays, so that both are kept or neither."
        )
    v = u[:, :kept] * np.sign(u[np.abs(u[:, :kept]).argmax(axis=0), np.arange(kept)])
    parts = np.split(v, np.cumsum([len(p) for p in states])[:-1])
    now, then = np.concatenate([p[:-1] for p in parts]), np.concatenate([p[1:] for p in parts])
    out = np.zeros((rank, rank))
    out[:kept, :kept] = np.linalg.lstsq(now, then, rcond=1e-10)[0].T
    return out
