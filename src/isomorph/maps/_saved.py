"""Fitted maps as files: a NumPy archive of what was learned, nothing pickled, the same bytes for the same map."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._core.arrayfiles import read_npz
from .._core.files import parse_json, reason, regular, write_target
from ..errors import InputError

FORMAT = 1
_HEADER = "isomorph"


def write_map(path: str | os.PathLike[str], spec: str, learned: Mapping[str, Any]) -> Path:
    """Write a map's full spec and what it learned: arrays as arrays, all else in a JSON header."""
    arrays = {k: v for k, v in learned.items() if isinstance(v, np.ndarray)}
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in learned.items() if k not in arrays}
    header = json.dumps({"format": FORMAT, "map": spec, "learned": plain}, sort_keys=True)
    file = io.BytesIO()
    members: dict[str, Any] = {_HEADER: np.frombuffer(header.encode(), dtype=np.uint8), **dict(sorted(arrays.items()))}
    np.savez(file, **members)
    return write_target(path, file.getvalue())


def read_map(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """The full spec of a saved map, and what it learned.

    Raises:
        InputError: if the file cannot be read as a map.
    """
    file = regular(path, "the map")
    try:
        members: dict[str, Any] = dict(read_npz(file))
        header = parse_json(members.pop(_HEADER).tobytes())
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} is no map that `Map.save` wrote: {reason(error)}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT or not isinstance(header.get("learned"), dict):
        raise InputError(f"{path} is no map of this version of Isomorph (format {FORMAT}).")
    return str(header.get("map")), {**members, **header["learned"]}
