"""Work on workers of Ray: what the workers cost beside one process, and how many can be kept busy.

`--study` extracts by the same models, and `--atlas` compares the same layers, in one process with all threads and on
one worker a core; `--sleep` gives many workers pieces that only sleep, so that nothing but handing out is measured;
the default is these three.
`--plan` says what an atlas of 100 models would take, from a tile that is measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from _measure import Claims, seconds
from threadpoolctl import threadpool_limits

import isomorph as iso
from isomorph.workers import RayWorkers

CORES = os.cpu_count() or 1


def nap(shared: float, piece: int) -> int:
    """A piece that only sleeps."""
    time.sleep(shared)
    return piece


def sleeping(claims: Claims, workers: int, pieces: int, rest: float) -> None:
    """How near many workers come to doing everything at once."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with RayWorkers(workers=workers) as pool:
        list(pool.run(nap, 0.01, range(4 * workers)))  # every worker has begun
        begin = time.perf_counter()
        list(pool.run(nap, rest, range(pieces)))
        spent = time.perf_counter() - begin
    ray.shutdown()
    ideal = rest * -(-pieces // workers)
    claims.say(f"{pieces} pieces of {rest:g} s on {workers} workers: {spent:.2f} s, {ideal:.2f} s without any cost")
    claims.at_least(f"efficiency of {workers} workers", ideal / spent, 0.9)


def atlas(claims: Claims, models: int, layers: int, items: int) -> None:
    """An atlas in one process with all threads, and on a worker a core."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(items, 64)).astype(np.float32)
    sides = {
        f"m{i}": {
            f"l{j}": base @ rng.normal(size=(64, 256)).astype("f4") + rng.normal(size=(items, 256)).astype("f4")
            for j in range(layers)
        }
        for i in range(models)
    }
    settings = {"metrics": ["cka", "mutual_knn"], "permutations": 512, "splits": 4, "show": False}

    def here() -> None:
        iso.atlas(sides, **settings)

    with RayWorkers(workers=CORES, threads=1):
        here()
        on_workers = min(seconds(here) for _ in range(2))
    here()
    alone = min(seconds(here) for _ in range(2))
    claims.say(f"{models} models of {layers} layers, {items} items, 512 re-pairings: {alone:.1f} s in one process")
    claims.at_least(f"speed of an atlas on {CORES} workers, of one process", alone / on_workers, 0.9)


def extraction(claims: Claims, items: int) -> None:
    """A study of bundled encoders, features only, in one process and on a worker a core."""
    folder = Path(tempfile.mkdtemp())
    try:
        study = folder / "study.toml"
        study.write_text(
            f'items = "emoji(n={items}, seed=0)"\n'
            'encoders.vision = {model = "bundled:dinov2-small"}\nencoders.text = {model = "bundled:minilm-l6"}\n'
            'encoders.lite = {model = "bundled:efficientnet-lite0"}\n'
            'scans = [{x = "vision", y = "text", metrics = ["cka"], permutations = 20}]\n'
        )
        alone = seconds(lambda: iso.run(iso.load_study(study, output=folder / "here"), say=_silent))
        with RayWorkers(workers=CORES, threads=1) as pool:
            list(pool.run(nap, 0.01, range(4 * CORES)))
            on_workers = seconds(lambda: iso.run(iso.load_study(study, output=folder / "there"), on=pool, say=_silent))
        claims.say(f"{items} items by three bundled encoders: {alone:.1f} s in one process")
        claims.at_least(f"speed of a study on {CORES} workers, of one process", alone / on_workers, 0.9)
    finally:
        shutil.rmtree(folder)


def plan(claims: Claims, models: int, layers: int, width: int) -> None:
    """What an atlas of many models would take, from a tile that is measured here on one thread."""
    rng = np.random.default_rng(0)
    every, side = models * layers, 8
    for items, measured in ((10_000, 10_000), (1_000_000, 20_000)):
        xs = [rng.normal(size=(measured, width)).astype(np.float32) for _ in range(2 * side)]
        metric = iso.metric("cka")
        with threadpool_limits(1):
            states = [metric.prepare(x) for x in xs]
            metric.compare(states[:1], states[side:][:1])
            tile = partial(metric.compare, states[:side], states[side:])
            spent = min(seconds(tile) for _ in range(2))
        pair = spent / side**2 * items / measured
        hours = pair * every * (every - layers) / 2 / 3600
        claims.say(
            f"unbiased CKA of {items:,} items, d = {width}: {pair:.3g} s a pair of layers on one thread (measured on "
            f"{measured:,}); {models} models of {layers} layers: {hours:,.0f} hours of one core"
        )


def _silent(_: str) -> None:
    """Nobody reads it."""


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sleep", action="store_true")
    parser.add_argument("--study", action="store_true")
    parser.add_argument("--atlas", action="store_true")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--items", type=int, default=300, help="pictures and names that the study encodes")
    parser.add_argument("--plan", action="store_true", help="100 models of 30 layers, from a tile that is measured")
    given = parser.parse_args()
    claims = Claims("Work on workers of Ray")
    if given.plan:
        plan(claims, models=100, layers=30, width=768)
        return
    everything = not (given.study or given.atlas or given.sleep)
    if given.atlas or everything:
        atlas(claims, models=8, layers=6, items=1500)
    if given.study or everything:
        extraction(claims, items=given.items)
    if given.sleep or everything:
        sleeping(claims, workers=given.workers, pieces=20 * given.workers, rest=1.0)
    claims.end()


if __name__ == "__main__":
    main()
