"""One encoder on one view, batch by batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .._core.parallel import PICTURE, on_threads
from .._core.progress import Show, progress
from .._core.provenance import versions
from ..datasets import View
from ..datasets._base import PairedItems
from ..datasets._media import read_audio, read_image
from ..datasets._views import FileView
from ..encoders._base import Encoder
from ..errors import InputError
from ._sinks import Rows, Sink

_READERS = (read_image, read_audio)  # they let others run while they decode


class _Unreadable(NamedTuple):
    """An item that cannot be read."""

    error: Exception


@dataclasses.dataclass
class Job:
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

    def run(self, sink: Sink, ranges: Sequence[range] | None = None) -> int:
        """Compute what the sink lacks.

        Args:
            sink: Where the rows go.
            ranges: The places in `order` that are wanted, in whole batches; None takes all.

        Returns:
            How many items were computed here.

        Raises:
            InputError: if an item cannot be read or encoded.
        """
        if all(self._is_there(p, sink) for p in range(len(self.items))):
            return 0  # the encoder is not asked for the order of items
        ranges = [range(len(self.items))] if ranges is None else ranges
        left = sum(not self._is_there(p, sink) for part in ranges for p in self.order[part.start : part.stop])
        if not left:
            return 0
        begun, computed = False, 0
        if self.encoder.metered:
            self.encoder.announce(left)
        with progress(left, self.what, show=self.show) as advance:
            for batch, begins in self._batches(ranges):
                sink.look(0.2 if begins else 0.02)  # where a range begins, another writer is likelier to be ahead
                positions = [p for p in batch if not self._is_there(p, sink)]
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
                computed += len(kept)
                advance(len(positions))
        return computed

    def is_done(self, part: range, sink: Sink) -> bool:
        """Whether nothing is left to do in a range of `order`."""
        return all(self._is_there(p, sink) for p in self.order[part.start : part.stop])

    def require_some(self, sink: Sink, computed: int) -> None:
        """Refuse a view of which nothing could be used.

        Raises:
            InputError: if not one item could be read and encoded.
        """
        if not computed and not sink.stored:
            raise InputError(f"{self.what}: none of the {len(self.items)} items could be read and encoded.")

    @property
    def what(self) -> str:
        """What is done, in words."""
        return f"{self.encoder.name} on {self.items.name}/{self.name}"

    @cached_property
    def order(self) -> list[int]:
        """The items as they are encoded, whatever is already there: longest texts first, others in item order."""
        order = list(range(len(self.items)))
        if self.view.modality == "text":  # only texts are at hand; a picture's cost is not worth reading it twice
            view = self.view
            order.sort(key=lambda p: -self.encoder.cost(view[p]))
        return order

    def _is_there(self, position: int, sink: Sink) -> bool:
        return position in sink.stored or (self.skip_bad and position in sink.skipped)

    def _batches(self, ranges: Sequence[range]) -> Iterator[tuple[list[int], bool]]:
        """The positions of each batch, and whether a range begins with it."""
        for part in ranges:
            for start in range(part.start, part.stop, self.batch_size):
                yield self.order[start : min(start + self.batch_size, part.stop)], start == part.start

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
        several = isinstance(self.view, FileView) and self.view.read in _READERS  # others may not bear it
        found = on_threads(self._item, positions, PICTURE * len(positions)) if several else map(self._item, positions)
        for p, item in zip(positions, found, strict=True):
            if isinstance(item, _Unreadable):
                if not self.skip_bad:
                    raise InputError(
                        f"{self._where}: item {self.items.ids[p]!r} cannot be read: {item.error}"
                    ) from item.error
                skipped[p] = f"cannot be read: {item.error}"
            else:
                batch[p] = item
        return batch, skipped

    def _item(self, position: int) -> Any:
        try:
            return self.view[position]
        except MemoryError:
            raise
        except Exception as error:  # whatever the reader of a broken file, or a user's own view, raises
            return _Unreadable(error)

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
