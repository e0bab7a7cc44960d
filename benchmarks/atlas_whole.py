"""A whole atlas of 20 models × 13 layers, n = 1024, d = 384, float32, both default metrics, 200 permutations.

Claims: (1) it takes less than 6 minutes and 4 GB of resident memory; (2) it takes at most a third of the 190 calls of
`scan` that give the same scores, p-values and intervals pair by pair (three pairs are timed, without neighbours, and
extrapolated), though it has held-out scores of ten halves besides. Beside it, extrapolated: platonic-rep's loop over
the layer pairs of all models, with as many permutations. (3) Mutual kNN of 100 models × 30 layers of 10,000 items is
not run whole: two tiles of 20 layers are, from features on disk, and what all 3,000 layers take follows from them.

`--permutations` and `--models` make it smaller; claims are of the whole.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np
from _measure import Claims, in_turn, seconds
from atlas import models
from peers import platonic_cka, platonic_knn

import isomorph as iso

METRICS = ("mutual_knn(k=10)", "cka")
LAYERS = 13
ITEMS, LARGE, TILE, WIDTH = 10_000, 3_000, 20, 384


def tiles(claims: Claims) -> None:
    """What mutual kNN of very many layers and items takes, by two tiles of layers that lie on disk."""
    metric, rng = iso.metric("mutual_knn(k=10)"), np.random.default_rng(0)
    shared = rng.standard_normal((ITEMS, 16), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for k in range(2 * TILE):
            paths.append(Path(folder) / f"{k}.npy")
            noise = rng.standard_normal((ITEMS, WIDTH), dtype=np.float32)
            np.save(paths[-1], shared @ rng.standard_normal((16, WIDTH), dtype=np.float32) + 4 * noise)
        states: list[object] = []
        spent = seconds(lambda: states.extend(metric.prepare(np.load(p, mmap_mode="r")) for p in paths))
        one, other = states[:TILE], states[TILE:]
        pairs = in_turn({"tile": lambda: metric.compare(one, other)}, 3)["tile"]
        orders = np.stack([rng.permutation(ITEMS) for _ in range(9)])
        moved = seconds(lambda: list(metric.compare_permuted(one, other, orders))) / len(orders)
    whole = LARGE / len(paths) * spent
    blocks = (LARGE / TILE) ** 2 / 2
    claims.say(f"{LARGE:,} layers of {ITEMS:,} items: neighbours ~{whole / 60:.0f} min, scores of all pairs")
    claims.say(f"  ~{blocks * pairs / 60:.0f} min, one permutation of all of them ~{blocks * moved / 60:.0f} min")


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--models", type=int, default=20)
    args = parser.parse_args()
    whole = args.permutations == 200 and args.models == 20
    layers = models()
    given = {f"m{k}": layers[k * LAYERS : (k + 1) * LAYERS] for k in range(args.models)}
    claims = Claims(f"{args.models} models × {LAYERS} layers, {args.permutations} permutations, both metrics")
    spent = seconds(lambda: iso.atlas(given, METRICS, permutations=args.permutations, show=False))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if whole:
        claims.at_most("the atlas, in minutes", spent / 60, 6)
        claims.at_most("resident memory, in GB", peak, 4)
    else:
        claims.say(f"the atlas {spent / 60:.1f} min, {peak:.1f} GB resident")
    count = args.models * (args.models - 1) // 2
    iso.show_progress(False)
    some = [("m0", "m1"), ("m0", "m2"), ("m1", "m2")]

    def scans() -> None:
        for x, y in some:
            iso.scan(given[x], given[y], METRICS, permutations=args.permutations, neighbors=0)

    by_pair = count / len(some) * seconds(scans)
    claims.at_least(f"{count} calls of scan (~{by_pair / 60:.1f} min) over the atlas", by_pair / spent, 3)
    loop = 0.0
    for program in (platonic_cka, platonic_knn):
        loop += min(seconds(lambda program=program: program(layers[0], layers[13])) for _ in range(3))
    peer = loop * count * LAYERS**2 * (args.permutations + 1)
    claims.say(f"platonic-rep's loop with permutations: ~{peer / 86400:.1f} days, ~{peer / spent:,.0f} times the atlas")
    tiles(claims)
    claims.end()


if __name__ == "__main__":
    main()
