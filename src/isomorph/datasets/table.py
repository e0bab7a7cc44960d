"""A table of the user's own: CSV, TSV, JSON lines or Parquet, with texts and paths of image, audio or video files."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._core.checks import as_ids
from .._core.files import parse_json, reason, regular
from .._core.registry import format_spec
from ..errors import InputError, MissingExtraError, UnknownNameError, quoted
from ._base import Dataset, PairedItems, as_names
from ._files import fault, modality_of, view_of

_log = logging.getLogger(__name__)

Columns = dict[str, list[Any]]
_MOST_CELLS = 10**8  # of a Parquet file, whose encoding can repeat one value without end


@dataclasses.dataclass(frozen=True)
class Table(Dataset):
    """Paired items from a file with one row an item; columns are ids, texts, paths of pictures or sounds, labels.

    Each text, image, audio or video column becomes a view under the column's name. If none of `text`, `image`, `audio`
    and `video` is given, the columns are told apart by what they hold: paths with an ending of images, of recordings,
    of films, and texts; columns of numbers, the id and columns called ``label`` or ``group`` are no views.

    Attributes:
        path: A ``.csv``, ``.tsv``, ``.jsonl`` (or ``.ndjson``) or ``.parquet`` file, text in UTF-8.
        id: Column of unique ids.
        text: Column or columns of texts, taken as they are.
        image: Column or columns of paths of image files, relative to the table.
        audio: Column or columns of paths of audio files, relative to the table.
        video: Column or columns of paths of films, animations or ``.npy`` files of frames, relative to the table; of
            each 16 frames are taken, evenly spaced from the first to the last.
        label: Column or columns of labels; ``label`` by default if there is one.
        group: Column of groups: rows of one group are never permuted or split apart; ``group`` if there is one.
        covariate: Column or columns of covariates, such as norms: numbers or categories, empty where there is none.
        skip_bad: Leave items with an empty text or an unreadable file out of every view, and name them in the result's
            `skipped`, instead of raising. Every file is decoded once for this when the table is loaded.

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

    path: str
    id: str = "id"
    text: Sequence[str] | None = None
    image: Sequence[str] | None = None
    audio: Sequence[str] | None = None
    video: Sequence[str] | None = None
    label: Sequence[str] | None = None
    group: str | None = None
    skip_bad: bool = False
    covariate: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for field in ("text", "image", "audio", "video", "label", "covariate"):
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, as_names(value, f"table: {field}"))
        if not isinstance(self.path, str | os.PathLike):
            raise InputError(f"table: path must be the path of a file, found {quoted(self.path)}.")
        object.__setattr__(self, "path", os.fspath(self.path))
        if not isinstance(self.skip_bad, bool):
            raise InputError(f"table: skip_bad must be True or False, found {quoted(self.skip_bad)}.")

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
            MissingExtraError: if a Parquet file is given and pyarrow is not installed.
        """
        path = Path(self.path).expanduser()
        columns = read_table(path)
        if self.id not in columns:
            raise UnknownNameError(f"column of {path}", self.id, columns, "The column of ids is chosen by id='…'.")
        roles = self._roles(columns, path)
        label = self.label if self.label is not None else tuple(c for c in ("label",) if c in columns)
        group = self.group or ("group" if "group" in columns else None)
        for column in (*label, *([group] if group else []), *(self.covariate or ())):
            _require(column, columns, path)
        ids = _ids(columns[self.id], path, self.id)
        bad = _faults(roles, columns, ids, path, decode=self.skip_bad)
        if bad and not self.skip_bad:
            first = next(iter(bad.values()))
            more = f" {len(bad) - 1} more items have such faults." if len(bad) > 1 else ""
            raise InputError(f"{path}: {first}{more} Repair it, or leave such items out with skip_bad=True.")
        keep = [i for i, id_ in enumerate(ids) if id_ not in bad]
        if not keep:
            raise InputError(f"{path}: none of its {len(ids)} items can be used; the first: {next(iter(bad.values()))}")
        if bad:
            _log.warning("%s: left out %d of %d items that cannot be used.", path, len(bad), len(ids))
        return PairedItems(
            name=path.stem,
            ids=tuple(ids[i] for i in keep),
            views={
                c: view_of(kind, [columns[c][i] for i in keep], path.parent, [ids[i] for i in keep])
                for c, kind in roles.items()
            },
            labels={c: _marks(c, columns, ids, keep, path) for c in label},
            groups=_marks(group, columns, ids, keep, path) if group else None,
            source=self._source(),
            skipped=bad,
            covariates={c: _kept(_numbers(columns[c]), keep) for c in self.covariate or ()},
        )

    def _roles(self, columns: Columns, path: Path) -> dict[str, str]:
        """View column -> ``text``, ``image``, ``audio`` or ``video``.

        Raises:
            InputError: if no column can be a view, or one is given as two kinds.
        """
        given = {"text": self.text, "image": self.image, "audio": self.audio, "video": self.video}
        roles: dict[str, str] = {}
        if any(v is not None for v in given.values()):
            for kind, names in given.items():
                for column in names or ():
                    _require(column, columns, path)
                    if roles.setdefault(column, kind) != kind:
                        raise InputError(
                            f"table: the column {quoted(column)} is given as {roles[column]} and as {kind}."
                        )
        else:
            taken = {self.id, self.group, "group", "label", *(self.label or ()), *(self.covariate or ())}
            guesses = {c: _guess(v) for c, v in columns.items() if c not in taken}
            roles = {c: kind for c, kind in guesses.items() if kind is not None}
        if not roles:
            raise InputError(
                f"{path} has no column that can be a view; its columns are {', '.join(columns)}. "
                "Name some with text=['…'], image=['…'], audio=['…'] or video=['…']."
            )
        return roles

    def _source(self) -> str:
        fields = dataclasses.fields(self)
        return format_spec("table", {f.name: v for f in fields if (v := getattr(self, f.name)) != f.default})


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
    _require(id, columns, path)
    rest = [name for name in columns if name != id]
    if column is None:
        if len(rest) != 1:
            raise InputError(f"{path} has the columns {', '.join(columns)}; name the one that is meant.")
        column = rest[0]
    _require(column, columns, path)
    ids = _ids(columns[id], path, id)
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
    _require(id, columns, path)
    ids = _ids(columns.pop(id), path, id)
    found = {}
    for name, values in columns.items():
        found[name] = dict(zip(ids, _numbers(values), strict=True))
    return found


def _numbers(values: Sequence[Any]) -> list[Any]:
    """Values with None for empty ones; numbers where all that are there are texts of numbers."""
    cells = [None if v is None or (isinstance(v, str) and not v.strip()) else v for v in values]
    there = [v for v in cells if v is not None]
    if there and all(isinstance(v, str) and _is_number(v) for v in there):
        return [None if v is None else float(v) for v in cells]
    return cells


def _kept(values: Sequence[Any], keep: Sequence[int]) -> tuple[Any, ...]:
    return tuple(values[i] for i in keep)


# ---------------------------------------------------------------- reading the file


TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""Endings of tables."""


