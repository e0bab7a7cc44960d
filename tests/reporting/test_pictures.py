import base64
import io
import re

import numpy as np
import pytest

from isomorph.datasets import PairedItems
from isomorph.reporting._pictures import Pictures, waveform


def _decoded(sprites: str) -> list:
    image = pytest.importorskip("PIL.Image")
    found = re.findall(r"data:image/\w+;base64,([\w+/=]+)", sprites)
    return [image.open(io.BytesIO(base64.b64decode(f))) for f in found]


def test_thumbnails_are_small_keep_their_shape_and_are_stored_once(make_items):
    pictures = Pictures(make_items())
    first, again = pictures.show("item-0"), pictures.show("item-0")
    assert first == again
    (image,) = _decoded(str(pictures.sprites()))
    assert image.size == (60, 40), "never enlarged"
    large = Pictures(PairedItems("a", ("i",), {"image": [np.zeros((300, 150, 3), np.uint8)]}))
    large.show("i")
    assert _decoded(str(large.sprites()))[0].size == (36, 72)


def test_transparency_of_pictures_is_kept():
    image = pytest.importorskip("PIL.Image").new("RGBA", (8, 8), (255, 0, 0, 0))
    pictures = Pictures(PairedItems("a", ("i",), {"image": [image]}))
    pictures.show("i")
    assert _decoded(str(pictures.sprites()))[0].convert("RGBA").getpixel((0, 0))[3] == 0


def test_the_text_of_the_scanned_view_is_preferred():
    items = PairedItems("a", ("i",), {"text": ["dog"], "text_de": ["Hund"]})
    assert Pictures(items).show("i").label == "dog"
    assert Pictures(items).show("i", prefer=("image", "text_de")).label == "Hund"


def test_recordings_are_shown_as_their_loudness_with_their_text(recording):
    pictures = Pictures(PairedItems("a", ("i",), {"speech": [recording], "text": ["dog"]}))
    shown = pictures.show("i")
    assert (shown.label, shown.ref) == ("dog", "i0")
    assert 'class="wave"' in str(pictures.sprites())
    assert "nan" not in waveform(np.zeros(0), "a")


def test_without_items_or_with_unknown_ids_the_id_is_shown(make_items):
    assert Pictures(None).show("<b>").label == "<b>"
    assert Pictures(make_items()).show("zzz").ref is None
    assert str(Pictures(None).sprites()) == ""
