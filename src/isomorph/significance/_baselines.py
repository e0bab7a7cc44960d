"""What the inputs themselves already share: statistics that need no model, as a baseline beside every score.

If the colours of the pictures agree with the words of the captions as well as two networks do, the networks explain
nothing. Each set of statistics is a layer of a `Layers`, to be scanned like those of a model.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..datasets._base import Audio, PairedItems
from ..errors import InputError
from ..store import Layers

Floats = np.ndarray[Any, Any]

GRID = 8  # a picture's pixels are averaged over GRID x GRID cells
COLOUR_BINS = 4
WORD_BINS = 512
CHARACTER_BINS = 512
BANDS = 24
_LOWEST_HERTZ = 60.0


def input_statistics(items: PairedItems, view: str) -> Layers:
    """Statistics of the inputs of one view, one layer a kind.

    - images: ``colour`` (mean, standard deviation and a 4-bin histogram of each channel) and ``pixels`` (the picture
      averaged over 8 × 8 cells, with a constant so that a black picture has a direction too);
    - text: ``words`` and ``characters`` (log counts of words, and of runs of 1 to 3 characters, hashed to 512 places,
      with the log of the length);
    - audio: ``spectrum`` (mean and standard deviation over time of the log energy in 24 bands, and the log duration);
    - features: ``features``, as they are.

    Args:
        items: The items.
        view: Name of the view.

    Raises:
        UnknownNameError: if there is no such view.
        InputError: if an item cannot be read.
    """
    source = items.view(view)
    kinds = _KINDS.get(source.modality)
    if kinds is None:
        raise InputError(f"View {view!r} holds {source.modality}; input statistics need one of {', '.join(_KINDS)}.")
    rows: dict[str, list[Floats]] = {name: [] for name in kinds}
    for index in range(len(items)):
        item = source[index]
        for name, statistic in kinds.items():
            rows[name].append(statistic(item))
    return Layers.from_arrays(
        {name: np.stack(values) for name, values in rows.items()},
        list(items.ids),
        encoder=f"input statistics of {view}",
        view=view,
        modality=source.modality,
        n_parameters=0,
        provenance={"encoder": "input statistics", "view": view, "kinds": list(kinds)},
    )


def _rgb(item: Any) -> Floats:
    """A picture as floats in [0, 1] of shape (height, width, 3)."""
    return np.asarray(item.convert("RGB") if hasattr(item, "convert") else item, dtype=np.float64) / 255.0


def _colour(item: Any) -> Floats:
    flat = _rgb(item).reshape(-1, 3)
    histogram = [np.histogram(channel, bins=COLOUR_BINS, range=(0.0, 1.0))[0] / len(flat) for channel in flat.T]
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0), *histogram])


def _pixels(item: Any) -> Floats:
    cells = _cell_means(_cell_means(_rgb(item), 0), 1)
    return np.append(cells.reshape(-1), 1.0)


def _cell_means(picture: Floats, axis: int) -> Floats:
    """Means over GRID equal parts of one axis, edges shared by area, so that any size works."""
    size = picture.shape[axis]
    total = np.concatenate([np.zeros_like(picture.take([0], axis)), np.cumsum(picture, axis=axis)], axis=axis)
    at = np.linspace(0, size, GRID + 1)
    whole = np.minimum(at.astype(np.int64), size - 1)
    shape = [1] * picture.ndim
    shape[axis] = -1
    part = (at - whole).reshape(shape)
    below, above = total.take(whole, axis), total.take(whole + 1, axis)
    return np.asarray(np.diff(below + part * (above - below), axis=axis) * (GRID / size))


def _hashed(parts: Sequence[str], bins: int, length: int) -> Floats:
    counts = np.zeros(bins + 1)
    for part in parts:
        counts[zlib.crc32(part.encode()) % bins] += 1  # a fixed hash: Python's own changes with every process
    counts[bins] = length
    return np.log1p(counts)


def _words(item: str) -> Floats:
    return _hashed(re.findall(r"\w+", item.lower()), WORD_BINS, len(item))


def _characters(item: str) -> Floats:
    text = f" {item.lower()} "
    runs = [text[i : i + size] for size in (1, 2, 3) for i in range(len(text) - size + 1)]
    return _hashed(runs, CHARACTER_BINS, len(item))


def _spectrum(item: Audio) -> Floats:
    samples, rate = np.asarray(item.samples, dtype=np.float64), int(item.rate)
    frame, hop = max(2, int(0.025 * rate)), max(1, int(0.010 * rate))
    if len(samples) < frame:
        samples = np.pad(samples, (0, frame - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop] * np.hanning(frame)
    energy = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    hertz = np.fft.rfftfreq(frame, 1 / rate)
    edges = np.geomspace(_LOWEST_HERTZ, rate / 2, BANDS + 1)
    band = np.digitize(hertz, edges[1:-1])
    bands = np.stack([energy[:, band == b].sum(axis=1) for b in range(BANDS)], axis=1)
    log = np.log(bands + 1e-8)
    return np.concatenate([log.mean(axis=0), log.std(axis=0), [np.log(len(item.samples) / rate + 1e-3)]])


def _features(item: Any) -> Floats:
    return np.asarray(item, dtype=np.float64)


_KINDS: dict[str, dict[str, Any]] = {
    "image": {"colour": _colour, "pixels": _pixels},
    "text": {"words": _words, "characters": _characters},
    "audio": {"spectrum": _spectrum},
    "features": {"features": _features},
}
