"""What a metric says of single items: a score each, what chance gives it, and how other items move it."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Floats = np.ndarray[Any, Any]


class Exact(NamedTuple):
    """What is known of an item's score under free re-pairing of all items.

    Attributes:
        chance: Expected score of each item (n,).
        p_values: Chance of a score at least as high (n,); NaN where none is known.

    Example:
        >>> metric = iso.metric("mutual_knn(k=2)")
        >>> x, y = np.random.default_rng(0).normal(size=(2, 6, 3))
        >>> metric.item_scores(metric.prepare(x), metric.prepare(y)).exact.chance.round(2).tolist()
        [0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    """

    chance: Floats
    p_values: Floats


class Moves(ABC):
    """How single items move weighted sums Σ_i w_i s_i of the other items' scores: an infinitesimal jackknife.

    With e_ij what one more of item j would add to the score of item i, it gives Σ_i w_i e_ij for all j.

    Example:
        >>> metric = iso.metric("mutual_knn(k=3)")
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 4))
        >>> found = metric.item_scores(metric.prepare(x), metric.prepare(x + noise))
        >>> weights = np.full((1, 60), 1 / 60)  # of the mean of all
        >>> found.moves.sums(weights).shape, found.moves.twice(weights).shape
        ((1, 60), (1,))
    """

    @abstractmethod
    def sums(self, weights: Floats) -> Floats:
        """Σ_i w_ri e_ij, (rows, n), of weights (rows, n)."""

    @abstractmethod
    def twice(self, weights: Floats) -> Floats:
        """Σ over pairs i < j of (w_ri e_ij + w_rj e_ji)², (rows,): what first-order jackknives count twice."""


@dataclasses.dataclass(frozen=True, eq=False)
class MatrixMoves(Moves):
    """Moves as the matrix of all e_ij, sparse."""

    edges: Any

    def sums(self, weights: Floats) -> Floats:
        return np.asarray((self.edges.T @ weights.T).T)

    def twice(self, weights: Floats) -> Floats:
        own = np.asarray(self.edges.multiply(self.edges).sum(axis=1)).ravel()
        both = self.edges.multiply(self.edges.T)
        return np.asarray(weights**2 @ own + np.einsum("rn,nr->r", weights, both @ weights.T))


@dataclasses.dataclass(frozen=True, eq=False)
class ItemScores:
    """One layer with one other, item by item; higher is more alike, 1 the most where a score has a most.

    Attributes:
        values: Score of each item (n,).
        permuted: For each order of the items of y, the items' scores with it (n,).
        exact: What is known under free re-pairing, None where scores must be sampled.
        moves: How items move each other's scores, None where that is not known.
        errors: Standard error of each item's score over the other items (n,), None where that is not known.
        span: Lowest and highest score that an item can have.

    Example:
        >>> metric = iso.metric("mutual_knn(k=2)")
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = metric.item_scores(metric.prepare(x), metric.prepare(x + noise))
        >>> found.values[:4].tolist(), found.exact.p_values[:4].round(3).tolist()
        ([0.0, 0.0, 0.5, 1.0], [1.0, 1.0, 0.067, 0.001])
    """

    values: Floats
    permuted: Callable[[Any], Iterator[Floats]]
    exact: Exact | None = None
    moves: Moves | None = None
    errors: Floats | None = None
    span: tuple[float, float] = (-np.inf, np.inf)


@dataclasses.dataclass(frozen=True, eq=False)
class _Mixed(Moves):
    parts: Sequence[tuple[Floats, Moves]]

    def sums(self, weights: Floats) -> Floats:
        return np.asarray(sum(moves.sums(weights * share) for share, moves in self.parts))

    def twice(self, weights: Floats) -> Floats:
        return np.asarray(sum(moves.twice(weights * share) for share, moves in self.parts))


def mixed(parts: Sequence[tuple[Floats, ItemScores]]) -> ItemScores:
    """Scores of items as weighted sums of several: those of other layers for other items, or means over models.

    An exact p is kept where an item has the score of one part alone.

    Args:
        parts: Weight of each item (n,), and the scores; the weights of an item add up to one.

    Example:
        >>> cka = iso.metric("cka")
        >>> x, noise, other = np.random.default_rng(0).normal(size=(3, 60, 8))
        >>> near, far = (cka.item_scores(cka.prepare(x), cka.prepare(x + e)) for e in (noise, 9 * other))
        >>> both = mixed([(np.full(60, 0.5), near), (np.full(60, 0.5), far)])
        >>> bool(np.allclose(both.values, (near.values + far.values) / 2))
        True
    """
    if len(parts) == 1:
        return parts[0][1]
    exact = None
    if all(scores.exact is not None for _, scores in parts):
        known = [(share, scores.exact) for share, scores in parts if scores.exact is not None]
        chance = np.sum([share * e.chance for share, e in known], axis=0)
        p = np.full(len(chance), np.nan)
        for share, e in known:
            p = np.where(share == 1, e.p_values, p)
        exact = Exact(chance, p)

    def permuted(orders: Any) -> Iterator[Floats]:
        for found in zip(*(scores.permuted(orders) for _, scores in parts), strict=True):
            yield np.sum([share * values for (share, _), values in zip(parts, found, strict=True)], axis=0)

    moves = [(share, scores.moves) for share, scores in parts if scores.moves is not None]
    errors = [(share, scores.errors) for share, scores in parts if scores.errors is not None]
    return ItemScores(
        np.sum([share * scores.values for share, scores in parts], axis=0),
        permuted,
        exact,
        _Mixed(moves) if len(moves) == len(parts) else None,
        # the errors of several models go together, as all are over the same items
        np.sum([share * e for share, e in errors], axis=0) if len(errors) == len(parts) else None,
        parts[0][1].span,
    )
