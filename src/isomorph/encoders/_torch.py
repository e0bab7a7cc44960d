"""What all encoders that run a torch network share: one pass, hooks that pool at once, checks, identity."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, IsomorphError, MissingExtraError
from ._axes import Seen, find_axes, observe, parse_axes, to_items_first
from ._base import Encoder, Features
from ._check import check_first_batch
from ._fingerprint import WeightsWatch
from ._pooling import pool
from ._probes import Fault
from ._provider import Options
from ._taps import Tap, tapping

_rng_lock = threading.Lock()
_ENTRY = "(entry)"
_SEEN = ("image", "video", "audio")  # a token in front that all texts share may be a word, which is no class token
_SCHEME = 2  # how activations become features: axes, masks and prefixes; part of every identity


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A batch, or a part of one, that can go through the network together.

    Attributes:
        inputs: What the network is called with.
        positions: Where its items stand in the batch.
        mask: Boolean tensor (b, t), true where a token holds input; None if all do.
        prefix: How many class and register tokens stand in front, if the network's class says so; None leaves it to
            be measured (images).
        masks: For layers with another number of tokens than `mask`: the mask of so many tokens, or None.
    """

    inputs: Any
    positions: Sequence[int]
    mask: Any = None
    prefix: int | None = None
    masks: Callable[[int], Any] | None = None

    def mask_of(self, x: Any) -> Any:
        """The mask of activations (b, t, d); None if every token holds input.

        Raises:
            InputError: if padding cannot be told apart in them.
        """
        mask = self.mask
        if mask is None or x.ndim != 3 or tuple(mask.shape) == tuple(x.shape[:2]):
            return mask
        if bool(mask.all()) and x.shape[1] < mask.shape[1]:
            return None  # no padding before the strides, so none after; more tokens than went in are the network's own
        found = self.masks(int(x.shape[1])) if self.masks is not None else None
        if found is None:
            raise InputError(
                f"the layer gives {x.shape[1]} tokens an item but the inputs have {mask.shape[1]}: "
                "padding cannot be told apart. Choose another layer, or encode items one by one."
            )
        return found


