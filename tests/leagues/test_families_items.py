"""What networks of families are trained on: pictures, characters, spectrograms; at the end, the real packages."""

from __future__ import annotations

import gzip
import io
import json
import struct
import wave

import numpy as np
import pytest
from PIL import Image

from isomorph.datasets.tuxpaint import TuxPaint
from isomorph.errors import FetchError, InputError
from isomorph.leagues import FAMILIES, load_family
from isomorph.leagues.families import characters, cifar10, fashion, speech
from isomorph.leagues.families._pictures import Pictures, halved
from isomorph.leagues.families._trained import Trained

TRAINED = [name for name, cls in FAMILIES.classes.items() if issubclass(cls, Trained)]


def test_pictures_are_averaged_over_two_by_two_pixels():
    pictures = np.arange(2 * 3 * 4 * 6, dtype=np.uint8).reshape(2, 3, 4, 6)
    found = halved(pictures)
    assert found.shape == (2, 3, 2, 3)
    assert found.dtype == np.float32
    assert found[1, 2, 1, 0] * 255 == pytest.approx(np.mean(pictures[1, 2, 2:4, 0:2].astype(float)), rel=1e-6)


def test_fashion_takes_the_first_pictures_of_both_parts(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    home = tmp_path / "usr/share/datasets/fashion-mnist"
    home.mkdir(parents=True)
    pictures = {part: rng.integers(0, 256, (20, 28, 28), dtype=np.uint8) for part in ("train", "t10k")}
    labels = {part: np.arange(20, dtype=np.uint8)[:: 1 - 2 * k] % 10 for k, part in enumerate(pictures)}
    for part, shown in pictures.items():
        head = struct.pack(">4B3I", 0, 0, 8, 3, 20, 28, 28)
        (home / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + shown.tobytes()))
        head = struct.pack(">4BI", 0, 0, 8, 1, 20)
        (home / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + labels[part].tobytes()))
    monkeypatch.setattr(fashion._packages, "unpacked", lambda package, prefixes: tmp_path)
    monkeypatch.setattr(fashion, "TRAIN", 15)
    monkeypatch.setattr(fashion, "ITEMS", 12)
    task = fashion.Fashion().task()
    assert (task.x.shape, task.held.shape, task.n_classes) == ((15, 1, 14, 14), (12, 1, 14, 14), 10)
    np.testing.assert_array_equal(task.y_held, labels["t10k"][:12])
    np.testing.assert_allclose(task.x[3, 0], pictures["train"][3].reshape(14, 2, 14, 2).mean((1, 3)) / 255, rtol=1e-6)


def test_cifar10_reads_a_photograph_from_each_row_of_a_sheet(monkeypatch):
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(0, 256, (20, 1024, 3), dtype=np.uint8) for name in ("data_batch_1", "test_batch")}

    def read(package, path):
        name = path.removeprefix("package/").removesuffix(".png")
        if name in rows:
            Image.fromarray(rows[name]).save(sheet := io.BytesIO(), "PNG")
            return sheet.getvalue()
        return json.dumps([(k + ("test" in name)) % 10 for k in range(20)]).encode()

    monkeypatch.setattr(cifar10._packages, "read", read)
    monkeypatch.setattr(cifar10, "TRAIN", 15)
    monkeypatch.setattr(cifar10, "ITEMS", 12)
    task = cifar10.Cifar10().task()
    assert (task.x.shape, task.held.shape) == ((15, 3, 16, 16), (12, 3, 16, 16))
    assert (list(task.y[:3]), list(task.y_held[:3])) == ([0, 1, 2], [1, 2, 3])
    green = rows["test_batch"][5, :, 1].reshape(32, 32)[30:, :2]  # the lower left corner
    assert task.held[5, 1, 15, 0] * 255 == pytest.approx(green.mean(), rel=1e-6)


def test_texts_stand_character_by_character_and_are_held_out_by_emoji():
    task = characters.texts_of(["ab", "ça", "b a", "aab", "ba", ""], np.array([0, 1, 0, 1, 0, 1]), held=2)
    assert task.x.shape == (4, 3 + 2, 16)  # " ab", and a sign for each class
    assert task.x[0].argmax(0)[:3].tolist() == [2, 0, 1]
    assert task.x.sum(axis=1)[:, :4].tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert task.held[1].sum(axis=0)[:2].tolist() == [0, 1]  # ç is in no text that is trained on
    assert task.y_held.tolist() == [0, 1]


