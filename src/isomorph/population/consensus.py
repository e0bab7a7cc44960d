"""One space for all models, fitted on some items and judged on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import as_features, to_numpy
from .._core.checks import as_count, as_seed, is_finite
from .._core.shared_space import Scaled, eigenbasis, generalized_cca
from ..design import Design, Labels, coded
from ..errors import InputError, quoted

Floats = np.ndarray[Any, Any]

RANK = 16
"""Axes of the common space by default, if the items and the spaces allow as many."""
_COORDINATES = 128  # leading principal axes of a space that are rotated
_ROUNDS, _SETTLED = 50, 1e-8  # of generalized Procrustes, and the relative gain at which it ends
_LEAST = 8  # items of a part: fewer say nothing of an axis


@dataclasses.dataclass(frozen=True, eq=False)
class Agreement:
    """How well one way of making a common space holds on items that it was not fitted on.

    Attributes:
        values: Of each model, the mean over axes of the correlation, over held-out items, of its coordinates with the
            mean of the other models' coordinates (models,), -1 to 1.
        control: The mean of the same with the model's held-out items in permuted orders (models,); about 0.
        p_value: p of each model's value against these orders, one-sided (models,).
        coordinates: Mean coordinates of the held-out items over all models (held-out items, axes).

    Example:
        >>> z, noise = np.random.default_rng(0).normal(size=(2, 60, 3))
        >>> found = consensus({"x": z, "y": z @ noise[:3], "z": noise}, range(40), range(40, 60))
        >>> found.procrustes.values.round(1).tolist(), found.procrustes.p_value.round(2).tolist()
        ([0.5, 0.6, -0.1], [0.01, 0.01, 0.84])
    """

    values: Floats
    control: Floats
    p_value: Floats
    coordinates: Floats


@dataclasses.dataclass(frozen=True, eq=False)
class Consensus:
    """One space for all models, made in two ways.

    Attributes:
        names: Names of the models.
        cca: By multi-set canonical correlation analysis (MAXVAR), which may weight directions of a space at will.
        procrustes: By generalized Procrustes analysis, which may only rotate a space.
        axes: Number of axes of the common space.
        n_train: Items that it was fitted on.
        n_test: Items that it was judged on.
        permutations: Orders of the held-out items in the control.

    Example:
        >>> z, noise = np.random.default_rng(0).normal(size=(2, 60, 3))
        >>> print(consensus({"x": z, "y": z @ noise[:3]}, range(40), range(40, 60)).told)
        3 axes fitted on 40 items; on 20 others each model agrees with the rest by ... (permuted items ...
    """

    names: tuple[str, ...]
    cca: Agreement
    procrustes: Agreement
    axes: int
    n_train: int
    n_test: int
    permutations: int

    @property
    def told(self) -> str:
        """What was found, in a sentence."""
        ways = " and ".join(
            f"{found.values.mean():.2f} by {what} (permuted items {found.control.mean():.2f})"
            for what, found in (("multi-set CCA", self.cca), ("generalized Procrustes", self.procrustes))
        )
        return (
            f"{self.axes} axes fitted on {self.n_train} items; on {self.n_test} others each model agrees with the rest "
            f"by {ways}, mean correlation."
        )


def consensus(
    spaces: Mapping[str, Any],
    train: Sequence[int],
    test: Sequence[int],
    *,
    rank: int | None = None,
    regularization: float = 1e-2,
    permutations: int = 99,
    groups: Labels | Design | None = None,
    seed: int = 0,
) -> Consensus:
    """One space for all models, by regularized multi-set CCA and by generalized Procrustes, judged on held-out items.

    Every space is centered and brought to total variance one. Multi-set CCA (MAXVAR: Carroll 1968, Kettenring 1971)
    finds the axes that ridge regressions on all spaces agree on best. Generalized Procrustes (Gower 1975, each space
    turned to the mean of the others as in Ten Berge 1977) rotates up to 128 principal axes of each space, zeros beside
    those of a narrower one, and takes the principal axes of the mean. A common space can be fitted to any data; so only
    held-out items count, beside the same items in permuted orders.

    Args:
        spaces: Features (items, width) by name of the model, row i of each the same item.
        train: Rows that are fitted on.
        test: Rows that are judged on.
        rank: Axes of the common space; by default 16. No more than half the items fitted on and the rank of the
            narrowest space in any case.
        regularization: Ridge share of each space's total variance in CCA.
        permutations: Orders of the held-out items in the control.
        groups: One group an item: whole groups are permuted, and may not be on both sides. Or the design of the items,
            which says what may change places.
        seed: Seed of the orders.

    Raises:
        InputError: if there are fewer than two spaces, their items differ, the two parts share an item or a group or
            have fewer than eight items, or a space does not vary.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(120, 4))  # what all models hold
        >>> spaces = {name: np.hstack([z, rng.normal(size=(120, 4))]) @ rng.normal(size=(8, 8)) for name in "abc"}
        >>> found = consensus(spaces, range(80), range(80, 120), rank=4)
        >>> found.cca.values.round(1).tolist(), abs(found.cca.control.round(1)).tolist()
        ([0.9, 0.9, 0.8], [0.0, 0.0, 0.0])
    """
    features = checked_spaces(spaces)
    n = len(next(iter(features.values())))
    fitted, held = _rows(train, "train", n), _rows(test, "test", n)
    design = groups if isinstance(groups, Design) else Design(groups)
    group = None if design.groups is None else coded(design.groups, n, "groups")
    _check_apart(fitted, held, group)
    if not (is_finite(regularization) and regularization > 0):
        raise InputError(f"regularization={quoted(regularization)} must be a number above 0, such as 0.01.")
    as_count(permutations, "permutations")
    most = as_count(RANK if rank is None else rank, "rank")
    inside, outside = ({name: rows[at] for name, rows in features.items()} for at in (fitted, held))
    orders = design.take(held).orders(len(held), permutations, as_seed(seed))
    scaling, back = generalized_cca(inside, most, regularization)
    by_cca = [scaling[name](rows) @ back[name] for name, rows in outside.items()]
    axes = by_cca[0].shape[1]
    turns = _procrustes(inside, axes)
    by_rotation = [scaling[name](rows) @ turns[name] for name, rows in outside.items()]
    return Consensus(
        tuple(features),
        _agreement(np.array(by_cca), orders),
        _agreement(np.array(by_rotation), orders),
        axes,
        len(fitted),
        len(held),
        len(orders),
    )


def checked_spaces(spaces: Any) -> dict[str, Floats]:
    """Features of several models as float64 on the host, row i of each the same item.

    Raises:
        InputError: if there are fewer than two, or their numbers of items differ.
    """
    if not isinstance(spaces, Mapping) or len(spaces) < 2:
        raise InputError(
            f"spaces takes features by name of two models or more, found {quoted(spaces)}."
            if not isinstance(spaces, Mapping)
            else f"spaces holds {len(spaces)} model(s); a common space needs at least 2."
        )
    found = {str(k): to_numpy(as_features(v, str(k))).astype(np.float64, copy=False) for k, v in spaces.items()}
    lengths = {name: len(rows) for name, rows in found.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise InputError(f"Row i of every space must be the same item, but {told} rows; join them by id.")
    return found


def _rows(given: Any, what: str, n: int) -> Floats:
    found = np.asarray(given if hasattr(given, "__len__") else list(given))
    if found.ndim != 1 or found.dtype.kind not in "iu" or len(np.unique(found)) != len(found):
        raise InputError(f"{what} takes different row numbers, found {quoted(given)}.")
    if len(found) < _LEAST:
        raise InputError(f"{what} holds {len(found)} items; at least {_LEAST} are needed.")
    if found.min() < 0 or found.max() >= n:
        raise InputError(f"{what} names row {found.max() if found.max() >= n else found.min()} of {n} items.")
    return found


def _check_apart(train: Floats, test: Floats, group: Floats | None) -> None:
    both = np.intersect1d(train, test)
    if len(both):
        raise InputError(f"train and test share {len(both)} items (first row {both[0]}); hold other items out.")
    if group is not None and len(both := np.intersect1d(group[train], group[test])):
        raise InputError(f"train and test share {len(both)} groups; hold whole groups out.")


def _procrustes(spaces: Mapping[str, Floats], axes: int) -> dict[str, Floats]:
    """Of each space, what takes scaled rows to the common space (width, axes)."""
    n = len(next(iter(spaces.values())))
    most = min(_COORDINATES, n - 1)
    placed, back = [], []
    for name, rows in spaces.items():
        basis, to = eigenbasis([Scaled.of(rows, name)[1]])
        placed.append(basis[:, ::-1][:, :most])  # the leading ones come last
        back.append(to[:, ::-1][:, :most])
    width = max(p.shape[1] for p in placed)
    stack = np.array([np.pad(p, ((0, 0), (0, width - p.shape[1]))) for p in placed])
    # all spaces are turned to the principal coordinates of all, so that the first of them does not decide
    u, s, _ = np.linalg.svd(np.hstack(list(stack)), full_matrices=False)
    target = np.zeros((n, width))
    target[:, : len(s)] = (u * s)[:, :width]
    turns = np.array([_rotation(p, target) for p in stack])
    before = np.inf
    for _ in range(_ROUNDS):
        turned = stack @ turns
        whole = turned.sum(axis=0)
        for i, own in enumerate(stack):
            whole -= turned[i]
            turns[i] = _rotation(own, whole)
            turned[i] = own @ turns[i]
            whole += turned[i]
        loss = float(np.sum((turned - whole / len(stack)) ** 2))
        if before - loss <= _SETTLED * n:
            break
        before = loss
    principal = np.linalg.svd(whole, full_matrices=False)[2][:axes].T
    return {name: to @ turn[: to.shape[1]] @ principal for name, to, turn in zip(spaces, back, turns, strict=True)}


def _rotation(rows: Floats, target: Floats) -> Floats:
    """The rotation or reflection that brings rows nearest to a target (Schönemann 1966)."""
    u, _, vt = np.linalg.svd(rows.T @ target)
    return np.asarray(u @ vt)


def _agreement(placed: Floats, orders: Floats) -> Agreement:
    """Of coordinates of the held-out items (models, items, axes)."""
    total = placed.sum(axis=0)
    values, control, p = [], [], []
    for own in placed:
        one, rest = _standardized(own), _standardized(total - own)
        value = float(np.mean(np.sum(one * rest, axis=0)))
        null = np.array([np.mean(np.sum(one[order] * rest, axis=0)) for order in orders])
        values.append(value)
        control.append(null.mean())
        p.append((1 + np.sum(null >= value - 1e-9)) / (1 + len(null)))
    return Agreement(np.array(values), np.array(control), np.array(p), total / len(placed))


def _standardized(columns: Floats) -> Floats:
    """Columns with mean zero and sum of squares one; those that do not vary become zero."""
    centered = columns - columns.mean(axis=0)
    size = np.linalg.norm(centered, axis=0)
    flat = size <= 1e-12 * np.abs(columns).max(axis=0)
    return np.asarray(np.where(flat, 0.0, centered / np.where(flat, 1.0, size)))
