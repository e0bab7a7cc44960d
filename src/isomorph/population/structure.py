"""How many models hang together: a tree with its stability, a picture in the plane, clusters if there are any."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy

from .._core.checks import as_count, as_seed
from ..errors import InputError
from ._dyads import as_alpha, as_names, as_square, require_compared

Floats = np.ndarray[Any, Any]

LEAST = 4
"""Fewest models of a tree: three can only be joined in one way of interest."""
_BLOCK = 1 << 23  # entries of the weights of a block of draws


class Clade(NamedTuple):
    """Models that are joined before any other joins them.

    Attributes:
        members: Their names.
        height: Mean distance at which its two parts are joined.
        support: Share of the replicates in which exactly these models are a clade; NaN without replicates.

    Example:
        >>> points = np.array([0.0, 0.1, 5.0, 5.2, 9.0])
        >>> tree(np.abs(points[:, None] - points), list("abcde")).clades[0].members
        ('a', 'b')
    """

    members: tuple[str, ...]
    height: float
    support: float


@dataclasses.dataclass(frozen=True, eq=False)
class Tree:
    """A hierarchical clustering of models.

    Attributes:
        names: Names of the models, in the order of the matrix.
        order: Indices of the models as leaves, ordered so that neighbors are alike.
        clades: All clades but the whole, the lowest first.
        newick: The tree in Newick's format: branch lengths are differences of height, and inner nodes are labeled with
            their support (0 to 1) where it is known.
        linkage: SciPy's linkage matrix (models - 1, 4); its heights are below zero where distances are.
        replicates: Number of replicates the support is counted in.

    Example:
        >>> points = np.array([0.0, 0.1, 5.0, 5.2, 9.0])
        >>> found = tree(np.abs(points[:, None] - points), list("abcde"))
        >>> [found.names[i] for i in found.order], found.newick
        (['a', 'b', 'c', 'd', 'e'], '((a:0.1,b:0.1):6.25,((c:0.2,d:0.2):3.7,e:3.9):2.45);')
    """

    names: tuple[str, ...]
    order: tuple[int, ...]
    clades: tuple[Clade, ...]
    newick: str
    linkage: Floats
    replicates: int


def tree(distances: Any, names: Sequence[str] | None = None, replicates: Any = None) -> Tree:
    """Average linkage (UPGMA: Sokal and Michener 1958) of models, with the stability of its clades over items.

    Leaves are in optimal order (Bar-Joseph et al. 2001). A clade's support is the share of the replicates in which the
    same models form a clade, as in Felsenstein's (1985) bootstrap: how stable it is over items, not how probable.

    Args:
        distances: Symmetric matrix (models, models), larger is less alike, no pair missing.
        names: One name a model.
        replicates: Distances by resampled items (draws, models, models), as of `replicates_of` and `as_matrices`.

    Raises:
        InputError: if there are fewer than four models, a pair was not compared, or replicates do not fit.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> points = np.repeat([0.0, 8.0], 3) + rng.normal(size=6)
        >>> drawn = points + 0.3 * rng.normal(size=(100, 6))  # as other items would have placed the models
        >>> found = tree(
        ...     np.abs(points[:, None] - points), list("abcdef"), np.abs(drawn[:, :, None] - drawn[:, None, :])
        ... )
        >>> {"".join(sorted(clade.members)): clade.support for clade in found.clades if len(clade.members) == 3}
        {'abc': 1.0, 'def': 1.0}
    """
    matrix, called = _complete(distances, names, "a tree")
    m = len(matrix)
    linkage = _linked(matrix)
    inner = _members(linkage)
    counts = np.zeros(len(inner))
    draws = 0
    if replicates is not None:
        drawn = np.asarray(replicates, dtype=np.float64)
        if drawn.ndim != 3 or drawn.shape[1:] != (m, m) or not len(drawn) or not np.isfinite(drawn).all():
            raise InputError(
                f"replicates has shape {drawn.shape}; finite distances (draws, {m}, {m}) are needed, at least one draw."
            )
        draws = len(drawn)
        for one in drawn:
            there = set(_members(_linked(as_square(one, "replicates"), ordered=False)))
            counts += [members in there for members in inner]
    support = counts / draws if draws else np.full(len(inner), np.nan)
    clades = tuple(
        Clade(tuple(called[i] for i in sorted(members)), float(row[2]), float(share))
        for members, row, share in zip(inner[:-1], linkage, support, strict=False)
    )
    order = _leaves(linkage)
    return Tree(called, order, clades, _newick(linkage, called, support), linkage, draws)


def _complete(distances: Any, names: Any, what: str) -> tuple[Floats, tuple[str, ...]]:
    """A matrix of enough models in which every pair was compared, and their names.

    Raises:
        InputError: if it is not.
    """
    matrix = as_square(distances, "distances")
    called = as_names(names, len(matrix))
    if len(matrix) < LEAST:
        raise InputError(f"distances has {len(matrix)} model(s); {what} needs at least {LEAST}.")
    require_compared(matrix, range(len(matrix)), "distances", called)
    return matrix, called


def _linked(matrix: Floats, *, ordered: bool = True) -> Floats:
    flat = scipy.spatial.distance.squareform(matrix, checks=False)
    # SciPy's order of the leaves takes no negative distances; a shift moves every mean, and so every height, alike
    shift = min(float(flat.min()), 0.0)
    linkage: Floats = scipy.cluster.hierarchy.linkage(flat - shift, "average", optimal_ordering=ordered)
    linkage[:, 2] += shift
    return linkage


def _members(linkage: Floats) -> list[frozenset[int]]:
    """The models beneath each inner node."""
    m = len(linkage) + 1
    found = [frozenset((i,)) for i in range(m)]
    for row in linkage:
        found.append(found[int(row[0])] | found[int(row[1])])
    return found[m:]


def _leaves(linkage: Floats) -> tuple[int, ...]:
    """The order of the leaves; SciPy's own function takes no heights below zero."""
    m = len(linkage) + 1
    found: list[tuple[int, ...]] = [(i,) for i in range(m)]
    for row in linkage:
        found.append(found[int(row[0])] + found[int(row[1])])
    return found[-1]