def test_marks_of_texts_are_signs_that_no_character_is():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice([*"abcdefgh"], 12)) for _ in range(60)]
    task = characters.texts_of(texts, np.arange(60) % 3, held=20)
    told = np.arange(40) % 3
    marked = task.marked(task.x, told, np.random.default_rng(1))
    assert marked.dtype == np.float32
    np.testing.assert_array_equal(marked[:, -3:, 0].argmax(1), told)
    np.testing.assert_array_equal(marked[:, :, 0].sum(1), 1)
    assert not task.x[:, -3:].any()
    left = marked[:, :, 1:12].sum() / task.x[:, :, 1:12].sum()
    assert left == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / (40 * 11)))
    assert (marked[:, :, 1:] <= task.x[:, :, 1:]).all()


@pytest.mark.parametrize("kind", ["texts", "pictures"])
def test_only_a_share_of_the_items_is_changed_while_a_network_is_trained(kind):
    import torch

    if kind == "texts":
        texts = ["".join(np.random.default_rng(k).choice([*"abcdefgh"], 12)) for k in range(400)]
        task = characters.texts_of(texts, np.arange(400) % 3, held=100)
    else:
        x = np.random.default_rng(0).random((400, 1, 16, 16)).astype(np.float32)
        task = Pictures(x[100:], np.arange(300) % 3, x[:100], np.arange(100) % 3)
    torch.manual_seed(0)
    x = torch.from_numpy(task.x)
    for strength in (0.0, 0.25, 1.0):
        # a text that is not moved may meet the same characters in the other one, so its share may fall short
        changed = float((task.changed(torch, x, strength) != x).flatten(1).any(1).float().mean())
        assert strength - 0.2 < changed <= strength + 4 * np.sqrt(strength * (1 - strength) / 300)


def tone(hertz, seconds, rate=8000, loud=0.5):
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_a_spectrogram_shows_the_pitch_at_its_time():
    sound = np.concatenate([tone(300, 0.5), tone(2000, 0.55)])
    found = speech.spectrogram(sound, 8000)
    assert found.shape == (1, 16, 24)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([100, 4000]) / 700)), 18) / 2595) - 1)
    for hertz, frames, others in ((300, slice(0, 11), slice(13, 24)), (2000, slice(13, 24), slice(0, 11))):
        band = np.argmin(np.abs(edges[1:-1] - hertz))
        assert found[0, band, frames].mean() > found[0, band, others].mean() + 0.3
    assert np.argmax(speech._bands(360, 8000)[round(2000 * 360 / 8000)]) == np.argmin(np.abs(edges[1:-1] - 2000))


def test_a_spectrogram_is_of_the_loudest_second_however_loud_that_is():
    rng = np.random.default_rng(0)
    speaks = np.cumsum(rng.normal(size=23 * 336 + 360)) * 0.01  # as long as what is taken
    alone = speech.spectrogram(speaks, 8000)
    within = speech.spectrogram(np.concatenate([np.zeros(100 * 336), speaks, np.zeros(9000)]), 8000)
    np.testing.assert_allclose(within, alone, atol=1e-5)
    np.testing.assert_allclose(speech.spectrogram(7 * speaks, 8000), alone, atol=1e-5)
    assert np.isfinite(speech.spectrogram(tone(500, 0.1), 44100)).all()  # shorter than a second
    assert np.isfinite(speech.spectrogram(np.zeros(100), 16000)).all()  # silence


