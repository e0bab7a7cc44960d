"""What there is, as tables: the kinds of every room with the facts that a choice needs, read from the code.

The command ``isomorph list`` and the pages of ``docs/`` show these same tables.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from . import datasets, metrics

Rows = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]


def list_metrics() -> Rows:
    """Every metric with its range, chance level, parameters and aliases."""
    rows = []
    for name, cls in metrics.REGISTRY.classes.items():
        metric = cls()
        aliases = ", ".join(cls.aliases)
        low, high = metric.range
        rows.append((name, f"[{low:g}, {high:g}]", metric.chance, _parameters(cls), aliases))
    return ("metric", "range", "chance", "parameters", "also known as"), rows


def list_datasets() -> Rows:
    """Every dataset with its parameters and its source."""
    rows = [(name, _parameters(cls), first_line(cls), cls.reference) for name, cls in datasets.REGISTRY.classes.items()]
    return ("dataset", "parameters", "what it is", "source"), rows


def list_models() -> Rows:
    """The models known by name, and how any other is named."""
    from .encoders import known_models, providers

    rows: list[tuple[str, ...]] = [
        (
            f.spec,
            f.modality,
            f"{f.parameters / 1e6:.1f} M" if f.parameters else "",
            f.family,
            ": ".join(filter(None, (f.objective, f.data))),
            f"{f.megabytes} MB" if f.megabytes else "",
            f.license,
            f"{f.summary}. Confounded with size: {f.confounds}." if f.confounds else f.summary,
        )
        for f in known_models()
    ]
    more = [
        ("org/name@revision#side", "any", "a Hugging Face model, or one side of it"),
        ("./folder", "any", "a local checkpoint"),
        *((p.spec, p.reads, first_line(p)) for p in providers.classes.values() if not p().models()),
    ]
    rows += [(spec, reads, *[""] * 5, what) for spec, reads, what in more]
    return ("model", "modality", "parameters", "family", "trained for", "download", "licence", "what it is"), rows


def list_providers() -> Rows:
    """Every provider of encoders: how its models are named, what they read, and which options they take."""
    from .encoders import providers

    rows = [
        (name, cls.spec, cls.reads, ", ".join([*sorted(cls.takes), *cls.extras]), first_line(cls))
        for name, cls in providers.classes.items()
    ]
    return ("provider", "spec", "reads", "options", "what it is"), rows


def list_sides(model: str) -> Rows:
    """The parts of a model that can be loaded by themselves, with what each is."""
    from .encoders import sides_of
    from .encoders._sides import SIDES

    sides = sides_of(model)
    base = model.rpartition("#")[0] if model.rpartition("#")[2] in sides else model
    rows = [(side, f"{base}#{side}", SIDES.get(side, "")) for side in sides]
    return ("side", "spec", "what it is"), rows or [("(one side only)", model, "the whole model")]


def list_maps() -> Rows:
    """Every map with its parameters."""
    from .maps import REGISTRY

    rows = [
        (name, "predicts y" if cls.direct else "shared space", _signature(cls), first_line(cls))
        for name, cls in REGISTRY.classes.items()
    ]
    return ("map", "kind", "parameters", "what it is"), rows


def list_heads() -> Rows:
    """Every fusion head with its parameters."""
    from .heads import REGISTRY

    rows = [
        (name, "trained" if cls.trained else "convex or closed form", _signature(cls), first_line(cls))
        for name, cls in REGISTRY.classes.items()
    ]
    return ("head", "fit", "parameters", "what it is"), rows


def list_signatures() -> Rows:
    """Every failure signature with the question that it answers."""
    from .diagnosis import REGISTRY

    return ("signature", "question", "what it is"), [
        (name, cls.asks, first_line(cls)) for name, cls in REGISTRY.classes.items()
    ]


def list_criteria() -> Rows:
    """Every criterion of leagues: what it is for, and what it asks."""
    from .leagues import REGISTRY

    return ("criterion", "kind", "parameters", "to know", "what it asks"), [
        (name, cls.kind, _parameters(cls), cls.purpose, first_line(cls)) for name, cls in REGISTRY.classes.items()
    ]


def list_guide() -> Rows:
    """Which metric to trust for what, by the league that is packaged."""
    from .results import Guide

    guide = Guide.packaged()
    rows = []
    for standings in guide.standings:
        lists = standings.trusted(guide.alpha), standings.blind(guide.alpha)
        told, blind = (", ".join(map(standings.short, names)) or "none" for names in lists)
        rows.append((standings.purpose, standings.name, told, blind))
    return ("to know", "criterion", "best, or not told apart from it", "not shown to tell it"), rows


def list_sections() -> Rows:
    """Every kind of result that a report shows."""
    from .reporting.sections import sections

    return ("section", "what it shows"), [(name, first_line(cls)) for name, cls in sections.classes.items()]


KINDS: dict[str, Callable[[], Rows]] = {
    "models": list_models,
    "providers": list_providers,
    "metrics": list_metrics,
    "datasets": list_datasets,
    "maps": list_maps,
    "heads": list_heads,
    "signatures": list_signatures,
    "sections": list_sections,
    "criteria": list_criteria,
    "guide": list_guide,
}


def first_line(cls: Any) -> str:
    """The sentence that a class's docstring begins with."""
    return inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]


def _parameters(cls: Any) -> str:
    parts = []
    for field in dataclasses.fields(cls):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        parts.append(field.name if required else f"{field.name}={field.default!r}")
    return ", ".join(parts)


def _signature(cls: Any) -> str:
    return ", ".join(str(p) for k, p in inspect.signature(cls).parameters.items() if k != "self").replace("'", '"')
