"""A map of concepts of 10,000 items in 100 concepts, d = 384, float32: items, labels and verdicts of one layer pair.

Claim: with mutual 10-NN, another model of each modality, 1,000 re-pairings and verdicts it takes at most 10 s and 3 GB
of resident memory. Beside it: the same by CKA at 2,000 items, and how long the three neighbour searches alone take.

`--items` makes it smaller; the claims are of the whole.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np
from _measure import Claims, seconds

import isomorph as iso

CONCEPTS, WIDTH = 100, 384


def models(n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """x, x2, y, y2 of items in concepts, and the concept of each item."""
    rng = np.random.default_rng(0)
    label = np.sort(rng.integers(CONCEPTS, size=n))
    common = rng.standard_normal((CONCEPTS, 16))[label] + rng.standard_normal((n, 16))
    sides = []
    for _ in range(4):
        features = common @ rng.standard_normal((16, WIDTH)) + 3 * rng.standard_normal((n, WIDTH))
        sides.append(features.astype(np.float32))
    return sides, label


def mapped(metric: str, n: int) -> None:
    """One map."""
    (x, x2, y, y2), label = models(n)
    iso.concepts(
        x, y, labels=label, metric=metric, x_ceilings={"x2": x2}, y_ceilings={"y2": y2}, limits=False, show=False
    )  # fmt: skip


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    args = parser.parse_args()
    whole = args.items == 10_000
    claims = Claims(f"{args.items:,} items in {CONCEPTS} concepts, d = {WIDTH}, mutual 10-NN, two ceilings")
    sides, label = models(args.items)
    metric = iso.metric("mutual_knn(k=10)")
    searches = seconds(lambda: [metric.prepare(side) for side in sides])
    given = {"x_ceilings": {"x2": sides[1]}, "y_ceilings": {"y2": sides[3]}}
    spent = seconds(lambda: iso.concepts(sides[0], sides[2], labels=label, **given, limits=False, show=False))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if whole:
        claims.at_most("the map, in seconds", spent, 10)
        claims.at_most("resident memory, in GB", peak, 3)
    else:
        claims.say(f"the map {spent:.1f} s, {peak:.1f} GB resident")
    claims.say(f"the neighbour searches of its four models alone {searches:.1f} s")
    few = min(args.items, 2_000)
    claims.say(f"by CKA, {few:,} items: {seconds(lambda: mapped('cka', few)):.1f} s")
    claims.end()


if __name__ == "__main__":
    main()
