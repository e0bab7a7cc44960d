"""The heat map of an alignment: layer by layer, with what does not pass shown as such."""

from __future__ import annotations

import dataclasses
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from ..results import Alignment
from ._color import scale
from ._svg import Figure, fit, line, tag, text, text_width
from ._text import DASH, layer_labels, number, p_equals, p_text, printable, times_chance

_PLOT = (250.0, 270.0)  # wished size of the plot
_CELL = (10.0, 36.0)  # smallest and largest side of a cell
_TOP = 46.0  # the colour bar's height
_MIN_WIDTH = 300.0
_LABEL_STEPS = (1, 2, 3, 4, 5, 6, 10, 12, 20, 50)


def passes(alignment: Alignment) -> np.ndarray[Any, Any]:
    """Which pairs of layers pass at the alignment's level, adjusted for all pairs where that is known."""
    p = alignment.p_value if alignment.p_family is None else alignment.p_family
    return np.asarray(np.nan_to_num(np.asarray(p, dtype=float), nan=1.0) <= alignment.alpha)


def best_cell(alignment: Alignment) -> tuple[int, int]:
    """Row and column of the best pair of layers."""
    best = alignment.best()
    return alignment.x_layers.index(best.x_layer), alignment.y_layers.index(best.y_layer)


def describe(alignment: Alignment, i: int, j: int, passing: bool) -> str:
    """Everything about one pair of layers, as one line of text."""
    value, chance = float(alignment.values[i, j]), float(alignment.chance[i, j])
    ratio = times_chance(value, chance)
    words = [
        f"{alignment.x_layers[i]} × {alignment.y_layers[j]}: {number(value)}",
        f"chance {number(chance)}" + ("" if ratio == DASH else f" ({ratio})"),
        p_equals(float(alignment.p_value[i, j])),
    ]
    if alignment.p_family is not None:
        words.append(f"among all pairs {p_equals(float(alignment.p_family[i, j]))}")
    if alignment.calibrated is not None:
        words.append(f"calibrated {number(float(alignment.calibrated[i, j]))}")
    bounds = alignment.bounds(i, j)
    if bounds is not None:
        words.append(f"{100 * (1 - alignment.alpha):g} % interval {number(bounds[0])} to {number(bounds[1])}")
    return ", ".join(words) + ("" if passing else "; does not pass")


def heatmap(alignment: Alignment, x_name: str, y_name: str, name: str) -> Figure:
    """Rows are the layers of `x` from input (bottom) to output (top), columns those of `y` from left to right.

    Args:
        alignment: What to show.
        x_name: Short name of `x`.
        y_name: Short name of `y`.
        name: Stem of the figure's files.
    """
    plan = _plan(alignment)
    best = alignment.best()
    body = [
        _color_bar(alignment, plan),
        _cells(alignment, plan, name),
        _hatch(alignment, plan, name),
        _best_frame(alignment, plan),
        _row_labels(alignment, plan, x_name),
        _column_labels(alignment, plan, y_name),
        _legend(alignment, plan, name),
    ]
    title = (
        f"Heat map of {alignment.metric}, {x_name} by {y_name}, {plan.rows} by {plan.columns} layers. Best pair "
        f"{best.x_layer} by {best.y_layer}: {number(best.value)}, chance {number(best.chance)}, "
        f"p of the maximum {p_text(best.p_maximum)}."
    )
    return Figure(name, title, plan.width, plan.height, "".join(body), interactive=True)


@dataclasses.dataclass(frozen=True)
class _Plan:
    rows: int
    columns: int
    cell_w: float
    cell_h: float
    left: float
    row_names: list[str]
    column_names: list[str]
    row_stem: str
    column_stem: str
    turned: bool
    low: float
    high: float
    flipped: bool

    @property
    def plot_w(self) -> float:
        return self.columns * self.cell_w

    @property
    def plot_h(self) -> float:
        return self.rows * self.cell_h

    @property
    def bottom(self) -> float:
        return _TOP + self.plot_h

    @property
    def below(self) -> float:
        """Height of the column labels."""
        return 12 + (max(map(text_width, self.column_names)) * 0.75 if self.turned else 4)

    @property
    def width(self) -> float:
        return max(self.left + self.plot_w + 16, _MIN_WIDTH)

    @property
    def height(self) -> float:
        return self.bottom + self.below + 62

    def corner(self, i: int, j: int) -> tuple[float, float]:
        return self.left + j * self.cell_w, _TOP + (self.rows - 1 - i) * self.cell_h

    def share(self, value: float) -> float:
        """Where a score lies on the colour scale; bright always means more alike."""
        t = (value - self.low) / (self.high - self.low) if self.high > self.low else 1.0
        return 1 - t if self.flipped else t


