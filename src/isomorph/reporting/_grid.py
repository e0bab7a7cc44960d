"""Heat maps: colored cells with a color bar and the chance level on it; what does not pass is hatched."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from ._color import scale
from ._svg import Figure, fit, line, tag, text, text_width
from ._text import number, printable

Matrix = np.ndarray[Any, Any]
_PLOT = (250.0, 270.0)  # wished size of the plot
_CELL = (10.0, 36.0)  # smallest and largest side of a cell
_TOP = 46.0  # the color bar's height
_MIN_WIDTH = 300.0
_LABEL_STEPS = (1, 2, 3, 4, 5, 6, 10, 12, 20, 50)


@dataclasses.dataclass(frozen=True)
class Cells:
    """What a heat map shows; rows run from the bottom up, columns from left to right.

    Attributes:
        values: Scores (rows, columns), NaN where there is none.
        chance: Their chance levels.
        passing: Which pass; the others are hatched.
        words: All about each cell in a line; what stands before the last colon ahead of ", chance " names it.
        rows: Labels.
        columns: Labels.
        row_title: What the rows are; empty for none.
        column_title: What the columns are; empty for none.
        best: Row and column of the cell that is framed.
        best_words: What the frame means.
        failing_words: What hatching means.
        what: What cells are, for those who cannot see them.
        flipped: Whether lower scores are more alike.
        side: Smallest side of a cell in CSS pixels.
        twice: Whether each pair has two cells, one the mirror of the other.
    """

    values: Matrix
    chance: Matrix
    passing: Matrix
    words: Sequence[Sequence[str]]
    rows: Sequence[str]
    columns: Sequence[str]
    row_title: str
    column_title: str
    best: tuple[int, int]
    best_words: str
    failing_words: str
    what: str
    flipped: bool
    side: float = _CELL[0]
    twice: bool = False

    @property
    def known(self) -> Matrix:
        """Which cells have a score."""
        return np.isfinite(self.values)

    @property
    def failing(self) -> Matrix:
        """Which have one that does not pass."""
        return np.asarray(self.known & ~np.asarray(self.passing, dtype=bool))


def grid(cells: Cells, title: str, name: str) -> Figure:
    """A heat map.

    Args:
        cells: What to show.
        title: What it shows, for those who cannot see it.
        name: Stem of the figure's files.
    """
    plan = plan_of(cells)
    body = [
        _color_bar(cells, plan),
        _paths(cells, plan),
        _hatch(cells, plan, name),
        _best_frame(cells, plan),
        _row_labels(plan, cells),
        _column_labels(plan, cells),
        _legend(cells, plan, name),
    ]
    return Figure(name, title, plan.width, plan.height, "".join(body), interactive=True)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where everything of a heat map is, in CSS pixels."""

    rows: int
    columns: int
    cell_w: float
    cell_h: float
    left: float
    column_names: Sequence[str]
    turned: bool
    titled: bool
    low: float
    high: float
    flipped: bool

    @property
    def plot_w(self) -> float:
        """Width of all cells."""
        return self.columns * self.cell_w

    @property
    def plot_h(self) -> float:
        """Height of all cells."""
        return self.rows * self.cell_h

    @property
    def bottom(self) -> float:
        """Where the cells end."""
        return _TOP + self.plot_h

    @property
    def below(self) -> float:
        """Height of the column labels."""
        return 12 + (max(map(text_width, self.column_names)) * 0.75 if self.turned else 4)

    @property
    def under(self) -> float:
        """Where the legend begins."""
        return self.bottom + self.below + (32 if self.titled else 12)

    @property
    def width(self) -> float:
        """Of the figure."""
        return max(self.left + self.plot_w + 16, _MIN_WIDTH)

    @property
    def height(self) -> float:
        """Of the figure."""
        return self.under + 30

    def corner(self, i: int, j: int) -> tuple[float, float]:
        """Upper left corner of a cell."""
        return self.left + j * self.cell_w, _TOP + (self.rows - 1 - i) * self.cell_h

    def share(self, value: float) -> float:
        """Where a score lies on the color scale; bright always means more alike."""
        t = (value - self.low) / (self.high - self.low) if self.high > self.low else 1.0
        return 1 - t if self.flipped else t


