"""The chance level and the p of a mean over items of a kernel of two answers, when the items are paired anew.

The statistic is Σᵢ K[i, π(i)] / n with π a random permutation, Hoeffding's (1951) combinatorial statistic. With D the
table K without its row and column means, its mean is that of K, its variance Σ D² / (n - 1) and its third central
moment n Σ D³ / ((n - 1)(n - 2)), each over n to its power: exact, nothing is sampled. Which p comes of them is decided
where it is decided for every score of the house (`isomorph.nulls.judge`).
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import scipy

from ..design import Design
from ..nulls import Null
from ..nulls.judge import FEW, Sample, every_order, judge
from ._kernels import Kernel, Shared
from ._rows import Floats, Rows

MOST_ITEMS = 2048
"""Items whose table is computed whole; of more, that many drawn at random decide the p of a costly measure."""
_FEWEST_ITEMS = 64
_WORK = 5e8  # numbers that one table may take
_CLASSES = 2048  # different answers up to which a table of answers is one of classes


class Judged(NamedTuple):
    """A chance level, the p of the value, and what both come from."""

    chance: float
    p_value: float
    source: str


@dataclasses.dataclass(frozen=True)
class Repairing:
    """How items are paired anew.

    Attributes:
        n: Number of items.
        design: Which items may change places.
        permutations: Random orders.
        seed: Their seed.
    """

    n: int
    design: Design
    permutations: int
    seed: int

    def orders(self, n: int) -> Any:
        """Random orders of n items, or of all in the design."""
        if not self.design.free:
            return self.design.orders(self.n, self.permutations, self.seed)
        return Design().orders(n, self.permutations, self.seed)


class Table(NamedTuple):
    """A kernel between all answers of two models: answers that are the same are one row or column.

    Attributes:
        values: (rows, columns).
        rows: Row of each item's answer by the first model.
        columns: Column of each item's answer by the second.
    """

    values: Floats
    rows: Any
    columns: Any

    def at(self, order: Any) -> Floats:
        """The kernel of re-paired items (n,)."""
        return np.asarray(self.values[self.rows, self.columns[order]])

    def null(self, step: float) -> Null:
        """The exact null of the mean over items."""
        n = len(self.rows)
        a, b = (np.bincount(v, minlength=k).astype(np.float64) for v, k in
                zip((self.rows, self.columns), self.values.shape, strict=True))  # fmt: skip
        by_row, by_column = self.values @ b / n, a @ self.values / n
        mean = float(a @ by_row / n)
        off = self.values - by_row[:, None] - by_column[None, :] + mean
        variance = float(a @ off**2 @ b) / (n - 1) / n**2
        third = float(a @ off**3 @ b) * n / ((n - 1) * max(n - 2, 1)) / n**3
        size = float(np.abs(self.values).max(initial=0.0)) ** 2
        flat = variance <= 1e-24 * size  # all re-pairings score the same, to rounding
        return Null(
            mean=mean,
            std=0.0 if flat else float(np.sqrt(variance)),
            skewness=0.0 if flat else third / variance**1.5,
            n=n,
            source="exact moments over all re-pairings",
            step=step,
        )


def table_of(kernel: Kernel, n: int, seed: int) -> tuple[Table, float, bool]:
    """The table of a kernel, the least difference of two of its means (0: none), and whether it is of all items.

    Sure answers of few classes are counted by class. Of many items, and of kernels that are dear, the table is that of
    items drawn at random.
    """
    if isinstance(kernel, Shared) and (codes := sure(kernel.a)) is not None and (others := sure(kernel.b)) is not None:
        (u, rows), (v, columns) = (np.unique(c, return_inverse=True) for c in (codes, others))
        if max(len(u), len(v)) <= _CLASSES:
            values = kernel.scale * (u[:, None] == v[None, :]).astype(np.float64)
            return Table(values, rows.reshape(-1), columns.reshape(-1)), kernel.scale / n, True
    most = min(MOST_ITEMS, max(_FEWEST_ITEMS, int(np.sqrt(_WORK / kernel.width))))
    drawn = np.random.default_rng([seed, 18]).permutation(n)[:most]
    kept = np.arange(n) if n <= most else np.sort(drawn)
    own = np.arange(len(kept))
    return Table(kernel.table(kept), own, own), 0.0, n <= most


def sure(rows: Rows) -> Any:
    """The one answer of every row, or None where some row has several."""
    one = len(rows.indices) == rows.shape[0] and np.all(np.diff(rows.indptr) == 1) and np.all(rows.data == 1.0)
    return rows.indices if one else None


def judged(kernel: Kernel, repairing: Repairing) -> Judged:
    """The chance level and one-sided p of the mean of a kernel over the items: more alike than when paired anew.

    Counted among all re-pairings of at most 7 items; of two kinds of answers exact (hypergeometric, Fisher's test); of
    others from exact moments, or sampled where no tail is known; sampled where whole groups change places.
    """
    n, sign = repairing.n, -1.0 if kernel.distance else 1.0
    if not repairing.design.free:
        orders = repairing.orders(n)
        null = np.array([kernel.at(order).mean() for order in orders])
        sample = Sample.counted(kernel.at().mean(), null, distance=kernel.distance)
        return Judged(float(sample.mean), float(sample.p_value), f"{sample.source} of whole groups")
    table, step, whole = table_of(kernel, n, repairing.seed)
    n = len(table.rows)
    value = float(table.at(np.arange(n)).mean())
    if step and n > FEW and max(table.values.shape) <= 2:
        return _fisher(table, value)
    few = n <= FEW
    orders = every_order(n) if few else repairing.orders(n)
    drawn = np.array([table.at(order).mean() for order in orders])
    sample = Sample.counted(sign * value, sign * drawn, complete=few, with_observed=few)
    oriented = Table(sign * table.values, table.rows, table.columns)
    found = judge(np.asarray(sign * value), oriented.null(step), sample)
    part = "" if whole else f", of {n:,} of the {repairing.n:,} items, drawn at random"
    return Judged(sign * float(found.chance), float(found.p_value), found.source + part)


def _fisher(table: Table, value: float) -> Judged:
    """Two models of two kinds of answers: agreement is one to one with a hypergeometric count."""
    n = len(table.rows)
    null = table.null(0.0)
    if min(table.values.shape) < 2:
        return Judged(float(null.mean), 1.0, "one of the two always answers the same: every re-pairing is as good")
    first, second = table.rows == 0, table.columns == 0
    both = int(np.sum(first & second))
    # the classes of rows and columns need not be the same two; agreement rises with the count, or falls
    slope = table.values[0, 0] + table.values[1, 1] - table.values[0, 1] - table.values[1, 0]
    law = scipy.stats.hypergeom(n, int(first.sum()), int(second.sum()))
    p = law.sf(both - 1) if slope > 0 else law.cdf(both) if slope < 0 else 1.0
    return Judged(float(null.mean), float(min(p, 1.0)), "exact: hypergeometric, as in Fisher's test")
