"""Representation topology divergence: both barcodes of a pair, against ripser on the matrix of the metric's authors.

Three pairs of clouds: Gaussian and Student-t features with 3 degrees of freedom, d = n = 512, and 256 items around a
noisy ring against noise, whose loop stays open for long. ripser gets the distances once for each direction and works in
single precision; the bars agree to that precision, which is checked. Computing the distances is in neither time.
"""

from __future__ import annotations

import argparse

import numpy as np
import ripser
from _measure import Claims, in_turn
from scipy.spatial.distance import pdist, squareform

from isomorph.metrics.topology import divergence

Clouds = tuple[np.ndarray, np.ndarray]


def clouds() -> dict[str, tuple[Clouds, float]]:
    """Pairs of distance matrices and the ratio that is claimed."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 256)
    ring = np.c_[np.cos(angle), np.sin(angle)] + 0.05 * rng.standard_normal((256, 2))
    pairs = {
        "Gaussian": (*(rng.standard_normal((512, 512)) for _ in "xy"), 6),
        "Student t₃": (*(rng.standard_t(3, (512, 512)) for _ in "xy"), 15),
        "ring": (ring, rng.standard_normal((256, 8)), 30),
    }
    return {name: ((distances(x), distances(y)), limit) for name, (x, y, limit) in pairs.items()}


def distances(x: np.ndarray) -> np.ndarray:
    """In the units of the metric."""
    pairs = pdist(x)
    return squareform(pairs / np.quantile(pairs, 0.9))


def authors(w: np.ndarray, other: np.ndarray) -> float:
    """Half the total length of the bars of both directions, by ripser."""
    n, total = len(w), 0.0
    for a, b in ((w, other), (other, w)):
        half = np.where(np.tri(n, k=-1, dtype=bool), np.inf, a)
        m = np.full((2 * n + 1, 2 * n + 1), np.inf)
        m[:n, :n], m[n : 2 * n, n : 2 * n], m[n : 2 * n, :n], m[:n, n : 2 * n] = a, np.minimum(a, b), half, half.T
        m[2 * n, :n] = m[:n, 2 * n] = m[2 * n, 2 * n] = 0.0
        bars = ripser.ripser(m, distance_matrix=True, maxdim=1, thresh=1.01 * float(a.max()))["dgms"][1]
        total += float(np.diff(bars, axis=1).sum())
    return total / 2


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    claims = Claims(f"Both barcodes of a pair, medians of {options.rounds}")
    for name, ((w, other), limit) in clouds().items():
        assert np.isclose(divergence(w, other), authors(w, other), rtol=1e-5)

        def ours(w=w, other=other) -> float:
            return divergence(w, other)

        def theirs(w=w, other=other) -> float:
            return authors(w, other)

        found = in_turn({f"{name}, n = {len(w)}": ours, f"{name}, ripser": theirs}, options.rounds, warm=False)
        claims.times(found)
        own, peer = found.values()
        claims.at_least(f"{name}: ripser over ours", peer / own, limit)
    claims.end()


if __name__ == "__main__":
    main()
