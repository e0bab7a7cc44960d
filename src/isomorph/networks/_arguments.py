"""Reading what `stitch_networks` is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ._running import Rows
from ._training import IGNORED


def read_labels(labels: Any, n: int) -> Any:
    """Labels as a tensor of whole numbers, (n,) or (n, t).

    Raises:
        InputError: if they are no classes, or not one an item.
    """
    import torch

    try:
        given = torch.as_tensor(labels if isinstance(labels, torch.Tensor) else np.array(labels)).detach().cpu()
    except TypeError as error:
        raise InputError(f"labels must be whole numbers, one an item: {error}.") from error
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise InputError(f"labels must be whole numbers, the classes of the top's scores; found {given.dtype}.")
    if given.ndim == 0 or len(given) != n:
        raise InputError(f"labels have shape {tuple(given.shape)} but data has {n} items; one label an item is needed.")
    given = given.long()
    if bool(((given < 0) & (given != IGNORED)).any()) or bool((given.reshape(n, -1) == IGNORED).all(1).any()):
        raise InputError(
            f"labels must be classes from 0 on; {IGNORED} leaves single tokens out, but no item may have nothing else."
        )
    return given


def split(n: int, test: Any, groups: Sequence[Any] | None, seed: int) -> tuple[Rows, Rows]:
    """Rows to fit on and rows to score.

    Raises:
        InputError: if a side would have fewer than 2 items, or a group would be on both.
    """
    if groups is not None and len(groups) != n:
        raise InputError(f"groups has {len(groups)} entries but there are {n} items; one each is needed.")
    codes = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
    if isinstance(test, (int, float)) and not isinstance(test, bool):
        if not 0 < test < 1:
            raise InputError(f"test={test}: a share between 0 and 1, or row numbers, are needed.")
        units = np.random.default_rng([seed, 0]).permutation(int(codes.max()) + 1)
        held_out = np.flatnonzero(np.isin(codes, units[: max(1, round(test * len(units)))]))
    else:
        given = np.asarray(test)
        if given.dtype == bool or given.ndim != 1 or given.dtype.kind not in "iu":
            raise InputError("test must be a share between 0 and 1, or a list of row numbers.")
        held_out = np.unique(given)
        if len(held_out) != len(given) or (len(given) and not 0 <= held_out[0] <= held_out[-1] < n):
            raise InputError(f"test must hold row numbers from 0 to {n - 1}, each once.")
    train = np.setdiff1d(np.arange(n), held_out)
    if len(train) < 2 or len(held_out) < 2:
        raise InputError(
            f"{len(train)} items to fit on and {len(held_out)} to score: at least 2 of each are needed; give more "
            "items or another test share."
        )
    if shared := set(codes[train]) & set(codes[held_out]):
        raise InputError(f"{len(shared)} groups are both in test and among the other items; keep each on one side.")
    return train, held_out


def read_cuts(cuts: Any) -> list[tuple[str, str]]:
    """Pairs of layer names, each once.

    Raises:
        InputError: if there is none, or one is no pair.
    """
    if isinstance(cuts, str):
        cuts = [cuts]
    pairs = [(c, c) if isinstance(c, str) else tuple(c) for c in cuts]
    if not pairs or any(len(p) != 2 for p in pairs):
        raise InputError("cuts must hold at least one layer name or pair (layer of the bottom, layer of the top).")
    return list(dict.fromkeys(pairs))


def check_numbers(random_draws: Any, batch_size: Any, margin: Any) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        InputError: naming the one.
    """
    for name, value in (("random_draws", random_draws), ("batch_size", batch_size)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name}={value!r} must be a whole number of at least 1.")
    if not 0 <= margin < 1:
        raise InputError(f"margin={margin!r} must be a share of at least 0 and below 1.")