def import_torch(what: str) -> Any:
    """The torch module.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(what, "torch", "models") from error
    return torch


class TorchEncoder(Encoder):
    """Base of the encoders that run a torch network; subclasses prepare batches and say who they are.

    Args:
        network: The module that runs.
        taps: Where activations are taken.
        options: Pooling, device, dtype, init and seed.
        call: Runs the network on prepared inputs; by default ``network(**inputs)``.
        entry: Where the first block is entered: there class and register tokens are counted, being the tokens in
            front that no image changes.
        widths: Numbers of features that the configuration names.
    """

    def __init__(
        self,
        network: Any,
        taps: Sequence[Tap],
        options: Options,
        call: Callable[[Any], Any] | None = None,
        *,
        entry: Tap | None = None,
        widths: Iterable[int] = (),
    ) -> None:
        self._network, self._taps, self._options = network, tuple(taps), options
        self._call = call or (lambda inputs: network(**inputs))
        self._entry = entry or (self._taps[0] if self._taps and self._taps[0].is_input else None)
        self._widths = frozenset(widths)
        self._said = parse_axes(options.axes, self.layers)
        self._axes: dict[str, str] = {}
        self._prefix: dict[str, int] = {}  # layer -> class and register tokens in front, where that is known
        self._grouping = "padded"
        self._lock = threading.RLock()
        self._watch = WeightsWatch(network)

    @abstractmethod
    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        """Split a batch into parts that can go through the network together.

        Raises:
            InputError: if an item cannot be encoded.
        """

    @property
    def network(self) -> Any:
        """The torch module that runs, in evaluation mode."""
        return self._network

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(t.layer for t in self._taps)

    @property
    def precision(self) -> str:
        return self._options.dtype

    @property
    def pooling(self) -> str:
        return self._options.pooling

    @property
    def untrained(self) -> bool:
        return self._options.init == "random"

    def alike(self, a: Any, b: Any) -> bool:
        return bool(_shapes(self._alone(a, 0).inputs) == _shapes(self._alone(b, 0).inputs))

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self._network.parameters())

    @property
    def weights(self) -> str:
        """Sha256 over the names, shapes, types and values of all weights that run, as they are now."""
        return self._watch.fingerprint()

    @property
    def grouping(self) -> str:
        """Which items share a pass: all of a batch (``"padded"``), those of equal shape (``"equal"``), or none."""
        return self._grouping

    @property
    def axes(self) -> Mapping[str, str]:
        """The axes of every layer, such as ``"btd"``; empty until the network has run once."""
        return dict(self._axes)

    def shared_identity(self) -> dict[str, Any]:
        """The part of the identity that every torch encoder has."""
        o = self._options
        facts = {
            "weights": self.weights,
            "pooling": o.pooling,
            "dtype": o.dtype,
            "init": o.init,
            "layers": list(self.layers),
            "features": _SCHEME,
        }
        facts |= {"axes": self._said} if self._said else {}
        facts |= {"grouping": self._grouping} if self._grouping != "padded" else {}
        return facts | self.check_facts() | ({"seed": o.seed} if o.init == "random" else {})

    def own_fault(self, probes: Sequence[Any]) -> Fault | None:
        said = self.prepare([probes[0]])[0].prefix
        for layer, found in self._prefix.items():
            if said is not None and said != found:
                return Fault(
                    "prefix",
                    layer,
                    f"is said to have {said} class and register tokens in front, but {found} tokens there are the same "
                    "for every item.",
                    "State the number that the network's class has.",
                )
        return None

    def mend(self, fault: Fault) -> str | None:
        if fault.kind == "padding" and self._grouping == "padded":
            self._grouping = "equal"
            return "items of unequal length never share a pass: padding would change their features"
        return None

    def mended(self) -> dict[str, Any]:
        seen = {"axes": dict(self._axes), "prefix": dict(self._prefix)}
        return super().mended() | seen | {"grouping": self._grouping}

    def restore(self, mended: Mapping[str, Any]) -> None:
        super().restore(mended)
        self._grouping = mended.get("grouping", self._grouping)
        self._axes = mended.get("axes", {}) if set(mended.get("axes", {})) == set(self.layers) else {}
        self._prefix = dict(mended.get("prefix", {}))

    def encode(self, batch: Sequence[Any]) -> Features:
        with self._lock:  # hooks of one call would take what another call's network gives
            return self._encode(batch)

    def _encode(self, batch: Sequence[Any]) -> Features:
        if not len(batch):
            raise InputError(f"{self.name}: there is nothing to encode in an empty batch.")
        if not self._axes:
            items = self.probes() or [batch[0], batch[-1]]
            try:
                self.find_axes(items[0], items[1])
            except (IsomorphError, MemoryError):
                raise
            except Exception as error:  # whatever a network, or a user's preprocessing, raises on what it cannot take
                raise InputError(f"{self.name} cannot run on these items: {type(error).__name__}: {error}") from error
        check_first_batch(self, batch)
        rows: dict[str, list[Any]] = {layer: [None] * len(batch) for layer in self.layers}
        for part in self.parts(batch):
            for layer, pooled in self.forward(part).items():
                values = [p.cpu().numpy() for p in pooled] if isinstance(pooled, list) else pooled.cpu().numpy()
                check_finite(self.name, layer, values, part.positions)
                for position, value in zip(part.positions, values, strict=True):
                    rows[layer][position] = value
        if self._options.pooling == "none":
            return rows  # type: ignore[return-value]  # lists of (t, d), as the base class says of "none"
        return {layer: np.stack(values) for layer, values in rows.items()}

    def warm_up(self, probes: Sequence[Any]) -> None:
        alike = next((p for p in probes[1:] if self.modality in _SEEN and self.alike(probes[0], p)), None)
        self.find_axes(probes[0], probes[1], alike)

    def parts(self, batch: Sequence[Any]) -> list[Prepared]:
        """The passes of a batch, by the grouping that this network needs."""
        if self._grouping == "padded":
            return self.prepare(batch)
        alone = [self._alone(item, i) for i, item in enumerate(batch)]
        if self._grouping == "single":
            return alone
        alike: dict[Any, list[int]] = {}
        for i, part in enumerate(alone):
            alike.setdefault(_shapes(part.inputs), []).append(i)
        together = [(p, self.prepare([batch[i] for i in p])) for p in alike.values()]
        return [
            dataclasses.replace(part, positions=[p[i] for i in part.positions])
            for p, parts in together
            for part in parts
        ]

    def _alone(self, item: Any, position: int) -> Prepared:
        try:
            (part,) = self.prepare([item])
        except InputError as error:
            raise InputError(str(error).replace("Item 0 of", f"Item {position} of")) from error
        return dataclasses.replace(part, positions=[position])

    def find_axes(self, one: Any, other: Any, alike: Any = None) -> None:
        """Run the network on copies of two items and see which axis is which.

        Args:
            one: An item.
            other: Another, of another size if items have sizes.
            alike: One of the size of the first, by which class tokens are told: they are the same for both.

        Raises:
            InputError: if that cannot be told for a layer, or an item cannot be encoded.
        """
        entry = next((t.layer for t in self._taps if self._entry and _place(t) == _place(self._entry)), _ENTRY)
        extra = [dataclasses.replace(self._entry, layer=_ENTRY)] if self._entry and entry == _ENTRY else []
        taps = [*self._taps, *extra]

        def run(items: list[Any]) -> dict[str, Seen]:
            parts = self.prepare(items)
            torch = import_torch("Running a model")
            with torch.inference_mode(mode=False), torch.no_grad(), self._autocast(torch):
                return observe(self._network, taps, lambda: self._evaluate(parts[0].inputs))

        try:
            if len(self.prepare([one, one])) > 1:
                self._grouping = "single"
            single = self._grouping == "single"
            first = [one] if single else [one, one]
            two, three, alone = run(first), None if single else run([one, one, one]), run([other])
            self._refuse_unrun(two)
            axes = find_axes(two, three, alone, self._widths, self._said, lambda: run(first))
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error
        if any("b" not in word for word in axes.values()) and self._grouping != "single":
            self._grouping = "single"  # tokens of several items are packed: one item a pass, and all tokens are its own
            return self.find_axes(one, other, alike)
        if entry in axes and alike is not None:
            like = alone if alike is other else run([alike])
            self._prefix = _prefixes(two, like, entry, axes)
        self._axes = {layer: axes[layer] for layer in self.layers}
        return None

    def _refuse_unrun(self, seen: Mapping[str, Any]) -> None:
        for layer in self.layers:
            if layer not in seen:
                raise InputError(f"the layer {layer!r} does not run in a forward pass; leave it out.")

    def _evaluate(self, inputs: Any) -> Any:
        """Run the network as it is meant to encode, whatever was done to it since."""
        if any(module.training for module in self._network.modules()):
            self._network.eval()
        return self._call(as_precise(inputs, self._options))

    def forward(self, part: Prepared) -> dict[str, Any]:
        """Pooled tensors of every layer for one prepared part, on the device.

        Raises:
            InputError: if a layer did not run, or cannot be pooled.
        """
        torch = import_torch("Running a model")
        pooled: dict[str, Any] = {}

        def take(layer: str, x: Any) -> None:
            try:
                x = self._items_first(layer, x, len(part.positions))
                pooled[layer] = pool(x, part.mask_of(x), self._options.pooling, self._prefix_of(layer, x, part))
            except InputError as error:
                raise InputError(f"{self.name}, layer {layer!r}: {error}") from error

        with torch.inference_mode(), self._autocast(torch), tapping(self._network, self._taps, take):
            try:
                self._evaluate(part.inputs)
            except IndexError as error:
                raise InputError(
                    f"{self.name}: an item holds what the network has no place for ({error}); does the tokenizer "
                    "know more tokens than the network?"
                ) from error
        try:
            self._refuse_unrun(pooled)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error
        return {layer: pooled[layer] for layer in self.layers}

    def _items_first(self, layer: str, x: Any, n: int) -> Any:
        word = self._axes[layer]
        if x.ndim != len(word):
            raise InputError(f"activations of shape {tuple(x.shape)} come where ({', '.join(word)}) was before.")
        x = to_items_first(x, word)
        if len(x) != n:
            raise InputError(f"activations of {len(x)} items come for {n}; say by axes= which axis holds the items.")
        return x

    def _prefix_of(self, layer: str, x: Any, part: Prepared) -> int | None:
        """How many class and register tokens the activations `x` have in front, if that is known."""
        return part.prefix if part.prefix is not None or x.ndim != 3 else self._prefix.get(layer)

    def _autocast(self, torch: Any) -> contextlib.AbstractContextManager[Any]:
        if self._options.dtype not in ("bfloat16", "float16"):
            return contextlib.nullcontext()
        kind = torch.device(self._options.device).type
        context: contextlib.AbstractContextManager[Any] = torch.autocast(
            kind, dtype=getattr(torch, self._options.dtype)
        )
        return context


def as_precise(inputs: Any, options: Options) -> Any:
    """Inputs with floating tensors in float64, as the weights are, where that was asked for; else as they are."""
    if options.dtype != "float64":
        return inputs
    if isinstance(inputs, Mapping):
        return {k: as_precise(v, options) for k, v in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        return type(inputs)(as_precise(v, options) for v in inputs)
    return inputs.double() if getattr(inputs, "is_floating_point", bool)() else inputs


def _place(tap: Tap) -> tuple[str, int, bool]:
    return tap.module, tap.call, tap.is_input


def _shapes(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return tuple((k, tuple(getattr(v, "shape", ()))) for k, v in inputs.items())
    return tuple(getattr(inputs, "shape", ()))


def _prefixes(a: Mapping[str, Seen], b: Mapping[str, Seen], entry: str, axes: Mapping[str, str]) -> dict[str, int]:
    """Layer -> tokens in front that two items of one size share where the first block is entered.

    Layers of another number of tokens than that are left out, unless they merge tokens of which none is such a one.
    """
    first, second = (to_items_first(s[entry].value, axes[entry])[0] for s in (a, b))
    if first.ndim != 2 or first.shape != second.shape:
        return {}
    moved = (first.float() - second.float()).abs().amax(1) > 1e-5 * max(float(first.float().abs().max()), 1e-30)
    if not bool(moved.any()):
        return {}
    prefix, tokens = int(moved.int().argmax()), len(first)
    if prefix and axes[entry].count("t") != 1:
        return {}  # of several tiles each has class tokens of its own
    found = {}
    for layer, word in axes.items():
        x = to_items_first(a[layer].value, word)
        if x.ndim == 3 and (x.shape[1] == tokens or (prefix == 0 and tokens % int(x.shape[1]) == 0)):
            found[layer] = prefix
    return {layer: n for layer, n in found.items() if layer != _ENTRY}


def check_finite(name: str, layer: str, values: Sequence[Any], positions: Sequence[int]) -> None:
    """Refuse features that are not finite.

    Raises:
        InputError: naming the layer and the item's position in the batch.
    """
    if isinstance(values, np.ndarray) and np.isfinite(values).all():
        return
    for position, value in zip(positions, values, strict=True):
        if not np.isfinite(value).all():
            raise InputError(
                f"{name}: the activations of layer {layer!r} are not finite for item {position} of the batch. "
                "Leave the item out, or use dtype='float32' if a lower precision overflows."
            )


def settle(network: Any, options: Options, *, keep_dtype: bool = False, own: bool = True) -> Any:
    """Put a network into evaluation mode, on its device, without gradients.

    Args:
        network: The module.
        options: Device and dtype.
        keep_dtype: Whether the weights stay in the type that they have.
        own: Whether the network is ours; a user's may be trained on, so that its gradients stay as they are.

    Raises:
        InputError: if the device is not there.
    """
    torch = import_torch("Running a model")
    try:
        network = network.to(torch.device(options.device))
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {options.device!r} cannot be used: {str(error).splitlines()[0]}") from error
    if not keep_dtype:
        network = network.to(torch.float64 if options.dtype == "float64" else torch.float32)
    return network.eval().requires_grad_(requires_grad=False) if own else network.eval()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's CPU generator with a seed, and leave the generator as it was."""
    torch = import_torch("Drawing random weights")
    with _rng_lock, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def json_digest(facts: Mapping[str, Any]) -> str:
    """Sha256 of JSON-able facts, independent of their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
