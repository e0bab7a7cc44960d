"""The features of every layer of one encoder on the same items."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from .._core.arrays import Array, as_features, detached, take_rows, to_numpy
from .._core.checks import as_count, as_ids, check_name
from .._core.featurefiles import read_features
from .._core.files import as_path
from .._core.frames import Labeled, common_rows, unlabeled
from ..design import Labels
from ..design import named as numbered
from ..errors import InputError, UnknownNameError, quoted
from ._exchange import save

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

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x = iso.Layers.from_arrays({"last": np.eye(3)}, ids=["cat", "dog", "cow"])
        >>> y = iso.Layers.from_arrays({"last": np.eye(3)}, ids=["cow", "cat", "ant"])
        >>> a, b = x.join(y)  # the items of both, in one order
        >>> a.ids, b.ids, a["last"].shape
        (('cat', 'cow'), ('cat', 'cow'), (2, 3))
        >>> x.save("x.npz").name, list(iso.Layers.load("x.npz"))
        ('x.npz', ['last'])
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
            InputError: if an id is there twice, or no text that files can hold.
        """
        self._sources, self._rows = dict(sources), rows
        self.encoder, self.view, self.modality, self.n_parameters = encoder, view, modality, n_parameters
        self.ids = as_ids(ids, self._label)
        self.provenance: dict[str, Any] = dict(provenance or {})
        self.ids_given = ids_given

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
                any array library; or one array ``(layers, n, d)``, with ids ``(n, layers, d)`` too.
            ids: One unique id a row. Without, the row numbers stand in for them.
            encoder: What the features are called in results.
            view: Name of the view that they are of.
            modality: ``"text"``, ``"image"``, ``"audio"`` or ``"features"``.
            n_parameters: Parameters of the network they come from.
            provenance: How they came about.

        Raises:
            InputError: if there are none, one is not 2-D, real and finite, their lengths differ, or ids repeat.
        """
        arrays = _by_name(arrays, ids, encoder)
        if not arrays:
            raise InputError(f"{encoder}: there are no layers; give at least one array of shape (n_items, n_features).")
        for value, name in ((encoder, "encoder"), (view, "view"), (modality, "modality")):
            check_name(value, name)
        if n_parameters is not None:
            as_count(n_parameters, "n_parameters", 0, most=1 << 62)
        if provenance is not None and not isinstance(provenance, Mapping):
            raise InputError(f"provenance must be a mapping from names to values, found {quoted(provenance)}.")
        named = {str(k): unlabeled(v, f"{encoder}[{quoted(str(k))}]") for k, v in arrays.items()}
        if len(named) < len(arrays):
            raise InputError(f"{encoder}: two layers have the same name; names are texts, so 1 and '1' are one.")
        checked = {k: _read_only(detached(as_features(v.values, f"{encoder}[{quoted(k)}]"))) for k, v in named.items()}
        if ids is None:
            ids, given = index_of(named, encoder)
        else:
            ids, given = as_ids(ids, encoder), True
            _require_index(named, ids, encoder)
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
            as_ids(range(n), encoder) if ids is None else ids,
            encoder=encoder,
            view=view,
            modality=modality,
            n_parameters=n_parameters,
            provenance=provenance,
            ids_given=given,
        )

    @classmethod
    def load(cls, path: str | Path, ids: Sequence[str] | str | Path | None = None) -> Layers:
        r"""Layers from a file or folder of features, whoever wrote it; nothing is unpickled.

        Args:
            path: One of these. Arrays (n, layers, d) are parted into layers named ``layer.0``, ``layer.1``, …

                - ``.npy``: one layer under the file's name; ``.npz``, ``.safetensors``: every array is a layer.
                - ``.pt``: platonic-rep's dictionary with ``feats``, a tensor (n, layers, d) or a list of (n, d); or a
                  tensor, or tensors by layer.
                - ``.json``, ``.jsonl``: embeddings keyed by id, ``{id: {layer: vector}}``, or an object with an id and
                  a vector an item, as the batches of embedding services give.
                - ``.h5``, ``.hdf5``: every array is a layer; ``.h5ad``: AnnData's ``X``, ``layers`` and ``obsm``;
                  ``.nc``: NetCDF as xarray writes it; ``.mat``: MATLAB's matrices.
                - ``.parquet``, ``.csv``, ``.tsv``: vectors in a column, or a number a column; ``.vec``: word vectors.
                - a folder: thingsvision's output (with ``file_names.txt``, a folder a module), mteb's cache of
                  embeddings, or a file a layer with ``ids.txt``.
            ids: One id a row, or a file of them (``.txt``, ``.json``, ``.npy``), for what carries none. Only the rows
                of plain arrays (the first line, and platonic-rep's) may stand without.

        Raises:
            InputError: if it cannot be read, holds no features, or does not say which items they are of.
            MissingExtraError: if the package that reads it is not installed.

        Example:
            >>> from pathlib import Path
            >>> rows = '{"id": "cat", "embedding": [1, 0]}\n{"id": "cow", "embedding": [0, 1]}'
            >>> _ = Path("e.jsonl").write_text(rows)
            >>> x = iso.Layers.load("e.jsonl")
            >>> x.ids, x["embedding"].tolist()
            (('cat', 'cow'), [[1.0, 0.0], [0.0, 1.0]])
        """
        arrays, found, facts = read_features(as_path(path), ids)
        return cls.from_arrays(arrays, found, **facts)

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
        return save(self, self.ids, facts | ({"ids": self.ids} if self.ids_given else {}), as_path(path))

    def __getitem__(self, layer: str) -> Array:
        if layer not in self._sources:
            raise UnknownNameError(f"layer of {self._label}", str(layer), self._sources)
        source = self._sources[layer]
        array = source() if callable(source) else source
        return array if self._rows is None else _read_only(_pick(array, self._rows))

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def _ipython_key_completions_(self) -> list[str]:
        """What a notebook offers inside ``layers["``."""
        return [*self._sources]

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
        wanted = as_ids(ids, self._label)
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
        rows = common_rows(self.ids, other.ids, (self._label, other._label), (self.ids_given, other.ids_given))
        if rows is None:
            return self, other
        common = [self.ids[i] for i in rows[0]]
        return self.subset(common), other.subset(common)

    @property
    def loaded(self) -> dict[str, Array]:
        """The layers that are in memory: those of a store are read when they are used."""
        return {k: self[k] for k, source in self._sources.items() if not callable(source)}

    def changed(self, change: Callable[[Array], Array]) -> Layers:
        """The same layers, each changed by a function of its features when it is used.

        Args:
            change: Features in, features of the same items out.
        """
        sources = {k: functools.partial(_change, source, change) for k, source in self._sources.items()}
        return Layers(
            sources,
            self.ids,
            encoder=self.encoder,
            view=self.view,
            modality=self.modality,
            n_parameters=self.n_parameters,
            provenance=self.provenance,
            rows=self._rows,
            ids_given=self.ids_given,
        )

    def average_by(self, groups: Labels | Mapping[str, Any]) -> Layers:
        """The mean features of each group, such as of several captions of a picture or several pictures of a concept.

        Averaging exemplars takes away what is particular to each and raises alignment: compare with as many single
        exemplars, one a group. Both sides averaged by the same groups are joined by the groups' names.

        Args:
            groups: One group an item, in the order of the rows, or a mapping from id to group (items without one are
                left out).

        Returns:
            Layers whose ids are the groups, in the order in which they first occur; features are averaged when a layer
            is used. Their provenance says what was averaged.

        Raises:
            InputError: if they are no groups, not one an item, or none of the items has one.

        Example:
            >>> x = Layers.from_arrays({"last": np.array([[1.0], [3.0], [5.0]])}, ids=["cat 1", "cat 2", "cow 1"])
            >>> y = x.average_by(["cat", "cat", "cow"])
            >>> y.ids, y["last"].tolist()
            (('cat', 'cow'), [[2.0], [5.0]])
        """
        if isinstance(groups, Mapping):
            whole = self.subset([i for i in self.ids if i in groups])
            if not whole.n:
                raise InputError(f"{self._label}: average_by: none of the items has a group.")
            return whole.average_by([groups[i] for i in whole.ids])
        codes, names = numbered(groups, self.n, "groups", "seen", self.ids if self.ids_given else None)
        sizes = np.bincount(codes).tolist()
        which = hashlib.sha256(repr((self.ids, codes.tolist(), names)).encode("utf-8", "surrogatepass")).hexdigest()
        facts = {"groups": len(names), "items": self.n, "fewest": min(sizes), "most": max(sizes), "fingerprint": which}

        def mean(layer: str) -> Array:
            rows = np.asarray(to_numpy(self[layer]), dtype=np.float64)
            sums = np.zeros((len(names), rows.shape[1]))
            np.add.at(sums, codes, rows)
            return sums / np.array(sizes)[:, None]

        return Layers(
            {name: functools.partial(mean, name) for name in self},
            names,
            encoder=self.encoder,
            view=self.view,
            modality=self.modality,
            n_parameters=self.n_parameters,
            provenance={**self.provenance, "averaged": facts},
        )

    @property
    def _label(self) -> str:
        view = f" on {self.view!r}" if self.view else ""
        return f"{self.encoder or 'layers'}{view}"

    def __repr__(self) -> str:
        names = list(self._sources)
        shown = ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"
        return f"Layers({self._label}: {len(names)} layers ({shown}) × {self.n} items)"


def _by_name(arrays: Any, ids: Any, encoder: str) -> Mapping[str, Any]:
    """Features by layer, those of a sequence or an array of three axes by number.

    Raises:
        InputError: if they are neither.
    """
    if isinstance(arrays, Mapping):
        return arrays
    deep = getattr(arrays, "ndim", 0) == 3
    if not isinstance(arrays, (list, tuple)) and not deep:
        raise InputError(
            f"{encoder}: layers are given as a mapping from name to features or as a list of features, found "
            f"{type(arrays).__name__}."
        )
    if deep and hasattr(ids, "__len__") and arrays.shape[0] == len(ids) != arrays.shape[1]:
        arrays = [arrays[:, i] for i in range(arrays.shape[1])]
    return {f"layer.{i}": a for i, a in enumerate(arrays)}


def index_of(named: Mapping[str, Labeled], where: str) -> tuple[tuple[str, ...] | None, bool]:
    """Ids from the index of data frames, and whether the user set that index; None if no layer is a frame with ids.

    Raises:
        InputError: if two tables have other ids, or the same in another order.

    Example:
        >>> import pandas
        >>> from isomorph._core.frames import unlabeled
        >>> frame = pandas.DataFrame(np.eye(2), index=["cat", "dog"])
        >>> index_of({"last": unlabeled(frame, "x")}, "x")
        (('cat', 'dog'), True)
    """
    ids, given = None, False
    for name, found in named.items():
        if found.ids is None:
            continue
        if ids is not None and found.ids != ids:
            raise InputError(
                f"{where}: the index of layer {quoted(name)} differs from that of another layer; all layers are of the "
                "same items in the same order: sort them by one index first, for example with .loc."
            )
        ids, given = found.ids, found.given
    return ids, given


def _require_index(named: Mapping[str, Labeled], ids: tuple[str, ...], where: str) -> None:
    """Refuse tables whose own index says other items than the ids that were given.

    Raises:
        InputError: if there is one.
    """
    for name, found in named.items():
        if found.given and found.ids != ids:
            raise InputError(
                f"{where}: the index of layer {quoted(name)} differs from the ids given; leave out `ids`, or drop the "
                "index with .to_numpy()."
            )


def _change(source: Source, change: Callable[[Array], Array]) -> Array:
    return change(as_features(source() if callable(source) else source))


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