def read_table(path: Path) -> Columns:
    """All columns of a table as they are: column -> one value a row.

    Raises:
        InputError: if the file cannot be read, or has no rows.
        MissingExtraError: if a Parquet file is given and pyarrow is not installed.
    """
    kind = path.suffix.lower()
    if kind not in TABLES:
        fix = " Unpack it first." if kind in (".zip", ".gz", ".tar", ".7z") else ""
        fix = " Save it as CSV in UTF-8." if kind in (".xlsx", ".xls", ".ods") else fix
        raise InputError(f"table: {path} ends in {path.suffix!r}; expected one of {', '.join(TABLES)}.{fix}")
    json, separator = kind in (".jsonl", ".ndjson"), "\t" if kind == ".tsv" else ","
    regular(path, "the table")
    try:
        if kind == ".parquet":
            columns = _read_parquet(path)
        else:
            columns = _read_json_lines(path) if json else _read_csv(path, separator)
    except OSError as error:
        raise InputError(f"Cannot read the table {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"The table {path} is not in UTF-8 ({error.reason} at byte {error.start}); convert it."
        ) from error
    if not columns or not next(iter(columns.values())):
        raise InputError(f"The table {path} has no rows.")
    return columns


def _read_csv(path: Path, delimiter: str) -> Columns:
    with open(path, newline="", encoding="utf-8-sig") as file, _long_fields():
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            twice = sorted({c for c in header if header.count(c) > 1})
            if twice:
                raise InputError(f"{path}: the column {quoted(twice[0])} is there twice; column names must be unique.")
            columns: Columns = {c: [] for c in header}
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(row)} fields where the header has {len(header)}. "
                        "A field that holds the delimiter or a line break must be quoted."
                    )
                for column, value in zip(header, row, strict=True):
                    columns[column].append(value)
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}.") from error
    return columns


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Let fields be longer than the csv module's 128 kB, which is a setting of the whole process."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_json_lines(path: Path) -> Columns:
    rows: list[dict[str, Any]] = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line, finite=False)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: not JSON that can be read ({error}).") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: expected an object, found {type(row).__name__}.")
            rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _require_few(path: Path, metadata: Any) -> None:
    if metadata.num_rows * max(metadata.num_columns, 1) > _MOST_CELLS:
        raise InputError(
            f"The table {path} has {metadata.num_rows:,} rows; at most {_MOST_CELLS:,} values are read. Take a part "
            "of it."
        )


