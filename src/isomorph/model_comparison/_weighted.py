"""Comparisons of RDMs under weights of the items: what a bootstrap over items asks for a thousand times.

An item that is drawn twice gives each of its pairs twice, and the pair of its two copies is left out: their
dissimilarity is 0 by construction. So a drawn RDM is the given one with weight wᵢ wⱼ on the entry of items i and j, and
nothing is copied or sorted anew: ranks under weights are sums of weights below (mid-ranks), counted from codes that are
made once.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property
from typing import Any

import numpy as np

from ..metrics.rdm import RANKED, comparison_scores, shared_entries

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

UNCENTERED = ("cosine", "whitened_cosine")
_BINS = 1 << 11
"""Values that are told apart in the ranks of a sample; of more, neighbours share a mean rank. That moves a subject's
score by about 1 / (bins √entries), far less than samples differ; the scores that are reported are ranked by sorting."""


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Condensed RDMs as rows, ready to be compared under any weights.

    Attributes:
        values: Dissimilarities (rows, entries), NaN where missing.
        comparison: How they will be compared.

    Example:
        >>> rows = Rows(np.array([[3.0, 1.0, 1.0], [1.0, 2.0, np.nan]]), "spearman")
        >>> rows.codes.tolist(), [(members.tolist(), known.tolist()) for members, known in rows.parts]
        ([[1, 0, 0], [0, 1, 0]], [([0], [True, True, True]), ([1], [True, True, False])])
    """

    values: Floats
    comparison: str

    @cached_property
    def codes(self) -> Any:
        """The place of each entry among the values of its row that are told apart, from 0; 0 where it is missing."""
        out = np.zeros(self.values.shape, dtype=np.int32)
        for k, row in enumerate(self.values):
            known = ~np.isnan(row)
            out[k, known] = _binned(_places(row[known]).astype(np.float64))
        return out

    @cached_property
    def parts(self) -> list[tuple[Ints, Any]]:
        """Rows that have the same entries, and which entries these are."""
        known = ~np.isnan(self.values)
        found: dict[bytes, list[int]] = {}
        for k, row in enumerate(known):
            found.setdefault(row.tobytes(), []).append(k)
        return [(np.array(members), known[members[0]]) for members in found.values()]

    @property
    def gaps(self) -> bool:
        """Whether an entry is missing."""
        return not (len(self.parts) == 1 and bool(self.parts[0][1].all()))


class Weights:
    """Entries that a draw of items has, and how often.

    Args:
        items: How often each item was drawn (n,).
        pairs: The items of each entry, as `np.triu_indices` gives them.
    """

    def __init__(self, items: Any, pairs: tuple[Any, Any]) -> None:
        weights = items[pairs[0]] * items[pairs[1]]
        self.entries = np.flatnonzero(weights)
        self.weights = weights[self.entries].astype(np.float64)
        self.whole = len(self.entries) == len(weights)

    def of(self, table: Any) -> Any:
        """The columns of a table (rows, entries) that the draw has."""
        return table if self.whole else table.take(self.entries, axis=-1)


def raw(rows: Rows, members: Ints, weights: Weights, kept: Any) -> Floats:
    """What is compared of some rows over the kept entries of a draw: mid-ranks under the weights, or the values.

    Args:
        rows: All rows.
        members: Which of them.
        weights: The draw.
        kept: Which of its entries all these rows have, or None for all.
    """
    own = weights.weights if kept is None else weights.weights[kept]
    if rows.comparison not in RANKED:
        values = weights.of(rows.values[members])
        return np.asarray(values if kept is None else values[:, kept])
    codes = weights.of(rows.codes[members])
    codes = codes if kept is None else codes[:, kept]
    out = np.empty(codes.shape)
    for code, row in zip(codes, out, strict=True):
        row[:] = midranks(code, own)
    return out


