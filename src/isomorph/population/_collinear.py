"""Which predictors say the same, so that their effects cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, Any]


def exact_groups(blocks: Mapping[str, Floats], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Predictors that the others give exactly, in groups that depend on each other.

    Args:
        blocks: Name -> columns of the predictor (rows, q).
        names: Those that the others give exactly.

    Example:
        >>> a, b, c = np.random.default_rng(0).normal(size=(3, 20, 1))
        >>> exact_groups({"a": a, "b": b, "a + b": a + b, "c": c}, ["a", "b", "a + b"])
        (('a', 'b', 'a + b'),)
    """
    groups: list[set[str]] = []
    for name in names:
        rest = [n for n in blocks if n != name for _ in range(blocks[n].shape[1])]
        rows = len(blocks[name])
        columns = np.column_stack([np.ones(rows), *(block for n, block in blocks.items() if n != name)])
        size = np.linalg.norm(columns, axis=0)
        columns = columns / np.where(size > 0, size, 1.0)
        weights = np.abs(np.linalg.lstsq(columns, blocks[name], rcond=1e-10)[0][1:]).max(axis=1, initial=0.0)
        tied = {name, *(n for n, w in zip(rest, weights, strict=True) if w > 1e-6 * weights.max(initial=0.0))}
        apart = [g for g in groups if not g & tied]
        groups = [*apart, tied.union(*(g for g in groups if g & tied))]
    return tuple(tuple(n for n in blocks if n in group) for group in groups)


def basis_of(columns: Floats) -> Floats:
    """Orthonormal basis of some columns (rows, q), without directions that are rounding.

    Example:
        >>> a, b = np.random.default_rng(0).normal(size=(2, 20))
        >>> basis_of(np.column_stack([a, b, a + b])).shape
        (20, 2)
    """
    # unit columns, so that what counts as rounding does not depend on anybody's units
    size = np.linalg.norm(columns, axis=0)
    u, s, _ = np.linalg.svd(columns / np.where(size > 0, size, 1.0), full_matrices=False)
    return np.asarray(u[:, s > 1e-10 * s[:1].sum()])
