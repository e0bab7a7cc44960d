"""Networks and data that a command or a study names: functions in files of the user's, and arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._core.arrayfiles import read_npz
from .._core.provenance import fingerprint
from ..encoders.module import called
from ..errors import InputError, quoted
from ._running import NetworkInputs

KEYS = ("data", "labels", "top_data", "groups")
OTHER_ARRAYS = (".npy", ".pt", ".pth", ".csv")


@dataclasses.dataclass(frozen=True)
class NetworkData:
    """What two networks are run on.

    Attributes:
        data: Inputs of both, or of the bottom.
        labels: Class of each item, or of each token.
        top_data: Inputs of the top, where it takes other ones.
        groups: One group an item, or None.

    Example:
        >>> NetworkData(np.ones((4, 2)), [0, 1, 0, 1]).groups is None
        True
    """

    data: Any
    labels: Any
    top_data: Any = None
    groups: Any = None

    @property
    def content(self) -> list[str | None]:
        """Fingerprints of all of it."""
        given = {"data": self.data, "labels": self.labels, "top_data": self.top_data}
        found = [None if v is None else NetworkInputs(v, name).content for name, v in given.items()]
        return [*found, None if self.groups is None else fingerprint([str(g) for g in self.groups])]


def read_network(where: str) -> Any:
    """The network that a function makes.

    Args:
        where: ``file.py:function``, with or without ``module:`` in front. The function is called without arguments.

    Raises:
        InputError: if it cannot be run, or gives no network.
        UnknownNameError: if there is no such function.

    Example:
        >>> _ = Path("nets.py").write_text('''
        ... import torch
        ...
        ... def small():
        ...     return torch.nn.Linear(2, 3)''')
        >>> read_network("nets.py:small")
        Linear(in_features=2, out_features=3, bias=True)
    """
    import torch

    found = called(where.removeprefix("module:"))
    network = found.get("module") if isinstance(found, Mapping) else found
    if not isinstance(network, torch.nn.Module):
        raise InputError(f"{where} gives a {type(network).__name__}; a torch.nn.Module is needed.")
    return network


def read_data(where: str) -> NetworkData:
    """Inputs and labels from a file.

    Args:
        where: A ``.npz`` file with ``data`` and ``labels`` (and ``top_data`` and ``groups``, where there are some), or
            ``file.py:function`` that gives a mapping of these.

    Raises:
        InputError: if the file cannot be read, or lacks one.
        UnknownNameError: if there is no such function.

    Example:
        >>> np.savez("digits.npz", data=np.ones((4, 2)), labels=[0, 1, 0, 1])
        >>> read_data("digits.npz").labels.tolist()
        [0, 1, 0, 1]
    """
    suffix = Path(where).suffix.lower()
    if suffix in OTHER_ARRAYS:
        raise InputError(
            f"{where} cannot hold 'data' and 'labels' by name; write both to one .npz file, or name a function that "
            "gives them: file.py:function."
        )
    found: Any = read_npz(Path(where)) if suffix == ".npz" else called(where.removeprefix("module:"))
    if not isinstance(found, Mapping):
        raise InputError(f"{where} gives a {type(found).__name__}; a mapping with 'data' and 'labels' is needed.")
    unknown = [str(k) for k in found if k not in KEYS]
    if unknown or not {"data", "labels"} <= set(found):
        held = quoted(list(map(str, found)))
        raise InputError(
            f"{where} holds {held}; 'data' and 'labels' are needed, and may stand beside 'top_data' and 'groups'."
        )
    return NetworkData(**found)
