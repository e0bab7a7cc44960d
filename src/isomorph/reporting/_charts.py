"""Line charts along depth, and the dot plot that compares models."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from xml.sax.saxutils import escape

from ._svg import Figure, fit, line, path, tag, text, text_width, tick_text, ticks
from ._text import printable

STYLES = 15
_WIDTH, _PLOT_H, _LEFT, _RIGHT = 330.0, 190.0, 46.0, 14.0


@dataclasses.dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        label: Its name in the legend.
        x: Positions.
        y: Heights.
        style: ``"chance"``, ``"ceiling"`` (its band alone), or the number of a line style, 0 to `STYLES` - 1.
        filled: Which markers are filled; none are drawn for chance.
        band: Lower and upper bounds, NaN where a point has none, or None.
        whiskers: Bounds are a line through each point, not a band along them.
        names: What each point is, told where it is pointed at.
        tip: A text at the last point.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: int | str = 0
    filled: Sequence[bool] = ()
    band: tuple[Sequence[float], Sequence[float]] | None = None
    whiskers: bool = False
    names: Sequence[str] = ()
    tip: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a dot plot: a score with its interval, its chance level, its baselines and its noise ceiling.

    A baseline is a label and a value, and the number of its style if that means something elsewhere on the page; by
    default they are told apart by their order. A note is a few letters at the end of the line that has the label.
    A pair is the anchor of what the row is about, which is lit with it wherever else it is shown.
    """

    label: str
    value: float
    chance: float
    passing: bool
    baselines: Sequence[tuple[str, float] | tuple[str, float, int]] = ()
    interval: tuple[float, float] | None = None
    ceiling: tuple[float, float] | None = None
    note: str = ""
    pair: str = ""


def line_chart(name: str, title: str, heading: str, series: Sequence[Series], axis: str) -> Figure:
    """Lines over relative depth, from 0 (input) to 1 (output).

    Args:
        name: Stem of the figure's files.
        title: What it shows, for those who cannot see it.
        heading: A line of text above the plot.
        series: The lines, drawn in reverse so that the first lies on top.
        axis: Name of the horizontal axis.
    """
    top = 26.0
    low, high = _domain(
        [v for s in series for v in [*s.y, *(s.band[0] if s.band else ()), *(s.band[1] if s.band else ())]]
    )

    def px(x: float) -> float:
        return _LEFT + x * (_WIDTH - _LEFT - _RIGHT)

    def py(y: float) -> float:
        return top + _PLOT_H * (high - y) / (high - low)

    marks = ticks(low, high)
    body = [text(_LEFT, 13, fit(heading, _WIDTH - _LEFT - 4), class_="strong")]
    for t in marks:
        body += [
            line(_LEFT, py(t), _WIDTH - _RIGHT, py(t), "grid"),
            text(_LEFT - 7, py(t) + 3.6, tick_text(t, marks), class_="end soft"),
        ]
    body += [line(_LEFT, top + _PLOT_H, _WIDTH - _RIGHT, top + _PLOT_H, "axis")]
    for t, words in ((0.0, "0"), (0.25, ""), (0.5, "0.5"), (0.75, ""), (1.0, "1")):
        body += [
            line(px(t), top + _PLOT_H, px(t), top + _PLOT_H + 4, "axis"),
            text(px(t), top + _PLOT_H + 16, words, class_="middle soft"),
        ]
    body.append(text((_LEFT + _WIDTH - _RIGHT) / 2, top + _PLOT_H + 32, fit(axis, _WIDTH - 20), class_="middle"))
    for s in reversed(series):
        body.append(_draw(s, [px(v) for v in s.x], [py(v) for v in s.y], py))
    legend, height = _legend([(s.label, s.style) for s in series], top + _PLOT_H + 52)
    return Figure(name, title, _WIDTH, height, "".join(body) + legend)


