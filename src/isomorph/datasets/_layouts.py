"""Which files of a folder are one item: told from names, folders and files of captions alone, nothing is decoded."""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from .._core.files import beside
from ..errors import InputError, quoted
from ._captions import CAPTIONS, SUFFIXES, Caption, read_captions
from ._files import modality_of
from ._tables import TABLES

LAYOUTS = ("auto", "names", "classes", "views", "captions")

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_NOTES = re.compile(r"(readme|licen[cs]e|copying|notice|changelog|authors|citation)([._-].*)?", re.IGNORECASE)
_SPLIT = re.compile(r"(train|val|valid|validation|test|dev|restval)[_-]?\d*", re.IGNORECASE)
_MOST = 3_000_000
"""Most files that are looked at: a few seconds."""
_SYSTEM = ("lost+found", "System Volume Information")
"""Folders of disks themselves, which users cannot read."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One item, before anything of it is read.

    Attributes:
        files: View -> path relative to the folder.
        group: The picture that it is of.
        several: Whether other items are of the same picture.
        text: Its caption, where a file of captions gives it.
        split: Which part of a data set a file of captions says that it is in.
    """

    files: Mapping[str, str]
    group: str = ""
    several: bool = False
    text: str | None = None
    split: str = ""


@dataclasses.dataclass(frozen=True)
class Found:
    """What a folder holds: the items, the modality of every view, and id or file -> why it is no item."""

    items: dict[str, Item]
    kinds: dict[str, str]
    bad: dict[str, str]


def found_in(root: Path, layout: str, captions: str | None, each: int | None) -> Found:
    """The items of a folder.

    Args:
        root: The folder.
        layout: One of `LAYOUTS`.
        captions: The file of captions, relative to the folder, or None to look for one.
        each: Most captions of a picture.

    Raises:
        InputError: if there is no such folder, it holds nothing that can be an item, or its layout is not clear.
        MissingExtraError: if a file of captions is Parquet and pyarrow is not installed.
    """
    files = _files(root)
    own = _captions_file(root, files, captions) if layout in ("auto", "captions") else None
    if own is not None:
        return _captioned(root, files, own, each)
    if layout == "captions":
        raise InputError(
            f"{root}: no file of captions was found; call it captions.csv, .jsonl or .txt, or name it with "
            f"captions='…'. The folder holds {_census(files)}."
        )
    kinds = {f: kind for f in files if (kind := _modality(f)) is not None}
    if not kinds:
        raise InputError(
            f"{root} holds no pictures, recordings, films or texts that can be read; it holds {_census(files)}."
            + _advice(files)
        )
    return _named_alike(root, kinds, layout)


# ---------------------------------------------------------------- the files that there are


def _files(root: Path) -> list[str]:
    """Paths of all files below a folder, relative to it, in order; hidden ones are left out.

    Raises:
        InputError: if there is no such folder, too much in it, or a folder in it that cannot be read.
    """

    def unreadable(error: OSError) -> None:
        raise InputError(
            f"{error.filename} cannot be read ({error.strerror}), and what it holds would be left out of {root}. Give "
            "yourself the right to read it, or move it away."
        )

    if not os.path.isdir(root):  # noqa: PTH112  # Path.is_dir raises for a name that is too long
        raise InputError(_no_folder(root))
    found: list[str] = []
    for folder, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = [f for f in folders if not f.startswith((".", "__")) and f not in _SYSTEM]
        below = os.path.relpath(folder, root)
        start = "" if below == "." else below.replace(os.sep, "/") + "/"
        found += [start + name for name in names if not name.startswith(".")]
        if len(found) > _MOST:
            raise InputError(f"{root} holds more than {_MOST:,} files; give a folder of fewer, or a table of paths.")
    return sorted(found)


def _no_folder(root: Path) -> str:
    name = root.name.lower()
    if os.path.exists(root):  # noqa: PTH110  # Path.exists raises for a name that is too long
        if name.endswith(_ARCHIVES):
            stem = re.sub(r"\.(tar\.)?\w+$", "", root.name) or "unpacked"
            module = "zipfile" if name.endswith(".zip") else "tarfile"
            return (
                f"folder: {root} is an archive; unpack it first, for example with `python -m {module} -e {root} {stem}`"
                f", and give the folder: folder(path={stem!r})."
            )
        if name.endswith(TABLES):
            return f"folder: {root} is a table, no folder; it is read with table(path={str(root)!r})."
        return f"folder: {root} is a file, no folder; give the folder that it is in: folder(path={str(root.parent)!r})."
    return f"folder: there is no folder {root}.{beside(root, folders=True)}"


