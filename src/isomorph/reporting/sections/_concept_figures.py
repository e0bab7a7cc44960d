"""Figures of a map of concepts: the plane of agreement against ceilings, and concepts as bars."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from ...results import (
    BOUND_TO_BOTH,
    BOUND_TO_X,
    BOUND_TO_Y,
    SHARED,
    UNDECIDED,
    UNSTABLE,
    VERDICTS,
    ConceptLabels,
    ConceptMap,
)
from .._charts import _domain, marker
from .._pictures import Shown
from .._section import Context
from .._svg import Figure, fit, line, tag, text, text_width, tick_text, ticks
from .._text import number, p_equals, printable

STYLES = {SHARED: 0, BOUND_TO_X: 1, BOUND_TO_Y: 2, BOUND_TO_BOTH: 3, UNSTABLE: 5}
"""Verdict -> its mark, colour and shape together; an undecided one has a ring."""
WIDTH = 480.0
_PICTURE = 20.0
CROWD = 30  # concepts in the plane; of more, only those with a name have their interval drawn
_BARS = 24  # concepts that a figure of bars holds; of more the highest and the lowest are drawn
Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Words:
    """What the sides of a map are called.

    Attributes:
        x: Short name of x.
        y: The same of y.
        x_kind: Its modality where that tells the sides apart, else its name.
        y_kind: The same of y.
    """

    x: str
    y: str
    x_kind: str
    y_kind: str

    def verdict(self, verdict: str) -> str:
        """A verdict with the side by name: ``bound to image``."""
        return {BOUND_TO_X: f"bound to {self.x_kind}", BOUND_TO_Y: f"bound to {self.y_kind}"}.get(verdict, verdict)


def words_of(result: ConceptMap, context: Context) -> Words:
    """What the sides are called."""
    x, y = (printable(context.name(n)) for n in (result.x_name, result.y_name))
    kinds = []
    for side in ("x", "y"):
        facts = result.provenance.get(side)
        kinds.append(printable(facts.get("modality") or "") if isinstance(facts, dict) else "")
    if not all(kinds) or kinds[0] == kinds[1]:
        kinds = [x, y]
    return Words(x, y, *kinds)


def mark(x: float, y: float, verdict: str, r: float = 4.0) -> str:
    """The mark of a verdict."""
    if verdict == UNDECIDED:
        return tag("circle", cx=x, cy=y, r=r, class_="m5 hollow")
    return marker(x, y, STYLES.get(verdict, 0), True, r)


def plane(
    result: ConceptMap, table: ConceptLabels, words: Words, context: Context, name: str
) -> tuple[Figure, int] | None:
    """Concepts by what each side agrees on with its own kind (across) and what both sides agree on (upwards).

    Returns:
        The figure, and how many concepts have no name in it; None where a side has no ceilings.
    """
    if not table.verdicts:
        return None
    ceiling = np.sqrt(np.maximum(table.x_ceilings[:, 0], 0) * np.maximum(table.y_ceilings[:, 0], 0))
    # a concept of one item or two has bounds from end to end: they do not stretch the axis
    known = table.counts > 2
    reach = [*table.corrected, *table.corrected_high[known], *table.corrected_low[known]]
    low, high = _domain([0.0, *(float(v) for v in reach)])
    first, last = 0.0, max(float(ceiling.max()) * 1.06, 0.05)
    left, right, top, height = 46.0, 12.0, 24.0, 330.0
    bottom = top + height

    def px(v: float) -> float:
        return left + (v - first) / (last - first) * (WIDTH - left - right)

    def py(v: float) -> float:
        return top + height * (high - min(max(v, low), high)) / (high - low)

    body = [text(left, 13, f"{printable(table.name)}: agreement across, beyond chance", class_="strong")]
    body += _axes((first, last), (low, high), px, py, (left, WIDTH - right, top, bottom))
    body.append(
        text((left + WIDTH - right) / 2, bottom + 32, "agreement within a modality, beyond chance", class_="middle")
    )
    taken: list[Box] = []
    for share, said in ((1.0, "share 1"), (result.shared, f"share {result.shared:g}: shared above")):
        end = min(last, high / share if share > 0 else last)
        body.append(line(px(0), py(0), px(end), py(share * end), "chance"))
        at = (px(end), py(share * end) + 12) if end < last else (px(end), py(share * end) - 5)
        x, y = at[0] - 3, max(at[1], top + 10)
        body.append(text(x, y, said, class_="end soft small tip"))
        taken.append((x - text_width(said, 10), y - 9, x, y + 2))
    points = [(px(float(c)), py(float(a))) for c, a in zip(ceiling, table.corrected, strict=True)]
    taken += [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    drawn, symbols, nameless = [], [], 0
    for k in sorted(range(len(points)), key=lambda k: (-int(table.counts[k]), k)):
        x, y = points[k]
        bar = line(x, py(float(table.corrected_low[k])), x, py(float(table.corrected_high[k])), "span")
        title = tag("title", escape(tell(table, k, words)))
        shown = context.pictures.show(table.exemplars[k][0]) if table.exemplars and table.exemplars[k] else None
        label, box, named = _label(x, y, printable(table.names[k]), shown, taken, (left, WIDTH, top - 6, bottom - 2))
        if box is not None:
            taken.append(box)
        if shown is not None and "<use" in label:
            symbols.append(context.pictures.symbol(shown))
        nameless += not named
        bar = bar if table.counts[k] > 1 and (named or len(points) <= CROWD) else ""
        drawn.append((bar, tag("g", title + label + mark(x, y, table.verdicts[k]))))
    body += [bar for bar, _ in drawn] + [point for _, point in drawn]
    legend, end = verdict_legend(words, set(table.verdicts), bottom + 54, WIDTH)
    told = "; ".join(tell(table, k, words) for k in range(min(len(points), 12)))
    title = f"Concepts of {table.name} by agreement across and within modalities. {told}."
    figure = Figure(name, printable(title), WIDTH, end, "".join(body) + legend, defs="".join(dict.fromkeys(symbols)))
    return figure, nameless


def tell(table: ConceptLabels, k: int, words: Words) -> str:
    """One concept in words."""
    said = f"{table.names[k]}: n {int(table.counts[k])}, score {number(float(table.scores[k]))}"
    said += f" ({number(float(table.low[k]))} to {number(float(table.high[k]))})"
    said += f", chance {number(float(table.chance[k]))}, q {p_equals(float(table.q_values[k]))[2:].lstrip('= ')}"
    if table.verdicts:
        x, y = float(table.x_ceilings[k, 0]), float(table.y_ceilings[k, 0])
        said += f"; beyond chance {number(float(table.corrected[k]))}"
        said += f", ceilings {words.x_kind} {number(x)}, {words.y_kind} {number(y)}"
        share = float(table.shares[k])
        said += "" if math.isnan(share) else f", share {share:.2f}"
        said += f"; {words.verdict(table.verdicts[k])}"
    return printable(said)


def _axes(
    across: tuple[float, float],
    upwards: tuple[float, float],
    px: Callable[[float], float],
    py: Callable[[float], float],
    frame: Box,
) -> list[str]:
    left, right, top, bottom = frame
    rows, columns = ticks(*upwards, about=5), ticks(*across, about=5)
    parts = []
    for t in rows:
        parts += [
            line(left, py(t), right, py(t), "grid"),
            text(left - 7, py(t) + 3.6, tick_text(t, rows), class_="end soft"),
        ]
    for t in columns:
        parts += [
            line(px(t), top, px(t), bottom, "grid"),
            text(px(t), bottom + 16, tick_text(t, columns), class_="middle soft"),
        ]
    return [*parts, line(left, bottom, right, bottom, "axis"), line(left, top, left, bottom, "axis")]


def _label(
    x: float, y: float, name: str, shown: Shown | None, taken: Sequence[Box], frame: Box
) -> tuple[str, Box | None, bool]:
    """Picture and name beside a point, where they cover nothing: both, or one, or none; whether the name is there."""
    short = fit(name, 130.0, 10)
    width = 1.06 * text_width(short, 10)
    ref = shown.ref if shown is not None else None
    kinds: list[tuple[float, float, str | None, str]] = [(_PICTURE + 3 + width, _PICTURE, ref, short)] if ref else []
    kinds += [(width, 12.0, None, short)]
    kinds += [(_PICTURE, _PICTURE, ref, "")] if ref else []
    for w, h, picture, words in kinds:
        near = [
            (x + 7, y - h / 2), (x - 7 - w, y - h / 2), (x - w / 2, y - 8 - h), (x - w / 2, y + 8),
            (x + 6, y - 6 - h), (x + 6, y + 6), (x - 6 - w, y - 6 - h), (x - 6 - w, y + 6),
        ]  # fmt: skip
        far = [(a, y - h / 2 + s) for s in (-28, 28, -44, 44) for a in (x + 14, x - 14 - w)] if words else []
        for a, b in [*near, *far]:
            box = (a, b, a + w, b + h)
            inside = box[0] > frame[0] + 1 and box[2] < frame[1] and box[1] > frame[2] and box[3] < frame[3]
            if inside and not any(_meet(box, other) for other in taken):
                parts = []
                if (a, b) in far:  # a thread leads to the point
                    parts.append(line(x, y, a - 2 if a > x else a + w + 2, b + h / 2, "thread"))
                if picture:
                    parts.append(tag("use", href=f"#{picture}", x=a, y=b, width=_PICTURE, height=_PICTURE))
                if words:
                    parts.append(text(a + (_PICTURE + 3 if picture else 0), b + h / 2 + 3.5, words, class_="small tip"))
                return "".join(parts), box, bool(words)
    return "", None, False


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def verdict_legend(words: Words, present: set[str], y: float, width: float) -> tuple[str, float]:
    """The marks that are there, from left to right, wrapped, and where they end."""
    parts, x = [], 8.0
    for verdict in (v for v in VERDICTS if v in present):
        label = words.verdict(verdict)
        wide = 14 + text_width(label, 10) + 16
        if x > 8 and x + wide - 16 > width:
            x, y = 8.0, y + 16
        parts += [mark(x + 4, y - 3.5, verdict, 3.5), text(x + 14, y, label, class_="small")]
        x += wide
    return "".join(parts), y + 10


def bars(result: ConceptMap, table: ConceptLabels, words: Words, name: str) -> tuple[Figure, int]:
    """Concepts with their score, its interval, chance and ceilings, highest first.

    Returns:
        The figure, and how many concepts it leaves out.
    """
    order = sorted(range(len(table.names)), key=lambda k: (-float(table.scores[k]), k))
    left_out = max(len(order) - _BARS, 0)
    rows: list[int | None] = list(order)
    if left_out:
        rows = [*order[: _BARS // 2], None, *order[-(_BARS // 2) :]]
    ends = [_tops(table, k) for k in order]
    shown = [float(v) for k in rows if k is not None for v in (table.scores[k], table.chance[k], *ends[order.index(k)])]
    shown += [float(v[k]) for k in rows if k is not None and table.counts[k] > 2 for v in (table.low, table.high)]
    low, high = _domain([0.0, *shown])
    left, right, top, pitch = 6.0, 10.0, 26.0, 40.0
    bottom = top + pitch * len(rows)

    def px(v: float) -> float:
        return left + (min(max(v, low), high) - low) / (high - low) * (WIDTH - left - right)

    marks = ticks(low, high, about=6)
    heading = f"{printable(table.name)}: {printable(result.metric.partition('(')[0])}"
    body = [text(left, 13, fit(heading, WIDTH - left), class_="strong")]
    body += [line(px(t), top, px(t), bottom, "grid") for t in marks]
    body += [text(px(t), bottom + 14, tick_text(t, marks), class_="middle soft") for t in marks]
    for i, k in enumerate(rows):
        y = top + pitch * i + 28
        if k is None:
            body.append(text(left, y - 5, f"… {left_out} more between these, in the table", class_="small soft"))
        else:
            body.append(_bar(table, k, words, y, px, (left, WIDTH - right), result.alpha))
    legend, end = _bar_legend(table, words, bottom + 34)
    told = "; ".join(tell(table, k, words) for k in order[:12])
    title = printable(f"{result.metric} of the concepts of {table.name}, highest first. {told}.")
    return Figure(name, title, WIDTH, end, "".join(body) + legend), left_out


def _tops(table: ConceptLabels, k: int) -> tuple[float, ...]:
    """Ceilings of a concept as scores: those with the same chance-corrected value."""
    chance = float(table.chance[k])
    return tuple(chance + (1 - chance) * float(c[k, 0]) for c in (table.x_ceilings, table.y_ceilings) if len(c))


def _bar(
    table: ConceptLabels,
    k: int,
    words: Words,
    y: float,
    px: Callable[[float], float],
    ends: tuple[float, float],
    alpha: float,
) -> str:
    left, right = ends
    score, chance = float(table.scores[k]), float(table.chance[k])
    said = f"n {int(table.counts[k]):,} · q {p_equals(float(table.q_values[k]))[2:].lstrip('= ')}"
    said += f" · {words.verdict(table.verdicts[k])}" if table.verdicts else ""
    room = right - left - text_width(said, 10) - 12
    parts = [
        tag("title", escape(tell(table, k, words))),
        text(left, y - 13, fit(printable(table.names[k]), room), class_="small"),
        text(right, y - 13, said, class_="small end soft"),
        line(px(chance), y, px(score), y, "stem"),
        line(px(chance), y - 6, px(chance), y + 6, "tick"),
        line(px(float(table.low[k])), y, px(float(table.high[k])), y, "whisker") if table.counts[k] > 1 else "",
    ]
    for side, top in zip("xy" if len(table.x_ceilings) else "y", _tops(table, k), strict=False):
        parts.append(_ceiling_mark(px(top), y, side))
    verdict = table.verdicts[k] if table.verdicts else SHARED if table.q_values[k] <= alpha else UNDECIDED
    return tag("g", "".join([*parts, mark(px(score), y, verdict, 4.5)]))


def _ceiling_mark(x: float, y: float, side: str) -> str:
    """A triangle that points at the line: from above for x, from below for y."""
    d = f"M{x - 3.5:.2f} {y - 9:.2f}h7l-3.5 6z" if side == "x" else f"M{x - 3.5:.2f} {y + 9:.2f}h7l-3.5 -6z"
    return tag("path", d=d, class_="tri")


def _bar_legend(table: ConceptLabels, words: Words, y: float) -> tuple[str, float]:
    parts, x = [], 8.0
    entries: list[tuple[str, Any]] = []
    if not table.verdicts:
        entries = [("beyond chance", SHARED), ("not shown to be", UNDECIDED)]
    entries += [("chance", "tick"), ("interval over items", "whisker")]
    if len(table.x_ceilings):
        entries.append((f"ceiling of {words.x_kind}", "x"))
    if len(table.y_ceilings):
        entries.append((f"ceiling of {words.y_kind}", "y"))
    for label, kind in entries:
        wide = 18 + text_width(label, 10) + 16
        if x > 8 and x + wide - 16 > WIDTH:
            x, y = 8.0, y + 16
        if kind == "tick":
            parts.append(line(x + 6, y - 9, x + 6, y + 2, "tick"))
        elif kind == "whisker":
            parts.append(line(x, y - 3.5, x + 12, y - 3.5, "whisker"))
        elif kind in ("x", "y"):
            parts.append(_ceiling_mark(x + 8, y - 3.5 + (3 if kind == "x" else -3), kind))
        else:
            parts.append(mark(x + 6, y - 3.5, kind, 3.5))
        parts.append(text(x + 18, y, label, class_="small"))
        x += wide
    if not table.verdicts:
        return "".join(parts), y + 10
    more, end = verdict_legend(words, set(table.verdicts), y + 16, WIDTH)
    return "".join(parts) + more, end
