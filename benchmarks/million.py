"""Claims about very many items: n = 1,000,000, d = 768, two layers in half precision in a store, on one machine.

1. Unbiased CKA, exact, in one pass: under 4 GB of resident memory (mapped pages included), within 3x of the bare
   products x'x, x'y and y'y of the same blocks in single precision.
2. Mutual kNN by an index: under 4 GB; the index finds at least 0.95 of the true neighbours, measured on a sample. Its
   time is shown over that of all products of both layers, taken from a sample of them.
3. Stitch by ridge, 2,000 items held out, in blocks: under 4 GB. Beside the fit there are its controls (permuted pairs,
   mean, identity, self-stitch); time is shown over that of one bare product x'y in double precision.
4. Fusion by concat of a number that either layer tells half of, 2,000 items held out, in blocks, without controls:
   under 4 GB, and better than either layer. Time is shown over that of the products x'x, x'y and y'y in double
   precision.

Each runs in a process of its own under memory="3.5GB"; its peak is VmHWM (Linux). 1,000,000 items need 3.1 GB of disk.

Run: ``python benchmarks/million.py [--items 1000000] [--width 768] [--only cka knn …] [--folder DIR] [--put]``.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _measure import Claims, put_section, seconds

import isomorph as iso
from isomorph.metrics import metric, working_memory
from isomorph.metrics._base import check_layer
from isomorph.store._writer import EntryWriter

MEMORY, PART, BLOCK, HELD = "3.5GB", 20_000, 4096, 2000
PAGE = Path(__file__).parent.parent / "docs" / "large.md"
KNN = "mutual_knn(k=10, index='approximate')"


def entries(folder: Path, n: int) -> list[Any]:
    """The two entries of a store, one a view of the items."""
    ids = tuple(map(str, range(n)))
    items = iso.PairedItems("many", ids, {"first": ids, "second": ids})
    encoder = iso.load_encoder("statistics:text")
    return [iso.FeatureStore(folder).entry(encoder, items, view, "float16") for view in ("first", "second")]


def fill(folder: Path, n: int, d: int) -> None:
    """Features written part by part as an extraction writes them: a signal that both share, and noise of a quarter of
    its variance, on rotated axes of variance 1/i, the spectrum that is seen in networks and cortex (Stringer 2019).
    """
    spread = np.arange(1, d + 1, dtype=np.float32) ** -0.5
    for seed, entry in enumerate(entries(folder, n)):
        with EntryWriter(entry, commit_every=10) as writer:
            writer.begin({"last": d}, {})
            axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0].astype(np.float32)
            for s in range(0, n, PART):
                m = min(PART, n - s)
                shared, noise = (
                    np.random.default_rng(one).standard_normal((m, d), dtype=np.float32) for one in ((99, s), (seed, s))
                )
                features = ((shared + noise / 2) * spread) @ axes
                writer.put(list(range(s, s + m)), {"last": features.astype(np.float16)}, {})


def resident(field: str = "VmHWM") -> float:
    """Resident memory of this process in GB: the most so far, or now (VmRSS)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024 / 1e9


def products(x: Any, y: Any, dtype: Any, *, all_three: bool) -> None:
    """The bare products of blocks."""
    for s in range(0, len(x), BLOCK):
        a, b = (np.asarray(z[s : s + BLOCK], dtype=dtype) for z in (x, y))
        _ = (a.T @ b, a.T @ a, b.T @ b) if all_three else a.T @ b


# ---- what a process of its own does: seconds, seconds of the bare products, and what it found --------------------


def cka(x: Any, y: Any) -> list[float]:
    """The score."""
    found: list[float] = []
    with working_memory(MEMORY):
        spent = seconds(lambda: found.append(metric("cka")(x["last"], y["last"])))
    peak = resident()
    plain = seconds(lambda: products(x["last"], y["last"], np.float32, all_three=True))
    return [spent, plain, peak, *found]


def knn(x: Any, y: Any) -> list[float]:
    """The score, its chance, and the least recall."""
    measure: Any = metric(KNN)
    begin = time.perf_counter()
    with working_memory(MEMORY):
        a, b = (measure.prepare(check_layer(z["last"], "x", measure)) for z in (x, y))
        score = float(measure.compare([a], [b])[0, 0])
    spent, peak = time.perf_counter() - begin, resident()
    n, block = x.n, np.asarray(x["last"][:1024], dtype=np.float32)
    parts = [np.asarray(x["last"][s : s + 20_000], dtype=np.float32) for s in range(0, min(n, 100_000), 20_000)]
    each = statistics.median(seconds(lambda p=p: block @ p.T) / len(p) for p in parts) / len(block)
    return [spent, 2 * each * n * n, peak, score, 10 / (n - 1), min(a.recall, b.recall)]


