"""What figures for print share: rows with intervals, matrices, lines and distributions, chance drawn in each.

A column of a journal is 3.5 inches wide; text is 7 points. Colours are those of the page on white.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import MissingExtraError
from .._charts import Row, Series
from .._color import PALETTE, STEPS, scale
from .._text import printable

WIDTH = 3.5
"""Inches of a column."""
INK, SOFT, LINE = (PALETTE[name][0] for name in ("ink", "soft", "line"))
COLORS = tuple(PALETTE[name][0] for name in ("accent", "second", "third", "fourth"))
"""The page's four colours, told apart by the colour-blind; what a colour means is also told by a shape."""
_SHAPES = ("D", "^", "s", "v", "P", "X")
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "hatch.linewidth": 0.5,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


BESIDE = "beside"
"""The style of a line that others are held against: dotted, with hollow marks."""


def matplotlib(what: str = "plot()") -> Any:
    """The package that draws.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import matplotlib as package
        import matplotlib.pyplot  # the submodule, which the package does not bring by itself
    except ImportError as error:
        raise MissingExtraError(what, "matplotlib", "plot") from error
    return package


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Sizes, fonts and colours of print, for what is drawn inside."""
    package = matplotlib()
    with package.rc_context(_STYLE):
        yield
        interactive = package.is_interactive()
    package.interactive(interactive)  # a notebook turns it on at the first figure, and shows none without


def axes(height: float = 2.4) -> Any:
    """Axes of a figure of their own, a column wide and `height` inches high."""
    figure, ax = matplotlib().pyplot.subplots(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    return ax


def rows_height(count: int) -> float:
    """Height in inches of a figure of so many rows, its legend aside."""
    return 0.5 + 0.19 * max(count, 2)


def make_room(ax: Any) -> None:
    """Make the figure of these axes as much higher as its legend is."""
    legend = ax.get_legend()
    if legend is not None:
        entries, columns = len(legend.get_texts()), legend._ncols  # there is no public name for it
        ax.figure.set_figheight(ax.figure.get_figheight() + 0.13 * math.ceil(entries / columns))


def shortened(words: object, width: int = 26) -> str:
    """A label of at most `width` characters, cut in its middle; dollars are no formulas."""
    text = printable(words)
    keep = width - 1
    text = text if len(text) <= width else f"{text[: math.ceil(keep / 2)]}…{text[-(keep // 2) :]}"
    return text.replace("$", r"\$")


def rows(
    ax: Any,
    given: Sequence[Row],
    label: str,
    *,
    bar: str = "",
    hollow: str = "not told from chance",
    band: tuple[str, float, float] | None = None,
) -> None:
    """Numbers as points with intervals, the first on top; chance is dashed, across all rows where it is one.

    Args:
        ax: Where to draw.
        given: The rows.
        label: Name of the horizontal axis.
        bar: What the intervals are, for the legend; empty for nothing.
        hollow: What a marker that is not filled means.
        band: Name, lower and upper end of a range that all rows are held against, such as a noise ceiling.
    """
    if band is not None:
        ax.axvspan(band[1], band[2], color=COLORS[2], alpha=0.18, linewidth=0, label=band[0], zorder=0)
        ax.axvline(band[1], color=COLORS[2], linewidth=0.6, zorder=0.5)
    _chance_of_rows(ax, given)
    kinds = list(dict.fromkeys(b[0] for row in given for b in row.baselines))
    for k, kind in enumerate(kinds):
        at = [(b[1], i) for i, row in enumerate(given) for b in row.baselines if b[0] == kind]
        color = COLORS[1 + k % 3]
        ax.plot(*zip(*at, strict=True), _SHAPES[k % len(_SHAPES)], color=color, mfc="white", mew=0.8, ms=3.6,
                label=shortened(kind, 30), zorder=2)  # fmt: skip
    for i, row in enumerate(given):
        if row.interval is not None:
            ax.plot(row.interval, [i, i], "-", color=COLORS[0], linewidth=1.1, solid_capstyle="butt", zorder=3,
                    label=bar if bar and not _labelled(ax, bar) else "_interval")  # fmt: skip
    for passing in (True, False):
        at = [(row.value, i) for i, row in enumerate(given) if row.passing is passing and math.isfinite(row.value)]
        if at:
            face = COLORS[0] if passing else "white"
            ax.plot(*zip(*at, strict=True), "o", color=COLORS[0], mfc=face, mew=0.9, ms=4.2, zorder=4,
                    label="_passing" if passing else hollow)  # fmt: skip
    ax.set_yticks(range(len(given)), [shortened(row.label) for row in given])
    ax.set_ylim(len(given) - 0.4, -0.6)
    ax.set_xlabel(label)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=LINE, linewidth=0.5, zorder=0)
    ax.set_axisbelow(True)
    _open(ax, ("top", "right", "left"))
    key(ax)


