"""RDM files of rsatoolbox (HDF5): read and written, nothing unpickled."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import InputError, MissingExtraError
from .vectors import n_items

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True, eq=False)
class Rdms:
    """RDMs over the same items.

    Attributes:
        dissimilarities: Condensed RDMs (n_rdms, n (n - 1) / 2).
        measure: Name of the dissimilarity, as rsatoolbox spells it, or None.
        items: Descriptors of the items: name -> n values.
        rdms: Descriptors of the RDMs: name -> n_rdms values.
        descriptors: Descriptors of the whole: name -> value.
    """

    dissimilarities: Floats
    measure: str | None = None
    items: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    rdms: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    descriptors: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        stack = np.atleast_2d(np.asarray(self.dissimilarities, dtype=np.float64))
        object.__setattr__(self, "dissimilarities", stack)
        sizes = (("items", self.items, n_items(stack.shape[1], "dissimilarities")), ("rdms", self.rdms, len(stack)))
        for what, table, size in sizes:
            for name, values in table.items():
                if len(values) != size:
                    raise InputError(f"The descriptor {name!r} of {what} has {len(values)} values; {size} are needed.")


def read_rdms(path: str | os.PathLike[str]) -> Rdms:
    """Read an RDM file that rsatoolbox or `write_rdms` saved as HDF5.

    Args:
        path: The file (``.h5`` or ``.hdf5``). Pickled files are refused: opening one runs what it holds.

    Raises:
        InputError: if the file is missing, is no HDF5, or holds no RDMs.
        MissingExtraError: if h5py is not installed.
    """
    h5py = _h5py()
    path = Path(path)
    if path.suffix in (".pkl", ".pickle"):
        raise InputError(
            f"{path} is a pickle, which would run whatever it holds. Save it as HDF5 from rsatoolbox: "
            "rdms.save('rdms.hdf5', file_type='hdf5')."
        )
    try:
        with h5py.File(path, "r") as file:
            content = _read_group(file, h5py)
    except OSError as error:
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}.") from error
    values = content.get("dissimilarities")
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "fiu":
        raise InputError(f"{path} holds no table 'dissimilarities' (n_rdms, n (n - 1) / 2), so it is no RDM file.")
    measure = content.get("dissimilarity_measure")
    groups = [content.get(name) or {} for name in ("pattern_descriptors", "rdm_descriptors", "descriptors")]
    return Rdms(values.astype(np.float64), None if measure is None else str(measure), *groups)


def write_rdms(path: str | os.PathLike[str], rdms: Rdms, *, overwrite: bool = False) -> None:
    """Write an RDM file that ``rsatoolbox.rdm.load_rdm`` reads.

    The file appears under its name only when it is complete.

    Args:
        path: The file; rsatoolbox knows ``.h5`` and ``.hdf5``.
        rdms: What to write.
        overwrite: Whether an existing file is replaced.

    Raises:
        InputError: if the file exists and is not to be replaced, or cannot be written.
        MissingExtraError: if h5py is not installed.
    """
    h5py = _h5py()
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; pass overwrite=True to replace it.")
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}.") from error
    os.close(handle)
    try:
        with h5py.File(temporary, "w") as file:
            # readers of rsatoolbox look for no particular value here, only their own writer fills it in
            file.attrs["rsatoolbox_version"] = "isomorph"
            file["dissimilarities"] = rdms.dissimilarities
            if rdms.measure is None:
                file["dissimilarity_measure"] = h5py.Empty("f")
            else:
                file.attrs["dissimilarity_measure"] = rdms.measure
            n, m = n_items(rdms.dissimilarities.shape[1]), len(rdms.dissimilarities)
            for name, table, size in (("pattern_descriptors", rdms.items, n), ("rdm_descriptors", rdms.rdms, m)):
                _write_group(file.create_group(name), {"index": list(range(size))} | dict(table), h5py)
            _write_group(file.create_group("descriptors"), rdms.descriptors, h5py)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("Reading and writing RDM files", "h5py", "rdm") from error
    return h5py


def _write_group(group: Any, table: Mapping[str, Any], h5py: Any) -> None:
    for name, value in table.items():
        if isinstance(value, str):
            group.attrs[name] = value
            continue
        array = np.asarray(value)
        if array.dtype.kind == "U":
            # fixed-width bytes are what rsatoolbox decodes, but only if they are ASCII
            ascii_only = all(v.isascii() for v in array.reshape(-1).tolist())
            array = array.astype("S") if ascii_only else array.astype(h5py.string_dtype("utf-8"))
        elif array.dtype.kind not in "fiub":
            raise InputError(f"The descriptor {name!r} holds {array.dtype}; numbers or texts can be written.")
        group[name] = array


def _read_group(group: Any, h5py: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in group.items():
        if isinstance(value, h5py.Group):
            inner = _read_group(value, h5py)
            # rsatoolbox stores a list of unlike things as a group with keys "0", "1", …
            numbered = inner and all(k.isdigit() for k in inner)
            out[name] = [inner[str(i)] for i in range(len(inner))] if numbered else inner
        elif value.shape is None:
            out[name] = None
        else:
            out[name] = _decoded(np.asarray(value))
    return out | {k: _decoded(np.asarray(v)) if isinstance(v, np.ndarray) else v for k, v in group.attrs.items()}


def _decoded(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.kind == "S" or array.dtype == object:
        texts = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in array.reshape(-1).tolist()]
        array = np.array(texts, dtype=str).reshape(array.shape)
    return array if array.ndim == 2 else array.tolist()
