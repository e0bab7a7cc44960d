"""Stitched networks in the report: accuracy along depth, beside every control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...results import CutStitch, NetworkStitch
from .._charts import Series, line_chart
from .._section import Block, Context, Section, Shown, render
from .._svg import Figure
from .._text import flatten, number, percent, printable, slug


class NetworkStitchSection(Section):
    """`NetworkStitch`: whether one network can be used in place of another, cut by cut."""

    name = "network_stitch"

    @classmethod
    def example(cls, text: str) -> Any:
        cuts = tuple(
            CutStitch(
                f"{text}{i}", f"{text}{i}", 0.3 * i, 0.3 * i, "linear", "least_squares", (4, 4), 50, 0.8, 0.9, 0.1,
                (0.05, 0.15), 0.5,
                {"random_bottom": {"accuracy": 0.2, "r2": 0.0}, "permuted": {"accuracy": 0.1, "r2": -0.1}},
                (0.5, 0.7), 0.1,
            )
            for i in (1, 2)
        )  # fmt: skip
        return NetworkStitch(text, text, cuts, 0.9, 0.1, 50, 50, 10, provenance={"call": text})

    def models(self, result: NetworkStitch) -> Sequence[str]:
        return result.bottom, result.top

    def show(self, results: Sequence[NetworkStitch], context: Context) -> Shown:
        blocks = tuple(_block(r, k, context) for k, r in enumerate(results, start=1))
        facts = tuple((_title(r, context), [*_facts(r), *flatten(r.provenance)]) for r in results)
        return Shown(
            "can the bottom of one network stand in for that of another, and at which depth?", None, blocks, facts
        )


def _title(result: NetworkStitch, context: Context) -> str:
    return f"{context.name(result.bottom)} into {context.name(result.top)}"


def _facts(result: NetworkStitch) -> list[tuple[str, str]]:
    return [
        ("items fitted on, scored", f"{result.n_train:,}, {result.n_test:,}"),
        ("classes", str(result.n_classes)),
        ("untrained bottoms drawn", str(result.random_draws)),
        ("seed", str(result.seed)),
    ]


def _block(result: NetworkStitch, k: int, context: Context) -> Block:
    working = [c for c in result.cuts if c.works and not c.uninformative and not c.leaves_distribution]
    headline = (
        f"{len(working)} of {len(result.cuts)} cuts work and say something of the bottom. The top alone is right for "
        f"{percent(result.base_accuracy)} of the items, the most frequent class for {percent(result.chance)}."
    )
    fits = list(dict.fromkeys(c.fit for c in result.cuts))
    figures = tuple(_chart(result, fit, k, context) for fit in fits)
    controls = list(dict.fromkeys(name for c in result.cuts for name in c.controls))
    rows = [
        [
            printable(f"{c.bottom_layer} → {c.top_layer}"),
            _words(c.fit),
            percent(c.accuracy),
            f"{number(c.penalty)} ({number(c.penalty_interval[0])} to {number(c.penalty_interval[1])})",
            number(c.r2),
            *(percent(c.controls[name]["accuracy"]) if name in c.controls else "–" for name in controls),
            printable(c.verdict),
        ]
        for c in result.cuts
    ]
    columns = ["cut", "fit", "accuracy", "penalty, with interval", "R²", *(_words(c) for c in controls), "verdict"]
    html = render("table.html.j2", headline=headline, figures=figures, columns=columns, rows=rows, note=_NOTE)
    return Block(f"networks-{k}", _title(result, context), html, figures)


_NOTE = (
    "Penalty: what the joined network loses against the top alone, paired over items. A cut works if it keeps half of "
    "what the top scores above chance; it says something of the bottom if an untrained bottom does not do as well. R² "
    "below 0: the top is fed activations that it never saw."
)


def _words(control: str) -> str:
    return printable(control).replace("_", " ")


def _chart(result: NetworkStitch, fit: str, k: int, context: Context) -> Figure:
    cuts = sorted((c for c in result.cuts if c.fit == fit), key=lambda c: c.bottom_depth)
    depth = [c.bottom_depth for c in cuts]
    lines = [Series("joined", depth, [c.accuracy for c in cuts], 0, [c.works for c in cuts])]
    for style, name in enumerate(list(dict.fromkeys(n for c in cuts for n in c.controls))[:4], start=1):
        there = [c for c in cuts if name in c.controls]
        heights = [c.controls[name]["accuracy"] for c in there]
        lines.append(Series(_words(name), [c.bottom_depth for c in there], heights, style, [True] * len(there)))
    lines.append(Series("top alone", [0.0, 1.0], [result.base_accuracy] * 2, 5, [False, False]))
    lines.append(Series("chance", [0.0, 1.0], [result.chance] * 2, "chance"))
    title = f"{_title(result, context)}, {printable(fit)}: accuracy of the joined network along the depth of the cut. "
    title += "; ".join(f"{printable(c.bottom_layer)} {percent(c.accuracy)}" for c in cuts) + "."
    return line_chart(
        slug("networks", f"{k:02d}", fit), title, f"accuracy, {_words(fit)}", lines, "depth of the cut"
    )
