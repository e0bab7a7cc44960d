"""How far agreement across modalities goes of what it could be, and what such a score means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...results import CeilingShare, Extrapolation, Limits, Redundancy
from .._charts import Row, Series, dot_plot, line_chart
from .._section import Table
from .._sizes import size_chart
from .._svg import Figure
from .._text import DASH, number, printable, slug
from ._concept_parts import Part

_STYLES = (0, 8, 14, 6, 10, 11, 12, 13)  # of lines that mean nothing else on the page
_STRUCTURES = {"gaussian": "Gaussian", "clusters": "clusters", "neighborhoods": "a curved surface"}


def limits_part(found: Limits, stem: str, sides: tuple[str, str]) -> Part:
    """The share of the ceilings by metric, k, gallery and depth."""
    figures = []
    rows = [
        Row(printable(r.metric), r.share, 0.0, r.low > 0, (), (r.low, r.high))
        for r in found.by_metric
        if r.share is not None and r.low is not None and r.high is not None
    ]
    if rows:
        told = "; ".join(f"{r.label} {r.value:.2f}" for r in rows)
        figures.append(
            dot_plot(
                f"{stem}-metric",
                f"Share of the ceilings by metric. {told}.",
                "share of the ceilings, all items",
                rows,
                "share",
                (0.0, 1.0),
            )
        )
    for after in found.extrapolated:
        figure = _by_size(found.of_size(after.metric), after, sides, f"{stem}-{slug('size', after.metric)}")
        figures += [] if figure is None else [figure]
    by_k = [(int(m[1]), r) for r in found.by_k if r.share is not None and (m := re.search(r"\bk=(\d+)", r.metric))]
    if len(by_k) > 1:
        ks, shares = [float(k) for k, _ in by_k], [r for _, r in by_k]
        name = by_k[0][1].metric.partition("(")[0]
        figures.append(
            size_chart(
                f"{stem}-k",
                printable(f"Share of the ceilings by the number of neighbours. {_tell(shares)}"),
                printable(f"{name}: share of the ceilings"),
                _share_lines(ks, shares, sides),
                "number of neighbours k (logarithmic)",
            )
        )
    depth = [s for s in (_by_depth(found, m, k) for k, m in enumerate(_metrics(found))) if s is not None]
    if depth:
        title = f"Share of the ceilings along depth. {_tell(found.by_depth)}"
        figures.append(
            line_chart(
                f"{stem}-depth", printable(title), "share of the ceilings", depth, "relative depth, input to output"
            )
        )
    lacking = [f"{r.metric}, n = {r.n:,}: no share, {r.lacking}." for r in found.by_metric if r.share is None]
    return Part(
        "How far could it go",
        tuple(printable(s) for s in _sentences(found)),
        tuple(figures),
        (_limit_table(found),),
        (
            "The share is agreement across modalities over the geometric mean of the agreement within each, all of the "
            "same items and beyond chance. Gallery: random subsets of the items; the dotted line and its band are the "
            "share in a gallery without end, as far as curves that fit agree on it.",
            *(printable(s) for s in lacking),
        ),
    )


def _sentences(found: Limits) -> list[str]:
    return [
        f"{row}{'; ' + after[row.metric] if row.metric in after else ''}."
        for after in [{e.metric: e.told for e in found.extrapolated}]
        for row in found.by_metric
    ]


def _metrics(found: Limits) -> list[str]:
    return list(dict.fromkeys(r.metric for r in found.by_depth))


def _share_lines(at: Sequence[float], rows: Sequence[CeilingShare], sides: tuple[str, str]) -> list[Series]:
    """Share with its band, and what it is made of."""
    shares = [_number(r.share) for r in rows]
    band = ([_number(r.low) for r in rows], [_number(r.high) for r in rows])
    lines = [Series("share of the ceilings", at, shares, 0, band=band)]
    for label, values, style in (
        ("across", [r.across for r in rows], 1),
        (f"ceiling of {sides[0]}", [r.x_ceiling for r in rows], 2),
        (f"ceiling of {sides[1]}", [r.y_ceiling for r in rows], 3),
    ):
        lines.append(Series(label, at, values, style))
    return lines


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _by_size(rows: Sequence[CeilingShare], after: Extrapolation, sides: tuple[str, str], stem: str) -> Figure | None:
    rows = [r for r in rows if r.share is not None]
    if len(rows) < 2:
        return None
    at = [float(r.n) for r in rows]
    lines = _share_lines(at, rows, sides)
    if after.value is not None and after.low is not None and after.high is not None:
        ends = [at[0], at[-1]]
        limit = Series(
            "in an infinite gallery", ends, [after.value] * 2, "chance", band=([after.low] * 2, [after.high] * 2)
        )
        lines.append(limit)
    return size_chart(
        stem,
        printable(f"{after.metric}: share of the ceilings by the number of items. {_tell(rows)} {after.told}."),
        printable(f"{after.metric.partition('(')[0]}: share by gallery"),
        lines,
        "number of items (logarithmic)",
    )


def _by_depth(found: Limits, metric: str, k: int) -> Series | None:
    rows = [r for r in found.by_depth if r.metric == metric and r.share is not None and r.depth is not None]
    if len(rows) < 2:
        return None
    band = ([_number(r.low) for r in rows], [_number(r.high) for r in rows])
    shares = [_number(r.share) for r in rows]
    return Series(printable(metric), [_number(r.depth) for r in rows], shares, _STYLES[k % len(_STYLES)], band=band)


def _tell(rows: Sequence[CeilingShare]) -> str:
    return "; ".join(map(str, rows)) + "."


def _limit_table(found: Limits) -> Table:
    columns = ["by", "metric", "n", "depth", "across", "ceiling of x", "ceiling of y", "share", "interval", "lacking"]
    rows = []
    for r in found.to_records():
        low, high = r["low"], r["high"]
        span = DASH if low is None or high is None else f"{number(low)} to {number(high)}"
        scores = [number(r[k]) for k in ("across", "x_ceiling", "y_ceiling", "share")]
        depth = DASH if r["depth"] is None else f"{r['depth']:g}"
        rows.append([r["by"], r["metric"], f"{r['n']:,}", depth, *scores, span, r["lacking"] or DASH])
    return Table("All shares", columns, [[printable(c) for c in row] for row in rows])


def redundancy_part(found: Sequence[Redundancy], stem: str) -> Part:
    """What each metric's score means: spaces that share so much of their variance have it."""
    rows = [
        [
            one.metric, number(one.score), _STRUCTURES.get(r.structure, r.structure), number(r.share),
            f"{number(r.low)} to {number(r.high)}", str(r.size) if r.size else DASH, "yes" if r.reached else "no",
        ]
        for one in found
        for r in one.readings
    ]  # fmt: skip
    columns = ["metric", "score", "made of", "share of variance", "interval", "clusters, or dimensions", "reaches it"]
    return Part(
        "What such a score means",
        tuple(printable(f"{one.metric} {number(one.score)}: {one.told}") for one in found),
        tuple(_readings(one, slug(stem, one.metric)) for one in found),
        (Table("All readings", columns, [[printable(c) for c in row] for row in rows]),),
        (
            "Each curve is the score of pairs of synthetic spaces, matched to these in number of items, dimensions and "
            "spectrum, of which the given share of the variance is common; the band is two standard deviations of one "
            "score. The dotted line is the score here: where it meets a curve is the reading. The kinds are assumed.",
        ),
    )


def _readings(found: Redundancy, stem: str) -> Figure:
    """The curves of one metric, and its score."""
    lines = []
    for k, r in enumerate(found.readings):
        band = ([s - 2 * e for s, e in zip(r.scores, r.spreads, strict=True)],
                [s + 2 * e for s, e in zip(r.scores, r.spreads, strict=True)])  # fmt: skip
        lines.append(Series(_STRUCTURES.get(r.structure, r.structure), r.shares, r.scores, _STYLES[k], band=band))
    ends = [min(r.shares[0] for r in found.readings), max(r.shares[-1] for r in found.readings)]
    lines.append(Series("the score here", ends, [found.score] * 2, "chance"))
    return size_chart(
        stem,
        printable(f"{found.metric} of synthetic spaces by the share of variance in common. {found.told}"),
        printable(f"{found.metric.partition('(')[0]} of synthetic spaces"),
        lines,
        "share of variance in common",
        logarithmic=False,
        words="{:g}".format,
    )
