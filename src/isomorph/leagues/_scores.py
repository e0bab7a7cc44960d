"""What a metric says of pairs of spaces: each prepared once, all pairs compared at once, higher always more alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from ..errors import InputError
from ..metrics import Metric

Floats = np.ndarray[Any, np.dtype[np.float64]]
DRAWS = 20
"""Re-pairings of the items that tell chance where no exact mean is known."""


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A metric as it takes part in a league.

    Attributes:
        metric: The metric.
        above_chance: Whether chance is taken off its scores, and what is left is a share of the way to the best score.
        seed: Seed of the re-pairings of items, where chance is sampled.

    Example:
        >>> from isomorph.metrics import metric
        >>> spaces = [np.random.default_rng(k).normal(size=(40, 3)) for k in range(2)]
        >>> Scorer(metric("cka")).pairs(spaces).round(2).tolist()
        [[1.0, 0.01], [0.01, 1.0]]
        >>> Scorer(metric("cca"), above_chance=True).name
        'cca above chance'
    """

    metric: Metric[Any]
    above_chance: bool = False
    seed: int = 0

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        return self.metric.spec + (" above chance" if self.above_chance else "")

    def prepared(self, spaces: Sequence[Any]) -> list[Any]:
        """What the metric needs of each space (n, d).

        Raises:
            InputError: if there are too few items for it, or it is not defined on a space.
        """
        n = len(spaces[0])
        if n < self.metric.min_items:
            raise InputError(f"{self.metric.spec} needs {self.metric.min_items} items, and there are {n}.")
        return [self.metric.prepare(np.ascontiguousarray(space)) for space in spaces]

    def compare(self, xs: Sequence[Any], ys: Sequence[Any], n: int) -> Floats:
        """Scores of all pairs of prepared spaces of n items, shape (len(xs), len(ys)).

        Raises:
            InputError: if one is no number.
        """
        metric = self.metric
        sign = -1.0 if metric.distance else 1.0
        scores: Floats = sign * to_numpy(metric.compare(xs, ys)).astype(np.float64)
        if self.above_chance:
            chance = sign * self._chance(xs, ys, n)
            best = sign * (metric.range[0] if metric.distance else metric.range[1])
            room = best - chance if np.isfinite(best) else np.ones_like(scores)
            scores = (scores - chance) / np.where(room > 0, room, 1.0)
        if not np.isfinite(scores).all():
            raise InputError(f"{metric.spec} has no score on some of these spaces.")
        return scores

    def pairs(self, spaces: Sequence[Any]) -> Floats:
        """Scores of all spaces with each other, symmetric: the mean of both directions where the metric has two."""
        states = self.prepared(spaces)
        scores = self.compare(states, states, len(spaces[0]))
        return scores if self.metric.symmetric else (scores + scores.T) / 2

    def one(self, x: Any, y: Any) -> float:
        """The score of one pair of spaces, x with y."""
        return float(self.compare(self.prepared([x]), self.prepared([y]), len(x))[0, 0])

    def _chance(self, xs: Sequence[Any], ys: Sequence[Any], n: int) -> Floats:
        """The expected score of all pairs under random re-pairing of the items."""
        known = self.metric.null_moments(xs, ys)
        if known is not None:
            return np.asarray(known.mean, dtype=np.float64).reshape(len(xs), len(ys))
        rng = np.random.default_rng(self.seed)
        orders = np.stack([rng.permutation(n) for _ in range(DRAWS)])
        return np.asarray(np.mean(list(self.metric.compare_permuted(xs, ys, orders)), axis=0))
