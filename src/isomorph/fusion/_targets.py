"""What is to be predicted, out of what a user gives: a label set, classes, labels, numbers or rows of a space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from .._core.arrays import as_features, to_numpy
from .._core.checks import check_choice
from .._core.frames import by_index
from ..datasets import GROUPS, PairedItems, matching, read_labels
from ..design import Codes, as_labels, named
from ..errors import InputError, quoted
from ..heads import KINDS, Target
from ..store import Layers

OTHER = "other"
RARE = ("refuse", "leave out", "join")


class Found(NamedTuple):
    """A target: of which rows it is, what it is called, and what was done about rare classes."""

    target: Target
    rows: Codes
    called: str
    notes: tuple[str, ...] = ()


def read_target(
    given: Any, kind: str | None, items: PairedItems | None, ids: Sequence[str] | None, n: int, rare: str = "refuse"
) -> Found:
    """The target of n items.

    Args:
        given: The name of a label set of `items`, or several of them; one class, number or collection of labels an
            item; labels as 0 and 1 (n, k); numbers (n, k); `Layers` of one layer; or a `Target`.
        kind: As in `Target`, or None: told by what it looks like.
        items: The items, where names of label sets lead.
        ids: Ids of the items, or None.
        n: Number of items.
        rare: What becomes of classes of a single item, as in `fuse`.

    Raises:
        InputError: if it is no such thing, is not one an item, or nothing can be learned of it.
    """
    check_choice(kind, "target_kind", (None, *KINDS))
    items = matching(items, ids, n)
    called = "target"
    if isinstance(given, str) or _are_names(given, items):
        called = given if isinstance(given, str) else " + ".join(given)
        given, kind = _from_items(given, items, n, kind)
    if isinstance(given, Layers) and ids is not None:
        given = given.subset(ids)
    found = given if isinstance(given, Target) else _made(by_index(given, ids, "target"), kind)
    if found.n != n:
        raise InputError(f"target has {found.n} items, the spaces have {n} in common; one each is needed.")
    answer = Found(found, np.arange(n), called)
    if rare != "refuse" and found.kind == "classes":
        answer = _without_rare(answer, rare)
    _check(answer.target, called, ids)
    return answer


def _without_rare(given: Found, rare: str) -> Found:
    """The target without classes of a single item."""
    target = given.target
    counts = np.bincount(target.values, minlength=len(target.names))
    single = np.flatnonzero(counts == 1)
    if not single.size or len(single) == target.n:
        return given
    kept = np.flatnonzero(counts != 1)
    names = [target.names[c] for c in kept]
    place = np.full(len(counts), -1)
    place[kept] = np.arange(len(kept))
    values, rows = place[target.values], given.rows
    if rare == "join":
        other = OTHER if OTHER not in names else f"{OTHER} ({len(single)} classes)"
        names.append(other)
        values = np.where(values < 0, len(kept), values)
        note = f"{len(single)} classes of {given.called} have a single item; together they are the class {other!r}."
    else:
        rows = rows[values >= 0]
        values = values[values >= 0]
        note = f"{len(single)} items are alone in their class of {given.called} and were left out."
    return Found(Target("classes", values, tuple(names)), rows, given.called, (note,))


def _are_names(given: Any, items: PairedItems | None) -> bool:
    return (
        items is not None
        and isinstance(given, (list, tuple))
        and bool(given)
        and set(map(str, given)) <= {*items.labels}
    )


def _from_items(given: Any, items: PairedItems | None, n: int, kind: str | None) -> tuple[Any, str]:
    if items is None:
        raise InputError(
            f"target={quoted(given)} names a label set of items=, which were not given. Give them, such as "
            "items=iso.load_dataset(…), or give one class an item."
        )
    if isinstance(given, str):
        name = GROUPS if given in ("group", GROUPS) and given not in items.labels else given
        return read_labels(items, name, n, "target"), kind or "classes"
    return [[f"{name}: {items.labels[name][i]}" for name in given] for i in range(n)], "labels"


def _made(given: Any, kind: str | None) -> Target:
    if isinstance(given, Layers):
        if len(given) != 1:
            raise InputError(f"target holds {len(given)} layers; give one, such as layers['{next(iter(given))}'].")
        given, kind = next(iter(given.values())), kind or "rows"
    if _is_collections(given):
        return _labels(given)
    array = np.asarray(to_numpy(given)) if hasattr(given, "__array__") or hasattr(given, "__dlpack__") else None
    if array is None and isinstance(given, (list, tuple)):
        array = np.asarray(given, dtype=object if any(isinstance(v, str) for v in given) else None)
    if array is None:
        raise InputError(f"target must be one class, number or row an item, found {type(given).__name__}.")
    if array.size == 0 or array.ndim == 0:
        raise InputError(f"target={quoted(given)} holds no items: one class, number or row of each is needed.")
    if kind is None:
        kind = _guessed(array)
    if kind == "classes":
        codes, names = named(array if array.ndim == 1 else array.tolist(), len(array), "target", "value")
        return Target("classes", codes, names)
    if kind == "labels":
        return _labels(array)
    rows = array.reshape(len(array), -1) if array.ndim < 2 else array
    values = np.asarray(to_numpy(as_features(rows, "target")), dtype=np.float64)
    return Target(kind, values, tuple(str(j) for j in range(values.shape[1])) if kind == "numbers" else ())  # type: ignore[arg-type]  # one of KINDS


def _guessed(array: Any) -> str:
    if array.ndim == 2 and array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all() and array.shape[1] > 1:
        return "labels"
    return "numbers" if array.ndim == 2 or array.dtype.kind == "f" else "classes"


def _is_collections(given: Any) -> bool:
    return (
        isinstance(given, (list, tuple))
        and len(given) > 0
        and all(isinstance(v, (Set, list, tuple)) for v in given)
        and all(isinstance(label, str) for v in given for label in v)
    )


def _labels(given: Any) -> Target:
    if isinstance(given, np.ndarray):
        if given.ndim != 2 or given.dtype.kind not in "biuf" or not np.isin(given, (0, 1)).all():
            raise InputError(
                "target of labels must be 0 and 1 of shape (n_items, n_labels), or the labels of each item."
            )
        return Target("labels", given.astype(np.float64), tuple(str(j) for j in range(given.shape[1])))
    names = sorted({str(label) for item in given for label in item})
    place = {name: j for j, name in enumerate(names)}
    values = np.zeros((len(given), len(names)))
    for i, item in enumerate(given):
        for label in item:
            values[i, place[str(label)]] = 1.0
    return Target("labels", values, tuple(names))


def _check(target: Target, called: str, ids: Sequence[str] | None) -> None:
    """Refuse what nothing can be learned of.

    Raises:
        InputError: if it is constant, a class or label has fewer than two items, or every item is a class of its own.
    """
    if target.is_linear:
        if not np.ptp(target.values, axis=0).any():
            raise InputError(f"The target {called!r} is constant: all items have the same numbers. Choose another one.")
        return
    if target.kind == "labels":
        share = target.values.mean(axis=0)
        odd = [name for name, s in zip(target.names, share, strict=True) if s in (0.0, 1.0)]
        if odd:
            raise InputError(f"The label {quoted(odd[0])} is of no item or of all; leave it out.")
        counts = dict(zip(target.names, target.values.sum(axis=0).astype(int), strict=True))
    else:
        counts = Counter(target.names[c] for c in target.values)
        if len(counts) < 2:
            raise InputError(f"The target {called!r} is constant: all items are of one class. Choose another one.")
        if len(counts) == target.n:
            same = ids is not None and tuple(as_labels(target.names, target.n, "ids")) == tuple(sorted(ids))
            raise InputError(
                f"The target {called!r} gives every item a class of its own"
                f"{': they are the ids' if same else ''}, so that no item says anything of another. Give what items "
                "have in common."
            )
    rare = sorted((c, name) for name, c in counts.items() if c < 2)
    if rare:
        raise InputError(
            f"The class {quoted(rare[0][1])} of {called!r} has a single item, which cannot be both fitted on and held "
            f"out{f' ({len(rare)} such classes)' if len(rare) > 1 else ''}. Leave such items out (rare='leave out') or "
            "make one class of them (rare='join')."
        )
