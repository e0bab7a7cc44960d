"""A prefix of an object store as a place, through fsspec: ``s3://``, ``gs://``, ``memory://`` and others.

Credentials are the environment's, read by the library that speaks to the store; nothing here sees or keeps them. Every
failure is told in one sentence made here: what libraries say may quote requests.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from pathlib import Path
from typing import Any

from ...errors import InputError, MissingExtraError, StoreError, quoted
from ..files import reason
from ._base import RESUMABLE, Buffer, Place

_FIRST = 9.0  # seconds within which an address must answer for the first time
_ATTEMPTS = 4  # of a request that fails or is not answered, by the library that makes it
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": 30,
            "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        }
    }
}
_PACKAGES = {"s3": ("s3fs", "remote"), "memory": ("fsspec", "remote"), "gs": ("gcsfs", "gs"), "gcs": ("gcsfs", "gs")}
_BUSY = ("ConditionalRequestConflict", "409")  # another conditional write of that object is under way
_THERE = ("PreconditionFailed", "412")
_DENIED = {
    *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401", "403"),
    *("AuthorizationHeaderMalformed", "NoCredentialsError", "PartialCredentialsError", "PermissionError"),
}
_SILENT = {
    *("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "HTTPClientError"),
    *("ConnectionError", "TimeoutError", "FSTimeoutError", "ClientConnectorError", "ProxyConnectionError"),
}
_FAILING = {"InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "500", "502", "503", "504"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507", errno.ENOSPC, errno.EDQUOT}
_WORDS: Sequence[tuple[Set[Any], str]] = (
    ({"NoSuchBucket", "FileNotFoundError"}, "there is no such bucket; create it, or correct the address"),
    (_FULL, "there is no room left; free some, or have the quota raised"),
    (
        _DENIED,
        "access is denied; check the credentials of the environment (for s3://, AWS_PROFILE or AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY) and what they allow",
    ),
    (
        {"NotImplemented", "NotImplementedError", "501"},
        "it knows no conditional writes (put-if-absent, for S3 If-None-Match), which several writers need; use a store "
        "that does, or a folder",
    ),
    (_FAILING, f"the server fails, {_ATTEMPTS} or more times in a row"),
    (
        _SILENT,
        "it does not answer; check the network and the address (for other servers than Amazon's, AWS_ENDPOINT_URL)",
    ),
)
_SCHEMES = ("s3", "gs", "gcs", "az", "abfs", "memory")
_alone = threading.Lock()
_opened: dict[tuple[str, int], Any] = {}
_checked: set[tuple[str, int]] = set()


@dataclasses.dataclass(frozen=True)
class Remote(Place):
    """A prefix of an object store.

    Attributes:
        where: Its address, without a slash at the end.
    """

    where: str

    @classmethod
    def at(cls, where: str, name: str) -> Remote:
        """The place at an address whose scheme is known; nothing is asked yet.

        Raises:
            InputError: if the scheme is unknown, or a bucket is missing.
            MissingExtraError: if the package that opens it is not installed.
        """
        scheme, _, rest = where.partition("://")
        rest = rest.rstrip("/")
        if scheme.lower() not in _SCHEMES:
            raise InputError(
                f"{name}={quoted(where)}: the scheme {scheme!r} is unknown; {', '.join(_SCHEMES)} and file are known, "
                "which keep conditional writes."
            )
        if not rest:
            raise InputError(f"{name}={quoted(where)} names no bucket; {scheme}://bucket/features does.")
        try:
            import fsspec

            fsspec.get_filesystem_class(scheme.lower())
        except ImportError as error:
            package, extra = _PACKAGES.get(scheme.lower(), ("", ""))
            if not package:
                raise InputError(f"{name}={quoted(where)} cannot be opened: {reason(error)}.") from error
            raise MissingExtraError(f"The address {scheme}://", package, extra) from error
        return cls(f"{scheme.lower()}://{rest}")

    @property
    def address(self) -> str:
        return self.where

    @property
    def path(self) -> Path:
        raise StoreError(f"{self.where} is no folder on this machine; copy it to one first.")

    @property
    def local(self) -> bool:
        return False

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.where}/{name}")

    def check_writable(self) -> None:
        key = self._root, os.getpid()
        if key not in _checked:
            _check(self)
            _checked.add(key)

    def folders(self) -> list[str]:
        return sorted(_last(info) for info in self._listed() if info["type"] == "directory")

    def objects(self) -> Mapping[str, float]:
        files = [info for info in self._listed() if info["type"] == "file"]
        return dict(sorted((_last(info), _changed(info)) for info in files))

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        found = self._ranges([(name, None, None) for name in names])
        return [None if data is None else bytes(data) for data in found]

    def spans(self, wanted: Sequence[tuple[str, int, int]]) -> list[Buffer | None]:
        found = self._ranges([(name, start, start + length) for name, start, length in wanted])
        return [
            data if data is not None and len(data) == length else None
            for data, (_, _, length) in zip(found, wanted, strict=True)
        ]

    def put(self, name: str, blocks: Iterable[Any]) -> None:
        with self._asked("written", resumable=True):
            self._fs.pipe_file(self._at(name), b"".join(blocks))

    def put_new(self, name: str, data: bytes) -> bool:
        with self._asked("written", resumable=True):
            return self._create(name, data)

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            # what is not there: each library has its own word for it
            with self._asked("written"), contextlib.suppress(FileNotFoundError, KeyError):
                self._fs.rm_file(self._at(name))

    # ------------------------------------------------------------ the library

    @property
    def _root(self) -> str:
        """The bucket's address: what is asked once is asked for all in it."""
        scheme, _, rest = self.where.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    @property
    def _fs(self) -> Any:
        key = self._root, os.getpid()  # a client is no child process's
        if key not in _opened:
            _opened[key] = _open(self)
        return _opened[key]

    @property
    def _key(self) -> str:
        return str(self._fs._strip_protocol(self.where))

    def _at(self, name: str) -> str:
        return f"{self._key}/{name}"

    def _create(self, name: str, data: bytes) -> bool:
        fs, path = self._fs, self._at(name)
        for attempt in range(_ATTEMPTS):
            try:
                # file systems in memory look first and write then
                with contextlib.nullcontext() if fs.async_impl else _alone:
                    fs.pipe_file(path, data, mode="create")
                return True
            except FileExistsError:
                return False
            except Exception as error:  # each library has errors of its own
                codes = _codes(error)
                if codes & set(_THERE):
                    return False
                if not codes & set(_BUSY) or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.1 * 2**attempt)
        return False

    def _listed(self) -> list[dict[str, Any]]:
        with self._asked("read"):
            try:
                found = self._fs.ls(self._key, detail=True)
            except FileNotFoundError as error:
                if "NoSuchBucket" in _codes(error):
                    raise
                return []
        # some stores have an object in the folder's own name
        return [info for info in found if info["name"].strip("/") != self._key.strip("/")]

    def _ranges(self, wanted: Sequence[tuple[str, int | None, int | None]]) -> list[bytes | None]:
        if not wanted:
            return []
        with self._asked("read"):
            names, starts, ends = zip(*wanted, strict=True)
            found = self._fs.cat_ranges([self._at(name) for name in names], list(starts), list(ends), on_error="return")
            for data in found:
                if isinstance(data, Exception) and not _is_absent(data):
                    raise data
        return [None if isinstance(data, Exception) else data for data in found]

    @contextlib.contextmanager
    def _asked(self, what: str, *, resumable: bool = False) -> Iterator[None]:
        """Tell what goes wrong in the library in words.

        Raises:
            StoreError: if something does.
        """
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # whatever the libraries under fsspec raise
            raise StoreError(
                f"{self.where} cannot be {what}: {_words(error)}.{' ' + RESUMABLE if resumable else ''}"
            ) from error


