"""Running frozen networks: their inputs, their layers, what a layer gives, and what follows if it gave another."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .._core.files import reason
from ..encoders._taps import block_taps, tensor_of
from ..errors import InputError, UnknownNameError

Rows = np.ndarray[Any, Any]  # row numbers of items


class NetworkInputs:
    """What a network is called with: one array, or a mapping of arrays for keyword arguments; the first axis is items.

    Args:
        data: NumPy arrays (memory-mapped ones are read as they are used) or tensors.
        what: The argument's name, for messages.

    Raises:
        InputError: if it is neither, is empty, or its parts have different numbers of items.
    """

    def __init__(self, data: Any, what: str) -> None:
        parts = dict(data) if isinstance(data, Mapping) else {"": data}  # transformers' BatchEncoding is a mapping
        for name, part in parts.items():
            if not hasattr(part, "shape") or not hasattr(part, "dtype") or len(part.shape) == 0:
                where = f"{what}[{name!r}]" if name else what
                raise InputError(
                    f"{where} is a {type(part).__name__}; a NumPy array or tensor whose first axis is the items is "
                    "needed, or a mapping of them for the network's keyword arguments."
                )
        sizes = {name: int(part.shape[0]) for name, part in parts.items()}
        if len(set(sizes.values())) != 1 or 0 in sizes.values():
            raise InputError(f"{what} must hold the same number of items (at least one) in every part, found {sizes}.")
        self.parts, self.n = parts, next(iter(sizes.values()))

    def take(self, rows: Rows, network: Any) -> Any:
        """The inputs of some items on the network's device, floating ones in its precision."""
        device, dtype = place_of(network)
        taken = {name: _tensor(part, rows).to(device) for name, part in self.parts.items()}
        taken = {name: t.to(dtype) if t.is_floating_point() else t for name, t in taken.items()}
        return taken.get("", taken)

    def mask(self, rows: Rows) -> Any:
        """Which tokens hold input, boolean (b, t), or None where there is no ``attention_mask``."""
        part = self.parts.get("attention_mask")
        return None if part is None else _tensor(part, rows).bool()

    @property
    def content(self) -> str:
        """Sha256 over everything in it."""
        total = hashlib.sha256()
        for name, part in sorted(self.parts.items()):
            total.update(f"{name}\0{tuple(part.shape)}\0{part.dtype}\0".encode())
            for start in range(0, self.n, 1024):
                block = _tensor(part, np.arange(start, min(self.n, start + 1024)))
                total.update(np.ascontiguousarray(block.cpu().float().numpy()).tobytes())
        return total.hexdigest()


@dataclasses.dataclass(frozen=True)
class Place:
    """One call of one module in a pass: where a network is cut.

    Attributes:
        layer: The name that the user gave.
        module: Path of the module.
        call: Which of its calls, from 0.
        depth: Share of the network's elementary modules that have run when it is done.
    """

    layer: str
    module: str
    call: int
    depth: float


