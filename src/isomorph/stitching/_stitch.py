"""Stitch: can one space be used in place of the other? Maps fitted on some pairs, scored on those never seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import as_features, to_numpy
from .._core.checks import as_seed
from .._core.progress import progress
from .._core.provenance import provenance
from ..conditions.sides import Side, as_side, joined
from ..datasets import PairedItems
from ..errors import InputError
from ..maps import Map, make_map
from ..results import DESCENDING, Curve, MapScores, Margin, Score, Stitch
from ..store import Layers
from ._curves import CURVE_REPEATS, examples, gallery_curve, pairs_curve, sizes
from ._intervals import Bootstrap
from ._layers import LAYER_GALLERY
from ._retrieval import CORRECTIONS
from ._runs import PERMUTED, SELF, Condition, Outcome, Parts, Work, run
from ._scores import Task
from ._splits import Codes, codes, draw, given, units

DEFAULT_MAPS = ("ridge", "orthogonal")
TARGETED = ("r2", "cosine", "overlap")  # scores that depend on what y is, so that another y is no control for them


def stitch(
    x: Any,
    y: Any,
    maps: Sequence[str | Map] | str | Map = DEFAULT_MAPS,
    *,
    items: PairedItems | None = None,
    labels: Sequence[Any] | str | None = None,
    groups: Sequence[Any] | None = None,
    by: str = "item",
    test_fraction: float = 0.3,
    test: Sequence[Any] | None = None,
    repeats: int = 5,
    seed: int = 0,
    permutations: int = 20,
    level: float = 0.95,
    draws: int = 500,
    correction: str | None = None,
    prototypes: Any = None,
    x_baselines: Mapping[str, Any] | None = None,
    y_baselines: Mapping[str, Any] | None = None,
    ceilings: Mapping[str, Any] | None = None,
    curves: bool = True,
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
        level: Coverage of the intervals over splits and held-out items.
        draws: Bootstrap samples of these.
        correction: Correction for hubs in retrieval: ``"csls"``, ``"inverted_softmax"`` or None.
        prototypes: What stands for the classes in the `y` space, such as features of their names: a mapping from class
            to a row, or `Layers` whose ids are the classes and which have the layers of `y`. By default class means.
        x_baselines: Name (such as ``"untrained"``) -> layers that take the place of `x`: controls.
        y_baselines: The same for `y`.
        ceilings: Name -> layers that take the place of `x` and say what can be had, such as another encoder of the
            modality of `y`.
        curves: Whether to score against the number of pairs and the size of the gallery as well.
        x_name: What to call `x` in results, instead of the encoder's name.
        y_name: What to call `y`.

    Returns:
        A `Stitch`: a mapping from map to `MapScores`.

    Raises:
        InputError: if the sides do not fit each other, there are fewer pairs than a map needs, a class has one item or
            group, groups leak between training and held-out items, or a number is out of range.
    """
    chosen = _maps(maps)
    _check(test_fraction, repeats, permutations, level, draws, correction)
    seed = as_seed(seed)
    left, right = joined(as_side(x, "x", x_name), as_side(y, "y", y_name))
    ids = left.ids or right.ids or tuple(map(str, range(left.n)))
    label_code, names, group_code = _annotations(items, labels, groups, ids, left.ids or right.ids, left.n)
    unit = units(by, left.n, label_code, group_code)
    if test is not None:
        splits = [given(test, left.n, ids, by, label_code, group_code)]
    else:
        splits = [draw(unit, test_fraction, seed, r) for r in range(repeats)]
    for split in splits:
        if min(len(split.test), len(split.train)) < 2:
            raise InputError(
                f"A split of {left.n} items into {len(split.train)} pairs and {len(split.test)} held-out items leaves "
                "nothing to fit or to retrieve from. Give more items, or hold out by something finer."
            )
    if label_code is not None and prototypes is None:
        _check_classes(label_code, names, group_code)
    task = Task(label_code, group_code, names, correction=correction)
    if prototypes is not None:
        task = dataclasses.replace(task, **_prototypes(prototypes, right, label_code, names))
    conditions = _conditions(left, right, x_baselines, y_baselines, ceilings)
    smallest = min(len(s.train) for s in splits)
    total = len(splits) * len(chosen) * (permutations + 1 + len(conditions))
    total += len(chosen) * min(len(splits), CURVE_REPEATS) * len(sizes(smallest)) if curves else 0
    with progress(total, f"stitch {left.name} → {right.name}", unit="fits") as advance:
        work = Work(chosen, splits, unit, task, permutations, seed, advance)
        outcomes = [run(c, work) for c in conditions]
        drawn, notes = _curves(work, left, right, outcomes[0]) if curves else ([], [])
    bootstrap = Bootstrap(splits, group_code, left.n, draws, level, seed)
    facts: dict[str, Any] = {"by": by, "test_fraction": test_fraction, "seed": seed, "permutations": permutations}
    facts |= {
        "level": level,
        "draws": draws,
        "correction": correction,
        "repeats": len(splits),
        "grouped": group_code is not None,
    }
    return _assembled(work, conditions, outcomes, bootstrap, drawn, notes, ids, items, facts)


