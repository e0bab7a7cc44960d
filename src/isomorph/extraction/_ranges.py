"""The items of one extraction divided among several writers."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Sequence
from typing import Any

from .._core.progress import Show
from ..datasets._base import PairedItems
from ..encoders._base import Encoder
from ..errors import InputError, quoted
from ..store import Entry, FeatureStore, PartWriter, choose_view
from ..store._features import identity
from ._job import Job
from ._settings import ExtractSettings
from ._sinks import Stored


class Extraction:
    """One encoder on one view into a shared store, range by range, beside other writers of the same entry.

    All writers divide the items into the same ranges: the first one chooses them and writes them down. Ranges are of
    whole batches in the order in which one process encodes them, so that the features are the same bytes whoever
    computes which. What was committed, by anybody, is not computed again.

    Args:
        encoder: The encoder, loaded if `compute` is to be called; its name and identity do for `missing`.
        items: The items; with `skip_bad` those whose files are missing are left out.
        store: A shared store.
        settings: View, batch size, storage, `skip_bad`, seconds between commits.
        progress: How progress is shown, as for `isomorph.show_progress`.

    Raises:
        InputError: if the store is not shared, or the view does not fit the encoder.

    Example:
        >>> items = iso.PairedItems("pets", ("1", "2", "3"), {"name": ["cat", "dog", "cow"]})
        >>> store = iso.FeatureStore("features", shared=True)
        >>> work = Extraction(iso.load_encoder("statistics:text"), items, store, ExtractSettings(batch_size=2))
        >>> work.missing()  # numbers of ranges, for as many workers as there are
        [0, 1]
        >>> work.compute([0]), work.missing(), work.compute([1]), work.missing()
        (2, [1], 1, [])
    """

    def __init__(
        self,
        encoder: Encoder,
        items: PairedItems,
        store: FeatureStore,
        settings: ExtractSettings | None = None,
        progress: Show = None,
    ) -> None:
        settings = settings or ExtractSettings()
        if not store.shared:
            raise InputError(
                f"{store} has one writer at a time; FeatureStore({str(store.root)!r}, shared=True) has many."
            )
        view = choose_view(encoder, items, settings.view)
        if settings.skip_bad:
            items, _ = without_missing_files(items, view)
        facts = identity(encoder, items, view, settings.storage)
        self.entry = Entry.at(store.place, facts, items.ids, items.name)
        self._job = Job(encoder, items, view, settings.batch_size, settings.skip_bad, progress)
        self._writer = PartWriter(self.entry, settings.commit_every)

    def ranges(self) -> tuple[range, ...]:
        """The ranges, as places in the order in which items are encoded.

        Raises:
            StoreError: if the store cannot be written.
        """
        with self._writer:
            return self._writer.ranges(self._job.batch_size)

    def missing(self) -> list[int]:
        """Numbers of the ranges in which something is to be computed, as the store is now.

        Raises:
            StoreError: if the store cannot be read or written.
        """
        ranges, sink = self.ranges(), Stored(self._writer)
        if not sink.stored and not sink.skipped:
            return list(range(len(ranges)))  # the encoder need not be asked for the order of items
        return [number for number, part in enumerate(ranges) if not self._job.is_done(part, sink)]

    def compute(self, numbers: Iterable[int]) -> int:
        """Compute what is missing of some ranges, and commit it.

        Args:
            numbers: Numbers of ranges.

        Returns:
            How many items were computed here; those that others had committed are not.

        Raises:
            InputError: as `isomorph.extract`.
            StoreError: if the store cannot be read or written; what was committed stays valid.
        """
        with self._writer as writer:
            ranges = writer.ranges(self._job.batch_size)
            return self._job.run(Stored(writer), [ranges[number] for number in numbers])


def division(writer: PartWriter, job: Job, share: tuple[int, int] | None) -> Sequence[range]:
    """The ranges that one of several writers takes: those of its share, or all in an order of its own.

    Writers that share nothing out rarely meet in one range so, and what one commits the others leave.

    Args:
        writer: Of the entry, entered.
        job: What is computed.
        share: ``(i, k)``, or None.

    Raises:
        StoreError: if the store cannot be written.
    """
    ranges = list(writer.ranges(job.batch_size))
    if share is None:
        random.SystemRandom().shuffle(ranges)
        return ranges
    return ranges[share[0] :: share[1]]


def check_share(share: Any, store: FeatureStore | None) -> None:
    """See that a share is one, and the store one that several may write.

    Args:
        share: ``(i, k)``, or None.
        store: The store, or None.

    Raises:
        InputError: if not.

    Example:
        >>> check_share((0, 4), iso.FeatureStore("features", shared=True))
        >>> check_share((0, 4), iso.FeatureStore("features"))
        Traceback (most recent call last):
            ...
        isomorph.errors.InputError: share=(0, 4) needs a store that several may write at once: ...
    """
    if share is None:
        return
    if store is None or not store.shared:
        raise InputError(
            f"share={quoted(share)} needs a store that several may write at once: "
            "FeatureStore('features/', shared=True), or an object store such as 's3://bucket/features'."
        )
    whole = isinstance(share, (tuple, list)) and len(share) == 2 and all(type(n) is int for n in share)
    if not whole or not 0 <= share[0] < share[1]:
        raise InputError(
            f"share={quoted(share)} is no share; give (i, k) with 0 <= i < k, such as (0, 4) for the first of four."
        )


def without_missing_files(items: PairedItems, view: str) -> tuple[PairedItems, dict[str, str]]:
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
