"""A fitted map applied to 1,000,000 embeddings, in memory and from file to file, against the bare product.

Claims: 1,000,000 x 768 -> 1024 in float32, rows scaled to unit length, checked for NaN and for being unlike those that
were fitted on: in memory within 1.3 times ``old @ coef``, which gives neither; from file to file within 1.3 times
``numpy.save(numpy.load(old) @ coef)``; and in memory of a few blocks, however many rows a file has.

What bounds it: the product. All take turns in one process on the same threads. What the disk needs to make the file
safe (fsync) is told and taken off, since `numpy.save` leaves it out. Memory is the peak (VmHWM) of processes of their
own, for a tenth of the rows and for all.

`--rows N` runs on N rows; all of them need 12 GB of memory for the plain product and 12 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import re
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


def peak(folder: Path, rows: int) -> float:
    """Peak memory in MB of a process that maps a file of so many rows."""
    write_rows(folder / "part.npy", rows)
    command = [sys.executable, __file__, "--one", str(folder / "part.npy")]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def one(path: Path) -> None:
    iso.apply_map(path.parent / "map.json", path, path.parent / "part-new.npy", overwrite=True)
    status = Path("/proc/self/status").read_text()  # not ru_maxrss, which a process has from the one that started it
    print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000)


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

        os.fsync = timed  # type: ignore[assignment]  # the same call, timed
        rows_in_memory = np.load(old)
        times = in_turn(
            {
                "old @ coef": lambda: rows_in_memory @ coef,
                "apply_map in memory": lambda: iso.apply_map(made, rows_in_memory),
                "numpy.save(numpy.load(old) @ coef)": lambda: np.save(folder / "plain.npy", np.load(old) @ coef),
                "apply_map from file to file": lambda: iso.apply_map(made, old, new, overwrite=True),
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
        product, memory, plain, files = times.values()
        claims.at_most("in memory, over the bare product", memory / product, 1.3)
        claims.at_most("from file to file, less the disk, over load, product, save", (files - disk) / plain, 1.3)
        claims.say(f"from file to file, disk and all, over the bare product: {files / product:.2f}")
        claims.say(f"peak memory: {small:.0f} MB for {rows // 10:,} rows, {whole:.0f} MB for {rows:,}")
        claims.at_most("memory that ten times the rows need more, MB", whole - small, 64)
    claims.end()


if __name__ == "__main__":
    main()
