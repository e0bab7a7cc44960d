"""Stitch: can one space be used in place of the other? Maps fitted on some pairs, scored on those never seen."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.arrays import checked_once
from .._core.memory import limited
from .._core.progress import progress
from .._core.provenance import provenance
from ..conditions import Comparison, Side, as_side, comparisons, joined
from ..datasets import PairedItems, matching
from ..heldout.bootstrap import Bootstrap
from ..heldout.curves import curve_fits
from ..heldout.holdout import Holdout, splits_of
from ..maps import Map
from ..results import Curve, Stitch
from ._arguments import check_classes, read_task
from ._curves import gallery_curves, pairs_curves
from ._layers import features
from ._result import assembled
from ._runs import Stitched, Work, affordable, run
from ._trials import Task
from .settings import DEFAULT_MAPS, StitchSettings


@checked_once()
def stitch(
    x: Any,
    y: Any,
    maps: Sequence[str | Map] | str | Map = DEFAULT_MAPS,
    *,
    items: PairedItems | None = None,
    labels: Sequence[Any] | str | None = None,
    groups: Sequence[Any] | str | None = None,
    by: str = "item",
    test_fraction: float = 0.3,
    test: Sequence[Any] | None = None,
    repeats: int = 5,
    seed: int = 0,
    permutations: int = 20,
    alpha: float = 0.05,
    draws: int = 500,
    correction: str | None = None,
    prototypes: Any = None,
    x_baselines: Mapping[str, Any] | None = None,
    y_baselines: Mapping[str, Any] | None = None,
    x_ceilings: Mapping[str, Any] | None = None,
    y_ceilings: Mapping[str, Any] | None = None,
    ceilings: Mapping[str, Any] | None = None,
    curves: bool = True,
    budget: float | None = None,
    memory: str | int | None = None,
    x_name: str | None = None,
    y_name: str | None = None,
) -> Stitch:
    """Fit maps from `x` to `y` on some pairs and score them on items that were held out.

    Every score comes with its chance level, with controls that see the same splits (the map refitted to permuted pairs,
    the mean predictor, the identity where the widths agree, and the baselines given), and with ceilings (`y` stitched
    to itself, and what is given). With several layers the pair is chosen in each split on its training pairs only.

    Args:
        x: `Layers` of a store, a mapping from layer name to features (n_items, d), a list of features, or one array.
        y: The same for the other side; `Layers` are joined by item id, arrays row by row.
        maps: Specs such as ``"ridge"`` or ``"relative(anchors=50)"``, or maps. The first one chooses the layers.
        items: Where labels and groups come from, by id, if they are not given; also names the data.
        labels: One class an item, or the name of a label set of `items` (by default its first). They are what is
            classified, zero-shot and by a probe. Classes need two items or groups.
        groups: One group an item (captions of one image). Groups are never parted between training and held-out items,
            and retrieving any item of the group is right.
        by: What is held out: ``"item"``, ``"label"`` (concepts never seen) or ``"group"``.
        test_fraction: Share of the items held out.
        test: Ids or row numbers to hold out instead; then there is one split.
        repeats: Random splits.
        seed: Seed of splits, permutations and bootstrap.
        permutations: Refits of each map to permuted pairs, in each split.
        alpha: Intervals over splits and held-out items cover 1 - alpha.
        draws: Bootstrap samples of these.
        correction: Correction for hubs in retrieval: ``"csls"``, ``"inverted_softmax"`` or None.
        prototypes: What stands for the classes in the `y` space, such as features of their names: a mapping from class
            to a row, or `Layers` whose ids are the classes and which have the layers of `y`. By default class means.
        x_baselines: Name (such as ``"untrained"``) -> layers that take the place of `x`: controls.
        y_baselines: The same for `y`.
        x_ceilings: Name -> layers that take the place of `y` and say what can be had from `x`, such as another encoder
            of its modality; what predicts them is not comparable row by row, so they bound retrieval only.
        y_ceilings: Name -> layers that take the place of `x` and say what can be had of `y`, such as another encoder of
            the modality of `y`.
        ceilings: An earlier name of `y_ceilings`.
        curves: Whether to score against the number of pairs and the size of the gallery as well.
        budget: Seconds that the refits to permuted pairs may take, or None; as many are made as fit.
        memory: Working memory, such as ``"4GB"`` or bytes; None takes what the machine has.
        x_name: What to call `x` in results, instead of the encoder's name.
        y_name: What to call `y`.

    Returns:
        A `Stitch`: a mapping from map to `MapScores`.

    Raises:
        InputError: if the sides do not fit each other, there are fewer pairs than a map needs, a class has one item or
            group, groups leak between training and held-out items, or a number is out of range.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> stitch = iso.stitch(x, 2 * x @ np.linalg.qr(noise[:8])[0], ["ridge", "mean"], repeats=2, permutations=5)
        >>> {name: round(found["mrr"].value, 2) for name, found in stitch.items()}
        {'mean': 0.19, 'ridge': 1.0}
        >>> stitch["ridge"].above_controls, stitch["mean"].above_controls
        (True, False)
    """
    settings = StitchSettings(
        maps=maps,
        labels=labels if isinstance(labels, str) else None,
        groups=groups if isinstance(groups, str) else None,
        by=by,
        test_fraction=test_fraction,
        repeats=repeats,
        seed=seed,
        permutations=permutations,
        alpha=alpha,
        draws=draws,
        correction=correction,
        curves=curves,
        budget=budget,
        memory=memory,
    )
    left, right = joined(as_side(x, "x", x_name), as_side(y, "y", y_name))
    known = left.ids or right.ids
    ids = known or tuple(map(str, range(left.n)))
    task = read_task(matching(items, known, left.n), labels, groups, prototypes, right, correction)
    splits, unit = splits_of(
        left.n,
        by=by,
        labels=task.labels,
        groups=task.groups,
        fraction=test_fraction,
        repeats=repeats,
        seed=settings.seed,
        test=test,
        ids=ids,
    )
    check_classes(task)
    against = comparisons(
        left,
        right,
        x_baselines=x_baselines,
        y_baselines=y_baselines,
        x_ceilings=x_ceilings,
        y_ceilings=y_ceilings,
        ceilings=ceilings,
        verb="stitch",
    )
    with limited(memory):
        holdout = Holdout(splits, unit, task.groups, permutations, settings.seed)
        result = _stitched(settings, holdout, task, against, ids)
    made = settings.facts() | {"repeats": len(splits), "permutations": result.permutations}
    return dataclasses.replace(
        result,
        dataset=items.name if items is not None else result.dataset,
        provenance=provenance(
            call="stitch",
            x=dict(left.facts),
            y=dict(right.facts),
            conditions=[[c.role, c.label, c.left.name, c.right.name] for c in against[1:]],
            grouped=task.groups is not None,
            **made,
        ),
    )


def _stitched(
    settings: StitchSettings, holdout: Holdout, task: Task, against: Sequence[Comparison], ids: Sequence[str]
) -> Stitch:
    """The result, but for what it does not know of its making."""
    left, right, chosen = against[0].left, against[0].right, settings.maps
    if settings.budget is not None:
        holdout = affordable(holdout, Work(chosen, holdout, task), against[0], settings.budget)
    total = len(holdout.splits) * len(chosen) * (holdout.permutations + 1 + len(against))
    total += settings.curves * len(chosen) * curve_fits(holdout)
    with progress(total, f"stitch {left.name} → {right.name}", unit="fits") as advance:
        work = Work(chosen, dataclasses.replace(holdout, advance=advance), task)
        found = [run(c, work) for c in against]
        drawn, notes = _curves(work, left, right, found[0]) if settings.curves else ([], [])
    bootstrap = Bootstrap(holdout.splits, task.groups, left.n, settings.draws, 1 - settings.alpha, settings.seed)
    result = assembled(work, against, found, bootstrap, ids, by=settings.by, test_fraction=settings.test_fraction)
    return dataclasses.replace(
        result,
        pairs_curves=tuple(c for c in drawn if c.over == "pairs"),
        gallery_curves=tuple(c for c in drawn if c.over == "gallery"),
        notes=(*notes, *result.notes),
    )


def _curves(work: Work, left: Side, right: Side, main: Stitched) -> tuple[list[Curve], list[str]]:
    """Curves of every map, at the pair of layers that most splits chose, and why some have no point at some size."""
    i, j = Counter(main.chosen).most_common(1)[0][0]
    x, y = features(left)[i], features(right)[j]
    curves: list[Curve] = []
    notes: list[str] = []
    for map in work.maps:
        found, why = pairs_curves(map, x, y, work.holdout, work.task)
        curves += [*found, *gallery_curves(map, main.scored[map.spec])]
        notes += why
    return curves, notes
