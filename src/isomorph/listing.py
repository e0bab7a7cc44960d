"""What there is, as tables: models, metrics and datasets with the facts that a choice needs."""

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
    """Every dataset with its parameters."""
    rows = [
        (name, _parameters(cls), (cls.__doc__ or "").strip().splitlines()[0])
        for name, cls in datasets.REGISTRY.classes.items()
    ]
    return ("dataset", "parameters", "what it is"), rows


def list_models() -> Rows:
    """The models known by name; any Hugging Face id, local checkpoint or ONNX file goes through the same door."""
    from .encoders import known_models

    rows = [
        (f.spec, f.modality, f.summary, f"{f.megabytes} MB" if f.megabytes else "", f.licence) for f in known_models()
    ]
    rows += [
        ("org/name@revision#side", "any", "a Hugging Face model, or one side of it", "", ""),
        ("./folder", "any", "a local checkpoint", "", ""),
        ("timm:name", "image", "a model of timm", "", ""),
        ("open_clip:name/pretrained#side", "text or image", "a dual encoder of open_clip", "", ""),
        ("sentence-transformers:name", "text", "a sentence encoder, its final embedding included", "", ""),
        ("diffusers:folder", "image", "a diffusion UNet or DiT at a stated noise level", "", ""),
        ("file.onnx", "any", "an ONNX file, tapped at named nodes", "", ""),
        ("file.gguf", "text", "a GGUF file", "", ""),
        ("file.tflite", "any", "a TensorFlow Lite file", "", ""),
        ("api:MODEL@URL", "text", "an OpenAI-compatible embeddings endpoint", "", ""),
        ("module:file.py:function", "any", "a torch module that a function of yours makes", "", ""),
    ]
    return ("model", "modality", "what it is", "download", "licence"), rows


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
        (
            name,
            "predicts y" if cls.direct else "shared space",
            _signature(cls),
            (cls.__doc__ or "").strip().splitlines()[0],
        )
        for name, cls in REGISTRY.classes.items()
    ]
    return ("map", "kind", "parameters", "what it is"), rows


KINDS: dict[str, Callable[[], Rows]] = {
    "models": list_models,
    "metrics": list_metrics,
    "datasets": list_datasets,
    "maps": list_maps,
}


def _parameters(cls: Any) -> str:
    parts = []
    for field in dataclasses.fields(cls):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        parts.append(field.name if required else f"{field.name}={field.default!r}")
    return ", ".join(parts)


def _signature(cls: Any) -> str:
    return ", ".join(str(p) for k, p in inspect.signature(cls).parameters.items() if k != "self").replace("'", '"')
