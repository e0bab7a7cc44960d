"""The feature store on disk, and layers in and out of it."""

import errno
import json
import os
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isomorph.datasets._base import PairedItems
from isomorph.encoders._base import Encoder
from isomorph.errors import InputError, MissingExtraError, StoreError, UnknownNameError
from isomorph.extraction import extract
from isomorph.store import Entry, EntryWriter, FeatureStore, Layers, choose_view
from isomorph.store._features import identity
from isomorph.store._journal import read_journal


class Fake(Encoder):
    """Rows that tell which text they are of."""

    provider, modality, n_parameters, revision = "fake", "text", 7, "1"
    layers = ("first", "block.0/out")

    def __init__(self, name="fake:a", pooling="mean"):
        self._name, self.identity = name, {"pooling": pooling}
        self.calls = 0

    @property
    def name(self):
        return self._name

    identity = None

    def encode(self, batch):
        self.calls += 1
        rows = np.array([[len(t), sum(map(ord, t))] for t in batch], dtype=np.float32)
        return {"first": rows, "block.0/out": np.hstack([np.sin(rows), np.cos(rows[:, :1])])}


def make_items(n=20, name="things", salt=""):
    texts = [f"{salt}item {i} " + "x" * (i * 7 % 11) for i in range(n)]
    return PairedItems(name, tuple(f"id{i}" for i in range(n)), {"text": texts, "text_de": [t.upper() for t in texts]})


@pytest.fixture
def items():
    return make_items()


@pytest.fixture
def stored(tmp_path, items):
    """A store with one entry, and that entry's layers."""
    layers = extract(Fake(), items, store=tmp_path / "store", batch_size=4)
    return FeatureStore(tmp_path / "store"), layers


def layer_files(store):
    return sorted(store.root.glob("*/*.npy"))


# The store


def test_rows_come_back_in_item_order_though_they_were_written_in_another(stored, items):
    _, layers = stored
    assert layers.ids == items.ids
    assert list(layers["first"][:, 0]) == [len(t) for t in items.views["text"]]


def test_each_layer_is_one_plain_npy_file_that_is_memory_mapped_and_read_only(stored):
    store, layers = stored
    assert [np.load(f).shape for f in layer_files(store)] == [(20, 2), (20, 3)]
    array = layers["first"]
    while not isinstance(array, np.memmap):
        assert not array.flags.writeable
        array = array.base
    with pytest.raises(ValueError, match="read-only"):
        layers["first"][0, 0] = 1


def test_an_entry_is_opened_by_encoder_by_name_and_by_facts_of_its_identity(stored, items):
    store, layers = stored
    for key in (Fake(), "fake:a", {"encoder": "fake:a", "pooling": "mean"}):
        again = store.open(key, items)
        assert (again.encoder, again.view, again.modality, again.n_parameters) == ("fake:a", "text", "text", 7)
        assert all(np.array_equal(again[k], layers[k]) for k in layers)
    assert store.open("fake:a").ids == items.ids


def test_entries_say_what_is_stored(stored):
    (entry,) = stored[0].entries()
    assert (entry.encoder, entry.view, entry.items, entry.n_stored) == ("fake:a", "text", "things", 20)
    assert entry.complete
    assert entry.layers == ("first", "block.0/out")
    assert entry.size == 20 * 5 * 4


def test_provenance_of_stored_features_holds_identity_and_versions(stored, items):
    facts = stored[1].provenance
    assert facts["settings"] == {"pooling": "mean"}
    assert facts["items"] == items.view_fingerprint("text")
    assert facts["versions"]["numpy"] == np.__version__


def test_another_pooling_view_storage_or_content_is_another_entry(stored, items):
    store, _ = stored
    extract(Fake(pooling="cls"), items, store=store)
    extract(Fake(), items, "text_de", store=store)
    extract(Fake(), items, store=store, storage="float16")
    extract(Fake(), make_items(salt="other "), store=store)
    assert len(store.entries()) == 5


def test_a_name_that_fits_several_entries_asks_which_and_lists_them(stored, items):
    store, _ = stored
    extract(Fake(pooling="cls"), items, store=store)
    with pytest.raises(InputError, match=r"2 entries .* fit fake:a: .*\"pooling\":.* Say which"):
        store.open("fake:a", items)
    assert store.open(Fake(pooling="cls"), items).provenance["settings"] == {"pooling": "cls"}
    assert store.open({"encoder": "fake:a", "pooling": "mean"}, items).provenance["settings"] == {"pooling": "mean"}


