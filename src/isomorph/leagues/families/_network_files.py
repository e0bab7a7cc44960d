"""Networks of a family on disk: one file each, written whole, so that training goes on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..._core.files import atomic_file
from .._family import Network

VERSION = 1


def saved(path: Path, network: Network) -> None:
    """Write a network to a ``.npz`` file."""
    arrays: dict[str, Any] = {f"layers.{k}": v for k, v in network.layers.items()}
    arrays |= {f"pooled.{k}": v for k, v in (network.pooled or {}).items()}
    if network.outputs is not None:
        arrays["outputs"] = network.outputs
    if network.head is not None:
        arrays["head.weight"], arrays["head.bias"] = network.head
    facts = {
        "version": VERSION,
        "name": network.name,
        "attributes": dict(network.attributes),
        "layers": [*network.layers],
    }
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    with atomic_file(path) as file:
        np.savez(file, **arrays)


def read(path: Path) -> Network | None:
    """A network from its file; None if there is none, or it is damaged or of another version."""
    try:
        with np.load(path, allow_pickle=False) as held:
            facts = json.loads(held["facts"].tobytes())
            if facts["version"] != VERSION:
                return None
            pooled = {k: held[f"pooled.{k}"] for k in facts["layers"] if f"pooled.{k}" in held}
            return Network(
                facts["name"],
                {k: held[f"layers.{k}"] for k in facts["layers"]},
                held.get("outputs"),
                facts["attributes"],
                (held["head.weight"], held["head.bias"]) if "head.weight" in held else None,
                pooled or None,
            )
    except Exception:  # whatever a damaged file makes NumPy trip over: the network is made anew
        return None
