"""Leagues in the report: which metric tells what, criterion by criterion, and which cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from ...results import CRITERION_KINDS, FORMS, Contrast, League, Standing
from .._charts import Row, dot_plot
from .._color import scale
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure, fit, tag, text
from .._text import DASH, csv_table, flatten, number, p_text, printable, slug

_NOTE = (
    "A criterion is a truth and a statistic of how well scores tell it; higher is better. Intervals and differences "
    "are by leaving out each network, p by giving the truth to networks in a random order, q over all criteria and "
    "metrics (Benjamini-Hochberg). “Best” holds the metrics that are not told apart from the first one (Holm)."
)
_CELL, _TOP, _LEFT = 22.0, 130.0, 250.0


class LeagueSection(Section):
    """`League`: metrics by criteria, the mean place of each, and a guide of which metric is for which purpose.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.leagues import Family, Network
        >>> networks = [Network(name, {"last": np.eye(40)[:, k:]}) for k, name in enumerate("abcd")]
        >>> league = iso.league(Family("toys", networks), ["cka", "cca"], criteria=["outlier(trials=4)"])
        >>> "To know what two spaces share but for stray items" in iso.report(league).read_text()
        True
    """

    name = "league"
    heading = "Which metric tells what?"

    def models(self, result: League) -> Sequence[str]:
        return (result.family,)

    def show(self, results: Sequence[League], context: Context) -> Shown:
        blocks = tuple(_block(result, k) for k, result in context.each(results))
        facts = tuple((f"League over {printable(result.family)}", flatten(result.provenance)) for result in results)
        return Shown("which metric tells what is known of a family of networks?", None, blocks, facts)


def _block(result: League, k: int) -> Block:
    stem = slug("league", f"{k:02d}")
    figures = (_map(result, f"{stem}-map"), *_places(result, f"{stem}-places"))
    won = {name: result[name].winner for name in result.criteria}
    alone = sum(v is not None for v in won.values())
    overall = f"{printable(result.short(result.winner))} is better than every other over all." if result.winner else (
        "There is no winner over all: the places of the first metrics are not told apart."
    )  # fmt: skip
    headline = (
        f"{len(result.metrics)} metrics, {len(result.criteria)} criteria: {alone} have a single best metric, with "
        f"{len({v for v in won.values() if v})} metrics among these. {overall}"
    )
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=[_guide(result), *_forms(result), *_criteria(result), *_left(result)],
        note=_NOTE,
        csv=csv_table(result.to_records()),
        download="Download every criterion and metric as CSV",
    )
    return Block(f"league-{k}", f"Metrics over {printable(result.family)}", html, figures, headline)


def _guide(result: League) -> Table:
    """What to use for what, each line from one criterion."""
    rows = []
    for sentence in result.guide():
        purpose, _, answer = sentence.removeprefix("To know ").partition("): ")
        rows.append([printable(f"To know {purpose})"), printable(answer)])
    return Table("Which metric for which purpose", (), rows)


def _criteria(result: League) -> Iterator[Table]:
    """The standings of each criterion, those of one kind together."""
    columns = ("criterion", "best", "value", "interval", "chance", "p", "q", "units", "n")
    for kind, words in CRITERION_KINDS.items():
        rows = []
        for spec, own in zip(result.criteria, result.kinds, strict=True):
            if own != kind:
                continue
            found = result[spec]
            first = found.ranked[0][1]
            told = first.q_value <= result.alpha
            best = ", ".join(map(result.short, found.best)) if told else "none is shown to tell it"
            rows.append(
                [printable(spec), printable(best), number(first.value), f"{number(first.low)} to {number(first.high)}",
                 number(first.chance), p_text(first.p_value), p_text(first.q_value), str(found.units), f"{found.n:,}"]
            )  # fmt: skip
        if rows:
            yield Table(f"Of {words}", columns, rows)


def _forms(result: League) -> Iterator[Table]:
    """Metrics that took part in two forms: how often each is better, and every difference that is shown."""
    every = result.contrasts()
    columns = ("first, against second", "comparisons", "first better", "second better", "not told apart",
               "largest difference", "interval", "p (Holm)", "in")  # fmt: skip
    for form, words in FORMS.items():
        pairs: dict[tuple[str, str], list[Contrast]] = {}
        for contrast in every:
            if contrast.form == form:
                pairs.setdefault((contrast.first, contrast.second), []).append(contrast)
        rows = [_form(result, *names, own) for names, own in pairs.items()]
        if rows:
            yield Table(f"{words[0].upper()}{words[1:]}", columns, rows)
    if shown := [_shown(result, contrast) for contrast in every if contrast.better]:
        heads = ("better", "than", "in", "by", "interval", "p (Holm)")
        yield Table("Where one form is better than the other", heads, shown)


def _shown(result: League, contrast: Contrast) -> list[str]:
    """One contrast in which a form is better, seen from that form."""
    turned = contrast.better == contrast.second
    better, other = (contrast.second, contrast.first) if turned else (contrast.first, contrast.second)
    names = (result.short(better), result.short(other), contrast.criterion)
    told = [number(abs(contrast.difference)), _ends(contrast, turned), p_text(contrast.adjusted)]
    return [*map(printable, names), *told]


def _form(result: League, first: str, second: str, own: Sequence[Contrast]) -> list[str]:
    """One pair of forms over all criteria."""
    better, worse = (sum(c.better == name for c in own) for name in (first, second))
    most = max(own, key=lambda c: abs(c.difference))
    return [
        printable(f"{result.short(first)}, against {result.short(second)}"), str(len(own)), str(better), str(worse),
        str(len(own) - better - worse), number(most.difference), _ends(most), p_text(most.adjusted),
        printable(most.criterion.partition("(")[0]),
    ]  # fmt: skip


def _ends(contrast: Contrast, turned: bool = False) -> str:
    """The interval of a difference, or of what is left when its sign is turned."""
    if contrast.low is None or contrast.high is None:
        return DASH
    low, high = (-contrast.high, -contrast.low) if turned else (contrast.low, contrast.high)
    return f"{number(low)} to {number(high)}"


def _left(result: League) -> Iterator[Table]:
    lost = [[printable(name), printable(why)] for name, why in result.unanswered.items()]
    lost += [[printable(f"{metric} in {spec}"), printable(why)] for spec, found in result.undefined.items()
             for metric, why in found.items()]  # fmt: skip
    if lost:
        yield Table("What could not be asked", (), lost)


def _order(result: League) -> list[int]:
    """Metrics by their mean place; those without one last."""
    return [int(m) for m in np.argsort(np.where(np.isnan(result.mean_ranks), np.inf, result.mean_ranks), kind="stable")]


def _places(result: League, name: str) -> Iterator[Figure]:
    """The mean place of each metric over all criteria."""
    rows = [
        Row(printable(result.short(metric)), place, (1 + len(result.metrics)) / 2, metric == result.winner, (), ends)
        for metric, place, ends in result.overall
    ]
    if len(rows) > 1:
        said = "; ".join(f"{r.label} {number(r.value)}" for r in rows)
        yield dot_plot(
            name, f"Mean place over all criteria: {said}.", "mean place over all criteria (1 is best)", rows,
            what="metric", tick="the middle place",
        )  # fmt: skip


def _map(result: League, name: str) -> Figure:
    """Metrics by criteria: how far each statistic goes from chance to the best possible."""
    metrics, criteria = (
        _order(result),
        sorted(range(len(result.criteria)), key=lambda k: [*CRITERION_KINDS].index(result.kinds[k])),
    )
    body = [_key()]
    for row, m in enumerate(metrics):
        y = _TOP + _CELL * row
        label = fit(printable(result.short(result.metrics[m])), _LEFT - 14, 10)
        body.append(text(_LEFT - 6, y + 15, label, class_="end small"))
        for column, k in enumerate(criteria):
            body.append(_cell(result, k, m, _LEFT + _CELL * column, y))
    for column, k in enumerate(criteria):
        x = _LEFT + _CELL * column + 14
        words = printable(result.criteria[k].partition("(")[0])
        body.append(text(x, _TOP - 6, words, class_="small", transform=f"rotate(-55 {x:.1f} {_TOP - 6:.1f})"))
    said = "; ".join(
        f"{result.criteria[k].partition('(')[0]}: {', '.join(map(result.short, result[result.criteria[k]].best))}"
        for k in criteria
    )
    width, height = _LEFT + _CELL * len(criteria) + 90, _TOP + _CELL * len(metrics) + 10
    return Figure(name, printable(f"Best metrics of each criterion. {said}."), width, height, "".join(body))


def _cell(result: League, k: int, m: int, x: float, y: float) -> str:
    spec, metric = result.criteria[k], result.metrics[m]
    side = _CELL - 2
    if np.isnan(result.values[k, m]):
        blank = tag("rect", x=x, y=y, width=side, height=side, class_="blank")
        return tag("g", tag("title", escape(printable(f"{metric}, {spec}: no score"))) + blank)
    standing = result[spec].rows[metric]
    share = (standing.value - standing.chance) / max(1 - standing.chance, 1e-9)
    parts = [tag("title", escape(printable(f"{metric}, {_told(spec, standing)}")))]
    parts.append(tag("rect", x=x, y=y, width=side, height=side, fill=scale(float(np.clip(share, 0, 1)))))
    if standing.q_value > result.alpha:
        ends = f"M{x:.1f} {y + side:.1f}L{x + side:.1f} {y:.1f}"
        parts += [
            tag("rect", x=x, y=y, width=side, height=side, class_="hatch-veil"),
            tag("path", d=ends, class_="hatch-line"),
        ]
    elif standing.best:
        parts.append(tag("rect", x=x + 1, y=y + 1, width=side - 2, height=side - 2, class_="frame"))
    return tag("g", "".join(parts))


def _told(spec: str, found: Standing) -> str:
    q = f"q {p_text(found.q_value)}"
    best = ", best or not told apart from it" if found.best else ""
    return (
        f"{spec}: {number(found.value)} ({number(found.low)} to {number(found.high)}), chance {number(found.chance)}, "
        f"{q}, place {number(found.rank) if found.rank else DASH}{best}"
    )


def _key() -> str:
    """What colors, frames and strokes mean."""
    n, width = 40, 120.0
    bar = "".join(
        tag("rect", x=8 + width * i / n, y=8, width=width / n + 0.4, height=8, fill=scale((i + 0.5) / n))
        for i in range(n)
    )
    parts: list[Any] = [tag("g", bar, shape_rendering="crispEdges")]
    parts += [text(8, 30, "chance", class_="small soft"), text(8 + width, 30, "best possible", class_="small soft end")]
    parts += [tag("rect", x=9, y=41, width=12, height=12, class_="frame"),
              text(28, 51, "best, or not told apart from it", class_="small soft"),
              tag("rect", x=8, y=60, width=14, height=14, class_="blank"),
              tag("path", d="M8 74L22 60", class_="hatch-line"),
              text(28, 71, "not shown to tell it (q)", class_="small soft")]  # fmt: skip
    return "".join(parts)
