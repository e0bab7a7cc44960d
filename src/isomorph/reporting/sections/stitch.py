"""Stitches in the report: the answer in words, scores with controls and ceilings, curves, retrieval examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...results import BASELINE, CEILING, Condition, Curve, MapScores, Score, Stitch, baseline_words
from .._charts import Row as Dots
from .._charts import Series, dot_plot, line_chart
from .._pictures import Shown as Picture
from .._section import Block, Context, Section, Shown, render
from .._sizes import size_chart
from .._svg import Figure
from .._text import DASH, csv_table, flatten, number, p_text, printable, slug
from ._verdict import map_mark, marks

_COLUMNS = {
    "r2": "R²",
    "cosine": "cosine",
    "x_to_y.R@1": "R@1 →",
    "y_to_x.R@1": "R@1 ←",
    "x_to_y.R@5": "R@5 →",
    "y_to_x.R@5": "R@5 ←",
    "x_to_y.R@10": "R@10 →",
    "y_to_x.R@10": "R@10 ←",
    "x_to_y.median_rank": "median rank →",
    "y_to_x.median_rank": "median rank ←",
    "mrr": "MRR, both ways",
    "zero_shot": "zero-shot",
    "probe": "probe",
    "probe_native": "probe at home",
    "overlap": "overlap",
}
_VERDICTS = {
    "right": "the right item came first",
    "near miss": "the right item was among the first ten",
    "wrong": "the right item came later",
}
_WAYS = {"x_to_y": "→", "y_to_x": "←"}


class StitchSection(Section):
    """`Stitch`: whether one space can be used in place of another.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> page = iso.report(iso.stitch(x, x + noise, "ridge", repeats=2, permutations=5, x_name="my model"))
        >>> "my model" in page.read_text()
        True
    """

    name = "stitch"
    heading = "Can one be used in place of another: {}?"

    def models(self, result: Stitch) -> Sequence[str]:
        return result.x_name, result.y_name

    def show(self, results: Sequence[Stitch], context: Context) -> Shown:
        blocks = tuple(_block(s, k, context) for k, s in context.each(results))
        question = "can one space be used in place of another, on items never seen, by more than every control?"
        return Shown(question, None, blocks, tuple(_facts(s, context) for s in results))


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table: a map, a control of it, or a ceiling."""

    name: str
    role: str
    cells: tuple[tuple[str, str], ...]  # value, and interval as a tooltip
    verdict: str = ""


@dataclasses.dataclass(frozen=True)
class Case:
    """A query with what was found for it."""

    item: Picture
    way: str
    rank: str
    found: tuple[tuple[Picture, bool], ...]


def _title(stitch: Stitch, context: Context) -> str:
    held_out = "" if stitch.by == "item" else f", on a {stitch.by.partition(':')[0]} never seen"
    return f"{context.name(stitch.x_name)} → {context.name(stitch.y_name)}: used in its place{held_out}"


def _block(stitch: Stitch, k: int, context: Context) -> Block:
    stem = slug("stitch", f"{k:02d}", context.name(stitch.x_name), context.name(stitch.y_name))
    figures, scores = tuple(_figures(stitch, stem, context)), _scores(stitch, stem, context)
    columns = [c for c in _COLUMNS if any(c in m.scores for m in stitch.maps.values())]
    names = {k: _named(stitch, k, context) for m in stitch.maps.values() for k in m.controls}
    groups = [_rows(m, columns, names) for m in stitch.maps.values()]
    first = next(iter(stitch.maps.values()))
    chance = [next((number(m.scores[c].chance) for m in stitch.maps.values() if c in m.scores), DASH) for c in columns]
    headline = _headline(stitch)
    html = render(
        "stitch.html.j2",
        headline=headline,
        evidence=[
            (printable(m.map), "holds" if m.above_controls else "fails", printable(m.evidence(stitch.decided_by)))
            for m in stitch.maps.values()
        ],
        scores=scores,
        setting=_setting(stitch),
        columns=[_COLUMNS[c] for c in columns],
        chance=chance,
        groups=groups,
        figures=figures,
        cases=_cases(stitch, context),
        gallery=f"{stitch.n_test[0]:,}",
        best=printable(stitch.best().map),
        notes=[printable(n) for n in stitch.notes],
        table=csv_table(stitch.to_records()),
        level=f"{100 * stitch.level:g} %",
        decided_by=_COLUMNS.get(first.decided_by, first.decided_by),
    )
    return Block(f"stitch-{k}", _title(stitch, context), html, (scores, *figures), headline)


