"""Figures of an atlas: its models against each other, ladders, depth curves, and distances of specialists to a pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from ...population import Divergence, DomainDivergence, Tree
from ...results import Answer, Atlas, ModelAlignment, Rung, Trend
from .._charts import Row, Series, dot_plot, line_chart
from .._model_map import STABLE, model_map
from .._sizes import size_chart
from .._svg import Figure
from .._text import number, p_text, printable

STABLE_WORDS = (
    "Models are in the order of the tree: average linkage of distances from the best score. A dot marks models that "
    f"are joined in {100 * STABLE:g} % of resamples of the items or more: stable over items, not over models."
)
_STYLES = (0, 8, 14, 6, 10, 11, 12, 13)  # of depth curves, none that means something else on the page
_CURVES = len(_STYLES)
_KINDS = (("raw", "raw, with interval", 0), ("calibrated", "calibrated", 2), ("held_out", "held out", 3),
          ("untrained", "untrained twin", 1))  # fmt: skip


def short_metric(metric: str) -> str:
    """A metric without its parameters."""
    return printable(metric.partition("(")[0])


def tree_of(atlas: Atlas, metric: str) -> Tree | None:
    """The tree of the models, or None where there are too few or some were not compared."""
    try:
        return atlas.tree(metric=metric)
    except InputError:
        return None


def map_of(atlas: Atlas, metric: str, tree: Tree | None, stem: str) -> Figure:
    """The models against each other, in the order of the tree; without one by modality, in the order given."""
    alignment = atlas[metric]
    kinds = atlas.attributes.get("modality", ("",) * len(atlas.models))
    order = sorted(range(len(atlas.models)), key=lambda k: str(kinds[k])) if tree is None else list(tree.order)
    return model_map(alignment, order, tree, f"{stem}-models")


def ladder(atlas: Atlas, answer: Answer, stem: str) -> Figure:
    """Scores against an attribute: raw with intervals, calibrated, held out, and those of the untrained twins."""
    trend: Trend = answer.found
    families = list(dict.fromkeys(r.family for r in trend.rungs))
    series = []
    several = len(families) > 2  # so many lines of each kind could not be followed: the slopes are in the table
    for kind, label, style in (k for k in _KINDS if not (several and k[0] == "calibrated")):
        for family in families:
            rungs = [r for r in trend.rungs if r.family == family and getattr(r, kind) is not None]
            if rungs:
                series.append(_ladder_line(rungs, kind, label, style, family if len(families) > 1 else ""))
    metric = short_metric(answer.metric)
    told = "; ".join(f"{r.model} {size(r.attribute)}: raw {number(r.raw)}" for r in trend.rungs)
    return size_chart(
        stem,
        printable(f"{answer.metric}, {answer.asked}: {told}."),
        printable(f"{metric}, {_called(atlas, trend)} to {', '.join(trend.references) or 'all others'}"),
        series,
        printable(trend.attribute) + (" (logarithmic)" if trend.logarithmic else ""),
        logarithmic=trend.logarithmic,
        words=size,
    )


def _called(atlas: Atlas, trend: Trend) -> str:
    """What the rungs are: their family, or how many they are."""
    known = atlas.attributes.get("family", (None,) * len(atlas.models))
    kinds = {known[atlas.models.index(r.model)] for r in trend.rungs}
    (one, *more) = kinds
    return f"{len(trend.rungs)} models" if more or one is None else str(one)


def _ladder_line(rungs: Sequence[Rung], kind: str, label: str, style: int, family: str) -> Series:
    raw = kind == "raw"
    return Series(
        label,
        [r.attribute for r in rungs],
        [float(getattr(r, kind)) for r in rungs],
        style,
        band=([r.low for r in rungs], [r.high for r in rungs]) if raw else None,
        whiskers=raw,
        names=[printable(f"{r.model}, {size(r.attribute)}: {label} {number(getattr(r, kind))}") for r in rungs],
        tip=printable(family) if raw else "",
    )


def size(value: float) -> str:
    """A number of parameters, items or the like in few characters."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * unit:
            return f"{value / unit:.3g}\u00a0{name}"
    return f"{value:.3g}"


