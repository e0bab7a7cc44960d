"""Encoding models in the report: how well units are predicted, by which layers, and how near to their ceilings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...results import Encoding, UnitScores
from .._bars import Outline, bar_chart, histogram
from .._charts import Series, line_chart
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import csv_table, flatten, layer_labels, number, p_equals, p_text, percent, printable, slug

_MOST = 2000
"""Units in the table that is downloaded: more are in the result's own file."""
_NOTE = (
    "All scores are of items that no fit saw. Correlations r are means over folds, chance is 0; R² is at most 1, below "
    "0 where a prediction is worse than the mean. “chosen” takes for each unit the layer that was best in the inner "
    "folds, which no held-out item took part in. p of a mean and q of units come from permutations of the responses "
    "inside their run or fold. The layer of a unit that nothing predicts means nothing, so preferences count predicted "
    "units only. The ceiling is the root of the reliability over repeats."
)


class EncodingSection(Section):
    """`Encoding`: how well a model's layers predict the responses of units (voxels, neurons).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 4))
        >>> page = iso.report(iso.fit_encoding(x, x + noise, permutations=19, x_name="my model"))
        >>> "my model" in page.read_text()
        True
    """

    name = "encoding"
    heading = "How well is {} predicted?"

    def models(self, result: Encoding) -> Sequence[str]:
        return (result.x_name, result.responses_name)

    def show(self, results: Sequence[Encoding], context: Context) -> Shown:
        blocks = tuple(_block(r, k, context) for k, r in context.each(results))
        facts = tuple((_title(r, context), [("design", r.design), *flatten(r.provenance)]) for r in results)
        return Shown("which layers predict the responses of which units?", None, blocks, facts)


def _title(result: Encoding, context: Context) -> str:
    return f"{context.name(result.responses_name)} predicted by {context.name(result.x_name)}"


def _block(result: Encoding, k: int, context: Context) -> Block:
    figures = tuple(_figures(result, slug("encoding", f"{k:02d}"), context))
    tables = [Table("Layers", ("layer", "mean r", "median r", "mean R²", "p of the mean", "units that prefer it"),
                    list(_layers(result)))]  # fmt: skip
    if result.weights is not None:
        tables.append(Table("Bands", ("band", "features", "mean weight", "R² of its own"), list(_bands(result))))
    tables.append(Table("What was fitted", (), _sizes(result)))
    if result.notes:
        tables.append(Table("Notes", (), [["", printable(note)] for note in result.notes]))
    told = [{k: _known(v) for k, v in record.items()} for record in result.to_records()[:_MOST]]
    headline = _headline(result)
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=tables,
        note=_NOTE,
        csv=csv_table(told),
        download=f"Download {'the first ' if result.n_units > _MOST else ''}{len(told):,} units as CSV",
    )
    return Block(f"encoding-{k}", _title(result, context), html, figures, headline)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value  # JSON has no NaN


def _headline(result: Encoding) -> str:
    main = result.main
    there = int(np.isfinite(main.r).sum())
    said = f"{int(result.predicted.sum()):,} of {there:,} units are predicted" if result.permutations else (
        f"{there:,} units"
    )  # fmt: skip
    said += f", mean r {number(main.mean_r)}"
    if result.p_maximum is not None and len(result.scores) > 1:
        said += f"; the best layer is {printable(result.best)} ({p_equals(result.p_maximum)} among all)"
    share = result.share()
    if share is not None and np.isfinite(share).any():
        said += f"; half of the units with a ceiling reach {percent(float(np.nanmedian(share)))} of it or more"
    return said + "."


def _layers(result: Encoding) -> Iterator[list[str]]:
    prefer = result.preferred() if result.preference is not None else {}
    rows: list[tuple[str, UnitScores]] = [*result.scores.items()]
    if result.chosen is not None:
        rows.append(("chosen", result.chosen))
    for name, s in rows:
        own = s is not result.chosen and name in prefer
        yield [printable(name), number(s.mean_r), number(float(np.nanmedian(s.r))), number(float(np.nanmean(s.r2))),
               p_text(s.mean_p), f"{prefer[name]:,}" if own else "–"]  # fmt: skip


