"""Several RDMs pooled into one: brought into the units in which their mean is the best RDM for a comparison."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy

from .vectors import RANKED, n_items, permuted_index, ranks, whitened

Floats = np.ndarray[Any, np.dtype[np.float64]]


def scaled_rdms(stack: Floats, comparison: str) -> Floats:
    """RDMs in the units in which their mean is the best RDM for the comparison.

    Args:
        stack: Condensed RDMs as rows (RDMs, entries), NaN where they lack an entry.
        comparison: As for `Rsa`: ranks for the ranked ones, mean square 1 for the cosines, else standardised.
    """
    out = np.array(stack)
    for row in out:
        known = ~np.isnan(row)
        if comparison in RANKED:
            row[known] = scipy.stats.rankdata(row[known]) / max(1, known.sum())
        elif comparison in ("cosine", "whitened_cosine"):
            row[known] /= math.sqrt(float(np.mean(row[known] ** 2))) or 1.0
        else:
            row[known] -= row[known].mean()
            row[known] /= float(row[known].std()) or 1.0
    return out


def mean_rdm(rows: Floats) -> Floats:
    """Mean over RDMs (RDMs, entries) of the entries that they have; NaN where none has one."""
    known = ~np.isnan(rows)
    if known.all():
        return np.asarray(rows.sum(axis=0) / len(rows))
    count = known.sum(axis=0)
    sums = np.where(known, rows, 0.0).sum(axis=0)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def regressors(stack: Floats, comparison: str) -> Floats:
    """RDMs as the vectors whose least squares are those of the comparison: ranked, about their mean, decorrelated.

    Args:
        stack: Condensed RDMs as rows (RDMs, entries) without gaps.
        comparison: As for `Rsa`, but for ``"kendall"``; cosines are not taken about the mean.
    """
    rows = np.stack([ranks(v) for v in stack]) if comparison in RANKED else stack
    if comparison not in ("cosine", "whitened_cosine"):
        rows = rows - rows.mean(axis=1, keepdims=True)
    return np.stack([whitened(v) for v in rows]) if comparison.startswith("whitened") else rows


def entries_of(stack: Floats, rows: Any) -> Floats:
    """Condensed RDMs (RDMs, entries) over some of their items, or all, in another order.

    Args:
        stack: Condensed RDMs as rows.
        rows: The places of the items, each at most once.
    """
    return np.asarray(stack[:, permuted_index(np.asarray(rows, dtype=np.int64), n_items(stack.shape[1]))])
