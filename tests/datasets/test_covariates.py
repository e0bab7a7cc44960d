"""Covariates made of items: lengths, frequencies of words, complexity of pictures."""

import gzip
import zlib

import msgspec
import numpy as np
import pytest

import isomorph as iso
from isomorph.datasets import MEASURES, Audio, measured, read_columns
from isomorph.datasets import _words as words
from isomorph.errors import InputError, UnknownNameError


def items(**views):
    n = len(next(iter(views.values())))
    return iso.PairedItems("things", tuple(f"i{k}" for k in range(n)), views)


def test_words_and_characters_are_counted():
    own = items(text=["A cat's well-known smile", "dog", "zwei Hunde – 3 Katzen!"])
    assert measured(own, "word_count").tolist() == [5, 1, 4]
    assert measured(own, "character_count").tolist() == [24, 3, 22]
    assert measured(own, "word_count(view='text | first_words(n=2)')").tolist() == [2, 1, 2]


@pytest.fixture
def table(monkeypatch):
    """A word list of the form of wordfreq's: words of frequency 10^-0.00, 10^-0.01, …"""
    lists = {
        "wordfreq/data/small_en.msgpack.gz": [{"format": "cB", "version": 1}, ["the"]],
        "wordfreq/data/large_en.msgpack.gz": [
            {"format": "cB", "version": 1},
            [],
            ["the"],
            ["cat", "don't"],
            ["axolotl"],
        ],
        "wordfreq/data/small_de.msgpack.gz": [{"format": "cB", "version": 1}, ["katze"]],
        "wordfreq/data/large_ja.msgpack.gz": [{"format": "cB", "version": 1}, ["猫"]],
        "wordfreq/tokens.py": b"",
    }
    monkeypatch.setattr(words._packages, "names", lambda package: list(lists))
    monkeypatch.setattr(
        words._packages, "read", lambda package, path: gzip.compress(msgspec.msgpack.encode(lists[path]))
    )
    words._table.cache_clear()
    yield
    words._table.cache_clear()


@pytest.mark.usefixtures("table")
def test_a_phrase_is_as_frequent_as_its_rarest_word():
    own = items(text=["The cat", "the Axolotl", "the unheard-of", "the", "don’t 42", "42"])
    found = measured(own, "word_frequency")
    assert found[:5].tolist() == pytest.approx([8.98, 8.97, 8.97, 8.99, 8.98])  # 9 less a hundredth a step
    assert np.isnan(found[5])
    assert measured(items(text=["Katze"]), "word_frequency(language='de')").tolist() == [9.0]


@pytest.mark.usefixtures("table")
def test_unknown_and_unspaced_languages_are_refused():
    own = items(text=["a"])
    with pytest.raises(UnknownNameError, match=r"language of word frequencies 'dee'. Did you mean 'de'"):
        measured(own, "word_frequency(language='dee')")
    with pytest.raises(InputError, match="not told apart by spaces"):
        measured(own, "word_frequency(language='ja')")


@pytest.mark.real
def test_the_pinned_word_lists_say_what_their_package_says(have):
    """Zipf frequencies as wordfreq's own documentation gives them."""
    have(words.WORDS)
    words._table.cache_clear()
    found = words.word_frequencies(["the", "word", "frequency"], "en")
    assert found == pytest.approx([7.73, 5.26, 4.36], abs=0.011)
    assert words.word_frequencies(["Fernsehen"], "de")[0] > words.word_frequencies(["Weltschmerz"], "de")[0]


def test_complex_pictures_take_more_bytes_and_have_more_edges():
    rng = np.random.default_rng(0)
    flat = np.full((40, 40, 3), 128, dtype=np.uint8)
    ramp = np.repeat((np.arange(40) * 4).astype(np.uint8)[None, :, None], 40, axis=0).repeat(3, axis=2)
    half = flat.copy()
    half[:, 20:] = 255
    noise = rng.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)
    own = items(image=[flat, ramp, half, noise])
    found = measured(own, "image_bytes")
    assert found[0] < found[3]
    assert found[1] < 0.1 * found[3]  # a ramp is predicted
    assert found[3] > 3  # noise is not
    edges = measured(own, "edge_density")
    assert edges[0] == 0
    assert edges[1] == 0  # 4 of 255 a pixel
    assert edges[2] == pytest.approx(2 / 40)  # the two columns beside the step
    assert edges[3] > 0.3


def test_the_compressed_size_is_that_of_a_png():
    """Against Pillow's own PNG of the same filter, less its chunks."""
    image = pytest.importorskip("PIL.Image")
    import io

    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.integers(-2, 3, size=(64, 64, 3)), axis=1).astype(np.uint8)
    file = io.BytesIO()
    image.fromarray(smooth).save(file, "PNG", compress_level=9)
    found = measured(items(image=[smooth]), "image_bytes")[0] * 64 * 64
    assert found == pytest.approx(len(file.getvalue()), rel=0.1)
    assert found < len(zlib.compress(smooth.tobytes(), 9))


def test_pictures_of_pil_count_as_arrays():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, size=(9, 7, 3), dtype=np.uint8)
    assert measured(items(image=[image.fromarray(pixels)]), "image_bytes") == measured(
        items(image=[pixels]), "image_bytes"
    )


def test_recordings_have_a_duration():
    sound = Audio(np.zeros(800, dtype=np.float32), 16_000)
    assert measured(items(audio=[sound]), "duration").tolist() == [0.05]


def test_every_measure_says_what_view_it_needs():
    own = items(rows=np.eye(3))
    for name in MEASURES:
        with pytest.raises(InputError, match=r"has no (text|image|audio) view"):
            measured(own, name)
    two = items(first=["a", "b"], second=["c d", "e"])
    with pytest.raises(InputError, match="has 'first', 'second'; say which with view="):
        measured(two, "word_count")
    assert measured(two, "word_count('second')").tolist() == [2, 1]
    with pytest.raises(InputError, match="holds text; image is measured here"):
        measured(two, "edge_density(view='first')")
    with pytest.raises(UnknownNameError, match="Did you mean 'word_count'"):
        measured(two, "words_count")
    with pytest.raises(InputError, match="view must be"):
        measured(two, "word_count(view=3)")


def test_tables_of_covariates_are_read_by_column(tmp_path):
    path = tmp_path / "norms.csv"
    path.write_text("id,size,kind,code\na,1.5,pet,007\nb,,farm,x\n", encoding="utf-8")
    assert read_columns(path) == {
        "size": {"a": 1.5, "b": None},
        "kind": {"a": "pet", "b": "farm"},
        "code": {"a": "007", "b": "x"},
    }
    with pytest.raises(UnknownNameError, match="column of"):
        read_columns(path, id="key")
