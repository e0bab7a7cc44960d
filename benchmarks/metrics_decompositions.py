"""Claim: Procrustes, CCA, SVCCA and PWCCA over 13 x 25 layers within twice the decompositions that they need.

The floor is what any program of these metrics must do, with nothing around it: one thin SVD a layer, one matrix
product a pair, and the singular values alone of each product (numpy.linalg.svd without vectors), all in the float32 of
the features, of the same sizes as the metric's own. Metric and floor run in turn in one process and their medians are
compared: 5 rounds, or 3 where a round takes longer than 20 seconds, 1 above 100.

Layers: float32, 768 and 1024 features, singular values falling as i^-0.5 (SVCCA: i^-1, as trained layers' do, so that
99 % of the variance leave some hundred axes). n = 1024 items; 2048 for CCA and PWCCA, which refuse 1024 features on
1024 items since every correlation is then 1.

Run: ``python benchmarks/metrics_decompositions.py [metric …] [--layers 13 25]``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from isomorph.metrics import metric

LIMIT = 2.0
CLAIMS = {"procrustes": (1024, 0.5), "svcca": (1024, 1.0), "cca": (2048, 0.5), "pwcca": (2048, 0.5)}


def layers(count: int, n: int, d: int, decay: float, seed: int) -> list[np.ndarray]:
    """Layers with singular values falling as a power, rotated, with an offset."""
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, d + 1) ** -decay
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
    shared = rng.standard_normal((n, d), dtype=np.float32)
    return [
        ((shared + rng.standard_normal((n, d), dtype=np.float32)) * spectrum.astype(np.float32)) @ rotation + 0.1
        for _ in range(count)
    ]


def floor(name: str, xs: list[np.ndarray], ys: list[np.ndarray]) -> None:
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


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main() -> None:
    """Measure the metrics asked for and fail if one is slower than claimed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics", nargs="*", default=list(CLAIMS), metavar="metric")
    parser.add_argument("--layers", nargs=2, type=int, default=(13, 25))
    options = parser.parse_args()
    slow = []
    for name in options.metrics:
        n, decay = CLAIMS[name]
        xs = layers(options.layers[0], n, 768, decay, 0)
        ys = layers(options.layers[1], n, 1024, decay, 1)
        m = metric(name)

        def ours(m=m, xs=xs, ys=ys) -> None:
            m.compare([m.prepare(x) for x in xs], [m.prepare(y) for y in ys])

        own, least = [seconds(ours)], [seconds(lambda name=name, xs=xs, ys=ys: floor(name, xs, ys))]
        rounds = 5 if own[0] + least[0] < 20 else 3 if own[0] + least[0] < 100 else 1
        for _ in range(rounds - 1):
            own.append(seconds(ours))
            least.append(seconds(lambda name=name, xs=xs, ys=ys: floor(name, xs, ys)))
        ratio = statistics.median(own) / statistics.median(least)
        print(
            f"{name:<11} {len(xs)} x {len(ys)} layers, n = {n}: {statistics.median(own):6.1f} s, floor "
            f"{statistics.median(least):6.1f} s, ratio {ratio:.2f} (claim {LIMIT}), medians of {rounds}",
            flush=True,
        )
        if ratio > LIMIT:
            slow.append(name)
    if slow:
        sys.exit(f"Slower than claimed: {', '.join(slow)}")


if __name__ == "__main__":
    main()
