"""One claim on a GPU: what a scan computes there is what the CPU computes, and how long each takes.

1. Layers of n = 10,000 items, d = 1024, float32: scores of CKA and mutual kNN on the device differ from the CPU's by at
   most 1e-4. The card is named, and times are shown as ratios to the CPU's of the same machine; nothing is claimed of
   them.
2. Mutual kNN, exact, of n = `--items`: neighbours in blocks on the device, its peak memory shown.

Without a card it says so and ends with 1: nothing was measured.

Run: ``python benchmarks/gpu.py [--device cuda] [--items 100000]``.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import numpy as np
from _measure import Claims, in_turn, seconds

import isomorph as iso
from isomorph.conditions import check_device
from isomorph.errors import InputError

N, D, METRICS = 10_000, 1024, ["cka", "mutual_knn(k=10)"]


def layer(n: int, seed: int) -> np.ndarray:
    """Features that share a signal of 16 directions over all seeds."""
    shared = np.random.default_rng(99).standard_normal((n, 16), dtype=np.float32)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, D), dtype=np.float32)
    return 2 * shared @ rng.standard_normal((16, D), dtype=np.float32) + 2 * noise


def main() -> None:
    """Measure, and fail where the device's scores are not the CPU's, or there is no device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--items", type=int, default=100_000)
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
    x, y = layer(N, 0), layer(N, 1)
    results: dict[str, Any] = {}
    for metric in METRICS:

        def run(device: str | None, metric: str = metric) -> None:
            results[str(device)] = iso.scan(x, y, metric, permutations=19, neighbors=0, device=device)

        times = in_turn({"cpu": lambda: run(None), "device": lambda: run(args.device)}, 3)
        here, there = (next(iter(results[k].values())).values for k in ("None", args.device))
        claims.at_most(f"1. {metric}: difference in the score, in 1e-4", float(np.abs(here - there).max()) * 1e4, 1)
        claims.say(f"{metric}: time on the CPU over that on the device {times['cpu'] / times['device']:.2f}")
    large = torch.from_numpy(layer(args.items, 0)).to(args.device)
    if kind == "cuda":
        torch.cuda.reset_peak_memory_stats()
    spent = seconds(lambda: iso.metric("mutual_knn(k=10)").prepare(large))
    claims.say(f"2. exact neighbours of {args.items:,} items in blocks: {spent:.1f} s")
    if kind == "cuda":
        claims.say(f"   peak memory of the device {torch.cuda.max_memory_allocated() / 1e9:.2f} GB")
    claims.end()


if __name__ == "__main__":
    main()
