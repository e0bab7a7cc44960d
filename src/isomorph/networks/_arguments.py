"""Reading what `stitch_networks` is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..design import Split, chosen_split, coded, share_of_units
from ..errors import InputError, quoted
from ._training import IGNORED


def read_targets(labels: Any, n: int) -> Any:
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


def read_split(n: int, test: Any, groups: Any, seed: int) -> Split:
    """Rows to fit on and rows to score.

    Raises:
        InputError: if a side would have fewer than 2 items, or a group would be on both.
    """
    unit = None if groups is None else coded(groups, n, "groups", "value")
    if not isinstance(test, (int, float)) or isinstance(test, bool):
        return chosen_split(test, n, kept={"group": unit}).require()
    if not 0 < test < 1:
        raise InputError(f"test={quoted(test)}: a share between 0 and 1, or row numbers, are needed.")
    held = share_of_units(np.arange(n) if unit is None else unit, test, [seed, 0], least=1)
    return Split.of(held).require()
