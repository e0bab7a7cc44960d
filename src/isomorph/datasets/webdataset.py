"""Shards of WebDataset: tar archives in which files of one name are a sample."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import re
import tarfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from .._core.checks import check_flag
from .._core.files import as_path, parse_json, reason, regular
from .._core.progress import progress
from .._core.registry import format_spec
from ..errors import InputError, quoted
from ._base import Dataset, PairedItems
from ._encoded import EncodedView
from ._files import ENDINGS
from ._records import Chosen, Column, Columns, Place, paired, require, settle
from ._tables import files_of

_log = logging.getLogger(__name__)

_BLOCK = 512  # bytes of a tar header, and what every file in a tar is filled up to
_TEXTS = ("txt", "text", "transcript", "caption")
_CLASSES = ("cls", "cls2", "class", "count", "index")
_PICKLES = ("pkl", "pickle", "pyd", "pt", "pth")
_CAPTIONS = ("caption", "captions", "text")  # of a .json, where there is no file of text
_PACKED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip")
_MOST = 10**4  # shards that a pattern may name
_READ = (*_TEXTS, *_CLASSES, "json")  # endings of files that are read when a shard is looked through
_LARGEST = 1 << 24  # bytes of a text, class or .json file
_KINDS = {ending[1:]: kind for kind, endings in ENDINGS.items() for ending in endings}


@dataclasses.dataclass(frozen=True)
class WebDataset(Dataset):
    """Paired items from tar shards as WebDataset writes them: files of one name up to the first dot are a sample.

    ``000.tar`` with ``7.jpg``, ``7.txt``, ``7.json`` and ``7.cls`` holds the sample ``7``. Pictures, recordings and
    films are views, read from the shard and decoded when they are asked for; texts are views. They are called
    ``image``, ``audio``, ``video`` and ``text``; of files such as ``7.left.jpg`` by what is before their ending,
    ``left``. The fields of a ``.json`` are columns for views of text, labels, groups and covariates; without a file of
    text, its ``caption`` (or ``captions``, ``text``) is the view `text`, a list of them several items of one group.
    ``.cls`` is a label.

    Shards are read as data: nothing is unpickled, no program is started (``pipe:``), nothing is downloaded.

    Attributes:
        urls: Path of a shard; several; or a pattern such as ``train-{000..010}.tar`` or ``train-*.tar``.
        text: Columns of texts; by default those of files of text.
        image: Columns of pictures.
        audio: Columns of recordings.
        video: Columns of films.
        label: Columns of labels; by default that of ``.cls`` files.
        group: Column of groups: items of one group are never permuted or split apart; ``group`` if there is one.
        covariate: Columns of covariates.
        captions_each: Take so many texts of a list at most, the first ones; with 1, ids stay as they are.
        shard_ids: Put the shard's name before the sample's, where shards share names: ``000/7``.
        skip_bad: Leave out samples that lack what others have, or hold what cannot be read, and name them in the
            result's `skipped`, instead of raising. Every file is decoded once for this.

    Example:
        >>> import io, tarfile
        >>> import isomorph as iso
        >>> with tarfile.open("pets-000.tar", "w") as shard:
        ...     for k, text in enumerate(["a cat", "a dog"]):
        ...         for ending, data in {"ppm": b"P6 1 1 255 ab" + bytes([k]), "txt": text.encode()}.items():
        ...             file = tarfile.TarInfo(f"{k}.{ending}")
        ...             file.size = len(data)
        ...             shard.addfile(file, io.BytesIO(data))
        >>> iso.load_dataset("webdataset('pets-{000..000}.tar')")
        PairedItems(pets-000: 2 items; views image (image), text (text); labels none)
    """

    name: ClassVar[str] = "webdataset"
    reference: ClassVar[str] = "Files of the user's own, as https://github.com/webdataset/webdataset lays them out."

    urls: str | Sequence[str]
    text: Sequence[str] | None = None
    image: Sequence[str] | None = None
    audio: Sequence[str] | None = None
    video: Sequence[str] | None = None
    label: Sequence[str] | None = None
    group: str | None = None
    covariate: Sequence[str] | None = None
    captions_each: int | None = None
    shard_ids: bool = False
    skip_bad: bool = False

    def __post_init__(self) -> None:
        settle(self, self.name)
        check_flag(self.shard_ids, f"{self.name}: shard_ids")
        urls = [str(as_path(url, f"{self.name}: urls")) for url in _several(self.urls)]
        for url in [str(u) for u in _several(self.urls)]:
            _refuse_remote(url)
        object.__setattr__(self, "urls", tuple(urls) if isinstance(self.urls, list | tuple) else urls[0])

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        import io
        import json

        for k in range(0, n, 4):  # a shard of four samples each
            with tarfile.open(folder / f"{n}-{k // 4:03d}.tar", "w") as shard:
                for i in range(k, min(k + 4, n)):
                    files = {
                        "ppm": b"P6 1 1 255 " + bytes([i % 256, 1, 2]),
                        "txt": f"text {i}".encode(),
                        "cls": str(i // 2 % 3).encode(),
                        "json": json.dumps({"group": i // 2}).encode(),
                    }
                    for ending, data in files.items():
                        about = tarfile.TarInfo(f"{7919 * i % 10007}.{ending}")
                        about.size = len(data)
                        shard.addfile(about, io.BytesIO(data))
        return cls(str(folder / f"{n}-{{000..{(n - 1) // 4:03d}}}.tar"))

    def skipping_bad(self) -> WebDataset:
        return dataclasses.replace(self, skip_bad=True)

    def load(self) -> PairedItems:
        """Look through the shards; pictures, recordings and films are read when they are asked for.

        Raises:
            InputError: if a shard is missing, truncated or no tar archive, shards share names of samples, or a sample
                lacks a file that others have.
            UnknownNameError: if there is no column of the given name.
        """
        shards = files_of([path for url in _several(self.urls) for path in expanded(url)], self.name)
        where = f"{shards[0]}" + (f" and {len(shards) - 1} more" if len(shards) > 1 else "")
        self._check_first(shards[0], where)
        samples = _samples(shards, shard_ids=self.shard_ids)
        columns = _columns(samples)
        views = {"image": self.image, "audio": self.audio, "video": self.video, "text": self.text}
        if all(v is None for v in views.values()):
            views = _views(columns)
        label = self.label if self.label is not None else tuple(c for c in (*_CLASSES[:1], "label") if c in columns)
        chosen = Chosen(None, views, label, self.group, self.covariate or (), self.captions_each, self.skip_bad)
        fields = {f.name: v for f in dataclasses.fields(self) if (v := getattr(self, f.name)) != f.default}
        source = format_spec(self.name, fields)
        return paired(columns, chosen, Place(where, shards[0].stem, source, None, list(samples)))

    def _check_first(self, shard: Path, where: str) -> None:
        """Check that the first sample has the columns that were named, before all shards are looked through.

        Raises:
            UnknownNameError: if it lacks one, and samples that lack one are not left out.
        """
        given = (self.text, self.image, self.audio, self.video, self.label, self.covariate)
        named = [*itertools.chain.from_iterable(names or () for names in given), *filter(None, [self.group])]
        if self.skip_bad or not named:
            return
        first: dict[str, Member] = {}
        key = None
        with contextlib.closing(_members(shard)) as members:
            for member in members:
                own, ending = _split(member.name)
                if ending and key not in (None, own):
                    break
                key = own if ending else key
                first |= {ending: member} if ending else {}
        columns = _columns({key or "": first})
        for column in named:
            require(column, columns, f"{where}: the first sample, {quoted(key)}")


@dataclasses.dataclass(frozen=True)
class Member:
    """A file in a shard.

    Attributes:
        shard: Path of the shard.
        name: Its name there.
        start: Where its content begins, in bytes.
        size: How long that is.
        text: Its content, of a text that was read when the shard was looked through.
    """

    shard: Path
    name: str
    start: int
    size: int
    text: bytes | None = None

    def read(self) -> bytes:
        """The content.

        Raises:
            InputError: if the shard cannot be read, or is shorter than it was.
        """
        try:
            with open(self.shard, "rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise InputError(f"Cannot read {self.shard}: {reason(error)}.") from error
        if len(data) < self.size:
            raise InputError(f"The shard {self.shard} is shorter than it was when it was looked through.")
        return data


Samples = dict[str, dict[str, Member]]


def expanded(pattern: str) -> list[str]:
    """The names that a pattern with braces stands for: ``{000..010}`` counts, ``{a,b}`` lists.

    Raises:
        InputError: if there are too many.

    Example:
        >>> expanded("{train,val}-{08..10}.tar")[:4]
        ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    found = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    first, last, listed = found.groups()
    if listed is not None:
        options = listed.split(",")
    elif abs(int(last) - int(first)) >= _MOST:
        raise InputError(f"webdataset: {quoted(found[0])} stands for more than {_MOST:,} shards.")
    else:
        step, width = (1 if int(first) <= int(last) else -1), len(first) if first.startswith("0") else 0
        options = [f"{k:0{width}d}" for k in range(int(first), int(last) + step, step)]
    rest = expanded(pattern[found.end() :])
    if len(options) * len(rest) > _MOST:
        raise InputError(f"webdataset: {quoted(pattern)} stands for more than {_MOST:,} shards.")
    return [pattern[: found.start()] + option + end for option in options for end in rest]


