"""What a user gives as RDMs, read as one table of condensed RDMs, and two such tables joined by the names of items."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...._core.arrays import to_numpy
from ...._core.progress import notice
from ...._core.rdm import Rdm
from ....errors import InputError, quoted
from .collection import RDMs
from .squares import condensed_stack
from .vectors import n_items, permuted_index

Floats = np.ndarray[Any, np.dtype[np.float64]]

_POSITIONS = "index"  # a descriptor that rsatoolbox writes by itself: places, no names


def rdm_pair(a: Any, b: Any, by: str | None = None) -> tuple[Floats, Floats]:
    """Two tables of condensed RDMs over the same items in the same order, (RDMs, n (n - 1) / 2).

    Args:
        a: A condensed RDM, several as rows, a square RDM, a stack of square ones (RDMs, n, n), or `RDMs`.
        b: The same; where both are `RDMs` that name their items, joined by these names.
        by: Which descriptor of the items holds the names; by default the only one that both share.

    Raises:
        InputError: if one holds no RDMs of 3 items, both are of other items, or the names do not tell items apart.
    """
    first, second = (rdm_stack(v, name) for v, name in ((a, "a"), (b, "b")))
    if isinstance(a, RDMs) and isinstance(b, RDMs):
        name = _descriptor(a, b, by)
        if name is not None:
            return _joined(first, second, *(_names(v, name, which) for v, which in ((a, "a"), (b, "b"))))
    elif by is not None:
        raise InputError(f"by={quoted(by)} names a descriptor of items; only RDMs have them, so a and b must be RDMs.")
    if first.shape[1] != second.shape[1]:
        sizes = [n_items(s.shape[1]) for s in (first, second)]
        raise InputError(
            f"a has RDMs of {sizes[0]} items and b of {sizes[1]}; both must be of the same items in the same order. "
            "RDMs that name their items are joined by name: RDMs(values, items={'id': […]})."
        )
    return first, second


def rdm_stack(v: Any, name: str) -> Floats:
    """Condensed RDMs as rows, NaN where a dissimilarity was not measured.

    Raises:
        InputError: as `condensed_stack`.
    """
    if not isinstance(v, RDMs):
        return condensed_stack(v.condensed if isinstance(v, Rdm) else to_numpy(v), name)
    rows = v.dissimilarities
    return np.concatenate([condensed_stack(row, name) for row in rows]) if len(rows) else condensed_stack(rows, name)


def _descriptor(a: RDMs, b: RDMs, by: str | None) -> str | None:
    shared = [k for k in a.items if k in b.items and k != _POSITIONS]
    if by is not None:
        if not (by in a.items and by in b.items):
            raise InputError(
                f"by={quoted(by)} is no descriptor of the items of both a and b; "
                + (f"both have {', '.join(map(repr, shared))}." if shared else "they share none.")
            )
        return by
    if len(shared) > 1 and len({tuple(_matches(a.items[k], b.items[k])) for k in shared}) > 1:
        raise InputError(
            f"a and b name their items in several ways that pair them differently, {', '.join(map(repr, shared))}; "
            f"say which one to join by, such as by={shared[0]!r}."
        )
    return shared[0] if shared else None


def _matches(a: Any, b: Any) -> list[int]:
    where = {str(v): i for i, v in enumerate(b)}
    return [where.get(str(v), -1) for v in a]


def _names(rdms: RDMs, by: str, which: str) -> list[str]:
    names = [str(v) for v in rdms.items[by]]
    if len(set(names)) < len(names):
        twice = next(v for i, v in enumerate(names) if v in names[:i])
        raise InputError(
            f"{which} has two items whose {by!r} is {quoted(twice)}, so items cannot be joined by it. Name another "
            "descriptor with by=, or average such items first."
        )
    return names


def _joined(first: Floats, second: Floats, a: list[str], b: list[str]) -> tuple[Floats, Floats]:
    if a == b:
        return first, second
    common = [v for v in a if v in set(b)]
    if len(common) < 3:
        raise InputError(f"a and b have {len(common)} items of the same name; at least 3 are needed.")
    if len(common) < max(len(a), len(b)):
        notice(f"compare_rdms: {len(a) - len(common)} items of a and {len(b) - len(common)} of b have no partner.")
    out = []
    for stack, names in ((first, a), (second, b)):
        place = {v: i for i, v in enumerate(names)}
        chosen = np.array([place[v] for v in common])
        out.append(stack[:, permuted_index(chosen, len(names))])
    return out[0], out[1]
