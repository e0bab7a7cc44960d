"""NetCDF as xarray writes it, version 3 (classic) and 4 (HDF5): arrays with named dimensions and coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, quoted
from ..arrayfiles import in_order
from ..files import reason
from . import hdf5
from ._read import Read, id_column

ENDINGS = (".nc", ".nc4", ".netcdf", ".cdf")


def read(path: Path) -> Read:
    """Features of a NetCDF file: every array (n, d) or (n, layers, d) is a layer, the first dimension that of items.

    Ids are the coordinate of that dimension.

    Raises:
        InputError: if it cannot be read, or holds no features.
        MissingExtraError: if a file of version 4 is given and h5py is not installed.
    """
    with path.open("rb") as file:
        classic = file.read(3) == b"CDF"
    if not classic:
        return hdf5.read(path)
    from scipy.io import netcdf_file

    try:
        with netcdf_file(path, "r", mmap=False) as found:
            return _classic(found, path)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes SciPy trip over
        raise InputError(f"Cannot read {path} as NetCDF: {reason(error)}.") from error


def _classic(found: Any, path: Path) -> Read:
    variables = found.variables
    numbers = {k: v for k, v in variables.items() if v.data.dtype.kind in "fiu" and len(v.shape) in (2, 3)}
    if not numbers:
        raise InputError(f"{path} holds no features (n, d); its variables are {quoted([*variables][:12])}.")
    arrays = {k: np.array(numbers[k].data, dtype=numbers[k].data.dtype.newbyteorder("=")) for k in in_order(numbers)}
    dimension = next(iter(numbers.values())).dimensions[0]
    along = {k: v for k, v in variables.items() if v.dimensions and v.dimensions[0] == dimension and k not in numbers}
    texts = {k: v for k, v in along.items() if v.data.dtype.kind == "S"}  # characters (n, length)
    name = dimension if dimension in texts else id_column(list(texts))
    if name is not None:
        rows = np.asarray(texts[name].data)
        ids = [b"".join(r).rstrip(b"\0").decode() if rows.ndim == 2 else r.decode() for r in rows.tolist()]
        return Read(arrays, ids, {}, rows_alone=False)
    own = along.get(dimension)
    whole = own is not None and own.data.dtype.kind in "iu"
    return Read(
        arrays, [str(v) for v in own.data.tolist()] if own is not None and whole else None, {}, rows_alone=False
    )
