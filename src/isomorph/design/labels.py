"""Labels and groups: when two are the same, and their numbers.

Labels are texts: files hold them as texts and results are keyed by them. The label 1 of an array and the label ``"1"``
of a table are therefore one label, in every room.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence, Set
from numbers import Real
from typing import Any, Literal

import numpy as np

from .._core.arrays import to_numpy
from .._core.frames import by_index
from ..errors import InputError

Codes = np.ndarray[Any, np.dtype[np.int64]]
Labels = Sequence[Hashable] | np.ndarray[Any, Any]


def label_text(label: Any) -> str:
    """The text by which a label is known; numbers that are equal have one text, so that 1.0 is ``"1"``.

    Example:
        >>> [label_text(v) for v in (1, 1.0, "1", 1.5)]
        ['1', '1', '1', '1.5']
    """
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, Real) and not isinstance(label, bool) and math.isfinite(label) and label == math.floor(label):
        return str(math.floor(label))
    return str(label)


def as_labels(labels: Any, n: int, name: str, ids: Sequence[str] | None = None) -> list[str]:
    """The texts of one label an item, checked.

    Args:
        labels: A list, tuple or array, also of another array library; a text is one label a letter. Those of a series
            with an index are found by id.
        n: Number of items.
        name: The argument's name, for messages.
        ids: Ids of the items, if they have any.

    Raises:
        InputError: if they are no such thing, are not one an item, one is missing or is no label, or an index does not
            fit the ids.

    Example:
        >>> as_labels([1, "1", 2], 3, "groups")
        ['1', '1', '2']
    """
    return [label_text(label) for label in _checked(labels, n, name, ids)]


def coded(
    labels: Any,
    n: int,
    name: str,
    order: Literal["seen", "text", "value"] = "seen",
    ids: Sequence[str] | None = None,
) -> Codes:
    """Labels as whole numbers from 0.

    The order decides which labels a seed draws; each caller keeps the one that it has always had.

    Args:
        labels: As in `as_labels`.
        n: Number of items.
        name: The argument's name, for messages.
        order: Numbered ``"seen"``: as they first occur; ``"text"``: sorted by their texts (``"10"`` before ``"2"``);
            ``"value"``: numbers by size, all else by text.
        ids: As in `as_labels`.

    Raises:
        InputError: as `as_labels`.

    Example:
        >>> [coded([10, 2, 10], 3, "groups", order).tolist() for order in ("seen", "text", "value")]
        [[0, 1, 0], [0, 1, 0], [1, 0, 1]]
    """
    return named(labels, n, name, order, ids)[0]


def named(
    labels: Any,
    n: int,
    name: str,
    order: Literal["seen", "text", "value"] = "text",
    ids: Sequence[str] | None = None,
) -> tuple[Codes, tuple[str, ...]]:
    """`coded`, and the text of each number.

    Raises:
        InputError: as `as_labels`.

    Example:
        >>> codes, names = named(["dog", "cat", "dog"], 3, "labels")
        >>> codes.tolist(), names
        ([1, 0, 1], ('cat', 'dog'))
    """
    values = _checked(labels, n, name, ids)
    texts = [label_text(value) for value in values]
    distinct = list(dict.fromkeys(texts))
    if order == "value" and all(isinstance(value, Real) for value in values):
        size = dict(zip(texts, values, strict=True))
        distinct.sort(key=lambda text: size[text])  # type: ignore[arg-type, return-value]  # all are real numbers
    elif order != "seen":
        distinct.sort()
    number = {text: k for k, text in enumerate(distinct)}
    return np.array([number[text] for text in texts], dtype=np.int64), tuple(distinct)


def rows_by_code(codes: Codes) -> list[Codes]:
    """The rows of each code, ascending, by code.

    Example:
        >>> [rows.tolist() for rows in rows_by_code(coded("abab", 4, "labels"))]
        [[0, 2], [1, 3]]
    """
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _checked(labels: Any, n: int, name: str, ids: Sequence[str] | None) -> list[Hashable]:
    labels = by_index(labels, ids, name)
    if hasattr(labels, "__array__"):
        labels = to_numpy(labels).tolist()
    if isinstance(labels, bytes | Mapping | Set) or not isinstance(labels, Sequence):
        raise InputError(
            f"{name} must be a list or array with one label an item, in the order of the items, found "
            f"{type(labels).__name__}."
        )
    if len(labels) != n:
        raise InputError(f"{name} has {len(labels)} labels for {n} items; one each is needed.")
    for i, label in enumerate(labels):
        if not isinstance(label, Hashable) or label is None or (isinstance(label, Real) and math.isnan(label)):
            raise InputError(
                f"{name}[{i}] is {label!r}: a label must be a text or a number, and none may be missing. Leave that "
                "item out, or give it a label of its own."
            )
    return list(labels)
