"""What a map keeps of the new model's own retrieval, item by item over the held-out pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.linalg import top_k
from ..design import Codes, permutations
from ..heldout.retrieval import rank, similarities
from ..heldout.scores import NEIGHBORS, ItemScore, Scores, neighbor_overlap, prediction_scores
from ..nulls.judge import counted_p

Matrix = np.ndarray[Any, Any]
HITS = (1, 10)


def migration_scores(mapped: Matrix, new: Matrix, groups: Codes | None) -> Scores:
    """All scores of mapped rows (m, d) against the new rows (m, d) of the same held-out items.

    Without groups every item is a query, and its own row is the right one. With groups the first item of each is the
    query and the others of the group are right, so that the new model's own retrieval is not that of a row by itself.

    Raises:
        InputError: if the new rows are all the same.
    """
    queries, index, key = _roles(len(new), groups)
    scores = prediction_scores(mapped, new)
    pairs = {"index": (new, mapped), "query": (mapped, new), "own": (new, new)}
    for name, (asked, held) in pairs.items():
        found = rank(asked[queries], held[index], key[queries], key[index])
        for k in HITS:
            hit, counts = np.zeros(len(new)), np.zeros(len(new))
            hit[queries], counts[queries] = found.hits(k), 1.0
            scores[f"{name}.R@{k}"] = ItemScore(hit, counts, found.chance_hits(k))
    scores["neighbors"] = _surviving(mapped, new)
    scores["overlap"] = neighbor_overlap(mapped, new)
    return scores


def _roles(m: int, groups: Codes | None) -> tuple[Codes, Codes, Codes]:
    """Rows that ask, rows that are the index, and one number a row; a query's right rows have its number."""
    every = np.arange(m)
    if groups is None:
        return every, every, every
    first = np.unique(groups, return_index=True)[1]
    asks = first[np.bincount(groups)[groups[first]] > 1]  # an item alone in its group is there to be confused with
    if not len(asks):
        return every, every, every
    return asks, np.setdiff1d(every, asks), groups


def _surviving(mapped: Matrix, new: Matrix) -> ItemScore:
    """Share of the new model's nearest other rows that a new query gets from the mapped ones."""
    m = len(new)
    k = min(NEIGHBORS, m - 1)
    own, found = (nearest_rows(new, held, k, others=True) for held in (new, mapped))
    common = (own[:, :, None] == found[:, None, :]).any(axis=2).sum(axis=1) / k
    return ItemScore(common, np.ones(m), k / (m - 1))


def nearest_rows(queries: Matrix, index: Matrix, k: int, *, others: bool = False) -> Codes:
    """The k rows of the index that are nearest to each query by cosine, (n_queries, k).

    Args:
        queries: Rows (n_queries, d).
        index: Rows (n, d).
        k: How many.
        others: Whether query i may not find row i.
    """
    parts = []
    for rows, s in similarities(queries, index, None):
        if others:
            s[np.arange(len(s)), np.arange(len(queries))[rows]] = -np.inf
        parts.append(top_k(s, k)[1])
    return np.concatenate(parts)


def pairing_p(mapped: Matrix, new: Matrix, groups: Codes | None, count: int, seed: int) -> float:
    """P of the held-out pairs: how often random re-pairings of them find the right row among the 10 nearest as often.

    One item a group is asked, since those of one group cannot change places with any other.
    """
    one = np.arange(len(new)) if groups is None else np.unique(groups, return_index=True)[1]
    if len(one) < 2:
        return 1.0
    found = nearest_rows(mapped[one], new[one], min(HITS[-1], max(1, len(one) // 2)))
    orders = (np.arange(len(one)), *permutations(len(one), count, seed))
    hits = np.array([int((found == order[:, None]).any(axis=1).sum()) for order in orders], dtype=np.float64)
    return float(counted_p(hits[0], hits[1:]))
