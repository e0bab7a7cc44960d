"""Claims about CKA over 13 x 25 layers, n = 1024, d = 768 and 1024, float32, and over one pair of n = 20,000 items.

1. All scores within 2.5x the time of the 38 plain Gram products x @ x.T alone (NumPy).
2. Scores and an exact p for every cell within 4x the time of the scores.
3. 1000 permutations shared by all cells within 60x the time of the scores (measured on `--permutations` of them and
   scaled; 1000 measures them all).
4. One pair of n = 20,000, d = 1024: within 1.5x of its cross-products alone, and under 1 GB beyond the inputs.
5. With `--peers`: at least 40x faster than the loop of platonic-rep (written here from its algorithm: both Grams and
   three unbiased HSIC terms anew for every pair, torch) and than ckatorch (cka_base(unbiased=True)), both run in full.

Everything runs in turn in one process, every round measures both sides, and medians are compared.

Run: ``python benchmarks/metrics_kernels.py [--rounds 5] [--permutations 100] [--peers]``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from isomorph.metrics import metric

CKA = metric("cka(estimator='unbiased')")


def layers(count: int, n: int, d: int, seed: int) -> list[np.ndarray]:
    """Layers that share a signal, with a falling spectrum and an offset."""
    rng = np.random.default_rng(seed)
    shared = np.random.default_rng(99).standard_normal((n, 32), dtype=np.float32)
    made = []
    for _ in range(count):
        x = shared @ rng.standard_normal((32, d), dtype=np.float32) + 3 * rng.standard_normal((n, d), dtype=np.float32)
        made.append(x * np.arange(1, d + 1, dtype=np.float32) ** -0.3 + 1)
    return made


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def scores(xs: list[np.ndarray], ys: list[np.ndarray]) -> np.ndarray:
    """All pairs, from the features."""
    return np.asarray(CKA.compare([CKA.prepare(x) for x in xs], [CKA.prepare(y) for y in ys]))


def scores_and_p(xs: list[np.ndarray], ys: list[np.ndarray]) -> np.ndarray:
    """All pairs with their exact p-values.

    Raises:
        RuntimeError: if CKA has no exact null.
    """
    states_x, states_y = [CKA.prepare(x) for x in xs], [CKA.prepare(y) for y in ys]
    values = np.asarray(CKA.compare(states_x, states_y))
    null = CKA.null_moments(states_x, states_y)
    if null is None:
        raise RuntimeError("CKA has lost its exact null")
    return np.asarray(null.p_value(values))


def sampled(xs: list[np.ndarray], ys: list[np.ndarray], count: int) -> None:
    """The scores of all pairs under `count` shared permutations."""
    rng = np.random.default_rng(0)
    orders = np.stack([rng.permutation(len(xs[0])) for _ in range(count)])
    for _ in CKA.compare_permuted([CKA.prepare(x) for x in xs], [CKA.prepare(y) for y in ys], orders):
        pass


def report(claim: str, ratio: float, limit: float, at_least: bool = False) -> bool:
    """Print one claim and whether it holds."""
    holds = ratio >= limit if at_least else ratio <= limit
    print(
        f"{claim}: {ratio:.2f} ({'at least' if at_least else 'at most'} {limit:g}) {'ok' if holds else 'NOT MET'}",
        flush=True,
    )
    return holds


def block_claims(rounds: int, permutations: int) -> list[bool]:
    """Claims 1 to 3."""
    xs, ys = layers(13, 1024, 768, 0), layers(25, 1024, 1024, 1)
    scores(xs, ys)
    times: dict[str, list[float]] = {"grams": [], "scores": [], "p": []}
    for _ in range(rounds):
        times["grams"].append(seconds(lambda: [x @ x.T for x in xs + ys]))
        times["scores"].append(seconds(lambda: scores(xs, ys)))
        times["p"].append(seconds(lambda: scores_and_p(xs, ys)))
    grams, score, p = (statistics.median(times[k]) for k in ("grams", "scores", "p"))
    print(f"38 Gram products {grams:.2f} s, scores {score:.2f} s, scores and exact p {p:.2f} s", flush=True)
    # what is done once (preparing, whole Grams) is not to be scaled with the number of permutations
    once, many = seconds(lambda: sampled(xs, ys, 4)), seconds(lambda: sampled(xs, ys, permutations + 4))
    thousand = once + (many - once) * 1000 / permutations
    print(f"{permutations} permutations {many:.2f} s, so 1000 take {thousand:.1f} s", flush=True)
    return [
        report("1. scores over Gram products", score / grams, 2.5),
        report("2. scores with exact p over scores", p / score, 4),
        report("3. 1000 permutations over scores", thousand / score, 60),
    ]


def pair_claims(rounds: int) -> list[bool]:
    """Claim 4."""
    x, y = layers(1, 20_000, 1024, 0)[0], layers(1, 20_000, 1024, 1)[0]
    products, score = [], []
    for _ in range(rounds):
        products.append(seconds(lambda: (x.T @ y, x.T @ x, y.T @ y)))
        score.append(seconds(lambda: CKA(x, y)))
    tracemalloc.start()
    CKA(x, y)
    peak = tracemalloc.get_traced_memory()[1] / 2**30
    tracemalloc.stop()
    a, b = statistics.median(products), statistics.median(score)
    print(f"n = 20,000: x'y, x'x and y'y {a:.2f} s, score {b:.2f} s", flush=True)
    return [report("4. one large pair over its cross-products", b / a, 1.5), report("4. its memory in GB", peak, 1)]


def platonic_loop(xs: list[np.ndarray], ys: list[np.ndarray]) -> np.ndarray:
    """Unbiased CKA as platonic-rep computes it: everything anew for every pair."""
    import torch

    def hsic(k: torch.Tensor, l: torch.Tensor) -> torch.Tensor:  # noqa: E741  # K and L are the field's names
        m = k.shape[0]
        k, l = k.clone().fill_diagonal_(0), l.clone().fill_diagonal_(0)  # noqa: E741  # as above
        value = (k * l.T).sum() + k.sum() * l.sum() / ((m - 1) * (m - 2)) - 2 * (k @ l).sum() / (m - 2)
        return value / (m * (m - 3))

    out = np.empty((len(xs), len(ys)))
    for i, x in enumerate(map(torch.from_numpy, xs)):
        for j, y in enumerate(map(torch.from_numpy, ys)):
            k, l = x @ x.T, y @ y.T  # noqa: E741  # as above
            out[i, j] = float(hsic(k, l) / (torch.sqrt(hsic(k, k) * hsic(l, l)) + 1e-6))
    return out


def ckatorch_loop(xs: list[np.ndarray], ys: list[np.ndarray]) -> np.ndarray:
    """Unbiased CKA by ckatorch, pair by pair."""
    import torch
    from ckatorch.core import cka_base

    return np.array(
        [[float(cka_base(torch.from_numpy(x), torch.from_numpy(y), unbiased=True)) for y in ys] for x in xs]
    )


def peer_claims() -> list[bool]:
    """Claim 5, one full run of each."""
    xs, ys = layers(13, 1024, 768, 0), layers(25, 1024, 1024, 1)
    ours = statistics.median(seconds(lambda: scores(xs, ys)) for _ in range(3))
    values = scores(xs, ys)
    met = []
    for name, loop in (("platonic-rep's loop", platonic_loop), ("ckatorch", ckatorch_loop)):
        begin = time.perf_counter()
        theirs = loop(xs, ys)
        took = time.perf_counter() - begin
        print(
            f"{name} {took:.1f} s, ours {ours:.2f} s, largest difference {np.abs(theirs - values).max():.1e}",
            flush=True,
        )
        met.append(report(f"5. {name} over ours", took / ours, 40, at_least=True))
    return met


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    met = block_claims(options.rounds, options.permutations) + pair_claims(options.rounds)
    if options.peers:
        met += peer_claims()
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
