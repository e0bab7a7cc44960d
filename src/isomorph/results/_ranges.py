"""In which range the numbers of a result lie, by name: one place for all kinds of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, is_typeddict

import numpy as np

from ..errors import quoted

_SHARES = frozenset(
    ("p_value", "p_maximum", "p_family", "p_by_metric", "alpha", "level", "test_fraction", "overlap", "accuracy")
)
_COUNTS = frozenset(("n", "k", "rows", "gallery", "permutations", "seed", "random_draws", "sizes", "widths"))
_ROUNDING = 1e-9


def check_ranges(where: str, fields: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Check the numbers of a result that was read: p-values and shares in [0, 1], counts of at least 0.

    Args:
        where: What they are of, for messages.
        fields: Name -> value.
        hints: Name -> type, whose tables of named numbers are looked into.

    Raises:
        ValueError: if one lies outside its range.
    """
    for name, value in fields.items():
        inner = [h for h in (hints.get(name), *get_args(hints.get(name))) if is_typeddict(h)]
        if inner and isinstance(value, Mapping):
            tables = value.values() if all(isinstance(v, Mapping) for v in value.values()) else [value]
            for table in tables:
                check_ranges(f"{where}.{name}", table, {})
            continue
        count = name in _COUNTS or name.startswith("n_")
        if value is None or not (count or name in _SHARES):
            continue
        numbers = np.array([v for v in _numbers(value) if not np.isnan(v)], dtype=np.float64)
        if numbers.size and (numbers.min() < -_ROUNDING or (not count and numbers.max() > 1 + _ROUNDING)):
            raise ValueError(f"{where}.{name}={quoted(value)} lies outside {'0, 1, 2, …' if count else '[0, 1]'}")


def _numbers(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    return [v for v in np.ravel(value).tolist() if isinstance(v, (int, float))]
