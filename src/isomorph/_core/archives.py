"""Archives of package registries, read as data: wheels (zip files) and npm's tarballs.

Both are opened as an `Archive`: its files by name, each with its size and, where a wheel's own list says it, its
sha256.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import dataclasses
import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from ..errors import FetchError


@dataclasses.dataclass(frozen=True)
class File:
    """One file of an archive.

    Attributes:
        name: Its name, with folders.
        size: Bytes.
        linked: Whether it is a link to another place instead of a file.
        sha256: Hexadecimal hash as a wheel's list of files says; None where there is no such list.
    """

    name: str
    size: int
    linked: bool = False
    sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class Archive:
    """An open archive.

    Attributes:
        files: Its files by name.
        open: Opens one of them for reading, by its name.
    """

    files: dict[str, File]
    open: Callable[[str], IO[bytes]]

    def sha256(self, name: str) -> str:
        """Hexadecimal hash of one file: as recorded, else computed."""
        if (recorded := self.files[name].sha256) is not None:
            return recorded
        with self.open(name) as source:
            return hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]  # it reads bytes


def placed(home: Path, file: File, what: str) -> Path:
    """Where a file of an archive is copied to, in a folder that it may not leave.

    Args:
        home: The folder.
        file: The file.
        what: How the archive is called in errors.

    Raises:
        FetchError: if its name leads elsewhere, or it is a link.
    """
    name = PurePosixPath(file.name)
    if name.is_absolute() or ".." in name.parts or "\\" in file.name or ":" in file.name or file.linked:
        raise FetchError(f"{what} holds the unsafe file name {file.name!r}; nothing was read.")
    return home.joinpath(*name.parts)


@contextlib.contextmanager
def opened(path: Path, what: str) -> Iterator[Archive]:
    """Open an archive by the ending of its name: ``.whl`` or ``.tgz``.

    Args:
        path: The archive.
        what: How it is called in errors.

    Raises:
        FetchError: if it cannot be read as what it is called.
    """
    kind, reader = ("a wheel", _wheel) if path.suffix == ".whl" else ("an npm tarball", _tarball)
    try:
        with reader(path) as archive:
            yield archive
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FetchError(f"{what} is not {kind} that can be read: {error}.") from error


@contextlib.contextmanager
def _wheel(path: Path) -> Iterator[Archive]:
    with zipfile.ZipFile(path) as archive:
        recorded = _recorded(archive)
        files = {
            i.filename: File(i.filename, i.file_size, stat.S_ISLNK(i.external_attr >> 16), recorded.get(i.filename))
            for i in archive.infolist()
            if not i.is_dir()
        }
        yield Archive(files, archive.open)


@contextlib.contextmanager
def _tarball(path: Path) -> Iterator[Archive]:
    with tarfile.open(path, "r:gz") as archive:
        members = {m.name: m for m in archive.getmembers() if not m.isdir()}
        files = {n: File(n, m.size, linked=not m.isfile()) for n, m in members.items()}
        # `extractfile` gives None for links and devices alone
        yield Archive(files, lambda name: cast("IO[bytes]", archive.extractfile(members[name])))


def _recorded(archive: zipfile.ZipFile) -> dict[str, str]:
    """File name -> sha256 in hexadecimal, from the list that every wheel carries (PyPA, binary distribution format).

    The list is as trustworthy as the wheel, whose own sha256 is pinned.
    """
    name = next((n for n in archive.namelist() if n.endswith(".dist-info/RECORD")), None)
    if name is None:
        return {}
    found = {}
    for row in csv.reader(io.StringIO(archive.read(name).decode("utf-8", "replace"))):
        if len(row) == 3 and row[1].startswith("sha256="):
            digest = row[1].removeprefix("sha256=")
            found[row[0]] = base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()
    return found
