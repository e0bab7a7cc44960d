"""States that stand on both sides of a comparison, so that work on one is done once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

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
