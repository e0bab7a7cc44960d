"""Scans in the report: the answer in words, a summary, heat maps, curves along depth, neighbourhoods."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...results import Alignment, Scan, listed
from ...significance import false_discovery
from .._heatmap import describe, heatmap, passes
from .._null_plot import null_plot
from .._section import Block, Context, Section, Shown, render
from .._svg import Figure
from .._text import DASH, flatten, number, p_text, percent, printable, slug, times_chance
from ._curves import ceiling_curve, curves, gallery_curve
from ._neighborhoods import neighborhoods
from ._scan_figures import Marks, ceiling_dots, pair_dots
from ._verdict import (
    Against,
    answer,
    baseline_label,
    best_interval,
    ceiling_label,
    comparisons,
    in_order,
    level,
    passing,
    permuted_pairs,
    scan_marks,
    span,
    summed_up,
)

_COLUMNS = (
    *("x", "y", "metric", "n", "permutations", "x_layer", "y_layer"),
    *("score", "low", "high", "chance", "p_value", "p_maximum", "p_maximum_all_metrics", "calibrated"),
    *("q_benjamini_hochberg", "q_benjamini_yekutieli", "design", "permuted_mean", "permuted_quantile"),
    *("held_out", "held_out_chance", "held_out_p_value"),
)
_CEILING = ("", " chance", " p_maximum", " share")
_TESTED = (" difference", " low", " high", " p_value")


class ScanSection(Section):
    """`Scan`: how alike two models are, layer by layer.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> page = iso.report(iso.scan(x, x + noise, "cka", permutations=20, x_name="my model"))
        >>> "my model" in page.read_text()
        True
    """

    name = "scan"
    leads = True

    def models(self, result: Scan) -> Sequence[str]:
        return result.x_name, result.y_name

    def show(self, results: Sequence[Scan], context: Context) -> Shown:
        scans = [in_order(scan) for scan in results]
        alone, styles = len(scans) == 1, scan_marks(scans)
        blocks = tuple(_block(scan, k, context, styles, alone=alone) for k, scan in context.each(scans))
        return Shown(
            _question(scans),
            _overview(scans, blocks, context, styles),
            blocks,
            tuple(_facts(scan, context) for scan in scans),
        )


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The pair of layers that one part of the items chose, scored on the other, as texts."""

    n: str
    value: str
    chance: str
    ratio: str
    p_value: str
    layers: str


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """How alike two of a kind are, as texts, and which share of the way from chance to it the score goes."""

    label: str
    value: str
    chance: str
    p_maximum: str
    layers: str
    share: str


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of the summary: one metric on one pair of models."""

    metric: str
    layers: str
    value: str
    interval: str
    chance: str
    ratio: str
    p_value: str
    p_maximum: str
    passing: bool
    calibrated: str
    held_out: HeldOut | None
    against: tuple[Against, ...]
    ceilings: tuple[Ceiling, ...]
    sizes: dict[str, str]


def pair_title(scan: Scan, context: Context) -> str:
    """Both models, each with the view that it saw."""
    sides = [(scan.x_name, scan.x_view), (scan.y_name, scan.y_view)]
    return " × ".join(context.name(name) + (f" ({printable(view)})" if view else "") for name, view in sides)


def summary_line(alignment: Alignment, scan: Scan, context: Context) -> Line:
    """A metric's best pair of layers as texts."""
    best, held = alignment.best(), alignment.held_out
    return Line(
        printable(alignment.metric),
        printable(f"{best.x_layer} × {best.y_layer}"),
        number(best.value),
        span(*(best_interval(alignment) or (None, None))),
        number(best.chance),
        times_chance(best.value, best.chance),
        p_text(best.p_value),
        p_text(best.p_maximum),
        passing(alignment),
        number(best.calibrated),
        None if held is None else _held_out(held),
        tuple(filter(None, [*comparisons(alignment, scan, context), permuted_pairs(alignment)])),
        (*_ceilings(alignment, scan), *_noise_ceilings(alignment)),
        {"n": f"{alignment.n:,}", "permutations": f"{alignment.permutations:,}"},
    )


