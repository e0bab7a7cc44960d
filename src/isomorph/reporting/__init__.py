"""Saved results to figures and one self-contained page."""

from __future__ import annotations

from ._page import report

__all__ = ["report"]
