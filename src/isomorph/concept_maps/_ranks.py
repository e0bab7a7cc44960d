"""Items under a map: where the right partner of each held-out item stands, what its prediction explains, and labels.

Every item is predicted once, by a map that was fitted on the folds without it, and its true partner is ranked among the
held-out items of its own fold. Training items are no candidates: a map was fitted to reach them, so that a right
partner that it never saw would not be as likely as they are to stand anywhere. Among the held-out items it is: where
the pairing means nothing each of them is as likely to be the partner, whatever the fit, and the p of an item is exact.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy

from .._core.arrays import as_pair, to_numpy
from .._core.checks import as_count, as_seed, is_share
from .._core.memory import block_bytes, require
from .._core.progress import Advance, progress
from ..design import Codes, Design, Split, coded, fold_of_items
from ..errors import InputError, quoted
from ..heldout.retrieval import TIE, compared, directions, similarities
from ..maps import Map, make_map
from ..nulls.judge import counted_p
from ..results import MapItems, MapLabels
from ..significance import benjamini_hochberg
from ._sets import Members, means, members

Matrix = np.ndarray[Any, Any]

_PIECE_BYTES = 1 << 24  # of one array of places: five or so stand beside each other
_TURNED = 64  # re-pairings that are turned at once
_WIDER = 2**0.5  # see PartnerRanks.p_of_sets


# ---- ranks --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """The held-out rows of one fold as partners: what is found as one, and what may take whose place.

    Attributes:
        at: Positions among the held-out rows (m,), those of one candidate next to each other.
        candidate: Candidate of each of these (m,), ascending.
        first: Where each candidate begins in `at` (c,).
        sets: First candidate of each set that may change places; candidates of one set are next to each other.
    """

    at: Codes
    candidate: Codes
    first: Codes
    sets: Codes

    @classmethod
    def of(cls, test: Codes, groups: Codes | None, strata: Codes | None) -> Candidates:
        """Whole groups (items without) are candidates; those of one size and one stratum change places."""
        unit = np.unique(test if groups is None else groups[test], return_inverse=True)[1].reshape(-1)
        size = np.bincount(unit)
        stratum = np.zeros(len(size), dtype=np.int64)
        if strata is not None:
            stratum[unit] = strata[test]
        kind = size * (int(stratum.max()) + 1) + stratum
        order = np.argsort(kind, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        at = np.argsort(place[unit], kind="stable")
        candidate = place[unit][at]
        first = np.searchsorted(candidate, np.arange(len(size)))
        return cls(at, candidate, first, np.flatnonzero(np.diff(kind[order], prepend=-1)))

    @property
    def count(self) -> int:
        """Number of candidates."""
        return len(self.first)

    @property
    def sizes(self) -> Codes:
        """Candidates of each set."""
        return np.diff(self.sets, append=self.count)

    @property
    def set_of(self) -> Codes:
        """The set of each row of `at`."""
        return np.repeat(np.arange(len(self.sets)), self.sizes)[self.candidate]

    def places(self, similarity: Matrix) -> Matrix:
        """Where every candidate stands for some queries (q, c): 0 is the least similar, 1 the most, ties their mean."""
        s = similarity
        if self.count < s.shape[1]:
            s = np.maximum.reduceat(s, self.first, axis=1)
        order = np.argsort(s, axis=1)
        apart = np.diff(np.take_along_axis(s, order, axis=1), axis=1) > TIE
        place = np.broadcast_to(np.arange(self.count, dtype=np.float64), s.shape)
        tied = np.flatnonzero(~apart.all(axis=1))
        if len(tied):
            place = place.copy()
            place[tied] = _tied(apart[tied])
        found = np.empty(s.shape)
        np.put_along_axis(found, order, place / (self.count - 1), axis=1)
        return found


def _tied(apart: Matrix) -> Matrix:
    """Mean place of each of the entries in order, where `apart` says which are not tied to the one before."""
    q, last = apart.shape
    edge, at = np.ones((q, 1), dtype=bool), np.arange(last + 1)
    begin = np.maximum.accumulate(np.where(np.hstack([edge, apart]), at, 0), axis=1)
    end = np.minimum.accumulate(np.where(np.hstack([apart, edge]), at, last)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((begin + end) / 2)


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out rows of one fold and their re-pairings, which all maps share.

    Attributes:
        test: The rows.
        among: What they are ranked among.
        orders: Which candidate stands for which in each re-pairing (candidates, permutations).
    """

    test: Codes
    among: Candidates
    orders: np.ndarray[Any, np.dtype[np.int32]]

    @classmethod
    def of(cls, number: int, cuts: Folds, permutations: int, seed: int) -> HeldOut:
        """The fold of a number.

        Raises:
            InputError: if its re-pairings do not fit into memory.
        """
        test = cuts.splits[number].test
        among = Candidates.of(test, cuts.groups, cuts.strata)
        require(
            8 * permutations * among.count,
            f"The re-pairings of {among.count:,} held-out items, {permutations:,} times,",
            "Use more folds or fewer permutations.",
        )
        orders = np.empty((among.count, permutations), dtype=np.int32)
        if not np.any(among.sizes > 1):
            orders[:] = np.arange(among.count)[:, None]
            return cls(test, among, orders)
        own = int(np.random.SeedSequence([seed, 13, number]).generate_state(1)[0])
        strata = np.repeat(np.arange(len(among.sets)), among.sizes)
        drawn = Design(strata=strata).drawn(among.count, permutations, own)
        for start in range(0, permutations, _TURNED):  # few at a time: a whole table is slow to turn
            orders[:, start : start + _TURNED] = drawn[start : start + _TURNED].T
        return cls(test, among, orders)


