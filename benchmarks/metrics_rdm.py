"""RSA over all 13 × 25 layer pairs (n = 1024, d = 768 × 1024, float32) costs little more than ranking each RDM once.

Claims: Spearman RSA within 3× of computing and ranking each RDM once; exact Mantel p-values of all pairs within 4× of
the scores; 1000 shared permutations within 60×; at least 15× faster than rsatoolbox and than ReSi's loop.

Programs run in turn in one process, medians of `--repeats` (5); the peers' loops, minutes each, run once in full with
`--peers`, else over the `--pairs` first pairs and scaled (then marked ~).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy import stats

from isomorph.metrics.rdm import Rsa

N, L1, L2, D1, D2 = 1024, 13, 25, 768, 1024
Layers = list[np.ndarray]


def layers() -> tuple[Layers, Layers]:
    """Two models of the same items: a shared signal in noise."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((N, 64), dtype=np.float32) / 8

    def layer(d: int) -> np.ndarray:
        return z @ rng.standard_normal((64, d), dtype=np.float32) + rng.standard_normal((N, d), dtype=np.float32)

    return [layer(D1) for _ in range(L1)], [layer(D2) for _ in range(L2)]


def rank_each(xs: Layers, ys: Layers) -> None:
    """The floor: each layer's RDM and its ranks, with NumPy's and SciPy's own functions."""
    upper = np.triu_indices(N, 1)
    for x in (*xs, *ys):
        stats.rankdata(1 - np.corrcoef(x)[upper])


def sort_each(xs: Layers, ys: Layers) -> None:
    """A harder floor: float32 RDMs, one unstable sort, no ties."""
    upper = np.triu_indices(N, 1)
    for x in (*xs, *ys):
        c = x - x.mean(axis=1, keepdims=True)
        c /= np.linalg.norm(c, axis=1, keepdims=True)
        v = (c @ c.T)[upper]
        ranks = np.empty(len(v), dtype=np.float32)
        ranks[np.argsort(v)] = np.arange(len(v))


def resi(x: np.ndarray, y: np.ndarray) -> float:
    """The algorithm of ReSi for one pair: two correlation matrices, Spearman's function of SciPy."""
    lower = np.tril_indices(N, -1)
    return float(stats.spearmanr(np.corrcoef(x)[lower], np.corrcoef(y)[lower]).statistic)


def rsatoolbox(x: np.ndarray, y: np.ndarray) -> float:
    """The toolbox itself for one pair."""
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    return float(compare(*(calc_rdm(Dataset(v), method="correlation") for v in (x, y)), "spearman")[0, 0])


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


def scores(m: Rsa, xs: Layers, ys: Layers) -> np.ndarray:
    return m.compare([m.prepare(x) for x in xs], [m.prepare(y) for y in ys])


def exact(m: Rsa, xs: Layers, ys: Layers) -> object:
    """Exact p of every pair, from the features: compare with the scores, which it includes."""
    a, b = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
    return m.null_moments(a, b).p_value(m.compare(a, b))


def peer(name: str, loop: Callable, xs: Layers, ys: Layers, values: np.ndarray, ours: float, pairs: int) -> None:
    """Run a peer's loop over layer pairs, check that it means the same and print the ratio."""
    cells = [(i, j) for i in range(L1) for j in range(L2)][:pairs]
    loop(xs[0], ys[0])  # imports are not what is measured
    begin = time.perf_counter()
    theirs = np.array([loop(xs[i], ys[j]) for i, j in cells])
    total = (time.perf_counter() - begin) * L1 * L2 / len(cells)
    difference = max(abs(v - values[c]) for v, c in zip(theirs, cells, strict=True))
    about = "" if len(cells) == L1 * L2 else "~"
    print(f"{name:36} {about}{total:8.2f} s   {about}{total / ours:6.1f}× ours, largest difference {difference:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5, help="pairs that the peers' loops run over")
    parser.add_argument("--peers", action="store_true", help="run the peers over all 325 pairs")
    options = parser.parse_args()
    xs, ys = layers()
    m = Rsa()
    times = in_turn(
        {
            "each RDM ranked once": lambda: rank_each(xs, ys),
            "each RDM sorted once, float32": lambda: sort_each(xs, ys),
            "Spearman RSA": lambda: scores(m, xs, ys),
            "Spearman RSA with exact p": lambda: exact(m, xs, ys),
        },
        options.repeats,
    )
    for name, value in times.items():
        print(f"{name:36} {value:8.2f} s   {value / times['each RDM ranked once']:6.2f}× each RDM ranked once")
    rng = np.random.default_rng(1)
    orders = np.array([rng.permutation(N) for _ in range(options.permutations)])
    a, b = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
    spent = seconds(lambda: sum(1 for _ in m.compare_permuted(a, b, orders)))
    label = f"{len(orders)} permutations"
    print(f"{label:36} {spent:8.2f} s   {spent / times['Spearman RSA']:6.2f}× the scores (one run)")
    pairs, values = L1 * L2 if options.peers else options.pairs, scores(m, xs, ys)
    peer("ReSi's loop", resi, xs, ys, values, times["Spearman RSA"], pairs)
    peer("rsatoolbox, both RDMs for each pair", rsatoolbox, xs, ys, values, times["Spearman RSA"], pairs)


if __name__ == "__main__":
    main()