def _read_parquet(path: Path) -> Columns:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Reading Parquet", "pyarrow", "data") from error
    try:
        with parquet.ParquetFile(path) as file:
            _require_few(path, file.metadata)
            table = file.read()
        columns = {name: table.column(i).to_pylist() for i, name in enumerate(table.column_names)}
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes pyarrow trip over
        raise InputError(f"Cannot read {path} as Parquet: {reason(error)}.") from error
    twice = sorted({c for c in table.column_names if table.column_names.count(c) > 1})
    if twice:
        raise InputError(f"{path}: the column {quoted(twice[0])} is there twice; column names must be unique.")
    return columns


# ---------------------------------------------------------------- checking the content


def _require(column: str, columns: Columns, path: Path) -> None:
    if column not in columns:
        raise UnknownNameError(f"column of {path}", column, columns)


def _ids(values: Sequence[Any], path: Path, column: str) -> list[str]:
    seen: set[str] = set()
    for row, value in enumerate(values, 1):
        if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
            raise InputError(
                f"{path}: row {row} has the id {quoted(value)} in column {column!r}; a text or number is needed."
            )
        if str(value) in seen:
            raise InputError(
                f"{path}: row {row} has the id {quoted(str(value))} again; ids must be unique, since they join items."
            )
        seen.add(str(value))
    return list(as_ids(values, str(path)))


def _marks(column: str, columns: Columns, ids: Sequence[str], keep: Sequence[int], path: Path) -> tuple[str, ...]:
    """The labels or groups of the items that are kept.

    Raises:
        InputError: if an item has none.
    """
    values = columns[column]
    for i in keep:
        if values[i] is None or not str(values[i]).strip():
            raise InputError(
                f"{path}: item {ids[i]!r} has nothing in column {column!r}; every item needs a value there."
            )
    return tuple(str(values[i]) for i in keep)


def _guess(values: Sequence[Any]) -> str | None:
    if not all(isinstance(v, str) or v is None for v in values):
        return None
    texts = [v for v in values if v]
    if not texts:
        return None
    return modality_of(texts) or (None if all(map(_is_number, texts)) else "text")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _faults(roles: dict[str, str], columns: Columns, ids: Sequence[str], path: Path, *, decode: bool) -> dict[str, str]:
    """Id -> what is wrong with the item, for those with a fault."""
    faults: dict[str, str] = {}
    for column, kind in roles.items():
        for id_, value in zip(ids, columns[column], strict=True):
            if id_ in faults:
                continue
            problem = fault(value, kind, path.parent, decode=decode)
            if problem:
                faults[id_] = f"item {id_!r}, column {column!r}: {problem}"
    return faults