def _newick(linkage: Floats, names: Sequence[str], support: Floats) -> str:
    m = len(names)
    quote = re.compile(r"[\s()\[\]':;,]")
    texts = ["'" + n.replace("'", "''") + "'" if quote.search(n) or not n else n for n in names]
    heights = [0.0] * m
    for k, (a, b, height, _) in enumerate(linkage):
        parts = (f"{texts[int(c)]}:{height - heights[int(c)]:.6g}" for c in (a, b))
        known = k < m - 2 and np.isfinite(support[k])
        texts.append(f"({','.join(parts)})" + (f"{support[k]:.2f}" if known else ""))
        heights.append(height)
    return texts[-1] + ";"


@dataclasses.dataclass(frozen=True, eq=False)
class Embedding:
    """Models as points.

    Attributes:
        points: Coordinates (models, dims), centered, the axes by descending variance.
        stress: Kruskal's stress-1 of the distances between the points: 0 is faithful, above 0.2 is poor.
        explained: Share of the positive eigenvalues that the axes hold, 0 to 1.

    Example:
        >>> points = np.array([0.0, 1.0, 5.0, 6.0])
        >>> found = embedding(np.abs(points[:, None] - points), dims=1)
        >>> found.points.ravel().round(6).tolist(), round(found.stress, 6)
        ([3.0, 2.0, -2.0, -3.0], 0.0)
    """

    points: Floats
    stress: float
    explained: float


def embedding(distances: Any, dims: int = 2, *, names: Sequence[str] | None = None) -> Embedding:
    """Models as points by classical multidimensional scaling (Torgerson 1952), with its stress.

    An axis points to the side of the model that is farthest out on it, the first of several, so that the same distances
    give the same picture.

    Args:
        distances: Symmetric matrix (models, models), larger is less alike, no pair missing.
        dims: Number of axes; those beyond the positive eigenvalues are 0.
        names: One name a model, for messages.

    Raises:
        InputError: if there are fewer than four models, a pair was not compared, or `dims` is not below the number of
            models.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(6, 2))
        >>> found = embedding(np.linalg.norm(points[:, None] - points, axis=2))
        >>> found.points.shape, round(found.stress, 6), round(found.explained, 6)
        ((6, 2), 0.0, 1.0)
    """
    matrix, _ = _complete(distances, names, "an embedding")
    as_count(dims, "dims")
    if dims >= len(matrix):
        raise InputError(f"dims={dims}: {len(matrix)} models span at most {len(matrix) - 1} axes.")
    values, vectors = _spectrum(matrix)
    # what is below the rounding of the largest is no axis
    positive = np.where(values > 1e-12 * np.abs(values).max(), values, 0.0)
    points = vectors[:, :dims] * np.sqrt(positive[:dims])
    largest = np.abs(points).max(axis=0)
    # the first of those that are as far out but for rounding
    first = np.argmax(np.abs(points) >= largest * (1 - 1e-6), axis=0)
    points *= np.where(points[first, np.arange(dims)] < 0, -1.0, 1.0)
    given, shown = (
        scipy.spatial.distance.squareform(matrix, checks=False),
        scipy.spatial.distance.squareform(_between(points), checks=False),
    )
    size = float(given @ given)
    stress = float(np.sqrt(np.sum((given - shown) ** 2) / size)) if size > 0 else 0.0
    total = float(positive.sum())
    return Embedding(points + 0.0, stress, float(positive[:dims].sum()) / total if total > 0 else 0.0)


