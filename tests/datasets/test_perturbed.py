"""Perturbed views: what each does, and that it follows from the item and the seed alone."""

import numpy as np
import pytest

import isomorph as iso
from isomorph.datasets import PERTURBATIONS, Audio, FileView, PerturbedView, as_view, perturbed
from isomorph.errors import InputError, UnknownNameError

TEXTS = ["a grey cat sleeps on the mat", "two dogs run after a red ball", "cow", "the sun over a wide blue sea"]


def pictures(n=3, edge=24):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(n, edge, edge + 8, 3), dtype=np.uint8)
    return [*images]


def on_white():
    image = np.full((20, 20, 3), 255, dtype=np.uint8)
    image[6:14, 5:15] = (200, 30, 30)
    image[8:10, 8:10] = (10, 200, 30)
    return image


def sounds():
    t = np.arange(1600) / 16_000
    return [Audio((0.3 * np.sin(2 * np.pi * f * t * (1 + t))).astype(np.float32), 16_000) for f in (220, 440)]


BASES = {"text": TEXTS, "image": [on_white(), *pictures()], "audio": sounds()}


def view_of(name):
    kind = PERTURBATIONS[name].modality
    values = BASES[kind]
    return as_view([on_white()] * 2 if name == "silhouette" else values)


def same(a, b):
    if isinstance(a, Audio):
        return a.rate == b.rate and np.array_equal(a.samples, b.samples)
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_change_follows_from_the_item_and_the_seed_alone(name):
    base = view_of(name)
    view = perturbed(base, name)
    again = perturbed(base.take([1, 0]), name)
    assert view.modality == base.modality
    assert len(view) == len(base)
    assert same(view[0], again[1])
    assert same(view[1], again[0])
    assert same(view[0], view[0])
    assert same(view[:2][1], view[1])
    assert same(view.take([1])[0], view[1])


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_digests_are_those_of_content_change_and_parameters(name):
    base = view_of(name)
    view = perturbed(base, name)
    assert view.digest(0) != base.digest(0)
    assert view.digest(0) == perturbed(base.take([0]), name).digest(0)
    assert perturbed(view, name).digest(0) != view.digest(0)
    others = {
        perturbed(base, other).digest(0) for other in PERTURBATIONS if PERTURBATIONS[other].modality == base.modality
    }
    assert len(others) == sum(kind.modality == base.modality for kind in PERTURBATIONS.values())


@pytest.mark.parametrize("name", [k for k, v in PERTURBATIONS.items() if hasattr(v, "seed")])
def test_another_seed_is_another_change(name):
    base = view_of(name)
    one, two = (perturbed(base, f"{name}(seed={s})") for s in (0, 1))
    assert one.digest(0) != two.digest(0)
    assert any(not same(one[i], two[i]) for i in range(len(base)))


def test_the_originals_are_left_alone():
    images = pictures()
    before = [image.copy() for image in images]
    for name in ("blur", "shuffle_patches", "mask_center", "grayscale"):
        list(perturbed(as_view(images), name))
    assert all(np.array_equal(a, b) for a, b in zip(images, before, strict=True))


def test_words_are_shuffled_dropped_masked_and_cut():
    view = as_view(TEXTS)
    shuffled = list(perturbed(view, "shuffle_words"))
    assert [sorted(t.split()) for t in shuffled] == [sorted(t.split()) for t in TEXTS]
    assert [a == b for a, b in zip(shuffled, TEXTS, strict=True)] == [
        False,
        False,
        True,
        False,
    ]  # one word has one order
    dropped = list(perturbed(view, "drop_words(share=0.5)"))
    assert [len(t.split()) for t in dropped] == [3, 3, 1, 3]  # of 7 words 4 go
    for text, whole in zip(dropped, TEXTS, strict=True):
        words = iter(whole.split())
        assert all(word in words for word in text.split())  # in their order
    assert list(perturbed(view, "mask_words(mask='X')")) == [
        "a X X X on the X",
        "X X X after a X X",
        "X",
        "the X over a X X X",
    ]
    assert list(perturbed(view, "first_words(n=2)")) == ["a grey", "two dogs", "cow", "the sun"]
    assert perturbed(as_view(["Don't go, Well-known Cat!"]), "mask_words")[0] == "Don't ___, ___-___ ___!"


def test_pictures_lose_what_they_should():
    image = pictures(1)[0]
    view = as_view([image])
    blurred = perturbed(view, "blur(sigma=0.1)")[0]
    assert blurred.shape == image.shape
    assert blurred.dtype == np.uint8
    assert np.abs(np.diff(blurred.astype(int), axis=1)).mean() < 0.2 * np.abs(np.diff(image.astype(int), axis=1)).mean()
    assert abs(blurred.mean() - image.mean()) < 5
    flat = np.full((9, 9, 3), 77, dtype=np.uint8)
    assert np.array_equal(perturbed(as_view([flat]), "blur")[0], flat)
    moved = perturbed(view, "shuffle_patches(grid=4)")[0]
    assert np.array_equal(np.sort(moved.reshape(-1, 3), axis=0), np.sort(image.reshape(-1, 3), axis=0))
    tiles = {image[6 * i : 6 * i + 6, 8 * j : 8 * j + 8].tobytes() for i in range(4) for j in range(4)}
    assert {moved[6 * i : 6 * i + 6, 8 * j : 8 * j + 8].tobytes() for i in range(4) for j in range(4)} == tiles
    gray = perturbed(view, "grayscale")[0]
    assert np.array_equal(gray[..., 0], gray[..., 2])
    assert gray[0, 0, 0] == round(float(image[0, 0] @ [0.299, 0.587, 0.114]))
    masked = perturbed(view, "mask_center(share=0.5)")[0]
    changed = np.any(masked != image, axis=2)
    assert changed[6:18, 8:24].mean() > 0.95  # by chance a pixel has the mean color
    assert not changed[:6].any()
    assert not changed[:, :8].any()


