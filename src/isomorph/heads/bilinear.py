"""Products of the coordinates of two spaces beside the spaces themselves: for what no single space holds."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import scipy

from .._core.checks import as_count
from ..design import Codes
from ._base import Head, Matrix, Spaces, Views
from ._coordinates import Coordinates
from ._linear import Linear, fit_linear, log_loss
from ._target import Target

Pairs = Mapping[tuple[str, str], tuple[Coordinates, Coordinates]]


class Bilinear(Head):
    """Low-rank interactions: all products of the leading coordinates of two spaces, read beside the spaces.

    Each space gives its leading principal coordinates, each with variance one. The products of those of two spaces are
    one more space, for every pair; one linear model reads all of them with a penalty each. Where the products lower the
    loss of items that a fit did not see by more than its standard error, the coordinates are turned to the singular
    vectors of what was found and weighted by the roots of the singular values, which favors interactions of low rank,
    and read again; else the products are left out, and `concat` is left. Every step is convex. With one space there
    are no products.

    Args:
        rank: Coordinates of each space, at most: rank² products for each pair of spaces.

    Attributes:
        linear_: What is read of the spaces and of the products.
        pairs_: The pairs of spaces whose products are read, with the coordinates of both; empty, if they say nothing.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 400, 4))
        >>> target = (x[:, 0] * y[:, 0] > 0).astype(int)  # neither space says anything of it
        >>> for name in ("concat", "bilinear"):
        ...     head = iso.make_head(name).fit({"x": x[:300], "y": y[:300]}, target[:300])
        ...     right = head.predict({"x": x[300:], "y": y[300:]}).argmax(axis=1) == target[300:]
        ...     print(name, bool(right.mean() > 0.9))
        concat False
        bilinear True
    """

    name: ClassVar[str] = "bilinear"
    reference: ClassVar[str] = (
        "Tenenbaum and Freeman 2000 (bilinear models), Mohan and Fazel 2012 (low rank by reweighting); here one "
        "reweighting, on principal coordinates."
    )
    quick: ClassVar[Mapping[str, Any]] = {"rank": 4}

    def __init__(self, rank: int = 16) -> None:
        as_count(rank, "rank")
        self.rank = rank

    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None:
        self.pairs_: Pairs = {}
        self.linear_ = fit_linear(spaces, target, folds=folds)
        placed = {s: Coordinates.of(rows, s, self.rank, whitened=True) for s, rows in spaces.items()}
        pairs = {(a, b): (placed[a], placed[b]) for a, b in itertools.combinations(spaces, 2)}
        # of a sign and its copy the product is always one
        pairs = {p: sides for p, sides in pairs.items() if _varies(_products({p: sides}, spaces)[_name(p)])}
        found = fit_linear({**spaces, **_products(pairs, spaces)}, target, folds=folds) if pairs else self.linear_
        gain = _losses(self.linear_, target) - _losses(found, target)
        if not gain.mean() > gain.std() / np.sqrt(len(gain)):
            return
        self.pairs_ = {pair: _turned(found, pair, sides) for pair, sides in pairs.items() if found.weights[_name(pair)]}
        self.linear_ = fit_linear({**spaces, **_products(self.pairs_, spaces)}, target, folds=folds)

    def _predict(self, spaces: Views) -> Matrix:
        there = {name: rows for name, rows in spaces.items() if rows is not None}
        pairs = {pair: sides for pair, sides in self.pairs_.items() if set(pair) <= set(there)}
        return self.linear_.predict({**there, **_products(pairs, there)})


def _products(pairs: Pairs, spaces: Spaces) -> dict[str, Matrix]:
    """The products (n, r₁ r₂) of the coordinates of each pair of spaces, as spaces."""
    found = {}
    for (a, b), (left, right) in pairs.items():
        x, y = left(spaces[a]), right(spaces[b])
        found[_name((a, b))] = (x[:, :, None] * y[:, None, :]).reshape(len(x), -1)
    return found


def _name(pair: tuple[str, str]) -> str:
    """What a pair's products are called, as no space is."""
    return "\0".join(pair)


def _varies(rows: Matrix) -> bool:
    return float(np.ptp(rows, axis=0).max()) > 1e-6 * float(np.abs(rows).max())


def _losses(linear: Linear, target: Target) -> Matrix:
    """Loss of each item (n,) by a fit that did not see it."""
    if target.is_linear:
        found: Matrix = np.sum((linear.unseen - target.outcomes) ** 2, axis=1)
        return found
    return log_loss(linear.unseen, target.outcomes, target.kind)


def _turned(
    linear: Linear, pair: tuple[str, str], sides: tuple[Coordinates, Coordinates]
) -> tuple[Coordinates, Coordinates]:
    """Coordinates along the singular vectors of a pair's coefficients, weighted by the roots of singular values."""
    widths = [side.axes.shape[1] for side in sides]
    coef = linear.coef[_name(pair)].reshape(*widths, -1)
    turned = []
    for k, side in enumerate(sides):
        vectors, values, _ = scipy.linalg.svd(np.moveaxis(coef, k, 0).reshape(widths[k], -1), full_matrices=False)
        turned.append(dataclasses.replace(side, axes=side.axes @ (vectors * np.sqrt(values / values[0]))))
    return turned[0], turned[1]
