"""Results as figures for print, drawn with matplotlib: one small function for each kind of result."""

from __future__ import annotations

from ._plot import parts_of, plot, plotted

__all__ = ["parts_of", "plot", "plotted"]
