"""Run an encoder over a view, batch by batch, into the feature store."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ._core.checks import as_count, check_flag, check_type, is_finite
from ._core.memory import parse_bytes
from ._core.progress import Show, notice, progress
from ._core.provenance import versions
from ._core.settings import Settings
from .datasets import View
from .datasets._base import PairedItems, as_names
from .encoders._base import Encoder
from .encoders.statistics import statistics
from .errors import InputError, UnknownNameError, quoted
from .store import Entry, EntryWriter, FeatureStore, Layers, choose_view
from .store._entry import DTYPES
from .store._features import identity

Rows = dict[str, "np.ndarray[Any, Any]"]


@dataclasses.dataclass(frozen=True)
class ExtractSettings(Settings):
    """How an encoder is run over the items, whichever they are.

    Attributes:
        view: View of the items, or None for the one of the encoder's modality; ``"text | shuffle_words(seed=1)"`` is a
            view with its items changed, as a control.
        batch_size: Items a batch.
        storage: ``"float32"``, or ``"float16"`` for half the space and about three digits.
        skip_bad: Leave out items that cannot be read or encoded, rather than stop at the first.
        memory: What the features may take if there is no store, such as ``"4GB"`` or bytes.
        commit_every: Least number of seconds between commits to the store; 0 commits every batch.
    """

    view: str | None = None
    batch_size: int = 16
    storage: str = "float32"
    skip_bad: bool = False
    memory: str | int | float = "4GB"
    commit_every: float = 1.0

    def __post_init__(self) -> None:
        as_count(self.batch_size, "batch_size")
        if not isinstance(self.storage, str) or self.storage not in DTYPES:
            raise UnknownNameError("storage", quoted(self.storage), DTYPES)
        check_flag(self.skip_bad, "skip_bad")
        self.bytes()
        if not is_finite(self.commit_every) or self.commit_every < 0:
            raise InputError(f"commit_every={quoted(self.commit_every)}: a number of seconds of at least 0 is needed.")

    def bytes(self) -> float:
        """The bytes that the features may take; infinity is no limit.

        Raises:
            InputError: if `memory` is no size.
        """
        if isinstance(self.memory, float):
            if not self.memory >= 0:  # nor is NaN
                raise InputError(f"memory={quoted(self.memory)}: at least 0 bytes, or a text like '4GB', are needed.")
            return float(self.memory)
        return parse_bytes(self.memory, least=0)


def extract(
    encoder: Encoder,
    items: PairedItems,
    view: str | Sequence[str] | None = None,
    store: FeatureStore | str | os.PathLike[str] | None = None,
    *,
    batch_size: int = 16,
    storage: str = "float32",
    skip_bad: bool = False,
    progress: Show = None,
    memory: str | int | float = "4GB",
    commit_every: float = 1.0,
) -> Layers:
    """The features of every layer of an encoder on one view of the items.

    With a store, batches are committed as they come, only what is missing is computed, and if nothing is missing the
    encoder is not run at all. An interrupted run that is taken up again with the same batch size gives the same bytes
    as an uninterrupted one. Memory holds one batch, whatever the number of items.

    Args:
        encoder: The encoder, such as `load_encoder` gives.
        items: The items.
        view: Which view of them to encode; None takes the one of the encoder's modality. An encoder of two views takes
            both, as ``("image", "text")`` or ``"image+text"``. ``"text | shuffle_words(seed=1)"`` is a view with its
            items changed, as a control (`isomorph.datasets.PERTURBATIONS`); its features are kept as another view's.
        store: The store, or its folder; None keeps all features in memory.
        batch_size: Items a batch. Texts are sorted by length first, so that a batch holds texts of like length;
            the features come back in item order all the same.
        storage: ``"float32"``, or ``"float16"`` for half the space and about three digits.
        skip_bad: Leave out items that cannot be read or encoded, and say how many, rather than stop at the first.
            They are missing from the ids of the result, so that joining leaves them out of every other view too.
        progress: How progress is shown, as for `isomorph.show_progress`; None leaves it to that switch.
        memory: What the features may take if there is no store, such as ``"4GB"`` or bytes.
        commit_every: Least number of seconds between commits to the store; 0 commits every batch.

    Returns:
        Layers of shape ``(n, d)``, in item order, memory-mapped if there is a store. What is known about the model
        (`Encoder.traits`: family, objective, training data) and its number of parameters are in their `provenance`,
        from where they travel into results.

    Raises:
        InputError: if the view does not fit the encoder, an item cannot be read or encoded, activations are not
            finite (layer and item are named) or do not fit into float16, or the features do not fit into `memory`.
        StoreError: if the store cannot be read or written; what was committed stays valid.

    Example:
        >>> import isomorph as iso
        >>> items = iso.PairedItems("pets", ("1", "2", "3"), {"name": ["cat", "dog", "cow"]})
        >>> x = iso.extract(iso.load_encoder("statistics:text"), items, store="features")
        >>> {layer: rows.shape for layer, rows in x.items()}
        {'words': (3, 513), 'characters': (3, 513)}
        >>> x.ids
        ('1', '2', '3')
    """
    check_type(encoder, "encoder", Encoder, "what iso.load_encoder(…) gives")
    check_type(items, "items", PairedItems, "what iso.load_dataset(…) gives")
    if encoder is None or items is None:
        raise InputError("extract needs an encoder and items, as iso.load_encoder(…) and iso.load_dataset(…) give.")
    view = view if view is None or isinstance(view, str) else "+".join(as_names(view, "view"))
    settings = ExtractSettings(view, batch_size, storage, skip_bad, memory, commit_every)
    store = store if store is None or isinstance(store, FeatureStore) else FeatureStore(store)
    name = choose_view(encoder, items, view)
    unreadable: dict[str, str] = {}
    if skip_bad:
        items, unreadable = _without_missing_files(items, name)
    facts = identity(encoder, items, name, storage)
    job = _Job(encoder, items, name, batch_size, skip_bad, progress)
    if store is None:
        sink = _Memory(len(items), storage, settings.bytes(), encoder.name)
        job.run(sink)
        layers = sink.layers(facts, items)
    else:
        entry = Entry.at(store.root, facts, items.ids, items.name)
        if not _all_there(entry, skip_bad):
            with EntryWriter(entry, commit_every) as writer:
                job.run(_Disk(writer))
        layers = Entry.at(store.root, facts, items.ids, items.name).open()
    layers.provenance.update(encoder.traits)  # entries that an earlier version stored lack them
    return _tell(layers, unreadable)


def input_statistics(items: PairedItems, view: str) -> Layers:
    """Statistics of the inputs of one view, one layer a kind, in float64: what needs no model, as a baseline.

    The encoder ``statistics:MODALITY`` gives the same in float32 and through the store; `isomorph.encoders.statistics`
    says what each layer holds.

    Args:
        items: The items.
        view: Name of the view.

    Raises:
        UnknownNameError: if there is no such view.
        InputError: if an item cannot be read, or the view's modality has no statistics.
    """
    source = items.view(view)
    try:
        found = statistics([], source.modality)
    except InputError as error:
        raise InputError(f"View {view!r} of {items.name}: {error}") from error
    for index in range(len(items)):  # one item at a time: a view is read lazily
        for name, rows in statistics([source[index]], source.modality).items():
            found[name] += rows
    return Layers.from_arrays(
        {name: np.stack(rows) for name, rows in found.items()},
        list(items.ids),
        encoder=f"input statistics of {view}",
        view=view,
        modality=source.modality,
        n_parameters=0,
        provenance={"encoder": "input statistics", "view": view, "kinds": list(found)},
    )


class _Sink(Protocol):
    """Where batches go."""

    stored: set[int]
    skipped: dict[int, str]
    dtype: np.dtype[Any]

    def begin(self, widths: Mapping[str, int], facts: Mapping[str, Any]) -> None: ...

    def put(self, positions: Sequence[int], rows: Rows, skipped: Mapping[int, str]) -> None: ...


class _Disk:
    """Into an entry of the store."""

    def __init__(self, writer: EntryWriter) -> None:
        self.stored, self.skipped = set(writer.journal.stored), writer.journal.skipped
        self.dtype = writer.entry.dtype
        self.begin, self.put = writer.begin, writer.put


class _Memory:
    """Into arrays, as far as the memory that was granted goes."""

    def __init__(self, n: int, storage: str, budget: float, name: str) -> None:
        self.stored: set[int] = set()
        self.skipped: dict[int, str] = {}
        self.dtype = np.dtype(DTYPES[storage])
        self._n, self._budget, self._name = n, budget, name
        self._arrays: Rows = {}
        self._facts: Mapping[str, Any] = {}

    def begin(self, widths: Mapping[str, int], facts: Mapping[str, Any]) -> None:
        need = self._n * sum(widths.values()) * self.dtype.itemsize
        if need > self._budget:
            raise InputError(
                f"The features of {self._name} on {self._n} items take {need / 1e9:.3g} GB, more than memory="
                f"{self._budget:.3g} bytes. Give a store (store='features/'), which keeps them on disk, or more memory."
            )
        self._arrays = {name: np.zeros((self._n, width), self.dtype) for name, width in widths.items()}
        self._facts = facts

    def put(self, positions: Sequence[int], rows: Rows, skipped: Mapping[int, str]) -> None:
        for name, block in rows.items():
            self._arrays[name][list(positions)] = block
        self.stored.update(positions)
        self.skipped.update(skipped)

    def layers(self, identity: Mapping[str, Any], items: PairedItems) -> Layers:
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


@dataclasses.dataclass
class _Job:
    """One encoder on one view."""

    encoder: Encoder
    items: PairedItems
    name: str
    batch_size: int
    skip_bad: bool
    show: Show

    @property
    def view(self) -> View:
        return self.items.view(self.name)

    def run(self, sink: _Sink) -> None:
        """Compute what the sink lacks.

        Raises:
            InputError: if not one item could be read and encoded.
        """
        done = sink.stored | (set(sink.skipped) if self.skip_bad else set())
        if len(done) == len(self.items) and sink.stored:
            return
        begun = False
        if self.encoder.metered:
            self.encoder.announce(len(self.items) - len(done))
        what = f"{self.encoder.name} on {self.items.name}/{self.name}"
        with progress(len(self.items) - len(done), what, show=self.show) as advance:
            for batch in self._plan():
                positions = [p for p in batch if p not in done]
                if not positions:
                    continue
                kept, rows, skipped = self._compute(positions, sink.dtype)
                if kept and not begun:
                    facts = {"n_parameters": int(self.encoder.n_parameters), "versions": versions()}
                    facts |= self.encoder.traits
                    sink.begin({k: v.shape[1] for k, v in rows.items()}, facts)
                    widths, begun = {k: v.shape[1] for k, v in rows.items()}, True
                if kept:
                    self._check_same(widths, rows, kept)
                sink.put(kept, rows, skipped)
                advance(len(positions))
        if not begun and not sink.stored:
            raise InputError(f"{what}: none of the {len(self.items)} items could be read and encoded.")

    def _plan(self) -> Iterator[list[int]]:
        """All batches, the same ones whatever is already there: longest texts first, others in item order."""
        order = list(range(len(self.items)))
        if self.view.modality == "text":  # only texts are at hand; a picture's cost is not worth reading it twice
            view = self.view
            order.sort(key=lambda p: -self.encoder.cost(view[p]))
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def _compute(self, positions: list[int], dtype: np.dtype[Any]) -> tuple[list[int], Rows, dict[int, str]]:
        batch, skipped = self._read(positions)
        if not batch:
            return [], {}, skipped
        try:
            rows = self._encode(list(batch), list(batch.values()), dtype)
        except InputError as error:
            refused = self._refused(batch, dtype)
            if not refused:
                ids = ", ".join(repr(self.items.ids[p]) for p in list(batch)[:3])
                raise InputError(f"{self._where} (a batch that begins with {ids}): {error}") from error
            if not self.skip_bad:
                raise refused[min(refused)] from error
            skipped |= {p: str(why) for p, why in refused.items()}
            batch = {p: item for p, item in batch.items() if p not in refused}
            rows = self._encode(list(batch), list(batch.values()), dtype) if batch else {}
        return list(batch), rows, skipped

    def _read(self, positions: list[int]) -> tuple[dict[int, Any], dict[int, str]]:
        batch: dict[int, Any] = {}
        skipped: dict[int, str] = {}
        for p in positions:
            try:
                batch[p] = self.view[p]
            except MemoryError:
                raise
            except Exception as error:  # whatever the reader of a broken file, or a user's own view, raises
                if not self.skip_bad:
                    raise InputError(f"{self._where}: item {self.items.ids[p]!r} cannot be read: {error}") from error
                skipped[p] = f"cannot be read: {error}"
        return batch, skipped

    def _refused(self, batch: Mapping[int, Any], dtype: np.dtype[Any]) -> dict[int, InputError]:
        """The items that the encoder refuses on their own too: only so are they known by id."""
        refused: dict[int, InputError] = {}
        for p, item in batch.items():
            try:
                self._encode([p], [item], dtype)
            except InputError as error:
                refused[p] = InputError(f"{self._where}: item {self.items.ids[p]!r}: {error}")
                refused[p].__cause__ = error
                if not self.skip_bad:
                    break
        return refused

    def _encode(self, positions: list[int], batch: list[Any], dtype: np.dtype[Any]) -> Rows:
        rows: Rows = {}
        found = self.encoder.encode(batch)
        if not isinstance(found, Mapping):
            raise InputError(f"the encoder gives {type(found).__name__}; a mapping from layer to features is needed.")
        for layer, features in found.items():
            if isinstance(features, (list, tuple)):
                raise InputError(
                    f"layer {layer!r} gives one row a token, but one row an item is kept: choose a pooling, such as "
                    "pooling='mean'."
                )
            array = np.asarray(features)
            if array.ndim != 2 or array.shape[0] != len(batch) or array.dtype.kind != "f":
                raise InputError(
                    f"layer {layer!r} gives {array.dtype} of shape {array.shape} for {len(batch)} items; floating "
                    f"features of shape ({len(batch)}, d) are needed."
                )
            rows[str(layer)] = self._cast(layer, array, dtype)
        if not rows:
            raise InputError("the encoder gives no layers.")
        return rows

    def _cast(self, layer: str, array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0]
            raise InputError(
                f"layer {layer!r} gives a non-finite activation ({array[row, column]}) at feature {column}."
            )
        with np.errstate(over="ignore", under="ignore"):
            cast = array.astype(dtype)
        if not np.isfinite(cast).all():
            row, column = np.argwhere(~np.isfinite(cast))[0]
            raise InputError(
                f"layer {layer!r} gives {array[row, column]:.6g} at feature {column}, which {dtype.name} cannot hold: "
                "use storage='float32'."
            )
        return cast

    def _check_same(self, widths: Mapping[str, int], rows: Rows, positions: list[int]) -> None:
        found = {k: v.shape[1] for k, v in rows.items()}
        if found != widths:
            changed = sorted(k for k in {*found, *widths} if found.get(k) != widths.get(k))
            raise InputError(
                f"{self._where}: from item {self.items.ids[positions[0]]!r} on, layer {changed[0]!r} has "
                f"{found.get(changed[0], 'no')} features where it had {widths.get(changed[0], 'none')} before; "
                "every batch must give the same layers."
            )

    @property
    def _where(self) -> str:
        return f"{self.encoder.name} on view {self.name!r} of {self.items.name}"


def _all_there(entry: Entry, skip_bad: bool) -> bool:
    return entry.complete and (skip_bad or entry.n_stored == len(entry.ids))


def _without_missing_files(items: PairedItems, view: str) -> tuple[PairedItems, dict[str, str]]:
    """The items whose content can be hashed at all, and why the others cannot.

    Raises:
        InputError: if no item can be read.
    """
    with contextlib.suppress(InputError):
        items.view_fingerprint(view)
        return items, {}
    bad: dict[str, str] = {}
    for i, id_ in enumerate(items.ids):
        try:
            items.view(view).digest(i)
        except InputError as error:
            bad[id_] = str(error)
    if len(bad) == len(items):
        raise InputError(f"View {view!r} of {items.name}: none of the {len(items)} items can be read.")
    return items.subset(i for i in items.ids if i not in bad), bad


def _tell(layers: Layers, unreadable: Mapping[str, str]) -> Layers:
    """Say how many items were left out, and keep it with the result."""
    skipped = {**unreadable, **layers.provenance.get("skipped", {})}
    if skipped:
        layers.provenance["skipped"] = skipped
        id_, why = next(iter(skipped.items()))
        notice(
            f"{layers.encoder} on {layers.view!r}: left out {len(skipped)} of {layers.n + len(skipped)} items that "
            f"cannot be used, such as {id_!r}: {why}"
        )
    return layers
