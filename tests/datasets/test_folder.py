"""Folders as users have them: each test lays one out as the data set or program of that name does."""

from __future__ import annotations

import json
import os
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import isomorph as iso
from isomorph.datasets import PairedItems
from isomorph.datasets.folder import Folder
from isomorph.errors import InputError


def picture(path: Path, shade: int = 7, size: tuple[int, int] = (4, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), shade, dtype=np.uint8)).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def sound(path: Path, level: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(np.full(80, level, dtype="<i2").tobytes())


def load(root: Path, **settings: Any) -> PairedItems:
    return Folder(str(root), **settings).load()


def shade(items: PairedItems, i: int) -> int:
    return int(items.view("image")[i][0, 0, 0])


# ---- files of one name ----------------------------------------------------------------------------------------------


def test_pictures_texts_and_sounds_of_one_name_are_one_item(tmp_path: Path) -> None:
    for k, name in enumerate(("tom", "kitty", "berta")):
        picture(tmp_path / f"{name}.PNG", k, (4 + k, 3))  # sizes differ
        text(tmp_path / f"{name}.txt", f"this is {name}\n")
        sound(tmp_path / f"{name}.wav", k)
    text(tmp_path / "README.txt", "notes")
    text(tmp_path / ".DS_Store", "junk")
    items = load(tmp_path)
    assert items.ids == ("berta", "kitty", "tom")
    assert {k: v.modality for k, v in items.views.items()} == {"image": "image", "audio": "audio", "text": "text"}
    assert list(items.view("text")) == ["this is berta", "this is kitty", "this is tom"]
    assert [shade(items, i) for i in range(3)] == [2, 1, 0]
    assert items.groups is None
    assert not items.labels


def test_a_folder_for_every_modality_is_paired_by_name(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path / "images" / "pets" / f"{k}.jpg", k)
        text(tmp_path / "texts" / "pets" / f"{k}.txt", f"text {k}")
    items = load(tmp_path)
    assert items.ids == ("pets/0", "pets/1", "pets/2")
    assert list(items.view("text")) == ["text 0", "text 1", "text 2"]


def test_class_folders_are_labels_and_train_and_test_are_a_split(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for kind in ("cat", "dog"):
            for k in range(2):
                picture(tmp_path / part / kind / f"{part}{kind}{k}.png", k)
    items = load(tmp_path)
    assert items.labels["label"] == ("cat", "cat", "dog", "dog") * 2
    assert items.labels["split"] == ("test",) * 4 + ("train",) * 4
    assert list(items.views) == ["image"]
    assert items.ids[0] == "test/cat/testcat0"


def test_folders_of_the_same_names_are_asked_about(tmp_path: Path) -> None:
    for kind, start in (("photo", 0), ("sketch", 10)):
        for k in range(3):
            picture(tmp_path / kind / f"{k}.png", start + k)
    with pytest.raises(InputError, match=r"photo, sketch hold files of the same names.*layout='views'.*'classes'"):
        load(tmp_path)
    views = load(tmp_path, layout="views")
    assert views.ids == ("0", "1", "2")
    assert [int(views.view(v)[1][0, 0, 0]) for v in ("photo", "sketch")] == [1, 11]
    assert not views.labels
    classes = load(tmp_path, layout="classes")
    assert len(classes) == 6
    assert classes.labels["label"] == ("photo",) * 3 + ("sketch",) * 3


# ---- files of captions ----------------------------------------------------------------------------------------------

FILES = ("1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg", "1002674143_1b742ab4b8.jpg")


def pictures(folder: Path, names: Any = FILES) -> None:
    for k, name in enumerate(names):
        picture(folder / name, 20 * k)


def captions_of(k: int) -> list[str]:
    return [f"A child , number {k} , says {j} ." for j in range(5)]


def flickr8k(root: Path) -> None:
    pictures(root / "Images")
    rows = [f"{name},{c}" for k, name in enumerate(FILES) for c in captions_of(k)]  # Kaggle's: commas are not quoted
    text(root / "captions.txt", "image,caption\n" + "\n".join(rows) + "\n")


def flickr8k_tokens(root: Path) -> None:
    pictures(root / "Flicker8k_Dataset")
    rows = [f"{name}#{j}\t{c}" for k, name in enumerate(FILES) for j, c in enumerate(captions_of(k))]
    text(root / "Flickr8k_text" / "Flickr8k.token.txt", "\n".join(rows) + "\n")
    text(root / "Flickr8k_text" / "readme.txt", "notes")


def flickr30k(root: Path) -> None:
    pictures(root / "flickr30k_images")
    rows = [f"{name}| {j}| {c}" for k, name in enumerate(FILES) for j, c in enumerate(captions_of(k))]
    text(root / "results.csv", "image_name| comment_number| comment\n" + "\n".join(rows) + "\n")


def coco(root: Path) -> None:
    pictures(root / "val2017")
    pictures(root / "train2017", ["000000000009.jpg"])  # a part that the captions do not speak of
    images = [{"id": 40 + k, "file_name": name, "height": 4, "width": 3} for k, name in enumerate(FILES)]
    notes = [
        {"id": 9 * k + j, "image_id": 40 + k, "caption": c} for k in range(3) for j, c in enumerate(captions_of(k))
    ]
    content = {"info": {}, "licenses": [], "images": images, "annotations": notes}
    text(root / "annotations" / "captions_val2017.json", json.dumps(content))
    text(root / "annotations" / "instances_val2017.json", "{}")


def karpathy(root: Path) -> None:
    pictures(root / "images" / "val2014")
    images = [
        {
            "filename": name, "filepath": "val2014", "imgid": k, "split": ("train", "train", "test")[k], "cocoid": k,
            "sentences": [{"raw": c, "tokens": c.split(), "sentid": 5 * k + j} for j, c in enumerate(captions_of(k))],
        }
        for k, name in enumerate(FILES)
    ]  # fmt: skip
    text(root / "dataset_coco.json", json.dumps({"images": images, "dataset": "coco"}))


def by_table(root: Path) -> None:
    pictures(root / "images")
    rows = [f'images/{name},"{c}"' for k, name in enumerate(FILES) for c in captions_of(k)]
    text(root / "captions.csv", "file,what it says\n" + "\n".join(rows) + "\n")


def by_json_lines(root: Path) -> None:  # Hugging Face's ImageFolder
    pictures(root / "data")
    rows = [json.dumps({"file_name": f"data/{name}", "text": captions_of(k)}) for k, name in enumerate(FILES)]
    text(root / "metadata.jsonl", "\n".join(rows) + "\n")


def by_mapping(root: Path) -> None:
    pictures(root / "images")
    text(root / "captions.json", json.dumps({Path(name).stem: captions_of(k) for k, name in enumerate(FILES)}))


LAID_OUT = [flickr8k, flickr8k_tokens, flickr30k, coco, karpathy, by_table, by_json_lines, by_mapping]


@pytest.mark.parametrize("lay_out", LAID_OUT)
def test_every_layout_gives_the_same_items_with_the_captions_of_a_picture_as_a_group(
    lay_out: Any, tmp_path: Path
) -> None:
    lay_out(tmp_path)
    items = load(tmp_path)
    stems = [Path(f).stem for f in FILES]
    assert items.ids == tuple(f"{stem}#{j}" for stem in stems for j in range(5))
    assert items.groups == tuple(stem for stem in stems for _ in range(5))
    assert list(items.view("text")) == [c for k in range(3) for c in captions_of(k)]
    assert abs(shade(items, 7) - 20) <= 2  # JPEG
    assert ("split" in items.labels) == (lay_out is karpathy)
    assert load(tmp_path, captions_each=1).ids == tuple(stems)
    assert load(tmp_path, captions_each=2).ids == tuple(f"{stem}#{j}" for stem in stems for j in range(2))
    again = iso.load_dataset(items.source)
    assert again.fingerprint == items.fingerprint


def test_its_captions_are_compared_by_picture(tmp_path: Path) -> None:
    pictures(tmp_path / "images", [f"{k}.jpg" for k in range(8)])
    rows = [f"{k}.jpg,{'so ' * k} {c}" for k in range(8) for c in captions_of(k)]
    text(tmp_path / "captions.txt", "\n".join(rows))
    items = iso.load_dataset(f"folder(path={str(tmp_path)!r})")
    x = np.array([[shade(items, i), shade(items, i) ** 2] for i in range(len(items))], dtype=float)
    y = np.array([[len(t), len(t) ** 0.5] for t in items.view("text")], dtype=float)
    x, y = (iso.Layers.from_arrays({"last": v}, items.ids) for v in (x, y))
    scan = iso.scan(x, y, ["cka"], items=items, groups="groups", permutations=99, seed=0)
    assert scan.design == "permuted as whole groups (8 groups)"  # pictures, not captions


def test_several_files_of_captions_are_asked_about(tmp_path: Path) -> None:
    coco(tmp_path)
    source = tmp_path / "annotations" / "captions_val2017.json"
    text(tmp_path / "annotations" / "captions_train2017.json", source.read_text())
    with pytest.raises(
        InputError, match=r"several files of captions: .*captions='annotations/captions_train2017\.json'"
    ):
        load(tmp_path)
    assert len(load(tmp_path, captions="annotations/captions_val2017.json")) == 15
    with pytest.raises(InputError, match=r"no file 'captions\.csv' in .*annotations/captions_train2017\.json"):
        load(tmp_path, captions="captions.csv")


# ---- what a newcomer does wrong -------------------------------------------------------------------------------------


def test_a_caption_without_a_picture_and_a_picture_without_a_caption_are_named_or_left_out(tmp_path: Path) -> None:
    flickr8k(tmp_path)
    (tmp_path / "Images" / FILES[0]).unlink()
    picture(tmp_path / "Images" / "extra.jpg")
    with pytest.raises(InputError, match=rf"names '{FILES[0]}', and there is no such file\. 1 more have"):
        load(tmp_path)
    items = load(tmp_path, skip_bad=True)
    assert len(items) == 10
    assert set(items.skipped) == {FILES[0], "Images/extra.jpg"}
    assert "no caption of Images/extra.jpg" in items.skipped["Images/extra.jpg"]


def test_an_empty_text_and_a_broken_picture_are_named_or_left_out(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
        text(tmp_path / f"{name}.txt", name)
    text(tmp_path / "a.txt", "  \n")
    text(tmp_path / "b.png", "no picture")
    with pytest.raises(InputError, match=r"item 'a', text: the text is empty\."):
        load(tmp_path)
    items = load(tmp_path, skip_bad=True)
    assert items.ids == ("c",)
    assert "Cannot read" in items.skipped["b"]


def two_endings(root: Path) -> None:
    picture(root / "a.png")
    picture(root / "a.jpg")


def unlike_names(root: Path) -> None:
    picture(root / "photo_1.png")
    text(root / "caption-1.txt", "a cat")


def only_captions(root: Path) -> None:
    text(root / "captions.csv", "file_name,caption\na.jpg,a cat\n")


def other_pictures(root: Path) -> None:
    by_table(root)
    for name in FILES:
        (root / "images" / name).rename(root / "images" / f"new_{name}")


def odd_columns(root: Path) -> None:
    pictures(root)
    text(root / "captions.csv", "nr,one,two\n1,a cat,eine Katze\n")


def bare_lines(root: Path) -> None:
    pictures(root)
    text(root / "captions.txt", "a cat\na dog\na cow\n")


def other_json(root: Path) -> None:
    pictures(root)
    text(root / "captions.json", '{"version": 1, "boxes": []}')


def zipped(root: Path) -> None:
    text(root / "photos.zip", "")


def raw_formats(root: Path) -> None:
    text(root / "a.heic", "")


@pytest.mark.parametrize(
    ("lay_out", "said"),
    [
        (two_endings, r"a\.jpg and a\.png are both the image of 'a'"),
        (unlike_names, r"no files of image and text have one name, .* image photo_1\.png, text caption-1\.txt"),
        (only_captions, r"holds the captions captions\.csv and no pictures"),
        (other_pictures, r"captions\.csv names 3 files, such as .*none of them is in the folder, .*images/new_"),
        (odd_columns, r"captions\.csv has the columns nr, one, two, and which of them holds file names is not"),
        (bare_lines, r"the line 'a dog' does not name the picture .* never by order"),
        (other_json, r"captions\.json is in no layout of captions that is known; it holds \['version', 'boxes'\]"),
        (zipped, r"holds no pictures, .* it holds 1 × \.zip\. Unpack photos\.zip first"),
        (raw_formats, r"1 × \.heic\. Convert the pictures"),
        (lambda root: None, r"holds no pictures, recordings, films or texts that can be read; it holds no files"),
    ],
)  # fmt: skip
def test_a_failed_call_says_what_is_there_and_what_to_do(lay_out: Any, said: str, tmp_path: Path) -> None:
    lay_out(tmp_path)
    with pytest.raises(InputError, match=said):
        load(tmp_path)


def test_a_path_that_is_no_folder_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"no folder .*photo\. Did you mean 'photos'"):
        load(tmp_path / "photo")
    with pytest.raises(InputError, match=r"no folder .*xyz\. Folders in .*: photos\."):
        load(tmp_path / "xyz")
    with pytest.raises(InputError, match=r"There is no folder .*xyz; .* is there\."):
        load(tmp_path / "xyz" / "deeper")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w"):
        pass
    with pytest.raises(
        InputError, match=r"photos\.zip is an archive; unpack it first, .*-m zipfile -e .*folder\(path='photos'"
    ):
        load(tmp_path / "photos.zip")
    text(tmp_path / "pairs.csv", "id\n")
    with pytest.raises(
        InputError, match=r"Cannot read the table .*pear\.csv: No such file .* Did you mean 'pairs\.csv'"
    ):
        iso.load_dataset(f"table(path={str(tmp_path / 'pear.csv')!r})")
    with pytest.raises(InputError, match=r"is a table, no folder; it is read with table\(path="):
        load(tmp_path / "pairs.csv")
    with pytest.raises(InputError, match="exclude each other"):
        load(tmp_path, captions="c.csv", layout="names")
    with pytest.raises(InputError, match="no file of captions was found"):
        load(tmp_path / "photos", layout="captions")


def test_a_folder_in_it_that_cannot_be_read_is_named_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (tmp_path, tmp_path / "more"):
        place.mkdir(exist_ok=True)
        (place / "a.txt").write_text("a")
        (place / "a.ppm").write_bytes(b"P6 1 1 255 abc")
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"more cannot be read \(Permission denied\), and what it holds"):
        Folder(path=str(tmp_path)).load()


def test_many_files_without_a_counterpart_are_refused_before_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(2_000):
        (tmp_path / f"{k:06d}.jpg").touch()
    text(tmp_path / "000000.txt", "a cat")
    monkeypatch.setattr("isomorph.datasets.folder.read_text", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(InputError, match=r"there is no text of the name of 000001\.jpg\. 1,998 more have"):
        load(tmp_path)


def test_a_path_in_place_of_a_spec_is_answered_by_the_spec(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    text(tmp_path / "pairs.csv", "id\n")
    for path, call in (
        (tmp_path / "photos", f"folder(path='{tmp_path}/photos')"),
        (tmp_path / "pairs.csv", f"table(path='{tmp_path}/pairs.csv')"),
        (tmp_path / "e.json", f"features(paths='{tmp_path}/e.json')"),
    ):
        for given in (path, str(path)):
            with pytest.raises(InputError) as refused:
                iso.load_dataset(given)  # type: ignore[arg-type]  # a path
            assert f'load_dataset("{call}")' in str(refused.value)
            assert ("there is nothing" in str(refused.value)) == (path.name == "e.json")
