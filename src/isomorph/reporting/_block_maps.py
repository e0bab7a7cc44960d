"""Small heat maps of each model's layers among themselves: where its space stays the same over a block of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from ..results import ModelAlignment
from ._color import scale
from ._svg import Figure, fit, tag, text
from ._text import number, printable

Matrix = np.ndarray[Any, Any]

AT_ONCE = 8
"""Models that are shown before the rest is folded away."""
_SIDE, _GAP, _NAME, _PER_ROW = 104.0, 22.0, 18.0, 8
_BAR, _LEFT, _FOOT = 40.0, 8.0, 14.0
_STEPS = 40  # colors: more could not be told apart, and would make the page larger


def block_maps(alignment: ModelAlignment, order: Sequence[int], name: str) -> list[Figure]:
    """The layers of models among themselves, a small map each: at most `AT_ONCE` models first, all others in a second.

    The deepest come first, since blocks are of deep models; models of fewer than three layers are left out.

    Args:
        alignment: What to show.
        order: Positions of the models, in the order in which those of one depth are drawn.
        name: Stem of the figures' files.
    """
    shown = sorted((k for k in order if len(alignment.own[k]) > 2), key=lambda k: -len(alignment.own[k]))
    if not shown:
        return []
    whole = np.concatenate([alignment.own[k].ravel() for k in shown])
    ends = float(whole.min()), float(whole.max())
    parts = [shown[:AT_ONCE], shown[AT_ONCE:]]
    return [_sheet(alignment, some, ends, f"{name}-{k}") for k, some in enumerate(parts, 1) if some]


def _sheet(alignment: ModelAlignment, models: Sequence[int], ends: tuple[float, float], name: str) -> Figure:
    """Some of the models, with the color bar that all share."""
    body = [_bar(ends, alignment.distance)]
    for at, model in enumerate(models):
        x = _LEFT + (at % _PER_ROW) * (_SIDE + _GAP)
        y = _BAR + (at // _PER_ROW) * (_SIDE + _NAME + _GAP)
        body.append(_tile(alignment, model, x, y + _NAME, ends))
    columns, rows = min(len(models), _PER_ROW), -(-len(models) // _PER_ROW)
    told = "; ".join(describe(alignment, k) for k in models)
    return Figure(
        name,
        printable(f"Layers of each model among themselves by {alignment.metric}: {told}."),
        max(_LEFT + columns * (_SIDE + _GAP), 240.0),
        _BAR + rows * (_SIDE + _NAME + _GAP) + _FOOT - _GAP,
        "".join(body),
    )


def describe(alignment: ModelAlignment, model: int) -> str:
    """What the layers of a model have in common, in words: neighbors, and the two ends."""
    own = alignment.own[model]
    beside = float(np.mean(np.diagonal(own, 1)))
    return (
        f"{alignment.models[model]}, {len(own)} layers: neighbors {number(beside)}, first and last {number(own[0, -1])}"
    )


def _tile(alignment: ModelAlignment, model: int, x: float, y: float, ends: tuple[float, float]) -> str:
    """One model, its first layer in the lower left corner: one path a color, neighbors in a row one piece of it."""
    own = alignment.own[model]
    side = _SIDE / len(own)
    shares = [[round(_share(float(v), ends, alignment.distance) * _STEPS) / _STEPS for v in row] for row in own]
    pieces: dict[float, str] = {}
    for i, row in enumerate(shares):
        start = 0
        for j in range(1, len(row) + 1):
            if j == len(row) or row[j] != row[start]:
                wide = f"{(j - start) * side:.2f}"
                corner = f"M{x + start * side:.2f} {y + _SIDE - (i + 1) * side:.2f}"
                pieces[row[start]] = pieces.get(row[start], "") + f"{corner}h{wide}v{side:.2f}h-{wide}z"
                start = j
    cells = "".join(tag("path", d=d, fill=scale(share)) for share, d in pieces.items())
    frame = tag("rect", x=x, y=y, width=_SIDE, height=_SIDE, class_="axis")
    label = text(x, y - 5, fit(printable(alignment.models[model]), _SIDE, 10), class_="small")
    title = tag("title", escape(printable(describe(alignment, model))))
    return tag("g", title + tag("g", cells, shape_rendering="crispEdges") + frame + label)


def _share(value: float, ends: tuple[float, float], flipped: bool) -> float:
    """Where a score lies on the color scale; bright always means more alike."""
    low, high = ends
    t = (value - low) / (high - low) if high > low else 1.0
    return 1 - t if flipped else t


def _bar(ends: tuple[float, float], flipped: bool) -> str:
    width, n = 150.0, 48
    bar = "".join(
        tag("rect", x=_LEFT + width * k / n, y=6, width=width / n + 0.4, height=8, fill=scale((k + 0.5) / n))
        for k in range(n)
    )
    low, high = ends[::-1] if flipped else ends
    words = text(_LEFT, 26, number(low), class_="small soft") + text(
        _LEFT + width, 26, number(high), class_="small soft end"
    )
    return tag("g", bar, shape_rendering="crispEdges") + words
