"""From items to the arrays that an ONNX graph takes in."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import InputError, UnknownNameError
from ._hf_audio import WaveInput, WhisperInput
from ._hf_inputs import HfInput, ImageInput, TextInput, token_limit
from ._inputs import IMAGENET_MEAN, IMAGENET_STD, RESAMPLING, ImagePreprocessing, as_samples
from ._probes import probes_of

Array = Any
_NAMES = {"pixel_values": "image", "input_ids": "text", "input_values": "audio", "input_features": "audio"}
_OFFSET = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "data2vec-text", "esm")
_CLASS_TOKENS = {
    **dict.fromkeys(("vit", "vit_hybrid", "dinov2", "beit", "data2vec-vision", "clip_vision_model"), 1),
    **dict.fromkeys(("dinov2_with_registers", "dinov3_vit"), 1),
    "deit": 2,
    **dict.fromkeys(("siglip", "siglip_vision_model", "ijepa", "convnext", "resnet", "swin"), 0),
}


@dataclasses.dataclass(frozen=True)
class Pass:
    """Items that go through the graph together.

    Attributes:
        positions: Their positions in the batch.
        inputs: Arrays by name.
        mask: (b, t), true where a token holds input; None if all do.
        prefix: Class tokens in front, if the inputs say.
    """

    positions: Sequence[int]
    inputs: dict[str, Array]
    mask: Array = None
    prefix: int | None = None


class Inputs(ABC):
    """Prepares batches for a graph."""

    modality: str

    @abstractmethod
    def passes(self, batch: Sequence[Any]) -> list[Pass]:
        """Split a batch into parts that can share a pass.

        Raises:
            InputError: if an item cannot be encoded.
        """

    @property
    @abstractmethod
    def facts(self) -> Any:
        """JSON-able facts that change the features."""

    def probes(self) -> list[Any]:
        """Items for the self-check."""
        return probes_of(self.modality)


class Own(Inputs):
    """The user's own preprocessing.

    Args:
        function: Takes a list of items and gives the array of the first input, or a mapping for several.
        modality: Of the items.
        first: Name of the first input.
    """

    def __init__(self, function: Callable[[Sequence[Any]], Any], modality: str, first: str) -> None:
        self._function, self.modality, self._first = function, modality, first

    def passes(self, batch: Sequence[Any]) -> list[Pass]:
        made = self._function(list(batch))
        inputs = dict(made) if isinstance(made, Mapping) else {self._first: made}
        mask = inputs.get("attention_mask")
        return [Pass(range(len(batch)), inputs, None if mask is None else np.asarray(mask, dtype=bool))]

    @property
    def facts(self) -> Any:
        from ._fingerprint import describe

        return describe(self._function)

    def probes(self) -> list[Any]:
        return []  # what the user's function takes, only the user knows


class Pixels(Inputs):
    """Images by our own preprocessing.

    Args:
        preprocessing: Makes (b, 3, h, w).
        first: Name of the input.
        shape: Its shape as the graph states it.
    """

    modality = "image"

    def __init__(self, preprocessing: ImagePreprocessing, first: str, shape: Sequence[Any]) -> None:
        self._make, self._first = preprocessing, first
        self._last = channels_last(shape)
        self._edges = [n for n in (shape[1:3] if self._last else shape[2:4]) if isinstance(n, int)]

    def passes(self, batch: Sequence[Any]) -> list[Pass]:
        pixels = self._make(batch)
        pixels = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if self._last else pixels
        return [Pass(range(len(batch)), {self._first: pixels})]

    @property
    def facts(self) -> Any:
        return self._make.facts | ({"layout": "bhwc"} if self._last else {})

    def probes(self) -> list[Any]:
        if self._make.size is not None or len(self._edges) != 2:
            return super().probes()
        rng = np.random.default_rng(20251124)  # nothing resizes them, and the graph takes one size
        return [rng.integers(0, 256, (*self._edges, 3), dtype=np.uint8) for _ in range(3)]


class Waves(Inputs):
    """Raw waveforms; those of equal length share a pass.

    Args:
        rate: Samples per second.
        first: Name of the input.
        length: How many samples the graph takes, if it takes one number only.
    """

    modality = "audio"

    def __init__(self, rate: int, first: str, length: int | None = None) -> None:
        self._rate, self._first, self._length = rate, first, length

    def passes(self, batch: Sequence[Any]) -> list[Pass]:
        waves = [as_samples(item, i, self._rate) for i, item in enumerate(batch)]
        by_length: dict[int, list[int]] = {}
        for i, wave in enumerate(waves):
            if self._length is not None and len(wave) != self._length:
                raise InputError(
                    f"Item {i} of the batch has {len(wave)} samples at {self._rate} Hz, but this graph takes "
                    f"{self._length} and no other number. Cut recordings to that length, or pass preprocess=…"
                )
            by_length.setdefault(len(wave), []).append(i)
        return [Pass(p, {self._first: np.stack([waves[i] for i in p])}) for p in by_length.values()]

    @property
    def facts(self) -> Any:
        return {"kind": "audio", "version": 1, "rate": self._rate}

    def probes(self) -> list[Any]:
        if self._length is None:
            return super().probes()
        rng = np.random.default_rng(20251124)
        waves = (0.1 * rng.standard_normal((3, self._length))).astype(np.float32)
        return [SimpleNamespace(samples=wave, rate=self._rate) for wave in waves]


class FromTransformers(Inputs):
    """What transformers' own tokenisers and processors give.

    Args:
        source: One of the inputs of the provider `transformers`.
    """

    def __init__(self, source: HfInput) -> None:
        self._source, self.modality = source, source.modality

    def passes(self, batch: Sequence[Any]) -> list[Pass]:
        return [
            Pass(
                part.positions,
                {k: v.numpy() for k, v in part.inputs.items()},
                None if part.mask is None else part.mask.numpy(),
                part.prefix,
            )
            for part in self._source.prepare(batch, "cpu")
        ]

    @property
    def facts(self) -> Any:
        return self._source.facts

    def probes(self) -> list[Any]:
        return self._source.probes()


def guess_modality(names: Sequence[str], where: str) -> str:
    """The modality that a graph's inputs speak of; images if their names say nothing.

    Raises:
        InputError: if they speak of several.
    """
    found = list(dict.fromkeys(_NAMES[n] for n in names if n in _NAMES))
    if len(found) > 1:
        raise InputError(
            f"{where} takes {' and '.join(found)} at once; pass modality= and preprocess=…, which gives all its inputs."
        )
    return found[0] if found else "image"


def channels_last(shape: Sequence[Any]) -> bool:
    """Whether a graph takes images as (b, h, w, 3)."""
    return len(shape) == 4 and shape[3] == 3 and shape[1] != 3


def class_tokens(config: Mapping[str, Any]) -> int | None:
    """How many class and register tokens the architecture of a configuration puts in front, if that is known."""
    kind = config.get("model_type")
    if kind not in _CLASS_TOKENS:
        return None
    registers = config.get("num_register_tokens", 0)
    return _CLASS_TOKENS[kind] + (registers if isinstance(registers, int) and "dino" in str(kind) else 0)


def text_inputs(
    source: str | Path | None,
    names: Sequence[str],
    config: Mapping[str, Any],
    *,
    max_length: int | None,
    truncate: bool,
    padding_side: str = "right",
) -> Inputs:
    """Texts by the tokeniser in a folder.

    Raises:
        InputError: if there is none, or it cannot be read.
    """
    if source is None:
        raise InputError("An ONNX model of texts needs tokenizer=…, a folder with a tokeniser of transformers.")
    tokenizer = _read("AutoTokenizer", source)
    facts = SimpleNamespace(**{str(k): v for k, v in config.items()})
    pad = config.get("pad_token_id")
    offset = pad + 1 if config.get("model_type") in _OFFSET and isinstance(pad, int) else 0
    return FromTransformers(
        TextInput(
            tokenizer,
            accepts=names,
            limit=token_limit(tokenizer, facts, max_length, offset=offset),
            truncate=truncate,
            padding_side=padding_side,
            own_positions=False,
            start=None,
        )
    )


def image_inputs(folder: Path | None, first: str, shape: Sequence[Any], given: Mapping[str, Any]) -> Inputs:
    """Images by the processor in a folder, or by our own preprocessing.

    Raises:
        InputError: if an option does not fit, or the processor cannot be read.
        UnknownNameError: if there is no such filter.
    """
    if folder is not None and (folder / "preprocessor_config.json").is_file() and not given:
        from ._hf_choice import image_processor

        parts = SimpleNamespace(source=str(folder), kwargs={"local_files_only": True}, processors={})
        return FromTransformers(ImageInput(image_processor(parts, video=False), accepts=(first,), patch=None))
    edge = shape[1] if channels_last(shape) else shape[2] if len(shape) == 4 else None
    fixed = edge if isinstance(edge, int) else 224
    values: dict[str, Any] = {"size": fixed, "crop": fixed, "mean": IMAGENET_MEAN, "std": IMAGENET_STD} | dict(given)
    if values.get("resample", "bicubic") not in RESAMPLING:
        raise UnknownNameError("resample", str(values["resample"]), RESAMPLING)
    values |= {k: tuple(values[k]) for k in ("mean", "std")}
    return Pixels(ImagePreprocessing(**values), first, shape)


def audio_inputs(
    folder: Path | None,
    first: str,
    names: Sequence[str],
    config: Mapping[str, Any],
    rate: int,
    shape: Sequence[Any] = (),
) -> Inputs:
    """Recordings by the feature extractor in a folder, or as raw waveforms.

    Raises:
        InputError: if the graph takes in something else than waveforms and there is no extractor, or it cannot be read.
    """
    if folder is not None and (folder / "preprocessor_config.json").is_file():
        extractor = _read("AutoFeatureExtractor", folder)
        frames = config.get("max_source_positions")
        if type(extractor).__name__ == "WhisperFeatureExtractor" and isinstance(frames, int):
            return FromTransformers(WhisperInput(extractor, frames=frames, start=None))
        return FromTransformers(WaveInput(extractor, accepts=names, frames=None))
    if first == "input_features":
        raise InputError(
            "This ONNX graph takes features of recordings, not waveforms: load the folder with its "
            "preprocessor_config.json (onnx:folder/), or pass preprocess=…"
        )
    return Waves(rate, first, shape[-1] if shape and isinstance(shape[-1], int) else None)


def _read(kind: str, source: str | Path) -> Any:
    from ._hf_load import import_transformers, reading

    transformers = import_transformers()
    with reading(str(source), local=True):
        return getattr(transformers, kind).from_pretrained(str(Path(source).expanduser()), local_files_only=True)


def fill_in(inputs: dict[str, Array], wanted: Mapping[str, Any]) -> dict[str, Array]:
    """Inputs that follow from the others: masks of ones, positions, token types, an empty past.

    Args:
        inputs: What was prepared.
        wanted: All inputs of the graph, as ONNX Runtime describes them.
    """
    first = next((np.asarray(inputs[n]) for n in wanted if n in inputs), None)
    if first is None:
        return inputs
    b, t = first.shape[0], first.shape[1] if first.ndim > 1 else 1
    filled = dict(inputs)
    for name, about in wanted.items():
        if name in filled:
            continue
        if name in ("attention_mask", "input_mask"):
            filled[name] = np.ones((b, t))
        elif name in ("token_type_ids", "segment_ids"):
            filled[name] = np.zeros((b, t))
        elif name == "position_ids":
            mask = np.asarray(filled.get("attention_mask", np.ones((b, t))))
            filled[name] = np.maximum(mask.astype(np.int64).cumsum(1) - 1, 0)
        elif name == "use_cache_branch":
            filled[name] = np.zeros(1)
        elif name.startswith("past_key_values") and about.shape:
            filled[name] = np.zeros([b, *(n if isinstance(n, int) else 0 for n in about.shape[1:])])
    return filled


def leads(shape: tuple[int, ...], unlike: tuple[int, ...]) -> bool:
    """Whether the first axis is that of a batch of one."""
    return len(shape) > 1 and bool(shape[0] == unlike[0] == 1)


def together(parts: Sequence[Pass]) -> Pass:
    """Items whose arrays are of one shape, in one pass."""
    if len(parts) == 1:
        return parts[0]
    names = parts[0].inputs
    inputs = {n: np.concatenate([np.asarray(p.inputs[n]) for p in parts]) for n in names}
    mask = None if parts[0].mask is None else np.concatenate([p.mask for p in parts])
    return Pass([i for p in parts for i in p.positions], inputs, mask, parts[0].prefix)


def in_rows(part: Pass, rows: int | None) -> list[Pass]:
    """A pass in pieces of so many items at most."""
    if rows is None or len(part.positions) <= rows:
        return [part]
    return [
        Pass(
            part.positions[i : i + rows],
            {k: v[i : i + rows] for k, v in part.inputs.items()},
            None if part.mask is None else part.mask[i : i + rows],
            part.prefix,
        )
        for i in range(0, len(part.positions), rows)
    ]