def _headline(stitch: Stitch) -> str:
    best = stitch.best()
    p = "" if best.p_maximum is None else f", p of the maximum over {len(stitch.maps)} maps {p_text(best.p_maximum)}"
    words = "carries over, above all its controls" if best.above_controls else "does not rise above all its controls"
    return printable(
        f"{best.map} {words}: MRR {number(best.value)} [{number(best.low)}, {number(best.high)}], "
        f"chance {number(best.chance)}{p}."
    )


def _setting(stitch: Stitch) -> str:
    pairs, test = (_range(v) for v in (stitch.n_train, stitch.n_test))
    layers = printable(f"{stitch.x_layer} × {stitch.y_layer}")
    many = len(stitch.x_layers) * len(stitch.y_layers)
    chosen = ", chosen in each split on training pairs only (this pair most often)" if many > 1 else ""
    return (
        f"Layers {layers}{chosen}. Fitted on {pairs} pairs; the gallery is the {test} items held out by {stitch.by}; "
        f"{len(stitch.chosen)} split{'s' if len(stitch.chosen) > 1 else ''}; {stitch.permutations} refits to permuted "
        f"pairs in each; correction for hubs: {stitch.correction or 'none'}."
    )


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _named(stitch: Stitch, label: str, context: Context) -> str:
    """A baseline by its own name and the model that it stands in for; other controls as they are."""
    condition = stitch.control(label)
    k = 1 if condition.side == "y" else 0
    model = context.name((stitch.x_name, stitch.y_name)[k])
    return printable(baseline_words(condition, model, (stitch.x_view, stitch.y_view)[k]))


def _rows(scores: MapScores, columns: Sequence[str], names: Mapping[str, str]) -> list[Row]:
    verdict = "above its controls" if scores.above_controls else "not above its controls"
    rows = [Row(printable(scores.map), "map", _cells(scores.scores, columns), verdict)]
    rows += [Row(names.get(k, printable(k)), "control", _cells(v, columns)) for k, v in scores.controls.items()]
    rows += [Row(printable(k), "ceiling", _cells(v, columns)) for k, v in scores.ceilings.items()]
    return rows


def _cells(scores: Any, columns: Sequence[str]) -> tuple[tuple[str, str], ...]:
    def cell(score: Score | None) -> tuple[str, str]:
        return (DASH, "") if score is None else (number(score.value), f"{number(score.low)} to {number(score.high)}")

    return tuple(cell(scores.get(c)) for c in columns)


def _scores(stitch: Stitch, stem: str, context: Context) -> Figure:
    """Every map by the score that decides, with its controls and ceilings."""
    score = stitch.decided_by
    controls = dict.fromkeys(k for m in stitch.maps.values() for k in m.controls)
    ceilings = dict.fromkeys(k for m in stitch.maps.values() for k in m.ceilings)
    of = [dataclasses.replace(stitch.control(k), role=BASELINE) for k in controls]
    styles = marks([*of, *(Condition(CEILING, k) for k in ceilings)])
    known = [(BASELINE, k, _named(stitch, k, context)) for k in controls]
    known += [(CEILING, k, f"ceiling: {printable(k)}") for k in ceilings]
    rows = []
    for m in stitch.maps.values():
        held = {BASELINE: m.controls, CEILING: m.ceilings}
        beside = [
            (words, held[r][k][score].value, styles[r, k]) for r, k, words in known if score in held[r].get(k, {})
        ]
        of_map = m.scores[score]
        bounds = (of_map.low, of_map.high)
        rows.append(Dots(printable(m.map), of_map.value, of_map.chance, m.above_controls, beside, bounds))
    heading = f"{_COLUMNS.get(score, printable(score))}, on held-out items"
    told = "; ".join(f"{r.label} {number(r.value)}, chance {number(r.chance)}" for r in rows)
    return dot_plot(f"{stem}-scores", printable(f"{_title(stitch, context)}: {heading}. {told}."), heading, rows, "map")


def _figures(stitch: Stitch, stem: str, context: Context) -> list[Figure]:
    figures = []
    for score in ("mrr", "zero_shot", "probe"):
        curves = [c for c in stitch.pairs_curves if c.score == score and len(c.sizes) > 1]
        if curves:
            heading = f"{_COLUMNS[score]} against training pairs"
            figures.append(_sizes(f"{stem}-pairs-{slug(score)}", heading, curves, "training pairs"))
    for way, arrow in _WAYS.items():
        curves = [c for c in stitch.gallery_curves if c.score == f"{way}.R@1" and len(c.sizes) > 1]
        if curves:
            heading = f"R@1 {arrow} against the gallery"
            figures.append(_sizes(f"{stem}-gallery-{slug(way)}", heading, curves, "items in the gallery"))
    return figures + _depth(stitch, stem, context)


