"""Several writers of one entry, in a folder or in memory: parts, commits, merging, division."""

import contextlib
import errno
import json
import mmap
import os
import subprocess
import sys
import uuid
from itertools import pairwise

import numpy as np
import pytest

from isomorph._core.places import Folder
from isomorph.errors import InputError, StoreError
from isomorph.extraction import Extraction, ExtractSettings, extract
from isomorph.store import EntryWriter, FeatureStore, PartWriter, _contents, _merging, _parts
from isomorph.study import load_study

from .shared_cases import BATCH, Counting, make_items, same

N = 32


@pytest.fixture
def items():
    return make_items(N)


@pytest.fixture
def reference(tmp_path, items):
    """The layers of one writer, and the bytes of its files."""
    layers = extract(Counting(), items, store=tmp_path / "reference", batch_size=BATCH)
    return layers, {p.name: p.read_bytes() for p in (tmp_path / "reference").glob("*/*.npy")}


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    if request.param == "folder":
        return FeatureStore(tmp_path / "shared", shared=True)
    return FeatureStore(f"memory://{uuid.uuid4().hex}/features")


@pytest.fixture
def folder(tmp_path):
    return FeatureStore(tmp_path / "shared", shared=True)


def fill(store, items, **options):
    encoder = Counting()
    return extract(encoder, items, store=store, batch_size=BATCH, **{"commit_every": 0, **options}), encoder


def parts_of(store):
    return sorted(store.root.glob("*/parts/*")), sorted(store.root.glob("*/commits/*"))


# Several writers


def test_parts_give_the_features_and_the_provenance_of_one_writer(store, items, reference):
    layers, encoder = fill(store, items)
    assert same(layers, reference[0])
    assert sorted(encoder.seen) == sorted(items.views["text"])
    assert store.verify() == []
    again, idle = fill(store, items)
    assert same(again, reference[0])
    assert idle.seen == []


def test_shares_together_are_all_items_computed_once_and_the_same_bytes(store, items, reference):
    encoders = [fill(store, items, share=(i, 3))[1] for i in range(3)]
    assert [bool(e.seen) for e in encoders] == [True] * 3
    assert sorted(t for e in encoders for t in e.seen) == sorted(items.views["text"])
    assert same(store.open(Counting(), items), reference[0])


def test_a_share_gives_what_is_stored_by_then_and_a_call_without_shares_the_rest(store, items, reference):
    layers, first = fill(store, items, share=(1, 2))
    assert sorted(items.ids.index(i) for i in layers.ids) == sorted(items.views["text"].index(t) for t in first.seen)
    assert 0 < layers.n < N
    whole, rest = fill(store, items)
    assert sorted(first.seen + rest.seen) == sorted(items.views["text"])
    assert same(whole, reference[0])


def test_all_writers_go_by_the_division_of_the_first(store, items):
    encoder = Counting()
    extract(encoder, items, store=store, batch_size=8, share=(0, 2))
    others = Counting()
    extract(others, items, store=store, batch_size=3, share=(1, 2))
    assert sorted(encoder.seen + others.seen) == sorted(items.views["text"])


def test_a_writer_leaves_what_another_commits_while_it_is_at_work(store, items, reference):
    class Slow(Counting):
        def encode(self, batch):
            if not self.seen:
                fill(store, items)  # another writer does everything while this one computes its first batch
            return super().encode(batch)

    slow = Slow()
    layers = extract(slow, items, store=store, batch_size=BATCH, commit_every=0)
    assert len(slow.seen) == BATCH
    assert same(layers, reference[0])


def test_writers_that_overlap_do_no_harm(store, items):
    entry = store.entry(Counting(), items)
    rows = {"first": np.arange(2 * N, dtype=np.float32).reshape(N, 2)}
    with PartWriter(entry, commit_every=1e9) as one, PartWriter(entry, commit_every=1e9) as other:
        for writer, positions in ((one, range(20)), (other, range(N - 1, 9, -1))):
            writer.begin({"first": 2}, {})
            writer.put(positions, {"first": rows["first"][list(positions)]}, {})
    found = store.entries()[0].open()
    assert found.ids == items.ids
    assert np.array_equal(found["first"], rows["first"])
    assert store.verify() == []


