"""A single pair of layers: its score in the distribution of scores of items paired at random."""

from __future__ import annotations

import math

import numpy as np

from ..results import Alignment
from ._bars import Mark, Outline, histogram
from ._charts import Row, dot_plot
from ._heatmap import passes
from ._svg import Figure
from ._text import number, p_text, percent, printable

_BINS = (14, 60)  # within the distribution, and at most within the figure


def null_plot(alignment: Alignment, name: str) -> Figure:
    """What a heat map of one cell would hide: how far the score lies outside what chance gives.

    Args:
        alignment: One metric, of one pair of layers.
        name: Stem of the figure's files.
    """
    best, passing = alignment.best(), bool(passes(alignment)[0, 0])
    title = printable(
        f"{alignment.metric} of {best.x_layer} by {best.y_layer}: {number(best.value)}, chance {number(best.chance)}, "
        f"p {p_text(best.p_maximum)}"
    )
    heading = printable(f"{best.x_layer} × {best.y_layer}") + (" (lower is more alike)" if alignment.distance else "")
    bounds = alignment.bounds(0, 0)
    bounds = bounds if bounds is not None and all(map(math.isfinite, bounds)) else None
    permuted = alignment.permuted
    if permuted is None or permuted["quantiles"] is None:
        row = Row(heading, best.value, best.chance, passing, (), bounds)
        return dot_plot(name, f"{title}.", printable(alignment.metric), [row], "score")
    steps, reached = np.asarray(permuted["quantiles"], dtype=float), float(permuted["quantile"])
    edges, shares = _binned(steps, [best.value, reached, *(bounds or ())])
    side = "above" if alignment.distance else "below"
    return histogram(
        name,
        f"{title}; with items paired at random {percent(permuted['level'])} {side} {number(reached)}.",
        heading,
        edges,
        [Outline(f"items paired at random, mean {number(permuted['mean'])}", shares, "null", filled=True)],
        printable(alignment.metric),
        [
            Mark(f"{percent(permuted['level'])} of these {side} {number(reached)}", reached),
            Mark(
                f"score {number(best.value)}" + (f" ({number(bounds[0])} to {number(bounds[1])})" if bounds else ""),
                best.value,
                passing,
                bounds,
            ),
        ],
    )


def _binned(steps: np.ndarray[tuple[int], np.dtype[np.float64]], shown: list[float]) -> tuple[list[float], list[float]]:
    """Bins that hold a distribution and some numbers, and the share of it in each, from its quantiles."""
    low, high = min(steps[0], *shown), max(steps[-1], *shown)
    low, high = low - 0.02 * (high - low or 1.0), high + 0.02 * (high - low or 1.0)
    width = max((steps[-1] - steps[0]) / _BINS[0], (high - low) / _BINS[1])
    edges = low + width * np.arange(math.ceil((high - low) / width) + 1)
    at, first = np.unique(steps, return_index=True)
    last = np.append(first[1:], len(steps)) - 1  # of equal quantiles the last says how many are no higher
    reached = np.interp(edges, at, last / (len(steps) - 1), left=0.0, right=1.0)
    return edges.tolist(), np.diff(reached).tolist()
