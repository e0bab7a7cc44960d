"""Running an encoder over a view."""

import tracemalloc
from itertools import chain

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from isomorph import show_progress
from isomorph.datasets import FileView, PairedItems
from isomorph.datasets._media import read_image
from isomorph.encoders._base import Encoder
from isomorph.errors import InputError, StoreError
from isomorph.extraction import extract
from isomorph.store import FeatureStore


class Fake(Encoder):
    """Rows that tell which text they are of; some texts make it misbehave."""

    provider, name, revision, modality, n_parameters = "fake", "fake:a", "1", "text", 7
    layers = ("first", "last")
    identity = {"pooling": "mean"}  # noqa: RUF012  # a property in the base, a constant here

    def __init__(self):
        self.batches = []

    def encode(self, batch):
        self.batches.append(list(batch))
        if any("refuse" in t for t in batch):
            raise InputError("item 0 of the batch is empty.")
        rows = np.array([[len(t), sum(map(ord, t))] for t in batch], dtype=np.float32)
        last = np.hstack([np.sin(rows), rows])
        for i, text in enumerate(batch):
            last[i, 1] = np.nan if "nan" in text else 1e5 if "huge" in text else last[i, 1]
        return {"first": rows, "last": last}

    @property
    def count(self):
        return sum(map(len, self.batches))


class Unloadable(Fake):
    """An encoder whose weights cannot be had any more."""

    @property
    def layers(self):
        raise AssertionError("the weights were asked for")

    n_parameters = layers

    def encode(self, batch):
        raise AssertionError("the encoder was run")


class Wrong(Fake):
    """An encoder that breaks its contract."""

    def __init__(self, result):
        super().__init__()
        self.result = result

    def encode(self, batch):
        return self.result(batch)


def items_of(texts, ids=None):
    return PairedItems("things", ids or tuple(f"id{i}" for i in range(len(texts))), {"text": texts})


@pytest.fixture
def items():
    return items_of([f"item {i} " + "x" * (i * 7 % 11) for i in range(21)])


def expected(items):
    return np.array([[len(t), sum(map(ord, t))] for t in items.views["text"]], dtype=np.float32)


def test_features_come_in_item_order_with_and_without_a_store(tmp_path, items):
    for store in (None, tmp_path / "a", str(tmp_path / "b"), FeatureStore(tmp_path / "c")):
        layers = extract(Fake(), items, store=store, batch_size=4)
        assert layers.ids == items.ids
        assert list(layers) == ["first", "last"]
        assert np.array_equal(layers["first"], expected(items))
        assert not layers["last"].flags.writeable
        assert (layers.encoder, layers.view, layers.n_parameters) == ("fake:a", "text", 7)


def test_features_in_memory_have_the_provenance_of_stored_ones(tmp_path, items):
    assert extract(Fake(), items).provenance == extract(Fake(), items, store=tmp_path).provenance


def test_texts_share_a_batch_with_those_of_like_length(items):
    encoder = Fake()
    extract(encoder, items, batch_size=4)
    lengths = [[len(t) for t in b] for b in encoder.batches]
    assert [len(b) for b in encoder.batches] == [4, 4, 4, 4, 4, 1]
    assert list(chain(*lengths)) == sorted(map(len, items.views["text"]), reverse=True)


def test_what_is_stored_is_not_computed_again_and_its_weights_are_not_asked_for(tmp_path, items):
    first = extract(Fake(), items, store=tmp_path)
    again = extract(Unloadable(), items, store=tmp_path)
    assert np.array_equal(first["last"], again["last"])
    assert again.n_parameters == 7


class Interrupted(Fake):
    def __init__(self, after, error):
        super().__init__()
        self.after, self.error = after, error

    def encode(self, batch):
        if len(self.batches) == self.after:
            raise self.error
        return super().encode(batch)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
