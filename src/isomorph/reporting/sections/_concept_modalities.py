"""Which concepts three modalities share, and what maps carry from one to another, directly and through the third."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from ...results import (
    SHARED_BY_ALL,
    SHARED_BY_NONE,
    SHARED_THROUGH,
    UNDECIDED,
    MapItems,
    Modalities,
    Transfer,
    TransferPath,
    listed,
)
from .._charts import Row, dot_plot
from .._section import Table
from .._svg import Figure, fit, line, tag, text, text_width
from .._text import DASH, number, p_text, printable, signed
from ._concept_figures import WIDTH
from ._concept_parts import Part

_LABELS = 24  # concepts in the figure of a map


def modalities_part(found: Modalities, stem: str) -> Part:
    """Which concepts three modalities share: all, two or none of them."""
    counted = listed([f"{len(found.of(v))} {_pattern(v)}" for v in _patterns(found)])
    told = f"Of {len(found.labels)} concepts of {listed(list(found.names))}: {counted}."
    columns = ["concept", "n", "verdict"]
    for pair in found.pairs:
        columns += [" + ".join(pair), "interval", "p"]
    columns += ["items that would decide", "why undecided"]
    rows = []
    for r in found.records():
        row = [r["label"], f"{r['n']:,.0f}", _pattern(r["verdict"])]
        for pair in found.pairs:
            name = "+".join(pair)
            low, high = r[f"{name} low"], r[f"{name} high"]
            span = DASH if low is None or high is None else f"{number(low)} to {number(high)}"
            row += [number(r[name]), span, p_text(r[f"{name} p"])]
        rows.append([*row, DASH if r["needed"] is None else f"{r['needed']:,.0f}", r["reason"] or DASH])
    return Part(
        "Which concepts three modalities share",
        (printable(told),),
        (_upset(found, stem),),
        (Table("All concepts and pairs", columns, [[printable(c) for c in row] for row in rows]),),
        (
            f"A pair of modalities shares a concept where its agreement is at least {found.least:g} and above chance, "
            f"and is apart where it is shown to be below {found.least:g}; p-values of all concepts and pairs are "
            f"adjusted together ({found.correction}). Filled discs joined by a line share the concepts named beside "
            "them.",
        ),
    )


def _detours(found: Transfer) -> str:
    """What the paths through a third space lose, in one sentence."""
    scored = [path.lost["score"] for path in found.detours if "score" in path.lost]
    less = sum(lost.p_value <= found.alpha and lost.value > 0 for lost in scored)
    more = sum(lost.p_value <= found.alpha and lost.value < 0 for lost in scored)
    passed = sum(path.p_value <= found.alpha for path in found.direct)
    said = f"{passed} of {len(found.direct)} direct maps carry over more than chance. "
    if not scored:
        return said
    said += (
        f"Of {len(scored)} paths through a third space {less} carry over less than the direct map, {more} more, and "
    )
    return f"{said}{len(scored) - less - more} are not told apart from it."


def _pattern(verdict: str) -> str:
    if verdict == SHARED_BY_ALL:
        return "shared by all"
    if verdict == SHARED_BY_NONE:
        return "shared by none"
    if verdict.startswith(SHARED_THROUGH):
        middle = verdict.removeprefix(SHARED_THROUGH)
        return f"shared with {middle} by both others, which are apart"
    return verdict if verdict == UNDECIDED else f"shared by {verdict.replace('+', ' and ')} alone"


def _patterns(found: Modalities) -> list[str]:
    """The verdicts that are there, from shared by all to undecided."""
    kinds = [SHARED_BY_ALL, *(f"{SHARED_THROUGH}{n}" for n in found.names), *("+".join(p) for p in found.pairs)]
    return [v for v in (*kinds, SHARED_BY_NONE, UNDECIDED) if found.of(v)]


def _joins(found: Modalities, verdict: str) -> list[tuple[int, int]]:
    """Which modalities a verdict joins, by their places."""
    names = list(found.names)
    every = [(names.index(a), names.index(b)) for a, b in found.pairs]
    if verdict == SHARED_BY_ALL:
        return every
    if verdict.startswith(SHARED_THROUGH):
        middle = names.index(verdict.removeprefix(SHARED_THROUGH))
        return [pair for pair in every if middle in pair]
    return [(names.index(a), names.index(b)) for a, b in found.pairs if verdict == f"{a}+{b}"]


def _upset(found: Modalities, stem: str) -> Figure:
    """A row a pattern: which modalities are joined, how many concepts, and their names."""
    kinds = _patterns(found)
    gap = max(40.0, *(text_width(printable(n), 10) + 12 for n in found.names))
    gap = min(gap, 74.0)
    at = [14 + gap / 2 + k * gap for k in range(len(found.names))]
    count_at, names_at = at[-1] + gap / 2 + 20, at[-1] + gap / 2 + 32
    body = [
        text(x, 16, fit(printable(n), gap - 6, 10), class_="middle small strong")
        for x, n in zip(at, found.names, strict=True)
    ]
    y = 38.0
    for verdict in kinds:
        members = found.of(verdict)
        said = {SHARED_BY_NONE: "by none: ", UNDECIDED: "undecided: "}.get(verdict, "")
        rows = _wrapped([f"{'' if k else said}{printable(m)}" for k, m in enumerate(members)], WIDTH - names_at - 6)
        joins = _joins(found, verdict)
        middle = y + 7 * (len(rows) - 1)
        parts = [tag("title", escape(printable(f"{_pattern(verdict)}: {', '.join(members)}")))]
        parts += [_arc(at[a], at[b], middle) for a, b in joins]
        joined = {k for pair in joins for k in pair}
        for k, x in enumerate(at):
            style = "m0" if k in joined else "m5 hollow"
            parts.append(tag("circle", cx=x, cy=middle - 3.5, r=5, class_=style))
        parts.append(text(count_at, middle, str(len(members)), class_="end"))
        parts += [text(names_at, y + 14 * i, row, class_="small") for i, row in enumerate(rows)]
        body.append(tag("g", "".join(parts)))
        y += 14 * len(rows) + 12
        body.append(line(6, y - 14, WIDTH - 6, y - 14, "grid"))
        y += 6
    told = "; ".join(f"{_pattern(v)}: {', '.join(found.of(v))}" for v in kinds)
    return Figure(stem, printable(f"Which concepts three modalities share. {told}."), WIDTH, y - 8, "".join(body))


def _arc(a: float, b: float, y: float) -> str:
    """A line between two discs; one that passes a third goes round it."""
    if b - a < 80:
        return line(a, y - 3.5, b, y - 3.5, "s0")
    return tag("path", d=f"M{a:.2f} {y - 3.5:.2f}Q{(a + b) / 2:.2f} {y - 27:.2f} {b:.2f} {y - 3.5:.2f}", class_="s0")


def _wrapped(names: Sequence[str], width: float, most: int = 4) -> list[str]:
    """Names in lines; what does not fit into so many is counted."""
    rows: list[str] = []
    current, left = "", len(names)
    for k, name in enumerate(names):
        word = fit(name, width - 10, 10) + (", " if k < len(names) - 1 else "")
        room = width - (64 if len(rows) == most - 1 else 0)  # the last line may have to count the rest
        if current and text_width(current + word, 10) > room:
            if len(rows) == most - 1:
                return [*rows, f"{current}… {left} more"]
            rows.append(current)
            current = ""
        current += word
        left -= 1
    return [*rows, current]


def transfer_part(found: Transfer, stem: str) -> Part:
    """Held-out maps between spaces: each pair directly, and through a third."""
    through: dict[tuple[str, str], list[TransferPath]] = {}
    for path in found.detours:
        through.setdefault((path.spaces[0], path.spaces[2]), []).append(path)
    rows: list[Row] = []
    for path in found.direct:
        ends = (path.spaces[0], path.spaces[1])
        detours = [(f"through {d.spaces[1]}", d.values["score"]) for d in through.get(ends, [])]
        interval = (path.low["score"], path.high["score"]) if "score" in path.low and "score" in path.high else None
        label = f"{path.text}, p {p_text(path.p_value)}"
        passing = path.p_value <= found.alpha
        rows.append(Row(printable(label), path.values["score"], path.chance["score"], passing, detours, interval))
    figure = dot_plot(
        stem,
        printable("Transfer by held-out maps. " + "; ".join(f"{r.label} {number(r.value)}" for r in rows) + "."),
        "place of the right partner, 1 first",
        rows,
        "direct",
    )
    columns = ["path", "score", "chance", "p", "R@1", "chance", "R@5", "chance", "cosine", "R²", "lost of the score"]
    cells = []
    for p in found.paths:
        lost = p.lost.get("score")
        row = [p.text, number(p.values["score"]), number(p.chance["score"]), p_text(p.p_value)]
        row += [number(v) for name in ("R@1", "R@5") for v in (p.values[name], p.chance[name])]
        row += [number(p.values["cosine"]), number(p.values["r2"])]
        row.append(DASH if lost is None else f"{signed(lost.value)} ({signed(lost.low)} to {signed(lost.high)})")
        cells.append([printable(c) for c in row])
    return Part(
        "Transfer between modalities, directly and through a third",
        (printable(_detours(found)),),
        (figure,),
        (Table("All paths, there and back too", columns, cells),),
        (
            f"Maps ({printable(found.map)}) are fitted without the items they are asked for. The score is where the "
            "right partner stands among the candidates of its fold, from 0 (last) to 1 (first); intervals over items.",
            *(printable(n) for n in found.notes),
        ),
    )


def maps_part(found: MapItems, stem: str) -> Part:
    """How high the right partners stand under a map that was fitted without them."""
    mean, chance = float(found.scores.mean()), float(found.chance.mean())
    level = "false discovery rate 0.05"
    passed = int((found.q_values <= 0.05).sum())
    told = (
        f"Under {found.map}, fitted without the items it is asked for, the right partner stands at {number(mean)} on "
        f"the way from last (0) to first (1), with chance at {number(chance)}; {passed:,} of {found.n:,} items are "
        f"found beyond chance ({level})."
    )
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    if found.labels is not None:
        records = sorted(found.labels.records(), key=lambda r: -r["score"])
        rows = []
        for r in records[:_LABELS]:
            interval = None if r["low"] is None else (r["low"], r["high"])
            label = f"{r['label']} (n {r['n']:,}), q {p_text(r['q'])}"
            rows.append(Row(printable(label), r["score"], r["chance"], r["q"] <= 0.05, (), interval))
        said = "; ".join(f"{r['label']} {number(r['score'])}" for r in records[:_LABELS])
        part = f", the highest {_LABELS} of {len(records)}" if len(records) > _LABELS else ""
        title = printable(f"Place of the right partner by concept{part}. {said}.")
        figures = (dot_plot(stem, title, f"place of the right partner{part}", rows, "mean of its items"),)
        cells = [
            [
                printable(r["label"]), f"{r['n']:,}", number(r["score"]), number(r["chance"]),
                DASH if r["low"] is None else f"{number(r['low'])} to {number(r['high'])}",
                p_text(r["p"]), p_text(r["q"]),
            ]
            for r in records
        ]  # fmt: skip
        tables = (
            Table("All concepts under the map", ["concept", "n", "score", "chance", "interval", "p", "q"], cells),
        )
    gallery = sorted(set(found.gallery))
    size = f"{gallery[0]:,}" + (f" to {gallery[-1]:,}" if len(gallery) > 1 else "")
    note = f"Partners are ranked among the {size} candidates of a fold; intervals are over items, the map held fixed."
    return Part("Items under a map", (printable(told),), figures, tables, (note,))
