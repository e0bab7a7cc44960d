"""One map on one split: fitted to pairs, scored on the held-out items."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from ..design import Codes, Split
from ..errors import InputError
from ..heldout.readout import CARRIED, classifier
from ..heldout.retrieval import Ranked, compared, directions
from ..heldout.scores import (
    ItemScore,
    Scores,
    accuracy,
    neighbor_overlap,
    prediction_scores,
    ranked_both_ways,
    retrieval_scores,
)
from ..maps import Map

Matrix = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """What held-out items are scored for.

    Attributes:
        labels: One class an item, or None.
        groups: One group an item; retrieval of any item of the same group is right. None: each item is its own.
        label_names: Texts of the classes.
        prototypes: Rows of the `y` space that stand for the classes, in their order, or None.
        correction: Correction for hubs.
    """

    labels: Codes | None
    groups: Codes | None
    label_names: tuple[str, ...] = ()
    prototypes: Matrix | None = None
    correction: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
    """All scores of one fitted map on one split.

    Attributes:
        scores: Name -> score.
        ranked: Direction -> ranks.
    """

    scores: Scores
    ranked: dict[str, Ranked]


@dataclasses.dataclass
class NativeProbe:
    """The classifier of one split that was trained on `y` itself, None until it is: all direct maps share it."""

    fitted: Any = None


@dataclasses.dataclass(frozen=True, eq=False)
class MapTrial:
    """A map to fit on one split: a `heldout.Trial`.

    Attributes:
        map: The map, unfitted.
        x: Features (n, d_x).
        y: Features (n, d_y).
        split: Training and held-out rows.
        task: What is scored.
        native: The probe on `y` of this split.
    """

    map: Map
    x: Matrix
    y: Matrix
    split: Split
    task: Task
    native: NativeProbe = dataclasses.field(default_factory=NativeProbe)

    def __call__(self, rows: Codes, partners: Codes) -> Scores:
        """Fit ``x[rows]`` to ``y[partners]`` and score the held-out rows.

        Raises:
            InputError: as the map's `fit`, or as `evaluate`.
        """
        return self.scored(rows, partners).scores

    def scored(self, rows: Codes, partners: Codes) -> Scored:
        """The same, with the ranks.

        Raises:
            InputError: as the map's `fit`, or as `evaluate`.
        """
        factor = self._factor if rows is self.split.train else None  # of the training rows: refits share it
        fitted = fresh(self.map).fit(self.x[rows], self.y[partners], factor=factor)
        return evaluate(fitted, self.x, self.y, self.split, self.task, self.native)

    @cached_property
    def _factor(self) -> Any:
        return self.map.factor(self.x[self.split.train])


def fresh(map: Map) -> Map:
    """An unfitted copy."""
    return type(map)(**map.get_params())


def evaluate(fitted: Map, x: Matrix, y: Matrix, split: Split, task: Task, native: NativeProbe) -> Scored:
    """Every score that the map and the data allow.

    Args:
        fitted: The map, fitted on the training rows.
        x: Features (n, d_x).
        y: Features (n, d_y).
        split: Training and held-out rows.
        task: What is scored.
        native: The probe on `y` of this split, which is trained here if it is not yet.

    Raises:
        InputError: if the held-out rows of `y` do not vary, or a class has too few items.
    """
    test = split.test
    mapped_rows, target_rows, origin = compared(fitted, x, y, split)
    scores: Scores = {}
    if fitted.direct:
        scores |= prediction_scores(mapped_rows, target_rows)
    key = test if task.groups is None else task.groups[test]
    ranked = ranked_both_ways(mapped_rows, target_rows, key, task.correction)
    scores |= retrieval_scores(ranked)
    scores["overlap"] = neighbor_overlap(mapped_rows, target_rows)
    if task.labels is not None:
        rows = _Rows(mapped_rows, target_rows, fitted.embed_y(y[split.train]) - origin)
        prototypes = None if task.prototypes is None else fitted.embed_y(task.prototypes) - origin
        scores["zero_shot"] = _zero_shot(rows, prototypes, split, task, task.labels)
        scores |= _probe(rows, split, task.labels, native if fitted.direct else NativeProbe())
    return Scored(scores, ranked)


@dataclasses.dataclass(frozen=True, eq=False)
class _Rows:
    """Rows in the space of comparison: held-out ones mapped from `x`, those of `y`, and the training ones of `y`."""

    mapped: Matrix
    target: Matrix
    train: Matrix


def _zero_shot(rows: _Rows, prototypes: Matrix | None, split: Split, task: Task, labels: Codes) -> ItemScore:
    """Whether the nearest prototype of a class is that of the item's own class.

    A prototype is the mean of the `y` rows of a class over the training items; of a class without any, over the other
    held-out items, the query's own and those of its group left out. Given prototypes take the place of both.
    """
    truth, queries = labels[split.test], directions(rows.mapped)
    classes = np.unique(labels)
    if prototypes is not None:
        scores, classes = queries @ directions(prototypes).T, np.arange(len(prototypes))
    else:
        scores = _prototype_scores(queries, rows, classes, split, task, labels)
    tied = scores >= scores.max(axis=1, keepdims=True) - 1e-9
    return accuracy((tied & (classes[None, :] == truth[:, None])).sum(axis=1) / tied.sum(axis=1), truth)


def _prototype_scores(queries: Matrix, rows: _Rows, classes: Matrix, split: Split, task: Task, labels: Codes) -> Matrix:
    truth, known = labels[split.test], labels[split.train]
    units = split.test if task.groups is None else task.groups[split.test]
    scores = np.empty((len(queries), len(classes)))
    for j, c in enumerate(classes):
        if np.any(known == c):
            scores[:, j] = queries @ directions(rows.train[known == c].mean(axis=0)[None])[0]
            continue
        members = truth == c
        scores[:, j] = queries @ directions(rows.target[members].mean(axis=0)[None])[0]
        for i in np.flatnonzero(members):
            others = members & (units != units[i])
            if not others.any():
                raise InputError(
                    f"The class {task.label_names[c]!r} has one item or group, so that nothing else stands for it when "
                    "it is held out. Leave the class out, merge it with another, or give prototypes=."
                )
            scores[i, j] = float(queries[i] @ directions(rows.target[others].mean(axis=0)[None])[0])
    return scores


def _probe(rows: _Rows, split: Split, labels: Codes, native: NativeProbe) -> Scores:
    """A linear probe trained on `y`, used on mapped rows of `x`, against its accuracy on `y` itself."""
    known, truth = labels[split.train], labels[split.test]
    if len(np.unique(known)) < 2 or not np.isin(truth, known).all():
        return {}  # a probe cannot name classes that it never saw: zero-shot does
    if native.fitted is None:
        native.fitted = classifier(rows.train, known, CARRIED)
    return {
        "probe": accuracy(native.fitted.predict(rows.mapped) == truth, truth),
        "probe_native": accuracy(native.fitted.predict(rows.target) == truth, truth),
    }
