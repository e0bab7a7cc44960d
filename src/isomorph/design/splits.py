"""Which items are held out: at random, whole labels (concepts never seen), or whole groups; nothing ever leaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from ..errors import InputError, quoted
from .labels import Codes, coded

Mask = np.ndarray[Any, np.dtype[np.bool_]]
BY = ("item", "label", "group")


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Rows that are fitted on and rows that are held out.

    Attributes:
        train: Rows to fit on, ascending.
        test: Rows held out, ascending.

    Example:
        >>> split = Split.of(np.array([False, True, False, True]))
        >>> split.train.tolist(), split.test.tolist()
        ([0, 2], [1, 3])
    """

    train: Codes
    test: Codes

    @classmethod
    def of(cls, held: Mask) -> Split:
        """The split that holds out where `held` is true."""
        return cls(np.flatnonzero(~held), np.flatnonzero(held))

    def require(self, least: int = 2) -> Split:
        """The split itself.

        Raises:
            InputError: if either part has fewer items than that.
        """
        if min(len(self.train), len(self.test)) < least:
            raise InputError(
                f"A split of {len(self.train) + len(self.test)} items into {len(self.train)} to fit on and "
                f"{len(self.test)} held out: at least {least} of each are needed, else there is nothing to fit or to "
                "score. Give more items, hold out another share, or hold out by something finer."
            )
        return self

    def inner(self, unit: Codes, fraction: float, seed: int) -> Split:
        """A split of the rows to fit on alone, for choices that must not see what is held out.

        Args:
            unit: What is held out as one, one number for each of all items.
            fraction: As in `drawn_split`.
            seed: As in `drawn_split`.

        Raises:
            InputError: as `drawn_split`.
        """
        own = np.unique(unit[self.train], return_inverse=True)[1].reshape(-1)
        nested = drawn_split(own, fraction, seed, 1)
        return Split(self.train[nested.train], self.train[nested.test])


def units(by: str, n: int, labels: Codes | None, groups: Codes | None) -> Codes:
    """What is held out as one: items, labels or groups. A group is never parted, whatever `by` says.

    Raises:
        InputError: if `by` is not known, or there are no such labels or groups.

    Example:
        >>> labels, groups = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
        >>> units("label", 4, labels, groups).tolist()  # group 1 ties labels 0 and 1 together
        [0, 0, 0, 1]
    """
    if by not in BY:
        raise InputError(f"by={by!r} is not known; use one of {', '.join(map(repr, BY))}.")
    own = {"item": np.arange(n), "label": labels, "group": groups}[by]
    if own is None:
        raise InputError(f"by={by!r} needs {by}s: give {by}s= one for each item, or items= that have them.")
    return own if groups is None else joint_units(own, groups)


def joint_units(own: Codes, groups: Codes) -> Codes:
    """Units merged where a group straddles them, so that neither is ever parted; in the order of the first of each.

    Example:
        >>> joint_units(np.array([0, 1, 2, 3]), np.array([0, 1, 1, 0])).tolist()
        [0, 1, 1, 0]
    """
    from scipy import sparse  # takes a while to import, and datasets without labels never need it
    from scipy.sparse import csgraph

    left, right = own, int(own.max()) + 1 + groups
    size = int(right.max()) + 1
    graph = sparse.coo_array((np.ones(len(own), dtype=np.int8), (left, right)), shape=(size, size))
    component = csgraph.connected_components(graph, directed=False)[1][own]
    return np.asarray(np.unique(component, return_inverse=True)[1], dtype=np.int64).reshape(-1)


def drawn_split(unit: Codes, fraction: float, seed: int, repeat: int) -> Split:
    """Hold out about `fraction` of the items, in whole units taken in random order.

    Args:
        unit: What is held out as one, one number an item.
        fraction: Share of the items.
        seed: Seed.
        repeat: Which of several splits.

    Raises:
        InputError: if one unit is all there is.

    Example:
        >>> drawn_split(np.array([0, 0, 1, 1, 2, 2]), 0.3, seed=0, repeat=0).test.tolist()
        [4, 5]
    """
    count = int(unit.max()) + 1
    if count < 2:
        raise InputError(
            "There is a single unit to hold out (every item hangs together with every other by label or group), so no "
            "part can be held out. Hold out by something finer."
        )
    order = np.random.default_rng([seed, repeat]).permutation(count)
    reached = np.cumsum(np.bincount(unit)[order])
    taken = int(np.argmin(np.abs(reached - fraction * len(unit)))) + 1
    return Split.of(np.isin(unit, order[: min(taken, count - 1)]))


