"""How much each item moves a score that holds up to a rotation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....nulls.influence import Influence, probed

Floats = np.ndarray[Any, Any]


def rotation_influence(
    xs: Sequence[Floats], ys: Sequence[Floats], known: np.ndarray[Any, np.dtype[np.bool_]]
) -> Influence:
    """Influence of every item on every Procrustes similarity, to the second order.

    The score is s = |C|_* / sqrt(A B) with C = X'Y, A = |X|², B = |Y|² of centred layers. With C = U diag(σ) V', the
    singular vectors as axes of both layers (a = U'x, b = V'y for each item), and the layers scaled to A = B = n:

    - item p moves the nuclear norm by t_p = a_p'b_p - s, and s by ψ_p = t_p - s (|x_p|² + |y_p|² - 2) / 2;
    - items p and q together move the nuclear norm by Σ_{i<j} α^p_ij α^q_ij / (σ_i + σ_j) - a_p'b_q - a_q'b_p, where
      α_ij = a_i b_j - a_j b_i: its second derivative, and that of centring; A and B likewise by -2 x_p'x_q.

    Near chance σ is small, the norm is bent there, and first-order standard errors are up to √2 too wide.

    Args:
        xs: Centred layers of unit norm of one side.
        ys: The same of the other side.
        known: (len(xs), len(ys)); for which pairs that holds.
    """
    n = xs[0].shape[0]
    values, own = np.zeros((2, n, *known.shape))
    second = np.zeros(known.shape)
    first: Any = None
    for i, j in np.argwhere(known):
        values[:, i, j], own[:, i, j], products = _rotation_terms(xs[i] * np.sqrt(n), ys[j] * np.sqrt(n))
        second[i, j] = probed(products, n) / 2
        first = products if first is None else first
    return Influence(values, second, None, first, own, higher=True, known=None if known.all() else known)


def _rotation_terms(x: Floats, y: Floats) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
    """Influences on the similarity of two layers, what they leave, and the products of what pairs add together."""
    n = len(x)
    if x.shape[1] > y.shape[1]:
        x, y = y, x
    u, sigma, vt = np.linalg.svd(x.T @ y / n)
    wider = y.shape[1] - x.shape[1]  # as if the narrower layer were padded with zeros
    a, b = np.pad(x @ u, ((0, 0), (0, wider))), y @ vt.T
    sigma = np.pad(sigma, (0, wider))
    score = float(sigma.sum())
    if score < 1e-9:  # the norm has a corner at 0, so no derivative: what an item can move it by at the most
        return np.sqrt(np.sum(x * x, axis=1) * np.sum(y * y, axis=1)), np.zeros(n), np.zeros_like
    sums = sigma[:, None] + sigma[None, :]
    bend = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 1e-12 * score)
    t, size = np.sum(a * b, axis=1) - score, np.sum(x * x, axis=1) + np.sum(y * y, axis=1) - 2
    sizes = [np.sum(v * v, axis=1) - 1 for v in (x, y)]
    values = t - score / 2 * size

    def outer(z: Floats, column: Floats) -> Floats:
        return np.asarray(column[:, None] * (column @ z))

    def whole(z: Floats) -> Floats:
        bent = np.empty_like(z)
        for k in range(z.shape[1]):
            w = (a * z[:, k, None]).T @ b
            bent[:, k] = np.sum((a @ (bend * (w - w.T))) * b, axis=1)
        norms = bent - a @ (b.T @ z) - b @ (a.T @ z) - outer(z, t) / score + outer(z, values) / score
        scales = [v @ (v.T @ z) + outer(z, s) / 2 for v, s in zip((x, y), sizes, strict=True)]
        return np.asarray(norms + score * (scales[0] + scales[1]))

    diagonal = np.sum((a**2 @ bend) * b**2, axis=1) - np.sum(((a * b) @ bend) * a * b, axis=1)
    diagonal += -2 * np.sum(a * b, axis=1) - t**2 / score + values**2 / score
    diagonal += score * sum(np.sum(v * v, axis=1) + s**2 / 2 for v, s in zip((x, y), sizes, strict=True))

    def products(z: Floats) -> Floats:
        return np.asarray((whole(z) - diagonal[:, None] * z) / n**2)

    return values, diagonal / (2 * n), products