def _assembled(
    work: Work,
    conditions: Sequence[Condition],
    outcomes: Sequence[Outcome],
    bootstrap: Bootstrap,
    curves: Sequence[Curve],
    notes: list[str],
    ids: Sequence[str],
    items: PairedItems | None,
    facts: dict[str, Any],
) -> Stitch:
    main, left, right = outcomes[0], conditions[0].left, conditions[0].right
    layers = tuple(left.layers), tuple(right.layers)
    # sorted throughout, as saving sorts: a result that was loaded is the same to its last line
    scores = {m.spec: _map_scores(m, conditions, outcomes, bootstrap) for m in sorted(work.maps, key=lambda m: m.spec)}
    best = max(work.maps, key=lambda m: scores[m.spec]["mrr"].value)
    if left.layers and len(layers[0]) * len(layers[1]) > 1 and max(len(s.test) for s in work.splits) > LAYER_GALLERY:
        notes.append(f"Pairs of layers were scored on the first {LAYER_GALLERY} held-out items of each split.")
    if work.task.labels is not None and not any("probe" in s.scores for s in scores.values()):
        notes.append("No probe: the held-out items are of classes that it could not have seen.")
    made = provenance(
        call="stitch",
        x=dict(left.facts),
        y=dict(right.facts),
        maps=[m.variant for m in work.maps],
        conditions=[[c.role, c.name, c.left.name, c.right.name] for c in conditions[1:]],
        **facts,
    )
    return Stitch(
        x_name=left.name,
        y_name=right.name,
        maps=scores,
        x_layers=layers[0],
        y_layers=layers[1],
        chosen=tuple((layers[0][i], layers[1][j]) for i, j in main.chosen),
        layer_scores=main.layer_scores,
        layer_map=work.maps[0].spec,
        baseline_layer_scores={
            c.name: o.layer_scores for c, o in zip(conditions, outcomes, strict=True) if c.role == "control"
        },
        n=left.n,
        n_train=tuple(len(s.train) for s in work.splits),
        n_test=tuple(len(s.test) for s in work.splits),
        by=str(facts["by"]),
        test_fraction=float(facts["test_fraction"]),
        seed=int(facts["seed"]),
        level=float(facts["level"]),
        permutations=work.permutations,
        correction=work.task.correction,
        p_maximum=_p_maximum(main, work) if work.permutations else None,
        pairs_curves=tuple(c for c in curves if c.over == "pairs"),
        gallery_curves=tuple(c for c in curves if c.over == "gallery"),
        examples=examples(best, main.scored[best.spec][0], work.splits[0], ids, work.seed),
        ids=tuple(ids),
        test_rows=tuple(tuple(int(i) for i in s.test) for s in work.splits),
        notes=tuple(notes),
        x_view=str(left.facts.get("view", "")),
        y_view=str(right.facts.get("view", "")),
        dataset=items.name if items is not None else str(left.facts.get("dataset", "")),
        provenance=made,
    )


