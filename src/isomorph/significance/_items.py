"""Items that are there twice: they break the exchangeability that permutation tests rest on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy

from .._core.arrays import as_features, to_numpy
from .._core.memory import block_bytes
from ..design import rows_by_code
from ..errors import InputError

BLOCK_BYTES = 64 << 20
_LEAST_TOLERANCE = 1e-6  # distances by products in float64 are not resolved below about 1e-8 of the typical one


@dataclasses.dataclass(frozen=True, eq=False)
class Duplicates:
    """Sets of items with the same, or nearly the same, features.

    A copy that stands on both sides (the same caption of the same picture, twice) is alike to itself in any two
    representations, and no permutation of single items keeps copies together: chance is then put too low. Leave copies
    out (`keep`), or permute them as groups (`labels`).

    Attributes:
        n: Number of items.
        tolerance: Distance up to which two items count as one, over the root mean square distance; 0 is equality.
        sets: Row numbers of each set, sorted; items without a copy are in none.

    Example:
        >>> found = duplicates([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
        >>> found.sets, found.n
        (((0, 2),), 3)
    """

    n: int
    tolerance: float
    sets: tuple[tuple[int, ...], ...]

    @property
    def extra(self) -> int:
        """How many items would go if one of each set stayed."""
        return sum(len(s) - 1 for s in self.sets)

    @property
    def keep(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Rows that stay if one of each set stays, the first."""
        gone = {i for s in self.sets for i in s[1:]}
        return np.array([i for i in range(self.n) if i not in gone], dtype=np.int64)

    @property
    def labels(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """One label an item, shared by copies: the `groups` of `permutations`."""
        out = np.arange(self.n, dtype=np.int64)
        for s in self.sets:
            out[list(s)] = s[0]
        return out

    def __str__(self) -> str:
        if not self.sets:
            return f"No duplicates among {self.n} items."
        kind = "identical" if self.tolerance == 0 else f"within {self.tolerance:g} of the typical distance"
        return (
            f"{sum(map(len, self.sets))} of {self.n} items are in {len(self.sets)} sets of {kind} ones (first: rows "
            f"{', '.join(map(str, self.sets[0][:5]))}). They break the exchangeability that p-values rest on: leave "
            f"{self.extra} of them out, or permute each set as a group."
        )


def duplicates(x: Any, tolerance: float = 0.0) -> Duplicates:
    """Find items whose features are equal, or nearly so.

    Args:
        x: Features (n_items, d); give the inputs' own features, or both sides joined, as the case may be.
        tolerance: 0 for equal rows. Otherwise two items count as one if their Euclidean distance is at most this times
            the root mean square distance of all pairs, such as 0.01; chains of near items make one set. Takes the
            products of all pairs, in blocks.

    Raises:
        InputError: if `x` is not a representation, or the tolerance is negative or too small to be resolved.

    Example:
        >>> duplicates([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]).sets
        ((0, 2),)
        >>> duplicates([[1.0, 2.0], [3.0, 4.0], [1.0, 2.001]], tolerance=0.01).sets
        ((0, 2),)
    """
    rows = np.ascontiguousarray(to_numpy(as_features(x))) + 0.0  # makes -0.0 and 0.0 the same bytes
    if tolerance != 0 and not _LEAST_TOLERANCE <= tolerance < 1:
        raise InputError(
            f"duplicates: tolerance={tolerance} is neither 0 (equal rows) nor between {_LEAST_TOLERANCE:g} and 1."
        )
    label = _equal(rows) if tolerance == 0 else _near(rows.astype(np.float64), tolerance)
    sets = sorted(tuple(int(i) for i in rows) for rows in rows_by_code(label) if len(rows) > 1)
    return Duplicates(len(rows), float(tolerance), tuple(sets))


def _equal(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows])


def _near(rows: np.ndarray[Any, Any], tolerance: float) -> np.ndarray[Any, Any]:
    n = len(rows)
    z = rows - rows.mean(axis=0)
    largest = np.abs(z).max()
    if largest == 0:
        return np.zeros(n, dtype=np.int64)
    z = z / largest
    squares = np.einsum("ij,ij->i", z, z)
    limit = tolerance**2 * 2 * squares.mean() * n / max(n - 1, 1)
    label = np.arange(n)
    step = max(1, block_bytes(BLOCK_BYTES) // (8 * n))
    for start in range(0, n, step):
        stop = min(n, start + step)
        distance = squares[start:stop, None] + squares[None, start:] - 2 * (z[start:stop] @ z[start:].T)
        i, j = np.nonzero(distance <= limit)
        graph = scipy.sparse.coo_array(
            (np.ones(len(i), dtype=np.int8), (label[i + start], label[j + start])), shape=(n, n)
        )
        label = scipy.sparse.csgraph.connected_components(graph, directed=False)[1][label]
    return np.asarray(label)
