"""Pairs of synthetic spaces that share a known part of their variance, matched to the two sides of the data.

Either side is ``mean + f √λ v'``: the mean and the principal axes v of the data, variances λ along them, and components
f of variance one, which are made of what is common and what is private,

    f = √(1 - ν) (√s c + √(1 - s) u) + √ν e,

with the same c on both sides, u of each side alone, ν the share of noise that was given, e Gaussian. What c and u are
like is the kind of the spaces; they are of one kind and independent.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.arrays import require_scale
from ..design import Codes
from ..errors import InputError

Floats = np.ndarray[Any, Any]

GAUSSIAN, CLUSTERS = "gaussian", "clusters"
_NEAR = 5  # the neighbour whose distance tells how tight neighbourhoods are
_QUERIES = 256  # items whose distances are looked at for that
_DRAWS = 3  # synthetic spaces that tell the tightness of each setting
_TIGHT = np.array([0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98])  # shares of structure that are tried
_MIXED = np.array([0.0, 0.15, 0.3, 0.5])  # common shares at which; s and 1 - s make the same side
_FLOOR = 1e-6  # of the typical squared distance: items that coincide


@dataclasses.dataclass(frozen=True, eq=False)
class Matched:
    """What a synthetic side takes from the data.

    Attributes:
        deviations: Standard deviations along the axes (d,), falling.
        center: The mean in the coordinates that are returned.
        axes: The axes (d, d), or None to stay in their coordinates, which metrics that no rotation changes do not see.
        within: Share of the variance that lies between groups, 0 where there are none.
        noise: Share of the variance that is noise.
        near: How tight neighbourhoods are: mean over items of log(distance of the fifth neighbour / median distance).

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 3)) * [3, 2, 1]
        >>> side = matched(x, "x", turned=False, code=None, noise=0.0)
        >>> side.deviations.round(1).tolist(), round(side.near, 1)
        ([3.0, 2.0, 1.0], -1.2)
    """

    deviations: Floats
    center: Floats
    axes: Floats | None
    within: float
    noise: float
    near: float

    def features(self, components: Floats) -> Floats:
        """A side (n, features) with these components (n, d)."""
        scaled = components * self.deviations
        turned = scaled if self.axes is None else scaled @ self.axes
        if turned.shape[1] < len(self.center):  # what of the mean lies along none of the axes
            turned = np.column_stack([turned, np.zeros(len(turned), dtype=turned.dtype)])
        return np.asarray(turned + self.center)


def matched(x: Floats, name: str, *, turned: bool, code: Codes | None, noise: float) -> Matched:
    """What to match.

    Variances are those of the sample, drawn towards their mean until the sum of their squares is what the population's
    is estimated to be, without bias and whatever the law (Himeno and Yamada 2014): those of a sample lie further apart
    than those of the population, the more so the more features there are, and a synthetic sample spreads them anew.

    Args:
        x: Features (n, d), float64.
        name: What they are called in messages.
        turned: Whether synthetic features must lie along the axes of the data.
        code: Group of each item, or None.
        noise: Share of the variance that is noise.

    Raises:
        InputError: if all items are the same, or values are too large to be squared.
    """
    n, d = x.shape
    require_scale(x, name)
    mean = x.mean(axis=0)
    away = x - mean
    squares = np.sum(away**2, axis=1)
    total = float(squares.sum()) / (n - 1)
    if total <= (1e-12 * float(np.abs(x).max(initial=0.0))) ** 2:
        raise InputError(f"{name} is constant: all its items have the same features. Leave this layer out.")
    _, values, axes = np.linalg.svd(away, full_matrices=turned and d > n)
    along = axes @ mean
    axes = axes * np.where(along < 0, -1.0, 1.0)[:, None]  # so that the means of both sides lie along like directions
    along = np.abs(along)
    found = np.zeros(d)
    found[: len(values)] = values**2 / (n - 1)
    fourth = float(np.sum(squares**2)) / (n - 1)
    sample, level = float(np.sum(found**2)), total / d
    unbiased = (n - 1) * ((n - 1) * (n - 2) * sample + total**2 - n * fourth) / (n * (n - 2) * (n - 3))
    spread = sample - d * level**2
    keep = np.sqrt(np.clip((unbiased - d * level**2) / spread, 0.0, 1.0)) if spread > 0 else 0.0
    deviations = np.sqrt(np.maximum(level + keep * (found - level), 0.0))
    if turned:
        center = mean
    else:
        center = np.zeros(d)
        center[: len(along)] = along
        rest = float(np.sqrt(max(float(mean @ mean) - float(along @ along), 0.0)))
        if rest > 1e-6 * np.sqrt(total):
            center = np.append(center, rest)
    size = float(deviations.max())
    held = 1e-12 < size < 1e12 and float(np.abs(center).max()) < 1e3 * size  # so that float32 loses nothing
    kind = np.float32 if held else np.float64
    along_axes = axes.astype(kind) if turned else None
    within = _within(away, total, code)
    return Matched(deviations.astype(kind), center.astype(kind), along_axes, within, noise, near(away, code))


def _within(away: Floats, total: float, code: Codes | None) -> float:
    """Share of the variance that lies between groups (the intraclass correlation of all features together)."""
    if code is None:
        return 0.0
    size = np.bincount(code)
    means = np.zeros((len(size), away.shape[1]))
    np.add.at(means, code, away)
    inside = away - (means / size[:, None])[code]
    return float(np.clip(1 - np.sum(inside**2) / (len(code) - len(size)) / total, 0.0, 1.0))


def near(away: Floats, code: Codes | None) -> float:
    """How tight neighbourhoods are: mean over items of log(distance of the fifth neighbour / median distance).

    Neighbours of the same group are left out.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(300, 40))
        >>> round(near(x[:, :2], None), 1), round(near(x, None), 1)  # in many dimensions no item is near
        (-1.8, -0.2)
    """
    n = len(away)
    rows = np.unique(np.linspace(0, n - 1, min(n, _QUERIES)).astype(np.int64))
    squares = np.sum(away**2, axis=1)
    apart = squares[rows, None] + squares - 2 * (away[rows] @ away.T)
    if code is None:
        apart[np.arange(len(rows)), rows] = np.inf
    else:
        apart[code[rows, None] == code] = np.inf
    others = np.isfinite(apart).sum(axis=1)
    at = np.arange(len(rows))
    ordered = np.partition(apart, np.unique([*(others // 2), *(np.minimum(_NEAR, others) - 1)]), axis=1)
    typical = ordered[at, others // 2]
    close = ordered[at, np.minimum(_NEAR, others) - 1]
    return float(np.mean(0.5 * np.log(np.maximum(close, _FLOOR * typical) / typical)))


# ---- components -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Structure:
    """What the components of synthetic spaces are like.

    Attributes:
        name: ``"gaussian"``, ``"clusters"`` or ``"neighborhoods"``.
        size: Number of clusters, or dimensions of the surface.

    Example:
        >>> parts = Structure("clusters", 4).parts(40, 6, np.random.default_rng(0), None)
        >>> len(np.unique(parts[0][:, 0].round(4)))  # four centres, in three dimensions
        4
    """

    name: str
    size: int

    def parts(self, n: int, d: int, rng: np.random.Generator, code: Codes | None) -> tuple[Floats, ...]:
        """The structured and the scattered part of each item, then of its group if there are groups: (n, d) each."""
        own = self._structured(n, d, rng), _normal(rng, n, d)
        if code is None:
            return own
        groups = int(code.max()) + 1
        return (*own, self._structured(groups, d, rng)[code], _normal(rng, groups, d)[code])

    def _structured(self, n: int, d: int, rng: np.random.Generator) -> Floats:
        """Components (n, d) of mean 0 and variance 1, uncorrelated."""
        if self.name == GAUSSIAN:
            return _normal(rng, n, d)
        if self.name == CLUSTERS:
            count = min(self.size, n)
            spanned = min(count - 1, d)
            centers = rng.standard_normal((count, spanned))
            centers = np.sqrt(count) * np.linalg.qr(centers - centers.mean(axis=0))[0]
            out = _normal(rng, n, d)
            out[:, :spanned] = centers[rng.permutation(np.arange(n) % count)]
            return out
        waves = _waves(self.size, -(-d // 2))
        angle = 2 * np.pi * (rng.random((n, self.size)) @ waves.T)
        out = np.empty((n, 2 * len(waves)), dtype=np.float32)
        out[:, 0::2], out[:, 1::2] = np.sqrt(2) * np.cos(angle), np.sqrt(2) * np.sin(angle)
        return out[:, :d]


def _normal(rng: np.random.Generator, n: int, d: int) -> Floats:
    return rng.standard_normal((n, d), dtype=np.float32)


def _waves(dimensions: int, count: int) -> Floats:
    """The longest waves on a torus, one of each pair of opposite directions: whole numbers (count, dimensions)."""
    reach = 1
    while ((2 * reach + 1) ** dimensions - 1) // 2 < 3 * count:  # a cube whose inner ball holds enough of them
        reach += 1
    steps = np.array(list(itertools.product(range(-reach, reach + 1), repeat=dimensions)))
    half = steps[len(steps) // 2 + 1 :]  # those after the zero, in lexicographic order
    order = np.argsort(np.sum(half**2, axis=1), kind="stable")
    return half[order[:count]]


def mixed(parts: Sequence[Floats], tight: float, within: float, d: int) -> Floats:
    """The first d components with these shares of structure and of what is between groups."""
    weights: tuple[float, ...] = (tight, 1 - tight)
    if len(parts) > 2:
        weights = (*(w * (1 - within) for w in weights), *(w * within for w in weights))
    out: Floats = np.zeros((len(parts[0]), d), dtype=np.float32)
    for part, weight in zip(parts, weights, strict=True):
        if weight > 0:
            out += np.float32(np.sqrt(weight)) * part[:, :d]
    return out


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """Random numbers of one pair of spaces, which serve for any share: what is common, private and noise.

    Attributes:
        common: Parts of what is common.
        private: Parts of what each side has alone.
        noise: Noise of each side, None where there is none.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 100, 3))
        >>> sides = [matched(z, "z", turned=False, code=None, noise=0.0) for z in (x, y)]
        >>> drawn = Drawn.of(Structure("gaussian", 0), sides, 100, np.random.default_rng(0), None)
        >>> a, b = (drawn.components(k, 1.0, 0.0, side) for k, side in enumerate(sides))
        >>> np.array_equal(a, b)  # all is common
        True
    """

    common: tuple[Floats, ...]
    private: tuple[tuple[Floats, ...], ...]
    noise: tuple[Floats | None, ...]

    @classmethod
    def of(
        cls, structure: Structure, sides: Sequence[Matched], n: int, rng: np.random.Generator, code: Codes | None
    ) -> Drawn:
        """Random numbers for these sides."""
        dims = [len(s.deviations) for s in sides]
        common = structure.parts(n, max(dims), rng, code)
        private = tuple(structure.parts(n, d, rng, code) for d in dims)
        noise = tuple(_normal(rng, n, d) if s.noise > 0 else None for s, d in zip(sides, dims, strict=True))
        return cls(common, private, noise)

    def components(self, which: int, share: float, tight: float, side: Matched) -> Floats:
        """Components (n, d) of side 0 or 1 with this share of common and of structured variance."""
        d = len(side.deviations)
        out: Floats = np.zeros((len(self.common[0]), d), dtype=np.float32)
        for parts, weight in ((self.common, share), (self.private[which], 1 - share)):
            if weight > 0:
                out += np.float32(np.sqrt(weight)) * mixed(parts, tight, side.within, d)
        noise = self.noise[which]
        if noise is not None:
            out = np.float32(np.sqrt(1 - side.noise)) * out + np.float32(np.sqrt(side.noise)) * noise
        return out


def tightness(structure: Structure, sides: Sequence[Matched], n: int, seed: Any, code: Codes | None) -> Floats:
    """The share of structure, one of both sides, at which neighbourhoods are as tight as in the data, by common share.

    0 where they are no tighter than those of Gaussian spaces; at most 0.98. Sides of unlike tightness are matched on
    their average: what is common would not be the same if each had a share of its own.

    Args:
        structure: Kind of the spaces.
        sides: What they are matched to.
        n: Number of items.
        seed: Seed of the spaces that are tried.
        code: Group of each item, or None.

    Returns:
        Shares of structure (places), at the common shares 0 to .5 of `tight_at`.
    """
    if structure.name == GAUSSIAN:
        return np.zeros(len(_MIXED))
    found = np.zeros((len(_MIXED), len(_TIGHT)))
    for draw in range(_DRAWS):
        drawn = Drawn.of(structure, sides, n, np.random.default_rng([*seed, draw]), code)
        for k, side in enumerate(sides):
            for i, share in enumerate(_MIXED):
                for j, tight in enumerate(_TIGHT):
                    tried = drawn.components(k, share, tight, side) * side.deviations
                    found[i, j] += near(tried, code) / (_DRAWS * len(sides))
    seen = float(np.mean([side.near for side in sides]))
    return np.array([np.interp(-seen, -np.minimum.accumulate(row), _TIGHT) for row in found])


def tight_at(table: Floats, share: float) -> float:
    """The share of structure at a common share.

    Example:
        >>> tight_at(np.array([0.8, 0.8, 0.9, 0.9]), 0.85)  # as at 1 - .85
        0.8
    """
    return float(np.interp(min(share, 1 - share), _MIXED, table))
