"""Files: only regular ones are read, what is written is whole or not there, and one process at a time is inside."""

from __future__ import annotations

import contextlib
import difflib
import errno
import itertools
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from ..errors import InputError, quoted
from .progress import notice

try:
    import fcntl
except ImportError:  # a system without such locks: what a killed process left is not swept there
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = ".isomorph-*.tmp"
_SMALLEST = 1 << 20  # bytes that must be free before anything is computed for a file
_LOOKED_AT = 2_000  # names of a folder that are compared with one that is not there
_LARGEST_NUMBER = 1 << 63  # of a whole number in a JSON text: seeds are below, and NumPy holds no larger one

# ---------------------------------------------------------------- reading


def regular(path: str | os.PathLike[str], what: str = "") -> Path:
    """The path of a regular file, found by a look at its kind before it is opened: pipes and devices never end.

    Args:
        path: The file, or a link to it.
        what: What it is read as, for messages, such as ``"the result"``.

    Raises:
        InputError: if it is not there, or is no regular file.
    """
    target = as_path(path)
    what = f"{what} " if what else ""
    try:
        mode = target.stat().st_mode
    except OSError as error:
        near = beside(target) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"Cannot read {what}{_shown(path)}: {reason(error)}.{near}") from error
    if not stat.S_ISREG(mode):
        raise InputError(f"Cannot read {what}{_shown(path)}: it is {_kind(mode)}, and only regular files are read.")
    return target


def beside(path: Path, *, folders: bool = False) -> str:
    """What stands where nothing was found, as a sentence for messages: the nearest names, or which folder is missing.

    Args:
        path: A path at which there is nothing.
        folders: Whether folders are meant, which are then listed if no name is near.

    Example:
        >>> Path("pairs.csv").touch()
        >>> beside(Path("pears.csv"))
        " Did you mean 'pairs.csv'?"
    """
    parent = path.absolute().parent
    if not os.path.isdir(parent):  # noqa: PTH112  # Path.is_dir raises for a name that is too long
        above = next(p for p in parent.parents if os.path.isdir(p))  # noqa: PTH112  # likewise
        return f" There is no folder {_shown(parent)}; {_shown(above)} is there."
    try:
        with os.scandir(parent) as entries:
            there = [
                e.name for e in itertools.islice(entries, _LOOKED_AT) if e.is_dir() == folders and e.name[0] != "."
            ]
    except OSError:  # a folder that may not be read
        return ""
    near = difflib.get_close_matches(path.name[:255], there, n=3)
    if near or not folders:
        return f" Did you mean {' or '.join(map(quoted, near))}?" if near else ""
    listed = ", ".join(sorted(there)[:8]) + (", …" if len(there) > 8 else "")
    return f" Folders in {_shown(parent)}: {listed or 'none'}."


def as_path(path: Any, name: str = "path") -> Path:
    """A path, checked to be one.

    Raises:
        InputError: if it is neither a text nor a path, or holds a NUL character.
    """
    try:
        text = os.fspath(path)
        if isinstance(text, str) and b"\0" not in os.fsencode(text):  # half a surrogate pair has no bytes
            return Path(text)
    except (TypeError, ValueError):
        pass
    raise InputError(f"{name} must be the path of a file or folder, found {quoted(path)}.")


def read_text(path: str | os.PathLike[str], what: str = "") -> str:
    """The text of a regular file in UTF-8, with or without a byte-order mark.

    Raises:
        InputError: if it cannot be read, or is no such text.
    """
    try:
        return regular(path, what).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read {what or 'the file'} {_shown(path)}: {reason(error)}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{_shown(path)} is no text in UTF-8: byte {error.start} cannot be decoded. Save it as UTF-8."
        ) from error


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """The value of a JSON text in which every name is given once and every number can be held.

    Args:
        text: The text.
        finite: Whether NaN and infinities are refused, by name or as numbers too large for a float.

    Raises:
        ValueError: if it is not such a text.
    """
    hooks: dict[str, Any] = {"parse_int": _whole, "object_pairs_hook": _once}
    if finite:
        hooks |= {"parse_constant": _no_number, "parse_float": _finite}
    try:
        return json.loads(text, **hooks)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{quoted(text)[1:-1]} is no number that can be held")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _no_number(text)
    return value