def _held_out(held: Mapping[str, Any]) -> HeldOut:
    value, chance = float(held["value"]), float(held["chance"])
    layers = printable(f"{held['x_layer']} × {held['y_layer']}")
    ratio, p = times_chance(value, chance), p_text(held["p_value"])
    return HeldOut(f"{held['n_score']:,}", number(value), number(chance), ratio, p, layers)


def _noise_ceilings(alignment: Alignment) -> Iterator[Ceiling]:
    """Sides of several subjects, each with the layer whose mean score over subjects is the highest."""
    for side, found in sorted(alignment.noise_ceilings.items()):
        best = int(np.argmax(found["score"]))
        layer = (alignment.y_layers if side == "x" else alignment.x_layers)[best]
        share = DASH if found["share"] is None else percent(float(found["share"][best]))
        yield Ceiling(
            f"noise ceiling of {'the first' if side == 'x' else 'the second'} ({found['subjects']} subjects)",
            f"{number(found['lower'])} to {number(found['upper'])}",
            number(found["chance"]),
            p_text(found["p_value"]),
            printable(layer),
            f"{share}, {found['verdict'][best]}",
        )


def _ceilings(alignment: Alignment, scan: Scan) -> Iterator[Ceiling]:
    for name, found in sorted(alignment.ceilings.items()):
        if name in scan.ceilings:
            yield Ceiling(
                ceiling_label(name, scan),
                number(found["value"]),
                number(found["chance"]),
                p_text(found["p_maximum"]),
                printable(f"{found['x_layer']} × {found['y_layer']}"),
                DASH if found["share"] is None else percent(found["share"]),
            )


def _question(scans: Sequence[Scan]) -> str:
    sizes = sorted({s.n for s in scans})
    n = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    untrained = ", and by how much more than their baselines" if any(s.baselines for s in scans) else ""
    what = listed(sorted({printable(s.dataset) for s in scans if s.dataset}))
    return (
        f"at which layers do two models see the same {n} items{f' ({what})' if what else ''} alike, "
        f"by how much more than chance{untrained}?"
    )


def _unlike(scan: Scan, metric: str) -> float:
    """What pairs of models are sorted by: the less, the more alike by a metric; last of all where it was not asked."""
    alignment = scan.alignments.get(metric)
    if alignment is None:
        return math.inf
    return alignment.best().value if alignment.distance else -alignment.best().value


def _overview(scans: Sequence[Scan], blocks: Sequence[Block], context: Context, styles: Marks) -> Block:
    groups = [
        (block, answer(scan, context), [summary_line(a, scan, context) for a in scan.alignments.values()])
        for scan, block in zip(scans, blocks, strict=True)
    ]
    metrics = dict.fromkeys(m for s in scans for m in s.alignments)
    first = next(iter(metrics))  # whose order all figures have, so that a pair stands in one row
    order = sorted(range(len(scans)), key=lambda k: _unlike(scans[k], first))
    drawn, anchors = [scans[k] for k in order], [blocks[k].anchor for k in order]
    figures = (
        *(pair_dots(metric, drawn, anchors, context, styles) for metric in metrics),
        *(figure for metric in metrics for figure in ceiling_dots(metric, scans, context)),
    )
    lines = [line for _, _, found in groups for line in found]
    varying = [k for k in lines[0].sizes if len({line.sizes[k] for line in lines}) > 1]
    levels = {level(a) for scan in scans for a in scan.alignments.values()}
    told = render(
        "scan_overview.html.j2",
        summed_up=summed_up([said for _, said, _ in groups]),
        groups=groups,
        figures=figures,
        subjects=any(a.noise_ceilings for s in scans for a in s.alignments.values()),
        shared=len(scans) > 1 and any(scan.baselines for scan in scans),
        notes=list(dict.fromkeys(n for scan in scans for n in _notes(scan, context))),
    )
    tables = render(
        "scan_tables.html.j2",
        groups=groups,
        varying=varying,
        constants=[f"{k} = {v}" for k, v in lines[0].sizes.items() if k not in varying],
        columns=[name for name in ("interval", "calibrated") if any(getattr(v, name) != DASH for v in lines)],
        held_out=any(line.held_out for line in lines),
        beside=any(line.against for line in lines),
        ceilings=any(line.ceilings for line in lines),
        designs={b.anchor: printable(s.design) for s, b in zip(scans, blocks, strict=True) if s.design},
        tests=_tests(scans, blocks) if len(lines) > 1 else None,
        level=levels.pop() if len(levels) == 1 else "confidence",
        least=_least_p(scans),
        table=_table(scans),
    )
    return Block("answer", "The answer", told, figures, more=tables)


