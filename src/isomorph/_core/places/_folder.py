"""A folder as a place: also one that several hosts share, over NFS too; no locks are used."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import mmap
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import StoreError
from ..files import reason, sync_folder, write_at
from ._base import RESUMABLE, Buffer, Place

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclasses.dataclass(frozen=True)
class Folder(Place):
    """A folder on this machine."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder

    @property
    def address(self) -> str:
        return str(self.path)

    @property
    def local(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return self.path.name

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.path / name)

    def check_writable(self) -> None:
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def folders(self) -> list[str]:
        with self._reading(), contextlib.suppress(FileNotFoundError), os.scandir(self.path) as entries:
            return sorted(e.name for e in entries if e.is_dir())
        return []

    def objects(self) -> Mapping[str, float]:
        found = {}
        with self._reading(), contextlib.suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    if entry.is_file():
                        found[entry.name] = entry.stat().st_mtime
        return dict(sorted(found.items()))

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for name in names:
            data = None
            with self._reading(), contextlib.suppress(FileNotFoundError):
                data = (self.path / name).read_bytes()
            found.append(data)
        return found

    def spans(self, wanted: Sequence[tuple[str, int, int]]) -> list[Buffer | None]:
        """Parts of files, memory-mapped."""
        return [self._mapped(*span) for span in wanted]

    def _mapped(self, name: str, start: int, length: int) -> Buffer | None:
        with self._reading(), contextlib.suppress(FileNotFoundError), open(self.path / name, "rb") as file:
            if os.fstat(file.fileno()).st_size >= start + length:
                if not length:
                    return b""
                whole = mmap.mmap(file.fileno(), start + length, access=mmap.ACCESS_READ)
                return memoryview(whole)[start:]
        return None

    def put(self, name: str, blocks: Iterable[Any]) -> None:
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            _write(self.path / name, blocks)
            sync_folder(self.path)

    def put_new(self, name: str, data: bytes) -> bool:
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            new = _put_new(self.path / name, data)
            sync_folder(self.path)
        return new

    def delete(self, names: Iterable[str]) -> None:
        with self._writing():
            for name in names:
                (self.path / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"Cannot write {self.path}: {reason(error)}."
            if error.errno in _FULL:
                what = f"There is no room left for {self.path} ({reason(error)}). Free some space and run again."
            raise StoreError(f"{what} {RESUMABLE}") from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"Cannot read {self.path}: {reason(error)}.") from error


def _write(path: Path, blocks: Iterable[Any]) -> None:
    """A new file, forced to the disk; what cannot be written whole is removed."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _fill(handle, blocks)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _fill(handle: int, blocks: Iterable[Any]) -> None:
    offset = 0
    for block in blocks:
        write_at(handle, block, offset)
        offset += memoryview(block).nbytes
    os.fsync(handle)


def _put_new(target: Path, data: bytes) -> bool:
    """A new file, whole or not there; False if there is one of that name."""
    if hasattr(os, "O_TMPFILE"):
        # without a name until it is whole, so that a kill leaves nothing; not every file system has such files
        with contextlib.suppress(OSError):
            handle = os.open(target.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666)
            try:
                _fill(handle, [data])
                # a folder's descriptor, not needed here, makes Python follow the link to the open file
                os.link(f"/proc/self/fd/{handle}", target, src_dir_fd=handle, follow_symlinks=True)
            except FileExistsError:
                return False
            finally:
                os.close(handle)
            return True
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    _write(temporary, [data])
    try:
        return _give_name(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _give_name(temporary: Path, target: Path) -> bool:
    """Give a whole file its name if there is none of that name: a hard link is refused where there is one."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError:
        # over NFS a link can be made although its answer was lost; then the file has two names
        if temporary.stat().st_nlink > 1:
            return True
        if target.exists():
            return False
        # a file system without hard links: of two that come at once the later stands, which says the same
        temporary.replace(target)
    return True
