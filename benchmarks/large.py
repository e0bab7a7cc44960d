"""Claims about many items.

1. CKA (unbiased) of two float32 layers of n = 1,000,000, d = 256 on disk: under 2 GB of resident memory in all, mapped
   pages included (VmHWM of a process that does nothing else), and within 3x of the three products of the same blocks
   alone, which read the files once.
2. One pair of n = 20,000, d = 1024: CKA within 1.5x of its three cross-products.
3. Mutual kNN of one layer of n = 20,000, d = 1024: at least 0.8 of the rate of the plain blocked products.
4. Approximate neighbours at n = `--approximate`, d = 256: at least 0.95 of the true ones found, on a sample.

Every ratio is of medians, both sides measured in turn in one process.

Run: ``python benchmarks/large.py [--rounds 5] [--items 1000000] [--approximate 100000]``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from isomorph.metrics import metric


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def ratio(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of both, measured in turn."""
    times = [(seconds(ours), seconds(floor)) for _ in range(rounds)]
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


def report(claim: str, value: float, limit: float, at_least: bool = False) -> bool:
    """Print one claim and whether it holds."""
    holds = value >= limit if at_least else value <= limit
    print(f"{claim}: {value:.2f} ({'at least' if at_least else 'at most'} {limit:g}) {'ok' if holds else 'NOT MET'}")
    return holds


def noisy(n: int, d: int, seed: int) -> np.ndarray:
    """Features that share a signal of 16 directions over all seeds."""
    shared = np.random.default_rng(99).standard_normal((n, 16), dtype=np.float32)
    rng = np.random.default_rng(seed)
    return 2 * shared @ rng.standard_normal((16, d), dtype=np.float32) + 2 * rng.standard_normal(
        (n, d), dtype=np.float32
    )


def write(path: Path, n: int, d: int, seed: int) -> None:
    """Features on disk, made in blocks."""
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    for s in range(0, n, 50_000):
        part = out[s : s + 50_000]
        part[:] = noisy(len(part), d, seed + 2 * s)


def high_water() -> int:
    """The most resident memory of this process so far, in KiB; ru_maxrss would include its parent's (Linux only)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def from_disk(x: str, y: str) -> None:
    """What the child process does: one score, then the plain products of the same blocks."""
    a, b = (np.load(p, mmap_mode="r") for p in (x, y))
    before = high_water()
    value = 0.0

    def score() -> None:
        nonlocal value
        value = metric("cka(estimator='unbiased')")(a, b)

    score()
    peak = high_water()

    def plain() -> None:
        for s in range(0, len(a), 8192):
            p, q = np.asarray(a[s : s + 8192]), np.asarray(b[s : s + 8192])
            _ = p.T @ q, p.T @ p, q.T @ q

    took, alone = ratio(score, plain, 3)
    print(value, took, alone, before, peak)


def disk_claim(items: int) -> list[bool]:
    """Claim 1."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.npy" for name in "xy"]
        for seed, path in enumerate(paths):
            write(path, items, 256, seed)
        done = subprocess.run(
            [sys.executable, __file__, "--child", *map(str, paths)], check=True, capture_output=True, text=True
        )
    value, took, plain, before, peak = map(float, done.stdout.split())
    print(f"n = {items:,} from disk: CKA {value:.6f} in {took:.1f} s, the products alone {plain:.1f} s")
    print(f"resident memory {before / 1024:.0f} MB before, {peak / 1024:.0f} MB at its peak")
    return [
        report("1. peak resident memory in GB", peak / 2**20, 2),
        report("1. CKA from disk over its products", took / plain, 3),
    ]


def pair_claims(rounds: int) -> list[bool]:
    """Claims 2 and 3."""
    x, y = noisy(20_000, 1024, 0), noisy(20_000, 1024, 1)
    cka, products = ratio(lambda: metric("cka")(x, y), lambda: (x.T @ y, x.T @ x, y.T @ y), max(9, rounds))
    print(f"n = 20,000: CKA {cka:.2f} s, its products {products:.2f} s")
    knn = metric("mutual_knn(k=10)")

    def blocks() -> None:
        for s in range(0, len(x), 838):
            _ = x[s : s + 838] @ x.T

    graph, plain = ratio(lambda: knn.prepare(x), blocks, min(rounds, 3))
    print(f"n = 20,000: neighbours of one layer {graph:.1f} s, its products {plain:.1f} s")
    return [
        report("2. CKA over its products", cka / products, 1.5),
        report("3. share of the rate of products", plain / graph, 0.8, at_least=True),
    ]


def approximate_claim(items: int) -> list[bool]:
    """Claim 4."""
    x = noisy(items, 256, 0)
    found = 0.0

    def prepare() -> None:
        nonlocal found
        found = metric("mutual_knn(k=10, index='approximate')").prepare(x).recall

    took = seconds(prepare)
    block = statistics.median(seconds(lambda: x[:800] @ x.T) for _ in range(3)) * items / 800
    print(
        f"n = {items:,}: approximate neighbours of one layer {took:.0f} s; all products alone would take {block:.0f} s"
    )
    return [report("4. recall", found, 0.95, at_least=True)]


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--approximate", type=int, default=100_000)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        from_disk(*options.child)
        return
    met = disk_claim(options.items) + pair_claims(options.rounds) + approximate_claim(options.approximate)
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
