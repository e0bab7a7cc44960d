"""Claims about a GPU: what is computed there is what the CPU computes, and how long each takes.

1. Scans of 4 × 4 layers, d = 1024, float32, 19 re-pairings (n = 10,000 for CKA and mutual kNN, else 2,000): scores on
   the device differ from the CPU's by at most 1e-4. Times are shown over the CPU's of the same machine.
2. Extraction of a vision transformer (12 layers × 768, random weights): features in single precision within 1e-3 of
   the CPU's by norm, in bfloat16 within 0.06; reading all layers takes at most 1.10 of the plain pass. Images a second
   are shown, for the passes alone and with their preparation.
3. Exact neighbours (k = 10, cosine) of n = 100,000 and `--items`, d = 768, by all products: those of `--rows` items are
   the CPU's. Time is shown over that of the bare products on the device, and its peak memory.

Without a card it says so: nothing was measured.

Run: ``python benchmarks/gpu.py [--device cuda] [--items 1000000] [--only scan extraction neighbours]``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _measure import Claims, seconds
from extraction import encoders

import isomorph as iso
from isomorph.conditions import check_device
from isomorph.errors import InputError
from isomorph.metrics._engines.neighbors.graphs import nearest

METRICS = {"cka": 10_000, "mutual_knn(k=10)": 10_000, "procrustes": 2000, "svcca": 2000, "rsa": 2000}
D, LAYERS = 1024, 4


def layers(n: int, d: int, seed: int, count: int = 1) -> list[np.ndarray]:
    """Features that share a signal of 16 directions over all seeds."""
    shared = np.random.default_rng(99).standard_normal((n, 16), dtype=np.float32)
    rng = np.random.default_rng(seed)
    return [
        2 * shared @ rng.standard_normal((16, d), dtype=np.float32) + 2 * rng.standard_normal((n, d), dtype=np.float32)
        for _ in range(count)
    ]


def waited(call: Any, device: str) -> float:
    """Seconds until the device is done."""
    import torch

    def run() -> None:
        call()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()

    return seconds(run)


def scan(claims: Claims, device: str, args: argparse.Namespace) -> None:
    for metric, n in METRICS.items():
        x, y = ({f"l{k}": z for k, z in enumerate(layers(n // args.smaller, D, seed, LAYERS))} for seed in (0, 1))
        found: dict[Any, Any] = {}

        def run(where: str | None, x: Any = x, y: Any = y, metric: str = metric, found: Any = found) -> None:
            found[where] = next(iter(iso.scan(x, y, metric, permutations=19, neighbors=0, device=where).values()))

        small = {k: v[:300] for k, v in x.items()}, {k: v[:300] for k, v in y.items()}
        run(device, *small)  # the first pass loads the device's libraries
        there, here = waited(lambda run=run: run(device), device), seconds(lambda run=run: run(None))
        gap = float(np.abs(found[None].values - found[device].values).max())
        claims.at_most(f"1. {metric}: difference in the score, in 1e-4", gap * 1e4, 1)
        claims.say(f"   {metric}: {there:.2f} s, the CPU takes {here / there:.1f} times as long")


def extraction(claims: Claims, device: str, args: argparse.Namespace) -> None:
    import torch

    def apart(a: dict[str, Any], b: dict[str, Any]) -> float:
        return max(float(np.linalg.norm(a[k] - b[k]) / np.linalg.norm(b[k])) for k in b)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        list(encoders(folder, layers=12, width=768))
        images = [np.random.default_rng(k).integers(0, 256, (224, 224, 3), dtype=np.uint8) for k in range(args.batch)]

        def load(**options: Any) -> Any:
            return iso.load_encoder(str(folder / "vision"), init="random", **options)

        expected = load().encode(images[:8])
        for dtype, limit in (("float32", 1e-3), ("bfloat16", 0.06)):
            encoder = load(device=device, dtype=dtype)
            difference = apart(encoder.encode(images[:8]), expected)
            claims.at_most(f"2. {dtype}: difference of features from the CPU's, over their norm", difference, limit)
            part = encoder.prepare(images)[0]

            def plain(encoder: Any = encoder, part: Any = part) -> None:
                with torch.inference_mode(), encoder._autocast(torch):
                    encoder.network(**part.inputs)

            times: dict[str, list[float]] = {"plain": [], "tapped": []}
            for turn in range(10):
                for kind, call in (("plain", plain), ("tapped", lambda e=encoder, p=part: e.forward(p))):
                    spent = waited(call, device)
                    times[kind] += [spent] if turn else []
            bare, tapped = (statistics.median(times[k]) for k in ("plain", "tapped"))
            claims.at_most(f"   {dtype}: all layers over the plain pass", tapped / bare, 1.10)
            whole = waited(lambda e=encoder: e.encode(images), device)
            claims.say(
                f"   {dtype}: {len(images) / tapped:,.0f} images a second, {len(images) / whole:,.0f} prepared too"
            )


def products(rows: Any) -> Iterator[bool]:
    """The bare products of a tenth of the rows with all, none of which is kept."""
    for s in range(0, len(rows) // 10, 1024):
        _ = rows[s : s + 1024] @ rows.T
        yield True


def neighbours(claims: Claims, device: str, args: argparse.Namespace) -> None:
    import torch

    for n in sorted({min(100_000, args.items), args.items}):
        x = layers(n, 768, 0)[0]
        there = torch.from_numpy(x).to(device)
        waited(lambda t=there: nearest(t[:2000], 10, "cosine"), device)
        if there.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        graphs: list[Any] = []
        spent = waited(lambda t=there, g=graphs: g.append(nearest(t, 10, "cosine")), device)
        peak = torch.cuda.max_memory_allocated() / 1e9 if there.device.type == "cuda" else float("nan")
        bare = 10 * waited(lambda t=there: all(products(t)), device)
        some = np.sort(np.random.default_rng(0).permutation(n)[: args.rows])
        u = x / np.linalg.norm(x, axis=1, keepdims=True)
        s = u[some].astype(np.float64) @ u.T.astype(np.float64)
        s[np.arange(len(some)), some] = -1
        true = np.argsort(-s, axis=1)[:, :10]
        kept = np.mean([np.isin(a, b).mean() for a, b in zip(true, graphs[0].lists[some], strict=True)])
        claims.at_least(f"3. n = {n:,}: share of the CPU's neighbours in double precision", float(kept), 0.999)
        claims.say(f"   n = {n:,}: {spent:.1f} s, {spent / bare:.1f} times the bare products; peak {peak:.1f} GB")


PARTS = {"scan": scan, "extraction": extraction, "neighbours": neighbours}


def main() -> None:
    """Measure, and fail where the device's results are not the CPU's, or there is no device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smaller", type=int, default=1, help="scans of so many times fewer items")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--batch", type=int, default=128, help="images in a batch")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    args = parser.parse_args()
    try:
        check_device(args.device)
    except InputError as error:
        sys.exit(f"Nothing was measured: {error}")
    import torch

    kind = torch.device(args.device).type
    card = torch.cuda.get_device_name(args.device) if kind == "cuda" else f"{kind} of torch"
    claims = Claims(f"{card}, torch {torch.__version__}, beside NumPy on {os.cpu_count()} CPU cores")
    iso.show_progress(False)
    for name in args.only:
        PARTS[name](claims, args.device, args)
    claims.end()


if __name__ == "__main__":
    main()