def test_of_two_commits_of_the_same_items_the_first_stands_and_the_other_removes_its_part(folder, items):
    entry = folder.entry(Counting(), items)
    with PartWriter(entry, commit_every=1e9) as one, PartWriter(entry, commit_every=1e9) as other:
        for value, writer in ((1.0, one), (2.0, other)):
            writer.begin({"first": 1}, {})
            writer.put([3, 5], {"first": np.full((2, 1), value, np.float32)}, {})
        one.commit()
        before = [p.read_bytes() for p in parts_of(folder)[0]]
        other.commit()
    parts, commits = parts_of(folder)
    assert len(parts) == len(commits) == 1
    assert [p.read_bytes() for p in parts] == before
    assert folder.entries()[0].open()["first"].tolist() == [[1.0], [1.0]]


def test_a_part_stays_if_only_the_answer_to_its_commit_was_lost(folder, items, monkeypatch, reference):
    put_new = Folder.put_new
    # the object was put, and the library asked again: it is refused for being there
    monkeypatch.setattr(
        Folder, "put_new", lambda self, name, data: put_new(self, name, data) and self.name != _parts.COMMITS
    )
    layers, _ = fill(folder, items)
    assert same(layers, reference[0])
    assert folder.verify() == []


def test_an_encoder_with_other_layers_than_the_parts_is_refused(store, items):
    fill(store, items, share=(0, 2))

    class Wider(Counting):
        def encode(self, batch):
            return super().encode(batch) | {"third": np.ones((len(batch), 1), np.float32)}

    with pytest.raises(InputError, match=r"now gives the layers .*third.* but .* holds first"):
        extract(Wider(), items, store=store, batch_size=BATCH)


def test_items_that_are_left_out_are_named_in_parts_and_stored_once_they_can_be(store, items):
    class Picky(Counting):
        refuses = True

        def encode(self, batch):
            if self.refuses and any("item 7 " in t for t in batch):
                raise InputError("item 7 is no good")
            return super().encode(batch)

    picky = Picky()
    layers = extract(picky, items, store=store, batch_size=BATCH, skip_bad=True)
    assert layers.n == N - 1
    assert "no good" in layers.provenance["skipped"]["id7"]
    picky.refuses, picky.seen = False, []
    layers = extract(picky, items, store=store, batch_size=BATCH)
    assert picky.seen == [items.views["text"][7]]
    assert layers.ids == items.ids
    assert "skipped" not in layers.provenance


def test_other_versions_that_rows_were_computed_with_are_recorded(store, items):
    entry = store.entry(Counting(), items)
    for i, version in enumerate(["1", "2", "1"]):
        with PartWriter(entry) as writer:
            writer.begin({"first": 1}, {"n_parameters": 7, "versions": {"numpy": version}})
            writer.put([i], {"first": np.zeros((1, 1), np.float32)}, {})
    found = store.entries()[0].open()
    assert found.provenance["versions"] == {"numpy": "1"}
    assert found.provenance["resumed_with"] == [{"numpy": "2"}]
    assert found.n_parameters == 7


# The doors for schedulers


def test_an_extraction_is_done_range_by_range_by_any_number_of_workers(store, items, reference):
    settings = ExtractSettings(batch_size=BATCH)
    encoders = [Counting(), Counting()]
    workers = [Extraction(e, items, store, settings) for e in encoders]
    ranges = workers[0].ranges()
    assert ranges[0].start == 0
    assert ranges[-1].stop == N
    assert all(a.stop == b.start for a, b in pairwise(ranges))
    assert workers[1].missing() == list(range(len(ranges)))
    assert workers[0].compute([2]) == len(ranges[2])
    assert 2 not in workers[1].missing()
    assert workers[1].compute([2]) == 0  # it is there
    assert encoders[1].seen == []
    workers[1].compute(workers[1].missing())
    assert workers[0].missing() == []
    assert same(store.open(Counting(), items), reference[0])


