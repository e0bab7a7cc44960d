"""Means over the items of a concept: chance, p, intervals over items, shrinkage."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.distributions import t_isf
from ..nulls import ItemScores
from ..nulls.judge import ROUNDING, counted_p

Floats = np.ndarray[Any, Any]
Codes = np.ndarray[Any, np.dtype[np.int64]]
Orders = Any
_AT_ONCE = 64  # re-pairings whose orders are held at once


class Repaired(NamedTuple):
    """Scores with the items paired anew.

    Attributes:
        items: Mean score of each item (n,).
        reached: How many re-pairings gave the item as much (n,).
        means: Mean score of each set of items, (re-pairings, sets).
        number: How many re-pairings there were.
        observed: Mean score of each set as the items are, which they are held against.
    """

    items: Floats
    reached: Floats
    means: Floats
    number: int
    observed: Floats


def repaired(parts: Sequence[tuple[ItemScores, Orders]], values: Floats, weights: Floats, advance: Any) -> Repaired:
    """Item scores held against re-pairings of the items.

    Args:
        parts: Scores, and the orders of the items that they are re-paired in.
        values: Scores of the items as they are (n,).
        weights: Weight of each item in each set (sets, n).
        advance: Called with 1 after each re-pairing.
    """
    number = sum(len(orders) for _, orders in parts)
    total, reached, means = np.zeros(len(values)), np.zeros(len(values)), np.empty((number, len(weights)))
    enough = values - ROUNDING * np.maximum(np.abs(values), 1e-3)
    done = 0
    for scores, orders in parts:
        for start in range(0, len(orders), _AT_ONCE):
            for found in scores.permuted(orders[start : start + _AT_ONCE]):
                total += found
                reached += found >= enough
                means[done] = weights @ found
                done += 1
                advance(1)
    return Repaired(total / max(number, 1), reached, means, number, weights @ values)


@dataclasses.dataclass(frozen=True, eq=False)
class Means:
    """Means of item scores over sets of items.

    Attributes:
        values: Mean of each set (sets,).
        chance: Its expectation under re-pairing.
        errors: Standard error over items.
        degrees: Degrees of freedom of the t quantile.
        deviations: What each unit of sampling adds to the deviation of each mean, (sets, units): their squares add up
            to the square of `errors`, and products to covariances.
        span: Lowest and highest score.
    """

    values: Floats
    chance: Floats
    errors: Floats
    degrees: Floats
    deviations: Floats
    span: tuple[float, float]

    @property
    def corrected(self) -> Floats:
        """Chance at 0, the most at 1."""
        return (self.values - self.chance) / self.room

    @property
    def room(self) -> Floats:
        """From chance to the most."""
        return np.maximum(1.0 - self.chance, 1e-12)


def means(scores: ItemScores, weights: Floats, unit: Codes, chance: Floats, floor: Floats, *, grouped: bool) -> Means:
    """Means over sets of items, with errors over items (or groups of them).

    The error is that of an infinitesimal jackknife: an item that is drawn moves the mean by its own score and by what
    it adds to the scores of others (`Moves`). Where a metric does not tell the latter, items count by their own scores
    alone. What pairs of items add is counted twice by a first-order jackknife, and taken out once where items were
    drawn one by one. No error is below what re-pairing alone gives: a concept whose items all score the same is not
    known without error.

    Args:
        scores: The scores.
        weights: Weight of each item in each set (sets, n), adding up to one.
        unit: The unit of sampling of each item.
        chance: Chance of each set's mean.
        floor: Standard deviation of each set's mean under re-pairing.
        grouped: Whether units are groups of items.
    """
    values = weights @ scores.values
    members = np.count_nonzero(weights, axis=1)
    own = weights * (scores.values[None, :] - values[:, None])
    own *= np.sqrt(members / np.maximum(members - 1, 1))[:, None]
    psi, second = own, np.zeros(len(values))
    if scores.moves is not None:
        moved = scores.moves.sums(weights)
        n, total = weights.shape[1], moved.sum(axis=1)
        psi = own + moved - total[:, None] / n
        second = np.maximum(scores.moves.twice(weights) - 2 * total**2 / (n * (n - 1)), 0.0)
    units = int(unit.max()) + 1
    if grouped:
        summed = np.zeros((len(values), units))
        np.add.at(summed.T, unit, psi.T)
        taking_part = np.array([len(np.unique(unit[w > 0])) for w in weights])
        psi, variance = summed, np.sum(summed**2, axis=1) * units / (units - 1)
    else:
        taking_part = members
        first = np.sum(psi**2, axis=1)
        variance = np.maximum(first - second, np.minimum(second, first))
    squares, fourth = np.sum(psi**2, axis=1), np.sum(psi**4, axis=1)
    degrees = np.where(fourth > 0, 2 * squares**2 / np.where(fourth > 0, fourth, 1.0), units - 1.0)
    errors = np.maximum(np.sqrt(variance), floor)
    psi = psi * (errors / np.where(squares > 0, np.sqrt(squares), 1.0))[:, None]
    return Means(values, chance, errors, np.clip(degrees, 1.0, np.maximum(taking_part - 1.0, 1.0)), psi, scores.span)


def label_p(repairs: Repaired, rows: slice) -> Floats:
    """Chance of the means of some sets, counted among the re-pairings."""
    return counted_p(repairs.observed[rows], repairs.means[:, rows])


def quantiles(degrees: Floats, alpha: float) -> Floats:
    """Two-sided quantiles of Student's t."""
    return np.asarray(t_isf(alpha / 2, degrees))


def shrunk(values: Floats, errors: Floats) -> Floats:
    """Each value drawn towards the mean of all by the share of its variance that is error.

    The variance among the true values is that of DerSimonian and Laird (1986), at least 0; a value keeps the share
    τ² / (τ² + error²) of its distance from the precision-weighted mean (empirical Bayes, Efron and Morris 1975).
    """
    if len(values) < 2:
        return values.copy()
    w = 1 / np.maximum(errors, 1e-12) ** 2
    mean = np.sum(w * values) / w.sum()
    q = np.sum(w * (values - mean) ** 2)
    between = max(0.0, (q - (len(values) - 1)) / (w.sum() - np.sum(w**2) / w.sum()))
    w = 1 / (between + errors**2)
    mean = np.sum(w * values) / w.sum()
    return np.asarray(mean + between / (between + errors**2) * (values - mean))


def extremes(
    ids: Sequence[str], scores: Floats, rows: Codes, count: int = 3
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The items of a set with the highest scores, and with the lowest."""
    order = rows[np.argsort(-scores[rows], kind="stable")]
    few = min(count, len(order) // 2) if len(order) > 1 else 1
    return tuple(ids[i] for i in order[:few]), tuple(ids[i] for i in order[::-1][:few])
