"""What every reader of features gives back, and the words that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import InputError
from ..arrayfiles import read_arrays
from ..checks import as_ids
from ..files import parse_json, read_text

ID_NAMES = (
    "ids", "id", "item_id", "keys", "key", "names", "name", "item", "items", "file_names", "file_name", "filenames",
    "filename", "stimulus_id", "image_id", "sentences", "sentence", "texts", "text", "custom_id", "index",
)  # fmt: skip
"""What ids of items are called in files of other tools, the likeliest first."""
ID_FILES = ("file_names.txt", "ids.txt", "ids.json", "ids.npy", "names.txt", "filenames.txt")
"""Files of ids beside features: thingsvision writes the first."""


class Read(NamedTuple):
    """What a reader found.

    Attributes:
        arrays: Name -> features (n, d), or (n, layers, d), which are parted into layers.
        ids: One id a row, or None where the file has none.
        facts: What is known of the model: ``encoder``, ``view``, ``modality``, ``n_parameters``, ``provenance``, and
            ``layers``, their order.
        rows_alone: Whether rows may stand without ids, as they always could in arrays of the user's own.
    """

    arrays: dict[str, Any]
    ids: Sequence[Any] | None
    facts: dict[str, Any]
    rows_alone: bool = True


def read_ids(path: Path) -> tuple[str, ...]:
    r"""Ids from a file: ``.txt`` (one a line), ``.json`` (a list) or ``.npy``.

    Raises:
        InputError: if it cannot be read or holds no ids.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("ids.txt").write_text("cat\ndog\n")
        >>> read_ids(Path("ids.txt"))
        ('cat', 'dog')
    """
    kind = path.suffix.lower()
    if kind == ".npy":
        array = read_arrays(path)[0][path.stem]
        if array.ndim != 1 or array.dtype.kind not in "USiu":
            raise InputError(
                f"{path}: its ids have shape {array.shape} and type {array.dtype}; a list of texts is needed."
            )
        return as_ids(array, str(path))
    text = read_text(path, "ids from")
    try:
        values = parse_json(text) if kind == ".json" or text.startswith("[") else text.splitlines()
    except ValueError as error:
        raise InputError(f"Cannot read ids from {path}: {error}.") from error
    if kind not in (".txt", ".json"):
        raise InputError(f"Ids are read from .txt, .json or .npy files, found {path}.")
    good = isinstance(values, list) and all(isinstance(v, str | int) and not isinstance(v, bool) for v in values)
    if not good or not all(str(v).strip() for v in values):
        raise InputError(f"{path}: expected a list of ids, each a text or a whole number, none of them empty.")
    return as_ids(values, str(path))


def ids_beside(path: Path) -> tuple[str, ...] | None:
    """Ids from a file that stands beside features or above them, as thingsvision leaves it; None if there is none.

    Raises:
        InputError: as `read_ids`.
    """
    for folder in (path.parent, path.parent.parent):
        for name in ID_FILES:
            if (folder / name).is_file() and folder / name != path:
                return read_ids(folder / name)
    return None


def id_column(names: Sequence[str]) -> str | None:
    """The name of ids among names, the likeliest; None if there is none."""
    lower = {name.lower().strip(): name for name in names}
    return next((lower[known] for known in ID_NAMES if known in lower), None)


def stacked(rows: Mapping[str, Any], path: Path) -> np.ndarray[Any, Any]:
    """One array of one vector (or one per layer) an item.

    Raises:
        InputError: if one is no vector of numbers, or they differ in length.
    """
    arrays = {}
    shape: tuple[int, ...] | None = None
    for id_, value in rows.items():
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.ndim not in (1, 2) or not array.size:
            raise InputError(
                f"{path}: item {id_!r} has no vector of numbers; one of the same length is needed of each."
            )
        shape = shape or array.shape
        if array.shape != shape:
            raise InputError(
                f"{path}: item {id_!r} has shape {array.shape} and the first has {shape}; all must be alike."
            )
        arrays[id_] = array
    return np.stack(list(arrays.values()))
