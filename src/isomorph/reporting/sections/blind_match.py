"""Matches without pairs in the report: how many are right, and whether the match can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...results import BlindMatch
from .._charts import Row, dot_plot
from .._section import Block, Context, Section, Shown, render
from .._svg import Figure
from .._text import flatten, number, p_text, percent, printable, slug

_SHOWN = 12


class BlindMatchSection(Section):
    """`BlindMatch`: which item of one space is which of the other, found without knowing any pair."""

    name = "blind_match"

    @classmethod
    def example(cls, text: str) -> Any:
        ids = tuple(f"{text}{i}" for i in range(5))
        return BlindMatch(
            np.array([0, 2, 1, 3, 4]), "not matchable", text, 0.8, 0.7, 0.6, 0.1, None, None, 5, {"method": text},
            text, text, text, text, ids, ids, {"call": text},
        )  # fmt: skip

    def models(self, result: BlindMatch) -> Sequence[str]:
        return result.x_name, result.y_name

    def show(self, results: Sequence[BlindMatch], context: Context) -> Shown:
        blocks = tuple(_block(r, k, context) for k, r in enumerate(results, start=1))
        facts = tuple((_title(r, context), [*flatten(r.settings), *flatten(r.provenance)]) for r in results)
        return Shown("can items be matched by the geometry of the two spaces alone?", None, blocks, facts)


def _title(result: BlindMatch, context: Context) -> str:
    return f"Blind match of {context.name(result.x_name)} × {context.name(result.y_name)}"


def _block(result: BlindMatch, k: int, context: Context) -> Block:
    figures = _figures(result, k, context)
    told = [("correlation under the match", number(result.objective))]
    if result.truth_objective is not None:
        told.append(("correlation under the true pairing", number(result.truth_objective)))
    if result.accuracy is not None:
        told.append(("matched rightly", f"{percent(result.accuracy)} (chance {percent(1 / result.n)})"))
    told.append(("starts that reached the best", percent(result.hit_rate)))
    if result.stability is not None:
        told.append(("kept when features are resampled", percent(result.stability)))
    if result.p_value is not None:
        told.append(("unrelated spaces that match as well", p_text(result.p_value)))
    pairs = [[printable(r["x"]), printable(r["y"])] for r in result.to_records()[:_SHOWN]]
    html = render(
        "table.html.j2",
        headline=f"{printable(result.verdict).capitalize()}. {printable(result.reason)}",
        figures=figures,
        columns=["what", "value"],
        rows=[list(row) for row in told] + [["first matches", ""], *pairs],
        note="No pair was known to the search; the truth, where it is known, is used for the verdict alone.",
    )
    return Block(f"match-{k}", _title(result, context), html, figures)


def _figures(result: BlindMatch, k: int, context: Context) -> tuple[Figure, ...]:
    value = result.accuracy if result.accuracy is not None else result.stability
    if value is None:
        return ()
    what = "share matched rightly" if result.accuracy is not None else "share that survives resampled features"
    title = f"{_title(result, context)}: {what} {percent(value)}, chance {percent(1 / result.n)}."
    row = Row(f"{context.name(result.x_name)} × {context.name(result.y_name)}", value, 1 / result.n,
              result.verdict == "matchable")  # fmt: skip
    return (dot_plot(slug("match", f"{k:02d}"), title, what, [row], what=what),)