def test_an_encoder_that_is_not_stored_is_named_with_its_nearest(stored, items):
    with pytest.raises(UnknownNameError, match=r"Unknown encoder in .* 'fake:b'.* Did you mean 'fake:a'"):
        stored[0].open("fake:b", items)


def test_items_with_other_content_are_not_found_under_the_same_name(stored):
    with pytest.raises(InputError, match=r"holds nothing of fake:a .*content counts, not their name"):
        stored[0].open("fake:a", make_items(salt="other "))
    with pytest.raises(InputError, match="in that view and storage"):
        stored[0].open("fake:a", storage="float16")


def test_items_of_the_same_content_are_found_under_another_name(stored):
    assert stored[0].open("fake:a", make_items(name="called otherwise")).n == 20


def test_missing_names_the_items_that_are_not_stored(tmp_path, items):
    store = FeatureStore(tmp_path)
    assert store.missing(Fake(), items) == items.ids
    write(store, items, [3, 1])
    assert store.missing(Fake(), items) == tuple(i for i in items.ids if i not in ("id1", "id3"))


def test_an_incomplete_entry_is_not_opened_and_says_how_far_it_is(tmp_path, items):
    store = FeatureStore(tmp_path)
    write(store, items, [3, 1])
    with pytest.raises(StoreError, match=r"2 of 20 items only; extract it again"):
        store.open(Fake(), items)


def test_a_store_at_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        FeatureStore(tmp_path / "file")


def test_reading_an_empty_store_makes_no_folder(tmp_path, items):
    store = FeatureStore(tmp_path / "none")
    assert store.entries() == []
    assert store.missing(Fake(), items) == items.ids
    assert not store.root.exists()


# Views


class OfKind(Fake):
    def __init__(self, modality):
        super().__init__()
        self.modality = modality

    modality = ""


def test_the_view_named_like_the_modality_is_taken_among_several(items):
    assert choose_view(Fake(), items) == "text"


def test_the_only_view_of_the_modality_is_taken(items):
    assert choose_view(Fake(), replace(items, views={"names": items.views["text"]})) == "names"


def test_several_views_of_which_none_is_named_like_the_modality_ask_which():
    both = PairedItems("t", ("a",), {"en": ["x"], "de": ["y"]})
    with pytest.raises(InputError, match=r"several views .*'en', 'de'.*view='en'"):
        choose_view(Fake(), both)


def test_a_view_of_another_modality_is_refused_with_the_list(items):
    with pytest.raises(InputError, match=r"encodes image, but view 'text' of things holds text.*'text_de' \(text\)"):
        choose_view(OfKind("image"), items, "text")
    with pytest.raises(InputError, match=r"encodes image, of which things has no view"):
        choose_view(OfKind("image"), items)
    with pytest.raises(UnknownNameError, match="Did you mean 'text'"):
        choose_view(Fake(), items, "txt")


# The writer


def write(store, items, positions, rows=None, **options):
    entry = store.entry(Fake(), items)
    with EntryWriter(entry, **options) as writer:
        writer.begin({"first": 2}, {"n_parameters": 7, "versions": {}})
        rows = np.arange(2 * len(positions), dtype=np.float32).reshape(-1, 2) if rows is None else rows
        writer.put(positions, {"first": rows}, {})
    return entry


def test_the_order_of_appending_does_not_change_the_rows(tmp_path, items):
    whole = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    for seed in range(3):
        store, order = FeatureStore(tmp_path / str(seed)), np.random.default_rng(seed).permutation(20)
        for part in np.split(order, [3, 4, 11]):
            write(store, items, part.tolist(), whole[part])
        assert np.array_equal(store.open(Fake(), items)["first"], whole)


def test_a_torn_last_record_is_dropped_and_the_rest_kept(tmp_path, items):
    store = FeatureStore(tmp_path)
    entry = write(store, items, [0, 1])
    journal = entry.path / "journal"
    whole = journal.read_bytes()
    write(store, items, [2, 3])
    longer = journal.read_bytes()
    for cut in range(len(whole), len(longer)):
        journal.write_bytes(longer[:cut])
        assert read_journal(journal).stored == {0, 1}
        assert read_journal(journal).end == len(whole)
    write(store, items, [4])
    assert read_journal(journal).stored == {0, 1, 4}


