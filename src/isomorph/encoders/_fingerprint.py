"""What an encoder's key must cover: the code and data of a preprocess function, and the network as it is now."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ._facts import Walker, describe_callable
from ._facts_libraries import module_facts
from ._facts_plain import digest
from ._inputs import ImagePreprocessing
from ._state import state_digest, tensor_digest, tensors

_WIDTH = 4096  # 64-bit words that are weighted at once
_ROWS = 1024  # rows of so many words at once, on a GPU: 32 MB


def describe(function: Any, what: str = "preprocess") -> Any:
    """JSON-able facts that change whenever anything changes that can change what a function computes.

    That is its code and source, defaults, closure, attributes, what it is bound to or called with in advance, and all
    that its code takes from modules, from function to function as far as the user wrote them; a library counts by its
    version. The same function gives the same facts in every process. Not covered: the content of files, the
    environment, and what is looked up by a computed name.

    Args:
        function: Any callable.
        what: What it is called in messages.

    Raises:
        InputError: if it holds something that cannot be hashed, such as an open file or a lock; the message says where
            it stands and what to give instead.
    """
    if type(function) is ImagePreprocessing:
        return function.facts
    return describe_callable(function, what)


class WeightsWatch:
    """A network's fingerprint as it is now, recomputed only where something changed.

    Watched are all weights and buffers, whatever way they were written to, the classes of the modules, the user's own
    code in them, and their settings: numbers, texts, flags, functions, configurations. Training mode is none of them,
    since encoders leave it before every pass.

    Args:
        network: The torch module.
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        self._stamp: Any = None
        self._state = ""

    def fingerprint(self) -> str:
        """Sha256 of the weights and the settings.

        Raises:
            InputError: if weights have no values.
        """
        stamp = self._read_stamp()
        if stamp is None or stamp != self._stamp:
            self._state, self._stamp = state_digest(self._network, Walker(refuse=False).value), stamp
        settings = module_facts(Walker(refuse=False, deep=False), self._network, (), training=False)
        return digest([self._state, settings])

    def _read_stamp(self) -> Any:
        """What changes when a tensor is replaced or written to; None if that cannot be read."""
        stamp = []
        sums: dict[Any, int] = {}
        for name, x in tensors(self._network):
            if x.is_meta:
                return None
            version = None if x.is_inference() else x._version
            place = (x.data_ptr() if _is_plain(x) else id(x), tuple(x.shape), str(x.dtype), str(x.device))
            if place not in sums:  # tied weights are read once
                sums[place] = checksum(x)
            stamp.append((name, place, version, sums[place]))
        return stamp


def checksum(x: Any) -> int:
    """A checksum of a tensor's bytes that moves with every value and with their order, at the speed of memory."""
    import torch

    x = x.detach()
    if not x.numel():
        return 0
    if not _is_plain(x):
        return int(tensor_digest(x)[:15], 16)
    raw = x.contiguous().reshape(-1).view(torch.uint8)
    whole = raw.numel() // 8 * 8
    tail = bytes(raw[whole:].tolist())
    if raw.storage_offset() % 8:
        raw = raw.clone()
    return (_weighted(raw[:whole].view(torch.int64), 0) if whole else 0) ^ int.from_bytes(tail, "little")


def _weighted(words: Any, level: int) -> int:
    """Sum of all words, each with a weight of its own, modulo 2^64: rows first, then the sums of the rows."""
    import torch

    weights = _weights(level, str(words.device))
    count = words.numel()
    if count <= _WIDTH:
        return int((words * weights[:count]).sum())
    rows = count // _WIDTH
    table, rest = words[: rows * _WIDTH].view(rows, _WIDTH), words[rows * _WIDTH :]
    sums = _row_sums_cpu(table, weights) if table.device.type == "cpu" else _row_sums(table, weights)
    last = (rest * weights[: rest.numel()]).sum().reshape(1)
    return _weighted(torch.cat([sums, last]), level + 1)


def _row_sums_cpu(table: Any, weights: Any) -> Any:
    import torch

    # einsum passes over whole numbers once, which torch does not
    return torch.from_numpy(np.einsum("ij,j->i", table.numpy(), weights.numpy()))


def _row_sums(table: Any, weights: Any) -> Any:
    import torch

    return torch.cat([(part * weights).sum(1) for part in table.split(_ROWS)])


@functools.lru_cache(maxsize=16)
def _weights(level: int, device: str) -> Any:
    import torch

    drawn = np.random.default_rng(level).integers(-(2**62), 2**62, _WIDTH, dtype=np.int64) | 1
    return torch.from_numpy(drawn).to(device)


def _is_plain(x: Any) -> bool:
    """Whether a tensor's bytes are its values."""
    import torch

    return bool(x.layout is torch.strided and not x.is_quantized and not x.is_conj() and not x.is_neg())