def _plan(alignment: Alignment) -> _Plan:
    rows, columns = alignment.shape
    cell_h = min(max(_PLOT[1] / rows, _CELL[0]), _CELL[1])
    cell_w = min(max(_PLOT[0] / columns, _CELL[0]), _CELL[1], 1.7 * cell_h)
    row_names, row_stem = layer_labels(alignment.x_layers)
    column_names, column_stem = layer_labels(alignment.y_layers)
    turned = max(map(text_width, column_names)) + 5 > cell_w * _LABEL_STEPS[4]
    everything = np.concatenate([alignment.values.ravel(), alignment.chance.ravel()]).astype(float)
    everything = everything[np.isfinite(everything)]
    return _Plan(
        rows,
        columns,
        cell_w,
        cell_h,
        max(map(text_width, row_names)) + 30,
        row_names,
        column_names,
        row_stem,
        column_stem,
        turned,
        float(everything.min()),
        float(everything.max()),
        alignment.distance,
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


def _cells(alignment: Alignment, plan: _Plan, name: str) -> str:
    passing, best = passes(alignment), best_cell(alignment)
    size = f"h{plan.cell_w:.2f}v{plan.cell_h:.2f}h-{plan.cell_w:.2f}z"
    rows = []
    for i in range(plan.rows):
        cells = []
        for j in range(plan.columns):
            x, y = plan.corner(i, j)
            cells.append(
                tag(
                    "path",
                    tag("title", escape(printable(describe(alignment, i, j, bool(passing[i, j]))))),
                    d=f"M{x:.2f} {y:.2f}{size}",
                    fill=scale(plan.share(float(alignment.values[i, j]))),
                    role="gridcell",
                    tabindex="0" if (i, j) == best else "-1",
                )
            )
        rows.append(tag("g", "".join(cells), role="row"))
    label = "Pairs of layers; arrow keys move between them"
    return tag("g", "".join(rows), role="grid", class_="cells", aria_label=label, shape_rendering="crispEdges")


def _hatch(alignment: Alignment, plan: _Plan, name: str) -> str:
    failing = np.argwhere(~passes(alignment))
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


def _best_frame(alignment: Alignment, plan: _Plan) -> str:
    x, y = plan.corner(*best_cell(alignment))
    box: dict[str, Any] = {"x": x, "y": y, "width": plan.cell_w, "height": plan.cell_h, "pointer_events": "none"}
    return tag("rect", **box, class_="halo") + tag("rect", **box, class_="frame")


def _row_labels(alignment: Alignment, plan: _Plan, x_name: str) -> str:
    parts = [
        text(plan.left - 6, plan.corner(i, 0)[1] + plan.cell_h / 2 + 3.6, plan.row_names[i], class_="end soft")
        for i in _shown(plan.rows, plan.cell_h)
    ]
    middle = _TOP + plan.plot_h / 2
    words = fit(_axis_title(x_name, plan.row_stem), max(plan.plot_h + 90, 120))
    turn = f"rotate(-90 11 {middle:.2f})"
    return "".join(parts) + text(11, middle, words, class_="middle", transform=turn)


def _column_labels(alignment: Alignment, plan: _Plan, y_name: str) -> str:
    parts = []
    room = 15 if plan.turned else max(map(text_width, plan.column_names)) + 5
    for j in _shown(plan.columns, plan.cell_w, room):
        x, y = plan.left + (j + 0.5) * plan.cell_w, plan.bottom + 14
        if plan.turned:
            turn = f"rotate(-45 {x:.2f} {y:.2f})"
            parts.append(text(x + 4, y - 2, plan.column_names[j], class_="end soft", transform=turn))
        else:
            parts.append(text(x, y, plan.column_names[j], class_="middle soft"))
    words = fit(_axis_title(y_name, plan.column_stem), plan.width - 16)
    half = text_width(words) / 2
    center = min(max(plan.left + plan.plot_w / 2, half + 4), plan.width - half - 4)
    return "".join(parts) + text(center, plan.bottom + plan.below + 18, words, class_="middle")


def _axis_title(name: str, stem: str) -> str:
    """Numbers of plain layers and blocks explain themselves, other names say what the numbers stand for."""
    plain = stem in ("", "#", "layer_#", "block_#", "layer#", "block#")
    return f"layers of {name} →" if plain else f"layers of {name} ({stem}) →"


def _color_bar(alignment: Alignment, plan: _Plan) -> str:
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
    return tag("g", bar, shape_rendering="crispEdges") + labels + _chance_mark(alignment, plan, x0, y0, width, height)


def _chance_mark(alignment: Alignment, plan: _Plan, x0: float, y0: float, width: float, height: float) -> str:
    """A triangle at the mean chance level; where pairs differ, a bracket over its range and both ends in words."""
    chance = alignment.chance[np.isfinite(alignment.chance)].astype(float)
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


def _legend(alignment: Alignment, plan: _Plan, name: str) -> str:
    best = alignment.best()
    y = plan.bottom + plan.below + 32
    parts = [
        tag("rect", x=6, y=y, width=9, height=9, class_="frame"),
        text(21, y + 8.5, f"best pair {number(best.value)}; p of the maximum {p_text(best.p_maximum)}", class_="small"),
    ]
    failing = int((~passes(alignment)).sum())
    if failing:
        which = "p" if alignment.p_family is None else "p among all pairs"
        parts += [
            tag("rect", x=5, y=y + 14, width=11, height=11, class_="axis", fill_opacity=1),
            tag("rect", x=5, y=y + 14, width=11, height=11, fill=f"url(#hatch-{name})"),
            text(
                21,
                y + 23,
                f"hatched: {which} > {alignment.alpha:g} ({failing} of {plan.rows * plan.columns})",
                class_="small",
            ),
        ]
    return "".join(parts)
