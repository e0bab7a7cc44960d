"""One entry of the store: the folder that holds one encoder's features of one view."""

from __future__ import annotations

import dataclasses
import functools
import io
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from .._core.files import parse_json, regular
from .._core.places import Folder, Place
from .._core.provenance import canonical_json, fingerprint
from ..errors import StoreError
from ._contents import Contents, MergedLayer, read_contents
from ._journal import Journal, Layer, damaged, read_journal
from ._layers import Layers
from ._parts import Commits, missing_part

FORMAT = 1
DESCRIPTION = "entry.json"
DTYPES = {"float32": "<f4", "float16": "<f2"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One encoder's features of one view of one collection of items.

    Attributes:
        place: Where it lies: a folder, or a prefix of an object store.
        identity: Everything that determines the bytes: encoder name, revision, weights, preprocessing, pooling, dtype,
            storage dtype, view, fingerprint of the view's items.
        ids: Ids of the items, in order.
        items: Name of the collection.

    Example:
        >>> items = iso.PairedItems("pets", ("1", "2"), {"name": ["cat", "dog"]})
        >>> _ = iso.extract(iso.load_encoder("statistics:text"), items, store="features")
        >>> entry = iso.FeatureStore("features").entries()[0]
        >>> entry.encoder, entry.view, entry.complete, entry.open()["words"].shape
        ('statistics:text', 'name', True, (2, 513))
    """

    place: Place
    identity: Mapping[str, Any]
    ids: tuple[str, ...]
    items: str

    @classmethod
    def at(cls, root: Path | Place, identity: Mapping[str, Any], ids: tuple[str, ...], items: str) -> Entry:
        """The entry with this identity, whether or not anything is there yet."""
        name = f"{_slug(str(identity['encoder']))}_{_slug(str(identity['view']))}_{fingerprint(identity)[:16]}"
        place = root if isinstance(root, Place) else Folder(root)
        return cls(place / name, identity, ids, items)

    @classmethod
    def read(cls, path: Path | Place, data: bytes | None = None) -> Entry:
        """The entry in a folder or at a place.

        Args:
            path: The folder or place.
            data: Its description, if that was read already.

        Raises:
            StoreError: if its description cannot be read, is damaged, or was written by a newer Isomorph.
        """
        place = path if isinstance(path, Place) else Folder(path)
        file = (place / DESCRIPTION).address
        try:
            if data is None:
                if place.local:
                    regular(file)
                (data,) = place.read([DESCRIPTION])
            # as they were written: earlier versions took ids that are no valid text
            facts = parse_json((data or b"").decode("utf-8", "surrogatepass"))
            newer = facts["format"] > FORMAT
            entry = cls(place, facts["identity"], tuple(facts["ids"]), str(facts["items"]))
            whole = fingerprint(facts["identity"]) == facts["key"] and fingerprint(facts["ids"]) == facts["ids_key"]
        except StoreError:
            raise
        except Exception as error:  # whatever a damaged description trips over
            raise StoreError(f"{file} is damaged: {error}. Delete its folder and extract again.") from error
        if newer:
            raise StoreError(
                f"{file} has format {facts['format']}; this version reads up to {FORMAT}: update Isomorph."
            )
        if not whole:
            raise StoreError(f"{file} does not match its fingerprint. Delete its folder and extract again.")
        return entry

    def write_description(self) -> None:
        """Write down what the entry is, once."""
        if DESCRIPTION in self.place.objects():
            Entry.read(self.place)
            return
        facts = {
            "format": FORMAT,
            "identity": dict(self.identity),
            "key": fingerprint(self.identity),
            "items": self.items,
            "ids": self.ids,
            "ids_key": fingerprint(self.ids),
        }
        if not self.place.put_new(DESCRIPTION, canonical_json(facts).encode("utf-8", "surrogatepass")):
            Entry.read(self.place)  # another writer's: whole, and by its fingerprint the same

    @property
    def path(self) -> Path:
        """Its folder.

        Raises:
            StoreError: if it lies in an object store.
        """
        return self.place.path

    @property
    def encoder(self) -> str:
        """Name of the encoder."""
        return str(self.identity["encoder"])

    @property
    def view(self) -> str:
        """Name of the view."""
        return str(self.identity["view"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """In which precision it is stored."""
        return np.dtype(DTYPES[str(self.identity["storage"])])

    @cached_property
    def contents(self) -> Contents:
        """What was committed when it was first asked for.

        Raises:
            StoreError: if the journal or a commit is damaged.
        """
        return read_contents(self.place, Commits(self.place))

    @property
    def journal(self) -> Journal:
        """What one writer committed, of `contents`."""
        return self.contents.journal

    @property
    def n_stored(self) -> int:
        """Number of items whose features are there."""
        return len(self.contents.stored)

    @property
    def skipped(self) -> dict[str, str]:
        """Id -> reason of the items that were left out."""
        return {self.ids[p]: why for p, why in self.contents.skipped.items()}

    @property
    def complete(self) -> bool:
        """Whether every item is stored or was left out on purpose."""
        return self.n_stored > 0 and self.n_stored + len(self.contents.skipped) == len(self.ids)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, empty as long as nothing was computed."""
        return tuple(layer.name for layer in self.contents.layers or ())

    @property
    def size(self) -> int:
        """Bytes of the stored rows."""
        return self.n_stored * self.dtype.itemsize * sum(x.width for x in self.contents.layers or ())

    def open(self) -> Layers:
        """The stored rows as `Layers`, in item order: memory-mapped, or merged from parts when a layer is used.

        Journal, commits and sizes are checked now; a layer's checksums when it is first used.

        Raises:
            StoreError: if something committed is damaged or missing.
        """
        found = self.contents
        files = {x.name: LayerFile(self, x, found.journal) for x in found.journal.layers or ()}
        for file in files.values():
            file.map()
        whole = len(found.stored) == len(self.ids)
        positions = sorted(found.stored)
        sources: dict[str, Any] = files
        if found.fresh:
            gone = missing_part(self.place, [commit for commit, _ in found.fresh])
            if gone is not None:
                again = dataclasses.replace(self)
                if again.contents.commits != found.commits:  # merged since they were listed
                    return again.open()
                raise gone
            sources = {
                x.name: MergedLayer(found, i, self.dtype, functools.partial(self._file_rows, i))
                for i, x in enumerate(found.layers or ())
            }
        return Layers(
            sources,
            self.ids if whole else [self.ids[p] for p in positions],
            encoder=self.encoder,
            view=self.view,
            modality=str(self.identity["modality"]),
            n_parameters=found.facts.get("n_parameters"),
            provenance={
                **self.identity,
                **found.facts,
                "collection": self.items,
                **({"skipped": self.skipped} if self.skipped else {}),
            },
            rows=None if whole or found.fresh else np.array(positions, dtype=np.int64),
        )

    def _file_rows(self, index: int, journal: Journal) -> np.ndarray[Any, Any]:
        """A layer's file, checked."""
        return LayerFile(self, (journal.layers or ())[index], journal)()

    def damages(self) -> dict[int, str]:
        """Batch of the journal, by number -> what is wrong with it, after reading every byte that it names.

        Raises:
            StoreError: if the journal itself is damaged.
        """
        found: dict[int, str] = {}
        journal = read_journal(self.path / "journal")
        for i, layer in enumerate(journal.layers or ()):
            file = LayerFile(self, layer, journal)
            try:
                array = file.map()
            except StoreError as error:
                found |= dict.fromkeys(range(len(journal.batches)), str(error))
                continue
            for number in file.bad_batches(array, i):
                found.setdefault(number, f"{file.path}: its rows do not match their checksum")
        return found


class LayerFile:
    """A layer's file, opened when it is called."""

    def __init__(self, entry: Entry, layer: Layer, journal: Journal) -> None:
        self.entry, self.layer, self.path, self._journal = entry, layer, entry.path / layer.file, journal
        self._array: np.ndarray[Any, Any] | None = None

    def __call__(self) -> np.ndarray[Any, Any]:
        """The rows, checked against their checksums the first time.

        Raises:
            StoreError: if they are damaged.
        """  # noqa: DOC501  # a function makes the error; its class is named above
        if self._array is None:
            array = self.map()
            bad = self.bad_batches(array, [x.name for x in self._journal.layers or ()].index(self.layer.name))
            if bad:
                positions = self._journal.batches[bad[0]].positions
                raise damaged(self.path, f"the rows of {self.entry.ids[positions[0]]!r} … do not match their checksum")
            self._array = array
        return self._array

    def map(self) -> np.ndarray[Any, Any]:
        """The rows, unchecked but for their shape.

        Raises:
            StoreError: if the file is missing, too short or of another shape.
        """  # noqa: DOC501  # a function makes the error; its class is named above
        shape = (len(self.entry.ids), self.layer.width)
        try:
            # a plain array over the mapping: slices of np.memmap carry its attributes along and are slow
            array = np.asarray(npy.open_memmap(self.path, mode="r"))
        except FileNotFoundError as error:
            raise damaged(self.path, "it is missing") from error
        except OSError as error:
            raise StoreError(f"Cannot read {self.path}: {error.strerror or error}.") from error
        except Exception as error:  # whatever a damaged head makes NumPy trip over
            raise damaged(self.path, f"it is truncated or no .npy file ({error})") from error
        if array.shape != shape or array.dtype != self.entry.dtype:
            raise damaged(self.path, f"it holds {array.dtype} {array.shape}, not {self.entry.dtype} {shape}")
        return array

    def bad_batches(self, array: np.ndarray[Any, Any], index: int) -> list[int]:
        """Numbers of the batches whose rows are not those that were committed."""
        batches = self._journal.batches
        return [i for i, b in enumerate(batches) if b.positions and _crc(array, b.positions) != b.checksums[index]]


def header(shape: tuple[int, int], dtype: np.dtype[Any]) -> bytes:
    """The head of a ``.npy`` file whose rows follow."""
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def layer_file(index: int, name: str) -> str:
    """A file name for a layer: its number, and its name as far as file systems allow."""
    return f"{index:03d}_{_slug(name)}.npy"


def _crc(array: np.ndarray[Any, Any], positions: tuple[int, ...]) -> int:
    first, count = positions[0], len(positions)
    run = positions == tuple(range(first, first + count))
    rows = array[first : first + count] if run else array[list(positions)]
    return zlib.crc32(np.ascontiguousarray(rows).data)


def _slug(text: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in text)
    return kept.strip("-.")[:60] or "x"