def _several(urls: Any) -> list[Any]:
    return list(urls) if isinstance(urls, list | tuple) else [urls]


def _refuse_remote(url: str) -> None:
    """Refuse what is no path.

    Raises:
        InputError: if it is a program or an address.
    """
    if url.startswith("pipe:"):
        raise InputError(f"webdataset: {quoted(url)}: programs are never started; give the paths of shards.")
    if "://" in url:
        raise InputError(
            f"webdataset: {quoted(url)} is an address, and shards are read from this disk. Download them first (curl "
            f"-O {url}) and give their paths; a dataset of the Hugging Face hub is read by "
            "huggingface('org/name', streaming=1000)."
        )
    if url.lower().endswith(_PACKED):
        raise InputError(
            f"webdataset: {quoted(url)} is compressed, and files in it cannot be found without unpacking all before "
            "them. Unpack it first, such as by gunzip, and give the .tar."
        )


def _samples(shards: Sequence[Path], *, shard_ids: bool) -> Samples:
    """Sample -> ending -> file, in the order of the shards.

    Raises:
        InputError: if a file is there twice, or shards share names of samples.
    """
    samples: Samples = {}
    with progress(len(shards), "shards", unit="shards") as advance:
        for shard in shards:
            for member in _members(shard):
                id_, ending = _split(member.name)
                if not ending:
                    continue
                id_ = f"{shard.stem}/{id_}" if shard_ids else id_
                own = samples.setdefault(id_, {})
                other = next(iter(own.values()), None)
                if other is not None and other.shard != shard:
                    raise InputError(
                        f"webdataset: the sample {quoted(id_)} is in {other.shard} and in {shard}. Where these are "
                        "unlike samples, shard_ids=True puts the shard's name before theirs."
                    )
                if own.setdefault(ending, member) is not member:
                    raise InputError(f"{shard}: the file {quoted(member.name)} is there twice.")
            advance(1)
    if not samples:
        raise InputError(f"webdataset: {shards[0]} holds no files such as 7.jpg and 7.txt.")
    return samples