class PartnerRanks:
    """The ranks of the right partners over all folds, and how means over sets of items are distributed without them.

    Of a set, the null is the mean score of its items when the partners change places inside each fold as the design
    lets them, the fitted maps held fixed: the same re-pairings for every set and every map, drawn by the seed.

    Args:
        n: Number of items.
        sets: Sets of items.
        permutations: Re-pairings that are drawn.

    Attributes:
        scores: Score of each item (n,): 1 the right partner stands first, 0 last.
        chance: Its mean over the candidates that may take the partner's place; 1/2 where these are all.
        p_values: Share of these that stand at least as high.
        null: Sum of the scores of each set in each re-pairing (sets, permutations).
        moved: Whether any partner could change places.
    """

    def __init__(self, n: int, sets: Members, permutations: int) -> None:
        self._sets = sets
        self.scores, self.chance, self.p_values = np.empty((3, n))
        self.null = np.zeros((len(sets.names), permutations))
        self.moved = False

    def add(self, fold: HeldOut, mapped: Matrix, target: Matrix) -> None:
        """Take in one fold.

        Args:
            fold: Its rows, and how they change places.
            mapped: Its rows, mapped (n_test, d).
            target: Their partners (n_test, d).
        """
        among, test = fold.among, fold.test
        self.moved |= bool(np.any(among.sizes > 1))
        columns = self._sets.rows[:, test[among.at]]
        for part, places in _pieces(mapped[among.at], target[among.at], among, self.null.shape[1]):
            rows, own = test[among.at[part]], among.candidate[part]
            of, at = among.set_of[part], np.arange(len(own))
            right = places[at, own]
            self.scores[rows] = right
            self.chance[rows] = (np.add.reduceat(places, among.sets, axis=1) / among.sizes)[at, of]
            reached = np.add.reduceat(places >= right[:, None], among.sets, axis=1, dtype=np.int64)
            self.p_values[rows] = (reached / among.sizes)[at, of]
            if self.null.size:
                self.null += columns[:, part] @ np.take_along_axis(places, fold.orders[own], axis=1)

    def means_of_sets(self) -> Matrix:
        """Mean score of each set."""
        return np.asarray(self._sets.rows @ self.scores / self._sets.counts)

    def p_of_sets(self) -> Matrix:
        """One-sided p of the mean score of each set, counted among the re-pairings, their deviations widened by √2.

        Each fold alone would need no widening. Between folds, what the map of one learnt by chance from a pair of
        another comes back when that pair is held out: of two items in two folds, the score of the first under a map
        that saw the second moves with that of the second under a map that saw the first, with a correlation of up to 1
        where a map adds up what pairs tell it. The variance of a mean over items that all move together so is twice
        that of re-pairings under fixed maps, and that of any set lies between. A single item has none of this.
        """
        count = self._sets.counts
        chance = self._sets.rows @ self.chance / count
        wider = np.where(count > 1, _WIDER, 1.0)
        null = chance + wider * (self.null.T / count - chance)
        return np.asarray(counted_p(self.means_of_sets(), null))

    def labels(self, unit: Codes, alpha: float, first: int = 0, refitted: Matrix | None = None) -> MapLabels:
        """What the sets show.

        Args:
            unit: What was sampled as one, one number an item.
            alpha: Intervals cover 1 - alpha.
            first: The first set that is told of.
            refitted: Means of all sets under maps refitted to re-paired items (refits, sets), which p is counted among.
        """
        sets = Members(self._sets.names[first:], self._sets.rows[first:])
        found = means(self.scores, sets, unit, alpha, (0.0, 1.0))
        p = self.p_of_sets() if refitted is None else np.asarray(counted_p(self.means_of_sets(), refitted))
        count = self.null.shape[1] if refitted is None else len(refitted)
        return MapLabels(
            names=sets.names,
            counts=sets.counts,
            scores=found.values,
            chance=sets.rows @ self.chance / sets.counts,
            low=found.low,
            high=found.high,
            p_values=p[first:],
            q_values=benjamini_hochberg(p[first:]),
            permutations=count,
            source="re-paired partners, widened" if refitted is None else "refits to re-paired items",
        )


