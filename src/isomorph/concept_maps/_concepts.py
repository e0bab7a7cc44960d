"""`concepts`: which items and concepts two sides see alike, and what is bound to one modality."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import checked_once
from .._core.memory import limited
from .._core.progress import Show, progress
from .._core.provenance import provenance
from ..conditions import Side, as_side, design_of, joined, lost_items
from ..datasets import PairedItems, matching
from ..design.splits import fold_of_items
from ..errors import InputError, UnknownNameError, quoted
from ..metrics import Metric
from ..metrics.neighbors import NeighborMetric
from ..nulls import ItemScores
from ..results import ConceptMap, chance_corrected
from ..significance import orders_for
from ._agreement import Chosen, Prepared, agreement, ceiling, check_has_items, choose, searched
from ._label_sets import label_sets
from ._labels import Means, Repaired, means, repaired
from ._parts import BY_EVERY_METRIC, check_third, parts, third
from ._tables import CeilingOf, Shown, Task, examples, item_table, label_table, whole_score
from .settings import DEFAULT_METRIC, ConceptSettings

Floats = np.ndarray[Any, Any]
_CEILING_ORDERS = 100  # re-pairings that tell the chance of a ceiling


@checked_once()
def concepts(
    x: Any,
    y: Any,
    *,
    items: PairedItems | None = None,
    labels: Any = None,
    metric: str | Metric[Any] = DEFAULT_METRIC,
    x_ceilings: Mapping[str, Any] | None = None,
    y_ceilings: Mapping[str, Any] | None = None,
    covariates: Any = None,
    others: Mapping[str, Any] | None = None,
    x_layer: str = "",
    y_layer: str = "",
    folds: int = 5,
    permutations: int = 1000,
    seed: int = 0,
    alpha: float = 0.05,
    shared: float = 0.5,
    stable: float = 0.1,
    limits: bool = True,
    redundancy: bool = False,
    map: str = "",
    missing: str = "refuse",
    groups: Sequence[Any] | str | None = None,
    strata: Sequence[Any] | str | None = None,
    x_name: str | None = None,
    y_name: str | None = None,
    memory: str | int | None = None,
    show: Show = None,
) -> ConceptMap:
    """Map which items and concepts two sides see alike, and what is bound to one modality.

    Every item has a score: the share of its neighbours that both sides give it, or the correlation of its similarities
    (`Metric.item_scores`), in layers that were chosen on other items. Its p is exact where items change places freely
    and the metric knows it; concepts, sets of items, are held against random re-pairings of the items. With other
    models of each modality (`x_ceilings`, `y_ceilings`) every concept gets a verdict, by the rules of
    `isomorph.concept_maps._verdicts`.

    Args:
        x: Representations of one side: `Layers`, layers by name or in a list, one array, or the path of a file.
        y: The other side, of the same items.
        items: Where labels, groups and texts come from, by id.
        labels: A label set of `items` by name, or several; one label an item; or a mapping from set to labels, or to a
            mapping from concept to ids. ``"words"``: the words of the texts. By default the first label set of `items`.
        metric: A metric with scores per item, such as ``"mutual_knn(k=10)"``, ``"cka"`` or ``"rsa"``.
        x_ceilings: Name -> another model of the modality of `x`, over the same items.
        y_ceilings: Name -> another model of the modality of `y`.
        covariates: What might predict agreement: names that can be computed or are label sets (``"word_frequency"``,
            ``"hubness"``, …; `COMPUTED`), a mapping from name to one value an item, or the path of a table with ids.
        others: A third modality of the same items, ``{"speech": layers}``: which concepts all three share, and whether
            a map from one to another through the third loses anything.
        x_layer: Layer of `x`, fixed beforehand; by default each fold's layers are the best of the other folds.
        y_layer: Layer of `y`, likewise.
        folds: Parts of the items that layers are chosen for.
        permutations: Random re-pairings of the items.
        seed: Seed of folds and re-pairings.
        alpha: Level of tests; intervals cover 1 - alpha.
        shared: Share of the ceilings that a concept must reach across modalities to be shared.
        stable: Chance-corrected agreement within a modality above which a concept is stable there.
        limits: Whether to tell agreement as a share of the ceilings by gallery size, where both sides have ceilings.
        redundancy: Whether to tell what share of its variance the score stands for, by synthetic spaces.
        map: A map such as ``"ridge"`` under which items are ranked too; that of `others` is it, or ridge.
        missing: What becomes of items that lack a covariate: ``"refuse"`` or ``"leave out"``, which is counted.
        groups: As in `scan`.
        strata: As in `scan`.
        x_name: What to call `x`.
        y_name: What to call `y`.
        memory: Working memory that the metric may take, such as ``"4GB"`` or bytes.
        show: How progress is shown, as for `isomorph.show_progress`.

    Returns:
        A `ConceptMap`, with `ConceptMap.items` and `ConceptMap.labels`.

    Raises:
        InputError: if the sides have no items in common, ceilings lack items, the metric has no score per item, or a
            setting makes no sense.
        UnknownNameError: if there is no such layer or metric.

    Source: open question 1 of the survey (arXiv 2510.05184); scores of single items after Schumacher et al. 2021 and
    Huh et al. 2024; ceilings after the noise ceilings of Nili et al. 2014, by models in the place of subjects.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(1)
        >>> z, u, *noise = rng.normal(size=(6, 300, 5))
        >>> kind = np.repeat(["both see it", "x alone"], 150)
        >>> y = np.where((kind == "both see it")[:, None], z, u) + 0.2 * noise[0]
        >>> y2 = np.where((kind == "both see it")[:, None], z, noise[1]) + 0.2 * noise[2]
        >>> x, x2 = z + 0.2 * noise[3], z + 0.2 * rng.normal(size=z.shape)
        >>> found = iso.concepts(x, y, labels=kind, x_ceilings={"x2": x2}, y_ceilings={"y2": y2}, permutations=199)
        >>> found.verdicts()
        {'shared': ('both see it',), 'bound to x': ('x alone',)}
    """
    settings = ConceptSettings(
        metric=metric,
        x_layer=x_layer,
        y_layer=y_layer,
        folds=folds,
        permutations=permutations,
        seed=seed,
        alpha=alpha,
        shared=shared,
        stable=stable,
        limits=limits,
        redundancy=redundancy,
        map=map,
        missing=missing,
        groups=groups if isinstance(groups, str) else None,
        strata=strata if isinstance(strata, str) else None,
        memory=memory,
    )
    check_has_items(settings.metric)
    both = as_side(x, "x", x_name), as_side(y, "y", y_name)
    left, right = joined(*both)
    further = check_third(others, (left.name, right.name))
    known = [_ceilings(given, which, left) for which, given in (("x_ceilings", x_ceilings), ("y_ceilings", y_ceilings))]
    n, ids = left.n, left.ids
    own_items = matching(items, ids, n)
    design = design_of(items, ids, n, groups=groups, strata=strata, circular=False, within=True)
    sets, notes = label_sets(own_items, labels, n, ids)
    notes = [*lost_items([(side.name, side) for side in both], n), *notes]
    if all(known) and not isinstance(settings.metric, NeighborMetric):
        notes.append(
            f"An item's score by {settings.metric.spec} reads its similarities to all items, so that a concept among "
            "others that are stable looks stable itself. Verdicts are surer with a neighbour metric, such as "
            "mutual_knn(k=10)."
        )
    if n > BY_EVERY_METRIC and ((settings.limits and all(known)) or settings.redundancy):
        notes.append(
            f"Of more than {BY_EVERY_METRIC:,} items limits and redundancy are told by {settings.metric.spec} alone; "
            "isomorph.concept_maps has limits() and redundancies() for others."
        )
    task = Task(settings, design, n, sets, left, right)
    with limited(memory):
        found = _mapped(task, known, own_items, notes, covariates, show)
        return found if further is None else _with_third(task, found, *further, own_items, show)


def _with_third(
    task: Task, found: ConceptMap, name: str, layers: Any, items: PairedItems | None, show: Show
) -> ConceptMap:
    """The map with what a third modality adds.

    Raises:
        InputError: if it lacks items.
    """
    side = _same_items(as_side(layers, f"others[{name!r}]", name), f"others[{quoted(name)}]", task.left)
    x, y = _short(task.left.name, task.right.name, name)
    maps = {(x, y): found}
    for who, first, fixed in ((x, task.left, task.settings.x_layer), (y, task.right, task.settings.y_layer)):
        settings = dataclasses.replace(task.settings, x_layer=fixed, y_layer="", limits=False, redundancy=False, map="")
        pair = task._replace(settings=settings, left=first, right=side, sets=task.sets[:1])
        maps[who, name] = _mapped(pair, [{}, {}], items, [], None, show)
    chosen = ((x, task.left, found.x_layers), (y, task.right, found.y_layers), (name, side, maps[x, name].y_layers))
    shared, moved = third(task, maps, {who: s.features(_most(layers)) for who, s, layers in chosen})
    return dataclasses.replace(found, modalities=shared, transfer=moved)


def _short(x: str, y: str, other: str) -> tuple[str, str]:
    """Names of models without their provider, such as ``"bundled:"``, where they stay apart."""
    short = (x.rpartition(":")[2], y.rpartition(":")[2])
    return short if all(short) and len({*short, other}) == len({x, y, other}) else (x, y)


def _most(layers: Sequence[str]) -> str:
    """The layer that most folds chose."""
    return Counter(layers).most_common(1)[0][0]


def _mapped(
    task: Task,
    others: Sequence[Mapping[str, Side]],
    items: PairedItems | None,
    notes: list[str],
    covariates: Any,
    show: Show,
) -> ConceptMap:
    settings, n = task.settings, task.n
    metric: Metric[Any] = settings.metric
    weights = task.weights()
    orders = orders_for(task.design, n, settings.permutations, settings.seed)
    ceiling_orders = orders[: min(_CEILING_ORDERS, len(orders))]
    choices = _candidates(task)
    several = len(choices[0]) * len(choices[1]) > 1
    total = 2 + len(orders) + sum(1 + len(ceiling_orders) for side in others if side) + len(task.sets)
    total += (len(orders) + len(ceiling_orders)) * several
    with progress(total, f"concepts of {task.left.name} × {task.right.name}", unit="steps", show=show) as advance:
        fold, chosen = _layers(task, choices, others)
        least = metric.min_items
        features = [_features(s, [pair[k] for pair in chosen], least) for k, s in enumerate((task.left, task.right))]
        advance(1)
        prepared = Prepared(metric)
        scores = agreement(prepared, features[0], features[1], fold, chosen)
        advance(1)
        plain = repaired([(scores, ceiling_orders if several else orders)], scores.values, weights, advance)
        across = plain
        if several:
            every = [_features(s, names, least) for s, names in zip((task.left, task.right), choices, strict=True)]
            observed, re_paired = searched(prepared, every[0], every[1], orders, advance)
            across = repaired(re_paired, observed.values, weights, advance)
        ceilings = [
            _ceiling(
                task, prepared, features[k], [pair[k] for pair in chosen], side, fold, weights, ceiling_orders, advance
            )
            for k, side in enumerate(others)
        ]
        notes += [
            f"{name} agrees with {side.name} on every item, as the same model or a copy of it would: its ceiling is no "
            "agreement of two models."
            for side, made in zip((task.left, task.right), ceilings, strict=True)
            for name in made.copies
        ]
        found = _means(task, scores, plain, weights)
        table, item_p = item_table(task, scores, plain, across, ceilings)
        pair = Counter(chosen).most_common(1)[0][0]
        shown = Shown(scores.values, [features[k][pair[k]] for k in (0, 1)])
        tables, start = {}, 1
        for labelled in task.sets:
            rows = slice(start, start + len(labelled.names))
            tables[labelled.name] = label_table(task, labelled, rows, found, across, ceilings, shown)
            start = rows.stop
            advance(1)
    models = [
        {name: side.features(layer) for (name, side), layer in zip(given.items(), made.layers, strict=True)}
        for given, made in zip(others, ceilings, strict=True)
    ]
    more = parts(task, scores, shown.features, models, items, covariates, others)
    return ConceptMap(
        metric=metric.spec,
        variant=metric.variant,
        item_score=metric.item_score,
        x_name=task.left.name,
        y_name=task.right.name,
        n=n,
        x_layers=tuple(pair[0] for pair in chosen),
        y_layers=tuple(pair[1] for pair in chosen),
        whole=whole_score(task, found, across, ceilings),
        items=table,
        label_sets=tables,
        x_ceilings=ceilings[0].names,
        y_ceilings=ceilings[1].names,
        examples=examples(task, prepared, table, shown),
        **more._asdict(),
        shared=settings.shared,
        stable=settings.stable,
        alpha=settings.alpha,
        permutations=len(orders),
        design="" if task.design.free else str(task.design),
        item_p=item_p,
        seed=settings.seed,
        dataset=items.name if items is not None else str(task.left.facts.get("dataset", "")),
        notes=tuple(notes),
        provenance=provenance(
            call="concepts",
            x=_facts(task.left),
            y=_facts(task.right),
            ceilings={
                which: {name: dict(side.facts) for name, side in given.items()}
                for which, given in zip(("x", "y"), others, strict=True)
            },
            label_sets=[s.name for s in task.sets],
            grouped=task.design.groups is not None,
            **settings.facts(),
        ),
    )


def _facts(side: Side) -> dict[str, Any]:
    """What is known of a side; its modality, where one is known, tells a reader what bound to x means."""
    modality = getattr(side.layers, "modality", "features")
    return dict(side.facts) | ({} if modality == "features" else {"modality": modality})


def _ceilings(given: Any, argument: str, left: Side) -> dict[str, Side]:
    """The other models of a side, over the same items.

    Raises:
        InputError: if they are no mapping, or lack items.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"{argument} must be features by the name of the model, found {quoted(given)}.")
    found = {}
    for name, layers in given.items():
        side = as_side(layers, f"{argument}[{name!r}]", str(name))
        found[str(name)] = _same_items(side, f"{argument}[{quoted(str(name))}]", left)
    return found


