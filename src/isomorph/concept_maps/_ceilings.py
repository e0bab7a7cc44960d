"""Scores across and within modalities of the same items, as a ratio with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.arrays import Array, as_features, as_pair, take_rows, to_numpy
from .._core.distributions import t_ppf
from ..design import Codes, Design, Labels
from ..errors import InputError, quoted
from ..metrics import Metric
from ..results import CeilingShare
from ..significance import chance_level

Floats = np.ndarray[Any, Any]
Layers = Mapping[str, Any] | Sequence[Any] | Any

BLOCKS = 20
"""Blocks of the items, each left out in turn where a metric has no influences."""


class Quartet(NamedTuple):
    """The layers of one comparison: x, y, then ceilings of x, then ceilings of y.

    Attributes:
        arrays: Features of the same items (n, d) each.
        ceilings: How many are ceilings of x; the rest are of y.

    Example:
        >>> quartet = Quartet.of(np.eye(30), np.eye(30), np.eye(30), [np.eye(30), np.eye(30)], "")
        >>> quartet.n, quartet.pairs  # which are compared
        (30, [(0, 1), (0, 2), (1, 3), (1, 4)])
    """

    arrays: tuple[Array, ...]
    ceilings: int

    @classmethod
    def of(cls, x: Any, y: Any, x_ceilings: Layers, y_ceilings: Layers, where: str) -> Quartet:
        """Check the layers.

        Raises:
            InputError: if they are no representations, hold unlike numbers of items, or a side has no ceiling.
        """
        x, y = as_pair(x, y, (f"{where}x", f"{where}y"))
        n = int(x.shape[0])
        sides = []
        for name, given in ((f"{where}x_ceilings", x_ceilings), (f"{where}y_ceilings", y_ceilings)):
            named = _named(given, name)
            if not named:
                raise InputError(f"{name} is empty: a share of the ceiling needs another model of that modality.")
            arrays = []
            for key, value in named.items():
                layer = as_features(value, key)
                if int(layer.shape[0]) != n:
                    raise InputError(
                        f"{key} has {int(layer.shape[0])} items and {where}x has {n}; all scores must be of the same "
                        "items in the same rows. Join them by id first."
                    )
                arrays.append(layer)
            sides.append(arrays)
        return cls((x, y, *sides[0], *sides[1]), len(sides[0]))

    @property
    def n(self) -> int:
        """Number of items."""
        return int(self.arrays[0].shape[0])

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Positions of the layers that are compared: across, then with each ceiling."""
        ends = range(2, len(self.arrays))
        return [(0, 1), *((0 if k < 2 + self.ceilings else 1, k) for k in ends)]


def _named(given: Layers, name: str) -> dict[str, Any]:
    """Layers by what they are called in messages."""
    if isinstance(given, Mapping):
        return {f"{name}[{quoted(key)}]": value for key, value in given.items()}
    if isinstance(given, list | tuple) and all(hasattr(v, "shape") and len(v.shape) == 2 for v in given):
        return {f"{name}[{i}]": value for i, value in enumerate(given)}
    return {name: given}


class Ask(NamedTuple):
    """What is drawn as one, and how it is judged."""

    code: Codes
    groups: Labels | None
    alpha: float
    seed: int


class Measured(NamedTuple):
    """The three calibrated scores of some items, and how each unit moves them.

    Attributes:
        n: Number of items.
        scores: Calibrated scores: across, ceiling of x, ceiling of y (3,).
        moved: What each unit (item, group or block of them) adds to each (units, 3): the product with itself is their
            covariance.
        twice: Variance of the score across that the product counts twice (interactions of two items).
        degrees: Degrees of freedom.

    Example:
        >>> moved = 0.01 * np.random.default_rng(0).normal(size=(400, 3)) / 20
        >>> round(Measured(400, np.array([0.2, 0.5, 0.8]), moved, 0.0, 399).ratio(0.05)[0], 3)
        0.316
    """

    n: int
    scores: Floats
    moved: Floats
    twice: float
    degrees: float

    @classmethod
    def mean(cls, several: Sequence[Measured]) -> Measured:
        """The mean over repeated subsets of the same units."""
        return cls(
            round(float(np.mean([m.n for m in several]))),
            np.mean([m.scores for m in several], axis=0),
            np.mean([m.moved for m in several], axis=0),
            several[0].twice if len(several) == 1 else 0.0,
            several[0].degrees,
        )

    @property
    def covariance(self) -> Floats:
        """Covariance of across, x_ceiling and y_ceiling (3, 3)."""
        found = self.moved.T @ self.moved
        across = min(max(found[0, 0] - self.twice, self.twice), found[0, 0])  # the least that it can be
        scale = np.sqrt(across / found[0, 0]) if found[0, 0] > 0 else 1.0
        found[0, :] *= scale
        found[:, 0] *= scale
        return np.asarray(found)

    def lacking(self, alpha: float) -> str:
        """Why there is no share; empty if there is one."""
        errors = np.sqrt(np.diagonal(self.moved.T @ self.moved))
        reach = float(t_ppf(1 - alpha / 2, self.degrees))
        for k, side in ((1, "x"), (2, "y")):
            if self.scores[k] <= 0:
                return f"the ceiling of {side} is at or below chance (calibrated {self.scores[k]:.3f})"
            if self.scores[k] <= reach * errors[k]:
                return f"the ceiling of {side} is not shown to be above chance (calibrated {self.scores[k]:.3f})"
        low = self.ratio(alpha)[1]
        return "" if np.isfinite(low) else "the ceilings are too uncertain to divide by"

    def ratio(self, alpha: float) -> tuple[float, float, float]:
        """The share and Fieller's bounds of it; infinite where the divisor may be 0."""
        across, x, y = (float(v) for v in self.scores)
        root = float(np.sqrt(x * y))
        into = np.array([[1.0, 0.0, 0.0], [0.0, y / (2 * root), x / (2 * root)]])
        v = into @ self.covariance @ into.T
        t2 = float(t_ppf(1 - alpha / 2, self.degrees)) ** 2
        a, b, c = root**2 - t2 * v[1, 1], across * root - t2 * v[0, 1], across**2 - t2 * v[0, 0]
        inner = b**2 - a * c
        share = across / root
        if a <= 0 or inner < 0:
            return share, -np.inf, np.inf
        low, high = ((b + sign * np.sqrt(inner)) / a for sign in (-1, 1))
        return share, min(float(low), share), max(float(high), share)

    @property
    def share_moved(self) -> Floats:
        """What each unit adds to the share (units,), to first order."""
        across, x, y = (float(v) for v in self.scores)
        root = np.sqrt(x * y)
        return np.asarray(self.moved @ np.array([1 / root, -across / root / (2 * x), -across / root / (2 * y)]))

    def row(self, metric: Metric[Any], ask: Ask, depth: float | None = None) -> CeilingShare:
        """The row of a result."""
        across, x, y = (float(v) for v in self.scores)
        lacking = self.lacking(ask.alpha)
        share, low, high = (None, None, None) if lacking else self.ratio(ask.alpha)
        return CeilingShare(metric.spec, self.n, depth, across, x, y, share, low, high, lacking)


