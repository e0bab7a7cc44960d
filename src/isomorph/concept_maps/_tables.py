"""From scores of items to rows: items, concepts and the whole, with chance, p, bounds and verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.arrays import take_rows, to_numpy
from .._core.distributions import t_sf
from .._core.linalg import center, directions, nearest_others
from ..conditions import Side
from ..design import Design, coded
from ..errors import InputError
from ..metrics import Metric
from ..metrics.neighbors import NeighborMetric
from ..nulls import ItemScores
from ..nulls.judge import FEW, counted_p, every_order
from ..nulls.rows import row_scores
from ..results import VERDICTS, ConceptItems, ConceptLabels, Example, WholeScore, chance_corrected
from ..significance import (
    benjamini_hochberg,
    benjamini_yekutieli,
    judge_block,
    orders_for,
    permutations,
    within_range,
)
from ._agreement import Prepared
from ._label_sets import LabelSet
from ._labels import Means, Repaired, extremes, label_p, quantiles, shrunk
from ._verdicts import Scored, verdicts
from .settings import ConceptSettings

Floats = np.ndarray[Any, Any]
_FEWEST_CONCEPTS = 4  # between which similarities can be correlated
_CONCEPT_ORDERS = 999  # re-pairings of concepts
_EXAMPLES = 3  # items shown of each verdict
_SHOWN_NEIGHBORS = (5, 10)  # at least and at most; between, as many as the metric looks at


class Task(NamedTuple):
    """What is mapped, and how."""

    settings: ConceptSettings
    design: Design
    n: int
    sets: list[LabelSet]
    left: Side
    right: Side

    @property
    def ids(self) -> tuple[str, ...]:
        return self.left.ids if self.left.ids is not None else tuple(map(str, range(self.n)))

    @property
    def unit(self) -> Any:
        groups = self.design.groups
        return np.arange(self.n) if groups is None else coded(groups, self.n, "groups")

    def weights(self) -> Floats:
        """All items together, then the concepts of every set, one below the other."""
        return np.concatenate([np.full((1, self.n), 1 / self.n), *(s.weights(self.n) for s in self.sets)])


class CeilingOf(NamedTuple):
    """How far other models of a side's modality agree with it; empty where there are none.

    Attributes:
        names: The other models.
        layers: The layer of each that most folds chose.
        copies: Those that agree with the side on every item.
        corrected: Chance-corrected score of each item.
        errors: Its standard error over the other items; NaN where it is not known.
        means: Means over all items and over concepts; None where there are no other models.
    """

    names: tuple[str, ...]
    layers: tuple[str, ...]
    copies: tuple[str, ...]
    corrected: Floats
    errors: Floats
    means: Means | None


class Shown(NamedTuple):
    """What rows are illustrated by.

    Attributes:
        scores: Score of each item.
        features: Features of both sides, in the layers that most folds chose.
    """

    scores: Floats
    features: Sequence[Any]


def item_table(
    task: Task, scores: ItemScores, plain: Repaired, across: Repaired, ceilings: Sequence[CeilingOf]
) -> tuple[ConceptItems, str]:
    """One row an item, and where its p comes from.

    Where layers were chosen among several, an item's exact p is that of layers fixed beforehand. Of shared neighbours
    it holds nevertheless (docs/calibration.md); a score that reads all items is held against re-pairings with a search.

    Args:
        task: The task.
        scores: The scores.
        plain: Re-pairings in the layers that were chosen.
        across: Re-pairings with a search of their own, where layers were chosen among several.
        ceilings: Those of both sides.
    """
    exact = scores.exact if task.design.free else None
    complete = task.design.free and task.n <= FEW
    counted = (1 + across.reached) / (1 + across.number)
    holds = across is plain or isinstance(task.settings.metric, NeighborMetric)
    p = counted
    if exact is not None and holds and not complete:
        p = np.where(np.isnan(exact.p_values), counted, exact.p_values)
    chance = plain.items if exact is None else exact.chance
    told = "counted among the re-pairings" if p is counted else "exact under free re-pairing"
    if p is not counted and exact is not None and np.isnan(exact.p_values).any():
        told = "exact under free re-pairing, but of tied items counted among the re-pairings"
    found: tuple[str, ...] = ()
    if all(side.means is not None for side in ceilings) and scores.errors is not None:
        infinite = np.full(task.n, np.inf)
        rows = [
            Scored(values, errors, infinite, None)
            for values, errors in (
                (chance_corrected(scores.values, chance), scores.errors / np.maximum(1 - chance, 1e-12)),
                *((side.corrected, side.errors) for side in ceilings),
            )
        ]
        settings = task.settings
        found = verdicts(*rows, shared=settings.shared, stable=settings.stable, alpha=settings.alpha).verdicts
    return ConceptItems(
        ids=task.ids,
        scores=scores.values,
        chance=np.asarray(chance),
        p_values=np.asarray(p),
        q_values=np.asarray(benjamini_hochberg(p)),
        x_ceilings=ceilings[0].corrected,
        y_ceilings=ceilings[1].corrected,
        verdicts=found,
    ), told


def _scored(found: Means, rows: slice) -> Scored:
    room = found.room[rows]
    return Scored(
        found.corrected[rows], found.errors[rows] / room, found.degrees[rows], found.deviations[rows] / room[:, None]
    )


def _span(found: Means, rows: slice, counts: Any, alpha: float) -> tuple[Floats, Floats]:
    """Bounds of the scores; of a single item nothing is known but the range."""
    low, high = within_range(found.values[rows], found.errors[rows], quantiles(found.degrees[rows], alpha), found.span)
    alone = np.asarray(counts) == 1
    ends = [e if np.isfinite(e) else float(v) for e, v in zip(found.span, (low.min(), high.max()), strict=True)]
    return np.where(alone, ends[0], low), np.where(alone, ends[1], high)


def label_table(
    task: Task,
    labelled: LabelSet,
    rows: slice,
    found: Means,
    across: Repaired,
    ceilings: Sequence[CeilingOf],
    shown: Shown,
) -> ConceptLabels:
    """One row a concept of a label set.

    Args:
        task: The task.
        labelled: The label set.
        rows: Which of the means are its concepts.
        found: Means of the scores.
        across: The same with the items paired anew.
        ceilings: Those of both sides.
        shown: What illustrates them.
    """
    settings, counts = task.settings, np.array([len(r) for r in labelled.rows])
    alone = counts == 1
    p = label_p(across, rows)
    low, high = _span(found, rows, counts, settings.alpha)
    chance, room = found.chance[rows], found.room[rows]
    own = _scored(found, rows)
    bounds = [_bounded(side, rows, counts, settings.alpha) for side in ceilings]
    extra: dict[str, Any] = {"shares": np.full(len(counts), np.nan)}
    if all(side.means is not None for side in ceilings):
        within_x, within_y = (_scored(side.means, rows) for side in ceilings if side.means is not None)
        ruled = verdicts(own, within_x, within_y, shared=settings.shared, stable=settings.stable, alpha=settings.alpha)
        extra = {
            "shares": ruled.shares,
            "verdicts": tuple("undecided" if one else v for v, one in zip(ruled.verdicts, alone, strict=True)),
            "needed": np.where(alone, np.nan, np.ceil(ruled.needed * counts)),
        }
    from_others: dict[str, Any] = _from_others(found, rows, counts, task)
    within, within_p = _within(task, labelled, shown.features)
    between, between_p = _between(labelled, shown.features, settings.seed)
    typical = [extremes(task.ids, shown.scores, r) for r in labelled.rows]
    return ConceptLabels(
        name=labelled.name,
        names=labelled.names,
        counts=counts,
        scores=found.values[rows],
        chance=chance,
        p_values=p,
        q_values=np.asarray(benjamini_hochberg(p)),
        q_any=np.asarray(benjamini_yekutieli(p)),
        low=low,
        high=high,
        corrected=own.values,
        corrected_low=(low - chance) / room,
        corrected_high=(high - chance) / room,
        shrunk=shrunk(own.values, own.errors),
        **from_others,
        within=within,
        within_p=within_p,
        between=between,
        between_p=between_p,
        x_ceilings=bounds[0],
        y_ceilings=bounds[1],
        exemplars=tuple(best for best, _ in typical),
        misfits=tuple(least for _, least in typical),
        members=tuple(tuple(map(int, r)) for r in labelled.rows),
        **extra,
    )


def _bounded(side: CeilingOf, rows: slice, counts: Any, alpha: float) -> Floats:
    """Chance-corrected ceilings with their bounds (concepts, 3)."""
    if side.means is None:
        return np.empty((0, 3))
    low, high = _span(side.means, rows, counts, alpha)
    chance, room = side.means.chance[rows], side.means.room[rows]
    return np.column_stack([side.means.corrected[rows], (low - chance) / room, (high - chance) / room])


def _from_others(found: Means, rows: slice, counts: Any, task: Task) -> dict[str, Floats]:
    """Each concept less all other items, with its interval and p; gaps where nothing can be said."""
    n = task.n
    share = np.where(counts < n, counts / np.maximum(n - counts, 1), np.nan)
    others = found.values[0] * (1 + share) - share * found.values[rows]
    gap = np.where(counts > 1, found.values[rows] - others, np.nan)
    moved = (1 + share)[:, None] * (found.deviations[rows] - found.deviations[0])
    error = np.sqrt(np.sum(moved**2, axis=1))
    degrees = found.degrees[rows]
    reach = quantiles(degrees, task.settings.alpha) * error
    with np.errstate(invalid="ignore"):
        p = 2 * t_sf(np.abs(gap) / np.where(error > 0, error, 1.0), degrees)
    known = np.isfinite(gap) & (error > 0)
    values = (gap, gap - reach, gap + reach, p)
    names = ("from_others", "from_others_low", "from_others_high", "from_others_p")
    return {name: np.where(known, v, np.nan) for name, v in zip(names, values, strict=True)}


def _within(task: Task, labelled: LabelSet, layers: Sequence[Any]) -> tuple[Floats, Floats]:
    """Chance-corrected score of the metric among the items of each concept alone, and its p."""
    metric: Metric[Any] = task.settings.metric
    values, p = np.full((2, len(labelled.names)), np.nan)
    for k, rows in enumerate(labelled.rows):
        if len(rows) < max(metric.min_items, _FEWEST_CONCEPTS) or metric.distance:
            continue
        design = task.design.take(rows)
        try:
            xs, ys = ([metric.prepare(take_rows(layer, rows))] for layer in layers)
            score = np.asarray(to_numpy(metric.compare(xs, ys)), dtype=np.float64)
            orders = orders_for(design, len(rows), task.settings.permutations, task.settings.seed)
            judged = judge_block(metric, xs, ys, score, orders, design, alpha=task.settings.alpha, confirm=False)
        except InputError:  # nothing varies inside this concept, or nothing can change places
            continue
        values[k] = float(chance_corrected(score, judged.chance)[0, 0])
        p[k] = float(judged.p_value[0, 0])
    return values, p


def _between(labelled: LabelSet, layers: Sequence[Any], seed: int) -> tuple[Floats, Floats]:
    """Correlation of each concept's similarities to the others, by mean features, and its p with concepts re-paired."""
    count = len(labelled.names)
    values, p = np.full((2, count), np.nan)
    if count < _FEWEST_CONCEPTS:
        return values, p
    similar = []
    for layer in layers:
        rows = np.asarray(to_numpy(layer), dtype=np.float64)
        middle = center(np.stack([rows[r].mean(axis=0) for r in labelled.rows]))
        if not np.all(np.any(middle != 0, axis=1)):
            return values, p  # a concept in the middle of all has no direction
        unit = directions(middle)
        similar.append(unit @ unit.T)
    found = row_scores(*similar)
    orders = every_order(count)[1:] if count <= FEW else permutations(count, _CONCEPT_ORDERS, seed)
    null = np.array(list(found.permuted(orders)))
    return found.values, counted_p(found.values, null)


