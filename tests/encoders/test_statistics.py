from __future__ import annotations

import numpy as np
import pytest

from isomorph.datasets import Audio, PairedItems
from isomorph.encoders import load_encoder
from isomorph.errors import InputError, UnknownNameError
from isomorph.extraction import extract, input_statistics
from isomorph.metrics import metric
from isomorph.scanning import scan


def items(**views):
    n = len(next(iter(views.values())))
    return PairedItems("made", tuple(f"item{i}" for i in range(n)), views)


def pictures(n=6, shape=(20, 30)):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(n)]


def test_rows_carry_the_ids_of_the_items():
    layers = input_statistics(items(image=pictures()), "image")
    assert list(layers.ids) == [f"item{i}" for i in range(6)]
    assert list(layers) == ["colour", "pixels"]
    assert layers["colour"].shape == (6, 18)
    assert layers["pixels"].shape == (6, 193)


def test_pixels_are_means_over_equal_cells_of_any_size_of_picture():
    picture = np.zeros((16, 24, 3), dtype=np.uint8)
    picture[:2, :3] = 255  # exactly the first of 8 x 8 cells
    row = np.asarray(input_statistics(items(image=[picture, picture]), "image")["pixels"])[0]
    np.testing.assert_allclose(row[:-1].reshape(8, 8, 3)[0, 0], 1.0)
    assert row[:-1].sum() == pytest.approx(3.0)
    odd = pictures(1, (13, 5))[0]
    row = np.asarray(input_statistics(items(image=[odd, odd]), "image")["pixels"])[0]
    assert row[:-1].mean() == pytest.approx(odd.mean() / 255)


def test_a_black_picture_has_a_direction():
    layers = input_statistics(items(image=[np.zeros((9, 9, 3), np.uint8), *pictures(2)]), "image")
    assert all((np.linalg.norm(np.asarray(layer), axis=1) > 0).all() for layer in layers.values())


def test_colours_are_those_of_the_picture():
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    row = np.asarray(input_statistics(items(image=[red, red]), "image")["colour"])[0]
    np.testing.assert_allclose(row, [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0])


def test_texts_that_share_words_are_nearer_and_case_does_not_matter():
    texts = ["a grinning face", "Grinning Face", "red apple", "!!!"]
    layers = input_statistics(items(text=texts), "text")
    words = np.asarray(layers["words"])[:, :-1]
    assert words[0] @ words[1] > 0
    assert words[0] @ words[2] == 0
    assert (np.linalg.norm(np.asarray(layers["words"]), axis=1) > 0).all()
    characters = np.asarray(layers["characters"])[:, :-1]
    assert characters[0] @ characters[1] > characters[0] @ characters[2]


def test_statistics_are_the_same_in_every_process():
    layers = input_statistics(items(text=["one two", "three"]), "text")
    assert np.flatnonzero(np.asarray(layers["words"])[0]).tolist() == sorted({*crc_bins("one", "two"), 512})


def crc_bins(*words):
    import zlib

    return [zlib.crc32(w.encode()) % 512 for w in words]


def test_the_spectrum_tells_high_from_low_and_long_from_short():
    def tone(hertz, seconds, rate=16_000):
        return Audio(np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate).astype(np.float32), rate)

    recordings = [tone(200, 0.5), tone(3000, 0.5), tone(200, 1.0), tone(200, 0.001)]
    rows = np.asarray(input_statistics(items(speech=recordings), "speech")["spectrum"])
    assert np.isfinite(rows).all()
    assert rows[0, :24].argmax() < rows[1, :24].argmax()
    assert rows[2, -1] > rows[0, -1] > rows[3, -1]


def test_features_are_passed_through():
    x = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_array_equal(input_statistics(items(features=list(x)), "features")["features"], x)


def test_statistics_of_the_inputs_can_be_scored_like_a_model():
    rng = np.random.default_rng(0)
    shades = rng.integers(0, 256, 40)
    images = [np.full((8, 8, 3), s, dtype=np.uint8) for s in shades]
    texts = ["dark" if s < 128 else "bright" for s in shades]
    made = items(image=images, text=texts)
    a, b = input_statistics(made, "image"), input_statistics(made, "text")
    m = metric("cka")
    score = m(np.asarray(a["colour"]), np.asarray(b["words"]))
    assert m.null(np.asarray(a["colour"]), np.asarray(b["words"])).p_value(score) < 1e-6


def test_an_unknown_view_is_named():
    with pytest.raises(UnknownNameError, match="picture"):
        input_statistics(items(image=pictures()), "picture")


@pytest.mark.parametrize("kind", ["image", "text", "audio", "features"])
def test_the_encoder_gives_the_same_numbers_in_float32_through_a_store(kind, tmp_path):
    rng = np.random.default_rng(0)
    made = items(
        **{
            "image": {"image": pictures()},
            "text": {"text": ["a red cat", "home", "the dog runs"]},
            "audio": {"audio": [Audio(rng.standard_normal(n).astype(np.float32), 16_000) for n in (900, 4000, 1600)]},
            "features": {"features": list(rng.standard_normal((4, 3)))},
        }[kind]
    )
    encoder = load_encoder(f"statistics:{kind}")
    assert (encoder.checked, encoder.modality, encoder.n_parameters) == ("passed", kind, 0)
    layers, expected = extract(encoder, made, store=tmp_path / "s"), input_statistics(made, kind)
    assert list(layers) == list(expected) == list(encoder.layers)
    for name, rows in layers.items():
        np.testing.assert_array_equal(rows, np.asarray(expected[name]).astype(np.float32))


def test_the_encoder_is_a_baseline_in_a_scan():
    rng = np.random.default_rng(0)
    shades = rng.integers(0, 256, 40)
    made = items(
        image=[np.full((8, 8, 3), s, dtype=np.uint8) for s in shades],
        text=["dark" if s < 128 else "bright" for s in shades],
    )
    inputs, words = (extract(load_encoder(f"statistics:{kind}"), made) for kind in ("image", "text"))
    networks = {"l": rng.standard_normal((40, 6))}
    found = scan(networks, words, "cka", x_baselines={"inputs": inputs}, permutations=19)
    assert found.baselines["inputs x"]["cka"].best().value > 0.5 > found["cka"].best().value


def test_what_has_no_meaning_without_a_network_is_refused_by_name():
    for option in ({"init": "random"}, {"pooling": "max"}, {"dtype": "float64"}, {"device": "cuda"}, {"axes": "btd"}):
        with pytest.raises(InputError, match=next(iter(option))):
            load_encoder("statistics:text", **option)
    with pytest.raises(UnknownNameError, match="Did you mean 'image'"):
        load_encoder("statistics:imag")
    with pytest.raises(UnknownNameError, match="Did you mean 'words'"):
        load_encoder("statistics:text", layers="word")
    with pytest.raises(InputError, match="version 1"):
        load_encoder("statistics:text@2")
    assert load_encoder("statistics:text", layers="char*").layers == ("characters",)


@pytest.mark.parametrize(
    ("kind", "bad", "message"),
    [
        ("image", "text", "an image is needed"),
        ("image", np.zeros((3, 3), np.uint8), "shape"),
        ("text", 3, "a text is needed"),
        ("audio", "text", "no recording"),
        ("features", [[1.0]], "no row of features"),
        ("features", [np.nan], "not finite"),
    ],
)
def test_an_item_of_another_kind_is_named_by_its_place(kind, bad, message):
    encoder = load_encoder(f"statistics:{kind}")
    with pytest.raises(InputError, match=message):
        encoder.encode([bad])
    with pytest.raises(InputError, match="empty batch"):
        encoder.encode([])
