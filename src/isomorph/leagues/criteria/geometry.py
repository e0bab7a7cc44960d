"""Spaces made for the purpose: what they share is known, so that a metric can be seen to notice it.

They need no networks, and say for which changes of the geometry a score moves. Each trial is drawn anew.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..._core.checks import as_count
from .._family import Family, Network
from .._scores import Scorer
from .._statistics import rank_correlations
from ._base import Criterion, Floats, Ints, Question

Pair = tuple[Any, Any]


class _Trials(Question):
    """Pairs of spaces, several a trial, of which the truth is known.

    Attributes:
        trials: Trial -> pairs of spaces.
        truth: How alike the pairs of a trial are, in any unit; None where the first pair is the same space twice, the
            second an unrelated pair, and the score of the third is read as a share of the way between: 1 is as if
            nothing had changed, 0 as if all had, and 1/2 what three scores in any order give.
    """

    def __init__(self, trials: Sequence[Sequence[Pair]], truth: Sequence[float] | None) -> None:
        self.chance = 0.5 if truth is None else 0.0
        self.units = tuple(f"trial {k}" for k in range(len(trials)))
        self.trials, self.truth = trials, truth
        self.items = len(trials[0][0][0])

    def scores(self, scorer: Scorer) -> Floats:
        return np.array([[scorer.one(x, y) for x, y in trial] for trial in self.trials])

    def value(self, scores: Floats, keep: Ints) -> float:
        return float(np.mean(self._each(scores[keep])))

    def permuted(self, scores: Floats, rng: np.random.Generator) -> float:
        return float(np.mean(self._each(rng.permuted(scores, axis=1))))

    def _each(self, scores: Floats) -> Floats:
        """What each trial says."""
        if self.truth is not None:
            return rank_correlations(scores, self.truth)
        same, unrelated, changed = scores.T
        way = same - unrelated
        told = np.abs(way) > 1e-12 * np.maximum(1.0, np.abs(same))  # a score that is the same for both tells nothing
        return np.where(told, np.clip((changed - unrelated) / np.where(told, way, 1.0), 0.0, 1.0), 0.0)


@dataclasses.dataclass(frozen=True)
class Planted(Criterion):
    """Spaces of known likeness.

    Attributes:
        n: Items of a space.
        d: Features of a space.
        trials: Trials, each drawn anew.
    """

    kind: ClassVar[str] = "geometry"

    n: int = 100
    d: int = 20
    trials: int = 10

    def __post_init__(self) -> None:
        for name, least in (("n", 20), ("d", 4), ("trials", 4)):
            as_count(getattr(self, name), f"{self.name}: {name}", least)

    def ask(self, family: Family, seed: int) -> Question:
        rngs = [np.random.default_rng([seed, k]) for k in range(self.trials)]
        return _Trials([self.pairs(rng) for rng in rngs], self.truth())

    @abstractmethod
    def pairs(self, rng: np.random.Generator) -> list[Pair]:
        """The pairs of spaces of one trial."""

    def truth(self) -> Sequence[float] | None:
        """How alike they are; None for a change that ought not to matter: same, unrelated and changed pairs."""
        return None

    def space(self, rng: np.random.Generator) -> Floats:
        """A space with a falling spectrum, as networks have."""
        return np.asarray(rng.normal(size=(self.n, self.d)) * np.arange(1, self.d + 1) ** -0.5)

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        made = [Network(name, {"last": np.eye(4)}) for name in "ab"]
        return cls(n=60, d=8, trials=8), Family("example", made)


@dataclasses.dataclass(frozen=True)
class SharedDimensions(Planted):
    """Does the score rise with the share of dimensions that two spaces have in common, each in axes of its own?"""

    name: ClassVar[str] = "shared_dimensions"
    reference: ClassVar[str] = "Planted: 0, 1/4, 1/2, 3/4 and all of the dimensions shared; Spearman with the share."
    purpose: ClassVar[str] = "how much two spaces have in common"

    def pairs(self, rng: np.random.Generator) -> list[Pair]:
        common = rng.normal(size=(self.n, self.d))
        found = []
        for share in self.truth():
            k = round(share * self.d)
            sides = []
            for _ in range(2):
                whole = np.hstack([common[:, :k], rng.normal(size=(self.n, self.d - k))])
                sides.append(whole @ np.linalg.qr(rng.normal(size=(self.d, self.d)))[0])
            found.append((sides[0], sides[1]))
        return found

    def truth(self) -> Sequence[float]:
        return (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclasses.dataclass(frozen=True)
class Noise(Planted):
    """Does the score fall with noise on one side?"""

    name: ClassVar[str] = "noise"
    reference: ClassVar[str] = "Planted: noise of 0, 1/4, 1/2, 1, 2 and 4 times the size of the features; Spearman."
    purpose: ClassVar[str] = "how noisy a copy of a space is"

    def pairs(self, rng: np.random.Generator) -> list[Pair]:
        x = self.space(rng)
        size = float(np.sqrt(np.mean(x**2)))
        return [(x, x - level * size * rng.normal(size=x.shape)) for level in self.truth()]

    def truth(self) -> Sequence[float]:
        return (-0.0, -0.25, -0.5, -1.0, -2.0, -4.0)


@dataclasses.dataclass(frozen=True)
class RemovedComponents(Planted):
    """Does the score fall as more of the leading principal components are taken out of one side?"""

    name: ClassVar[str] = "removed_components"
    reference: ClassVar[str] = (
        "Ding, Denain and Steinhardt (2021): sensitivity to the removal of principal components; here 0, 1, 2, 4 and 8 "
        "of the leading ones; Spearman with their number."
    )
    purpose: ClassVar[str] = "whether the leading components of a space are still there"

    def pairs(self, rng: np.random.Generator) -> list[Pair]:
        x = self.space(rng)
        u, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
        found = []
        for removed in self.truth():
            left = s.copy()
            left[: int(-removed)] = 0.0
            found.append((x, (u * left) @ vt))
        return found

    def truth(self) -> Sequence[float]:
        return tuple(-float(k) for k in (0, 1, 2, 4, 8) if k < self.d)


@dataclasses.dataclass(frozen=True)
class Rotation(Planted):
    """Is the score of a space with itself the same when one side is turned, shifted and scaled?"""

    name: ClassVar[str] = "rotation"
    reference: ClassVar[str] = (
        "Planted: a random rotation, a shift and a factor; share of the way from unrelated to same."
    )
    purpose: ClassVar[str] = "whether two spaces differ by more than their axes"

    def pairs(self, rng: np.random.Generator) -> list[Pair]:
        x, other = self.space(rng), self.space(rng)
        turned = 3.0 * x @ np.linalg.qr(rng.normal(size=(self.d, self.d)))[0]
        return [(x, x), (x, other), (x, turned + turned.std() * rng.normal(size=self.d))]


@dataclasses.dataclass(frozen=True)
class Translation(Planted):
    """Does the score stay when a fifth of the items, a class, is moved far away on one side? No probe notices that.

    Attributes:
        far: How far, in standard deviations of the features.
    """

    name: ClassVar[str] = "translation"
    reference: ClassVar[str] = (
        "Davari et al. (2023): moving a separable class leaves linear function as it is and takes CKA away; share of "
        "the way from unrelated to same that is kept."
    )
    purpose: ClassVar[str] = "whether two spaces carry the same, wherever classes lie"

    far: float = 30.0

    def pairs(self, rng: np.random.Generator) -> list[Pair]:
        x, other = self.space(rng), self.space(rng)
        moved = x.copy()
        way = rng.normal(size=self.d)
        moved[: self.n // 5] += self.far * x.std() * way / np.linalg.norm(way)
        return [(x, x), (x, other), (x, moved)]


@dataclasses.dataclass(frozen=True)
class Outlier(Planted):
    """Does the score stay when a single item is moved far away on one side?

    Attributes:
        far: How far, in standard deviations of the features.
    """

    name: ClassVar[str] = "outlier"
    reference: ClassVar[str] = "Planted: one item of all; share of the way from unrelated to same that is kept."
    purpose: ClassVar[str] = "what two spaces share but for stray items"

    far: float = 30.0

    def pairs(self, rng: np.random.Generator) -> list[Pair]:
        x, other = self.space(rng), self.space(rng)
        moved = x.copy()
        way = rng.normal(size=self.d)
        moved[0] += self.far * x.std() * way / np.linalg.norm(way)
        return [(x, x), (x, other), (x, moved)]


@dataclasses.dataclass(frozen=True)
class Width(Planted):
    """Does the score of unrelated spaces stay low as they have more features, up to twice as many as items?"""

    name: ClassVar[str] = "width"
    reference: ClassVar[str] = (
        "Murphy et al. (2024), Chun et al. (2025): scores of noise that rise with the number of features. One minus "
        "the share of the way to the same space that unrelated ones go as d grows from 4 to 2 n."
    )
    purpose: ClassVar[str] = "how alike spaces of different widths are"

    def pairs(self, rng: np.random.Generator) -> list[Pair]:
        wide = [rng.normal(size=(self.n, 2 * self.n)) for _ in range(2)]
        x = rng.normal(size=(self.n, 4))
        # unrelated narrow spaces are what wide ones should score like: the way back from the same space to them
        return [(x, rng.normal(size=(self.n, 4))), (x, x), (wide[0], wide[1])]
