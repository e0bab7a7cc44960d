"""Orders under which the items may be paired anew: free, whole groups, within labels, circular shifts.

A permutation test is exact when, under the null hypothesis, every order that it may draw is as likely as the order
that was seen. Which orders these are depends on how the items were collected, and nothing in the features tells it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError

Orders = np.ndarray[Any, np.dtype[np.int64]]
Labels = Sequence[Hashable] | np.ndarray[Any, Any]


def permutations(
    n: int,
    count: int,
    seed: int,
    *,
    groups: Labels | None = None,
    strata: Labels | None = None,
    circular: bool = False,
    within: bool = True,
) -> Orders:
    """Random orders of n items, one a row; the first rows do not depend on `count`.

    What each design assumes of the items under the null hypothesis that the two sides are unrelated:

    - default: items are exchangeable. Every one of the n! orders is equally likely. Wrong where items come in groups,
      in time, or twice (see `duplicates`): p-values then come out too small.
    - `groups`: whole groups are exchangeable (captions of one image, sentences of a document, trials of a subject).
      A group takes the place of another of the same size, so a size that occurs once stays where it is. With `within`
      the items of a group are shuffled too, which assumes that their order in the group means nothing.
    - `strata`: items are exchangeable inside each label only. The null then allows both sides to know the label, and
      tests whether they are alike beyond it. With `groups`, whole groups move inside their stratum.
    - `circular`: items are one stationary time series; the series is shifted, its end joined to its start. With
      `groups`, each group is a series of its own, shifted inside itself by its own random amount. Approximate by
      nature: the seam breaks one neighbourhood in time.

    Args:
        n: Number of items.
        count: Number of orders; 0 checks the design and draws none.
        seed: Seed; the same seed gives the same orders.
        groups: One group label an item.
        strata: One label an item.
        circular: Draw circular shifts instead of shuffles.
        within: Whether items inside a group are shuffled as well (used with `groups` alone or with `strata`).

    Returns:
        Array of shape (count, n). Shuffles are drawn with replacement from all that the design allows, the identity
        included; circular shifts of a single series without replacement and without the identity. Both make
        p = (1 + #{null >= observed}) / (count + 1) valid.

    Raises:
        InputError: if labels do not fit the items, if the design lets nothing move, or if more circular shifts are
            wanted than there are.
    """
    if n < 2 or count < 0:
        raise InputError(f"permutations needs at least 2 items and no negative count, found n={n} and count={count}.")
    rng = np.random.default_rng(seed)
    group = None if groups is None else _codes(groups, n, "groups")
    stratum = None if strata is None else _codes(strata, n, "strata")
    if circular:
        if stratum is not None:
            raise InputError("permutations: circular shifts inside strata are not defined; give the series as groups.")
        return _shifts(n, count, rng, group)
    if group is None:
        blocks = [np.arange(n)] if stratum is None else _members(stratum)
        if all(len(b) < 2 for b in blocks):
            raise InputError("permutations: every stratum has one item, so nothing can move. Use coarser strata.")
        return _shuffled_inside(blocks, n, count, rng)
    sets = _exchangeable_groups(group, stratum)
    orders = [_regrouped(sets, n, within, rng) for _ in range(count)]
    return np.array(orders, dtype=np.int64).reshape(count, n)


def log10_distinct(
    n: int,
    *,
    groups: Labels | None = None,
    strata: Labels | None = None,
    circular: bool = False,
    within: bool = True,
) -> float:
    """Decimal logarithm of how many orders a design allows: no p-value below 10 to the minus this can be had.

    Args:
        n: Number of items.
        groups: As in `permutations`.
        strata: As in `permutations`.
        circular: As in `permutations`.
        within: As in `permutations`.

    Raises:
        InputError: as `permutations`.
    """
    group = None if groups is None else _codes(groups, n, "groups")
    stratum = None if strata is None else _codes(strata, n, "strata")
    if circular:
        sizes = [n] if group is None else [len(m) for m in _members(group)]
        return sum(math.log10(size) for size in sizes)
    if group is None:
        sizes = [n] if stratum is None else [len(m) for m in _members(stratum)]
        return sum(_log10_factorial(size) for size in sizes)
    total = 0.0
    for exchangeable in _exchangeable_groups(group, stratum):
        total += _log10_factorial(len(exchangeable))
        if within:
            total += sum(_log10_factorial(len(members)) for members in exchangeable)
    return total


def _log10_factorial(k: int) -> float:
    return math.lgamma(k + 1) / math.log(10)


def _codes(labels: Labels, n: int, name: str) -> Orders:
    if len(labels) != n:
        raise InputError(f"permutations: {name} has {len(labels)} labels for {n} items; one each is needed.")
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.int64)


def _members(codes: Orders) -> list[Orders]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _shuffled_inside(blocks: list[Orders], n: int, count: int, rng: np.random.Generator) -> Orders:
    out = np.tile(np.arange(n, dtype=np.int64), (count, 1))
    for row in out:
        for block in blocks:
            if len(block) > 1:
                row[block] = rng.permutation(block)
    return out


def _exchangeable_groups(group: Orders, stratum: Orders | None) -> list[list[Orders]]:
    sets: dict[tuple[int, int], list[Orders]] = {}
    for members in _members(group):
        inside = 0
        if stratum is not None:
            if len(np.unique(stratum[members])) > 1:
                raise InputError(
                    "permutations: a group has items of several strata, so it cannot move inside one stratum. "
                    "Give each group one label, or leave one of the two designs out."
                )
            inside = int(stratum[members[0]])
        sets.setdefault((len(members), inside), []).append(members)
    if all(len(exchangeable) < 2 for exchangeable in sets.values()):
        sizes = sorted({len(m) for exchangeable in sets.values() for m in exchangeable})
        where = "" if stratum is None else " in one stratum"
        raise InputError(
            f"permutations: no two groups{where} have the same size (sizes {', '.join(map(str, sizes[:10]))}), so no "
            "group can take another's place. Cut the groups to equal sizes, or permute inside them with strata=."
        )
    return list(sets.values())


def _regrouped(sets: list[list[Orders]], n: int, within: bool, rng: np.random.Generator) -> Orders:
    out = np.arange(n, dtype=np.int64)
    for exchangeable in sets:
        sources = rng.permutation(len(exchangeable))
        for target, source in zip(exchangeable, sources, strict=True):
            taken = exchangeable[source]
            out[target] = rng.permutation(taken) if within else taken
    return out


def _shifts(n: int, count: int, rng: np.random.Generator, group: Orders | None) -> Orders:
    if group is None:
        if count > n - 1:
            raise InputError(
                f"permutations: a series of {n} items has {n - 1} circular shifts, {count} are wanted. "
                f"Ask for at most {n - 1}; the smallest p is then 1/{n}."
            )
        shifts = 1 + rng.permutation(n - 1)[:count]
        return (np.arange(n)[None, :] + shifts[:, None]) % n
    series = _members(group)
    if all(len(s) < 2 for s in series):
        raise InputError("permutations: every series has one item, so nothing can be shifted.")
    out = np.empty((count, n), dtype=np.int64)
    for row in out:
        for members in series:
            row[members] = np.roll(members, -int(rng.integers(len(members))))
    return out
