"""Held-out scores against the number of items that were fitted on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence

import numpy as np

from ..design import Split
from ..errors import InputError
from .holdout import Holdout, Trial
from .scores import ItemScore

STEPS = (1, 2, 5)
CURVE_REPEATS = 3
"""Splits that make a curve, at most."""


@dataclasses.dataclass(frozen=True)
class SizeCurve:
    """One score at several sizes.

    Attributes:
        sizes: The sizes, ascending.
        values: Mean score over the splits at each size.
        low: Lowest of the splits.
        high: Highest of the splits.
        chance: Chance level at each size.
    """

    sizes: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    chance: tuple[float, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], values: Sequence[Sequence[float]], chance: Sequence[float]) -> SizeCurve:
        """A curve from the scores of every split at every size, shape (sizes, splits)."""
        low, high = (tuple(float(end(v)) for v in values) for end in (np.min, np.max))
        return cls(tuple(sizes), tuple(float(np.mean(v)) for v in values), low, high, tuple(chance))


def sizes(whole: int, first: int = 10) -> tuple[int, ...]:
    """``first``, 20, 50, 100, … below `whole`, and `whole`."""
    steps = [s * 10**e for e in range(8) for s in STEPS]
    return (*tuple(s for s in steps if first <= s < whole), whole)


def curve_fits(holdout: Holdout) -> int:
    """How many fits `size_curves` takes."""
    return len(holdout.splits[:CURVE_REPEATS]) * len(sizes(min(len(s.train) for s in holdout.splits[:CURVE_REPEATS])))


def size_curves(
    trial_of: Callable[[Split], Trial], holdout: Holdout, names: Collection[str] | None = None
) -> tuple[dict[str, SizeCurve], dict[int, str]]:
    """Held-out scores against the number of items fitted on, a random nested series of them in each split.

    Args:
        trial_of: The trial of a split.
        holdout: The splits; the first few are used.
        names: The scores that are drawn; None: all.

    Returns:
        Name -> curve, over the sizes at which every split could be fitted; and size -> why it could not.
    """
    points: dict[str, dict[int, list[ItemScore]]] = {}
    refused: dict[int, str] = {}
    used = holdout.splits[:CURVE_REPEATS]
    for repeat, split in enumerate(used):
        trial = trial_of(split)
        order = split.train[np.random.default_rng([holdout.seed, 11, repeat]).permutation(len(split.train))]
        for size in sizes(min(len(s.train) for s in used)):
            try:
                scores = trial(order[:size], order[:size])
            except InputError as error:
                refused.setdefault(size, str(error))
                continue
            finally:
                holdout.advance(1)
            for name, score in scores.items():
                if names is None or name in names:
                    points.setdefault(name, {}).setdefault(size, []).append(score)
    curves = {}
    for name, by_size in points.items():
        complete = {k: v for k, v in by_size.items() if len(v) == len(used)}
        values = [[s.value for s in scores] for scores in complete.values()]
        chance = [float(np.mean([s.chance for s in scores])) for scores in complete.values()]
        curves[name] = SizeCurve.of(tuple(complete), values, chance)
    return curves, refused
