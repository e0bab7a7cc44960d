"""Matches without pairs in the report: how many are right, and whether the match can be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...results import BlindMatch
from .._charts import Row, dot_plot
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import csv_table, flatten, number, p_text, percent, printable, slug

_SHOWN = 12


class BlindMatchSection(Section):
    """`BlindMatch`: which item of one space is which of the other, found without knowing any pair.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> page = iso.report(iso.blind_match(x[:6], x[:6][::-1], surrogates=0, bootstraps=0, x_name="my model"))
        >>> "my model" in page.read_text()
        True
    """

    name = "blind_match"

    @classmethod
    def example(cls, text: str) -> Any:
        ids = tuple(f"{text}{i}" for i in range(5))
        return BlindMatch(
            np.array([0, 2, 1, 3, 4]), "not matchable", text, 0.8, 0.7, 0.6, 0.1, 0.4, 0.2, 5, {"method": text},
            text, text, text, text, ids, ids, {"call": text}, 0.3, (0.5, 0.9, 0.7, 0.6),
        )  # fmt: skip

    def models(self, result: BlindMatch) -> Sequence[str]:
        return result.x_name, result.y_name

    def show(self, results: Sequence[BlindMatch], context: Context) -> Shown:
        blocks = tuple(_block(r, k, context) for k, r in context.each(results))
        facts = tuple((_title(r, context), [*flatten(r.settings), *flatten(r.provenance)]) for r in results)
        return Shown("can items be matched by the geometry of the two spaces alone?", None, blocks, facts)


def _title(result: BlindMatch, context: Context) -> str:
    return f"Blind match of {context.name(result.x_name)} × {context.name(result.y_name)}"


def _block(result: BlindMatch, k: int, context: Context) -> Block:
    figures = tuple(_figures(result, slug("match", f"{k:02d}"), context))
    matched = result.to_records()
    known = bool(result.x_ids) and set(result.x_ids) == set(result.y_ids)
    columns = [f"item of {context.name(result.x_name)}", f"matched with, of {context.name(result.y_name)}"]
    pairs = [[printable(r["x"]), printable(r["y"])] for r in matched[:_SHOWN]]
    if known:
        columns.append("the same id")
        pairs = [[*pair, "✓" if r["x"] == r["y"] else ""] for pair, r in zip(pairs, matched, strict=False)]
    part = f"the first {_SHOWN} of {result.n:,}" if result.n > _SHOWN else f"all {result.n:,}"
    headline = f"{printable(result.verdict).capitalize()}. {printable(result.reason)}"
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=[Table("What the match reaches", (), _scores(result)), Table(f"Matches, {part}", columns, pairs)],
        note=_NOTE,
        csv=csv_table(matched),
        download="Download all matches as CSV",
    )
    return Block(f"match-{k}", _title(result, context), html, figures, headline)


_NOTE = (
    "No pair was known to the search; where the truth is known it is used for the verdict alone. The correlation is "
    "that of the two similarity matrices under a pairing. The search takes the best of all pairings, so that even "
    "unrelated spaces score above a random pairing: what they reach is what a match has to exceed."
)


def _scores(result: BlindMatch) -> list[list[str]]:
    """What was measured, each number beside its chance level."""
    chance = f"chance {percent(1 / result.n)}"
    other = result.surrogate_objectives
    told: list[tuple[str, str | None]] = [
        ("items", f"{result.n:,}"),
        ("correlation under the match", number(result.objective)),
        ("under the true pairing", _given(result.truth_objective, number)),
        ("under a random pairing, on average", _given(result.chance_objective, number)),
        (f"best of {len(other):,} unrelated spaces of the same spectrum", number(max(other)) if other else None),
        ("p, that an unrelated space matches as well", _given(result.p_value, p_text)),
        ("matched rightly", _given(result.accuracy, lambda v: f"{percent(v)} ({chance})")),
        ("kept when features are resampled", _given(result.stability, lambda v: f"{percent(v)} ({chance})")),
        ("starts that reached the best", percent(result.hit_rate)),
    ]
    return [[what, value] for what, value in told if value is not None]


def _given(value: float | None, say: Callable[[float], str]) -> str | None:
    return None if value is None else say(value)


def _figures(result: BlindMatch, stem: str, context: Context) -> Iterator[Figure]:
    believed = result.verdict == "matchable"
    shares = [("matched rightly", result.accuracy), ("kept when features are resampled", result.stability)]
    rows = [Row(what, value, 1 / result.n, believed) for what, value in shares if value is not None]
    if rows:
        title = f"{_title(result, context)}, share of the items: "
        title += "; ".join(f"{r.label} {percent(r.value)}, chance {percent(r.chance)}" for r in rows) + "."
        yield dot_plot(f"{stem}-items", title, "share of the items", rows, what="this match", span=(0.0, 1.0))
    if result.chance_objective is None:
        return
    beside = [("true pairing", result.truth_objective)]
    if other := result.surrogate_objectives:
        beside += [("unrelated space, median", float(np.median(other))), ("unrelated space, best", max(other))]
    there = [(what, value) for what, value in beside if value is not None]
    row = Row("best pairing found", result.objective, result.chance_objective, believed, there)
    title = f"{_title(result, context)}, correlation of similarities: {number(row.value)}, a random pairing "
    title += "; ".join([number(row.chance), *(f"{what} {number(value)}" for what, value in there)]) + "."
    heading = "correlation of similarities; chance: a random pairing"
    yield dot_plot(f"{stem}-objective", title, heading, [row], what="this match", span=(0.0, 1.0))