@dataclasses.dataclass(frozen=True)
class _Test:
    """One row of the table over all tests: p of the maximum, its q, its q under any dependence, and which pass."""

    block: Block
    metric: str
    p_values: tuple[str, ...]
    passing: tuple[bool, ...]


@dataclasses.dataclass(frozen=True)
class _Tests:
    """All tests of a report together."""

    words: str
    rows: tuple[_Test, ...]


def _tests(scans: Sequence[Scan], blocks: Sequence[Block]) -> _Tests:
    """The p of the maximum of all scans and metrics, adjusted for having run them all."""
    of = [block for scan, block in zip(scans, blocks, strict=True) for _ in scan.alignments]
    rows, passing_ = [], []
    for test, block in zip(false_discovery(scans), of, strict=True):
        p = (test.p_maximum, test.hochberg, test.yekutieli)
        passing_.append([v <= test.alignment.alpha for v in p])
        rows.append(_Test(block, printable(test.metric), tuple(map(p_text, p)), tuple(passing_[-1])))
    alone, bh, by = (sum(v) for v in zip(*passing_, strict=True))
    words = (
        f"Of {len(rows)} best scores, {alone} pass by themselves. Adjusted for their number, at their level as false "
        f"discovery rate, {bh} pass (Benjamini-Hochberg), and {by} under any dependence of the tests "
        "(Benjamini-Yekutieli)."
    )
    return _Tests(words, tuple(rows))


def _notes(scan: Scan, context: Context) -> list[str]:
    """What a reader of the p-values must know about the items, with the short name of the model it begins with."""
    notes = []
    for note in (*scan.notes, *(f"{k} is not defined on these items: {why}" for k, why in scan.undefined.items())):
        full = next((name for name in (scan.x_name, scan.y_name) if note.startswith((f"{name} ", f"{name}:"))), "")
        notes.append(printable(context.name(full) + note[len(full) :]))
    return notes


def _least_p(scans: Sequence[Scan]) -> str:
    """The floor under sampled p-values, said only where one of them stands on it."""
    floors = {
        a.permutations: 1 / (a.permutations + 1)
        for s in scans
        for a in s.alignments.values()
        if a.permutations and math.isclose(a.p_maximum, 1 / (a.permutations + 1), rel_tol=1e-9)
    }
    return "; ".join(f"{p_text(p)} is the least that {n:,} permutations can give" for n, p in sorted(floors.items()))


def _table(scans: Sequence[Scan]) -> list[list[Any]]:
    """The summary in numbers, with a header, for its download."""
    names = list(
        dict.fromkeys(name for s in scans for a in s.alignments.values() for name in (*s.baselines, *a.against))
    )
    tops = list(dict.fromkeys(name for s in scans for a in s.alignments.values() for name in a.ceilings))
    header = [*_COLUMNS, *(f"{printable(name)}{suffix}" for name in names for suffix in ("", *_TESTED))]
    header += [f"ceiling {printable(name)}{suffix}" for name in tops for suffix in _CEILING]
    table: list[list[Any]] = [header]
    adjusted = iter(false_discovery(scans))
    for scan in scans:
        for metric, a in scan.alignments.items():
            best = a.best()
            row = [scan.x_name, scan.y_name, a.variant, a.n, a.permutations, best.x_layer, best.y_layer]
            row += [_finite(v) for v in (best.value, *(best_interval(a) or (None, None)), best.chance)]
            row += [_finite(v) for v in (best.p_value, best.p_maximum, scan.p_maximum, best.calibrated)]
            q = next(adjusted)
            row += [_finite(q.hochberg), _finite(q.yekutieli), scan.design]
            row += _picked(a.permuted, ("mean", "quantile"))
            row += _picked(a.held_out, ("value", "chance", "p_value"))
            for name in names:
                tested = a.against.get(name)
                twin = scan.baselines[name].alignments.get(metric) if name in scan.baselines else None
                row += (
                    [_finite(twin.best().value)] if tested is None and twin is not None else _picked(tested, ["value"])
                )
                row += _picked(tested, [suffix[1:] for suffix in _TESTED])
            for name in tops:
                row += _picked(a.ceilings.get(name), [suffix[1:] or "value" for suffix in _CEILING])
            table.append([printable(v) if isinstance(v, str) else v for v in row])
    return table


