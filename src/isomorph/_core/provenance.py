"""How a result came about: versions and fingerprints."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

_ALWAYS = ("isomorph", "numpy", "scipy", "scikit-learn")
IF_LOADED = ("torch", "transformers", "onnxruntime")  # asking for them must not import them
_elsewhere: set[str] = set()


def provenance(**facts: Any) -> dict[str, Any]:
    """What a result file says about its making: the given facts and the versions of what computed it.

    There is no time, path or machine name in it, so that the same inputs, seed and versions give the same bytes.

    Args:
        **facts: JSON-able settings of the computation, such as ``seed=0``.

    Returns:
        The facts, followed by ``versions``: python, isomorph, numpy, scipy, scikit-learn, and those of torch,
        transformers and onnxruntime that are loaded.
    """
    return {**facts, "versions": versions()}


def loaded() -> tuple[str, ...]:
    """Those of `IF_LOADED` that are loaded here, or in the process that this one works for."""
    return tuple(name for name in IF_LOADED if name in sys.modules or name in _elsewhere)


def work_for(names: Iterable[str]) -> None:
    """Say what the process that this one works for has loaded: results name the same versions wherever they are made.

    Args:
        names: Packages; they are not loaded here, which takes seconds.
    """
    _elsewhere.clear()
    _elsewhere.update(names)


@functools.cache
def installed(package: str) -> str | None:
    """Version of an installed package, None where it is not; looked up once, for that reads files."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number."""
    found = {"python": platform.python_version()}
    for name in (*_ALWAYS, *loaded()):  # of a source tree on the path, not installed, the module tells
        found[name] = installed(name) or str(getattr(sys.modules.get(name), "__version__", "not installed"))
    return found


def show_versions() -> None:
    """Print what a report of a fault should hold: versions, the machine, linear algebra and its threads, devices.

    Example:
        >>> import isomorph as iso
        >>> iso.show_versions()
        isomorph      0.1.0
        python        ...
    """
    rows = {"isomorph": "", **versions()}
    for name in ("torch", "transformers", "onnxruntime", "ray", "pandas"):
        if name not in rows and (found := installed(name)):
            rows[name] = found
    rows["platform"] = platform.platform()
    from threadpoolctl import threadpool_info

    for info in threadpool_info():
        kernel = info.get("architecture", "")
        rows[f"{info['internal_api']}"] = f"{info['version']}, {info['num_threads']} threads {kernel}".rstrip()
    if "torch" in sys.modules:  # asking must not take seconds
        cuda = sys.modules["torch"].cuda
        rows["cuda"] = ", ".join(cuda.get_device_name(k) for k in range(cuda.device_count())) or "no device"
    for name, value in rows.items():
        print(f"{name:<13} {value}")


def canonical_json(obj: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, tuples as lists, NumPy numbers as numbers.

    Raises:
        TypeError: if something in it has no canonical text (arrays, paths, functions).
        ValueError: if it holds NaN or infinity.
    """
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def fingerprint(obj: Any) -> str:
    """SHA-256 (hexadecimal) of the canonical JSON of `obj`: equal values have equal fingerprints on every machine.

    Raises:
        TypeError: as `canonical_json`.
        ValueError: as `canonical_json`.
    """
    return hashlib.sha256(canonical_json(obj).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON text")
