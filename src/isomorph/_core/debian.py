"""Packages of Debian, read as data: a ``.deb`` is an ``ar`` archive in which lies a tar archive of the files.

Nothing is installed and no script of a package runs: regular files are copied out, and nothing else.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import lzma
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ..errors import FetchError
from .archives import File, placed

MAX_BYTES = 1 << 32
"""Most bytes that are copied out of a package: a small archive can be made to unpack without end."""

_MAGIC = b"!<arch>\n"
_HEADER = 60  # bytes before each part of an ar archive: name 16, then times and owners, size 10 at 48, "`\n"
_BY_TARFILE = {"": "r|", ".gz": "r|gz", ".xz": "r|xz", ".bz2": "r|bz2"}
_CHUNK = 1 << 20


def unpack(deb: Path, into: Path, prefixes: Sequence[str], what: str) -> dict[str, str]:
    """Copy the files of a package whose names start with one of the prefixes into a folder.

    Args:
        deb: The package.
        into: The folder.
        prefixes: Beginnings of names, such as ``usr/share/doc/``.
        what: How the package is called in errors.

    Returns:
        Name -> hexadecimal sha256 of each file that was copied.

    Raises:
        FetchError: if it is no package that can be read, or a file has an unsafe name, is a link, or is too large.
    """
    found: dict[str, str] = {}
    left = MAX_BYTES
    try:
        with _data(deb, what) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isdir() or not name.startswith(tuple(prefixes)):
                    continue
                target = placed(into, File(name, member.size, linked=not member.isreg()), what)
                left -= member.size
                if left < 0:
                    raise FetchError(f"{what} unpacks to more than {MAX_BYTES / 1e9:.1f} GB; nothing was kept.")
                target.parent.mkdir(parents=True, exist_ok=True)
                found[name] = _copy(archive.extractfile(member), target)
    except (tarfile.TarError, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise FetchError(f"{what} is not a package of Debian that can be read: {error}.") from error
    return found


def _copy(source: IO[bytes] | None, target: Path) -> str:
    assert source is not None  # only links and devices have no content, and those were refused
    digest = hashlib.sha256()
    with open(target, "wb") as sink:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            sink.write(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _data(deb: Path, what: str) -> Iterator[tarfile.TarFile]:
    """The tar archive of the files, read once from its beginning to its end.

    Raises:
        ValueError: if there is none.
        FetchError: if its compression needs a program that is not there.
    """
    with open(deb, "rb") as file:
        name, start, size = next(((n, at, s) for n, at, s in _parts(file) if n.startswith("data.tar")), ("", 0, 0))
        if not name:
            raise ValueError("it holds no data.tar")
        mode = _BY_TARFILE.get(name.removeprefix("data.tar"))
        if mode is not None:
            with tarfile.open(fileobj=_Slice(file, start, size), mode=mode) as archive:  # type: ignore[call-overload]  # any mode
                yield archive
            return
    with _by_dpkg(deb, name, what) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        yield archive


def _parts(file: IO[bytes]) -> Iterator[tuple[str, int, int]]:
    """Name, place and size of each part of an ar archive.

    Raises:
        ValueError: if it is none.
    """
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not begin as an ar archive does")
    end = file.seek(0, io.SEEK_END)
    at = len(_MAGIC)
    while at < end:
        file.seek(at)
        header = file.read(_HEADER)
        if len(header) < _HEADER or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise ValueError("it is damaged, or cut off")
        size, start = int(header[48:58]), at + _HEADER
        if start + size > end:
            raise ValueError("it is cut off")
        yield header[:16].decode("ascii", "replace").strip().rstrip("/"), start, size
        at = start + size + size % 2  # parts begin at even places


class _Slice(io.RawIOBase):
    """Some bytes of a file, as a file."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._left = file, size
        file.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._file.read(min(len(buffer), self._left))
        self._left -= len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)


@contextlib.contextmanager
def _by_dpkg(deb: Path, name: str, what: str) -> Iterator[IO[bytes]]:
    """The tar archive as dpkg-deb decompresses it: Python reads no Zstandard before 3.14.

    Raises:
        FetchError: if dpkg-deb is not there.
        ValueError: if it fails.
    """
    client = shutil.which("dpkg-deb")
    if client is None:
        raise FetchError(
            f"{what} is compressed as {name}, which takes dpkg-deb to read, and that is not installed here. "
            f"Unpack it where it is (dpkg-deb -x {deb.name} FOLDER), and name the folder."
        )
    command = [client, "--fsys-tarfile", str(deb.absolute())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
            while process.stdout.read(_CHUNK):  # what follows the end of the tar archive
                pass
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise ValueError(f"dpkg-deb fails on it (exit status {process.returncode})")
