"""Providers of encoders: each is one file of this room, found by its name before the colon of a model spec."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from .._core.registry import Registry
from ._base import Encoder


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What is known about a model without loading it, for ``isomorph list models``.

    Attributes:
        spec: What `load_encoder` takes.
        modality: ``"text"``, ``"image"`` or ``"audio"``.
        summary: Architecture, depth, width and parameters in one line.
        source: Where the weights come from.
        license: Upstream terms of the weights, as their model card states them.
        megabytes: Size of the download; 0 if nothing is downloaded.
        parameters: Number of parameters of the part that runs by default; 0 if that is not known.
        family: Models of one kind that differ in size, such as ``"whisper"``; empty if that is not known.
        objective: What it was trained for, such as ``"classification"`` or ``"pitch"``.
        data: What it was trained on, in a word.
        confounds: What a comparison along its family confounds with size.

    Example:
        >>> from isomorph.encoders import known_models
        >>> facts = {f.spec: f for f in known_models()}["bundled:minilm-l6"]
        >>> facts.modality, facts.license, facts.family, facts.objective
        ('text', 'Apache-2.0', 'minilm', 'contrastive')
    """

    spec: str
    modality: str
    summary: str
    source: str
    license: str
    megabytes: int = 0
    parameters: int = 0
    family: str = ""
    objective: str = ""
    data: str = ""
    confounds: str = ""


@dataclasses.dataclass(frozen=True)
class Options:
    """What every provider understands; see `isomorph.load_encoder`.

    Example:
        >>> Options(init="random", seed=1).pooling
        'mean'
    """

    init: str = "pretrained"
    seed: int = 0
    pooling: str = "mean"
    device: str = "cpu"
    dtype: str = "float32"
    layers: tuple[str, ...] | None = None
    axes: str | Mapping[str, str] | None = None


class Provider(ABC):
    """Makes the encoders of one kind. Subclasses are registered by their `name`; a plug-in's by its entry point.

    Example:
        >>> providers.classes["statistics"].spec, sorted(providers.classes["onnx"].takes)
        ('statistics:MODALITY', ['init', 'pooling'])
        >>> providers.classes["statistics"]().load("text", None, Options()).layers
        ('words', 'characters')
    """

    name: ClassVar[str]
    """The part before the colon of a model spec."""
    spec: ClassVar[str]
    """How its models are named, such as ``"onnx:FILE"``."""
    reads: ClassVar[str] = "any"
    """What its encoders read: ``"text"``, ``"image"``, …, or ``"any"``."""
    takes: ClassVar[frozenset[str]] = frozenset({"init", "pooling", "dtype"})
    """Which of these common options change its features; the others are refused."""
    extras: ClassVar[tuple[str, ...]] = ()
    """Names of the keyword options that only this provider takes."""
    pinned: ClassVar[bool] = False
    """Whether a name says for good which weights are meant, so that what an encoder says of itself can be kept."""

    @classmethod
    def example(cls, folder: Path) -> tuple[str, Mapping[str, Any]] | None:
        """A spec and options of a tiny encoder, made of what is written to `folder`; None where that takes pages.

        The contract suite runs over it, or over one of its own.
        """
        return None

    @abstractmethod
    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        """Load one encoder.

        Raises:
            UnknownNameError: if there is no such model.
            InputError: if an option does not fit.
            FetchError: if the weights cannot be had.
            MissingExtraError: if an optional package is missing.
        """

    def sides(self, id: str, revision: str | None = None) -> tuple[str, ...]:
        """Names of the parts of a model that can be read by themselves; empty where it has one part only.

        Raises:
            InputError: if there is no such model.
            FetchError: if its description cannot be had.
        """
        return ()

    def models(self) -> tuple[ModelFacts, ...]:
        """The models known by name; empty where any id will do."""
        return ()


providers: Registry[Provider] = Registry("encoder provider", "isomorph.encoders", Provider, "isomorph.encoders")
"""All providers by name."""
