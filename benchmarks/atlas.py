"""All layers of many models against each other cost little more than the products that cannot be avoided.

20 models × 13 layers, n = 1024, d = 384, float32. Scores: unbiased CKA of all 260 × 260 pairs from prepared layers,
beside the bare products, one x x' a layer (NumPy makes half of it) and one product of the float32 triangles above the
diagonals. Permutations: one shared permutation of 130 × 130 layers of two sides, and of all 260 with themselves, beside
the bare product of their triangles; its error against float64, whose sums are exact to 1e-12. Programs take turns in
one process on the same threads.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from _measure import Claims, Layers, N, in_turn, shared_orders

from isomorph.metrics import metric

MODELS, LAYERS, D = 20, 13, 384
CKA, KNN = "cka(estimator='unbiased')", "mutual_knn(k=10)"
PAIRS = N * (N - 1) // 2


def models() -> Layers:
    """All layers: a signal that all share, one that a model's layers share, noise and an offset."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    shared, found = normal(N, 32), []
    for _ in range(MODELS):
        own = normal(N, 32)
        found += [shared @ normal(32, D) + own @ normal(32, D) + 6 * normal(N, D) + 1 for _ in range(LAYERS)]
    return found


def permuted(spec: str, xs: list[object], ys: list[object]) -> Iterator[np.ndarray]:
    """Scores of one permutation after another, endlessly; the tables that all of them share are made at the first."""
    while True:
        yield from metric(spec).compare_permuted(xs, ys, shared_orders(10_000))


def error(layers: Layers, orders: np.ndarray) -> tuple[float, float]:
    """Largest difference between float32 and float64, of a score and of a permuted score."""
    m, apart = metric(CKA), []
    for some in (layers, [x.astype(np.float64) for x in layers]):
        states = [m.prepare(x) for x in some]
        scores = np.asarray(m.compare(states, states))
        apart.append((scores, np.stack(list(m.compare_permuted(states, states, orders)))))
    (a, p), (b, q) = apart
    return float(np.max(np.abs(a - b))), float(np.max(np.abs(p - q)))


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    layers, half = models(), MODELS * LAYERS // 2
    cka, knn = ([metric(spec).prepare(x) for x in layers] for spec in (CKA, KNN))
    triangles = np.random.default_rng(1).standard_normal((len(layers), PAIRS), dtype=np.float32)
    other = triangles[half:].copy()  # of the same array NumPy would make half of the product
    claims = Claims(f"{MODELS} models × {LAYERS} layers, n = {N}, d = {D}, float32; medians of {rounds}")

    def symmetric() -> None:
        for x in layers:
            x @ x.T

    took = in_turn(
        {
            "unbiased CKA of 260 × 260 layers": lambda: metric(CKA).compare(cka, cka),
            "mutual kNN of 260 × 260 layers": lambda: metric(KNN).compare(knn, knn),
            "260 bare products x x'": symmetric,
            "one bare product of 260 triangles with themselves": lambda: triangles @ triangles.T,
        },
        rounds,
    )
    claims.times(took)
    scores, _, *bare = took.values()
    claims.at_most("CKA of all pairs over its bare products", scores / sum(bare), 2)
    one, knn_one = permuted(CKA, cka[:half], cka[half:]), permuted(KNN, knn[:half], knn[half:])
    took = in_turn(
        {
            "one permutation of unbiased CKA, 130 × 130 layers": lambda: next(one),
            "one permutation of mutual kNN, 130 × 130 layers": lambda: next(knn_one),
            "the bare product of 130 × 130 triangles": lambda: triangles[:half] @ other.T,
        },
        rounds,
    )
    claims.times(took)
    cka_time, knn_time, bare_time = took.values()
    claims.at_most("a permutation of CKA over the bare product", cka_time / bare_time, 3)
    claims.at_most("a permutation of mutual kNN over the bare product", knn_time / bare_time, 0.3)
    itself = permuted(CKA, cka, cka)
    took = in_turn(
        {
            "one permutation of unbiased CKA, 260 layers with themselves": lambda: next(itself),
            "the bare product of 260 × 260 triangles": lambda: triangles @ triangles[::-1].T,
        },
        rounds,
    )
    claims.times(took)
    cka_time, bare_time = took.values()
    claims.at_most("a permutation of all layers over the bare product", cka_time / bare_time, 3)
    apart = error(layers[::LAYERS], shared_orders(3))
    claims.say(f"largest error of a score {apart[0]:.1e}, of a permuted score {apart[1]:.1e}")
    claims.at_most("largest error of either, in millionths", max(apart) * 1e6, 1)
    claims.end()


if __name__ == "__main__":
    main()
