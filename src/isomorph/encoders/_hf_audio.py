"""Recordings for transformers networks: spectrograms of fixed windows, raw waveforms, extractors' own features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import InputError
from ._hf_inputs import HfInput
from ._inputs import as_samples
from ._probes import probes_of
from ._sides import Side
from ._torch import Prepared, json_digest


def audio_input(parts: Any, side: Side, extractor: Any) -> HfInput:
    """The inputs of a side that hears.

    Raises:
        InputError: if its decoder cannot be read.
    """
    import transformers

    if isinstance(extractor, transformers.WhisperFeatureExtractor) and hasattr(side.config, "max_source_positions"):
        return WhisperInput(extractor, frames=side.config.max_source_positions, start=side.decoder_start)
    if side.decoder_start is not None:
        raise InputError("The decoder side of a speech model can be read for Whisper only; use side='encoder'.")
    frames = getattr(parts.model, "_get_feat_extract_output_lengths", None)
    return WaveInput(extractor, accepts=side.accepts, frames=frames)


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
        return _silence(self._extractor.sampling_rate, self._extractor.sampling_rate)

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
            inputs = {k: v.to(device) for k, v in encoded.items() if k in self._accepts and v is not None}
            mask = next(
                (encoded[k].bool() for k in ("attention_mask", "padding_mask") if encoded.get(k) is not None), None
            )
            if mask is None or bool(mask.all()):
                # all of one length: no mask is needed, and some networks were trained without one
                inputs = {k: v for k, v in inputs.items() if k not in ("attention_mask", "padding_mask")}
                mask = None
            mask = None if mask is None else mask.to(device)
            parts.append(Prepared(inputs, positions, mask, masks=_strided(mask)))
        return parts

    def _check(self, length: int, position: int, rate: int) -> None:
        if self._frames is not None and int(self._frames(length)) < 1:
            raise InputError(
                f"Item {position} of the batch lasts {length / rate * 1000:.0f} ms, too short for one frame."
            )
        most = getattr(self._extractor, "nb_max_samples", None)  # CLAP-like: longer ones would be cut at random
        if isinstance(most, int) and length > most:
            raise InputError(
                f"Item {position} of the batch lasts {length / rate:.1f} s but the model hears at most "
                f"{most / rate:.0f} s. Cut it into pieces."
            )
        frames = getattr(self._extractor, "max_length", None)  # AST-like: so many frames of 10 ms, then cut off
        if frames and length > frames * rate // 100:
            raise InputError(
                f"Item {position} of the batch lasts {length / rate:.1f} s "
                f"but the model hears at most {frames / 100:.1f} s."
            )

    def _most(self) -> int:
        """How many samples a recording may have, as far as the extractor says."""
        rate = self._extractor.sampling_rate
        frames, most = getattr(self._extractor, "max_length", None), getattr(self._extractor, "nb_max_samples", None)
        known = [frames * rate // 100 if frames else None, most if isinstance(most, int) else None]
        return min((n for n in known if n), default=60 * rate)

    def example(self) -> Any:
        rate = self._extractor.sampling_rate
        return _silence(min(rate, self._most()), rate)

    def probes(self) -> list[Any]:
        clips = probes_of("audio")
        shrink = min(1.0, self._most() / self._extractor.sampling_rate / max(len(c.samples) / c.rate for c in clips))
        return [SimpleNamespace(samples=c.samples[: int(len(c.samples) * shrink)], rate=c.rate) for c in clips]

    @property
    def facts(self) -> dict[str, Any]:
        return {"kind": "audio", "version": 1, "extractor": json_digest(self._extractor.to_dict())}


def _strided(mask: Any) -> Any:
    """From the mask of what goes in to that of as many frames: those count that hold any of the recording."""
    if mask is None:
        return None

    def of(frames: int) -> Any:
        import torch

        held = torch.ceil(mask.sum(1) * frames / mask.shape[1])
        return torch.arange(frames, device=mask.device)[None] < held[:, None]

    return of


def _silence(samples: int, rate: int) -> Any:
    return SimpleNamespace(samples=np.zeros(samples, dtype=np.float32), rate=rate)
