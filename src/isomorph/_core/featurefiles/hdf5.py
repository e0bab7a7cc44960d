"""HDF5: thingsvision's and anybody's arrays, AnnData (``.h5ad``), NetCDF 4 as xarray writes it, and MATLAB 7.3."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, MissingExtraError, quoted
from ..arrayfiles import in_order
from ..files import reason
from ..memory import require
from ._read import Read, id_column, ids_beside

ENDINGS = (".h5", ".hdf5", ".hdf", ".h5ad")
_HEAP = b"GCOL\x01\x00\x00\x00"


def read(path: Path, *, transposed: bool = False) -> Read:
    """Features of a HDF5 file: every array (n, d) or (n, layers, d) is a layer under its path.

    Ids are a list of texts called like ids, the coordinate of the first dimension, the index of AnnData's observations,
    or those of a ``file_names.txt`` beside the file. Arrays (d,) of one length, one an item, are keyed by their names.

    Args:
        path: The file.
        transposed: Whether axes are the other way round, as MATLAB writes them.

    Raises:
        InputError: if it cannot be read, or holds no features.
        MissingExtraError: if h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("Reading HDF5", "h5py", "data") from error
    try:
        check_heaps(path)
        with h5py.File(path, "r") as file:
            annotated = "obs" in file and ("X" in file or "obsm" in file)
            return _annotated(file, path) if annotated else _arrays(file, path, h5py, transposed)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes h5py trip over
        raise InputError(f"Cannot read {path} as HDF5: {reason(error)}.") from error


