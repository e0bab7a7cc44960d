"""A writer beside others: it puts parts and commits, holds no lock, and sees what the others commit.

A kill at any moment leaves at most a part that no commit names, which nobody reads and `FeatureStore.compact` sweeps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from ..errors import StoreError
from ._contents import Contents, read_contents
from ._entry import Entry, layer_file
from ._journal import Layer
from ._parts import Commits, agreed, put_part
from ._writer import Pace, Rows, check_same

_LARGEST = 1 << 26  # bytes of rows that are gathered for one part at most
_FEWEST, _MOST = 64, 1024  # ranges that items are divided into at least, items of a range at most


class PartWriter:
    """Adds parts to an entry, in a folder or an object store, beside any number of other writers.

    Args:
        entry: The entry.
        commit_every: Seconds between commits, at least; 0 commits each batch. Each commit is one part, of at most
            64 MB of rows. Commits take no more than about a fiftieth of the time, however slow the store is.

    Raises:
        StoreError: on entering, if the store cannot be written, does not keep conditional writes, or what was
            committed is damaged; from every method, if it cannot be reached or is full. What was committed stays valid.

    Example:
        >>> items = iso.PairedItems("pets", ("1", "2"), {"name": ["cat", "dog"]})
        >>> entry = iso.FeatureStore("memory://pets").entry(iso.load_encoder("statistics:text"), items)
        >>> with PartWriter(entry) as one, PartWriter(entry) as other:
        ...     for writer, position in ((one, 0), (other, 1)):
        ...         writer.begin({"words": 3}, {})
        ...         writer.put([position], {"words": np.eye(1, 3, position, dtype=np.float32)}, {})
        >>> iso.FeatureStore("memory://pets").entries()[0].open()["words"].tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    def __init__(self, entry: Entry, commit_every: float = 1.0) -> None:
        self.entry = entry
        self._pace, self._listing = Pace(commit_every), Pace(1e-3)
        self._commits = Commits(entry.place)
        self._contents: Contents
        self._layers: tuple[Layer, ...] = ()
        self._facts: Mapping[str, Any] = {}
        self._pending: list[tuple[list[int], Rows]] = []
        self._left_out: dict[int, str] = {}

    def __enter__(self) -> Self:
        self.entry.place.check_writable()
        self.entry.write_description()
        self.refresh()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            self.commit()
        else:
            # keep what is whole; what stopped the work is the news, not that this failed too
            with contextlib.suppress(StoreError):
                self.commit()

    @property
    def stored(self) -> frozenset[int]:
        """Positions of the items whose rows any writer had committed when `refresh` last looked."""
        return self._contents.stored

    @property
    def skipped(self) -> Mapping[int, str]:
        """Position -> reason of the items that were left out by then."""
        return self._contents.skipped

    def ranges(self, batch_size: int) -> tuple[range, ...]:
        """How all writers of the entry divide its items, in the order in which they are encoded.

        The first writer chooses; ranges are of whole batches of its size.

        Args:
            batch_size: Items a batch.

        Raises:
            StoreError: if the store cannot be written.
        """
        n = len(self.entry.ids)
        batches = max(1, min(_MOST, n // _FEWEST) // batch_size)
        size = int(agreed(self.entry.place, "division.json", {"range": batches * batch_size})["range"])
        return tuple(range(start, min(start + size, n)) for start in range(0, n, size))

    def refresh(self, share: float = 1.0) -> None:
        """Look what other writers have committed since.

        Args:
            share: Of the time that looking may take; 1 looks in any case.

        Raises:
            StoreError: if the store cannot be read, or a commit is damaged.
        """
        if share >= 1 or self._listing.due(share):
            with self._listing.timed():
                self._contents = read_contents(self.entry.place, self._commits)

    def begin(self, widths: Mapping[str, int], facts: Mapping[str, Any]) -> None:
        """State the layers, or check that they are the ones that are there.

        Args:
            widths: Layer -> number of features, in the order of the layers.
            facts: JSON-able facts for the layout: number of parameters, versions.

        Raises:
            InputError: if the entry holds other layers.
        """
        check_same(self.entry, self._contents.layers, widths)
        self._layers = tuple(Layer(name, width, layer_file(i, name)) for i, (name, width) in enumerate(widths.items()))
        self._facts = facts

    def put(self, positions: Sequence[int], rows: Rows, skipped: Mapping[int, str]) -> None:
        """Keep the rows of one batch for the next part; they count once `commit` has been called.

        Args:
            positions: Item position of each row.
            rows: Layer -> array (len(positions), width), in the entry's dtype.
            skipped: Position -> reason of the items that are left out.

        Raises:
            StoreError: if a commit is due and the store cannot be written.
        """
        if len(positions):
            # copies: what an encoder gives may be a view of what it gives next
            blocks = {x.name: np.array(rows[x.name], dtype=self.entry.dtype, order="C") for x in self._layers}
            self._pending.append((list(map(int, positions)), blocks))
        self._left_out.update(skipped)
        row = self.entry.dtype.itemsize * sum(x.width for x in self._layers)
        size = row * sum(len(positions) for positions, _ in self._pending)
        if self._pace.due() or size >= _LARGEST:
            self.commit()

    def commit(self) -> None:
        """Make everything that was put so far last, as one part.

        Raises:
            StoreError: if the store cannot be written.
        """
        if not self._pending and not self._left_out:
            return
        with self._pace.timed():
            positions = np.array([p for some, _ in self._pending for p in some], dtype=np.int64)
            order = np.argsort(positions, kind="stable")
            rows = {
                x.name: np.concatenate([blocks[x.name] for _, blocks in self._pending])[order]
                for x in (self._layers if self._pending else ())
            }
            some = positions[order].tolist()
            put_part(self.entry.place, self._layers if some else (), self._facts, rows, some, self._left_out)
            self._pending, self._left_out = [], {}
