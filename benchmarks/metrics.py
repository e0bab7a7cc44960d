"""Scores and exact p-values of all 13 × 25 layer pairs cost little more than the products that they need.

n = 1024, d = 768 × 1024, float32. The floors are plain NumPy and SciPy, with no metric around them: the 38 Gram
products; the same with the k + 1 largest of each row; computing and ranking each RDM once. An exact p needs the score
too, and is held against it.
"""

from __future__ import annotations

import argparse

import numpy as np
from _measure import Claims, Layers, N, in_turn, two_models
from scipy import stats

from isomorph.metrics import Metric, metric

K = 10


def grams(xs: Layers, ys: Layers) -> None:
    """The products alone. NumPy makes x @ x.T in half the work of a general product."""
    for x in (*xs, *ys):
        _ = x @ x.T


def search(xs: Layers, ys: Layers) -> None:
    """Products and the nearest of every layer, as plainly as NumPy allows."""
    for x in (*xs, *ys):
        s = x @ x.T
        np.fill_diagonal(s, -np.inf)
        np.argpartition(s, N - K, axis=1)[:, N - K :]


def rank_each(xs: Layers, ys: Layers) -> None:
    """Each layer's RDM and its ranks, with NumPy's and SciPy's own functions."""
    upper = np.triu_indices(N, 1)
    for x in (*xs, *ys):
        stats.rankdata(1 - np.corrcoef(x)[upper])


def sort_each(xs: Layers, ys: Layers) -> None:
    """A harder floor for RDMs, that nobody claims to meet: float32, one unstable sort, no ties."""
    upper = np.triu_indices(N, 1)
    for x in (*xs, *ys):
        c = x - x.mean(axis=1, keepdims=True)
        c /= np.linalg.norm(c, axis=1, keepdims=True)
        v = (c @ c.T)[upper]
        ranks = np.empty(len(v), dtype=np.float32)
        ranks[np.argsort(v)] = np.arange(len(v))


def scores(m: Metric, xs: Layers, ys: Layers) -> np.ndarray:
    """All pairs, from the features."""
    return np.asarray(m.compare([m.prepare(x) for x in xs], [m.prepare(y) for y in ys]))


def scores_and_p(m: Metric, xs: Layers, ys: Layers) -> np.ndarray:
    """All pairs with their exact p-values.

    Raises:
        RuntimeError: if the metric has no exact null.
    """
    a, b = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
    values, null = m.compare(a, b), m.null_moments(a, b)
    if null is None or null.std is None:
        raise RuntimeError(f"{m} has no exact null")
    return np.asarray(null.p_value(values))


SCORES = ("cka(estimator='unbiased')", "cka(estimator='biased')", "mutual_knn(k=10)", "jaccard_knn(k=10)", "rsa")
EXACT = (*SCORES[:3], "jaccard_knn(k=10)", "rsa", "cka(estimator='unbiased', kernel='rbf')")


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    xs, ys = two_models()
    claims = Claims(f"13 × 25 layers, n = {N}, d = 768 × 1024, float32, medians of {rounds}")
    floors = {
        "38 Gram products": lambda: grams(xs, ys),
        "38 Gram products and their largest": lambda: search(xs, ys),
        "38 RDMs ranked": lambda: rank_each(xs, ys),
        "38 RDMs sorted, float32, no ties": lambda: sort_each(xs, ys),
    }
    every = {s: metric(s) for s in (*SCORES, *EXACT)}
    programs = {s: (lambda m=m: scores(m, xs, ys)) for s, m in every.items()}
    programs |= {f"{s} with exact p": (lambda m=every[s]: scores_and_p(m, xs, ys)) for s in EXACT}
    found = in_turn(floors | programs, rounds)
    claims.times(found)
    for spec, floor, limit in (
        (SCORES[0], "38 Gram products", 2.5),
        (SCORES[2], "38 Gram products and their largest", 1.5),
        (SCORES[4], "38 RDMs ranked", 3.0),
    ):
        claims.at_most(f"{spec} over {floor}", found[spec] / found[floor], limit)
    for spec in EXACT:
        claims.at_most(f"{spec} with exact p over the score", found[f"{spec} with exact p"] / found[spec], 4.0)
    claims.end()


if __name__ == "__main__":
    main()
