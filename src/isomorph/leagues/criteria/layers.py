"""Layers of networks: are near ones more alike than far ones, and is a layer's best match the same layer elsewhere?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..._core.checks import check_choice
from ...errors import InputError
from .._family import Family, Network
from .._scores import Scorer
from .._statistics import rank_correlation
from ._base import Criterion, Floats, Ints, Question

FEATURES = ("layers", "pooled")


def _layered(family: Family, criterion: str, features: str, least: int) -> tuple[list[Network], list[list[Any]]]:
    """Networks with enough layers of one kind, and these.

    Raises:
        InputError: if fewer than 3 networks have them, or they have different numbers of layers.
    """
    found, spaces = [], []
    for network in family.asked(criterion):
        part = getattr(network, features)
        if part is not None and len(part) >= least:
            found.append(network)
            spaces.append([*part.values()])
    if len(found) < 3:
        raise InputError(f"{len(found)} networks have {least} {features} or more; at least 3 such networks are needed.")
    return found, spaces


class Ordered(Question):
    """Are spaces in an order (layers of a network, checkpoints of a run) the less alike the further apart?"""

    chance = 0.0

    def __init__(self, units: Sequence[str], spaces: Sequence[Sequence[Any]], statistic: str) -> None:
        self.units = tuple(units)
        self.spaces, self.statistic = spaces, statistic
        self.items = len(spaces[0][0])
        if statistic == "conformity":
            self.chance = 0.5

    def scores(self, scorer: Scorer) -> list[Floats]:
        return [scorer.pairs(layers) for layers in self.spaces]

    def value(self, scores: list[Floats], keep: Ints) -> float:
        return float(np.mean([self._of(scores[k]) for k in keep]))

    def permuted(self, scores: list[Floats], rng: np.random.Generator) -> float:
        orders = [rng.permutation(len(found)) for found in scores]
        return float(np.mean([self._of(v[np.ix_(o, o)]) for v, o in zip(scores, orders, strict=True)]))

    def _of(self, own: Floats) -> float:
        layers = len(own)
        if self.statistic == "spearman":
            i, j = np.triu_indices(layers, 1)
            return rank_correlation(own[i, j], -(j - i))
        # of three layers in order, the middle one is closer to either end than the ends are to each other
        kept = [
            part
            for a in range(layers)
            for b in range(a + 1, layers)
            for c in range(b + 1, layers)
            for part in (own[a, b] > own[a, c], own[b, c] > own[a, c])
        ]
        return float(np.mean(kept))


@dataclasses.dataclass(frozen=True)
class Monotonicity(Criterion):
    """Are the layers of a network the less alike the further apart they are?

    Attributes:
        features: ``"layers"`` as they are, or ``"pooled"`` over places.
        statistic: ``"spearman"`` of score and distance in layers (chance 0), or ``"conformity"``: share of triples of
            layers in order that keep it (chance 1/2); the mean over networks.
    """

    name: ClassVar[str] = "monotonicity"
    kind: ClassVar[str] = "layers"
    reference: ClassVar[str] = (
        "ReSi (Klabunde et al. 2025), test 6 (layer monotonicity): Spearman and triple violations."
    )
    purpose: ClassVar[str] = "how far apart in depth two layers of one network are"

    features: str = "layers"
    statistic: str = "spearman"

    def __post_init__(self) -> None:
        check_choice(self.features, "monotonicity: features", FEATURES)
        check_choice(self.statistic, "monotonicity: statistic", ("spearman", "conformity"))

    def ask(self, family: Family, seed: int) -> Question:
        networks, spaces = _layered(family, self.name, self.features, 4)
        return Ordered([network.name for network in networks], spaces, self.statistic)

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        return cls(), _deep(4)


class _Identified(Question):
    """Is the best match of a layer in another network the layer of the same depth?"""

    def __init__(self, networks: Sequence[Network], spaces: Sequence[Sequence[Any]]) -> None:
        sizes = {len(layers) for layers in spaces}
        if len(sizes) > 1:
            raise InputError(f"its networks have {sorted(sizes)} layers; which is which is only known where all agree.")
        self.units = tuple(network.name for network in networks)
        self.spaces, self.items = spaces, len(spaces[0][0])
        self.depth = sizes.pop()
        self.chance = 1 / self.depth

    def scores(self, scorer: Scorer) -> Floats:
        """Scores of all layers of all networks: (networks, networks, layers, layers)."""
        m, depth = len(self.spaces), self.depth
        found = np.empty((m, m, depth, depth))
        states = [scorer.prepared(layers) for layers in self.spaces]
        for a in range(m):
            for b in range(m):
                if b < a and scorer.metric.symmetric:
                    found[a, b] = found[b, a].T
                elif a != b:
                    found[a, b] = scorer.compare(states[a], states[b], self.items)
        return found

    def value(self, scores: Floats, keep: Ints) -> float:
        hits = [self._hits(scores[a, b]) for a in keep for b in keep if a != b]
        return float(np.mean(hits))

    def permuted(self, scores: Floats, rng: np.random.Generator) -> float:
        m = len(self.spaces)
        orders = [rng.permutation(self.depth) for _ in range(m)]
        hits = [self._hits(scores[a, b][np.ix_(orders[a], orders[b])]) for a in range(m) for b in range(m) if a != b]
        return float(np.mean(hits))

    def _hits(self, block: Floats) -> float:
        """Share of layers whose best match is their own; of several equal best ones, the share that it has."""
        best = block == block.max(axis=1, keepdims=True)
        return float(np.mean(np.diag(best) / best.sum(axis=1)))


@dataclasses.dataclass(frozen=True)
class Identification(Criterion):
    """Is the best match of a layer, among the layers of another network, the layer of the same depth?

    Attributes:
        features: ``"layers"`` as they are (flattened: often more features than items), or ``"pooled"`` over places
            (fewer features than items): which metric is best turns on that.
    """

    name: ClassVar[str] = "identification"
    kind: ClassVar[str] = "layers"
    reference: ClassVar[str] = (
        "Kornblith et al. (2019), table 2: how often the layer of the same depth is found in a network of another seed."
    )
    purpose: ClassVar[str] = "which layers of two networks correspond"

    features: str = "layers"

    def __post_init__(self) -> None:
        check_choice(self.features, f"{self.name}: features", FEATURES)

    def ask(self, family: Family, seed: int) -> Question:
        return _Identified(*_layered(family, self.name, self.features, 2))

    @classmethod
    def example(cls) -> tuple[Self, Family]:
        return cls(), _deep(4)


@dataclasses.dataclass(frozen=True)
class PooledIdentification(Identification):
    """Is the layer of the same depth found again by features averaged over places, of which there are few?

    Attributes:
        features: ``"pooled"``; ``"layers"`` is the criterion `identification`.
    """

    name: ClassVar[str] = "identification_pooled"
    purpose: ClassVar[str] = "which layers of two networks correspond, by fewer features than items"

    features: str = "pooled"


def _deep(networks: int) -> Family:
    """Networks of five layers, each a step away from the one before, in axes of their own."""
    rng = np.random.default_rng(0)
    path = [rng.normal(size=(60, 6))]
    for _ in range(4):
        path.append(path[-1] + rng.normal(size=(60, 6)))
    made = []
    for k in range(networks):
        turned = [step @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + 0.1 * rng.normal(size=(60, 6)) for step in path]
        layers = {f"layer_{i}": v for i, v in enumerate(turned)}
        made.append(Network(f"n{k}", layers, pooled={name: v[:, :4] for name, v in layers.items()}))
    return Family("example", made)
