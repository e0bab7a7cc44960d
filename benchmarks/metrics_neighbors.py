"""Neighbour metrics over all 13 × 25 layer pairs (n = 1024, d = 768 × 1024, float32) cost little more than the search.

Claims: mutual kNN within 1.5× of the blocked products plus top-k that find the neighbours once a layer; exact p-values
of all pairs within 4× of the scores; 1000 shared permutations of mutual and Jaccard kNN within 60×; at least 40× faster
than platonic-rep's loop, which finds the neighbours of both sides anew for each pair, and 40× than ReSi's Jaccard loop.

Programs run in turn in one process, medians of `--repeats` (5); the peers' loops, minutes each, run once in full with
`--peers`, else over the `--pairs` first pairs and scaled (then marked ~).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from isomorph.metrics.neighbors import JaccardKnn, MutualKnn

N, K, L1, L2, D1, D2 = 1024, 10, 13, 25, 768, 1024
Layers = list[np.ndarray]


def layers() -> tuple[Layers, Layers]:
    """Two models of the same items: a shared signal in noise."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((N, 64), dtype=np.float32) / 8

    def layer(d: int) -> np.ndarray:
        return z @ rng.standard_normal((64, d), dtype=np.float32) + rng.standard_normal((N, d), dtype=np.float32)

    return [layer(D1) for _ in range(L1)], [layer(D2) for _ in range(L2)]


def search(xs: Layers, ys: Layers) -> None:
    """The floor: products and top-k of every layer, as plainly as NumPy allows."""
    for x in (*xs, *ys):
        s = x @ x.T
        np.fill_diagonal(s, -np.inf)
        np.argpartition(s, N - K, axis=1)[:, N - K :]


def platonic(x: np.ndarray, y: np.ndarray) -> float:
    """The algorithm of platonic-rep for one pair: full sort of both sides, dense masks."""
    import torch

    masks = []
    for side in (x, y):
        f = torch.nn.functional.normalize(torch.from_numpy(side), dim=-1)
        near = (f @ f.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :K]
        mask = torch.zeros(N, N)
        mask[torch.arange(N)[:, None], near] = 1.0
        masks.append(mask)
    return float(((masks[0] * masks[1]).sum(dim=1) / K).mean())


def resi(x: np.ndarray, y: np.ndarray) -> float:
    """The algorithm of ReSi for one pair: scikit-learn's search on both sides, Python sets."""
    from sklearn.neighbors import NearestNeighbors

    sides = []
    for side in (x, y):
        search = NearestNeighbors(n_neighbors=K + 1, metric="cosine", n_jobs=8).fit(side)
        sides.append([set(row) for row in search.kneighbors(side)[1][:, 1:].tolist()])
    return float(np.mean([len(a & b) / len(a | b) for a, b in zip(*sides, strict=True)]))


def seconds(program: Callable[[], object]) -> float:
    begin = time.perf_counter()
    program()
    return time.perf_counter() - begin


def in_turn(programs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each program, the programs taking turns so that a busy spell hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, program in programs.items():
            times[name].append(seconds(program))
    return {name: statistics.median(values) for name, values in times.items()}


def scores(m: MutualKnn | JaccardKnn, xs: Layers, ys: Layers) -> np.ndarray:
    return m.compare([m.prepare(x) for x in xs], [m.prepare(y) for y in ys])


def exact(m: MutualKnn, xs: Layers, ys: Layers) -> object:
    """Exact p of every pair, from the features: compare with the scores, which it includes."""
    a, b = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
    return m.null_moments(a, b).p_value(m.compare(a, b))


def peer(name: str, loop: Callable, xs: Layers, ys: Layers, values: np.ndarray, ours: float, pairs: int) -> None:
    """Run a peer's loop over layer pairs, check that it means the same and print the ratio."""
    cells = [(i, j) for i in range(L1) for j in range(L2)][:pairs]
    loop(xs[0], ys[0])  # imports and thread pools are not what is measured
    begin = time.perf_counter()
    theirs = np.array([loop(xs[i], ys[j]) for i, j in cells])
    total = (time.perf_counter() - begin) * L1 * L2 / len(cells)
    difference = max(abs(v - values[c]) for v, c in zip(theirs, cells, strict=True))
    about = "" if len(cells) == L1 * L2 else "~"
    print(f"{name:32} {about}{total:8.2f} s   {about}{total / ours:6.1f}× ours, largest difference {difference:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5, help="pairs that the peers' loops run over")
    parser.add_argument("--peers", action="store_true", help="run the peers over all 325 pairs")
    options = parser.parse_args()
    xs, ys = layers()
    mutual, jaccard = MutualKnn(k=K), JaccardKnn(k=K)
    times = in_turn(
        {
            "products and top-k": lambda: search(xs, ys),
            "mutual kNN": lambda: scores(mutual, xs, ys),
            "mutual kNN with exact p": lambda: exact(mutual, xs, ys),
            "Jaccard kNN": lambda: scores(jaccard, xs, ys),
        },
        options.repeats,
    )
    for name, value in times.items():
        print(f"{name:32} {value:8.2f} s   {value / times['products and top-k']:6.2f}× products and top-k")
    rng = np.random.default_rng(1)
    orders = np.array([rng.permutation(N) for _ in range(options.permutations)])
    for name, m in (("mutual kNN", mutual), ("Jaccard kNN", jaccard)):
        a, b = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
        spent = seconds(lambda: sum(1 for _ in m.compare_permuted(a, b, orders)))  # noqa: B023  # called at once
        label = f"{len(orders)} permutations, {name}"
        print(f"{label:32} {spent:8.2f} s   {spent / times[name]:6.2f}× the scores (one run)")
    pairs = L1 * L2 if options.peers else options.pairs
    peer("platonic-rep's loop", platonic, xs, ys, scores(mutual, xs, ys), times["mutual kNN"], pairs)
    peer("ReSi's Jaccard loop", resi, xs, ys, scores(jaccard, xs, ys), times["Jaccard kNN"], pairs)


if __name__ == "__main__":
    main()