def plan_of(cells: Cells) -> Plan:
    """Where everything goes."""
    rows, columns = cells.values.shape
    cell_h = min(max(_PLOT[1] / rows, cells.side), _CELL[1])
    cell_w = min(max(_PLOT[0] / columns, cells.side), _CELL[1], 1.7 * cell_h)
    turned = max(map(text_width, cells.columns)) + 5 > cell_w * _LABEL_STEPS[4]
    everything = np.concatenate([cells.values.ravel(), cells.chance.ravel()]).astype(float)
    everything = everything[np.isfinite(everything)]
    return Plan(
        rows,
        columns,
        cell_w,
        cell_h,
        max(map(text_width, cells.rows)) + (30 if cells.row_title else 12),
        cells.columns,
        turned,
        bool(cells.column_title),
        float(everything.min()),
        float(everything.max()),
        cells.flipped,
    )


def _shown(count: int, side: float, room: float = 12) -> list[int]:
    """Which labels are drawn, given the room that each needs: every so many, and always the last."""
    step = next((s for s in _LABEL_STEPS if s * side >= room), _LABEL_STEPS[-1])
    indices = list(range(0, count, step))
    if indices[-1] != count - 1:
        if count - 1 - indices[-1] < step / 2 + 0.5 and len(indices) > 1:
            indices.pop()
        indices.append(count - 1)
    return indices


def _paths(cells: Cells, plan: Plan) -> str:
    known = cells.known
    size = f"h{plan.cell_w:.2f}v{plan.cell_h:.2f}h-{plan.cell_w:.2f}z"
    rows = []
    for i in range(plan.rows):
        row = []
        for j in range(plan.columns):
            x, y = plan.corner(i, j)
            row.append(
                tag(
                    "path",
                    tag("title", escape(printable(cells.words[i][j]))),
                    d=f"M{x:.2f} {y:.2f}{size}",
                    fill=scale(plan.share(float(cells.values[i, j]))) if known[i, j] else None,
                    class_=None if known[i, j] else "blank",
                    role="gridcell",
                    tabindex="0" if (i, j) == cells.best else "-1",
                )
            )
        rows.append(tag("g", "".join(row), role="row"))
    label = f"{cells.what}; arrow keys move between them"
    return tag("g", "".join(rows), role="grid", class_="cells", aria_label=label, shape_rendering="crispEdges")


def _hatch(cells: Cells, plan: Plan, name: str) -> str:
    failing = np.argwhere(cells.failing)
    if not len(failing):
        return ""
    size = f"h{plan.cell_w:.2f}v{plan.cell_h:.2f}h-{plan.cell_w:.2f}z"
    area = "".join("M{:.2f} {:.2f}".format(*plan.corner(int(i), int(j))) + size for i, j in failing)
    return _hatch_pattern(name) + tag("path", d=area, fill=f"url(#hatch-{name})", pointer_events="none")


def _hatch_pattern(name: str) -> str:
    tile = tag("rect", width=6, height=6, class_="hatch-veil") + tag(
        "path", d="M-1 1L1 -1M0 6L6 0M5 7L7 5", class_="hatch-line"
    )
    pattern = tag("pattern", tile, id=f"hatch-{name}", width=6, height=6, patternUnits="userSpaceOnUse")
    return tag("defs", pattern)


def _best_frame(cells: Cells, plan: Plan) -> str:
    x, y = plan.corner(*cells.best)
    box: dict[str, Any] = {"x": x, "y": y, "width": plan.cell_w, "height": plan.cell_h, "pointer_events": "none"}
    return tag("rect", **box, class_="halo") + tag("rect", **box, class_="frame")


