"""Scans in the report: the answer in words, a summary, heat maps, curves along depth, neighbourhoods."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from ...errors import InputError
from ...metrics import metric as make_metric
from ...results import Alignment, Scan
from .._charts import Row, dot_plot
from .._heatmap import heatmap, passes
from .._section import Block, Context, Section, Shown, render
from .._svg import Figure
from .._text import DASH, flatten, listed, number, p_text, printable, slug, times_chance
from ._curves import curves
from ._neighborhoods import neighborhoods

_COLUMNS = (
    *("x", "y", "metric", "n", "permutations", "x_layer", "y_layer"),
    *("score", "chance", "p_value", "p_maximum", "calibrated"),
)


class ScanSection(Section):
    """`Scan`: how alike two models are, layer by layer."""

    name = "scan"

    def models(self, result: Scan) -> Sequence[str]:
        return result.x_name, result.y_name

    def show(self, results: Sequence[Scan], context: Context) -> Shown:
        for scan in results:
            if not scan.alignments:
                raise InputError(
                    f"The scan of {scan.x_name} × {scan.y_name} holds no metric, so there is nothing to show."
                )
        blocks = tuple(_block(scan, k, context) for k, scan in enumerate(results, start=1))
        return Shown(
            _question(results),
            _overview(results, blocks, context),
            blocks,
            tuple(_facts(scan, context) for scan in results),
        )


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of the summary: one metric on one pair of models."""

    metric: str
    layers: str
    value: str
    chance: str
    ratio: str
    p_maximum: str
    passing: bool
    calibrated: str
    baselines: tuple[tuple[str, str], ...]
    sizes: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer about one pair of models in words."""

    passing: bool
    headline: str
    rest: str


def pair_title(scan: Scan, context: Context) -> str:
    """Both models, each with the view that it saw."""
    sides = [(scan.x_name, scan.x_view), (scan.y_name, scan.y_view)]
    return " × ".join(context.name(name) + (f" ({printable(view)})" if view else "") for name, view in sides)


def summary_line(alignment: Alignment, scan: Scan) -> Line:
    """A metric's best pair of layers as texts."""
    best = alignment.best()
    rows = []
    for name, baseline in scan.baselines.items():
        twin = baseline.alignments.get(alignment.metric)
        rows.append((printable(name), DASH if twin is None else number(twin.best().value)))
    return Line(
        printable(alignment.metric),
        printable(f"{best.x_layer} × {best.y_layer}"),
        number(best.value),
        number(best.chance),
        times_chance(best.value, best.chance),
        p_text(best.p_maximum),
        best.p_maximum <= alignment.alpha,
        number(best.calibrated),
        tuple(rows),
        {"n": f"{alignment.n:,}", "permutations": f"{alignment.permutations:,}"},
    )


def verdict(scan: Scan, context: Context) -> Verdict:
    """The answer about one pair of models; the first metric speaks, the others are counted."""
    lead, *others = scan.alignments.values()
    best = lead.best()
    passing = best.p_maximum <= lead.alpha
    ratio = times_chance(best.value, best.chance)
    count = lead.shape[0] * lead.shape[1]
    where = printable(f"{best.x_layer} × {best.y_layer}")
    headline = (
        f"More alike than chance, most at {where}." if passing else f"No more alike than chance; best at {where}."
    )
    score = f"{printable(lead.metric)} is {number(best.value)}, chance {number(best.chance)}"
    score += "" if ratio == DASH else f" ({ratio})"
    maximum = f"; p of the maximum over {count} pairs of layers" if count > 1 else "; p"
    words = [f"{score}{maximum} {p_text(best.p_maximum)}."]
    words += [s for name, b in scan.baselines.items() if (s := _against(lead, printable(name), b))]
    if others:
        words.append(_agreement(passing, others))
    return Verdict(passing, headline, " ".join(words))


def _agreement(passing: bool, others: Sequence[Alignment]) -> str:
    agree = sum((a.best().p_maximum <= a.alpha) == passing for a in others)
    if len(others) == 1:
        return f"{printable(others[0].metric)} {'agrees' if agree else 'disagrees'}."
    if agree == len(others):
        return f"The {agree} other metrics agree."
    return f"Of the {len(others)} other metrics, {agree or 'none'} agree{'s' if agree == 1 else ''}."


