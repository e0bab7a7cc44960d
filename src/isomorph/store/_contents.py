"""What an entry holds: the rows of its journal and those of its parts, merged by item."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from .._core.files import reason
from .._core.places import Place
from ..errors import StoreError
from ._journal import NOTHING, Journal, Layer, read_journal
from ._parts import Commit, Commits, part_rows

Rows = np.ndarray[Any, Any]
_AT_ONCE = 1 << 14  # rows that are copied at once
_IN_MEMORY = 1 << 24  # bytes of a merged layer above which it lies in a temporary file


@dataclasses.dataclass(frozen=True)
class Contents:
    """What was committed, at one moment.

    Attributes:
        place: The entry's place.
        journal: The form of one writer.
        commits: The form of several writers, by name.

    Raises:
        StoreError: if they are not of the same layers.
    """

    place: Place
    journal: Journal
    commits: tuple[Commit, ...]

    def __post_init__(self) -> None:
        known = [(x.name, x.width) for x in self.layers or ()]
        for commit in self.commits:
            if commit.layers and [(x.name, x.width) for x in commit.layers] != known:
                raise StoreError(
                    f"{self.place.address} holds parts of other layers than its first ({commit.name}): whatever "
                    "changes an encoder's layers must be in its `identity`. Delete it to start again."
                )

    @cached_property
    def layers(self) -> tuple[Layer, ...] | None:
        """The layers, or None as long as no batch has been computed."""
        return self.journal.layers or next((c.layers for c in self.commits if c.layers), None)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the layout says besides, with the other versions that rows were computed with."""
        all_facts = [dict(self.journal.facts)] if self.journal.facts else []
        all_facts += [dict(c.facts) for c in self.commits if c.facts]
        if not all_facts:
            return {}
        first = all_facts[0]
        seen = [first.get("versions"), *first.get("resumed_with", [])]
        for facts in all_facts[1:]:
            seen += [facts["versions"]] if facts.get("versions") not in [None, *seen] else []
        return first | ({"resumed_with": seen[1:]} if seen[1:] else {})

    @cached_property
    def fresh(self) -> tuple[tuple[Commit, np.ndarray[Any, Any]], ...]:
        """Commits with rows that are in none before them, and which of their rows those are."""
        seen, found = set(self.journal.stored), []
        for commit in self.commits:
            rows = [i for i, p in enumerate(commit.batch.positions) if p not in seen]
            if rows:
                found.append((commit, np.array(rows)))
                seen.update(commit.batch.positions)
        return tuple(found)

    @cached_property
    def stored(self) -> frozenset[int]:
        """Positions of the items whose rows are there."""
        return self.journal.stored.union(*(c.batch.positions for c in self.commits))

    @cached_property
    def skipped(self) -> dict[int, str]:
        """Position -> reason of the items that were left out and have not been stored since."""
        parts = {p: why for c in self.commits for p, why in c.batch.skipped.items()}
        return {p: why for p, why in (parts | self.journal.skipped).items() if p not in self.stored}


def read_contents(place: Place, commits: Commits) -> Contents:
    """What is committed now.

    Args:
        place: The entry's place.
        commits: Of that place; what they have read before is not read again.

    Raises:
        StoreError: if the journal or a commit is damaged, or they cannot be read.
    """
    # the commits first: what is merged into the journal meanwhile is then in one of both
    found = commits.listed()
    return Contents(place, read_journal(place.path / "journal") if place.local else NOTHING, found)


class MergedLayer:
    """The stored rows of one layer in item order, merged when it is called.

    Args:
        contents: Of the entry; some of its rows are in parts.
        index: Number of the layer.
        dtype: Of the rows.
        file: Gives, for a journal, the layer's file with the rows that the journal names at their positions.
    """

    def __init__(self, contents: Contents, index: int, dtype: np.dtype[Any], file: Callable[[Journal], Rows]) -> None:
        self._contents, self._index, self._dtype, self._file = contents, index, dtype, file
        self._array: np.ndarray[Any, Any] | None = None

    def __call__(self) -> np.ndarray[Any, Any]:
        """The rows, checked against their checksums the first time.

        Raises:
            StoreError: if they are damaged, or there is no room for them.
        """
        if self._array is None:
            try:
                self._array = self._merge(self._contents)
            except StoreError:
                again = read_contents(self._contents.place, Commits(self._contents.place))
                if again.commits == self._contents.commits:
                    raise
                self._array = self._merge(again)  # parts were merged into the files since they were listed
        return self._array

    def _merge(self, found: Contents) -> np.ndarray[Any, Any]:
        stored = np.array(sorted(self._contents.stored))
        commits = [commit for commit, _ in found.fresh]
        read = part_rows(found.place, commits, self._index, self._dtype)
        if len(commits) == 1 and np.array_equal(commits[0].batch.positions, stored):
            return next(iter(read))  # one part holds them all: it is used as it is
        width = (found.layers or ())[self._index].width
        array = room(len(stored), width, self._dtype)
        own = np.flatnonzero(np.isin(stored, np.fromiter(found.journal.stored, dtype=np.int64)))
        if len(own):
            rows = self._file(found.journal)
            for start in range(0, len(own), _AT_ONCE):
                some = own[start : start + _AT_ONCE]
                array[some] = rows[stored[some]]
        for (commit, fresh), block in zip(found.fresh, read, strict=True):
            positions = np.array(commit.batch.positions)[fresh]
            where = np.searchsorted(stored, positions)
            known = stored[np.minimum(where, len(stored) - 1)] == positions  # others may have come since
            array[where[known]] = block[fresh[known]]
        array.flags.writeable = False
        return array


def room(n: int, width: int, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array to fill: in memory if it is small, else mapped from a temporary file that goes with it.

    Raises:
        StoreError: if the folder of temporary files has no room for it.
    """
    size = n * width * dtype.itemsize
    if size <= _IN_MEMORY:
        return np.empty((n, width), dtype)
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(prefix="isomorph-") as file:
            if hasattr(os, "posix_fallocate"):  # no room is told now, not by a signal when rows are written
                os.posix_fallocate(file.fileno(), 0, size)
            return np.asarray(np.memmap(file, dtype, "r+", shape=(n, width)))
    except OSError as error:
        raise StoreError(
            f"Parts are merged in {folder}, which has no room for {size / 1e9:.3g} GB ({reason(error)}). Free some, "
            "name another folder with TMPDIR, or merge them for good with FeatureStore(…).compact()."
        ) from error
