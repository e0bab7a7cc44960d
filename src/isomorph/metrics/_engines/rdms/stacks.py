"""What a user gives as RDMs, read as one table of condensed RDMs, and two such tables joined by the names of items."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...._core.arrays import to_numpy
from ...._core.progress import notice
from ....errors import InputError, quoted
from .files import Rdms
from .vectors import n_items, permuted_index

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SAME = 1e-6  # relative difference of the two triangles up to which a square RDM is symmetric: that of float32
_POSITIONS = "index"  # a descriptor that rsatoolbox writes by itself: places, no names


def rdm_pair(a: Any, b: Any, by: str | None = None) -> tuple[Floats, Floats]:
    """Two tables of condensed RDMs over the same items in the same order, (RDMs, n (n - 1) / 2).

    Args:
        a: A condensed RDM, several as rows, a square RDM, a stack of square ones (RDMs, n, n), or `Rdms`.
        b: The same; where both are `Rdms` that name their items, joined by these names.
        by: Which descriptor of the items holds the names; by default the only one that both share.

    Raises:
        InputError: if one holds no RDMs of 3 items, both are of other items, or the names do not tell items apart.
    """
    first, second = (rdm_stack(v, name) for v, name in ((a, "a"), (b, "b")))
    if isinstance(a, Rdms) and isinstance(b, Rdms):
        name = _descriptor(a, b, by)
        if name is not None:
            return _joined(first, second, *(_names(v, name, which) for v, which in ((a, "a"), (b, "b"))))
    elif by is not None:
        raise InputError(f"by={quoted(by)} names a descriptor of items; only Rdms have them, so a and b must be Rdms.")
    if first.shape[1] != second.shape[1]:
        sizes = [n_items(s.shape[1]) for s in (first, second)]
        raise InputError(
            f"a has RDMs of {sizes[0]} items and b of {sizes[1]}; both must be of the same items in the same order. "
            "Rdms that name their items are joined by name: Rdms(values, items={'id': […]})."
        )
    return first, second


def rdm_stack(v: Any, name: str) -> Floats:
    """Condensed RDMs as rows.

    A square matrix is one square RDM, never as many condensed ones.

    Raises:
        InputError: if it holds no finite RDMs of at least 3 items, or a square one is no RDM.
    """
    values = np.asarray(v.dissimilarities if isinstance(v, Rdms) else to_numpy(v), dtype=np.float64)
    if not (np.isfinite(values).all() and 1 <= values.ndim <= 3 and values.size):
        what = "missing or infinite entries" if values.size and 1 <= values.ndim <= 3 else f"shape {values.shape}"
        raise InputError(
            f"{name} has {what}; finite RDMs are needed: condensed ones of shape (n_rdms, n (n - 1) / 2) or square "
            "ones of shape (n_rdms, n, n)."
        )
    if not isinstance(v, Rdms) and values.ndim > 1 and values.shape[-1] == values.shape[-2]:
        values = values[None] if values.ndim == 2 else values
        stack = np.stack([_condensed(square, name) for square in values])
    elif values.ndim == 3:
        raise InputError(f"{name} has shape {values.shape}; a stack of square RDMs has the shape (n_rdms, n, n).")
    else:
        stack = np.atleast_2d(values)
    if n_items(stack.shape[1], name) < 3:
        raise InputError(f"{name} has RDMs of fewer than 3 items; there is no pattern in a single dissimilarity.")
    return stack


def is_square_rdm(values: Any) -> bool:
    """Whether a host matrix is square and symmetric with a zero diagonal and nothing below zero, but not all zero."""
    v = np.asarray(values)
    if v.ndim != 2 or v.shape[0] != v.shape[1] or len(v) < 3 or np.any(np.diagonal(v)):
        return False
    largest = float(np.abs(v).max())
    return bool(largest > 0 and v.min() >= 0 and np.allclose(v, v.T, rtol=0, atol=_SAME * largest))


def _condensed(square: Floats, name: str) -> Floats:
    n = len(square)
    largest = float(np.abs(square).max(initial=0.0))
    lopsided = not np.allclose(square, square.T, rtol=0, atol=_SAME * largest)
    if n < 2 or lopsided or np.any(np.abs(np.diagonal(square)) > _SAME * largest):
        what = "is not symmetric" if lopsided else "has no zero diagonal"
        raise InputError(
            f"{name} is square, shape {square.shape}, and {what}, so it is no RDM of {n} items. If its rows are "
            f"{n} condensed RDMs, pass them as Rdms(rows) (isomorph.metrics.rdm), which reads no square matrices."
        )
    return np.asarray(square[np.triu_indices(n, 1)])


def _descriptor(a: Rdms, b: Rdms, by: str | None) -> str | None:
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


def _names(rdms: Rdms, by: str, which: str) -> list[str]:
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