def test_an_extraction_needs_a_shared_store(tmp_path, items):
    with pytest.raises(InputError, match="shared=True"):
        Extraction(Counting(), items, FeatureStore(tmp_path))


@pytest.mark.parametrize("share", [(2, 2), (-1, 2), (0, 0), (0,), 3, (0.0, 2), (True, 2), "12"])
def test_what_is_no_share_is_refused_before_anything_is_made(folder, items, share):
    with pytest.raises(InputError, match="is no share"):
        extract(Counting(), items, store=folder, share=share)
    assert not folder.root.exists()


def test_shares_need_a_shared_store(tmp_path, items):
    for store in (tmp_path / "one", None):
        with pytest.raises(InputError, match="needs a store that several may write"):
            extract(Counting(), items, store=store, share=(0, 2))


# Both forms together


def test_rows_of_one_writer_and_of_parts_are_read_together_in_both_orders(tmp_path, items, reference):
    root = tmp_path / "both"
    entry = FeatureStore(root).entry(Counting(), items)
    rows = {k: np.array(v) for k, v in reference[0].items()}
    facts = {k: reference[0].provenance[k] for k in ("n_parameters", "versions")}
    for kind, positions in ((EntryWriter, range(0, 20, 2)), (PartWriter, range(1, 20, 2)), (EntryWriter, range(20, N))):
        with kind(entry) as writer:
            assert not writer.stored & set(positions)
            writer.begin({k: v.shape[1] for k, v in rows.items()}, facts)
            writer.put(positions, {k: v[list(positions)] for k, v in rows.items()}, {})
    assert same(FeatureStore(root).open(Counting(), items), reference[0])
    idle = Counting()
    assert same(extract(idle, items, store=root), reference[0])
    assert idle.seen == []


def test_a_folder_written_by_one_writer_is_as_it_was(tmp_path, items):
    extract(Counting(), items, store=tmp_path / "one")
    (entry,) = (tmp_path / "one").iterdir()
    assert sorted(p.name for p in entry.iterdir()) == [
        *("000_first.npy", "001_block-1.npy", "entry.json", "journal", "lock")
    ]


def test_compacting_gives_the_files_of_one_writer_and_deletes_the_parts(folder, items, reference):
    fill(folder, items)
    count = len(parts_of(folder)[0])
    assert count > 1
    assert folder.compact() == count
    assert parts_of(folder) == ([], [])
    assert {p.name: p.read_bytes() for p in folder.root.glob("*/*.npy")} == reference[1]
    assert folder.verify() == []
    assert same(folder.open(Counting(), items), reference[0])
    assert folder.compact() == 0
    _, idle = fill(folder, items)
    assert idle.seen == []


