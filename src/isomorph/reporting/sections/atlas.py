"""Atlases in the report: models against models, ladders beside their controls, specialists, and what explains it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...results import TREND_LABELS, Answer, Atlas, Slope, Trend
from .._block_maps import block_maps
from .._section import Block, Cell, Context, Section, Shown, Sorted, Table, render
from .._svg import Figure
from .._text import DASH, csv_table, flatten, number, p_text, printable, signed, slug
from ._atlas_figures import STABLE_WORDS, by_domain, depth_curves, distances, ladder, map_of, size, tree_of
from ._verdict import span

_LAYERS = {
    "best": "the best pair of layers",
    "last": "the last layers",
    "row maxima": "each layer's best partner, averaged over the layers of both",
    "matching": "the best one-to-one matching of layers, averaged",
    "stacked": "all layers of each side by side",
}


class AtlasSection(Section):
    """`Atlas`: how alike many models are, all with all, and what goes with it.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> z, *noise = np.random.default_rng(0).normal(size=(6, 60, 4))
        >>> models = {name: z + s * e for name, s, e in zip("abcde", (0.2, 0.5, 1, 2, 9), noise)}
        >>> found = iso.atlas(models, "cka", permutations=39, splits=2)
        >>> "most alike are a and b" in iso.report(found).read_text()
        True
    """

    name = "atlas"
    leads = True
    heading = "How alike are {}?"

    def models(self, result: Atlas) -> Sequence[str]:
        return list(result.models)

    def show(self, results: Sequence[Atlas], context: Context) -> Shown:
        question = "which of many models are alike beyond chance, and does it go with their size, family or purpose?"
        blocks = tuple(_block(r, k) for k, r in context.each(results))
        return Shown(question, None, blocks, tuple(_facts(r) for r in results))


class Panel(NamedTuple):
    """What is shown of one metric."""

    metric: str
    meaning: str
    map: Figure
    caption: str
    distances: list[Figure]
    ladders: list[Figure]
    depths: list[Figure]
    blocks: list[Figure]

    @property
    def figures(self) -> list[Figure]:
        """All of them."""
        return [self.map, *self.distances, *self.ladders, *self.depths, *self.blocks]


def _block(result: Atlas, k: int) -> Block:
    answers = result.answers
    panels = [_panel(result, metric, answers, f"atlas-{k:02d}-{m:02d}") for m, metric in enumerate(result, start=1)]
    headline = printable(result.verdict)
    html = render(
        "atlas.html.j2",
        headline=headline,
        answers=_told(answers),
        setting=_setting(result),
        panels=panels,
        tables=[t for t in (_slopes(answers), _rungs(answers), _effects(answers), _space(result)) if t is not None],
        sorted=[_pairs(result), _models(result)],
        notes=_notes(result, answers),
        csv=csv_table(result.to_records()),
    )
    title = f"How alike are {len(result.models)} models?"
    return Block(f"atlas-{k}", title, html, tuple(f for panel in panels for f in panel.figures), headline)


def _panel(result: Atlas, metric: str, answers: Sequence[Answer], stem: str) -> Panel:
    tree = tree_of(result, metric)
    mine = [a for a in answers if result[a.metric] is result[metric] and a.found is not None]
    asked: Mapping[str, list[Answer]] = {
        kind: [a for a in mine if a.question["ask"] == kind] for kind in ("trend", "divergence", "domain_divergence")
    }
    apart = [distances(result, a, f"{stem}-{slug('divergence', str(i))}") for i, a in enumerate(asked["divergence"], 1)]
    apart += [by_domain(result, a, f"{stem}-domains-{i}") for i, a in enumerate(asked["domain_divergence"], 1)]
    order = range(len(result.models)) if tree is None else tree.order
    alignment = result[metric]
    caption = f"{number(alignment.chances.mean())} is the mean chance level, that of searching the layers included. "
    caption += STABLE_WORDS if tree is not None else "Models are in the order given, by modality."
    return Panel(
        printable(metric),
        printable(alignment.meaning),
        map_of(result, metric, tree, stem),
        caption,
        apart,
        [ladder(result, a, f"{stem}-{slug('trend', str(i))}") for i, a in enumerate(asked["trend"], 1)],
        list(depth_curves(result, metric, stem)),
        block_maps(alignment, order, f"{stem}-blocks"),
    )


def _told(answers: Sequence[Answer]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each question once, with the answer by every metric."""
    found: dict[str, list[tuple[str, str]]] = {}
    for a in answers:
        found.setdefault(printable(a.asked), []).append((printable(a.metric.partition("(")[0]), printable(a.told)))
    return [(asked[:1].upper() + asked[1:], told) for asked, told in found.items()]


