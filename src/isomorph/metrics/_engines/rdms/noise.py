"""The covariance of measurement noise between channels, and its inverse, from what a model of the data left over."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...._core.arrays import as_features, to_numpy
from ...._core.checks import as_count, check_choice
from ...._core.memory import require
from ....errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]

SHRINKAGES = ("diagonal", "identity", "variances", "none")


def noise_precision(residuals: Any, shrinkage: str = "diagonal", *, dof: int | None = None) -> Floats:
    """The inverse covariance of noise between channels, for Mahalanobis and crossnobis distances.

    Costs O(n d²) for n residuals of d channels, and d x d numbers. rsatoolbox's ``prec_from_residuals`` is the same
    (its ``shrinkage_diag``, ``shrinkage_eye``, ``diag`` and ``full``).

    Args:
        residuals: Noise (n_residuals, channels): of the regression that gave the patterns, or of measurements about the
            mean of their condition. The mean of each channel is taken out.
        shrinkage: ``"diagonal"`` (correlations shrunk towards 0 by the optimal share, Schäfer and Strimmer 2005),
            ``"identity"`` (towards equal variances without correlation, Ledoit and Wolf 2004; scikit-learn's
            ``ledoit_wolf``), ``"variances"`` (no correlations: univariate noise normalization) or ``"none"``.
        dof: Degrees of freedom of the residuals, n_residuals less the regressors of the model; n_residuals - 1 if None.

    Returns:
        Symmetric positive definite (channels, channels), in one over the squared unit of the residuals.

    Raises:
        InputError: if the residuals are no numbers, a channel is constant, there are too few of them for the covariance
            without shrinkage, or `dof` is no whole number from 1 on.

    Example:
        >>> import numpy as np
        >>> from isomorph.metrics.rdm import noise_precision
        >>> noise = np.random.default_rng(0).normal(size=(500, 3)) * [1, 2, 4]
        >>> np.diag(noise_precision(noise)).round(2).tolist()
        [1.04, 0.27, 0.06]
    """
    check_choice(shrinkage, "shrinkage", SHRINKAGES)
    rows = np.asarray(to_numpy(as_features(residuals, "residuals", min_items=2)), dtype=np.float64)
    n, d = rows.shape
    free = n - 1 if dof is None else as_count(dof, "dof")
    require(4 * 8 * d * d, f"The noise covariance of {d:,} channels", "Use shrinkage='variances' or fewer channels.")
    rows = rows - rows.mean(axis=0)
    power = np.einsum("ij,ij->j", rows, rows)
    flat = power <= (8 * np.finfo(np.float64).eps) ** 2 * n * float(power.max(initial=0.0))
    if flat.any():
        raise InputError(
            f"residuals: channel {int(np.flatnonzero(flat)[0])} does not vary ({int(flat.sum())} of {d} channels), so "
            "that its noise has no scale. Leave such channels out."
        )
    if shrinkage == "none" and free < d:
        raise InputError(
            f"shrinkage='none': {n} residuals with {free} degrees of freedom give no invertible covariance of {d} "
            "channels; use 'diagonal' or 'identity'."
        )
    covariance = _covariance(rows, power, free, shrinkage)
    inverse = np.linalg.inv(covariance)
    return np.asarray((inverse + inverse.T) / 2)


def _covariance(rows: Floats, power: Floats, dof: int, shrinkage: str) -> Floats:
    n, d = rows.shape
    if shrinkage == "variances":
        return np.diag(power / dof)
    products = rows.T @ rows
    if shrinkage == "none":
        return np.asarray(products / dof)
    if shrinkage == "identity":
        sample = products / n
        noise = (float(np.einsum("ij,ij->i", rows, rows) @ np.einsum("ij,ij->i", rows, rows)) / n - _square(sample)) / n
        mean = float(np.trace(sample)) / d
        spread = _square(sample) - d * mean**2
        share = min(1.0, noise / spread) if spread > 0 else 1.0
        return np.asarray((share * mean * np.eye(d) + (1 - share) * sample) * (n / dof))
    unit = rows / np.sqrt(power / dof)
    of = unit.T @ unit / (n - 1)
    squares = (unit**2).T @ (unit**2) / (n - 1)
    off = ~np.eye(d, dtype=bool)
    spread = float(np.sum(of[off] ** 2))
    noise = n / dof**2 * float(np.sum(squares[off] - of[off] ** 2))
    share = max(0.0, min(1.0, noise / spread)) if spread > 0 else 1.0
    shrunk = products / dof
    shrunk[off] *= 1 - share
    return np.asarray(shrunk)


def _square(matrix: Floats) -> float:
    return float(math.fsum((matrix**2).sum(axis=0).tolist()))
