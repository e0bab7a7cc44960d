"""Which axis of a layer's activations is the items', which the features': found by running the network, not assumed.

Axes are written as a word: ``b`` the items, ``d`` the features, ``t`` tokens, frames or places. A transformer gives
``"btd"``, a convolution ``"bdtt"``, XLNet ``"tbd"``. Users may write ``c`` for ``d`` and ``h``, ``w`` for places:
``axes="bhwc"``.

Two and three copies of an item are run, and another item alone. The axis that went from 2 to 3 is the items'. An axis
that differs for the other item is of tokens. The features' axis has as many entries as the
last module with parameters gives; where two axes are of that size, one channel of that module is shifted and the axis
along which one entry alone moves is the features'.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import InputError
from ._taps import Tap, tapping

_USERS = str.maketrans("chwnf", "dttbd")
KNOWN = ("btd", "tbd", "bct", "bchw", "bhwc", "bd")


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one tap gave in one run.

    Attributes:
        value: The activations.
        leaf: The last module with parameters of its own that had run before.
    """

    value: Any
    leaf: Any


def parse_axes(axes: str | Mapping[str, str] | None, layers: Sequence[str]) -> dict[str, str]:
    """What a user says about axes, for each layer that it is said of.

    Raises:
        InputError: if it is no word with one letter for the items and one for the features, or names unknown layers.
    """
    if axes is None:
        return {}
    if not isinstance(axes, (str, Mapping)):
        raise InputError(f"axes={axes!r} is neither a word such as 'btd' nor a mapping from layers to such words.")
    said = dict.fromkeys(layers, axes) if isinstance(axes, str) else dict(axes)
    for layer, word in said.items():
        if layer not in layers:
            raise InputError(f"axes= names the layer {layer!r}, which is not there; there are {', '.join(layers)}.")
        plain = word.translate(_USERS) if isinstance(word, str) else ""
        if plain.count("b") != 1 or plain.count("d") != 1 or set(plain) - set("btd"):
            raise InputError(
                f"axes={word!r} does not say which axis is which; write one letter an axis, such as "
                f"{', '.join(map(repr, KNOWN))}: b items, t tokens, c or d features, h and w places."
            )
        said[layer] = plain
    return said


def observe(network: Any, taps: Sequence[Tap], run: Callable[[], Any]) -> dict[str, Seen]:
    """Activations at every tap in one run, each with the last module with parameters that ran before it.

    Raises:
        InputError: if a module that was named by its path runs several times.
    """
    last: list[Any] = [None]
    seen: dict[str, Seen] = {}
    calls: Counter[str] = Counter()
    tapped = {t.module for t in taps if not t.is_input}

    def remember(module: Any, _args: Any, _out: Any) -> None:
        last[0] = module

    handles = [
        m.register_forward_hook(remember)
        for m in network.modules()
        if next(m.parameters(recurse=False), None) is not None
    ]
    handles += [
        network.get_submodule(n).register_forward_hook(lambda _m, _a, _o, n=n: calls.update([n])) for n in tapped
    ]
    try:
        with tapping(network, taps, lambda layer, x: seen.update({layer: Seen(x.detach().clone(), last[0])})):
            run()
    finally:
        for handle in handles:
            handle.remove()
    for name in sorted(tapped):
        if calls[name] > 1 and any(t.layer == name for t in taps):  # named by its path, without a word on which call
            raise InputError(
                f"layer {name!r} is called {calls[name]} times in one pass; say which call, such as "
                f"layers=['{name}@1'] for the first or ['{name}@{calls[name]}'] for the last."
            )
    return seen


def find_axes(
    two: Mapping[str, Seen],
    three: Mapping[str, Seen] | None,
    other: Mapping[str, Seen],
    widths: frozenset[int],
    said: Mapping[str, str],
    again: Callable[[], Mapping[str, Seen]],
) -> dict[str, str]:
    """The axes of every layer; without a ``b`` where items have no axis of their own (their tokens are packed).

    Args:
        two: What the taps gave for two copies of an item.
        three: The same for three copies; None if an item always has a pass of its own, so that `two` is of one.
        other: What they gave for another item alone.
        widths: Numbers of features that the configuration names.
        said: What the user says of some layers.
        again: Runs the first batch once more.

    Raises:
        InputError: if the features' axis of a layer cannot be told; the layer is named.
    """
    found: dict[str, str] = {}
    for layer, first in two.items():
        more, second = (three or two).get(layer), other.get(layer)
        if more is None or second is None or not first.value.ndim == more.value.ndim == second.value.ndim:
            raise InputError(
                f"layer {layer!r} does not give activations of one kind for every item; leave it out of layers=."
            )
        if layer in said:
            if len(said[layer]) != first.value.ndim:
                raise InputError(
                    f"axes={said[layer]!r} has {len(said[layer])} letters, but layer {layer!r} gives activations of "
                    f"shape {tuple(first.value.shape)}."
                )
            found[layer] = said[layer]
        else:
            copies = None if three is None else more
            found[layer] = _axes_of(layer, first, copies, second, widths, again)
    return found


