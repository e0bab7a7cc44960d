"""Fit a map from an old model's embeddings to a new one's, say what is lost by it, and when it must not be used."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.arrays import checked_once, to_numpy
from .._core.checks import check_name
from .._core.linalg import directions
from .._core.memory import limited, require
from .._core.progress import progress
from .._core.provenance import provenance
from ..conditions import Side, as_side, joined, lost_items
from ..datasets import PairedItems, matching, read_labels
from ..design import Codes, Split, coded
from ..errors import InputError, UnknownNameError
from ..heldout.bootstrap import Bootstrap
from ..heldout.holdout import splits_of
from ..heldout.scores import Scores
from ..maps import Map, make_map
from ..results import Migration
from ..store import Layers
from ._scores import migration_scores, pairing_p
from ._shift import fitted_shift
from .settings import MigrationSettings

Matrix = np.ndarray[Any, Any]
MOST_HELD_OUT = 5000
"""Pairs held out at the most: an index of more costs its square."""
UNIT = 2e-3
"""How far the length of a row may be from one where all are unit rows, in half precision."""
RETAINED, SURVIVING, PAIRED, COMMON = 0.9, 0.5, 0.01, 0.5
"""Below which share of the new model's own retrieval, and of its neighbours, is warned; above which p; and below which
share of items in common."""


@checked_once()
def fit_map(
    old: Any,
    new: Any,
    map: str | Map = "ridge",
    *,
    items: PairedItems | None = None,
    groups: Sequence[Any] | str | None = None,
    old_layer: str | None = None,
    new_layer: str | None = None,
    norms: str = "as_new",
    test_fraction: float = 0.2,
    test: Sequence[Any] | None = None,
    seed: int = 0,
    permutations: int = 999,
    alpha: float = 0.05,
    draws: int = 500,
    memory: str | int | None = None,
    old_name: str | None = None,
    new_name: str | None = None,
) -> Migration:
    """Fit a map that carries embeddings of an old model into the space of a new one, with its held-out loss.

    The map is fitted on a part of the pairs and scored on the others, as an index is used: do new queries find the
    right rows in an index of mapped old ones (``index.R@1``), do mapped old queries find them among new ones
    (``query.R@1``), and what does the new model give by itself (``own.R@1``)? Then it is fitted on all pairs and kept.

    Args:
        old: Embeddings of the old model (n, d_old): one array, `Layers`, or a file of them.
        new: Embeddings of the same items by the new model (n, d_new); `Layers` are joined by item id, arrays row by
            row.
        map: Spec of a map that predicts rows, such as ``"ridge"``, ``"orthogonal"`` or ``"low_rank(rank=64)"``.
        items: Where groups come from, by id, if they are not given.
        groups: One group an item, or the name of a label set of `items`. Groups are never parted between pairs fitted
            on and held out; the first held-out item of each is the query, and the others of its group are right.
        old_layer: Which layer of `old`, if it has several.
        new_layer: Which layer of `new`, if it has several.
        norms: Lengths of mapped rows: ``"unit"``, ``"free"``, or ``"as_new"`` (unit where all new rows are).
        test_fraction: Share of the pairs held out, of which at most 5,000 are.
        test: Ids or row numbers to hold out instead.
        seed: Seed of the split, the re-pairings and the bootstrap.
        permutations: Random re-pairings of the held-out pairs.
        alpha: Intervals over held-out pairs cover 1 - alpha.
        draws: Bootstrap samples of these.
        memory: Working memory, such as ``"4GB"`` or bytes; None takes what the machine has.
        old_name: What to call `old` in results.
        new_name: What to call `new`.

    Returns:
        A `Migration`: save it (``.save("map.json")``), apply it with `iso.apply_map`. Its ``warnings`` say why it
        should not be used: ``retrieval`` (less than 90 % of the new model's own R@10 above chance), ``neighbors`` (less
        than half of its neighbours survive), ``pairing`` (held-out pairs do not find each other: the rows are of
        different items), ``few_pairs`` (fewer than old features), ``few_in_common`` (less than half of the items are on
        both sides).

    Raises:
        InputError: if the sides do not fit each other, there are fewer pairs than the map needs, the map predicts
            nothing, groups leak between the parts, or a number is out of range.
        UnknownNameError: if there is no such layer or map.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> old, noise = np.random.default_rng(0).normal(size=(2, 300, 16))
        >>> fitted = iso.fit_map(old, old @ noise[:16] + noise, "ridge")
        >>> round(fitted["query.R@10"].value, 2), round(fitted.retained, 2), list(fitted.warnings)
        (1.0, 1.0, [])
        >>> iso.apply_map(iso.Migration.load(fitted.save("map.json")), old[:5]).rows.shape
        (5, 16)
    """
    settings = MigrationSettings(
        map=map, norms=norms, test_fraction=test_fraction, seed=seed, permutations=permutations, alpha=alpha,
        draws=draws, memory=memory, groups=groups if isinstance(groups, str) else None,
    )  # fmt: skip
    sides = (
        _one_layer(as_side(old, "old", old_name), "old", old_layer),
        _one_layer(as_side(new, "new", new_name), "new", new_layer),
    )
    left, right = _joined(*sides)
    ids = left.ids or right.ids
    group = _groups(matching(items, ids, left.n), groups, left.n, right.ids)
    (split, *_), _unit = splits_of(
        left.n,
        by="item" if group is None else "group",
        groups=group,
        fraction=min(float(test_fraction), MOST_HELD_OUT / left.n),
        repeats=1,
        seed=settings.seed,
        test=test,
        ids=ids or (),
    )
    width = _width(left) + _width(right)
    with limited(memory):
        require(
            4 * 8 * left.n * width,  # both sides in double precision, their parts, and what the fit makes of them
            f"Fitting a map on {left.n:,} items of {width:,} features, both sides together,",
            "Fit it on fewer, such as old.subset(ids) of some ten for each feature, or let iso.stitch fit in blocks.",
        )
        result = _migration(settings, left, right, split, group)
    return dataclasses.replace(
        result,
        warnings=_warnings(result, _width(left), max(s.n for s in sides)),
        notes=tuple(lost_items([("old", sides[0]), ("new", sides[1])], left.n)),
        provenance=provenance(
            call="fit_map",
            old=dict(left.facts),
            new=dict(right.facts),
            old_layer=next(iter(left.layers)),
            new_layer=next(iter(right.layers)),
            grouped=group is not None,
            **settings.facts(),
        ),
    )


def _migration(settings: MigrationSettings, left: Side, right: Side, split: Split, group: Codes | None) -> Migration:
    """The map and its scores, but for what speaks against it and how it was made."""
    x, y = _features(left), _features(right)
    unit = settings.norms == "unit" or (settings.norms == "as_new" and _are_unit(y))
    own = None if group is None else np.unique(group[split.test], return_inverse=True)[1].reshape(-1)
    m, target = len(split.test), _with_norms(y[split.test], unit)
    plain = [make_map("mean"), *([make_map("identity")] if x.shape[1] == y.shape[1] else [])]
    plain = [c for c in plain if c.name != settings.map.name]
    with progress(len(plain) + 2, f"map {left.name} → {right.name}", unit="fits") as advance:
        found: dict[str, Scores] = {}
        mapped = target
        for map in (*plain, settings.map):  # the map itself last, since its rows are needed once more
            mapped = _rows(_fresh(map).fit(x[split.train], y[split.train]), x[split.test], unit)
            found[map.name] = migration_scores(mapped, target, own)
            advance(1)
        kept = _fresh(settings.map).fit(x, y)
        advance(1)
    bootstrap = Bootstrap([Split(split.train, np.arange(m))], own, m, settings.draws, 1 - settings.alpha, settings.seed)
    scores = {name: {k: bootstrap.score([s]) for k, s in of.items()} for name, of in sorted(found.items())}
    return Migration(
        old_name=left.name,
        new_name=right.name,
        map=settings.map.spec,
        variant=settings.map.variant,
        learned=kept.learned(),
        unit=unit,
        scores=scores.pop(settings.map.name),
        controls=scores,
        p_value=pairing_p(mapped, target, own, settings.permutations, settings.seed),
        shift=fitted_shift(x[split.train], x[split.test]),
        warnings={},
        n=left.n,
        n_train=len(split.train),
        n_test=m,
        permutations=settings.permutations,
        seed=settings.seed,
        level=bootstrap.level,
    )


def _warnings(found: Migration, width: int, largest: int) -> dict[str, str]:
    """What speaks against using the map, in words, by name.

    Args:
        found: The map and its scores.
        width: Features of the old space.
        largest: Items of the larger side, before they were joined.
    """
    said = {}
    if found.p_value > max(PAIRED, 1 / (found.permutations + 1)):  # the least that so many can give
        said["pairing"] = (
            f"held-out rows of old and new find each other no more often than by chance (p {found.p_value:.2g}): they "
            "are of different items, or in another order. Join them by id; do not use this map."
        )
    if found.retained < RETAINED:
        worst = min(("index.R@10", "query.R@10"), key=lambda k: found[k].value)
        said["retrieval"] = (
            f"{worst} is {found[worst].value:.3f}, the new model's own {found['own.R@10'].value:.3f}: "
            f"{max(found.retained, 0):.0%} of it above chance is kept. Encode the items anew, or fit on more pairs."
        )
    if found["neighbors"].value < SURVIVING:
        said["neighbors"] = (
            f"{found['neighbors'].value:.0%} of the new model's 10 nearest neighbours survive: ranked lists change. "
            "Use the map to find a known item, not in place of the new model's lists."
        )
    if found.n_train < width:
        said["few_pairs"] = (
            f"{found.n_train:,} pairs were fitted on and old has {width:,} features: what was not seen is guessed. "
            f"Give at least {width:,} pairs to fit on."
        )
    if found.n < COMMON * largest:
        said["few_in_common"] = (
            f"only {found.n:,} of {largest:,} items are on both sides: look whether these stand for the others."
        )
    return said


# ---- sides -------------------------------------------------------------------------------------------------


def _one_layer(side: Side, which: str, layer: str | None) -> Side:
    """The side with a single layer.

    Raises:
        InputError: if it has several and none was chosen.
        UnknownNameError: if the one that was chosen is not there.
    """
    check_name(layer, f"{which}_layer")
    if layer is None and len(side.layers) > 1:
        raise InputError(
            f"{which} has {len(side.layers)} layers: {', '.join(side.layers)}. A map is fitted between two: name one "
            f"with {which}_layer={next(reversed([*side.layers]))!r}."
        )
    if layer is not None and layer not in side.layers:
        raise UnknownNameError(f"layer of {which}", str(layer), side.layers)
    chosen = layer or next(iter(side.layers))
    if chosen in side.rdms:
        raise InputError(f"{which} is an RDM, which says nothing of single rows; give embeddings (n, d).")
    if isinstance(side.layers, Layers):
        kept = Layers(
            {chosen: lambda: side.layers[chosen]}, side.layers.ids, encoder=side.layers.encoder,
            view=side.layers.view, ids_given=side.layers.ids_given,
        )  # fmt: skip
        return dataclasses.replace(side, layers=kept)
    return dataclasses.replace(side, layers={chosen: side.layers[chosen]})


def _joined(left: Side, right: Side) -> tuple[Side, Side]:
    """Both sides over the same items.

    Raises:
        InputError: if they have none in common, or unlike numbers of rows and no ids.
    """
    try:
        return joined(left, right)
    except InputError as error:
        raise InputError(f"old (x) and new (y) must be of the same items: {error}") from error


def _groups(items: PairedItems | None, groups: Any, n: int, ids: Sequence[str] | None) -> Codes | None:
    if groups is None and items is not None:
        groups = items.groups
    given = read_labels(items, groups, n, "groups", ids)
    return None if given is None else coded(given, n, "groups", "text")


def _features(side: Side) -> Matrix:
    (layer,) = side.layers
    return np.asarray(to_numpy(side.features(layer, min_items=4)), dtype=np.float64)


def _width(side: Side) -> int:
    return side.width(next(iter(side.layers)))


# ---- rows --------------------------------------------------------------------------------------------------


def _fresh(map: Map) -> Map:
    return type(map)(**map.get_params())


def _rows(fitted: Map, rows: Matrix, unit: bool) -> Matrix:
    return _with_norms(fitted.predict(rows), unit)


def _with_norms(rows: Matrix, unit: bool) -> Matrix:
    return directions(rows) if unit else rows


def _are_unit(rows: Matrix) -> bool:
    return bool(np.all(np.abs(np.linalg.norm(rows, axis=1) - 1) < UNIT))