def _same_items(side: Side, what: str, left: Side) -> Side:
    """The side with the items of `left`, in their order.

    Raises:
        InputError: if it lacks one.
    """
    try:
        own, side = joined(left, side)
    except InputError as error:
        raise InputError(f"{what} is not of the same items: {error}") from error
    if own.n != left.n:
        raise InputError(
            f"{what} lacks {left.n - own.n} of the {left.n} items; it must be of the same items. Extract it again on "
            "all of them, or give x and y without those items."
        )
    return side


def _candidates(task: Task) -> list[tuple[str, ...]]:
    """The layers of both sides that may be chosen.

    Raises:
        UnknownNameError: if a layer that was fixed is not there.
    """
    settings = task.settings
    candidates = []
    for which, side, fixed in (("x_layer", task.left, settings.x_layer), ("y_layer", task.right, settings.y_layer)):
        if fixed and fixed not in side.layers:
            raise UnknownNameError(f"layer in {which}", fixed, side.layers)
        candidates.append((fixed,) if fixed else tuple(side.layers))
    return candidates


def _layers(
    task: Task, candidates: Sequence[Sequence[str]], others: Sequence[Mapping[str, Side]]
) -> tuple[Any, Chosen]:
    """The fold of each item, and each fold's layers."""
    settings = task.settings
    single = all(len(names) == 1 for names in candidates)
    # other models have layers to choose as well, where those of both sides are fixed
    single = single and all(len(side.layers) == 1 for given in others for side in given.values())
    folds = 1 if single else settings.folds
    groups = task.design.groups
    fold = np.zeros(task.n, dtype=np.int64) if single else fold_of_items(task.n, folds, settings.seed, groups)
    least = settings.metric.min_items
    left, right = _features(task.left, candidates[0], least), _features(task.right, candidates[1], least)
    lefts, rights = ([names] * folds for names in candidates)
    return fold, choose(settings.metric, left, right, fold, lefts=lefts, rights=rights)


