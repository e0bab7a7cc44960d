"""Reading what `stitch` is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.arrays import as_features, to_numpy
from .._core.checks import check_type
from ..conditions import Side
from ..datasets import PairedItems, read_labels
from ..design import coded, label_text, named
from ..errors import InputError
from ..store import Layers
from ._trials import Task


def read_task(
    items: PairedItems | None, labels: Any, groups: Any, prototypes: Any, right: Side, correction: str | None
) -> Task:
    """What held-out items are scored for.

    Args:
        items: The items in the order of the rows, or None: they have labels and groups if none are given.
        labels: One class an item, the name of a label set, or None.
        groups: One group an item, the name of a label set, or None.
        prototypes: Rows that stand for the classes, by class, or `Layers` whose ids are the classes, or None.
        right: The `y` side.
        correction: Correction for hubs.

    Raises:
        InputError: if they do not fit the items or each other.
    """
    n = right.n
    if items is not None:
        labels = next(iter(items.labels), None) if labels is None else labels
        groups = items.groups if groups is None else groups
    labels = read_labels(items, labels, n, "labels", right.ids)
    groups = read_labels(items, groups, n, "groups", right.ids)
    group = None if groups is None else coded(groups, n, "groups", "text")
    label, names = (None, ()) if labels is None else named(labels, n, "labels")
    if prototypes is not None:
        return Task(label, group, names, _prototypes(prototypes, right, names), correction)
    return Task(label, group, names, correction=correction)


def check_classes(task: Task) -> None:
    """Refuse classes that nothing would stand for.

    Raises:
        InputError: if there is a single class, or one has a single item or group and no prototype.
    """
    if task.labels is None or task.prototypes is not None:
        return
    unit = np.arange(len(task.labels)) if task.groups is None else task.groups
    for c, name in enumerate(task.label_names):
        if len(np.unique(unit[task.labels == c])) < 2:
            what = "item" if task.groups is None else "group"
            raise InputError(
                f"The class {name!r} has one {what}: when it is held out nothing stands for the class. Leave the class "
                "out, merge it with another, or give prototypes=."
            )
    if len(task.label_names) < 2:
        raise InputError(f"labels holds a single class, {task.label_names[0]!r}, so there is nothing to classify.")


def _prototypes(given: Any, right: Side, names: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """Rows of `y` that stand for the classes, in their order.

    Raises:
        InputError: if there are no classes, one has no row, or the rows are not of the one layer of `y`.
    """
    if not names:
        raise InputError("prototypes= stand for classes: give labels= as well, or items= that have some.")
    if len(right.layers) > 1:
        raise InputError(
            f"prototypes= belong to one layer of y, found {len(right.layers)}: pass the layer that is meant as y."
        )
    layer = next(iter(right.layers))
    if isinstance(given, Layers):
        if layer not in given:
            raise InputError(f"prototypes= has no layer {layer!r}; it has {', '.join(given)}.")
        table = dict(zip(given.ids, to_numpy(given[layer]), strict=True))
    else:
        check_type(given, "prototypes", Mapping, "a mapping from class to row of features, or Layers")
        table = {label_text(k): np.asarray(to_numpy(v)) for k, v in dict(given).items()}
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(f"prototypes= has nothing for {len(missing)} classes, such as {missing[0]!r}.")
    rows = to_numpy(as_features(np.stack([table[name] for name in names]), "prototypes")).astype(np.float64)
    width = next(iter(right.layers.values())).shape[1]
    if rows.shape[1] != width:
        raise InputError(f"prototypes= have {rows.shape[1]} features, y has {width}; they belong to one space.")
    return rows
