"""Outputs in the report: which models answer alike, which err alike, and what each is worth against the labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...results import OUTPUT_MEASURES, SIGNED, Measured, OutputPair, Outputs
from .._charts import Row, dot_plot
from .._grid import Cells, grid
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import DASH, csv_table, flatten, number, p_equals, p_text, printable, slug

_MOST = 12  # pairs that a dot plot shows
_TABLE = 30  # pairs that a table shows
_PLOTTED = ("agreement", "error_consistency", "jsd", "rbo", "top_k", "kl")
_NAMES = {
    "agreement": "agreement",
    "disagreement": "disagreement",
    "kappa": "Cohen’s κ",
    "error_consistency": "error consistency",
    "jsd": "Jensen-Shannon divergence (bits)",
    "kl": "KL of the first from the second (bits)",
    "kl_reverse": "KL of the second from the first (bits)",
    "top_k": "overlap of the first places",
    "rbo": "rank-biased overlap",
    "accuracy_difference": "difference of accuracy",
    "calibration_difference": "difference of calibration error",
    "accuracy": "accuracy",
    "calibration_error": "calibration error",
    "calibration_error_debiased": "calibration error, debiased",
}
_NOTE = (
    "Agreement is the share of items with the same answer; error consistency is Cohen’s κ of being right: 0 where two "
    "models err on the same items as often as their accuracies make them, 1 where always. The tick is chance, that of "
    "items paired anew; the bar is the interval over items; a filled disc is beyond chance at the false discovery rate "
    "over all pairs. That two models answer alike does not say that they represent alike, nor the reverse."
)


class OutputsSection(Section):
    """`Outputs`: what models answer to the same items, pair by pair and against the labels.

    Example:
        >>> import isomorph as iso
        >>> found = iso.outputs({"a": [0, 1, 1, 0] * 5, "b": [0, 1, 1, 1] * 5}, permutations=99)
        >>> "answer alike beyond chance" in iso.report(found).read_text()
        True
    """

    name = "outputs"
    heading = "Do {} answer alike?"

    def models(self, result: Outputs) -> Sequence[str]:
        return list(result.models)

    def show(self, results: Sequence[Outputs], context: Context) -> Shown:
        question = "which models give the same answers, and err on the same items, beyond chance?"
        blocks = tuple(_block(r, k, context) for k, r in context.each(results))
        facts = tuple(
            (_title(r) if len(results) == 1 else f"{_title(r)} ({k})", flatten(r.provenance))
            for k, r in context.each(results)
        )
        return Shown(question, None, blocks, facts)


def _title(result: Outputs) -> str:
    return f"Answers of {len(result.models)} models"


def _block(result: Outputs, k: int, context: Context) -> Block:
    stem = slug("outputs", f"{k:02d}")
    figures = [_dots(result, m, f"{stem}-{slug(m)}", context) for m in _PLOTTED if m in result.measures]
    if len(result.models) > 2:
        figures.insert(0, _map(result, "agreement", f"{stem}-map", context))
    tables = [_models(result, context)] if result.labeled else []
    headline = printable(result.verdict)
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=[*tables, _pairs(result, context), *_said(result)],
        note=_NOTE,
        csv=csv_table(result.to_records()),
        download="Download all measures as CSV",
    )
    return Block(f"outputs-{k}", _title(result), html, tuple(figures), headline)


def _pair_name(pair: OutputPair, context: Context) -> str:
    return f"{printable(context.name(pair.first))} and {printable(context.name(pair.second))}"


def _ordered(result: Outputs, measure: str) -> list[OutputPair]:
    """The pairs that have a measure, the most alike first."""
    sign = 1.0 if OUTPUT_MEASURES[measure].distance else -1.0
    return sorted((p for p in result.pairs if measure in p), key=lambda p: sign * p[measure].value)


def _passes(m: Measured, alpha: float) -> bool:
    return m.q_value is not None and m.q_value <= alpha


def _dots(result: Outputs, measure: str, name: str, context: Context) -> Figure:
    """The pairs by one measure, each with its chance and interval; of many the most and the least alike."""
    pairs = _ordered(result, measure)
    part = ""
    if len(pairs) > _MOST:
        part = f", the {_MOST // 2} most and the {_MOST // 2} least alike of {len(pairs)} pairs"
        pairs = pairs[: _MOST // 2] + pairs[-(_MOST // 2) :]
    rows = [
        Row(_pair_name(p, context), m.value, m.chance or 0.0, _passes(m, result.alpha), (), (m.low, m.high))
        for p, m in ((p, p[measure]) for p in pairs)
    ]
    told = "; ".join(f"{r.label} {number(r.value)}, chance {number(r.chance)}" for r in rows)
    span = None if measure == "kl" else (0.0, 1.0)
    return dot_plot(name, f"{_NAMES[measure]}{part}: {told}.", _NAMES[measure] + part, rows, "two models", span)


def _map(result: Outputs, measure: str, name: str, context: Context) -> Figure:
    """Models against models."""
    values, chance, q = (result.matrix(measure, what) for what in ("value", "chance", "q_value"))
    np.fill_diagonal(values, np.nan)  # a model with itself
    count = len(result.models)
    top, left = np.unravel_index(int(np.nanargmax(values)), values.shape)
    names = [printable(context.name(m)) for m in result.models]
    rows = list(range(count))[::-1]  # heat maps run from the bottom up
    words = [
        [
            f"{names[i]} with itself"
            if i == j
            else f"{names[i]} × {names[j]}: {number(values[i, j])}, chance {number(chance[i, j])}, "
            f"{p_equals(q[i, j]).replace('p', 'q', 1)}"
            for j in range(count)
        ]
        for i in rows
    ]
    cells = Cells(
        values=values[rows],
        chance=chance[rows],
        passing=q[rows] <= result.alpha,
        words=words,
        rows=names[::-1],
        columns=names,
        row_title="",
        column_title=_NAMES[measure],
        best=(rows.index(int(top)), int(left)),
        best_words=f"most alike, {number(float(values[top, left]))}",
        failing_words=f"hatched: q > {result.alpha:g}",
        what="Pairs of models",
        flipped=False,
        twice=True,
    )
    title = f"{count} models against each other by {_NAMES[measure]}: most alike are {names[top]} and {names[left]}."
    return grid(cells, title, name)


def _told(m: Measured | None, *, tested: bool = True) -> str:
    """A measure in a cell."""
    if m is None:
        return DASH
    chance = "" if m.chance is None or math.isclose(m.chance, 0.0, abs_tol=1e-12) else f"; chance {number(m.chance)}"
    p = f"; {p_equals(m.p_value)}" if tested and m.p_value is not None else ""
    return f"{number(m.value)} ({number(m.low)} to {number(m.high)}{chance}{p})"


def _models(result: Outputs, context: Context) -> Table:
    """Every model against the labels."""
    columns = list(dict.fromkeys(name for m in result.each.values() for name in m.measures))
    rows = [
        [printable(context.name(name)), *(_told(m.measures.get(c)) for c in columns)] for name, m in result.each.items()
    ]
    return Table("Each model against the labels", ("model", *(_NAMES.get(c, c) for c in columns)), rows)


def _pairs(result: Outputs, context: Context) -> Table:
    """The pairs with every measure."""
    columns = [m for m in result.measures if m != "disagreement"]
    pairs = _ordered(result, "agreement")[:_TABLE]
    rows = [[_pair_name(p, context), *(_pair_cell(p.measures.get(c), c) for c in columns)] for p in pairs]
    part = f", the {_TABLE} most alike of {len(result.pairs)}" if len(result.pairs) > _TABLE else ""
    return Table(f"Pairs of models{part}", ("pair", *(_NAMES[c] for c in columns)), rows)


def _pair_cell(m: Measured | None, measure: str) -> str:
    """A measure of a pair with its q."""
    if m is None or m.q_value is None:
        return _told(m)
    return f"{_told(m, tested=False)}; q {'of no difference ' if measure in SIGNED else ''}{p_text(m.q_value)}"


def _said(result: Outputs) -> list[Table]:
    """What was measured, what is not defined, and notes."""
    groups = "" if result.n_groups is None else f" in {result.n_groups:,} groups, which are paired anew whole"
    rows: list[list[Any]] = [
        ["outputs", f"{result.output_kind}, {result.columns:,} columns"],
        ["items", f"{result.n:,}{groups}"],
        ["draws", f"{result.permutations:,} re-pairings, {result.draws:,} bootstrap samples, seed {result.seed}"],
    ]
    rows += [[f"{printable(p.first)} and {printable(p.second)}: {_NAMES.get(name, name)}", printable(why)]
             for p in result.pairs for name, why in p.undefined.items()]  # fmt: skip
    rows += [["note", printable(note)] for note in result.notes]
    return [Table("What was compared", (), rows)]
