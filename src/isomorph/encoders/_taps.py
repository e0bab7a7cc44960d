"""Where a torch network is tapped, and the hooks that pool there at once.

Which modules are the blocks, in which order they run, and whether a norm follows them is not guessed from names: the
network runs once on a small input and is watched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import InputError, UnknownNameError


@dataclasses.dataclass(frozen=True)
class Tap:
    """One place where activations are taken.

    Attributes:
        layer: The name that users see.
        module: Path of the module inside the network; ``""`` is the network itself.
        call: Which call of that module in one pass, from 0 (networks that share weights call one several times).
        is_input: Whether what goes into the module is taken, not what comes out.
    """

    layer: str
    module: str
    call: int = 0
    is_input: bool = False


@dataclasses.dataclass(frozen=True)
class _Event:
    module: str
    call: int
    shape: tuple[int, ...]


def block_taps(network: Any, forward: Callable[[], Any], depth: int | None = None) -> tuple[Tap, ...]:
    """The taps of a network that is a stack of blocks.

    ``embedding`` is what enters the first block; ``block_01``, ``block_02``, … are the blocks' outputs in the order
    they run; ``final_norm`` is there if a normalisation of all tokens follows the last block; ``projection`` if a
    linear map to the space shared with another modality does.

    Args:
        network: The module.
        forward: Runs it once, and gives what it was run on if it can.
        depth: How many blocks its configuration says it has, if known.

    Raises:
        InputError: if no list of blocks ran.
    """
    lists = dict(_block_lists(network))
    members = {path: name for name, blocks in lists.items() for path in _members(name, blocks)}
    after = [n for n, m in network.named_modules() if n and not _inside(n, members) and _is_norm_or_projection(n, m)]
    events, raw = _watch(network, [*members, *after], forward)
    ran = Counter(members[e.module] for e in events if e.module in members and e.shape)
    if not ran:
        raise InputError(
            f"{type(network).__name__} has no list of blocks that runs; name the layers yourself, for example "
            f"layers=['{next((n for n, _ in network.named_children()), '')}', …]; "
            "module paths and glob patterns are understood."
        )
    ends = {members[e.module]: i for i, e in enumerate(events) if e.module in members}
    # of lists of alike modules, as many as the network is deep, the one that ends it; else the largest
    fits = {n for n in ran if ran[n] == depth and len({type(m) for m in lists[n].children()}) == 1}
    size = {n: sum(p.numel() for p in lists[n].parameters()) for n in ran}
    main = max(ran, key=lambda n: (n in fits, ends[n] if n in fits else ran[n] == depth, size[n]))
    blocks = [e for e in events if members.get(e.module) == main]
    digits = max(2, len(str(len(blocks))))
    # what enters the first block untouched is the input itself, and no layer
    entered = next(e.module for e in events if members.get(e.module) == _first_beside(main, ran))
    taps = [Tap("embedding", entered, 0, is_input=True)] if entered not in raw else []
    taps += [Tap(f"block_{i:0{digits}d}", e.module, e.call) for i, e in enumerate(blocks, 1)]
    rest = [e for e in events[events.index(blocks[-1]) + 1 :] if e.module in after]
    norms = [e for e in rest if e.shape == blocks[-1].shape and len(e.shape) > 2 and not _is_projection(e.module)]
    taps += [Tap("final_norm", e.module, e.call) for e in norms[:1]]
    projections = [e for e in rest if _is_projection(e.module) and len(e.shape) == 2]
    taps += [Tap("projection", e.module, e.call) for e in projections[-1:]]
    return tuple(taps)


def _first_beside(main: str, ran: Mapping[str, int]) -> str:
    """Of lists side by side that make up the blocks together (XLM's attentions, norms and maps), the first to run."""
    above = main.rpartition(".")[0]
    beside = [name for name, n in ran.items() if name.rpartition(".")[0] == above and n == ran[main]]
    return beside[0] if any("attention" in name.rpartition(".")[2] for name in beside) else main


def choose_taps(taps: Sequence[Tap], network: Any, patterns: Sequence[str] | None) -> tuple[Tap, ...]:
    """The taps that names or glob patterns pick, in the order of the network.

    Names of layers (``block_*``) are looked at first, then paths of modules (``encoder.layer.*.attention``). In paths a
    ``*`` stands for one part: ``blocks.*`` are the blocks, not what is inside them; ``blocks.**`` is all below.

    Raises:
        UnknownNameError: if one picks nothing.
    """
    if patterns is None:
        return tuple(taps)
    modules = [n for n, _ in network.named_modules() if n]
    chosen: dict[str, Tap] = {}
    for pattern in patterns:
        found = [t for t in taps if fnmatch.fnmatchcase(t.layer, pattern)] if "**" not in pattern else []
        found = found or [Tap(n, n) for n in modules if _fits(n, pattern)] or _one_call(modules, pattern)
        if not found:
            hint = "Module paths and glob patterns such as 'block_*' are understood too."
            raise UnknownNameError("layer", pattern, [*(t.layer for t in taps), *modules], hint)
        chosen.update({t.layer: t for t in found})
    order = {name: i for i, name in enumerate(modules)}
    named = {t.layer: i for i, t in enumerate(taps)}
    return tuple(sorted(chosen.values(), key=lambda t: (order.get(t.module, -1), named.get(t.layer, -1))))


@contextlib.contextmanager
def tapping(network: Any, taps: Iterable[Tap], take: Callable[[str, Any], None]) -> Iterator[None]:
    """Call ``take(layer, activations)`` at every tap while the network runs, before anything can overwrite them."""
    taps = tuple(taps)
    calls: Counter[tuple[str, bool]] = Counter()
    wanted = {(t.module, t.is_input, t.call): t.layer for t in taps}

    def seen(module: str, is_input: bool, value: Any) -> None:
        layer = wanted.get((module, is_input, calls[module, is_input]))
        calls[module, is_input] += 1
        if layer is not None:
            take(layer, tensor_of(value, layer))

    handles = []
    try:
        for name, is_input in {(t.module, t.is_input) for t in taps}:
            module = network.get_submodule(name)
            if is_input:
                handles.append(
                    module.register_forward_pre_hook(
                        lambda _m, args, kwargs, name=name: seen(name, True, [*args, *kwargs.values()]),
                        with_kwargs=True,
                    )
                )
            else:
                handles.append(module.register_forward_hook(lambda _m, _a, out, name=name: seen(name, False, out)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def tensor_of(value: Any, layer: str) -> Any:
    """The hidden states in what a module takes or gives: the tensor itself, or the first one in a tuple or mapping.

    Raises:
        InputError: if there is none.
    """
    import torch

    if isinstance(value, torch.Tensor):
        return value
    parts = (
        list(value.values()) if hasattr(value, "values") else list(value) if isinstance(value, (tuple, list)) else []
    )
    for part in parts:
        if isinstance(part, torch.Tensor) and part.is_floating_point():
            return part
    for part in parts:
        if isinstance(part, (tuple, list)) and part and isinstance(part[0], torch.Tensor):
            return tensor_of(part, layer)
    raise InputError(f"The layer {layer!r} gives a {type(value).__name__} without a tensor; choose another layer.")


def _one_call(modules: Sequence[str], pattern: str) -> list[Tap]:
    """``path@2`` is the second call of a module in one pass."""
    path, at, number = pattern.rpartition("@")
    if not at or not number.isdecimal() or int(number) < 1:
        return []
    return [Tap(f"{n}@{number}", n, int(number) - 1) for n in modules if _fits(n, path)]


def _fits(path: str, pattern: str) -> bool:
    if "**" in pattern:
        return fnmatch.fnmatchcase(path, pattern)
    parts, wanted = path.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _block_lists(network: Any) -> Iterator[tuple[str, Any]]:
    """Outermost lists of modules: blocks, not the parts of a block."""
    import torch

    found: list[str] = []
    for name, module in network.named_modules():
        is_list = isinstance(module, (torch.nn.ModuleList, torch.nn.Sequential)) and len(module) > 0
        if is_list and not any(_is_below(name, f) for f in found):
            found.append(name)
            yield name, module


def _members(name: str, blocks: Any) -> Iterator[str]:
    """Paths of the blocks in a list; of lists within it, which are never called themselves, those of their blocks."""
    import torch

    for child, module in blocks.named_children():
        path = f"{name}.{child}" if name else child
        if isinstance(module, torch.nn.ModuleList):
            yield from _members(path, module)
        else:
            yield path


def _watch(network: Any, names: Sequence[str], forward: Callable[[], Any]) -> tuple[list[_Event], set[str]]:
    """What ran, in order, and the modules that took in the very tensors that the network was given."""
    events: list[_Event] = []
    calls: Counter[str] = Counter()
    entered: dict[str, Any] = {}  # held, so that no later tensor can lie where one of them lay

    def note(name: str, output: Any) -> None:
        try:
            shape = tuple(tensor_of(output, name).shape)
        except InputError:
            shape = ()
        events.append(_Event(name, calls[name], shape))
        calls[name] += 1

    def enter(name: str, values: list[Any]) -> None:
        with contextlib.suppress(InputError):
            entered.setdefault(name, tensor_of(values, name))

    handles = []
    for name in names:
        module = network.get_submodule(name)
        handles.append(module.register_forward_hook(lambda _m, _a, out, name=name: note(name, out)))
        handles.append(
            module.register_forward_pre_hook(
                lambda _m, args, kwargs, name=name: enter(name, [*args, *kwargs.values()]), with_kwargs=True
            )
        )
    try:
        given = forward()
    finally:
        for handle in handles:
            handle.remove()
    values = list(given.values()) if isinstance(given, Mapping) else [given]
    held = {v.data_ptr() for v in values if hasattr(v, "data_ptr")}
    return events, {name for name, value in entered.items() if value.data_ptr() in held}


def _is_norm_or_projection(name: str, module: Any) -> bool:
    return "norm" in type(module).__name__.lower() or _is_projection(name)


def _is_projection(name: str) -> bool:
    return "." not in name and name.endswith(("_projection", "_proj"))


def _inside(name: str, members: Iterable[str]) -> bool:
    return any(_is_below(name, m) for m in members)


def _is_below(name: str, above: str) -> bool:
    return name == above or name.startswith(f"{above}.") or not above
