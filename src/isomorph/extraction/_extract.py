"""`extract`: an encoder over a view, into the feature store or into memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from .._core.checks import check_type
from .._core.progress import Show, notice
from ..datasets._base import PairedItems, as_names
from ..encoders._base import Encoder
from ..encoders.statistics import statistics
from ..errors import InputError
from ..store import Entry, FeatureStore, Layers, PartWriter, choose_view
from ..store._features import identity
from ._job import Job
from ._ranges import check_share, division, without_missing_files
from ._settings import ExtractSettings
from ._sinks import Memory, Stored


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
    share: tuple[int, int] | None = None,
) -> Layers:
    """The features of every layer of an encoder on one view of the items.

    With a store, batches are committed as they come, only what is missing is computed, and if nothing is missing the
    encoder is not run at all. An interrupted run that is taken up again with the same batch size gives the same bytes
    as an uninterrupted one. Memory holds one batch, whatever the number of items. A shared store (`FeatureStore`) may
    be written by many at once: each computes, in an order of its own, what nobody has committed yet.

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
        share: ``(i, k)`` computes the share i, from 0, of k that together are all items, for k processes or hosts that
            write one shared store. The result holds the items that are stored by then, whoever computed them; a call
            without shares computes what is missing.

    Returns:
        Layers of shape ``(n, d)``, in item order, memory-mapped if there is a store. What is known about the model
        (`Encoder.traits`: family, objective, training data) and its number of parameters are in their `provenance`,
        from where they travel into results.

    Raises:
        InputError: if the view does not fit the encoder, an item cannot be read or encoded, activations are not
            finite (layer and item are named) or do not fit into float16, the features do not fit into `memory`, or
            `share` is no share or the store is not shared.
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
    check_share(share, store)
    name = choose_view(encoder, items, view)
    unreadable: dict[str, str] = {}
    if skip_bad:
        items, unreadable = without_missing_files(items, name)
    facts = identity(encoder, items, name, storage)
    job = Job(encoder, items, name, batch_size, skip_bad, progress)
    if store is None:
        sink = Memory(len(items), storage, settings.bytes(), encoder.name)
        job.require_some(sink, job.run(sink))
        layers = sink.layers(facts, items)
    else:
        entry = Entry.at(store.place, facts, items.ids, items.name)
        if share is not None or not _all_there(entry, skip_bad):
            with store.writer(entry, commit_every) as writer:
                ranges = division(writer, job, share) if isinstance(writer, PartWriter) else None
                found = job.run(Stored(writer), ranges)
                if share is None:
                    job.require_some(Stored(writer), found)
        layers = Entry.at(store.place, facts, items.ids, items.name).open()
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

    Example:
        >>> items = iso.PairedItems("pets", ("1", "2"), {"name": ["cat", "dog"]})
        >>> {layer: rows.shape for layer, rows in input_statistics(items, "name").items()}
        {'words': (2, 513), 'characters': (2, 513)}
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


def _all_there(entry: Entry, skip_bad: bool) -> bool:
    return entry.complete and (skip_bad or entry.n_stored == len(entry.ids))


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
