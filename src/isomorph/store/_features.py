"""The feature store: a folder of entries, found by encoder and items."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any, final

from .._core.files import as_path, atomic_write, reason
from .._core.provenance import canonical_json
from ..datasets._base import PairedItems
from ..encoders._base import Encoder
from ..errors import InputError, StoreError, UnknownNameError, quoted
from ._entry import DTYPES, Entry
from ._journal import layout, line, read_journal
from ._layers import Layers
from ._writer import lock


@final
class FeatureStore:
    """Features on disk: one ``.npy`` file a layer, row-addressed by item id, append-only, valid after any crash.

    An entry is addressed by everything that determines its bytes: the encoder's name, revision and `identity`
    (weights' fingerprint, preprocessing, pooling, dtype, …), the storage dtype, the view's name and the fingerprint
    of its items. Writing needs a POSIX system.

    Args:
        root: The folder; it is made when something is first written.

    Raises:
        InputError: if `root` is no path.
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

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = as_path(root, "root")
        try:
            there, folder = self.root.exists(), self.root.is_dir()
        except OSError as error:  # too long a name, or a folder on the way that may not be read
            raise InputError(f"root={quoted(root)} cannot be read: {reason(error)}.") from error
        if there and not folder:
            raise StoreError(f"{self.root} is a file; a feature store is a folder: give another path.")

    def __repr__(self) -> str:
        return f"FeatureStore({str(self.root)!r})"

    def entries(self) -> list[Entry]:
        """All entries, by folder name.

        Raises:
            StoreError: if one cannot be read.
        """
        return [Entry.read(p.parent) for p in sorted(self.root.glob("*/entry.json"))]

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
        return Entry.at(self.root, identity(encoder, items, view, storage), items.ids, items.name)

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
        stored = self.entry(encoder, items, view, storage).journal.stored
        return tuple(id_ for i, id_ in enumerate(items.ids) if i not in stored)

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
            try:
                found = entry.damages()
            except StoreError as error:
                if not repair:
                    raise
                atomic_write(entry.path / "journal", b"")
                problems.append(str(error))
                continue
            problems += [f"{what} (batch {number})" for number, what in sorted(found.items())]
            if found and repair:
                _drop(entry, found)
        return problems

    def _readable(self) -> tuple[list[Entry], list[StoreError]]:
        """The entries that can be read, and why the others cannot: one that is damaged keeps no other from its user."""
        found: list[Entry] = []
        errors: list[StoreError] = []
        for path in sorted(self.root.glob("*/entry.json")):
            try:
                found.append(Entry.read(path.parent))
            except StoreError as error:
                errors.append(error)
        return found, errors

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


def _drop(entry: Entry, bad: Mapping[int, str]) -> None:
    """Write the journal anew without some batches; if none is left, without the layout too."""
    with lock(entry):
        journal = read_journal(entry.path / "journal")  # batches are only ever appended: the numbers still hold
        kept = [b for i, b in enumerate(journal.batches) if i not in bad]
        lines = [layout(journal.layers or (), journal.facts)] if kept else []
        atomic_write(entry.path / "journal", b"".join(line(r) for r in [*lines, *(b.record for b in kept)]))