def spoken(stamp, language):
    """What stands for a recording: of each stamp and language another pitch."""
    return (20000 * tone(300 + 37 * stamp + 600 * language, 0.5)).astype("<i2")


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Twelve stamps, of which two each say the same, read aloud in five languages."""
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(speech, "HELD", 2)
    root = TuxPaint.example(tmp_path, n=12).path
    for i, stamp in enumerate(sorted((tmp_path / root).rglob("*.png"))):
        for k, language in enumerate(speech.LANGUAGES):
            with wave.open(str(stamp.with_name(f"{stamp.stem}_desc_{language}.wav")), "wb") as sound:
                sound.setparams((1, 2, 8000, 0, "NONE", ""))
                sound.writeframes(spoken(i, k).tobytes())
    return root


def test_speech_is_held_out_by_what_is_said(recordings, tmp_path, monkeypatch):
    maker = speech.Speech(path=recordings)
    task = maker.task()
    assert (len(task.x), len(task.held)) == ((6 - 2) * 5, 2 * 5)  # one of each two that say the same
    made = {
        speech.spectrogram(spoken(i, k).astype(np.float32) / 32768, 8000).round(3).tobytes(): (i, k)
        for i in range(12)
        for k in range(5)
    }
    trained_on, held = ([made[one.round(3).tobytes()] for one in part] for part in (task.x, task.held))
    assert [k for _, k in trained_on] == task.y.tolist()
    assert [k for _, k in held] == task.y_held.tolist() == [0, 1, 2, 3, 4] * 2
    assert [len({i for i, _ in part}) for part in (trained_on, held)] == [4, 2]
    assert {i for i, _ in trained_on}.isdisjoint(i for i, _ in held)
    # decoded once; a damaged file is made anew
    (kept,) = (tmp_path / "cache" / "leagues" / "speech").iterdir()
    content = kept.read_bytes()
    monkeypatch.setattr(speech, "spectrogram", None)
    np.testing.assert_array_equal(maker.task().x, task.x)
    monkeypatch.undo()
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(speech, "HELD", 2)
    kept.write_bytes(content[:100])
    np.testing.assert_array_equal(maker.task().x, task.x)
    assert kept.read_bytes() == content


def test_recordings_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match="there is no file or folder path="):
        speech.Speech(path=str(tmp_path / "gone")).task()


def test_networks_of_other_items_are_never_read(recordings):
    maker = speech.Speech(path=recordings, epochs=1)
    task = maker.task()
    other = Pictures(task.x, task.y, task.held * 0.5, task.y_held)
    assert maker.key(task) == maker.key(speech.Speech(path=recordings).task()) != maker.key(other)


def test_a_family_of_recordings_is_trained_and_answers(recordings, monkeypatch):
    monkeypatch.setattr(speech.Speech, "others", (("attention", 8),))
    family = load_family(f"speech(epochs=1, path={recordings!r})", ["architecture"])
    assert [n.attributes["architecture"] for n in family] == ["width 16"] * 3 + ["attention 8"] * 3
    assert family.labels.tolist() == [0, 1, 2, 3, 4] * 2
    assert all(n.last.shape == (10, 64) and n.outputs.shape == (10, 5) for n in family)
    again = load_family(f"speech(epochs=1, path={recordings!r})", ["architecture"])
    assert again.key == family.key


@pytest.mark.parametrize("name", TRAINED)
def test_every_family_has_what_the_criteria_of_design_need(name):
    maker = FAMILIES.make(f"{name}(seeds=3, epochs=1)")
    recipes = [*maker.recipes()]
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    assert sum(recipe.moments for recipe in recipes) >= 3
    for attribute in ("label_noise", "shortcut", "augmentation", "architecture"):
        kinds = [dict(recipe.attributes)[attribute] for recipe in recipes if attribute in dict(recipe.attributes)]
        assert len(set(kinds)) >= 4
        assert min(kinds.count(kind) for kind in kinds) == max(kinds.count(kind) for kind in kinds) == 3
    with pytest.raises(InputError, match=rf"{name}: seeds=2: a whole number of at least 3 is needed"):
        FAMILIES.make(f"{name}(seeds=2)")


# ---------------------------------------------------------------- the real packages


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "shape", "train", "classes"),
    [("characters", (69, 16), 5000, 5), ("fashion", (1, 14, 14), 4000, 10)],
)
def test_the_real_packages_hold_what_the_documentation_says(name, shape, train, classes):
    try:
        task = FAMILIES.make(name).task()
    except FetchError as error:
        if "is not the file that is pinned" in str(error):
            raise
        pytest.skip(str(error))
    assert (task.x.shape, task.held.shape) == ((train, *shape), (400, *shape))
    counts = np.bincount(task.y_held)
    assert len(counts) == classes == task.n_classes
    assert counts.min() > 0.7 * 400 / classes
    centers = np.stack([task.x[task.y == k].mean(axis=0).ravel() for k in range(classes)])
    flat = task.held.reshape(400, -1)
    nearest = ((flat[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == task.y_held) > 2 / classes  # labels belong to items