def test_a_damaged_record_before_a_whole_one_is_an_error_that_names_the_file(tmp_path, items):
    store = FeatureStore(tmp_path)
    entry = write(store, items, [0, 1])
    write(store, items, [2, 3])
    data = bytearray((entry.path / "journal").read_bytes())
    data[data.index(b"\n") + 20] ^= 1
    (entry.path / "journal").write_bytes(data)
    with pytest.raises(StoreError, match=r"journal is damaged: its line 2 .*repair=True"):
        store.missing(Fake(), items)
    assert "line 2" in store.verify(repair=True)[0]
    assert store.missing(Fake(), items) == items.ids


@pytest.mark.parametrize("byte", [130, -1])
def test_a_flipped_byte_is_found_when_the_layer_is_used_and_repair_recomputes_its_batch_only(stored, items, byte):
    store, layers = stored
    good = {k: np.array(v) for k, v in layers.items()}
    file = layer_files(store)[1]
    data = bytearray(file.read_bytes())
    data[byte] ^= 1
    file.write_bytes(data)
    again = store.open(Fake(), items)
    assert np.array_equal(again["first"], good["first"])
    with pytest.raises(StoreError, match=rf"{file.name} is damaged: the rows of 'id.* do not match .*repair=True"):
        again["block.0/out"]
    assert len(store.verify()) == len(store.verify(repair=True)) == 1
    assert store.verify() == []
    assert len(store.missing(Fake(), items)) == 4
    encoder = Fake()
    repaired = extract(encoder, items, store=store, batch_size=4)
    assert encoder.calls == 1
    assert all(np.array_equal(repaired[k], good[k]) for k in good)


def test_a_truncated_or_missing_layer_file_is_named_and_can_be_repaired(stored, items):
    store, _ = stored
    file = layer_files(store)[0]
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(StoreError, match=rf"{file.name} is damaged: it is truncated"):
        store.open(Fake(), items)
    with pytest.raises(StoreError, match=rf"{file.name} is damaged: it is truncated"), EntryWriter(store.entries()[0]):
        pass
    file.unlink()
    with pytest.raises(StoreError, match=rf"{file.name} is damaged: it is missing"):
        store.open(Fake(), items)
    store.verify(repair=True)
    assert extract(Fake(), items, store=store)["first"].shape == (20, 2)


