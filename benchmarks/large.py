"""Claims about many items, each with a peak of resident memory where it has one.

1. n = 1,000,000, d = 256, float32, two layers read from disk: unbiased CKA, exact, reads each file once (bytes that the
   system fetched from the disk, its cache emptied before, over the size of the files: at most 1.15, the mean being
   estimated from a sample first), in under 2 GB of resident memory, mapped pages included, and within 3x of the bare
   products of the same blocks.
2. n = 20,000, d = 1024: CKA of one pair within 1.5x of the products that it needs, x'y, x'x and y'y. Symmetry halves
   the work of the last two in NumPy, so that they cost about as much as two cross-products; those are shown beside.
   Less than 1 GB of resident memory beyond the inputs.
3. n = 20,000, d = 1024, NumPy and torch: mutual kNN finds the neighbours of a layer at 0.8 or more of the rate of the
   bare products in the same blocks.
4. n = `--approximate`, d = 256, float32, two layers read from disk, under memory="4GB": mutual kNN by an index, with
   its exact null. The index finds at least 0.95 of the true neighbours, measured on a sample, and the null says so.
   What all products of both layers would take (from a sample of them) is shown beside; with ``--approximate 1000000``
   it also claims to take less than a third of that.

Every ratio is of medians, both sides measured in turn in one process; resident memory is VmHWM of a process that does
nothing else (Linux).

Run: ``python benchmarks/large.py [--rounds 5] [--items 1000000] [--approximate 100000] [--only disk pair …]``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _measure import Claims, in_turn, seconds

from isomorph.metrics import metric, working_memory

PART = 50_000  # rows that are made at once
BLOCK = 838  # rows of a block of products, as the search for neighbours has them at n = 20,000
KNN = "mutual_knn(k=10)"


def noisy(n: int, d: int, seed: int, start: int = 0) -> np.ndarray:
    """Rows start:start+n of features that share a signal of 16 directions over all seeds; the rest is noise."""
    shared = np.random.default_rng((99, start)).standard_normal((n, 16), dtype=np.float32)
    mixing = np.random.default_rng(seed).standard_normal((16, d), dtype=np.float32)
    noise = np.random.default_rng((seed, start)).standard_normal((n, d), dtype=np.float32)
    return 2 * shared @ mixing + 2 * noise


def write(path: Path, n: int, d: int, seed: int) -> None:
    """Features on disk, made in blocks."""
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    for s in range(0, n, PART):
        out[s : s + PART] = noisy(min(PART, n - s), d, seed, s)
    out.flush()


def resident(field: str = "VmHWM") -> float:
    """Resident memory of this process in MB: the most so far, or now (VmRSS). ru_maxrss would include its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024 / 1e6


def forget_peak() -> float:
    """Let VmHWM begin anew, and what is resident now, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def fetched() -> int:
    """Bytes that the system has read from disks for this process, mapped pages included."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("read_bytes")).split()[1])


