"""Items that two models see alike, and items that they see differently, each with its nearest neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ...results import Neighborhoods, Scan
from .._pictures import Shown
from .._section import Context
from .._text import printable

_MOST = 6  # items listed of each kind
_LEAST = 4  # so many are listed even where they are each other's neighbours


@dataclasses.dataclass(frozen=True)
class Neighbor:
    """A neighbour, and whether both models have it."""

    item: Shown
    common: bool


@dataclasses.dataclass(frozen=True)
class Case:
    """One item with its neighbours in both models, and what is said of it."""

    item: Shown
    told: str
    sides: tuple[tuple[str, tuple[Neighbor, ...]], ...]


def neighborhoods(scan: Scan, x: str, y: str, context: Context) -> dict[str, Any] | None:
    """What the template shows: groups of cases with a heading each, and notes; None if the scan has none."""
    found = scan.neighborhoods
    if found is None or not found.ids:
        return None
    order = list(range(len(found.ids)))  # as the result has them: those seen most alike first
    half = (len(order) + 1) // 2
    alike, apart = order[:half], order[half:]
    first, last = _various(alike, found), _various(apart[::-1], found)
    count = max(min(len(first), len(last)), _LEAST)  # two lists of one length, side by side
    shown = [(first[:count], "Seen alike", "the items whose neighbours both models agree on most")]
    if apart:
        shown.append((last[:count], "Seen differently", "the items whose neighbours they agree on least"))
    cases = [(title, words, [_case(found, i, x, y, scan, context) for i in group]) for group, title, words in shown]
    return {
        "k": found.k,
        "x_layer": printable(found.x_layer),
        "y_layer": printable(found.y_layer),
        "groups": cases,
        "note": _note(found, context, sum(len(g) for g, *_ in shown)),
        "plain": all(c.item.ref is None for *_, group in cases for c in group),
    }


def _various(order: Sequence[int], found: Neighborhoods) -> list[int]:
    """The first items, leaving out those that one before has for a neighbour on both sides: they show the same."""
    chosen: list[int] = []
    for i in order:
        if not any(found.ids[i] in found.x_neighbors[c] and found.ids[i] in found.y_neighbors[c] for c in chosen):
            chosen.append(i)
    rest = [i for i in order if i not in chosen]
    return sorted([*chosen, *rest[: max(_LEAST - len(chosen), 0)]], key=order.index)[:_MOST]


def _case(found: Neighborhoods, i: int, x: str, y: str, scan: Scan, context: Context) -> Case:
    prefer = (scan.x_view, scan.y_view)
    near = (found.x_neighbors[i], found.y_neighbors[i])
    told = f"{len(set(near[0]) & set(near[1]))} of {found.k} shared"
    return case_of(found.ids[i], told, (x, y), near, context, prefer)


def case_of(
    item: str,
    told: str,
    names: tuple[str, str],
    near: tuple[Sequence[str], Sequence[str]],
    context: Context,
    prefer: tuple[str, ...] = (),
    most: int | None = None,
) -> Case:
    """One item with its neighbours by id in both models, the nearest `most` of each."""
    sides = []
    for name, mine, others in ((names[0], near[0], near[1]), (names[1], near[1], near[0])):
        shown = ((context.pictures.show(n, prefer=prefer), n in others) for n in mine[:most])
        sides.append((name, tuple(Neighbor(item, common) for item, common in shown)))
    return Case(context.pictures.show(item, prefer=prefer), told, tuple(sides))


def _note(found: Neighborhoods, context: Context, listed: int) -> str:
    words = []
    if found.ranked_by != "overlap":
        words.append(f"Items are chosen by what each gives to {found.ranked_by}.")
    if found.nearest_by == "cosine" != found.ranked_by:
        words.append("Neighbours are the nearest by cosine.")
    if listed < len(found.ids):
        words.append(f"{listed} of the {len(found.ids)} listed items are shown, chosen to differ.")
    if not context.given:
        words.append("No items were given to this report, so they are shown by their ids.")
        return " ".join(words)
    every: Sequence[str] = [
        *found.ids,
        *(n for side in (found.x_neighbors, found.y_neighbors) for row in side for n in row),
    ]
    missing = len({n for n in every if n not in context.pictures})
    if missing:
        words.append(f"{missing} of these items are not among the items given to this report; they are shown by id.")
    return " ".join(words)
