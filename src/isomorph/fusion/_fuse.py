"""`fuse`: what several frozen spaces give together about a target, beside every space alone and every control."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from .._core.arrays import to_numpy
from .._core.checks import check_choice, check_name, check_type
from .._core.memory import limited
from .._core.progress import Show, progress
from .._core.provenance import provenance
from ..conditions import Side, all_joined, as_side, joined
from ..datasets import PairedItems, matching, read_labels
from ..design import Codes, coded
from ..errors import InputError, quoted
from ..heads import Head, Target
from ..heldout.bootstrap import Bootstrap
from ..heldout.holdout import splits_of
from ..results import CONTROL, Condition, Fusion, LayerPairs, listed
from ..store import Layers
from ._result import conflicts, head_scores, interactions, single_scores, usual
from ._runs import Found, Work, control_names, run_splits
from ._scores import DECIDES, NAMES
from ._targets import read_target
from .settings import DEFAULT_HEADS, FuseSettings

Matrix = np.ndarray[Any, Any]
_MOST = 6  # spaces: a head is fitted on every set of them


def fuse(
    spaces: Mapping[str, Any],
    target: Any,
    *,
    heads: str | Head | Sequence[str | Head] = DEFAULT_HEADS,
    items: PairedItems | None = None,
    target_kind: Literal["classes", "labels", "numbers", "rows"] | None = None,
    target_name: str | None = None,
    score: str | None = None,
    groups: Sequence[Any] | str | None = None,
    by: str = "item",
    test_fraction: float = 0.3,
    repeats: int = 5,
    test: Sequence[Any] | None = None,
    baselines: Mapping[str, Any] | None = None,
    seconds: Mapping[str, Any] | None = None,
    controls: bool = True,
    layers: str = "alone",
    rare: str = "refuse",
    names: Mapping[str, str] | None = None,
    seed: int = 0,
    alpha: float = 0.05,
    draws: int = 500,
    memory: str | int | None = None,
    show: Show = None,
) -> Fusion:
    """What several frozen spaces give together about a target: does joining them beat the better one, and why.

    Heads are fitted on the items of a training part and scored on the others, beside a linear model of every space
    alone and beside controls in which one space is permuted (also within classes), random, the same space twice, its
    untrained twin, or a second model of the same modality. Layers and penalties are chosen inside the training part.

    Args:
        spaces: Space -> features (n, d), layers by name, or `Layers`; two to six spaces. Arrays may hold several tokens
            an item (n, tokens, d), which ``attention`` reads; all else reads their mean. Joined by id where they have
            ids. Of several layers, the one that tells most of the target of the training items is taken.
        target: What is to be told of each item: the name of a label set of `items` or several of them; one class or
            number an item; labels of each item; numbers (n, k); or `Layers` of a space whose rows are to be found.
        heads: Specs such as ``"concat"`` or ``"late(combine='stacked')"``, or heads.
        items: Where label sets and groups come from, by id.
        target_kind: What the target is, if its look does not tell.
        target_name: What to call the target in results.
        score: The score that decides; by default accuracy of classes, AUROC of labels, R² of numbers, reciprocal rank
            of rows.
        groups: One group an item, or the name of a label set of `items`: groups are never parted.
        by: What is held out: ``"item"``, ``"label"`` (the first label set of `items`) or ``"group"``.
        test_fraction: Share of the items held out.
        repeats: Random splits.
        test: Ids or rows to hold out instead; then there is one split.
        baselines: Space -> features of the untrained twin of its encoder.
        seconds: Space -> features of a second model of the same modality: two of one kind are ensembling, not fusion.
        controls: Whether controls are fitted.
        layers: Which of several layers of a space heads read: ``"alone"``, the one that tells most of the target by
            itself, or ``"together"``, those that tell most together; of two spaces all pairs of layers are tried. A
            single space is always read at the layer that tells most by itself.
        rare: What becomes of classes of a single item, which cannot be both fitted on and held out: ``"refuse"``,
            ``"leave out"`` their items, or ``"join"`` them into one class.
        names: Space -> what its model is called.
        seed: Seed of splits, controls, training and bootstrap.
        alpha: Intervals over splits and held-out items cover 1 - alpha.
        draws: Bootstrap samples of these.
        memory: Working memory, such as ``"4GB"`` or bytes.
        show: How progress is shown, as for `isomorph.show_progress`.

    Returns:
        A `Fusion`: a mapping from head to `HeadScores`. Chance of every score is that of knowing only the shares of the
        classes or the mean.

    Raises:
        InputError: if spaces do not fit each other or the target, the target is constant or has a class of one item, or
            a setting makes no sense.
        UnknownNameError: if a head is not known.

    Source: the survey's fusion head (arXiv 2510.05184); Shapley values over spaces; Nadeau and Bengio 2003 for the p of
    a gain; Ince 2017 and Xu et al. 2020 for the interaction.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 200, 4))
        >>> classes = (x[:, 0] + y[:, 0] > 0).astype(int)  # half of it is in either space
        >>> found = iso.fuse({"x": x, "y": y}, classes, heads=["concat"], repeats=3)
        >>> {name: round(single.score.value, 1) for name, single in found.singles.items()}
        {'x': 0.8, 'y': 0.8}
        >>> found["concat"].score.value > 0.9, found["concat"].above_controls
        (True, True)
    """
    settings = FuseSettings(
        heads=heads,
        score=score,
        groups=groups if isinstance(groups, str) else None,
        by=by,
        test_fraction=test_fraction,
        repeats=repeats,
        seed=seed,
        alpha=alpha,
        draws=draws,
        controls=controls,
        layers=layers,
        rare=rare,
        memory=memory,
    )
    check_name(target_name, "target_name")
    for argument, beside in (("baselines", baselines), ("seconds", seconds)):
        check_type(beside, argument, Mapping, "a mapping from space to features")
    tokens = _Tokens()
    sides, left_out = _sides(spaces, names, tokens)
    first = next(iter(sides.values()))
    ids = next((s.ids for s in sides.values() if s.ids is not None), None)
    goal, rows, called, told = read_target(target, target_kind, items, ids, first.n, rare)
    decided_by = settings.score or DECIDES[goal.kind]
    check_choice(decided_by, "score", NAMES[goal.kind])
    group = _taken(_groups(items, groups, ids, first.n), rows)
    label = _labels(items, goal, by, ids, first.n, rows)
    shown = tuple(str((ids or range(first.n))[i]) for i in rows)
    splits, _ = splits_of(
        goal.n,
        by=by,
        labels=label,
        groups=group,
        fraction=test_fraction,
        repeats=repeats,
        seed=settings.seed,
        test=test,
        ids=shown,
    )
    twins, others = (
        {name: _beside(sides, name, tokens.flat(f, argument, name), argument) for name, f in (given or {}).items()}
        for argument, given in (("baselines", baselines), ("seconds", seconds))
    )
    with limited(memory):
        work = Work(
            {name: tokens.arrays(side, rows, "spaces", name) for name, side in sides.items()},
            goal,
            settings.heads,
            {name: tokens.arrays(side, rows, "baselines", name) for name, side in twins.items()},
            {name: tokens.arrays(side, rows, "seconds", name) for name, side in others.items()},
            group,
            decided_by,
            settings.controls,
            settings.layers == "together",
            settings.seed,
        )
        work.require_blocks()
        with progress(len(splits) * work.fits, f"fuse {' + '.join(sides)}", unit="fits", show=show) as advance:
            found = run_splits(work, splits, advance)
        bootstrap = Bootstrap(splits, group, goal.n, draws, 1 - alpha, settings.seed)
        result = _assembled(work, found, splits, bootstrap, shown)
    given = {name: dict(side.facts) for name, side in sides.items()}
    models = {"baselines": {n: s.name for n, s in twins.items()}, "seconds": {n: s.name for n, s in others.items()}}
    return dataclasses.replace(
        result,
        target=target_name or called,
        notes=(*left_out, *told, *tokens.notes(settings.heads), *result.notes),
        by=by,
        test_fraction=float(test_fraction),
        models={name: side.name for name, side in sides.items()},
        conditions=_conditions(work, twins, others),
        dataset=items.name if items is not None else str(first.facts.get("dataset", "")),
        provenance=provenance(
            call="fuse",
            spaces=given,
            target=target_name or called,
            grouped=group is not None,
            **models,
            **(settings.facts() | {"repeats": len(splits)}),
        ),
    )


def _assembled(
    work: Work, found: Sequence[Found], splits: Sequence[Any], bootstrap: Bootstrap, ids: Sequence[str]
) -> Fusion:
    decided_by = work.decided_by
    singles = {name: single_scores(name, found, decided_by, bootstrap) for name in work.spaces}
    ratio = float(np.mean([len(s.test) / len(s.train) for s in splits]))
    linear = work.target.kind == "rows"
    return Fusion(
        heads={h.spec: head_scores(h, found, ratio, decided_by, bootstrap) for h in work.heads},
        singles=singles,
        target="",
        target_kind=work.target.kind,
        names=work.target.names,
        decided_by=decided_by,
        n=work.target.n,
        widths={name: int(work.spaces[name][usual(s.layers)].shape[-1]) for name, s in singles.items()},
        n_train=tuple(len(s.train) for s in splits),
        n_test=tuple(len(s.test) for s in splits),
        by="item",
        test_fraction=0.0,
        seed=work.seed,
        level=bootstrap.level,
        interactions={} if linear else interactions(found, work.heads, bootstrap),
        layers={name: tuple(f.layers[name] for f in found) for name in work.spaces},
        layer_pairs=_layer_pairs(work, found),
        conflicts=conflicts(found[0], work.heads, ids, [int(i) for i in splits[0].test]),
        notes=tuple(dict.fromkeys(note for f in found for note in f.notes)),
    )


def _layer_pairs(work: Work, found: Sequence[Found]) -> LayerPairs | None:
    """What every pair of layers of two spaces explains of items left out, where that was asked for."""
    each = [f.explained for f in found if f.explained is not None]
    if not each:
        return None
    (x, xs), (y, ys) = work.spaces.items()
    return {"x": x, "y": y, "x_layers": tuple(xs), "y_layers": tuple(ys), "explained": np.mean(each, axis=0)}


class _Tokens:
    """Which layers were given as several tokens an item, and how many: they pass the gate as long rows."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, ...], tuple[int, ...]] = {}

    def flat(self, given: Any, *where: str) -> Any:
        """What a user gave, with tokens (n, tokens, d) as rows (n, tokens * d)."""
        if isinstance(given, Mapping) and not isinstance(given, Layers):
            return {layer: self._flat(array, (*where, str(layer))) for layer, array in given.items()}
        return self._flat(given, where)

    def _flat(self, array: Any, where: tuple[str, ...]) -> Any:
        shape: tuple[int, ...] = tuple(getattr(array, "shape", ()))
        if len(shape) != 3 or 0 in shape:
            return array
        self._shapes[where] = tuple(map(int, shape[1:]))
        return array.reshape(shape[0], -1)

    def arrays(self, side: Side, rows: Codes, *where: str) -> dict[str, Matrix]:
        """The layers of a side, of some of the items, with their tokens."""
        found = {}
        for layer in side.layers:
            array = side.rows(layer)
            if isinstance(array, np.ndarray):
                array = np.asarray(to_numpy(side.features(layer)), dtype=np.float64)
            array = array if len(rows) == side.n else array[rows]
            shape = self._shapes.get((*where, layer)) or self._shapes.get(where)
            found[layer] = array if shape is None else array.reshape(len(array), *shape)
        return found

    def notes(self, heads: Sequence[Head]) -> list[str]:
        """What is read of tokens, in words."""
        spaces = sorted({where[1] for where in self._shapes if where[0] == "spaces"})
        if not spaces:
            return []
        readers = listed([head.spec for head in heads if head.tokens]) or "no head here"
        has = f"{listed(spaces)} {'has' if len(spaces) == 1 else 'have'} several tokens an item"
        return [f"{has}: {readers} reads them, all else reads their mean."]