def _chance_of_rows(ax: Any, given: Sequence[Row]) -> None:
    known = [(row.chance, i) for i, row in enumerate(given) if math.isfinite(row.chance)]
    if not known:
        return
    levels = [c for c, _ in known]
    if len(known) == len(given) and math.isclose(min(levels), max(levels), rel_tol=1e-3, abs_tol=1e-3):
        ax.axvline(float(np.mean(levels)), color=SOFT, linestyle=(0, (4, 2)), linewidth=0.9, label="chance", zorder=1)
        return
    for k, (c, i) in enumerate(known):
        ax.plot([c, c], [i - 0.32, i + 0.32], color=SOFT, linestyle=(0, (2, 1)), linewidth=1.1, zorder=1,
                label="_chance" if k else "chance")  # fmt: skip


def lines(
    ax: Any, given: Sequence[Series], x_label: str, y_label: str, *, chance: float | Series | None = None
) -> None:
    """Numbers along an axis, with intervals as whiskers, and chance dashed.

    Args:
        ax: Where to draw.
        given: The lines, the most important first; those of the style `BESIDE` are what it is held against.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        chance: One level, or a line of its own.
    """
    if isinstance(chance, Series):
        ax.plot(chance.x, chance.y, color=SOFT, linestyle=(0, (4, 2)), linewidth=0.9, label="chance", zorder=1)
    elif chance is not None and math.isfinite(chance):
        ax.axhline(chance, color=SOFT, linestyle=(0, (4, 2)), linewidth=0.9, label="chance", zorder=1)
    for k, line in enumerate(given):
        color, aside = COLORS[k % len(COLORS)], line.style == BESIDE
        shape = "o" if k == 0 else _SHAPES[(k - 1) % len(_SHAPES)]
        y = np.asarray(line.y, dtype=float)
        if line.band is not None:
            ax.vlines(line.x, *line.band, color=color, linewidth=1.1, zorder=2)
        ax.plot(line.x, y, ":" if aside else "-", color=color, linewidth=1.0, zorder=3, marker=shape, ms=3.6,
                mfc="white", mew=0.8, label=shortened(line.label, 30))  # fmt: skip
        full = np.asarray(line.filled if len(line.filled) else [not aside] * len(y), dtype=bool)
        if full.any():
            ax.plot(np.asarray(line.x)[full], y[full], shape, color=color, ms=3.6, mew=0.8, label="_passing", zorder=4)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.grid(axis="y", color=LINE, linewidth=0.5)
    ax.set_axisbelow(True)
    _open(ax, ("top", "right"))
    key(ax)


@dataclasses.dataclass(frozen=True)
class Matrix:
    """Numbers of pairs, and what they are held against.

    Attributes:
        values: The numbers (rows, columns), NaN for none; the first row is at the bottom.
        chance: Their chance levels.
        passing: Which pass; the others are hatched.
        rows: Labels.
        columns: Labels.
        row_title: What rows are.
        column_title: What columns are.
        label: What the numbers are.
        best: Row and column of the cell that is framed; None for none.
        beside: What the best is held against -> number, drawn on the color bar.
        flipped: Whether low numbers are what is looked for.
    """

    values: Any
    chance: Any
    passing: Any
    rows: Sequence[str]
    columns: Sequence[str]
    row_title: str
    column_title: str
    label: str
    best: tuple[int, int] | None = None
    beside: Mapping[str, float] = dataclasses.field(default_factory=dict)
    flipped: bool = False


def matrix(ax: Any, given: Matrix) -> None:
    """A heat map with its color bar, on which chance is marked: one line, or the range that it has over the cells."""
    package = matplotlib()
    values = np.asarray(given.values, dtype=float)
    known = np.isfinite(values)
    chance = np.asarray(given.chance, dtype=float)[known]
    chance = chance[np.isfinite(chance)]
    shown = np.concatenate([values[known], chance, [v for v in given.beside.values() if math.isfinite(v)]])
    low, high = float(shown.min()), float(shown.max())
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    steps = [scale(t / (STEPS - 1)) for t in range(STEPS)]
    colors = package.colors.ListedColormap(steps[::-1] if given.flipped else steps)
    image = ax.imshow(np.ma.masked_invalid(values), cmap=colors, vmin=low, vmax=high, origin="lower", aspect="auto")
    handles = _cell_marks(ax, given, known)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, fraction=0.07)
    bar.outline.set_linewidth(0.4)
    bar.set_label(given.label)
    handles += _bar_marks(bar.ax, chance, given.beside)
    for axis, labels in ((ax.xaxis, given.columns), (ax.yaxis, given.rows)):
        step = math.ceil(len(labels) / 16)
        axis.set_ticks(range(0, len(labels), step), [shortened(v, 18) for v in labels[::step]])
    if max(map(len, given.columns)) * len(given.columns[:: math.ceil(len(given.columns) / 16)]) > 34:
        ax.tick_params(axis="x", labelrotation=90)
    ax.tick_params(length=0)
    ax.set_xlabel(given.column_title)
    ax.set_ylabel(given.row_title)
    _open(ax, ("top", "right", "left", "bottom"))
    key(ax, handles)