def whole_score(task: Task, found: Means, across: Repaired, ceilings: Sequence[CeilingOf]) -> WholeScore:
    """All items together."""
    first, alpha = slice(0, 1), task.settings.alpha
    low, high = _span(found, first, [task.n], alpha)
    score = WholeScore(
        score=float(found.values[0]),
        chance=float(found.chance[0]),
        p_value=float(label_p(across, first)[0]),
        low=float(low[0]),
        high=float(high[0]),
        corrected=float(found.corrected[0]),
    )
    sides = [side.means for side in ceilings]
    given = [None if side is None else float(side.corrected[0]) for side in sides]
    score = dataclasses.replace(score, x_ceiling=given[0], y_ceiling=given[1])
    if sides[0] is None or sides[1] is None or not min(v for v in given if v is not None) > 0:
        return score
    a, x, y = (_scored(m, first) for m in (found, sides[0], sides[1]))
    share = float(a.values[0] / np.sqrt(x.values[0] * y.values[0]))
    a_moved, x_moved, y_moved = (m.deviations[0] / m.room[0] for m in (found, sides[0], sides[1]))
    moved = share * (a_moved / a.values[0] - x_moved / x.values[0] / 2 - y_moved / y.values[0] / 2)
    reach = float(quantiles(a.degrees, alpha)[0] * np.sqrt(np.sum(moved**2)))
    return dataclasses.replace(score, share=share, share_low=share - reach, share_high=share + reach)


def examples(task: Task, prepared: Prepared, table: ConceptItems, shown: Shown) -> tuple[Example, ...]:
    """Some items of each verdict, or the most and least alike, with their neighbours on both sides."""
    order = np.argsort(-table.corrected, kind="stable")
    if table.verdicts:
        kinds = {v: [i for i in order if table.verdicts[i] == v][:_EXAMPLES] for v in VERDICTS}
    else:
        kinds = {"most alike": list(order[:_EXAMPLES]), "least alike": list(order[::-1][:_EXAMPLES])}
    metric: Metric[Any] = task.settings.metric
    least, most = _SHOWN_NEIGHBORS
    count = min(max(least, min(getattr(metric, "k", least), most)), task.n - 1)
    near = []
    for layer in shown.features:
        own = metric.neighbors(prepared(layer), count)
        near.append(nearest_others(directions(np.asarray(to_numpy(layer))), count) if own is None else own)
    ids = task.ids
    return tuple(
        Example(
            id=ids[i],
            verdict=kind,
            score=float(table.scores[i]),
            x_neighbors=tuple(ids[j] for j in near[0][i]),
            y_neighbors=tuple(ids[j] for j in near[1][i]),
        )
        for kind, rows in kinds.items()
        for i in map(int, rows)
    )