def test_a_damaged_or_newer_description_is_named(stored):
    store, _ = stored
    file = next(store.root.glob("*/entry.json"))
    text = file.read_text()
    for bad, words in ((text[:-9], "is damaged"), (text.replace("id7", "id8"), "does not match its fingerprint")):
        file.write_text(bad)
        with pytest.raises(StoreError, match=words):
            store.entries()
    file.write_text(text.replace('"format":1', '"format":99'))
    with pytest.raises(StoreError, match="update Isomorph"):
        store.entries()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_or_failing_disk_leaves_what_was_committed_valid(tmp_path, items, monkeypatch, code):
    whole = extract(Fake(), items, batch_size=4)
    original, count = os.pwrite, 0

    def failing(handle, data, offset):
        nonlocal count
        count += 1
        if count > 40:
            written = original(handle, memoryview(data)[: len(data) // 2], offset) if count == 41 else 0
            if written:
                return written
            raise OSError(code, os.strerror(code))
        return original(handle, data, offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(StoreError, match="stays valid, and the next run goes on") as caught:
        extract(Fake(), items, store=tmp_path, batch_size=4, commit_every=0)
    assert ("no room left" in str(caught.value)) == (code == errno.ENOSPC)
    monkeypatch.undo()
    store = FeatureStore(tmp_path)
    left = len(store.missing(Fake(), items))
    assert 0 < left < 20
    assert store.verify() == []
    encoder = Fake()
    again = extract(encoder, items, store=store, batch_size=4)
    assert encoder.calls == left // 4
    assert all(np.array_equal(again[k], whole[k]) for k in whole)


def test_a_disk_that_is_too_small_for_all_items_is_told_before_the_work(tmp_path, items, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 1, 99))
    encoder = Fake()
    with pytest.raises(StoreError, match=r"20 items × 2 layers of fake:a need .* GB"):
        extract(encoder, items, store=tmp_path, batch_size=4)
    assert encoder.calls == 1


def test_an_entry_with_other_layers_than_the_encoder_gives_is_refused(tmp_path, items):
    store = FeatureStore(tmp_path)
    write(store, items, [0])
    with pytest.raises(
        InputError, match=r"now gives the layers first \(d=2\), block.0/out .* must be in its `identity`"
    ):
        extract(Fake(), items, store=store)


def test_resuming_with_other_versions_is_recorded(tmp_path, items):
    store = FeatureStore(tmp_path)
    entry = store.entry(Fake(), items)
    for version, positions in (("1", range(5)), ("1", range(5, 10)), ("2", range(10, 20))):
        with EntryWriter(entry) as writer:
            writer.begin({"first": 1}, {"n_parameters": 7, "versions": {"torch": version}})
            writer.put(list(positions), {"first": np.zeros((len(positions), 1), np.float32)}, {})
    facts = store.open(Fake(), items).provenance
    assert facts["versions"] == {"torch": "1"}
    assert facts["resumed_with"] == [{"torch": "2"}]


def test_unknown_storage_is_refused(items):
    with pytest.raises(InputError, match="storage='int8' is not known; use 'float32' or 'float16'"):
        identity(Fake(), items, "text", "int8")


def test_an_entry_is_addressed_by_the_same_folder_on_every_machine(tmp_path, items):
    entry = Entry.at(tmp_path, identity(Fake(), items, "text", "float32"), items.ids, items.name)
    assert entry.path.name == "fake-a_text_" + entry.path.name[-16:]
    assert Entry.at(Path("/elsewhere"), entry.identity, items.ids, "other").path.name == entry.path.name


# Layers


def arrays(n=6):
    rng = np.random.default_rng(0)
    return {"b": rng.normal(size=(n, 3)), "a/x": rng.normal(size=(n, 2)).astype(np.float32)}


IDS = ["p", "q", "r", "s", "t", "ü"]


def test_layers_are_a_mapping_in_the_order_given():
    given = arrays()
    layers = Layers.from_arrays(given, IDS)
    assert list(layers) == ["b", "a/x"]
    assert len(layers) == 2
    assert "b" in layers
    assert "c" not in layers
    assert all(np.array_equal(layers[k], given[k]) for k in given)
    assert repr(layers) == "Layers(arrays: 2 layers (b, a/x) × 6 items)"


def test_layers_of_arrays_are_not_copies_and_cannot_be_written_through():
    given = arrays()
    layers = Layers.from_arrays(given, IDS)
    assert np.shares_memory(layers["b"], given["b"])
    assert not layers["b"].flags.writeable
    assert given["b"].flags.writeable


def test_a_list_of_arrays_is_numbered():
    assert list(Layers.from_arrays(list(arrays().values()))) == ["layer.0", "layer.1"]


def test_an_unknown_layer_is_named_with_its_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown layer of net 'a/y'. Did you mean 'a/x'"):
        Layers.from_arrays(arrays(), IDS, encoder="net")["a/y"]


@pytest.mark.parametrize(
    ("given", "ids", "words"),
    [
        ({}, None, "there are no layers"),
        ({"a": np.zeros((3, 2)), "b": np.zeros((4, 2))}, None, "layer 'b' has 4 rows but 'a' has 3"),
        ({"a": np.zeros((3, 2))}, ["x", "y"], "2 ids for 3 rows"),
        ({"a": np.zeros((2, 2))}, ["x", "x"], "the id 'x' is there twice"),
        ({"a": np.array([[1.0, np.nan]])}, None, "non-finite"),
        ({"a": np.zeros(3)}, None, "shape"),
    ],
)
def test_arrays_that_are_no_layers_are_refused(given, ids, words):
    with pytest.raises(InputError, match=words):
        Layers.from_arrays(given, ids)


def test_join_matches_rows_by_id_whatever_their_order():
    x = Layers.from_arrays(arrays(), IDS)
    y = Layers.from_arrays({"c": np.arange(4.0)[:, None]}, ["zzz", "t", "p", "r"])
    left, right = x.join(y)
    assert left.ids == right.ids == ("p", "r", "t")
    assert right["c"].ravel().tolist() == [2, 3, 1]
    assert np.array_equal(left["b"], x["b"][[0, 2, 4]])


def test_joining_the_same_ids_in_the_same_order_copies_nothing():
    x, y = Layers.from_arrays(arrays(), IDS), Layers.from_arrays(arrays(), IDS)
    left, right = x.join(y)
    assert left is x
    assert right is y


def test_join_without_a_common_id_names_both_and_shows_their_ids():
    x = Layers.from_arrays(arrays(), IDS, encoder="one")
    y = Layers.from_arrays({"c": np.zeros((2, 1))}, ["k", "m"], encoder="two")
    with pytest.raises(InputError, match=r"one and two have no item in common: .*'p', 'q', 'r' and 'k', 'm'"):
        x.join(y)


def test_rows_without_ids_are_never_joined_to_another_number_of_rows():
    x, y = Layers.from_arrays([np.eye(3)]), Layers.from_arrays([np.eye(4)])
    with pytest.raises(InputError, match="neither was given ids"):
        x.join(y)
    with pytest.raises(InputError, match="one was not given ids"):
        x.join(Layers.from_arrays([np.eye(4)], ["0", "1", "2", "3"]))
    assert x.join(Layers.from_arrays([np.eye(3)]))[0] is x


def test_a_subset_of_a_subset_is_that_of_the_whole():
    x = Layers.from_arrays(arrays(), IDS)
    small = x.subset(["t", "q", "p"]).subset(["p", "t"])
    assert small.ids == ("p", "t")
    assert np.array_equal(small["b"], x["b"][[0, 4]])
    assert not small["b"].flags.writeable
    assert np.shares_memory(x.subset(["q", "r"])["b"], x["b"])
    assert x.subset(IDS) is x
    with pytest.raises(UnknownNameError, match="item of arrays 'zz'"):
        x.subset(["zz"])
    with pytest.raises(InputError, match="twice"):
        x.subset(["p", "p"])


def test_layers_of_torch_arrays_stay_torch_arrays():
    torch = pytest.importorskip("torch")
    x = Layers.from_arrays({"a": torch.arange(6.0).reshape(3, 2)}, ["a", "b", "c"])
    assert x.subset(["c", "a"])["a"].tolist() == [[4, 5], [0, 1]]


# Files


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_file_keeps_layers_ids_order_types_and_provenance(tmp_path, suffix):
    x = Layers.from_arrays(
        arrays(), IDS, encoder="net", view="text", modality="text", n_parameters=3, provenance={"seed": 0}
    )
    path = x.save(tmp_path / f"f{suffix}")
    y = Layers.load(path)
    assert list(y) == ["b", "a/x"]
    assert y.ids == x.ids
    assert (y.encoder, y.view, y.modality, y.n_parameters) == ("net", "text", "text", 3)
    assert y.provenance == {"seed": 0, "file": path.name}
    for name in x:
        assert y[name].dtype == x[name].dtype
        assert np.array_equal(y[name], x[name])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_the_same_features_give_the_same_file(tmp_path, suffix):
    for folder in "ab":
        Layers.from_arrays(arrays(), IDS).save(tmp_path / folder / f"f{suffix}")
    assert (tmp_path / "a" / f"f{suffix}").read_bytes() == (tmp_path / "b" / f"f{suffix}").read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [f"f{suffix}"]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_stored_float16_features_are_exported_as_they_are(tmp_path, items, suffix):
    x = extract(Fake(), make_items(), store=tmp_path, storage="float16").subset(["id3", "id0"])
    x.save(tmp_path / f"f{suffix}")
    y = Layers.load(tmp_path / f"f{suffix}")
    assert y.ids == ("id3", "id0")
    assert np.array_equal(y["first"], x["first"].astype(np.float32))


def test_an_npz_file_is_read_by_numpy_under_the_layers_names(tmp_path):
    Layers.from_arrays(arrays(), IDS).save(tmp_path / "f.npz")
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        assert file["ids"].tolist() == IDS
        assert np.array_equal(file["a/x"], arrays()["a/x"])


def test_a_safetensors_file_is_read_and_written_by_the_reference_package(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    Layers.from_arrays(arrays(), IDS).save(tmp_path / "f.safetensors")
    read = reference.load_file(tmp_path / "f.safetensors")
    assert all(np.array_equal(read[k], v) for k, v in arrays().items())
    given = {"x": np.arange(6, dtype=np.int64).reshape(3, 2), "y": np.ones((3, 1), np.float16)}
    reference.save_file(given, tmp_path / "g.safetensors", metadata={"ids": '["a", "b", "c"]'})
    back = Layers.load(tmp_path / "g.safetensors")
    assert back.ids == ("a", "b", "c")
    assert all(np.array_equal(back[k], given[k]) for k in given)


def test_bfloat16_tensors_are_read_exactly(tmp_path):
    torch, reference = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    given = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    reference.save_file({"x": given}, tmp_path / "f.safetensors")
    assert np.array_equal(Layers.load(tmp_path / "f.safetensors")["x"], given.float().numpy())


def test_files_of_other_programs_take_the_ids_that_are_given(tmp_path):
    np.savez(tmp_path / "f.npz", h0=np.eye(3), h1=np.eye(3))
    assert Layers.load(tmp_path / "f.npz", ids=["a", "b", "c"]).ids == ("a", "b", "c")
    assert not Layers.load(tmp_path / "f.npz").ids_given
    np.savez(tmp_path / "g.npz", h0=np.eye(3), ids=np.array(["x", "y", "z"]))
    assert Layers.load(tmp_path / "g.npz").ids == ("x", "y", "z")
    with pytest.raises(InputError, match="carries ids of its own"):
        Layers.load(tmp_path / "g.npz", ids=["a", "b", "c"])


def test_row_numbers_do_not_become_ids_by_way_of_a_file(tmp_path):
    for suffix in (".npz", ".safetensors"):
        Layers.from_arrays([np.eye(3)]).save(tmp_path / f"f{suffix}")
        assert not Layers.load(tmp_path / f"f{suffix}").ids_given


@pytest.mark.parametrize("as_list", [False, True])
def test_platonic_rep_dictionaries_are_imported(tmp_path, as_list):
    torch = pytest.importorskip("torch")
    feats = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    content = [feats[:, 0, :2].clone(), feats[:, 1].to(torch.bfloat16)] if as_list else feats
    torch.save({"feats": content, "num_params": 12, "mask": torch.ones(4)}, tmp_path / "f.pt")
    layers = Layers.load(tmp_path / "f.pt", ids="abcd")
    assert layers.n_parameters == 12
    assert layers.ids == ("a", "b", "c", "d")
    assert list(layers) == [f"layer.{i}" for i in range(2 if as_list else 3)]
    assert np.array_equal(layers["layer.0"], feats[:, 0, :2] if as_list else feats[:, 0])
    expected = feats[:, 1].to(torch.bfloat16).float() if as_list else feats[:, 1]
    assert np.array_equal(layers["layer.1"], expected)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_pt_file_with_anything_but_tensors_is_not_unpickled(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    torch.save({"feats": Evil()}, tmp_path / "f.pt")
    with pytest.raises(InputError, match="not unpickled"):
        Layers.load(tmp_path / "f.pt")
    assert not (tmp_path / "evil").exists()


def test_a_pt_file_without_features_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    for content, words in (
        ({"x": torch.ones(2)}, "no entry 'feats'"),
        ({"feats": torch.ones(2, 2)}, r"'feats' has shape \(2, 2\)"),
        ({"feats": [1]}, "must be a tensor or a list of tensors"),
        ({"feats": torch.ones(2, 2, 2) / 0}, "non-finite"),
    ):
        torch.save(content, tmp_path / "f.pt")
        with pytest.raises(InputError, match=words):
            Layers.load(tmp_path / "f.pt")
    (tmp_path / "f.pt").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(InputError, match="truncated"):
        Layers.load(tmp_path / "f.pt")


def test_reading_a_pt_file_without_torch_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "f.pt").write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"isomorph\[models\]"):
        Layers.load(tmp_path / "f.pt")


def test_an_array_of_three_axes_is_parted_along_that_which_is_not_of_items():
    deep = np.random.default_rng(0).normal(size=(4, 3, 5))
    for array in (deep, deep.transpose(1, 0, 2)):
        x = Layers.from_arrays(array, ids="abcd")
        assert list(x) == ["layer.0", "layer.1", "layer.2"]
        assert np.array_equal(x["layer.2"], deep[:, 2])
    square = np.random.default_rng(0).normal(size=(3, 3, 5))  # as ever: layers first
    assert np.array_equal(Layers.from_arrays(square, ids="abc")["layer.0"], square[0])


def test_object_arrays_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "f.npz", x=np.array([Evil()], dtype=object))
    with pytest.raises(InputError, match="not unpickled"):
        Layers.load(tmp_path / "f.npz")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_truncated_file_is_refused_at_every_length(tmp_path, suffix):
    path = Layers.from_arrays(arrays(), IDS).save(tmp_path / f"f{suffix}")
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=f"f{suffix}"):
            Layers.load(path)


