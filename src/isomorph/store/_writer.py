"""The one writer of an entry.

Rows go to their place in the layers' files with pwrite; then the files are forced to the disk, and only then is a
line appended to the journal and forced to the disk too. A kill at any moment therefore leaves committed batches whole
and everything else unseen. A lock that the kernel drops with the process keeps a second writer waiting.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np

from .._core.files import alone, sync_folder, write_at
from ..errors import InputError, StoreError
from ._contents import Contents
from ._entry import Entry, LayerFile, header, layer_file
from ._journal import NOTHING, Batch, Journal, Layer, layout, line

Rows = Mapping[str, "np.ndarray[Any, Any]"]


class EntryWriter:
    """Appends batches to an entry; a context manager that holds the entry's lock.

    Args:
        entry: The entry; its folder is made if need be.
        commit_every: Seconds between commits, at least; 0 commits each batch. Otherwise commits take no more than
            about a fiftieth of the time, however slow the disk is.

    Raises:
        StoreError: on entering, if the folder cannot be written or what was committed is damaged; from every method,
            if the disk is full or fails. What was committed stays valid.

    Example:
        >>> items = iso.PairedItems("pets", ("1", "2"), {"name": ["cat", "dog"]})
        >>> entry = iso.FeatureStore("features").entry(iso.load_encoder("statistics:text"), items)
        >>> with EntryWriter(entry) as writer:
        ...     writer.begin({"words": 3}, {})
        ...     writer.put([0, 1], {"words": np.eye(2, 3, dtype=np.float32)}, {})
        >>> iso.FeatureStore("features").entries()[0].open()["words"].shape
        (2, 3)
    """

    def __init__(self, entry: Entry, commit_every: float = 1.0) -> None:
        self.entry = entry
        self._pace = Pace(commit_every)
        self._close = contextlib.ExitStack()
        self._files: list[tuple[Layer, int, int]] = []  # layer, descriptor, length of the head
        self._pending: list[bytes] = []
        self._contents, self._journal_file = Contents(entry.place, NOTHING, ()), -1
        self._journal = self._contents.journal

    def __enter__(self) -> Self:
        try:
            with _disk(self.entry):
                self._open()
        except BaseException:
            self._close.close()
            raise
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        with self._close:
            if error is None:
                self.commit()
            else:
                # keep what is whole; what stopped the work is the news, not that this failed too
                with contextlib.suppress(StoreError):
                    self.commit()

    @property
    def journal(self) -> Journal:
        """What one writer had committed when this one was entered."""
        return self._journal

    @property
    def contents(self) -> Contents:
        """What anybody had committed when this one was entered."""
        return self._contents

    @property
    def stored(self) -> frozenset[int]:
        """Positions of the items whose rows were there when the writer was entered."""
        return self._contents.stored

    @property
    def skipped(self) -> Mapping[int, str]:
        """Position -> reason of the items that were left out when the writer was entered."""
        return self._contents.skipped

    def begin(self, widths: Mapping[str, int], facts: Mapping[str, Any]) -> None:
        """State the layers: make their files, or check that they are the ones that are there.

        Args:
            widths: Layer -> number of features, in the order of the layers.
            facts: JSON-able facts for the layout: number of parameters, versions.

        Raises:
            InputError: if the entry holds other layers.
            StoreError: if the files cannot be made, or the disk is too small for all items.
        """
        check_same(self.entry, self._contents.layers, widths)
        if self._journal.layers is not None:
            last = [self._journal.facts.get("versions"), *self._journal.facts.get("resumed_with", [])][-1]
            if facts.get("versions") != last:
                self._pending.append(line({"versions": facts.get("versions")}))
            return
        layers = tuple(Layer(name, width, layer_file(i, name)) for i, (name, width) in enumerate(widths.items()))
        with _disk(self.entry):
            self._check_space(layers)
            for layer in layers:
                self._make(layer)
            sync_folder(self.entry.path)
            self._open_files(layers)
        self._journal = dataclasses.replace(self._journal, layers=layers, facts=facts)
        self._pending.append(line(layout(layers, facts)))  # with the first commit, which syncs the files before

    def put(self, positions: Sequence[int], rows: Rows, skipped: Mapping[int, str]) -> None:
        """Write the rows of one batch; they count once `commit` has been called.

        Args:
            positions: Item position of each row.
            rows: Layer -> array (len(positions), width), in the entry's dtype.
            skipped: Position -> reason of the items that are left out.

        Raises:
            StoreError: if the disk is full or fails.
        """
        order = np.argsort(np.asarray(positions, dtype=np.int64), kind="stable")
        runs = list(_runs([positions[i] for i in order]))
        checksums = []
        with _disk(self.entry):
            for layer, handle, head in self._files if positions else []:
                block = np.ascontiguousarray(rows[layer.name], dtype=self.entry.dtype)
                checksums.append(zlib.crc32(block.data))
                sorted_block, row_bytes = block[order], block.itemsize * layer.width
                for first, start, stop in runs:
                    write_at(handle, sorted_block[start:stop].data.cast("B"), head + first * row_bytes)
        self._pending.append(line(Batch(tuple(map(int, positions)), tuple(checksums), skipped).record))
        if self._pace.due():
            self.commit()

    def commit(self) -> None:
        """Make everything that was put so far last.

        Raises:
            StoreError: if the disk is full or fails.
        """
        if not self._pending:
            return
        with self._pace.timed():
            with _disk(self.entry):
                for _, handle, _ in self._files:
                    os.fsync(handle)
                end = self._append(b"".join(self._pending))
            # both at once: an interruption in between must not write the lines a second time
            self._journal, self._pending = dataclasses.replace(self._journal, end=end), []

    def _open(self) -> None:
        path = self.entry.path
        path.mkdir(parents=True, exist_ok=True)
        self._close.enter_context(lock(self.entry))
        for left in path.glob(".isomorph-*.tmp"):  # of a writer that was killed
            left.unlink()
        self.entry.write_description()
        sync_folder(path.parent)
        # read only now: another process may have written until it released the lock
        self._contents = dataclasses.replace(self.entry).contents
        self._journal = self._contents.journal
        self._journal_file = self._keep(path / "journal", os.O_RDWR | os.O_CREAT)
        os.ftruncate(self._journal_file, self._journal.end)  # a line that a crash cut off
        if self._journal.layers is not None:
            self._open_files(self._journal.layers)

    def _keep(self, path: Any, flags: int) -> int:
        handle = os.open(path, flags | os.O_CLOEXEC, 0o666)
        self._close.callback(os.close, handle)
        return handle

    def _make(self, layer: Layer) -> None:
        head = header((len(self.entry.ids), layer.width), self.entry.dtype)
        handle = os.open(self.entry.path / layer.file, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            write_at(handle, head, 0)
            os.ftruncate(handle, len(head) + len(self.entry.ids) * layer.width * self.entry.dtype.itemsize)
        finally:
            os.close(handle)

    def _open_files(self, layers: tuple[Layer, ...]) -> None:
        for layer in layers:
            LayerFile(self.entry, layer, self._journal).map()  # whole, and of the right shape
            head = len(header((len(self.entry.ids), layer.width), self.entry.dtype))
            self._files.append((layer, self._keep(self.entry.path / layer.file, os.O_RDWR), head))

    def _append(self, data: bytes) -> int:
        end = self._journal.end
        # at a known place: repeated after an interruption, it writes the same bytes over themselves
        write_at(self._journal_file, data, end)
        os.fsync(self._journal_file)
        return end + len(data)

    def _check_space(self, layers: tuple[Layer, ...]) -> None:
        need = len(self.entry.ids) * self.entry.dtype.itemsize * sum(x.width for x in layers)
        free = shutil.disk_usage(self.entry.path).free
        if need > free:
            raise StoreError(
                f"The disk of {self.entry.path} has {free / 1e9:.4g} GB free, but {len(self.entry.ids)} items × "
                f"{len(layers)} layers of {self.entry.encoder} need {need / 1e9:.4g} GB. Free some space, or extract "
                "fewer layers or with storage='float16'."
            )


class Pace:
    """When to do what takes time, such as a commit: after some seconds, but only for a small share of the time.

    Args:
        every: Seconds in between, at least; 0 is always.
    """

    def __init__(self, every: float) -> None:
        self._every, self._last, self._cost = every, 0.0, 0.0

    def due(self, share: float = 0.02) -> bool:
        """Whether it is time again; the first question starts the clock.

        Args:
            share: Of the time that it may take.
        """
        now = time.monotonic()
        self._last = self._last or now
        return now - self._last >= max(self._every, self._cost / share if self._every else 0.0)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Around what takes time."""
        began = time.monotonic()
        yield
        self._last = time.monotonic()
        self._cost = self._last - began


