"""How models explain brains, behaviour and each other: encodings, RDMs, searchlights, comparisons and leagues."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...results import Encoding, League, ModelComparison, OddOneOut, RdmExplanation, Searchlight
from .._charts import Row
from .._text import printable, short_names
from . import _marks as m

PLACES = "mean place"
_CEILING = "noise ceiling"


def encoding_height(result: Encoding, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result.scores) + (result.chosen is not None))


def encoding(ax: Any, result: Encoding, _part: str) -> None:
    """Held-out r of each layer: the mean over units, with the quartiles of the units."""
    every = {**result.scores, **({"chosen for each unit": result.chosen} if result.chosen is not None else {})}
    rows = []
    for name, found in every.items():
        low, high = np.nanquantile(found.r, (0.25, 0.75)).tolist()
        passing = found.mean_p is None or found.mean_p <= result.alpha
        rows.append(Row(printable(name), found.mean_r, 0.0, passing, (), (low, high)))
    ceiling = result.ceiling
    if ceiling is not None and np.isfinite(ceiling).any():
        m.level(ax, float(np.nanmean(ceiling)), "ceiling (mean over units)", m.COLORS[2])
    m.rows(ax, rows, "held-out correlation r, mean over units", bar="quartiles of the units")


def explanation_height(result: RdmExplanation, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result.models) + 1)


def rdm_explanation(ax: Any, result: RdmExplanation, _part: str) -> None:
    """Held-out score of all models weighted together and of each alone, in the noise ceiling."""
    rows = [Row("all, weighted", result.score, result.chance, result.p_value <= 0.05)]
    rows += [Row(printable(name), s.alone, s.alone_chance, s.alone_p <= 0.05) for name, s in result.models.items()]
    band = None if result.ceiling is None else (_CEILING, *result.ceiling)
    m.rows(ax, rows, f"held-out score ({result.comparison})", band=band)


def searchlight(ax: Any, result: Searchlight, part: str) -> None:
    """The scores of all centers, beside the highest center of items paired anew; the threshold is marked."""
    k = result.models.index(part)
    scores, null = result.scores[:, k], result.null_maximum[:, k]
    low, high = float(min(scores.min(), null.min())), float(max(scores.max(), null.max()))
    edges = np.linspace(low, high if high > low else low + 1.0, 25)
    shares = [np.histogram(v, bins=edges)[0] / len(v) for v in (scores, null)]
    m.distribution(ax, edges.tolist(), shares[1].tolist(), "highest center, items paired at random", "")
    ax.stairs(shares[0], edges, color=m.COLORS[0], linewidth=1.1, label="centers", zorder=3)
    ax.set_ylim(0, 1.1 * max(s.max() for s in shares))
    m.level(ax, float(result.chance[k]), "chance")
    if result.permutations >= 19:
        m.level(ax, result.threshold(part), "p of the maximum 0.05", m.COLORS[1])
    ax.set_xlabel(f"score of a center with {m.shortened(part)} ({result.comparison})")
    ax.set_ylabel("share")
    m.key(ax)


def models_height(result: ModelComparison, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result.models))


def model_comparison(ax: Any, result: ModelComparison, part: str) -> None:
    """The score of every model in one region, with its interval and the noise ceiling."""
    found, short = result.regions[part], short_names(result.models)
    rows = [
        Row(short[name], float(found.scores[i]), float(found.chance[i]), bool(found.q_values[i] <= result.alpha), (),
            (float(found.low[i]), float(found.high[i])))
        for i, name in enumerate(result.models)
    ]  # fmt: skip
    band = None if found.ceiling is None else (_CEILING, *found.ceiling)
    m.rows(ax, rows, f"{m.shortened(part)}: score ({result.comparison})", band=band)


def odd_height(result: OddOneOut, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result.scores))


def odd_one_out(ax: Any, result: OddOneOut, _part: str) -> None:
    """The accuracy of every layer, with its interval, chance and the agreement of people."""
    level = 1 - result.level
    rows = [
        Row(printable(name), s.accuracy, s.chance, s.p_value is not None and s.p_value <= level, (), (s.low, s.high))
        for name, s in result.scores.items()
    ]  # fmt: skip
    band = None
    if result.lower is not None and result.upper is not None:
        band = ("agreement of people", result.lower, result.upper)
    m.rows(ax, rows, "accuracy in odd-one-out judgements", band=band)


def league_parts(result: League) -> tuple[str, ...]:
    """The mean place over all criteria, then each criterion."""
    return (*([PLACES] if np.isfinite(result.mean_ranks).any() else []), *result.criteria)


def league_height(result: League, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result.metrics))


def league(ax: Any, result: League, part: str) -> None:
    """All metrics by one criterion, or by their mean place, the best on top."""
    if part == PLACES:
        values, ends = result.mean_ranks, result.mean_rank_intervals
        order = [i for i in np.argsort(values, kind="stable").tolist() if math.isfinite(values[i])]
        rows = [Row(result.metrics[i], float(values[i]), math.nan, True, (), _ends(ends[i])) for i in order]
        m.rows(ax, rows, "mean place over the criteria (1 is best)")
        return
    c = result.criteria.index(part)
    values, ends, rates = result.values[c], result.intervals[c], result.q_values[c]
    order = [i for i in np.argsort(-values, kind="stable").tolist() if math.isfinite(values[i])]
    chance = float(result.chance[c])
    rows = [
        Row(result.metrics[i], float(values[i]), chance, bool(rates[i] <= result.alpha), (), _ends(ends[i]))
        for i in order
    ]
    m.rows(ax, rows, f"{m.shortened(part, 30)}\n(higher is better)")


def _ends(interval: Any) -> tuple[float, float] | None:
    low, high = map(float, interval)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None
