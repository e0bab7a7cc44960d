"""Orders under which the items may be paired anew: free, whole groups, within labels, circular shifts.

A permutation test is exact when, under the null hypothesis, every order that it may draw is as likely as the order
that was seen. Which orders these are depends on how the items were collected, and nothing in the features tells it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .._core.checks import check_flag
from ..errors import InputError
from .labels import Codes, Labels, coded, label_text, rows_by_code
from .splits import share_of_units

Orders = np.ndarray[Any, np.dtype[np.int64]]


@dataclasses.dataclass(frozen=True, eq=False)
class Design:
    """Which items may change places under the null hypothesis: the design arguments of `permutations`, kept together.

    Attributes:
        groups: One group an item, or None.
        strata: One label an item, or None.
        circular: Whether items are one time series (with `groups`, one a group) that is shifted.
        within: Whether items inside a group are shuffled as well.

    Example:
        >>> design = Design(groups=["a", "a", "b", "b"], within=False)
        >>> print(design)
        permuted as whole groups (2 groups, each in order)
        >>> design.orders(4, 3, seed=3).tolist()
        [[2, 3, 0, 1], [0, 1, 2, 3], [0, 1, 2, 3]]
    """

    groups: Labels | None = None
    strata: Labels | None = None
    circular: bool = False
    within: bool = True

    @property
    def free(self) -> bool:
        """Whether every order is allowed; exact nulls hold for this design only."""
        return self.groups is None and self.strata is None and not self.circular

    @property
    def series(self) -> bool:
        """Whether all items are one time series, so that no two of them are independent."""
        return self.circular and self.groups is None

    def orders(self, n: int, count: int, seed: int) -> Orders:
        """`permutations` under this design; 0 of them checks it.

        Raises:
            InputError: as `permutations`.
        """
        return self.drawn(n, count, seed)[:]

    def drawn(self, n: int, count: int, seed: int) -> DrawnOrders:
        """The same orders, drawn while they are used.

        Raises:
            InputError: as `permutations`.
        """
        return _drawn(self, n, count, seed)

    def log10_distinct(self, n: int) -> float:
        """`log10_distinct` under this design.

        Raises:
            InputError: as `permutations`.
        """
        return log10_distinct(n, groups=self.groups, strata=self.strata, circular=self.circular, within=self.within)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Design:
        """The design of some of the items, in the order of `rows`."""
        groups, strata = (None if v is None else [v[int(r)] for r in rows] for v in (self.groups, self.strata))
        return dataclasses.replace(self, groups=groups, strata=strata)

    def part(self, n: int, fraction: float, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """About `fraction` of the items, in whole groups and evenly over labels; of one series, its beginning.

        Raises:
            InputError: if a part would be empty, or as `permutations`.
        """
        unit = np.arange(n) if self.groups is None else coded(self.groups, n, "groups")
        if self.series:
            return np.arange(n) < np.count_nonzero(share_of_units(unit, fraction, seed))
        return share_of_units(unit, fraction, seed, None if self.strata is None else coded(self.strata, n, "strata"))

    def __str__(self) -> str:
        groups, labels = (None if v is None else len(set(map(label_text, v))) for v in (self.groups, self.strata))
        if self.circular:
            return "shifted in a circle as " + (
                "one series" if groups is None else f"one series a group ({groups} groups)"
            )
        if self.free:
            return "permuted freely"
        whole = (
            "" if groups is None else f" as whole groups ({groups} groups{'' if self.within else ', each in order'})"
        )
        return f"permuted{whole}" + ("" if labels is None else f" within labels ({labels} labels)")


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

    Example:
        >>> permutations(4, 2, seed=0).shape
        (2, 4)
        >>> permutations(4, 2, seed=3, strata=["a", "a", "b", "b"]).tolist()
        [[1, 0, 2, 3], [0, 1, 2, 3]]
    """
    return Design(groups, strata, circular, within).drawn(n, count, seed)[:]


class DrawnOrders:
    """Random orders of n items that are drawn while they are used, so that few of very many are held at a time.

    Taken like an array of shape (count, n), by slices of its rows; going on from where the last slice ended costs
    nothing, going back draws anew.
    """

    def __init__(self, n: int, count: int, rows: Callable[[], Iterator[Orders]]) -> None:
        self.shape = (count, n)
        self._rows = rows
        self._at, self._drawing = 0, rows()

    def __reduce__(self) -> Any:
        return DrawnOrders, (self.shape[1], self.shape[0], self._rows)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice) -> Orders:
        start, stop, _ = which.indices(len(self))
        if start < self._at:
            self._at, self._drawing = 0, self._rows()
        for _ in range(start - self._at):
            next(self._drawing)
        out = np.empty((max(stop - start, 0), self.shape[1]), dtype=np.int64)
        for row in out:
            row[:] = next(self._drawing)
        self._at = max(start, stop)
        return out