def check_same(entry: Entry, known: tuple[Layer, ...] | None, widths: Mapping[str, int]) -> None:
    """See that an encoder gives the layers that an entry holds, if it holds any.

    Raises:
        InputError: if not.
    """
    if known is not None and [(x.name, x.width) for x in known] != list(widths.items()):
        raise InputError(
            f"{entry.encoder} now gives the layers {_widths(widths)}, but {entry.place.address} holds "
            f"{_widths({x.name: x.width for x in known})}. Whatever changes an encoder's layers must be in its "
            "`identity`; delete that folder to start again."
        )


def lock(entry: Entry) -> AbstractContextManager[None]:
    """Be the only writer of an entry; wait, and say so, while another process is."""
    return alone(entry.path / "lock", f"Waiting: another process is writing {entry.encoder} on {entry.view!r} …")


@contextlib.contextmanager
def _disk(entry: Entry) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"Cannot write {entry.path}: {error.strerror or error}."
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            what = f"There is no room left for {entry.path} ({error.strerror}). Free some space and run again."
        raise StoreError(f"{what} What was committed stays valid, and the next run goes on from there.") from error


def _runs(positions: Sequence[int]) -> Iterable[tuple[int, int, int]]:
    """Runs of consecutive positions: the first position, and from where to where in the list."""
    start = 0
    for i in range(1, len(positions) + 1):
        if i == len(positions) or positions[i] != positions[i - 1] + 1:
            yield positions[start], start, i
            start = i


def _widths(widths: Mapping[str, int]) -> str:
    text = ", ".join(f"{k} (d={v})" for k, v in list(widths.items())[:4])
    return text + (f", … ({len(widths)} in all)" if len(widths) > 4 else "")