@pytest.mark.parametrize("every", [0, 1e9])
def test_an_interruption_keeps_every_batch_that_was_computed(tmp_path, items, error, every, capfd):
    encoder = Interrupted(3, error)
    with pytest.raises(type(error)):
        extract(encoder, items, store=tmp_path / "s", batch_size=4, commit_every=every)
    assert capfd.readouterr() == ("", "")
    assert len(FeatureStore(tmp_path / "s").missing(Fake(), items)) == 21 - 12
    rest = Fake()
    extract(rest, items, store=tmp_path / "s", batch_size=4)
    assert rest.count == 9
    extract(Fake(), items, store=tmp_path / "whole", batch_size=4)
    assert files(tmp_path / "s") == files(tmp_path / "whole")


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_resuming_with_another_batch_size_computes_only_what_is_missing(tmp_path, items):
    with pytest.raises(KeyboardInterrupt):
        extract(Interrupted(2, KeyboardInterrupt()), items, store=tmp_path, batch_size=5)
    encoder = Fake()
    layers = extract(encoder, items, store=tmp_path, batch_size=3)
    assert encoder.count == 11
    assert max(map(len, encoder.batches)) == 3
    assert np.array_equal(layers["first"], expected(items))


def test_float16_takes_half_the_space_and_is_the_rounded_float32(tmp_path, items):
    full = extract(Fake(), items, store=tmp_path)
    half = extract(Fake(), items, store=tmp_path, storage="float16")
    assert half["last"].dtype == np.float16
    assert np.array_equal(half["last"], full["last"].astype(np.float16))
    assert np.array_equal(extract(Fake(), items, storage="float16")["last"], half["last"])
    small, large = sorted(e.size for e in FeatureStore(tmp_path).entries())
    assert large == 2 * small


@pytest.mark.parametrize("store", [False, True])
def test_an_activation_too_large_for_float16_names_layer_and_item(tmp_path, store):
    items = items_of(["a", "huge", "b"])
    with pytest.raises(
        InputError, match=r"item 'id1': layer 'last' gives 100000 at feature 1, which float16 .*storage='float32'"
    ):
        extract(Fake(), items, store=tmp_path if store else None, storage="float16")
    assert extract(Fake(), items)["last"][1, 1] == 1e5


@pytest.mark.parametrize("store", [False, True])
def test_a_non_finite_activation_names_layer_and_item(tmp_path, store):
    with pytest.raises(
        InputError,
        match=r"fake:a on view 'text' of things: item 'id2': layer 'last' gives a non-finite activation \(nan\)",
    ):
        extract(Fake(), items_of(["a", "b", "nan", "nan"]), store=tmp_path if store else None)


def test_an_item_that_the_encoder_refuses_is_named(items):
    with pytest.raises(InputError, match=r"item 'id1': item 0 of the batch is empty"):
        extract(Fake(), items_of(["a", "refuse", "b"]))


class RefusesCompany(Fake):
    def encode(self, batch):
        if len(batch) > 1:
            raise InputError("only one at a time.")
        return super().encode(batch)


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_batch_that_is_refused_though_each_item_is_not_names_the_batch(skip_bad):
    with pytest.raises(InputError, match=r"a batch that begins with 'id\d', .*: only one at a time"):
        extract(RefusesCompany(), items_of(["a", "b", "c"]), skip_bad=skip_bad)


@pytest.mark.parametrize("store", [False, True])
def test_skip_bad_leaves_bad_items_out_and_says_how_many(tmp_path, store, capsys):
    texts = ["a", "nan", "bb", "refuse", "ccc", "nan nan"]
    layers = extract(Fake(), items_of(texts), store=tmp_path if store else None, skip_bad=True, batch_size=2)
    assert layers.ids == ("id0", "id2", "id4")
    assert layers["first"][:, 0].tolist() == [1, 2, 3]
    assert sorted(layers.provenance["skipped"]) == ["id1", "id3", "id5"]
    assert "non-finite" in layers.provenance["skipped"]["id1"]
    assert "fake:a on 'text': left out 3 of 6 items" in capsys.readouterr().err


