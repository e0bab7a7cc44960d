"""Hugging Face datasets: saved ones, files, streams, and a hub that an HTTP server of our own plays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import soundfile
from PIL import Image

import datasets
from isomorph.datasets import Audio, PairedItems, load_dataset
from isomorph.datasets.huggingface import HuggingFace
from isomorph.errors import FetchError, InputError, MissingExtraError, UnknownNameError

from ..hub_server import COMMIT, Repository, point_to, served

CAPTIONS = [["a cat", "a pet"], ["a dog"], ["a cow", "a farm", "a field"], ["a hen"]]
FEATURES = datasets.Features(
    {
        "photo": datasets.Image(),
        "sound": datasets.Audio(),
        "text": datasets.List(datasets.Value("string")),
        "kind": datasets.ClassLabel(names=["pet", "farm"]),
        "size": datasets.Value("float64"),
    }
)


def picture(k: int) -> np.ndarray[Any, Any]:
    return np.full((4 + k, 6, 3), 40 * k, dtype=np.uint8)


def png(k: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(k)).save(file, "PNG")
    return file.getvalue()


def wav(k: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(100 + k, 0.25), 8000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def table(n: int = 4) -> pyarrow.Table:
    columns = {
        "photo": [{"bytes": png(k), "path": None} for k in range(n)],
        "sound": [{"bytes": wav(k), "path": f"{k}.wav"} for k in range(n)],
        "text": CAPTIONS[:n],
        "kind": [0, 0, 1, 1][:n],
        "size": [1.5, None, 2.5, 3.5][:n],
    }
    return pyarrow.Table.from_pydict(columns, schema=FEATURES.arrow_schema)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of the test's own, and nothing on standard error but what is said."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def saved(tmp_path: Path) -> str:
    datasets.Dataset(table()).save_to_disk(str(tmp_path / "saved"))
    return str(tmp_path / "saved")


def load(path: str, **parameters: Any) -> PairedItems:
    return HuggingFace(path, **parameters).load()


# ---- saved sets -----------------------------------------------------------------------------------------------------


def test_a_saved_set_gives_pictures_sounds_captions_and_class_names(saved: str) -> None:
    items = load(saved, covariate="size")
    assert {k: v.modality for k, v in items.views.items()} == {"photo": "image", "sound": "audio", "text": "text"}
    assert items.ids[:3] == ("0#0", "0#1", "1#0")
    assert list(items.view("text")) == [text for own in CAPTIONS for text in own]
    assert items.groups == ("0", "0", "1", "2", "2", "2", "3")
    assert items.labels == {"kind": ("pet",) * 3 + ("farm",) * 4}
    assert items.covariates == {"size": (1.5, 1.5, None, 2.5, 2.5, 2.5, 3.5)}
    assert np.array_equal(items.view("photo")[4], picture(2))
    sound = items.view("sound")[2]
    assert isinstance(sound, Audio)
    assert (len(sound.samples), sound.rate) == (101, 8000)
    np.testing.assert_allclose(sound.samples, 0.25, atol=2**-15)  # half a step of 16 bits


def test_pictures_are_decoded_when_they_are_asked_for(tmp_path: Path) -> None:
    columns = table().to_pydict()
    columns["photo"][2] = {"bytes": b"\x89PNG no more", "path": None}
    datasets.Dataset(pyarrow.Table.from_pydict(columns, FEATURES.arrow_schema)).save_to_disk(str(tmp_path / "bad"))
    items = load(str(tmp_path / "bad"), captions_each=1)
    assert np.array_equal(items.view("photo")[3], picture(3))
    with pytest.raises(InputError, match="Cannot read the image of item '2' as an image"):
        items.view("photo")[2]
    left = load(str(tmp_path / "bad"), captions_each=1, skip_bad=True)
    assert left.ids == ("0", "1", "3")
    assert np.array_equal(left.view("photo")[2], picture(3))
    assert list(left.skipped) == ["2"]


def test_the_same_pictures_in_a_folder_are_the_same_view(saved: str, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for k in range(4):
        (tmp_path / "files" / f"{k}.png").write_bytes(png(k))
    files = load_dataset(f"folder({str(tmp_path / 'files')!r})")
    items = load(saved, captions_each=1)
    assert files.ids == items.ids
    assert [files.view("image").digest(i) for i in range(4)] == [items.view("photo").digest(i) for i in range(4)]


def test_one_caption_each_leaves_ids_as_they_are(saved: str) -> None:
    items = load(saved, captions_each=1)
    assert (items.ids, items.groups) == (("0", "1", "2", "3"), None)
    assert list(items.view("text")) == [own[0] for own in CAPTIONS]
    assert load(saved, captions_each=2).ids == ("0#0", "0#1", "1#0", "2#0", "2#1", "3#0")


def test_a_split_is_chosen_and_rows_of_it_keep_their_numbers(tmp_path: Path) -> None:
    rows = datasets.Dataset(table())
    datasets.DatasetDict({"train": rows, "test": rows.select([3])}).save_to_disk(str(tmp_path / "both"))
    path = str(tmp_path / "both")
    with pytest.raises(InputError, match="has the splits train, test; name one, such as split='train'"):
        load(path)
    with pytest.raises(UnknownNameError, match=r"split of .*both 'tets'\. Did you mean 'test'"):
        load(path, split="tets")
    whole = load(path, split="train", captions_each=1)
    part = load(path, split="train[1:3]", captions_each=1)
    assert part.ids == ("1", "2")
    assert part.fingerprint == whole.subset(["1", "2"]).fingerprint
    assert load(path, split="train[50%:]", captions_each=1).ids == ("2", "3")
    assert load_dataset(part.source).fingerprint == part.fingerprint
    with pytest.raises(InputError, match=r"'train\[9:\]' holds none of the 4 rows of train"):
        load(path, split="train[9:]")
    with pytest.raises(InputError, match="name one split"):
        load(path, split="train+test")


def test_views_are_chosen_and_a_column_that_is_not_there_is_answered_with_those_that_are(saved: str) -> None:
    assert set(load(saved, image="photo", text="text").views) == {"photo", "text"}
    with pytest.raises(UnknownNameError, match=r"Did you mean 'photo'\? Its columns are 'photo', 'sound', 'text',"):
        load(saved, image="foto")
    with pytest.raises(InputError, match="the column 'photo' holds pictures and is given as text; say image="):
        load(saved, text="photo")
    with pytest.raises(InputError, match="'photo' holds pictures, which can be no id, label"):
        load(saved, label="photo")
    with pytest.raises(UnknownNameError, match="id=None takes row numbers"):
        load(saved, id="key")


def test_a_column_called_id_gives_the_ids_and_none_the_row_numbers(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"id": ["x", "y"], "text": ["one", "two"]}).save_to_disk(str(tmp_path / "s"))
    assert load(str(tmp_path / "s")).ids == ("x", "y")
    assert load(str(tmp_path / "s"), id=None, text="text").ids == ("0", "1")


def test_texts_in_several_languages_are_views(tmp_path: Path) -> None:
    rows = {"translation": [{"de": "eine Katze", "en": "a cat"}, {"de": "ein Hund", "en": "a dog"}]}
    datasets.Dataset.from_dict(rows).save_to_disk(str(tmp_path / "s"))
    items = load(str(tmp_path / "s"))
    assert list(items.view("translation.de")) == ["eine Katze", "ein Hund"]
    assert list(items.views) == ["translation.de", "translation.en"]


def test_a_row_without_a_class_or_a_picture_is_named(tmp_path: Path) -> None:
    columns = table().to_pydict()
    columns["kind"][1] = -1  # how Hugging Face writes labels that are not known
    columns["photo"][3] = None
    datasets.Dataset(pyarrow.Table.from_pydict(columns, FEATURES.arrow_schema)).save_to_disk(str(tmp_path / "s"))
    with pytest.raises(InputError, match="item '3', column 'photo': there is no image"):
        load(str(tmp_path / "s"))
    with pytest.raises(InputError, match="item '1' has nothing in column 'kind'"):
        load(str(tmp_path / "s"), skip_bad=True, captions_each=1)
    assert load(str(tmp_path / "s"), skip_bad=True, captions_each=1, label=()).ids == ("0", "1", "2")


# ---- files, and streams ---------------------------------------------------------------------------------------------


def test_files_that_the_library_reads_give_what_it_saved(saved: str, tmp_path: Path) -> None:
    datasets.Dataset(table()).to_parquet(str(tmp_path / "rows.parquet"))
    items = load(str(tmp_path / "rows.parquet"))
    assert items.fingerprint == load(saved).fingerprint
    assert load_dataset(f"table({str(tmp_path / 'rows.parquet')!r}, id=None)", skip_bad=True).labels == items.labels
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "train.jsonl").write_text('{"text": "a cat"}\n{"text": "a dog"}\n')
    assert list(load(str(tmp_path / "lines")).view("text")) == ["a cat", "a dog"]


def test_pictures_in_folders_are_read_with_their_classes(tmp_path: Path) -> None:
    for k, kind in enumerate(["pet", "pet", "farm"]):
        (tmp_path / "set" / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / kind / f"{k}.png").write_bytes(png(k))
    items = load(str(tmp_path / "set"))
    assert sorted(items.labels["label"]) == ["farm", "pet", "pet"]
    assert {items.view("image")[i].shape for i in range(3)} == {picture(k).shape for k in range(3)}


def test_a_stream_is_read_as_far_as_was_asked_and_no_further(tmp_path: Path) -> None:
    datasets.Dataset(table()).to_parquet(str(tmp_path / "rows.parquet"))
    path = str(tmp_path / "rows.parquet")
    items = load(path, streaming=3, captions_each=1)
    assert items.ids == ("0", "1", "2")
    assert items.fingerprint == load(path, captions_each=1).subset(items.ids).fingerprint
    with pytest.raises(InputError, match="train has 4 rows, and streaming=5 asks for more; say streaming=4"):
        load(path, streaming=5)
    with pytest.raises(InputError, match="say how many rows are taken of the stream, such as streaming=1000"):
        load(path, streaming=True)
    with pytest.raises(InputError, match="a stream begins with its first row"):
        load(path, streaming=2, split="train[1:]")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("set.zip", b"PK", "Unpack an archive first"),
        ("set.py", b"", "programs and pickles are never opened"),
        ("set.pkl", b"", "programs and pickles are never opened"),
        ("set.parquet", b"not parquet", "Cannot read .*set.parquet as a Hugging Face dataset"),
    ],
)
def test_what_is_no_dataset_is_answered_in_words(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        load(str(tmp_path / name))


def test_a_folder_with_a_program_for_the_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "set.py").write_text("open('ran', 'w')")
    with pytest.raises(InputError, match="scripts are no longer supported"):
        load(str(tmp_path / "set"))
    assert not (tmp_path / "ran").exists()


def test_a_path_at_which_there_is_nothing_is_answered_with_what_is_beside_it(saved: str) -> None:
    with pytest.raises(InputError, match=r"there is nothing at .*savd.* Did you mean 'saved'"):
        load(saved.replace("saved", "savd"))
    with pytest.raises(InputError, match="on this disk, where there are no revisions"):
        load(saved, revision="main")


def test_without_the_library_the_extra_is_named(saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isomorph\[hub\]'"):
        load(saved)


# ---- the hub --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A hub that has one dataset in a branch; the library keeps addresses of its own."""
    datasets.Dataset(table()).to_parquet(str(tmp_path / "rows.parquet"))
    files = {"README.md": b"# Pets", "data/train-00000-of-00001.parquet": (tmp_path / "rows.parquet").read_bytes()}
    repository = Repository(files, "dataset", "org/pets", ("main", "v1"))
    with served(repository, monkeypatch, tmp_path) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", endpoint)
        monkeypatch.setattr(
            datasets.config, "HUB_DATASETS_URL", endpoint + "/datasets/{repo_id}/resolve/{revision}/{path}"
        )
        yield server