def measured(metric: Metric[Any], quartet: Quartet, rows: Codes, ask: Ask) -> Measured:
    """The three scores of some of the items.

    Raises:
        InputError: if the metric does not take them.
    """
    states = _prepared(metric, quartet, rows)
    design = Design() if ask.groups is None else Design(groups=ask.groups).take(rows)
    values, widths = _calibrated(metric, quartet, states, len(rows), design, ask.seed)
    units, first = int(ask.code.max()) + 1, [0] + [1] * quartet.ceilings
    which = np.array(first + [2] * (len(values) - len(first)))
    means = np.array([values[which == k].mean() for k in range(3)])
    moved, twice = [], 0.0
    for k, (i, j) in enumerate(quartet.pairs):
        influence = metric.influence([states[i]], [states[j]])
        if influence is None or (influence.known is not None and not influence.known.all()):
            blocks = _left_out(metric, quartet, rows, which, ask)
            return Measured(len(rows), means, blocks, 0.0, float(len(blocks) - 1))
        moved.append(np.asarray(influence.left_out[:, 0, 0], dtype=np.float64) / len(rows) / widths[k])
        if k == 0 and ask.groups is None:
            twice = float(influence.second[0, 0]) / widths[0] ** 2
    by_item = np.column_stack(
        [np.mean([m for m, w in zip(moved, which, strict=True) if w == k], axis=0) for k in range(3)]
    )
    by_unit = np.zeros((units, 3))
    np.add.at(by_unit, ask.code[rows], by_item)
    there = len(np.unique(ask.code[rows]))
    return Measured(len(rows), means, by_unit * np.sqrt(there / (there - 1)), twice, float(there - 1))


def _prepared(metric: Metric[Any], quartet: Quartet, rows: Codes) -> list[Any]:
    """The states of all layers, of some of the items.

    Raises:
        InputError: if the metric does not take them.
    """
    try:
        return [metric.prepare(a if len(rows) == quartet.n else take_rows(a, rows)) for a in quartet.arrays]
    except InputError as error:
        raise InputError(
            f"limits: {metric.spec} has no score for {len(rows)} of the {quartet.n} items. {error}"
        ) from error


def _calibrated(
    metric: Metric[Any], quartet: Quartet, states: Sequence[Any], n: int, design: Design, seed: int
) -> tuple[Floats, Floats]:
    """Calibrated scores of all pairs, and what one unit of them is in the units of the score.

    Raises:
        InputError: if a score is not finite, or chance is as good as the best score.
    """
    best = metric.range[0] if metric.distance else metric.range[1]
    values, widths = [], []
    for i, j in quartet.pairs:
        xs, ys = [states[i]], [states[j]]
        score = float(to_numpy(metric.compare(xs, ys))[0, 0])
        chance = chance_level(metric, xs, ys, n, design, seed)
        width = best - chance
        if not np.isfinite(score) or not np.isfinite(chance) or abs(width) <= 1e-12:
            raise InputError(
                f"limits: {metric.spec} scores {score:.3g} and chance is {chance:.3g}, so nothing lies between chance "
                "and the best score. Use another metric, or more items."
            )
        values.append((score - chance) / width)
        widths.append(width)
    return np.array(values), np.array(widths)


def _left_out(metric: Metric[Any], quartet: Quartet, rows: Codes, which: Floats, ask: Ask) -> Floats:
    """How blocks of units move the three scores, by leaving out each of 20 blocks, the same for any subset."""
    units = int(ask.code.max()) + 1
    place = (np.random.default_rng([ask.seed, 59]).permutation(units) * BLOCKS // units)[ask.code]
    found = []
    for block in range(BLOCKS):
        kept = rows[place[rows] != block]
        design = Design() if ask.groups is None else Design(groups=ask.groups).take(kept)
        states = _prepared(metric, quartet, kept)
        values, _ = _calibrated(metric, quartet, states, len(kept), design, ask.seed)
        found.append([values[which == k].mean() for k in range(3)])
    about = np.array(found)
    return np.asarray((about - about.mean(axis=0)) * np.sqrt((BLOCKS - 1) / BLOCKS))
