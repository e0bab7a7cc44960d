"""Loading one side of a checkpoint: the modules that do not run are left out before a weight is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._sides import Side


class CannotPartError(Exception):
    """The library needs a module that was left out; the checkpoint is to be read whole."""


class PartLoader:
    """What builds a model class without the modules that one side does not need.

    transformers builds a model without memory for its weights, then reads those weights that the model names. A module
    that is taken out in between is never read: peak memory is that of the side.

    Attributes:
        kind: The class to load by; it behaves as the one given.
        chosen: The side, once a model was built.
        left_out: Names of the weights that were left out.
    """

    def __init__(self, kind: Any, choose: Callable[[Any], Side]) -> None:
        self.chosen: Side | None = None
        self.left_out: frozenset[str] = frozenset()
        loader = self

        def build(model: Any, config: Any, *args: Any, **kwargs: Any) -> None:
            kind.__init__(model, config, *args, **kwargs)
            loader._part(model, choose(model))

        def initialize(model: Any, module: Any) -> None:
            try:
                kind._init_weights(model, module)
            except AttributeError as error:  # the library draws weights of a child from its parent: of one left out
                own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
                if None not in module._modules.values() or not all(getattr(p, "_is_hf_initialized", 0) for p in own):
                    raise CannotPartError from error

        body = {"__init__": build, "_init_weights": initialize, "__module__": kind.__module__}
        self.kind = type(kind.__name__, (kind,), body)

    def _part(self, model: Any, chosen: Side) -> None:
        names = _names(model)
        tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
        needed = {id(p) for module in chosen.needs for p in module.parameters()}
        of = dict(model.named_parameters(remove_duplicate=False))
        sources = {source for pair in tied.items() for source in pair[1:] if _any_in(of, pair, needed)}
        kept = {name for target, source in tied.items() if source in sources for name in (target, source)}
        let_go(model, (*chosen.needs, *(model.get_submodule(name.rpartition(".")[0]) for name in kept)))
        model.all_tied_weights_keys = {k: v for k, v in tied.items() if k in kept}
        self.chosen, self.left_out = chosen, names - _names(model)


def let_go(model: Any, needs: Sequence[Any]) -> None:
    """Forget the modules that do not run, so that their memory is freed."""
    used = {id(m) for module in needs for m in module.modules()}

    def forget(module: Any) -> None:
        for name, child in list(module.named_children()):
            if id(child) in used:
                continue
            if any(id(m) in used for m in child.modules()):
                forget(child)
            elif next(child.parameters(), None) is not None:
                module._modules[name] = None

    if id(model) not in used:
        forget(model)


def _any_in(of: dict[str, Any], names: Sequence[str], needed: set[int]) -> bool:
    return any(id(of.get(name)) in needed for name in names)


def _names(model: Any) -> frozenset[str]:
    return frozenset(
        name for named in (model.named_parameters, model.named_buffers) for name, _ in named(remove_duplicate=False)
    )