def share_of_units(
    unit: Codes, fraction: float, seed: int | Sequence[int], strata: Codes | None = None, least: int = 0
) -> Mask:
    """The items of a random share of the units, however many items these have.

    Args:
        unit: What keeps together, one number an item.
        fraction: Share of the units.
        seed: Seed.
        strata: One number an item, the same in all of a unit; each gives its share of units. None: no matter which.
        least: Units to take where the share would be fewer.

    Raises:
        InputError: if none or all of the units would be taken.

    Example:
        >>> share_of_units(np.array([0, 0, 0, 1]), 0.5, seed=0).tolist()
        [True, True, True, False]
    """
    count = int(unit.max()) + 1
    wanted = max(least, round(fraction * count))
    if not 0 < wanted < count:
        raise InputError(f"A split with fraction={fraction:g} of {count} units leaves one part empty.")
    order = np.random.default_rng(seed).permutation(count)
    if strata is None:
        return np.isin(unit, order[:wanted])
    stratum = np.zeros(count, dtype=np.int64)
    stratum[unit] = strata
    order = order[np.argsort(stratum[order], kind="stable")]
    steps = np.arange(count + 1) * wanted // count  # every so many in a row of one label after the other
    return np.isin(unit, order[np.diff(steps) > 0])


def chosen_split(test: Any, n: int, ids: Sequence[str] = (), kept: Mapping[str, Codes | None] | None = None) -> Split:
    """A split that the user chose.

    Args:
        test: Ids or row numbers of the items to hold out.
        n: Number of items.
        ids: One id an item, if they have any.
        kept: What may not be parted, such as ``"group"`` -> one number an item.

    Raises:
        InputError: if an entry is not known or given twice, a part is empty, or something that may not be parted has
            items on both sides.

    Example:
        >>> chosen_split(["c", "d"], 4, ids="abcd").train.tolist()
        [0, 1]
    """
    entries = to_numpy(test).tolist() if hasattr(test, "__array__") else test
    if isinstance(entries, str | bytes | Mapping) or not isinstance(entries, Iterable):
        raise InputError(f"test must be a list of {'ids or ' if len(ids) else ''}row numbers, found {quoted(test)}.")
    where = {id_: i for i, id_ in enumerate(ids)}
    rows = []
    for entry in entries:
        whole = isinstance(entry, (int, np.integer)) and not isinstance(entry, bool)
        row = int(entry) if whole else where.get(str(entry), -1)
        if not 0 <= row < n:
            what = "neither an id nor a row" if len(ids) else f"no row, which are 0 to {n - 1},"
            raise InputError(f"test names {entry!r}, which is {what} of the {n} items.")
        rows.append(row)
    if len(set(rows)) < len(rows):
        raise InputError("test names an item twice.")
    if not 0 < len(rows) < n:
        raise InputError(f"test holds {len(rows)} of {n} items; both parts need some.")
    held = np.isin(np.arange(n), rows)
    for what, code in (kept or {}).items():
        if code is not None and len(both := np.intersect1d(code[held], code[~held])):
            one = [int(np.flatnonzero((code == both[0]) & side)[0]) for side in (held, ~held)]
            inside, outside = (repr(ids[i]) if len(ids) else f"row {i}" for i in one)
            raise InputError(
                f"test leaks: {len(both)} {what}{'s have' if len(both) > 1 else ' has'} items on both sides of the "
                f"split, such as the one of {inside} (held out) and {outside} (fitted on). Hold out whole {what}s, or "
                f"let them be drawn: whole {what}s are then held out."
            )
    return Split.of(held)


def fold_of_items(n: int, folds: int, seed: int = 0, groups: Any = None) -> Codes:
    """The fold in which each item is held out: folds of nearly equal size, drawn by seed, never parting a group.

    Args:
        n: Number of items.
        folds: Number of folds.
        seed: Seed of the draw.
        groups: Labels (n,) of items that must be held out together, such as the captions of one image.

    Returns:
        Integers (n,) in [0, folds).

    Raises:
        InputError: if there are fewer items or groups than folds, or `groups` are not one an item.

    Example:
        >>> fold_of_items(6, 3, groups=["a", "a", "b", "b", "c", "c"]).tolist()
        [1, 1, 2, 2, 0, 0]
    """
    rng = np.random.default_rng(seed)
    unit = None if groups is None else coded(groups, n, "groups", "value")
    count, what = (n, "items") if unit is None else (int(unit.max()) + 1, "groups")
    if count < folds:
        raise InputError(f"{folds} folds need at least {folds} {what}, found {count}; lower folds.")
    drawn, fold = rng.permutation(count), np.empty(count, dtype=np.int64)
    if unit is None:
        fold[drawn] = np.arange(n) % folds
        return fold
    sizes, load = np.bincount(unit), np.zeros(folds)
    for g in drawn[np.argsort(-sizes[drawn], kind="stable")]:  # the largest first, each to the emptiest fold
        fold[g] = int(np.argmin(load))
        load[fold[g]] += sizes[g]
    return fold[unit]