def _split(name: str) -> tuple[str, str]:
    """The sample and the ending of a file's name; no ending of hidden files, and of notes that have none."""
    folder, _, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return (f"{folder}/{stem}" if folder else stem), (ending.lower() if stem else "")


def _members(shard: Path) -> Generator[Member]:
    """The files of a shard, with where they begin; only their heads and short texts are read.

    Raises:
        InputError: if it is truncated, no tar archive, or holds anything but files and folders.
    """
    regular(shard, "the shard")
    end = 0
    try:
        with open(shard, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for about in archive:
                end = about.offset_data + -(-about.size // _BLOCK) * _BLOCK if about.isreg() else archive.offset
                if about.isdir():
                    continue
                if not about.isreg() or about.sparse is not None:
                    raise InputError(f"{shard}: {quoted(about.name)} is a link or device; only files are read.")
                member = Member(shard, about.name.removeprefix("./"), about.offset_data, about.size)
                small = about.size <= _LARGEST and about.name.lower().rpartition(".")[2] in _READ
                if small:
                    file.seek(about.offset_data)
                    member = dataclasses.replace(member, text=file.read(about.size))
                yield member
            _check_end(shard, file, end)
    except tarfile.TarError as error:
        said = "is truncated" if "unexpected end" in str(error) else "is no tar archive that can be read"
        raise InputError(f"The shard {shard} {said} ({reason(error)}). Download or write it again.") from error
    except (OSError, EOFError, ValueError) as error:  # ValueError: a number in a head that is none
        raise InputError(f"Cannot read the shard {shard}: {reason(error)}.") from error


def _check_end(shard: Path, file: Any, end: int) -> None:
    """Check that a shard ends as tar archives do, with blocks of zeros and nothing else.

    Raises:
        InputError: if it does not: without them the last samples may be missing, with more others would be lost.
    """
    file.seek(end)
    first = file.read(_BLOCK)
    if len(first) < _BLOCK or any(first):
        raise InputError(f"The shard {shard} is truncated: the mark at its end is missing. Download or write it again.")
    while block := file.read(1 << 20):
        if block.count(0) < len(block):
            raise InputError(
                f"{shard} goes on after the end of its archive: several were put together by cat. Give each by itself."
            )


def _columns(samples: Samples) -> Columns:
    """Columns of the samples: views of files, texts, numbers of classes, and the fields of .json files.

    Raises:
        InputError: if files hold pickles alone, two files of a sample are one view, or a text cannot be read.
    """
    plain: dict[str, list[Any]] = {}
    encoded: dict[str, tuple[str, dict[int, Member]]] = {}
    several = _called(samples)
    n = len(samples)
    for row, (id_, files) in enumerate(samples.items()):
        for ending, member in files.items():
            last = ending.rpartition(".")[2]
            if last in _KINDS:
                kind, name = _KINDS[last], several[ending]
                known, own = encoded.setdefault(name, (kind, {}))
                if known != kind or own.setdefault(row, member) is not member:
                    raise InputError(
                        f"{member.shard}: the sample {quoted(id_)} has two files that are its {name}: "
                        f"{quoted(own[row].name if row in own else '')} and {quoted(member.name)}. Name one of them "
                        "with a part of its own before the ending, such as 7.left.jpg."
                    )
            elif last in _READ:
                for name, value in _values(ending, last, member).items():
                    if name not in plain:
                        plain[name] = [None] * n
                    plain[name][row] = value
    columns: Columns = {name: _view(kind, files, n) for name, (kind, files) in encoded.items()}
    columns |= {name: values for name, values in plain.items() if name not in columns}
    lasts = {e.rpartition(".")[2] for files in samples.values() for e in files}
    others = sorted(lasts - {*_KINDS, *_READ})
    if others:
        said = " Pickles are never opened; write pictures as .png, texts as .txt, the rest as .json."
        told = f"files ending in {', '.join(others[:12])} are not read.{said if {*_PICKLES} & {*others} else ''}"
        if not columns:
            raise InputError(f"webdataset: {told}")
        _log.warning("webdataset: %s", told)
    return columns


def _called(samples: Samples) -> dict[str, str]:
    """Ending -> the name of its view: its modality, or what stands before the ending."""
    endings = dict.fromkeys(e for files in samples.values() for e in files)
    return {e: e.rpartition(".")[0] or _KINDS[e] for e in endings if e.rpartition(".")[2] in _KINDS}


def _values(ending: str, last: str, member: Member) -> dict[str, Any]:
    """Column -> value that a file of text, of a class or of JSON gives.

    Raises:
        InputError: if it is too large, no text in UTF-8, or no JSON object.
    """
    where = f"{member.shard}: {quoted(member.name)}"
    if member.size > _LARGEST:
        raise InputError(f"{where} has {member.size:,} bytes; at most {_LARGEST:,} are read of a text.")
    try:
        text = (member.text or b"").decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is no text in UTF-8: byte {error.start} cannot be decoded.") from error
    if last in _TEXTS:
        return {ending.rpartition(".")[0] or "text": text}
    if last in _CLASSES:
        return {ending: text or None}
    try:
        found = parse_json(text, finite=False)
    except ValueError as error:
        raise InputError(f"{where} is no JSON text that can be read: {error}.") from error
    before = ending.rpartition(".")[0]
    found = found if isinstance(found, Mapping) else {before or "json": found}
    return {f"{before}.{k}" if before else str(k): v for k, v in found.items()}


def _view(kind: str, files: Mapping[int, Member], n: int) -> Column:
    missing = frozenset(range(n)) - files.keys()
    return EncodedView(lambda row: files[row].read(), range(n), kind, missing)


def _views(columns: Columns) -> dict[str, Sequence[str] | None]:
    """Modality -> columns that are views where none was named: all files, and texts or else captions of .json files."""
    found: dict[str, list[str]] = {kind: [] for kind in (*ENDINGS, "text")}
    for name, values in columns.items():
        if isinstance(values, EncodedView):
            found[values.kind].append(name)
    captions = next((c for c in ("text", *_CAPTIONS) if c in columns and isinstance(columns[c], list)), None)
    found["text"] += [] if captions is None else [captions]
    return {kind: names or None for kind, names in found.items()}
