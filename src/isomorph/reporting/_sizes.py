"""Figures of function: scores against a size on a logarithmic axis, and geometry against function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from ._charts import Series, _domain, _draw, _legend, _tips, marker
from ._svg import Figure, fit, line, tag, text, tick_text, ticks

_WIDTH, _PLOT_H, _LEFT, _RIGHT, _TOP = 330.0, 190.0, 46.0, 14.0, 26.0


def size_chart(
    name: str,
    title: str,
    heading: str,
    series: Sequence[Series],
    axis: str,
    *,
    logarithmic: bool = True,
    words: Callable[[float], str] = "{:,.0f}".format,
) -> Figure:
    """Lines over a size, from the smallest to the largest.

    Args:
        name: Stem of the figure's files.
        title: What it shows, for those who cannot see it.
        heading: A line of text above the plot.
        series: The lines; their positions are sizes.
        axis: Name of the horizontal axis.
        logarithmic: Whether the axis is.
        words: A size as text.
    """
    at = sorted({x for s in series for x in s.x})
    scaled: Callable[[float], float] = math.log if logarithmic else float
    first, last = scaled(at[0]), scaled(at[-1])
    low, high = _domain([v for s in series for v in [*s.y, *(b for side in s.band or () for b in side)]])

    def px(x: float) -> float:
        return _LEFT + (scaled(x) - first) / ((last - first) or 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def py(y: float) -> float:
        return _TOP + _PLOT_H * (high - y) / (high - low)

    marks = ticks(low, high)
    body = [text(_LEFT, 13, fit(heading, _WIDTH - _LEFT - 4), class_="strong")]
    for t in marks:
        body += [
            line(_LEFT, py(t), _WIDTH - _RIGHT, py(t), "grid"),
            text(_LEFT - 7, py(t) + 3.6, tick_text(t, marks), class_="end soft"),
        ]
    bottom = _TOP + _PLOT_H
    body.append(line(_LEFT, bottom, _WIDTH - _RIGHT, bottom, "axis"))
    for x in _apart([float(v) for v in at], px):
        body += [
            line(px(x), bottom, px(x), bottom + 4, "axis"),
            text(px(x), bottom + 16, words(x), class_="middle soft"),
        ]
    body.append(text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 32, fit(axis, _WIDTH - 20), class_="middle"))
    for s in reversed(series):
        body.append(_draw(s, [px(v) for v in s.x], [py(v) for v in s.y], py))
    body.append(_tips(series, px, py))
    legend, height = _legend([(s.label, s.style) for s in series], bottom + 52)
    return Figure(name, title, _WIDTH, height, "".join(body) + legend)


def quadrants(name: str, title: str, geometry: float, function: float, label: str) -> Figure:
    """One point in the plane of geometry (0 chance, 1 the same) against function (0 chance, 1 the ceiling)."""
    side = 210.0
    left, top = _LEFT, _TOP

    def px(v: float) -> float:
        return left + side * v

    def py(v: float) -> float:
        return top + side * (1 - v)

    body = [text(left, 13, fit(f"geometry against function: {label}", _WIDTH - left - 4), class_="strong")]
    body.append(tag("path", d=f"M{left} {top}h{side}v{side}h{-side}z", class_="axis"))
    body += [line(px(0.5), top, px(0.5), top + side, "grid"), line(left, py(0.5), left + side, py(0.5), "grid")]
    for x, y, first, second in (
        (0.25, 0.75, "useful,", "unlike"),
        (0.75, 0.75, "useful,", "alike"),
        (0.25, 0.25, "useless,", "unlike"),
        (0.75, 0.25, "useless,", "alike"),
    ):
        body += [
            text(px(x), py(y) - 4, first, class_="middle soft"),
            text(px(x), py(y) + 10, second, class_="middle soft"),
        ]
    for t in (0.0, 0.5, 1.0):
        body += [
            text(px(t), top + side + 15, f"{t:g}", class_="middle soft"),
            text(left - 7, py(t) + 3.6, f"{t:g}", class_="end soft"),
        ]
    body.append(text(left + side / 2, top + side + 31, "geometry: 0 chance, 1 the same", class_="middle"))
    body.append(text(left + side / 2, top + side + 46, "function, upwards: 0 chance, 1 the ceiling", class_="middle"))
    body.append(marker(px(geometry), py(function), 0, True, 6.0))
    return Figure(name, title, _WIDTH, top + side + 56, "".join(body))


def _apart(at: Sequence[float], px: object, gap: float = 30.0) -> list[float]:
    """The sizes that can be labelled without their numbers touching; the last one always is."""
    assert callable(px)
    kept = [at[-1]]
    for x in reversed(at[:-1]):
        if px(kept[-1]) - px(x) >= gap:
            kept.append(x)
    assert all(px(a) > px(b) for a, b in pairwise(kept))
    return kept[::-1]
