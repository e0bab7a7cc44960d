"""Ranks of the right items in a gallery, with ties and several right answers counted as their expectation.

A map that sends everything to one place ties all candidates: it then scores chance, not the first place.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy

from .._core import linalg
from .._core.linalg import top_k
from .._core.rows import largest_of, mean_of
from ..design import Split
from ..errors import InputError
from ..maps import Map
from ..maps.retrieval import csls, inverted_softmax, products

Matrix = np.ndarray[Any, Any]
TIE = 1e-9  # similarities this near are one: rounding must not break the ties of a map that knows nothing
CORRECTIONS = (None, "csls", "inverted_softmax")


@dataclasses.dataclass(frozen=True)
class Ranked:
    """Where the best right item of each query stands; every array has shape (n_queries,).

    Attributes:
        better: Wrong items that are more similar than the best right one.
        tied: Items, right ones included, as similar as the best right one.
        tied_right: Right ones among these.
        right: Right items in the gallery.
        gallery: Size of the gallery.
        found: Rows of the most similar items, best first (n_queries, up to 5).
    """

    better: Matrix
    tied: Matrix
    tied_right: Matrix
    right: Matrix
    gallery: int
    found: Matrix

    def hits(self, k: int) -> Matrix:
        """Probability that a right item is among the first k."""
        if np.array_equal(self.tied, self.tied_right):
            return np.asarray(self.better < k, dtype=np.float64)
        return _any_right(self.tied, self.tied_right, k - self.better)

    def rank(self) -> Matrix:
        """Expected rank of the first right item."""
        expected: Matrix = self.better + (self.tied + 1) / (self.tied_right + 1)
        return expected

    def reciprocal(self) -> Matrix:
        """Expected reciprocal rank of the first right item."""
        out = 1.0 / (self.better + 1.0)
        for i in np.flatnonzero(self.tied > self.tied_right):
            out[i] = _mean_reciprocal(int(self.better[i]), int(self.tied[i]), int(self.tied_right[i]))
        return out

    def chance_hits(self, k: int) -> float:
        """Mean over queries of the probability that a random order has a right item among the first k."""
        right, counts = np.unique(self.right, return_counts=True)
        hits = [_chance_hit(self.gallery, int(p), k) for p in right]
        return float(np.dot(hits, counts) / counts.sum())

    def chance_rank(self) -> float:
        """Median over queries of the expected rank in a random order."""
        return float(np.median((self.gallery + 1) / (self.right + 1)))

    def chance_reciprocal(self) -> float:
        """Mean over queries of the expected reciprocal rank in a random order."""
        kinds, counts = np.unique(self.right, return_counts=True)
        values = [_mean_reciprocal(0, self.gallery, int(p)) for p in kinds]
        return float(np.dot(values, counts) / counts.sum())

    def hits_in_gallery(self, size: int, k: int) -> float:
        """Mean of `hits` in random galleries of `size` that hold the right items: exact, nothing is sampled.

        Of the other items a random ``size - right`` stay; how many of the better ones stay is hypergeometric.
        """
        kinds, counts = np.unique(
            np.stack([self.better, self.tied, self.tied_right, self.right], axis=1), axis=0, return_counts=True
        )
        better, tied, tied_right, right = kinds.T
        values = _stay_ahead(better, right, self.gallery, size, k)  # where all tied items are right, the first is
        for i in np.flatnonzero(tied > tied_right):
            place, probability = _first_places(int(tied[i]), int(tied_right[i]))
            ahead = better[i] + place - 1
            values[i] = probability @ _stay_ahead(ahead, np.full(len(ahead), right[i]), self.gallery, size, k)
        return float(np.dot(values, counts) / counts.sum())


def rank(
    queries: Matrix, gallery: Matrix, query_key: Matrix, gallery_key: Matrix, correction: str | None = None
) -> Ranked:
    """Rank the gallery for every query by cosine; a row without direction is equally far from everything.

    Args:
        queries: Rows (n_queries, d) in the space of comparison.
        gallery: Rows (n_gallery, d).
        query_key: One number a query; gallery items with the same number are right.
        gallery_key: One number a gallery item.
        correction: ``"csls"``, ``"inverted_softmax"`` or None.

    Raises:
        InputError: if the correction is not known.
    """
    parts = [_rank_block(s, query_key[rows], gallery_key) for rows, s in similarities(queries, gallery, correction)]
    better, tied, tied_right, right, found = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Ranked(better, tied, tied_right, right, len(gallery), found)


def directions(rows: Matrix) -> Matrix:
    """Rows at unit length; those that have no direction stay zero."""
    return linalg.directions(rows, flat=TIE)


def compared(fitted: Map, x: Matrix, y: Matrix, split: Split) -> tuple[Matrix, Matrix, Matrix]:
    """Held-out rows where a map compares them.

    Args:
        fitted: The map, fitted on the training rows.
        x: Features (n, d_x).
        y: Features (n, d_y).
        split: Training and held-out rows.

    Returns:
        Rows mapped from `x` and those of `y`, (n_test, d) each, and the origin (d,) that was taken from both.
    """
    mapped, target = fitted.embed_x(x[split.test]), fitted.embed_y(y[split.test])
    # a prediction and its target share their origin, the mean that knows nothing; in a shared space the map sets it
    train = y[split.train]
    origin = mean_of(train) if fitted.direct else np.zeros(target.shape[1])
    # a sum in another order moves the mean by as much, which is no direction
    least = np.finfo(target.dtype).eps * len(split.train) * largest_of(train) if fitted.direct else 0.0
    return _away(mapped - origin, least), _away(target - origin, least), origin


def _away(rows: Matrix, least: float) -> Matrix:
    """The rows; zero where none of their entries is larger than that."""
    return np.where(np.abs(rows).max(axis=1, keepdims=True) <= least, 0.0, rows)


def similarities(queries: Matrix, gallery: Matrix, correction: str | None) -> Iterator[tuple[slice, Matrix]]:
    """Which queries, and their similarity to every gallery item (some queries, n_gallery), block by block.

    Raises:
        InputError: if the correction is not known.
    """
    if correction not in CORRECTIONS:
        raise InputError(f"correction={correction!r} is not known; use one of {', '.join(map(repr, CORRECTIONS))}.")
    q, g = directions(queries), directions(gallery)
    if correction is not None:  # both look at whole columns, so the whole matrix is needed
        whole = q @ g.T
        yield (
            slice(0, len(q)),
            csls(whole, k=min(10, *whole.shape)) if correction == "csls" else inverted_softmax(whole),
        )
        return
    yield from products(q, g)


def _rank_block(s: Matrix, query_key: Matrix, gallery_key: Matrix) -> tuple[Matrix, ...]:
    right = query_key[:, None] == gallery_key[None, :]
    best = np.where(right, s, -np.inf).max(axis=1, keepdims=True)
    tied = s >= best - TIE
    better = (s > best + TIE).sum(axis=1)
    found = top_k(s, min(5, s.shape[1]))[1]
    return better, tied.sum(axis=1) - better, (tied & right).sum(axis=1), right.sum(axis=1), found


def _any_right(total: Matrix, right: Matrix, draws: Matrix) -> Matrix:
    """Probability that `draws` of `total` items without replacement hold one of the `right` ones."""
    taken = np.clip(draws, 0, total)
    none = np.exp(_log_choose(total - right, taken) - _log_choose(total, taken))
    out: Matrix = np.where(draws <= 0, 0.0, 1.0 - none)
    return out


@functools.lru_cache(maxsize=1024)  # every refit of a map meets the same galleries
def _chance_hit(gallery: int, right: int, k: int) -> float:
    return float(_any_right(np.array(gallery), np.array(right), np.array(k)))


def _log_choose(n: Any, k: Any) -> Matrix:
    """Logarithm of the binomial coefficient; -inf where it is zero."""
    n, k = np.broadcast_arrays(np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64))
    possible = (k >= 0) & (k <= n)
    safe_n, safe_k = np.where(possible, n, 0.0), np.where(possible, k, 0.0)
    out: Matrix = np.where(
        possible,
        scipy.special.gammaln(safe_n + 1)
        - scipy.special.gammaln(safe_k + 1)
        - scipy.special.gammaln(safe_n - safe_k + 1),
        -np.inf,
    )
    return out


def _first_places(tied: int, right: int) -> tuple[Matrix, Matrix]:
    """Places 1, 2, … of the first of `right` items in a random order of `tied`, and their probabilities."""
    place = np.arange(1, tied - right + 2)
    return place, np.exp(_log_choose(tied - place, right - 1) - _log_choose(tied, right))


@functools.lru_cache(maxsize=1024)
def _mean_reciprocal(better: int, tied: int, right: int) -> float:
    """Expected 1 / rank of the first of `right` items in a random order of `tied` ones that follow `better` others."""
    place, probability = _first_places(tied, right)
    return float(np.sum(probability / (better + place)))


def _stay_ahead(ahead: Matrix, right: Matrix, gallery: int, size: int, k: int) -> Matrix:
    """Probability, for each query, that fewer than k of the items ahead of the first right one stay in the gallery."""
    ahead, others = ahead[:, None], gallery - right[:, None]
    kept, stay = np.maximum(size - right[:, None], 0), np.arange(k)[None, :]
    ways = _log_choose(ahead, stay) + _log_choose(others - ahead, kept - stay) - _log_choose(others, kept)
    out: Matrix = np.minimum(np.exp(ways).sum(axis=1), 1.0)
    return out
