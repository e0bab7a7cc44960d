"""How alike spaces are: scans, atlases, trends, concepts, blind matches and what to distrust."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...results import Alignment, Atlas, BlindMatch, ConceptMap, Diagnosis, ModelAlignment, Scan, Threshold, Trend
from .._charts import Row, Series
from .._heatmap import best_cell, passes
from .._null_plot import _binned
from .._text import layer_labels, number, printable, short_names
from ..sections._atlas_figures import size
from . import _marks as m

ALL = "all metrics"
_FEW = 30  # concepts that one figure holds; of more the highest and the lowest


def scan_parts(result: Scan) -> tuple[str, ...]:
    """All metrics at once where there are several with an end to be measured by, then each metric."""
    shared = [a for a in result.values() if math.isfinite(a.end)]
    return (*([ALL] if len(shared) > 1 else []), *result)


def scan_height(result: Scan, part: str) -> float:
    """Inches."""
    return m.rows_height(len(result)) + 0.15 if part == ALL else alignment_height(result[part], "")


def scan(ax: Any, result: Scan, part: str) -> None:
    """The best pair of layers by each metric, as a share of the way from its chance to its end; or one metric."""
    if part != ALL:
        alignment(ax, result[part], "", (result.x_name, result.y_name))
        return
    rows = [_share_row(a) for a in result.values() if math.isfinite(a.end)]
    m.rows(ax, rows, "best pair of layers: share of the way\nfrom chance (0) to identical (1)")


def _share_row(given: Alignment) -> Row:
    best, i, j = given.best(), *best_cell(given)

    def share(value: float, chance: float = best.chance) -> float:
        found = given.share(value, chance)
        return math.nan if found is None else found

    bounds = given.bounds(i, j)
    beside = [(name, share(t["value"], t["chance"])) for name, t in (*given.against.items(), *given.ceilings.items())]
    interval = None if bounds is None else (share(bounds[0]), share(bounds[1]))
    return Row(printable(given.metric), share(best.value), 0.0, given.p_maximum <= given.alpha, beside, interval)


def alignment_height(result: Alignment, _part: str) -> float:
    """Inches."""
    rows, columns = result.shape
    return 1.5 if rows == columns == 1 else 2.2


def alignment(ax: Any, result: Alignment, _part: str, names: Sequence[str] = ("x", "y")) -> None:
    """A matrix over pairs of layers, a line over the layers of one side, or a single pair in its null distribution."""
    rows, columns = result.shape
    short = short_names(names)
    x_name, y_name = (m.shortened(short.get(n, n)) for n in names)
    if rows > 1 and columns > 1:
        (x_labels, x_of), (y_labels, y_of) = layer_labels(result.x_layers), layer_labels(result.y_layers)
        cells = m.Matrix(
            result.values, result.chance, passes(result), x_labels, y_labels,
            _of(x_name, x_of), _of(y_name, y_of),
            _metric(result), best_cell(result), _beside(result), result.distance,
        )  # fmt: skip
        m.matrix(ax, cells)
    elif rows * columns > 1:
        _layers(ax, result, x_name if columns == 1 else y_name)
    else:
        _single(ax, result)


def _of(name: str, pattern: str) -> str:
    return f"layer of {name}" + (f" ({m.shortened(pattern, 20)})" if pattern else "")


def _beside(result: Alignment) -> dict[str, float]:
    return {name: float(t["value"]) for name, t in (*result.against.items(), *result.ceilings.items())}


def _metric(result: Alignment | ModelAlignment) -> str:
    return m.shortened(result.metric, 34) + (" (lower is more alike)" if result.distance else "")


def _layers(ax: Any, result: Alignment, name: str) -> None:
    labels, pattern = layer_labels(result.x_layers if result.shape[1] == 1 else result.y_layers)
    at = list(range(len(labels)))
    low, high = (None, None) if result.interval is None else np.moveaxis(result.interval.reshape(-1, 2), -1, 0)
    band = None if low is None or high is None else (low.tolist(), high.tolist())
    line = Series(result.metric, at, result.values.ravel().tolist(), 0, passes(result).ravel().tolist(), band)
    for k, (label, value) in enumerate(_beside(result).items()):
        ax.axhline(value, color=m.COLORS[1 + k % 3], linestyle=":", linewidth=1.1, label=m.shortened(label, 30))
    chance = Series("chance", at, result.chance.ravel().tolist())
    m.lines(ax, [line], _of(name, pattern), _metric(result), chance=chance)
    step = math.ceil(len(at) / 14)
    ax.set_xticks(at[::step], labels[::step])
    if sum(map(len, labels[::step])) > 44:
        ax.tick_params(axis="x", labelrotation=90)


def _single(ax: Any, result: Alignment) -> None:
    best, permuted = result.best(), result.permuted
    bounds, passing = result.bounds(0, 0), result.p_maximum <= result.alpha
    if permuted is None or permuted["quantiles"] is None:
        m.rows(
            ax, [Row("score", best.value, best.chance, passing, list(_beside(result).items()), bounds)], _metric(result)
        )
        return
    steps, reached = np.asarray(permuted["quantiles"], dtype=float), float(permuted["quantile"])
    edges, shares = _binned(steps, [best.value, reached, *(bounds or ()), *_beside(result).values()])
    m.distribution(ax, edges, shares, "items paired at random", _metric(result))
    m.level(ax, best.chance, f"chance {number(best.chance)}")
    for k, (name, value) in enumerate(_beside(result).items()):
        m.level(ax, value, m.shortened(name, 30), m.COLORS[1 + k % 3])
    m.found(ax, best.value, f"score {number(best.value)}", interval=bounds, passing=passing)
    m.key(ax)


def atlas(ax: Any, result: Atlas, part: str) -> None:
    """One metric over all pairs of models."""
    model_alignment(ax, result[part], "")


def model_alignment(ax: Any, result: ModelAlignment, _part: str) -> None:
    """All pairs of models; a model with itself is left out."""
    values, rates = result.values.copy(), result.q
    np.fill_diagonal(values, np.nan)
    short = short_names(result.names)
    labels = [short[name] for name in result.names]
    passing = np.nan_to_num(rates, nan=1.0) <= result.alpha
    m.matrix(ax, m.Matrix(values, np.where(np.isfinite(values), result.chance, np.nan), passing, labels, labels, "", "",
                          _metric(result), flipped=result.distance))  # fmt: skip


def trend(ax: Any, result: Trend, _part: str) -> None:
    """The score of every model along its attribute, each family a line, untrained twins beside."""
    lines = []
    families = list(dict.fromkeys(r.family for r in result.rungs))
    for family in families:
        rungs = [r for r in result.rungs if r.family == family]
        band = ([r.low for r in rungs], [r.high for r in rungs])
        name = family or ("models" if len(families) == 1 else "other models")
        lines.append(Series(name, [r.attribute for r in rungs], [r.raw for r in rungs], band=band))
    twins = [(r.attribute, r.untrained) for r in result.rungs if r.untrained is not None]
    if twins:
        twins.sort()
        lines.append(Series("untrained", [a for a, _ in twins], [v for _, v in twins], m.BESIDE))
    to = ", ".join(short_names(result.references).values()) or "all others"
    label = m.shortened(result.metric, 30) + f"\nwith {m.shortened(to, 30)}"
    m.lines(ax, lines, printable(result.attribute), label)
    if result.logarithmic:
        _sizes(ax, [r.attribute for r in result.rungs])


def threshold(ax: Any, result: Threshold, _part: str) -> None:
    """Every rung's score less what it is held against, down to its lower bound; the threshold is marked."""
    order = np.argsort(result.attributes)
    at, values, lower = (np.asarray(v)[order].tolist() for v in (result.attributes, result.differences, result.lower))
    line = Series("difference, to its lower bound", at, values, 0, [v > 0 for v in lower], (lower, values))
    m.lines(ax, [line], printable(result.attribute), f"{m.shortened(result.metric, 30)}\nless {result.against}")
    ax.axhline(0.0, color=m.SOFT, linestyle=(0, (4, 2)), linewidth=0.9, label="no difference")
    if result.model is not None:
        first = result.attributes[result.models.index(result.model)]
        m.level(ax, first, f"threshold: {m.shortened(result.model, 20)}", m.COLORS[1])
    if min(at) > 0 and max(at) / min(at) > 10:
        _sizes(ax, at)
    m.key(ax)