def _open(place: Remote) -> Any:
    """The file system of a place, which has answered once.

    Raises:
        StoreError: if it does not answer in time.
    """
    import fsspec

    scheme = place.where.partition("://")[0]

    def look() -> Any:
        fs = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **_OPTIONS.get(scheme, {}))
        if scheme == "s3":
            fs.retries = 2  # each of as many attempts as are set above
        with contextlib.suppress(FileNotFoundError):  # which bucket is missing is told where it is used
            fs.ls(fs._strip_protocol(place.where), detail=False)
        return fs

    with place._asked("reached"):
        return _within(_FIRST, look)


def _check(place: Remote) -> None:
    """Put an object that no other writer puts, twice: the second time must be refused.

    Raises:
        StoreError: if it is not, or the store cannot be written.
    """
    probe = f".isomorph-probe-{secrets.token_hex(8)}"
    with place._asked("written"):
        # the first is refused too if its answer was lost and the library asked again
        first = place._create(probe, b"1") or place.read([probe]) == [b"1"]
        second = place._create(probe, b"2")
        with contextlib.suppress(StoreError):  # who may not delete leaves one byte
            place.delete([probe])
    if second or not first:
        raise StoreError(
            f"{place.where} cannot be written by several: it puts an object over another where it was told not to "
            "(conditional writes, for S3 If-None-Match). Use a store that keeps them, or a folder."
        )


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """What comes of some work in a thread, which is left to itself if it takes too long.

    Raises:
        TimeoutError: if it does.
    """
    results: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="isomorph-first-answer")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not results:
        raise TimeoutError
    return results[0]


def _codes(error: BaseException) -> set[Any]:
    """What an error and its causes are called: classes, error numbers, codes of the server."""
    found: set[Any] = set()
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        found |= {kind.__name__ for kind in type(at).__mro__} | {getattr(at, "errno", None)}
        found |= {str(vars(at).get(name)) for name in ("status", "code")}  # aiohttp's, gcsfs'
        response = getattr(at, "response", None)  # botocore's
        if isinstance(response, Mapping):
            found.add(str(response.get("Error", {}).get("Code")))
            found.add(str(response.get("ResponseMetadata", {}).get("HTTPStatusCode")))
        at = at.__cause__ or at.__context__
    return found


def _words(error: BaseException) -> str:
    codes = _codes(error)
    for names, words in _WORDS:
        if codes & set(names):
            return words
    return f"the library that opens it raises {type(error).__name__}"


def _is_absent(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError | IndexError | KeyError) or bool(_codes(error) & {"InvalidRange", "416"})


def _last(info: Mapping[str, Any]) -> str:
    return str(info["name"]).rstrip("/").rpartition("/")[2]


def _changed(info: Mapping[str, Any]) -> float:
    """When an object was last changed; now, if the store does not say."""
    for key in ("LastModified", "updated", "mtime", "created", "last_modified"):
        value = info.get(key)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, float | int):
            return float(value)
    return time.time()
