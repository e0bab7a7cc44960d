"""Comparisons of models by RDMs in the report: the models of each region, its ceiling, and which models differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...results import ModelComparison, RegionModels, format_p
from .._charts import Row, dot_plot
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import csv_table, flatten, number, p_equals, percent, printable, slug

_NOTE = (
    "A score is the mean over subjects of the comparison of the model's RDM with theirs. The tick is chance, the bar "
    "the interval of the score, the shaded range the noise ceiling: its lower end is what the other subjects' mean "
    "scores, its upper end what no RDM passes. Models that share a letter are not shown to differ, which is not the "
    "same as equal. q is the false discovery rate over all models, or all pairs, of all regions."
)
_MOST = 60  # pairs of models in a table; all are in the file


class ModelComparisonSection(Section):
    """`ModelComparison`: models by their RDMs' scores with several subjects, and what holds for new ones.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 20, 6))
        >>> brains = [iso.metric("rsa").prepare(x + y * k).vector for k in (0.5, 1.0, 1.5)]
        >>> found = iso.compare_models(iso.RDMs.from_arrays(brains, negative=True), {"pixels": x}, bootstraps=50)
        >>> "pixels" in iso.report(found).read_text()
        True
    """

    name = "model_comparison"
    heading = "Which model is nearest?"

    def models(self, result: ModelComparison) -> Sequence[str]:
        return result.models

    def show(self, results: Sequence[ModelComparison], context: Context) -> Shown:
        blocks = tuple(
            _block(r, region, f"{k:02d}-{m:02d}", context)
            for k, r in context.each(results)
            for m, region in enumerate(r, start=1)
        )
        facts = tuple((f"Models by {printable(r.comparison)}", flatten(r.provenance)) for r in results)
        return Shown("which model's RDM is nearest to those of the subjects?", None, blocks, facts)


def _block(result: ModelComparison, region: str, stem: str, context: Context) -> Block:
    found, title = result[region], f"Models of {printable(region)}"
    figures = (_figure(result, region, slug("model_comparison", stem), context),)
    tables = [Table("Models", ("model", "score", "interval", "chance", "p", "q", "of the ceiling", "letters"),
                    _models(result, region, context))]  # fmt: skip
    pairs = [r for r in result.difference_records() if r["region"] == region]
    pairs.sort(key=lambda r: r["q_value"])
    cut = f", the {_MOST} with the smallest q of {len(pairs)}" if len(pairs) > _MOST else ""
    rows = [
        [f"{context.name(r['first'])} − {context.name(r['second'])}", number(r["difference"]),
         f"{number(r['low'])} to {number(r['high'])}", format_p(r["p_value"]), format_p(r["q_value"])]
        for r in pairs[:_MOST]
    ]  # fmt: skip
    if rows:
        tables.append(Table(f"Differences{cut}", ("models", "difference", "interval", "p", "q"), _printed(rows)))
    told = [["holds for", result.told], ["subjects", str(len(found.subjects))], ["items", str(found.n)],
            ["compared by", printable(result.comparison)], ["bootstrap samples", f"{found.samples:,}"],
            ["degrees of freedom", str(found.degrees)], ["dissimilarities missing", f"{found.missing:,}"],
            *([["ceiling", _ceiling(found)]] if found.ceiling else []),
            *([f"note {k}", printable(note)] for k, note in enumerate(result.notes, start=1))]  # fmt: skip
    tables.append(Table("What was compared", (), told))
    headline = _headline(result, region, context)
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=tables,
        note=_NOTE,
        csv=csv_table(result.to_records()),
        download="Download all scores as CSV",
    )
    return Block(f"model-comparison-{stem}", title, html, figures, headline)


def _headline(result: ModelComparison, region: str, context: Context) -> str:
    ranking = result.ranking(region)
    best, score = next(iter(ranking.items()))
    alike = [context.name(n) for n, s in ranking.items() if n != best and set(s.letters) & set(score.letters)]
    share = "" if score.share is None else f", {percent(score.share)} of the lower noise ceiling"
    told = f"{printable(context.name(best))} scores highest, {number(score.score)} ({p_equals(score.p_value)}{share})."
    if len(ranking) == 1:
        return f"{told} It is {score.verdict}."
    if not alike:
        return f"{told} It is {score.verdict}, and differs from every other model."
    return f"{told} It is {score.verdict}. Not shown to differ from it: {printable(', '.join(alike))}."


def _ceiling(found: RegionModels) -> str:
    low, high = found.ceiling or (np.nan, np.nan)
    p = "" if found.ceiling_p is None else f" ({p_equals(found.ceiling_p)})"
    return f"{number(low)} to {number(high)}{p}"


def _models(result: ModelComparison, region: str, context: Context) -> list[list[str]]:
    return _printed(
        [context.name(name), number(s.score), f"{number(s.low)} to {number(s.high)}", number(s.chance),
         format_p(s.p_value), format_p(s.q_value),
         f"{'' if s.share is None else percent(s.share) + ', '}{s.verdict}", s.letters]
        for name, s in result.ranking(region).items()
    )  # fmt: skip


def _printed(rows: object) -> list[list[str]]:
    return [[printable(cell) for cell in row] for row in rows]  # type: ignore[attr-defined]  # lists of texts


def _figure(result: ModelComparison, region: str, stem: str, context: Context) -> Figure:
    found, ranking = result[region], result.ranking(region)
    rows = [
        Row(
            context.name(name),
            s.score,
            s.chance,
            s.q_value <= result.alpha,
            interval=(s.low, s.high),
            ceiling=found.ceiling,
            note=s.letters,
        )
        for name, s in ranking.items()
    ]
    said = "; ".join(f"{context.name(n)} {number(s.score)}, letters {s.letters}" for n, s in ranking.items())
    return dot_plot(f"{stem}-models", f"Models of {region}: {said}.", f"{result.comparison}, mean over subjects", rows,
                    what="model, filled where beyond chance")  # fmt: skip
