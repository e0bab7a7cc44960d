"""A rotation between two spaces learnt without any pair, and whether it can be trusted.

In the manner of mini-vec2vec: centroids of clusters are matched by their geometry; each item is described by its
likeness to the matched centroids; the nearest descriptions give rough pairs; and the rotation fitted on them is refined
by pairing anew what it brings together. Of several such starts the one that brings the clouds closest is kept. All of
it is linear, and all of it can go wrong unnoticed, so it is done on two disjoint halves of the items, and a translation
on which the halves disagree is a failure.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy

from .._core.linalg import directions, require_variation, unit_rows
from ..errors import InputError
from ._assignment import objective, two_opt
from ._base import Matrix, as_float64
from .orthogonal import Orthogonal

NEIGHBORS = 10
RESTARTS = 100
CLUSTERINGS = 5
TRIAL_ROUNDS = 5
AGREEMENT = 0.9
"""Mean cosine between what the two halves' rotations make of an item, from which a translation counts."""


@dataclasses.dataclass(frozen=True)
class UnpairedTranslation:
    """What was learnt without pairs.

    Attributes:
        map: Fitted orthogonal map from `x` to `y`; None if the translation failed.
        success: Whether two independent halves of the items led to the same rotation.
        reason: Why, in a sentence.
        agreement: Mean cosine (-1 to 1) between the centred predictions of the rotations of both halves.
        closeness: Mean cosine of a translated item with its nearest item of `y`, over that of items of `y` with their
            nearest neighbour; near 1 where the clouds lie on each other, which alone does not make them right.
        n_x: Items of `x`.
        n_y: Items of `y`.
        settings: Every setting.
    """

    map: Orthogonal | None
    success: bool
    reason: str
    agreement: float
    closeness: float
    n_x: int
    n_y: int
    settings: dict[str, Any]


