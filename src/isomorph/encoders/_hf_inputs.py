"""From texts, images and recordings to what transformers networks eat, with masks of what holds input."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ._inputs import as_pil, as_samples, as_text
from ._torch import Prepared, json_digest

_NO_LIMIT = 1_000_000  # tokenisers without a limit carry a number far beyond this


class HfInput(ABC):
    """Prepares the batches of one modality."""

    modality: str

    @abstractmethod
    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        """Split a batch into parts that can share a forward pass.

        Raises:
            InputError: if an item cannot be encoded; its position is named.
        """

    @abstractmethod
    def example(self) -> Any:
        """A small item, with which the network is watched once."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """JSON-able facts that change the features."""


class TextInput(HfInput):
    """Tokens, padded to the longest text of the batch.

    Args:
        tokenizer: A tokeniser of transformers.
        accepts: Names of the arguments that the network takes.
        limit: The most tokens that the network can read, if there is a limit.
        truncate: Whether longer texts are cut; otherwise they are errors.
        padding_side: Padding never changes the features, so this is a matter of taste.
        own_positions: Whether the network itself derives positions that skip padding.
        start: For the decoder side of an encoder-decoder: the token that starts decoding. The decoder reads the text
            itself, shifted by one (teacher forcing), as in training to reconstruct.
    """

    modality = "text"

    def __init__(
        self,
        tokenizer: Any,
        *,
        accepts: Iterable[str],
        limit: int | None,
        truncate: bool,
        padding_side: str,
        own_positions: bool,
        start: int | None,
    ) -> None:
        if (
            tokenizer.pad_token is None
        ):  # causal language models often have none; padding is masked, so any token will do
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
        tokenizer.padding_side = padding_side
        self._tokenizer, self._accepts, self._limit = tokenizer, frozenset(accepts), limit
        self._truncate, self._own_positions, self._start = truncate, own_positions, start

    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        texts = [as_text(item, i) for i, item in enumerate(batch)]
        limit = {"truncation": True, "max_length": self._limit} if self._truncate and self._limit else {}
        encoded = self._tokenizer(texts, padding=True, return_tensors="pt", return_attention_mask=True, **limit)
        mask = encoded["attention_mask"].bool()
        for i, length in enumerate(mask.sum(1).tolist()):
            if not length:
                raise InputError(f"Item {i} of the batch, {texts[i]!r}, becomes no tokens at all; leave it out.")
            if self._limit and length > self._limit:
                raise InputError(
                    f"Item {i} of the batch has {length} tokens but the model reads at most {self._limit}. "
                    "Shorten it, or pass truncate=True to cut long texts."
                )
        inputs = {k: v.to(device) for k, v in encoded.items() if k in self._accepts}
        mask = mask.to(device)
        left_padded = not bool(mask[:, 0].all())
        if left_padded and "position_ids" in self._accepts and not self._own_positions:
            inputs["position_ids"] = (mask.long().cumsum(1) - 1).clamp(min=0)
        if self._start is not None:
            shifted = inputs["input_ids"].roll(1, 1)
            shifted[:, 0] = self._start
            inputs |= {
                "decoder_input_ids": shifted,
                "decoder_attention_mask": mask.long(),
            }  # padding is on the right here
        return [Prepared(inputs, range(len(texts)), mask)]

    def example(self) -> Any:
        return "a small example"

    @property
    def facts(self) -> dict[str, Any]:
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        content = backend.to_str() if backend is not None else sorted(self._tokenizer.get_vocab().items())
        return {
            "kind": "text",
            "version": 1,
            "tokenizer": json_digest({"class": type(self._tokenizer).__name__, "content": _without_padding(content)}),
            "max_length": self._limit,
            "truncate": self._truncate,
            "decoder_start": self._start,
        }


class ImageInput(HfInput):
    """Pixels by the checkpoint's own image processor in its PIL form, which needs no torchvision."""

    modality = "image"

    def __init__(self, processor: Any, *, accepts: Iterable[str], patch: int | None) -> None:
        self._processor, self._accepts, self._patch = processor, frozenset(accepts), patch

    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        images = [as_pil(item, i) for i, item in enumerate(batch)]
        encoded = self._processor(images=images, return_tensors="pt")
        inputs = {k: v.to(device) for k, v in encoded.items() if k in self._accepts}
        pixels = inputs.get("pixel_values")
        patches = None
        if pixels is not None and pixels.ndim == 4 and self._patch:
            patches = (pixels.shape[2] // self._patch) * (pixels.shape[3] // self._patch)
        return [Prepared(inputs, range(len(images)), patches=patches)]

    def example(self) -> Any:
        return np.zeros((64, 64, 3), dtype=np.uint8)

    @property
    def facts(self) -> dict[str, Any]:
        return {"kind": "image", "version": 1, "backend": "pil", "processor": json_digest(self._processor.to_dict())}


class WhisperInput(HfInput):
    """Log-mel spectrograms of 30 s; pooled over the frames that hold the recording, not the silence padded after it.

    Args:
        extractor: The checkpoint's feature extractor.
        frames: How many frames the encoder gives for a whole window.
        start: For the decoder side: its only input, the token that starts decoding.
    """

    modality = "audio"

    def __init__(self, extractor: Any, *, frames: int, start: int | None) -> None:
        self._extractor, self._frames, self._start = extractor, frames, start

    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        import torch

        e = self._extractor
        waves = [as_samples(item, i, e.sampling_rate) for i, item in enumerate(batch)]
        for i, wave in enumerate(waves):
            if len(wave) > e.n_samples:
                raise InputError(
                    f"Item {i} of the batch lasts {len(wave) / e.sampling_rate:.1f} s but the model hears at most "
                    f"{e.n_samples / e.sampling_rate:.0f} s. Cut it into pieces."
                )
        inputs = {
            "input_features": e(waves, sampling_rate=e.sampling_rate, return_tensors="pt")["input_features"].to(device)
        }
        if self._start is not None:
            inputs["decoder_input_ids"] = torch.full((len(waves), 1), self._start, device=device)
            return [Prepared(inputs, range(len(waves)), prefix=0)]
        per_frame = e.n_samples / self._frames
        held = torch.tensor([max(1, math.ceil(len(w) / per_frame)) for w in waves], device=device)
        mask = torch.arange(self._frames, device=device)[None] < held[:, None]
        return [Prepared(inputs, range(len(waves)), mask, prefix=0)]

    def example(self) -> Any:
        return _second_of_silence(self._extractor.sampling_rate)

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "kind": "audio",
            "version": 1,
            "extractor": json_digest(self._extractor.to_dict()),
            "start": self._start,
        }