def depth_curves(atlas: Atlas, metric: str, stem: str) -> Iterator[Figure]:
    """For each family of two models or more the best score of every layer with the reference along relative depth."""
    alignment = atlas[metric]
    for k, (family, members) in enumerate(families_of(atlas)):
        references = _references(atlas, members)
        rows = [alignment.position(r) for r in references] or list(range(alignment.n_models))
        found = [(m, alignment.profile(alignment.position(m), rows)) for m in members[:_CURVES]]
        known = [(m, v) for m, v in found if v is not None and len(v) > 1]
        if len(known) < 2:
            continue
        series = [
            Series(printable(m), np.linspace(0, 1, len(v)).tolist(), [float(s) for s in v], _STYLES[i])
            for i, (m, v) in enumerate(known)
        ]
        series.append(_chance(alignment, [m for m, _ in known], rows))
        to = ", ".join(references) or "all others"
        peaks = ", ".join(
            f"{m} {number(float(v.min() if alignment.distance else v.max()))} at depth "
            f"{int(np.argmin(v) if alignment.distance else np.argmax(v)) / (len(v) - 1):.2f}"
            for m, v in known
        )
        part = f" ({len(known)} of {len(members)} models)" if len(members) > _CURVES else ""
        yield line_chart(
            f"{stem}-depth-{k + 1}",
            printable(f"{alignment.metric} of each layer of {family}{part} with {to}; best {peaks}."),
            printable(f"{family} with {to}{part}"),
            series,
            "relative depth, input to output",
        )


def families_of(atlas: Atlas) -> list[tuple[str, list[str]]]:
    """Families of two models or more; all models as one where no family is known."""
    groups: dict[str, list[str]] = {}
    for model, family in zip(
        atlas.models, atlas.attributes.get("family", ("all models",) * len(atlas.models)), strict=True
    ):
        if family is not None:
            groups.setdefault(str(family), []).append(model)
    return [(family, members) for family, members in groups.items() if len(members) > 1]


def _references(atlas: Atlas, members: Sequence[str]) -> tuple[str, ...]:
    """What the first trend over one of some models compares them with; empty for all others."""
    for question in atlas.questions:
        if question["ask"] == "trend" and set(question.get("models", members)) & set(members):
            try:
                found = atlas.chosen(question.get("reference"))
            except InputError:
                continue
            if not set(found) & set(members):
                return found
    return ()


def _chance(alignment: ModelAlignment, members: Sequence[str], rows: Sequence[int]) -> Series:
    """What the best layer scores of items paired at random, mean over the models."""
    places = alignment.places
    pairs = [(alignment.position(m), r) for m in members for r in rows]
    level = float(np.mean([alignment.chances[places[p]] for p in pairs if p in places]))
    return Series("chance of the best layer", (0.0, 1.0), (level, level), "chance")


def distances(atlas: Atlas, answer: Answer, stem: str) -> Figure:
    """Each specialist's mean distance to the pool, beside the distance of two models of the pool."""
    whole: Divergence = answer.found
    given = {k: v for k, v in answer.question.items() if k not in ("ask", "specialists", "metric")}
    alone = {name: atlas.divergence([name], metric=answer.metric, **given) for name in answer.question["specialists"]}
    found = {"all specialists": whole} | (alone if len(alone) > 1 else {})
    rows = [_distance(label, one, atlas.alpha) for label, one in found.items()]
    told = "; ".join(f"{r.label} {number(r.value)}" for r in rows)
    return dot_plot(
        stem,
        printable(f"{answer.metric}, {answer.asked}. Two models of the pool {number(whole.pool_pool)}; {told}."),
        f"distance to the pool by {short_metric(answer.metric)}",
        rows,
        "mean distance to the pool",
        tick="two models of the pool",
    )


def by_domain(atlas: Atlas, answer: Answer, stem: str) -> Figure:
    """The specialists' mean distance to the pool on each of two domains, beside that of two models of the pool."""
    found: DomainDivergence = answer.found
    both = zip(found.domains, (found.inside, found.outside), strict=True)
    rows = [_distance(f"on {domain}", one, atlas.alpha) for domain, one in both]
    told = "; ".join(f"{r.label} {number(r.value)}, two models of the pool {number(r.chance)}" for r in rows)
    return dot_plot(
        stem,
        printable(f"{answer.metric}, {answer.asked}. {told}. {found.told}"),
        f"distance to the pool by {short_metric(answer.metric)}, by domain",
        rows,
        "mean distance to the pool",
        tick="two models of the pool",
    )


def _distance(label: str, found: Divergence, alpha: float) -> Row:
    """A row: the interval is that of the difference from the pool, drawn at the pool's own distance."""
    spread: Any = found.over_both or found.over_items or found.over_models
    base = found.pool_pool
    interval = None if spread is None else (base + spread[0], base + spread[1])
    if interval is not None and not np.isfinite(interval).all():
        interval = None
    words = f"{printable(label)}, p {p_text(found.p_value)}"
    return Row(words, base + found.difference, base, found.difference > 0 and found.p_value <= alpha, (), interval)
