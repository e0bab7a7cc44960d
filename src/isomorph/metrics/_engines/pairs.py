"""Two sides of a comparison: what is on both is done once, and what items give is put together for all pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ..._core.arrays import to_numpy

Floats = np.ndarray[Any, np.dtype[np.float64]]

S = TypeVar("S")
T = TypeVar("T")


def distinct(xs: Sequence[S], ys: Sequence[S]) -> tuple[list[S], list[int], list[int]]:
    """The different objects among two sides, and where among them each of `xs` and each of `ys` is."""
    place: dict[int, int] = {}
    every: list[S] = []
    for state in (*xs, *ys):
        if place.setdefault(id(state), len(every)) == len(every):
            every.append(state)
    return every, [place[id(x)] for x in xs], [place[id(y)] for y in ys]


def made_once(make: Callable[[S], T], xs: Sequence[S], ys: Sequence[S]) -> tuple[list[T], list[T]]:
    """`make` of each of `xs` and of each of `ys`, called once for an object that is on both."""
    every, at_x, at_y = distinct(xs, ys)
    made = [make(state) for state in every]
    return [made[i] for i in at_x], [made[i] for i in at_y]


def over_pairs(pair: Callable[[S, S], Any], xs: Sequence[S], ys: Sequence[S]) -> Floats:
    """`pair` (n,) of all pairs, one number an item, as a host array (n, len(xs), len(ys))."""
    rows = [np.stack([np.asarray(to_numpy(pair(x, y)), dtype=np.float64) for y in ys], axis=-1) for x in xs]
    return np.asarray(np.stack(rows, axis=1))


def shares(score: Any, parts: Any) -> Floats:
    """A score given to items by their parts of the sum that it grows with: n · score · part / Σ parts, (n,)."""
    parts = np.maximum(np.asarray(to_numpy(parts), dtype=np.float64), 0.0)
    total = float(parts.sum())
    return np.asarray(parts * (len(parts) * float(to_numpy(score)) / total if total > 0 else 0.0))
