"""Intervals of held-out scores over splits and items, and of differences over the same splits and items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..design import Codes, Split
from ..results import Margin, Score
from .scores import ItemScore

Matrix = np.ndarray[Any, Any]
_WEIGHTS = 2**25  # weights held in double precision at once: 256 MB


class Bootstrap:
    """Draws items (or whole groups) with replacement, the same ones for every split, and splits with replacement.

    The gallery stays as it is: drawing it anew would put copies of the right item in it.

    Args:
        splits: The splits.
        groups: One group an item, or None.
        n: Number of items.
        draws: Bootstrap samples.
        level: Coverage.
        seed: Seed.
    """

    def __init__(self, splits: Sequence[Split], groups: Codes | None, n: int, draws: int, level: float, seed: int):
        rng = np.random.default_rng([seed, 7])
        unit = np.arange(n) if groups is None else groups
        count = int(unit.max()) + 1
        self._tested = np.unique(np.concatenate([split.test for split in splits]))
        # a draw of a million items is kept for those that are tested alone
        self._times = np.empty((draws, len(self._tested)), dtype=np.uint16)
        odds = np.full(count, 1 / count)
        for times in self._times:
            times[:] = rng.multinomial(count, odds)[unit[self._tested]]
        self._chosen = rng.integers(len(splits), size=(draws, len(splits)))
        self._splits, self.level = splits, float(level)

    def score(self, scores: Sequence[ItemScore]) -> Score:
        """The mean score over the splits with its interval."""
        values = tuple(s.value for s in scores)
        low, high = self._bounds(self._sample(scores))
        chance = float(np.mean([s.chance for s in scores]))
        return Score(float(np.mean(values)), low, high, chance, values)

    def margin(self, scores: Sequence[ItemScore], others: Sequence[ItemScore], descending: bool) -> Margin:
        """How much better the first is than the second."""
        sign = -1.0 if descending else 1.0
        value = sign * float(np.mean([s.value for s in scores]) - np.mean([s.value for s in others]))
        low, high = self._bounds(sign * (self._sample(scores) - self._sample(others)))
        return Margin(value, low, high)

    def share_below(self, scores: Sequence[ItemScore], others: Sequence[ItemScore], descending: bool) -> float:
        """Share of the samples, the scores themselves counted in, in which the first is no better than the second."""
        sign = -1.0 if descending else 1.0
        sample = sign * (self._sample(scores) - self._sample(others))
        return float((1 + np.sum(sample <= 0)) / (1 + len(sample)))

    def _bounds(self, sample: Matrix) -> tuple[float, float]:
        tail = (1 - self.level) / 2
        low, high = np.quantile(sample, [tail, 1 - tail])
        return float(low), float(high)

    def _sample(self, scores: Sequence[ItemScore]) -> Matrix:
        drawn = [self._drawn(s, split.test) for s, split in zip(scores, self._splits, strict=True)]
        mean: Matrix = np.take_along_axis(np.stack(drawn, axis=1), self._chosen, axis=1).mean(axis=1)
        return mean

    def _drawn(self, score: ItemScore, test: Matrix) -> Matrix:
        """The score of each sample of these items, (draws,)."""
        columns, rows = np.searchsorted(self._tested, test), max(1, _WEIGHTS // len(test))
        blocks = (self._times[s : s + rows][:, columns] for s in range(0, len(self._times), rows))
        return np.concatenate([score.drawn(block.astype(np.float64)) for block in blocks])
