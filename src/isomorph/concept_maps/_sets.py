"""Sets of items, such as concepts, that may overlap, and means over them with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy

from .._core.distributions import t_ppf, t_sf
from ..design import Codes, label_text, named
from ..errors import InputError, quoted

Matrix = np.ndarray[Any, Any]

_FLAT = 1e-12  # spread of scores, as a share of their range, under which they are all the same


@dataclasses.dataclass(frozen=True, eq=False)
class Members:
    """Sets of items by name; sets may overlap.

    Attributes:
        names: Names.
        rows: Sparse matrix (sets, n) of 0 and 1.
    """

    names: tuple[str, ...]
    rows: Any

    @property
    def counts(self) -> Codes:
        """Items of each set."""
        return np.asarray(np.diff(self.rows.indptr), dtype=np.int64)


def members(labels: Any, n: int) -> Members:
    """Labels as sets of items.

    Args:
        labels: One label an item, or a mapping from name to rows or to a mask (n,), whose sets may overlap.
        n: Number of items.

    Raises:
        InputError: if they are neither, a set is empty, or a row is not there.
    """
    if not isinstance(labels, Mapping):
        codes, names = named(labels, n, "labels")
        return Members(names, scipy.sparse.csr_array((np.ones(n), (codes, np.arange(n))), shape=(len(names), n)))
    names, sets = tuple(map(label_text, labels)), []
    if not names or len(set(names)) < len(names):
        raise InputError(f"labels: {len(names)} sets with {len(set(names))} names; at least one, each of its own name.")
    for name, given in zip(names, labels.values(), strict=True):
        found = np.asarray(given)
        if found.dtype == bool and found.shape == (n,):
            found = np.flatnonzero(found)
        whole = found.ndim == 1 and found.dtype.kind in "iu" and len(np.unique(found)) == len(found) > 0
        if not whole or found.min() < 0 or found.max() >= n:
            raise InputError(
                f"labels[{quoted(name)}] must hold different rows from 0 to {n - 1}, or a mask of {n} truths with one "
                f"at least, found {quoted(given)}."
            )
        sets.append(np.sort(found))
    at = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
    return Members(names, scipy.sparse.csr_array((np.ones(len(at)), (at, np.concatenate(sets))), shape=(len(sets), n)))


@dataclasses.dataclass(frozen=True, eq=False)
class Means:
    """Means of sets of items with intervals; arrays (sets,).

    Attributes:
        values: The means.
        low: Lower bounds; NaN of a set of a single unit.
        high: Upper bounds.
        p_values: Two-sided p of a mean of 0; NaN likewise.
    """

    values: Matrix
    low: Matrix
    high: Matrix
    p_values: Matrix


def means(values: Matrix, sets: Members, unit: Codes, alpha: float, span: tuple[float, float]) -> Means:
    """Means over sets of items, the map and the gallery held fixed, from the scatter of their units (whole groups).

    Quantiles are those of t with one less than the units as degrees of freedom. A set whose items all score the same
    shows no scatter; it then reaches as far as unseen items may: a share of them up to ``1 - (alpha / 2)^(1 / units)``
    could score at the end of the range without one having been seen.

    Args:
        values: One number an item (n,).
        sets: The sets.
        unit: What was sampled as one, one number an item.
        alpha: The interval covers 1 - alpha.
        span: The range of a value.
    """
    rows, count = sets.rows, sets.counts
    mean = rows @ values / count
    of = np.repeat(np.arange(len(count)), count)
    parts = scipy.sparse.csr_array((np.ones(len(unit)), (np.arange(len(unit)), unit)))
    away = (
        scipy.sparse.csr_array((values[rows.indices] - mean[of], rows.indices, rows.indptr), shape=rows.shape) @ parts
    )
    units = np.diff((rows @ parts).indptr)
    squares = np.zeros(len(count))
    np.add.at(squares, np.repeat(np.arange(len(count)), np.diff(away.indptr)), away.data**2)
    several = units > 1
    degrees = np.where(several, units - 1, 1)
    error = np.sqrt(squares * units / degrees) / count
    reach = t_ppf(1 - alpha / 2, degrees) * error
    flat = error <= _FLAT * (span[1] - span[0])
    seen = np.where(flat, (alpha / 2) ** (1 / units), 1.0)
    low = np.where(flat, span[0] + (mean - span[0]) * seen, np.maximum(mean - reach, span[0]))
    high = np.where(flat, span[1] - (span[1] - mean) * seen, np.minimum(mean + reach, span[1]))
    p = np.where(flat, np.where(np.abs(mean) <= _FLAT, 1.0, np.minimum(1.0, 2 * 0.5**units)), 1.0)
    p = np.where(flat, p, 2 * t_sf(np.abs(mean) / np.where(flat, 1.0, error), degrees))
    gap = np.where(several, 0.0, np.nan)
    return Means(mean, low + gap, high + gap, p + gap)