def _sides(spaces: Any, names: Mapping[str, str] | None, tokens: _Tokens) -> tuple[dict[str, Side], list[str]]:
    """The spaces with the same items in the same order, and how many items of each were left out.

    Raises:
        InputError: if they are no mapping of two to six spaces, or have no item in common.
    """
    if not isinstance(spaces, Mapping):
        raise InputError(f"spaces must be features by name, such as {{'image': x, 'text': y}}, found {quoted(spaces)}.")
    if not 2 <= len(spaces) <= _MOST:
        raise InputError(f"spaces holds {len(spaces)}: between 2 and {_MOST} are fused, by name.")
    if not all(isinstance(name, str) and name for name in spaces):
        raise InputError(f"spaces must be named by texts, found {quoted(list(spaces))}.")
    check_type(names, "names", Mapping, "a mapping from space to what its model is called")
    if names is not None and (odd := sorted(set(map(str, names)) - set(spaces))):
        raise InputError(f"names={quoted(odd[0])} is no space; there are {', '.join(spaces)}.")
    given = {name: tokens.flat(layers, "spaces", name) for name, layers in spaces.items()}
    sides = {name: as_side(layers, name, (names or {}).get(name)) for name, layers in given.items()}
    return all_joined(sides)


def _beside(sides: Mapping[str, Side], name: str, given: Any, argument: str) -> Side:
    """What takes the place of a space, or stands beside it, with its items.

    Raises:
        InputError: if there is no such space, or it lacks some of the items.
    """
    if name not in sides:
        raise InputError(f"{argument}={quoted(name)} is no space; there are {', '.join(sides)}.")
    space = sides[name]
    own, found = joined(space, as_side(given, f"{argument}[{name!r}]", None))
    if own.n != space.n:
        raise InputError(f"{argument}[{name!r}] lacks {space.n - own.n} of the {space.n} items that {name} has.")
    return found


