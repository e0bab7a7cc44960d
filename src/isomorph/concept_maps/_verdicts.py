"""Shared, bound to a modality, or unstable: what ceilings make of agreement across modalities.

With a the chance-corrected agreement across modalities, and c_x and c_y that within each, over models:

- a concept is *stable* in x where the interval of c_x lies above `stable` (in y likewise), and unstable there where it
  lies below; what is seen alike across modalities, with the interval of a above `stable`, is stable in both;
- stable in both: *shared* where the interval of a - `shared` · √(c_x c_y) lies above 0, *bound to both* (each modality
  has a way of its own to see it) where it lies below;
- stable in x, unstable in y: *bound to x*; the other way round *bound to y*; unstable in both: *unstable*;
- all else: *undecided*.

The three scores are of the same items, so that the interval of their contrast is that of paired scores.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._core.distributions import t_isf
from ..results import BOUND_TO_BOTH, BOUND_TO_X, BOUND_TO_Y, SHARED, UNDECIDED, UNSTABLE

Floats = np.ndarray[Any, Any]
_HOPELESS = 0.05  # of the distance that decides: 400 times the items is no advice


class Scored(NamedTuple):
    """Chance-corrected scores with their errors.

    Attributes:
        values: The scores (m,).
        errors: Standard errors.
        degrees: Degrees of freedom of t.
        deviations: What each unit adds, (m, units), or None where the scores are independent.
    """

    values: Floats
    errors: Floats
    degrees: Floats
    deviations: Floats | None


class Ruled(NamedTuple):
    """Verdicts.

    Attributes:
        verdicts: One a row.
        shares: a / √(c_x c_y); NaN where a ceiling is not shown to be above 0.
        needed: How many times as many items would decide an undecided row; NaN where none is needed, or none would.
    """

    verdicts: tuple[str, ...]
    shares: Floats
    needed: Floats


def verdicts(across: Scored, x: Scored, y: Scored, *, shared: float, stable: float, alpha: float) -> Ruled:
    """The verdict on each row, by the rules above."""
    ceiling = np.sqrt(np.maximum(x.values, 0.0) * np.maximum(y.values, 0.0))
    known = ceiling > 0
    safe = np.where(known, ceiling, 1.0)
    contrast = across.values - shared * ceiling
    slope_x = np.where(known, -shared * y.values / (2 * safe), 0.0)
    slope_y = np.where(known, -shared * x.values / (2 * safe), 0.0)
    if across.deviations is None or x.deviations is None or y.deviations is None:
        variance = across.errors**2 + (slope_x * x.errors) ** 2 + (slope_y * y.errors) ** 2
    else:
        moved = across.deviations + slope_x[:, None] * x.deviations + slope_y[:, None] * y.deviations
        variance = np.sum(moved**2, axis=1)
    degrees = np.minimum(np.minimum(across.degrees, x.degrees), y.degrees)
    tests = {
        "x": _beyond(x.values - stable, x.errors, x.degrees, alpha),
        "y": _beyond(y.values - stable, y.errors, y.degrees, alpha),
        "a": _beyond(across.values - stable, across.errors, across.degrees, alpha),
        "share": _beyond(contrast, np.sqrt(variance), degrees, alpha),
    }
    seen = tests["a"] > 1
    in_x, in_y = (np.where(seen, np.inf, tests[s]) for s in ("x", "y"))
    found: list[str] = []
    needed = np.full(len(across.values), np.nan)
    for i in range(len(across.values)):
        verdict, left_open = _rule(in_x[i], in_y[i], tests["share"][i])
        found.append(verdict)
        if verdict == UNDECIDED and min(map(abs, left_open)) > _HOPELESS:
            needed[i] = max(1 / t**2 for t in left_open)
    above = [_beyond(side.values, side.errors, side.degrees, alpha) > 1 for side in (x, y)]
    shares = np.where(above[0] & above[1], across.values / safe, np.nan)
    return Ruled(tuple(found), shares, needed)


def _rule(x: float, y: float, share: float) -> tuple[str, list[float]]:
    """The verdict of one row, and the tests that leave it open, each in units of what it takes."""
    left_open = [t for t in (x, y) if abs(t) <= 1]
    if left_open:
        return UNDECIDED, left_open
    if x > 1 and y > 1:
        if abs(share) > 1:
            return (SHARED if share > 0 else BOUND_TO_BOTH), []
        return UNDECIDED, [share]
    return (BOUND_TO_X if x > 1 else BOUND_TO_Y if y > 1 else UNSTABLE), []


def _beyond(values: Floats, errors: Floats, degrees: Floats, alpha: float) -> Floats:
    """Distance from 0 over the half width of the interval: beyond ±1 where the interval does not hold 0."""
    reach = t_isf(alpha / 2, degrees) * errors
    known = np.where(values > 0, np.inf, np.where(values < 0, -np.inf, 0.0))  # without error
    return np.asarray(np.where(reach > 0, values / np.where(reach > 0, reach, 1.0), known))
