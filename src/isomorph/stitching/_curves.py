"""Scores against the number of training pairs and against the size of the gallery; examples of what was retrieved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..maps import Map
from ..results import DIRECTIONS, Curve, Examples
from ._retrieval import Ranked
from ._scores import Part, Scored, Task, evaluate
from ._splits import Split

Matrix = np.ndarray[Any, Any]
STEPS = (1, 2, 5)
CURVE_REPEATS = 3
EXAMPLES = 6  # of each verdict
CURVE_SCORES = ("mrr", "x_to_y.R@1", "y_to_x.R@1", "r2", "zero_shot", "probe")


def sizes(whole: int, first: int = 10) -> tuple[int, ...]:
    """``first``, 20, 50, 100, … below `whole`, and `whole`."""
    steps = [s * 10**e for e in range(8) for s in STEPS]
    return (*tuple(s for s in steps if first <= s < whole), whole)


def pairs_curve(
    map: Map, x: Matrix, y: Matrix, splits: Sequence[Split], task: Task, seed: int, advance: Callable[[int], None]
) -> tuple[list[Curve], list[str]]:
    """Held-out scores against the number of pairs that the map is fitted on.

    Probes and prototypes come from all training rows of `y`, which need no pairs. Sizes at which the map cannot be
    fitted are left out, and a note says why.
    """
    points: dict[str, dict[int, list[Part]]] = {}
    notes: dict[str, str] = {}
    used = splits[:CURVE_REPEATS]
    whole = min(len(s.train) for s in used)
    for repeat, split in enumerate(used):
        order = split.train[np.random.default_rng([seed, 11, repeat]).permutation(len(split.train))]
        probes: dict[str, Any] = {}
        for size in sizes(whole):
            try:
                fitted = _fresh(map).fit(x[order[:size]], y[order[:size]])
            except InputError as error:
                notes.setdefault(map.spec, f"{map.spec} is not in the curve at {size} pairs: {error}")
                continue
            finally:
                advance(1)
            for name, part in evaluate(fitted, x, y, split, task, probes).parts.items():
                if name in CURVE_SCORES:
                    points.setdefault(name, {}).setdefault(size, []).append(part)
    curves = []
    for name, by_size in points.items():
        complete = {k: v for k, v in by_size.items() if len(v) == len(used)}
        values = [[p.value for p in parts] for parts in complete.values()]
        chance = [float(np.mean([p.chance for p in parts])) for parts in complete.values()]
        curves.append(_curve(map.spec, name, "pairs", tuple(complete), values, chance))
    return curves, list(notes.values())


def gallery_curve(map: Map, scored: Sequence[Scored], k: int = 1) -> list[Curve]:
    """R@k of one map against the size of the gallery, exact for random galleries of each size."""
    whole = min(s.ranked["x_to_y"].gallery for s in scored)
    curves = []
    for direction in DIRECTIONS:
        ranked = [s.ranked[direction] for s in scored]
        smallest = max(2, *(int(r.right.max()) for r in ranked))
        steps = [n for n in sizes(whole) if n >= smallest]
        values = [[r.hits_in_gallery(n, k) for r in ranked] for n in steps]
        chance = [float(np.mean([_chance(r, n, k) for r in ranked])) for n in steps]
        curves.append(_curve(map.spec, f"{direction}.R@{k}", "gallery", tuple(steps), values, chance))
    return curves


def examples(map: Map, scored: Scored, split: Split, ids: Sequence[str], seed: int) -> tuple[Examples, ...]:
    """Queries of each verdict, drawn at random so that they are not the prettiest."""
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
                ids=tuple(ids[split.test[i]] for i, _ in rows),
                rank=tuple(float(rank[i]) for i, _ in rows),
                verdict=tuple(verdict for _, verdict in rows),
                found=tuple(tuple(ids[split.test[j]] for j in ranked.found[i]) for i, _ in rows),
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


def _curve(
    spec: str, score: str, over: str, at: tuple[int, ...], values: Sequence[Sequence[float]], chance: Sequence[float]
) -> Curve:
    return Curve(
        spec,
        score,
        over,
        at,
        tuple(float(np.mean(v)) for v in values),
        tuple(float(np.min(v)) for v in values),
        tuple(float(np.max(v)) for v in values),
        tuple(chance),
    )


def _fresh(map: Map) -> Map:
    return type(map)(**map.get_params())
