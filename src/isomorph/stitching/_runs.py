"""The work of a stitch: every map, its controls and its ceilings, on every split of every comparison."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.progress import duration, notice
from ..conditions import MAIN, Comparison
from ..errors import InputError
from ..heldout.holdout import Holdout
from ..heldout.scores import Scores, averaged
from ..maps import Map, make_map
from ._layers import choose, features, pair_scores, require_blocks
from ._trials import MapTrial, NativeProbe, Scored, Task

Matrix = np.ndarray[Any, Any]
PERMUTED, SELF, MEAN, IDENTITY = "permuted pairs", "self-stitch", "mean", "identity"


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """What all parts of one stitch share.

    Attributes:
        maps: The maps, unfitted; the first one chooses the layers.
        holdout: The splits.
        task: What is scored.
    """

    maps: Sequence[Map]
    holdout: Holdout
    task: Task


@dataclasses.dataclass
class Stitched:
    """What came of one comparison.

    Attributes:
        chosen: Pair of layers of each split.
        layer_scores: Mean held-out score of every pair of layers.
        scored: Map spec -> scores in each split.
        permuted: Map spec -> for each split, the scores of each permutation.
        self_stitch: Map spec -> scores in each split.
        plain: Scores of the controls that are maps themselves, ``"mean"`` and ``"identity"``, in each split
            in which the chosen layers allow them.
    """

    chosen: list[tuple[int, int]]
    layer_scores: Matrix
    scored: dict[str, list[Scored]]
    permuted: dict[str, list[list[Scores]]] = dataclasses.field(default_factory=dict)
    self_stitch: dict[str, list[Scores]] = dataclasses.field(default_factory=dict)
    plain: dict[str, list[Scores]] = dataclasses.field(default_factory=dict)

    def scores(self, spec: str) -> list[Scores]:
        """The scores of a map in each split."""
        return [s.scores for s in self.scored[spec]]

    @property
    def plain_everywhere(self) -> dict[str, list[Scores]]:
        """`plain` of the controls that there are in every split: scores are averaged over the same splits."""
        return {name: scores for name, scores in self.plain.items() if len(scores) == len(self.chosen)}

    def permuted_mean(self, spec: str) -> list[Scores]:
        """The scores of a map fitted to permuted pairs, averaged over permutations, in each split."""
        return [{k: averaged([p[k] for p in split]) for k in split[0]} for split in self.permuted[spec]]


def affordable(holdout: Holdout, work: Work, main: Comparison, budget: float) -> Holdout:
    """The same with as many refits to permuted pairs as a budget of seconds allows, by the time of one fit of each map.

    Raises:
        InputError: if a map cannot be fitted.
    """
    if not holdout.permutations:
        return holdout
    x, y, split, native = features(main.left)[0], features(main.right)[0], holdout.splits[0], NativeProbe()
    start = time.perf_counter()
    for map in work.maps:
        MapTrial(map, x, y, split, work.task, native)(split.train, split.train)
    seconds = (time.perf_counter() - start) * len(holdout.splits)
    fits = min(holdout.permutations, int(budget / max(seconds, 1e-9)))
    if fits < holdout.permutations:
        notice(
            f"{holdout.permutations} refits to permuted pairs would take about "
            f"{duration(seconds * holdout.permutations)}, over the budget of {duration(budget)}; {fits} are made."
        )
    return dataclasses.replace(holdout, permutations=fits)


def run(comparison: Comparison, work: Work) -> Stitched:
    """Fit and score every map on every split of one comparison.

    Raises:
        InputError: naming the side and layer, if a map cannot be fitted there.
    """
    left, right = comparison.left, comparison.right
    xs, ys = features(left), features(right)
    first, task = work.maps[0], work.task
    require_blocks([*xs, *ys], work.maps, work.holdout.splits, labels=task.labels is not None)
    found = Stitched([], np.zeros((len(xs), len(ys))), {m.spec: [] for m in work.maps})
    for repeat, split in enumerate(work.holdout.splits):
        i, j = choose(first, xs, ys, split, work.holdout, task.correction)
        found.chosen.append((i, j))
        try:
            _run_split(comparison, work, found, xs[i], ys[j], repeat)
        except InputError as error:
            sides = f"{left.name} {list(left.layers)[i]!r} → {right.name} {list(right.layers)[j]!r}"
            raise InputError(f"{sides}, {len(split.train)} pairs: {error}") from error
        if len(xs) * len(ys) > 1:
            scores, _ = pair_scores(first, xs, ys, split, task.groups, task.correction)
            found.layer_scores += scores / len(work.holdout.splits)
    if len(xs) * len(ys) == 1:
        found.layer_scores[:] = np.mean([s["mrr"].value for s in found.scores(first.spec)])
    return found


def _run_split(comparison: Comparison, work: Work, found: Stitched, x: Matrix, y: Matrix, repeat: int) -> None:
    holdout, task, native = work.holdout, work.task, NativeProbe()
    split = holdout.splits[repeat]
    if not comparison.same_target:  # class features belong to the question's own y space
        task = dataclasses.replace(task, prototypes=None)
    for map in work.maps:
        trial = MapTrial(map, x, y, split, task, native)
        found.scored[map.spec].append(trial.scored(split.train, split.train))
        holdout.advance(1)
        if comparison.role == MAIN:
            found.permuted.setdefault(map.spec, []).append(holdout.permuted(trial, repeat))
            same = MapTrial(map, y, y, split, task, native)
            found.self_stitch.setdefault(map.spec, []).append(holdout.fitted(same, repeat))
    if comparison.role == MAIN:
        for name in (MEAN, *([IDENTITY] if x.shape[1] == y.shape[1] else [])):
            plain = MapTrial(make_map(name), x, y, split, task, native)
            found.plain.setdefault(name, []).append(plain(split.train, split.train))
