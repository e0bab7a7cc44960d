"""A table of the user's own: texts and paths of image, audio or video files, or the encoded files themselves."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._core.files import as_path
from .._core.registry import format_spec
from ..errors import InputError, quoted
from ._base import Dataset, PairedItems
from ._files import modality_of
from ._records import Chosen, Column, Columns, Place, joined, numbers, paired, require, settle, unique_ids
from ._tables import files_of, read_columns_of, read_table


@dataclasses.dataclass(frozen=True)
class Table(Dataset):
    """Paired items from a file with one row an item; columns are ids, texts, pictures or sounds, labels.

    Each text, image, audio or video column becomes a view under the column's name. If none of `text`, `image`, `audio`
    and `video` is given, the columns are told apart by what they hold: paths with an ending of images, of recordings,
    of films, and texts; columns of numbers, the id and columns called ``label`` or ``group`` are no views.

    Parquet, Arrow and Feather files may hold the encoded pictures, recordings or films themselves, as bytes or as
    Hugging Face writes them (``{"bytes", "path"}``); a picture is read from the file when it is asked for. Where cells
    are lists of texts, such as five captions of a picture, every text is an item ``id#0``, ``id#1``, …, and those of a
    row are one group.

    Attributes:
        path: A ``.csv``, ``.tsv``, ``.jsonl`` (or ``.ndjson``), ``.parquet``, ``.arrow`` or ``.feather`` file, text in
            UTF-8; or several, or a pattern such as ``data/train-*.parquet``, one after another.
        id: Column of unique ids; None takes the row numbers.
        text: Column or columns of texts, or of lists of texts, taken as they are.
        image: Column or columns of paths of image files, relative to the table, or of encoded images.
        audio: Column or columns of paths of audio files, relative to the table, or of encoded recordings.
        video: Column or columns of paths of films, animations or ``.npy`` files of frames, relative to the table, or of
            encoded ones; of each 16 frames are taken, evenly spaced from the first to the last.
        label: Column or columns of labels; by default ``label``, and those that Hugging Face wrote as class labels.
        group: Column of groups: rows of one group are never permuted or split apart; ``group`` if there is one.
        covariate: Column or columns of covariates, such as norms: numbers or categories, empty where there is none.
        skip_bad: Leave items with an empty text or an unreadable file out of every view, and name them in the result's
            `skipped`, instead of raising. Every file is decoded once for this when the table is loaded.
        captions_each: Take so many texts of a list at most, the first ones; with 1, ids stay as they are.

    Example:
        >>> from pathlib import Path
        >>> import isomorph as iso
        >>> _ = Path("pets.csv").write_text('''key,caption,kind,photo of
        ... 1,a cat on a mat,cat,Tom
        ... 2,the same cat,cat,Tom
        ... 3,a cow,cow,Berta''')
        >>> items = iso.load_dataset("table(path='pets.csv', id='key', text='caption', label='kind', group='photo of')")
        >>> items.labels, items.groups
        ({'kind': ('cat', 'cat', 'cow')}, ('Tom', 'Tom', 'Berta'))
    """

    name: ClassVar[str] = "table"
    reference: ClassVar[str] = "Files of the user's own."

    path: str | Sequence[str]
    id: str | None = "id"
    text: Sequence[str] | None = None
    image: Sequence[str] | None = None
    audio: Sequence[str] | None = None
    video: Sequence[str] | None = None
    label: Sequence[str] | None = None
    group: str | None = None
    skip_bad: bool = False
    covariate: Sequence[str] | None = None
    captions_each: int | None = None

    def __post_init__(self) -> None:
        settle(self, "table")
        given = self.path if isinstance(self.path, list | tuple) else (self.path,)
        paths = tuple(str(as_path(path, "table: path")) for path in given)
        object.__setattr__(self, "path", paths if isinstance(self.path, list | tuple) else paths[0])

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        ids = [f"item-{7919 * i % 10007}" for i in range(n)]
        lines = ["id,text,film,label,group"]
        for i, id_ in enumerate(ids):
            lines.append(f"{id_},text of {id_},{id_}.npy,{'abc'[i // 4 % 3]},{i // 2}")
            np.save(folder / f"{id_}.npy", np.full((4, 2, 2, 3), i % 256, dtype=np.uint8))
        path = folder / f"things-{n}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return cls(str(path), text=("text",), video=("film",))

    def skipping_bad(self) -> Table:
        return dataclasses.replace(self, skip_bad=True)

    def load(self) -> PairedItems:
        """Read the table; files are decoded when they are asked for.

        Raises:
            InputError: if the file cannot be read, a column or file is missing, an id is empty or there twice, or a
                text is empty.
            UnknownNameError: if there is no column of the given name; the nearest names are suggested.
            MissingExtraError: if a Parquet or Arrow file is given and pyarrow is not installed.
        """
        paths = files_of(self.path, "table")
        columns, base = _joined(paths)
        where = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        chosen = Chosen(
            self.id,
            {"text": self.text, "image": self.image, "audio": self.audio, "video": self.video},
            self.label,
            self.group,
            self.covariate or (),
            self.captions_each,
            self.skip_bad,
        )
        return paired(columns, chosen, Place(where, paths[0].stem, self._source(), base))

    def _source(self) -> str:
        fields = dataclasses.fields(self)
        return format_spec("table", {f.name: v for f in fields if (v := getattr(self, f.name)) != f.default})


def _joined(paths: Sequence[Path]) -> tuple[Columns, Path]:
    """The columns of several files one after another, and the folder that paths in them are relative to.

    Raises:
        InputError: if their columns differ, or one cannot be read.
    """
    tables = [read_columns_of(path) for path in paths]
    first = tables[0]
    for path, table in zip(paths[1:], tables[1:], strict=True):
        if table.keys() != first.keys():
            odd = sorted(table.keys() ^ first.keys())
            raise InputError(
                f"{path} has other columns than {paths[0]}: only one of them has {', '.join(map(quoted, odd[:8]))}. "
                "Tables that are read together need the same columns."
            )
    if len({path.parent for path in paths}) > 1:
        tables = [_absolute(table, path.parent) for path, table in zip(paths, tables, strict=True)]
    return {name: joined([table[name] for table in tables], name, str(paths[0])) for name in first}, paths[0].parent


def _absolute(table: Columns, folder: Path) -> Columns:
    """The columns of a table, with paths of pictures, recordings and films by themselves, whatever the folder."""

    def cells(values: Column) -> Column:
        there = [v for v in values if v is not None] if isinstance(values, list) else []
        if not there or not all(isinstance(v, str) for v in there) or modality_of(there) is None:
            return values
        return [None if v is None else str(folder.absolute() / v) for v in values]

    return {name: cells(values) for name, values in table.items()}


def read_column(path: str | os.PathLike[str], column: str | None = None, id: str = "id") -> tuple[str, dict[str, Any]]:
    """One column of a table: what it says of every item.

    Args:
        path: A file as `Table` reads it.
        column: The column; None takes the only one beside the ids.
        id: Column of unique ids.

    Returns:
        The column's name, and id -> value.

    Raises:
        InputError: if the file cannot be read, ids are missing or repeat, an item has nothing, or there are several
            columns and none was named.
        UnknownNameError: if there is no such column.
        MissingExtraError: if a Parquet file is given and pyarrow is not installed.

    Example:
        >>> from pathlib import Path
        >>> from isomorph.datasets import read_column
        >>> _ = Path("kinds.csv").write_text('''id,kind
        ... 1,cat
        ... 2,cow''')
        >>> read_column("kinds.csv")
        ('kind', {'1': 'cat', '2': 'cow'})
    """
    path = Path(path).expanduser()
    columns = read_table(path)
    require(id, columns, str(path))
    rest = [name for name in columns if name != id]
    if column is None:
        if len(rest) != 1:
            raise InputError(f"{path} has the columns {', '.join(columns)}; name the one that is meant.")
        column = rest[0]
    require(column, columns, str(path))
    ids = unique_ids(columns[id], str(path), id)
    values = dict(zip(ids, columns[column], strict=True))
    for item, value in values.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            raise InputError(f"{path}: item {item!r} has nothing in column {column!r}; every item needs a value there.")
    return column, values


def read_columns(path: str | os.PathLike[str], id: str = "id") -> dict[str, dict[str, Any]]:
    r"""All columns of a table: column -> id -> value, None where an item has none.

    Columns of a text file whose values are all numbers become numbers.

    Args:
        path: A file as `Table` reads it.
        id: Column of unique ids.

    Raises:
        InputError: if the file cannot be read, or ids are missing or repeat.
        UnknownNameError: if there is no column of ids.
        MissingExtraError: if a Parquet file is given and pyarrow is not installed.

    Example:
        >>> from pathlib import Path
        >>> from isomorph.datasets import read_columns
        >>> _ = Path("norms.csv").write_text("id,concreteness,kind\n1,4.5,pet\n2,,farm\n")
        >>> read_columns("norms.csv")
        {'concreteness': {'1': 4.5, '2': None}, 'kind': {'1': 'pet', '2': 'farm'}}
    """
    path = Path(path).expanduser()
    columns = read_table(path)
    require(id, columns, str(path))
    ids = unique_ids(columns.pop(id), str(path), id)
    found = {}
    for name, values in columns.items():
        found[name] = dict(zip(ids, numbers(values), strict=True))
    return found
