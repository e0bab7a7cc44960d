"""Apply a fitted map to any number of rows in blocks: bounded memory, a target that is whole or not there."""

from __future__ import annotations

import dataclasses
import mmap
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from .._core.arrays import to_numpy
from .._core.checks import check_flag, check_name, check_type
from .._core.featurefiles import read_features
from .._core.files import as_path, atomic_file, check_target, reason
from .._core.memory import block_bytes, limited, shown
from .._core.progress import progress
from ..errors import InputError, UnknownNameError
from ..maps import restored_map
from ..results import Migration
from ._shift import distances, outside

Matrix = np.ndarray[Any, Any]
BLOCK_BYTES = 1 << 26
"""What the blocks of rows that are read and of those that are written take together."""
LOOKED_AT = 5_000
"""Rows, evenly spaced, of which it is told whether they are like those that were fitted on."""
CACHED = 256
"""Mapped rows that are finished together."""
TOGETHER = 1000
"""Rows of which this is computed together."""
SHIFTED, TIMES = 0.001, 3
"""Below which p, and from how many times the expected share on, rows are told to be unlike."""


@dataclasses.dataclass(frozen=True, eq=False)
class Applied:
    """Rows that a map was applied to.

    Attributes:
        rows: Mapped rows (n, d_new); of a file a read-only memory map.
        path: The file, or None.
        outside: Share of the rows that were looked at (5,000 at the most) that lie outside of what 99 % of held-out
            rows of the fit span.
        expected: The share expected of rows like these, exactly; the chance level of `outside`.
        p_value: Probability of so many outside, if the rows are like those held out.
        looked_at: How many rows were looked at.
        warnings: Why what was written should not be used: those of the fit, and ``shift``, if the rows are unlike those
            that were fitted on.

    Example:
        >>> old = np.random.default_rng(0).normal(size=(300, 8))
        >>> fitted = iso.fit_map(old, old[:, ::-1])
        >>> done = iso.apply_map(fitted, 100 * old)
        >>> done.outside, round(done.expected, 2), list(done.warnings)
        (1.0, 0.03, ['shift'])
    """

    rows: Matrix
    path: Path | None
    outside: float
    expected: float
    p_value: float
    looked_at: int
    warnings: dict[str, str]

    def __repr__(self) -> str:
        where = "" if self.path is None else f" in {self.path}"
        lines = [f"{len(self.rows):,} mapped rows of {self.rows.shape[1]:,} features, {self.rows.dtype}{where}"]
        lines.append(
            f"  unlike what was fitted on: {self.outside:.1%} of {self.looked_at:,} rows looked at, "
            f"{self.expected:.1%} expected"
        )
        return "\n".join([*lines, *(f"  WARNING ({name}): {words}" for name, words in self.warnings.items())])


def apply_map(
    fitted: Migration | str | os.PathLike[str],
    old: Any,
    to: str | os.PathLike[str] | None = None,
    *,
    layer: str | None = None,
    overwrite: bool = False,
    memory: str | int | None = None,
) -> Applied:
    """Carry rows of the old space into the new one with a map that `iso.fit_map` fitted.

    Files are gone through in blocks: of a ``.npy`` or ``.safetensors`` file one block is in memory at a time, about 64
    MB for the rows that are read and written together (an eighth of `memory`, if that is less), beside the map itself;
    other files are read whole. The target is written aside and takes its place when it is whole: after a kill it is not
    there.

    Args:
        fitted: A `Migration`, or the path of a saved one.
        old: Embeddings of the old model (n, d_old): an array, `Layers`, or a file of them. Rows keep their order.
        to: A ``.npy`` file for the mapped rows; None gives them as an array.
        layer: Which layer of `old`, if it has several.
        overwrite: Whether a file that is there is replaced.
        memory: Working memory, such as ``"4GB"`` or bytes.

    Returns:
        `Applied`: the mapped rows (n, d_new), float32, or float64 where `old` is float64; scaled to unit length if the
        map says so; with a warning if they are unlike the rows that the map was fitted on.

    Raises:
        InputError: if `old` has another width, a row that is not finite, or several layers; if the map is damaged; if
            the target is there, is the file that is read, or does not fit on the disk.
        UnknownNameError: if there is no such layer.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> old = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
        >>> np.save("old.npy", old)
        >>> _ = iso.fit_map(old[:300], old[:300, ::-1]).save("map.json")
        >>> done = iso.apply_map("map.json", "old.npy", to="new.npy")
        >>> np.load("new.npy").shape, done.rows.dtype, done.warnings
        ((1000, 8), dtype('float32'), {})
    """
    migration = fitted if isinstance(fitted, Migration) else Migration.load(as_path(fitted, "fitted"))
    check_flag(overwrite, "overwrite")
    source = _source(old, layer)
    with limited(memory):
        work = _Work(migration, source)
        if to is None:
            rows = work.in_memory()
        else:
            _check_room(to, old, source, work.size, overwrite)
            rows = work.to_file(check_target(to, suffixes=(".npy",)))
    return work.told(rows, None if to is None else Path(to))


