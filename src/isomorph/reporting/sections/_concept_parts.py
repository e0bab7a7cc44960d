"""A part of the section on concepts, and that on what predicts agreement."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ...results import Covariates, listed
from .._charts import Row, dot_plot
from .._section import Table
from .._svg import Figure
from .._text import DASH, number, p_equals, p_text, percent, printable, signed


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of the section.

    Attributes:
        title: Its heading.
        told: The answer in words.
        figures: Its figures.
        tables: Its tables.
        notes: How to read them.
    """

    title: str
    told: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def covariates_part(found: Covariates, stem: str) -> Part:
    """What predicts how alike an item is seen: partial effects beside those alone."""
    rows = []
    for e in found.effects.values():
        alone = [] if e.alone is None else [("by itself", e.alone)]
        if e.effect is not None and e.type == "number":
            rows.append(_effect(f"{e.covariate}, q {p_text(e.q_value)}", e.effect, e.low, e.high, alone))
        for c in e.categories:
            if c.effect is not None:
                label = f"{e.covariate}: {c.category} (n {c.n:,}), p {p_text(c.p_value)}"
                rows.append(_effect(label, c.effect, c.low, c.high, []))
    figures: tuple[Figure, ...] = ()
    if rows:
        told = "; ".join(f"{r.label} {signed(r.value)}" for r in rows)
        figures = (
            dot_plot(
                stem,
                printable(f"What predicts how alike an item is seen. {told}."),
                "change of an item's score",
                rows,
                "others kept",
                tick="no effect",
            ),
        )
    return Part(
        "What predicts agreement",
        tuple(printable(s) for s in (_sentence(found), *found.notes)),
        figures,
        (_covariate_table(found),),
        (
            "Numbers: the change of the score for one standard deviation of the covariate; categories: their items "
            "less the mean over items. The disc is the effect with all other covariates kept, filled where its "
            "interval does not hold 0; the square is the effect with no other. An effect is no cause.",
        ),
    )


def _sentence(found: Covariates) -> str:
    """How much all covariates tell together; the single effects are in the figure."""
    p = "" if found.p_value is None else f" ({p_equals(found.p_value)})"
    return (
        f"Together {listed([*found.effects])} explain {percent(found.r2)} of the variance of the scores of {found.n:,} "
        f"items{p}, and {percent(found.r2_held_out)} of that of items held out. Intervals are {found.over}."
    )


def _effect(label: str, value: float, low: float | None, high: float | None, alone: Sequence[tuple[str, float]]) -> Row:
    interval = None if low is None or high is None else (low, high)
    passing = interval is not None and (interval[0] > 0 or interval[1] < 0)
    return Row(printable(label), value, 0.0, passing, alone, interval)


def _covariate_table(found: Covariates) -> Table:
    columns = ["covariate", "category", "n", "effect, others kept", "interval", "p", "q", "partial R²"]
    columns += ["by itself", "interval", "p", "R²", "variance inflation"]
    rows = []
    for e in found.effects.values():
        own = [p_text(e.p_value), p_text(e.q_value), number(e.partial_r2)]
        alone = [signed(e.alone), _between(e.alone_low, e.alone_high), p_text(e.alone_p_value), number(e.alone_r2)]
        effect = [signed(e.effect), _between(e.low, e.high)]
        rows.append([e.covariate, DASH, f"{found.n:,}", *effect, *own, *alone, number(e.inflation)])
        for c in e.categories:
            effect = [signed(c.effect), _between(c.low, c.high), p_text(c.p_value)]
            rows.append([e.covariate, c.category, f"{c.n:,}", *effect, *[DASH] * 7])
    return Table("All effects", columns, [[printable(c) for c in row] for row in rows])


def _between(low: float | None, high: float | None) -> str:
    return DASH if low is None or high is None else f"{signed(low)} to {signed(high)}"
