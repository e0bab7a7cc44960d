"""Untrained bottoms: the same network with its weights drawn anew."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..encoders._torch import seeded
from ..errors import InputError
from ._running import NetworkInputs, Rows, batches


def untrained_twin(bottom: Any, given: Any, seed: int, draw: int = 0) -> Any:
    """An untrained network in place of the bottom.

    Args:
        bottom: The network.
        given: A network, a function from a seed to one, or None to draw the weights of `bottom` anew.
        seed: Seed of the study.
        draw: Which of several.

    Raises:
        InputError: if what is given is no network, or a weight cannot be drawn anew.
    """
    import torch

    # a stream of our own: small seeds are what networks are trained with, and one's own start is no untrained other
    seed = int(np.random.SeedSequence([seed, 3, draw]).generate_state(1)[0])
    if given is None:
        return reinitialized(bottom, seed)
    if isinstance(given, torch.nn.Module):
        return given
    if not callable(given):
        raise InputError(f"random_bottom is a network or a function from a seed to one, found {type(given).__name__}.")
    with seeded(seed):
        made = given(seed)
    if not isinstance(made, torch.nn.Module):
        raise InputError(f"random_bottom made a {type(made).__name__}; a torch.nn.Module is needed.")
    return made


def reinitialized(network: Any, seed: int) -> Any:
    """A copy whose weights are drawn anew as the classes of its modules draw them.

    Raises:
        InputError: if a module has weights but no ``reset_parameters``.
    """
    if hasattr(network, "_init_weights") and hasattr(network, "config"):
        with seeded(seed):  # a transformers model draws by its own rules, from its configuration
            twin = type(network)(copy.deepcopy(network.config))
        weight = next(network.parameters())
        return twin.to(weight.device, weight.dtype)
    twin = copy.deepcopy(network)
    with seeded(seed):
        for name, module in twin.named_modules():
            reset: Callable[[], Any] | None = getattr(module, "reset_parameters", None) or getattr(
                module, "_reset_parameters", None
            )
            if reset is not None:
                reset()
            elif next(module.parameters(recurse=False), None) is not None:
                raise InputError(
                    f"The weights of {name or 'the bottom'!r} ({type(module).__name__}) cannot be drawn anew: it has "
                    "no reset_parameters(). Pass random_bottom=…: an untrained network or a function from a seed to it."
                )
    return twin


def calibrate_norms(network: Any, inputs: NetworkInputs, rows: Rows, size: int) -> None:
    """Give batch normalisations the statistics of the training items.

    Without this an untrained network is handicapped: its normalisations divide by statistics that are not its own.
    """
    import torch

    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    norms = [m for m in norms if m.track_running_stats]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # the plain mean over batches
        m.train()
    with torch.no_grad():
        for part in batches(rows, size):
            batch = inputs.take(part, network)
            network(**batch) if isinstance(batch, dict) else network(batch)
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
        m.eval()
