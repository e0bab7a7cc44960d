"""Files of captions: which text belongs to which picture, in the layouts that are about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .._core.files import parse_json, read_text
from ..errors import InputError, quoted
from ._columns import is_texts
from ._files import modality_of
from ._tables import TABLES, read_table

CAPTIONS = re.compile(
    r"(captions?|metadata|results|dataset|texts?|sentences)([_.\- ][a-z].*)?|.*\.(token|caption)", re.IGNORECASE
)
"""What files of captions are called, without their ending."""
SUFFIXES = (*TABLES, ".json", ".txt", ".token")
_FILES = (
    "file_name",
    "filename",
    "image",
    "image_name",
    "image_path",
    "file",
    "path",
    "filepath",
    "img",
    "audio",
    "video",
)
_TEXTS = ("caption", "text", "captions", "sentence", "sentences", "description", "comment", "raw", "title", "alt")


class Caption(NamedTuple):
    """A text and the name of the file that it belongs to, as the file of captions writes it."""

    file: str
    text: str
    split: str = ""


def read_captions(path: Path) -> list[Caption]:
    r"""All captions of a file, in its order.

    Understood are tables with a column of file names and one of captions (CSV, TSV, JSON lines, Parquet); lines
    ``name.jpg,caption``, ``name.jpg|0|caption`` or ``name.jpg#0<TAB>caption`` (Flickr8k, Flickr30k); COCO's
    ``captions_*.json``; Karpathy's ``dataset_*.json``; and JSON that maps file names to a text or a list of texts.

    Raises:
        InputError: if the file cannot be read or is of none of these.
        MissingExtraError: if a Parquet file is given and pyarrow is not installed.

    Example:
        >>> _ = Path("captions.txt").write_text("image,caption\na.jpg,A dog , running .\na.jpg,A dog .\n")
        >>> [(c.file, c.text) for c in read_captions(Path("captions.txt"))]
        [('a.jpg', 'A dog , running .'), ('a.jpg', 'A dog .')]
    """
    kind = path.suffix.lower()
    if kind == ".json":
        found = _of_json(path)
    elif kind in TABLES and not (kind == ".csv" and _has_bars(path)):
        found = _of_table(path)
    else:
        found = _of_lines(path)
    if not found:
        raise InputError(f"{path} holds no captions.")
    return found


def _has_bars(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return "|" in file.readline(10_000)


# ---------------------------------------------------------------- tables and lines


def _of_table(path: Path) -> list[Caption]:
    columns = read_table(path)
    file = _column(columns, _FILES, lambda v: modality_of([str(x) for x in v]) is not None)
    text = _column(columns, _TEXTS, lambda v: all(isinstance(x, str) or is_texts(x) for x in v), but=file)
    if file is None or text is None:
        what = "file names" if file is None else "captions"
        raise InputError(
            f"{path} has the columns {', '.join(columns)}, and which of them holds {what} is not known. Call it "
            f"{(_FILES if file is None else _TEXTS)[0]!r}, or say which is what: table(path={str(path)!r}, id='…', "
            "image='…', text='…')."
        )
    split = columns.get("split", [""] * len(columns[file]))
    rows = zip(columns[file], columns[text], split, strict=True)
    return [Caption(str(f), t, str(s or "")) for f, several, s in rows for t in _texts(several)]


def _column(
    columns: Mapping[str, Sequence[Any]],
    names: Sequence[str],
    fits: Callable[[Sequence[Any]], bool],
    but: str | None = None,
) -> str | None:
    """The column of one of these names, in their order, or else the only one that fits."""
    lower = {c.lower().strip(): c for c in columns if c != but}
    known = next((lower[name] for name in names if name in lower), None)
    if known is not None:
        return known
    fitting = [c for c, values in columns.items() if c not in (but, "id", "label", "group", "split") and fits(values)]
    return fitting[0] if len(fitting) == 1 else None


def _texts(value: Any) -> list[str]:
    return list(value) if is_texts(value) else ["" if value is None else str(value)]


_LINE = re.compile(r"(?P<file>[^\t|,]+?\.\w{2,4})(?:#(?P<k>\d+))?\s*(?:\t|\|(?:\s*\d+\s*\|)?|,)\s*(?P<text>.*)")


def _of_lines(path: Path) -> list[Caption]:
    lines = [line for line in read_text(path, "captions from").splitlines() if line.strip()]
    matches = [_LINE.fullmatch(line.strip()) for line in lines]
    if matches and matches[0] is None:  # a header, as "image,caption"
        lines, matches = lines[1:], matches[1:]
    bad = next((i for i, m in enumerate(matches) if m is None), None)
    if bad is not None or not matches:
        line = lines[bad] if bad is not None else ""
        raise InputError(
            f"{path}: the line {quoted(line)} does not name the picture that it belongs to; lines such as "
            "'name.jpg,caption', 'name.jpg|caption' or 'name.jpg#0<TAB>caption' are read, since captions are joined by "
            "name and never by order."
        )
    return [Caption(m["file"].strip(), _unquoted(m["text"])) for m in matches if m is not None]


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text


# ---------------------------------------------------------------- JSON


def _of_json(path: Path) -> list[Caption]:
    try:
        content = parse_json(read_text(path, "captions from"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON text that can be read: {error}.") from error
    try:
        return list(_captions(content))
    except (KeyError, IndexError, TypeError, AttributeError, StopIteration):
        keys = quoted([*content][:8]) if isinstance(content, dict) else type(content).__name__
        raise InputError(
            f"{path} is in no layout of captions that is known; it holds {keys}. Known are COCO's (images, "
            "annotations with captions), Karpathy's (images with sentences), a mapping from file name to one text or "
            "several, and a list of objects with file_name and caption."
        ) from None


def _captions(content: Any) -> Iterator[Caption]:
    """Captions of JSON; whatever of its layout is not there raises an error of Python.

    Raises:
        TypeError: if it is in no layout.
    """
    if isinstance(content, dict) and "annotations" in content:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        return (Caption(names[a["image_id"]], str(a["caption"])) for a in content["annotations"])
    if isinstance(content, dict) and isinstance(content.get("images"), list):
        return (
            Caption(image["filename"], str(s["raw"]), str(image.get("split", "")))
            for image in content["images"]
            for s in image["sentences"]
        )
    if isinstance(content, dict):
        pairs = list(content.items())
    else:
        file = next(n for n in _FILES if n in content[0]) if content else ""
        text = next(n for n in _TEXTS if n in content[0]) if content else ""
        pairs = [(row[file], row[text]) for row in content]
    if not all(isinstance(f, str) and (isinstance(t, str) or is_texts(t)) for f, t in pairs):
        raise TypeError
    return (Caption(f, t) for f, several in pairs for t in _texts(several))
