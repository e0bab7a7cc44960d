"""The first figures of scans: every pair of models at its best pair of layers, by one metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...results import AT_CEILING, BASELINE, CEILING, Scan, short_metrics
from .._charts import Row, dot_plot
from .._section import Context
from .._svg import Figure
from .._text import number, printable, slug
from ._verdict import baseline_label, best_interval, ceiling_label, passing, side_label

Marks = Mapping[tuple[str, str], int]


def pair_dots(metric: str, scans: Sequence[Scan], anchors: Sequence[str], context: Context, styles: Marks) -> Figure:
    """Every pair of models by one metric: its best pair of layers, and what that is held against."""
    rows, distance = [], False
    for scan, anchor in zip(scans, anchors, strict=True):
        alignment = scan.alignments.get(metric)
        if alignment is None:
            continue
        best = alignment.best()
        distance = alignment.distance
        twins = [
            (
                side_label(scan.baseline(n)) if len(scans) > 1 else baseline_label(n, scan, context),
                b.alignments[metric].best().value,
                styles[BASELINE, n],
            )
            for n, b in scan.baselines.items()
            if metric in b.alignments
        ]
        twins += [
            (
                f"ceiling for {'first' if scan.ceiling(n).side == 'x' else 'second'} model"
                if len(scans) > 1
                else f"ceiling: {ceiling_label(n, scan)}",
                c.alignments[metric].best().value,
                styles[CEILING, n],
            )
            for n, c in sorted(scan.ceilings.items())
            if metric in c.alignments
        ]
        held, note = alignment.held_out, ""
        if held is not None:  # of fewer items, of which chance may be another: no mark on this axis
            note = f"held out {number(float(held['value']))}, chance {number(float(held['chance']))}"
        label = f"{context.name(scan.x_name)} × {context.name(scan.y_name)}"
        interval, pair = best_interval(alignment), anchor if len(scans) > 1 else ""
        rows.append(Row(label, best.value, best.chance, passing(alignment), twins, interval, note=note, pair=pair))
    title = f"{metric} of every pair of models at its best pair of layers. " + " ".join(
        f"{r.label}: {number(r.value)}, chance {number(r.chance)}{f' ({r.note})' if r.note else ''}." for r in rows
    )
    short = short_metrics(list(dict.fromkeys(spec for scan in scans for spec in scan.alignments)))[metric]
    heading = printable(short) + (" (lower is more alike)" if distance else "")
    return dot_plot(slug("overview", metric), title, heading, rows)


def ceiling_dots(metric: str, scans: Sequence[Scan], context: Context) -> Iterator[Figure]:
    """The best layer of each model beside the noise ceiling of the subjects that it was compared with."""
    rows = []
    for scan in scans:
        alignment = scan.alignments.get(metric)
        for side, found in sorted(alignment.noise_ceilings.items()) if alignment is not None else ():
            best = int(np.argmax(found["score"]))
            score, bounds = float(found["score"][best]), None
            if found["error"] is not None:
                bounds = score - float(found["error"][best]), score + float(found["error"][best])
            brain, model = (scan.x_name, scan.y_name) if side == "x" else (scan.y_name, scan.x_name)
            label = f"{context.name(model)} with {context.name(brain)}"
            reached, ends = found["verdict"][best] == AT_CEILING, (float(found["lower"]), float(found["upper"]))
            rows.append(Row(label, score, float(found["chance"]), reached, (), bounds, ends))
    if rows:
        title = f"{metric}, the mean over subjects of the best layer of every model, and the lower noise ceiling. "
        title += " ".join(
            f"{r.label}: {number(r.value)}, lower ceiling {number((r.ceiling or (0,))[0])}." for r in rows
        )
        heading = "mean over subjects, ± its error"
        yield dot_plot(slug("overview-ceiling", metric), printable(title), heading, rows, "best layer")
