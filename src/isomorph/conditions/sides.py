"""One side of a comparison: whatever a user gives, as named layers with ids; two sides joined by id."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._core.arrays import Array, Unread, as_features, to_numpy, vouch
from ..errors import InputError
from ..store import Layers


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a comparison: named layers, with ids where they are known.

    Attributes:
        name: What it is called in results.
        layers: Layer -> features (n, d); those of a store are read when they are asked for.
        ids: Ids of the items, or None where rows are joined as they stand.
        facts: How it came about.
        checked: Layers whose values are known to be finite: they are looked at once, however often they are used.
        dims: Features of those layers that were read.
    """

    name: str
    layers: Mapping[str, Any]
    ids: tuple[str, ...] | None
    facts: Mapping[str, Any]
    checked: set[str] = dataclasses.field(default_factory=set, repr=False, compare=False)
    dims: dict[str, int] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def features(self, layer: str, *, min_items: int = 1, unread: bool = False) -> Any:
        """The features of a layer, through the gate.

        Args:
            layer: Its name.
            min_items: The fewest items that the caller can use.
            unread: Whether the caller checks the values of many items itself, see `as_features`.

        Raises:
            InputError: as `as_features`.
        """
        array = self.layers[layer]
        if layer in self.checked:
            vouch(array)
        found = as_features(array, f"layer {layer!r}", min_items=min_items, unread=unread)
        self.dims[layer] = int(found.shape[1])
        if isinstance(found, Unread) and not found.checked:
            found.told = functools.partial(self.checked.add, layer)
        else:
            self.checked.add(layer)
        return found

    @property
    def n(self) -> int:
        """Number of items."""
        return int(next(iter(self.layers.values())).shape[0])


def as_side(layers: Any, which: str, name: str | None) -> Side:
    """A side from `Layers`, a mapping or list of features, one array, or a file of any of these.

    Args:
        layers: What the user gave.
        which: What it is called in messages.
        name: What to call it in results; by default the encoder's name, or `which`.

    Raises:
        InputError: if there are no layers, one is no representation, or they have different numbers of items.
    """
    if isinstance(layers, (str, os.PathLike)):
        name, layers = name or Path(layers).stem, Layers.load(Path(layers))
    if isinstance(layers, Layers):
        facts = dict(layers.provenance) | {"layers": list(layers), "view": layers.view}
        return Side(name or layers.encoder, layers, tuple(layers.ids), facts)
    if isinstance(layers, Mapping):
        named = {str(k): as_features(v, f"{which}[{k!r}]") for k, v in layers.items()}
    elif isinstance(layers, (list, tuple)):
        named = {f"layer_{i:02d}": as_features(v, f"{which}[{i}]") for i, v in enumerate(layers)}
    else:
        named = {which: as_features(layers, which)}
    if not named:
        raise InputError(f"{which} holds no layers; at least one is needed.")
    sizes = {k: int(v.shape[0]) for k, v in named.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"The layers of {which} have different numbers of items: {sizes}.")
    return Side(name or which, named, None, {"layers": list(named), "content": _content(named)}, set(named))


def _content(layers: Mapping[str, Array]) -> str:
    """A fingerprint of arrays that came without provenance."""
    total = hashlib.sha256()
    for name, layer in layers.items():
        array = to_numpy(layer)
        total.update(f"{name}{array.shape}{array.dtype}".encode())
        for start in range(0, len(array), 8192):  # in blocks: a mapped file is never copied whole
            total.update(np.ascontiguousarray(array[start : start + 8192]).data)
    return total.hexdigest()


def joined(left: Side, right: Side) -> tuple[Side, Side]:
    """Both sides with the same items in the same order: by id where both have ids, else row by row.

    Raises:
        InputError: if they have no item in common, or different numbers of rows and no ids.
    """
    if isinstance(left.layers, Layers) and isinstance(right.layers, Layers):
        a, b = left.layers.join(right.layers)
        return (
            dataclasses.replace(left, layers=a, ids=tuple(a.ids), checked=set(left.checked)),
            dataclasses.replace(right, layers=b, ids=tuple(b.ids), checked=set(right.checked)),
        )
    if left.n != right.n:
        raise InputError(
            f"x has {left.n} items and y has {right.n}; row i of both must be the same item. "
            "Give both as Layers with ids (iso.Layers.from_arrays) to join them by id."
        )
    return left, right
