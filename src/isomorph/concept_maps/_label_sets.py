"""Which items are of which concept: label sets, sets by hand, and the words of texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..datasets import PairedItems, read_labels
from ..errors import InputError, quoted

WORDS = "words"
"""The label set of the words of the items' texts; an item is of as many concepts as it has words."""
LEAST_OF_WORD = 5

Codes = np.ndarray[Any, np.dtype[np.int64]]


class LabelSet(NamedTuple):
    """Concepts and their items.

    Attributes:
        name: The set.
        names: The concepts.
        rows: The items of each, ascending.
    """

    name: str
    names: tuple[str, ...]
    rows: tuple[Codes, ...]

    def weights(self, n: int) -> Any:
        """Weight of each item in the mean of each concept (concepts, n)."""
        out = np.zeros((len(self.names), n))
        for row, members in zip(out, self.rows, strict=True):
            row[members] = 1 / len(members)
        return out


def label_sets(
    items: PairedItems | None, labels: Any, n: int, ids: Sequence[str] | None
) -> tuple[list[LabelSet], list[str]]:
    """The label sets that were asked for, and in words what was left out.

    Args:
        items: Where names lead; by default its first label set is taken.
        labels: The name of a label set or several, one label an item, a mapping from set to one label an item, or from
            set to a mapping from concept to ids of its items; ``"words"`` are those of the items' texts.
        n: Number of items.
        ids: Their ids.

    Raises:
        InputError: if there is no such set, or nothing of it can be read.

    Example:
        >>> given = {"kind": ["cat", "dog", "cat"], "even": {"yes": ["0", "2"], "no": ["1"]}}
        >>> found, _ = label_sets(None, given, 3, None)
        >>> [(s.name, s.names, [rows.tolist() for rows in s.rows]) for s in found]
        [('kind', ('cat', 'dog'), [[0, 2], [1]]), ('even', ('yes', 'no'), [[0, 2], [1]])]
    """
    asked = _asked(items, labels, n)
    found, notes = [], []
    for name, given in asked.items():
        if isinstance(given, Mapping):
            found.append(_by_hand(name, given, n, ids))
        elif isinstance(given, str) and given == WORDS and (items is None or WORDS not in items.labels):
            words, note = _words(items)
            found.append(words)
            notes.append(note)
        else:
            what = f"labels[{name!r}]" if isinstance(labels, Mapping) else "labels"
            if isinstance(labels, Mapping) and isinstance(given, list | tuple) and len(given) != n:
                raise InputError(
                    f"{what} has {len(given)} entries for {n} items; one label an item is needed. Ids of the items of "
                    f"a concept are given as {{SET: {{{name!r}: ids, …}}}}, a mapping from label set to concepts."
                )
            own = read_labels(items, given, n, what, ids)
            assert own is not None  # something was given
            names = tuple(sorted(set(own)))
            at = {v: k for k, v in enumerate(names)}
            codes = np.array([at[v] for v in own])
            found.append(LabelSet(name, names, tuple(np.flatnonzero(codes == k) for k in range(len(names)))))
    for labelled in found:
        notes += _checked(labelled, n)
    return found, notes


def _asked(items: PairedItems | None, labels: Any, n: int) -> dict[str, Any]:
    """Label set -> what was given for it.

    Raises:
        InputError: if nothing was.
    """
    if labels is None:
        named = list(items.labels)[:1] if items is not None else []
        asked: dict[str, Any] = {name: name for name in named}
    elif isinstance(labels, str):
        asked = {labels: labels}
    elif isinstance(labels, Mapping):
        if not labels:
            raise InputError("labels is empty: give label sets by name, or leave it out.")
        asked = {str(k): v for k, v in labels.items()}
    elif items is not None and len(labels) != n and all(isinstance(v, str) for v in labels):
        asked = {name: name for name in labels}
    else:
        asked = {"labels": labels}
    return asked


def _checked(labelled: LabelSet, n: int) -> list[str]:
    """In words, which concepts nothing can be said of.

    Raises:
        InputError: if that is true of all.
    """
    if len(labelled.names) < 2:
        raise InputError(
            f"labels: {quoted(labelled.name)} has {len(labelled.names)} concept for all {n} items; a map of "
            "concepts needs two or more."
        )
    alone = sum(len(rows) == 1 for rows in labelled.rows)
    if alone == len(labelled.names):
        raise InputError(
            f"labels: every concept of {quoted(labelled.name)} has a single item, so that nothing can be said of "
            "concepts beyond their items. Give labels that items share."
        )
    outside = n - len(np.unique(np.concatenate(labelled.rows)))
    notes = [f"{outside:,} of the {n:,} items are in no concept of {labelled.name}."] if outside else []
    if not alone:
        return notes
    return [
        *notes,
        f"{alone} of the {len(labelled.names)} concepts of {labelled.name} have a single item: they have a p but no "
        "interval, and stay undecided.",
    ]


def _by_hand(name: str, given: Mapping[Any, Any], n: int, ids: Sequence[str] | None) -> LabelSet:
    """Concepts whose items are listed.

    Raises:
        InputError: if one lists no ids, or one that no item has.
    """
    at = {v: k for k, v in enumerate(ids if ids is not None else map(str, range(n)))}
    names, rows = [], []
    for concept, members in given.items():
        if isinstance(members, str) or not isinstance(members, Sequence) or len(members) == 0:
            raise InputError(f"labels[{name!r}][{concept!r}] must list ids of items, found {quoted(members)}.")
        unknown = [str(v) for v in members if str(v) not in at]
        if unknown:
            raise InputError(
                f"labels[{name!r}][{concept!r}]: {quoted(unknown[0])} is no id of an item"
                + (f" ({len(unknown)} such)." if len(unknown) > 1 else ".")
            )
        names.append(str(concept))
        rows.append(np.unique([at[str(v)] for v in members]))
    return LabelSet(name, tuple(names), tuple(rows))


def _words(items: PairedItems | None) -> tuple[LabelSet, str]:
    """The words that enough items have in their text.

    Raises:
        InputError: if there are no texts, or too few such words.
    """
    views = [] if items is None else [name for name, view in items.views.items() if view.modality == "text"]
    if items is None or not views:
        raise InputError("labels='words' takes the words of the items' texts: give items= with a view of texts.")
    holders: dict[str, list[int]] = {}
    for i, text in enumerate(items.views[views[0]]):
        for word in sorted(set(re.findall(r"\w+", str(text).lower()))):
            holders.setdefault(word, []).append(i)
    kept = {w: rows for w, rows in sorted(holders.items()) if LEAST_OF_WORD <= len(rows) < len(items)}
    if len(kept) < 2:
        raise InputError(
            f"labels='words': fewer than two words are in the texts of {LEAST_OF_WORD} items or more, and not in all."
        )
    note = (
        f"{len(kept)} of the {len(holders)} words of {views[0]} are in {LEAST_OF_WORD} items or more, and not in all."
    )
    return LabelSet(WORDS, tuple(kept), tuple(np.array(v) for v in kept.values())), note
