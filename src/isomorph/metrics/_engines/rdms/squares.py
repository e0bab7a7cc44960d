"""Square RDMs: what makes a matrix one, and its condensed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import InputError
from .vectors import n_items

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SAME = 1e-6  # relative difference of the two triangles up to which a square RDM is symmetric: that of float32
_ROUNDING = 1e-9  # share of the largest entry below which a negative one is rounding
_STACK = "condensed ones of shape (n_rdms, n (n - 1) / 2) or square ones of shape (n_rdms, n, n)"


def is_square_rdm(values: Any) -> bool:
    """Whether a host matrix is square and symmetric with a zero diagonal and nothing below zero, but not all zero."""
    v = np.asarray(values)
    if v.ndim != 2 or v.shape[0] != v.shape[1] or len(v) < 3 or np.any(np.diagonal(v)):
        return False
    largest = float(np.abs(v).max())
    return bool(largest > 0 and v.min() >= 0 and np.allclose(v, v.T, rtol=0, atol=_SAME * largest))


def condensed_stack(given: Any, name: str) -> Floats:
    """RDMs as rows (n_rdms, n (n - 1) / 2): a condensed one, several as rows, a square one or a stack of square ones.

    A square matrix is one square RDM, never as many condensed ones. Entries may be NaN: they were not measured.

    Raises:
        InputError: if it holds no RDMs of at least 3 items, an entry is infinite, or a square one is no RDM.
    """
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as reason:
        raise InputError(f"{name} holds no numbers; RDMs are needed: {_STACK}.") from reason
    if np.isinf(values).any() or not (1 <= values.ndim <= 3 and values.size):
        what = "infinite entries" if values.size and 1 <= values.ndim <= 3 else f"shape {values.shape}"
        raise InputError(f"{name} has {what}; RDMs are needed: {_STACK}.")
    if values.ndim > 1 and values.shape[-1] == values.shape[-2]:
        values = values[None] if values.ndim == 2 else values
        stack = np.stack([_condensed(square, name) for square in values])
    elif values.ndim == 3:
        raise InputError(
            f"{name} has shape {values.shape}, which is not square; a stack of square RDMs has the shape "
            "(n_rdms, n, n)."
        )
    else:
        stack = np.atleast_2d(values)
    if n_items(stack.shape[1], f"{name}, of shape {values.shape}, is not square: a condensed RDM in it") < 3:
        raise InputError(f"{name} has RDMs of fewer than 3 items; there is no pattern in a single dissimilarity.")
    return stack


def require_positive(stack: Floats, name: str) -> None:
    """Refuse negative dissimilarities.

    Raises:
        InputError: if there is one beyond rounding.
    """
    known = stack[~np.isnan(stack)]
    below = known < -_ROUNDING * np.abs(known).max(initial=0.0)
    if below.any():
        raise InputError(
            f"{name} has {int(below.sum())} negative entries, the lowest {known.min():.3g}; dissimilarities are 0 or "
            "more. If these are similarities s, pass 1 - s; if they are cross-validated distances (crossnobis), of "
            "which chance makes some negative, pass negative=True."
        )


def _condensed(square: Floats, name: str) -> Floats:
    """The upper triangle of a square RDM.

    Raises:
        InputError: if it is not symmetric, or its diagonal is not zero.
    """
    n = len(square)
    largest = float(np.abs(square[~np.isnan(square)]).max(initial=0.0))
    diagonal = np.diagonal(square)
    if not np.allclose(square, square.T, rtol=0, atol=_SAME * largest, equal_nan=True):
        raise InputError(
            f"{name} is square, shape {square.shape}, and is not symmetric, so it is no RDM of {n} items. If its rows "
            f"are {n} condensed RDMs, pass them as RDMs(rows), which reads no square matrices; if only one triangle "
            f"is filled, pass {name} + {name}.T."
        )
    if np.isnan(diagonal).any():
        raise InputError(
            f"{name} has NaN on its diagonal; an item's dissimilarity to itself is 0: np.fill_diagonal({name}, 0)."
        )
    if n < 2 or np.any(np.abs(diagonal) > _SAME * largest):
        hint = " Its diagonal is 1, as that of similarities s is: pass 1 - s." if np.allclose(diagonal, 1) else ""
        raise InputError(
            f"{name} is square, shape {square.shape}, and has no zero diagonal, so it is no RDM of {n} items.{hint}"
        )
    return np.asarray(square[np.triu_indices(n, 1)])
