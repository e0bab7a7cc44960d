"""What all fits of one held-out comparison share: the splits, what may not be parted, and the re-pairings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..design import Codes, Split, chosen_split, drawn_split, permutations, units
from .scores import Scores

INNER_FRACTION = 0.3
"""Share of the rows to fit on that is held out from choices made among them."""


class Trial(Protocol):
    """Something to fit on one split: a map, a head over several spaces, a probe."""

    def __call__(self, rows: Codes, partners: Codes) -> Scores:
        """Fit the inputs of `rows` to the targets of `partners`, and score the held-out rows of the split.

        Args:
            rows: Rows of the inputs.
            partners: Rows of the target, one for each; the same rows unless pairs are permuted.
        """


@dataclasses.dataclass(frozen=True, eq=False)
class Holdout:
    """The splits of a held-out comparison.

    Attributes:
        splits: The splits.
        unit: What is held out as one, one number an item.
        groups: One group an item, or None: groups are permuted and resampled whole.
        permutations: Refits to permuted pairs in each split.
        seed: Seed.
        advance: Called with 1 after each fit and scoring.
    """

    splits: Sequence[Split]
    unit: Codes
    groups: Codes | None
    permutations: int
    seed: int
    advance: Callable[[int], object] = lambda _: None

    @property
    def smallest(self) -> int:
        """Rows to fit on in the split that has fewest."""
        return min(len(s.train) for s in self.splits)

    def inner(self, split: Split) -> Split:
        """A split of the rows to fit on, for choices (of layers, of penalties) that no held-out item may inform.

        Raises:
            InputError: if they cannot be parted once more.
        """
        return split.inner(self.unit, INNER_FRACTION, self.seed)

    def fitted(self, trial: Trial, repeat: int) -> Scores:
        """The scores of a trial on one split."""
        train = self.splits[repeat].train
        scores = trial(train, train)
        self.advance(1)
        return scores

    def permuted(self, trial: Trial, repeat: int) -> list[Scores]:
        """The scores of a trial fitted to permuted pairs of one split, the control that knows nothing of the pairing.

        Groups of one size change places whole; the permutations are the same for every trial.
        """
        train, found = self.splits[repeat].train, []
        for order in self._orders(repeat):
            found.append(trial(train, train[order]))
            self.advance(1)
        return found

    def _orders(self, repeat: int) -> np.ndarray[Any, Any]:
        train = self.splits[repeat].train
        groups = None if self.groups is None else self.groups[train]
        seed = int(np.random.SeedSequence([self.seed, repeat]).generate_state(1)[0])
        return permutations(len(train), self.permutations, seed, groups=groups)


def splits_of(
    n: int,
    *,
    by: str = "item",
    labels: Codes | None = None,
    groups: Codes | None = None,
    fraction: float = 0.3,
    repeats: int = 5,
    seed: int = 0,
    test: Any = None,
    ids: Sequence[str] = (),
) -> tuple[list[Split], Codes]:
    """The splits that a verb's settings ask for, and what is held out as one.

    Args:
        n: Number of items.
        by: ``"item"``, ``"label"`` or ``"group"``; groups are never parted, whatever it says.
        labels: One label an item, or None.
        groups: One group an item, or None.
        fraction: Share of the items held out.
        repeats: Random splits.
        seed: Seed.
        test: Ids or rows to hold out instead; then there is one split.
        ids: One id an item.

    Raises:
        InputError: if there is nothing to split by, or a part would have fewer than 2 items.
    """
    unit = units(by, n, labels, groups)
    if test is None:
        return [drawn_split(unit, fraction, seed, r).require() for r in range(repeats)], unit
    kept = {"group": groups, "label": labels if by == "label" else None}
    return [chosen_split(test, n, ids, kept).require()], unit
