"""Figures as SVG text: the same markup stands in the page and in the files beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from markupsafe import Markup

from ._color import resolve
from ._text import printable

FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: Stem of its files, unique in a report.
        title: What it shows, for those who cannot see it.
        width: Width in CSS pixels.
        height: Height in CSS pixels.
        body: The SVG elements inside.
        interactive: Whether there are parts to reach by keyboard.
        defs: Symbols that the body uses and the page holds by itself: pictures, for the files.
    """

    name: str
    title: str
    width: float
    height: float
    body: str
    interactive: bool = False
    defs: str = ""

    def inline(self) -> Markup:
        """The figure for the page, which brings the style rules."""
        role = "group" if self.interactive else "img"
        return Markup(  # built by `tag`, which escapes every text and attribute
            tag("svg", self.body, **self._size, class_="figure", role=role, aria_label=self.title, data_name=self.name)
        )

    def standalone(self) -> str:
        """The figure as an SVG file: light colours, its own style rules and background."""
        style = tag("style", escape(resolve(style_rules())))
        title = tag("title", escape(printable(self.title)))
        page = tag("rect", width=self.width, height=self.height, class_="page")
        defs = tag("defs", self.defs) if self.defs else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            + tag(
                "svg",
                title + style + defs + page + self.body,
                xmlns="http://www.w3.org/2000/svg",
                **self._size,
                class_="figure",
                font_family=FONT,
            )
            + "\n"
        )

    @property
    def _size(self) -> dict[str, object]:
        box = f"0 0 {_value(self.width)} {_value(self.height)}"
        return {"width": self.width, "height": self.height, "viewBox": box}


def tag(element: str, content: str = "", **attributes: object) -> str:
    """One element; `content` is markup, attribute values are escaped, ``_`` in their names means ``-``."""
    inside = "".join(
        f" {name.rstrip('_').replace('_', '-')}={quoteattr(_value(value))}"
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{element}{inside}>{content}</{element}>" if content else f"<{element}{inside}/>"


def text(x: float, y: float, words: object, **attributes: object) -> str:
    """A text, escaped."""
    return tag("text", escape(printable(words)), x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight line."""
    return tag("path", d=f"M{_value(x1)} {_value(y1)}L{_value(x2)} {_value(y2)}", class_=class_)


def path(points: Iterable[tuple[float, float]]) -> str:
    """Path data through points."""
    return "M" + "L".join(f"{_value(x)} {_value(y)}" for x, y in points)


def text_width(words: str, size: float = 11) -> float:
    """About how wide a text is, in CSS pixels; no font is asked."""
    return sum(0.3 if c in "iljtf.,:;'|!()[] " else 0.86 if c in "mwMW—" else 0.58 for c in words) * size


def fit(words: str, width: float, size: float = 11) -> str:
    """A text shortened in its middle to about `width` pixels; the whole stays in the page beside the figure."""
    if text_width(words, size) <= width:
        return words
    keep = max(int(len(words) * width / text_width(words, size)) - 1, 4)
    return f"{words[: math.ceil(keep / 2)]}…{words[-(keep // 2) :]}"


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers within [low, high]."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_text(value: float, values: list[float]) -> str:
    """A tick's label, with as many decimals as its axis needs."""
    step = min((b - a for a, b in pairwise(values)), default=abs(value) or 1)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    if step > 0 and abs(round(step, decimals) - step) > step * 1e-6:
        decimals += 1
    shown = f"{value:.{decimals}f}"
    return ("0" if float(shown) == 0 else shown).replace("-", "−")


@cache
def style_rules() -> str:
    """The rules that figures need, in terms of the palette."""
    return files(__package__).joinpath("templates/figure.css").read_text(encoding="utf-8")


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return printable(value)
