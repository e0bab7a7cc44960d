"""Small pictures of items, each stored once in the page however often it is shown."""

from __future__ import annotations

import base64
import dataclasses
import io
from typing import Any

import numpy as np
from markupsafe import Markup

from ..datasets import PairedItems
from ..errors import MissingExtraError
from ._svg import path, tag
from ._text import printable

_SIDE = 72  # pixels of the longer side of a thumbnail: enough for 36 CSS pixels on a dense screen
_BINS = 48  # bars of a waveform


@dataclasses.dataclass(frozen=True)
class Shown:
    """One item as the page shows it: its id, the reference of its picture and its text, where it has them."""

    id: str
    ref: str | None = None
    text: str | None = None

    @property
    def label(self) -> str:
        """The text where there is one, else the id."""
        return self.text or self.id


class Pictures:
    """The items of a report, shown by id; remembers which pictures the page needs.

    Args:
        items: The items, or None: then ids are all there is.
    """

    def __init__(self, items: PairedItems | None) -> None:
        self._items = items
        self._where = {} if items is None else {id_: i for i, id_ in enumerate(items.ids)}
        self._shown: dict[tuple[str, str], Shown] = {}
        self._sprites: list[str] = []

    def __contains__(self, id_: str) -> bool:
        return id_ in self._where

    def show(self, id_: str, *, prefer: tuple[str, ...] = (), picture: bool = True) -> Shown:
        """One item.

        Args:
            id_: Its id; one that the items do not hold is shown by that id.
            prefer: Views to take picture and text from, before others.
            picture: Whether its picture is wanted, which the page then holds.

        Raises:
            InputError: if a file of the items cannot be read.
            MissingExtraError: if there are pictures and Pillow is not installed.
        """
        if self._items is None or id_ not in self._where:
            return Shown(printable(id_))
        text_view = self._view("text", prefer)
        picture_view = (self._view("image", prefer) or self._view("audio", prefer)) if picture else None
        key = (id_, f"{text_view} {picture_view}")
        if key not in self._shown:
            i = self._where[id_]
            words = printable(self._items.views[text_view][i]).strip() if text_view else None
            ref = None if picture_view is None else self._sprite(self._items.views[picture_view][i])
            self._shown[key] = Shown(printable(id_), ref, words)
        return self._shown[key]

    def sprites(self) -> Markup:
        """The pictures that were shown, as definitions for ``<use>``."""
        if not self._sprites:
            return Markup("")
        defs = tag("defs", "".join(self._sprites))
        return Markup(  # built by `tag`, which escapes
            tag("svg", defs, width=0, height=0, class_="sprites", aria_hidden="true", focusable="false")
        )

    def symbol(self, item: Shown) -> str:
        """The picture of an item that was shown, as a definition for ``<use>``; empty where it has none."""
        return "" if item.ref is None else self._sprites[int(item.ref[1:])]

    def _view(self, modality: str, prefer: tuple[str, ...]) -> str | None:
        views = {} if self._items is None else self._items.views
        fitting = [name for name, view in views.items() if view.modality == modality]
        return next((n for n in prefer if n in fitting), fitting[0] if fitting else None)

    def _sprite(self, item: Any) -> str:
        ref = f"i{len(self._sprites)}"
        self._sprites.append(waveform(item.samples, ref) if hasattr(item, "samples") else _image(item, ref))
        return ref


def waveform(samples: Any, ref: str) -> str:
    """A recording as the outline of its loudness, a symbol of 72 × 72."""
    samples = np.abs(np.asarray(samples, dtype=np.float64))
    peaks = np.array([c.max() if c.size else 0.0 for c in np.array_split(samples, _BINS)])
    heights = 30 * peaks / (peaks.max() or 1.0)
    xs = np.linspace(4, _SIDE - 4, _BINS)
    top = [(float(x), 36 - max(float(h), 0.5)) for x, h in zip(xs, heights, strict=True)]
    bottom = [(x, 72 - y) for x, y in reversed(top)]
    shape = tag("path", d=path(top + bottom) + "z", class_="wave")
    return tag("symbol", shape, id=ref, viewBox=f"0 0 {_SIDE} {_SIDE}")


def _image(item: Any, ref: str) -> str:
    try:
        from PIL import Image, features
    except ImportError as error:
        raise MissingExtraError("A report with pictures", "Pillow", "data") from error
    picture = Image.fromarray(np.asarray(item)) if not hasattr(item, "convert") else item
    # transparent pictures keep their transparency; palettes and greys become plain colour
    picture = picture.convert("RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB")
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    kind = "webp" if features.check("webp") else "png"
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=82, method=6) if kind == "webp" else picture.save(buffer, kind, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    width, height = picture.size
    image = tag("image", href=f"data:image/{kind};base64,{data}", width=width, height=height)
    return tag("symbol", image, id=ref, viewBox=f"0 0 {width} {height}")
