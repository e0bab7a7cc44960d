"""How much memory the metrics may work in: blocks shrink to it, and what cannot fit says so before it starts."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar

from ..errors import InputError, quoted

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SHARE = 8  # a block is at most this part of the limit: products, their copies and the best so far stand beside it

_limit: ContextVar[int | None] = ContextVar("isomorph_working_memory", default=None)


@contextlib.contextmanager
def working_memory(limit: str | int) -> Iterator[int]:
    """Let the metrics inside the ``with`` block work in at most this much memory beyond their inputs.

    ```python
    with working_memory("4GB"):
        metric("mutual_knn")(x, y)
    ```

    Blocks of intermediate products become as small as it takes; scores stay the same up to rounding. What must be held
    whole and is larger (an RDM, a dense kernel) is refused before it is computed. Without a limit blocks have fixed
    sizes (64 to 256 MB), and the machine's memory is the bound of what is held whole.

    Args:
        limit: ``"4GB"``, ``"512MiB"``, or a number of bytes; at least 16 MB.

    Yields:
        The limit in bytes.

    Raises:
        InputError: if the limit cannot be read or is too small to work in.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 500, 8))
        >>> with working_memory("64MB") as limit:
        ...     score = iso.metric("mutual_knn(k=5)")(x, y)
        >>> limit, round(score, 3)
        (64000000, 0.011)
    """
    token = _limit.set(parse_bytes(limit))
    try:
        yield int(_limit.get() or 0)
    finally:
        _limit.reset(token)


@contextlib.contextmanager
def limited(memory: str | int | None) -> Iterator[None]:
    """`working_memory`, or nothing if no limit is given.

    Raises:
        InputError: as `working_memory`.
    """
    if memory is None:
        yield
        return
    with working_memory(memory):
        yield


def parse_bytes(size: str | int, *, least: int = 16 * 10**6) -> int:
    """Bytes of ``"4GB"`` (10^9 each), ``"4GiB"`` (2^30 each) or a number of bytes.

    Raises:
        InputError: if it is neither, less than `least`, or more than any machine has.
    """
    whole = isinstance(size, str) or (isinstance(size, int | float) and abs(size) < 1e30)  # longer ones have no text
    match = whole and re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?i?)b?\s*", str(size)[:99].lower())
    if not match or isinstance(size, bool) or match[2] not in _UNITS:
        raise InputError(f"memory={quoted(size)} is no size of memory; give a text like '4GB' or '512MiB', or bytes.")
    found = int(float(match[1]) * _UNITS[match[2]])
    if found < least:
        raise InputError(f"memory={quoted(size)} is {shown(found)}; at least {shown(least)} are needed to work in.")
    return found


def block_bytes(default: int) -> int:
    """How large one block of intermediate results may be: `default`, or less under a limit."""
    limit = _limit.get()
    return default if limit is None else min(default, limit // _SHARE)


def ceiling() -> int:
    """The most that may be held at once: the limit, or else the machine's memory."""
    return _limit.get() or _machine()


def fits(needed: int) -> bool:
    """Whether that many bytes may be held at once."""
    return needed <= ceiling()


def require(needed: int, what: str, fix: str) -> None:
    """Refuse work that must hold more than there is, before it starts.

    Args:
        needed: Bytes that must be held at once.
        what: What needs them, such as ``"The RDM of 200,000 items"``.
        fix: What to do instead.

    Raises:
        InputError: if they do not fit.
    """
    if not fits(needed):
        bound = "the limit set for working memory" if _limit.get() else "this machine's memory"
        raise InputError(f"{what} needs {shown(needed)}, more than {bound}, {shown(ceiling())}. {fix}")


def require_copies(copies: int, shape: tuple[int, ...], what: str) -> None:
    """Refuse, under a limit, work that holds copies of features which do not fit it.

    Without a limit nothing is refused: the system says what it has.

    Args:
        copies: Copies in float64 that are held at once.
        shape: Shape of the features.
        what: What holds them.

    Raises:
        InputError: if they do not fit the limit.
    """
    if _limit.get() is not None and copies:
        needed, size = copies * 8 * math.prod(shape), " x ".join(f"{k:,}" for k in shape)
        require(
            needed,
            f"{what} holds about {copies} copies of features of {size} in double precision, and",
            "Give more memory=, use a metric that reads rows in blocks (cka, mutual_knn, nystrom_cka), or fewer items.",
        )


def shown(size: int) -> str:
    """A number of bytes for people: ``"1.5 GB"``."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


def _machine() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # this system does not say
        return 1 << 62