def _features(side: Side, names: Sequence[str], least: int) -> dict[str, Any]:
    return {name: side.features(name, min_items=least) for name in dict.fromkeys(names)}


def _means(task: Task, scores: ItemScores, repairs: Repaired, weights: Floats) -> Means:
    exact = scores.exact if task.design.free else None
    chance = repairs.means.mean(axis=0) if exact is None else weights @ exact.chance
    floor = repairs.means.std(axis=0, ddof=1) if len(repairs.means) > 1 else np.zeros(len(weights))
    return means(scores, weights, task.unit, chance, floor, grouped=task.design.groups is not None)


def _ceiling(
    task: Task,
    prepared: Prepared,
    own: Mapping[str, Any],
    layers: Sequence[str],
    others: Mapping[str, Side],
    fold: Any,
    weights: Floats,
    orders: Any,
    advance: Any,
) -> CeilingOf:
    """How far other models of a side's modality agree with it."""
    if not others:
        return CeilingOf((), (), (), np.empty(0), np.empty(0), None)
    scores, used, copies = ceiling(prepared, own, layers, list(others.values()), fold)
    advance(1)
    repairs = repaired([(scores, orders)], scores.values, weights, advance)
    exact = scores.exact if task.design.free else None
    chance = repairs.items if exact is None else exact.chance
    room = np.maximum(1 - chance, 1e-12)
    errors = np.full(task.n, np.nan) if scores.errors is None else scores.errors / room
    return CeilingOf(
        tuple(others),
        tuple(_most([pair[1] for pair in pairs]) for pairs in used),
        tuple(copies),
        chance_corrected(scores.values, chance),
        errors,
        _means(task, scores, repairs, weights),
    )
