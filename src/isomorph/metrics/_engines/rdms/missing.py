"""Comparisons of RDMs that lack entries: each pair of RDMs is compared over the entries that both have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....errors import InputError
from .vectors import comparable

Floats = np.ndarray[Any, np.dtype[np.float64]]

_FEWEST = 3  # entries of an RDM of three items, the smallest one that has a pattern


def shared_entries(a: Any, b: Any, comparison: str) -> tuple[Floats, Floats]:
    """Both RDMs over the entries that both have, ready for the comparison anew.

    Vectors that are ready for a comparison already may be given: leaving entries out and making them ready again gives
    the same as the dissimilarities themselves, whose ranks, means and lengths are all that is read.

    Args:
        a: Condensed RDM or what `comparable` made of it, NaN where it lacks an entry.
        b: The other one.
        comparison: As for `Rsa`.

    Raises:
        InputError: if they share too few entries, one is constant over these, or the comparison is a whitened one.
    """
    first, second = (np.asarray(v, dtype=np.float64) for v in (a, b))
    kept = ~(np.isnan(first) | np.isnan(second))
    if comparison.startswith("whitened") and not kept.all():
        raise InputError(
            f"comparison={comparison!r} decorrelates all entries of an RDM at once, and {int((~kept).sum())} of "
            f"{len(kept)} are missing here. Use 'pearson', 'spearman' or 'cosine', or leave items out that lack "
            "dissimilarities: rdms.subset(ids)."
        )
    if kept.sum() < _FEWEST:
        raise InputError(
            f"Two RDMs share {int(kept.sum())} of {len(kept)} dissimilarities, the others are missing in one or both; "
            f"at least {_FEWEST} are needed."
        )
    return comparable(first[kept], comparison, np.float64), comparable(second[kept], comparison, np.float64)


def compared(
    xs: Sequence[Any], ys: Sequence[Any], comparison: str, score: Callable[[Sequence[Any], Sequence[Any]], Any]
) -> Floats:
    """Scores of all pairs (len(xs), len(ys)), each over the entries that both have.

    Args:
        xs: Vectors of one side, as for `shared_entries`.
        ys: Those of the other side.
        comparison: As for `Rsa`.
        score: Scores of all pairs of vectors without gaps.

    Raises:
        InputError: as `shared_entries`.
    """
    out = np.empty((len(xs), len(ys)))
    for i, x in enumerate(xs):
        for j, y in enumerate(ys):
            a, b = shared_entries(x, y, comparison)
            out[i, j] = np.asarray(score([a], [b]))[0, 0]
    return out


def filled(x: Any, y: Any, comparison: str) -> tuple[Floats, Floats]:
    """Both vectors at full length, 0 at the entries that one of them lacks: what these give to a sum of products."""
    kept = ~(np.isnan(x) | np.isnan(y))
    out = np.zeros((2, len(kept)))
    out[:, kept] = shared_entries(x, y, comparison)
    return out[0], out[1]
