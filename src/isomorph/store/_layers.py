"""The features of every layer of one encoder on the same items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from .._core.arrays import Array, as_features, take_rows
from ..errors import InputError, UnknownNameError
from ._exchange import load, save

Source = Array | Callable[[], Array]


@final
class Layers(Mapping[str, Any]):
    """An ordered mapping from layer name to features of shape ``(n, d)``, with the ids of the n items.

    Stored features are memory-mapped and read-only: nothing is in memory until it is used. Two `Layers` are joined
    by id, never by row order.

    Attributes:
        ids: One id a row, unique.
        encoder: Name of the encoder.
        view: Name of the view that was encoded.
        modality: ``"text"``, ``"image"``, ``"audio"`` or ``"features"``.
        n_parameters: Parameters of the encoder, or None if it is not known.
        provenance: How the features came about.
        ids_given: False if nobody gave ids and the row numbers stand in for them; such `Layers` are joined only
            with those of the same length.
    """

    __slots__ = (
        "_rows",
        "_sources",
        "encoder",
        "ids",
        "ids_given",
        "modality",
        "n_parameters",
        "provenance",
        "view",
    )

    def __init__(
        self,
        sources: Mapping[str, Source],
        ids: Sequence[str],
        *,
        encoder: str = "",
        view: str = "",
        modality: str = "features",
        n_parameters: int | None = None,
        provenance: Mapping[str, Any] | None = None,
        rows: np.ndarray[Any, Any] | None = None,
        ids_given: bool = True,
    ) -> None:
        """Use `Layers.from_arrays`, `Layers.load` or `FeatureStore.open`; this checks nothing but the ids.

        Raises:
            InputError: if an id is there twice.
        """
        self._sources, self._rows = dict(sources), rows
        self.ids = tuple(map(str, ids))
        self.encoder, self.view, self.modality, self.n_parameters = encoder, view, modality, n_parameters
        self.provenance: dict[str, Any] = dict(provenance or {})
        self.ids_given = ids_given
        if len(set(self.ids)) < len(self.ids):
            seen: set[str] = set()
            twice = next(i for i in self.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]  # `or` idiom
            raise InputError(
                f"{self._label}: the id {twice!r} is there twice; ids must be unique, items are joined by id."
            )

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any] | Sequence[Any],
        ids: Sequence[str] | None = None,
        *,
        encoder: str = "arrays",
        view: str = "",
        modality: str = "features",
        n_parameters: int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Layers:
        """Layers from features at hand; nothing is copied.

        Args:
            arrays: Layer name -> features ``(n, d)``, or a sequence of them (named ``layer.0``, ``layer.1``, …) of
                any array library.
            ids: One unique id a row. Without, the row numbers stand in for them.
            encoder: What the features are called in results.
            view: Name of the view that they are of.
            modality: ``"text"``, ``"image"``, ``"audio"`` or ``"features"``.
            n_parameters: Parameters of the network they come from.
            provenance: How they came about.

        Raises:
            InputError: if there are none, one is not 2-D, real and finite, their lengths differ, or ids repeat.
        """
        if not isinstance(arrays, Mapping):
            arrays = {f"layer.{i}": a for i, a in enumerate(arrays)}
        if not arrays:
            raise InputError(f"{encoder}: there are no layers; give at least one array of shape (n_items, n_features).")
        checked = {str(k): _read_only(as_features(v, f"{encoder}[{str(k)!r}]")) for k, v in arrays.items()}
        counts = {k: int(v.shape[0]) for k, v in checked.items()}
        n = next(iter(counts.values()))
        for name, count in counts.items():
            if count != n:
                raise InputError(
                    f"{encoder}: layer {name!r} has {count} rows but {next(iter(counts))!r} has {n}; "
                    "all layers are of the same items."
                )
        if ids is not None and len(ids) != n:
            raise InputError(f"{encoder}: {len(ids)} ids for {n} rows; one each is needed.")
        return cls(
            checked,
            [str(i) for i in (range(n) if ids is None else ids)],
            encoder=encoder,
            view=view,
            modality=modality,
            n_parameters=n_parameters,
            provenance=provenance,
            ids_given=ids is not None,
        )

    @classmethod
    def load(cls, path: str | Path, ids: Sequence[str] | None = None) -> Layers:
        """Layers from a ``.npy``, ``.npz``, ``.safetensors`` or platonic-rep ``.pt`` file; nothing is unpickled.

        Args:
            path: The file. A `.npy` file is one layer under the file's name; in `.npz` and `.safetensors` every array
                is a layer; a `.pt` file is a dictionary with ``feats``: a tensor (n, layers, d) or a list of (n, d).
            ids: One id a row, for files that carry none.

        Raises:
            InputError: if the file cannot be read or does not hold that.
            MissingExtraError: if a `.pt` file is given and torch is not installed.
        """
        arrays, ids, facts = load(Path(path), ids)
        return cls.from_arrays(arrays, ids, **facts)

    def save(self, path: str | Path) -> Path:
        """Write all layers, ids and provenance to one ``.npz`` or ``.safetensors`` file that any reader opens.

        Args:
            path: The file; its suffix says which format.

        Returns:
            The path.

        Raises:
            InputError: if the suffix is another one, or a layer's name is reserved.
            StoreError: if the file cannot be written; nothing is left behind then.
        """
        facts = {k: getattr(self, k) for k in ("encoder", "view", "modality", "n_parameters", "provenance")}
        return save(self, self.ids, facts | ({"ids": self.ids} if self.ids_given else {}), Path(path))

    def __getitem__(self, layer: str) -> Array:
        if layer not in self._sources:
            raise UnknownNameError(f"layer of {self._label}", str(layer), self._sources)
        source = self._sources[layer]
        array = source() if callable(source) else source
        return array if self._rows is None else _read_only(_pick(array, self._rows))

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, layer: object) -> bool:
        return layer in self._sources  # the inherited one would read the layer

    # Compared by identity: element-wise comparison of arrays is no equality.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.ids)

    def subset(self, ids: Iterable[str]) -> Layers:
        """The rows of these items, in this order; they are read when a layer is used.

        Args:
            ids: Ids of the items that are wanted.

        Raises:
            UnknownNameError: if an id is not there.
            InputError: if an id is asked for twice.
        """
        wanted = tuple(map(str, ids))
        if wanted == self.ids:
            return self
        where = {id_: i for i, id_ in enumerate(self.ids)}
        for id_ in wanted:
            if id_ not in where:
                raise UnknownNameError(f"item of {self._label}", id_, where)
        rows = np.fromiter((where[i] for i in wanted), dtype=np.int64, count=len(wanted))
        return Layers(
            self._sources,
            wanted,
            encoder=self.encoder,
            view=self.view,
            modality=self.modality,
            n_parameters=self.n_parameters,
            provenance=self.provenance,
            rows=rows if self._rows is None else self._rows[rows],
            ids_given=self.ids_given,
        )

    def join(self, other: Layers) -> tuple[Layers, Layers]:
        """Both, restricted to the items that both have, in the order of this one.

        If the ids are the same in the same order, both are returned as they are.

        Args:
            other: The layers of another encoder, or of another view of the items.

        Raises:
            InputError: if no item is in both, or if one has row numbers for ids and the lengths differ.
        """
        if self.ids == other.ids:
            return self, other
        if not (self.ids_given and other.ids_given) and self.n != other.n:
            raise InputError(
                f"{self._label} has {self.n} items and {other._label} has {other.n}, and "
                f"{'neither was' if not (self.ids_given or other.ids_given) else 'one was not'} given ids: which rows "
                "belong together is not known. Give both their ids, for example Layers.from_arrays(arrays, ids=…)."
            )
        theirs = set(other.ids)
        common = [i for i in self.ids if i in theirs]
        if not common:
            raise InputError(
                f"{self._label} and {other._label} have no item in common: their ids are like "
                f"{', '.join(map(repr, self.ids[:3])) or 'none'} and {', '.join(map(repr, other.ids[:3])) or 'none'}. "
                "Items are joined by id, so both need the same ids for the same things."
            )
        return self.subset(common), other.subset(common)

    @property
    def _label(self) -> str:
        view = f" on {self.view!r}" if self.view else ""
        return f"{self.encoder or 'layers'}{view}"

    def __repr__(self) -> str:
        names = list(self._sources)
        shown = ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"
        return f"Layers({self._label}: {len(names)} layers ({shown}) × {self.n} items)"


def _pick(array: Array, rows: np.ndarray[Any, Any]) -> Array:
    start = int(rows[0]) if len(rows) else 0
    if isinstance(array, np.ndarray) and np.array_equal(rows, np.arange(start, start + len(rows))):
        return array[start : start + len(rows)]  # a run of rows needs no copy
    return take_rows(array, rows)


def _read_only(array: Array) -> Array:
    if isinstance(array, np.ndarray):
        array = array.view()
        array.flags.writeable = False
    return array