def stitch(x: Any, y: Any) -> list[float]:
    """Held-out R² and reciprocal rank."""
    found: list[Any] = []
    held = range(0, x.n, x.n // HELD)
    spent = seconds(
        lambda: found.append(iso.stitch(x, y, ["ridge"], test=held, permutations=1, curves=False, memory=MEMORY))
    )
    peak = resident()
    plain = seconds(lambda: products(x["last"], y["last"], np.float64, all_three=False))
    return [spent, plain, peak, found[0]["ridge"]["r2"].value, found[0]["ridge"]["mrr"].value]


def fuse(x: Any, y: Any) -> list[float]:
    """R² of both, and of the better one alone."""
    n, found = x.n, []
    target = np.zeros((n, 1))
    for s in range(0, n, PART):
        m = min(PART, n - s)
        for layer in (x["last"], y["last"]):
            target[s : s + m, 0] += np.asarray(layer[s : s + m, :8], dtype=np.float64).sum(axis=1)
    held = range(0, n, n // HELD)
    options: dict[str, Any] = {
        "heads": ["concat"],
        "test": held,
        "memory": MEMORY,
        "target_kind": "numbers",
        "controls": False,
    }
    spent = seconds(lambda: found.append(iso.fuse({"x": x, "y": y}, target, **options)))
    peak = resident()
    plain = seconds(lambda: products(x["last"], y["last"], np.float64, all_three=True))
    alone = max(s.score.value for s in found[0].singles.values())
    return [spent, plain, peak, found[0]["concat"].score.value, alone]


CHILDREN: dict[str, Callable[[Any, Any], list[float]]] = {"cka": cka, "knn": knn, "stitch": stitch, "fuse": fuse}


def measured(name: str, folder: Path, n: int) -> list[float]:
    """What a child printed."""
    command = [sys.executable, __file__, "--child", name, "--folder", str(folder), "--items", str(n)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [float(v) for v in done.stdout.split()]


def claim(claims: Claims, name: str, found: list[float]) -> str:
    """Judge what a child found, and a line for the page."""
    spent, plain, peak, *values = found
    what = {
        "cka": "unbiased CKA {:.4f}",
        "knn": "mutual kNN {:.4f}, chance {:.1e}, recall of the index {:.3f}",
        "stitch": "stitch by ridge: R² {:.3f}, reciprocal rank {:.3f}",
        "fuse": "fusion by concat: R² {:.3f}, of the better layer alone {:.3f}",
    }[name].format(*values)
    claims.say(f"{what}: {spent:.0f} s, the bare products {plain:.0f} s")
    claims.at_most(f"{name}: peak resident memory in GB", peak, 4)
    if name == "cka":
        claims.at_most("cka: time over that of the bare products", spent / plain, 3)
    if name == "knn":
        claims.at_least("knn: measured recall, the lesser of both", values[2], 0.95)
    if name == "fuse":
        claims.at_least("fuse: R² beyond the better layer", values[0] - values[1], 0.1)
    return f"| {what} | {peak:.2f} GB | {spent:.0f} s | {spent / plain:.2f} |"


def main() -> None:
    """Measure the claims, and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--only", nargs="+", choices=list(CHILDREN), default=list(CHILDREN))
    parser.add_argument("--folder", type=Path, help="where the store is made, and left; by default a temporary one")
    parser.add_argument("--put", action="store_true", help="write the table into docs/large.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        iso.show_progress(False)
        print(*CHILDREN[args.child](*(e.open() for e in entries(args.folder, args.items))))
        return
    claims = Claims(f"{args.items:,} items × {args.width} features, float16, two layers of a store")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not folder.exists() or not any(folder.iterdir()):
            fill(folder, args.items, args.width)
        rows = [claim(claims, name, measured(name, folder, args.items)) for name in args.only]
    if args.put:
        threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
        title = f"## {args.items:,} items × {args.width} features\n"
        made = f"`python benchmarks/million.py --items {args.items}` on {platform.machine()}, {threads} thread(s)"
        head = "| what | peak memory | time | over the bare products |\n|---|---|---|---|"
        put_section(PAGE, title, "## On a GPU\n", "\n".join([title, f"{made}:\n", head, *rows, ""]))
    claims.end()


if __name__ == "__main__":
    main()