class _Work:
    """A map and the rows that it is applied to."""

    def __init__(self, migration: Migration, source: Matrix) -> None:
        """Check that they fit each other.

        Raises:
            InputError: if the rows have another width, or the map is damaged.
        """
        self.migration, self.source = migration, source
        self.dtype = np.dtype(np.float64 if source.dtype == np.float64 else np.float32)
        map = restored_map(migration.variant, migration.learned, "The map")
        self.width, self.out = map.n_features_in_, map.n_targets_
        if source.shape[1] != self.width:
            raise InputError(
                f"old has {source.shape[1]:,} features, and the map was fitted on {self.width:,} of "
                f"{migration.old_name}: these are not embeddings of that model and layer."
            )
        self.into = map.by_blocks(self.dtype)
        self.size: int = len(source) * self.out * self.dtype.itemsize
        self.at = np.unique(np.linspace(0, len(source) - 1, min(len(source), LOOKED_AT)).astype(np.int64))
        self.looked: list[Matrix] = []
        self.distances: list[Matrix] = []

    @property
    def step(self) -> int:
        """Rows of a block: one is read, one centered, one computed and one written at a time."""
        each = 2 * (self.width + self.out) * self.dtype.itemsize
        return max(1, min(len(self.source), block_bytes(BLOCK_BYTES) // int(each)))

    def in_memory(self) -> Matrix:
        """All mapped rows as an array."""
        whole = np.empty((len(self.source), self.out), dtype=self.dtype)
        for _ in self._blocks(lambda begin, end: whole[begin:end]):
            pass
        return whole

    def to_file(self, target: Path) -> Matrix:
        """All mapped rows in a file, as a memory map of it.

        Raises:
            InputError: if the disk fails.
        """
        rooms = [np.empty((self.step, self.out), dtype=self.dtype) for _ in range(2)]
        head = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False}
        try:
            with atomic_file(target) as file, ThreadPoolExecutor(1) as pool:
                npy.write_array_header_1_0(file, {**head, "shape": (len(self.source), self.out)})
                pending: Future[Any] | None = None
                for block in self._blocks(lambda begin, end: rooms[begin // self.step % 2][: end - begin]):
                    if pending is not None:
                        pending.result()
                    pending = pool.submit(file.write, block.data)  # written while the next block is computed
                if pending is not None:
                    pending.result()
        except OSError as error:
            raise InputError(f"Cannot write {target}: {reason(error)}. Nothing was left behind.") from error
        return npy.open_memmap(target, mode="r")

    def _blocks(self, room_of: Callable[[int, int], Matrix]) -> Iterator[Matrix]:
        """Mapped rows block by block.

        Args:
            room_of: Where to put rows begin:end.

        Raises:
            InputError: if a row is not finite.
        """
        begin = 0
        with progress(len(self.source), "mapped", unit="rows") as advance:
            for rows in _read(self.source, self.step):
                end = begin + len(rows)
                room = room_of(begin, end)
                with np.errstate(invalid="ignore", over="ignore"):  # said below, with the row
                    self.into(rows, room)
                    for at in range(0, len(room), CACHED):  # looked at and scaled while they are in the cache
                        _finish(room[at : at + CACHED], self.migration.unit, begin + at)
                looked = self.at[np.searchsorted(self.at, begin) : np.searchsorted(self.at, end)]
                self._look(rows[looked - begin])
                yield room
                begin = end
                advance(len(rows))

    def _look(self, rows: Matrix, *, last: bool = False) -> None:
        """Note how far rows are from those that were fitted on: many at a time, since every product has its cost."""
        self.looked.append(rows)
        if last or sum(map(len, self.looked)) >= TOGETHER:
            self.distances.append(distances(self.migration.shift, np.concatenate(self.looked)))
            self.looked = []

    def told(self, rows: Matrix, path: Path | None) -> Applied:
        """The mapped rows with what is to be known of them."""
        self._look(np.empty((0, self.width), dtype=self.dtype), last=True)
        distance = np.concatenate(self.distances)
        out, expected, p = outside(self.migration.shift, distance)
        at, share = self.at, float(out.mean())
        said = dict(self.migration.warnings)
        if p < SHIFTED and share > TIMES * expected:
            said["shift"] = (
                f"{share:.1%} of {len(at):,} rows looked at lie outside of what was fitted on, {expected:.1%} expected "
                f"(p {p:.1g}), such as row {int(at[np.flatnonzero(out)[0]]):,}: another kind of items, or embedded or "
                "scaled in another way. The held-out scores do not hold for them; fit on pairs that are like them."
            )
        return Applied(rows, path, share, expected, p, len(at), said)


# ---- what is read ------------------------------------------------------------------------------------------


def _source(old: Any, layer: str | None) -> Matrix:
    """The rows (n, d) of one layer, memory-mapped where their file allows it.

    Raises:
        InputError: if they are no such rows, or there are several layers.
        UnknownNameError: if there is no such layer.
    """
    check_name(layer, "layer")
    if isinstance(old, (str, os.PathLike)):
        layers: Any = read_features(as_path(old, "old"))[0]
    elif isinstance(old, Mapping):
        layers = old
    else:
        layers = {layer or "old": old}
    if layer is None and len(layers) != 1:
        raise InputError(f"old has {len(layers)} layers: {', '.join(layers)}; name the one that is meant with layer=.")
    if layer is not None and layer not in layers:
        raise UnknownNameError("layer of old", str(layer), layers)
    rows = to_numpy(layers[layer or next(iter(layers))])
    check_type(rows, "old", np.ndarray, "embeddings of shape (n_rows, n_features)")
    if rows.ndim != 2 or rows.dtype.kind not in "fiub" or not len(rows):
        raise InputError(
            f"old must be numbers of shape (n_rows, n_features) with at least one row, found shape {rows.shape}, "
            f"{rows.dtype}."
        )
    return rows


def _read(source: Matrix, step: int) -> Iterator[Matrix]:
    """Blocks of rows, each valid until the next one is asked for.

    A file that is mapped is read, not mapped: pages that were looked at once would stay in memory.
    """
    mapped = _mapped(source)
    if mapped is None:
        for begin in range(0, len(source), step):
            yield np.asarray(source[begin : begin + step])
        return
    room: Any = np.empty((step, source.shape[1]), dtype=source.dtype)
    with open(str(mapped.filename), "rb", buffering=0) as file:
        file.seek(mapped.offset)
        for begin in range(0, len(source), step):
            n = min(step, len(source) - begin)
            _fill(file, memoryview(room[:n]).cast("B"), mapped.filename)
            yield room[:n]


def _mapped(source: Matrix) -> Any:
    """The memory map of a file that the rows are, whole and in order; None if they are not."""
    for found in (source, source.base):
        if (
            isinstance(found, np.memmap)
            and isinstance(found.base, mmap.mmap)  # a part of a map has the offset of the whole
            and found.mode != "c"  # whose changes are not in the file
            and found.filename is not None
            and (found.shape, found.dtype, found.ctypes.data) == (source.shape, source.dtype, source.ctypes.data)
            and found.flags.c_contiguous
        ):
            return found
    return None


def _fill(file: Any, room: memoryview, name: Any) -> None:
    """Read as many bytes as there is room for.

    Raises:
        InputError: if the file ends before.
    """
    done = 0
    while done < len(room):
        got = file.readinto(room[done:])
        if not got:
            raise InputError(f"{name} ends before its last row: it was changed while it was read.")
        done += got


def _finish(rows: Matrix, unit: bool, begin: int) -> None:
    """Scale mapped rows to unit length in place, if they are to be; a row of zeros has no direction and stays.

    What is not finite in a row is not finite in its image, so that the lengths tell it without another look.

    Raises:
        InputError: if a row is not finite; the first is named.
    """
    told = np.sqrt(np.einsum("ij,ij->i", rows, rows)) if unit else rows.sum(axis=1)
    if not (fine := np.isfinite(told)).all():
        raise InputError(
            f"old: row {begin + int(np.flatnonzero(~fine)[0]):,} holds NaN, an infinite value, or numbers too large to "
            "be mapped. Leave such rows out; nothing was written."
        )
    if unit:
        told[told == 0] = 1
        np.multiply(rows, (1 / told)[:, None], out=rows)


def _check_room(to: Any, old: Any, source: Matrix, size: int, overwrite: bool) -> None:
    """Check that the target may be written, before anything is computed.

    Raises:
        InputError: if it is there, is the file that is read, or does not fit on the disk.
    """
    target = check_target(to, suffixes=(".npy",))
    if target.exists():
        mapped = _mapped(source)
        name = old if isinstance(old, (str, os.PathLike)) else None if mapped is None else mapped.filename
        if name is not None and target.samefile(name):
            raise InputError(f"to='{target}' is the file that is read; name another one.")
        if not overwrite:
            raise InputError(f"to='{target}' is there already; name another file, or replace it with overwrite=True.")
    folder = next(p for p in Path(os.path.realpath(target)).parents if p.exists())
    if size > (free := shutil.disk_usage(folder).free):
        raise InputError(f"to='{target}' needs {shown(size)} and '{folder}' has {shown(free)} free. Free some space.")
