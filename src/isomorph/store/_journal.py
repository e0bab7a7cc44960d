"""The committed index of an entry: an append-only file of checksummed lines.

A line is ``crc32 JSON``. The first one that counts is the layout (layers, widths); each later one is a batch: which
items its rows belong to, the crc32 of its rows in every layer, and the items that were left out. Rows are on the disk
before their line is, so what the journal names is there; what it does not name was never committed.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from .._core.provenance import canonical_json
from ..errors import StoreError


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer's file.

    Attributes:
        name: The layer's name.
        width: Its number of features d.
        file: Name of its ``.npy`` file in the entry's folder.
    """

    name: str
    width: int
    file: str


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows that were committed together.

    Attributes:
        positions: Item positions of the rows, in the order in which they were computed.
        checksums: crc32 of the rows of every layer, in that order.
        skipped: Position -> reason of the items that were left out.
    """

    positions: tuple[int, ...]
    checksums: tuple[int, ...]
    skipped: Mapping[int, str]

    @property
    def record(self) -> dict[str, Any]:
        """Its line in the journal."""
        skipped = {str(k): v for k, v in self.skipped.items()}
        return {"batch": list(self.positions), "crc32": list(self.checksums)} | (
            {"skipped": skipped} if skipped else {}
        )


@dataclasses.dataclass(frozen=True)
class Journal:
    """What has been committed.

    Attributes:
        layers: The layers, or None as long as no batch has been computed.
        facts: What the layout says besides: number of parameters, versions.
        batches: The committed batches.
        end: Where the valid part of the file ends; what lies behind it was cut off by a crash.
    """

    layers: tuple[Layer, ...] | None
    facts: Mapping[str, Any]
    batches: tuple[Batch, ...]
    end: int

    @cached_property
    def stored(self) -> frozenset[int]:
        """Positions of the items whose rows are there."""
        return frozenset(p for b in self.batches for p in b.positions)

    @cached_property
    def skipped(self) -> dict[int, str]:
        """Position -> reason of the items that were left out and have not been stored since."""
        stored = self.stored
        return {p: why for b in self.batches for p, why in sorted(b.skipped.items()) if p not in stored}


NOTHING = Journal(None, {}, (), 0)
"""A journal without a line."""


def line(record: Mapping[str, Any]) -> bytes:
    """One record as it stands in the file."""
    body = canonical_json(record).encode("utf-8", "surrogatepass")
    return f"{zlib.crc32(body):08x} ".encode() + body + b"\n"


def layout(layers: tuple[Layer, ...], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The first record."""
    return {"layers": [[x.name, x.width, x.file] for x in layers], "facts": dict(facts)}


def read_journal(path: Path) -> Journal:
    """The committed part of a journal; a tail that a crash cut off does not count.

    Raises:
        StoreError: if it cannot be read, or a damaged line stands before a whole one.
    """  # noqa: DOC501  # a function makes the error; its class is named above
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {error.strerror or error}.") from error
    records, end, position, broken = [], 0, 0, 0
    for number, text in enumerate(data.split(b"\n"), start=1):
        position += len(text) + 1
        record = parse_line(text) if position <= len(data) else None  # the last piece has no line end
        if record is None:
            broken = broken or number
        elif broken:
            raise damaged(path, f"its line {broken} does not match its checksum")
        else:
            records.append(record)
            end = position
    return _journal(path, records, end)


def damaged(path: Path, what: str) -> StoreError:
    """The error for committed data that is not what was committed, with the ways out."""
    return StoreError(
        f"{path} is damaged: {what}. FeatureStore({str(path.parent.parent)!r}).verify(repair=True) drops what is "
        "damaged, so that the next extraction computes it again; deleting the folder of that file drops all of it."
    )


def parse_line(text: bytes) -> dict[str, Any] | None:
    """The record of a line, without its end; None if it is not what was written."""
    checksum, _, body = text.partition(b" ")
    try:
        if len(checksum) == 8 and int(checksum, 16) == zlib.crc32(body):
            record = json.loads(body.decode("utf-8", "surrogatepass"))
            return record if isinstance(record, dict) else None
    except ValueError:
        pass
    return None


def _journal(path: Path, records: list[dict[str, Any]], end: int) -> Journal:
    layers, facts, batches = None, {}, []
    try:
        for record in records:
            if "layers" in record:
                layers = tuple(Layer(str(n), int(w), str(f)) for n, w, f in record["layers"])
                facts = dict(record["facts"])
            elif "batch" in record:
                skipped = {int(k): str(v) for k, v in record.get("skipped", {}).items()}
                batches.append(Batch(tuple(record["batch"]), tuple(record["crc32"]), skipped))
            elif "versions" in record:  # resumed with other versions than it was begun with
                facts["resumed_with"] = [*facts.get("resumed_with", []), record["versions"]]
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"a record in it cannot be understood ({error})") from error
    if any(b.positions for b in batches) and layers is None:
        raise damaged(path, "its layout is missing")
    return Journal(layers, facts, tuple(batches), end)
