"""Choice of anchor pairs for relative representations."""

from __future__ import annotations

import numpy as np

from .._core.linalg import unit_rows
from ._base import Matrix

KMEANS_ROUNDS = 50


def anchor_rows(choice: str, x: Matrix, y: Matrix, count: int, seed: int) -> Matrix:
    """Positions (count,) of the anchors among the training pairs, ascending.

    Args:
        choice: ``random``, ``kmeans``, ``farthest`` or ``mutual``.
        x: Unit rows (n, d_x) of one side.
        y: Unit rows (n, d_y) of the other side.
        count: How many, at most n.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    if choice == "random":
        rows = rng.permutation(len(x))[:count]
    elif choice == "kmeans":
        rows = _nearest_to_centroids(x, count, rng)
    elif choice == "farthest":
        rows = _farthest_points(x, count, int(rng.integers(len(x))))
    else:
        rows = _mutual_neighbors(x, y, count)
    return np.sort(np.asarray(rows))


def _farthest_points(x: Matrix, count: int, first: int) -> Matrix:
    """Each next anchor is the item that is least like every anchor so far (Gonzalez 1985)."""
    chosen = [first]
    nearest = x @ x[first]
    for _ in range(count - 1):
        nearest[chosen[-1]] = np.inf
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, x @ x[chosen[-1]])
    return np.array(chosen)


def _nearest_to_centroids(x: Matrix, count: int, rng: np.random.Generator) -> Matrix:
    """The items nearest to the centroids of spherical k-means; every item at most once."""
    centers = x[_farthest_points(x, count, int(rng.integers(len(x))))]
    label = np.full(len(x), -1)
    for _ in range(KMEANS_ROUNDS):
        new = np.argmax(x @ centers.T, axis=1)
        if np.array_equal(new, label):
            break
        label = new
        sums = np.zeros_like(centers)
        np.add.at(sums, label, x)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centers = np.where(norms > 0, sums / np.where(norms > 0, norms, 1.0), centers)
    similarity = x @ centers.T
    chosen: list[int] = []
    for cluster in np.argsort(-similarity.max(axis=0), kind="stable"):
        order = similarity[:, cluster].copy()
        order[chosen] = -np.inf
        chosen.append(int(np.argmax(order)))
    return np.array(chosen)


def _mutual_neighbors(x: Matrix, y: Matrix, count: int) -> Matrix:
    """The pairs whose two items find each other best through similarity to all pairs."""
    a, b = (unit_rows(_standardized(side @ side.T)) for side in (x, y))
    similarity = a @ b.T
    own = np.diag(similarity)
    rank = np.maximum((similarity > own[:, None]).sum(axis=1), (similarity > own[None, :]).sum(axis=0))
    # the fewer nearer rivals on the worse side, the better; ties go to the surer pair
    return np.lexsort((-own, rank))[:count]


def _standardized(similarity: Matrix) -> Matrix:
    centered: Matrix = similarity - similarity.mean(axis=0)
    return centered