def _against(lead: Alignment, name: str, baseline: Scan) -> str:
    twin = baseline.alignments.get(lead.metric)
    if twin is None:
        return ""
    best, other = lead.best(), twin.best()
    gain, base = best.value - best.chance, other.value - other.chance
    share = "" if gain == 0 or base / gain < 0 else f", {100 * base / gain:.0f} % of the distance from chance"
    return f"Baseline “{name}”: {number(other.value)}, chance {number(other.chance)}{share}."


def _question(scans: Sequence[Scan]) -> str:
    sizes = sorted({s.n for s in scans})
    n = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    untrained = ", and by how much more than their baselines" if any(s.baselines for s in scans) else ""
    what = listed(sorted({printable(s.dataset) for s in scans if s.dataset}))
    return (
        f"at which layers do two models see the same {n} items{f' ({what})' if what else ''} alike, "
        f"by how much more than chance{untrained}?"
    )


def _overview(scans: Sequence[Scan], blocks: Sequence[Block], context: Context) -> Block:
    groups = [
        (block, verdict(scan, context), [summary_line(a, scan) for a in scan.alignments.values()])
        for scan, block in zip(scans, blocks, strict=True)
    ]
    baselines = list(dict.fromkeys(printable(name) for scan in scans for name in scan.baselines))
    figures = tuple(_dots(metric, scans, context) for metric in dict.fromkeys(m for s in scans for m in s.alignments))
    every = [line.sizes for _, _, lines in groups for line in lines]
    varying = [k for k in every[0] if len({sizes[k] for sizes in every}) > 1]
    html = render(
        "scan_overview.html.j2",
        groups=groups,
        baselines=baselines,
        figures=figures,
        varying=varying,
        table=_table(scans, baselines),
        constants=[f"{k} = {v}" for k, v in every[0].items() if k not in varying],
    )
    return Block("answer", "The answer", html, figures)


def _table(scans: Sequence[Scan], baselines: Sequence[str]) -> list[list[Any]]:
    """The summary in numbers, with a header, for its download."""
    table: list[list[Any]] = [[*_COLUMNS, *baselines]]
    for scan in scans:
        for metric, a in scan.alignments.items():
            best = a.best()
            row = [scan.x_name, scan.y_name, a.variant, a.n, a.permutations, best.x_layer, best.y_layer]
            row += [_finite(v) for v in (best.value, best.chance, best.p_value, best.p_maximum, best.calibrated)]
            twins = {
                printable(n): b.alignments[metric].best() for n, b in scan.baselines.items() if metric in b.alignments
            }
            row += [_finite(twins[name].value) if name in twins else None for name in baselines]
            table.append([printable(v) if isinstance(v, str) else v for v in row])
    return table


def _dots(metric: str, scans: Sequence[Scan], context: Context) -> Figure:
    rows, distance = [], False
    for scan in scans:
        alignment = scan.alignments.get(metric)
        if alignment is None:
            continue
        best = alignment.best()
        distance = make_metric(alignment.variant).distance
        twins = [
            (printable(n), b.alignments[metric].best().value)
            for n, b in scan.baselines.items()
            if metric in b.alignments
        ]
        label = f"{context.name(scan.x_name)} × {context.name(scan.y_name)}"
        rows.append(Row(label, best.value, best.chance, best.p_maximum <= alignment.alpha, twins))
    title = f"{metric} of every pair of models at its best pair of layers. " + " ".join(
        f"{r.label}: {number(r.value)}, chance {number(r.chance)}." for r in rows
    )
    heading = printable(metric) + (" (lower is more alike)" if distance else "")
    return dot_plot(slug("overview", metric), title, heading, rows)


