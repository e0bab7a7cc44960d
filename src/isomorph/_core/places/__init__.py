"""Places: a folder, or a prefix of an object store; both hold objects that are whole or not there."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from ...errors import InputError, quoted
from ..files import as_path
from ._base import RESUMABLE, Buffer, Place
from ._folder import Folder

__all__ = ["RESUMABLE", "Buffer", "Folder", "Place", "is_address", "open_place"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter is a drive of Windows


def is_address(where: Any) -> bool:
    """Whether a text names a place by a scheme, such as ``s3://bucket/features``; ``file://`` is a folder's.

    Example:
        >>> is_address("s3://bucket/features"), is_address("features/")
        (True, False)
    """
    return isinstance(where, str) and bool(_SCHEME.match(where)) and _scheme(where) not in ("file", "local")


def open_place(where: str | os.PathLike[str], name: str = "store") -> Place:
    """The place at a path or an address; nothing is read or made yet.

    Args:
        where: Path of a folder, or an address such as ``s3://bucket/features``, ``gs://…``, ``memory://…``.
        name: The argument's name, for messages.

    Raises:
        InputError: if it is neither, or the address holds credentials or misses its bucket.
        MissingExtraError: if it is an address and the package that opens it is not installed.

    Example:
        >>> open_place("file:///data/features").path
        PosixPath('/data/features')
    """
    if isinstance(where, str) and _SCHEME.match(where):
        parts = urlsplit(where)
        if "@" in parts.netloc:
            raise InputError(
                f"{name}= holds a user or password in its {_scheme(where)}:// address. Leave them out: credentials "
                "are read from the environment, such as AWS_PROFILE or AWS_ACCESS_KEY_ID."
            )
        if parts.query or parts.fragment:
            bare = quoted(f"{_scheme(where)}://{parts.netloc}{parts.path}")
            raise InputError(f"{name}={bare}: an address has no '?' or '#' in it; leave what follows it out.")
        if is_address(where):
            from ._remote import Remote

            return Remote.at(where, name)
        if parts.netloc not in ("", "localhost"):
            raise InputError(f"{name}={quoted(where)}: a folder's address has three slashes, as in file:///data.")
        where = unquote(parts.path)
    elif isinstance(where, str) and "://" in where:
        raise InputError(
            f"{name}={quoted(where)} is no address; one begins with its scheme, as in s3://bucket/features."
        )
    return Folder(as_path(where, name))


def _scheme(where: str) -> str:
    return where.partition("://")[0].lower()
