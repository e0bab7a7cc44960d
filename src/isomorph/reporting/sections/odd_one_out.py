"""Odd-one-out judgements in the report: how often each layer chooses as people do."""

from __future__ import annotations

from collections.abc import Sequence

from ...results import OddOneOut
from .._charts import Row, dot_plot
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import csv_table, flatten, number, p_equals, p_text, percent, printable, slug

_NOTE = (
    "A layer chooses the item outside its most similar pair of the three; chance is 1/3. Intervals are over judgements,"
    " which share items. p permutes the items of the model against the judgements; that of the best layer is among all "
    "layers. The lower ceiling is how often the majority of the other people tells a judgement, the upper that of "
    "all, which no model exceeds."
)


class OddOneOutSection(Section):
    """`OddOneOut`: how often a model's layers choose the odd one of three that people chose.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
        >>> judged = [(0, 1, 2), (0, 1, 3), (2, 3, 0), (2, 3, 1)]
        >>> page = iso.report(iso.odd_one_out(x, judged, permutations=19, x_name="my model"))
        >>> "my model" in page.read_text()
        True
    """

    name = "odd_one_out"
    heading = "Does {} choose as people do?"

    def models(self, result: OddOneOut) -> Sequence[str]:
        return (result.x_name,)

    def show(self, results: Sequence[OddOneOut], context: Context) -> Shown:
        blocks = tuple(_block(r, k, context) for k, r in context.each(results))
        facts = tuple((_title(r, context), flatten(r.provenance)) for r in results)
        return Shown("which of three is the odd one, to the model and to people?", None, blocks, facts)


def _title(result: OddOneOut, context: Context) -> str:
    return f"Odd one out by {context.name(result.x_name)}"


def _block(result: OddOneOut, k: int, context: Context) -> Block:
    figures = (_figure(result, slug("odd", f"{k:02d}"), context),)
    best = result[result.best]
    share = result.share(result.best)
    p = "" if result.p_maximum is None else f" ({p_equals(result.p_maximum)} among all layers)"
    of = "" if share is None else f", {percent(share)} of the way from chance to the agreement of people"
    sizes = [
        ["model", printable(result.x_name)],
        ["judgements", f"{result.n_triplets:,}"],
        ["items", f"{result.n:,}"],
        ["similarity", result.similarity],
        ["ceiling of human agreement", _ceiling(result)],
        ["left out, since an item has no features", f"{result.missing:,}"],
    ]
    headline = f"{printable(result.best)} chooses as people do in {percent(best.accuracy)} of the judgements{p}{of}."
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=[Table("Layers", ("layer", "accuracy", "interval", "chance", "p", "share of ceiling"), _rows(result)),
                Table("What was judged", (), sizes)],
        note=_NOTE,
        csv=csv_table(result.to_records()),
        download="Download all layers as CSV",
    )  # fmt: skip
    return Block(f"odd-one-out-{k}", _title(result, context), html, figures, headline)


def _ceiling(result: OddOneOut) -> str:
    if result.lower is None or result.upper is None:
        return "not known"
    span = number(result.lower) + (f" to {number(result.upper)}" if result.upper > result.lower else "")
    return span + (f", from {result.n_repeated:,} triplets judged again" if result.n_repeated else ", as given")


def _rows(result: OddOneOut) -> list[list[str]]:
    shares = {name: result.share(name) for name in result.layers}
    return [
        [printable(name), number(s.accuracy), f"{number(s.low)} to {number(s.high)}", number(s.chance),
         p_text(s.p_value), "–" if (of := shares[name]) is None else percent(of)]
        for name, s in result.scores.items()
    ]  # fmt: skip


def _figure(result: OddOneOut, stem: str, context: Context) -> Figure:
    level = 1 - result.level
    marks = [("human agreement", result.lower)] if result.lower is not None else []
    rows = [Row(name, s.accuracy, s.chance, s.p_value is not None and s.p_value <= level, marks, (s.low, s.high))
            for name, s in result.scores.items()]  # fmt: skip
    said = "; ".join(f"{name} {number(s.accuracy)}" for name, s in result.scores.items())
    return dot_plot(f"{stem}-layers", f"{_title(result, context)}, accuracy, chance 0.333: {said}.",
                    "accuracy of the odd one out", rows, what="a layer")  # fmt: skip