def _block(scan: Scan, number_: int, context: Context) -> Block:
    x, y = context.name(scan.x_name), context.name(scan.y_name)
    panels = []
    for alignment in scan.alignments.values():
        stem = slug(f"{number_:02d}", x, y, alignment.metric)
        maps = heatmap(alignment, x, y, stem)
        panels.append(_Panel(alignment, maps, tuple(curves(alignment, scan, x, y, stem)), _caption(alignment), stem))
    html = render(
        "scan.html.j2",
        scan=scan,
        verdict=verdict(scan, context),
        panels=panels,
        neighborhoods=neighborhoods(scan, x, y, context),
        data=[data(p.alignment) for p in panels],
        stem=slug(x, y),
    )
    figures = tuple(f for p in panels for f in (p.heatmap, *p.curves))
    return Block(f"pair-{number_}", pair_title(scan, context), html, figures)


@dataclasses.dataclass(frozen=True)
class _Panel:
    alignment: Alignment
    heatmap: Figure
    curves: tuple[Figure, ...]
    caption: str
    anchor: str


def _caption(alignment: Alignment) -> str:
    metric = make_metric(alignment.variant)
    p = alignment.p_value if alignment.p_family is None else alignment.p_family
    sampled = f"{alignment.permutations:,} shared permutations" if alignment.permutations else "no sampled permutations"
    dims = [
        f"{min(d):,}" + (f" to {max(d):,}" if min(d) != max(d) else "") for d in (alignment.x_dims, alignment.y_dims)
    ]
    kind = "each pair alone" if p is alignment.p_value else "adjusted for all pairs"
    words = [
        printable(alignment.variant),
        f"n = {alignment.n:,} items",
        f"d = {dims[0]} × {dims[1]}",
        sampled,
        f"{int(passes(alignment).sum())} of {p.size} pairs pass at {alignment.alpha:g} ({kind})",
    ]
    if alignment.null:
        words.append(f"chance and p: {printable(alignment.null)}")
    if alignment.maximum_from:
        words.append(f"p of the maximum: {printable(alignment.maximum_from)}")
    if metric.distance:
        words.append("a distance: lower is more alike")
    return "; ".join(words) + "."


def data(alignment: Alignment) -> dict[str, Any]:
    """The alignment's numbers, to six digits, for the page's downloads."""

    def rounded(array: Any) -> Any:
        if array is None:
            return None
        return [[float(f"{v:.6g}") if math.isfinite(v) else None for v in row] for row in array.tolist()]

    table = {
        name: rounded(getattr(alignment, name))
        for name in ("values", "chance", "p_value", "p_family", "calibrated", "threshold")
    }
    bounds = (None, None) if alignment.interval is None else (alignment.interval[..., 0], alignment.interval[..., 1])
    return {
        "metric": printable(alignment.metric),
        "variant": printable(alignment.variant),
        "n": alignment.n,
        "permutations": alignment.permutations,
        "p_maximum": _finite(alignment.p_maximum),
        "x_layers": [printable(v) for v in alignment.x_layers],
        "y_layers": [printable(v) for v in alignment.y_layers],
        "x_dims": [int(v) for v in alignment.x_dims],
        "y_dims": [int(v) for v in alignment.y_dims],
        **table,
        "low": rounded(bounds[0]),
        "high": rounded(bounds[1]),
    }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _facts(scan: Scan, context: Context) -> tuple[str, list[tuple[str, str]]]:
    rows = [
        ("x", printable(scan.x_name + (f", view {scan.x_view}" if scan.x_view else ""))),
        ("y", printable(scan.y_name + (f", view {scan.y_view}" if scan.y_view else ""))),
        ("items", f"{scan.n:,}" + (f" of {printable(scan.dataset)}" if scan.dataset else "")),
        ("layers", f"{len(scan.x_layers)} × {len(scan.y_layers)}"),
        ("seed", str(scan.seed)),
    ]
    for alignment in scan.alignments.values():
        metric = make_metric(alignment.variant)
        low, high = (number(v).replace(DASH, "∞") for v in metric.range)
        rows.append(
            (
                f"metric {printable(alignment.metric)}",
                f"{printable(alignment.variant)}; range {low} to {high}; {alignment.permutations:,} permutations; "
                f"expected by chance: {metric.chance}; source: {metric.reference}",
            )
        )
    for name, baseline in scan.baselines.items():
        rows.append((f"baseline {printable(name)}", printable(f"{baseline.x_name} × {baseline.y_name}")))
    return pair_title(scan, context), rows + flatten(scan.provenance)