def _sizes(name: str, heading: str, curves: Sequence[Curve], axis: str) -> Figure:
    series = [
        Series(printable(c.map), c.sizes, c.values, map_mark(k), band=(c.low, c.high) if k == 0 else None)
        for k, c in enumerate(curves)
    ]
    longest = max(curves, key=lambda c: len(c.sizes))
    series.append(Series("chance", longest.sizes, longest.chance, "chance"))
    words = " ".join(
        f"{c.map}: " + ", ".join(f"{n} {v:.3f}" for n, v in zip(c.sizes, c.values, strict=True)) + "." for c in curves
    )
    return size_chart(name, printable(f"{heading}. {words}"), heading, series, axis)


def _depth(stitch: Stitch, stem: str, context: Context) -> list[Figure]:
    best = stitch.x_layers.index(stitch.x_layer), stitch.y_layers.index(stitch.y_layer)
    chance = stitch[stitch.layer_map]["mrr"].chance
    names = context.name(stitch.x_name), context.name(stitch.y_name)
    of = [dataclasses.replace(stitch.control(label), role=BASELINE) for label in stitch.baseline_layer_scores]
    figures, styles = [], marks(of)
    for axis, layers in enumerate((stitch.x_layers, stitch.y_layers)):
        if len(layers) < 2:
            continue
        depth = np.linspace(0, 1, len(layers)).tolist()

        def cut(table: Any, axis: int = axis) -> list[float]:
            return [float(v) for v in np.take(np.asarray(table), best[1 - axis], axis=1 - axis)]

        series = [Series(names[axis], depth, cut(stitch.layer_scores))]
        for label, table in stitch.baseline_layer_scores.items():
            if np.shape(table) == np.shape(stitch.layer_scores):
                series.append(Series(_named(stitch, label, context), depth, cut(table), styles[BASELINE, label]))
        series.append(Series("chance", depth, [chance] * len(layers), "chance"))
        held = (stitch.y_layer, stitch.x_layer)[axis]
        title = f"Held-out MRR of {stitch.layer_map} along the depth of {names[axis]}, the other side held at {held}: "
        title += ", ".join(f"{v:.3f}" for v in series[0].y)
        heading = f"MRR along {names[axis]}; other side at {held}"
        axis_name = f"relative depth of {names[axis]}, input to output"
        figures.append(
            line_chart(f"{stem}-depth-{'xy'[axis]}", printable(title), printable(heading), series, axis_name)
        )
    return figures


def _cases(stitch: Stitch, context: Context) -> list[tuple[str, str, list[Case]]]:
    groups: dict[str, list[Case]] = {v: [] for v in _VERDICTS}
    for e in stitch.examples:
        asked, answered = (stitch.x_view, stitch.y_view) if e.direction == "x_to_y" else (stitch.y_view, stitch.x_view)
        for id_, rank, verdict, found in zip(e.ids, e.rank, e.verdict, e.found, strict=True):
            query = context.pictures.show(id_, prefer=(asked, answered))
            shown = tuple((context.pictures.show(f, prefer=(answered, asked)), f == id_) for f in found)
            groups[verdict].append(Case(query, _WAYS[e.direction], f"{rank:g}", shown))
    return [(name, _VERDICTS[name], cases) for name, cases in groups.items() if cases]


def _facts(stitch: Stitch, context: Context) -> tuple[str, list[tuple[str, str]]]:
    rows = [
        ("x", printable(stitch.x_name + (f", view {stitch.x_view}" if stitch.x_view else ""))),
        ("y", printable(stitch.y_name + (f", view {stitch.y_view}" if stitch.y_view else ""))),
        ("items", f"{stitch.n:,}" + (f" of {printable(stitch.dataset)}" if stitch.dataset else "")),
        ("held out", f"{stitch.test_fraction:g} by {stitch.by}, {len(stitch.chosen)} splits"),
        ("seed", str(stitch.seed)),
    ]
    rows += [(f"map {printable(m.map)}", printable(m.variant)) for m in stitch.maps.values()]
    return _title(stitch, context), rows + flatten(stitch.provenance)