class WaveInput(HfInput):
    """Raw waveforms, or other features of the checkpoint's own extractor.

    Nothing is padded: recordings of equal length share a pass, since padding would leak into networks that normalise
    over time (wav2vec 2.0 base does).

    Args:
        extractor: The checkpoint's feature extractor.
        frames: How many frames the network gives for a number of samples, if it says so.
    """

    modality = "audio"

    def __init__(self, extractor: Any, *, accepts: Iterable[str], frames: Any) -> None:
        self._extractor, self._accepts, self._frames = extractor, frozenset(accepts), frames

    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        rate = self._extractor.sampling_rate
        waves = [as_samples(item, i, rate) for i, item in enumerate(batch)]
        by_length: dict[int, list[int]] = {}
        for i, wave in enumerate(waves):
            self._check(len(wave), i, rate)
            by_length.setdefault(len(wave), []).append(i)
        parts = []
        for positions in by_length.values():
            encoded = self._extractor([waves[i] for i in positions], sampling_rate=rate, return_tensors="pt")
            # all of one length: no mask is needed, and some networks were trained without one
            inputs = {k: v.to(device) for k, v in encoded.items() if k in self._accepts and k != "attention_mask"}
            parts.append(Prepared(inputs, positions, prefix=0))
        return parts

    def _check(self, length: int, position: int, rate: int) -> None:
        if self._frames is not None and int(self._frames(length)) < 1:
            raise InputError(
                f"Item {position} of the batch lasts {length / rate * 1000:.0f} ms, too short for one frame."
            )
        frames = getattr(self._extractor, "max_length", None)  # AST-like: so many frames of 10 ms, then cut off
        if frames and length > frames * rate // 100:
            raise InputError(
                f"Item {position} of the batch lasts {length / rate:.1f} s "
                f"but the model hears at most {frames / 100:.1f} s."
            )

    def example(self) -> Any:
        return _second_of_silence(self._extractor.sampling_rate)

    @property
    def facts(self) -> dict[str, Any]:
        return {"kind": "audio", "version": 1, "extractor": json_digest(self._extractor.to_dict())}


def token_limit(tokenizer: Any, config: Any, wanted: int | None) -> int | None:
    """The most tokens that a text may have: what is wanted, within what tokeniser and network can.

    Raises:
        InputError: if more is wanted than the network can read.
    """
    limits = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None)]
    known = [int(n) for n in limits if isinstance(n, (int, float)) and 0 < n < _NO_LIMIT]
    limit = min(known, default=None)
    if wanted is None:
        return limit
    if not isinstance(wanted, int) or wanted < 1:
        raise InputError(f"max_length={wanted!r} is no number of tokens; an integer of at least 1 is needed.")
    positions = limits[1]
    if isinstance(positions, int) and wanted > positions > 0:
        raise InputError(f"max_length={wanted} is more than the {positions} positions of this network.")
    return wanted


def _second_of_silence(rate: int) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(samples=np.zeros(rate, dtype=np.float32), rate=rate)


def _without_padding(content: Any) -> Any:
    """Padding and truncation are set anew by every call, so they are no part of what a tokeniser is."""
    if not isinstance(content, str):
        return content
    import json

    return {k: v for k, v in json.loads(content).items() if k not in ("padding", "truncation")}
