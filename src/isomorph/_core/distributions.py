"""Tails and quantiles of the distributions that test statistics follow.

They are functions of `scipy.special`, of which `scipy.stats` makes most of its own. Loading `scipy.stats` takes as long
as a small scan computes, and each of its calls fifty times as long as one of these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy


def t_cdf(value: Any, degrees: Any) -> Any:
    """Share of Student's t that lies at `value` or below; of the normal where `degrees` are infinite."""
    return scipy.special.stdtr(degrees, value)


def t_sf(value: Any, degrees: Any) -> Any:
    """Share of Student's t that lies above `value`."""
    return scipy.special.stdtr(degrees, -value)


def t_ppf(share: Any, degrees: Any) -> Any:
    """The value below which a share of Student's t lies."""
    return np.where(np.equal(share, 0), -np.inf, scipy.special.stdtrit(degrees, share))[()]  # SciPy says inf at 0


def t_isf(share: Any, degrees: Any) -> Any:
    """The value above which a share of Student's t lies."""
    return -t_ppf(share, degrees)


def normal_ppf(share: Any) -> Any:
    """The value below which a share of the standard normal lies."""
    return scipy.special.ndtri(share)


def normal_isf(share: Any) -> Any:
    """The value above which a share of the standard normal lies."""
    return -scipy.special.ndtri(share)


def chi2_sf(value: Any, degrees: Any) -> Any:
    """Share of the chi-square that lies above `value`, which is not negative."""
    return scipy.special.chdtrc(degrees, value)


def chi2_isf(share: Any, degrees: Any) -> Any:
    """The value above which a share of the chi-square lies."""
    return scipy.special.chdtri(degrees, share)


def f_sf(value: Any, above: Any, below: Any) -> Any:
    """Share of F with `above` and `below` degrees of freedom that lies above `value`, which is not negative."""
    return scipy.special.fdtrc(above, below, value)


def binomial_sf(count: Any, trials: Any, chance: Any) -> Any:
    """Share of binomial counts above `count`, which may be -1."""
    return scipy.special.bdtrc(count, trials, chance)
