"""RDMs in MATLAB files: of version 5, and of version 7.3, which are HDF5, through h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...._core.featurefiles.hdf5 import check_heaps
from ...._core.matlab5 import Structs, read_matlab5
from ....errors import InputError, MissingExtraError
from .files import h5py_module
from .vectors import n_items

Floats = np.ndarray[Any, Any]

_HDF5 = b"\x89HDF\r\n\x1a\n"


class Found(NamedTuple):
    """What a MATLAB file holds.

    Attributes:
        values: Condensed RDMs as rows, or square ones (RDMs, n, n).
        ids: Names of the items, from a cell array of as many different texts, or None.
        names: Names of the RDMs, from the field ``name`` of a struct array, or None.
    """

    values: Any
    ids: list[str] | None
    names: list[str] | None


def read_matlab(path: Path, variable: str | None) -> Found:
    """The RDMs of a MATLAB file.

    Read are square matrices (n, n) and (n, n, RDMs), condensed ones as rows or as (1, pairs, RDMs), and struct arrays
    with a field ``RDM``, as the RSA toolbox of Nili and others keeps them.

    Args:
        path: The file.
        variable: Which variable; by default the only one that can be RDMs.

    Raises:
        InputError: if the file is no MATLAB file, or holds no RDMs or several variables that may be some.
        MissingExtraError: if it is of version 7.3, and h5py is not installed.
    """
    held = _variables(path)
    if variable is not None and variable not in held:
        raise InputError(f"{path.name} has no variable {variable!r}; it has {', '.join(map(repr, held)) or 'none'}.")
    chosen = held if variable is None else {variable: held[variable]}
    fitting = {k: found for k, v in chosen.items() if (found := _rdms(v)) is not None}
    if len(fitting) != 1:
        shown = ", ".join(f"{k!r} {_described(v)}" for k, v in held.items()) or "nothing"
        what = "several variables that may be RDMs" if fitting else "no RDMs"
        fix = "say which with variable=" if fitting else "square matrices, condensed ones or structs with a field RDM"
        raise InputError(f"{path.name} holds {what}: {shown}; {fix} {'are read' if not fitting else ''}".rstrip() + ".")
    values, names = next(iter(fitting.values()))
    n = values.shape[-1] if values.ndim == 3 else n_items(values.shape[-1], path.name)
    lists = [v for v in held.values() if isinstance(v, list) and all(isinstance(t, str) for t in v)]
    texts = [v for v in lists if len(v) == n == len(set(v))]
    return Found(values, texts[0] if len(texts) == 1 else None, names)


def _rdms(value: Any) -> tuple[Floats, list[str] | None] | None:
    """Stacked RDMs and their names, if a variable may be RDMs."""
    if isinstance(value, Structs):
        fields = {k.lower(): v for k, v in value.fields.items()}
        parts = [_stack(v) for v in fields.get("rdm", [])]
        known = [p for p in parts if p is not None]
        if not known or len(known) < len(parts) or len({p.shape[1:] for p in known}) > 1:
            return None
        names = [v for v in fields.get("name", []) if isinstance(v, str)]
        whole = np.concatenate(known)
        return whole, names if len(names) == len(whole) else None
    found = None if isinstance(value, (list, str)) else _stack(value)
    return None if found is None else (found, None)


def _stack(value: Any) -> Floats | None:
    """Square RDMs (RDMs, n, n) or condensed ones as rows; None if an array's shape is neither."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.ndim not in (2, 3):
        return None
    if value.ndim == 3 and value.shape[0] == value.shape[1]:
        return np.moveaxis(value, 2, 0) if value.shape[0] > 2 else None
    if value.ndim == 3 and value.shape[1] == value.shape[2]:
        return value if value.shape[1] > 2 else None
    if value.ndim == 3:
        return _stack(value[0].T) if value.shape[0] == 1 else None
    if value.shape[0] == value.shape[1]:
        return value[None] if len(value) > 2 else None
    pairs, rdms = max(value.shape), min(value.shape)
    rows = value if _is_triangle(value.shape[1]) else value.T
    if _is_triangle(pairs) and _is_triangle(rdms):  # the longer side is that of the pairs
        rows = value if value.shape[1] == pairs else value.T
    # pairs down the columns only where they are the longer side, since every third number or so is a triangle
    return rows if _is_triangle(rows.shape[1]) and (rows is value or rows.shape[1] == pairs) else None


def _is_triangle(entries: int) -> bool:
    n = round((1 + (1 + 8 * entries) ** 0.5) / 2)
    return entries >= 3 and n * (n - 1) // 2 == entries


def _described(value: Any) -> str:
    if isinstance(value, Structs):
        return f"(struct with the fields {', '.join(value.fields)})"
    return f"({'texts' if isinstance(value, (list, str)) else ' × '.join(map(str, np.shape(value)))})"


def _variables(path: Path) -> dict[str, Any]:
    """Name -> array, text, list of texts (a cell array) or struct array.

    Raises:
        InputError: if the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(520)
    return _variables_73(path) if _HDF5 in (head[:8], head[512:520]) else read_matlab5(path)


def _variables_73(path: Path) -> dict[str, Any]:
    h5py = h5py_module()
    try:
        check_heaps(path)
        with h5py.File(path, "r") as file:
            return {k: _plain_73(v, file, h5py) for k, v in file.items() if not k.startswith("#")}
    except MissingExtraError:
        raise
    except Exception as error:  # whatever a damaged file makes h5py trip over
        raise InputError(f"{path} cannot be read as a MATLAB 7.3 file: {error}.") from error


def _plain_73(value: Any, file: Any, h5py: Any) -> Any:
    """A variable of an HDF5 file, whose axes are in the reverse order of MATLAB's."""
    kind = value.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if isinstance(value, h5py.Group):
        return Structs({k: _elements(v, file, h5py) for k, v in value.items()})
    if kind == "char":
        return "".join(chr(int(c)) for c in np.asarray(value).reshape(-1))
    if kind == "cell":
        cells = _elements(value, file, h5py)
        return cells if all(isinstance(v, str) for v in cells) else np.empty(0, dtype=object)
    return np.asarray(value).T


def _elements(value: Any, file: Any, h5py: Any) -> list[Any]:
    """The elements of a cell array or of a field of a struct array; a single struct holds its values themselves."""
    if isinstance(value, h5py.Dataset) and h5py.check_dtype(ref=value.dtype) is not None:
        return [_plain_73(file[ref], file, h5py) for ref in np.asarray(value).reshape(-1)]
    return [_plain_73(value, file, h5py)]