def test_compacting_that_is_cut_off_before_the_parts_are_deleted_loses_nothing(folder, items, reference, monkeypatch):
    fill(folder, items)
    with monkeypatch.context() as patch:
        patch.setattr(_merging, "drop_commits", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            folder.compact()
    assert parts_of(folder)[0]
    assert same(folder.open(Counting(), items), reference[0])
    folder.compact()
    assert parts_of(folder) == ([], [])
    assert {p.name: p.read_bytes() for p in folder.root.glob("*/*.npy")} == reference[1]


def test_compacting_deletes_no_part_before_its_rows_are_on_the_disk(folder, items, reference, monkeypatch):
    fill(folder, items)
    fsync = os.fsync
    for least in range(12):
        count = iter(range(10**6))

        def failing(handle, count=count, least=least):
            if next(count) >= least:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with contextlib.suppress(StoreError):
                folder.compact()
        assert same(folder.open(Counting(), items), reference[0])
    assert parts_of(folder) == ([], [])  # twelve are enough for all of it


def test_compacting_keeps_what_was_left_out_and_the_versions(folder, items):
    entry = folder.entry(Counting(), items)
    for i, version in enumerate("1221"):
        with PartWriter(entry) as writer:
            writer.begin({"first": 1}, {"versions": {"numpy": version}})
            writer.put([i], {"first": np.full((1, 1), i, np.float32)}, {10 + i: "is broken"})
    before = folder.entries()[0].open()
    folder.compact()
    after = folder.entries()[0].open()
    assert same(before, after)
    assert sorted(after.provenance["skipped"]) == ["id10", "id11", "id12", "id13"]
    with PartWriter(entry) as writer:
        writer.begin({"first": 1}, {"versions": {"numpy": "3"}})
        writer.put([4], {"first": np.zeros((1, 1), np.float32)}, {})
    folder.compact()
    assert folder.entries()[0].open().provenance["resumed_with"] == [{"numpy": "2"}, {"numpy": "3"}]


def test_a_writer_at_work_while_parts_are_compacted_computes_nothing_again(folder, items, reference):
    fill(folder, items, share=(0, 2))

    class Slow(Counting):
        def encode(self, batch):
            if not self.seen:
                folder.compact()
            return super().encode(batch)

    slow = Slow()
    layers = extract(slow, items, store=folder, batch_size=BATCH, commit_every=0)
    assert len(slow.seen) == N - 16
    assert same(layers, reference[0])


def test_what_killed_writers_left_is_swept_after_a_day(folder, items):
    fill(folder, items)
    entry = folder.entries()[0].path
    left = [entry / "parts" / "old.safetensors", entry / "commits" / ".old.tmp"]
    young = entry / "parts" / "young.safetensors"
    for path in [*left, young]:
        path.write_bytes(b"torn")
    for path in left:
        os.utime(path, (0, 0))
    folder.compact()
    assert [p.exists() for p in left] == [False, False]
    assert young.exists()


def test_an_object_store_is_not_compacted(items):
    store = FeatureStore(f"memory://{uuid.uuid4().hex}")
    fill(store, items)
    with pytest.raises(StoreError, match="no folder on this machine"):
        store.compact()


# Reading


def test_a_part_is_a_file_that_the_reference_package_reads(folder, items):
    reference = pytest.importorskip("safetensors.numpy")
    layers, _ = fill(folder, items, commit_every=1e9)
    (part,) = parts_of(folder)[0]
    read = reference.load_file(part)
    assert list(read) == ["000_first", "001_block-1"]
    assert np.array_equal(read["001_block-1"], layers["block/1"])


def test_one_part_is_memory_mapped_and_no_copy(folder, items):
    layers, _ = fill(folder, items, commit_every=1e9)
    array = layers["first"]
    while isinstance(array, np.ndarray):
        array = array.base
    assert isinstance(array.obj, mmap.mmap)
    with pytest.raises(ValueError, match="read-only"):
        layers["first"][0, 0] = 1


def test_a_large_layer_is_merged_in_a_temporary_file(folder, items, reference, monkeypatch):
    monkeypatch.setattr(_contents, "_IN_MEMORY", 0)
    layers, _ = fill(folder, items)
    assert same(layers, reference[0])
    assert isinstance(layers["first"].base.base, mmap.mmap)


def test_no_room_to_merge_is_told_with_the_ways_out(folder, items, monkeypatch):
    layers, _ = fill(folder, items)
    monkeypatch.setattr(_contents, "_IN_MEMORY", 0)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match=r"no room .*TMPDIR.*compact"):
        layers["first"]


# Damage


@pytest.mark.parametrize("harm", ["flipped", "short", "gone"])
def test_a_damaged_part_is_named_and_only_its_items_are_computed_again(folder, items, reference, harm):
    fill(folder, items)
    part = parts_of(folder)[0][2]
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    if harm == "gone":
        part.unlink()
    else:
        part.write_bytes(data if harm == "flipped" else data[:-1])
    with pytest.raises(StoreError, match=rf"{part.name} is damaged: .*verify\(repair=True\)"):
        dict(folder.open(Counting(), items))
    problems = folder.verify()
    assert len(problems) == 1
    assert part.name in problems[0]
    assert folder.verify(repair=True) == problems
    assert folder.verify() == []
    layers, again = fill(folder, items)
    assert len(again.seen) == BATCH
    assert same(layers, reference[0])


