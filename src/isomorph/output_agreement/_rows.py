"""Answers as sparse rows, so that what two models share on an item is the inner product of two rows.

A row holds the probability of each column (class, gallery item, token) to be among the first `d` answers. Columns that
tie for the last places share them evenly, as if each model drew lots by itself: no order of the columns decides.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy

Floats = np.ndarray[Any, Any]
Rows: TypeAlias = Any  # a sparse array (n, columns); SciPy ships no types
_BLOCK = 1 << 24  # scores that are looked at together
_REMAINDER = 1e-3  # weight of the ranks that a rank-biased overlap leaves to extrapolation


def top(scores: Floats, d: int) -> Rows:
    """Probability of each column to be among the `d` highest, (n, columns).

    Args:
        scores: Higher comes first; (n, columns), minus infinity where a column is not in the running.
        d: Places.

    Example:
        >>> top(np.array([[3.0, 1.0, 1.0], [0.0, 5.0, 0.0]]), 2).toarray().tolist()
        [[1.0, 0.5, 0.5], [0.5, 1.0, 0.5]]
    """
    n, width = scores.shape
    d = min(d, width)
    step, blocks = max(1, _BLOCK // width), []
    for start in range(0, n, step):
        s = scores[start : start + step]
        last = s.max(axis=1) if d == 1 else np.partition(s, width - d, axis=1)[:, width - d]
        blocks.append(_shared(s, last, d))
    return scipy.sparse.csr_array(scipy.sparse.vstack(blocks, format="csr"))


def _shared(s: Floats, last: Floats, d: int) -> Rows:
    """The rows of a block, whose `d`-th highest scores are `last`."""
    row, column = np.nonzero(s >= last[:, None])
    ahead = s[row, column] > last[row]
    better = np.bincount(row, ahead, minlength=len(s))
    tied = np.bincount(row, ~ahead, minlength=len(s))
    values = np.where(ahead, 1.0, ((d - better) / np.maximum(tied, 1))[row])
    return scipy.sparse.csr_array((values, (row, column)), shape=s.shape)


def one_hot(codes: Any, width: int) -> Rows:
    """One sure answer a row, (n, width)."""
    n = len(codes)
    return scipy.sparse.csr_array((np.ones(n), np.asarray(codes), np.arange(n + 1)), shape=(n, width))


def rank_biased(scores: Floats, persistence: float, listed: int | None = None) -> Rows:
    """Rows whose inner products are extrapolated rank-biased overlaps (Webber, Moffat and Zobel 2010, equation 32).

    The overlap at depth d weighs (1 - p) p^(d - 1); beyond the depth that is looked at, that of the last depth goes on.
    Whole rankings agree in full at their last rank, so that nothing is extrapolated there.

    Args:
        scores: As in `top`.
        persistence: p, the probability of looking one rank further.
        listed: Ranks that rows have; None: all columns.
    """
    depth = min(scores.shape[1] if listed is None else listed, depth_of(persistence))
    parts = []
    for d in range(1, depth + 1):
        weight = (1 - persistence) * persistence ** (d - 1) + (persistence**d if d == depth else 0.0)
        parts.append(top(scores, d) * np.sqrt(weight / d))
    return scipy.sparse.csr_array(scipy.sparse.hstack(parts, format="csr"))


def depth_of(persistence: float) -> int:
    """Ranks that are looked at: those below weigh a thousandth together."""
    return max(1, int(np.ceil(np.log(_REMAINDER) / np.log(persistence))))


def rowwise(a: Rows, b: Rows) -> Floats:
    """Inner product of each row of both, (n,)."""
    return np.asarray(a.multiply(b).sum(axis=1), dtype=np.float64).reshape(-1)
