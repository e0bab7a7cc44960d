"""How scores of models change with a number that models have: slopes with intervals over items, models and both.

Two things vary. Other *items* would move all scores of the models at hand, together, since they share their items;
other *models* of the same size would have other scores. The slope is linear in the scores, so that its variance over
items is a quadratic form of how the scores move together, and what the scatter about the line shows beyond it is the
models' own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations as orders_of
from typing import Any, NamedTuple

import numpy as np
import scipy

from .._core.distributions import t_ppf
from ..errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]

ENUMERATED = 20_000
"""Orders of the rungs up to which all are tried."""
LEAST_RUNGS = 4
"""Different values of the attribute from which on a trend is tested: of three, six orders give no p below 1/6."""


class Line(NamedTuple):
    """A fitted slope.

    Attributes:
        value: Change of the score for one unit of the attribute.
        models: Number of models.
        items: Interval over items, these models held fixed; None where it is not known how scores move with items.
        over_models: Interval over models, by the scatter about the line; None where nothing is left to scatter.
        both: Interval over both.
        p_value: Two-sided p of no trend, by permutation of the models (inside families); None of too few rungs.
        rank: Spearman's rank correlation (of the ranks inside families).
        source: Where p comes from.

    Example:
        >>> found = fit_line([0, 1, 2], [0.1, 0.2, 0.4])
        >>> round(found.value, 2), found.models, found.p_value is None  # three rungs carry no test
        (0.15, 3, True)
    """

    value: float
    models: int
    items: tuple[float, float] | None
    over_models: tuple[float, float] | None
    both: tuple[float, float] | None
    p_value: float | None
    rank: float
    source: str


def fit_line(
    attribute: Sequence[float] | Floats,
    scores: Sequence[float] | Floats,
    *,
    deviations: Floats | None = None,
    families: Sequence[int] | Any | None = None,
    degrees_of_items: float = math.inf,
    level: float = 0.95,
    permutations: int = 9_999,
    seed: int = 0,
) -> Line:
    """The slope of scores on an attribute by least squares, with a level of its own for each family.

    Args:
        attribute: One number a model.
        scores: One score a model.
        deviations: How the scores move with items, (units, models): the covariance of the scores over samples of items
            is the product of this with itself.
        families: One number a model; slopes are then within families.
        degrees_of_items: Degrees of freedom of `deviations`.
        level: Coverage of the intervals.
        permutations: Orders of the models that are sampled where there are more than 20,000.
        seed: Seed of these.

    Raises:
        InputError: if there are fewer than two models, or the attribute does not vary (inside any family).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = np.arange(6.0)
        >>> found = fit_line(x, 0.1 * x + 0.01 * rng.normal(size=6), deviations=0.01 * np.eye(6))
        >>> round(found.value, 2), round(found.p_value, 4), found.source
        (0.1, 0.0028, 'all 720 orders of the models')
        >>> tuple(round(v, 3) for v in found.items)
        (0.095, 0.105)
    """
    x, y = np.asarray(attribute, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    codes = np.zeros(len(x), dtype=np.int64) if families is None else np.asarray(families)
    if len(x) < 2 or len(x) != len(y):
        raise InputError(f"A trend needs one attribute and one score of each of two models or more, found {len(x)}.")
    centered = _within(x, codes)
    spread = float(centered @ centered)
    if not spread > 1e-24 * max(float(x @ x), np.finfo(np.float64).tiny):
        inside = " inside any family" if families is not None else ""
        raise InputError(f"The attribute has one value{inside}, {x[0]:g}; a trend needs at least two.")
    weights = centered / spread
    value = float(weights @ y)
    degrees = len(x) - len(np.unique(codes)) - 1
    scatter = _within(y, codes) - value * centered
    rss, exact = float(scatter @ scatter), float(np.sum(weights**2))
    items = both = over_models = None
    over_items = moved = 0.0
    if deviations is not None:
        over_items = float(np.sum((deviations @ weights) ** 2))
        moved = float(sum(np.sum(_residual(row, codes, centered) ** 2) for row in deviations))
        items = _interval(value, over_items, degrees_of_items, level)
    if degrees > 0:
        over_models = _interval(value, rss / degrees * exact, degrees, level)
        unseen = max(over_items - moved / degrees * exact, 0.0)  # of what items do, the scatter shows the rest
        both = _interval(value, rss / degrees * exact + unseen, degrees, level)
    p, source = None, "too few rungs for a test"
    if len(np.unique(x)) >= LEAST_RUNGS or (families is not None and degrees >= LEAST_RUNGS):
        p, source = _permuted(centered, y, codes, permutations, seed)
    return Line(value, len(x), items, over_models, both, p, _rank(x, y, codes), source)


def _within(values: Floats, codes: Any) -> Floats:
    """Values about the mean of their family."""
    found = values.astype(np.float64)
    for code in np.unique(codes):
        found[codes == code] -= found[codes == code].mean()
    return found


def _residual(values: Floats, codes: Any, centered: Floats) -> Floats:
    inner = _within(values, codes)
    return np.asarray(inner - centered * (centered @ inner) / (centered @ centered))


def _interval(value: float, variance: float, degrees: float, level: float) -> tuple[float, float]:
    quantile = t_ppf((1 + level) / 2, degrees)
    half = float(quantile) * math.sqrt(max(variance, 0.0))
    return value - half, value + half


def _permuted(centered: Floats, y: Floats, codes: Any, count: int, seed: int) -> tuple[float, str]:
    """P of the absolute slope among orders of the scores inside families."""
    parts = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    total = math.prod(math.factorial(len(p)) for p in parts)
    observed = abs(float(centered @ y))
    slack = 1e-9 * float(np.abs(centered) @ np.abs(y))
    if total <= ENUMERATED:
        sums = np.zeros(1)
        for rows in parts:  # the sum over families of every combination of their orders
            own = np.array([centered[rows] @ y[list(order)] for order in orders_of(rows)])
            sums = (sums[:, None] + own[None, :]).ravel()
        return float(np.mean(np.abs(sums) >= observed - slack)), f"all {total:,} orders of the models"
    rng = np.random.default_rng([seed, 29])
    reached = 0
    for _ in range(count):
        moved = y.copy()
        for rows in parts:
            moved[rows] = y[rng.permutation(rows)]
        reached += abs(float(centered @ moved)) >= observed - slack
    return (1 + reached) / (1 + count), f"{count:,} orders of the models"


def _rank(x: Floats, y: Floats, codes: Any) -> float:
    """Spearman's correlation, of ranks about their family's mean."""
    a, b = np.empty(len(x)), np.empty(len(x))
    for code in np.unique(codes):
        rows = codes == code
        a[rows], b[rows] = scipy.stats.rankdata(x[rows]), scipy.stats.rankdata(y[rows])
    a, b = _within(a, codes), _within(b, codes)
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0 else 0.0