def _spectrum(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues, descending, and eigenvectors of the doubly centered squared distances, without the constant one."""
    basis = _centered_basis(len(matrix))
    values, vectors = np.linalg.eigh(basis.T @ (-0.5 * matrix**2) @ basis)
    return values[::-1], (basis @ vectors)[:, ::-1]


def _centered_basis(m: int) -> Floats:
    """Orthonormal basis (m, m - 1) of what is orthogonal to the constant vector."""
    return np.asarray(np.linalg.qr(np.column_stack([np.ones(m), np.eye(m)[:, :-1]]))[0][:, 1:])


def _between(points: Floats) -> Floats:
    return np.asarray(np.linalg.norm(points[:, None, :] - points[None, :, :], axis=2))


@dataclasses.dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of models, or none.

    Attributes:
        labels: Group of each model (models,), numbered by first appearance; all 0 if there are none.
        count: Number of groups; 1 if no cut of the tree stands out.
        silhouette: Mean silhouette (Rousseeuw 1987) of the best cut, -1 to 1.
        chance: The mean of the best silhouettes of models without groups.
        p_value: p that the best cut into any number of groups is as good where there are none.
        draws: How many draws it was held against.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(12, 2))
        >>> points[:4, 0] += 15
        >>> points[4:8, 1] += 15
        >>> found = clusters(np.linalg.norm(points[:, None] - points, axis=2))
        >>> found.labels.tolist(), found.count, found.p_value < 0.05
        ([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], 3, True)
    """

    labels: np.ndarray[Any, np.dtype[np.int64]]
    count: int
    silhouette: float
    chance: float
    p_value: float
    draws: int

    @property
    def told(self) -> str:
        """What was found, in a sentence."""
        figures = f"(silhouette {self.silhouette:.2f}, chance {self.chance:.2f}, p = {self.p_value:.2g})"
        if self.count == 1:
            return f"No clusters stand out from models without groups {figures}."
        return f"{self.count} clusters {figures}."


def clusters(
    distances: Any, *, names: Sequence[str] | None = None, permutations: int = 199, alpha: float = 0.05, seed: int = 0
) -> Clusters:
    """Clusters of models: the cut of the average-linkage tree with the best mean silhouette, or none.

    A group is two models or more. Some cut is always the best, so it is held against the best cuts of models that have
    no groups, in two ways, and the larger p counts. First, models that spread as much along as many axes: the
    eigenvectors of the doubly centered squared distances are replaced by random orthonormal ones, the eigenvalues kept.
    For models whose positions are Gaussian with any covariance this rotation test is exact (Langsrud 2005), since
    eigenvectors and eigenvalues are then independent. Second, the same, each model moved to the distance from the
    center that it has, so that a dense middle with some odd models about it is not called clusters.

    Args:
        distances: Symmetric matrix (models, models), larger is less alike, no pair missing.
        names: One name a model, for messages.
        permutations: Draws of the null hypothesis.
        alpha: A best cut with a larger p counts as none.
        seed: Seed of the draws.

    Raises:
        InputError: if there are fewer than four models or a pair was not compared.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(12, 2))
        >>> print(clusters(np.linalg.norm(points[:, None] - points, axis=2)).told)
        No clusters stand out from models without groups (silhouette 0.40, chance 0.49, p = 0.92).
    """
    matrix, _ = _complete(distances, names, "a clustering")
    as_count(permutations, "permutations")
    alpha = as_alpha(alpha)
    m = len(matrix)
    found, labels = _best_cut(matrix)
    rng = np.random.default_rng(as_seed(seed))
    null = np.array([[_best_cut(one)[0] for one in drawn] for drawn in _without_groups(matrix, permutations, rng)])
    reached = np.sum(null >= found - 1e-9, axis=0)
    worse = int(np.argmax(reached))  # the null hypothesis that explains more
    p = (1 + int(reached[worse])) / (1 + permutations)
    if p > alpha:
        labels = np.zeros(m, dtype=np.int64)
    return Clusters(labels, int(labels.max()) + 1, found, float(null[:, worse].mean()), p, permutations)


def _without_groups(matrix: Floats, draws: int, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
    """Distances of models in random directions along axes of the same spread; and those at their own radii."""
    values, _ = _spectrum(matrix)
    basis = _centered_basis(len(matrix))
    squares = matrix**2
    from_center = squares.mean(axis=1) - squares.mean() / 2
    for _ in range(draws):
        q, r = np.linalg.qr(rng.normal(size=(len(values), len(values))))
        axes = basis @ (q * np.sign(np.diag(r)))  # signs make the rotation uniform
        gram = (axes * values) @ axes.T
        stretch = np.sqrt(np.maximum(from_center, 0.0) / np.maximum(np.diag(gram), np.finfo(np.float64).tiny))
        yield _distances(gram), _distances(gram * stretch[:, None] * stretch)


def _distances(gram: Floats) -> Floats:
    size = np.diag(gram)
    out = np.sqrt(np.maximum(size[:, None] + size - 2 * gram, 0.0))
    np.fill_diagonal(out, 0.0)
    return np.asarray((out + out.T) / 2)


def _best_cut(matrix: Floats) -> tuple[float, np.ndarray[Any, np.dtype[np.int64]]]:
    """The best mean silhouette of all cuts of the tree with two groups or more of two models or more, and the groups.

    A model that is alone has silhouette 0 and is no group that others could belong to: else one odd model would make
    all others look like a cluster.
    """
    linkage, m = _linked(matrix, ordered=False), len(matrix)
    label = np.arange(m)
    best, groups = -1.0, np.zeros(m, dtype=np.int64)
    for k, (a, b) in enumerate(linkage[:-1, :2].astype(np.int64)):
        label = np.where((label == a) | (label == b), m + k, label)
        found = _silhouette(matrix, label)
        if found > best:
            best, groups = found, label
    return best, _by_appearance(groups)


def _by_appearance(labels: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Labels 0, 1, … in the order in which they come first."""
    _, first, code = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[code], dtype=np.int64)


def _silhouette(matrix: Floats, label: Floats) -> float:
    """Mean silhouette over all models, those alone counting 0; -1 with fewer than two groups."""
    names, size = np.unique(label, return_counts=True)
    groups = names[size > 1]
    if len(groups) < 2:
        return -1.0
    member = label[:, None] == groups
    count = size[size > 1]
    sums = matrix @ member
    inside = np.sum(sums * member, axis=1) / (np.sum(member * count, axis=1) - 1)
    outside = np.where(member, np.inf, sums / count).min(axis=1)
    larger = np.maximum(inside, outside)
    known = member.any(axis=1) & (larger > 0)
    return float(np.sum((outside - inside)[known] / larger[known])) / len(matrix)


def replicates_of(values: Any, influence: Any, draws: int = 200, seed: int = 0) -> Floats:
    """Scores of pairs of models as resampled items would give them, to first order, without computing them again.

    A bootstrap draws items with replacement; a score moves by the mean influence of the drawn items. Unlike scores
    computed on drawn items, these have no copies that would be each other's nearest neighbors.

    Args:
        values: Scores or distances (pairs,).
        influence: Influence of each item (items, pairs): the derivative by its weight, times the number of items.
        draws: Number of replicates.
        seed: Seed of the draws.

    Returns:
        Replicates (draws, pairs), NaN where the influence is.

    Raises:
        InputError: if the shapes do not fit each other.

    Example:
        >>> items = np.random.default_rng(0).normal(size=(50, 3))  # three scores that are means over items
        >>> found = replicates_of(items.mean(axis=0), items - items.mean(axis=0), draws=2000)
        >>> (found.std(axis=0) / (items.std(axis=0) / 50**0.5)).round(1).tolist()  # the standard errors
        [1.0, 1.0, 1.0]
    """
    scores, moves = np.asarray(values, dtype=np.float64), np.asarray(influence, dtype=np.float64)
    if scores.ndim != 1 or moves.ndim != 2 or moves.shape[1] != len(scores) or len(moves) < 2:
        raise InputError(
            f"values has shape {scores.shape} and influence {moves.shape}; (pairs,) and (items, pairs) are needed, at "
            "least 2 items."
        )
    as_count(draws, "draws")
    rng = np.random.default_rng(as_seed(seed))
    n = len(moves)
    out = np.empty((draws, len(scores)))
    step = max(1, _BLOCK // n)
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=stop - start)
        out[start:stop] = scores + (weights.astype(np.float64) @ moves) / n
    return out
