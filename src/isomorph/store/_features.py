"""The feature store: a folder of entries, found by encoder and items."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from .._core.checks import check_flag
from .._core.files import atomic_write, reason
from .._core.places import Place, open_place
from .._core.provenance import canonical_json
from ..datasets._base import PairedItems
from ..encoders._base import Encoder
from ..errors import InputError, StoreError, UnknownNameError, quoted
from ._entry import DESCRIPTION, DTYPES, Entry
from ._journal import layout, line, read_journal
from ._layers import Layers
from ._merging import merge_parts
from ._parts import drop_commits, part_damages
from ._shared import PartWriter
from ._writer import EntryWriter, lock


@final
class FeatureStore:
    """Features in a folder or an object store: row-addressed by item id, append-only, valid after any crash.

    A folder holds one ``.npy`` file a layer and has one writer at a time, for whom others wait. A shared folder and an
    object store take any number of writers, on any number of hosts: each adds *parts* (immutable
    ``.safetensors`` files) that count once their *commit* is there. Both forms are read together, and the features are
    the same bytes.

    An entry is addressed by everything that determines its bytes: the encoder's name, revision and `identity`
    (weights' fingerprint, preprocessing, pooling, dtype, …), the storage dtype, the view's name and the fingerprint
    of its items. Writing needs a POSIX system.

    Args:
        root: The folder, which is made when something is first written; or an address that fsspec opens, such as
            ``s3://bucket/features``, ``gs://bucket/features`` or ``memory://features``. Credentials are read from the
            environment by the library that opens it.
        shared: Whether what is written to the folder is written as parts, so that many processes and hosts can write
            at once. An object store is always shared.

    Raises:
        InputError: if `root` is neither a path nor an address, or holds credentials.
        MissingExtraError: if `root` is an address and the package that opens it is not installed.
        StoreError: if `root` is there and is no folder.

    Example:
        >>> import isomorph as iso
        >>> items = iso.PairedItems("pets", ("1", "2"), {"name": ["cat", "dog"]})
        >>> encoder, store = iso.load_encoder("statistics:text"), iso.FeatureStore("features")
        >>> x = iso.extract(encoder, items, store=store)
        >>> store.missing(encoder, items)  # nothing is left to do
        ()
        >>> store.open(encoder, items)["words"].shape, store.verify()
        ((2, 513), [])
    """

    def __init__(self, root: str | os.PathLike[str], *, shared: bool = False) -> None:
        check_flag(shared, "shared")
        self.place = open_place(root, "root")
        self.shared = shared or not self.place.local
        if not self.place.local:
            return
        try:
            there, folder = self.place.path.exists(), self.place.path.is_dir()
        except OSError as error:  # too long a name, or a folder on the way that may not be read
            raise InputError(f"root={quoted(root)} cannot be read: {reason(error)}.") from error
        if there and not folder:
            raise StoreError(f"{self.root} is a file; a feature store is a folder: give another path.")

    @property
    def root(self) -> Path | str:
        """The folder, or the address."""
        return self.place.path if self.place.local else self.place.address

    def __repr__(self) -> str:
        shared = ", shared=True" if self.shared and self.place.local else ""
        return f"FeatureStore({str(self.root)!r}{shared})"

    def entries(self) -> list[Entry]:
        """All entries, by folder name.

        Raises:
            StoreError: if one cannot be read.
        """
        return [Entry.read(place, data) for place, data in self._described()]

    def entry(self, encoder: Encoder, items: PairedItems, view: str | None = None, storage: str = "float32") -> Entry:
        """The entry of an encoder on a view, whether or not anything is stored in it.

        The encoder's name, revision, modality and identity are read, and nothing else.

        Args:
            encoder: The encoder; its weights need not be loaded.
            items: The items.
            view: Which view; None takes the one of the encoder's modality.
            storage: ``"float32"`` or ``"float16"``.

        Raises:
            InputError: if the view does not fit the encoder or `storage` is unknown.
        """
        view = choose_view(encoder, items, view)
        return Entry.at(self.place, identity(encoder, items, view, storage), items.ids, items.name)

    def open(
        self,
        encoder: Encoder | str | Mapping[str, Any],
        items: PairedItems | None = None,
        view: str | None = None,
        *,
        storage: str | None = None,
    ) -> Layers:
        """The stored features of an encoder on these items.

        Args:
            encoder: The encoder; or its name, if that with the other arguments means one entry only; or facts of its
                identity, such as ``{"encoder": "bundled:minilm-l6", "pooling": "cls"}``.
            items: The items; None takes whatever items there are.
            view: The view; None takes the only one that is stored.
            storage: ``"float32"`` or ``"float16"``; None takes the only one that is stored.

        Raises:
            UnknownNameError: if nothing is stored under that name.
            InputError: if several entries fit, or none of these items.
            StoreError: if the entry is incomplete or damaged.
        """
        entry = self._only(self._find(encoder, items, view, storage), encoder)
        if not entry.complete:
            raise StoreError(
                f"{entry.encoder} on {entry.view!r} of {entry.items} is stored for {entry.n_stored} of "
                f"{len(entry.ids)} items only; extract it again, which computes what is missing."
            )
        return entry.open()

    def missing(
        self, encoder: Encoder, items: PairedItems, view: str | None = None, *, storage: str = "float32"
    ) -> tuple[str, ...]:
        """Ids of the items whose features are not stored; those that were left out as unreadable are among them.

        Args:
            encoder: The encoder; its weights need not be loaded.
            items: The items.
            view: Which view; None takes the one of the encoder's modality.
            storage: ``"float32"`` or ``"float16"``.

        Raises:
            InputError: as `entry`.
            StoreError: if the entry is damaged.
        """
        stored = self.entry(encoder, items, view, storage).contents.stored
        return tuple(id_ for i, id_ in enumerate(items.ids) if i not in stored)

    def writer(self, entry: Entry, commit_every: float = 1.0) -> EntryWriter | PartWriter:
        """The writer of an entry, a context manager: one at a time, or in a shared store beside others.

        Args:
            entry: The entry.
            commit_every: Seconds between commits, at least; 0 commits each batch.
        """
        return (PartWriter if self.shared else EntryWriter)(entry, commit_every)

    def verify(self, *, repair: bool = False) -> list[str]:
        """Read every committed byte and compare it with its checksum.

        Args:
            repair: Drop the batches that are damaged, so that the next extraction computes them again.

        Returns:
            One sentence a damaged batch; empty if all is well.

        Raises:
            StoreError: if an entry's description or journal itself is damaged and `repair` is False.
        """
        problems = []
        for entry in self.entries():
            parts = part_damages(entry.place, entry.dtype)
            problems += [f"{what} (commit {name})" for name, what in parts.items()]
            if parts and repair:
                drop_commits(entry.place, parts)
            if entry.place.local:
                problems += _verify_journal(entry, repair)
        return problems

    def compact(self) -> int:
        """Merge the parts of a folder into one ``.npy`` file a layer, whose bytes are those that one writer gives.

        A part is deleted once all its rows are committed to the files: a kill at any moment loses nothing, and the next
        call goes on. Other writers may add parts meanwhile, which stay; who reads should open the store again.

        Returns:
            How many parts were merged.

        Raises:
            StoreError: if a part is damaged, the disk is full, or the store is no folder.
        """
        return sum(merge_parts(entry) for entry in self.entries())

    def _readable(self) -> tuple[list[Entry], list[StoreError]]:
        """The entries that can be read, and why the others cannot: one that is damaged keeps no other from its user."""
        found: list[Entry] = []
        errors: list[StoreError] = []
        for place, data in self._described():
            try:
                found.append(Entry.read(place, data))
            except StoreError as error:
                errors.append(error)
        return found, errors

    def _described(self) -> list[tuple[Place, bytes | None]]:
        """Where the entries are, by name; from an object store, what describes them is read all at once."""
        names = self.place.folders()
        places = [self.place / name for name in names]
        if self.place.local:
            return [(place, None) for place in places if DESCRIPTION in place.objects()]
        data = self.place.read([f"{name}/{DESCRIPTION}" for name in names])
        return [found for found in zip(places, data, strict=True) if found[1] is not None]

    def _find(
        self,
        encoder: Encoder | str | Mapping[str, Any],
        items: PairedItems | None,
        view: str | None,
        storage: str | None,
    ) -> list[Entry]:
        entries, unreadable = self._readable()
        if isinstance(encoder, Encoder):
            wanted: Mapping[str, Any] = {
                "encoder": encoder.name,
                "revision": encoder.revision,
                "settings": encoder.identity,
            }
        else:
            wanted = {"encoder": encoder} if isinstance(encoder, str) else encoder
        fitting = [e for e in entries if _fits(e, wanted)]
        if not fitting:
            name = str(wanted.get("encoder", dict(wanted)))
            hint = " ".join(["Extract it first.", *map(str, unreadable[:1])])
            raise UnknownNameError(f"encoder in {self.root}", name, {e.encoder for e in entries}, hint)
        fitting = [e for e in fitting if view in (None, e.view) and storage in (None, e.identity["storage"])]
        if items is not None:
            mine = [
                e for e in fitting if e.view in items.views and e.identity["items"] == items.view_fingerprint(e.view)
            ]
            if not mine:
                held = (
                    ", ".join(sorted({f"{e.items} ({len(e.ids)} items, view {e.view!r})" for e in fitting}))
                    or "nothing"
                )
                raise InputError(
                    f"{self.root} holds nothing of {wanted.get('encoder')} on "
                    f"{'view ' + repr(view) if view else 'a view'} of these items ({items.name}, {len(items)} items); "
                    f"what it holds for that is {held}. The items' content counts, not their name. Extract it first."
                )
            fitting = mine
        return fitting

    def _only(self, entries: list[Entry], encoder: Any) -> Entry:
        if len(entries) == 1:
            return entries[0]
        name = encoder.name if isinstance(encoder, Encoder) else encoder
        if not entries:
            raise InputError(f"{self.root} holds nothing of {name} in that view and storage.")
        lines = "; ".join(
            f"view {e.view!r} of {e.items}, {e.identity['storage']}, {canonical_json(e.identity['settings'])}"
            for e in entries
        )
        raise InputError(
            f"{len(entries)} entries of {self.root} fit {name}: {lines}. Say which: give the items, the view, "
            "the storage, or the encoder itself."
        )


def identity(encoder: Encoder, items: PairedItems, view: str, storage: str) -> dict[str, Any]:
    """Everything that determines the stored bytes.

    Raises:
        InputError: if `storage` is unknown.
    """
    if storage not in DTYPES:
        raise InputError(f"storage={storage!r} is not known; use 'float32' or 'float16'.")
    return {
        "encoder": encoder.name,
        "revision": encoder.revision,
        "modality": encoder.modality,
        "settings": dict(encoder.identity),
        "storage": storage,
        "view": view,
        "items": items.view_fingerprint(view),
    }


def choose_view(encoder: Encoder, items: PairedItems, view: str | None = None) -> str:
    """The view that an encoder sees: the given one, or the only one of its modality, or the one named like it.

    Args:
        encoder: The encoder.
        items: The items.
        view: The view, if it was said.

    Raises:
        UnknownNameError: if there is no such view.
        InputError: if the view is of another modality, none is of the encoder's, or several are and none is named so.

    Example:
        >>> items = iso.PairedItems("pets", ("1", "2"), {"name": ["cat", "dog"], "row": np.eye(2)})
        >>> choose_view(iso.load_encoder("statistics:features"), items)  # the only one that it can see
        'row'
    """
    fitting = [name for name, v in items.views.items() if v.modality == encoder.modality]
    if "+" in encoder.modality and not fitting:  # an encoder of several views: one of each modality, together
        each = [[n for n, v in items.views.items() if v.modality == kind] for kind in encoder.modality.split("+")]
        fitting = ["+".join(names) for names in itertools.product(*each)]
    shown = ", ".join(f"{name!r} ({v.modality})" for name, v in items.views.items()) or "none"
    if view is not None:
        found = items.view(view).modality
        if found != encoder.modality:
            raise InputError(
                f"{encoder.name} encodes {encoder.modality}, but view {view!r} of {items.name} holds {found}. "
                f"Its views: {shown}."
            )
        return view
    if encoder.modality in fitting:
        return encoder.modality
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise InputError(
            f"{encoder.name} encodes {encoder.modality}, of which {items.name} has no view. Its views: {shown}."
        )
    raise InputError(
        f"{items.name} has several views that {encoder.name} can encode: {', '.join(map(repr, fitting))}. "
        f"Say which, for example view={fitting[0]!r}."
    )


def _fits(entry: Entry, wanted: Mapping[str, Any]) -> bool:
    facts = {**entry.identity["settings"], **entry.identity}
    return all(k in facts and canonical_json(facts[k]) == canonical_json(v) for k, v in wanted.items())


def _verify_journal(entry: Entry, repair: bool) -> list[str]:
    """What is wrong with the batches of one writer.

    Raises:
        StoreError: if the journal itself is damaged and `repair` is False.
    """
    try:
        found = entry.damages()
    except StoreError as error:
        if not repair:
            raise
        atomic_write(entry.path / "journal", b"")
        return [str(error)]
    if found and repair:
        _drop(entry, found)
    return [f"{what} (batch {number})" for number, what in sorted(found.items())]


def _drop(entry: Entry, bad: Mapping[int, str]) -> None:
    """Write the journal anew without some batches; if none is left, without the layout too."""
    with lock(entry):
        journal = read_journal(entry.path / "journal")  # batches are only ever appended: the numbers still hold
        kept = [b for i, b in enumerate(journal.batches) if i not in bad]
        lines = [layout(journal.layers or (), journal.facts)] if kept else []
        atomic_write(entry.path / "journal", b"".join(line(r) for r in [*lines, *(b.record for b in kept)]))
