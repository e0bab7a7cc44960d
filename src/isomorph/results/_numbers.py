"""Numbers as people read them."""

from __future__ import annotations


def format_p(p: float) -> str:
    """A p-value for people: three decimals, or powers of ten when small."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"
