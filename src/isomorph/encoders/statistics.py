"""What the inputs themselves already share: statistics that need no model, as a baseline beside every score.

If the colors of the pictures agree with the words of the captions as well as two networks do, the networks explain
nothing. Each kind of statistics is a layer, to be scanned like those of a model.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError, UnknownNameError
from ._base import Encoder, Features
from ._inputs import as_pil, as_text
from ._provider import ModelFacts, Options, Provider

Floats = np.ndarray[Any, Any]

VERSION = "1"
"""Part of the identity: to be raised whenever a statistic changes."""
GRID = 8  # a picture's pixels are averaged over GRID x GRID cells
COLOR_BINS = 4
WORD_BINS = 512
CHARACTER_BINS = 512
BANDS = 24
_LOWEST_HERTZ = 60.0
_SUMMARIES = {
    "image": "mean, deviation and histogram of each channel; the picture averaged over 8 × 8 cells",
    "text": "hashed counts of words and of runs of 1 to 3 characters, with the length",
    "audio": "mean and deviation over time of the energy in 24 bands, with the duration",
    "features": "the features as they are",
}


class Statistics(Provider):
    """Statistics of the inputs, without any model: ``statistics:image``, ``:text``, ``:audio`` or ``:features``.

    - ``image``: the layers ``colour`` (mean, standard deviation and a 4-bin histogram of each channel) and ``pixels``
      (the picture averaged over 8 × 8 cells, with a constant so that a black picture has a direction too);
    - ``text``: ``words`` and ``characters`` (log counts of words, and of runs of 1 to 3 characters, hashed to 512
      places, with the log of the length);
    - ``audio``: ``spectrum`` (mean and standard deviation over time of the log energy in 24 bands, and the log
      duration);
    - ``features``: ``features``, as they are.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> encoder = iso.load_encoder("statistics:image")
        >>> picture = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> {layer: rows.shape for layer, rows in encoder.encode([picture, picture + 9]).items()}
        {'colour': (2, 18), 'pixels': (2, 193)}
    """

    name: ClassVar[str] = "statistics"
    spec: ClassVar[str] = "statistics:MODALITY"
    reads: ClassVar[str] = "text, image, audio or features"
    takes: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def example(cls, folder: Path) -> tuple[str, Mapping[str, Any]]:
        return "statistics:text", {}

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        if revision not in {None, VERSION}:
            raise InputError(f"statistics:{id}@{revision}: these are version {VERSION}; leave the revision out.")
        return StatisticsEncoder(id, options)

    def models(self) -> tuple[ModelFacts, ...]:
        return tuple(
            ModelFacts(f"statistics:{kind}", kind, f"no model: {text}", "the inputs", "")
            for kind, text in _SUMMARIES.items()
        )


class StatisticsEncoder(Encoder):
    """Statistics of the items of one modality, a layer a kind.

    Args:
        modality: ``"image"``, ``"text"``, ``"audio"`` or ``"features"``.
        options: What every provider understands; of these, statistics take the choice of layers alone.

    Raises:
        UnknownNameError: if there are no statistics of that modality, or no such layer.
        InputError: if another option is given.
    """

    provider: ClassVar[str] = "statistics"

    def __init__(self, modality: str, options: Options) -> None:
        if modality not in KINDS:
            raise UnknownNameError("modality that has statistics", modality, KINDS)
        self._modality = modality
        _refuse(f"statistics:{modality}", options)
        self._layers = _chosen(tuple(KINDS[modality]), options.layers)

    @property
    def name(self) -> str:
        return f"statistics:{self._modality}"

    @property
    def revision(self) -> str:
        return VERSION

    @property
    def modality(self) -> str:
        return self._modality

    @property
    def layers(self) -> tuple[str, ...]:
        return self._layers

    @property
    def n_parameters(self) -> int:
        return 0

    @property
    def identity(self) -> dict[str, Any]:
        facts = {"provider": self.provider, "modality": self._modality, "version": VERSION, "layers": [*self._layers]}
        return facts | self.check_facts()

    @property
    def description(self) -> str:
        return f"{self.name}: {', '.join(self._layers)}; no model, {_SUMMARIES[self._modality]}"

    def probes(self) -> list[Any]:
        if self._modality == "features":
            return [*np.random.default_rng(0).standard_normal((3, 5))]
        return super().probes()

    def encode(self, batch: Sequence[Any]) -> Features:
        if not len(batch):
            raise InputError(f"{self.name}: there is nothing to encode in an empty batch.")
        items = [_READ[self._modality](item, i) for i, item in enumerate(batch)]
        found = {k: np.stack(v).astype(np.float32) for k, v in statistics(items, self._modality, self._layers).items()}
        for layer, rows in found.items():
            bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
            if len(bad):
                raise InputError(f"{self.name}: layer {layer!r} of item {bad[0]} of the batch is not finite.")
        return found


def statistics(items: Sequence[Any], modality: str, layers: Sequence[str] | None = None) -> dict[str, list[Floats]]:
    """Statistics of items, layer -> one float64 row (d,) an item.

    Args:
        items: Pictures as uint8 arrays (h, w, 3), texts, recordings, or rows of features.
        modality: Which of these they are.
        layers: Which layers; all of that modality if None.

    Raises:
        InputError: if there are no statistics of that modality.
    """
    kinds = KINDS.get(modality)
    if kinds is None:
        raise InputError(f"Items of modality {modality!r} have no input statistics; these need {', '.join(KINDS)}.")
    rows: dict[str, list[Floats]] = {name: [] for name in layers or kinds}
    for item in items:
        for name, row in rows.items():
            row.append(kinds[name](item))
    return rows


def _chosen(known: Sequence[str], patterns: Sequence[str] | None) -> tuple[str, ...]:
    """The layers that names or glob patterns pick.

    Raises:
        UnknownNameError: if one picks nothing.
    """
    for pattern in patterns or ():
        if not any(fnmatchcase(layer, pattern) for layer in known):
            raise UnknownNameError("layer", pattern, known)
    return tuple(k for k in known if patterns is None or any(fnmatchcase(k, p) for p in patterns))


def _refuse(name: str, options: Options) -> None:
    """Refuse what has no meaning without a network.

    Raises:
        InputError: naming the option.
    """
    if options.init != "pretrained":
        raise InputError(f"{name}: init={options.init!r} cannot be: statistics have no weights; leave init= out.")
    if options.pooling != "mean":
        raise InputError(f"{name}: pooling={options.pooling!r} cannot be: a layer is one row an item; leave it out.")
    if options.device != "cpu" or options.dtype != "float32":
        raise InputError(
            f"{name}: device={options.device!r}, dtype={options.dtype!r} cannot be: statistics are computed by NumPy "
            "in float64 and given as float32; leave device= and dtype= out."
        )
    if options.axes is not None:
        raise InputError(f"{name}: axes={options.axes!r} cannot be: a layer has one axis; leave axes= out.")


def _rgb(item: Any) -> Floats:
    """A picture as floats in [0, 1] of shape (height, width, 3)."""
    return np.asarray(item.convert("RGB") if hasattr(item, "convert") else item, dtype=np.float64) / 255.0


def _color(item: Any) -> Floats:
    flat = _rgb(item).reshape(-1, 3)
    histogram = [np.histogram(channel, bins=COLOR_BINS, range=(0.0, 1.0))[0] / len(flat) for channel in flat.T]
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


def _spectrum(item: Any) -> Floats:
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


def _picture(item: Any, position: int) -> Any:
    plain = isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] == 3
    return item if plain and item.size else as_pil(item, position)  # arrays need no Pillow


def _recording(item: Any, position: int) -> Any:
    samples, rate = getattr(item, "samples", None), getattr(item, "rate", None)
    if samples is None or rate is None or np.ndim(samples) != 1 or not np.size(samples):
        raise InputError(f"Item {position} of the batch is no recording (isomorph.datasets.Audio): {item!r:.80}.")
    return SimpleNamespace(samples=samples, rate=rate)


def _row(item: Any, position: int) -> Floats:
    try:
        row = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError):
        row = np.empty((0, 0))
    if row.ndim != 1 or not row.size:
        raise InputError(f"Item {position} of the batch is no row of features (d,): {item!r:.80}.")
    return row


KINDS: Mapping[str, Mapping[str, Any]] = {
    "image": {"colour": _color, "pixels": _pixels},
    "text": {"words": _words, "characters": _characters},
    "audio": {"spectrum": _spectrum},
    "features": {"features": _features},
}
"""Modality -> layer -> statistic of one item."""
_READ: Mapping[str, Any] = {"image": _picture, "text": as_text, "audio": _recording, "features": _row}
