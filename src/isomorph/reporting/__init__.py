"""Saved results to figures and one self-contained page."""

from __future__ import annotations

from ._page import notebook_html, report

__all__ = ["notebook_html", "report"]