def _pieces(mapped: Matrix, target: Matrix, among: Candidates, permutations: int) -> Iterator[tuple[slice, Matrix]]:
    """Which queries, and where each candidate stands for them, few enough at a time."""
    step = max(1, block_bytes(_PIECE_BYTES) // (8 * max(among.count, permutations)))
    for rows, similarity in similarities(mapped, target, None):
        for start in range(0, len(similarity), step):
            part = slice(rows.start + start, min(rows.start + start + step, rows.stop))
            yield part, among.places(similarity[start : start + step])


# ---- folds --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Folds:
    """Folds of items, and what is sampled and exchanged as one.

    Attributes:
        splits: One split a fold; every item is held out once.
        unit: One number an item: groups, or the items themselves.
        groups: Groups (n,), or None.
        strata: Strata (n,), or None.
    """

    splits: tuple[Split, ...]
    unit: Codes
    groups: Codes | None
    strata: Codes | None

    @property
    def fold(self) -> Codes:
        """The fold of each item."""
        found = np.empty(len(self.unit), dtype=np.int64)
        for k, split in enumerate(self.splits):
            found[split.test] = k
        return found


def cut(n: int, folds: Any, groups: Any, strata: Any, seed: int, map: Map) -> Folds:
    """The folds of n items.

    Args:
        n: Number of items.
        folds: How many.
        groups: One group an item, or None.
        strata: One label an item, or None.
        seed: Seed of the draw.
        map: What is fitted.

    Raises:
        InputError: if a fold would hold out fewer than two items (or groups), the others are fewer than the map needs,
            or a group has items of several strata.
    """
    as_count(folds, "folds", 2)
    group = None if groups is None else coded(groups, n, "groups", "value")
    stratum = None if strata is None else coded(strata, n, "strata", "value")
    unit = np.arange(n) if group is None else group
    what, units = ("items", n) if group is None else ("groups", int(unit.max(initial=-1)) + 1)
    if units < 2 * folds:
        most = f"use folds={units // 2} or fewer, or more {what}" if units >= 4 else f"give more {what}"
        raise InputError(
            f"{folds} folds of {units} {what} hold out fewer than 2 at a time, and a right partner can only be ranked "
            f"among others; {most}."
        )
    if group is not None and stratum is not None:
        level = np.zeros(units, dtype=np.int64)
        level[group] = stratum
        if np.any(level[group] != stratum):
            raise InputError("groups: a group has items of several strata, so that it cannot move inside one of them.")
    fold = fold_of_items(n, folds, seed, group)
    splits = tuple(Split.of(fold == k) for k in range(folds))
    least = min(len(s.train) for s in splits)
    if least < map.min_pairs:
        raise InputError(
            f"{folds} folds of {n} items leave {least} to fit on, and {map.spec} needs {map.min_pairs}; raise folds, "
            "give more items, or a map that needs fewer."
        )
    if min(len(np.unique(unit[s.test])) for s in splits) < 2:
        raise InputError(f"One of {folds} folds holds a single large group; lower folds, or cut that group.")
    return Folds(splits, unit, group, stratum)


def map_items(
    map: Map | str,
    x: Any,
    y: Any,
    *,
    folds: int = 5,
    groups: Any = None,
    strata: Any = None,
    labels: Any = None,
    permutations: int = 9_999,
    refits: int = 0,
    seed: int = 0,
    alpha: float = 0.05,
) -> MapItems:
    """Score of every item under a map: the held-out rank of its right partner, and what its prediction explains.

    Every item is held out once. The rank is that among the held-out items of its fold (cosine of the mapped row with
    their rows, about the mean of the fitted ones), as a score from 0, last, to 1, first; ties stand at their mean. The
    p of an item is the share of candidates that stand at least as high as its partner: exact where the pairing means
    nothing, and never below one over the candidates, so that fewer folds can show more.

    The p of a label is counted among re-pairings of the held-out partners, the fitted maps as they are. Since each was
    fitted on what the others hold out, their deviations are widened by √2, which makes it a bound: of unrelated items,
    labels of all of them are told at the level, small ones more rarely. With `refits` it is exact: all maps are fitted
    anew to re-paired items, that many times.

    Args:
        map: A map or its spec, such as ``"ridge"`` or ``"procrustes"``.
        x: Features (n, d_x).
        y: Features (n, d_y) of the same items.
        folds: Parts that are held out in turn.
        groups: One group an item: groups are held out, ranked and exchanged as a whole, and any item of the right
            group is right. A group changes places with those of its size.
        strata: One label an item: partners change places inside these alone, and chance is what they know.
        labels: One label an item, or a mapping from name to rows (or masks), which may overlap; or None.
        permutations: Re-pairings of the held-out partners that labels are held against.
        refits: Re-pairings of all items, with all maps fitted anew, that labels are held against instead; 0 for none.
        seed: Seed of folds and re-pairings.
        alpha: Intervals cover 1 - alpha.

    Raises:
        InputError: if the sides do not fit each other, there are too few items for the folds or the map, labels or
            groups do not fit, or no partner can change places.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> y = np.where(np.arange(100)[:, None] < 50, x, noise)  # the first half agrees
        >>> found = map_items("ridge", x, y, labels=["a"] * 50 + ["b"] * 50, permutations=999)
        >>> found.labels.names, found.labels.scores.round(1).tolist(), found.labels.p_values.round(3).tolist()
        (('a', 'b'), [1.0, 0.5], [0.001, 0.389])
    """
    map, seed = make_map(map), as_seed(seed)
    as_count(permutations, "permutations")
    as_count(refits, "refits", 0)
    if not is_share(alpha):
        raise InputError(f"alpha={quoted(alpha)}: a share between 0 and 1 is needed, such as 0.05.")
    x, y = (to_numpy(side).astype(np.float64, copy=False) for side in as_pair(x, y))
    n = len(x)
    cuts = cut(n, folds, groups, strata, seed, map)
    sets = Members((), scipy.sparse.csr_array((0, n))) if labels is None else members(labels, n)
    ranks = PartnerRanks(n, sets, permutations if sets.names and not refits else 0)
    cosine, explained = np.empty(n), np.full(n, np.nan)
    refits = refits if sets.names else 0
    with progress(folds * (1 + refits), f"items under {map.spec}", unit="folds") as advance:
        for k, split, fitted in _each_fold(map, x, y, cuts, advance):
            mapped, target, _ = compared(fitted, x, y, split)
            ranks.add(HeldOut.of(k, cuts, ranks.null.shape[1], seed), mapped, target)
            cosine[split.test] = np.sum(directions(mapped) * directions(target), axis=1)
            if fitted.direct:
                explained[split.test] = explained_shares(mapped, target)
        require_moves(ranks)
        null = _refitted(map, x, y, cuts, sets, refits, seed, advance) if refits else None
    return MapItems(
        map=map.spec,
        n=n,
        folds=cuts.fold,
        gallery=tuple(len(np.unique(cuts.unit[s.test])) for s in cuts.splits),
        scores=ranks.scores,
        chance=ranks.chance,
        p_values=ranks.p_values,
        q_values=benjamini_hochberg(ranks.p_values),
        cosine=cosine,
        explained=explained,
        labels=ranks.labels(cuts.unit, alpha, refitted=null) if sets.names else None,
        seed=seed,
    )


def _each_fold(
    map: Map, x: Matrix, y: Matrix, cuts: Folds, advance: Advance, factors: list[Any] | None = None
) -> Iterator[tuple[int, Split, Map]]:
    """Each fold with the map that was fitted on the others; `factors` are of the rows of x that these have."""
    for k, split in enumerate(cuts.splits):
        fitted: Map = type(map)(**map.get_params())
        yield k, split, fitted.fit(x[split.train], y[split.train], factor=None if factors is None else factors[k])
        advance(1)


def _refitted(
    map: Map, x: Matrix, y: Matrix, cuts: Folds, sets: Members, refits: int, seed: int, advance: Advance
) -> Matrix:
    """Mean scores of the sets under maps that were fitted to re-paired items, and tested on them, (refits, sets)."""
    orders = Design(cuts.groups, cuts.strata).drawn(len(x), refits, seed)
    factors = [map.factor(x[split.train]) for split in cuts.splits]
    held = [HeldOut.of(k, cuts, 0, seed) for k in range(len(cuts.splits))]
    found = np.empty((refits, len(sets.names)))
    for r in range(refits):
        paired = y[orders[r : r + 1][0]]
        ranks = PartnerRanks(len(x), sets, 0)
        for k, split, fitted in _each_fold(map, x, paired, cuts, advance, factors):
            mapped, target, _ = compared(fitted, x, paired, split)
            ranks.add(held[k], mapped, target)
        found[r] = ranks.means_of_sets()
    return found


def explained_shares(mapped: Matrix, target: Matrix) -> Matrix:
    """Share of each item's squared distance to the mean that its prediction explains (n,); NaN of one at the mean."""
    error, total = np.sum((target - mapped) ** 2, axis=1), np.sum(target**2, axis=1)
    return np.asarray(1 - error / np.where(total > 0, total, np.nan))


def require_moves(ranks: PartnerRanks) -> None:
    """Refuse a design under which no partner can change places.

    Raises:
        InputError: if that is so.
    """
    if not ranks.moved:
        raise InputError(
            "No held-out partner can take the place of another: in every fold each group has a size or a stratum of "
            "its own. Use fewer folds, coarser strata, or groups of equal sizes."
        )