def _setting(result: Atlas) -> str:
    one = next(iter(result.values()))
    dataset = f" of {result.dataset}" if result.dataset else ""
    words = [
        f"{len(result.models)} models on {result.n:,} items{dataset}, compared {_compared(result)} by "
        f"{_LAYERS.get(result.layers, result.layers)}.",
        f"Chance, p and the calibrated score are of {one.permutations:,} re-pairings of the items, the same for all "
        "pairs, with layers chosen anew in each.",
        f"Held-out scores are of halves of the items with layers chosen on the other half, {len(one.halves)} halves. "
        "q is the false discovery rate over all pairs of models.",
    ]
    if result.design:
        words.append(f"Items are {result.design}.")
    if result.domains:
        kinds = ", ".join(f"{domain} ({part.n:,} items)" for domain, part in result.domains.items())
        words.append(f"The same models are compared by themselves on {kinds} as well.")
    if result.space is not None:
        words.append(result.space.told)
    if result.twins:
        words.append(f"Untrained twins of {len(result.twins)} models are compared with the others as well.")
    return printable(" ".join(words))


def _compared(result: Atlas) -> str:
    return {"all": "all with all", "to reference": "with references"}.get(result.compared, result.compared)


def _slopes(answers: Sequence[Answer]) -> Table | None:
    rows = []
    for a in answers:
        if not isinstance(a.found, Trend):
            continue
        unit = "a doubling" if a.found.logarithmic else "a unit"
        for kind, slope in a.found.slopes.items():
            rows.append([f"{a.asked} ({unit})", a.metric.partition("(")[0], TREND_LABELS[kind], *_slope(slope)])
    columns = [
        "trend",
        "metric",
        "score",
        "slope",
        "interval over items",
        "over items and models",
        "p over models",
        "n",
    ]
    printed = [[printable(c) for c in row] for row in rows]
    return Table("Slopes: every trend by every kind of score", columns, printed) if rows else None


def _slope(slope: Slope) -> list[str]:
    def bounds(given: tuple[float, float] | None) -> str:
        return DASH if given is None else f"{_fine(given[0])} to {_fine(given[1])}"

    return [_fine(slope.value), bounds(slope.items), bounds(slope.both), p_text(slope.p_value), str(slope.models)]


def _fine(value: float) -> str:
    """A slope: four decimals and its sign."""
    return f"{value:+.4f}".replace("-", "−")


def _rungs(answers: Sequence[Answer]) -> Table | None:
    rows = []
    for a in answers:
        if isinstance(a.found, Trend):
            for r in a.found.rungs:
                untrained = DASH if r.untrained is None else number(r.untrained)
                raw = f"{number(r.raw)} ({span(r.low, r.high)})"
                scores = [raw, number(r.calibrated), number(r.held_out), untrained]
                to = ", ".join(a.found.references) or "all others"
                rows.append([r.model, a.found.attribute, size(r.attribute), to, a.metric.partition("(")[0], *scores])
    unique = list(dict.fromkeys(tuple(map(printable, row)) for row in rows))
    columns = ["model", "attribute", "value", "to", "metric", "raw (interval)", "calibrated", "held out", "untrained"]
    return Table("Rungs of the ladders", columns, unique) if rows else None


def _effects(answers: Sequence[Answer]) -> Table | None:
    rows = []
    for a in answers:
        if a.question["ask"] == "factors" and a.found is not None:
            for e in a.found.effects.values():
                kind = "same or not" if e.kind == "same" else "difference"
                rows.append(
                    [
                        *(printable(t) for t in (e.factor, a.metric.partition("(")[0], kind)),
                        *(signed(e.coefficient), number(e.partial_r2), p_text(e.p_value), number(e.shared)),
                    ]
                )
    columns = ["factor", "metric", "of two models", "effect on likeness", "partial R²", "p", "R² by the others"]
    return Table("What explains which models are alike", columns, rows) if rows else None


