"""From covariances over bootstrap samples to standard errors and p: the corrected two-factor bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .._core.distributions import t_cdf, t_isf, t_sf
from ._bootstrap import BOTH, ITEMS, SUBJECTS
from ._weighted import Floats

_NONE = 1e-12  # what rounding leaves of a difference of scores that is 0


def corrected(variances: Mapping[str, Floats], subjects: int, items: int) -> Floats:
    """The variance over new subjects, new items or both, from variances over bootstrap samples.

    Of one factor it is the bootstrap's times k / (k - 1), for few of its k units. Of both, the bootstrap over both
    counts the noise of single measurements three times, as the one over subjects and the one over items do once each,
    which the difference takes out (Schütt et al. 2023). With factors for few it is

        s vₛ + i vᵢ - s i (v_both - vₛ - vᵢ), s = S / (S - 1), i = n / (n - 1),

    no less than each of the first two and no more than v_both, as rsatoolbox has it.

    Args:
        variances: Kind of bootstrap -> variances, of any shape.
        subjects: Number of subjects.
        items: Number of items, or of the groups that are drawn.

    Example:
        >>> found = corrected({"both": np.array(3.4), "subjects": np.array(1.0), "items": np.array(2.0)}, 1000, 1000)
        >>> round(float(found), 3)
        2.602
    """
    s, i = subjects / max(subjects - 1, 1), items / max(items - 1, 1)
    if BOTH not in variances:
        return np.asarray(s * variances[SUBJECTS] if SUBJECTS in variances else i * variances[ITEMS])
    both, one, other = variances[BOTH], variances[SUBJECTS], variances[ITEMS]
    found = s * one + i * other - s * i * (both - one - other)
    return np.asarray(np.minimum(np.maximum(np.maximum(found, s * one), i * other), both))


class Tested(NamedTuple):
    """Values with their standard errors, intervals and p.

    Attributes:
        errors: Standard errors.
        low: Lower ends of the intervals.
        high: Upper ends.
        p: p of the value 0.
    """

    errors: Floats
    low: Floats
    high: Floats
    p: Floats


def tested(values: Any, variances: Floats, degrees: int, alpha: float, side: str) -> Tested:
    """t-tests of values against 0, and their intervals.

    Args:
        values: Values.
        variances: Their variances.
        degrees: Degrees of freedom.
        alpha: Intervals cover 1 - alpha.
        side: What speaks against 0: ``"above"``, ``"below"`` or ``"both"``.
    """
    values = np.asarray(values, dtype=np.float64)
    errors = np.sqrt(np.maximum(variances, 0.0))
    values = np.where(np.abs(values) <= _NONE, 0.0, values)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(errors > _NONE, values / np.maximum(errors, _NONE), np.where(values == 0, 0.0, values * np.inf))
    tail = t_cdf(t, degrees) if side == "below" else t_sf(np.abs(t) if side == "both" else t, degrees)
    p = np.where((errors <= _NONE) & (values == 0), 1.0, tail * (2 if side == "both" else 1))
    reach = t_isf(alpha / 2, degrees) * errors
    return Tested(errors, values - reach, values + reach, np.asarray(np.minimum(p, 1.0)))


def variances_of(samples: Mapping[str, Floats], weights: Floats, subjects: int, items: int) -> Floats:
    """Corrected variances of weighted sums of the columns of the samples.

    Args:
        samples: Kind of bootstrap -> what it gave (samples, columns).
        weights: One sum a row (sums, columns).
        subjects: Number of subjects.
        items: Number of items or groups.
    """
    found = {}
    for kind, table in samples.items():
        covariance = np.atleast_2d(np.cov(table, rowvar=False))
        found[kind] = np.einsum("sc,cd,sd->s", weights, covariance, weights)
    return corrected(found, subjects, items)
