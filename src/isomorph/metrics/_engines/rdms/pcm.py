"""Pattern component models: the likelihood of activity patterns under a predicted second moment of items."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy

from ...._core.arrays import as_features, to_numpy
from ....errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True)
class PcmFit:
    """A fixed pattern component model fitted to data.

    Attributes:
        log_likelihood: Restricted log-likelihood at the maximum, without the constant -(N P / 2) log 2π.
        scale: Factor of the predicted second moment.
        noise: Noise variance.
    """

    log_likelihood: float
    scale: float
    noise: float


def pcm_log_likelihood(
    y: Any, moment: Any, *, items: Any = None, scale: float = 1.0, noise: float = 1.0, remove_mean: bool = True
) -> float:
    """Log-likelihood of patterns under Y ~ N(X b, scale · Z G Zᵀ + noise · I), features independent.

    Args:
        y: Measurements (n_measurements, n_features).
        moment: Predicted second moment G of the items (n_items, n_items), symmetric, positive semidefinite.
        items: For each measurement its item 0 … n_items - 1; the rows are the items if None.
        scale: Factor of G.
        noise: Noise variance.
        remove_mean: Whether the mean pattern is a fixed effect (restricted likelihood), else patterns are as given.

    Returns:
        Log-likelihood without the constant -(N P / 2) log 2π, as PcmPy reports it.

    Raises:
        InputError: if shapes do not fit, G is no second moment, or a variance is not positive.

    Reference: Diedrichsen, Yokoi and Arbuckle 2018, Pattern component modeling, eqs. 6 and 7.
    """
    for name, value in (("scale", scale), ("noise", noise)):
        if not np.isfinite(value) or value <= 0:
            raise InputError(f"{name}={value!r} is not a positive variance.")
    spectrum, power, p, constant = _reduced(y, moment, items, remove_mean)
    return float(_log_likelihood(scale * spectrum + noise, power, p) + constant)


def fit_pcm(y: Any, moment: Any, *, items: Any = None, fit_scale: bool = True, remove_mean: bool = True) -> PcmFit:
    """Maximum of `pcm_log_likelihood` over the noise variance and, unless `fit_scale` is False, the scale.

    Args:
        y: As for `pcm_log_likelihood`.
        moment: As for `pcm_log_likelihood`.
        items: As for `pcm_log_likelihood`.
        fit_scale: Whether the scale is free; it is 1 if not.
        remove_mean: As for `pcm_log_likelihood`.

    Raises:
        InputError: as `pcm_log_likelihood`, or if the data are all zero.
    """
    spectrum, power, p, constant = _reduced(y, moment, items, remove_mean)
    if power.sum() == 0:
        raise InputError("y holds no variation, so that no noise variance can be fitted.")
    top = float(spectrum.max(initial=0.0)) or 1.0
    level = float(power.sum()) / (len(power) * p)

    def profile(log_ratio: float) -> tuple[float, float, float]:
        if fit_scale:
            shape = np.exp(log_ratio) * spectrum / top + 1.0
            noise = float(np.mean(power / shape)) / p  # the best noise variance at this ratio, in closed form
            scale = noise * float(np.exp(log_ratio)) / top
        else:
            noise, scale = level * float(np.exp(log_ratio)), 1.0
        return float(_log_likelihood(scale * spectrum + noise, power, p)), scale, noise

    # the profile may have more than one maximum, so a grid comes before the refinement
    grid = np.linspace(-25.0, 25.0, 201)
    best = grid[int(np.argmax([profile(r)[0] for r in grid]))]
    found = scipy.optimize.minimize_scalar(
        lambda r: -profile(r)[0], bounds=(best - 0.25, best + 0.25), method="bounded", options={"xatol": 1e-9}
    )
    value, scale, noise = profile(float(found.x))
    return PcmFit(value + constant, scale, noise)


def _log_likelihood(variances: Floats, power: Floats, p: int) -> float:
    return float(-p / 2 * np.sum(np.log(variances)) - np.sum(power / variances) / 2)


def _reduced(y: Any, moment: Any, items: Any, remove_mean: bool) -> tuple[Floats, Floats, int, float]:
    """Eigenvalues of the predicted covariance, data power along its eigenvectors, features, constant.

    Raises:
        InputError: if shapes do not fit or the moment is not symmetric and positive semidefinite.
    """
    data = np.asarray(to_numpy(as_features(y, "y", min_items=2)), dtype=np.float64)
    g = np.asarray(to_numpy(as_features(moment, "moment")), dtype=np.float64)
    n, p = data.shape
    if g.shape[0] != g.shape[1] or not np.allclose(g, g.T, rtol=1e-8, atol=1e-10 * np.abs(g).max()):
        raise InputError(f"moment has shape {g.shape}; a symmetric matrix of second moments of items is needed.")
    if np.linalg.eigvalsh(g)[0] < -1e-8 * np.abs(g).max():
        raise InputError("moment has negative eigenvalues, so it is no second moment of any patterns.")
    which = np.arange(n) if items is None else np.asarray(items)
    if which.shape != (n,) or which.dtype.kind not in "iu" or which.min() < 0 or which.max() >= len(g):
        raise InputError(
            f"y has {n} measurements and moment {len(g)} items; items must give for each measurement its item from "
            f"0 to {len(g) - 1}."
        )
    covariance = g[np.ix_(which, which)]
    constant = 0.0
    if remove_mean:
        basis = scipy.linalg.null_space(np.ones((1, n)))
        covariance, data = basis.T @ covariance @ basis, basis.T @ data
        constant = -p / 2 * float(np.log(n))
    spectrum, vectors = np.linalg.eigh(covariance)
    return np.maximum(spectrum, 0.0), np.sum((vectors.T @ data) ** 2, axis=1), p, constant
