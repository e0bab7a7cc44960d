"""Numbers of single items, made of what they are: lengths and frequencies of words, complexity of pictures.

Each is a function of the item alone. What depends on the other items too (density, hubness) is made of features, in
`isomorph.concept_maps`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

from .._core.registry import bind, parse_spec
from ..errors import InputError, UnknownNameError
from ._base import PairedItems
from ._views import Audio, pixels
from ._words import word_frequencies, words_of

Floats = np.ndarray[Any, np.dtype[np.float64]]

_EDGE = 0.1
"""Least change of brightness from a pixel to the next, as a share of white, that counts as an edge."""


def word_count(items: PairedItems, view: str | None = None) -> Floats:
    """Words of the text."""
    return _each(items, view, "text", lambda text: float(len(words_of(text))))


def character_count(items: PairedItems, view: str | None = None) -> Floats:
    """Characters of the text."""
    return _each(items, view, "text", lambda text: float(len(text)))


def word_frequency(items: PairedItems, view: str | None = None, language: str = "en") -> Floats:
    """Zipf frequency of the rarest word of the text; see `word_frequencies`. NaN where there is no word."""
    name = _view_of(items, view, "text")
    return np.array(word_frequencies(list(items.view(name)), language), dtype=np.float64)


def image_bytes(items: PairedItems, view: str | None = None) -> Floats:
    """Bytes per pixel of the picture when it is compressed without loss, as PNG does: its complexity.

    Each row is predicted by the one of PNG's five filters that leaves least, and what is left is deflated, as a PNG of
    8-bit RGB without headers would be. Compare pictures of like size. Versions of zlib differ in the last percent.
    """
    return _each(items, view, "image", _compressed)


def edge_density(items: PairedItems, view: str | None = None) -> Floats:
    """Share of the pixels of the picture at an edge: a Sobel gradient of the brightness above 0.1 of white a pixel."""
    return _each(items, view, "image", _edges)


def duration(items: PairedItems, view: str | None = None) -> Floats:
    """Seconds of the recording."""
    return _each(items, view, "audio", _seconds)


MEASURES: dict[str, Callable[..., Floats]] = {
    f.__name__: f for f in (word_count, character_count, word_frequency, image_bytes, edge_density, duration)
}
"""What can be measured of items, by name."""


def measured(items: PairedItems, spec: str) -> Floats:
    """A covariate made of the items (n,).

    Args:
        items: The items.
        spec: Name and parameters, such as ``"word_frequency(view='text', language='de')"``; without a view, the only
            one of the modality, or the one called like it, is read.

    Raises:
        UnknownNameError: if there is none of that name, or no such view.
        InputError: if the view holds something else, or several fit and none is named.

    Example:
        >>> items = iso.PairedItems("pets", ("1", "2"), {"caption": ["a cat on a mat", "a dog"]})
        >>> measured(items, "word_count").tolist()
        [5.0, 2.0]
    """
    name, args, kwargs = parse_spec(spec, "covariate")
    if name not in MEASURES:
        raise UnknownNameError("covariate", name, MEASURES)

    def of_words(view: str | None = None, language: str = "en") -> Floats:
        return word_frequency(items, view, language)

    def of_view(view: str | None = None) -> Floats:
        return MEASURES[name](items, view)

    return bind(of_words if name == "word_frequency" else of_view, "covariate", spec, args, kwargs)


def _view_of(items: PairedItems, view: str | None, modality: str) -> str:
    """The view to be measured.

    Raises:
        InputError: if it is of another modality, or none was named and it is not clear which is meant.
    """
    if view is not None:
        found = items.view(view).modality
        if found != modality:
            raise InputError(f"view={view!r} of {items.name} holds {found}; {modality} is measured here.")
        return view
    fitting = [name for name, v in items.views.items() if v.modality == modality]
    if modality in fitting:
        return modality
    if len(fitting) != 1:
        there = f"has {', '.join(map(repr, fitting))}; say which with view=" if fitting else f"has no {modality} view"
        raise InputError(f"{items.name} {there}.")
    return fitting[0]


def _each(items: PairedItems, view: str | None, modality: str, measure: Callable[[Any], float]) -> Floats:
    source = items.view(_view_of(items, view, modality))
    return np.array([measure(source[i]) for i in range(len(source))], dtype=np.float64)


def _compressed(image: Any) -> float:
    own = pixels(image).astype(np.int64)
    a, b, c = (np.zeros_like(own) for _ in range(3))  # the pixels left, above, and left above
    a[:, 1:], b[1:], c[1:, 1:] = own[:, :-1], own[:-1], own[:-1, :-1]
    far = [np.abs(a + b - c - v) for v in (a, b, c)]
    paeth = np.where((far[0] <= far[1]) & (far[0] <= far[2]), a, np.where(far[1] <= far[2], b, c))
    filtered = np.stack([(own - guess).astype(np.uint8) for guess in (0 * own, a, b, (a + b) // 2, paeth)])
    size = np.abs(filtered.astype(np.int8).astype(np.int64)).sum(axis=(2, 3))
    rows = filtered[np.argmin(size, axis=0), np.arange(len(own))]
    return float(len(zlib.compress(rows.tobytes(), 9)) / (own.shape[0] * own.shape[1]))


def _edges(image: Any) -> float:
    brightness = pixels(image) @ np.array([0.299, 0.587, 0.114]) / 255
    across, down = (scipy.ndimage.sobel(brightness, axis=axis, mode="nearest") / 8 for axis in (1, 0))
    return float(np.mean(np.hypot(across, down) > _EDGE))


def _seconds(recording: Audio) -> float:
    return float(len(recording.samples) / recording.rate)
