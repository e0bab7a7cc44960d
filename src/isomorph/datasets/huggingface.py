"""Datasets of the Hugging Face hub, and those that the library `datasets` saved."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from .._core.checks import as_count
from .._core.files import as_path, beside, read_text
from .._core.hub import PATIENCE, hub_problem, one_line
from .._core.progress import silent
from .._core.registry import format_spec
from ..errors import FetchError, InputError, IsomorphError, MissingExtraError, UnknownNameError, quoted
from ._arrow import TableSource, columns_of
from ._base import Dataset, PairedItems
from ._records import Chosen, Place, paired, require, settle
from ._rows import undecoded

_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_LONGEST_ID = 96  # characters, as the hub allows
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SPLIT = re.compile(r"([\w.-]+)(\[[^\]+]*\])?")
_ROWS_A_BLOCK = 256  # of a stream, made a table together: Arrow's arrays of bytes end at 2 GB


@dataclasses.dataclass(frozen=True)
class HuggingFace(Dataset):
    """Paired items from a dataset of the Hugging Face hub, or one that was saved, through the library `datasets`.

    Read are a dataset of the hub by its id, a folder that ``save_to_disk`` wrote, and files or folders that
    ``datasets.load_dataset`` reads (Parquet, JSON lines, CSV, pictures in folders, …). Views are called as their
    columns; those of pictures, recordings and films are decoded by Isomorph when they are asked for. Columns of class
    labels are labels by the names of the classes; of a column of structures (``{"de": …, "en": …}``) every field is a
    column, ``translation.de``; of lists of texts, such as five captions of a picture, every text is an item ``id#0``,
    ``id#1``, … and those of a row are one group.

    No code of the hub is run and nothing is unpickled. The state of a branch is that of its commit now, which the
    items' `source` names, so that it makes the same items again.

    Attributes:
        path: Id on the hub (``org/name``), or a folder or file.
        revision: Commit, tag or branch on the hub; the main branch by default.
        split: The split, such as ``train``, or rows of it, such as ``train[:1000]`` or ``test[10%:20%]``; by default
            the only one. Where no column is that of ids, ids are the numbers of the rows in the whole split.
        config: Which of several configurations (subsets) of the dataset.
        id: Column of unique ids, if there is such a column; None takes the row numbers.
        text: Column or columns of texts or lists of texts.
        image: Column or columns of pictures.
        audio: Column or columns of recordings.
        video: Column or columns of films.
        label: Column or columns of labels; by default those of class labels, and ``label``.
        group: Column of groups: rows of one group are never permuted or split apart; ``group`` if there is one.
        covariate: Column or columns of covariates.
        streaming: Take so many rows of a stream, the first ones, which are held in memory; the rest is not downloaded.
        captions_each: Take so many texts of a list at most, the first ones; with 1, ids stay as they are.
        skip_bad: Leave items with an empty text or an unreadable file out of every view, and name them in the result's
            `skipped`, instead of raising. Every file is decoded once for this.

    Example:
        >>> import datasets
        >>> import isomorph as iso
        >>> datasets.disable_progress_bars()
        >>> features = datasets.Features(text=datasets.Value("string"), kind=datasets.ClassLabel(names=["pet", "farm"]))
        >>> rows = {"text": ["a cat", "a dog", "a cow"], "kind": [0, 0, 1]}
        >>> datasets.Dataset.from_dict(rows, features).save_to_disk("animals")
        >>> items = iso.load_dataset("huggingface('animals')")
        >>> items.ids, items.labels
        (('0', '1', '2'), {'kind': ('pet', 'pet', 'farm')})
        >>> iso.load_dataset("huggingface('animals', split='train[1:]')").ids
        ('1', '2')
    """

    name: ClassVar[str] = "huggingface"
    reference: ClassVar[str] = "Datasets of the Hugging Face hub (huggingface.co/datasets), each with its own terms."

    path: str
    revision: str | None = None
    split: str | None = None
    config: str | None = None
    id: str | None = "id"
    text: Sequence[str] | None = None
    image: Sequence[str] | None = None
    audio: Sequence[str] | None = None
    video: Sequence[str] | None = None
    label: Sequence[str] | None = None
    group: str | None = None
    covariate: Sequence[str] | None = None
    streaming: int | None = None
    captions_each: int | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        settle(self, self.name)
        object.__setattr__(self, "path", str(as_path(self.path, f"{self.name}: path")))
        for field in ("revision", "split", "config"):
            value = getattr(self, field)
            if value is not None and (not isinstance(value, str) or not value):
                raise InputError(f"{self.name}: {field} must be a text, found {quoted(value)}.")
        if isinstance(self.streaming, bool):
            raise InputError(
                f"{self.name}: streaming={self.streaming}: say how many rows are taken of the stream, such as "
                "streaming=1000; leave it out to read all."
            )
        if self.streaming is not None:
            as_count(self.streaming, f"{self.name}: streaming")
        if self.split is not None and not _SPLIT.fullmatch(self.split):
            raise InputError(
                f"{self.name}: split={quoted(self.split)}: name one split, such as 'train', or rows of it, such as "
                "'train[:1000]'. Rows of several splits would share their numbers."
            )

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        import pyarrow

        import datasets

        kinds = datasets.ClassLabel(names=["a", "b", "c"])
        features = datasets.Features(
            {"id": datasets.Value("string"), "photo": datasets.Image(), "text": datasets.Value("string"), "kind": kinds}
        )
        ids = [f"item-{7919 * i % 10007}" for i in range(n)]
        columns = {
            "id": ids,
            "photo": [{"bytes": b"P6 1 1 255 " + bytes([i % 256, 1, 2]), "path": None} for i in range(n)],
            "text": [f"text of {id_}" for id_ in ids],
            "kind": [i // 2 % 3 for i in range(n)],
        }
        return cls(saved(pyarrow.Table.from_pydict(columns, schema=features.arrow_schema), folder / f"saved-{n}"))

    def skipping_bad(self) -> HuggingFace:
        return dataclasses.replace(self, skip_bad=True)

    def load(self) -> PairedItems:
        """Read the dataset; pictures, recordings and films are decoded when they are asked for.

        Raises:
            InputError: if it cannot be read, a column or split is missing, or an item has no text, file or label.
            UnknownNameError: if there is no column or split of the given name.
            FetchError: if the hub cannot be reached and the cache does not have the dataset, or there is none.
            MissingExtraError: if `datasets` is not installed.
        """
        try:
            import datasets
        except ImportError as error:
            raise MissingExtraError("Reading Hugging Face datasets", "datasets", "hub") from error
        path = Path(self.path).expanduser()
        there = os.path.lexists(path)
        with _reading(self.path), _quiet(datasets):
            splits, commit = self._on_disk(datasets, path) if there else self._on_hub(datasets)
            split, table, rows = self._rows(datasets, splits)
            where, features = f"{self.path}, split {split}", splits[split].features
            columns = columns_of(TableSource(table, features.to_dict() if features else {}, where), None)
        chosen = Chosen(
            self._id(columns, where),
            {"text": self.text, "image": self.image, "audio": self.audio, "video": self.video},
            self.label,
            self.group,
            self.covariate or (),
            self.captions_each,
            self.skip_bad,
        )
        name = path.resolve().name if there else self.path.rpartition("/")[2]
        return paired(columns, chosen, Place(where, name, self._source(commit), None, [str(i) for i in rows]))

    def _id(self, columns: Mapping[str, Any], where: str) -> str | None:
        """The column of ids; the default name is only taken where there is such a column.

        Raises:
            UnknownNameError: if there is no column of another name.
        """
        if self.id not in (None, "id"):
            require(str(self.id), columns, where, "id=None takes row numbers.")
        return self.id if self.id in columns else None

    # ---- opening

    def _on_disk(self, datasets: Any, path: Path) -> tuple[dict[str, Any], None]:
        """The splits of a saved dataset, or of a file or folder that the library reads.

        Raises:
            InputError: if it is an archive or a script.
        """
        if self.revision is not None:
            raise InputError(f"{self.path} is on this disk, where there are no revisions; leave revision= out.")
        if path.is_file():
            if path.suffix.lower() in (".zip", ".gz", ".tgz", ".7z", ".py", ".pkl", ".pickle"):
                raise InputError(
                    f"{path} ends in {path.suffix}; a folder that save_to_disk wrote, or a file of Parquet, Arrow, "
                    "JSON lines or CSV is read. Unpack an archive first; programs and pickles are never opened."
                )
            return self._built(datasets, str(path.parent), data_files=[path.name])[0], None
        if is_saved(path):
            saved = datasets.load_from_disk(str(path))
            return (dict(saved) if isinstance(saved, dict) else {str(saved.split or "train"): saved}), None
        return self._built(datasets, str(path))[0], None

    def _on_hub(self, datasets: Any) -> tuple[dict[str, Any], str]:
        """The splits of a dataset of the hub, and its commit.

        Raises:
            InputError: if the path cannot be the name of one.
            FetchError: if the hub cannot be reached and the cache does not have this commit.
        """
        own = Path(self.path).expanduser()
        if not is_hub_id(self.path) or own.is_absolute():
            raise InputError(f"huggingface: there is nothing at {self.path}.{beside(own, folders=True)}")
        problem = hub_problem()
        commit = _commit(self.path, self.revision, online=problem is None)
        if problem is not None and commit is None:
            raise self._away(problem)
        with _offline(datasets, problem is not None):
            try:
                splits, found = self._built(datasets, self.path, revision=commit)
            except (ConnectionError, FileNotFoundError) as error:
                if problem is not None:
                    raise self._away(problem) from error
                raise FetchError(f"The dataset {self.path} cannot be had from the hub: {one_line(error)}") from error
        if found != commit:  # without the hub, the library takes whatever commit its cache has
            raise self._away(f"{problem or 'an error'}; the cache has the commit {found}, not {commit}")
        return splits, commit

    def _away(self, problem: str) -> FetchError:
        """What to do where the hub cannot be reached."""
        said = "" if self.revision is None else f", revision={self.revision!r}"
        own = Path(self.path).expanduser()
        near = beside(own, folders=True) if own.parent.is_dir() and own.parent != Path() else ""
        return FetchError(
            f"There is no folder {self.path}, the dataset {self.path} is not in the cache, and the hub cannot be "
            f"reached ({problem.rstrip('.')}).{near} Where there is a connection: "
            f"datasets.load_dataset({self.path!r}{said}).save_to_disk('copy'); copy that folder here, and open it with "
            "load_dataset(\"huggingface('copy')\")."
        )

    def _built(self, datasets: Any, path: str, **options: Any) -> tuple[dict[str, Any], str]:
        """The splits that the library makes of a path, streams if asked for, and the commit that they are of."""
        builder = datasets.load_dataset_builder(path, self.config, **options)
        if self.streaming is not None:
            return dict(builder.as_streaming_dataset()), str(builder.hash)
        builder.download_and_prepare()
        return dict(builder.as_dataset()), str(builder.hash)

    # ---- rows

    def _rows(self, datasets: Any, splits: Mapping[str, Any]) -> tuple[str, Any, range]:
        """The split, its rows as an Arrow table, and their numbers.

        Raises:
            UnknownNameError: if there is no such split.
            InputError: if there are several and none was named, or there are no such rows.
        """
        names = list(splits)
        if self.split is None and len(names) > 1:
            raise InputError(f"{self.path} has the splits {', '.join(names)}; name one, such as split={names[0]!r}.")
        matched = _SPLIT.fullmatch(self.split or names[0])
        split, part = matched.groups() if matched else (names[0], None)
        if split not in splits:
            raise UnknownNameError(f"split of {self.path}", split, names)
        rows = splits[split]
        if self.streaming is not None:
            if part:
                raise InputError(f"huggingface: a stream begins with its first row; split={split!r} without {part}.")
            table = _streamed(rows, self.streaming)
            if not table.num_rows:
                raise InputError(f"{self.path}: the split {split} has no rows.")
            if table.num_rows < self.streaming:
                raise InputError(
                    f"{self.path}: the split {split} has {table.num_rows:,} rows, and streaming={self.streaming} asks "
                    f"for more; say streaming={table.num_rows}, or leave it out."
                )
            return split, table, range(table.num_rows)
        n, chosen = len(rows), range(len(rows))
        if part:
            asked = datasets.ReadInstruction.from_spec(f"{split}{part}").to_absolute({split: n})[0]
            chosen = chosen[asked.from_ : asked.to]
        if not chosen:
            raise InputError(f"{self.path}: split={self.split or split!r} holds none of the {n:,} rows of {split}.")
        return split, rows.select(chosen).with_format("arrow")[:], chosen

    def _source(self, commit: str | None) -> str:
        """The spec that makes the same items again, with the commit in place of a branch."""
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}
        return format_spec(self.name, given if commit is None else given | {"revision": commit})


def saved(table: Any, path: Path) -> str:
    """Save an Arrow table as the library saves a dataset, if that was not done before; the path."""
    import datasets

    if not path.exists():
        with _quiet(datasets):
            datasets.Dataset(table).save_to_disk(str(path))
    return str(path)


def is_hub_id(text: str) -> bool:
    """Whether a text can be the name of a dataset on the hub."""
    return len(text) <= _LONGEST_ID and _ID.fullmatch(text) is not None


def is_saved(path: Path) -> bool:
    """Whether a folder is one that ``save_to_disk`` of the library `datasets` wrote."""
    there = (path / "dataset_dict.json", path / "state.json")
    return any(map(os.path.isfile, there))  # Path.is_file raises for a name that is too long


def _commit(id: str, revision: str | None, *, online: bool) -> str | None:
    """The commit that a revision of a dataset means: now, or without the hub when it was last asked.

    Raises:
        FetchError: if there is no such dataset or revision.
    """
    import huggingface_hub as hub
    from huggingface_hub.errors import EntryNotFoundError

    if not online:
        if revision is not None and _COMMIT.fullmatch(revision):
            return revision
        known = Path(hub.constants.HF_HUB_CACHE, f"datasets--{id.replace('/', '--')}", "refs", revision or "main")
        return read_text(known).strip() if known.is_file() else None
    try:
        with contextlib.suppress(EntryNotFoundError):  # downloading leaves in the cache what the revision means
            return _downloaded(id, revision)
        return hub.HfApi().dataset_info(id, revision=revision, timeout=10).sha
    except (OSError, ValueError) as error:
        raise FetchError(
            f"There is no folder {id}, and the dataset {id} cannot be had from the hub: {one_line(error)} Check the "
            "name and the revision."
        ) from error


def _downloaded(id: str, revision: str | None) -> str:
    """The commit of a dataset's card, which is downloaded."""
    import huggingface_hub as hub

    card = hub.hf_hub_download(id, "README.md", repo_type="dataset", revision=revision, etag_timeout=PATIENCE)
    return Path(card).parent.name


