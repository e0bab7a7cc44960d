"""Which items of a scan may change places: from groups and labels that the user gives, or that the items have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..datasets import GROUPS, PairedItems, matching, read_labels
from ..design import Design
from ..errors import InputError


def design_of(
    items: PairedItems | None,
    ids: Sequence[str] | None,
    n: int,
    *,
    groups: Sequence[Any] | str | None,
    strata: Sequence[Any] | str | None,
    circular: bool,
    within: bool,
) -> Design:
    """The design of a scan of these items.

    Args:
        items: Where names of label sets lead, and where groups come from if none are given.
        ids: Ids of the items that are scanned, or None if these are `items` row by row.
        n: How many are scanned.
        groups: One group an item, the name of a label set of `items`, or None.
        strata: One label an item, the name of a label set of `items`, or ``"groups"`` for the items' own groups.
        circular: As in `permutations`.
        within: As in `permutations`.

    Raises:
        InputError: if labels or groups do not fit the items, or the design lets nothing move.

    Example:
        >>> design = design_of(None, None, 4, groups=["a", "a", "b", "b"], strata=None, circular=False, within=True)
        >>> print(design)
        permuted as whole groups (2 groups)
    """
    items = matching(items, ids, n)
    if items is not None and groups is None and strata != GROUPS:
        groups = items.groups
    own = read_labels(items, groups, n, "groups", ids)
    if circular and own is not None and len(set(own)) == 1:
        own = None  # one group that is one series is a series
    if not within and own is None:
        raise InputError(
            "within=False keeps the order of the items inside their groups, but there are no groups. Give groups=, or "
            "circular=True if all items are one series in time."
        )
    design = Design(own, read_labels(items, strata, n, "strata", ids), circular, within)
    design.orders(n, 0, 0)
    return design


def check_shifts(design: Design, n: int, alpha: float) -> None:
    """Check that shifts of one series can give a p of `alpha` at all.

    Raises:
        InputError: if there are too few of them.

    Example:
        >>> check_shifts(Design(circular=True), 100, 0.05)  # 99 shifts are enough
        >>> check_shifts(Design(circular=True), 10, 0.05)
        Traceback (most recent call last):
            ...
        isomorph.errors.InputError: circular=True: a series of 10 items has 9 shifts, which cannot give a p ...
    """
    least = math.ceil(1 / alpha - 1e-9)
    if design.series and n < least:
        raise InputError(
            f"circular=True: a series of {n} items has {n - 1} shifts, which cannot give a p of alpha={alpha} or less. "
            f"At least {least} items are needed, or a larger alpha."
        )