def _sizes(ax: Any, at: Sequence[float]) -> None:
    """A logarithmic axis with ticks at the rungs themselves, as far apart as their labels are wide."""
    ax.set_xscale("log")
    low, high = math.log(min(at)), math.log(max(at))
    kept: list[float] = []
    for value in sorted(set(at)):
        if not kept or math.log(value / kept[-1]) >= 0.14 * (high - low):
            kept.append(value)
    ax.set_xticks(kept, [size(v) for v in kept])
    ax.xaxis.set_minor_locator(m.matplotlib().ticker.NullLocator())


def blind_match(ax: Any, result: BlindMatch, _part: str) -> None:
    """The agreement of the two geometries under the match, beside that of unrelated spaces and of the true pairing."""
    drawn = result.surrogate_objectives
    points = [
        result.objective,
        *drawn,
        *(v for v in (result.truth_objective, result.chance_objective) if v is not None),
    ]
    low, high = min(points), max(points)
    ax.set_xlim(low - 0.06 * (high - low or 1), high + 0.06 * (high - low or 1))
    if drawn:
        ax.plot(drawn, [1.0] * len(drawn), "|", color=m.SOFT, ms=9, mew=0.9, label="unrelated spaces, matched")
    if result.truth_objective is not None:
        ax.plot([result.truth_objective], [0.0], "D", color=m.COLORS[2], mfc="white", ms=6.5, label="true pairing")
    passing = result.p_value is not None and result.p_value <= 0.05
    ax.plot([result.objective], [0.0], "o", color=m.COLORS[0], mfc=m.COLORS[0] if passing else "white", ms=4.2,
            label="match found")  # fmt: skip
    if result.chance_objective is not None:
        m.level(ax, result.chance_objective, "random pairing")
    ax.set_yticks([0, 1], ["this match", "by chance"])
    ax.set_ylim(-0.6, 1.6)
    ax.set_xlabel("correlation of the two similarity matrices")
    m.bare(ax)
    m.key(ax)