def _streamed(rows: Any, n: int) -> Any:
    """The first rows of a stream as an Arrow table, with the files that they name.

    Args:
        rows: The library's stream.
        n: How many.
    """
    import pyarrow

    features = rows.features
    rows, files = undecoded(rows)
    schema = features.arrow_schema if features else None
    blocks, block = [], []
    for row in rows.take(n):
        block.append({**row, **{c: _fetched(row[c]) for c in files}})
        if len(block) == _ROWS_A_BLOCK:
            blocks.append(pyarrow.Table.from_pylist(block, schema))
            schema, block = blocks[0].schema, []
    if block or not blocks:
        blocks.append(pyarrow.Table.from_pylist(block, schema))
    return pyarrow.concat_tables(blocks)


def _fetched(cell: Any) -> Any:
    """The cell of a file with its bytes, where a stream gives its address alone."""
    if not isinstance(cell, Mapping) or cell.get("bytes") is not None or cell.get("path") is None:
        return cell
    import fsspec

    with fsspec.open(cell["path"], "rb") as file:
        return {"bytes": file.read(), "path": cell["path"]}


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn what the library raises into an error of ours.

    Raises:
        InputError: if the dataset cannot be read.
        IsomorphError: what has been said in our words already.
        MemoryError: if there is not enough memory.
    """
    try:
        yield
    except (IsomorphError, MemoryError):
        raise
    except Exception as error:  # pyarrow, fsspec, the hub's client and the library have no common class of errors
        said = one_line(error)
        fix = " Say which with config='…'." if "Config name is missing" in said else ""
        said = said.partition(" Example of usage")[0] if fix else said
        raise InputError(
            f"Cannot read {what} as a Hugging Face dataset: {said or type(error).__name__}{fix}"
        ) from error


@contextlib.contextmanager
def _offline(datasets: Any, yes: bool) -> Iterator[None]:
    """Keep the library from asking a hub that does not answer, with patience that nobody has."""
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or yes
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """No bars of the library where none are wanted."""
    shown = not datasets.are_progress_bars_disabled()
    hide = shown and (silent() or sys.stderr is None or not sys.stderr.isatty())
    if hide:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            datasets.enable_progress_bars()
