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
import scipy
from array_api_compat import array_namespace, device, is_torch_array

from .._core.arrays import Array, to_numpy
from .._core.linalg import number

Floats = np.ndarray[Any, Any]

LEADING = 4  # eigenvalues kept of each matrix: three already give the same tail as ten
_FAR = 0.01  # p below which the saddlepoint and the Pearson III tail part
_SCALED = 1e-4  # relative variance of the scale under which the scale mixture is its Pearson III tail
_MIXED = 0.03  # p above which three moments are right whatever the scale
_NODES = 48
_MOST_SCALE, _MOST_SKEWNESS = 10.0, 3.5  # measured (docs/nulls.md); directions make a skewness of √8 at the most
_SPARE, _ROUNDS = 8, 6  # oversampling; power iterations
_MOST = 0.98  # of the variance that the leading products may take, so that something is left for the rest


def leading_eigenvalues(matrix: Array, count: int = LEADING) -> Floats:
    """The eigenvalues of largest magnitude of a symmetric matrix, after its trace was taken out evenly.

    By block subspace iteration from a fixed start: some products of the matrix with a few vectors. Eigenvalues that
    stand out are found to rounding; where none does, the tail does not need them.

    Args:
        matrix: Symmetric (n, n), with zero row sums.
        count: How many.
    """
    m = matrix if is_torch_array(matrix) else np.asarray(to_numpy(matrix))  # which is large: it stays on its device
    xp, n = array_namespace(m), m.shape[0]
    level = number(xp.sum(xp.astype(xp.linalg.diagonal(m), xp.float64))) / (n - 1)
    start = np.random.default_rng(0).standard_normal((n, min(n, count + _SPARE)))
    q = xp.asarray(start, dtype=m.dtype, device=device(m))
    for _ in range(_ROUNDS):
        q = xp.linalg.qr(m @ q)[0]
    values = np.linalg.eigvalsh(np.asarray(to_numpy(q.T @ (m @ q)), dtype=np.float64)) - level
    return np.asarray(values[np.argsort(-np.abs(values))][:count])


def leading_weights(xs: Sequence[Floats], ys: Sequence[Floats], n: int) -> Floats:
    """The products λ_i μ_j / (n - 1) of every pair of matrices, shape (len(xs), len(ys), products)."""
    return np.asarray(np.einsum("ai,bj->abij", np.stack(xs), np.stack(ys)).reshape(len(xs), len(ys), -1) / (n - 1))


def pearson3_sf(z: Any, skewness: Any) -> np.ndarray[Any, Any]:
    """Upper tail of the standardised Pearson III (shifted gamma) distribution, normal where the skewness is tiny."""
    z, skewness = np.broadcast_arrays(np.asarray(z, dtype=np.float64), np.asarray(skewness, dtype=np.float64))
    use = np.abs(skewness) > 1e-6
    shape = 4 / np.where(use, skewness, 1.0) ** 2
    # a gamma variable of that shape, standardised; a negative skewness mirrors it
    gamma = np.maximum(shape + np.sqrt(shape) * z * np.sign(skewness), 0.0)
    tail = np.where(skewness > 0, scipy.special.gammaincc(shape, gamma), scipy.special.gammainc(shape, gamma))
    return np.asarray(np.where(use, tail, scipy.special.ndtr(-z)))


def is_known(skewness: Any, scale: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether moments tell the tail: they do not where a few items decide nearly all of the score."""
    skewness, scale = (np.asarray(0.0 if v is None else v, dtype=np.float64) for v in (skewness, scale))
    return np.asarray((np.abs(skewness) <= _MOST_SKEWNESS) & (scale * (1 + skewness**2) <= _MOST_SCALE))


def mixed_tail(p: Floats, z: Floats, skewness: Floats, scale: Floats) -> Floats:
    """p-values below 0.03, raised to the tail of a variable of random scale where that is larger (up to 0.03).

    The variable is √V S, with V a gamma variable of mean 1 and variance `scale` and S of Pearson's type III such that
    the skewness of the whole is the given one.

    Args:
        p: Tails of the variable with a fixed scale.
        z: Standardised scores of the same shape.
        skewness: Third standardised moments, of a shape that broadcasts to it.
        scale: Relative variances of the squared scale, of a shape that broadcasts to it.
    """
    shape = np.shape(p)
    out = np.array(p, dtype=np.float64).reshape(-1)
    z, skewness, scale = (np.broadcast_to(v, shape).reshape(-1) for v in (z, skewness, scale))
    chosen = np.flatnonzero((out < _MIXED) & (z > 0) & np.isfinite(z) & (scale > _SCALED) & is_known(skewness, scale))
    for start in range(0, len(chosen), 4096):
        at = chosen[start : start + 4096]
        out[at] = np.maximum(out[at], np.minimum(_random_scale_sf(z[at], skewness[at], scale[at]), _MIXED))
    return out.reshape(shape)


def _random_scale_sf(z: Floats, skewness: Floats, scale: Floats) -> Floats:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    rest = ((1 - nodes) / 2) ** 4  # upper tail of V, finest where it is largest
    weights = 2 * weights * ((1 - nodes) / 2) ** 3
    a = 1 / scale
    v = scipy.special.gammainccinv(a[:, None], rest) / a[:, None]
    bent = np.exp(scipy.special.gammaln(a + 1.5) - scipy.special.gammaln(a) - 1.5 * np.log(a))  # E V^1.5
    with np.errstate(divide="ignore"):
        tails = pearson3_sf(z[:, None] / np.sqrt(v), (skewness / bent)[:, None])
    return np.asarray(tails @ weights)


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
    for i in np.flatnonzero((out < _FAR) & np.isfinite(z) & (z > 0)):
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
    s = float(scipy.optimize.brentq(lambda v: slope(v) - z, 0.0, end, xtol=1e-14 * end))
    curvature = np.sum(2 * w**2 / (1 - 2 * s * w) ** 2) + (a * b**2 / (1 - s * b) ** 2 if a else variance)
    r = np.sqrt(2 * max(s * z - cumulant(s), 0.0))
    u = s * np.sqrt(curvature)
    if min(r, u) < 1e-6:
        return float(scipy.special.ndtr(-z))
    return float(scipy.special.ndtr(-r) + np.exp(-r * r / 2) / np.sqrt(2 * np.pi) * (1 / u - 1 / r))
