"""The heat map of models against models, ordered by their tree, with the tree beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ..population import Tree
from ..results import ModelAlignment
from ._grid import Cells, Plan, grid, plan_of
from ._svg import Figure, fit, path, tag, text
from ._text import DASH, number, p_equals, printable, times_chance

_NAME_W, _TREE_W, _SIDE = 128.0, 66.0, (10.0, 17.0)
_WISHED = 470.0  # of the cells of many models
STABLE = 0.95
"""Support over items from which on a clade is marked."""


def model_map(alignment: ModelAlignment, order: Sequence[int], tree: Tree | None, name: str) -> Figure:
    """Every pair of models in the color of its score, hatched where it is not beyond chance.

    Args:
        alignment: What to show.
        order: Positions of the models from the left and from the top.
        tree: What they are ordered by, or None.
        name: Stem of the figure's files.
    """
    values, chance = (np.array(m, dtype=float) for m in (alignment.values, alignment.chance))
    np.fill_diagonal(values, np.nan)  # a model with itself
    likeness = np.where(np.isnan(values), -np.inf, -values if alignment.distance else values)
    top, left = np.unravel_index(int(np.argmax(likeness)), likeness.shape)
    names = [fit(printable(alignment.models[k]), _NAME_W) for k in order]
    rows = list(reversed(order))  # heat maps run from the bottom up
    passing = np.nan_to_num(alignment.q, nan=1.0) <= alignment.alpha + 1e-12
    whole = np.ix_(rows, list(order))
    cells = Cells(
        values=values[whole],
        chance=chance[whole],
        passing=passing[whole],
        words=[[describe(alignment, i, j) for j in order] for i in rows],
        rows=names[::-1],
        columns=names,
        row_title="" if alignment.symmetric else "from",
        column_title="" if alignment.symmetric else "to",
        best=(rows.index(int(top)), list(order).index(int(left))),
        best_words=f"most alike, {number(float(values[top, left]))}",
        failing_words=f"hatched: q > {alignment.alpha:g}",
        what="Pairs of models",
        flipped=alignment.distance,
        twice=alignment.symmetric,
        side=min(max(_WISHED / len(order), _SIDE[0]), _SIDE[1]),
    )
    best = [printable(alignment.models[k]) for k in (int(top), int(left))]
    title = (
        f"{len(order)} models against each other by {alignment.metric}: most alike are {best[0]} and {best[1]}, "
        f"{number(float(values[top, left]))}, chance {number(float(chance[top, left]))}."
    )
    found = grid(cells, title, name)
    if tree is None:
        return found
    plan = plan_of(cells)
    start = plan.left + plan.plot_w + 6
    width = max(found.width, start + _TREE_W + 10)
    return dataclasses.replace(found, width=width, body=found.body + _branches(tree, plan, start))


def describe(alignment: ModelAlignment, i: int, j: int) -> str:
    """Everything about one pair of models, as one line of text."""
    names = [printable(alignment.models[k]) for k in (i, j)]
    if i == j:
        return f"{names[0]} with itself"
    at = alignment.places.get((i, j))
    if at is None:
        return f"{names[0]} × {names[1]} was not compared"
    value, level = float(alignment.scores[at]), float(alignment.chances[at])
    ratio = times_chance(value, level)
    q = float(alignment.rates[at])
    words = [
        f"{names[0]} × {names[1]}: {number(value)}",
        f"chance {number(level)}" + ("" if ratio == DASH else f" ({ratio})"),
        p_equals(float(alignment.p_values[at])),
        p_equals(q).replace("p", "q", 1),
        f"held out {number(float(alignment.halves[:, at].mean()))}",
    ]
    chosen = zip(alignment.pairs[at].tolist(), alignment.chosen[at].tolist(), strict=True)
    layers = {model: printable(alignment.layer_names[model][layer]) for model, layer in chosen if layer >= 0}
    if layers:
        words.append(f"layers {layers[i]} and {layers[j]}")
    return ", ".join(words) + ("" if q <= alignment.alpha + 1e-12 else "; not beyond chance")


def _branches(tree: Tree, plan: Plan, start: float) -> str:
    """The tree with its leaves at the rows; clades that are stable over items have a dot."""
    m = len(tree.names)
    heights = np.concatenate([np.full(m, -np.inf), tree.linkage[:, 2]])
    high, least = float(heights[-1]), float(tree.linkage[0, 2])
    low = least - 0.3 * (high - least)  # leaves lie at the left end, wherever zero would be
    at = {leaf: plan.corner(m - 1 - k, 0)[1] + plan.cell_h / 2 for k, leaf in enumerate(tree.order)}

    def px(height: float) -> float:
        return start + _TREE_W * max(height - low, 0.0) / ((high - low) or 1.0)

    parts = []
    for k, row in enumerate(tree.linkage):
        one, other, x = int(row[0]), int(row[1]), px(float(row[2]))
        corners = [(px(heights[one]), at[one]), (x, at[one]), (x, at[other]), (px(heights[other]), at[other])]
        parts.append(tag("path", d=path(corners), class_="branch"))
        at[m + k] = (at[one] + at[other]) / 2
        support = tree.clades[k].support if k < len(tree.clades) else math.nan
        if support >= STABLE:
            parts.append(tag("circle", cx=x, cy=at[m + k], r=2.6, class_="stable"))
    return "".join(parts) + text(start, 24, "tree", class_="small soft")
