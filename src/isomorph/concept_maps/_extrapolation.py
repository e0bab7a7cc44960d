"""Where a share goes as the gallery grows without end: several curves, and what none of them knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from .._core.distributions import chi2_isf, chi2_sf, t_ppf
from ..results import Extrapolation, Limit

Floats = np.ndarray[Any, Any]

FACTOR = 8
"""The range of sizes from which on an extrapolation is tried."""
_SETTLES = {"1/n": -1.0, "1/√n": -0.5, "1/⁴√n": -0.25}  # a limit, and a distance from it that falls so
_LOGARITHM, _TO_NOTHING = "1/log n", "to 0 as a power of n"
_RIDGE = 1e-4  # of the variances, added so that points that move together do not outweigh all else


def extrapolate(
    metric: str, sizes: Floats, shares: Floats, covariance: Floats, degrees: float, alpha: float
) -> Extrapolation:
    """The share in an infinite gallery, and its change for a doubling of the gallery seen.

    Curves that come to a limit as 1/n, 1/√n, the fourth root and the logarithm of n do, and, where the share is shown
    to fall, one that falls to 0 as a power of n, are fitted by generalised least squares. Those that the points do not
    contradict (p of the squared deviations above alpha) make the interval: from the lowest bound of any to the highest.
    Where all are contradicted they all count, each with an interval that is wider by its misfit.

    Args:
        metric: Spec of the metric.
        sizes: Numbers of items (points,), rising.
        shares: Shares of the ceiling (points,).
        covariance: Their covariance over items (points, points).
        degrees: Degrees of freedom of that.
        alpha: Intervals cover 1 - alpha.

    Example:
        >>> sizes = np.array([50.0, 100, 200, 400, 800])
        >>> found = extrapolate("cka", sizes, 0.4 + 10 / sizes, 1e-4 * (np.eye(5) + 1), 400, 0.05)
        >>> found.falls, round(found.value, 1), len(found.fits) > 1, found.low < 0.4 < found.high
        (True, 0.4, True, True)
    """
    quantile = float(t_ppf(1 - alpha / 2, degrees))
    held = covariance + _RIDGE * np.diag(np.diagonal(covariance))
    fit = _fitted(np.column_stack([np.ones(len(sizes)), np.log2(sizes)]), shares, held)
    change, error = float(fit[0][1]), float(np.sqrt(fit[1][1, 1]))
    # a straight line in log n that does not fit has a slope that is less certain
    error *= max(1.0, float(np.sqrt(fit[2] / max(len(sizes) - 2, 1))))
    span = (change, change - quantile * error, change + quantile * error)
    reach = sizes[-1] / sizes[0]
    if reach < FACTOR * (1 - 1e-9):
        lacking = f"sizes span a factor of {reach:.3g}, and {FACTOR} is needed"
        return Extrapolation(metric, *span, None, None, None, (), (), 1 - alpha, lacking)
    if len(sizes) < 4:
        lacking = f"{len(sizes)} sizes have a share, and 4 are needed"
        return Extrapolation(metric, *span, None, None, None, (), (), 1 - alpha, lacking)
    limits = [_settling(name, sizes**power, shares, held, quantile) for name, power in _SETTLES.items()]
    limits.append(_settling(_LOGARITHM, 1 / np.log(sizes), shares, held, quantile))
    if span[2] < 0:
        limits.append(_vanishing(sizes, shares, held))
    good = [v for v in limits if v.p_value > alpha]
    used = good or [_wider(v, len(sizes) - 2) for v in limits]
    best = max(used, key=lambda v: v.p_value)
    low, high = min(v.low for v in used), max(v.high for v in used)
    return Extrapolation(metric, *span, best.value, low, high, tuple(limits), tuple(v.curve for v in good), 1 - alpha)


def _fitted(terms: Floats, values: Floats, covariance: Floats) -> tuple[Floats, Floats, float]:
    """Coefficients by generalised least squares, their covariance, and the squared deviations."""
    inverse = np.linalg.pinv(covariance, hermitian=True)
    spread = np.linalg.pinv(terms.T @ inverse @ terms, hermitian=True)
    found = spread @ terms.T @ inverse @ values
    about = values - terms @ found
    return found, spread, float(about @ inverse @ about)


def _p(squares: float, points: int) -> float:
    return float(chi2_sf(squares, points - 2))


def _settling(name: str, falls: Floats, shares: Floats, covariance: Floats, quantile: float) -> Limit:
    """A curve with a limit; no share lies below 0, so neither do limits."""
    found, spread, squares = _fitted(np.column_stack([np.ones(len(falls)), falls]), shares, covariance)
    value, error = float(found[0]), float(np.sqrt(spread[0, 0]))
    low, high = value - quantile * error, value + quantile * error
    return Limit(name, max(value, 0.0), max(low, 0.0), max(high, 0.0), _p(squares, len(falls)))


def _vanishing(sizes: Floats, shares: Floats, covariance: Floats) -> Limit:
    """A curve that falls to 0, whatever its power."""
    logs = np.log(sizes / sizes[-1])

    def squares(power: float) -> float:
        terms = np.exp(-power * logs)[:, None]
        return _fitted(terms, shares, covariance)[2]

    found = scipy.optimize.minimize_scalar(squares, bounds=(1e-3, 4.0), method="bounded")
    return Limit(_TO_NOTHING, 0.0, 0.0, 0.0, _p(float(found.fun), len(sizes)))


def _wider(limit: Limit, degrees: int) -> Limit:
    """A limit whose interval is wider by the root of the squared deviations a degree of freedom."""
    misfit = float(np.sqrt(max(chi2_isf(max(limit.p_value, 1e-300), degrees) / degrees, 1.0)))
    low = limit.value - misfit * (limit.value - limit.low)
    return Limit(
        limit.curve, limit.value, max(low, 0.0), limit.value + misfit * (limit.high - limit.value), limit.p_value
    )