def features_axis(layer: str, seen: Seen, others: Sequence[int], widths: frozenset[int], again: Any) -> int:
    """Which of some axes the features lie along.

    Raises:
        InputError: if that cannot be told.
    """
    shape = tuple(seen.value.shape)
    if len(others) == 1:
        return others[0]
    named = list(others)
    for sizes in (_channels(seen.leaf), widths):  # the second narrows down what the first leaves open
        named = [a for a in named if shape[a] in sizes] or named
        if len(named) == 1:
            return named[0]
    confined = _confined(layer, seen, named, again)
    if confined is None:
        raise InputError(
            f"layer {layer!r} gives activations of shape {shape}, and which axis holds the features cannot be told. "
            f"Say it by axes=, such as {', '.join(f'axes={k!r}' for k in KNOWN if len(k) == len(shape)) or KNOWN}."
        )
    return confined


def _axes_of(layer: str, two: Seen, three: Seen | None, other: Seen, widths: frozenset[int], again: Any) -> str:
    a, c = tuple(two.value.shape), tuple(other.value.shape)
    b = a if three is None else tuple(three.value.shape)
    items = [i for i in range(len(a)) if (a[i], b[i]) == (2, 3)]
    rest = [i for i in range(len(a)) if items != [i]]
    if not rest:
        raise InputError(f"layer {layer!r} gives one number an item; features are needed: leave it out of layers=.")
    fixed = [i for i in rest if a[i] == b[i] == c[i]]
    if not fixed:
        raise InputError(
            f"layer {layer!r} gives {a[1:] if items == [0] else a} for one item and {c[1:] if items == [0] else c} for "
            "another: no axis keeps its size, so it has no features; leave it out of layers=."
        )
    features = features_axis(layer, two, fixed, widths, again)
    return "".join("b" if items == [i] else "d" if i == features else "t" for i in range(len(a)))


def _channels(leaf: Any) -> frozenset[int]:
    """How many features a module gives, as far as its parameters say."""
    name = type(leaf).__name__
    for attribute in ("out_features", "out_channels", "embedding_dim", "num_features", "num_channels", "nf"):
        value = getattr(leaf, attribute, None)
        if isinstance(value, int):
            return frozenset({value})
    if leaf is None or name == "NoneType":
        return frozenset()
    if isinstance(hidden := getattr(leaf, "hidden_size", None), int) and hasattr(leaf, "bidirectional"):
        return frozenset({(getattr(leaf, "proj_size", 0) or hidden) * (1 + bool(leaf.bidirectional))})
    own = list(leaf.parameters(recurse=False))
    flat = [p for p in own if p.ndim == 1 and p.numel() > 1]
    return frozenset({p.shape[-1] for p in flat or own if p.ndim and p.shape[-1] > 1})


def _confined(layer: str, seen: Seen, axes: Sequence[int], again: Any) -> int | None:
    """The axis along which one entry alone moves when one channel of the last module is shifted, if there is one."""
    for place in _channel_of(seen.leaf):
        channel = min(1, min(seen.value.shape[a] for a in axes) - 1, place[0].shape[place[1]] - 1)
        with _shifted(*place, channel):
            moved = again()[layer].value
        alone = _alone(seen.value, moved, axes, channel)
        if len(alone) == 1:
            return alone[0]
    return None


def _alone(before: Any, after: Any, axes: Sequence[int], channel: int) -> list[int]:
    """The axes along which nothing but one entry changed."""
    import torch

    if after.shape != before.shape:
        return []
    change = (after.double() - before.double()).abs()
    total = float(change.max())
    alone = []
    for axis in axes if total > 0 else ():
        keep = torch.tensor([i for i in range(change.shape[axis]) if i != channel], device=change.device)
        rest = change.index_select(axis, keep)
        if not rest.numel() or float(rest.max()) <= 1e-6 * total:
            alone.append(axis)
    return alone


@contextmanager
def _shifted(parameter: Any, axis: int, channel: int) -> Iterator[None]:
    """Shift one channel of a parameter, and put it back exactly."""
    import torch

    row = parameter.select(axis, channel)
    before = row.clone()
    with torch.no_grad():
        row.add_(float(parameter.detach().float().abs().mean()) + 0.1)
    try:
        yield
    finally:
        with torch.no_grad():
            row.copy_(before)


def _channel_of(leaf: Any) -> list[tuple[Any, int]]:
    """Parameters that shift one channel of a module's output, the last ones first, each with the channels' axis."""
    import torch

    if leaf is None or any(not p.is_floating_point() for p in leaf.parameters(recurse=False)):
        return []
    nn = torch.nn
    flat = [(p, 0) for p in leaf.parameters(recurse=False) if p.ndim == 1][::-1]
    weight = getattr(leaf, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim < 2:
        return flat or [(p, p.ndim - 1) for p in leaf.parameters(recurse=False) if p.ndim > 1][::-1]
    turned = isinstance(leaf, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Embedding))
    return [*flat, (weight, 1 if turned or hasattr(leaf, "nf") else 0)]


def to_items_first(x: Any, axes: str) -> Any:
    """Activations as (b, t, d), (b, d) or, for places in two or more dimensions, (b, d, h, w).

    Without a ``b`` they are of one item alone, and all but the features' axis become its tokens.
    """
    if axes in ("bd", "btd"):
        return x
    if "b" not in axes:
        return x.movedim(axes.index("d"), -1).reshape(1, -1, x.shape[axes.index("d")])
    b, d = axes.index("b"), axes.index("d")
    places = [i for i in range(len(axes)) if i not in (b, d)]
    if len(places) <= 1:
        return x.permute(b, *places, d)
    x = x.permute(b, d, *places)
    return x if x.ndim == 4 else x.reshape(*x.shape[:3], -1)
