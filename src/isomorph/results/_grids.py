"""Results that are grids as datasets of xarray, where that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import MissingExtraError

Variables = Mapping[str, tuple[Sequence[str], Any]]
"""Name -> its dimensions and its numbers."""


def dataset(variables: Variables, labels: Mapping[str, Sequence[str]], settings: Mapping[str, Any]) -> Any:
    """A dataset of xarray.

    Args:
        variables: Name -> dimensions and numbers; None for numbers that a result does not hold, which are left out.
        labels: Dimension -> its labels.
        settings: Names and single values, kept as the dataset's attributes; those that are None are left out, and
            truths become 0 and 1, so that it can be written as NetCDF.

    Raises:
        MissingExtraError: if xarray is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        raise MissingExtraError("to_xarray()", "xarray", "grids") from error
    held = {name: (tuple(dims), np.asarray(v)) for name, (dims, v) in variables.items() if v is not None}
    kept = {k: int(v) if isinstance(v, bool) else v for k, v in settings.items() if v is not None}
    return xarray.Dataset(held, {dim: list(names) for dim, names in labels.items()}, kept)


def stacked(arrays: Sequence[Any], shape: Sequence[int]) -> Any:
    """Arrays of one shape along a new first axis, NaN for those that are None; None if all are."""
    if all(a is None for a in arrays):
        return None
    return np.stack([np.full(shape, np.nan) if a is None else np.asarray(a, dtype=float) for a in arrays])