def dot_plot(
    name: str,
    title: str,
    heading: str,
    rows: Sequence[Row],
    what: str = "best pair of layers",
    span: tuple[float, float] | None = None,
    tick: str = "chance",
) -> Figure:
    """Rows of a score (disc) with its chance level (bar) and baselines (squares, triangles, diamonds).

    Args:
        name: Stem of the figure's files.
        title: What it shows, for those who cannot see it.
        heading: A line of text above the plot.
        rows: The rows, from the top.
        what: What the disc is, in the legend.
        span: What the axis must show at least, such as all of [0, 1] for shares; None fits it to the scores.
        tick: What the bar is, in the legend.
    """
    names = list(dict.fromkeys(b[0] for row in rows for b in row.baselines))
    styles = {b[0]: b[2] if len(b) > 2 else 1 + names.index(b[0]) % 9 for row in rows for b in row.baselines}
    shown = [v for row in rows for v in [row.value, row.chance, *(b[1] for b in row.baselines), *(row.interval or ())]]
    shown += [v for row in rows for v in row.ceiling or ()]
    low, high = _domain([*shown, *(span or ())])
    left, right, top, pitch = 6.0, 14.0, 26.0, 38.0

    def px(x: float) -> float:
        return left + (x - low) / (high - low) * (_WIDTH - left - right)

    bottom = top + pitch * len(rows)
    marks = ticks(low, high)
    body = [text(left, 13, fit(heading, _WIDTH - left - 4), class_="strong")]
    body += [line(px(t), top, px(t), bottom, "grid") for t in marks]
    body += [text(px(t), bottom + 14, tick_text(t, marks), class_="middle soft") for t in marks]
    for k, row in enumerate(rows):
        parts = _dots(row, top + pitch * k + 26, px, (left, right), styles)
        if row.pair:
            parts.insert(0, tag("rect", x=0.0, y=top + pitch * k + 6, width=_WIDTH, height=pitch, class_="hit"))
        body.append(tag("g", "".join(parts), data_pair=row.pair) if row.pair else "".join(parts))
    entries: list[tuple[str, int | str]] = [(what, 0), (tick, "tick")]
    entries += [("interval", "whisker")] if any(row.interval for row in rows) else []
    entries += [("noise ceiling", "ceiling")] if any(row.ceiling for row in rows) else []
    entries += [(label, styles[label]) for label in names]
    legend, height = _legend(entries, bottom + 34, lines=False)
    return Figure(name, title, _WIDTH, height, "".join(body) + legend)


def _dots(
    row: Row, y: float, px: Callable[[float], float], sides: tuple[float, float], styles: Mapping[str, int]
) -> list[str]:
    """One row of a dot plot, on the height of its disc."""
    left, right = sides
    parts = []
    if row.ceiling is not None:
        a, b = map(px, row.ceiling)
        parts.append(tag("rect", x=a, y=y - 7, width=b - a, height=14, class_="ceiling"))
    room = text_width(row.note, 10) + 8 if row.note else 0.0
    parts.append(text(left, y - 11, fit(row.label, _WIDTH - left - right - room), class_="small"))
    if row.note:
        parts.append(text(_WIDTH - right, y - 11, row.note, class_="end small soft"))
    parts.append(line(px(row.chance), y, px(row.value), y, "stem"))
    parts.append(line(px(row.chance), y - 6, px(row.chance), y + 6, "tick"))
    if row.interval is not None:
        parts.append(line(px(row.interval[0]), y, px(row.interval[1]), y, "whisker"))
    parts += [marker(px(value), y, styles[label], True) for label, value, *_ in row.baselines]
    parts.append(marker(px(row.value), y, 0, row.passing, 4.5))
    return parts


