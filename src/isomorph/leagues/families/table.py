"""A family of your own: a table of networks, with files of their layers and outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..._core.featurefiles import read_features
from ..._core.files import as_path
from ...datasets import read_columns
from ...errors import InputError
from ...store import Layers
from .._family import Family, Network
from ._base import FamilyMaker

_OWN = ("layers", "outputs", "pooled")


@dataclasses.dataclass(frozen=True)
class Table(FamilyMaker):
    """Networks of your own, from a CSV table.

    Columns: ``id`` (the name of the network), ``layers`` (a file of its features, as `Layers.load` reads it, layers in
    order), and, where there are any, ``outputs`` (a file of probabilities) and ``pooled`` (layers averaged over
    places). All other columns are attributes, which criteria read: ``label_noise``, ``architecture``, ``run`` and
    ``step``, and so on. Files lie beside the table.

    Attributes:
        path: The table.
        labels: A file with the class of each item: a ``.npy`` file, or a CSV with an ``id`` and one more column.
    """

    name: ClassVar[str] = "table"
    reference: ClassVar[str] = "Files of the user's own."

    path: str
    labels: str | None = None

    def load(self, criteria: Sequence[str] | None = None) -> Family:
        path = as_path(self.path, "table: path").expanduser()
        columns = read_columns(path)
        if "layers" not in columns:
            raise InputError(
                f"{path} has no column 'layers' (a file of features a network); it has {', '.join(columns)}."
            )
        networks, ids = [], None
        for name, file in columns["layers"].items():
            layers = _layers(path.parent, file, f"{path}: {name}")
            if ids is not None and layers.ids != ids:
                layers = layers.subset(ids)
            ids = layers.ids
            given = {k: file for k in _OWN[1:] if (file := columns.get(k, {}).get(name))}
            more = {k: _other(path.parent, file, ids, f"{path}: {name}") for k, file in given.items()}
            told = {k: v[name] for k, v in columns.items() if k not in _OWN and v.get(name) is not None}
            outputs = None if "outputs" not in more else next(iter(more["outputs"].values()))
            networks.append(Network(name, dict(layers.items()), outputs, told, pooled=more.get("pooled")))
        return Family(path.stem, networks, labels=self._labels(path.parent, ids or ()), provenance={"spec": self.spec})

    def _labels(self, folder: Path, ids: Any) -> Any:
        if self.labels is None:
            return None
        path = folder / self.labels
        if path.suffix == ".npy":
            return next(iter(read_features(path)[0].values()))
        columns = read_columns(path)
        values = next(iter(columns.values()))
        missing = [i for i in ids if i not in values]
        if missing:
            raise InputError(f"{path} has no class for the item {missing[0]!r}.")
        return [values[i] for i in ids]


def _layers(folder: Path, file: Any, where: str) -> Layers:
    try:
        return Layers.load(folder / str(file))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _other(folder: Path, file: Any, ids: Any, where: str) -> dict[str, Any]:
    found = _layers(folder, file, where)
    return dict((found if found.ids == ids else found.subset(ids)).items())
