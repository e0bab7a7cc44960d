"""What spaces can be used for: stitches, fusions, migrations, and networks that answer alike."""

from __future__ import annotations

import math
from typing import Any

from ...results import FUSION_DESCENDING, Fusion, Migration, NetworkStitch, Outputs, Score, Stitch
from .._charts import Row, Series
from .._text import printable, short_names
from . import _marks as m


def stitch_parts(result: Stitch) -> tuple[str, ...]:
    """The scores of the maps, that which decides first."""
    names = dict.fromkeys(name for scores in result.values() for name in scores.scores)
    return tuple(sorted(names, key=lambda name: name != result.decided_by))


def maps_height(result: Stitch, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result))


def stitch(ax: Any, result: Stitch, part: str) -> None:
    """One held-out score of every map, beside its controls and ceilings."""
    rows = []
    for name, found in result.items():
        if part in found.scores:
            beside = [(c, scores[part].value) for c, scores in (*found.controls.items(), *found.ceilings.items())
                      if part in scores]  # fmt: skip
            margins = found.margins.get(part, {})
            above = found.above_controls if part == found.decided_by else all(v.low > 0 for v in margins.values())
            rows.append(_row(name, found.scores[part], above, beside))
    m.rows(ax, rows, f"held-out {part}", hollow="not above its controls")


def fusion_parts(result: Fusion) -> tuple[str, ...]:
    """The scores of the heads, that which decides first."""
    names = dict.fromkeys(name for head in result.values() for name in head.scores)
    return tuple(sorted(names, key=lambda name: name != result.decided_by))


def fusion_height(result: Fusion, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result) + len(result.singles))


def fusion(ax: Any, result: Fusion, part: str) -> None:
    """One held-out score of every space alone and of every head, beside the head's controls."""
    low_is_good = part in FUSION_DESCENDING
    rows = []
    for name, single in result.singles.items():
        if part in single.scores:
            score = single.scores[part]
            beyond = score.high < score.chance if low_is_good else score.low > score.chance
            rows.append(_row(f"{name} alone", score, beyond, []))
    for name, head in result.items():
        if part in head.scores:
            beside = [(_kind(c, result), s.value) for c, s in head.controls.items()] if part == head.decided_by else []
            rows.append(_row(name, head.scores[part], head.above_controls, beside))
    better = ", lower is better" if low_is_good else ""
    m.rows(ax, rows, f"held-out {part} for {m.shortened(result.target)}{better}", hollow="not above chance or controls")


def _kind(control: str, result: Fusion) -> str:
    """What was done to a space, without its name: ``"permuted"``; one mark for all spaces."""
    for space in sorted(result.singles, key=len, reverse=True):
        if control.startswith(f"{space} "):
            return control.removeprefix(space).strip()
    return control


def fits(result: NetworkStitch) -> tuple[str, ...]:
    """How the stitches were fitted."""
    return tuple(dict.fromkeys(cut.fit for cut in result.cuts))


def network_stitch(ax: Any, result: NetworkStitch, part: str) -> None:
    """Accuracy of the joined network along depth, beside its controls, the top alone and chance."""
    cuts = sorted((c for c in result.cuts if c.fit == part), key=lambda c: (c.bottom_depth, c.top_depth))
    depth = [c.bottom_depth for c in cuts]
    ends = [[c.base_accuracy - c.penalty_interval[k] for c in cuts] for k in (1, 0)]
    lines = [Series("joined", depth, [c.accuracy for c in cuts], 0, [c.works for c in cuts], (ends[0], ends[1]))]
    for name in dict.fromkeys(name for c in cuts for name in c.controls):
        there = [(c.bottom_depth, c.controls[name]["accuracy"]) for c in cuts if name in c.controls]
        lines.append(Series(name.replace("_", " "), [d for d, _ in there], [v for _, v in there], m.BESIDE))
    ax.axhline(result.base_accuracy, color=m.INK, linewidth=0.8, label="top alone")
    m.lines(ax, lines, "depth of the cut in the bottom (0 input, 1 output)", "accuracy of the joined network",
            chance=result.chance)  # fmt: skip


def migration_height(result: Migration, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result.scores))


def migration(ax: Any, result: Migration, _part: str) -> None:
    """Every held-out score of mapped old rows, beside old rows taken as they are and the mean."""
    rows = [
        _row(name, score, score.low > score.chance,
             [(c, scores[name].value) for c, scores in result.controls.items() if name in scores])
        for name, score in result.scores.items()
    ]  # fmt: skip
    m.rows(ax, rows, "held-out score of mapped rows", hollow="not above chance")


def outputs_height(result: Outputs, _part: str) -> float:
    """Inches."""
    return m.rows_height(len(result.pairs))


def outputs(ax: Any, result: Outputs, part: str) -> None:
    """One measure of every pair of models."""
    short = short_names(result.models)
    rows = []
    for pair in result.pairs:
        if part in pair.measures:
            found = pair.measures[part]
            passing = found.q_value is None or found.q_value <= result.alpha
            ends = (found.low, found.high) if math.isfinite(found.low) and math.isfinite(found.high) else None
            chance = math.nan if found.chance is None else found.chance
            label = f"{m.shortened(short[pair.first], 13)} × {m.shortened(short[pair.second], 13)}"
            rows.append(Row(label, found.value, chance, passing, (), ends))
    m.rows(ax, rows, part.replace("_", " "))


def _row(name: str, score: Score, passing: bool, beside: list[tuple[str, float]]) -> Row:
    ends = (score.low, score.high) if math.isfinite(score.low) and math.isfinite(score.high) else None
    return Row(printable(name), score.value, score.chance, passing, beside, ends)
