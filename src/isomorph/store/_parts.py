"""Parts: rows that several writers put beside each other, each named by a commit.

A part is an immutable object, a ``.safetensors`` file: the rows of some items in every layer, layer by layer, so that
one layer of it can be read or memory-mapped alone. A commit is a small object in the form of a line of the journal
(checksum and JSON): which part, which items, the checksum of its rows in every layer, the items left out, the layout.
Its name says which items it is of, and it is put if there is none of that name, after its part is whole: what a commit
names is there, and of two commits of the same items the first stands. Items in several commits do no harm, for a
feature is a function of its item alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import secrets
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.places import Buffer, Place
from .._core.provenance import canonical_json
from ..errors import StoreError
from ._exchange import safetensors_head
from ._journal import Batch, Layer, layout, line, parse_line

COMMITS, PARTS = "commits", "parts"
_ABANDONED = 86_400.0  # seconds after which a part that no commit names is of a writer that is gone


@dataclasses.dataclass(frozen=True)
class Commit:
    """One commit.

    Attributes:
        name: Its own name among the commits.
        part: Name of its part, empty if it only leaves items out.
        start: First byte of the rows in the part.
        layers: The layers, in order.
        facts: What a layout says besides: number of parameters, versions.
        batch: Positions of the rows in ascending order, a checksum a layer, the items left out.
    """

    name: str
    part: str
    start: int
    layers: tuple[Layer, ...]
    facts: Mapping[str, Any]
    batch: Batch

    def span(self, index: int, itemsize: int) -> tuple[str, int, int]:
        """Where the rows of a layer are: the part, first byte, length."""
        row = [layer.width * itemsize for layer in self.layers]
        n = len(self.batch.positions)
        return self.part, self.start + n * sum(row[:index]), n * row[index]


class Commits:
    """The commits of an entry; each is read once, however often they are listed.

    Args:
        place: The entry's place.
    """

    def __init__(self, place: Place) -> None:
        self._place, self._known = place / COMMITS, dict[str, Commit]()

    def listed(self) -> tuple[Commit, ...]:
        """Those that are there now, by name.

        Raises:
            StoreError: if one is damaged, or they cannot be read.
        """
        names = commit_names(self._place)
        new = [name for name in names if name not in self._known]
        for name, data in zip(new, self._place.read(new), strict=True):
            if data is not None:  # it may have been merged meanwhile
                self._known[name] = _decoded(name, data, self._place)
        self._known = {name: self._known[name] for name in names if name in self._known}
        return tuple(self._known.values())


def commit_names(place: Place) -> list[str]:
    """Names of the commits in a place."""
    return [name for name in place.objects() if name.endswith(".json")]


def put_part(
    place: Place, layers: tuple[Layer, ...], facts: Mapping[str, Any], rows: Mapping[str, np.ndarray[Any, Any]],
    positions: Sequence[int], skipped: Mapping[int, str],
) -> None:  # fmt: skip
    """Put rows as one part, and then its commit, unless another writer committed the same items first.

    Args:
        place: The entry's place.
        layers: The layers, in order.
        facts: What a layout says besides.
        rows: Layer -> array (len(positions), width), in the entry's dtype.
        positions: Item position of each row, ascending.
        skipped: Position -> reason of the items that are left out.

    Raises:
        StoreError: if they cannot be put; nothing is committed then.
    """
    name = _name(positions, skipped)
    part, start, checksums = "", 0, []
    if positions:
        arrays = {layer.file.removesuffix(".npy"): rows[layer.name] for layer in layers}
        forms = {stem: (array.dtype, array.shape) for stem, array in arrays.items()}
        head = safetensors_head(forms, {"layers": canonical_json([[x.name, x.width] for x in layers])})
        part, start = f"{name}_{secrets.token_hex(6)}.safetensors", len(head)
        checksums = [zlib.crc32(array.data) for array in arrays.values()]
        (place / PARTS).put(part, [head, *(array.data.cast("B") for array in arrays.values())])
    batch = Batch(tuple(map(int, positions)), tuple(checksums), skipped)
    record = {"part": part, "start": start, **layout(layers, facts), **batch.record}
    if not (place / COMMITS).put_new(f"{name}.json", line(record)) and part:
        # another writer's of the same items stands; or this one, whose answer was lost and which was put again
        (stands,) = (place / COMMITS).read([f"{name}.json"])
        if stands is not None and stands != line(record):
            with contextlib.suppress(StoreError):  # nothing names it: it does no harm
                (place / PARTS).delete([part])


def missing_part(place: Place, commits: Iterable[Commit]) -> StoreError | None:
    """The error for the first part that is named by one of these commits and is not there; None if all are."""
    there = (place / PARTS).objects()
    gone = [c.part for c in commits if c.part not in there]
    return _damaged_part(place, gone[0], "it is missing") if gone else None


def part_rows(place: Place, commits: Sequence[Commit], index: int, dtype: np.dtype[Any]) -> Iterable[Any]:
    """The rows of one layer in each of some commits, checked; a folder's are memory-mapped.

    Args:
        place: The entry's place.
        commits: Commits that have rows.
        index: Number of the layer.
        dtype: Of the rows.

    Yields:
        Arrays (rows of the commit, width).

    Raises:
        StoreError: if a part is missing, too short, or not what was committed.
    """  # noqa: DOC501  # a function makes the error; its class is named above
    for begin in range(0, len(commits), 16):  # as many as are asked for at once
        some = commits[begin : begin + 16]
        found = (place / PARTS).spans([c.span(index, dtype.itemsize) for c in some])
        for commit, data in zip(some, found, strict=True):
            wrong = _wrong(data, commit.batch.checksums[index])
            if data is None or wrong:
                raise _damaged_part(place, commit.part, wrong)
            yield np.frombuffer(data, dtype).reshape(len(commit.batch.positions), commit.layers[index].width)


def part_damages(place: Place, dtype: np.dtype[Any]) -> dict[str, str]:
    """Name of a commit -> what is wrong with it or its part, after reading every byte.

    Args:
        place: The entry's place.
        dtype: Of the rows.

    Raises:
        StoreError: if the place cannot be read.
    """
    found: dict[str, str] = {}
    folder = place / COMMITS
    names = commit_names(folder)
    for name, data in zip(names, folder.read(names), strict=True):
        if data is None:
            continue
        try:
            commit = _decoded(name, data, folder)
        except StoreError as error:
            found[name] = str(error)
            continue
        for i, checksum in enumerate(commit.batch.checksums):
            (rows,) = (place / PARTS).spans([commit.span(i, dtype.itemsize)])
            if wrong := _wrong(rows, checksum):
                found.setdefault(name, f"{(place / PARTS / commit.part).address}: {wrong}")
    return found


def drop_commits(place: Place, names: Iterable[str]) -> None:
    """Delete commits and then the parts that nothing names any more.

    Raises:
        StoreError: if they cannot be deleted.
    """
    folder = place / COMMITS
    names = list(names)
    parts = [
        str(record["part"])
        for data in folder.read(names)
        if data is not None and (record := parse_line(data.rstrip(b"\n"))) and record.get("part")
    ]
    folder.delete(names)
    (place / PARTS).delete(parts)


def sweep(place: Place, commits: Iterable[Commit]) -> None:
    """Delete what writers left that were killed before their commit, a day after.

    Raises:
        StoreError: if it cannot be deleted.
    """
    named, old = {c.part for c in commits}, time.time() - _ABANDONED
    parts, folder = place / PARTS, place / COMMITS
    parts.delete([n for n, changed in parts.objects().items() if n not in named and changed < old])
    folder.delete([n for n, changed in folder.objects().items() if n.endswith(".tmp") and changed < old])


def agreed(place: Place, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """What all writers of an entry go by: this record, or that of the writer that came first.

    Args:
        place: The entry's place.
        name: Name of the object that holds it.
        record: What this writer would go by.

    Raises:
        StoreError: if what is there is damaged.
    """
    place.put_new(name, line(record))
    (data,) = place.read([name])
    found = parse_line((data or b"").rstrip(b"\n"))
    if found is None:
        raise StoreError(f"{(place / name).address} is damaged: its checksum does not match. Delete it and run again.")
    return found


def _damaged_part(place: Place, part: str, wrong: str) -> StoreError:
    """The error for a part that is not what was committed, with the way out."""
    root = place.address.rpartition("/")[0]
    return StoreError(
        f"{(place / PARTS / part).address} is damaged: {wrong}. FeatureStore({root!r}).verify(repair=True) drops what "
        "is damaged, so that the next extraction computes it again."
    )


def _wrong(data: Buffer | None, checksum: int) -> str:
    if data is None:
        return "it is missing or too short"
    return "" if zlib.crc32(data) == checksum else "its rows do not match their checksum"


def _name(positions: Sequence[int], skipped: Mapping[int, str]) -> str:
    """First and last position, and which ones in between."""
    every = [*positions, *skipped]
    which = hashlib.sha256(json.dumps([list(positions), sorted(skipped)]).encode()).hexdigest()[:16]
    return f"{min(every):010d}-{max(every):010d}_{which}"


def _decoded(name: str, data: bytes, place: Place) -> Commit:
    """A commit from its bytes.

    Raises:
        StoreError: if they are no commit.
    """
    record = parse_line(data.rstrip(b"\n"))
    try:
        known: Mapping[str, Any] = record or {}
        layers = tuple(Layer(str(n), int(w), str(f)) for n, w, f in known["layers"])
        skipped = {int(k): str(v) for k, v in known.get("skipped", {}).items()}
        batch = Batch(tuple(known["batch"]), tuple(known["crc32"]), skipped)
        return Commit(name, str(known["part"]), int(known["start"]), layers, dict(known["facts"]), batch)
    except (KeyError, TypeError, ValueError) as error:
        wrong = "its checksum does not match" if record is None else f"it cannot be understood ({error})"
        root = place.address.rpartition("/")[0].rpartition("/")[0]
        raise StoreError(
            f"{(place / name).address} is damaged: {wrong}. FeatureStore({root!r}).verify(repair=True) drops it, so "
            "that the next extraction computes its items again."
        ) from error
