"""Matrices over pairs of models (dyads): checked, laid out as vectors, and intervals of figures made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.checks import is_share
from .._core.distributions import t_isf
from ..errors import InputError, quoted

Floats = np.ndarray[Any, Any]
_SHOWN = 5  # pairs or names that a message lists


class Interval(NamedTuple):
    """Where a figure would lie if the items, the models or both had been drawn anew.

    Attributes:
        low: Lower end, in the units of the figure.
        high: Upper end.
        error: Standard error.
        degrees: Degrees of freedom of the t quantile; infinite for a normal one.

    Example:
        >>> found = Interval.of(0.2, error=0.05, degrees=9)
        >>> round(found.low, 3), round(found.high, 3)
        (0.087, 0.313)
    """

    low: float
    high: float
    error: float
    degrees: float

    @classmethod
    def of(cls, value: float, error: float, degrees: float, alpha: float = 0.05) -> Interval:
        """The figure plus and minus the t quantile of its standard error, covering 1 - alpha."""
        quantile = t_isf(alpha / 2, degrees)
        return cls(float(value - quantile * error), float(value + quantile * error), float(error), float(degrees))


def as_alpha(alpha: Any) -> float:
    """A level of error, checked.

    Raises:
        InputError: if it is no number between 0 and 1.

    Example:
        >>> as_alpha(0.05)
        0.05
    """
    if not is_share(alpha):
        raise InputError(f"alpha={quoted(alpha)} must be a number between 0 and 1, such as alpha=0.05.")
    return float(alpha)


def as_square(matrix: Any, what: str) -> Floats:
    """A symmetric matrix over models, its diagonal set to 0, NaN where a pair was not compared.

    Args:
        matrix: Numbers (models, models).
        what: The argument's name, for messages.

    Raises:
        InputError: if it is not square, not symmetric, or holds anything but finite numbers and NaN.
    """
    try:
        found = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as reason:
        raise InputError(f"{what} takes numbers (models, models), found {quoted(matrix)}.") from reason
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise InputError(
            f"{what} has shape {found.shape}; one row and one column a model, (models, models), is needed."
        )
    np.fill_diagonal(found, 0.0)
    if np.isinf(found).any():
        i, j = np.argwhere(np.isinf(found))[0]
        raise InputError(f"{what} is infinite for the models {i} and {j}; give NaN where a pair was not compared.")
    # what was computed in two orders of summation differs by rounding
    largest = float(np.nanmax(np.abs(found), initial=0.0))
    if not np.allclose(found, found.T, rtol=0, atol=1e-6 * largest, equal_nan=True):
        raise InputError(
            f"{what} is not symmetric; give one value a pair of models, such as the mean ({what} + {what}.T) / 2."
        )
    return np.asarray((found + found.T) / 2)


def require_compared(matrix: Floats, models: Sequence[int], what: str, names: Sequence[str] | None = None) -> None:
    """Refuse a matrix in which two of the models were not compared.

    Raises:
        InputError: if so; the pairs are named.
    """
    at = np.asarray(models)
    missing = np.argwhere(np.triu(np.isnan(matrix[np.ix_(at, at)]), 1))
    if len(missing):
        called = [str(m) for m in at] if names is None else [names[m] for m in at]
        pairs = ", ".join(f"{called[i]} × {called[j]}" for i, j in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise InputError(
            f"{what}: {len(missing)} of the pairs that are needed were not compared ({pairs}{more}). "
            "Compare all pairs of these models, or leave some of the models out."
        )


def as_names(names: Any, models: int) -> tuple[str, ...]:
    """One name a model; numbers where none are given.

    Raises:
        InputError: if they are not as many as the models, or one is there twice.
    """
    found = tuple(map(str, range(models) if names is None else names))
    if len(found) != models or len(set(found)) != models:
        raise InputError(
            f"names: {models} different names are needed, one a model, found {len(found)} ({quoted(list(found))})."
        )
    return found


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: "a", "a and b", "a, b and c"."""
    few = [*names[:_SHOWN], f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN + 1 else list(names)
    return few[0] if len(few) == 1 else f"{', '.join(few[:-1])} and {few[-1]}"


def pairs_of(models: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The pairs i < j of models as two index vectors, in the order that vectors over pairs have."""
    return np.triu_indices(models, 1)


def as_matrices(values: Any, models: int) -> Floats:
    """Vectors over pairs (…, pairs) as symmetric matrices (…, models, models) with 0 on the diagonal.

    Raises:
        InputError: if there are not models (models - 1) / 2 values.

    Example:
        >>> as_matrices([1.0, 2.0, 3.0], 3).tolist()
        [[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]
    """
    values = np.asarray(values, dtype=np.float64)
    i, j = pairs_of(models)
    if values.ndim == 0 or values.shape[-1] != len(i):
        raise InputError(f"values has shape {values.shape}; {len(i)} pairs of {models} models are needed at its end.")
    out = np.zeros((*values.shape[:-1], models, models))
    out[..., i, j] = values
    out[..., j, i] = values
    return out


def as_influence(influence: Any, models: int) -> Floats:
    """Influence of every item on every pair of models (items, pairs), NaN where it is not known.

    Raises:
        InputError: if its shape is another, or there are fewer than two items.
    """
    found = np.asarray(influence, dtype=np.float64)
    count = models * (models - 1) // 2
    if found.ndim != 2 or found.shape[1] != count or found.shape[0] < 2:
        raise InputError(
            f"influence has shape {found.shape}; (items, {count}) is needed, a column for each pair of the {models} "
            "models in the order of np.triu_indices(models, 1), and at least 2 items."
        )
    return found