def _drawn(design: Design, n: int, count: int, seed: int) -> DrawnOrders:
    groups, strata, circular, within = design.groups, design.strata, design.circular, design.within
    if n < 2 or count < 0:
        raise InputError(f"permutations needs at least 2 items and no negative count, found n={n} and count={count}.")
    check_flag(circular, "circular")
    check_flag(within, "within")
    group = None if groups is None else coded(groups, n, "groups")
    stratum = None if strata is None else coded(strata, n, "strata")
    if circular:
        if stratum is not None:
            raise InputError("permutations: circular shifts inside strata are not defined; give the series as groups.")
        return DrawnOrders(n, count, _shifts(n, count, seed, group))
    if group is None:
        blocks = [np.arange(n)] if stratum is None else rows_by_code(stratum)
        if all(len(b) < 2 for b in blocks):
            raise InputError("permutations: every stratum has one item, so nothing can move. Use coarser strata.")
        return DrawnOrders(n, count, functools.partial(_shuffled_inside, blocks, n, seed))
    sets = _exchangeable_groups(group, stratum)
    return DrawnOrders(n, count, functools.partial(_regrouped, sets, n, within, seed))


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

    Example:
        >>> round(10 ** log10_distinct(4, groups=["a", "a", "b", "b"]))  # two orders of the groups, two inside each
        8
    """
    group = None if groups is None else coded(groups, n, "groups")
    stratum = None if strata is None else coded(strata, n, "strata")
    if circular:
        sizes = [n] if group is None else [len(m) for m in rows_by_code(group)]
        return sum(math.log10(size) for size in sizes)
    if group is None:
        sizes = [n] if stratum is None else [len(m) for m in rows_by_code(stratum)]
        return sum(_log10_factorial(size) for size in sizes)
    total = 0.0
    for exchangeable in _exchangeable_groups(group, stratum):
        total += _log10_factorial(len(exchangeable))
        if within:
            total += sum(_log10_factorial(len(members)) for members in exchangeable)
    return total


def _log10_factorial(k: int) -> float:
    return math.lgamma(k + 1) / math.log(10)


def _shuffled_inside(blocks: list[Codes], n: int, seed: int) -> Iterator[Orders]:
    rng = np.random.default_rng(seed)
    while True:
        row = np.arange(n, dtype=np.int64)
        for block in blocks:
            if len(block) > 1:
                row[block] = rng.permutation(block)
        yield row


def _exchangeable_groups(group: Codes, stratum: Codes | None) -> list[list[Codes]]:
    sets: dict[tuple[int, int], list[Codes]] = {}
    for members in rows_by_code(group):
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


def _regrouped(sets: list[list[Codes]], n: int, within: bool, seed: int) -> Iterator[Orders]:
    rng = np.random.default_rng(seed)
    while True:
        out = np.arange(n, dtype=np.int64)
        for exchangeable in sets:
            sources = rng.permutation(len(exchangeable))
            for target, source in zip(exchangeable, sources, strict=True):
                taken = exchangeable[source]
                out[target] = rng.permutation(taken) if within else taken
        yield out


def _shifts(n: int, count: int, seed: int, group: Codes | None) -> Callable[[], Iterator[Orders]]:
    if group is None:
        if count > n - 1:
            raise InputError(
                f"permutations={count}: a series of {n} items has {n - 1} circular shifts only. "
                f"Ask for at most {n - 1}; the smallest p is then 1/{n}."
            )
        return functools.partial(_shifted, n, seed)
    series = rows_by_code(group)
    if all(len(s) < 2 for s in series):
        raise InputError("permutations: every series has one item, so nothing can be shifted.")
    return functools.partial(_series_shifted, series, n, seed)


def _shifted(n: int, seed: int) -> Iterator[Orders]:
    for shift in np.random.default_rng(seed).permutation(n - 1):
        yield (np.arange(n) + 1 + shift) % n


def _series_shifted(series: list[Codes], n: int, seed: int) -> Iterator[Orders]:
    rng = np.random.default_rng(seed)
    while True:
        row = np.arange(n, dtype=np.int64)
        for members in series:
            row[members] = np.roll(members, -int(rng.integers(len(members))))
        yield row
