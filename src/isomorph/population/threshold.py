"""From which rung of a ladder on scores are above their reference, and at which rung do they stop growing?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.distributions import normal_ppf, t_ppf
from ..errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]

POWER = 0.8
"""With which probability the items that would be needed show a difference of the size that was seen."""


class Leaving(NamedTuple):
    """The rung from which on scores are above their reference.

    Attributes:
        rung: Its position, or None.
        low: Lowest rung of the interval, None where none is found in most draws.
        high: Highest.
        found: Share of the draws in which there is such a rung.
        lower: Lower bounds of the differences, for all rungs at once.
        factor: Where there is none: how many times the items would be needed to show the last rung's difference,
            without which there is none, or None where it is not above 0.

    Example:
        >>> found = leaving([-0.01, 0.02, 0.03], 0.02 * np.eye(3))
        >>> found.rung is None, round(found.factor, 1)  # with three times the items it would be seen
        (True, 2.7)
    """

    rung: int | None
    low: int | None
    high: int | None
    found: float
    lower: Floats
    factor: float | None


def leaving(
    differences: Sequence[float] | Floats,
    deviations: Floats,
    *,
    degrees: float = math.inf,
    alpha: float = 0.05,
    draws: int = 2_000,
    seed: int = 0,
) -> Leaving:
    """The least rung from which on every rung lies above its reference.

    Rungs are tested from the largest down (a fixed sequence, so that each is tested at alpha and no correction is
    needed: Maurer, Hothorn and Lehmacher 1995): the threshold is the last one before the first that is not shown to be
    above. Its interval is that of the same rule on scores drawn anew with the covariance of the scores over items.

    Args:
        differences: Score less its reference, one a rung, by rising attribute; higher is more alike.
        deviations: How they move with items, (units, rungs).
        degrees: Degrees of freedom of these.
        alpha: One-sided level of every test; the interval covers 1 - alpha.
        draws: How often scores are drawn anew.
        seed: Seed of these.

    Raises:
        InputError: if there are fewer than two rungs.

    Example:
        >>> found = leaving([0.0, 0.01, 0.2, 0.3], 0.02 * np.eye(4))
        >>> found.rung, found.low, found.high, round(found.found, 2)
        (2, 1, 2, 1.0)
    """
    gap = np.asarray(differences, dtype=np.float64)
    if len(gap) < 2:
        raise InputError(f"A threshold needs at least two rungs, found {len(gap)}.")
    error = np.sqrt(np.sum(deviations**2, axis=0))
    quantile = float(t_ppf(1 - alpha, degrees))
    lower = gap - quantile * error
    rung = _first(lower > 0)
    rng = np.random.default_rng([seed, 31])
    moved = gap + rng.standard_normal((draws, len(deviations))) @ deviations
    rungs = [_first(row > quantile * error) for row in moved]
    some = sorted(r for r in rungs if r is not None)
    low = high = None
    if rung is not None and some:
        tail = alpha / 2
        low = some[math.floor(tail * (len(some) - 1))]
        high = some[math.ceil((1 - tail) * (len(some) - 1))]
    factor = None
    if rung is None and gap[-1] > 0 and error[-1] > 0:  # the last rung must be shown first
        factor = max(1.0, float(((quantile + normal_ppf(POWER)) * error[-1] / gap[-1]) ** 2))
    return Leaving(rung, low, high, len(some) / draws, lower, factor)


class Further(NamedTuple):
    """How many rungs more a ladder would need for its last one to be shown above its reference.

    Attributes:
        steps: Rungs beyond the last, each a mean step of the ladder further; None where it cannot be said.
        lacking: Why it cannot.

    Example:
        >>> further(range(4), [-0.03, -0.02, -0.01, 0.0], 0.01 * np.eye(4))
        Further(steps=3, lacking='')
    """

    steps: int | None
    lacking: str = ""


def further(
    places: Sequence[float] | Floats,
    differences: Sequence[float] | Floats,
    deviations: Floats,
    *,
    degrees: float = math.inf,
    alpha: float = 0.05,
) -> Further:
    """How many rungs more would show a difference, if differences went on along their line at the last one's error.

    The straight line through the differences is followed until one is reached that would be shown, one-sided at alpha,
    in 80 of 100 samples of the items. Nothing is said where the line is not shown to rise, or would have to be followed
    farther beyond the ladder than the ladder is long: no line can be trusted there.

    Args:
        places: Where each rung is, rising; logarithms where the attribute at least doubles.
        differences: Score less its reference, one a rung; higher is more alike.
        deviations: How they move with items, (units, rungs).
        degrees: Degrees of freedom of these.
        alpha: One-sided level.

    Raises:
        InputError: if there are fewer than three rungs.

    Example:
        >>> further(range(4), [0.01, 0.0, 0.01, 0.0], 0.02 * np.eye(4)).lacking
        'the differences are not shown to rise along these rungs'
    """
    x, gap = np.array(list(places), dtype=np.float64), np.asarray(differences, dtype=np.float64)
    if len(gap) < 3:
        raise InputError(f"Whether differences rise can be asked of at least three rungs, found {len(gap)}.")
    weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    slope, error = float(weights @ gap), float(np.linalg.norm(deviations @ weights))
    quantile = float(t_ppf(1 - alpha, degrees))
    if not slope > quantile * error:
        return Further(None, "the differences are not shown to rise along these rungs")
    wanted = (quantile + normal_ppf(POWER)) * float(np.linalg.norm(deviations[:, -1]))
    end = float(gap.mean() + slope * (x[-1] - x.mean()))
    step = float(x[-1] - x[0]) / (len(x) - 1)
    steps = max(1, math.ceil((wanted - end) / (slope * step) - 1e-9))
    if steps > len(x) - 1:
        return Further(None, "they lie farther beyond the last rung than this ladder is long, where no line is trusted")
    return Further(steps)


def _first(passes: Any) -> int | None:
    """The least rung from which on all pass."""
    behind = np.flatnonzero(~np.asarray(passes))
    start = int(behind[-1]) + 1 if behind.size else 0
    return start if start < len(passes) else None


class Saturation(NamedTuple):
    """The rung at which growth ends.

    Attributes:
        rung: Its position, or None where scores still grow at the last step, or do not grow at all.
        support: Share of the draws that end there.
        fitted: Isotonic fit, one a rung.
        grows: Whether the last rung is shown to be above the first.

    Example:
        >>> found = saturation([0.3, 0.31, 0.3], 0.02 * np.eye(3))
        >>> found.rung, found.grows  # nothing grows
        (None, False)
    """

    rung: int | None
    support: float
    fitted: Floats
    grows: bool


def saturation(
    scores: Sequence[float] | Floats,
    deviations: Floats,
    *,
    degrees: float = math.inf,
    alpha: float = 0.05,
    draws: int = 500,
    seed: int = 0,
) -> Saturation:
    """The least rung above which no further growth is shown, on the isotonic fit.

    Growth from a rung to the last one is tested at alpha, from the first rung up, in a fixed sequence: growth ends at
    the first rung that the last is not shown to exceed. What is not shown is not shown to be absent.

    Args:
        scores: One a rung, by rising attribute.
        deviations: How they move with items, (units, rungs).
        degrees: Degrees of freedom of these.
        alpha: One-sided level.
        draws: How often scores are drawn anew, for the support.
        seed: Seed of these.

    Raises:
        InputError: if there are fewer than three rungs.

    Example:
        >>> found = saturation([0.1, 0.3, 0.5, 0.51], 0.02 * np.eye(4))
        >>> found.rung, found.grows, found.fitted.round(2).tolist()
        (2, True, [0.1, 0.3, 0.5, 0.51])
    """
    y = np.asarray(scores, dtype=np.float64)
    if len(y) < 3:
        raise InputError(f"Where growth ends can be asked of at least three rungs, found {len(y)}.")
    fitted = isotonic(y)
    rest = deviations[:, -1:] - deviations
    error = np.sqrt(np.sum(rest**2, axis=0))
    quantile = float(t_ppf(1 - alpha, degrees))

    def ends(values: Floats) -> int | None:
        level = np.flatnonzero(~(values[-1] - values > quantile * error))
        first = int(level[0])
        return first if 0 < first < len(values) - 1 else None

    grows = bool(y[-1] - y[0] > quantile * error[0])
    rung = ends(y) if grows else None
    rng = np.random.default_rng([seed, 37])
    moved = y + rng.standard_normal((draws, len(deviations))) @ deviations
    counts = Counter(ends(row) for row in moved)
    return Saturation(rung, counts[rung] / draws, fitted, grows)


def isotonic(values: Sequence[float] | Floats) -> Floats:
    """The nearest sequence that never falls, by pooling adjacent violators.

    Example:
        >>> isotonic([1.0, 3.0, 2.0, 4.0]).tolist()
        [1.0, 2.5, 2.5, 4.0]
    """
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(np.asarray(values, dtype=np.float64)).x)
