"""Features too large to copy, read in blocks of float64: what is fitted from sums over items takes them as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import Any, final

import numpy as np

from .arrays import forget_pages
from .memory import block_bytes, fits, require

Matrix = np.ndarray[Any, Any]

_BLOCK_BYTES = 64 << 20


@final
@dataclasses.dataclass(frozen=True, eq=False)
class BlockRows:
    """Some rows of features, in an order, as float64 blocks; nothing is copied until `whole` is called.

    Indexed by row numbers it gives such rows again. Their values are known to be finite.

    Attributes:
        source: Features (n, d) of any floating type, in memory or on disk.
        order: Which rows, in which order (m,); None for all, as they stand.
        name: What they are called in messages.

    Example:
        >>> rows = BlockRows(np.eye(4, dtype=np.float16))[np.array([2, 0])]
        >>> rows.shape, rows.whole().tolist(), rows.mean.tolist()
        ((2, 4), [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]], [0.5, 0.0, 0.5, 0.0])
    """

    source: Matrix
    order: Matrix | None = None
    name: str = "x"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return len(self), int(self.source.shape[1])

    def __len__(self) -> int:
        return len(self.source) if self.order is None else len(self.order)

    def __getitem__(self, rows: Matrix) -> BlockRows:
        order = np.arange(len(self))[rows] if self.order is None else self.order[rows]
        return dataclasses.replace(self, order=order)

    def blocks(self, beside: int = 0) -> Iterator[tuple[slice, Matrix]]:
        """Which rows, and the rows, block by block.

        Args:
            beside: Numbers an item that the caller holds beside the block.
        """
        n, d = self.shape
        step = max(1, block_bytes(_BLOCK_BYTES) // (8 * (d + beside)))
        for s in range(0, n, step):
            part = slice(s, min(n, s + step))
            yield part, self.part(part)
            forget_pages(self.source)

    def part(self, which: Any) -> Matrix:
        """Some of the rows, by a slice or numbers."""
        return np.asarray(self.source[which if self.order is None else self.order[which]], dtype=np.float64)

    @cached_property
    def mean(self) -> Matrix:
        """Mean over the rows (d,), from one pass."""
        return np.asarray(np.sum([block.sum(axis=0) for _, block in self.blocks()], axis=0) / len(self))

    @cached_property
    def largest(self) -> float:
        """The largest magnitude of a value."""
        return max(float(np.abs(block).max(initial=0.0)) for _, block in self.blocks())

    @cached_property
    def variation(self) -> float:
        """Sum of squares of the rows less their mean."""
        return sum(float(np.vdot(c, c)) for c in (block - self.mean for _, block in self.blocks()))

    @cached_property
    def std(self) -> Matrix:
        """Standard deviation of each feature (d,)."""
        squares = np.sum([np.sum((block - self.mean) ** 2, axis=0) for _, block in self.blocks()], axis=0)
        return np.asarray(np.sqrt(squares / len(self)))

    @property
    def fit_whole(self) -> bool:
        """Whether copies that a fit makes of them may be held."""
        return fits(_COPIES * 8 * len(self) * self.shape[1])

    def whole(self) -> Matrix:
        """The rows as an array.

        Raises:
            InputError: if it does not fit.
        """
        require(8 * len(self) * self.shape[1], f"A copy of {self.name} of shape {self.shape} in float64", WHAT_TO_DO)
        out = np.empty(self.shape)
        for part, block in self.blocks():
            out[part] = block
        return out


_COPIES = 6  # of both sides: as they are, those fitted on, centred ones, and their factors
WHAT_TO_DO = "Give more memory=, or fewer items (x.subset(ids)): scores of a sample of items carry an interval."


def mean_of(rows: Matrix | BlockRows) -> Matrix:
    """The mean (d,) of rows."""
    return rows.mean if isinstance(rows, BlockRows) else np.asarray(rows.mean(axis=0))


def largest_of(rows: Matrix | BlockRows) -> float:
    """The largest magnitude of a value in rows."""
    return rows.largest if isinstance(rows, BlockRows) else float(np.abs(rows).max())
