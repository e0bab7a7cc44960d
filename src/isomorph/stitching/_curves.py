"""Scores against the number of training pairs and against the size of the gallery; examples of what was retrieved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..heldout.curves import SizeCurve, size_curves, sizes
from ..heldout.holdout import Holdout
from ..heldout.retrieval import Ranked
from ..maps import Map
from ..results import DIRECTIONS, Curve, Examples
from ._trials import MapTrial, Scored, Task

Matrix = np.ndarray[Any, Any]
EXAMPLES = 6  # of each verdict
CURVE_SCORES = ("mrr", "x_to_y.R@1", "y_to_x.R@1", "r2", "zero_shot", "probe")


def pairs_curves(map: Map, x: Matrix, y: Matrix, holdout: Holdout, task: Task) -> tuple[list[Curve], list[str]]:
    """Held-out scores against the number of pairs that the map is fitted on.

    Probes and prototypes come from all training rows of `y`, which need no pairs. Sizes at which the map cannot be
    fitted are left out, and a note says why.
    """
    found, refused = size_curves(lambda split: MapTrial(map, x, y, split, task), holdout, CURVE_SCORES)
    notes = [f"{map.spec} is not in the curve at {size} pairs: {why}" for size, why in refused.items()]
    return [_curve(map, name, "pairs", curve) for name, curve in found.items()], notes[:1]


def gallery_curves(map: Map, scored: Sequence[Scored], k: int = 1) -> list[Curve]:
    """R@k of one map against the size of the gallery, exact for random galleries of each size."""
    whole = min(s.ranked["x_to_y"].gallery for s in scored)
    curves = []
    for direction in DIRECTIONS:
        ranked = [s.ranked[direction] for s in scored]
        smallest = max(2, *(int(r.right.max()) for r in ranked))
        steps = [n for n in sizes(whole) if n >= smallest]
        values = [[r.hits_in_gallery(n, k) for r in ranked] for n in steps]
        chance = [float(np.mean([_chance(r, n, k) for r in ranked])) for n in steps]
        curves.append(_curve(map, f"{direction}.R@{k}", "gallery", SizeCurve.of(steps, values, chance)))
    return curves


def examples(map: Map, scored: Scored, ids: Sequence[str], seed: int) -> tuple[Examples, ...]:
    """Queries of each verdict, drawn at random so that they are not the prettiest.

    Args:
        map: The map.
        scored: What it scored.
        ids: Ids of the held-out items.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng([seed, 13])
    out = []
    for direction in DIRECTIONS:
        ranked = scored.ranked[direction]
        rank = ranked.rank()
        kinds = (
            ("right", rank < 2),
            ("near miss", (rank >= 2) & (rank <= 10)),
            ("wrong", rank > 10),
        )
        rows = []
        for verdict, mask in kinds:
            found = np.flatnonzero(mask)
            rows += [(int(i), verdict) for i in np.sort(rng.permutation(found)[:EXAMPLES])]
        out.append(
            Examples(
                map=map.spec,
                direction=direction,
                gallery=ranked.gallery,
                ids=tuple(ids[i] for i, _ in rows),
                rank=tuple(float(rank[i]) for i, _ in rows),
                verdict=tuple(verdict for _, verdict in rows),
                found=tuple(tuple(ids[j] for j in ranked.found[i]) for i, _ in rows),
            )
        )
    return tuple(out)


def _chance(ranked: Ranked, size: int, k: int) -> float:
    right = np.minimum(ranked.right, size)
    if k >= size:
        return 1.0
    miss = np.ones(len(right))
    for j in range(k):
        miss *= np.maximum(size - right - j, 0) / (size - j)
    return float(np.mean(1 - miss))


def _curve(map: Map, score: str, over: str, curve: SizeCurve) -> Curve:
    return Curve(map.spec, score, over, curve.sizes, curve.values, curve.low, curve.high, curve.chance)
