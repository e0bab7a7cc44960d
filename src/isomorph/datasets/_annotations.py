"""Labels and groups of the items that features belong to, given one by one or by the name of a label set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._core.checks import check_type
from ..design import as_labels
from ..errors import InputError
from ._base import PairedItems

GROUPS = "groups"
"""Names the items' own groups where a label set is asked for."""


def matching(items: PairedItems | None, ids: Sequence[str] | None, n: int) -> PairedItems | None:
    """The items that the rows of features belong to, in the order of the rows.

    Args:
        items: The items, or None if there are none to match.
        ids: Ids of the rows, or None where row i is item i.
        n: Number of rows.

    Raises:
        InputError: if these are no items, an id is not there, or there are no ids and not as many rows as items.

    Example:
        >>> items = PairedItems("pets", ("a", "b"), {}, {"kind": ("dog", "cat")})
        >>> matching(items, ["b", "a"], 2).labels["kind"]
        ('cat', 'dog')
    """
    check_type(items, "items", PairedItems, "what iso.load_dataset(…) gives")
    if items is None:
        return None
    if ids is not None:
        return items.subset(ids)
    if len(items) != n:
        raise InputError(f"items holds {len(items)} items but the features have {n} rows and no ids to join by.")
    return items


def read_labels(
    items: PairedItems | None, given: Any, n: int, argument: str, ids: Sequence[str] | None = None
) -> tuple[str, ...] | None:
    """One label an item.

    Args:
        items: Where names of label sets lead; `matching` put them in the order of the rows.
        given: One label an item, the name of a label set (``"groups"`` are the items' groups), or None.
        n: Number of items.
        argument: What `given` is called, for messages.
        ids: Ids of the rows, or None: a series with an index is read by them.

    Raises:
        InputError: if there is no such set, or as `as_labels`.

    Example:
        >>> items = PairedItems("pets", ("a", "b"), {}, {"kind": ("dog", "cat")})
        >>> read_labels(items, "kind", 2, "groups"), read_labels(None, [1, 2], 2, "groups")
        (('dog', 'cat'), ('1', '2'))
    """
    if given is None:
        return None
    if isinstance(given, str):
        if items is None:
            raise InputError(f"{argument}={given!r} names a label set of items=, which were not given.")
        own = items.groups if given == GROUPS and GROUPS not in items.labels else items.labels.get(given)
        if own is None:
            there = [*items.labels, *([GROUPS] if items.groups is not None else [])]
            raise InputError(f"{argument}={given!r}: items has no such labels; it has {', '.join(there) or 'none'}.")
        given = own
    return tuple(as_labels(given, n, argument, ids))
