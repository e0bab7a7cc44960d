"""Transfer between three spaces or more: each ordered pair, detours through a third space, there and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from itertools import permutations as ordered
from typing import Any, ClassVar

import numpy as np
import scipy

from .._core.arrays import checked_once, to_numpy
from .._core.checks import as_count, as_seed, is_share
from .._core.progress import progress
from ..conditions import all_joined, as_side
from ..design import Split
from ..errors import InputError, quoted
from ..heldout.retrieval import compared, directions, rank
from ..maps import Map, make_map
from ..results import Transfer, TransferLoss, TransferPath
from ._ranks import Folds, HeldOut, PartnerRanks, cut, require_moves
from ._sets import Members, means, members

Matrix = np.ndarray[Any, Any]

SPANS = {"score": (0.0, 1.0), "R@1": (0.0, 1.0), "R@5": (0.0, 1.0), "cosine": (-1.0, 1.0)}
"""Scores that are means over items, with their ranges."""
LOST = ("score", "R@1", "cosine")
"""Those of which a detour is held against the direct map."""


class _Chain(Map):
    """Fitted maps one after the other, as one: what the first predicts goes into the second."""

    name: ClassVar[str] = "chain"

    def __init__(self, steps: Sequence[Map]) -> None:
        self.steps = steps

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        raise NotImplementedError  # its steps are fitted

    def embed_x(self, x: Any) -> Matrix:
        for step in self.steps:
            x = step.predict(x)
        return np.asarray(x)

    def embed_y(self, y: Any) -> Matrix:
        return self.steps[-1].embed_y(y)


@dataclasses.dataclass(frozen=True, eq=False)
class _Setting:
    """What all paths share.

    Attributes:
        spaces: Name -> features (n, d).
        folds: The folds.
        sets: All items, then the labels.
        permutations: Re-pairings.
        seed: Seed.
        alpha: Intervals cover 1 - alpha.
    """

    spaces: Mapping[str, Matrix]
    folds: Folds
    sets: Members
    permutations: int
    seed: int
    alpha: float

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.folds.unit)


class _Arrived:
    """What arrived by one path, item by item, over all folds."""

    def __init__(self, setting: _Setting) -> None:
        s = setting
        self.ranks = PartnerRanks(s.n, s.sets, s.permutations)
        self.items = {name: np.empty(s.n) for name in ("R@1", "R@5", "rank", "cosine")}
        self.chance = {name: np.empty(s.n) for name in ("R@1", "R@5", "rank")}
        self.error = self.total = 0.0
        self._setting = s

    def add(self, fold: HeldOut, mapped: Matrix, target: Matrix) -> None:
        """Take in one fold: its rows as they were mapped, and those that they should be."""
        test, groups = fold.test, self._setting.folds.groups
        self.ranks.add(fold, mapped, target)
        key = test if groups is None else groups[test]
        ranked = rank(mapped, target, key, key)
        for k in (1, 5):
            self.items[f"R@{k}"][test] = ranked.hits(k)
            self.chance[f"R@{k}"][test] = ranked.chance_hits(k)
        self.items["rank"][test], self.chance["rank"][test] = ranked.rank(), ranked.chance_rank()
        self.items["cosine"][test] = np.sum(directions(mapped) * directions(target), axis=1)
        self.error += float(np.sum((target - mapped) ** 2))
        self.total += float(np.sum((target - target.mean(axis=0)) ** 2))

    @property
    def r2(self) -> float:
        """Share of the variance of all held-out rows, about their mean in each fold, that was predicted."""
        return 1 - self.error / self.total if self.total > 0 else 0.0

    def by_item(self, name: str) -> Matrix:
        """A score of each item."""
        return self.ranks.scores if name == "score" else self.items[name]


@checked_once()
def transfer(
    spaces: Mapping[str, Any],
    map: Map | str = "ridge",
    *,
    folds: int = 5,
    groups: Any = None,
    strata: Any = None,
    labels: Any = None,
    permutations: int = 999,
    seed: int = 0,
    alpha: float = 0.05,
) -> Transfer:
    """Held-out transfer between each ordered pair of spaces, and whether a detour through a third loses anything.

    Each fold is held out in turn and every map is fitted once on the others: a -> b for each ordered pair. The detour
    a -> c -> b puts two of them in a row, the cycle a -> b -> a likewise, and all are tested on the same held-out
    items. What a detour loses is the direct score less its own, item by item, so that its interval is a paired one. It
    goes through the rows of c that are predicted: it loses the directions that c lacks, and not the items that c knows
    nothing of, as long as others taught the map. A detour that gains shows a direct map with too few pairs.

    Args:
        spaces: Name -> one layer of features (n, d): an array, or `Layers`, which are joined by id.
        map: A map that predicts rows, or its spec.
        folds: Parts that are held out in turn.
        groups: One group an item: groups are held out and exchanged as a whole; any item of the right one is right.
        strata: One label an item: partners change places inside these alone.
        labels: One label an item, or a mapping from name to rows (or masks); or None.
        permutations: Re-pairings of the held-out partners that p-values are counted among, the fitted maps as they are.
        seed: Seed of folds and re-pairings.
        alpha: Intervals cover 1 - alpha.

    Raises:
        InputError: if there are fewer than three spaces, they are of different items or of several layers, the map
            predicts no rows, there are too few items for the folds, or labels or groups do not fit.

    Example:
        >>> x, *noise = np.random.default_rng(0).normal(size=(4, 200, 6))
        >>> spaces = {"image": x + 0.3 * noise[0], "text": x + 0.3 * noise[1], "speech": x[:, :3]}  # speech has half
        >>> found = transfer(spaces, "ridge", permutations=99)
        >>> direct, detour = found["image", "text"], found["image", "speech", "text"]
        >>> round(direct.values["score"], 2), round(detour.values["score"], 2), round(direct.chance["score"], 2)
        (0.99, 0.89, 0.5)
        >>> round(detour.lost["score"].value, 2), detour.lost["score"].low > 0
        (0.1, True)
    """
    map, seed = make_map(map), as_seed(seed)
    if not map.direct:
        raise InputError(
            f"transfer puts maps in a row, and {map.spec} brings both sides into a shared space but predicts no rows; "
            "use one that does, such as 'ridge' or 'procrustes'."
        )
    as_count(permutations, "permutations")
    if not is_share(alpha):
        raise InputError(f"alpha={quoted(alpha)}: a share between 0 and 1 is needed, such as 0.05.")
    features, notes = _features(spaces)
    n = len(next(iter(features.values())))
    setting = _Setting(
        features, cut(n, folds, groups, strata, seed, map), _with_all(labels, n), permutations, seed, alpha
    )
    arrived = _arrived(setting, map)
    paths = tuple(_path(spaces, arrived, setting, labels is not None) for spaces in arrived)
    return Transfer(
        names=tuple(features),
        map=map.spec,
        n=n,
        gallery=tuple(len(np.unique(setting.folds.unit[s.test])) for s in setting.folds.splits),
        paths=paths,
        permutations=permutations,
        alpha=float(alpha),
        seed=seed,
        notes=tuple(notes),
    )


def _features(spaces: Any) -> tuple[dict[str, Matrix], list[str]]:
    """The one layer of each space over the items that all have, and in words which lost items.

    Raises:
        InputError: if there are fewer than three, one has several layers, or their items differ.
    """
    if not isinstance(spaces, Mapping) or len(spaces) < 3:
        what = f"{len(spaces)} spaces" if isinstance(spaces, Mapping) else type(spaces).__name__
        raise InputError(
            f"transfer takes a mapping of three spaces or more, such as image, text and speech, found {what}; "
            "between two, use stitch or map_items."
        )
    sides = {str(name): as_side(given, f"spaces[{quoted(name)}]", None) for name, given in spaces.items()}
    if len(sides) < len(spaces):
        raise InputError("spaces: two have the same name; names are texts, so 1 and '1' are one.")
    for name, side in sides.items():
        if len(side.layers) > 1:
            raise InputError(
                f"spaces[{quoted(name)}] has {len(side.layers)} layers ({', '.join(list(side.layers)[:5])}, …); give "
                "one, chosen beforehand or on other items."
            )
    met, notes = all_joined(sides)
    found: dict[str, Matrix] = {}
    for name, side in met.items():
        found[name] = to_numpy(side.features(next(iter(side.layers)))).astype(np.float64, copy=False)
    return found, notes


def _with_all(labels: Any, n: int) -> Members:
    """All items as the first set, then those of the labels."""
    every = scipy.sparse.csr_array(np.ones((1, n)))
    if labels is None:
        return Members(("",), every)
    own = members(labels, n)
    return Members(("", *own.names), scipy.sparse.csr_array(scipy.sparse.vstack([every, own.rows])))


def _arrived(setting: _Setting, map: Map) -> dict[tuple[str, ...], _Arrived]:
    """What arrives by every path."""
    names = list(setting.spaces)
    direct = list(ordered(names, 2))
    found = {spaces: _Arrived(setting) for spaces in [*direct, *ordered(names, 3), *((a, b, a) for a, b in direct)]}
    with progress(len(setting.folds.splits) * len(found), f"transfer by {map.spec}", unit="paths") as advance:
        for k, split in enumerate(setting.folds.splits):
            held = HeldOut.of(k, setting.folds, setting.permutations, setting.seed)
            fitted = dict(_fitted(setting.spaces, map, split))
            for spaces, arrived in found.items():
                chain = _Chain([fitted[step] for step in pairwise(spaces)])
                mapped, target, _ = compared(chain, setting.spaces[spaces[0]], setting.spaces[spaces[-1]], split)
                arrived.add(held, mapped, target)
                advance(1)
    for arrived in found.values():
        require_moves(arrived.ranks)
    return found


def _fitted(spaces: Mapping[str, Matrix], map: Map, split: Split) -> Iterator[tuple[tuple[str, str], Map]]:
    """The map from each space to each other, fitted once; those from one space share the work on it."""
    for a, x in spaces.items():
        others = [b for b in spaces if b != a]
        yield from (
            ((a, b), fitted)
            for b, fitted in zip(
                others, map.fit_each(x[split.train], [spaces[b][split.train] for b in others]), strict=True
            )
        )


def _path(
    spaces: tuple[str, ...], all_arrived: Mapping[tuple[str, ...], _Arrived], setting: _Setting, labelled: bool
) -> TransferPath:
    """What is said of a path."""
    arrived, unit, alpha = all_arrived[spaces], setting.folds.unit, setting.alpha
    every = Members(setting.sets.names[:1], setting.sets.rows[:1])
    found = {name: means(arrived.by_item(name), every, unit, alpha, span) for name, span in SPANS.items()}
    values = {name: float(m.values[0]) for name, m in found.items()}
    chance = {"score": float(arrived.ranks.chance.mean()), "cosine": 0.0, "r2": 0.0}
    chance |= {f"R@{k}": float(arrived.chance[f"R@{k}"].mean()) for k in (1, 5)}
    lost: dict[str, TransferLoss] = {}
    labels_lost = np.empty((0, 4))
    if len(spaces) == 3 and spaces[0] != spaces[2]:
        direct = all_arrived[spaces[0], spaces[2]]
        for name in LOST:
            least, most = SPANS[name]
            gap = direct.by_item(name) - arrived.by_item(name)
            m = means(gap, setting.sets, unit, alpha, (least - most, most - least))
            table = np.stack([m.values, m.low, m.high, m.p_values], axis=1)
            lost[name] = TransferLoss(*table[0].tolist())
            if name == "score" and labelled:
                labels_lost = table[1:]
    return TransferPath(
        spaces=spaces,
        values=values | {"median_rank": float(np.median(arrived.items["rank"])), "r2": arrived.r2},
        low={name: float(m.low[0]) for name, m in found.items()},
        high={name: float(m.high[0]) for name, m in found.items()},
        chance=chance | {"median_rank": float(np.median(arrived.chance["rank"]))},
        p_value=float(arrived.ranks.p_of_sets()[0]),
        labels=arrived.ranks.labels(unit, alpha, first=1) if labelled else None,
        lost=lost,
        labels_lost=labels_lost,
    )