def test_what_was_skipped_is_not_tried_again_but_an_error_without_skip_bad(tmp_path):
    items = items_of(["a", "nan", "bb"])
    extract(Fake(), items, store=tmp_path, skip_bad=True)
    assert extract(Unloadable(), items, store=tmp_path, skip_bad=True).ids == ("id0", "id2")
    assert FeatureStore(tmp_path).open("fake:a", items).ids == ("id0", "id2")
    assert FeatureStore(tmp_path).missing(Fake(), items) == ("id1",)
    again = Fake()
    with pytest.raises(InputError, match="item 'id1'"):
        extract(again, items, store=tmp_path)
    assert set(chain(*again.batches)) == {"nan"}


class Repaired(Fake):
    def encode(self, batch):
        return super().encode([t.replace("nan", "sane") for t in batch])


def test_what_was_skipped_is_stored_once_it_can_be_encoded(tmp_path):
    items = items_of(["a", "nan", "bb"])
    extract(Fake(), items, store=tmp_path, skip_bad=True)
    layers = extract(Repaired(), items, store=tmp_path)
    assert layers.ids == items.ids
    assert layers["first"][:, 0].tolist() == [1, 4, 2]
    assert "skipped" not in layers.provenance


def test_items_of_which_none_can_be_used_are_an_error_even_with_skip_bad(tmp_path):
    for store in (None, tmp_path, tmp_path):
        with pytest.raises(InputError, match="none of the 2 items could be read and encoded"):
            extract(Fake(), items_of(["nan", "refuse"]), store=store, skip_bad=True)


class Pictures(Fake):
    modality = "image"

    def encode(self, batch):
        return {"mean": np.array([[b.mean(), b.std()] for b in batch], dtype=np.float32)}


def read_picture(path):
    data = path.read_bytes()
    if len(data) != 12:
        raise OSError("image file is truncated")
    return np.frombuffer(data, np.uint8).reshape(2, 2, 3)


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{i}.raw" for i in range(5)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes(range(i, i + 12)))
    view = FileView(paths, "image", read_picture)
    return paths, lambda: PairedItems("pictures", tuple("abcde"), {"image": view, "text": ["x"] * 5})


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_an_unreadable_file_is_named_or_left_out_on_request(tmp_path, pictures, damage):
    paths, items = pictures
    whole = extract(Pictures(), items())
    if damage == "truncated":
        paths[2].write_bytes(b"12345")
    else:
        paths[2].unlink()
    match = r"item 'c' cannot be read: image file is truncated" if damage == "truncated" else r"Cannot read .*2\.raw"
    for store in (None, tmp_path / "s"):
        with pytest.raises(InputError, match=match):
            extract(Pictures(), items(), store=store)
        layers = extract(Pictures(), items(), store=store, skip_bad=True)
        assert layers.ids == ("a", "b", "d", "e")
        assert list(layers.provenance["skipped"]) == ["c"]
        left, right = layers.join(whole)
        assert np.array_equal(left["mean"], right["mean"])


@pytest.mark.parametrize("threads", [1, 2])
def test_pictures_of_files_are_read_on_several_threads_as_on_one(tmp_path, threads):
    for i in range(6):
        rows = np.full((4, 5, 3), 40 * i, np.uint8)
        (tmp_path / f"{i}.ppm").write_bytes(b"P6 5 4 255 " + rows.tobytes())
    (tmp_path / "3.ppm").write_bytes(b"P6 5 4 255 short")
    view = FileView([tmp_path / f"{i}.ppm" for i in range(6)], "image", read_image)
    items = PairedItems("pictures", tuple("abcdef"), {"image": view})
    with threadpool_limits(threads, user_api="blas"):
        with pytest.raises(InputError, match=r"item 'd' cannot be read: .*truncated"):
            extract(Pictures(), items)
        found = extract(Pictures(), items, skip_bad=True)
    assert found.ids == tuple("abcef")
    np.testing.assert_array_equal(found["mean"][:, 0], [0, 40, 80, 160, 200])


