"""Encoders of graphs that are read from a file: which axis is which, which items share a pass, pooling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ._axes import KNOWN
from ._base import Encoder, Features
from ._check import check_first_batch
from ._onnx_axes import items_axis, items_first
from ._onnx_inputs import Inputs, Pass, in_rows, leads, together
from ._pooling import pool
from ._probes import Fault
from ._provider import Options
from ._torch import check_finite


class GraphEncoder(Encoder):
    """A graph whose tensors are tapped. Subclasses read it, fill the attributes below and run it."""

    _taps: dict[str, str]  # layer -> tensor
    _said: dict[str, str]  # layer -> axes, as far as the user says
    _by_graph: dict[str, frozenset[int]]  # tensor -> axes of its features, from behind, as the operations say
    _source: Inputs
    _options: Options
    _prefix: int | None
    _axes: dict[str, str]  # empty until the graph has run
    _grouping: str
    _rows: int | None  # how many items each pass must have, if the graph says

    @abstractmethod
    def run(self, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
        """Tensors for the inputs of one pass.

        Raises:
            InputError: if an input is missing, or the graph cannot run on these.
        """

    def look_closer(self, one: Any, open_: Sequence[str]) -> None:
        """Find the axes of tensors that are open, with the help of an item, where that takes a run."""

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self._taps)

    @property
    def modality(self) -> str:
        return self._source.modality

    @property
    def pooling(self) -> str:
        return self._options.pooling

    @property
    def axes(self) -> Mapping[str, str]:
        """The axes of every layer, such as ``"btd"``; empty until the graph has run once."""
        return dict(self._axes)

    @property
    def grouping(self) -> str:
        """Which items share a pass: all of a batch (``"padded"``), those of equal shape (``"equal"``), or none."""
        return self._grouping

    def cost(self, item: Any) -> float:
        samples = getattr(item, "samples", None)
        return super().cost(item) if samples is None else len(samples) / item.rate

    def probes(self) -> list[Any]:
        return self._source.probes()

    def warm_up(self, probes: Sequence[Any]) -> None:
        self._find_axes(probes[0], probes[1])

    def mend(self, fault: Fault) -> str | None:
        if fault.kind == "padding" and self._grouping == "padded":
            self._grouping = "equal"
            return "items of unequal length never share a pass: padding would change their features"
        if fault.kind in ("batch", "padding") and self._grouping != "single" and self._rows is None:
            self._grouping = "single"
            return "every item has a pass of its own: the graph computes over the whole batch (as quantised ones do)"
        return None

    def mended(self) -> dict[str, Any]:
        return super().mended() | {"axes": dict(self._axes), "grouping": self._grouping}

    def restore(self, mended: Mapping[str, Any]) -> None:
        super().restore(mended)
        self._grouping = mended.get("grouping", self._grouping)
        self._axes = mended.get("axes", {}) if set(mended.get("axes", {})) == set(self.layers) else {}

    def encode(self, batch: Sequence[Any]) -> Features:
        if not len(batch):
            raise InputError(f"{self.name}: there is nothing to encode in an empty batch.")
        if not self._axes:
            items = self.probes() or [batch[0], batch[-1]]
            self._find_axes(items[0], items[1])
        rows: dict[str, list[Any]] = {layer: [None] * len(batch) for layer in self._taps}
        for part in self._parts(batch):
            for layer, pooled in self._pooled(part).items():
                check_finite(self.name, layer, pooled, part.positions)
                for position, value in zip(part.positions, pooled, strict=True):
                    rows[layer][position] = value
        check_first_batch(self, batch)
        if self._options.pooling == "none":
            return rows  # type: ignore[return-value]  # lists of (t, d), as the base class says of "none"
        return {layer: np.stack(values) for layer, values in rows.items()}

    def _parts(self, batch: Sequence[Any]) -> list[Pass]:
        if self._grouping == "padded":
            return [p for part in self._source.passes(batch) for p in in_rows(part, self._rows)]
        alone = [self._alone(item, i) for i, item in enumerate(batch)]
        if self._grouping == "single":
            return alone
        alike: dict[Any, list[Pass]] = {}
        for part in alone:
            alike.setdefault(_shapes(part), []).append(part)
        return [p for parts in alike.values() for p in in_rows(together(parts), self._rows)]

    def _alone(self, item: Any, position: int) -> Pass:
        try:
            (part,) = self._source.passes([item])
        except InputError as error:
            raise InputError(str(error).replace("Item 0 of", f"Item {position} of")) from error
        return Pass([position], part.inputs, part.mask, part.prefix)

    def _pooled(self, part: Pass) -> dict[str, Any]:
        outputs = list(dict.fromkeys(self._taps.values()))
        values = dict(zip(outputs, self._values(outputs, part.inputs), strict=True))
        pooled: dict[str, Any] = {}
        for layer, tensor in self._taps.items():
            try:
                pooled[layer] = self._pool(np.asarray(values[tensor]), self._axes[layer], part)
            except InputError as error:
                raise InputError(f"{self.name}, layer {layer!r}: {error}") from error
        return pooled

    def _pool(self, x: Any, word: str, part: Pass) -> Any:
        """Pooled activations of one layer.

        Raises:
            InputError: if they are not what they were, or the pooling makes no sense for them.
        """
        n, pooling = len(part.positions), self._options.pooling
        if x.ndim != len(word):
            raise InputError(f"activations of shape {x.shape} come where ({', '.join(word)}) was before.")
        x = items_first(x, word)[: n if "b" in word else None]
        if len(x) != n:
            raise InputError(f"activations of {len(x)} items come for {n}; say by axes= which axis holds the items.")
        tokens = x.ndim == 3
        if tokens and word.count("t") > 1 and pooling in ("cls", "last"):
            raise InputError(f"pooling={pooling!r} needs tokens; the layer gives maps: use 'mean' or 'max'.")
        prefix = part.prefix if part.prefix is not None else self._prefix
        return pool(x, part.mask if tokens else None, pooling, prefix)

    def _values(self, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
        if self._rows is not None:
            rows = self._rows
            arrays = {n: np.asarray(v) for n, v in inputs.items()}
            inputs = {n: np.concatenate([v, *[v[-1:]] * (rows - len(v))]) if v.ndim else v for n, v in arrays.items()}
        return self.run(outputs, inputs)

    def _find_axes(self, one: Any, other: Any) -> None:
        """Run one and two copies of an item, and another, and see which axis is which.

        Raises:
            InputError: if that cannot be told for a layer.
        """
        outputs = list(dict.fromkeys(self._taps.values()))

        def values(*items: Any) -> dict[str, Any]:
            part = together([self._alone(item, i) for i, item in enumerate(items)])
            return {n: np.asarray(v) for n, v in zip(outputs, self._values(outputs, part.inputs), strict=True)}

        def shapes(*items: Any) -> dict[str, tuple[int, ...]]:
            return {n: v.shape for n, v in values(*items).items()}

        first = values(one)
        for layer, tensor in self._taps.items():
            if first[tensor].dtype.kind != "f":
                kind = first[tensor].dtype
                raise InputError(f"{self.name}: layer {layer!r} holds {kind}, no features; leave it out of layers=.")
        alone = {n: v.shape for n, v in first.items()}
        two = None
        if self._grouping != "single" and self._rows is None:
            try:
                two = shapes(one, one)
            except InputError:  # its batch is fixed inside, whatever its inputs say
                self._grouping = "single"
        same = _shapes(self._alone(one, 0)) == _shapes(self._alone(other, 0))
        unlike = alone if same else shapes(other)
        changed = values(one, other) if self._rows is not None and same else None
        open_ = [t for k, t in self._taps.items() if k not in self._said and len(self._by_graph[t]) != 1]
        if open_:
            self.look_closer(one, open_)
        found = {}
        item_axis: int | None
        for layer, tensor in self._taps.items():
            if layer in self._said:
                found[layer] = self._check_said(layer, alone[tensor])
                continue
            if self._rows is not None:
                item_axis = self._row_axis(layer, first[tensor], None if changed is None else changed[tensor])
            elif two is not None:
                item_axis = items_axis(alone[tensor], two[tensor])
            else:  # a batch of one: whether its axis is there matters to the poolings of tokens alone
                item_axis = 0 if leads(alone[tensor], unlike[tensor]) else None
            found[layer] = self._word(layer, tensor, alone[tensor], unlike[tensor], item_axis)
        if any("b" not in word for word in found.values()) and self._rows is None:
            self._grouping = "single"  # items share an axis with something else: all that comes for one is its own
        self._axes = found

    def _row_axis(self, layer: str, first: Any, changed: Any) -> int:
        """The items' axis of a layer where each pass has a fixed number of them.

        Args:
            layer: Its name.
            first: Its activations for copies of one item.
            changed: Those for another item in all rows but the first, if there is one of the same size.

        Raises:
            InputError: if it cannot be told.
        """
        sized = [i for i, n in enumerate(first.shape) if n == self._rows]
        if changed is not None and len(sized) > 1:
            difference = np.abs(first - changed)
            still = [i for i in sized if not difference.take(0, axis=i).max() > 1e-6 * max(difference.max(), 1e-30)]
            sized = still or sized
        if len(sized) != 1:
            raise InputError(
                f"{self.name}: layer {layer!r} gives activations of shape {first.shape} for {self._rows} items, and "
                "which axis holds the items cannot be told. Say it by axes=, or leave it out of layers=."
            )
        return sized[0]

    def _check_said(self, layer: str, shape: tuple[int, ...]) -> str:
        word = self._said[layer]
        if len(word) != len(shape):
            raise InputError(
                f"{self.name}: axes={word!r} has {len(word)} letters, but layer {layer!r} gives activations of shape "
                f"{shape}."
            )
        return word

    def _word(
        self, layer: str, tensor: str, shape: tuple[int, ...], unlike: tuple[int, ...], item_axis: int | None
    ) -> str:
        if len(shape) != len(unlike) or not shape:
            raise InputError(
                f"{self.name}: layer {layer!r} does not give activations of one kind for every item; leave it out of "
                "layers=."
            )
        n = len(shape)
        rest = [i for i in range(n) if i != item_axis]
        if not rest:
            raise InputError(
                f"{self.name}: layer {layer!r} gives one number an item; features are needed: leave it out of layers=."
            )
        said = {a + n for a in self._by_graph[tensor]} & set(rest)
        fixed = [i for i in rest if shape[i] == unlike[i]]
        if not fixed:
            raise InputError(
                f"{self.name}: layer {layer!r} gives activations of shape {shape} for one item and {unlike} for "
                "another: no axis keeps its size, so it has no features; leave it out of layers=."
            )
        sure = [i for i in fixed if i in said] if said and len(rest) > 1 else fixed
        if len(sure) != 1:
            words = [k for k in KNOWN if len(k) == n] or KNOWN
            raise InputError(
                f"{self.name}: layer {layer!r} gives activations of shape {shape}, and which axis holds the features "
                f"cannot be told. Say it by axes=, such as {', '.join(f'axes={k!r}' for k in words)}, or leave it out "
                "of layers=."
            )
        return "".join("b" if i == item_axis else "d" if i == sure[0] else "t" for i in range(n))


def _shapes(part: Pass) -> tuple[Any, ...]:
    return tuple((name, np.shape(value)) for name, value in part.inputs.items())
