"""What a reader of a scan's p-values must know about its items: copies, near copies, and what a design rules out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from .._core.rdm import Rdm
from ..conditions.sides import Side
from ..design import rows_by_code
from ..metrics import Metric
from ..metrics.rdm import is_square_rdm
from ..significance import Design, duplicates

NEAR = 0.01  # two items this close, over the typical distance, are as good as one
NEAR_ITEMS = 10_000  # above this the distances of all pairs would take longer than many a scan

MOSTLY_MEAN = 0.5  # share of the mean squared length from which on the mean of all items decides cosines
MEAN_ITEMS = 2_000  # as many items or so tell that share

Sets = Sequence[tuple[int, ...]]
Codes = np.ndarray[Any, np.dtype[np.int64]]


def notes(
    given: Sequence[Side], left: Side, right: Side, design: Design, alpha: float, metrics: Sequence[Metric[Any]] = ()
) -> tuple[str, ...]:
    """All notes, each a sentence or two that begin with what they are about.

    Args:
        given: Both sides as they were given.
        left: The side x as it was scanned.
        right: The side y as it was scanned.
        design: How items were permuted.
        alpha: The level.
        metrics: The metrics of the scan.
    """
    features = _without_rdms(left), _without_rdms(right)
    about_items = (*_unpaired(given, left.n), *_design(left.n, design, alpha), *_copies(left, right, design))
    return (*about_items, *_given_rdms(left, right), *_offsets(*features, metrics), *_rdms(*features))


def _without_rdms(side: Side) -> Side:
    """The side without the layers that were given as RDMs."""
    of_features = {k: side.layers[k] for k in side.layers if k not in side.rdms}
    return dataclasses.replace(side, layers=of_features) if side.rdms else side


def _given_rdms(left: Side, right: Side) -> list[str]:
    """Which sides are RDMs, and how many dissimilarities these lack."""
    found = []
    for side in (left, right):
        if side.rdms:
            measure = side.facts.get("dissimilarity") or "measure not given"
            found.append(
                f"{side.name} is RDMs ({len(side.rdms)}, {measure}), compared as they are: what the metric says of how "
                "RDMs are made, dissimilarity= for one, is not of them; their d is the number of items."
            )
        lost = {layer: side.features(layer, rdms=True).missing for layer in side.rdms}
        lost = {layer: count for layer, count in lost.items() if count}
        if lost:
            pairs, worst = side.n * (side.n - 1) // 2, max(lost, key=lambda layer: lost[layer])
            found.append(
                f"{side.name} lacks dissimilarities in {len(lost)} of its {len(side.rdms)} RDMs, most in {worst!r} "
                f"({lost[worst]:,} of {pairs:,}). Each comparison leaves out those that one of its two RDMs lacks; "
                "because of them no score here has an exact null or an interval, and p is from sampled permutations."
            )
    return found


def _offsets(left: Side, right: Side, metrics: Sequence[Metric[Any]]) -> list[str]:
    """Which sides have a mean that all items share and that metrics of angles read."""
    read = [m.spec for m in metrics if m.parameters.get("centered") is False and "translation" not in m.invariances]
    if not read:
        return []
    found = []
    for side in (left, right):
        shares = {layer: _mean_share(side.features(layer)) for layer in side.layers}
        most = {layer: share for layer, share in shares.items() if share > MOSTLY_MEAN}
        if most:
            worst = max(most, key=lambda layer: most[layer])
            found.append(
                f"The mean of all items carries {most[worst]:.0%} of the squared length of the features of {side.name} "
                f"(layer {worst!r}; more than half in {len(most)} of {len(shares)} layers), so that all cosines are "
                f"alike and {', '.join(read)} read what is left beside it. centered=True takes the mean out."
            )
    return found


def _mean_share(features: Any) -> float:
    """Squared length of the mean of the items over their mean squared length."""
    x = np.asarray(to_numpy(features))[:: max(1, len(features) // MEAN_ITEMS)].astype(np.float64)
    x = x / (np.abs(x).max() or 1.0)
    total = float(np.mean(np.sum(x * x, axis=1)))
    return float(np.sum(x.mean(axis=0) ** 2)) / total if total > 0 else 0.0


def _rdms(left: Side, right: Side) -> list[str]:
    """Which sides look like RDMs that were given as features."""
    found = []
    for side in (left, right):
        layers = [repr(layer) for layer in side.layers if is_square_rdm(to_numpy(side.features(layer)))]
        if layers:
            found.append(
                f"{side.name} is square and symmetric with a zero diagonal ({', '.join(layers[:3])}): RDMs, by their "
                "looks, read as features. If they are RDMs, give iso.RDMs.from_arrays(x) in their place."
            )
    return found


def _unpaired(given: Sequence[Side], n: int) -> list[str]:
    left_out = [f"{side.n - n:,} of the {side.n:,} items of {side.name}" for side in given if side.n > n]
    return [f"{' and '.join(left_out)} have no partner by id and were left out."] if left_out else []


def _design(n: int, design: Design, alpha: float) -> list[str]:
    found = []
    if design.series:
        found.append(
            "The items are one series, so that none is independent of the others: no intervals over items are given, "
            "and differences from baselines are not tested."
        )
    digits = design.log10_distinct(n)
    if 10**-digits > alpha:
        found.append(
            f"Items {design} can stand in {10**digits:.0f} orders only, so that hardly any p can fall below "
            f"{10**-digits:.2g}."
        )
    return found


def _copies(left: Side, right: Side, design: Design) -> list[str]:
    """Which items are copies or near copies on one side, and how many on both, which alone concerns p-values."""
    if design.circular:  # neighbours in a smooth series are near copies, and shifts keep them together
        return []
    found, same = [], [_alike(side, 0.0) for side in (left, right)]
    close = [_alike(side, NEAR) for side in (left, right)] if left.n <= NEAR_ITEMS else same
    for side, exact, near in zip((left, right), same, close, strict=True):
        sets = _apart(_sets(exact), design)
        if sets:
            found.append(f"{side.name} gives the same features to several items ({_shown(sets, side, ' = ')}).")
        more = [s for s in _apart(_sets(near), design) if s not in sets]
        if more:
            found.append(
                f"{side.name} gives nearly the same features, closer than {NEAR:.0%} of the typical distance, to "
                f"several items ({_shown(more, side, ' ≈ ')})."
            )
    if found:
        both = sum(len(s) - 1 for s in _apart(_sets(_joint(close)), design))
        found.append(
            f"{both} of the {left.n} items are copies of another, or nearly, on both sides. These are alike whatever "
            "the models are, so that p-values are too small, with many copies far too small: leave them out or give "
            "copies as groups."
            if both
            else "No item is a copy or near copy of another on both sides, so that p-values are not concerned."
        )
    if left.n > NEAR_ITEMS:
        found.append(
            f"Near copies were not looked for: that takes the distances of all pairs, and {left.n:,} items are more "
            f"than {NEAR_ITEMS:,}. iso.significance.duplicates(features, {NEAR}) looks for them."
        )
    return found


def _alike(side: Side, tolerance: float) -> Codes:
    """One label an item, shared by items that are alike in every layer."""
    label = np.arange(side.n)
    for number, layer in enumerate(reversed(list(side.layers))):
        own = _same_items(side.features(layer, rdms=True), tolerance)
        label = own if number == 0 else _joint([label, own])
        if not _sets(label):
            break
    return label


def _same_items(layer: Any, tolerance: float) -> Codes:
    """One label an item: copies have the same features, or in an RDM the same dissimilarities to all items."""
    if not isinstance(layer, Rdm):
        return duplicates(layer, tolerance).labels
    return np.arange(len(layer)) if layer.missing else duplicates(layer.square, tolerance).labels


def _joint(labels: Sequence[Codes]) -> Codes:
    return np.asarray(np.unique(np.stack(labels), axis=1, return_inverse=True)[1]).reshape(-1)


def _sets(label: Codes) -> Sets:
    """Rows that share a label, those of the first row first."""
    return sorted(tuple(int(i) for i in rows) for rows in rows_by_code(label) if len(rows) > 1)


def _apart(sets: Sets, design: Design) -> Sets:
    """The sets whose items may change places apart: copies inside one group keep together already."""
    groups = design.groups
    return sets if groups is None else [s for s in sets if len({groups[i] for i in s}) > 1]


def _shown(sets: Sets, side: Side, sign: str) -> str:
    ids = side.ids or tuple(map(str, range(side.n)))
    more = f" and {len(sets) - 3} more sets" if len(sets) > 3 else ""
    return ", ".join(sign.join(ids[i] for i in group[:3]) for group in sets[:3]) + more
