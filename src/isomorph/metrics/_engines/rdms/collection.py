"""RDMs of several subjects, sessions, regions or models over the same items: a side of a comparison, and its files."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...._core.checks import as_ids
from ...._core.files import as_path, regular
from ...._core.memory import require
from ...._core.rdm import WHERE_RDMS_GO, Rdm
from ....errors import InputError, UnknownNameError, quoted
from .files import read_hdf5, write_hdf5
from .matlab import read_matlab
from .patterns import MEASURES, pattern_rdms, time_bins
from .pooling import mean_rdm
from .squares import condensed_stack, require_positive
from .tables import read_table
from .vectors import n_items, permuted_index, square

Floats = np.ndarray[Any, np.dtype[np.float64]]

_POSITIONS = "index"  # a descriptor that rsatoolbox writes by itself: places, no names
_CROSSED = frozenset({"crossnobis", "poisson_cv"})  # measures of rsatoolbox that chance makes negative
_READ = (".npy", ".csv", ".mat", ".h5", ".hdf5")


@dataclasses.dataclass(frozen=True, eq=False)
class RDMs:
    """RDMs over the same items: of subjects, sessions, regions or models.

    A side of `scan` and `atlas`: each RDM is a layer, joined with the other side by the names of the items, and read by
    what compares RDMs (``"rsa"``). Entries may be NaN: such pairs of items are left out of each comparison and counted.

    Attributes:
        dissimilarities: Condensed RDMs (n_rdms, n (n - 1) / 2), in the order of SciPy and rsatoolbox.
        measure: Name of the dissimilarity, as rsatoolbox spells it, or None.
        items: Descriptors of the items: name -> n values; one without repeats names them.
        rdms: Descriptors of the RDMs, such as ``subject`` and ``session``: name -> n_rdms values.
        descriptors: Descriptors of the whole: name -> value.

    Raises:
        InputError: if a descriptor has the wrong number of values.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> square = np.array([[0, 1, 4], [1, 0, 9], [4, 9, 0.0]])
        >>> rdms = iso.RDMs.from_arrays([square, 2 * square], ids=["cat", "dog", "cow"], subjects=["s1", "s2"])
        >>> rdms.names, rdms.ids, rdms["s2"].square[0].tolist()
        (('s1', 's2'), ('cat', 'dog', 'cow'), [0.0, 2.0, 8.0])
        >>> rdms.subset(["cow", "cat"]).dissimilarities.tolist()
        [[4.0], [8.0]]
    """

    dissimilarities: Floats
    measure: str | None = None
    items: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    rdms: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    descriptors: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        stack = np.atleast_2d(np.asarray(self.dissimilarities, dtype=np.float64))
        object.__setattr__(self, "dissimilarities", stack)
        sizes = (("items", self.items, n_items(stack.shape[1], "dissimilarities")), ("rdms", self.rdms, len(stack)))
        for what, table, size in sizes:
            for name, values in table.items():
                if len(values) != size:
                    raise InputError(f"The descriptor {name!r} of {what} has {len(values)} values; {size} are needed.")

    @classmethod
    def from_arrays(
        cls,
        values: Any,
        ids: Sequence[str] | None = None,
        *,
        subjects: Sequence[Any] | None = None,
        sessions: Sequence[Any] | None = None,
        measure: str | None = None,
        negative: bool = False,
    ) -> RDMs:
        """RDMs from dissimilarities at hand, checked.

        Args:
            values: A square RDM (n, n), several (n_rdms, n, n), a condensed one, or several as rows.
            ids: One unique name an item, by which sides are joined. Without, rows are joined as they stand.
            subjects: Whose each RDM is; several of one subject are its repeats.
            sessions: When each was measured.
            measure: Name of the dissimilarity, such as ``"correlation"`` or ``"crossnobis"``.
            negative: Whether entries may be below 0, as those of cross-validated distances are by chance.

        Raises:
            InputError: if they are not square and symmetric with a zero diagonal, nor condensed, entries are infinite
                or negative, or there is not one name an item or one subject and session an RDM.
        """
        stack = condensed_stack(values, "values")
        if not negative and measure not in _CROSSED:
            require_positive(stack, "values")
        items = {} if ids is None else {"id": as_ids(ids, "RDMs")}
        given = {"subject": subjects, "session": sessions}
        return cls(stack, measure, items, {k: list(v) for k, v in given.items() if v is not None})

    @classmethod
    def from_patterns(
        cls,
        patterns: Any,
        *,
        conditions: Any = None,
        runs: Any = None,
        noise: Any = None,
        distance: str = "correlation",
        subjects: Sequence[Any] | None = None,
    ) -> RDMs:
        """RDMs from measured responses, such as voxels, sensors or neurons.

        Repeats of a condition are averaged. ``"squared_euclidean"``, ``"mahalanobis"`` and ``"crossnobis"`` are squared
        and per channel, as those of rsatoolbox's ``calc_rdm`` (where the first is called ``euclidean``);
        ``"euclidean"`` is the root of the first; ``"correlation"`` and ``"cosine"`` lie in [0, 2]. A crossnobis
        distance is unbiased: of conditions that are the same it is 0 but for chance, which makes some negative
        (Walther et al. 2016); its runs must be independent. Costs O(n² d) and d² numbers where noise is given.

        Args:
            patterns: Responses (n_measurements, channels), or a list of them, one a subject, whose channels may differ
                in number.
            conditions: What was shown in each measurement, the same for all subjects or a list, one a subject; it names
                the items. Without it each row is an item.
            runs: The run of each measurement, as `conditions`: only ``"crossnobis"`` reads it. Each condition is needed
                in each run; unequal numbers of repeats count as rsatoolbox counts them.
            noise: The inverse noise covariance (channels, channels), see `isomorph.metrics.rdm.noise_precision`;
                ``"measurements"`` (from the scatter of repeats about their condition, shrunk towards the diagonal); a
                list of these, one a subject; or None for equal noise without correlation.
            distance: The dissimilarity.
            subjects: Whose each array is.

        Raises:
            InputError: if arrays and labels do not fit each other, subjects have other conditions, there are fewer than
                3, a condition lacks a run, or the noise is no precision of the channels.

        Example:
            >>> import numpy as np
            >>> import isomorph as iso
            >>> rng = np.random.default_rng(0)
            >>> shown, run = np.tile(["cat", "cow", "dog"], 4), np.repeat([1, 2, 3, 4], 3)
            >>> voxels = (shown == "cow")[:, None] * rng.normal(size=50) + rng.normal(size=(12, 50))
            >>> crossed = iso.RDMs.from_patterns(voxels, conditions=shown, runs=run, distance="crossnobis")
            >>> crossed.ids, crossed.dissimilarities.round(1).tolist()
            (('cat', 'cow', 'dog'), [[0.9, 0.1, 0.7]])
        """
        ids, stack = pattern_rdms(patterns, conditions, runs, noise, distance)
        if subjects is not None and not isinstance(subjects, list | tuple | np.ndarray):
            raise InputError(f"subjects={quoted(subjects)}: a list with one for each array of patterns is needed.")
        told = {} if subjects is None else {"subject": list(subjects)}
        items = {} if ids is None else {"id": list(ids)}
        return cls(stack, MEASURES.get(distance, distance), items, told)

    @classmethod
    def movie(
        cls,
        responses: Any,
        *,
        times: Any = None,
        bins: Any = None,
        conditions: Any = None,
        runs: Any = None,
        noise: Any = None,
        distance: str = "correlation",
    ) -> RDMs:
        """One RDM a time bin of responses over time, such as those of EEG, MEG or neurons.

        Each RDM has a descriptor ``time``, so that it is a layer of its own in `scan`, called by it. They are held
        together, n (n - 1) / 2 numbers a bin; the responses of one bin are read at a time.

        Args:
            responses: Responses (n_measurements, channels, times).
            times: The time of each point, in any unit; 0, 1, … if None.
            bins: None for every point by itself; a number of neighboring points that are averaged (what is left at the
                end is not read); or the times in each bin, a list of lists.
            conditions: As for `from_patterns`.
            runs: As for `from_patterns`.
            noise: As for `from_patterns`, the same for all bins.
            distance: As for `from_patterns`.

        Raises:
            InputError: as `from_patterns`, if the responses have no three axes, a bin holds no point, or the RDMs do
                not fit the memory.

        Example:
            >>> import numpy as np
            >>> import isomorph as iso
            >>> sensors = np.random.default_rng(0).normal(size=(10, 32, 60))
            >>> movie = iso.RDMs.movie(sensors, times=np.arange(60) * 5.0 - 100, bins=20, distance="euclidean")
            >>> movie.names, movie.n
            (('time -52.5', 'time 47.5', 'time 147.5'), 10)
        """
        array, places, when = time_bins(responses, times, bins)
        entries = len(array) * (len(array) - 1) // 2
        require(
            2 * 8 * entries * len(when),
            f"A movie of {len(when):,} RDMs of {len(array):,} measurements",
            "Average more time points with bins=, or give one bin after the other.",
        )
        how: dict[str, Any] = {"conditions": conditions, "runs": runs, "noise": noise, "distance": distance}
        frames = [cls.from_patterns(array[:, :, place].mean(axis=2), **how) for place in places]
        stack = np.concatenate([f.dissimilarities for f in frames])
        return dataclasses.replace(frames[0], dissimilarities=stack, rdms={"time": when.tolist()})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        ids: Sequence[str] | str | None = None,
        *,
        subjects: Sequence[Any] | None = None,
        sessions: Sequence[Any] | None = None,
        variable: str | None = None,
        negative: bool = False,
    ) -> RDMs:
        """Read RDMs from a file; nothing is unpickled.

        Args:
            path: ``.npy`` (square, stacked or condensed), ``.csv`` (square, with names in the first row and column or
                without), ``.mat`` (MATLAB 5 and 7.3: matrices, or structs with a field RDM), or ``.h5`` and ``.hdf5``
                (rsatoolbox).
            ids: One unique name an item, or the descriptor of rsatoolbox's file that holds them; by default those that
                the file has.
            subjects: Whose each RDM is, if the file does not say.
            sessions: When each was measured, if the file does not say.
            variable: Which variable of a ``.mat`` file, if several may be RDMs.
            negative: As for `from_arrays`.

        Raises:
            InputError: if the file cannot be read or holds no RDMs, or as `from_arrays`.
            MissingExtraError: if it is HDF5 and h5py is not installed.
        """
        path = regular(as_path(path), "RDMs from")
        held = _read(path, variable)
        name = path.name
        stack = np.concatenate([condensed_stack(v, name) for v in held["dissimilarities"]])
        if not negative and held.get("measure") not in _CROSSED:
            require_positive(stack, name)
        found = cls(**held | {"dissimilarities": stack})
        told = {"subject": subjects, "session": sessions}
        rdms = dict(found.rdms) | {k: list(v) for k, v in told.items() if v is not None}
        items = found.items if ids is None else {"id": _chosen(found, ids, name)}
        return dataclasses.replace(found, items=items, rdms=rdms)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write an HDF5 file that ``rsatoolbox.rdm.load_rdm`` and `load` read.

        Args:
            path: The file (``.h5`` or ``.hdf5``).
            overwrite: Whether an existing file is replaced.

        Returns:
            The path.

        Raises:
            InputError: if the file exists and is not to be replaced, or cannot be written.
            MissingExtraError: if h5py is not installed.
        """
        path = Path(path)
        write_hdf5(path, {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}, overwrite=overwrite)
        return path

    @property
    def n(self) -> int:
        """Number of items."""
        return n_items(self.dissimilarities.shape[1])

    @cached_property
    def ids(self) -> tuple[str, ...] | None:
        """Names of the items: the descriptor without repeats, ``id`` if there are several; None if there is none.

        Raises:
            InputError: if several descriptors could be the names and none is called ``id``.
        """
        texts = {k: tuple(map(str, v)) for k, v in self.items.items() if k != _POSITIONS}
        naming = {k: v for k, v in texts.items() if len(set(v)) == self.n}
        if len(set(naming.values())) > 1 and "id" not in naming:
            raise InputError(
                f"The items of these RDMs have several descriptors that could be their names, "
                f"{', '.join(map(repr, naming))}; say which one when they are loaded: "
                f"iso.RDMs.load(path, ids={next(iter(naming))!r})."
            )
        return naming.get("id") or next(iter(naming.values()), None)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One name an RDM, from the descriptors in which they differ."""
        count = len(self.dissimilarities)
        first = {"subject": 0, "session": 1}
        keys = sorted((k for k in self.rdms if k != _POSITIONS), key=lambda k: first.get(k, 2))
        told = {k: [_text(k, v) for v in self.rdms[k]] for k in keys}
        varying = {k: v for k, v in told.items() if len(set(v)) > 1} or told
        labels = [", ".join(parts) for parts in zip(*varying.values(), strict=True)] if varying else []
        labels = labels or [f"rdm_{i:02d}" for i in range(count)]
        counts = Counter(labels)
        twice = {v for v in labels if counts[v] > 1}
        return tuple(f"{v} #{i}" if v in twice else v for i, v in enumerate(labels))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """RDMs are no features; their numbers are in `dissimilarities`.

        Raises:
            InputError: always.
        """
        raise InputError(f"RDMs are no features. {WHERE_RDMS_GO}")

    def __len__(self) -> int:
        return len(self.dissimilarities)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Rdm:
        """One RDM by its name.

        Raises:
            UnknownNameError: if there is none of this name.
            InputError: if it is no RDM, or the names of the items cannot be told.
        """
        names = self.names
        if name not in names:
            raise UnknownNameError("RDM", str(name), names)
        row = self.dissimilarities[names.index(name)]
        return Rdm(square(condensed_stack(row, f"The RDM {name!r}")[0], self.n), self.ids)

    def subset(self, ids: Iterable[str]) -> RDMs:
        """The RDMs of these items, in this order.

        Args:
            ids: Names of the items.

        Raises:
            InputError: if the items have no names, fewer than two are asked for, or one twice.
            UnknownNameError: if an item is not there.
        """
        wanted, known = as_ids(ids, "subset"), self.ids
        if known is None:
            raise InputError("The items of these RDMs have no names; give ids= to RDMs.load or RDMs.from_arrays.")
        where = {v: i for i, v in enumerate(known)}
        for v in wanted:
            if v not in where:
                raise UnknownNameError("item", v, known)
        if len(wanted) < 2:
            raise InputError(f"subset: {len(wanted)} items have no dissimilarity; at least 2 are needed.")
        rows = np.array([where[v] for v in wanted])
        items = {k: [v[i] for i in rows] for k, v in self.items.items()}
        return dataclasses.replace(
            self, dissimilarities=self.dissimilarities[:, permuted_index(rows, self.n)], items=items
        )

    def average_by(self, descriptor: str | None = None) -> RDMs:
        """The mean RDM of each subject, session or region; of missing entries, the mean of those that are known.

        Args:
            descriptor: Which descriptor says what belongs together, such as ``"subject"``; None takes the mean of all.

        Returns:
            One RDM a value of the descriptor, with the descriptors that do not differ within one.

        Raises:
            UnknownNameError: if there is no such descriptor.

        Example:
            >>> three = [[1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7, 8], [0, 0, 1, 1, 0, 1]]
            >>> rdms = iso.RDMs.from_arrays(np.array(three), subjects=["s1", "s1", "s2"])
            >>> mean = rdms.average_by("subject")
            >>> mean.names, mean.dissimilarities[0].tolist()
            (('s1', 's2'), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
        """
        if descriptor is not None and descriptor not in self.rdms:
            raise UnknownNameError("descriptor of the RDMs", str(descriptor), self.rdms)
        values = [None if descriptor is None else str(v) for v in self.rdms.get(descriptor or "", [""] * len(self))]
        parts = [[i for i, v in enumerate(values) if v == value] for value in dict.fromkeys(values)]
        told = {
            k: [v[rows[0]] for rows in parts]
            for k, v in self.rdms.items()
            if all(len({str(v[i]) for i in rows}) == 1 for rows in parts)
        }
        means = np.stack([mean_rdm(self.dissimilarities[rows]) for rows in parts])
        return dataclasses.replace(self, dissimilarities=means, rdms=told)

    def __repr__(self) -> str:
        names = self.names
        shown = ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"
        lost = int(np.isnan(self.dissimilarities).sum())
        return f"RDMs({len(names)} ({shown}) × {self.n} items{f', {lost} dissimilarities missing' if lost else ''})"


def only_rdm(rdms: RDMs, name: str) -> Rdm:
    """The RDM of a side that is one.

    Raises:
        InputError: if it is several.
    """
    if len(rdms) != 1:
        raise InputError(
            f"{name} holds {len(rdms)} RDMs and one is needed, such as {name}[{rdms.names[0]!r}]; iso.scan and "
            "isomorph.metrics.rdm.compare_rdms take several."
        )
    return rdms[rdms.names[0]]


def read_rdms(path: str | os.PathLike[str]) -> RDMs:
    """Read an RDM file that rsatoolbox or `write_rdms` saved as HDF5, as it is; `RDMs.load` also checks it.

    Args:
        path: The file (``.h5`` or ``.hdf5``). Pickled files are refused: opening one runs what it holds.

    Raises:
        InputError: if the file is missing, is no HDF5, or holds no RDMs.
        MissingExtraError: if h5py is not installed.
    """
    return RDMs(**read_hdf5(Path(path)))


def write_rdms(path: str | os.PathLike[str], rdms: RDMs, *, overwrite: bool = False) -> None:
    """Write an RDM file that ``rsatoolbox.rdm.load_rdm`` reads: `RDMs.save`.

    Args:
        path: The file; rsatoolbox knows ``.h5`` and ``.hdf5``.
        rdms: What to write.
        overwrite: Whether an existing file is replaced.

    Raises:
        InputError: if the file exists and is not to be replaced, or cannot be written.
        MissingExtraError: if h5py is not installed.
    """
    rdms.save(path, overwrite=overwrite)


def _read(path: Path, variable: str | None) -> dict[str, Any]:
    """The fields of `RDMs` that a file has; its dissimilarities may be square.

    Raises:
        InputError: if it cannot be read.
    """
    suffix = path.suffix.lower()
    if variable is not None and suffix != ".mat":
        raise InputError(f"variable={variable!r} names a variable of a .mat file; {path.name} is none.")
    if suffix in (".h5", ".hdf5", ".pkl", ".pickle"):
        return read_hdf5(path)
    if suffix == ".mat":
        found = read_matlab(path, variable)
        items = {} if found.ids is None else {"id": found.ids}
        return {"dissimilarities": found.values, "items": items, "rdms": _told(found.names)}
    if suffix == ".csv":
        values, ids = read_table(path)
        return {"dissimilarities": values[None], "items": {} if ids is None else {"id": as_ids(ids, path.name)}}
    if suffix != ".npy":
        raise InputError(f"{path.name}: RDMs are read from {', '.join(_READ)}, not from {suffix or 'no suffix'!r}.")
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy parses the head of the file as Python's literals, and trips over all sorts
        raise InputError(f"{path} cannot be read as an array of NumPy: {error}.") from error
    return {"dissimilarities": condensed_stack(array, path.name)}


def _told(names: Sequence[str] | None) -> dict[str, list[str]]:
    """Descriptors from names of RDMs; the RSA toolbox writes region, subject and session as ``hIT | s1 | run 2``."""
    parts = [tuple(part.strip() for part in name.split("|")) for name in names or ()]
    if parts and all(len(p) == 3 and all(p) for p in parts):
        return {
            key: list(values)
            for key, values in zip(("region", "subject", "session"), zip(*parts, strict=True), strict=True)
        }
    return {} if names is None else {"name": list(names)}


def _chosen(rdms: RDMs, ids: Sequence[str] | str, name: str) -> tuple[str, ...]:
    """Names of the items, given or by the descriptor that holds them.

    Raises:
        UnknownNameError: if there is no such descriptor.
    """
    if not isinstance(ids, str):
        return as_ids(ids, name)
    if ids not in rdms.items:
        raise UnknownNameError(f"descriptor of the items of {name}", ids, rdms.items)
    return as_ids([str(v) for v in rdms.items[ids]], f"The descriptor {quoted(ids)} of {name}")


def _text(descriptor: str, value: Any) -> str:
    text = str(value)
    return f"{descriptor} {text}" if not isinstance(value, str) or text.replace(".", "", 1).isdigit() else text