def test_an_npy_file_is_one_layer_under_its_own_name(tmp_path):
    np.save(tmp_path / "f.npy", np.eye(3))
    layers = Layers.load(tmp_path / "f.npy", ids=["a", "b", "c"])
    assert list(layers) == ["f"]
    assert np.array_equal(layers["f"], np.eye(3))
    (tmp_path / "f.npy").write_bytes((tmp_path / "f.npy").read_bytes()[:-1])
    with pytest.raises(InputError, match=r"Cannot read .*f.npy as .npy"):
        Layers.load(tmp_path / "f.npy")
    np.save(tmp_path / "g.npy", np.array([Evil()], dtype=object))
    with pytest.raises(InputError, match="not unpickled"):
        Layers.load(tmp_path / "g.npy")


def test_an_npy_file_called_npz_is_refused(tmp_path):
    np.save(tmp_path / "f.npy", np.eye(3))
    (tmp_path / "f.npy").rename(tmp_path / "f.npz")
    with pytest.raises(InputError, match="it is a single array"):
        Layers.load(tmp_path / "f.npz")


def test_files_that_hold_no_layers_are_refused(tmp_path):
    np.savez(tmp_path / "f.npz", x=np.zeros(3))
    with pytest.raises(InputError, match=r"'x' has shape \(3,\)"):
        Layers.load(tmp_path / "f.npz")
    with zipfile.ZipFile(tmp_path / "e.npz", "w"):
        pass
    with pytest.raises(InputError, match="holds no features"):
        Layers.load(tmp_path / "e.npz")
    with pytest.raises(InputError, match=r"Cannot read .*none.npz"):
        Layers.load(tmp_path / "none.npz")
    for path in ("f.xyz", "f"):
        with pytest.raises(InputError, match="the suffix must be"):
            Layers.load(tmp_path / path)
        with pytest.raises(InputError, match="the suffix must be"):
            Layers.from_arrays(arrays()).save(tmp_path / path)


