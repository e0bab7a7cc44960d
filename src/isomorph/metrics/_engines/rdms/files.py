"""RDM files of rsatoolbox (HDF5): read and written as plain values, nothing unpickled."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...._core.featurefiles.hdf5 import check_heaps
from ....errors import InputError, MissingExtraError
from .vectors import n_items


def read_hdf5(path: Path) -> dict[str, Any]:
    """What an RDM file of rsatoolbox holds, under the names of the fields of `RDMs`.

    Args:
        path: The file. Pickled files are refused: opening one runs what it holds.

    Raises:
        InputError: if the file is missing, is no HDF5, or holds no RDMs.
        MissingExtraError: if h5py is not installed.
    """
    h5py = h5py_module()
    if path.suffix in (".pkl", ".pickle"):
        raise InputError(
            f"{path} is a pickle, which would run whatever it holds. Save it as HDF5 from rsatoolbox: "
            "rdms.save('rdms.hdf5', file_type='hdf5')."
        )
    try:
        check_heaps(path)
        with h5py.File(path, "r") as file:
            content = _read_group(file, h5py)
    except Exception as error:  # whatever a damaged file makes h5py trip over
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}.") from error
    values = content.get("dissimilarities")
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "fiu":
        raise InputError(f"{path} holds no table 'dissimilarities' (n_rdms, n (n - 1) / 2), so it is no RDM file.")
    measure = content.get("dissimilarity_measure")
    groups = {"items": "pattern_descriptors", "rdms": "rdm_descriptors", "descriptors": "descriptors"}
    facts = {field: content.get(name) or {} for field, name in groups.items()}
    return {"dissimilarities": values.astype(np.float64), "measure": None if measure is None else str(measure), **facts}


def write_hdf5(path: Path, held: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write an RDM file of rsatoolbox, which appears under its name only when it is complete.

    Args:
        path: The file.
        held: What to write, under the names of the fields of `RDMs`.
        overwrite: Whether an existing file is replaced.

    Raises:
        InputError: if the file exists and is not to be replaced, or cannot be written.
        MissingExtraError: if h5py is not installed.
    """
    h5py = h5py_module()
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
            file["dissimilarities"] = held["dissimilarities"]
            if held["measure"] is None:
                file["dissimilarity_measure"] = h5py.Empty("f")
            else:
                file.attrs["dissimilarity_measure"] = held["measure"]
            n, m = n_items(held["dissimilarities"].shape[1]), len(held["dissimilarities"])
            for name, table, size in (("pattern_descriptors", held["items"], n), ("rdm_descriptors", held["rdms"], m)):
                _write_group(file.create_group(name), {"index": list(range(size))} | dict(table), h5py)
            _write_group(file.create_group("descriptors"), held["descriptors"], h5py)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def h5py_module() -> Any:
    """The package h5py.

    Raises:
        MissingExtraError: if it is not installed.
    """
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
