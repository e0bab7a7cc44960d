"""What one fitted map scores on held-out items, kept item by item so that intervals need no refit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .._core.linalg import top_k
from ..errors import InputError
from ..heldout.readout import CARRIED, classifier
from ..maps import Map
from ..results import DIRECTIONS
from ._retrieval import Ranked, directions, rank
from ._splits import Codes, Split

Matrix = np.ndarray[Any, Any]
HITS = (1, 5, 10)
NEIGHBORS = 10


@dataclasses.dataclass(frozen=True)
class Part:
    """One score, item by item over the held-out rows: its value is ``offset + sign * Σ numerator / Σ denominator``.

    Attributes:
        numerator: One number an item (n_test,); of a median, the numbers themselves.
        denominator: One number an item (n_test,).
        chance: What a map that knows nothing is expected to score.
        offset: See above.
        sign: See above.
        median: Whether it is the median of the numerators instead.
    """

    numerator: Matrix
    denominator: Matrix
    chance: float
    offset: float = 0.0
    sign: float = 1.0
    median: bool = False

    @property
    def value(self) -> float:
        """The score."""
        if self.median:
            return float(np.median(self.numerator))
        return self.offset + self.sign * float(self.numerator.sum() / self.denominator.sum())


@dataclasses.dataclass(frozen=True)
class Task:
    """What held-out items are scored for.

    Attributes:
        labels: One class an item, or None.
        groups: One group an item; retrieval of any item of the same group is right. None: each item is its own.
        label_names: Texts of the classes.
        prototypes: Rows of the `y` space that stand for the classes of `prototype_labels`, or None.
        prototype_labels: Class of each of these.
        correction: Correction for hubs.
    """

    labels: Codes | None
    groups: Codes | None
    label_names: tuple[str, ...] = ()
    prototypes: Matrix | None = None
    prototype_labels: Codes | None = None
    correction: str | None = None


@dataclasses.dataclass(frozen=True)
class Scored:
    """All scores of one fitted map on one split.

    Attributes:
        parts: Name -> score.
        ranked: Direction -> ranks.
    """

    parts: dict[str, Part]
    ranked: dict[str, Ranked]


def evaluate(fitted: Map, x: Matrix, y: Matrix, split: Split, task: Task, probes: dict[str, Any]) -> Scored:
    """Every score that the map and the data allow.

    Args:
        fitted: The map, fitted on the training rows.
        x: Features (n, d_x).
        y: Features (n, d_y).
        split: Training and held-out rows.
        task: What is scored.
        probes: Probes of this split that were already trained; a direct map's is trained on `y` itself and kept here.

    Raises:
        InputError: if the held-out rows of `y` do not vary, or a class has too few items.
    """
    test = split.test
    mapped, target = fitted.embed_x(x[test]), fitted.embed_y(y[test])
    # a prediction and its target share their origin, the mean that knows nothing; in a shared space the map sets it
    origin = y[split.train].mean(axis=0) if fitted.direct else np.zeros(target.shape[1])
    # a sum in another order moves the mean by as much, which is no direction
    least = np.finfo(y.dtype).eps * len(split.train) * np.abs(y[split.train]).max() if fitted.direct else 0.0
    mapped_rows, target_rows = _away(mapped - origin, least), _away(target - origin, least)
    parts: dict[str, Part] = {}
    if fitted.direct:
        parts |= _prediction(mapped_rows, target_rows)
    key = test if task.groups is None else task.groups[test]
    ranked = {
        "x_to_y": rank(mapped_rows, target_rows, key, key, task.correction),
        "y_to_x": rank(target_rows, mapped_rows, key, key, task.correction),
    }
    parts |= _retrieval(ranked)
    parts["overlap"] = _overlap(mapped_rows, target_rows)
    if task.labels is not None:
        train_rows = fitted.embed_y(y[split.train]) - origin
        parts["zero_shot"] = _zero_shot(fitted, origin, mapped_rows, target_rows, train_rows, split, task)
        parts |= _probe(fitted, mapped_rows, target_rows, train_rows, split, task.labels, probes)
    return Scored(parts, ranked)


def _away(rows: Matrix, least: float) -> Matrix:
    """The rows; zero where none of their entries is larger than that."""
    return np.where(np.abs(rows).max(axis=1, keepdims=True) <= least, 0.0, rows)


def deciding(ranked: dict[str, Ranked]) -> Part:
    """Mean over both ways of the reciprocal rank, item by item."""
    both = np.mean([ranked[d].reciprocal() for d in DIRECTIONS], axis=0)
    chance = float(np.mean([ranked[d].chance_reciprocal() for d in DIRECTIONS]))
    return Part(both, np.ones_like(both), chance)


def _prediction(mapped: Matrix, target: Matrix) -> dict[str, Part]:
    error = np.sum((target - mapped) ** 2, axis=1)
    total = np.sum((target - target.mean(axis=0)) ** 2, axis=1)
    if total.sum() == 0:
        raise InputError("The held-out items are all the same in y, so no share of their variance can be explained.")
    cosine = np.sum(directions(mapped) * directions(target), axis=1)
    return {
        "r2": Part(error, total, 0.0, offset=1.0, sign=-1.0),
        "cosine": Part(cosine, np.ones_like(cosine), 0.0),
    }


def _retrieval(ranked: dict[str, Ranked]) -> dict[str, Part]:
    parts = {}
    for direction in DIRECTIONS:
        r = ranked[direction]
        one = np.ones(len(r.better))
        for k in HITS:
            parts[f"{direction}.R@{k}"] = Part(r.hits(k), one, r.chance_hits(k))
        parts[f"{direction}.median_rank"] = Part(r.rank(), one, r.chance_rank(), median=True)
        parts[f"{direction}.mrr"] = Part(r.reciprocal(), one, r.chance_reciprocal())
    return parts | {"mrr": deciding(ranked)}


def _overlap(mapped: Matrix, target: Matrix) -> Part:
    """Share of common nearest neighbours among the held-out items, in the mapped and in the target space."""
    m = len(mapped)
    k = min(NEIGHBORS, m - 1)
    near = []
    for rows in (mapped, target):
        unit = directions(rows)
        near.append((_nearest_others(unit, k), ~unit.any(axis=1)))
    (a, flat_a), (b, flat_b) = near
    common = (a[:, :, None] == b[:, None, :]).any(axis=2).sum(axis=1) / k
    chance = k / (m - 1)
    common = np.where(flat_a | flat_b, chance, common)  # without direction every item is equally near
    return Part(common, np.ones(m), chance)


def _nearest_others(unit: Matrix, k: int) -> Matrix:
    found = []
    step = max(1, (64 << 20) // (8 * len(unit)))
    for start in range(0, len(unit), step):
        rows = np.arange(start, min(start + step, len(unit)))
        s = unit[rows] @ unit.T
        s[np.arange(len(rows)), rows] = -np.inf
        found.append(top_k(s, k)[1])
    return np.concatenate(found)


def _zero_shot(
    fitted: Map, origin: Matrix, mapped: Matrix, target: Matrix, train: Matrix, split: Split, task: Task
) -> Part:
    """Whether the nearest prototype of a class is that of the item's own class.

    A prototype is the mean of the `y` rows of a class over the training items; of a class without any, over the other
    held-out items, the query's own and those of its group left out. Given prototypes take the place of both.
    """
    assert task.labels is not None  # the caller checks
    truth = task.labels[split.test]
    queries = directions(mapped)
    if task.prototypes is not None:
        assert task.prototype_labels is not None  # both or none are given
        scores, classes = queries @ directions(fitted.embed_y(task.prototypes) - origin).T, task.prototype_labels
    else:
        scores, classes = _prototype_scores(queries, target, train, split, task)
    best = scores.max(axis=1, keepdims=True)
    tied = scores >= best - 1e-9
    hit = (tied & (classes[None, :] == truth[:, None])).sum(axis=1) / tied.sum(axis=1)
    return Part(hit, np.ones(len(hit)), _majority(truth))


def _prototype_scores(
    queries: Matrix, target: Matrix, train: Matrix, split: Split, task: Task
) -> tuple[Matrix, Matrix]:
    assert task.labels is not None  # the caller checks
    truth, known = task.labels[split.test], task.labels[split.train]
    classes = np.unique(task.labels)
    units = split.test if task.groups is None else task.groups[split.test]
    scores = np.empty((len(queries), len(classes)))
    for j, c in enumerate(classes):
        if np.any(known == c):
            scores[:, j] = queries @ directions(train[known == c].mean(axis=0)[None])[0]
            continue
        members = truth == c
        scores[:, j] = queries @ directions(target[members].mean(axis=0)[None])[0]
        for i in np.flatnonzero(members):
            others = members & (units != units[i])
            if not others.any():
                raise InputError(
                    f"The class {task.label_names[c]!r} has one item or group, so that nothing else stands for it when "
                    "it is held out. Leave the class out, merge it with another, or give prototypes=."
                )
            scores[i, j] = float(queries[i] @ directions(target[others].mean(axis=0)[None])[0])
    return scores, classes


def _probe(
    fitted: Map, mapped: Matrix, target: Matrix, train: Matrix, split: Split, labels: Codes, probes: dict[str, Any]
) -> dict[str, Part]:
    """A linear probe trained on `y`, used on mapped rows of `x`, against its accuracy on `y` itself."""
    known, truth = labels[split.train], labels[split.test]
    if len(np.unique(known)) < 2 or not np.isin(truth, known).all():
        return {}  # a probe cannot name classes that it never saw: zero-shot does
    probe = probes.get("y") if fitted.direct else None
    if probe is None:
        probe = classifier(train, known, CARRIED)
        if fitted.direct:
            probes["y"] = probe
    one, chance = np.ones(len(truth)), _majority(truth)
    return {
        "probe": Part((probe(mapped) == truth).astype(float), one, chance),
        "probe_native": Part((probe(target) == truth).astype(float), one, chance),
    }


def _majority(labels: Codes) -> float:
    """Accuracy of the best constant answer."""
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))