def _taken(codes: Codes | None, rows: Codes) -> Codes | None:
    """The codes of some of the items, numbered anew."""
    return None if codes is None else np.unique(codes[rows], return_inverse=True)[1]


def _groups(items: PairedItems | None, groups: Any, ids: Sequence[str] | None, n: int) -> Codes | None:
    known = matching(items, ids, n)
    given = known.groups if groups is None and known is not None else groups
    labels = read_labels(known, given, n, "groups", ids)
    return None if labels is None else coded(labels, n, "groups", "text")


def _labels(
    items: PairedItems | None, target: Target, by: str, ids: Sequence[str] | None, n: int, rows: Codes
) -> Codes | None:
    """The labels that are held out whole.

    Raises:
        InputError: if these are the classes that are to be told.
    """
    if by != "label":
        return None
    known = matching(items, ids, n)
    if known is None or not known.labels:
        raise InputError("by='label' holds out whole labels of items=, which have none. Use by='item'.")
    label = _taken(coded(next(iter(known.labels.values())), n, "labels", "text"), rows)
    assert label is not None
    if target.kind == "classes" and len(set(zip(label.tolist(), target.values.tolist(), strict=True))) == len(
        set(target.values.tolist())
    ):
        raise InputError("by='label' would hold out classes that no item fitted on has; use by='item' or 'group'.")
    return label


def _conditions(work: Work, twins: Mapping[str, Side], others: Mapping[str, Side]) -> tuple[Condition, ...]:
    given = {f"{n} untrained": s.name for n, s in twins.items()} | {
        f"{n} + second {n}": s.name for n, s in others.items()
    }
    names = control_names(work) if work.controls else []
    return tuple(Condition(CONTROL, name, given=given.get(name, "")) for name in names)