def _map_scores(
    map: Map, conditions: Sequence[Condition], outcomes: Sequence[Outcome], bootstrap: Bootstrap
) -> MapScores:
    main, spec = outcomes[0], map.spec
    own: list[Parts] = [s.parts for s in main.scored[spec]]
    controls: dict[str, list[Parts]] = {PERMUTED: main.permuted_mean(spec)} if main.permuted[spec][0] else {}
    controls |= {name: parts for name, parts in main.plain.items() if name != map.name}
    ceilings: dict[str, list[Parts]] = {SELF: main.self_stitch[spec]}
    other_target: set[str] = set()
    for condition, outcome in list(zip(conditions, outcomes, strict=True))[1:]:
        parts = [s.parts for s in outcome.scored[spec]]
        (controls if condition.role == "control" else ceilings)[condition.name] = parts
        if not condition.same_target:
            other_target.add(condition.name)
    names = _common(own)
    margins: dict[str, dict[str, Margin]] = {name: {} for name in names}
    for control, parts in controls.items():
        for name in names & _common(parts):
            if control in other_target and name in TARGETED:
                continue
            pair = ([p[name] for p in own], [p[name] for p in parts])
            margins[name][control] = bootstrap.margin(*pair, descending=name in DESCENDING)
    margins.pop("probe_native", None)  # the same for every map
    return MapScores(
        map=spec,
        variant=map.variant,
        direct=map.direct,
        scores=_summaries(own, bootstrap),
        controls={k: _summaries(v, bootstrap) for k, v in sorted(controls.items())},
        ceilings={k: _summaries(v, bootstrap) for k, v in sorted(ceilings.items())},
        margins={name: dict(sorted(found.items())) for name, found in sorted(margins.items()) if found},
        p_value=_p_values(own, main.permuted[spec], names),
    )


def _common(parts: Sequence[Parts]) -> set[str]:
    return set.intersection(*(set(p) for p in parts))


def _summaries(parts: Sequence[Parts], bootstrap: Bootstrap) -> dict[str, Score]:
    return {name: bootstrap.score([p[name] for p in parts]) for name in sorted(_common(parts))}


def _p_values(own: Sequence[Parts], permuted: Sequence[Sequence[Parts]], names: set[str]) -> dict[str, float]:
    """Share of refits to permuted pairs, the map itself counted in, whose mean over the splits is at least as good."""
    count = len(permuted[0])
    if not count:
        return {}
    found = {}
    for name in sorted(names - {"probe_native"}):
        sign = -1.0 if name in DESCENDING else 1.0
        value = sign * float(np.mean([p[name].value for p in own]))
        null = [sign * float(np.mean([split[k][name].value for split in permuted])) for k in range(count)]
        found[name] = (1 + sum(v >= value - 1e-12 for v in null)) / (count + 1)
    return found


def _p_maximum(main: Outcome, work: Work) -> float:
    """P of the best map: the best of all maps in each permutation is what it is held against."""
    null = np.array(
        [
            [[parts["mrr"].value for parts in split] for split in main.permuted[m.spec]]  # (splits, permutations)
            for m in work.maps
        ]
    ).mean(axis=1)
    best = max(float(np.mean([s.parts["mrr"].value for s in main.scored[m.spec]])) for m in work.maps)
    return float((1 + np.sum(null.max(axis=0) >= best - 1e-12)) / (work.permutations + 1))


def _curves(work: Work, left: Side, right: Side, main: Outcome) -> tuple[list[Curve], list[str]]:
    counts = {pair: main.chosen.count(pair) for pair in main.chosen}
    i, j = max(counts, key=lambda pair: counts[pair])
    x, y = (
        np.asarray(to_numpy(list(side.layers.values())[k]), dtype=np.float64) for side, k in ((left, i), (right, j))
    )
    curves: list[Curve] = []
    notes: list[str] = []
    for map in work.maps:
        found, why = pairs_curve(map, x, y, work.splits, work.task, work.seed, work.advance)
        curves += [*found, *gallery_curve(map, main.scored[map.spec])]
        notes += why
    return curves, notes


def _conditions(left: Side, right: Side, x_baselines: Any, y_baselines: Any, ceilings: Any) -> list[Condition]:
    conditions = [Condition("", "main", left, right)]
    wanted = [(f"{k} x", "control", v, True) for k, v in (x_baselines or {}).items()]
    wanted += [(f"{k} y", "control", v, False) for k, v in (y_baselines or {}).items()]
    wanted += [(str(k), "ceiling", v, True) for k, v in (ceilings or {}).items()]
    for name, role, layers, takes_x in wanted:
        side = as_side(layers, name, None)
        try:
            a, b = joined(right if takes_x else left, side)
        except InputError as error:
            raise InputError(
                f"The {role} {name!r} takes the place of {'x' if takes_x else 'y'} and cannot be joined with the other "
                f"side (called x here, {name!r} being y): {error}"
            ) from error
        if a.n != left.n:
            raise InputError(f"{role} {name!r} shares {a.n} items with the other side, the stitch has {left.n}.")
        if takes_x:
            conditions.append(Condition(name, role, b, right))
        else:
            conditions.append(Condition(name, role, left, b, same_target=False))
    return conditions


