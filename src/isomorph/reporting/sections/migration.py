"""Maps from an old model's embeddings to a new one's in the report: what is kept, and whether the map may be used."""

from __future__ import annotations

from collections.abc import Sequence

from ...results import Migration, Score
from .._charts import Row, dot_plot
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import DASH, csv_table, flatten, number, p_equals, percent, printable, slug

_SHOWN = ("own.R@10", "index.R@10", "query.R@10", "neighbors", "cosine")
_NOTE = (
    "All scores are of pairs that the scored fit never saw: how often the right row is among the first of an index "
    "(R), with old rows mapped into the new space, or as queries to it; the share of the new model's ten nearest that "
    "a migrated index gives; and the cosine of mapped and new rows. “own” is what the new model reaches by itself. The "
    "tick is chance, the bar the interval; of the controls, “mean” gives "
    "every row the mean of the new ones, and “identity” takes old rows as they are."
)


class MigrationSection(Section):
    """`Migration`: a map from an old model's embeddings to a new one's, and what is lost by it.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> old = np.random.default_rng(0).normal(size=(300, 8))
        >>> page = iso.report(iso.fit_map(old, old[:, ::-1], old_name="last year's"))
        >>> "last year" in page.read_text()
        True
    """

    name = "migration"
    heading = "Can embeddings be carried between {}?"

    def models(self, result: Migration) -> Sequence[str]:
        return result.old_name, result.new_name

    def show(self, results: Sequence[Migration], context: Context) -> Shown:
        blocks = tuple(_block(r, k, context) for k, r in context.each(results))
        facts = tuple((_title(r, context), flatten(r.provenance)) for r in results)
        return Shown("can embeddings of an old model be carried to a new one?", None, blocks, facts)


def _title(result: Migration, context: Context) -> str:
    return f"Map from {context.name(result.old_name)} to {context.name(result.new_name)}"


def _block(result: Migration, k: int, context: Context) -> Block:
    figures = (_figure(result, slug("migration", f"{k:02d}"), context),)
    verdict = "Nothing speaks against using it." if result.usable else "Read the warnings before using it."
    warned = [[printable(name), printable(words)] for name, words in result.warnings.items()]
    sides = [["old space", printable(result.old_name)], ["new space", printable(result.new_name)],
             ["pairs", f"{result.n:,}, {result.n_test:,} of them held out for the scores"]]  # fmt: skip
    controls = tuple(f"control: {name}" for name in result.controls)
    tables = [Table("What was mapped", (), sides)]
    tables += [Table("Held-out scores", ("score", "value", "interval", "chance", *controls), _scores(result))]
    if warned:
        tables.insert(0, Table("Warnings", (), warned))
    headline = (
        f"{printable(result.map)} keeps {percent(result.retained)} of what the new model itself finds among its "
        f"first ten, beyond chance ({p_equals(result.p_value)}). {verdict}"
    )
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=tables,
        note=_NOTE,
        csv=csv_table(result.to_records()),
        download="Download all scores as CSV",
    )
    return Block(f"migration-{k}", _title(result, context), html, figures, headline)


def _scores(result: Migration) -> list[list[str]]:
    """One row a score, each control's value beside it."""
    return [
        [printable(name), number(s.value), f"{number(s.low)} to {number(s.high)}", number(s.chance)]
        + [number(scores[name].value) if name in scores else DASH for scores in result.controls.values()]
        for name, s in result.scores.items()
    ]


def _figure(result: Migration, stem: str, context: Context) -> Figure:
    there: list[tuple[str, Score]] = [(name, result.scores[name]) for name in _SHOWN if name in result.scores]
    rows = [
        Row(
            name,
            s.value,
            s.chance,
            result.usable,
            [(f"control: {k}", scores[name].value) for k, scores in result.controls.items() if name in scores],
            (s.low, s.high),
        )
        for name, s in there
    ]
    said = "; ".join(f"{name} {number(s.value)}, chance {number(s.chance)}" for name, s in there)
    return dot_plot(f"{stem}-scores", f"{_title(result, context)}, held out: {said}.", "held-out score", rows,
                    what="this map", span=(min(0.0, *(r.value for r in rows)), 1.0))  # fmt: skip
