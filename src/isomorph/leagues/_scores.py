"""What a metric says of pairs of spaces: each prepared once, all pairs compared at once, higher always more alike.

Networks are compared by their last layers, or by all of them: the largest score of any two layers, or that of the
layers of one relative depth. Every pair of layers is then scored once, whatever is made of it and whoever asks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from ..errors import InputError, IsomorphError
from ..metrics import Metric

Floats = np.ndarray[Any, np.dtype[np.float64]]
DRAWS = 20
"""Re-pairings of the items that tell chance where no exact mean is known."""
LAST, MAXIMUM = "last", "max"
DEPTHS = (0.0, 0.25, 0.5, 0.75)
"""Relative depths at which layers are compared where all are, beside the last: 0 is the first, 1 the last."""


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A metric as it takes part in a league.

    Attributes:
        metric: The metric.
        above_chance: Whether chance is taken off its scores, and what is left is a share of the way to the best score.
        seed: Seed of the re-pairings of items, where chance is sampled.
        layers: By which layers it compares networks: ``"last"``, ``"max"`` over all pairs of layers of the two, or a
            relative depth from 0 to 1, of which each network's nearest layer is taken.
        every: Whether scorers of the same metric ask of other layers too, so that all pairs are scored at once.
        seen: What was scored already, shared by scorers of one metric: the spaces, which must live as long as their
            identity is used, and the scores or why there are none.

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
    layers: str | float = LAST
    every: bool = False
    seen: dict[Any, tuple[Any, Floats | IsomorphError]] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        way = {LAST: "", MAXIMUM: " max over layers"}.get(str(self.layers), f" at depth {self.layers}")
        return self.metric.spec + way + (" above chance" if self.above_chance else "")

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

    def networks(self, layers: Sequence[Sequence[Any]]) -> Floats:
        """Scores of all networks with each other, symmetric.

        Args:
            layers: Of each network its layers (n, d), from input to output.

        Raises:
            InputError: if a network has one layer where several are asked for.
            IsomorphError: if the metric has no score.
        """
        last = [own[-1] for own in layers]
        single = sum(len(own) == 1 for own in layers)
        if self.layers != LAST and single:
            raise InputError(f"{single} of its {len(layers)} networks have one layer only; two or more are needed.")
        if not self.every:
            return self._once(last)
        ends = np.cumsum([len(own) for own in layers])
        begins = ends - [len(own) for own in layers]
        try:
            scores = self._once([space for own in layers for space in own])
        except IsomorphError:
            if self.layers != LAST:
                raise
            return self._once(last)  # defined on the last layers, if not on all
        if self.layers == MAXIMUM:
            return np.maximum.reduceat(np.maximum.reduceat(scores, begins, axis=0), begins, axis=1)
        depth = 1.0 if self.layers == LAST else float(self.layers)
        at = begins + np.rint(depth * (ends - begins - 1)).astype(np.int64)
        return np.asarray(scores[np.ix_(at, at)])

    def _once(self, spaces: Sequence[Any]) -> Floats:
        """The scores of `pairs`, computed the first time that these spaces are met.

        Raises:
            IsomorphError: if the metric has no score on them.
        """
        key = tuple(map(id, spaces))
        if key not in self.seen:
            try:
                self.seen[key] = spaces, self.pairs(spaces)
            except IsomorphError as error:
                self.seen[key] = spaces, error
        found = self.seen[key][1]
        if isinstance(found, IsomorphError):
            raise found
        return found

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
