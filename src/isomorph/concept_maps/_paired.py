"""Scores of the same items in two cases, such as with an original view and a perturbed one: paired differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..design import Labels, coded, named
from ..errors import InputError
from ..nulls import Moves
from ..population import as_alpha
from ..results import PairedDifference, PairedScores
from ..significance import benjamini_hochberg
from ._covariates import Frame, as_scores, estimates
from ._sums import probed

Floats = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class _Less(Moves):
    """How items move the differences of two cases' scores."""

    b: Moves
    a: Moves

    def sums(self, weights: Floats) -> Floats:
        return np.asarray(self.b.sums(weights) - self.a.sums(weights))

    def twice(self, weights: Floats) -> Floats:
        one_each = np.arange(weights.shape[1])
        return np.array([probed(self.sums, row, one_each).pairs for row in weights])


def paired_items(
    a: Any,
    b: Any,
    labels: Labels | None = None,
    *,
    groups: Labels | None = None,
    a_moves: Moves | None = None,
    b_moves: Moves | None = None,
    a_name: str = "original",
    b_name: str = "perturbed",
    ids: Sequence[str] | None = None,
    alpha: float = 0.05,
) -> PairedScores:
    """How much the scores of the same items differ between two cases, over all items and per label.

    An item has the same neighbours to compare with in both cases, so that differences are much surer than two scores
    with intervals of their own. Compare calibrated scores where the cases differ in n or k.

    Args:
        a: Score of each item in the first case (n,), such as with the original view.
        b: Score of the same items in the second, in the same order.
        labels: One label an item, or None.
        groups: One group an item, whose items are drawn together, or None.
        a_moves: How items move each other's scores in the first case (`Metric.item_scores`), or None: differences of
            unlike items are taken as independent then.
        b_moves: The same in the second; both or none.
        a_name: What the first case is called.
        b_name: What the second is called.
        ids: Ids of the items, for labels and groups that have an index.
        alpha: Intervals cover 1 - alpha.

    Returns:
        Differences b - a with interval and two-sided p; labels with q (Benjamini-Hochberg). A label of one item (or
        within one group) has neither.

    Raises:
        InputError: if scores are no finite numbers, not of as many items, or only one case has moves.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> kind = np.repeat(["animal", "food"], 50)
        >>> a = rng.uniform(0.3, 0.5, size=100)
        >>> b = a - 0.1 * (kind == "food") + 0.05 * rng.normal(size=100)
        >>> [(d.label, round(d.difference, 2), d.q_value < 0.05) for d in paired_items(a, b, kind).labels]
        [('animal', -0.0, False), ('food', -0.11, True)]
    """
    level = 1 - as_alpha(alpha)
    first, second = as_scores(a, "a"), as_scores(b, "b")
    n = len(first)
    if len(second) != n:
        raise InputError(f"a has {n} scores and b has {len(second)}; both need one of each item, in the same order.")
    if (a_moves is None) != (b_moves is None):
        raise InputError("a_moves and b_moves go together: give both, as item_scores of both cases have them, or none.")
    moves = None if a_moves is None or b_moves is None else _Less(b_moves, a_moves)
    frame = Frame(np.arange(n), n, None if groups is None else coded(groups, n, "groups", ids=ids), moves)
    codes, names = (np.zeros(n, dtype=np.int64), ()) if labels is None else named(labels, n, "labels", ids=ids)
    rows = [_difference(name, np.flatnonzero(codes == k), first, second, frame, level) for k, name in enumerate(names)]
    known = [k for k, row in enumerate(rows) if row.p_value is not None]
    if known:
        for k, q in zip(known, benjamini_hochberg([rows[k].p_value for k in known]), strict=True):
            rows[k] = dataclasses.replace(rows[k], q_value=float(q))
    whole = _difference("all", np.arange(n), first, second, frame, level)
    return PairedScores(a_name, b_name, whole, tuple(rows), level, frame.over)


def _difference(label: str, rows: Any, a: Floats, b: Floats, frame: Frame, level: float) -> PairedDifference:
    """The mean difference of some items."""
    found, k = (b - a)[rows], len(rows)
    fit = frame.fit(found, np.full((k, 1), k**-0.5), rows)
    value, low, high, p = estimates(fit, np.full((1, k), 1 / k), level)[0]
    return PairedDifference(label, k, float(a[rows].mean()), float(b[rows].mean()), float(value or 0.0), low, high, p)