def test_a_silhouette_keeps_the_shape_alone():
    found = perturbed(as_view([on_white()]), "silhouette")[0]
    inside = np.zeros((20, 20), dtype=bool)
    inside[6:14, 5:15] = True
    assert np.array_equal(found == 0, np.repeat(inside[:, :, None], 3, axis=2))
    with pytest.raises(InputError, match="no object on a white background"):
        perturbed(as_view(pictures(1)), "silhouette")[0]


def test_recordings_are_reversed_and_noised():
    own = sounds()[0]
    view = as_view([own])
    assert np.array_equal(perturbed(view, "reverse")[0].samples, own.samples[::-1])
    for decibels in (0, 12):
        noisy = perturbed(view, f"noise(decibels={decibels})")[0]
        assert noisy.samples.dtype == np.float32
        ratio = 10 * np.log10(np.mean(own.samples**2) / np.mean((noisy.samples - own.samples) ** 2))
        assert ratio == pytest.approx(decibels, abs=0.6)
    silent = Audio(np.zeros(10, dtype=np.float32), 8_000)
    assert not perturbed(as_view([silent]), "noise")[0].samples.any()


def items():
    return iso.PairedItems(
        "pets", tuple("abcd"), {"text": TEXTS, "image": [on_white()] * 4}, {"kind": tuple("xxyy")}, source="pets()"
    )


def test_views_are_spelled_with_their_changes():
    own = items()
    assert own.view("text | first_words(n=2)")[1] == "two dogs"
    assert own.view("text|first_words(n=3) | shuffle_words(seed=4)").how.spec == "shuffle_words(seed=4)"
    assert len(own.view("text | first_words(n=3) | shuffle_words")[0].split()) == 3
    both = own.view("image | grayscale+text | mask_words(mask='+|')")
    assert both.modality == "image+text"
    assert both[2][1] == "+|"
    names = ["text", "text | shuffle_words", "text | shuffle_words(seed=1)", "text | first_words"]
    assert len({own.view_fingerprint(name) for name in names}) == 4
    assert own.subset("ca").view("text | shuffle_words")[1] == own.view("text | shuffle_words")[0]


def test_items_are_perturbed_with_their_ids():
    own = items()
    other = own.perturbed("text", "shuffle_words(seed=3)")
    assert other.ids == own.ids
    assert other.labels == own.labels
    assert other.fingerprint != own.fingerprint
    assert other.view_fingerprint("image") == own.view_fingerprint("image")
    assert other.source == "pets() with text | shuffle_words(seed=3)"
    assert other.view("text")[0] != own.view("text")[0]
    assert isinstance(other.subset("ab").view("text"), PerturbedView)


def test_features_of_a_perturbed_view_are_kept_apart(tmp_path):
    own = items()
    encoder = iso.load_encoder("statistics:text")
    whole = iso.extract(encoder, own, "text", store=tmp_path)
    shuffled = iso.extract(encoder, own, "text | first_words", store=tmp_path)
    third = iso.extract(encoder, own.perturbed("text", "first_words"), "text", store=tmp_path)
    assert shuffled.view == "text | first_words"
    assert shuffled.ids == whole.ids
    assert not np.array_equal(whole["words"], shuffled["words"])
    assert np.array_equal(third["words"], shuffled["words"])
    again = iso.extract(encoder, own, "text", store=tmp_path)
    assert np.array_equal(whole["words"], again["words"])


def test_files_are_read_when_they_are_asked_for(tmp_path):
    (tmp_path / "cat.txt").write_text("a grey cat")
    seen = []
    view = FileView([tmp_path / "cat.txt"], "text", lambda p: seen.append(p) or p.read_text())
    changed = perturbed(view, "first_words(n=2)")
    changed.digest(0)
    assert not seen
    assert changed[0] == "a grey"


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("shuffle_wrods", UnknownNameError, "Did you mean 'shuffle_words'"),
        ("blur", InputError, "blur changes image, and the view holds text"),
        ("drop_words(share=1.5)", InputError, r"drop_words\(share\)=1.5: a share between 0 and 1"),
        ("first_words(n=0)", InputError, r"first_words\(n\)=0"),
        ("first_words(m=2)", InputError, "Its parameters are"),
        ("mask_words(mask='')", InputError, "one word is needed"),
        ("shuffle_words(seed=-1)", InputError, "seed"),
        ("shuffle_words(", InputError, "Cannot read the perturbation"),
    ],
)
def test_bad_spellings_are_refused_in_words(how, error, said):
    with pytest.raises(error, match=said):
        items().view(f"text | {how}")


def test_pictures_too_small_for_the_grid_are_named():
    with pytest.raises(InputError, match="fewer than squares along an edge"):
        perturbed(as_view([on_white()]), "shuffle_patches(grid=50)")[0]


def test_views_without_perturbations_say_so():
    with pytest.raises(InputError, match="no perturbations"):
        perturbed(as_view(np.eye(3)), "blur")
    with pytest.raises(UnknownNameError, match="view of pets"):
        items().view("txt | shuffle_words")


def test_a_seed_that_is_none_is_refused_in_one_sentence():
    with pytest.raises(InputError, match=r"'shuffle_words\(seed=-1\)': seed=-1: a seed must .*, such as seed=0\.$"):
        perturbed(as_view(["a b"]), "shuffle_words(seed=-1)")