def test_a_damaged_commit_is_named_and_only_its_items_are_computed_again(folder, items, reference):
    fill(folder, items)
    commit = parts_of(folder)[1][1]
    commit.write_bytes(commit.read_bytes().replace(b'"start"', b'"strat"'))
    with pytest.raises(StoreError, match=rf"{commit.name} is damaged: its checksum does not match"):
        folder.open(Counting(), items)
    assert len(folder.verify()) == 1
    folder.verify(repair=True)
    layers, again = fill(folder, items)
    assert len(again.seen) == BATCH
    assert same(layers, reference[0])


def test_a_commit_that_says_nothing_sensible_is_damaged_too(folder, items):
    fill(folder, items)
    commit = parts_of(folder)[1][0]
    commit.write_bytes(_parts.line({"part": "x"}))
    with pytest.raises(StoreError, match=r"is damaged: it cannot be understood"):
        folder.open(Counting(), items)


def test_a_damaged_division_is_named(folder, items):
    fill(folder, items, share=(0, 2))
    (folder.entries()[0].path / "division.json").write_text("?")
    with pytest.raises(StoreError, match=r"division.json is damaged"):
        fill(folder, items)


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "no room left"), (errno.EIO, "Cannot write")])
def test_a_full_or_failing_disk_keeps_what_was_committed(folder, items, monkeypatch, reference, code, words):
    fsync, count = os.fsync, iter(range(10**6))

    def failing(handle):
        if next(count) > 20:
            raise OSError(code, os.strerror(code))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(StoreError, match=rf"{words}.*the next run goes on from there"):
            fill(folder, items)
    kept = folder.entries()[0].n_stored
    assert 0 < kept < N
    assert folder.verify() == []
    layers, rest = fill(folder, items)
    assert len(rest.seen) == N - kept
    assert same(layers, reference[0])


def test_a_plain_folder_needs_no_fsspec(tmp_path):
    program = f"""
import sys
sys.modules["fsspec"] = None  # importing it fails
import isomorph as iso
items = iso.PairedItems("pets", ("1", "2"), {{"name": ["cat", "dog"]}})
for shared in (False, True):
    store = iso.FeatureStore({str(tmp_path)!r} + str(shared), shared=shared)
    print(iso.extract(iso.load_encoder("statistics:text", check=False), items, store=store)["words"].shape)
try:
    iso.FeatureStore("memory://x")
except iso.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[:2] == ["(2, 513)", "(2, 513)"]
    assert "pip install 'isomorph[remote]'" in done.stdout


def test_a_study_says_where_its_features_are_and_whether_several_write_them(tmp_path):
    (tmp_path / "study.toml").write_text("""
items = "emoji(n=30)"
features = "kept"
shared = true
encoders.a = {model = "statistics:image"}
encoders.b = {model = "statistics:text"}
scans = [{x = "a", y = "b"}]""")
    store = load_study(tmp_path / "study.toml").store
    assert (store.root, store.shared) == (tmp_path / "kept", True)
    elsewhere = load_study(tmp_path / "study.toml", features="memory://elsewhere").store
    assert elsewhere.root == "memory://elsewhere"
    with pytest.raises(InputError, match="Leave them out"):
        load_study(tmp_path / "study.toml", features="s3://me:secret@bucket")
    (tmp_path / "study.toml").write_text((tmp_path / "study.toml").read_text().replace('features = "kept"', ""))
    (tmp_path / "study.toml").write_text((tmp_path / "study.toml").read_text().replace("shared = true", ""))
    plain = load_study(tmp_path / "study.toml", output=tmp_path / "out").store
    assert (plain.root, plain.shared) == (tmp_path / "out" / "features", False)


def test_commits_are_json_that_people_can_read(folder, items):
    fill(folder, items, commit_every=1e9)
    checksum, _, text = parts_of(folder)[1][0].read_text().partition(" ")
    assert len(checksum) == 8
    record = json.loads(text)
    assert sorted(record["batch"]) == list(range(N))
    assert [x[:2] for x in record["layers"]] == [["first", 2], ["block/1", 3]]
