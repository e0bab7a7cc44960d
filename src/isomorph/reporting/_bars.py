"""Distributions as stepped outlines, and counts as bars."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from ._charts import marker
from ._svg import Figure, fit, line, path, tag, text, tick_text, ticks

_WIDTH, _PLOT_H, _LEFT, _RIGHT, _TOP = 330.0, 170.0, 46.0, 14.0, 26.0


@dataclasses.dataclass(frozen=True)
class Outline:
    """One distribution over bins that all share.

    Attributes:
        label: Its name in the legend.
        shares: Share in each bin.
        style: ``"chance"``, ``"null"`` or the number of a line style.
        filled: Whether the area under it is.
    """

    label: str
    shares: Sequence[float]
    style: int | str
    filled: bool = False


@dataclasses.dataclass(frozen=True)
class Mark:
    """A number on the axis of a histogram: a disc on a stem, or a dashed line.

    Attributes:
        label: Its name in the legend.
        at: Where it is.
        passing: Whether the disc is filled; None for a dashed line.
        interval: Lower and upper bound.
    """

    label: str
    at: float
    passing: bool | None = None
    interval: tuple[float, float] | None = None


def histogram(
    name: str,
    title: str,
    heading: str,
    edges: Sequence[float],
    outlines: Sequence[Outline],
    axis: str,
    marks: Sequence[Mark] = (),
) -> Figure:
    """Distributions over the same bins, the first on top.

    Args:
        name: Stem of the figure's files.
        title: What it shows, for those who cannot see it.
        heading: A line of text above the plot.
        edges: Edges of the bins, one more than there are shares.
        outlines: The distributions.
        axis: Name of the horizontal axis.
        marks: Numbers to set beside them.
    """
    highest = max((s for o in outlines for s in o.shares), default=0.0) or 1.0
    bottom = _TOP + _PLOT_H

    def px(x: float) -> float:
        return _LEFT + (x - edges[0]) / (edges[-1] - edges[0]) * (_WIDTH - _LEFT - _RIGHT)

    def py(share: float) -> float:
        return bottom - share / highest * (_PLOT_H - 6)

    at = ticks(edges[0], edges[-1])
    body = [text(_LEFT, 13, fit(heading, _WIDTH - _LEFT - 4), class_="strong")]
    body += [line(px(t), _TOP, px(t), bottom, "grid") for t in at]
    body += [text(px(t), bottom + 15, tick_text(t, at), class_="middle soft") for t in at]
    heights = ticks(0.0, 100 * highest, 3)
    body += [text(_LEFT - 7, py(t / 100) + 3.6, f"{tick_text(t, heights)} %", class_="end soft") for t in heights]
    for outline in reversed(outlines):
        steps = [(px(x), py(s)) for k, s in enumerate(outline.shares) for x in (edges[k], edges[k + 1])]
        around = [(px(edges[0]), bottom), *steps, (px(edges[-1]), bottom)]
        if outline.filled:
            shade = "ceiling" if outline.style == "null" else "band"
            body.append(tag("path", d=path(around) + "z", class_=shade))
        body.append(tag("path", d=path(around), class_="chance" if outline.style == "chance" else f"s{outline.style}"))
    body.append(line(_LEFT, bottom, _WIDTH - _RIGHT, bottom, "axis"))
    for mark in marks:
        body.append(_mark(mark, px, bottom))
    body.append(text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 31, fit(axis, _WIDTH - 20), class_="middle"))
    plain = [(o.label, o.style) for o in outlines]
    legend, height = _step_legend(plain, bottom + 52)
    for mark in marks:
        key = Mark(mark.label, 0.0, mark.passing)
        legend += _mark(key, lambda _: 19.0, height + 6, top=height - 3, middle=height + 2)
        legend += text(38.0, height + 6, fit(mark.label, _WIDTH - 50, 10), class_="small")
        height += 16
    return Figure(name, title, _WIDTH, height, "".join(body) + legend)


def _mark(
    mark: Mark, px: Callable[[float], float], bottom: float, *, top: float = _TOP, middle: float | None = None
) -> str:
    x = px(mark.at)
    if mark.passing is None:
        return line(x, top, x, bottom, "s5")
    y = (top + bottom) / 2 if middle is None else middle
    stem = line(x, top, x, bottom, "stem") if middle is None else ""
    reach = "" if mark.interval is None else line(px(mark.interval[0]), y, px(mark.interval[1]), y, "whisker")
    return stem + reach + marker(x, y, 0, mark.passing, 4.5)


def bar_chart(name: str, title: str, heading: str, bars: Sequence[tuple[str, float, str]]) -> Figure:
    """Horizontal bars from zero, each with its label above and its number behind it.

    Args:
        name: Stem of the figure's files.
        title: What it shows, for those who cannot see it.
        heading: A line of text above the plot.
        bars: Label, length of at least 0 and the number as text, from the top.
    """
    longest = max((v for _, v, _ in bars), default=0.0) or 1.0
    left, top, pitch, room = 6.0, 26.0, 30.0, 60.0
    body = [text(left, 13, fit(heading, _WIDTH - left - 4), class_="strong")]
    for k, (label, value, words) in enumerate(bars):
        y = top + pitch * k
        length = value / longest * (_WIDTH - left - room)
        body.append(text(left + 5, y + 9, fit(label, _WIDTH - left - room), class_="small"))
        body.append(tag("rect", x=left, y=y + 13, width=max(length, 0.5), height=9, class_="m0"))
        body.append(text(left + length + 6, y + 21, words, class_="small"))
    body.append(line(left, top, left, top + pitch * len(bars), "axis"))
    return Figure(name, title, _WIDTH, top + pitch * len(bars) + 8, "".join(body))


def _step_legend(entries: Sequence[tuple[str, int | str]], y: float) -> tuple[str, float]:
    """A legend of lines alone: outlines have no markers."""
    parts, at = [], y
    for label, style in entries:
        kind = "chance" if style == "chance" else f"s{style}"
        parts.append(line(6.0, at - 3.5, 32.0, at - 3.5, kind))
        parts.append(text(38.0, at, fit(label, _WIDTH - 50, 10), class_="small"))
        at += 16
    return "".join(parts), at - 6


__all__ = ["Mark", "Outline", "bar_chart", "histogram"]