def check_heaps(path: Path) -> None:
    """Check that every heap of texts comes to an end: one with free space of no size makes HDF5 2.0 loop for ever.

    Raises:
        ValueError: if one does not.
    """
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(_HEAP)
        while at >= 0:
            place, end = at + 16, min(at + int.from_bytes(data[at + 8 : at + 16], "little"), len(data))
            while place + 16 <= end:
                number, size = int.from_bytes(data[place : place + 2], "little"), data[place + 8 : place + 16]
                length = int.from_bytes(size, "little")
                step = (16 + -(-length // 8) * 8 if number else length) % 2**64  # as the library counts
                if step == 0:
                    raise ValueError(f"its heap of texts at byte {at:,} is damaged")
                place += step
            at = data.find(_HEAP, at + 1)


def _arrays(file: Any, path: Path, h5py: Any, transposed: bool) -> Read:
    """Features of a file in no layout of its own.

    Raises:
        InputError: if it holds none.
    """
    if "dissimilarities" in file:
        raise InputError(f"{path} holds RDMs, as rsatoolbox writes them; read them with iso.RDMs.load.")
    found: dict[str, Any] = {}
    file.visititems(lambda name, thing: found.update({name: thing}) if isinstance(thing, h5py.Dataset) else None)
    numbers = {k: v for k, v in found.items() if v.dtype.kind in "fiub" and v.ndim in (2, 3) and not _is_scale(v)}
    texts = {
        k: v for k, v in found.items() if v.ndim == 1 and (v.dtype.kind in "SU" or h5py.check_string_dtype(v.dtype))
    }
    vectors = {k: v for k, v in found.items() if v.dtype.kind == "f" and v.ndim == 1 and not _is_scale(v)}
    if not numbers and len(vectors) > 1 and len({v.shape for v in vectors.values()}) == 1:
        names = in_order(vectors)
        return Read({path.stem: np.stack([vectors[k][()] for k in names])}, names, {}, rows_alone=False)
    if not numbers:
        raise InputError(f"{path} holds no features (n, d): it holds {quoted([*found][:12]) if found else 'nothing'}.")
    arrays = {k: _loaded(numbers[k], path) for k in in_order(numbers)}
    if transposed:
        arrays = {k: a.T for k, a in arrays.items()}
    n = len(next(iter(arrays.values())))
    ids = _coordinate(next(iter(numbers.values())), h5py) or _ids(texts, n) or ids_beside(path)
    if ids is not None and len(arrays) > 1 and sum(map(len, arrays.values())) == len(ids) != n:
        arrays = {path.stem: np.concatenate(list(arrays.values()))}  # thingsvision's parts of a large array
    return Read(arrays, ids, {}, rows_alone=False)


def _loaded(dataset: Any, path: Path) -> np.ndarray[Any, Any]:
    require(
        dataset.size * dataset.dtype.itemsize, f"Reading {path}", "Save its layers as .npy, which are not read whole."
    )
    return np.asarray(dataset[()])


def _is_scale(dataset: Any) -> bool:
    return bool(dataset.attrs.get("CLASS", b"") == b"DIMENSION_SCALE")


def _coordinate(dataset: Any, h5py: Any) -> Sequence[str] | None:
    """Texts along the first dimension: its scale, or what belongs to it in the same group, as in NetCDF."""
    if "DIMENSION_LIST" not in dataset.attrs:
        return None
    scale = dataset.file[dataset.attrs["DIMENSION_LIST"][0][0]]
    if h5py.check_string_dtype(scale.dtype):
        return _texts(scale)
    group = scale.parent
    along = {
        k: v
        for k, v in group.items()
        if isinstance(v, h5py.Dataset)
        and v.ndim == 1
        and "DIMENSION_LIST" in v.attrs
        and h5py.check_string_dtype(v.dtype)
        and dataset.file[v.attrs["DIMENSION_LIST"][0][0]] == scale
    }
    found = id_column(list(along))
    if found is not None:
        return _texts(along[found])
    return [str(v) for v in scale[()].tolist()] if scale.dtype.kind in "iu" else None


def _ids(texts: dict[str, Any], n: int) -> Sequence[str] | None:
    fitting = {k.rpartition("/")[2]: v for k, v in texts.items() if len(v) == n}
    name = id_column(list(fitting)) or (next(iter(fitting)) if len(fitting) == 1 else None)
    return None if name is None else _texts(fitting[name])


def _texts(dataset: Any) -> list[str]:
    return [v.decode() if isinstance(v, bytes) else str(v) for v in dataset[()].tolist()]


# ---------------------------------------------------------------- AnnData


def _annotated(file: Any, path: Path) -> Read:
    """Features of AnnData: ``X``, ``layers`` and ``obsm`` are layers, the index of ``obs`` gives the ids.

    Raises:
        InputError: if there are none.
    """
    obs = file["obs"]
    index = obs.attrs.get("_index", "_index")
    column = obs[index.decode() if isinstance(index, bytes) else index]
    ids = _texts(column["values"] if hasattr(column, "keys") else column)  # newer ones keep a mask beside
    arrays = {"X": _matrix(file["X"], path)} if "X" in file and _is_matrix(file["X"]) else {}
    for group in ("layers", "obsm"):
        for name in in_order(file.get(group, {})):
            if _is_matrix(file[group][name]):
                arrays[name] = _matrix(file[group][name], path)
    if not arrays:
        raise InputError(f"{path} holds no X, layers or obsm with features.")
    return Read(arrays, ids, {}, rows_alone=False)


def _is_matrix(thing: Any) -> bool:
    return "data" in thing if hasattr(thing, "keys") and "indptr" in thing else getattr(thing, "ndim", 0) == 2


def _matrix(thing: Any, path: Path) -> np.ndarray[Any, Any]:
    """A dense matrix; a sparse one is spread out if that fits in memory."""
    if not hasattr(thing, "keys"):
        return _loaded(thing, path)
    from scipy import sparse

    shape = tuple(int(v) for v in thing.attrs["shape"])
    require(
        8 * shape[0] * shape[1], f"Spreading out the sparse matrix of {path}", "Give its obsm, such as the PCA, alone."
    )
    kind = thing.attrs.get("encoding-type", b"csr_matrix")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    make = sparse.csc_matrix if kind.startswith("csc") else sparse.csr_matrix
    return np.asarray(make((thing["data"][()], thing["indices"][()], thing["indptr"][()]), shape=shape).toarray())
