"""What several model RDMs explain of measured ones, in the report: held-out scores, and the parts of variance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...results import RdmExplanation
from .._charts import Row, dot_plot
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import csv_table, flatten, number, p_equals, p_text, percent, printable, slug

_NOTE = (
    "Held out: weights are fitted on some items and subjects and scored on others; chance is the mean over re-paired "
    "items, and the ceiling what the mean of the subjects fitted on scores (lower), and that of all (upper). All "
    "pairs: correlations with the mean RDM of the subjects; partial ones, weights and unique parts hold all other "
    "models fixed, with p by double semi-partialing over re-paired items, two-sided. A common part is negative where "
    "models together explain more than each alone would add up to."
)


class RdmExplanationSection(Section):
    """`RdmExplanation`: what several model RDMs explain of measured ones, together, each and in common.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> a, b = (iso.RDMs.from_patterns(v) for v in np.random.default_rng(0).normal(size=(2, 20, 4)))
        >>> page = iso.report(iso.explain_rdms(a, {"my model": b}, permutations=19))
        >>> "my model" in page.read_text()
        True
    """

    name = "rdm_explanation"
    heading = "What do the models explain?"

    def models(self, result: RdmExplanation) -> Sequence[str]:
        return [result.name]

    def show(self, results: Sequence[RdmExplanation], context: Context) -> Shown:
        blocks = tuple(_block(r, k, context) for k, r in context.each(results))
        facts = tuple((_title(r, context), flatten(r.provenance)) for r in results)
        return Shown("what do several models explain of the measured RDMs, and which of them?", None, blocks, facts)


def _title(result: RdmExplanation, context: Context) -> str:
    return f"{context.name(result.name)} explained by {len(result)} model{'s' if len(result) > 1 else ''}"


def _block(result: RdmExplanation, k: int, context: Context) -> Block:
    figures = tuple(_figures(result, slug("rdm-models", f"{k:02d}"), context))
    headline = _headline(result)
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=list(_tables(result)),
        note=_NOTE,
        csv=csv_table(result.to_records()),
        download="Download all models as CSV",
    )
    return Block(f"rdm-models-{k}", _title(result, context), html, figures, headline)


def _headline(result: RdmExplanation) -> str:
    level = "" if result.share is None else f", {percent(result.share)} of the lower noise ceiling"
    adding = [printable(name) for name, s in result.models.items() if s.q_value <= 0.05]
    added = f"What adds to the others (q ≤ 0.05): {', '.join(adding)}." if adding else (
        "No model is shown to add to the others."
    )  # fmt: skip
    return (
        f"Together the models score {number(result.score)} on held-out items"
        f"{' and subjects' if result.subject_folds > 1 else ''}, chance {number(result.chance)} "
        f"({p_equals(result.p_value)}){level}. {added}"
    )


def _tables(result: RdmExplanation) -> Iterator[Table]:
    said = [
        [
            "measured",
            f"{printable(result.name)}, {len(result.subjects)} subject{'s' if len(result.subjects) > 1 else ''}",
        ],
        ["items", f"{result.n:,} ({result.pairs:,} pairs, {result.missing:,} entries missing)"],
        ["compared by", f"{result.comparison}, weights by {result.method}"],
        ["folds", f"{result.item_folds} of items, {result.subject_folds} of subjects"],
        ["held-out score", f"{number(result.score)}, chance {number(result.chance)}, {p_equals(result.p_value)}"],
        ["R², all pairs", f"{number(result.r2)}, chance {number(result.r2_chance)}, {p_equals(result.r2_p)}"],
        ["permutations", f"{result.permutations:,}"],
    ]
    if result.ceiling is not None:
        said.insert(5, ["noise ceiling", " to ".join(map(number, result.ceiling))])
    yield Table("What was explained", (), said)
    rows = [
        [printable(name), number(s.weight), number(s.alone), number(s.alone_chance), number(s.correlation),
         number(s.partial), number(s.unique), number(s.unique_chance), p_text(s.p_value), p_text(s.q_value)]
        for name, s in result.models.items()
    ]  # fmt: skip
    columns = ("model", "weight", "alone", "chance", "correlation", "partial", "unique", "chance", "p", "q")
    yield Table("Models", columns, rows)
    if result.parts:
        parts = [[printable(p.name), number(p.value), number(p.chance), p_text(p.p_value)] for p in result.parts]
        yield Table(f"Parts of the explained variance ({number(result.partition_r2)})", ("of", "share", "chance", "p"),
                    parts)  # fmt: skip
    if result.notes:
        yield Table("Notes", (), [["", printable(note)] for note in result.notes])


def _figures(result: RdmExplanation, stem: str, context: Context) -> Iterator[Figure]:
    title = _title(result, context)
    levels = [] if result.ceiling is None else [
        ("noise ceiling, lower", result.ceiling[0]), ("noise ceiling, upper", result.ceiling[1])
    ]  # fmt: skip
    rows = [Row("all, weighted", result.score, result.chance, result.p_value <= 0.05, levels)]
    rows += [Row(printable(name), s.alone, s.alone_chance, s.alone_p <= 0.05, levels)
             for name, s in result.models.items()]  # fmt: skip
    said = "; ".join(f"{row.label} {number(row.value)}, chance {number(row.chance)}" for row in rows)
    yield dot_plot(f"{stem}-scores", f"{title}, held out: {said}.", f"held-out score ({result.comparison})", rows,
                   what="score; hollow: p > 0.05")  # fmt: skip
    if result.parts:
        parts = [Row(("only " if len(p.models) == 1 else "") + printable(p.name), p.value, p.chance or 0.0,
                     p.p_value is not None and p.p_value <= 0.05) for p in result.parts]  # fmt: skip
        said = "; ".join(f"{row.label} {number(row.value)}" for row in parts)
        yield dot_plot(f"{stem}-parts", f"{title}, parts of the variance: {said}.", "share of the variance, all pairs",
                       parts, what="part; hollow: not tested, or p > 0.05", span=(0.0, 0.0))  # fmt: skip
