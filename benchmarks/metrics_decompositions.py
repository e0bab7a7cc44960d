"""Procrustes, CCA, SVCCA and PWCCA over 13 × 25 layers take at most twice the decompositions that they need.

The floor is what any program of these metrics must do, with nothing around it: one thin SVD a layer, one matrix product
a pair, and the singular values alone of each product (numpy.linalg.svd without vectors), all in the float32 of the
features and each on the smaller side. n = 1024 items, d = 768 × 1024, singular values falling as i^-0.5 (SVCCA: i^-1,
as those of trained layers do, so that 99 % of the variance leave some hundred axes); CCA and PWCCA have n = 2048, since
with 1024 features on 1024 items every correlation is 1 and they refuse.
"""

from __future__ import annotations

import argparse

import numpy as np
from _measure import D_X, D_Y, LAYERS_X, LAYERS_Y, Claims, Layers, in_turn

from isomorph.metrics import metric

CASES = {"procrustes": (1024, 0.5), "svcca": (1024, 1.0), "cca": (2048, 0.5), "pwcca": (2048, 0.5)}


def layers(count: int, n: int, d: int, decay: float, seed: int) -> Layers:
    """Layers with singular values falling as a power, rotated, with an offset."""
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, d + 1) ** -decay
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
    shared = rng.standard_normal((n, d), dtype=np.float32)
    return [
        ((shared + rng.standard_normal((n, d), dtype=np.float32)) * spectrum.astype(np.float32)) @ rotation + 0.1
        for _ in range(count)
    ]


def floor(name: str, xs: Layers, ys: Layers) -> None:
    """The decompositions, products and singular values, without a metric."""
    parts = []
    for side in (xs, ys):
        of_side = []
        for x in side:
            u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
            if name == "procrustes":
                of_side.append(x)
            elif name == "svcca":
                energy = np.cumsum(s.astype(np.float64) ** 2)
                of_side.append(u[:, : int(np.sum(energy < 0.99 * energy[-1])) + 1])
            else:
                of_side.append(u)
        parts.append(of_side)
    for a in parts[0]:
        for b in parts[1]:
            np.linalg.svd(a.T @ b, compute_uv=False)


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metrics", nargs="*", default=list(CASES), metavar="metric")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", nargs=2, type=int, default=(LAYERS_X, LAYERS_Y))
    options = parser.parse_args()
    claims = Claims(f"{options.layers[0]} × {options.layers[1]} layers, float32, medians of {options.rounds}")
    for name in options.metrics:
        n, decay = CASES[name]
        xs, ys = layers(options.layers[0], n, D_X, decay, 0), layers(options.layers[1], n, D_Y, decay, 1)
        m = metric(name)

        def ours(m=m, xs=xs, ys=ys) -> None:
            m.compare([m.prepare(x) for x in xs], [m.prepare(y) for y in ys])

        def least(name=name, xs=xs, ys=ys) -> None:
            floor(name, xs, ys)

        found = in_turn({f"{name}, n = {n}": ours, f"{name}, floor": least}, options.rounds, warm=False)
        claims.times(found)
        own, bare = found.values()
        claims.at_most(f"{name} over its decompositions", own / bare, 2)
    claims.end()


if __name__ == "__main__":
    main()