def _cell_marks(ax: Any, given: Matrix, known: Any) -> list[Any]:
    patches = matplotlib().patches
    handles = []
    failing = known & ~np.asarray(given.passing, dtype=bool)
    for i, j in np.argwhere(failing):
        ax.add_patch(patches.Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, hatch="//////", edgecolor="#ffffff90",
                                       linewidth=0))  # fmt: skip
    if failing.any():
        handles.append(patches.Patch(facecolor=SOFT, edgecolor="white", hatch="//////", label="not told from chance"))
    if given.best is not None:
        i, j = given.best
        frame = patches.Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=COLORS[1], linewidth=1.4, zorder=5)
        ax.add_patch(frame)
        frame.set_clip_on(False)
        handles.append(patches.Patch(fill=False, edgecolor=COLORS[1], linewidth=1.2, label="best"))
    return handles


def _bar_marks(ax: Any, chance: Any, beside: Mapping[str, float]) -> list[Any]:
    """Chance and baselines as lines across the color bar, with white under them so that they show on every colour."""
    line = matplotlib().lines.Line2D
    handles = []
    if len(chance):
        ends = {float(chance.min()), float(chance.max())}
        spread = max(ends) - min(ends) > 1e-3
        for level in ends if spread else {float(chance.mean())}:
            ax.axhline(level, color="white", linewidth=2.2)
            ax.axhline(level, color=INK, linewidth=1.1, label="chance")
        name = "chance (least, greatest)" if spread else "chance"
        handles.append(line([], [], color=INK, linewidth=1.1, label=name))
    for k, (name, value) in enumerate(beside.items()):
        if math.isfinite(value):
            color = COLORS[1 + k % 3]
            ax.axhline(value, color="white", linewidth=2.4)
            ax.axhline(value, color=color, linewidth=1.3, label=name)
            handles.append(line([], [], color=color, linewidth=1.3, label=shortened(name, 30)))
    return handles


def distribution(ax: Any, edges: Sequence[float], shares: Sequence[float], name: str, label: str) -> None:
    """Shares of a distribution in bins, as a filled outline.

    Args:
        ax: Where to draw.
        edges: Edges of the bins, one more than there are shares.
        shares: Share in each bin.
        name: What it is, for the legend.
        label: Name of the horizontal axis.
    """
    ax.stairs(shares, edges, fill=True, color=LINE, zorder=1)
    ax.stairs(shares, edges, color=SOFT, linewidth=0.8, zorder=1.5, label=name)
    ax.set_ylim(0, 1.25 * (max(shares) or 1.0))
    ax.yaxis.set_major_formatter(matplotlib().ticker.PercentFormatter(xmax=1.0, decimals=0))
    ax.set_xlabel(label)
    ax.set_ylabel("share of the draws")
    _open(ax, ("top", "right"))


def found(
    ax: Any, value: float, name: str, *, interval: tuple[float, float] | None = None, passing: bool = True
) -> None:
    """The number that was found, as a disc on a stem in a distribution."""
    y = 0.5 * ax.get_ylim()[1]
    ax.vlines(value, 0, y, color=COLORS[0], linewidth=1.0, zorder=3)
    if interval is not None:
        ax.plot(interval, [y, y], "-", color=COLORS[0], linewidth=1.1, zorder=3)
    ax.plot([value], [y], "o", color=COLORS[0], mfc=COLORS[0] if passing else "white", ms=4.6, zorder=4, label=name)


def level(ax: Any, value: float, name: str, color: str = SOFT) -> None:
    """A vertical line with a name, dashed."""
    ax.axvline(value, color=color, linestyle=(0, (4, 2)), linewidth=0.9, label=name, zorder=2)


def key(ax: Any, handles: Sequence[Any] | None = None) -> None:
    """The legend, above the axes, in as many columns as its words allow."""
    handles = list(handles) if handles is not None else ax.get_legend_handles_labels()[0]
    if not handles:
        return
    longest = max(len(str(h.get_label())) for h in handles)
    columns = max(1, min(len(handles), 4, 54 // (longest + 5)))
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False,
              borderaxespad=0.2, handlelength=1.4, columnspacing=1.2, handletextpad=0.5)  # fmt: skip


def _labelled(ax: Any, name: str) -> bool:
    return name in ax.get_legend_handles_labels()[1]


def _open(ax: Any, sides: Sequence[str]) -> None:
    for side in sides:
        ax.spines[side].set_visible(False)


def bare(ax: Any) -> None:
    """Axes whose places are names: no ticks, and a line at the bottom alone."""
    ax.tick_params(axis="y", length=0)
    ax.set_axisbelow(True)
    _open(ax, ("top", "right", "left"))
