"""Tails and quantiles are those of `scipy.stats`, at the ends too."""

import numpy as np
import pytest
from scipy import stats

from isomorph._core import distributions as d

RNG = np.random.default_rng(0)
SHARES = np.concatenate([[0.0, 1.0], RNG.uniform(size=50), 10.0 ** -RNG.uniform(0, 300, 50)])
VALUES = np.concatenate([[-np.inf, 0.0, np.inf], 40 * RNG.standard_t(2, 97)])
DEGREES = np.concatenate([[1.0, np.inf], RNG.integers(1, 5000, 48), RNG.uniform(0.5, 60, 50)])


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (d.t_cdf, stats.t.cdf, (VALUES[:, None], DEGREES)),
        (d.t_sf, stats.t.sf, (VALUES[:, None], DEGREES)),
        (d.t_ppf, stats.t.ppf, (SHARES[:, None], DEGREES)),
        (d.t_isf, stats.t.isf, (SHARES[:, None], DEGREES)),
        (d.normal_ppf, stats.norm.ppf, (SHARES,)),
        (d.normal_isf, stats.norm.isf, (SHARES,)),
        (d.chi2_sf, stats.chi2.sf, (np.abs(VALUES)[:, None], DEGREES[2:])),
        (d.chi2_isf, stats.chi2.isf, (SHARES[:, None], DEGREES[2:])),
        (d.f_sf, stats.f.sf, (np.abs(VALUES)[:, None], DEGREES[2:], 7.0)),
        (d.binomial_sf, stats.binom.sf, (np.arange(-1, 21)[:, None], 20, SHARES)),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_it_is_what_scipy_says(ours, theirs, arguments):
    expected = theirs(*arguments)
    assert not np.any(np.isnan(expected))
    np.testing.assert_allclose(ours(*arguments), expected, rtol=1e-10, atol=1e-300)
