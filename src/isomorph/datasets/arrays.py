"""Features that exist already: ``.npy``, ``.npz`` and ``.safetensors`` files, joined by id."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._core.arrayfiles import read_arrays
from .._core.checks import as_ids
from .._core.featurefiles import read_ids
from .._core.registry import format_spec
from ..errors import InputError
from ._base import Dataset, PairedItems, as_names
from ._views import MemoryView


@dataclasses.dataclass(frozen=True)
class Arrays(Dataset):
    """Views of features read from files, each an array of shape ``(n_items, n_features)``.

    A ``.npy`` file is one view under the file's name without its ending (memory-mapped: read as it is used); every 2-D
    array in a ``.npz`` or ``.safetensors`` file is a view under its own name. Row i of every array is the item with the
    i-th id. Nothing is unpickled.

    Attributes:
        paths: One path, several, or a mapping from view name to the path of a ``.npy`` file.
        ids: A ``.txt`` (one id a line), ``.json`` (a list) or ``.npy`` file of ids. Without it, an array ``ids`` inside
            a ``.npz`` file is taken, else the row numbers ``0``, ``1``, …

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> np.savez("features.npz", vision=np.eye(3), text=np.ones((3, 2)), ids=["cat", "dog", "cow"])
        >>> items = iso.load_dataset("arrays(paths='features.npz')")
        >>> items.ids, list(items.views)
        (('cat', 'dog', 'cow'), ['vision', 'text'])
    """

    name: ClassVar[str] = "arrays"
    reference: ClassVar[str] = "Files of the user's own."

    paths: str | Sequence[str] | Mapping[str, str]
    ids: str | None = None

    def __post_init__(self) -> None:
        given = self.paths
        if isinstance(given, Mapping):
            paths: Any = dict(zip(given, as_names([_text(p) for p in given.values()], "arrays: paths"), strict=True))
        else:
            paths = as_names(
                [_text(p) for p in given] if isinstance(given, list | tuple) else _text(given), "arrays: paths"
            )
        object.__setattr__(self, "paths", paths)
        object.__setattr__(self, "ids", _text(self.ids))

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        ids = [f"item-{7919 * i % 10007}" for i in range(n)]
        (folder / f"ids-{n}.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
        rows = np.random.default_rng(0).standard_normal((n, 3))  # row by row: more items begin with the same
        np.savez(folder / f"features-{n}.npz", x=rows, y=rows[:, :2] ** 2)
        return cls(str(folder / f"features-{n}.npz"), ids=str(folder / f"ids-{n}.txt"))

    def load(self) -> PairedItems:
        """Open the files.

        Raises:
            InputError: if a file cannot be read, is no array of real numbers of shape (n, d), or lengths, view names or
                ids do not fit.
        """
        views: dict[str, np.ndarray[Any, Any]] = {}
        ids: tuple[str, ...] | None = None
        for given, path in self._files():
            found, _ = read_arrays(path)
            if path.suffix.lower() == ".npz" and "ids" in found:
                inside = _as_ids(found.pop("ids"), path)
                if self.ids is None and ids is not None and inside != ids:
                    raise InputError(f"arrays: the ids in {path} differ from those before; give one file of ids.")
                ids = inside
            for key, array in found.items():
                view = given or key
                if view in views:
                    raise InputError(f"arrays: two arrays would be the view {view!r}; name them with paths={{'x': …}}.")
                views[view] = _checked(array, f"{path}: {key!r}")
        if not views:
            raise InputError("arrays: there is no array of shape (n_items, n_features) in the given files.")
        if self.ids is not None:
            ids = read_ids(Path(self.ids).expanduser())
        if ids is None:
            ids = tuple(map(str, range(len(next(iter(views.values()))))))
        return PairedItems(
            name="arrays",
            ids=ids,
            views={k: MemoryView(v, "features") for k, v in views.items()},
            source=self._source(),
        )

    def _files(self) -> list[tuple[str | None, Path]]:
        if not isinstance(self.paths, Mapping):
            return [(None, Path(p).expanduser()) for p in self.paths]
        named = {str(k): Path(v).expanduser() for k, v in self.paths.items()}
        for name, path in named.items():
            if path.suffix.lower() != ".npy":
                raise InputError(f"arrays: only a .npy file can be given the name {name!r}, found {path}.")
        return list(named.items())

    def _source(self) -> str:
        return format_spec("arrays", {"paths": self.paths} | ({"ids": self.ids} if self.ids else {}))


def _text(path: Any) -> Any:
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _checked(array: np.ndarray[Any, Any], what: str) -> np.ndarray[Any, Any]:
    """The array if it can be features; that its values are finite is checked where they are used.

    Raises:
        InputError: if it is not a matrix of real numbers.
    """
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} holds values of type {array.dtype}; real numbers are needed.")
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{what} has shape {array.shape}; features of shape (n_items, n_features) are needed.")
    return array


def _as_ids(array: np.ndarray[Any, Any], path: Path) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise InputError(f"{path}: its ids have shape {array.shape} and type {array.dtype}; a list of texts is needed.")
    return as_ids(array, str(path))
