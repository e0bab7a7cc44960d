"""Stitched networks in the report: accuracy along depth, beside every control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...results import CutStitch, NetworkStitch
from .._charts import Row, Series, dot_plot, line_chart
from .._section import Block, Context, Section, Shown, Table, render
from .._svg import Figure
from .._text import DASH, csv_table, flatten, number, percent, printable, slug
from ._verdict import marks


class NetworkStitchSection(Section):
    """`NetworkStitch`: whether one network can be used in place of another, cut by cut.

    Example:
        >>> import torch
        >>> import isomorph as iso
        >>> _ = torch.manual_seed(5)
        >>> x = torch.randn(400, 4)
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> labels = net(x).argmax(dim=1)
        >>> page = iso.report(iso.stitch_networks(net, net, x, cuts=["1"], labels=labels, top_name="my network"))
        >>> "my network" in page.read_text()
        True
    """

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
        found = marks(r.condition(name) for r in results for name in _controls(r.cuts))
        styles = {label: style for (_, label), style in found.items()} | {_ALONE: _ALONE_STYLE}
        blocks = tuple(_block(r, k, styles, context) for k, r in context.each(results))
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


def _block(result: NetworkStitch, k: int, styles: Mapping[str, int], context: Context) -> Block:
    telling = [c for c in result.cuts if c.works and not c.uninformative and not c.leaves_distribution]
    headline = (
        f"{len(telling)} of {len(result.cuts)} stitches work and say something of the bottom. The top alone is right "
        f"for {percent(result.base_accuracy)} of the {result.n_test:,} items held out, the most frequent class for "
        f"{percent(result.chance)}."
    )
    figures = tuple(_chart(result, fit, k, styles, context) for fit in dict.fromkeys(c.fit for c in result.cuts))
    controls = _controls(result.cuts)
    columns = ["cut", "fit", "accuracy", "penalty, with interval", "R²", *map(_words, controls), "verdict"]
    rows = [
        [
            _cut(c),
            _words(c.fit),
            percent(c.accuracy),
            f"{number(c.penalty)} ({number(c.penalty_interval[0])} to {number(c.penalty_interval[1])})",
            number(c.r2),
            *(percent(c.controls[name]["accuracy"]) if name in c.controls else DASH for name in controls),
            printable(c.verdict),
        ]
        for c in result.cuts
    ]
    html = render(
        "table.html.j2",
        headline=headline,
        figures=figures,
        tables=[Table("Cuts, from the bottom's layer to the top's", columns, rows)],
        note=_NOTE,
        csv=csv_table(result.to_records()),
        download="Download this table as CSV",
    )
    return Block(f"networks-{k}", _title(result, context), html, figures, headline)


_ALONE, _ALONE_STYLE = "top alone", 6
_NOTE = (
    "Accuracy of the joined network; under a control's name, that of the control. Self stitch: the top as its own "
    "bottom. Random bottom: the bottom with weights drawn anew. Permuted: fitted to permuted pairs or labels. Penalty: "
    "what the joined network loses against the top alone, paired over items, with its 95 % interval. A cut works if it "
    "keeps half of what the top scores above chance; it says something of the bottom if an untrained bottom does not "
    "do as well. R² below 0: the top is fed activations that it never saw."
)


def _words(name: str) -> str:
    return printable(name).replace("_", " ")


def _cut(cut: CutStitch) -> str:
    return printable(f"{cut.bottom_layer} → {cut.top_layer}")


def _controls(cuts: Sequence[CutStitch]) -> list[str]:
    return list(dict.fromkeys(name for c in cuts for name in c.controls))


def _chart(result: NetworkStitch, fit: str, k: int, styles: Mapping[str, int], context: Context) -> Figure:
    """Accuracy along depth; as a dot plot where several cuts leave the bottom at one depth, or there is one cut."""
    cuts = sorted((c for c in result.cuts if c.fit == fit), key=lambda c: (c.bottom_depth, c.top_depth))
    name, heading = slug("networks", f"{k:02d}", fit), f"accuracy, {_words(fit)}"
    title = f"{_title(result, context)}, {_words(fit)}: accuracy of the joined network, "
    title += "; ".join(f"{_cut(c)} {percent(c.accuracy)}" for c in cuts)
    title += f"; top alone {percent(result.base_accuracy)}, chance {percent(result.chance)}."
    depth = [c.bottom_depth for c in cuts]
    if len(cuts) > 1 and len(set(depth)) == len(depth):
        return line_chart(name, title, heading, _lines(result, cuts, styles), "depth of the cut in the bottom")
    rows = [
        Row(_cut(c), c.accuracy, c.chance, c.works,
            [(_ALONE, c.base_accuracy, styles[_ALONE]),
             *((_words(n), s["accuracy"], styles[n]) for n, s in c.controls.items())],
            (c.base_accuracy - c.penalty_interval[1], c.base_accuracy - c.penalty_interval[0]))
        for c in cuts
    ]  # fmt: skip
    return dot_plot(name, title, heading, rows, what="joined", span=(0.0, 1.0))


def _lines(result: NetworkStitch, cuts: Sequence[CutStitch], styles: Mapping[str, int]) -> list[Series]:
    depth = [c.bottom_depth for c in cuts]
    bounds = [[result.base_accuracy - c.penalty_interval[end] for c in cuts] for end in (1, 0)]
    lines = [Series("joined", depth, [c.accuracy for c in cuts], 0, [c.works for c in cuts], (bounds[0], bounds[1]))]
    lines.append(Series(_ALONE, [0.0, 1.0], [result.base_accuracy] * 2, styles[_ALONE]))
    for name in _controls(cuts):
        there = [c for c in cuts if name in c.controls]
        heights = [c.controls[name]["accuracy"] for c in there]
        lines.append(Series(_words(name), [c.bottom_depth for c in there], heights, styles[name]))
    lines.append(Series("chance", [0.0, 1.0], [result.chance] * 2, "chance"))
    return lines
