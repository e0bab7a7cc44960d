"""Stamps laid out as Debian's package has them, in a folder and in a `.deb`; at the end, the real package."""

from __future__ import annotations

import io
import sys
import tarfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isomorph._core.packages import Package
from isomorph.datasets import load_dataset
from isomorph.datasets import tuxpaint as module
from isomorph.datasets.tuxpaint import TuxPaint
from isomorph.errors import FetchError, InputError, MissingExtraError, UnknownNameError

HOME = "usr/share/tuxpaint/stamps"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10">{}</svg>'


def stamp(root: Path, id_: str, captions: str, shade: int | None = 7, spoken: tuple[str, ...] = ()) -> None:
    stem = root / HOME / id_
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_name(f"{stem.name}.txt").write_text(captions, encoding="utf-8")
    if shade is not None:
        Image.fromarray(np.full((3, 4, 3), shade, dtype=np.uint8)).save(stem.with_name(f"{stem.name}.png"))
    for ending in spoken:
        with wave.open(str(stem.with_name(f"{stem.name}{ending}.wav")), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(f"{id_}{ending} sounds".encode().ljust(64))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    fr, ru = "_desc_fr", "_desc_ru"
    stamp(root, "animals/birds/crow", "A crow.\nfr.utf8=Un corbeau.\nde.utf8=Eine Krähe.\n", 10, (fr, ru, "", "_desc"))
    stamp(root, "animals/cat", "A cat.\nfr.utf8=Un chat.\nca@valencia.utf8=Un gat.\n", 20, (fr,))
    stamp(root, "animals/cat2", "a CAT.\nfr.utf8=Un chat.\n", 30, (fr, ru))
    stamp(root, "food/egg", "An egg.\nfr.utf8=\nde.utf8=Ein Ei.\n", 40, (fr,))
    stamp(root, "food/pie", "A pie.\nfr.utf8=Une tarte.\n", 50)
    stamp(root, "food/box", "A box.\nfr.utf8=Une boîte.\n", None, (fr,))
    stamp(root, "symbols/alphabets/english/a", "The letter A.\nfr.utf8=La lettre A.\n", 60, (fr,))
    stamp(root, "town/wall", "A wall.\nfr.utf8=Un mur.\n", None, (fr,))
    (root / HOME / "town/wall.svg").write_text(SVG.format('<rect width="9" height="9" fill="red"/>'))
    return root


def packed(root: Path, path: Path) -> Path:
    """The folder as a package of Debian."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        archive.add(root, arcname=".")
    content = b"!<arch>\n"
    for name, part in (("debian-binary", b"2.0\n"), ("data.tar.xz", data.getvalue())):
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode()
        content += part + b"\n" * (len(part) % 2)
    path.write_bytes(content)
    return path


def test_each_item_has_its_own_picture_captions_and_recording(root: Path) -> None:
    items = TuxPaint(path=str(root), languages=("en", "fr"), speech="fr").load()
    assert items.ids == ("animals/birds/crow", "animals/cat", "animals/cat2")
    assert list(items.views) == ["image", "text", "text_fr", "speech"]
    assert list(items.view("text")) == ["A crow.", "A cat.", "a CAT."]
    assert list(items.view("text_fr")) == ["Un corbeau.", "Un chat.", "Un chat."]
    assert [int(picture[0, 0, 0]) for picture in items.view("image")] == [10, 20, 30]
    for id_, sound in zip(items.ids, items.view("speech"), strict=True):
        heard = np.frombuffer(f"{id_}_desc_fr sounds".encode().ljust(64), dtype="<i2") / 2**15
        np.testing.assert_array_equal(sound.samples, heard.astype(np.float32))
    assert items.labels == {
        "category": ("animals", "animals", "animals"),
        "subcategory": ("animals/birds", "animals", "animals"),
    }


def test_one_english_caption_is_one_group_whatever_its_capitals(root: Path) -> None:
    items = TuxPaint(path=str(root)).load()
    assert items.groups is not None
    group = dict(zip(items.ids, items.groups, strict=True))
    assert group["animals/cat"] == group["animals/cat2"]
    assert len(set(group.values())) == len(items) - 1
    single = TuxPaint(path=str(root), duplicates=False).load()
    assert single.groups is None
    assert set(items.ids) - set(single.ids) == {"animals/cat2"}
    assert "that of 'animals/cat'" in single.skipped["animals/cat2"]
    spoken = TuxPaint(path=str(root), duplicates=False, speech="ru").load()
    assert "animals/cat2" in spoken.ids  # the first that can be used


def test_what_lacks_something_is_named_with_what_it_lacks(root: Path) -> None:
    items = TuxPaint(path=str(root), languages="fr", speech="fr").load()
    assert items.skipped == {
        "food/box": "there is no picture.",
        "food/egg": "there is no caption in 'fr'.",
        "food/pie": "there is no recording in 'fr'.",
        "symbols/alphabets/english/a": "a letter; letters=True takes it.",
        "town/wall": "its picture is a drawing (SVG); svg=True renders it.",
    }
    everything = TuxPaint(path=str(root), letters=True, svg=True).load()
    assert set(everything.skipped) == {"food/box"}
    assert len(everything) == 7


def test_several_languages_of_speech_have_a_view_each_and_english_is_the_one_without_a_code(root: Path) -> None:
    items = TuxPaint(path=str(root), speech=("fr", "ru")).load()
    assert list(items.views) == ["image", "text", "speech_fr", "speech_ru"]
    assert items.ids == ("animals/birds/crow", "animals/cat2")
    english = TuxPaint(path=str(root), speech="en").load()
    assert english.ids == ("animals/birds/crow",)
    heard = np.frombuffer(b"animals/birds/crow_desc sounds".ljust(64), dtype="<i2") / 2**15
    np.testing.assert_array_equal(english.view("speech")[0].samples, heard.astype(np.float32))  # and no crow's caw
    assert "text_ca_valencia" in TuxPaint(path=str(root), languages="ca@valencia").load().views


def test_a_package_its_files_and_the_folder_of_stamps_give_the_same_items(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    places = (root, root / HOME, root / "usr/share/tuxpaint", packed(root, tmp_path / "stamps.deb"))
    prints = {TuxPaint(path=str(p), languages="fr", speech="fr").load().fingerprint for p in places}
    assert len(prints) == 1


def test_only_the_categories_that_are_asked_for_are_taken(root: Path) -> None:
    items = TuxPaint(path=str(root), categories=("food",)).load()
    assert set(items.labels["category"]) == {"food"}
    assert set(items.skipped) == {"food/box"}


def test_terms_and_readers_are_told(root: Path) -> None:
    assert "no file of terms is here" in TuxPaint(path=str(root)).load().license
    terms = root / "usr/share/doc/tuxpaint-stamps-default/copyright"
    terms.parent.mkdir(parents=True)
    stanza = "Format: x\n\nFiles: *\nCopyright: 2002 by N. N.\nLicense: GPL-2\n\nFiles: debian/*\nLicense: other\n"
    terms.write_text(stanza)
    for place in (root, root / HOME):
        told = TuxPaint(path=str(place), speech="fr").load().license
        assert "GPL-2, 2002 by N. N." in told
        assert "fr: Jacques Chion; PaulK" in told


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("tuxpaint(speech=1)", "tuxpaint: speech must be a text or a list of texts"),
        ("tuxpaint(languages=[1])", "tuxpaint: languages must be a text or a list of texts"),
        ("tuxpaint(svg=1)", "svg must be True or False"),
        ("tuxpaint(duplicates='no')", "duplicates must be True or False"),
        ("tuxpaint(categories='animal')", "Did you mean 'animals'"),
        ("tuxpaint(path=3)", "path must be a text or None"),
    ],
)
def test_senseless_parameters_are_refused_before_anything_is_fetched(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_dataset(spec)


def test_an_unknown_language_is_refused_with_those_that_there_are(root: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"language of Tux Paint's captions 'frr'\. Did you mean 'fr'"):
        TuxPaint(path=str(root), languages="frr").load()
    with pytest.raises(UnknownNameError, match=r"language of Tux Paint's recordings 'xyz'\. Known: en, fr, ru\."):
        TuxPaint(path=str(root), speech="xyz").load()


def test_a_path_without_stamps_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no stamps: expected usr/share/tuxpaint/stamps"):
        TuxPaint(path=str(tmp_path)).load()
    with pytest.raises(InputError, match=r"there is no file or folder path="):
        TuxPaint(path=str(tmp_path / "stamps.deb")).load()
    (tmp_path / "stamps.deb").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"must be a \.deb file.*does not begin as an ar archive"):
        TuxPaint(path=str(tmp_path / "stamps.deb")).load()


def test_where_nothing_has_all_that_is_asked_for_the_first_reason_is_told(root: Path) -> None:
    with pytest.raises(InputError, match=r"no stamp has all.*food/box.*no picture"):
        TuxPaint(path=str(root), categories="food", speech="ru").load()


def test_a_machine_without_the_package_is_told_that_a_path_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=r"no apt-get here.*Or name the file, or a folder with its files: tux"):
        TuxPaint().load()


def test_a_drawing_is_rendered_on_white_and_what_cannot_be_is_named(root: Path) -> None:
    town = root / HOME / "town"
    for name, content in {
        "far": SVG.format('<image href="/etc/passwd.png" width="5" height="5"/>'),
        "blank": SVG.format('<text x="1" y="5">M</text>'),
        "torn": "<svg",
    }.items():
        (town / f"{name}.svg").write_text(content)
        (town / f"{name}.txt").write_text(f"{name}.")
    items = TuxPaint(path=str(root), categories="town", svg=True).load()
    assert items.ids == ("town/wall",)
    picture = items.view("image")[0]
    assert picture.shape == (128, 256, 3)
    assert picture[10, 10].tolist() == [255, 0, 0]
    assert picture[10, 250].tolist() == [255, 255, 255]
    for id_, words in {
        "far": "shows another file, '/etc/passwd.png'",
        "blank": "as nothing",
        "torn": "Cannot render",
    }.items():
        assert words in items.skipped[f"town/{id_}"]


def test_drawings_without_the_renderer_are_told_what_to_install(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtraError, match=r"isomorph\[images\]"):
        TuxPaint(path=str(root), svg=True).load()


# ---------------------------------------------------------------- the real package


@pytest.mark.thorough
@pytest.mark.real
def test_the_real_package_holds_what_the_documentation_says(have: Callable[[Package], None]) -> None:
    have(module.STAMPS)
    items = load_dataset("tuxpaint(languages=('fr', 'ja'), speech='fr')")
    assert (len(items), len(set(items.groups or ()))) == (609, 561)
    assert len(items) + len(items.skipped) == 952
    row = items.ids.index("animals/birds/blackbird")
    assert (items.view("text")[row], items.view("text_fr")[row]) == ("A blackbird.", "Un merle.")
    sound = items.view("speech")[row]
    assert sound.rate == 44_100
    assert 0.3 < len(sound.samples) / sound.rate < 3
    assert np.sqrt(np.mean(sound.samples**2)) > 0.01  # a voice, no silence
    picture = items.view("image")[row]
    assert (picture[0, 0] == 255).all()  # the transparent corner, on white
    assert picture[picture.shape[0] // 2, picture.shape[1] // 2].mean() < 100  # the bird is black
    assert "Bill Kendrick" in items.license
    assert len(load_dataset("tuxpaint(letters=True, svg=True)")) in range(785, 951)  # what resvg renders may change


@pytest.mark.real
def test_the_real_content_is_pinned(have: Callable[[Package], None]) -> None:
    """Features in a store are addressed by these."""
    have(module.STAMPS)
    items = load_dataset("tuxpaint(languages='fr', speech='fr', categories='space')")
    assert {k: items.view_fingerprint(k)[:12] for k in items.views} == {
        "image": "403c9db185e4",
        "text": "fac2c1c25bd0",
        "text_fr": "57815c0aa91a",
        "speech": "b18c838ec4ef",
    }
