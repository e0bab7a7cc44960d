"""Checks of plain settings that several doors share, so that each gives the same answer to the same mistake."""

from __future__ import annotations

import errno
import math
import numbers
import os
from pathlib import Path
from typing import Any

from ..errors import InputError


def as_seed(seed: Any, name: str = "seed") -> int:
    """A seed of random draws, checked.

    Args:
        seed: A whole number of at least 0; NumPy's integers are fine.
        name: The setting's name, for messages.

    Raises:
        InputError: if it is anything else.
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise InputError(f"{name}={seed!r}: a seed must be a whole number of at least 0, such as {name}=0.")
    return int(seed)


def as_count(value: Any, name: str, least: int = 1) -> int:
    """A whole number, checked.

    Args:
        value: A whole number of at least `least`; NumPy's integers are fine.
        name: The setting's name, for messages.
        least: The smallest that is allowed.

    Raises:
        InputError: if it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InputError(f"{name}={value!r}: a whole number of at least {least} is needed.")
    return int(value)


def is_finite(value: Any) -> bool:
    """Whether a value is a number that is neither infinite nor NaN."""
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)


def is_share(value: Any) -> bool:
    """Whether a value is a number between 0 and 1, both excluded."""
    return is_finite(value) and 0 < float(value) < 1


def check_flag(value: Any, name: str) -> None:
    """Check a setting that is True or False: a text such as "no" would count as True.

    Raises:
        InputError: if it is neither.
    """
    if type(value).__name__ not in ("bool", "bool_"):  # the second is NumPy's
        raise InputError(f"{name}={value!r} must be True or False.")


def check_budget(budget: float | None) -> None:
    """Check a limit of seconds.

    Raises:
        InputError: if it is given and is no number of seconds of at least 0.
    """
    if budget is None:
        return
    if isinstance(budget, bool) or not isinstance(budget, numbers.Real) or not math.isfinite(budget) or budget < 0:
        raise InputError(f"budget={budget!r}: a number of seconds of at least 0 is needed, or none for no limit.")


def check_file_target(path: str | os.PathLike[str], name: str = "to") -> None:
    """Check that a file can be put at a path, before anything is computed for it.

    Args:
        path: Where a result is to be written.
        name: The argument's name, for messages.

    Raises:
        InputError: if the path is a folder, or something on the way to it is a file or may not be written.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{name}='{target}' is a folder; name a file in it, such as '{target / 'result.json'}'.")
    folder = next(p for p in (*target.absolute().parents,) if os.path.lexists(p))
    if not folder.is_dir():
        raise InputError(f"{name}='{target}' cannot be written: '{folder}' is a file, no folder. Choose another path.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{name}='{target}' cannot be written: {os.strerror(errno.EACCES)} for '{folder}'.")