def test_a_branch_of_the_hub_is_read_at_its_commit_which_the_source_names(hub: Any, saved: str) -> None:
    items = load("org/pets", revision="v1", captions_each=1)
    assert items.source == f"huggingface(path='org/pets', revision={COMMIT!r}, captions_each=1)"
    assert items.fingerprint == load(saved, captions_each=1).fingerprint
    assert load_dataset(items.source).fingerprint == items.fingerprint
    assert items.name == "pets"


def test_a_stream_of_the_hub_is_pinned_too(hub: Any, saved: str) -> None:
    items = load("org/pets", streaming=2)
    assert COMMIT in items.source
    assert items.fingerprint == load(saved, split="train[:2]").fingerprint


@pytest.mark.parametrize(("id", "revision"), [("org/other", None), ("org/pets", "v9")])
def test_what_the_hub_does_not_have_is_said(hub: Any, id: str, revision: str | None) -> None:
    with pytest.raises(FetchError, match=r"cannot be had from the hub.* Check the name and the revision"):
        load(id, revision=revision)


def test_without_the_hub_the_cache_is_read_at_the_commit_that_was_asked_for(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load("org/pets", revision="v1")
    point_to(monkeypatch, tmp_path, "http://127.0.0.1:9")
    assert load("org/pets", revision=COMMIT).fingerprint == before.fingerprint
    assert load("org/pets", revision="v1").source == before.source
    with pytest.raises(FetchError, match=f"the cache has the commit {COMMIT}, not {'1' * 40}"):
        load("org/pets", revision="1" * 40)


def test_without_the_hub_and_the_cache_it_is_said_how_to_bring_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    point_to(monkeypatch, tmp_path, "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FetchError, match="HF_HUB_OFFLINE is set") as caught:
        load("org/pets", revision="v1")
    assert "datasets.load_dataset('org/pets', revision='v1').save_to_disk('copy')" in str(caught.value)
    assert "load_dataset(\"huggingface('copy')\")" in str(caught.value)


# ---- rows at hand ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [None, "torch", "numpy"])
def test_a_dataset_at_hand_is_read_row_by_row(form: str | None) -> None:
    rows = datasets.Dataset(table()).with_format(form)
    items = PairedItems.from_rows(rows, covariate="size")
    assert items.ids[:3] == ("0#0", "0#1", "1#0")
    assert {k: v.modality for k, v in items.views.items()} == {"photo": "image", "sound": "audio", "text": "text"}
    assert items.labels == {"kind": ("pet",) * 3 + ("farm",) * 4}
    assert np.array_equal(items.view("photo")[4], picture(2))
    assert len(items.view("sound")[2].samples) == 101
    assert rows.format["type"] == form  # the user's own is as it was


def test_a_stream_at_hand_is_read_to_its_limit() -> None:
    stream = datasets.Dataset(table()).to_iterable_dataset()
    whole, part = PairedItems.from_rows(stream), PairedItems.from_rows(stream, limit=2)
    assert part.ids == ("0#0", "0#1", "1#0")
    assert part.fingerprint == whole.subset(part.ids).fingerprint
    assert whole.fingerprint == PairedItems.from_rows(datasets.Dataset(table())).fingerprint
    assert len(whole.view("sound")[6].samples) == 103
    endless = datasets.IterableDataset.from_generator(lambda: ({"text": f"text {k}"} for k in range(10**9)))
    assert list(PairedItems.from_rows(endless, limit=2).view("text")) == ["text 0", "text 1"]


def test_what_a_transform_of_the_user_makes_of_rows_is_kept() -> None:
    rows = datasets.Dataset(table()).select_columns(["photo", "kind"])
    rows.set_transform(lambda batch: {"text": [f"class {k}" for k in batch["kind"]]})
    assert list(PairedItems.from_rows(rows).view("text")) == ["class 0", "class 0", "class 1", "class 1"]


def test_a_wrong_column_of_a_dataset_is_answered_with_a_call_that_works() -> None:
    with pytest.raises(InputError, match=r"no column 'foto'.*'photo', 'sound', 'text'.*from_rows\(rows"):
        PairedItems.from_rows(datasets.Dataset(table()), ["foto"])


def test_encoded_files_at_hand_are_views_of_from_views_too() -> None:
    photos = [{"bytes": png(k), "path": None} for k in range(3)]
    items = PairedItems.from_views(image=photos, text=["a", "b", "c"])
    assert np.array_equal(items.view("image")[2], picture(2))
    with pytest.raises(InputError, match=r"view 'image', item '0': the file is none of a picture"):
        PairedItems.from_views(image=[{"bytes": b"what", "path": None}])
