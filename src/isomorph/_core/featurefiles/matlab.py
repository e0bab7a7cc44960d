"""MATLAB's ``.mat``, version 5 and 7.3: matrices by name, and thingsvision's rows keyed by file name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, quoted
from ..files import reason
from . import hdf5
from ._read import Read, id_column, ids_beside

ENDINGS = (".mat",)


def read(path: Path) -> Read:
    """Features of a `.mat` file: every matrix (n, d) is a layer; rows (1, d) of one length are keyed by their names.

    Raises:
        InputError: if it cannot be read, or holds no features.
        MissingExtraError: if a file of version 7.3 is given and h5py is not installed.
    """
    with path.open("rb") as file:
        head = file.read(520)
    if b"\x89HDF" in head[:4] or head[512:516] == b"\x89HDF":
        return hdf5.read(path, transposed=True)
    from scipy.io import loadmat

    try:
        found = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
    except Exception as error:  # whatever a damaged file makes SciPy trip over
        raise InputError(f"Cannot read {path} as MATLAB's: {reason(error)}.") from error
    arrays = {k: v for k, v in found.items() if v.dtype.kind in "fiub" and v.ndim in (2, 3)}
    rows = {k: v for k, v in arrays.items() if v.ndim == 2 and v.shape[0] == 1}
    if len(rows) > 1 and len(rows) == len(arrays) and len({v.shape for v in rows.values()}) == 1:
        return Read({path.stem: np.concatenate(list(rows.values()))}, list(rows), {}, rows_alone=False)
    names = id_column([k for k, v in found.items() if v.dtype.kind in "UO"])
    ids = None if names is None else _texts(found[names])
    if not arrays:
        raise InputError(f"{path} holds no matrix (n, d); its variables are {quoted([*found][:12])}.")
    return Read(arrays, ids if ids is not None else ids_beside(path), {}, rows_alone=False)


def _texts(cells: Any) -> list[str]:
    """Texts of a cell array, or of rows of characters."""
    return [str(np.asarray(c).item() if np.asarray(c).size == 1 else c).strip() for c in np.ravel(cells)]
