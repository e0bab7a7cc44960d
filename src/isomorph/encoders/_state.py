"""The weights and buffers of a torch network: their names, and digests of their values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import InputError
from ._facts_plain import digest


def state_digest(network: Any, facts: Callable[[Any], Any]) -> str:
    """Sha256 of a network's weights and buffers, those included that it does not save.

    Args:
        network: The torch module.
        facts: What describes the parts of its state that are no tensors, such as packed parameters.

    Raises:
        InputError: if weights have no values.
    """
    for name, x in tensors(network):
        if x.is_meta:
            raise InputError(f"The weights {name!r} have no values (they are on the device 'meta'); load them first.")
    saved = {n: v for key, held in network.state_dict().items() for n, v in plain_parts(key, held)}
    others = {k: v for k, v in saved.items() if not hasattr(v, "data_ptr")}
    total = hashlib.sha256(state_fingerprint(network).encode())
    for name, x in tensors(network):
        if name not in saved:
            total.update(f"{name}\0{tuple(x.shape)}\0{x.dtype}\0{tensor_digest(x)}".encode())
    if others:  # packed parameters and the like
        total.update(digest(facts(others)).encode())
    return total.hexdigest()


def state_fingerprint(network: Any) -> str:
    """Sha256 over the names, shapes, types and bytes of a module's state, whatever device it is on."""
    import torch

    total = hashlib.sha256()
    for key, held in sorted(network.state_dict().items()):
        for name, value in plain_parts(key, held):
            if not isinstance(value, torch.Tensor):
                total.update(f"{name}\0{value!r}\0".encode())
                continue
            here = value.detach().cpu().contiguous()
            total.update(f"{name}\0{tuple(here.shape)}\0{here.dtype}\0".encode())
            if here.numel():
                total.update(here.reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def plain_parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A tensor by its name, or those that it is made of: quantised weights are numbers and scales, say."""
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass

    if not is_traceable_wrapper_subclass(value):
        yield name, value
        return
    for part in value.__tensor_flatten__()[0]:
        yield from plain_parts(f"{name}.{part}", getattr(value, part))


def tensor_digest(x: Any) -> str:
    """Sha256 of a tensor's values, whatever device it is on.

    Raises:
        RuntimeError: if its values cannot be read; also NotImplementedError, where torch says so.
    """
    import torch

    x = x.detach()
    if x.is_quantized:
        parts = [x.int_repr(), x.dequantize()]
    elif x.layout is torch.sparse_coo:
        parts = [x.coalesce().indices(), x.coalesce().values()]
    else:
        parts = [x]
    total = hashlib.sha256()
    for part in parts:
        here = part.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        if here.numel():
            total.update(here.view(torch.uint8).numpy())
    return total.hexdigest()


def tensors(network: Any) -> Iterator[tuple[str, Any]]:
    """All parameters and buffers by name; tied ones under each of their names."""
    for named in (network.named_parameters, network.named_buffers):
        for name, x in named(remove_duplicate=False):
            yield from plain_parts(name, x)