def _row_labels(plan: Plan, cells: Cells) -> str:
    parts = [
        text(plan.left - 6, plan.corner(i, 0)[1] + plan.cell_h / 2 + 3.6, cells.rows[i], class_="end soft")
        for i in _shown(plan.rows, plan.cell_h)
    ]
    if not cells.row_title:
        return "".join(parts)
    middle = _TOP + plan.plot_h / 2
    words = fit(cells.row_title, max(plan.plot_h + 90, 120))
    turn = f"rotate(-90 11 {middle:.2f})"
    return "".join(parts) + text(11, middle, words, class_="middle", transform=turn)


def _column_labels(plan: Plan, cells: Cells) -> str:
    parts = []
    room = 15 if plan.turned else max(map(text_width, cells.columns)) + 5
    for j in _shown(plan.columns, plan.cell_w, room):
        x, y = plan.left + (j + 0.5) * plan.cell_w, plan.bottom + 14
        if plan.turned:
            turn = f"rotate(-45 {x:.2f} {y:.2f})"
            parts.append(text(x + 4, y - 2, cells.columns[j], class_="end soft", transform=turn))
        else:
            parts.append(text(x, y, cells.columns[j], class_="middle soft"))
    if not cells.column_title:
        return "".join(parts)
    words = fit(cells.column_title, plan.width - 16)
    half = text_width(words) / 2
    center = min(max(plan.left + plan.plot_w / 2, half + 4), plan.width - half - 4)
    return "".join(parts) + text(center, plan.bottom + plan.below + 18, words, class_="middle")


def _color_bar(cells: Cells, plan: Plan) -> str:
    x0, y0, width, height = plan.left, 16.0, min(max(plan.plot_w, 150.0), 220.0), 8.0
    n = 64
    bar = "".join(
        tag("rect", x=x0 + width * k / n, y=y0, width=width / n + 0.4, height=height, fill=scale((k + 0.5) / n))
        for k in range(n)
    )
    ends = [(plan.low, 0.0), (plan.high, 1.0)] if not plan.flipped else [(plan.high, 0.0), (plan.low, 1.0)]
    labels = "".join(
        text(x0 + width * t, y0 + height + 12, number(v), class_="small soft" + (" end" if t else ""))
        for v, t in (ends if plan.high > plan.low else ends[1:])
    )
    return tag("g", bar, shape_rendering="crispEdges") + labels + _chance_mark(cells, plan, x0, y0, width, height)


def _chance_mark(cells: Cells, plan: Plan, x0: float, y0: float, width: float, height: float) -> str:
    """A triangle at the mean chance level; where pairs differ, a bracket over its range and both ends in words."""
    chance = cells.chance[np.isfinite(cells.chance)].astype(float)
    if not chance.size:
        return ""
    at, low, high = (x0 + width * plan.share(float(v)) for v in (chance.mean(), chance.min(), chance.max()))
    spread = line(low, y0 - 1.5, high, y0 - 1.5, "axis") if abs(high - low) > 3 else ""
    triangle = tag("path", d=f"M{at:.2f} {y0:.2f}l-4 -6h8z", class_="tri")
    ends = [number(float(v)) for v in (chance.min(), chance.max())]
    words = f"chance {number(float(chance.mean()))}" if ends[0] == ends[1] else f"chance {ends[0]} to {ends[1]} by pair"
    right = at + 8 + text_width(words, 10) < plan.width
    label = text(at + 7 if right else at - 7, y0 - 4, words, class_="small" if right else "small end")
    through = line(at, y0, at, y0 + height, "axis")
    return spread + through + triangle + label


def _legend(cells: Cells, plan: Plan, name: str) -> str:
    y = plan.under
    parts = [
        tag("rect", x=6, y=y, width=9, height=9, class_="frame"),
        text(21, y + 8.5, cells.best_words, class_="small"),
    ]
    failing, known = (int(m.sum()) // (2 if cells.twice else 1) for m in (cells.failing, cells.known))
    if failing:
        parts += [
            tag("rect", x=5, y=y + 14, width=11, height=11, class_="axis", fill_opacity=1),
            tag("rect", x=5, y=y + 14, width=11, height=11, fill=f"url(#hatch-{name})"),
            text(21, y + 23, f"{cells.failing_words} ({failing} of {known})", class_="small"),
        ]
    return "".join(parts)
