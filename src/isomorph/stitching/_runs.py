"""The work of a stitch: every map, its controls and its ceilings, on every split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..conditions.sides import Side
from ..errors import InputError
from ..maps import Map, make_map
from ..significance import permutations as draw_permutations
from ._intervals import averaged
from ._layers import choose, features, pair_scores
from ._scores import Part, Scored, Task, evaluate
from ._splits import Codes, Split

Matrix = np.ndarray[Any, Any]
Parts = dict[str, Part]
PERMUTED, SELF, MEAN, IDENTITY = "permuted pairs", "self-stitch", "mean", "identity"


@dataclasses.dataclass(frozen=True)
class Condition:
    """One pair of sides to stitch: the question itself, a control (a baseline takes a side's place), or a ceiling.

    Attributes:
        name: ``""`` for the question itself.
        role: ``"main"``, ``"control"`` or ``"ceiling"``.
        left: The `x` side.
        right: The `y` side.
        same_target: Whether `y` is that of the question, so that predictions of it can be compared.
    """

    name: str
    role: str
    left: Side
    right: Side
    same_target: bool = True


@dataclasses.dataclass(frozen=True)
class Work:
    """What all parts of one stitch share.

    Attributes:
        maps: The maps, unfitted.
        splits: The splits.
        unit: What is held out as one, one number an item.
        task: What is scored.
        permutations: Refits to permuted pairs in each split.
        seed: Seed.
        advance: Called with 1 after each fit and scoring.
    """

    maps: Sequence[Map]
    splits: Sequence[Split]
    unit: Codes
    task: Task
    permutations: int
    seed: int
    advance: Callable[[int], None]


@dataclasses.dataclass
class Outcome:
    """What came of one condition.

    Attributes:
        chosen: Pair of layers of each split.
        layer_scores: Mean held-out score of every pair of layers.
        scored: Map spec -> scores in each split.
        permuted: Map spec -> for each split, the scores of each permutation.
        self_stitch: Map spec -> scores in each split.
        plain: Scores of the controls that are maps themselves, ``"mean"`` and ``"identity"``, in each split.
    """

    chosen: list[tuple[int, int]]
    layer_scores: Matrix
    scored: dict[str, list[Scored]]
    permuted: dict[str, list[list[Parts]]] = dataclasses.field(default_factory=dict)
    self_stitch: dict[str, list[Parts]] = dataclasses.field(default_factory=dict)
    plain: dict[str, list[Parts]] = dataclasses.field(default_factory=dict)

    def permuted_mean(self, spec: str) -> list[Parts]:
        """The scores of a map fitted to permuted pairs, averaged over permutations, in each split."""
        return [{k: averaged([p[k] for p in split]) for k in split[0]} for split in self.permuted[spec]]


def run(condition: Condition, work: Work) -> Outcome:
    """Fit and score every map on every split of one condition.

    Raises:
        InputError: naming the side and layer, if a map cannot be fitted there.
    """
    xs, ys = features(condition.left), features(condition.right)
    names = list(condition.left.layers), list(condition.right.layers)
    first, groups, correction = work.maps[0], work.task.groups, work.task.correction
    outcome = Outcome([], np.zeros((len(xs), len(ys))), {m.spec: [] for m in work.maps})
    for repeat, split in enumerate(work.splits):
        i, j = choose(first, xs, ys, split, work.unit, groups, work.seed, correction)
        outcome.chosen.append((i, j))
        try:
            _run_split(condition, work, outcome, xs[i], ys[j], repeat)
        except InputError as error:
            sides = f"{condition.left.name} {names[0][i]!r} → {condition.right.name} {names[1][j]!r}"
            raise InputError(f"{sides}, {len(split.train)} pairs: {error}") from error
        if len(xs) * len(ys) > 1:
            outcome.layer_scores += pair_scores(first, xs, ys, split, groups, correction)[0] / len(work.splits)
    if len(xs) * len(ys) == 1:
        outcome.layer_scores[:] = np.mean([s.parts["mrr"].value for s in outcome.scored[first.spec]])
    return outcome


def _run_split(condition: Condition, work: Work, outcome: Outcome, x: Matrix, y: Matrix, repeat: int) -> None:
    split, task = work.splits[repeat], work.task
    if condition.role != "main":  # class features belong to the question's own y space
        task = dataclasses.replace(task, prototypes=None) if not condition.same_target else task
    train_x, train_y = x[split.train], y[split.train]
    probes: dict[str, Any] = {}
    main = condition.role == "main"
    orders = _orders(work, split, repeat) if main else []
    for map in work.maps:
        factor = map.factor(train_x)
        fitted = fresh(map).fit(train_x, train_y, factor=factor)
        outcome.scored[map.spec].append(evaluate(fitted, x, y, split, task, probes))
        work.advance(1)
        if not main:
            continue
        outcome.permuted.setdefault(map.spec, []).append(
            [_permuted(map, x, y, order, factor, split, task, probes, work.advance) for order in orders]
        )
        same = fresh(map).fit(train_y, train_y)
        outcome.self_stitch.setdefault(map.spec, []).append(evaluate(same, y, y, split, task, probes).parts)
        work.advance(1)
    if main:
        for name in (MEAN, *([IDENTITY] if x.shape[1] == y.shape[1] else [])):
            fitted = make_map(name).fit(train_x, train_y)
            outcome.plain.setdefault(name, []).append(evaluate(fitted, x, y, split, task, probes).parts)


def _permuted(
    map: Map,
    x: Matrix,
    y: Matrix,
    order: Codes,
    factor: Any,
    split: Split,
    task: Task,
    probes: Mapping[str, Any],
    advance: Callable[[int], None],
) -> Parts:
    fitted = fresh(map).fit(x[split.train], y[split.train][order], factor=factor)
    parts = evaluate(fitted, x, y, split, task, dict(probes)).parts
    advance(1)
    return parts


def _orders(work: Work, split: Split, repeat: int) -> Sequence[Codes]:
    groups = None if work.task.groups is None else work.task.groups[split.train]
    seed = int(np.random.SeedSequence([work.seed, repeat]).generate_state(1)[0])
    return list(draw_permutations(len(split.train), work.permutations, seed, groups=groups))


def fresh(map: Map) -> Map:
    """An unfitted copy."""
    return type(map)(**map.get_params())
