"""Alignment along relative depth, through the best pair of layers, and against the number of items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...results import AT_CEILING, BASELINE, CEILING, Alignment, Scan
from .._charts import Series, line_chart
from .._heatmap import best_cell, passes
from .._sizes import size_chart
from .._svg import Figure
from .._text import layer_labels, printable
from ._verdict import ceiling_label


def curves(
    alignment: Alignment,
    scan: Scan,
    x: str,
    y: str,
    stem: str,
    labels: Mapping[str, str],
    marks: Mapping[tuple[str, str], int],
) -> Iterator[Figure]:
    """One chart a side that has two layers or more.

    Every point and its chance level belong to one pair of layers: the other side is held at the layer of the best
    pair. Baselines are cut at the layer of the same name, or at their own best one if they have none of that name; one
    that has no depth of its own, such as input statistics, is a level line at its best score.

    Args:
        alignment: One metric of the scan.
        scan: The scan, for its baselines.
        x: Short name of `x`.
        y: Short name of `y`.
        stem: Stem of the figures' file names.
        labels: Name of each baseline -> what to call it.
        marks: Role and label of each baseline and ceiling -> the number of its style.
    """
    best = best_cell(alignment)
    for axis, (name, other) in enumerate(((x, y), (y, x))):
        if alignment.shape[axis] < 2 or "xy"[axis] in alignment.noise_ceilings:  # subjects have no depth
            continue
        held = (alignment.y_layers, alignment.x_layers)[axis][best[1 - axis]]
        series = [_series(alignment, axis, held, name, 0)]
        series.append(_chance(alignment, axis, held))
        for label, baseline in scan.baselines.items():
            twin = baseline.alignments.get(alignment.metric)
            if twin is None:
                continue
            if (twin.x_layers, twin.y_layers)[axis] == (alignment.x_layers, alignment.y_layers)[axis]:
                series.append(_series(twin, axis, held, labels[label], marks[BASELINE, label]))
            else:
                series.append(_level(twin, axis, held, labels[label], marks[BASELINE, label]))
        shown, _ = layer_labels((alignment.y_layers, alignment.x_layers)[axis], width=24)
        label = shown[best[1 - axis]]
        side = "xy"[axis]
        yield line_chart(
            f"{stem}-depth-{side}",
            f"{alignment.metric} along the depth of {name}, with {other} held at {held}: "
            + ", ".join(f"{v:.3f}" for v in series[0].y),
            f"along {name}; {other} at layer {label}" if label.isdigit() else f"along {name}; {other} at {label}",
            series,
            f"relative depth of {name}, input to output",
        )


def ceiling_curve(alignment: Alignment, x: str, y: str, stem: str) -> Iterator[Figure]:
    """The mean score over subjects of each layer of the other side, under the noise ceiling of the subjects.

    Args:
        alignment: One metric of the scan.
        x: Short name of `x`.
        y: Short name of `y`.
        stem: Stem of the figures' file names.
    """
    for side, found in sorted(alignment.noise_ceilings.items()):
        brain, model = (x, y) if side == "x" else (y, x)
        score = np.asarray(found["score"], dtype=float)
        error = None if found["error"] is None else np.asarray(found["error"], dtype=float)
        if len(score) < 2:
            continue
        depth = np.linspace(0, 1, len(score)).tolist()
        at = [verdict == AT_CEILING for verdict in found["verdict"]]
        bounds = None if error is None else ((score - error).tolist(), (score + error).tolist())
        lower, upper = float(found["lower"]), float(found["upper"])
        series = [
            Series("mean over subjects, ± its error", depth, score.tolist(), 0, at, bounds, whiskers=True),
            Series("noise ceiling", (0.0, 1.0), (lower,) * 2, "ceiling", band=((lower,) * 2, (upper,) * 2)),
            Series("chance", (0.0, 1.0), (float(found["chance"]),) * 2, "chance"),
        ]
        yield line_chart(
            f"{stem}-ceiling-{side}",
            printable(
                f"{alignment.metric} of each layer of {model} with {brain}, mean over {found['subjects']} subjects: "
                + ", ".join(f"{v:.3f}" for v in score)
                + f"; noise ceiling {lower:.3f} to {upper:.3f}."
            ),
            f"{model} under the noise ceiling of {brain}",
            series,
            f"relative depth of {model}, input to output",
        )


def gallery_curve(
    alignment: Alignment, scan: Scan, stem: str, marks: Mapping[tuple[str, str], int]
) -> Iterator[Figure]:
    """The score of the best pair against the number of items, beside those of the ceilings.

    Args:
        alignment: One metric of the scan.
        scan: The scan, for its ceilings.
        stem: Stem of the figures' file names.
        marks: As for `curves`.
    """
    if alignment.gallery is None or len(alignment.gallery["n"]) < 2:
        return
    series = [_over_items("best pair", alignment.gallery, 0)]
    for name, ceiling in sorted(scan.ceilings.items()):
        top = ceiling.alignments.get(alignment.metric)
        if top is not None and top.gallery is not None:
            series.append(_over_items(f"ceiling: {ceiling_label(name, scan)}", top.gallery, marks[CEILING, name]))
    series.append(Series("chance", series[0].x, [float(v) for v in alignment.gallery["chance"]], "chance"))
    words = "; ".join(f"{s.label}: " + ", ".join(f"{n:.0f} items {v:.3f}" for n, v in _points(s)) for s in series)
    heading = f"{alignment.metric.partition('(')[0]} against the number of items"
    yield size_chart(
        f"{stem}-gallery", printable(f"{alignment.metric} of the best pair. {words}."), heading, series, "items"
    )


def _over_items(label: str, curve: Mapping[str, Any], style: int) -> Series:
    value, spread = (np.asarray(curve[k], dtype=float) for k in ("value", "spread"))
    band = ((value - spread).tolist(), (value + spread).tolist()) if style == 0 else None
    return Series(label, [float(n) for n in curve["n"]], value.tolist(), style, band=band)


def _points(series: Series) -> Iterator[tuple[float, float]]:
    return zip(series.x, series.y, strict=True)


def _slice(array: Any, axis: int, index: int) -> np.ndarray[Any, Any]:
    return np.asarray(np.take(np.asarray(array, dtype=float), index, axis=1 - axis))


def _held_index(alignment: Alignment, axis: int, held: str) -> int:
    others = (alignment.y_layers, alignment.x_layers)[axis]
    return others.index(held) if held in others else best_cell(alignment)[1 - axis]


def _series(alignment: Alignment, axis: int, held: str, label: str, style: int) -> Series:
    index = _held_index(alignment, axis, held)
    band = None
    if alignment.interval is not None and style == 0:
        band = tuple(_slice(alignment.interval[..., k], axis, index).tolist() for k in (0, 1))
    return Series(
        label,
        np.linspace(0, 1, alignment.shape[axis]).tolist(),
        _slice(alignment.values, axis, index).tolist(),
        style,
        [bool(v) for v in _slice(passes(alignment), axis, index)],
        band,
    )


def _level(alignment: Alignment, axis: int, held: str, label: str, style: int) -> Series:
    slice_ = _slice(alignment.values, axis, _held_index(alignment, axis, held))
    best = float(slice_.min() if alignment.distance else slice_.max())
    return Series(f"{label} (best)", (0.0, 1.0), (best, best), style)


def _chance(alignment: Alignment, axis: int, held: str) -> Series:
    index = _held_index(alignment, axis, held)
    depth = np.linspace(0, 1, alignment.shape[axis]).tolist()
    return Series("chance", depth, _slice(alignment.chance, axis, index).tolist(), "chance")
