"""One side of a comparison: whatever a user gives, as named layers with ids; two sides joined by id."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._core.arrays import Array, Unread, as_features, detached, meeting, to_numpy, vouch
from .._core.checks import check_name
from .._core.frames import unlabeled
from .._core.rdm import Rdm
from .._core.rows import BlockRows
from ..errors import InputError, quoted
from ..metrics.rdm import RDMs
from ..results import listed
from ..store import Layers, index_of

RDM = "rdm"
"""The modality of layers some of which are RDMs."""
RDM_FILE = "rdms:"
"""What stands before a file that is read as RDMs, not as features."""


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

    Example:
        >>> side = as_side({"first": np.ones((4, 2)), "last": np.eye(4)}, "x", "my model")
        >>> side.name, side.n, side.features("last").shape
        ('my model', 4, (4, 4))
    """

    name: str
    layers: Mapping[str, Any]
    ids: tuple[str, ...] | None
    facts: Mapping[str, Any]
    checked: set[str] = dataclasses.field(default_factory=set, repr=False, compare=False)
    dims: dict[str, int] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def features(self, layer: str, *, min_items: int = 1, unread: bool = False, rdms: bool = False) -> Any:
        """The features of a layer, through the gate.

        Args:
            layer: Its name.
            min_items: The fewest items that the caller can use.
            unread: Whether the caller checks the values of many items itself, see `as_features`.
            rdms: Whether the caller compares RDMs, see `as_features`.

        Raises:
            InputError: as `as_features`.
        """
        array = self.layers[layer]
        if layer in self.checked:
            vouch(array)
        found = as_features(array, f"layer {layer!r}", min_items=min_items, unread=unread, rdms=rdms)
        self.dims[layer] = int(found.shape[1])
        if isinstance(found, Unread) and not found.checked:
            found.told = functools.partial(self.checked.add, layer)
        else:
            self.checked.add(layer)
        return found

    def rows(self, layer: str) -> Any:
        """A layer as float64 where this machine computes, or as `BlockRows` where the copies of fits would not fit.

        Raises:
            InputError: as `as_features`.
        """
        array = self.layers[layer]
        if not isinstance(array, np.ndarray) or BlockRows(array).fit_whole:
            return np.asarray(to_numpy(array), dtype=np.float64)
        found = self.features(layer, unread=True)
        return BlockRows(found.seen() if isinstance(found, Unread) else found, None, f"layer {layer!r} of {self.name}")

    def width(self, layer: str) -> int:
        """Number of features of a layer; one that both sides share may have been read for the other."""
        if layer not in self.dims:
            self.dims[layer] = int(self.layers[layer].shape[1])
        return self.dims[layer]

    @functools.cached_property
    def rdms(self) -> tuple[str, ...]:
        """The layers that are RDMs, in place of features."""
        if isinstance(self.layers, Layers) and self.layers.modality != RDM:
            return ()
        return tuple(k for k in self.layers if isinstance(self.layers[k], Rdm))

    @property
    def n(self) -> int:
        """Number of items."""
        return int(next(iter(self.layers.values())).shape[0])


def load_side(path: str | os.PathLike[str]) -> tuple[str, Layers | RDMs]:
    """A side from a file, and what it is called by: features (`Layers.load`), or RDMs from ``rdms:file``.

    Args:
        path: The file; with ``rdms:`` before it, what is in it is read by `RDMs.load`.

    Raises:
        InputError: if it cannot be read, see `Layers.load` and `RDMs.load`.

    Example:
        >>> np.save("x.npy", 1 - np.eye(4))
        >>> load_side("x.npy"), load_side("rdms:x.npy")
        (('x', Layers(x: 1 layers (x) × 4 items)), ('x', RDMs(1 (rdm_00) × 4 items)))
    """
    text = os.fspath(path)
    if isinstance(text, str) and text.startswith(RDM_FILE):
        file = Path(text.removeprefix(RDM_FILE))
        return file.stem, RDMs.load(file)
    return Path(path).stem, Layers.load(Path(path))


def as_side(layers: Any, which: str, name: str | None) -> Side:
    """A side from `Layers`, `RDMs`, a mapping or list of features, one array, or a file, see `load_side`.

    Args:
        layers: What the user gave.
        which: What it is called in messages.
        name: What to call it in results; by default the encoder's name, or `which`.

    Raises:
        InputError: if there are no layers, one is no representation, or they have different numbers of items.

    Example:
        >>> side = as_side([np.ones((4, 2)), np.eye(4)], "x", None)  # a list of layers
        >>> side.name, list(side.layers)
        ('x', ['layer_00', 'layer_01'])
    """
    check_name(name, f"{which}_name")
    if isinstance(layers, (str, os.PathLike)):
        called, layers = load_side(layers)
        name = name or called
    if isinstance(layers, Layers):
        facts = dict(layers.provenance) | {"layers": list(layers), "view": layers.view}
        return Side(name or layers.encoder, layers, tuple(layers.ids), facts)
    told: dict[str, Any] = {}
    if isinstance(layers, RDMs):
        subjects = [str(v) for v in layers.rdms.get("subject", ())]
        told = {"dissimilarity": layers.measure} | ({"subjects": subjects} if subjects else {})
        layers = {k: layers[k] for k in layers}
    if isinstance(layers, Mapping):
        given = {str(k): (f"{which}[{quoted(k)}]", v) for k, v in layers.items()}
        if len(given) < len(layers):
            raise InputError(f"{which}: two layers have the same name; names are texts, so 1 and '1' are one.")
    elif isinstance(layers, (list, tuple)):
        given = {f"layer_{i:02d}": (f"{which}[{i}]", v) for i, v in enumerate(layers)}
    else:
        given = {which: (which, layers)}
    if not given:
        raise InputError(f"{which} holds no layers; at least one is needed.")
    found = {k: unlabeled(v, label) for k, (label, v) in given.items()}
    named = {k: detached(as_features(v.values, given[k][0], rdms=True)) for k, v in found.items()}
    sizes = {k: int(v.shape[0]) for k, v in named.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"The layers of {which} have different numbers of items: {sizes}.")
    facts = {"layers": list(named), "content": content(named), **told}
    ids, by_hand = index_of(found, which)
    kind = RDM if any(isinstance(v, Rdm) for v in named.values()) else "features"
    held = named if ids is None else Layers(named, ids, encoder=which, modality=kind, ids_given=by_hand)
    return Side(name or which, held, ids, facts, set(named))


