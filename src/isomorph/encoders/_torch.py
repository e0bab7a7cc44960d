"""What all encoders that run a torch network share: one pass, hooks that pool at once, checks, identity."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError
from ._base import Encoder, Features
from ._pooling import pool
from ._provider import Options
from ._taps import Tap, tapping

_rng_lock = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A batch, or a part of one, that can go through the network together.

    Attributes:
        inputs: What the network is called with.
        positions: Where its items stand in the batch.
        mask: Boolean tensor (b, t), true where a token holds input; None if all do.
        prefix: How many class and register tokens stand in front; None if not known.
        patches: For images: how many patches they are cut into; the tokens beyond that number are the prefix.
    """

    inputs: Any
    positions: Sequence[int]
    mask: Any = None
    prefix: int | None = None
    patches: int | None = None

    def prefix_of(self, x: Any) -> int | None:
        """How many class and register tokens the activations `x` have in front, if that is known."""
        if self.patches is None or x.ndim != 3:
            return self.prefix
        return max(0, int(x.shape[1]) - self.patches)


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
    """

    def __init__(
        self, network: Any, taps: Sequence[Tap], options: Options, call: Callable[[Any], Any] | None = None
    ) -> None:
        self._network, self._taps, self._options = network, tuple(taps), options
        self._call = call or (lambda inputs: network(**inputs))
        self._fingerprint: str | None = None

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
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self._network.parameters())

    @property
    def weights(self) -> str:
        """Sha256 over the names, shapes, types and values of all weights that run."""
        if self._fingerprint is None:
            self._fingerprint = state_fingerprint(self._network)
        return self._fingerprint

    def shared_identity(self) -> dict[str, Any]:
        """The part of the identity that every torch encoder has."""
        o = self._options
        facts = {
            "weights": self.weights,
            "pooling": o.pooling,
            "dtype": o.dtype,
            "init": o.init,
            "layers": list(self.layers),
        }
        return facts | ({"seed": o.seed} if o.init == "random" else {})

    def encode(self, batch: Sequence[Any]) -> Features:
        if not len(batch):
            raise InputError(f"{self.name}: there is nothing to encode in an empty batch.")
        rows: dict[str, list[Any]] = {layer: [None] * len(batch) for layer in self.layers}
        for part in self.prepare(batch):
            for layer, pooled in self.forward(part).items():
                values = [p.cpu().numpy() for p in pooled] if isinstance(pooled, list) else pooled.cpu().numpy()
                check_finite(self.name, layer, values, part.positions)
                for position, value in zip(part.positions, values, strict=True):
                    rows[layer][position] = value
        if self._options.pooling == "none":
            return rows  # type: ignore[return-value]  # lists of (t, d), as the base class says of "none"
        return {layer: np.stack(values) for layer, values in rows.items()}

    def forward(self, part: Prepared) -> dict[str, Any]:
        """Pooled tensors of every layer for one prepared part, on the device.

        Raises:
            InputError: if a layer did not run, or cannot be pooled.
        """
        torch = import_torch("Running a model")
        pooled: dict[str, Any] = {}

        def take(layer: str, x: Any) -> None:
            try:
                pooled[layer] = pool(x, part.mask, self._options.pooling, part.prefix_of(x))
            except InputError as error:
                raise InputError(f"{self.name}, layer {layer!r}: {error}") from error

        with torch.inference_mode(), self._autocast(torch), tapping(self._network, self._taps, take):
            self._call(part.inputs)
        for layer in self.layers:
            if layer not in pooled:
                raise InputError(f"{self.name}: the layer {layer!r} does not run in a forward pass; leave it out.")
        return {layer: pooled[layer] for layer in self.layers}

    def _autocast(self, torch: Any) -> contextlib.AbstractContextManager[Any]:
        if self._options.dtype not in ("bfloat16", "float16"):
            return contextlib.nullcontext()
        kind = torch.device(self._options.device).type
        context: contextlib.AbstractContextManager[Any] = torch.autocast(
            kind, dtype=getattr(torch, self._options.dtype)
        )
        return context


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


def settle(network: Any, options: Options) -> Any:
    """Put a network into evaluation mode, on its device, without gradients.

    Raises:
        InputError: if the device is not there.
    """
    torch = import_torch("Running a model")
    try:
        network = network.to(torch.device(options.device))
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {options.device!r} cannot be used: {str(error).splitlines()[0]}") from error
    network = network.to(torch.float64 if options.dtype == "float64" else torch.float32)
    return network.eval().requires_grad_(requires_grad=False)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's CPU generator with a seed, and leave the generator as it was."""
    torch = import_torch("Drawing random weights")
    with _rng_lock, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def state_fingerprint(network: Any) -> str:
    """Sha256 over the names, shapes, types and bytes of a module's state, whatever device it is on."""
    import torch

    total = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if not isinstance(value, torch.Tensor):
            total.update(f"{name}\0{value!r}\0".encode())
            continue
        here = value.detach().cpu().contiguous()
        total.update(f"{name}\0{tuple(here.shape)}\0{here.dtype}\0".encode())
        if here.numel():
            total.update(here.reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def json_digest(facts: Mapping[str, Any]) -> str:
    """Sha256 of JSON-able facts, independent of their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