def _maps(maps: Any) -> list[Map]:
    given_maps = [maps] if isinstance(maps, (str, Map)) else list(maps)
    if not given_maps:
        raise InputError("No map was given; name at least one, such as 'ridge'.")
    return list({m.variant: m for m in map(make_map, given_maps)}.values())


def _check(
    test_fraction: float, repeats: int, permutations: int, level: float, draws: int, correction: str | None
) -> None:
    for name, value in (("test_fraction", test_fraction), ("level", level)):
        if not 0 < value < 1:
            raise InputError(f"{name}={value} must lie between 0 and 1, both excluded.")
    if repeats < 1 or permutations < 0 or draws < 100:
        raise InputError(
            f"repeats={repeats}, permutations={permutations}, draws={draws}: at least 1, 0 and 100 are needed."
        )
    if correction not in CORRECTIONS:
        raise InputError(f"correction={correction!r} is not known; use one of {', '.join(map(repr, CORRECTIONS))}.")


def _annotations(
    items: PairedItems | None,
    labels: Sequence[Any] | str | None,
    groups: Sequence[Any] | None,
    ids: Sequence[str],
    given_ids: Sequence[str] | None,
    n: int,
) -> tuple[Codes | None, tuple[str, ...], Codes | None]:
    """Labels and groups as numbers, and the texts of the labels.

    Raises:
        InputError: if they do not fit the items, or name a label set that is not there.
    """
    if isinstance(labels, str) and items is None:
        raise InputError(f"labels={labels!r} names a label set of items=, which were not given.")
    if items is not None:
        if given_ids is not None:
            items = items.subset(ids)
        elif len(items) != n:
            raise InputError(f"items holds {len(items)} items but the features have {n} rows and no ids to join by.")
        if isinstance(labels, str) or (labels is None and items.labels):
            which = labels if isinstance(labels, str) else next(iter(items.labels))
            if which not in items.labels:
                raise InputError(f"items has no label set {which!r}; it has {', '.join(items.labels) or 'none'}.")
            labels = items.labels[which]
        groups = items.groups if groups is None else groups
    label_code, names = (None, ()) if labels is None else codes(labels, n, "labels")
    group_code = None if groups is None else codes(groups, n, "groups")[0]
    return label_code, names, group_code


def _check_classes(labels: Codes, names: tuple[str, ...], groups: Codes | None) -> None:
    unit = np.arange(len(labels)) if groups is None else groups
    for c, name in enumerate(names):
        if len(np.unique(unit[labels == c])) < 2:
            what = "item" if groups is None else "group"
            raise InputError(
                f"The class {name!r} has one {what}: when it is held out nothing stands for the class. Leave the class "
                "out, merge it with another, or give prototypes=."
            )
    if len(names) < 2:
        raise InputError(f"labels holds a single class, {names[0]!r}, so there is nothing to classify.")


def _prototypes(given_rows: Any, right: Side, labels: Codes | None, names: tuple[str, ...]) -> dict[str, Any]:
    if labels is None:
        raise InputError("prototypes= stand for classes: give labels= as well, or items= that have some.")
    if len(right.layers) > 1:
        raise InputError(
            f"prototypes= belong to one layer of y, found {len(right.layers)}: pass the layer that is meant as y."
        )
    layer = next(iter(right.layers))
    if isinstance(given_rows, Layers):
        if layer not in given_rows:
            raise InputError(f"prototypes= has no layer {layer!r}; it has {', '.join(given_rows)}.")
        table = dict(zip(given_rows.ids, to_numpy(given_rows[layer]), strict=True))
    else:
        table = {str(k): np.asarray(to_numpy(v)) for k, v in dict(given_rows).items()}
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(f"prototypes= has nothing for {len(missing)} classes, such as {missing[0]!r}.")
    rows = to_numpy(as_features(np.stack([table[name] for name in names]), "prototypes")).astype(np.float64)
    width = next(iter(right.layers.values())).shape[1]
    if rows.shape[1] != width:
        raise InputError(f"prototypes= have {rows.shape[1]} features, y has {width}; they belong to one space.")
    return {"prototypes": rows, "prototype_labels": np.arange(len(names))}