def test_pictures_are_read_once_each(pictures):
    _, items = pictures
    reads = []

    def read(path):
        reads.append(path)
        return read_picture(path)

    view = FileView(items().views["image"].paths, "image", read)
    extract(Pictures(), PairedItems("p", tuple("abcde"), {"image": view}), batch_size=2)
    assert len(reads) == 5


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda b: {"a": [np.zeros((3, 2))] * len(b)}, "gives one row a token, .*pooling='mean'"),
        (lambda b: {"a": np.zeros((len(b), 3, 2), np.float32)}, r"gives float32 of shape \(3, 3, 2\)|\(1, 3, 2\)"),
        (lambda b: {"a": np.zeros((len(b) + 1, 2), np.float32)}, "for . items"),
        (lambda b: {"a": np.zeros((len(b), 2), np.int32)}, "floating features of shape"),
        (lambda b: {}, "gives no layers"),
    ],
)
def test_an_encoder_that_breaks_its_contract_is_told_what_is_needed(result, words):
    with pytest.raises(InputError, match=words):
        extract(Wrong(result), items_of(["a", "b", "c"]))


@pytest.mark.parametrize("store", [False, True])
def test_layers_that_change_between_batches_are_refused(tmp_path, store):
    def changing(batch):
        return {"a": np.zeros((len(batch), len(batch)), np.float32)}

    with pytest.raises(InputError, match=r"from item 'id2' on, layer 'a' has 1 features where it had 2 before"):
        extract(Wrong(changing), items_of(["a", "b", "c"]), store=tmp_path if store else None, batch_size=2)


@pytest.mark.parametrize("memory", ["1GB", 10**9, 1e9, np.float64(1e9), float("inf")])
def test_memory_is_a_text_or_bytes_and_infinity_is_no_limit(items, memory):
    assert len(extract(Fake(), items, memory=memory)) == len(extract(Fake(), items))


def test_features_that_exceed_the_memory_ask_for_a_store(tmp_path, items):
    with pytest.raises(InputError, match=r"more than memory=100 bytes.*store='features/'"):
        extract(Fake(), items, memory=100)
    extract(Fake(), items, memory=100, store=tmp_path)


def test_a_batch_of_none_is_refused(items):
    with pytest.raises(InputError, match="batch_size=0"):
        extract(Fake(), items, batch_size=0)


def test_a_store_that_cannot_be_written_is_named(tmp_path, items):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Cannot .*file.*: Not a directory"):
        extract(Fake(), items, store=tmp_path / "file" / "store")


def test_progress_counts_the_items_that_are_missing(tmp_path, items):
    seen = []
    with pytest.raises(KeyboardInterrupt):
        extract(Interrupted(2, KeyboardInterrupt()), items, store=tmp_path, batch_size=8)
    extract(Fake(), items, store=tmp_path, batch_size=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_the_switch_for_all_progress_is_heard_and_the_argument_goes_first(tmp_path, items):
    switched, told = [], []
    with show_progress(lambda done, total: switched.append((done, total))):
        extract(Fake(), items, store=tmp_path / "one", batch_size=4)
        extract(Fake(), items, store=tmp_path / "two", progress=lambda done, total: told.append((done, total)))
    assert switched
    assert switched[-1] == told[-1] == (len(items), len(items))
    assert len(told) < len(switched)


class Wide(Fake):
    def encode(self, batch):
        return {"wide": np.ones((len(batch), 4096), np.float32)}


def test_memory_is_bounded_by_a_batch(tmp_path):
    items = items_of([f"{i:04d}" for i in range(2000)])
    items.view_fingerprint("text")
    tracemalloc.start()
    try:
        extract(Wide(), items, store=tmp_path, batch_size=16, commit_every=1e9)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6  # the features are 33 MB, a batch 0.26 MB
    assert next(tmp_path.glob("*/*.npy")).stat().st_size > 32e6
