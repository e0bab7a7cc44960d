"""A scan as a table of plain text: per metric the best pair of layers, and beneath it all that it is held against."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from ._alignment import Alignment, SubjectCeiling
from ._numbers import format_p, stands_on_floor
from ._verdict import EQUIVALENT, MORE, Verdict, reading

Row = tuple[str, ...]
_WIDTH = 120


class Scanned(Protocol):
    """What a summary needs of a scan."""

    @property
    def x_name(self) -> str: ...
    @property
    def y_name(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def design(self) -> str: ...
    @property
    def p_maximum(self) -> float | None: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def x_layers(self) -> tuple[str, ...]: ...
    @property
    def y_layers(self) -> tuple[str, ...]: ...
    @property
    def undefined(self) -> Mapping[str, str]: ...
    @property
    def alignments(self) -> Mapping[str, Alignment]: ...
    @property
    def baselines(self) -> Mapping[str, Scanned]: ...
    @property
    def ceilings(self) -> Mapping[str, Scanned]: ...


def summary(scan: Scanned) -> str:
    """The whole scan, to be read at 120 columns: score, interval, chance, calibrated, p and p of the maximum."""
    items = f"n={scan.n} items" + (f", {scan.design}" if scan.design else "")
    shape = f"{len(scan.x_layers)} × {len(scan.y_layers)} layers"
    alphas = {a.alpha for a in scan.alignments.values()}
    level = f"{100 * (1 - alphas.pop()):g} % interval" if len(alphas) == 1 else "interval"
    header = ("", "score", level, "chance", "calibrated", "p", "p(max)", "")
    parts = {spec: list(_rows(a, scan)) for spec, a in scan.alignments.items()}
    cells = [header, *(row for rows in parts.values() for row in rows)]
    shown = [k for k in range(len(header)) if k == 0 or any(row[k] for row in cells[1:])]
    widths = {k: max(len(row[k]) for row in cells) for k in shown}

    def line(row: Row) -> str:
        first, *rest = (row[k].ljust(widths[k]) if k in (0, 7) else row[k].rjust(widths[k]) for k in shown)
        return "  ".join(["  " + first, *rest]).rstrip()

    lines = [f"Scan of {scan.x_name} × {scan.y_name}: {shape}, {items}", line(header)]
    for spec, rows in parts.items():
        lines += [f"{spec}{_settings(scan.alignments[spec])}", *map(line, rows)]
    lines += [f"{spec}: not defined here. {reason}" for spec, reason in scan.undefined.items()]
    lines += _together(scan)
    lines.extend(f"Note: {note}" for note in scan.notes)
    return "\n".join(lines)


def _together(scan: Scanned) -> Iterator[str]:
    """What all metrics say together, and the floor under the p-values that stand on it."""
    said = scan.verdict
    count = len(scan.alignments)
    if count > 1:
        yield f"All {count} metrics and all layers together: p {format_p(said.p_joint)}"
    floors = {a.permutations for a in scan.alignments.values() if stands_on_floor(a.p_maximum, a.permutations)}
    for n in sorted(floors):
        yield f"p(max) {format_p(1 / (n + 1))} is the least that {n} permutations can give."
    yield textwrap.fill(f"Verdict: {said.words}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _settings(alignment: Alignment) -> str:
    best = alignment.best()
    i, j = alignment.x_layers.index(best.x_layer), alignment.y_layers.index(best.y_layer)
    sampled = f"{alignment.permutations} permutations" if alignment.permutations else "exact null, nothing sampled"
    lower = ", lower is more alike" if alignment.distance else ""
    return f": d = {alignment.x_dims[i]} × {alignment.y_dims[j]}, {sampled}{lower}"


def _rows(alignment: Alignment, scan: Scanned) -> Iterator[Row]:
    effect = f"; {alignment.effect} effect" if alignment.effect else ""
    passes = (
        effect if alignment.p_maximum <= alignment.alpha else f"; not shown to be above chance at {alignment.alpha:g}"
    )
    yield _best("best pair of layers", alignment, passes)
    yield from _gallery(alignment)
    held = alignment.held_out
    if held is not None:
        label, where = f"held out, n={held['n_score']}", f"{held['x_layer']} × {held['y_layer']}"
        chance, p = held["chance"], held["p_value"]
        yield (label, _number(held["value"]), "", _number(chance), "", format_p(p), "", where)
    for name, baseline in scan.baselines.items():
        twin = baseline.alignments.get(alignment.metric)
        if twin is not None:
            yield _best(name, twin)
        tested = alignment.against.get(name)
        if tested is not None:
            bounds = _span(tested["low"], tested["high"])
            value = f"{'+' if tested['difference'] > 0 else ''}{_number(tested['difference'])}"
            says = reading(tested, alignment)
            words = f"within ±{tested['margin']:g}: equivalent" if says == EQUIVALENT else says
            shown = "" if says == MORE else words
            yield ("  difference from it", value, bounds, "", "", format_p(tested["p_value"]), "", shown)
    if alignment.permuted is not None:
        mean, end, level = (alignment.permuted[k] for k in ("mean", "quantile", "level"))
        side = "above" if alignment.distance else "below"
        reach = f"{100 * level:g} % {side} {_number(end)}"
        yield ("permuted pairs", _number(mean), reach, "", "", "", "", "best of all pairs")
    for side, bound in alignment.noise_ceilings.items():
        yield from _subject_ceiling(side, bound, alignment)
    for name, ceiling in scan.ceilings.items():
        top, reached = ceiling.alignments.get(alignment.metric), alignment.ceilings.get(name)
        share = None if reached is None else reached["share"]
        if top is not None:
            yield _best(f"ceiling: {name}", top, "; itself not shown to be above chance" if share is None else "")
            if share is not None:
                yield ("  share of it reached", f"{100 * share:.0f} %", "", "", "", "", "", "")
            yield from _gallery(top)


def _subject_ceiling(side: str, bound: SubjectCeiling, alignment: Alignment) -> Iterator[Row]:
    """The noise ceiling of a side of several subjects, and the layer that comes nearest to it."""
    p, chance = format_p(bound["p_value"]), _number(bound["chance"])
    span, who = _span(bound["lower"], bound["upper"]), f"{bound['subjects']} subjects"
    yield (f"noise ceiling of {side}", "", span, chance, "", p, "", who)
    best = int(np.argmax(bound["score"]))
    layer = (alignment.y_layers if side == "x" else alignment.x_layers)[best]
    share = "" if bound["share"] is None else f"{100 * float(bound['share'][best]):.0f} % of the lower, "
    where = f"{layer}, {share}{bound['verdict'][best]}"
    yield ("  mean over subjects", _number(bound["score"][best]), "", "", "", "", "", where)


def _gallery(alignment: Alignment) -> Iterator[Row]:
    """The best pair's score with fewer items."""
    curve = alignment.gallery
    if curve is None:
        return
    for n, value, chance in zip(curve["n"], curve["value"], curve["chance"], strict=True):
        if n < alignment.n:
            yield (f"  with {int(n)} items", _number(value), "", _number(chance), "", "", "", "")


def _best(label: str, alignment: Alignment, words: str = "") -> Row:
    best = alignment.best()
    found = alignment.bounds(alignment.x_layers.index(best.x_layer), alignment.y_layers.index(best.y_layer))
    bounds = "" if found is None else _span(*found)
    return (
        label,
        _number(best.value),
        bounds,
        _number(best.chance),
        "" if best.calibrated is None else _number(best.calibrated),
        format_p(best.p_value),
        format_p(best.p_maximum),
        f"{best.x_layer} × {best.y_layer}{words}",
    )


def _span(low: Any, high: Any) -> str:
    return f"{_number(low)} to {_number(high)}"


def _number(value: Any) -> str:
    number = float(value)
    shown = f"{number:.3f}" if abs(number) < 100 else f"{number:.4g}"
    return shown.lstrip("-") if float(shown) == 0 else shown
