"""How a result was made, to copy: as a step of a study and as a call in Python."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._core.settings import Settings
from ..atlases import AtlasSettings
from ..concept_maps import ConceptSettings
from ..fusion import FuseSettings
from ..results import ConceptMap, Result, Scan, Stitch
from ..scanning import ScanSettings
from ..stitching import StitchSettings
from ._text import printable

_ALWAYS = ("permutations", "seed")  # said even where they are those of the verb
_MACHINE = ("budget", "memory", "device")  # of the machine, not of the question


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A result's settings as text.

    Attributes:
        toml: A table of a study file.
        python: A call.
    """

    toml: str
    python: str


@dataclasses.dataclass(frozen=True)
class _Kind:
    """How results of one verb are written: the table of a study, the settings, and what was compared."""

    table: str
    settings: type[Settings]
    list: str
    specs: Callable[[Any], Sequence[str]]
    sides: Callable[[Any], Mapping[str, Any]]
    arguments: str


def _pair(result: Scan | Stitch | ConceptMap) -> dict[str, str]:
    return {"x": result.x_name, "y": result.y_name}


_KINDS: dict[str, _Kind] = {
    "scan": _Kind("scans", ScanSettings, "metrics", list, _pair, "x, y"),
    "stitch": _Kind("stitches", StitchSettings, "maps", list, _pair, "x, y"),
    "fusion": _Kind(
        "fusions",
        FuseSettings,
        "heads",
        lambda r: list(r.heads),
        lambda r: {"spaces": [r.models.get(n, n) for n in r.singles], "target": r.target},
        "spaces, target",
    ),
    "concept_map": _Kind(
        "concepts",
        ConceptSettings,
        "",
        lambda r: (),
        lambda r: {**_pair(r), "labels": list(r.provenance.get("label_sets", ()))},
        "x, y, items=items, labels=labels",
    ),
    "atlas": _Kind("atlases", AtlasSettings, "metrics", list, lambda r: {"models": list(r.models)}, "models"),
}


def recipe(result: Result) -> Recipe | None:
    """The settings of a result as a step of a study and as a call, or None for kinds that no study makes so.

    What differs from the verb's own settings is written, with permutations and seed; names stand for the sides.

    Args:
        result: A scan, a stitch, a fusion, a map of concepts or an atlas.
    """
    kind = _KINDS.get(result.kind)
    if kind is None:
        return None
    found: Mapping[str, Any] = getattr(result, "provenance", {})
    given = {k: v for k, v in _settings(kind, found).items() if k != kind.list}
    specs = {kind.list: list(kind.specs(result))} if kind.list else {}
    sides = dict(kind.sides(result))
    design = found.get("design", {})
    how = design.get("items", "") if isinstance(design, Mapping) else ""
    free = how in ("", "permuted freely")
    note = [] if free else [f"# items were {' '.join(printable(how).split())}"]
    against = [*getattr(result, "baselines", ()), *(f"ceiling {c}" for c in getattr(result, "ceilings", ()))]
    note += [f"# beside {' '.join(printable(', '.join(against)).split())}"] if against else []
    lines = [*note, f"[[{kind.table}]]", *(f"{k} = {_toml(v)}" for k, v in {**sides, **specs, **given}.items())]
    call = {"fusion": "fuse", "concept_map": "concepts"}.get(result.kind, result.kind)
    written = [kind.arguments, *(f"{k}={_python(v)}" for k, v in {**specs, **given}.items())]
    told = [f"# {k}: {_toml(v)}" for k, v in sides.items()]
    return Recipe("\n".join(lines), "\n".join([*note, *told, f"iso.{call}({', '.join(written)})"]))


def _settings(kind: _Kind, found: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that a result records and that are not the verb's own, in the verb's order."""
    fields = {f.name: f.default for f in dataclasses.fields(kind.settings)}
    given = {}
    for name, usual in fields.items():
        value = found.get(name)
        if name not in found or value is None or name in _MACHINE:
            continue
        plain, own = (list(v) if isinstance(v, (list, tuple)) else v for v in (value, usual))
        if plain != own or name in _ALWAYS:
            given[name] = plain
    return given


def _toml(value: Any) -> str:
    """A value as TOML writes it; texts are written as in JSON, which TOML reads alike."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(printable(k))} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(printable(value), ensure_ascii=False) if isinstance(value, str) else repr(value)


def _python(value: Any) -> str:
    return repr(printable(value)) if isinstance(value, str) else repr(value)
