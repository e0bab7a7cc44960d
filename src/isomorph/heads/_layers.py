"""Layers of several spaces chosen together: what one ridge over a layer of each leaves unexplained, for all of them.

Every layer is decomposed once, into its leading principal coordinates; a pair of layers then costs one product of
coordinates and the eigenvectors of a matrix of twice as many rows, whatever the width of the layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy

from .._core.shared_space import LEAST, Scaled
from ._linear import RIDGE, loo_errors
from ._target import Target

Matrix = np.ndarray[Any, Any]

COORDINATES = 128
"""Principal coordinates of a layer that are read while layers are chosen; all of them where a layer has no more."""


@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
    """The leading principal coordinates of a scaled layer.

    Attributes:
        rows: (n, r).
        gram: Their products with each other (r, r).
    """

    rows: Matrix
    gram: Matrix


def coordinates(rows: Matrix, name: str, most: int = COORDINATES) -> Coordinates:
    """The leading principal coordinates of scaled rows, at most `most`.

    Raises:
        InputError: if the rows do not vary.

    Example:
        >>> coordinates(np.random.default_rng(0).normal(size=(60, 8)), "x", most=3).rows.shape
        (60, 3)
    """
    scaled = Scaled.of(rows, name)[1]
    n, d = scaled.shape
    gram = scaled.T @ scaled if d <= n else scaled @ scaled.T
    count = min(most, len(gram))
    # which axes are kept is a choice: single precision makes it in half the time, and coordinates on them are exact
    axes = scipy.linalg.eigh(
        gram.astype(np.float32), subset_by_index=(len(gram) - count, len(gram) - 1), driver="evr", check_finite=False
    )[1].astype(np.float64)
    if d > n:
        axes = scaled.T @ axes
        axes /= np.maximum(np.linalg.norm(axes, axis=0), np.finfo(np.float64).tiny)
    found = scaled @ axes
    return Coordinates(found, found.T @ found)


def joint_error(parts: Sequence[Coordinates], outcomes: Matrix) -> float:
    """Leave-one-out squared error of the best ridge over several layers side by side."""
    wide = np.hstack([p.rows for p in parts])
    gram = np.empty((wide.shape[1], wide.shape[1]))
    ends = np.cumsum([0, *(len(p.gram) for p in parts)])
    at = [slice(a, b) for a, b in pairwise(ends)]
    for a, left in enumerate(parts):
        gram[at[a], at[a]] = left.gram
        for b in range(a + 1, len(parts)):
            gram[at[a], at[b]] = product = left.rows.T @ parts[b].rows
            gram[at[b], at[a]] = product.T
    values, vectors = scipy.linalg.eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
    kept = values > LEAST * max(values[-1], 0.0)
    return float(loo_errors(wide @ vectors[:, kept], outcomes, RIDGE)[0].min())


def pair_errors(xs: Sequence[Coordinates], ys: Sequence[Coordinates], target: Target) -> Matrix:
    """`joint_error` of every layer of one space with every layer of another, (len(xs), len(ys)).

    Args:
        xs: Coordinates of the layers of one space.
        ys: Of the other.
        target: The target of the same items.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y, noise = (rng.normal(size=(60, 3)) for _ in range(3))
        >>> target = Target("numbers", x[:, :1] + y[:, :1], ("sum",))
        >>> xs, ys = ([coordinates(rows, "layer") for rows in side] for side in ([noise, x], [y, noise]))
        >>> errors = pair_errors(xs, ys, target)
        >>> errors.shape, np.unravel_index(errors.argmin(), errors.shape)
        ((2, 2), (np.int64(1), np.int64(0)))
    """
    outcomes = target.outcomes
    return np.array([[joint_error([x, y], outcomes) for y in ys] for x in xs])


def chosen_together(spaces: Mapping[str, Mapping[str, Matrix]], target: Target) -> tuple[dict[str, str], Matrix | None]:
    """A layer of each space, those that tell most of the target together, by leave-one-out ridge.

    Of two spaces every pair of layers is tried. Of more, one space after the other takes its best layer beside those of
    the others, from the layers that tell most alone on, until none changes.

    Args:
        spaces: Space -> layer -> rows (n, d).
        target: The target of the same items.

    Returns:
        Space -> layer, and of two spaces the share of the target's variance that each pair of layers explains of items
        left out, (layers of the first, layers of the second).

    Raises:
        InputError: if a layer does not vary.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 60, 3))
        >>> target = Target("numbers", x[:, :1] + y[:, :1], ("sum",))
        >>> chosen, explained = chosen_together({"a": {"x": x, "y": y}, "b": {"x": x}}, target)
        >>> chosen, explained.shape
        ({'a': 'y', 'b': 'x'}, (2, 1))
    """
    parts = {
        name: {layer: coordinates(rows, f"layer {layer!r} of {name}") for layer, rows in layers.items()}
        for name, layers in spaces.items()
    }
    outcomes = target.outcomes
    if len(parts) == 2:
        (first, xs), (second, ys) = parts.items()
        errors = pair_errors(list(xs.values()), list(ys.values()), target)
        i, j = np.unravel_index(int(errors.argmin()), errors.shape)
        total = float(np.sum((outcomes - outcomes.mean(axis=0)) ** 2)) * (len(outcomes) / (len(outcomes) - 1)) ** 2
        return {first: list(xs)[i], second: list(ys)[j]}, 1 - errors / total
    alone = {name: {k: joint_error([z], outcomes) for k, z in layers.items()} for name, layers in parts.items()}
    chosen = {name: min(errors, key=errors.__getitem__) for name, errors in alone.items()}
    for _ in range(len(parts) + 1):
        before = dict(chosen)
        for name, layers in parts.items():
            others = [parts[other][layer] for other, layer in chosen.items() if other != name]
            beside = {k: joint_error([z, *others], outcomes) for k, z in layers.items()}
            chosen[name] = min(beside, key=beside.__getitem__)
        if chosen == before:
            break
    return chosen, None
