"""Scores of predictions on held-out items, kept item by item so that intervals need no refit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.linalg import nearest_others
from ..errors import InputError
from ..results import DIRECTIONS
from .retrieval import Ranked, directions, rank

Matrix = np.ndarray[Any, Any]
HITS = (1, 5, 10)
NEIGHBORS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class ItemScore:
    """One score, item by item over the held-out rows: its value is ``offset + sign * Σ numerator / Σ denominator``.

    Attributes:
        numerator: One number an item (n_test,); of a median, the numbers themselves.
        denominator: One number an item (n_test,).
        chance: What a fit that knows nothing is expected to score.
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

    def drawn(self, weights: Matrix) -> Matrix:
        """The score of samples of the items, as often as `weights` (draws, n_test) says each is in one, (draws,)."""
        if self.median:
            order = np.argsort(self.numerator, kind="stable")
            reached = np.cumsum(weights[:, order], axis=1)
            at = np.argmax(reached >= reached[:, -1:] / 2, axis=1)
            found: Matrix = np.where(reached[:, -1] > 0, self.numerator[order][at], self.value)
            return found
        below = weights @ self.denominator
        empty = below <= 0  # a draw without any held-out item that counts says nothing: the score itself
        ratio = (weights @ self.numerator) / np.where(empty, 1.0, below)
        return np.where(empty, self.value, self.offset + self.sign * ratio)


Scores = dict[str, ItemScore]
"""Name -> score, of one fit on one split."""


def averaged(scores: Sequence[ItemScore]) -> ItemScore:
    """The mean, item by item, of the same score of several fits on one split."""
    return dataclasses.replace(
        scores[0],
        numerator=np.mean([s.numerator for s in scores], axis=0),
        denominator=np.mean([s.denominator for s in scores], axis=0),
    )


def prediction_scores(predicted: Matrix, target: Matrix) -> Scores:
    """R² over all features together and the mean cosine, of predicted rows (n, d) of a space.

    Args:
        predicted: Predicted rows, about the origin that a fit that knows nothing predicts.
        target: True rows, about the same.

    Raises:
        InputError: if the true rows do not vary.
    """
    error = np.sum((target - predicted) ** 2, axis=1)
    total = np.sum((target - target.mean(axis=0)) ** 2, axis=1)
    if total.sum() == 0:
        raise InputError("The held-out items are all the same in y, so no share of their variance can be explained.")
    cosine = np.sum(directions(predicted) * directions(target), axis=1)
    return {
        "r2": ItemScore(error, total, 0.0, offset=1.0, sign=-1.0),
        "cosine": ItemScore(cosine, np.ones_like(cosine), 0.0),
    }


def ranked_both_ways(predicted: Matrix, target: Matrix, key: Matrix, correction: str | None) -> dict[str, Ranked]:
    """Ranks of the right items, from predicted to true rows and back.

    Args:
        predicted: Predicted rows (n, d).
        target: True rows (n, d).
        key: One number an item; items with the same number are right for each other.
        correction: As in `rank`.

    Raises:
        InputError: if the correction is not known.
    """
    return {
        "x_to_y": rank(predicted, target, key, key, correction),
        "y_to_x": rank(target, predicted, key, key, correction),
    }


def mean_reciprocal_rank(ranked: Mapping[str, Ranked]) -> ItemScore:
    """Mean over both ways of the reciprocal rank, item by item."""
    both = np.mean([ranked[d].reciprocal() for d in DIRECTIONS], axis=0)
    chance = float(np.mean([ranked[d].chance_reciprocal() for d in DIRECTIONS]))
    return ItemScore(both, np.ones_like(both), chance)


def retrieval_scores(ranked: Mapping[str, Ranked]) -> Scores:
    """Hits, median rank and mean reciprocal rank of each way, and ``"mrr"`` of both."""
    scores: Scores = {}
    for direction in DIRECTIONS:
        r = ranked[direction]
        one = np.ones(len(r.better))
        for k in HITS:
            scores[f"{direction}.R@{k}"] = ItemScore(r.hits(k), one, r.chance_hits(k))
        scores[f"{direction}.median_rank"] = ItemScore(r.rank(), one, r.chance_rank(), median=True)
        scores[f"{direction}.mrr"] = ItemScore(r.reciprocal(), one, r.chance_reciprocal())
    return scores | {"mrr": mean_reciprocal_rank(ranked)}


def neighbor_overlap(predicted: Matrix, target: Matrix) -> ItemScore:
    """Share of common nearest neighbours among the held-out items, in the predicted and in the true space."""
    m = len(predicted)
    k = min(NEIGHBORS, m - 1)
    near = []
    for rows in (predicted, target):
        unit = directions(rows)
        near.append((nearest_others(unit, k), ~unit.any(axis=1)))
    (a, flat_a), (b, flat_b) = near
    common = (a[:, :, None] == b[:, None, :]).any(axis=2).sum(axis=1) / k
    chance = k / (m - 1)
    common = np.where(flat_a | flat_b, chance, common)  # without direction every item is equally near
    return ItemScore(common, np.ones(m), chance)


def accuracy(hit: Matrix, truth: Matrix) -> ItemScore:
    """Share of items whose class was told.

    Args:
        hit: Whether each item's was (n_test,), or with which probability where answers tie.
        truth: The classes (n_test,); chance is always saying the most frequent one.
    """
    majority = float(np.unique(truth, return_counts=True)[1].max() / len(truth))
    return ItemScore(np.asarray(hit, dtype=np.float64), np.ones(len(truth)), majority)
