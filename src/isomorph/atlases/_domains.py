"""Kinds of items (domains) on which the models are compared by themselves as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import take_rows
from ..conditions import Side, check_shifts
from ..datasets import PairedItems, matching, read_labels
from ..design import Codes, Design, coded, named
from ..errors import InputError, UnknownNameError, quoted
from ..metrics import Metric
from ..significance import orders_for
from ._compare import Plan


def domains_of(
    given: Any,
    items: PairedItems | None,
    ids: Sequence[str] | None,
    n: int,
    *,
    design: Design,
    metrics: Sequence[Metric[Any]],
    alpha: float,
) -> dict[str, Codes]:
    """Domain -> the rows of its items; empty for None.

    Args:
        given: One label an item, the name of a label set of `items`, or ``"LABELSET=VALUE"`` for the items of that
            value against all others.
        items: Where names of label sets lead.
        ids: Ids of the rows, or None.
        n: Number of items.
        design: How items may change places.
        metrics: What will be computed on each domain.
        alpha: Level that p-values must be able to reach.

    Raises:
        InputError: if the labels do not fit, there are fewer than two, a domain has too few items, or it cuts a group
            or a series.
        UnknownNameError: if no item has that value.

    Example:
        >>> domains_of(list("aabb"), None, None, 4, design=Design(), metrics=(), alpha=0.05)["b"].tolist()
        [2, 3]
    """
    if given is None:
        return {}
    labels, first = _labels(given, items, ids, n)
    codes, names = named(labels, n, "domains", "seen")
    if len(names) < 2:
        raise InputError(f"domains: all items are {quoted(names[0])}; two kinds of items or more are needed.")
    order = sorted(range(len(names)), key=lambda k: names[k] != first)
    rows = {names[k]: np.flatnonzero(codes == k) for k in order}
    group = None if design.groups is None else coded(design.groups, n, "groups")
    least = 2 * min((m.min_items for m in metrics), default=1)
    for name, own in rows.items():
        if len(own) < least:
            raise InputError(
                f"domains: {quoted(name)} has {len(own)} items, and {least} are needed: half of them choose layers for "
                "the other half. Take wider domains, or more items."
            )
        if group is not None and np.isin(group[codes != codes[own[0]]], group[own]).any():
            raise InputError(
                f"domains: a group of items is in {quoted(name)} and in another domain, so that the two are not "
                "independent; give all items of a group one domain."
            )
        if design.series and own[-1] - own[0] >= len(own):
            raise InputError(
                f"domains: the items of {quoted(name)} are no single stretch of the series (circular=True); give each "
                "stretch as a group, groups=."
            )
        part = design.take(own)
        try:
            check_shifts(part, len(own), alpha)
            part.orders(len(own), 0, 0)
        except InputError as error:
            raise InputError(f"domains: {quoted(name)}: {error}") from error
    return rows


def _labels(given: Any, items: PairedItems | None, ids: Sequence[str] | None, n: int) -> tuple[Any, str]:
    """One label an item, and which comes first if it is not that of the first item.

    Raises:
        UnknownNameError: if no item has the value of ``"LABELSET=VALUE"``.
    """
    items = matching(items, ids, n)
    if not isinstance(given, str) or "=" not in given or (items is not None and given in items.labels):
        return read_labels(items, given, n, "domains", ids), ""
    name, _, value = given.partition("=")
    found = read_labels(items, name, n, "domains", ids) or ()
    if value not in found:
        raise UnknownNameError(f"value of {name} in domains", value, dict.fromkeys(found))
    return [value if label == value else f"not {value}" for label in found], value


def restricted(plan: Plan, rows: Codes) -> Plan:
    """The plan on some of the items; the scores of all layers are not kept of it."""
    design, taken = plan.design.take(rows), [_taken(side, rows) for side in plan.sides]
    return dataclasses.replace(
        plan,
        sides=taken,
        orders=orders_for(design, len(rows), len(plan.orders), plan.settings.seed),
        design=design,
        units=np.unique(plan.units[rows], return_inverse=True)[1],
        keep=None,
    )


def _taken(side: Side, rows: Codes) -> Side:
    layers: Mapping[str, Any] = {name: take_rows(side.features(name, rdms=True), rows) for name in side.layers}
    ids = None if side.ids is None else tuple(side.ids[int(k)] for k in rows)
    return dataclasses.replace(side, layers=layers, ids=ids, checked=set(), dims={})