@dataclasses.dataclass(frozen=True)
class Network:
    """A frozen network with its inputs.

    Attributes:
        module: The torch module.
        inputs: All items.
        output: Turns what it returns into logits.
    """

    module: Any
    inputs: NetworkInputs
    output: Callable[[Any], Any] | None = None

    def run(self, rows: Rows) -> Any:
        """What the module returns for some items."""
        inputs = self.inputs.take(rows, self.module)
        return self.module(**inputs) if isinstance(inputs, dict) else self.module(inputs)

    def logits(self, rows: Rows) -> Any:
        """Class scores (b, classes), or (b, t, classes) of networks that label every token.

        Raises:
            InputError: if the output is no such thing.
        """
        raw = self.run(rows)
        logits = self._read(raw) if self.output else _default_output(raw)
        if not hasattr(logits, "is_floating_point") or logits.ndim < 2 or len(logits) != len(rows):
            shape = tuple(getattr(logits, "shape", ())) or type(logits).__name__
            raise InputError(
                f"{type(self.module).__name__} gives {shape} for {len(rows)} items; class scores of shape "
                "(items, classes) are needed: pass output=…, a function from what it returns to these."
            )
        return logits

    def _read(self, raw: Any) -> Any:
        """What `output` makes of what the module returns.

        Raises:
            InputError: if it fails.
        """
        assert self.output is not None
        try:
            return self.output(raw)
        except Exception as error:  # it is the caller's function, and may raise anything
            raise InputError(
                f"output= failed on what {type(self.module).__name__} returns ({type(raw).__name__}): {reason(error)}. "
                "It must be a function from that to class scores (items, classes)."
            ) from error

    def activations(self, place: Place, rows: Rows) -> Any:
        """What the module at a place gives, as a tensor of its own.

        Raises:
            InputError: if it does not run.
        """
        taken: list[Any] = []

        def take(value: Any) -> None:
            taken.append(tensor_of(value, place.layer).detach().clone())  # a later layer may overwrite it in place

        with _hooked(self.module, place, take):
            self.run(rows)
        if not taken:
            raise InputError(f"The layer {place.layer!r} did not run for all batches; choose another one.")
        return taken[0]

    def logits_from(self, place: Place, rows: Rows, new: Any) -> Any:
        """`logits` when the module at a place gives `new` in place of its own activations."""

        def put(value: Any) -> Any:
            true = tensor_of(value, place.layer)
            # a copy, for a later layer may overwrite it in place
            return _with_tensor(value, true, new.to(true.device, true.dtype, copy=True))

        with _hooked(self.module, place, put):
            return self.logits(rows)

    def locate(self, layer: str, which: str) -> Place:
        """Find a layer by module path, ``path#2`` for the third call of a module that runs several times, or block.

        Raises:
            UnknownNameError: if there is no such layer.
            InputError: if it does not run, or runs several times and no call is named.
        """
        import torch

        if not isinstance(layer, str):
            raise InputError(f"cuts: a layer of the {which} is given by its name, found {type(layer).__name__}.")
        probe = np.arange(min(2, self.inputs.n))
        path, mark, call = layer.partition("#")
        known = [name for name, _ in self.module.named_modules() if name]
        index = int(call) if call.isdigit() else 0
        if path not in known:
            with torch.no_grad():
                taps = {t.layer: t for t in self._block_taps(probe)}
            if layer not in taps:
                hint = "Names of modules (named_modules()) and block_01, block_02, … are understood."
                raise UnknownNameError(f"layer of the {which}", layer, [*taps, *known], hint)
            path, index, mark = taps[layer].module, taps[layer].call, "#"
        with torch.no_grad():
            calls, depths = self._watch(path, probe)
        if index >= calls:
            raise InputError(f"The layer {layer!r} of the {which} runs {calls} times in a pass; choose one that runs.")
        if calls > 1 and not mark:
            raise InputError(
                f"The layer {layer!r} of the {which} runs {calls} times in a pass; say which call is meant, from "
                f"'{layer}#0' to '{layer}#{calls - 1}'."
            )
        return Place(layer, path, index, depths[index])

    def _block_taps(self, probe: Rows) -> list[Any]:
        try:
            return [t for t in block_taps(self.module, lambda: self.run(probe)) if not t.is_input]
        except InputError:  # no list of blocks: then there are module paths only
            return []

    def _watch(self, path: str, probe: Rows) -> tuple[int, list[float]]:
        """How often a module runs, and the depth at which each call ends."""
        done, ends = 0, []

        def count(_module: Any, _args: Any, _out: Any) -> None:
            nonlocal done
            done += 1

        handles = [m.register_forward_hook(count) for m in self.module.modules() if not any(True for _ in m.children())]
        handles.append(self.module.get_submodule(path).register_forward_hook(lambda *_: ends.append(done)))
        try:
            self.run(probe)
        finally:
            for handle in handles:
                handle.remove()
        return len(ends), [end / max(1, done) for end in ends]

    def require_cut(self, place: Place) -> None:
        """Refuse a place that does not separate the network: what follows must see its input through it alone.

        Attention masks may pass by: they say which tokens there are, not what they hold.

        Raises:
            InputError: if the outputs change with the input while the activations stay.
        """
        import torch

        n = min(8, self.inputs.n)
        rows = np.arange(n)
        other = NetworkInputs({k: _rolled(k, _tensor(v, rows)) for k, v in self.inputs.parts.items()}, "data")
        with torch.no_grad():
            kept = self.activations(place, rows)
            straight = self.logits_from(place, rows, kept).float()
            crossed = dataclasses.replace(self, inputs=other).logits_from(place, rows, kept).float()
        if not torch.allclose(straight, crossed, rtol=1e-4, atol=1e-5 * float(straight.abs().max())):
            raise InputError(
                f"Cutting the top at {place.layer!r} does not separate it: its output still depends on its own input "
                "by another way, such as a skip connection around that layer. Cut where everything passes, such as "
                "after the whole block."
            )


@contextlib.contextmanager
def frozen(*modules: Any) -> Iterator[None]:
    """Evaluation mode and no gradients of the weights, for the time being; afterwards all is as it was."""
    modes = [(m, m.training) for module in modules for m in module.modules()]
    grads = [(p, p.requires_grad) for module in modules for p in module.parameters()]
    try:
        for module in modules:
            module.eval().requires_grad_(requires_grad=False)
        yield
    finally:
        for m, training in modes:
            m.training = training
        for p, requires_grad in grads:
            p.requires_grad_(requires_grad=requires_grad)


def batches(rows: Rows, size: int) -> list[Rows]:
    """Rows in parts of about equal length, none longer than `size`."""
    return [part for part in np.array_split(rows, max(1, -(-len(rows) // size))) if len(part)]


def place_of(module: Any) -> tuple[Any, Any]:
    """Device and floating type of a network, of its first floating parameter."""
    import torch

    for p in module.parameters():
        if p.is_floating_point():
            return p.device, p.dtype
    return torch.device("cpu"), torch.get_default_dtype()


def _tensor(part: Any, rows: Rows) -> Any:
    import torch

    if isinstance(part, torch.Tensor):
        return part[torch.as_tensor(rows, device=part.device)]
    return torch.as_tensor(np.array(part[rows]))


def _rolled(name: str, tensor: Any) -> Any:
    return tensor if "mask" in name else tensor.roll(1, 0)


def _default_output(raw: Any) -> Any:
    logits = getattr(raw, "logits", None)
    return raw if logits is None else logits


def _with_tensor(value: Any, old: Any, new: Any) -> Any:
    """`value` with one of its tensors exchanged.

    Raises:
        InputError: if the new one has another shape.
    """
    if new.shape != old.shape:
        raise InputError(f"The stitch gives activations of shape {tuple(new.shape)}, the top has {tuple(old.shape)}.")
    if value is old:
        return new
    if isinstance(value, tuple):
        parts = [new if part is old else part for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return [new if part is old else part for part in value]
    return type(value)(**{k: new if part is old else part for k, part in value.items()})


@contextlib.contextmanager
def _hooked(module: Any, place: Place, act: Callable[[Any], Any]) -> Iterator[None]:
    calls: Counter[str] = Counter()

    def hook(_module: Any, _args: Any, out: Any) -> Any:
        calls["all"] += 1
        return act(out) if calls["all"] == place.call + 1 else None

    handle = module.get_submodule(place.module).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