def content(layers: Mapping[str, Any]) -> str:
    """A fingerprint of what arrays, or RDMs in their place, hold: of sides that came without provenance.

    Example:
        >>> content({"last": np.eye(3)})[:8]
        'c6d12cd3'
    """
    total = hashlib.sha256()
    for name, layer in layers.items():
        array = layer.square if isinstance(layer, Rdm) else to_numpy(layer)
        total.update(f"{name}{array.shape}{array.dtype}".encode())
        for start in range(0, len(array), 8192):  # in blocks: a mapped file is never copied whole
            total.update(np.ascontiguousarray(array[start : start + 8192]).data)
    return total.hexdigest()


def joined(left: Side, right: Side) -> tuple[Side, Side]:
    """Both sides with the same items in the same order: by id where both have ids, else row by row.

    Raises:
        InputError: if they have no item in common, or different numbers of rows and no ids.

    Example:
        >>> x, y = (Layers.from_arrays({"last": np.eye(3)}, ids=ids) for ids in ("abc", "cbd"))
        >>> a, b = joined(as_side(x, "x", None), as_side(y, "y", None))
        >>> a.ids, b.ids
        (('b', 'c'), ('b', 'c'))
    """
    left, right = _met(left, right)
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


def all_joined(sides: Mapping[str, Side]) -> tuple[dict[str, Side], list[str]]:
    """Any number of sides with the same items in the same order, and in words which of them lost items.

    Args:
        sides: Name -> side.

    Raises:
        InputError: as `joined`, with the names of the two.

    Example:
        >>> layers = {name: Layers.from_arrays({"last": np.eye(3)}, ids=name) for name in ("abc", "cbd", "xbc")}
        >>> found, lost = all_joined({name: as_side(given, name, None) for name, given in layers.items()})
        >>> found["abc"].ids, lost[0][:47]
        (('b', 'c'), '1 of the 3 items of abc, 1 of the 3 items of cb')
    """
    (first, common), *others = sides.items()
    for name, side in others:
        try:
            common = joined(common, side)[0]
        except InputError as error:
            raise InputError(f"{first} (x) and {name} (y): {error}") from error
    return {name: joined(common, side)[1] for name, side in sides.items()}, lost_items(sides.items(), common.n)


def lost_items(sides: Iterable[tuple[str, Side]], n: int) -> list[str]:
    """In words which of some sides have more than the `n` items that all have; nothing if none has.

    Example:
        >>> lost_items([(name, as_side(np.eye(k), name, None)) for k, name in ((3, "x"), (2, "y"))], 2)
        ['1 of the 3 items of x are not there for all by id, and were left out.']
    """
    lost = [f"{s.n - n:,} of the {s.n:,} items of {name}" for name, s in sides if s.n > n]
    return [f"{listed(lost)} are not there for all by id, and were left out."] if lost else []


def _met(left: Side, right: Side) -> tuple[Side, Side]:
    """Both sides in one array library, on one device and in one precision, where not all is NumPy.

    Raises:
        InputError: if they are of two libraries other than NumPy, or on two devices.
    """
    loaded = {(s.name, k): a for s in (left, right) for k, a in _loaded(s.layers).items()}
    if all(isinstance(a, np.ndarray | Rdm) for a in loaded.values()):
        return left, right
    of_rdms = [any(isinstance(a, Rdm) for a in _loaded(s.layers).values()) for s in (left, right)]
    if any(of_rdms):  # RDMs are compared in NumPy
        pair = zip((left, right), of_rdms, strict=True)
        left, right = (s if r else dataclasses.replace(s, layers=_changed(s.layers, to_numpy)) for s, r in pair)
        return left, right
    names = [f"layer {k!r} of {name}" for name, k in loaded]
    arrays = [as_features(a, name) for a, name in zip(loaded.values(), names, strict=True)]
    stored = len(loaded) < len(left.layers) + len(right.layers)
    like = meeting(arrays, names, stored=stored)
    if like is None:
        return left, right
    left = dataclasses.replace(left, layers=_changed(left.layers, like))
    return left, dataclasses.replace(right, layers=_changed(right.layers, like))


def _loaded(layers: Mapping[str, Any]) -> Mapping[str, Any]:
    return layers.loaded if isinstance(layers, Layers) else layers


def _changed(layers: Mapping[str, Any], like: Callable[[Array], Array]) -> Mapping[str, Any]:
    return layers.changed(like) if isinstance(layers, Layers) else {k: like(as_features(v)) for k, v in layers.items()}
