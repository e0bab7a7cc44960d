"""The far upper tail of a re-pairing null: three exact moments and the directions that carry the two matrices.

A centred score <A, P B P'> is close to Σ_ij λ_i μ_j (z_ij² - 1) / (n - 1) with λ, μ the eigenvalues of A and B and z
independent standard normal numbers. Its far tail is that of the largest products λ_i μ_j, which three moments cannot
know: Pearson III then claims too much, up to twice at p = 1e-4 (docs/nulls.md). Here the largest products are kept as
they are, all others are one shifted gamma variable chosen so that variance and skewness are exact, and the tail of the
sum is its saddlepoint approximation (Lugannani and Rice 1980; Kuonen 1999 for quadratic forms).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import optimize, special

from .._arrays import Array, to_numpy

Floats = np.ndarray[Any, Any]

LEADING = 4  # eigenvalues kept of each matrix: three already give the same tail as ten
_FAR = 0.01  # below it the two tails part
_SPARE, _ROUNDS = 8, 6  # further vectors that speed the iteration up, and how often it is done
_MOST = 0.98  # of the variance that the leading products may take, so that something is left for the rest


def leading_eigenvalues(matrix: Array, count: int = LEADING) -> Floats:
    """The eigenvalues of largest magnitude of a symmetric matrix, after its trace was taken out evenly.

    By block subspace iteration from a fixed start: some products of the matrix with a few vectors. Eigenvalues that
    stand out are found to rounding; where none does, the tail does not need them.

    Args:
        matrix: Symmetric (n, n), with zero row sums.
        count: How many.
    """
    m = np.asarray(to_numpy(matrix))
    n = m.shape[0]
    level = float(np.trace(m, dtype=np.float64)) / (n - 1)
    q = np.random.default_rng(0).standard_normal((n, min(n, count + _SPARE))).astype(m.dtype)
    for _ in range(_ROUNDS):
        q = np.linalg.qr(m @ q)[0]
    values = np.linalg.eigvalsh((q.T @ (m @ q)).astype(np.float64)) - level
    return np.asarray(values[np.argsort(-np.abs(values))][:count])


def leading_weights(xs: Sequence[Floats], ys: Sequence[Floats], n: int) -> Floats:
    """The products λ_i μ_j / (n - 1) of every pair of matrices, shape (len(xs), len(ys), products)."""
    return np.asarray(np.einsum("ai,bj->abij", np.stack(xs), np.stack(ys)).reshape(len(xs), len(ys), -1) / (n - 1))


def far_tail(p: Floats, z: Floats, skewness: Floats, weights: Floats) -> Floats:
    """p-values, those below 0.01 raised to the saddlepoint tail where that is larger (up to 0.01, to stay monotone).

    Args:
        p: Pearson III tails.
        z: Standardised scores of the same shape.
        skewness: Third standardised moments, of a shape that broadcasts to it.
        weights: Leading weights, of a shape that broadcasts to it with one more axis.
    """
    shape = np.shape(p)
    out = np.array(p, dtype=np.float64).reshape(-1)
    z, skewness = (np.broadcast_to(v, shape).reshape(-1) for v in (z, skewness))
    lead = np.broadcast_to(weights.reshape(weights.shape[-1:]) if shape == () else weights, (*shape, weights.shape[-1]))
    lead = lead.reshape(-1, weights.shape[-1])
    for i in np.flatnonzero((out < _FAR) & np.isfinite(z)):
        out[i] = max(out[i], min(saddlepoint_sf(float(z[i]), float(skewness[i]), lead[i]), _FAR))
    return out.reshape(shape)


def saddlepoint_sf(z: float, skewness: float, weights: Floats) -> float:
    """Upper tail of a variable of mean 0 and variance 1 with the given skewness and leading weights.

    Args:
        z: The standardised score, above 0.
        skewness: Third standardised moment.
        weights: Leading weights of (z_ij² - 1), in units of the standard deviation.
    """
    w = weights * min(1.0, float(np.sqrt(_MOST / max(2 * np.sum(weights**2), 1e-300))))
    variance, third = 1 - 2 * np.sum(w**2), skewness - 8 * np.sum(w**3)
    b = third / (2 * variance)  # the rest is b (gamma(a) - a) with a b² its variance and 2 a b³ its third moment
    a = variance / b**2 if abs(b) > 1e-9 else 0.0

    def cumulant(s: float) -> float:
        rest = a * (-np.log1p(-s * b) - s * b) if a else s * s * variance / 2
        return float(np.sum(-0.5 * np.log1p(-2 * s * w) - s * w) + rest)

    def slope(s: float) -> float:
        rest = a * b * (1 / (1 - s * b) - 1) if a else s * variance
        return float(np.sum(w / (1 - 2 * s * w) - w) + rest)

    pole = max(2 * float(w.max(initial=0.0)), b if a else 0.0)
    end = (1 - 1e-13) / pole if pole > 0 else 1e6
    if slope(end) <= z:
        return 0.0  # beyond all that the approximation can reach
    s = float(optimize.brentq(lambda v: slope(v) - z, 0.0, end, xtol=1e-14 * end))
    curvature = np.sum(2 * w**2 / (1 - 2 * s * w) ** 2) + (a * b**2 / (1 - s * b) ** 2 if a else variance)
    r = np.sqrt(2 * max(s * z - cumulant(s), 0.0))
    u = s * np.sqrt(curvature)
    if min(r, u) < 1e-6:
        return float(special.ndtr(-z))
    return float(special.ndtr(-r) + np.exp(-r * r / 2) / np.sqrt(2 * np.pi) * (1 / u - 1 / r))
