"""Small networks on recorded speech: in which language does someone speak?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..._core.files import atomic_file
from ..._core.packages import cache_dir
from ..._core.progress import notice
from ..._core.provenance import fingerprint
from ...datasets import load_dataset
from ._pictures import Pictures
from ._trained import Trained
from ._training import Array

LANGUAGES = ("bg", "ca", "fr", "ro", "ru")
BANDS, FRAMES, HELD, NOISE = 16, 24, 80, 0.1
_SCHEME = 1  # of spectrograms in the cache
_LOW, _HIGH, _HOP, _WINDOW = 100.0, 4000.0, 0.042, 0.045  # hertz, seconds


@dataclasses.dataclass(frozen=True)
class Speech(Trained):
    """Convolutional, recurrent and attention networks that tell the language of recorded speech from one second of it.

    Tux Paint's stamps, read aloud by volunteers in Bulgarian, Catalan, French, Romanian and Russian: the recordings of
    80 stamps (400) to compare networks on, those of all others to train on. A network sees a log-mel spectrogram of the
    second that is loudest, 16 bands by 24 frames, centred and scaled within the recording. **Each language has one or
    two voices**, and a room and a microphone of its own: what networks learn may be the voice as much as the language.
    Kinds of networks as in `fashion`; a mark is a burst whose pitch and time tell the language. The recordings are
    those of Debian's package, fetched once with ``apt-get download`` (161 MB).

    Attributes:
        seeds: Networks of each kind.
        epochs: Passes over the recordings.
        path: A ``.deb`` file of the package or a folder with its files, as of the dataset `tuxpaint`.
    """

    name: ClassVar[str] = "speech"
    reference: ClassVar[str] = (
        "Recordings: Debian's package tuxpaint-stamps-default, the dataset `tuxpaint` (GPL-2); design of the kinds "
        "after ReSi (Klabunde et al. 2025)."
    )

    seeds: int = 3
    epochs: int = 6
    path: str | None = None

    def task(self) -> Pictures:
        items = load_dataset(f"tuxpaint(speech={LANGUAGES!r}, duplicates=False, path={self.path!r})")
        order = np.random.default_rng(0).permutation(len(items))  # by stamp, whose recordings stay together
        names = [f"speech_{language}" for language in LANGUAGES]
        views = [items.view(name) for name in names]
        x = _kept([*map(items.view_fingerprint, names)], lambda: [view[int(i)] for i in order for view in views])
        y, held = np.tile(np.arange(len(LANGUAGES)), len(items)), HELD * len(LANGUAGES)
        return Pictures(x[held:], y[held:], x[:held], y[:held], NOISE)


def _kept(of: Sequence[str], recordings: Callable[[], Iterable[Any]]) -> Array:
    """The spectrograms of all recordings, kept in the cache: to decode thousands takes longer than to train on them."""
    file = cache_dir() / "leagues" / "speech" / f"spectrograms-{fingerprint([_SCHEME, BANDS, FRAMES, *of])[:16]}.npy"
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError):  # not there, or damaged
        notice("speech: reading the recordings …")
        x = np.stack([spectrogram(sound.samples, sound.rate) for sound in recordings()])
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as target:
            np.save(target, x)
        return x


def spectrogram(samples: Array, rate: int) -> Array:
    """Log-mel energies (1, bands, frames) of the loudest second of a recording, in [0, 1]: 0.5 is its mean.

    What is shorter than a second is followed by silence. Each band's mean is taken off, so that the colour of a room or
    a microphone counts less, and all is divided by the deviation over bands and frames.

    Args:
        samples: Samples (n,).
        rate: Samples a second.
    """
    hop, window = round(_HOP * rate), round(_WINDOW * rate)
    length = hop * (FRAMES - 1) + window
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, max(1, len(samples) - length + 1), hop)
    begin = int(starts[np.argmax(energy[np.minimum(starts + length, len(samples))] - energy[starts])])
    taken = np.zeros(length)
    taken[: len(samples) - begin] = samples[begin : begin + length]
    frames = np.lib.stride_tricks.sliding_window_view(taken, window)[::hop] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = np.log(power @ _bands(window, rate) + 1e-8 * max(power.max(), 1e-12)).T
    mel -= mel.mean(axis=1, keepdims=True)
    told = np.clip(0.5 + mel / (4 * max(float(mel.std()), 1e-6)), 0, 1)
    return np.asarray(told[None], dtype=np.float32)


def _bands(window: int, rate: int) -> Array:
    """Weights (frequencies, bands) of overlapping triangles, equally wide on the mel scale."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOW, _HIGH))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(window, 1 / rate)[:, None]
    up = (frequencies - edges[:-2]) / np.diff(edges)[:-1]
    down = (edges[2:] - frequencies) / np.diff(edges)[1:]
    return np.asarray(np.clip(np.minimum(up, down), 0, None))
