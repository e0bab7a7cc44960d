"""What an encoder said of itself when it was last loaded, so that it need not be loaded again only to be asked.

It is kept for names that say for good which weights are meant (`Provider.pinned`), one small file in the user's cache
each, and holds for the code and the libraries that loaded it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._core.files import atomic_write
from .._core.packages import cache_dir
from ._base import Encoder
from ._check import certificate_key
from ._provider import providers
from ._spec import parse_model_spec

FACTS: Mapping[str, type] = {
    **dict.fromkeys(("name", "revision", "modality"), str),
    **{"layers": tuple, "n_parameters": int, "identity": dict, "traits": dict},
}
"""Attributes of an encoder, and what each is once read back."""


def kept_facts(spec: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The facts of an encoder by name, or None where it has to be loaded.

    Args:
        spec: As `isomorph.load_encoder` takes it.
        options: All that it is loaded with.
    """
    place = _place(spec, options)
    try:
        return None if place is None else _read_back(place.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):  # not there, cut off, or edited by hand
        return None


def keep_facts(spec: str, options: Mapping[str, Any], encoder: Encoder) -> None:
    """Keep the facts of an encoder that was loaded by a spec with options; the next is loaded where that fails."""
    place = _place(spec, options)
    if place is not None:
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(place, _told(encoder).encode())


def facts_of(encoder: Encoder) -> dict[str, Any]:
    """The facts of an encoder that is loaded, as they are read back."""
    return _read_back(_told(encoder))


def _told(encoder: Encoder) -> str:
    return json.dumps({name: _plain(getattr(encoder, name)) for name in FACTS})


def _place(spec: str, options: Mapping[str, Any]) -> Path | None:
    provider = providers.classes.get(parse_model_spec(spec).provider or "")
    if provider is None or not provider.pinned:
        return None
    return cache_dir() / "facts" / f"{certificate_key({'facts of': spec, 'options': dict(options)})}.json"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _read_back(told: str) -> dict[str, Any]:
    found = json.loads(told)
    return {name: kind(found[name]) for name, kind in FACTS.items()}
