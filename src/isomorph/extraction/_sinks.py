"""Where the rows of batches go: into a store, or into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol

import numpy as np

from ..datasets._base import PairedItems
from ..errors import InputError
from ..store import EntryWriter, Layers, PartWriter
from ..store._entry import DTYPES

Rows = dict[str, "np.ndarray[Any, Any]"]


class Sink(Protocol):
    """Where batches go."""

    dtype: np.dtype[Any]

    @property
    def stored(self) -> Set[int]: ...

    @property
    def skipped(self) -> Mapping[int, str]: ...

    def look(self, share: float) -> None: ...

    def begin(self, widths: Mapping[str, int], facts: Mapping[str, Any]) -> None: ...

    def put(self, positions: Sequence[int], rows: Rows, skipped: Mapping[int, str]) -> None: ...


class Stored:
    """Into an entry of the store, where others may write too."""

    def __init__(self, writer: EntryWriter | PartWriter) -> None:
        self._writer = writer
        self.dtype = writer.entry.dtype
        self.begin, self.put = writer.begin, writer.put

    @property
    def stored(self) -> Set[int]:
        """Positions of the items whose rows are there."""
        return self._writer.stored

    @property
    def skipped(self) -> Mapping[int, str]:
        """Position -> reason of the items that were left out."""
        return self._writer.skipped

    def look(self, share: float) -> None:
        """See what others have stored meanwhile, for at most a share of the time."""
        if isinstance(self._writer, PartWriter):
            self._writer.refresh(share)


class Memory:
    """Into arrays, as far as the memory that was granted goes."""

    def __init__(self, n: int, storage: str, budget: float, name: str) -> None:
        self.stored: set[int] = set()
        self.skipped: dict[int, str] = {}
        self.dtype = np.dtype(DTYPES[storage])
        self._n, self._budget, self._name = n, budget, name
        self._arrays: Rows = {}
        self._facts: Mapping[str, Any] = {}

    def look(self, share: float) -> None:
        """Nobody else writes here."""

    def begin(self, widths: Mapping[str, int], facts: Mapping[str, Any]) -> None:
        """Make the arrays.

        Raises:
            InputError: if they take more memory than was granted.
        """
        need = self._n * sum(widths.values()) * self.dtype.itemsize
        if need > self._budget:
            raise InputError(
                f"The features of {self._name} on {self._n} items take {need / 1e9:.3g} GB, more than memory="
                f"{self._budget:.3g} bytes. Give a store (store='features/'), which keeps them on disk, or more memory."
            )
        self._arrays = {name: np.zeros((self._n, width), self.dtype) for name, width in widths.items()}
        self._facts = facts

    def put(self, positions: Sequence[int], rows: Rows, skipped: Mapping[int, str]) -> None:
        """Keep the rows of one batch."""
        for name, block in rows.items():
            self._arrays[name][list(positions)] = block
        self.stored.update(positions)
        self.skipped.update(skipped)

    def layers(self, identity: Mapping[str, Any], items: PairedItems) -> Layers:
        """The rows that were put, in item order."""
        kept = sorted(self.stored)
        whole = len(kept) == self._n
        for array in self._arrays.values():
            array.flags.writeable = False
        skipped = {items.ids[p]: why for p, why in sorted(self.skipped.items())}
        return Layers(
            self._arrays,
            [items.ids[p] for p in kept],
            encoder=identity["encoder"],
            view=identity["view"],
            modality=identity["modality"],
            n_parameters=self._facts.get("n_parameters"),
            provenance={
                **identity,
                **self._facts,
                "collection": items.name,
                **({"skipped": skipped} if skipped else {}),
            },
            rows=None if whole else np.array(kept, dtype=np.int64),
        )