def concept_parts(result: ConceptMap) -> tuple[str, ...]:
    """The label sets; the items where there are none."""
    return tuple(result.label_sets) or ("items",)


def concept_height(result: ConceptMap, _part: str) -> float:
    """Inches."""
    return m.rows_height(min(len(result.labels.names), _FEW)) if result.label_sets else 1.7


def concept_map(ax: Any, result: ConceptMap, part: str) -> None:
    """Every concept's score, highest first; without labels the distribution of the items' scores."""
    name = m.shortened(result.metric, 34)
    if part not in result.label_sets:
        scores = np.asarray(result.items.scores)
        counts, edges = np.histogram(scores, bins=min(20, max(5, len(scores) // 5)))
        m.distribution(ax, edges.tolist(), (counts / len(scores)).tolist(), "items", f"score of an item ({name})")
        ax.set_ylabel("share of the items")
        m.level(ax, float(np.mean(result.items.chance)), "chance (mean)")
        m.key(ax)
        return
    table = result.label_sets[part]
    order = np.argsort(-table.scores, kind="stable").tolist()
    kept = order if len(order) <= _FEW else [*order[: _FEW // 2], *order[-(_FEW // 2) :]]
    rows = [
        Row(table.names[i], float(table.scores[i]), float(table.chance[i]), bool(table.q_values[i] <= result.alpha), (),
            (float(table.low[i]), float(table.high[i]))) for i in kept
    ]  # fmt: skip
    cut = "" if kept is order else f"\n{len(kept)} of {len(order)}: the highest and the lowest"
    m.rows(ax, rows, f"{m.shortened(part, 20)}: mean score of the items ({name}){cut}")


def diagnosis_height(result: Diagnosis, _part: str) -> float:
    """Inches."""
    return 1.1 + 0.17 * max(len({f.signature for f in result.findings}), 2)


def diagnosis(ax: Any, result: Diagnosis, _part: str) -> None:
    """Which failure signature is there and which was looked for and is not, by where it was looked for."""
    names = list(dict.fromkeys(f.title or f.signature.replace("_", " ") for f in result.findings))
    places = list(dict.fromkeys(f.where for f in result.findings))
    for present, label in ((True, "present"), (False, "looked for, not there")):
        at = [(places.index(f.where), names.index(f.title or f.signature.replace("_", " ")))
              for f in result.findings if f.present is present]  # fmt: skip
        if at:
            ax.plot(*zip(*at, strict=True), "s" if present else "o", color=m.COLORS[1] if present else m.SOFT,
                    mfc=m.COLORS[1] if present else "white", ms=5 if present else 3, label=label)  # fmt: skip
    ax.set_yticks(range(len(names)), [m.shortened(name, 30) for name in names])
    ax.set_xticks(range(len(places)), [m.shortened(place, 24) for place in places], rotation=35, ha="right",
                  rotation_mode="anchor")  # fmt: skip
    ax.set_xlabel("where it was looked for")
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(-0.6, len(places) - 0.4)
    ax.grid(color=m.LINE, linewidth=0.4)
    m.bare(ax)
    m.key(ax)