def _space(result: Atlas) -> Table | None:
    """How each model agrees with one space for all."""
    if result.space is None:
        return None
    rows = [
        [
            *(printable(r[k]) for k in ("model", "layer")),
            *(number(r[k]) for k in ("cca", "cca_chance")),
            p_text(r["cca_p"]),
            *(number(r[k]) for k in ("procrustes", "procrustes_chance")),
            p_text(r["procrustes_p"]),
        ]
        for r in result.space.to_records()
    ]
    ways = [f"{word} ({way})" for way in ("CCA", "Procrustes") for word in ("agreement", "permuted items", "p")]
    return Table("Agreement of each model with one space for all, held out", ["model", "layer", *ways], rows)


_COLUMNS = {"standard_error": "standard error", "p_maximum": "p(max)", "held_out": "held out", "x_layer": "layer of x",
            "y_layer": "layer of y"}  # fmt: skip
_P = ("p_maximum", "q")


def _pairs(result: Atlas) -> Sorted:
    """All records, most alike first within each metric."""
    records = result.to_records()
    order = {metric: k for k, metric in enumerate(result)}
    records.sort(key=lambda r: (order[r["metric"]], r["value"] if result[r["metric"]].distance else -r["value"]))

    def cell(name: str, value: Any) -> Cell:
        if value is None:
            return Cell(DASH, "")
        if isinstance(value, str):
            text = printable(value.partition("(")[0] if name == "metric" else value)
            return Cell(text, text)
        text = f"{value:,}" if isinstance(value, int) else p_text(value) if name in _P else number(value)
        return Cell(text, "" if math.isnan(value) else repr(value))

    numbers = [name for name in records[0] if not isinstance(records[0][name], (str, type(None)))]
    columns = [(_COLUMNS.get(name, name), name in numbers) for name in records[0]]
    return Sorted("Every pair of models", columns, [[cell(k, v) for k, v in r.items()] for r in records])


def _models(result: Atlas) -> Sorted:
    shown = {a: v for a, v in result.attributes.items() if a != "confounds" and any(x is not None for x in v)}
    numeric = {a: not any(isinstance(x, str) for x in v) for a, v in shown.items()}

    def cell(value: Any) -> Cell:
        if value is None:
            return Cell(DASH, "")
        return Cell(printable(value), printable(value)) if isinstance(value, str) else Cell(size(value), repr(value))

    rows = []
    for k, model in enumerate(result.models):
        twin = "yes" if model in result.twins else "no"
        named = Cell(printable(model), printable(model))
        rows.append([named, *(cell(values[k]) for values in shown.values()), Cell(twin, twin)])
    columns = [("model", False), *((printable(a), numeric[a]) for a in shown), ("untrained twin", False)]
    return Sorted("The models", columns, rows)


def _notes(result: Atlas, answers: Sequence[Answer]) -> list[str]:
    notes = [*result.notes]
    notes += [note for a in answers if isinstance(a.found, Trend) for note in a.found.notes]
    notes += [f"{metric} is left out: {why}" for metric, why in result.undefined.items()]
    notes += [f"Along {family}, confounded with size: {words}." for family, words in _confounds(result)]
    return [printable(n) for n in dict.fromkeys(notes)]


def _confounds(result: Atlas) -> list[tuple[str, str]]:
    """What a comparison along each family confounds with size, as the encoders say it."""
    known = result.attributes.get("confounds", (None,) * len(result.models))
    families = result.attributes.get("family", result.models)
    found: dict[str, list[str]] = {}
    for family, words in zip(families, known, strict=True):
        if words is not None:
            found.setdefault(str(family), []).append(str(words))
    return [(family, "; ".join(dict.fromkeys(words))) for family, words in found.items()]


def _facts(result: Atlas) -> tuple[str, list[tuple[str, str]]]:
    one = next(iter(result.values()))
    rows = [
        ("items", f"{result.n:,}" + (f" of {printable(result.dataset)}" if result.dataset else "")),
        ("models", f"{len(result.models)}, {len(result.twins)} with an untrained twin"),
        ("pairs", f"{result.compared}, {len(result.to_records()) // len(result)} compared"),
        ("permutations", f"{one.permutations:,}"),
        ("seed", str(result.seed)),
    ]
    rows += [("metric", printable(a.variant)) for a in result.values()]
    return f"Atlas of {len(result.models)} models", rows + flatten(result.provenance)
