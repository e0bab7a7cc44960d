"""The heat map of an alignment: layer by layer, with what does not pass shown as such."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..results import Alignment
from ._grid import Cells, grid
from ._svg import Figure
from ._text import DASH, layer_labels, number, p_equals, p_text, times_chance


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
    passing, best = passes(alignment), alignment.best()
    rows, columns = alignment.shape
    row_names, row_stem = layer_labels(alignment.x_layers)
    column_names, column_stem = layer_labels(alignment.y_layers)
    which = "p" if alignment.p_family is None else "p among all pairs"
    cells = Cells(
        values=np.asarray(alignment.values, dtype=float),
        chance=np.asarray(alignment.chance, dtype=float),
        passing=passing,
        words=[[describe(alignment, i, j, bool(passing[i, j])) for j in range(columns)] for i in range(rows)],
        rows=row_names,
        columns=column_names,
        row_title=_axis_title(x_name, row_stem),
        column_title=_axis_title(y_name, column_stem),
        best=best_cell(alignment),
        best_words=f"best pair {number(best.value)}; p of the maximum {p_text(best.p_maximum)}",
        failing_words=f"hatched: {which} > {alignment.alpha:g}",
        what="Pairs of layers",
        flipped=alignment.distance,
    )
    title = (
        f"Heat map of {alignment.metric}, {x_name} by {y_name}, {rows} by {columns} layers. Best pair "
        f"{best.x_layer} by {best.y_layer}: {number(best.value)}, chance {number(best.chance)}, "
        f"p of the maximum {p_text(best.p_maximum)}."
    )
    return grid(cells, title, name)


def _axis_title(name: str, stem: str) -> str:
    """Numbers of plain layers and blocks explain themselves, other names say what the numbers stand for."""
    plain = stem in ("", "#", "layer_#", "block_#", "layer#", "block#")
    return f"layers of {name} →" if plain else f"layers of {name} ({stem}) →"