def _whole(text: str) -> int:
    if len(text) > 160 or abs(value := int(text)) > _LARGEST_NUMBER:
        _no_number(text)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]  # `or` idiom
        raise ValueError(f"the name {quoted(twice)} is there twice")
    return found


def reason(error: BaseException) -> str:
    """Why something failed, without the path that the message names anyway."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).strip().rstrip(".")


# ---------------------------------------------------------------- writing


def check_target(path: str | os.PathLike[str], name: str = "to", *, suffixes: tuple[str, ...] = ()) -> Path:
    """Check that a file can be put at a path, before anything is computed for it.

    Args:
        path: Where a file is to be written. A symbolic link is followed: the file that it points to is replaced, and
            the link stays.
        name: The argument's name, for messages.
        suffixes: Endings of which the path must have one; none allow all.

    Returns:
        The path.

    Raises:
        InputError: if the path is a folder, pipe or device, has another ending, or a name that its file system cannot
            hold; if something on the way to it is a file or may not be written; or if the disk is full.
    """
    given = as_path(path, name)
    where = f"{name}={_shown(given)!r}"
    try:
        target = Path(os.path.realpath(given))
        mode = target.stat().st_mode if os.path.lexists(target) else None
    except OSError as error:
        raise InputError(f"{where} cannot be written: {reason(error)}.") from error
    if not given.name:
        raise InputError(f"{where} names no file; give a path such as 'result.json'.")
    if mode is not None and stat.S_ISDIR(mode):
        raise InputError(f"{where} is a folder; name a file in it, such as '{given / 'result.json'}'.")
    if mode is not None and not stat.S_ISREG(mode):
        raise InputError(
            f"{where} is {_kind(mode)}; only regular files are replaced. Write to a file, and pass its content on."
        )
    if suffixes and given.suffix.lower() not in suffixes:
        raise InputError(f"{where}: the suffix must be {' or '.join(suffixes)}, found {quoted(given.suffix)}.")
    _check_folder(target, where)
    return given


def _check_folder(target: Path, where: str) -> None:
    """Check what can be known of the folder that a file is to be put in.

    Raises:
        InputError: if it cannot be made, or not be written to.
    """
    folder = next(p for p in target.parents if os.path.lexists(p))
    if not folder.is_dir():
        raise InputError(f"{where} cannot be written: '{folder}' is a file, no folder. Choose another path.")
    if not os.access(folder, os.W_OK | os.X_OK):
        code = errno.EROFS if hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
        raise InputError(f"{where} cannot be written: {os.strerror(code)} for '{folder}'.")
    longest = _longest_name(folder)
    for part in target.relative_to(folder).parts:
        if len(os.fsencode(part)) > longest:
            raise InputError(
                f"{where} cannot be written: the name {quoted(part)} is longer than the {longest} bytes that "
                f"'{folder}' can hold. Choose a shorter one."
            )
    if shutil.disk_usage(folder).free < _SMALLEST:
        raise InputError(f"{where} cannot be written: {os.strerror(errno.ENOSPC)} for '{folder}'. Free some space.")


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # this system does not say
        return 255


def write_target(path: str | os.PathLike[str], content: bytes | str, name: str = "path") -> Path:
    """Write a file that a user named, whole or not at all; failures are said in words.

    Args:
        path: Where to, see `check_target`; its folder is made if it is not there.
        content: Bytes, or text that is written as UTF-8.
        name: The argument's name, for messages.

    Returns:
        The path.

    Raises:
        InputError: as `check_target`, or if the disk fails or runs full; nothing is left behind then.
    """
    given = check_target(path, name)
    try:
        atomic_write(given, content)
    except OSError as error:
        raise InputError(f"Cannot write {_shown(given)}: {reason(error)}. Nothing was left behind.") from error
    return given


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file that at every moment, even after a crash, is either the old one or the whole new one.

    Args:
        path: Where to; its folder is made if it is not there.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        OSError: if it cannot be written; nothing is left behind then.
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write to that takes its place at `path` when the block ends without an error.

    Until then it has no name where the file system allows that (O_TMPFILE), so that a kill leaves nothing; elsewhere
    it is a temporary file beside `path`, locked by its writer, and those that a kill left are removed by the next write
    to the folder. Writers of one file in several threads or processes do not meet: the last one stands.

    Args:
        path: Where the file is to be; its folder is made if it is not there. A symbolic link is followed.

    Yields:
        The open file, to read and write bytes.

    Raises:
        OSError: if the folder or the file cannot be written, or `path` is a pipe, a device or a folder.
    """
    target = Path(os.path.realpath(path))
    _require_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    temporary = target.parent / _TEMPORARY.replace("*", secrets.token_hex(8))
    handle = _open_temporary(temporary)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(handle)
            if not os.path.lexists(temporary):
                _name(handle, temporary)
            _require_replaceable(target)
            temporary.replace(target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _require_replaceable(target: Path) -> None:
    """Refuse what a rename would destroy.

    Raises:
        OSError: if there is something at the path that is no regular file.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = target.stat().st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, f"it is {_kind(mode)}, and only regular files are replaced", str(target))


def _open_temporary(path: Path) -> int:
    """A new file, locked by this process: without a name, or where that cannot be under `path`."""
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir():
        # not every file system has files without names; the named way says what else may be wrong
        with contextlib.suppress(OSError):
            return _locked(os.open(path.parent, flags | os.O_TMPFILE, 0o666))
    while True:
        handle = _locked(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666))
        if os.path.lexists(path):
            return handle
        os.close(handle)  # swept by another process before it was locked


def _name(handle: int, path: Path) -> None:
    """Give a file without a name one."""
    try:
        # a folder's descriptor, not needed for an absolute path, makes Python follow the link to the open file
        os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle, follow_symlinks=True)
    except OSError:  # a sandbox without this call
        with open(path, "xb") as copy, open(handle, "rb", closefd=False) as file:
            file.seek(0)
            shutil.copyfileobj(file, copy)
            copy.flush()
            os.fsync(copy.fileno())


def _locked(handle: int) -> int:
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _sweep(folder: Path) -> None:
    """Remove temporary files whose writer is gone: the kernel drops a lock with its process."""
    if fcntl is None:
        return
    for left in folder.glob(_TEMPORARY):
        with contextlib.suppress(OSError):  # its writer is at work, or it is another user's
            handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(handle)


@contextlib.contextmanager
def alone(path: str | os.PathLike[str], waiting: str = "") -> Iterator[None]:
    """Be the only process inside, by a lock on a file that the operating system drops with the process.

    Args:
        path: The lock's file; it is made, and stays. Its folder must be there.
        waiting: What the user is told, once, while another process is inside.

    Yields:
        Nothing; the lock is held until the block ends.

    Raises:
        OSError: if the file cannot be opened.
        RuntimeError: if this thread holds the lock already, which would wait for itself.
    """
    import filelock

    # not thread-local: an interrupted generator may be closed, and its lock let go, by another thread
    lock = filelock.FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if waiting:
            notice(waiting)
        lock.acquire(poll_interval=0.1)
    try:
        yield
    finally:
        lock.release()


def write_at(handle: int, data: Any, offset: int) -> None:
    """Write all of `data` at an offset; pwrite alone may write less.

    Raises:
        OSError: if there is no room left.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view, offset = view[written:], offset + written


def sync_file(path: Path) -> None:
    """Force a file's content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Force a folder's names to the disk, so that a new file is still there after a power failure."""
    with contextlib.suppress(OSError):  # some file systems refuse this and need it not
        sync_file(path)


# ---------------------------------------------------------------- words

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _kind(mode: int) -> str:
    return next((name for test, name in _KINDS if test(mode)), "no regular file")


def _shown(path: object) -> str:
    """A path without quotes, shortened: the paths of most messages stand bare."""
    text = quoted(os.fspath(path) if isinstance(path, os.PathLike) else path)
    return text[1:-1] if text[:1] in "'\"" else text