def test_a_layer_with_a_reserved_name_is_not_exported(tmp_path):
    with pytest.raises(InputError, match=r"'ids' cannot be written .* rename"):
        Layers.from_arrays({"ids": np.eye(2)}).save(tmp_path / "f.npz")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = Layers.from_arrays(arrays(), IDS).save(tmp_path / "f.npz")
    before = path.read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="Nothing was left behind"):
        Layers.from_arrays([np.eye(2)]).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- ids and names that formats cannot hold


def test_byte_ids_of_an_archive_are_texts(tmp_path):
    np.savez(tmp_path / "b.npz", l=np.eye(3), ids=np.array([b"i0", b"i1", "ä".encode()]))
    assert Layers.load(tmp_path / "b.npz").ids == ("i0", "i1", "ä")
    np.savez(tmp_path / "c.npz", l=np.eye(2), ids=np.array([b"\xff", b"b"]))
    with pytest.raises(InputError, match="no text in UTF-8"):
        Layers.load(tmp_path / "c.npz")


def test_layers_of_a_format_without_order_come_in_natural_order(tmp_path):
    from safetensors.numpy import save_file

    save_file({f"layer_{i}": np.eye(3, dtype="f4") for i in range(12)}, tmp_path / "l.safetensors")
    assert tuple(Layers.load(tmp_path / "l.safetensors")) == tuple(f"layer_{i}" for i in range(12))
    own = Layers.from_arrays({"b": np.eye(3), "a": np.eye(3)}).save(tmp_path / "own.safetensors")
    assert tuple(Layers.load(own)) == ("b", "a")  # the file says so


