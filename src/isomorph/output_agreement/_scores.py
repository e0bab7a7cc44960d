"""Measures of two models' answers with their spread over items, and tests that two models could change places."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy

from ..design import Codes
from ..errors import InputError
from ..heldout.scores import ItemScore
from ..nulls.judge import counted_p
from ._calibration import Stated
from ._rows import Floats, Rows, rowwise

_ROUNDING = 1e-12


@dataclasses.dataclass(frozen=True, eq=False)
class KappaScore(ItemScore):
    """Cohen's κ of two models' answers: agreement beyond that of their margins, as a share of what is left to reach.

    Attributes:
        shared: Whether the two agree on each item (n,).
        margins: Columns that both use: sparse rows of the first and of the second.
    """

    shared: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))
    margins: tuple[Rows, Rows] | None = None

    @classmethod
    def of(cls, a: Rows, b: Rows, chance: float = 0.0) -> KappaScore:
        """The score of two models' answers (n, columns).

        Raises:
            InputError: if both always answer the same one, so that nothing is left to reach.
        """
        used = np.flatnonzero((np.asarray(a.sum(axis=0)) > 0) & (np.asarray(b.sum(axis=0)) > 0))
        one = np.ones(a.shape[0])
        found = cls(one, one, chance, 0.0, 1.0, False, rowwise(a, b), (a[:, used], b[:, used]))
        if found.expected(one[None, :])[0] >= 1 - _ROUNDING:
            raise InputError(
                "Cohen's kappa is not defined: both always give the same answer, so that chance agreement is complete. "
                "Use the agreement itself, or items on which answers differ."
            )
        return found

    def expected(self, weights: Floats) -> Floats:
        """Agreement that the margins alone give, of samples of the items (draws,)."""
        assert self.margins is not None
        total = weights.sum(axis=1)
        first, second = (np.asarray((rows.T @ weights.T).T) / total[:, None] for rows in self.margins)
        return np.asarray((first * second).sum(axis=1))

    @property
    def value(self) -> float:
        """κ of all items."""
        chance = float(self.expected(np.ones((1, len(self.shared))))[0])
        return (float(self.shared.mean()) - chance) / (1 - chance)

    def drawn(self, weights: Floats) -> Floats:
        """κ of samples of the items (draws,); one in which it is not defined says nothing: that of all items."""
        expected = self.expected(weights)
        known = expected < 1 - _ROUNDING
        observed = weights @ self.shared / weights.sum(axis=1)
        found = (observed - expected) / np.where(known, 1 - expected, 1.0)
        return np.asarray(np.where(known, found, self.value))


def agreement_bounds(a: Rows, b: Rows) -> tuple[float, float]:
    """Least and most agreement that two models with these shares of answers can have."""
    first, second = (np.asarray(rows.mean(axis=0)).reshape(-1) for rows in (a, b))
    return max(0.0, float((first + second).max()) - 1.0), min(1.0, float(np.minimum(first, second).sum()))


def sides_of(right: Floats) -> Rows:
    """Right and wrong as two answers, (n, 2)."""
    return scipy.sparse.csr_array(np.column_stack([right, 1 - right]))


def accuracy_swap_p(a: Floats, b: Floats, groups: Codes | None, count: int, seed: int) -> tuple[float, str]:
    """Two-sided p of two accuracies being equal: the two models change places on each item, or each group of them.

    Without groups and with sure answers it is the exact binomial test of the items that only one has right (McNemar).
    """
    differences = a - b
    if groups is None and np.isin(differences, (-1.0, 0.0, 1.0)).all():
        first, second = int((differences > 0).sum()), int((differences < 0).sum())
        if first + second == 0:
            return 1.0, "both are right on the same items"
        return float(scipy.stats.binomtest(first, first + second).pvalue), "exact: binomial (McNemar's test)"
    sums = differences if groups is None else np.bincount(groups, differences)
    signs = _signs(len(sums), count, seed)
    return float(counted_p(abs(sums.sum()), np.abs(signs @ sums))), _swaps(count, groups)


def calibration_swap_p(a: Stated, b: Stated, groups: Codes | None, count: int, seed: int) -> tuple[float, str]:
    """Two-sided p of two calibration errors being equal: the two models change places on each item or group."""
    unit = np.arange(len(a.right)) if groups is None else groups
    observed = abs(a.whole(debiased=True) - b.whole(debiased=True))
    null = np.empty(count)
    for k, signs in enumerate(_signs(int(unit.max()) + 1, count, seed)):
        kept = signs[unit] > 0
        one, other = (
            Stated(np.where(kept, s.confidence, t.confidence), np.where(kept, s.right, t.right), a.bins)
            for s, t in ((a, b), (b, a))
        )
        null[k] = abs(one.whole(debiased=True) - other.whole(debiased=True))
    return float(counted_p(observed, null)), _swaps(count, groups)


def _signs(units: int, count: int, seed: int) -> Floats:
    return 1.0 - 2.0 * np.random.default_rng([seed, 20]).integers(0, 2, size=(count, units))


def _swaps(count: int, groups: Codes | None) -> str:
    what = "items" if groups is None else "whole groups"
    return f"{count} samples in which the two models change places on random {what}"
