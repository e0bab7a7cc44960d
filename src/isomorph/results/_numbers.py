"""Numbers and lists as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST_P = 1e-300  # below this tails are beyond the precision of floats, whatever the formula says


def format_p(p: float) -> str:
    """A p-value for people: three decimals, powers of ten when small, and none below what floats tell apart.

    Example:
        >>> format_p(0.0312), format_p(2e-7)
        ('0.031', '2.0e-07')
    """
    if p < LEAST_P:
        return f"< {LEAST_P:.0e}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def decimals(value: float, places: int = 3) -> str:
    """A score with so many decimals, and no sign where they are all 0.

    Example:
        >>> decimals(-0.00004), decimals(-0.25, 2)
        ('0.000', '-0.25')
    """
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def stands_on_floor(p: float, permutations: int) -> bool:
    """Whether a p is the least that so many permutations can give, so that more of them might give a smaller one.

    Example:
        >>> stands_on_floor(0.01, 99), stands_on_floor(0.03, 99)
        (True, False)
    """
    return permutations > 0 and math.isclose(p, 1 / (permutations + 1), rel_tol=1e-9)


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``.

    Example:
        >>> listed(["cka", "rsa", "mutual_knn"])
        'cka, rsa and mutual_knn'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
