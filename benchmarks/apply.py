"""A fitted map applied to 1,000,000 embeddings, from file to file, against the bare product of the same rows.

Claims: 1,000,000 x 768 -> 1024 in float32 from one `.npy` file into another, unit rows, checked for NaN and for rows
unlike those fitted on, within 1.3 times the bare product; and memory of a few blocks, however many rows there are.

What bounds it: the product. The bare product is of the same rows with the same matrix by NumPy in blocks that are in
memory already, so that reading, checking, scaling and writing are all on top of it. Both take turns, part of the rows at
a time, in one process on the same threads; what the disk needs to make the file safe (fsync) is told apart, since it is
the disk's. Memory is the growth of the peak over that of a tenth of the rows, in processes of their own.

`--rows N` runs on N rows.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _measure import Claims, in_turn

import isomorph as iso

ROWS, D_OLD, D_NEW, PAIRS, ROUNDS = 1_000_000, 768, 1024, 5_000, 3
BLOCK = 5_000


def fitted(folder: Path) -> iso.Migration:
    """A map between two spaces that share a signal, on few pairs: how it was fitted plays no part here."""
    rng = np.random.default_rng(0)
    old = rng.standard_normal((PAIRS, D_OLD), dtype=np.float32)
    new = old @ rng.standard_normal((D_OLD, D_NEW), dtype=np.float32)
    new /= np.linalg.norm(new, axis=1, keepdims=True)
    made = iso.fit_map(old, new, "ridge(penalties=0.01)", test=list(range(500)), permutations=19, draws=20)
    made.save(folder / "map.json")
    return made


def write_rows(path: Path, rows: int) -> None:
    """Rows like those that were fitted on, block by block."""
    rng = np.random.default_rng(1)
    block = rng.standard_normal((BLOCK, D_OLD), dtype=np.float32)
    with path.open("wb") as file:
        head = {"descr": "<f4", "fortran_order": False, "shape": (rows, D_OLD)}
        np.lib.format.write_array_header_1_0(file, head)
        for begin in range(0, rows, BLOCK):
            file.write(np.roll(block, begin // BLOCK, axis=0)[: rows - begin].data)


def product(rows: int, coef: np.ndarray) -> None:
    """The bare product of as many rows, in blocks that are in memory."""
    block = np.random.default_rng(1).standard_normal((BLOCK, D_OLD), dtype=np.float32)
    room = np.empty((BLOCK, coef.shape[1]), dtype=np.float32)
    for begin in range(0, rows, BLOCK):
        n = min(BLOCK, rows - begin)
        np.matmul(block[:n], coef, out=room[:n])


def peak(folder: Path, rows: int) -> float:
    """Peak memory in MB of a process that maps a file of so many rows."""
    write_rows(folder / "part.npy", rows)
    command = [sys.executable, __file__, "--one", str(folder / "part.npy")]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def one(path: Path) -> None:
    iso.apply_map(path.parent / "map.json", path, path.parent / "part-new.npy", overwrite=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="rows that are mapped")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["ISOMORPH_PROGRESS"] = "0"
    if given.one:
        one(given.one)
        return
    rows = given.rows
    claims = Claims(f"apply_map, {rows:,} x {D_OLD} -> {D_NEW}, float32, file to file")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = fitted(folder)
        coef = np.ascontiguousarray(made.learned["coef_"], dtype=np.float32)
        small, whole = (peak(folder, n) for n in (rows // 10, rows))
        old, new = folder / "part.npy", folder / "new.npy"
        spent: list[float] = []
        sync = os.fsync

        def timed(handle: int) -> None:
            begin = time.perf_counter()
            sync(handle)
            spent.append(time.perf_counter() - begin)

        os.fsync = timed  # type: ignore[assignment]
        times = in_turn(
            {
                "bare product": lambda: product(rows, coef),
                "apply_map": lambda: iso.apply_map(made, old, new, overwrite=True),
            },
            ROUNDS,
        )
        os.fsync = sync
        claims.times(times)
        disk = sum(spent) / (ROUNDS + 1)
        claims.say(f"of which the disk, making the file safe: {disk:.3f} s")
        exact = np.load(old, mmap_mode="r")[:1000] @ coef + made.learned["y_mean_"] - made.learned["x_mean_"] @ coef
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        error = float(np.abs(np.load(new, mmap_mode="r")[:1000] - exact).max())
        claims.at_most("largest difference from the plain product", error, 1e-5)
        claims.at_most(
            "apply_map over the bare product, less the disk", (times["apply_map"] - disk) / times["bare product"], 1.3
        )
        claims.say(f"peak memory: {small:.0f} MB for {rows // 10:,} rows, {whole:.0f} MB for {rows:,}")
        claims.at_most("memory that ten times the rows need more, MB", whole - small, 64)
    claims.end()


if __name__ == "__main__":
    main()