def _bands(result: Encoding) -> Iterator[list[str]]:
    for k, (band, d) in enumerate(zip(result.bands, result.dims, strict=True)):
        weight = 0.0 if result.weights is None else float(np.nanmean(result.weights[k]))
        own = None if result.unique is None else float(np.nanmean(result.unique[k]))
        yield [printable(band), f"{d:,}", number(weight), number(own)]


def _sizes(result: Encoding) -> list[list[str]]:
    rows = [
        ["features", printable(result.x_name)],
        ["responses", printable(result.responses_name)],
        ["method", result.method],
        ["items", f"{result.n:,}"],
        ["units", f"{result.n_units:,}"],
        ["folds", f"{result.folds}, {result.inner_folds} inner"],
        ["permutations", f"{result.permutations:,} ({result.null})" if result.permutations else "none"],
    ]
    if result.repeats:
        rows.append(["ceiling", f"{result.ceiling_kind} over {result.repeats} repeats"])
    return rows


def _figures(result: Encoding, stem: str, context: Context) -> Iterator[Figure]:
    yield _histogram(result, f"{stem}-units", context)
    if len(result.scores) > 1:
        yield _depth(result, f"{stem}-layers", context)
    if result.preference is not None and result.permutations:
        prefer = result.preferred()
        words = "; ".join(f"{name} {count:,}" for name, count in prefer.items())
        bars = [(name, float(count), f"{count:,}") for name, count in prefer.items()]
        yield bar_chart(f"{stem}-preference", f"Predicted units by the layer that each prefers: {words}.",
                        "predicted units that prefer each layer", bars)  # fmt: skip


def _histogram(result: Encoding, stem: str, context: Context) -> Figure:
    main = result.main
    r = main.r[np.isfinite(main.r)]
    known: list[tuple[str, Any, int | str]] = [("units", np.histogram(r, _EDGES)[0], 0)]
    if main.null_counts is not None:
        known.append(("the same, responses permuted", main.null_counts, "chance"))
    ceiling = result.ceiling
    if ceiling is not None and np.isfinite(ceiling).any():
        known.append(("ceilings", np.histogram(ceiling[np.isfinite(ceiling)], _EDGES)[0], 1))
    fine = [np.asarray(counts, dtype=np.float64) for _, counts, _ in known]
    shown = np.flatnonzero(np.sum([c > 0 for c in fine], axis=0))
    first, last = max(int(shown[0]) // 5 * 5, 0), min((int(shown[-1]) // 5 + 1) * 5, 200)
    step = 5 if last - first > 40 else 1
    parts = [c[first:last].reshape(-1, step).sum(axis=1) / max(c.sum(), 1) for c in fine]
    outlines = [Outline(label, share.tolist(), style, k == 0)
                for k, ((label, _, style), share) in enumerate(zip(known, parts, strict=True))]  # fmt: skip
    words = f"r of {len(r):,} units: a quarter below {number(float(np.quantile(r, 0.25)))}, half below "
    words += f"{number(float(np.median(r)))}, a quarter above {number(float(np.quantile(r, 0.75)))}."
    return histogram(stem, f"{_title(result, context)}: {words}", f"{len(r):,} units by held-out r",
                     _EDGES[first : last + 1 : step].tolist(), outlines, "correlation r, held out")  # fmt: skip


_EDGES = np.linspace(-1, 1, 201)


def _depth(result: Encoding, stem: str, context: Context) -> Figure:
    names = list(result.scores)
    quarters = np.array([np.nanquantile(s.r, [0.25, 0.5, 0.75]) for s in result.scores.values()])
    passing = [s.mean_p is not None and s.mean_p <= result.alpha for s in result.scores.values()]
    at = np.linspace(0, 1, len(names)).tolist()
    band = (quarters[:, 0].tolist(), quarters[:, 2].tolist())
    labels, _ = layer_labels(names, width=24)
    lines = [Series("median over units, and quarters", at, quarters[:, 1].tolist(), 0, passing, band, names=names)]
    lines.append(Series("chance", (0.0, 1.0), (0.0, 0.0), "chance"))
    words = ", ".join(f"{name} {number(v)}" for name, v in zip(names, quarters[:, 1].tolist(), strict=True))
    return line_chart(stem, f"{_title(result, context)}, median r of the units by layer: {words}.",
                      f"r by layer, {labels[0]} to {labels[-1]}", lines, "layer, first to last")  # fmt: skip