def _picked(found: Mapping[str, Any] | None, names: Sequence[str]) -> list[Any]:
    """Some numbers of what was found, or as many empty cells."""
    return [_finite(None if found is None else found[name]) for name in names]


def _block(scan: Scan, number_: int, context: Context, styles: Marks, *, alone: bool) -> Block:
    x, y = context.name(scan.x_name), context.name(scan.y_name)
    labels = {name: baseline_label(name, scan, context) for name in scan.baselines}
    panels = []
    for alignment in scan.alignments.values():
        stem = slug(f"{number_:02d}", x, y, alignment.metric)
        single = alignment.values.size == 1
        panels.append(
            _Panel(
                alignment,
                null_plot(alignment, stem) if single else heatmap(alignment, x, y, stem),
                describe(alignment, 0, 0, bool(passes(alignment)[0, 0])) if single else "",
                (
                    *ceiling_curve(alignment, x, y, stem),
                    *curves(alignment, scan, x, y, stem, labels, styles),
                    *gallery_curve(alignment, scan, stem, styles),
                ),
                alignment.meaning,
                _caption(alignment),
            )
        )
    html = render(
        "scan.html.j2",
        scan=scan,
        verdict=None if alone else answer(scan, context),  # a single answer stands right above
        notes=[] if alone else _notes(scan, context),
        panels=panels,
        level=next((level(p.alignment) for p in panels if p.alignment.interval is not None), ""),
        neighborhoods=neighborhoods(scan, x, y, context),
        data=[data(p.alignment) for p in panels],
        gallery=any(p.alignment.gallery is not None for p in panels),
        stem=slug(x, y),
    )
    figures = tuple(f for p in panels for f in (p.map, *p.curves))
    return Block(f"pair-{number_}", pair_title(scan, context), html, figures)


@dataclasses.dataclass(frozen=True)
class _Panel:
    alignment: Alignment
    map: Figure
    single: str  # all about the one pair of layers, if there is but one
    curves: tuple[Figure, ...]
    meaning: str
    caption: str


def _caption(alignment: Alignment) -> str:
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
    if alignment.distance:
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
        ("under the null hypothesis items are", printable(scan.design or "permuted freely")),
    ]
    for alignment in scan.alignments.values():
        low, high = ("∞" if v is None else number(v) for v in alignment.range)
        rows.append(
            (
                f"metric {printable(alignment.metric)}",
                f"{printable(alignment.variant)}; range {low} to {high}; {alignment.permutations:,} permutations; "
                f"expected by chance: {printable(alignment.expected)}; source: {printable(alignment.reference)}",
            )
        )
    for name, baseline in scan.baselines.items():
        rows.append((f"baseline {printable(name)}", printable(f"{baseline.x_name} × {baseline.y_name}")))
    for name, ceiling in sorted(scan.ceilings.items()):
        rows.append((f"ceiling {printable(name)}", printable(f"{ceiling.x_name} × {ceiling.y_name}")))
    if scan.p_maximum is not None:
        rows.append(("p of the best over all metrics and layers", p_text(scan.p_maximum)))
    for alignment in scan.alignments.values():
        methods = {t["method"] for t in alignment.against.values()}
        if methods:
            rows.append((f"differences of {printable(alignment.metric)}", printable(listed(sorted(methods)))))
    return pair_title(scan, context), rows + flatten(scan.provenance)