def midranks(codes: Any, weights: Floats) -> Floats:
    """Ranks of entries that are there as often as their weights say; ties share the mean of theirs.

    Args:
        codes: Whole numbers from 0 in the order of the entries, equal for ties.
        weights: How often each entry is there.

    Example:
        >>> midranks(np.array([0, 1, 1]), np.array([2.0, 1.0, 1.0]))  # 0, 0, 1, 1
        array([1.5, 3.5, 3.5])
    """
    count = np.bincount(codes, weights=weights)
    return np.asarray((count.cumsum() - (count - 1) / 2).take(codes))


def rank_score(mean: Floats, own: Floats, weights: Floats, comparison: str) -> float:
    """Rank correlation of a mean of mid-ranks, which is ranked in its turn, with one RDM.

    Args:
        mean: The mean (entries,).
        own: The RDM, ready, times the root of the weights.
        weights: How often each entry is there.
        comparison: ``"spearman"`` or ``"rho_a"``.
    """
    codes = _binned(mean)
    count = np.bincount(codes, weights=weights)
    above = count.cumsum()
    ranks, total = above - (count - 1) / 2, above[-1]
    norm = float(count @ (ranks - (total + 1) / 2) ** 2) if comparison == "spearman" else (total**3 - total) / 12
    return float(ranks.take(codes) @ own) / math.sqrt(norm) if norm > 0 else math.nan


def ready(found: Floats, weights: Floats, comparison: str) -> Floats:
    """Rows whose inner products are the scores; NaN where a row is constant over the draw.

    Args:
        found: Mid-ranks or values (rows, entries), see `raw`.
        weights: How often each entry is there.
        comparison: How RDMs are compared.
    """
    if comparison.startswith("whitened"):
        return np.stack([shared_entries(v, v, comparison)[0] for v in found])  # only ever of all items once
    total, root = weights.sum(), np.sqrt(weights)
    if comparison in UNCENTERED:
        out = found * root
        size = norm = np.einsum("rp,rp->r", out, out)
    else:
        means = np.full(len(found), (total + 1) / 2) if comparison in RANKED else found @ weights / total
        out = found - means[:, None]
        out *= root
        norm = np.einsum("rp,rp->r", out, out)
        size = norm + total * means**2
    flat = norm <= 1e-24 * size
    scale = np.full(len(found), 12 / (total**3 - total)) if comparison == "rho_a" else 1 / np.where(flat, 1.0, norm)
    out *= np.where(flat, np.nan, np.sqrt(scale))[:, None]
    return np.asarray(out)


def scaled(found: Floats, weights: Floats, comparison: str) -> Floats:
    """Rows in the units in which their mean is the best RDM for the comparison, as `scaled_rdms` has them."""
    total = weights.sum()
    if comparison in RANKED:
        return np.asarray(found / total)
    if comparison not in UNCENTERED:
        found = found - (found @ weights / total)[:, None]
    spread = np.sqrt((found * found) @ weights / total)
    return np.asarray(found / np.where(spread > 0, spread, 1.0)[:, None])


def products(a: Floats, b: Floats, weights: Floats, comparison: str) -> Floats:
    """Scores of all pairs of rows (a, b) of values or ranks under weights."""
    if comparison == "kendall":
        times = weights.astype(np.int64)
        return comparison_scores(np.repeat(a, times, axis=1), np.repeat(b, times, axis=1), comparison)
    return np.asarray(ready(a, weights, comparison) @ ready(b, weights, comparison).T)


def _places(row: Floats) -> Any:
    """Codes of the values of a row; values that differ by no more than rounding share one."""
    order = np.argsort(row)
    values = row[order] / np.abs(row).max(initial=1e-300)
    new = np.diff(values) > 16 * np.finfo(np.float64).eps * (1 + np.abs(values[1:]))
    out = np.empty(len(row), dtype=np.intp)
    out[order] = np.concatenate([[0], np.cumsum(new)]) if len(row) else 0
    return out


def _binned(row: Floats) -> Any:
    """The same where there are few, else places in bins of equal width: no sort, for what is ranked once."""
    if len(row) <= _BINS:
        return _places(row)
    low, high = row.min(), row.max()
    return ((row - low) * ((_BINS - 1) / (high - low) if high > low else 0.0)).astype(np.intp)
