"""Inner products of linear kernels over many items, from one pass over the rows: no copy of the features is made.

Rows are read in blocks and shifted by an estimate c of their mean, y = x - c, which keeps the digits that products in
single precision need. What the estimate misses, δ = mean(y), is put right afterwards, exactly, from sums of the same
pass: with a_i = |y_i|², C = Y'Z and v = Σ a_i z_i (and w for the other side), the centred cross-covariance is
C - n δ_y δ_z', and the centred squared norms b_i = a_i - 2 y_i'δ + |δ|² have

    Σ b b' = Σ a a' - 2 v'δ_z - 2 w'δ_y + 4 δ_y'C δ_z + q_y Σa' + q_z Σa - 3 n q_y q_z,   q = |δ|².

Values that nobody has looked at (`Unread`) are checked in the same pass: what is not finite shows in the squared norm
of its row. Where the estimate is poor, one item outweighs the others, or the features may be constant, the layer is
looked at again: exact mean, exact scale, all in float64.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...._core.arrays import Unread, forget_pages, widened
from ...._core.memory import block_bytes
from ....errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]
Real = np.ndarray[Any, Any]
Pair = tuple[int, int]

BLOCK_BYTES = 64 << 20  # rows of all layers of a pass held at once
SUM_BYTES = 256 << 20  # cross-covariances of a pass
_LONGEST = 1 << 13  # rows whose products are summed in the features' dtype
_CACHED = 1 << 19  # bytes of a block that stay in the cache
_SMALL = 1 << 18  # multiplications that BLAS does not split between threads, which would cost more than it gains
_SAMPLE = 1024  # rows that the mean is estimated from


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """A layer's rows as they are read: (x[order] - shift) / unit.

    Attributes:
        source: The features as they are, in memory or on disk.
        order: The order in which rows are read; None for their own.
        shift: What is subtracted (d,), in the dtype of the products.
        unit: What is divided by, a power of two.
        exact: Whether the shift is the mean itself, and the products run in float64.
        unread: The same features, if their values are to be checked while they are read.
    """

    source: Real
    order: np.ndarray[Any, Any] | None
    shift: Real
    unit: float
    exact: bool = False
    unread: Unread | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Items and features."""
        return (int(self.source.shape[0]), int(self.source.shape[1]))

    def permuted(self, order: np.ndarray[Any, Any]) -> Rows:
        """The rows in another order; nothing is read."""
        order = np.asarray(order, dtype=np.int64)
        return dataclasses.replace(self, order=order if self.order is None else self.order[order])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the features, half precision being widened as it is read."""
        return widened(self.source.dtype)

    @property
    def name(self) -> str:
        """What the layer is called in messages."""
        return "x" if self.unread is None else self.unread.name

    def array(self) -> Real:
        """The features themselves, in order, their values checked; a copy if the order is not their own.

        Raises:
            InputError: if a value is not finite.
        """
        source = self.source if self.unread is None else self.unread.whole()
        return source if self.order is None else source[self.order]

    def read(self, start: int, stop: int, out: Real) -> tuple[Real, Floats]:
        """Rows start:stop in a part of `out`, and their squared norms in double precision.

        Raises:
            InputError: if a value in them is not finite.
        """
        block = out[: stop - start]
        squares = np.empty(stop - start)
        step = max(1, _CACHED // max(1, block[0].nbytes))
        for s in range(0, stop - start, step):
            e = min(stop - start, s + step)
            where: Any = slice(start + s, start + e) if self.order is None else self.order[start + s : start + e]
            part = block[s:e]
            np.subtract(self.source[where], self.shift, out=part)
            if self.unit != 1.0:
                part /= part.dtype.type(self.unit)
            squares[s:e] = np.vecdot(part, part)
            if self.order is not None:  # rows from all over a file map far more of it than they are
                forget_pages(self.source)
        forget_pages(self.source)
        # squares of NaN and infinity are not finite; neither are those of very large values, so look at them all then
        if self.unread is not None and not self.unread.checked and not np.isfinite(squares).all():
            self.unread.seen()
        return block, squares


def rows_of(given: Real | Unread) -> Rows:
    """Rows of features, shifted by the mean of an even sample of them.

    Raises:
        InputError: if a value in the sample is not finite.
    """
    x, unread = (given.source, given) if isinstance(given, Unread) else (given, None)
    parts = []
    stride = max(1, len(x) // _SAMPLE)
    for s in range(0, len(x), 32 * stride):  # in parts, since reading one row of a file may map many of its neighbours
        parts.append(np.asarray(x[s : s + 32 * stride : stride], dtype=np.float64))
        forget_pages(x)
    sample = np.concatenate(parts)
    if unread is not None and not np.isfinite(sample).all():
        unread.seen()
    shift = sample.mean(axis=0)
    largest = float(np.abs(sample - shift).max())
    # a unit near the spread keeps squares in the range of floats; it is left out where that is not in danger
    unit = 1.0 if 1e-4 < largest < 1e4 or largest == 0.0 else math.ldexp(1.0, math.frexp(largest)[1])
    return Rows(x, None, shift.astype(widened(x.dtype)), unit, unread=unread)


def careful(rows: Rows) -> Rows:
    """The same rows less their exact mean, at unit scale, in float64, from two more passes.

    Raises:
        InputError: if all items are the same to the features' precision.
    """
    x, (n, d) = rows.source if rows.unread is None else rows.unread.seen(), rows.shape
    step = max(1, block_bytes(BLOCK_BYTES) // (8 * d))
    size = spread = 0.0
    total = np.zeros(d)
    for s in range(0, n, step):
        part = np.asarray(x[s : s + step], dtype=np.float64)
        size = max(size, float(np.abs(part).max()))
        total += (part / n).sum(axis=0)
        forget_pages(x)
    for s in range(0, n, step):
        spread = max(spread, float(np.abs(x[s : s + step] - total).max()))
        forget_pages(x)
    if spread <= 4 * float(np.finfo(rows.dtype).eps) * size:
        raise InputError(
            f"{rows.name} is constant: all its items have the same features (to the precision of {x.dtype}), so "
            "nothing varies that could be alike. Leave this layer out."
        )
    return Rows(x, rows.order, total, math.ldexp(1.0, math.frexp(spread)[1]), exact=True, unread=rows.unread)


class Sums(NamedTuple):
    """What one pass leaves of a layer.

    Attributes:
        squares: Squared norms of the shifted rows (n,).
        mean: Mean of the shifted rows (d,).
    """

    squares: Floats
    mean: Floats

    @property
    def trace(self) -> float:
        """Sum of squared norms of the centred rows."""
        return float(self.squares.sum()) - len(self.squares) * float(self.mean @ self.mean)

    def doubtful(self, rows: Rows) -> bool:
        """Whether the layer must be looked at again with its exact mean and in float64."""
        n, trace = len(self.squares), self.trace
        if rows.exact:
            return False
        if not (math.isfinite(trace) and trace > 0):
            return True
        eps = float(np.finfo(rows.dtype).eps)
        rounding = eps * float(np.abs(rows.shift).max()) / rows.unit
        return (
            n * float(self.mean @ self.mean) > 0.25 * trace
            or (eps > 1e-10 and float(self.squares.max()) > 0.4 * trace)
            or trace <= n * rows.shape[1] * (64 * rounding) ** 2
        )


class Pass(NamedTuple):
    """What one pass leaves: sums of each layer, and of each pair what its inner products need."""

    sums: list[Sums]
    cross: dict[Pair, Floats]
    weighted: dict[Pair, Floats]

    def product(self, i: int, j: int, estimator: str) -> float:
        """Inner product of the adjusted kernels of layers i and j."""
        a, b = self.sums[i], self.sums[j]
        n, c = len(a.squares), self.cross[i, j]
        centered = c - n * np.outer(a.mean, b.mean)
        full = float(np.vdot(centered, centered))
        if estimator == "biased":
            return full
        qa, qb = float(a.mean @ a.mean), float(b.mean @ b.mean)
        both = float(a.squares @ b.squares) + 4 * float(a.mean @ c @ b.mean) - 3 * n * qa * qb
        both -= 2 * float(self.weighted[i, j] @ b.mean) + 2 * float(self.weighted[j, i] @ a.mean)
        both += qb * float(a.squares.sum()) + qa * float(b.squares.sum())
        if estimator == "lange":
            return full - both
        value = full - both * (1 + 2 / (n - 2)) + a.trace * b.trace / ((n - 1) * (n - 2))
        # what the float64 sums themselves may leave of a true zero counts as zero
        return value if abs(value) > 64 * np.finfo(np.float64).eps * full else 0.0


def one_pass(rows: Sequence[Rows], pairs: Sequence[Pair]) -> Pass:
    """Read all layers once, block by block, and sum what the inner products of the pairs need.

    Raises:
        InputError: if a value is not finite.
    """
    n = rows[0].shape[0]
    each = sum(r.shape[1] * r.shift.dtype.itemsize for r in rows)
    step = max(1, min(n, _LONGEST, block_bytes(BLOCK_BYTES) // each))
    held = [np.empty((step, r.shape[1]), dtype=r.shift.dtype) for r in rows]
    squares = [np.empty(n) for _ in rows]
    heads = [np.zeros((1 + len(rows), r.shape[1])) for r in rows]  # sums of rows, and weighted by squared norms
    cross = {(i, j): np.zeros((rows[i].shape[1], rows[j].shape[1])) for i, j in pairs}
    for start in range(0, n, step):
        stop = min(n, start + step)
        blocks = []
        for r, out, norms in zip(rows, held, squares, strict=True):
            block, norms[start:stop] = r.read(start, stop, out)
            blocks.append(block)
        weights = np.stack([np.ones(stop - start), *(s[start:stop] for s in squares)])
        for head, block in zip(heads, blocks, strict=True):
            chunk = max(8, _SMALL // block[0].size // len(head))
            for c in range(0, len(block), chunk):
                np.add(head, weights[:, c : c + chunk].astype(block.dtype) @ block[c : c + chunk], out=head)
        for (i, j), total in cross.items():
            np.add(total, blocks[i].T @ blocks[j], out=total)
    for r in rows:
        if r.unread is not None and r.order is None:  # another order need not hold every item
            r.unread.vouch()
    every = range(len(rows))
    weighted = {(i, j): heads[j][1 + i] for i, j in itertools.product(every, every)}
    return Pass([Sums(s, h[0] / n) for s, h in zip(squares, heads, strict=True)], cross, weighted)


def passes(rows: Sequence[Rows], pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The pairs in groups whose cross-covariances fit the working memory together."""
    room, groups, used = block_bytes(SUM_BYTES), [[]], 0  # type: tuple[int, list[list[Pair]], int]
    for i, j in pairs:
        size = 8 * rows[i].shape[1] * rows[j].shape[1]
        if groups[-1] and used + size > room:
            groups.append([])
            used = 0
        groups[-1].append((i, j))
        used += size
    return groups


def products(rows: list[Rows], pairs: Sequence[Pair], estimator: str) -> tuple[dict[Pair, float], Floats]:
    """Inner products of the given pairs of adjusted kernels, and every layer's sum of squared centred norms.

    Doubtful layers are replaced in `rows` by `careful` ones.

    Raises:
        InputError: if a layer is constant, or a value is not finite.
    """
    values: dict[Pair, float] = {}
    traces = np.zeros(len(rows))
    for group in passes(rows, pairs):
        members = sorted({i for pair in group for i in pair})
        place = {i: p for p, i in enumerate(members)}
        local = [(place[i], place[j]) for i, j in group]
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is doubtful, and done again
            done = one_pass([rows[i] for i in members], local)
            doubtful = [i for i in members if done.sums[place[i]].doubtful(rows[i])]
        if doubtful:
            for i in doubtful:
                rows[i] = careful(rows[i])
            return products(rows, pairs, estimator)
        for pair, (i, j) in zip(group, local, strict=True):
            values[pair] = done.product(i, j, estimator)
        for i in members:
            traces[i] = done.sums[place[i]].trace
    return values, traces