def translate_unpaired(
    x: Any, y: Any, *, clusters: int = 20, runs: int = 10, refinements: int = 30, seed: int = 0
) -> UnpairedTranslation:
    """Learn a rotation from `x` to `y` from items of the same kind, none of which are paired.

    Args:
        x: Features (n_x, d_x).
        y: Features (n_y, d_y) of other items of the same distribution.
        clusters: Centroids that are matched at a time.
        runs: How often clusters are drawn and matched in either half; the better half of them is tried.
        refinements: Rounds of pairing anew.
        seed: Seed of everything random.

    Raises:
        InputError: if a side has fewer than ten items a cluster, or no variation, or a setting makes no sense.

    Source: mini-vec2vec (arXiv 2510.02348); the halves and the verdict are ours.
    """
    x, y = (as_float64(side, name) for side, name in ((x, "x"), (y, "y")))
    for name, value, least in (("clusters", clusters, 3), ("runs", runs, 1), ("refinements", refinements, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{name}={value!r} must be a whole number of at least {least}.")
    for name, side in (("x", x), ("y", y)):
        require_variation(side, side - side.mean(axis=0), name)
        if len(side) < 10 * clusters:
            raise InputError(
                f"{name} has {len(side)} items; {clusters} clusters need at least {10 * clusters}: lower clusters."
            )
    rng = np.random.default_rng(seed)
    halves = [np.array_split(rng.permutation(len(side)), 2) for side in (x, y)]
    unit_x, unit_y = (unit_rows(side - side.mean(axis=0), name) for side, name in ((x, "x"), (y, "y")))
    turns = []
    for part_x, part_y in zip(*halves, strict=True):
        start = _start(unit_x[part_x], unit_y[part_y], clusters, runs, rng)
        turns.append(_refined(unit_x[part_x], unit_y[part_y], start, refinements, rng))
    agreement = float(np.mean(np.sum(directions(unit_x @ turns[0]) * directions(unit_x @ turns[1]), axis=1)))
    closer = max(turns, key=lambda turn: _closeness(directions(unit_x @ turn), unit_y))
    turn = _refined(unit_x, unit_y, closer, max(1, refinements // 3), rng)
    closeness = _closeness(directions(unit_x @ turn), unit_y)
    success = agreement >= AGREEMENT
    reason = (
        f"Rotations learnt from two disjoint halves of the items agree (mean cosine {agreement:.2f})."
        if success
        else f"Rotations learnt from two disjoint halves of the items do not agree (mean cosine {agreement:.2f}, "
        f"{AGREEMENT} needed), so at most one of them can be right: the translation failed."
    )
    settings = {"clusters": clusters, "runs": runs, "refinements": refinements, "seed": seed}
    fitted = _as_map(turn, x, y) if success else None
    return UnpairedTranslation(fitted, success, reason, agreement, closeness, len(x), len(y), settings)


def _start(x: Matrix, y: Matrix, clusters: int, runs: int, rng: np.random.Generator) -> Matrix:
    """A first rotation, from centroids matched by their geometry."""
    found = []
    for _ in range(runs):
        a, b = (_centroids(side, clusters, rng) for side in (x, y))
        ga, gb = (_similarities(side) for side in (a, b))
        matches = two_opt(ga, gb, np.array([rng.permutation(clusters) for _ in range(RESTARTS)]))
        scores = [objective(ga, gb, m) for m in matches]
        best = int(np.argmax(scores))
        found.append((scores[best], a, b[matches[best]]))
    found.sort(key=lambda run: -run[0])
    better = found[: max(1, len(found) // 2)]
    turns = [_from_centroids(x, y, [run]) for run in better] + [_from_centroids(x, y, better)]
    turns = [_refined(x, y, turn, TRIAL_ROUNDS, rng) for turn in turns]
    return max(turns, key=lambda turn: _closeness(directions(x @ turn), y))


def _from_centroids(x: Matrix, y: Matrix, matched: list[tuple[float, Matrix, Matrix]]) -> Matrix:
    """The rotation of items onto those of the other side that are as like the matched centroids as they are."""
    a, b = (
        directions(_standardized(side @ directions(np.vstack([run[1 + which] for run in matched])).T))
        for which, side in enumerate((x, y))
    )
    return _rotation(x, _mean_nearest(a @ b.T, y))


def _refined(x: Matrix, y: Matrix, turn: Matrix, rounds: int, rng: np.random.Generator) -> Matrix:
    """The rotation after pairing each item with the mean of its nearest ones, again and again."""
    for _ in range(rounds):
        rows = rng.permutation(len(x))[: max(NEIGHBORS, len(x) * 3 // 4)]
        turn = _rotation(x[rows], _mean_nearest(_corrected(directions(x[rows] @ turn) @ y.T), y))
    return turn


def _mean_nearest(similarity: Matrix, y: Matrix) -> Matrix:
    k = min(NEIGHBORS, similarity.shape[1])
    nearest = np.argpartition(similarity, similarity.shape[1] - k, axis=1)[:, similarity.shape[1] - k :]
    mean: Matrix = y[np.sort(nearest, axis=1)].mean(axis=1)
    return mean


def _corrected(similarity: Matrix) -> Matrix:
    """CSLS, up to what is the same along a row."""
    k = min(NEIGHBORS, len(similarity))
    top = np.partition(similarity, len(similarity) - k, axis=0)[len(similarity) - k :]
    corrected: Matrix = 2 * similarity - top.mean(axis=0)
    return corrected


def _rotation(x: Matrix, y: Matrix) -> Matrix:
    left, _, right = np.linalg.svd(x.T @ y, full_matrices=False)
    turn: Matrix = left @ right
    return turn


def _centroids(rows: Matrix, clusters: int, rng: np.random.Generator) -> Matrix:
    """Centred centroids of the tightest of several clusterings.

    Raises:
        InputError: if the items never fall into that many clusters.
    """
    best, centers = np.inf, rows[:clusters]
    for _ in range(CLUSTERINGS):
        try:
            with np.errstate(divide="ignore", invalid="ignore"):  # where fewer items differ: an empty cluster follows
                found, label = scipy.cluster.vq.kmeans2(rows, clusters, iter=20, minit="++", rng=rng, missing="raise")
        except (scipy.cluster.vq.ClusterError, ValueError):
            continue  # a cluster ran empty: another draw will do
        spread = float(((rows - found[label]) ** 2).sum())
        if spread < best:
            best, centers = spread, found
    if not np.isfinite(best):
        raise InputError(f"The items do not fall into {clusters} clusters (too few differ); lower clusters.")
    centered: Matrix = centers - centers.mean(axis=0)
    return centered


def _similarities(rows: Matrix) -> Matrix:
    gram = rows @ rows.T
    similarities: Matrix = gram / np.linalg.norm(gram)
    return similarities


def _standardized(rows: Matrix) -> Matrix:
    standardized: Matrix = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    return standardized


def _closeness(translated: Matrix, y: Matrix) -> float:
    own = y @ y.T
    np.fill_diagonal(own, -np.inf)
    return float((translated @ y.T).max(axis=1).mean() / own.max(axis=1).mean())


def _as_map(turn: Matrix, x: Matrix, y: Matrix) -> Orthogonal:
    fitted = Orthogonal()
    fitted.x_mean_, fitted.y_mean_, fitted.coef_ = x.mean(axis=0), y.mean(axis=0), turn
    fitted.n_features_in_, fitted.n_targets_ = turn.shape
    fitted.rank_, fitted.scale_ = min(turn.shape), 1.0
    return fitted