def test_names_that_an_archive_cannot_hold_apart_are_refused_and_safetensors_hold_them(tmp_path):
    layers = Layers.from_arrays({"x": np.eye(3), "x.npy": -np.eye(3)})
    with pytest.raises(InputError, match=r"cannot hold 'x\.npy' and 'x' apart"):
        layers.save(tmp_path / "t.npz")
    found = Layers.load(layers.save(tmp_path / "t.safetensors"))
    np.testing.assert_array_equal(found["x.npy"], -np.eye(3))
    for name in ("a\0b", "\ud83d", "ids.npy"):
        with pytest.raises(InputError, match=r"NUL|surrogate|cannot hold"):
            Layers.from_arrays({name: np.eye(3)}).save(tmp_path / "t.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["t.safetensors"]


@pytest.mark.parametrize("bad", ["i\0", "\ud83d"])
def test_ids_that_files_cannot_hold_are_refused(bad):
    with pytest.raises(InputError, match=r"NUL|surrogate"):
        Layers.from_arrays({"l": np.eye(2)}, ids=["a", bad])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"layers": ["b"]}, "other layers than it holds"),
        ({"layers": ["a", "a"]}, "other layers than it holds"),
        ({"layers": 5}, "other layers than it holds"),
        ({"provenance": [1]}, "provenance=\\[1\\]"),
        ({"encoder": {}}, "encoder=\\{\\}"),
        ({"n_parameters": "many"}, "n_parameters='many'"),
        ({"ids": ["a"]}, "1 ids for 3 rows"),
        ({"ids": 5}, "a sequence with one id"),
        ("[" * 100_000, "nested too deeply"),
        ("{", "no JSON text"),
        ("[]", "is list, not dict"),
    ],
)
def test_a_description_that_lies_is_refused(tmp_path, facts, words):
    from safetensors.numpy import save_file

    text = facts if isinstance(facts, str) else json.dumps(facts)
    save_file({"a": np.eye(3)}, tmp_path / "a.safetensors", metadata={"__isomorph__": text})
    np.savez(tmp_path / "a.npz", a=np.eye(3), __isomorph__=np.array(text))
    for path in (tmp_path / "a.safetensors", tmp_path / "a.npz"):
        with pytest.raises(InputError, match=words):
            Layers.load(path)