def forget_file(path: str) -> None:
    """Take a file out of the system's cache."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


# ---- what a process of its own measures --------------------------------------------------------------------


def child_disk(x: str, y: str) -> None:
    """CKA of two files, then the bare products of the same blocks."""
    for path in (x, y):
        forget_file(path)
    a, b = (np.load(p, mmap_mode="r") for p in (x, y))
    before, read = forget_peak(), fetched()
    value = metric("cka")(a, b)
    peak, read = resident(), fetched() - read

    def plain() -> None:
        for s in range(0, len(a), 8192):
            p, q = np.asarray(a[s : s + 8192]), np.asarray(b[s : s + 8192])
            _ = p.T @ q, p.T @ p, q.T @ q

    times = in_turn({"cka": lambda: metric("cka")(a, b), "products": plain}, 5, warm=False)
    print(value, *times.values(), before, peak, read / (a.nbytes + b.nbytes))


def child_pair(rounds: str) -> None:
    """CKA of a pair in memory: what it takes beyond the inputs, then its time beside the bare products."""
    x, y = noisy(20_000, 1024, 0), noisy(20_000, 1024, 1)
    before, cka = forget_peak(), metric("cka")
    cka(x, y)
    beyond = resident() - before
    z = x + 1
    programs = {
        "cka": lambda: cka(x, y),
        "products": lambda: (x.T @ y, x.T @ x, y.T @ y),
        "two": lambda: (x.T @ y, z.T @ y),
    }
    print(*in_turn(programs, int(rounds)).values(), beyond)


def child_neighbours(rounds: str, library: str) -> None:
    """The neighbours of one layer beside the bare products."""
    x, knn = noisy(20_000, 1024, 0), metric(KNN)
    if library == "torch":
        import torch

        x = torch.from_numpy(x)

    def blocks() -> None:
        for s in range(0, len(x), BLOCK):
            _ = x[s : s + BLOCK] @ x.T

    print(*in_turn({"graph": lambda: knn.prepare(x), "products": blocks}, int(rounds)).values())


def child_approximate(x: str, y: str) -> None:
    """Neighbours of two layers by an index, their overlap and its exact p; then what some of the products take."""
    layers, knn = [np.load(p, mmap_mode="r") for p in (x, y)], metric("mutual_knn(k=10, index='approximate')")
    before = forget_peak()
    begin, cpu = time.perf_counter(), time.process_time()
    with working_memory("4GB"):
        a, b = map(knn.prepare, layers)
        score = float(knn.compare([a], [b])[0, 0])
        null = knn.null_moments([a], [b])
    took, cpu, peak = time.perf_counter() - begin, time.process_time() - cpu, resident()
    assert null is not None
    block, n = np.array(layers[0][:BLOCK]), len(layers[0])
    columns = [np.array(layers[0][s : s + 20_000]) for s in range(0, min(n, 400_000), 20_000)]
    product = statistics.median(seconds(lambda c=c: block @ c.T) / len(c) for c in columns)
    p = float(null.p_value(np.array([[score]]))[0, 0])
    print(score, float(null.mean[0, 0]), p, a.recall, b.recall, took, cpu, 2 * product * n * n / BLOCK, before, peak)


CHILDREN = {"disk": child_disk, "pair": child_pair, "neighbours": child_neighbours, "approximate": child_approximate}


def measured(name: str, *arguments: object) -> list[float]:
    """What a child printed."""
    command = [sys.executable, __file__, "--child", name, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [float(v) for v in done.stdout.split()]


# ---- claims ------------------------------------------------------------------------------------------------


def disk(claims: Claims, options: argparse.Namespace, folder: Path) -> None:
    """Claim 1."""
    n, paths = options.items, [folder / f"{name}.npy" for name in "xy"]
    for seed, path in enumerate(paths):
        write(path, n, 256, seed)
    value, took, plain, before, peak, read = measured("disk", *paths)
    claims.say(f"n = {n:,} from disk: CKA {value:.6f} in {took:.1f} s, the bare products {plain:.1f} s")
    claims.say(f"resident memory {before:.0f} MB before, {peak:.0f} MB at its peak")
    claims.at_most("1. peak resident memory in GB", peak / 1e3, 2)
    claims.at_most("1. time over that of the bare products", took / plain, 3)
    if read:  # in a file system in memory nothing is fetched
        claims.at_most("1. bytes read over the size of the files", read, 1.15)


def pair(claims: Claims, options: argparse.Namespace, folder: Path) -> None:
    """Claim 2."""
    del folder
    cka, products, two, beyond = measured("pair", options.rounds)
    claims.say(f"n = 20,000: CKA {cka:.2f} s, x'y, x'x and y'y {products:.2f} s, two cross-products {two:.2f} s")
    claims.at_most("2. CKA over its products", cka / products, 1.5)
    claims.at_most("2. resident memory beyond the inputs in GB", beyond / 1e3, 1)


def neighbours(claims: Claims, options: argparse.Namespace, folder: Path) -> None:
    """Claim 3."""
    del folder
    for library in ("numpy", "torch"):
        graph, plain = measured("neighbours", options.rounds, library)
        claims.say(f"n = 20,000, {library}: neighbours of one layer {graph:.2f} s, the bare products {plain:.2f} s")
        claims.at_least(f"3. share of the rate of the bare products, {library}", plain / graph, 0.8)


def approximate(claims: Claims, options: argparse.Namespace, folder: Path) -> None:
    """Claim 4."""
    n, paths = options.approximate, [folder / f"{name}.npy" for name in "xy"]
    for seed, path in enumerate(paths):
        write(path, n, 256, seed)
    score, chance, p, *recalls, took, cpu, brute, before, peak = measured("approximate", *paths)
    claims.say(f"n = {n:,}: mutual kNN {score:.4f}, chance {chance:.1e}, exact p {p:.1e}, of two layers from disk")
    claims.say(f"both indices, the score and its null {took:.0f} s ({cpu:.0f} s of processor time)")
    claims.say(f"all products alone would take {brute:.0f} s; memory {before:.0f} MB before, {peak:.0f} MB at the peak")
    claims.at_least("4. measured recall of the index, the lesser of both", min(recalls), 0.95)
    claims.at_most("4. peak resident memory in GB", peak / 1e3, 4)
    if n >= 1_000_000:
        claims.at_most("4. time over that of all products", took / brute, 1 / 3)


CLAIMS = {"disk": disk, "pair": pair, "neighbours": neighbours, "approximate": approximate}


def main() -> None:
    """Measure the claims, and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--approximate", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=list(CLAIMS), default=list(CLAIMS))
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, *arguments = options.child
        CHILDREN[name](*arguments)
        return
    claims = Claims("Many items")
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            CLAIMS[name](claims, options, Path(folder))
    claims.end()


if __name__ == "__main__":
    main()
