"""Fits on few items: orthogonal maps against ridge, ridge against RidgeCV on one pair, shape distance against netrep.

Claims: with 43 pairs in 1536 dimensions an orthogonal or Procrustes map takes at most 5 times as long as ridge; ridge
with leave-one-out over nine penalties is no slower than scikit-learn's `RidgeCV` on one pair, of any shape; the shape
distance at alpha 0.5 of 1024 items is no slower than netrep, whose algorithm is written out here (it is not on PyPI),
with the same value.

What bounds them: few pairs span few directions, so a map is decomposed in these alone; a single outcome needs no form
that serves further ones; a well-conditioned layer is whitened by the eigenvectors of its smaller Gram.
"""

from __future__ import annotations

import numpy as np
from _measure import Claims, in_turn
from sklearn.linear_model import RidgeCV

from isomorph.maps import make_map
from isomorph.maps.linear import PENALTIES, Ridge
from isomorph.metrics import metric

ROUNDS = 7
RIDGE = ((1024, 768, 1024), (1024, 384, 384), (300, 768, 768), (200, 64, 64))
SHAPES = ((1024, 768, 768), (1024, 256, 256))
TINY = (200, 32, 48)  # a millisecond, half of which is checking and calling


def pair(n: int, d1: int, d2: int) -> tuple[np.ndarray, np.ndarray]:
    """A shared signal in noise."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, 16))
    x, y = (z @ rng.standard_normal((16, d)) + rng.standard_normal((n, d)) for d in (d1, d2))
    return x, y


def whitened(x: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """netrep.utils.whiten with preserve_variance."""
    values, vectors = np.linalg.eigh(x.T @ x)
    values = np.maximum(values, 1e-7)
    d = alpha + (1 - alpha) / np.sqrt(values)
    variance = np.sum(alpha**2 * values + 2 * alpha * (1 - alpha) * np.sqrt(values) + (1 - alpha) ** 2)
    z = (vectors * (d * np.sqrt(values.sum() / variance))) @ vectors.T
    return x @ z, z


def netrep(x: np.ndarray, y: np.ndarray, alpha: float) -> float:
    """LinearMetric(alpha).fit_score(x, y)."""
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in (x, y))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    (xw, zx), (yw, zy) = whitened(x, alpha), whitened(y, alpha)
    u, _, vt = np.linalg.svd(xw.T @ yw)
    a, b = (x @ (zx @ u)).ravel(), (y @ (zy @ vt.T)).ravel()
    return float(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


def main() -> None:
    claims = Claims("Fits on few items, float64")
    x, y = pair(43, 1536, 1536)
    names = ("ridge", "orthogonal", "procrustes")
    spent = in_turn({name: lambda name=name: make_map(name).fit(x, y) for name in names}, ROUNDS)
    claims.times({f"{name}, 43 pairs in 1536 dimensions": spent[name] for name in names})
    for name in names[1:]:
        claims.at_most(f"{name} over ridge", spent[name] / spent["ridge"], 5)
    for n, d, t in RIDGE:
        x, y = pair(n, d, t)
        alphas = np.array(PENALTIES) * float(((x - x.mean(axis=0)) ** 2).sum())
        spent = in_turn(
            {"ours": lambda: Ridge().fit(x, y), "RidgeCV": lambda: RidgeCV(alphas=alphas).fit(x, y)},  # noqa: B023  # used at once
            ROUNDS,
        )
        claims.at_least(f"RidgeCV over ridge, {n} pairs, {d} x {t}", spent["RidgeCV"] / spent["ours"], 1)
        gap = float(np.abs(Ridge().fit(x, y).coef_ - RidgeCV(alphas=alphas).fit(x, y).coef_.T).max())
        claims.at_most(f"largest difference of coefficients times 1e10, {n} x {d}", gap * 1e10, 1)
    ours = metric("shape_distance(alpha=0.5, reference_scale='unit')")
    for n, d1, d2 in (*SHAPES, TINY):
        x, y = pair(n, d1, d2)
        spent = in_turn({"ours": lambda: ours(x, y), "netrep": lambda: netrep(x, y, 0.5)}, ROUNDS)  # noqa: B023  # used at once
        what, ratio = f"netrep over shape_distance, {n} items, {d1} x {d2}", spent["netrep"] / spent["ours"]
        if (n, d1, d2) == TINY:
            claims.say(f"{what:<58} {ratio:9.2f}")
        else:
            claims.at_least(what, ratio, 1)
        claims.at_most("difference of the angles times 1e9", abs(ours(x, y) - netrep(x, y, 0.5)) * 1e9, 1)
    claims.end()


if __name__ == "__main__":
    main()
