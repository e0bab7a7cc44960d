"""What a specialist and a pool of models say of each other: nested, overlapping, disjoint or equivalent."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np

from .._core.checks import is_finite
from ..errors import InputError, quoted
from ._dyads import Interval, as_alpha

Floats = np.ndarray[Any, Any]
Relation = Literal["equivalent", "nested", "overlapping", "disjoint"]


@dataclasses.dataclass(frozen=True, eq=False)
class Direction:
    """How much a specialist and a pool say of each other, and what that makes of them.

    Attributes:
        relation: ``"equivalent"``: either predicts the other; ``"nested"``: one predicts the other and not the other
            way round; ``"disjoint"``: neither predicts the other more than chance; ``"overlapping"``: anything between.
        inner: Of what is nested, the side that the other predicts: ``"specialist"`` or ``"pool"``; else None.
        settled: Whether every corner of the two intervals gives the same relation.
        forward: Mean share of the specialist's variance that the pool's models predict (R² above chance, of what
            chance leaves), at most 1.
        backward: The same of the pool's models by the specialist.
        forward_interval: Its interval over models of the pool.
        backward_interval: The same backwards.
        high: Share from which one side is called predicted.
        low: Share up to which it is called not predicted.

    Example:
        >>> found = directions([0.81, 0.78, 0.9], [0.03, 0.01, 0.05])  # the pool says the specialist, not it the pool
        >>> found.relation, found.inner, found.settled, round(found.forward, 2)
        ('nested', 'specialist', True, 0.83)
    """

    relation: Relation
    inner: Literal["specialist", "pool"] | None
    settled: bool
    forward: float
    backward: float
    forward_interval: Interval
    backward_interval: Interval
    high: float
    low: float

    @property
    def told(self) -> str:
        """What was found, in a sentence."""
        shares = (
            f"the pool predicts {self.forward:.0%} of the specialist, the specialist {self.backward:.0%} of the pool"
        )
        word = {
            "equivalent": "Either predicts the other",
            "nested": f"The {self.inner} is nested in the other side",
            "disjoint": "Neither predicts the other",
            "overlapping": "They overlap in part",
        }[self.relation]
        return f"{word}: {shares}" + ("." if self.settled else "; other pools could give another word.")


def directions(
    forward: Any, backward: Any, *, chance: Any = (0.0, 0.0), high: float = 0.5, low: float = 0.1, alpha: float = 0.05
) -> Direction:
    """Whether a specialist and a pool are nested, overlapping, disjoint or equivalent, by linear predictivity.

    A held-out R² is first brought above chance: (R² - chance) / (1 - chance). The means over the pool decide.

    Args:
        forward: Held-out R² of predicting the specialist from each model of the pool (pool,), at most 1.
        backward: Held-out R² of predicting each model of the pool from the specialist (pool,).
        chance: Two numbers or two vectors (pool,): the same R² forward and backward of a control, such as permuted
            items. Held-out R² of noise is 0 or less, so the default is careful.
        high: Share from which a side is called predicted.
        low: Share up to which it is called not predicted.
        alpha: Intervals (t, over models of the pool) cover 1 - alpha.

    Raises:
        InputError: if there are fewer than three models in the pool, an R² is above 1 or not finite, a chance is 1 or
            more, or not 0 <= low < high <= 1.

    Example:
        >>> directions([0.3, 0.25, 0.4], [0.2, 0.3, 0.3]).relation
        'overlapping'
    """
    if not (is_finite(high) and is_finite(low) and 0 <= low < high <= 1):
        raise InputError(f"low={quoted(low)} and high={quoted(high)}: 0 <= low < high <= 1 is needed.")
    alpha = as_alpha(alpha)
    try:
        expected = list(chance)
    except TypeError as reason:
        raise InputError(f"chance takes two figures, forward and backward, found {quoted(chance)}.") from reason
    if len(expected) != 2:
        raise InputError(f"chance takes two figures, forward and backward, found {len(expected)}.")
    sides = [
        _shares(r2, of, what)
        for r2, of, what in zip((forward, backward), expected, ("forward", "backward"), strict=True)
    ]
    if len(sides[0]) != len(sides[1]):
        raise InputError(f"forward has {len(sides[0])} models and backward {len(sides[1])}; both speak of one pool.")
    found = [Interval.of(v.mean(), v.std(ddof=1) / math.sqrt(len(v)), len(v) - 1, alpha) for v in sides]
    means = [float(v.mean()) for v in sides]
    corners = {_relation(a, b, high, low) for a in (means[0], *found[0][:2]) for b in (means[1], *found[1][:2])}
    relation, inner = _relation(means[0], means[1], high, low)
    return Direction(relation, inner, len(corners) == 1, means[0], means[1], found[0], found[1], high, low)


def _shares(r2: Any, chance: Any, what: str) -> Floats:
    found = np.asarray(r2, dtype=np.float64)
    if found.ndim != 1 or len(found) < 3:
        raise InputError(f"{what} has shape {found.shape}; one R² for each of at least 3 models of the pool is needed.")
    expected = np.asarray(chance, dtype=np.float64)
    if expected.shape not in ((), found.shape):
        raise InputError(f"chance ({what}) has shape {expected.shape}; one figure or one for each R² is needed.")
    if not np.isfinite(found).all() or found.max() > 1 + 1e-9:
        raise InputError(f"{what}: R² must be finite and at most 1, found {quoted(found.tolist())}.")
    if not np.isfinite(expected).all() or expected.max() >= 1:
        raise InputError(f"chance ({what}) must be finite and below 1, found {quoted(expected.tolist())}.")
    # predictions worse than the mean say as little as the mean
    return np.asarray(np.maximum(found - expected, 0) / (1 - expected))


def _relation(
    forward: float, backward: float, high: float, low: float
) -> tuple[Relation, Literal["specialist", "pool"] | None]:
    if min(forward, backward) >= high:
        return "equivalent", None
    if max(forward, backward) <= low:
        return "disjoint", None
    if max(forward, backward) >= high and min(forward, backward) <= low:
        return "nested", "specialist" if forward > backward else "pool"
    return "overlapping", None