def _modality(path: str) -> str | None:
    if path.lower().endswith(".txt"):
        return None if _NOTES.fullmatch(_base(path)) else "text"
    return modality_of([path])


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _bare(path: str) -> str:
    """A path without its ending: `PurePosixPath` takes ten times as long."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def _census(files: Sequence[str]) -> str:
    """How many files of which endings, in words."""
    counts = collections.Counter(PurePosixPath(f).suffix.lower() or "no ending" for f in files)
    return ", ".join(f"{n:,} × {e}" for e, n in counts.most_common(6)) or "no files"


def _advice(files: Sequence[str]) -> str:
    if "dataset_dict.json" in files or "state.json" in files:
        return " It was saved by the library datasets: huggingface(path='…') reads it."
    shard = next((f for f in files if f.lower().endswith(".tar")), None)
    if shard:
        return f" Shards of WebDataset are read by webdataset('…/{shard}'); unpack other archives first."
    archive = next((f for f in files if f.lower().endswith(_ARCHIVES)), None)
    if archive:
        return f" Unpack {archive} first."
    if any(f.lower().endswith((".heic", ".svg", ".psd", ".pdf")) for f in files):
        return " Convert the pictures to PNG or JPEG first."
    table = next((f for f in files if f.lower().endswith(TABLES)), None)
    return f" For a table there is table(path='…/{table}')." if table else ""


def _few(names: Iterable[str]) -> str:
    several = list(names)
    return ", ".join(several[:8]) + (f", … ({len(several):,} in all)" if len(several) > 8 else "") or "none"


# ---------------------------------------------------------------- files of one name


def _named_alike(root: Path, kinds: Mapping[str, str], layout: str) -> Found:
    """Items of files that are called alike, in one folder or in a folder for every view.

    Raises:
        InputError: if two files are the same view of an item, no names are alike, or as `_views_by_folder`.
    """
    views, rest = _views_by_folder(root, kinds, layout)
    items: dict[str, dict[str, str]] = {}
    for path, view in views.items():
        key = _bare(rest[path])
        own = items.setdefault(key, {})
        if view in own:
            raise InputError(
                f"{root}: {own[view]} and {path} are both the {view} of {key!r}; rename one, or remove it."
            )
        own[view] = path
    modality = {view: kinds[path] for path, view in views.items()}
    usual = ("image", "video", "audio", "text")
    order = [*(v for v in usual if v in modality), *sorted(v for v in modality if v not in usual)]
    bad = {}
    for key, own in items.items():
        if lost := [v for v in order if v not in own]:
            bad[key] = f"there is no {' and no '.join(lost)} of the name of {next(iter(own.values()))}."
    whole = {key: Item(own, key) for key, own in items.items() if key not in bad}
    if not whole:
        first = {v: next(path for path, view in views.items() if view == v) for v in order}
        told = ", ".join(f"{v} {path}" for v, path in first.items())
        raise InputError(
            f"{root}: no files of {' and '.join(order)} have one name, by which they would be paired; the first are "
            f"{told}. Rename them, add a file captions.csv with the columns file_name and caption, or give a table: "
            "table(path='pairs.csv', image='…', text='…')."
        )
    return Found(whole, {v: modality[v] for v in order}, bad)


def _views_by_folder(root: Path, kinds: Mapping[str, str], layout: str) -> tuple[dict[str, str], dict[str, str]]:
    """Path -> view, and path -> what is left of it to compare names by.

    Raises:
        InputError: if folders may be views or classes.
    """
    top = {path: path.partition("/")[0] for path in kinds if "/" in path}
    held: dict[str, set[str]] = {}
    for path, folder in top.items():
        held.setdefault(folder, set()).add(kinds[path])
    apart = len(held) > 1 and len(top) == len(kinds) and all(len(k) == 1 for k in held.values())
    modalities = [next(iter(k)) for k in held.values()]
    stripped = {path: path.partition("/")[2] for path in top}
    if layout == "views":
        if len(top) < len(kinds) or len(held) < 2:
            raise InputError(
                f"{root}: layout='views' takes one folder a view, and nothing beside; it holds {_few(sorted(held))}."
            )
        if any(len(k) > 1 for k in held.values()):
            raise InputError(f"{root}: layout='views': a folder holds files of one modality, found several in one.")
        return top, stripped
    if apart and len(set(modalities)) == len(modalities) and layout in ("auto", "names"):
        return dict(kinds), stripped  # a folder for every modality
    if apart and len(set(modalities)) == 1 and layout == "auto" and len(kinds) > len(held):
        names = [{_bare(stripped[p]) for p in top if top[p] == f} for f in held]
        if all(n == names[0] for n in names):
            folders = _few(sorted(held))
            raise InputError(
                f"{root}: the folders {folders} hold files of the same names. Are they views of the same items, or "
                f"classes of different ones? Say so: folder(path={str(root)!r}, layout='views') or layout='classes'."
            )
    return dict(kinds), {path: path for path in kinds}


def labels_of(items: Sequence[Item], *, classes: bool) -> dict[str, tuple[str, ...]]:
    """Label sets from folders and files of captions: ``label`` and ``split``, those that all items have.

    Args:
        items: The items.
        classes: Whether folders are classes.
    """
    found: dict[str, tuple[str, ...]] = {}
    parts = [PurePosixPath(next(iter(item.files.values()))).parts[:-1] for item in items]
    same = 0  # folders that all have in common, from the first on
    while all(len(p) > same and p[same] == parts[0][same] for p in parts):
        same += 1
    left = [p[same:] for p in parts]
    if classes and all(left):
        if all(_SPLIT.fullmatch(p[0]) for p in left):
            found["split"] = tuple(p[0] for p in left)
            left = [p[1:] for p in left]
        if all(left):
            found = {"label": tuple(p[0] for p in left)} | found
    if "split" not in found and all(item.split for item in items):
        found["split"] = tuple(item.split for item in items)
    return found


# ---------------------------------------------------------------- files of captions


def _captions_file(root: Path, files: Sequence[str], given: str | None) -> str | None:
    """The file of captions, or None if there is none.

    Raises:
        InputError: if the one that was named is not there, or there are several.
    """
    if given is not None:
        inside = given if given in files else None
        if inside is None and not (root / given).is_file():
            there = [f for f in files if f.lower().endswith(SUFFIXES) and _modality(f) in (None, "text")]
            raise InputError(f"folder: there is no file {given!r} in {root}. Tables and texts in it: {_few(there)}.")
        return given
    media = {_bare(f) for f in files if _modality(f) not in (None, "text")}
    named = [
        f
        for f in files
        if f.lower().endswith(SUFFIXES)
        and CAPTIONS.fullmatch(_bare(_base(f)) if not f.lower().endswith(".token") else f)
        and _bare(f) not in media
        and f.count("/") <= 2
    ]
    if not named:
        return None
    if not media:
        raise InputError(
            f"{root} holds the captions {named[0]} and no pictures, recordings or films; it holds {_census(files)}."
            + _advice([f for f in files if f not in named])
        )
    top = min(f.count("/") for f in named)
    first = [f for f in named if f.count("/") == top]
    if len(first) > 1:
        raise InputError(
            f"{root} holds several files of captions: {_few(first)}. Say which: "
            f"folder(path={str(root)!r}, captions={first[0]!r})."
        )
    return first[0]


def _captioned(root: Path, files: Sequence[str], captions: str, each: int | None) -> Found:
    """One item a caption, with the file that it names.

    Raises:
        InputError: if none of the files that it names is there, they are of several kinds, or as `read_captions`.
        MissingExtraError: as `read_captions`.
    """
    found = read_captions(root / captions)
    where = _Places(files, captions)
    items: dict[str, Item] = {}
    bad: dict[str, str] = {}
    by_file: dict[str, list[Caption]] = {}
    for caption in found:
        path = where.find(caption.file)
        if path is None:
            bad.setdefault(caption.file, f"{captions} names {caption.file!r}, and there is no such file.")
        else:
            by_file.setdefault(path, []).append(caption)
    if not by_file:
        raise InputError(
            f"{root}: {captions} names {len(bad):,} files, such as {quoted(found[0].file)}, and none of them is in the "
            f"folder, whose files are called like {_few(where.media[:3])}."
        )
    used = {f.rpartition("/")[0] for f in by_file}  # pictures of another part, as train2017, are not asked for
    lacking = [f for f in where.media if f not in by_file and f.rpartition("/")[0] in used]
    bad |= {f: f"there is no caption of {f} in {captions}." for f in lacking}
    kinds = {str(modality_of([f])) for f in by_file}
    if len(kinds) > 1:
        raise InputError(f"{root}: {captions} names files of {' and '.join(sorted(kinds))}; one kind is needed.")
    (kind,) = kinds
    several = each != 1 and any(len(own) > 1 for own in by_file.values())
    names = _short_names(by_file)
    for path, own in by_file.items():
        for k, caption in enumerate(own[:each]):
            id_ = f"{names[path]}#{k}" if several else names[path]
            items[id_] = Item({kind: path}, names[path], several, caption.text, caption.split)
    return Found(items, {kind: kind, "text": "text"}, bad)


def _short_names(paths: Iterable[str]) -> dict[str, str]:
    """Path -> name without folders and ending, or the whole path where two would be called alike."""
    short = {path: _bare(_base(path)) for path in paths}
    if len(set(short.values())) == len(short):
        return short
    return {path: _bare(path) for path in short}


class _Places:
    """Where the files are that captions name: as written, beside the file of captions, or anywhere by name."""

    def __init__(self, files: Sequence[str], captions: str) -> None:
        self.media = [f for f in files if _modality(f) not in (None, "text")]
        self._there = set(self.media)
        self._beside = str(PurePosixPath(captions).parent)
        self._named: dict[str, list[str]] = {}
        for f in self.media:
            base = _base(f)
            self._named.setdefault(base, []).append(f)
            self._named.setdefault(_bare(base), []).append(f)

    def find(self, name: str) -> str | None:
        name = os.path.normpath(name.strip().replace("\\", "/"))
        for path in (name, os.path.normpath(f"{self._beside}/{name}")):
            if path in self._there:
                return path
        own = self._named.get(_base(name), [])
        return own[0] if len(own) == 1 else None