def test_a_damaged_entry_keeps_no_other_from_its_user(stored):
    store, _ = stored
    other = store.root / "other"
    other.mkdir()
    (other / "entry.json").write_text("{")
    assert store.open("fake:a").n == 20
    with pytest.raises(InputError, match="is damaged"):
        store.open("nobody")


def test_a_tensor_that_states_more_than_its_file_holds_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"feats": torch.ones(1, 1, 1).expand(10**6, 1, 10**6)}, tmp_path / "f.pt")
    with pytest.raises(InputError, match="more values than the file holds"):
        Layers.load(tmp_path / "f.pt")
    (tmp_path / "g.pt").write_text("hello")
    with pytest.raises(InputError, match="no file of tensors only"):
        Layers.load(tmp_path / "g.pt")


def test_features_are_read_from_regular_files_and_written_over_no_other(tmp_path):
    os.mkfifo(tmp_path / "p.npz")
    with pytest.raises(InputError, match="a pipe"):
        Layers.load(tmp_path / "p.npz")
    with pytest.raises(InputError, match="is a pipe"):
        Layers.from_arrays({"a": np.eye(3)}).save(tmp_path / "p.npz")
    for bad in (None, 5, b"x.npz", "a\0.npz"):
        with pytest.raises(InputError, match="must be the path"):
            Layers.load(bad)
        with pytest.raises(InputError, match="must be the path"):
            Layers.from_arrays({"a": np.eye(3)}).save(bad)
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]


def test_exemplars_are_averaged_by_group():
    rows = np.arange(10.0).reshape(5, 2)
    x = Layers.from_arrays({"a": rows, "b": rows**2}, list("vwxyz"), encoder="e", provenance={"seed": 1})
    found = x.average_by(["cow", "cat", "cow", "cat", "cow"])
    assert found.ids == ("cow", "cat")
    assert np.array_equal(found["a"], [rows[[0, 2, 4]].mean(axis=0), rows[[1, 3]].mean(axis=0)])
    assert np.array_equal(found["b"], [(rows**2)[[0, 2, 4]].mean(axis=0), (rows**2)[[1, 3]].mean(axis=0)])
    facts = found.provenance["averaged"]
    assert (facts["groups"], facts["items"], facts["fewest"], facts["most"]) == (2, 5, 2, 3)
    assert found.provenance["seed"] == 1
    assert "averaged" not in x.provenance
    other = x.average_by(["cow", "cat", "cow", "cow", "cat"])
    assert other.provenance["averaged"]["fingerprint"] != facts["fingerprint"]  # unlike features, unlike results


def test_averages_of_both_sides_are_joined_by_the_names_of_groups():
    x = Layers.from_arrays({"a": np.eye(4)}, list("abcd")).average_by({"a": "cat", "b": "cow", "c": "cat"})
    y = Layers.from_arrays({"a": np.eye(3)}, list("pqr")).average_by(["cow", "ant", "cow"])
    assert x.ids == ("cat", "cow")  # d has none
    assert np.array_equal(x["a"][0], [0.5, 0, 0.5, 0])
    left, right = x.join(y)
    assert left.ids == right.ids == ("cow",)
    assert np.array_equal(right["a"], [[0.5, 0, 0.5]])


def test_averages_need_a_group_for_each_item():
    x = Layers.from_arrays({"a": np.eye(3)}, list("abc"))
    with pytest.raises(InputError, match="groups has 2 labels for 3 items"):
        x.average_by(["u", "v"])
    with pytest.raises(InputError, match="none of the items has a group"):
        x.average_by({"z": "u"})
