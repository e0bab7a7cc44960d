"""Colours: a perceptually uniform scale that the colour-blind can read, and the page's palette.

The scale runs along a smooth curve in Oklab (Ottosson 2020) from dark blue over teal to light yellow, cut into steps
of equal length, with lightness rising throughout: it keeps its order in grey and for every kind of colour vision.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np

STEPS = 256

PALETTE: dict[str, tuple[str, str]] = {
    "page": ("#fdfdfb", "#15171b"),
    "panel": ("#ffffff", "#1b1e23"),
    "ink": ("#1b1e23", "#eceae5"),
    "soft": ("#5a626d", "#a7aeb8"),
    "line": ("#dcdfe3", "#363b43"),
    "accent": ("#0b5fa5", "#72b8f4"),
    "second": ("#b04a0c", "#f2a661"),
    "third": ("#0d7457", "#60cdab"),
    "fourth": ("#84398a", "#dba3df"),
}
"""Name -> colour on a light and on a dark page."""

_CURVE = ((0.025, -0.125), (-0.16, -0.05), (-0.05, 0.165))  # (a, b) of Oklab: ends and control point of a Bézier curve
_LIGHTNESS = (0.27, 0.94)


def scale(t: float) -> str:
    """Colour at `t` in [0, 1], dark blue to light yellow, as ``#rrggbb``."""
    return _table()[round(min(max(t, 0.0), 1.0) * (STEPS - 1))]


def root_css() -> str:
    """The palette as custom properties, light and dark."""
    light, dark = (";".join(f"--{k}:{v[i]}" for k, v in PALETTE.items()) for i in (0, 1))
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{@media screen{{:root{{{dark}}}}}}}"


def resolve(css: str) -> str:
    """Style rules with every ``var(--name)`` replaced by its colour on a light page, for files."""
    return re.sub(r"var\(--(\w+)\)", lambda m: PALETTE[m[1]][0], css)


@cache
def _table() -> tuple[str, ...]:
    t = np.linspace(0, 1, 4001)[:, None]
    p0, p1, p2 = map(np.asarray, _CURVE)
    chroma = (1 - t) ** 2 * p0 + 2 * t * (1 - t) * p1 + t**2 * p2
    lab = np.concatenate([_LIGHTNESS[0] + (_LIGHTNESS[1] - _LIGHTNESS[0]) * t, chroma], axis=1)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(lab, axis=0), axis=1))])
    at = np.interp(np.linspace(0, length[-1], STEPS), length, t[:, 0])
    even = np.stack([np.interp(at, t[:, 0], lab[:, c]) for c in range(3)], axis=1)
    rgb = np.round(np.clip(oklab_to_srgb(even), 0, 1) * 255).astype(int)
    return tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rgb)


def oklab_to_srgb(lab: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Oklab to gamma-coded sRGB, arrays (n, 3); values outside [0, 1] are outside the gamut."""
    to_lms = np.array(
        [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = (lab @ to_lms.T) ** 3 @ to_rgb.T
    gamma = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear > 0.0031308, gamma, 12.92 * linear))
