"""MATLAB's ``.mat``, version 5 and 7.3: matrices by name, and thingsvision's rows keyed by file name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import InputError, quoted
from ..matlab5 import read_matlab5
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
    found = read_matlab5(path)
    arrays = {k: v for k, v in found.items() if isinstance(v, np.ndarray) and v.ndim in (2, 3)}
    rows = {k: v for k, v in arrays.items() if v.ndim == 2 and v.shape[0] == 1}
    if len(rows) > 1 and len(rows) == len(arrays) and len({v.shape for v in rows.values()}) == 1:
        return Read({path.stem: np.concatenate(list(rows.values()))}, list(rows), {}, rows_alone=False)
    texts = {k: v for k, v in found.items() if isinstance(v, list) and all(isinstance(text, str) for text in v)}
    names = id_column([*texts])
    ids = None if names is None else [text.strip() for text in texts[names]]
    if not arrays:
        raise InputError(
            f"{path} holds no matrix (n, d); its variables are {quoted([*found][:12])} (sparse and "
            "complex ones are not read)."
        )
    return Read(arrays, ids if ids is not None else ids_beside(path), {}, rows_alone=False)
