"""Searchlights in the report: how the scores of all centers are distributed, and the best of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...results import Searchlight
from .._bars import Outline, histogram
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import csv_table, flatten, number, p_text, printable, slug

_BEST, _BINS, _ROWS = 10, 40, 20_000
_NOTE = (
    "The score of a center is that of the RDM of the channels around it with the model. p of the maximum is against "
    "the highest score of any center in each re-pairing of the items, and so allows for all centers; q is the false "
    "discovery rate over centers. Filled: all centers. Dotted: the highest center with its items re-paired."
)


class SearchlightSection(Section):
    """`Searchlight`: where the responses around a place go with model RDMs.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 12, 30))
        >>> model = iso.RDMs.from_patterns(y)
        >>> page = iso.report(iso.searchlight(x, range(30), {"my model": model}, radius=4, permutations=19))
        >>> "my model" in page.read_text()
        True
    """

    name = "searchlight"
    heading = "Where do the responses go with the models?"

    def models(self, result: Searchlight) -> Sequence[str]:
        return [result.name]

    def show(self, results: Sequence[Searchlight], context: Context) -> Shown:
        blocks = tuple(_block(r, k, context) for k, r in context.each(results))
        facts = tuple((_title(r, context), flatten(r.provenance)) for r in results)
        return Shown("where do the responses go with the models?", None, blocks, facts)


def _title(result: Searchlight, context: Context) -> str:
    return f"Searchlight of {context.name(result.name)}"


def _block(result: Searchlight, k: int, context: Context) -> Block:
    figures = tuple(_figures(result, slug("searchlight", f"{k:02d}"), context))
    passing = [f"{printable(name)}: {int(np.sum(result.p_maximum[:, i] <= 0.05)):,}"
               for i, name in enumerate(result.models)]  # fmt: skip
    records = (
        result.to_records()
        if result.scores.size <= _ROWS
        else [r for n in result.models for r in result.highest(n, _BEST)]
    )
    part = "all centers" if result.scores.size <= _ROWS else f"the {_BEST} best centers of each model"
    headline = f"Of {len(result.centers):,} centers, p of the maximum is at most 0.05 at {', '.join(passing)}."
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=list(_tables(result)),
        note=_NOTE,
        csv=csv_table([{**r, "position": " ".join(f"{v:g}" for v in r["position"])} for r in records]),
        download=f"Download {part} as CSV",
    )
    return Block(f"searchlight-{k}", _title(result, context), html, figures, headline)


def _tables(result: Searchlight) -> Iterator[Table]:
    yield Table("What was searched", (), [
        ["responses", f"{printable(result.name)}, {len(result.positions):,} channels, {result.n} items"],
        ["spheres", f"radius {result.radius:g}, {int(result.sizes.min())} to {int(result.sizes.max())} channels"],
        ["compared by", f"{result.distance}, {result.comparison}"],
        ["permutations", f"{result.permutations:,}, the same for all centers"],
    ])  # fmt: skip
    for name in result.models:
        rows = [[", ".join(f"{v:g}" for v in r["position"]), str(r["size"]), number(r["score"]), p_text(r["p"]),
                 p_text(r["q"]), p_text(r["p_maximum"])] for r in result.highest(name, _BEST)]  # fmt: skip
        chance = number(float(result.chance[result.models.index(name)]))
        yield Table(f"{printable(name)}: the best centers (chance {chance})",
                    ("position", "channels", "score", "p", "q", "p of the maximum"), rows)  # fmt: skip
    if result.notes:
        yield Table("Notes", (), [["", printable(note)] for note in result.notes])


def _figures(result: Searchlight, stem: str, context: Context) -> Iterator[Figure]:
    for k, name in enumerate(result.models):
        scores, null = result.scores[:, k], result.null_maximum[:, k]
        low, high = float(min(scores.min(), null.min())), float(max(scores.max(), null.max()))
        edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
        outlines = [
            Outline("centers", _shares(scores, edges), 0, filled=True),
            Outline("highest center, items re-paired", _shares(null, edges), "chance"),
        ]
        said = (f"{_title(result, context)}, {printable(name)}: scores of {len(scores):,} centers from "
                f"{number(float(scores.min()))} to {number(float(scores.max()))}.")  # fmt: skip
        yield histogram(slug(stem, f"{k:02d}"), said, printable(name), edges.tolist(), outlines, "score of a center")


def _shares(values: Any, edges: Any) -> list[float]:
    counts, _ = np.histogram(values, bins=edges)
    return [float(c) / len(values) for c in counts]
