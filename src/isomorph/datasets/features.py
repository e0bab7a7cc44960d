"""Features that other tools wrote, as views: thingsvision, platonic-rep, JSON, HDF5, AnnData, Parquet and more."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._core.featurefiles import read_features
from .._core.files import as_path
from .._core.frames import common_rows
from .._core.registry import format_spec
from ..errors import InputError, quoted
from ._base import Dataset, PairedItems
from ._views import MemoryView


@dataclasses.dataclass(frozen=True)
class Features(Dataset):
    """Views of features from files of any kind that `Layers.load` reads, joined by id.

    Every layer is a view. That of a file of one layer is called like the file; those of a file of several have its name
    before theirs, as ``dinov2/layer.3``, if there are several files. Items that not all files have are left out, and
    named in the result's `skipped`.

    Attributes:
        paths: One file or folder, several, or a mapping from name to path: ``.json``, ``.jsonl``, ``.h5``, ``.h5ad``,
            ``.nc``, ``.mat``, ``.pt``, ``.npz``, ``.parquet`` and more; a folder that thingsvision or mteb left.
        ids: A file of ids (``.txt``, ``.json`` or ``.npy``) for files that carry none.

    Example:
        >>> from pathlib import Path
        >>> import isomorph as iso
        >>> _ = Path("old.json").write_text('{"cat": [1, 0], "dog": [0, 1], "cow": [1, 1]}')
        >>> _ = Path("new.json").write_text('{"cow": [1, 1, 0], "cat": [1, 0, 0]}')
        >>> items = iso.load_dataset("features(paths=['old.json', 'new.json'])")
        >>> items
        PairedItems(features: 2 items; views old (features), new (features); labels none)
        >>> items.ids, list(items.skipped)
        (('cat', 'cow'), ['dog'])
    """

    name: ClassVar[str] = "features"
    reference: ClassVar[str] = "Files of the user's own."

    paths: str | Sequence[str] | Mapping[str, str]
    ids: str | None = None

    def __post_init__(self) -> None:
        given = self.paths
        if isinstance(given, Mapping):
            paths: Any = {str(k): str(as_path(v, "features: paths")) for k, v in given.items()}
        elif isinstance(given, str | os.PathLike):
            paths = str(as_path(given, "features: paths"))
        elif isinstance(given, list | tuple):
            paths = tuple(str(as_path(v, "features: paths")) for v in given)
        else:
            raise InputError(f"features: paths must be a path, several, or a mapping to paths, found {quoted(given)}.")
        if not paths:
            raise InputError("features: paths names no file.")
        object.__setattr__(self, "paths", paths)
        object.__setattr__(self, "ids", None if self.ids is None else str(as_path(self.ids, "features: ids")))

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        ids = [f"item-{7919 * i % 10007}" for i in range(n)]
        rows = np.random.default_rng(0).standard_normal((n, 3))  # row by row: more items begin with the same
        x = {id_: row.tolist() for id_, row in zip(ids, rows, strict=True)}
        y = [{"id": id_, "embedding": (row[:2] ** 2).tolist()} for id_, row in zip(ids, rows, strict=True)]
        (folder / f"x-{n}.json").write_text(json.dumps(x), encoding="utf-8")
        (folder / f"y-{n}.jsonl").write_text("\n".join(map(json.dumps, reversed(y))), encoding="utf-8")
        return cls({"x": str(folder / f"x-{n}.json"), "y": str(folder / f"y-{n}.jsonl")})

    def load(self) -> PairedItems:
        """Read the files.

        Raises:
            InputError: if one cannot be read, they have no item in common, or ids are missing.
            MissingExtraError: if the package that reads a file is not installed.
        """
        named = self._named()
        views: dict[str, tuple[tuple[str, ...], Any]] = {}
        common: tuple[str, ...] | None = None
        everyone: dict[str, None] = {}
        first, given = next(iter(named)), True
        for name, path in named.items():
            arrays, ids, _ = read_features(path, self.ids)
            own = tuple(map(str, ids)) if ids is not None else tuple(map(str, range(len(next(iter(arrays.values()))))))
            everyone |= dict.fromkeys(own)
            if common is None:
                common, given = own, ids is not None
            else:
                rows = common_rows(common, own, (first, name), (given, ids is not None))
                common = common if rows is None else tuple(common[i] for i in rows[0])
            for layer, array in arrays.items():
                if len(array) != len(own):
                    raise InputError(f"{path}: {layer!r} has {len(array)} rows for {len(own)} ids; one each is needed.")
                alone = len(arrays) == 1 or len(named) == 1
                views[(name if len(arrays) == 1 else layer) if alone else f"{name}/{layer}"] = (own, array)
        kept = common or ()
        left = [id_ for id_ in everyone if id_ not in set(kept)]
        return PairedItems(
            name="features",
            ids=kept,
            views={view: MemoryView(_rows(array, own, kept), "features") for view, (own, array) in views.items()},
            source=format_spec("features", {"paths": self.paths} | ({"ids": self.ids} if self.ids else {})),
            skipped=dict.fromkeys(left, "not every file has it"),
        )

    def _named(self) -> dict[str, Path]:
        """Name of a view -> path.

        Raises:
            InputError: if two files have one name.
        """
        if isinstance(self.paths, Mapping):
            return {name: Path(path).expanduser() for name, path in self.paths.items()}
        paths = [self.paths] if isinstance(self.paths, str) else self.paths
        named = {Path(path).stem: Path(path).expanduser() for path in paths}
        if len(named) < len(paths):
            raise InputError("features: two files have the same name; name them with paths={'x': '…', 'y': '…'}.")
        return named


def _rows(array: Any, own: Sequence[str], kept: Sequence[str]) -> Any:
    """The rows of the items that are kept, in their order; all of them are not copied."""
    if tuple(own) == tuple(kept):
        return array
    where = {id_: i for i, id_ in enumerate(own)}
    return np.asarray(array)[[where[id_] for id_ in kept]]
