"""Sides on a device: layers are moved there when a metric reads them, and all that it computes stays there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .._core.arrays import Array, is_traced, to_numpy
from ..errors import InputError, quoted
from ..store import Layers
from ._comparisons import Comparison
from .sides import Side


def check_device(device: object) -> None:
    """Refuse a device that torch cannot compute on here, before anything is read.

    Args:
        device: A device of torch, such as ``"cuda"``, ``"cuda:1"`` or ``"cpu"``; None for none.

    Raises:
        InputError: if it is not one, is not there, or does not compute in double precision.

    Example:
        >>> check_device("cpu"), check_device(None)
        (None, None)
    """
    if device is None:
        return
    if not isinstance(device, str):
        raise InputError(f"device={quoted(device)} must be a device of torch such as 'cuda:0' or 'cpu', or None.")
    import torch

    if device.startswith("meta"):
        raise InputError(f"device={device!r} cannot be used here: tensors there have no values.")
    try:
        # single precision alone would change scores: sums over items are in double
        float(torch.ones(2, dtype=torch.float64, device=torch.device(device)).sum())
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        there = ", ".join(["cpu", *(f"cuda:{k}" for k in range(count))])
        why = str(error).splitlines()[0][:200]
        raise InputError(f"device={quoted(device)} cannot be used here: {why}. There are {there}.") from error


def on_device(conditions: Sequence[Comparison], device: str | None) -> list[Comparison]:
    """Comparisons whose layers are on a device; sides that several share stay shared.

    Args:
        conditions: The comparisons.
        device: Where to, checked; None leaves them as they are.

    Raises:
        InputError: if a side holds RDMs, which are compared in NumPy.

    Example:
        >>> from isomorph.conditions import as_side, comparisons
        >>> sides = [as_side(np.eye(3, k + 2), name, None) for k, name in enumerate("xy")]
        >>> moved = on_device(comparisons(*sides), "cpu")
        >>> type(moved[0].left.features("x")).__name__
        'Tensor'
    """
    if device is None:
        return list(conditions)
    moved: dict[int, Side] = {}

    def move(side: Side) -> Side:
        if side.rdms:
            raise InputError(f"device={device!r}: {side.name} holds RDMs, which NumPy compares; leave device out.")
        if id(side.layers) not in moved:
            moved[id(side.layers)] = moved_to(side, device)
        return moved[id(side.layers)]

    return [dataclasses.replace(c, left=move(c.left), right=move(c.right)) for c in conditions]


def moved_to(side: Side, device: str) -> Side:
    """A side whose layers are moved to a device when they are used.

    Example:
        >>> from isomorph.conditions import as_side
        >>> moved_to(as_side(np.eye(3, 2), "x", None), "cpu").features("x").shape
        torch.Size([3, 2])
    """
    import torch

    def there(array: Array) -> Array:
        if isinstance(array, torch.Tensor):
            return array.to(device)
        if is_traced(array):
            raise InputError(f"device={device!r}: {side.name} is traced by JAX, which decides where it is computed.")
        host = np.ascontiguousarray(to_numpy(array))
        # torch warns of arrays that it could write to but must not
        return torch.from_numpy(host if host.flags.writeable else host.copy()).to(device)

    layers = side.layers
    if not isinstance(layers, Layers):
        return dataclasses.replace(side, layers={k: there(v) for k, v in layers.items()})
    return dataclasses.replace(side, layers=layers.changed(there))