def _domain(values: Sequence[float]) -> tuple[float, float]:
    finite = [v for v in values if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if 0 <= low < 0.35 * high:
        low = 0.0
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 0.5
    return (low if low == 0 else low - pad), high + pad


def _draw(series: Series, xs: list[float], ys: list[float], py: object) -> str:
    points = list(zip(xs, ys, strict=True))
    style = "chance" if series.style == "chance" else f"s{series.style}"
    shade = "ceiling" if series.style == "ceiling" else "band"
    parts = []
    if series.band is not None and callable(py):
        bounds = [(x, py(a), py(b)) for x, a, b in zip(xs, *series.band, strict=True)]
        for known, run in groupby(bounds, key=lambda b: math.isfinite(b[1]) and math.isfinite(b[2])):
            part = list(run)
            if known and (len(part) == 1 or series.whiskers):
                parts += [line(x, a, x, b, "whisker") for x, a, b in part]
            elif known:  # points without bounds part the band
                outline = [*((x, b) for x, _, b in part), *((x, a) for x, a, _ in reversed(part))]
                parts.append(tag("path", d=path(outline) + "z", class_=shade))
    if series.style == "ceiling":
        return "".join(parts)
    parts.append(tag("path", d=path(points), class_=style))
    if series.style != "chance":
        filled = series.filled or [True] * len(points)
        drawn = [marker(x, y, int(series.style), bool(f)) for (x, y), f in zip(points, filled, strict=True)]
        if series.names:
            told = (tag("title", escape(printable(name))) for name in series.names)
            drawn = [tag("g", title + marker) for title, marker in zip(told, drawn, strict=True)]
        parts += drawn
    return "".join(parts)


def _tips(series: Sequence[Series], px: Callable[[float], float], py: Callable[[float], float]) -> str:
    """The texts at last points, each above its bounds and moved up until it touches none that is there."""
    taken: list[tuple[float, float, float]] = []  # left, right, baseline
    parts = []
    tipped = [s for s in series if s.tip]
    for s in sorted(tipped, key=lambda s: -py(s.y[-1])):
        width = text_width(s.tip, 10)
        left = min(max(px(s.x[-1]) - width / 2, 4.0), _WIDTH - width - 2)
        y = py(s.band[1][-1] if s.band else s.y[-1]) - 5
        while any(left < b + 3 and left + width > a - 3 and abs(y - at) < 11 for a, b, at in taken):
            y -= 2
        taken.append((left, left + width, y))
        parts.append(text(left, y, s.tip, class_="small tip"))
    return "".join(parts)


def marker(x: float, y: float, style: int, filled: bool, r: float = 3.0) -> str:
    class_ = f"m{style}" if filled else f"m{style} hollow"
    if style == 0:
        return tag("circle", cx=x, cy=y, r=r, class_=class_)
    d, h = 1.4 * r, 0.45 * r
    plus = (
        f"M{x - h:.2f} {y - d:.2f}h{2 * h:.2f}v{d - h:.2f}h{d - h:.2f}v{2 * h:.2f}h{h - d:.2f}v{d - h:.2f}h{-2 * h:.2f}"
    )
    plus += f"v{h - d:.2f}h{h - d:.2f}v{-2 * h:.2f}h{d - h:.2f}z"
    glass = f"M{x - r:.2f} {y - r:.2f}h{2 * r:.2f}l{-2 * r:.2f} {2 * r:.2f}h{2 * r:.2f}z"
    shape = {
        1: f"M{x - r:.2f} {y - r:.2f}h{2 * r:.2f}v{2 * r:.2f}h{-2 * r:.2f}z",
        2: f"M{x:.2f} {y - r * 1.3:.2f}l{r * 1.3:.2f} {r * 2.2:.2f}h{-2.6 * r:.2f}z",
        3: f"M{x:.2f} {y - d:.2f}l{d:.2f} {d:.2f}l{-d:.2f} {d:.2f}l{-d:.2f} {-d:.2f}z",
        4: f"M{x:.2f} {y + r * 1.3:.2f}l{r * 1.3:.2f} {-r * 2.2:.2f}h{-2.6 * r:.2f}z",
        5: f"M{x - r:.2f} {y - r:.2f}l{2 * r:.2f} {2 * r:.2f}m0 {-2 * r:.2f}l{-2 * r:.2f} {2 * r:.2f}",
        6: plus,
        7: glass,
        8: f"M{x - d:.2f} {y - h:.2f}h{2 * d:.2f}v{2 * h:.2f}h{-2 * d:.2f}z",
        9: f"M{x - r:.2f} {y - r:.2f}v{2 * r:.2f}l{2 * r:.2f} {-2 * r:.2f}v{2 * r:.2f}z",
        10: f"M{x:.2f} {y - 1.25 * r:.2f}l{1.2 * r:.2f} {0.9 * r:.2f}l{-0.45 * r:.2f} {1.4 * r:.2f}h{-1.5 * r:.2f}"
        f"l{-0.45 * r:.2f} {-1.4 * r:.2f}z",
        11: f"M{x - r:.2f} {y + r:.2f}l{r:.2f} {-2 * r:.2f}l{r:.2f} {2 * r:.2f}l{-r:.2f} {-0.8 * r:.2f}z",
        12: f"M{x - 1.3 * r:.2f} {y:.2f}l{2.2 * r:.2f} {-r * 1.3:.2f}v{2.6 * r:.2f}z",
        13: f"M{x + 1.3 * r:.2f} {y:.2f}l{-2.2 * r:.2f} {-r * 1.3:.2f}v{2.6 * r:.2f}z",
        14: f"M{x - 1.3 * r:.2f} {y + 0.8 * r:.2f}l{r:.2f} {-1.6 * r:.2f}h{1.6 * r:.2f}l{-r:.2f} {1.6 * r:.2f}z",
    }[style]
    return tag("path", d=shape, class_=class_)


def _legend(entries: Sequence[tuple[str, int | str]], y: float, *, lines: bool = True) -> tuple[str, float]:
    """Entries from left to right, wrapped, and where they end."""
    parts, x = [], 6.0
    key = 26.0 if lines else 12.0
    for whole, style in dict.fromkeys(entries):
        label = fit(whole, _WIDTH - key - 30, 10)
        width = key + 6 + text_width(label, 10) + 16
        if x > 6 and x + width - 16 > _WIDTH:
            x, y = 6.0, y + 16
        if style == "tick":
            parts.append(line(x + key / 2, y - 9, x + key / 2, y + 2, "tick"))
        elif style == "whisker":
            parts.append(line(x, y - 3.5, x + key, y - 3.5, "whisker"))
        elif style == "ceiling":
            parts.append(tag("rect", x=x, y=y - 9, width=key, height=11, class_="ceiling"))
        elif lines:
            parts.append(line(x, y - 3.5, x + key, y - 3.5, "chance" if style == "chance" else f"s{style}"))
        if isinstance(style, int):
            parts.append(marker(x + key / 2, y - 3.5, style, True))
        parts.append(text(x + key + 6, y, label, class_="small"))
        x += width
    return "".join(parts), y + 10
