"""Shards of WebDataset: against what the library itself writes and reads, and the faults that shards have."""

from __future__ import annotations

import gc
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import webdataset
from PIL import Image

from isomorph.datasets import PairedItems, load_dataset
from isomorph.datasets.webdataset import WebDataset, expanded
from isomorph.errors import InputError, UnknownNameError


def picture(k: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(k).integers(0, 256, (4 + k, 6, 3), dtype=np.uint8)


def png(k: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(k)).save(file, "PNG")
    return file.getvalue()


def flac(k: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(100 + k, 0.25), 8000, format="FLAC")
    return file.getvalue()


def shard(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return path


def write(folder: Path, n: int = 5, each: int = 2) -> str:
    """Shards as the library writes them; the pattern that names them."""
    for k in range(0, n, each):
        with webdataset.TarWriter(str(folder / f"train-{k // each:03d}.tar")) as sink:
            for i in range(k, min(k + each, n)):
                sink.write(
                    {
                        "__key__": f"s{i}",
                        "png": png(i),
                        "flac": flac(i),
                        "txt": f"text {i}",
                        "cls": i % 2,
                        "json": {"size": i / 2, "taken": f"by {i // 3}"},
                    }
                )
    return str(folder / f"train-{{000..{(n - 1) // each:03d}}}.tar")


def load(urls: Any, **parameters: Any) -> PairedItems:
    return WebDataset(str(urls) if isinstance(urls, Path) else urls, **parameters).load()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the library leaves its shards open
def test_what_the_library_wrote_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    pattern = write(tmp_path)
    items = load(pattern, covariate="size", group="taken")
    assert {k: v.modality for k, v in items.views.items()} == {"image": "image", "audio": "audio", "text": "text"}
    samples = list(webdataset.WebDataset(webdataset.shardlists.expand_urls(pattern), shardshuffle=False))
    gc.collect()
    assert list(items.ids) == [s["__key__"] for s in samples]
    assert list(items.view("text")) == [s["txt"].decode() for s in samples]
    assert items.labels == {"cls": tuple(s["cls"].decode() for s in samples)}
    assert items.covariates == {"size": tuple(json.loads(s["json"])["size"] for s in samples)}
    assert items.groups == ("by 0",) * 3 + ("by 1",) * 2
    for k in (4, 0, 3):  # in any order
        assert np.array_equal(items.view("image")[k], picture(k))
        assert len(items.view("audio")[k].samples) == 100 + k
    assert load_dataset(items.source).fingerprint == items.fingerprint


def test_files_of_a_folder_and_of_a_shard_are_the_same_view(tmp_path: Path) -> None:
    write(tmp_path, n=3)
    (tmp_path / "files").mkdir()
    for k in range(3):
        (tmp_path / "files" / f"s{k}.png").write_bytes(png(k))
    folder = load_dataset(f"folder({str(tmp_path / 'files')!r})")
    items = load(str(tmp_path / "train-*.tar"))
    assert items.ids == folder.ids
    assert items.view_fingerprint("image") == folder.view_fingerprint("image")


@pytest.mark.parametrize(
    "pattern",
    ["{000..012}.tar", "{8..11}.tar", "{3..1}-x", "a{b,c,dd}e{0..1}", "plain.tar", "{007..013}/{00..01}"],
)
def test_patterns_stand_for_what_the_library_takes_them_for(pattern: str) -> None:
    import braceexpand

    assert expanded(pattern) == list(braceexpand.braceexpand(pattern))


def test_a_pattern_without_end_is_refused_at_once() -> None:
    for pattern in ("{0..999999999}.tar", "{0..999}{0..999}.tar"):
        with pytest.raises(InputError, match=r"stands for more than 10,000 shards"):
            load(pattern)


def test_several_captions_in_json_are_items_of_one_group(tmp_path: Path) -> None:
    files = {
        "1.png": png(1),
        "1.json": b'{"caption": ["a cat", "a pet"]}',
        "2.png": png(2),
        "2.json": b'{"caption": "x"}',
    }
    items = load(shard(tmp_path / "a.tar", files))
    assert items.ids == ("1#0", "1#1", "2#0")
    assert items.groups == ("1", "1", "2")
    assert list(items.view("caption")) == ["a cat", "a pet", "x"]
    assert load(tmp_path / "a.tar", captions_each=1).ids == ("1", "2")


def test_parts_before_the_ending_name_views_and_folders_belong_to_the_key(tmp_path: Path) -> None:
    files = {"d/1.left.png": png(1), "d/1.right.png": png(2), "d/1.txt": b"one", "d/README": b"no sample"}
    items = load(shard(tmp_path / "a.tar", files))
    assert items.ids == ("d/1",)
    assert set(items.views) == {"left", "right", "text"}
    assert np.array_equal(items.view("right")[0], picture(2))


def test_pictures_of_several_formats_are_one_view(tmp_path: Path) -> None:
    items = load(shard(tmp_path / "a.tar", {"1.PNG": png(1), "2.ppm": b"P6 1 1 255 abc"}))
    assert [items.view("image")[i].shape for i in range(2)] == [(5, 6, 3), (1, 1, 3)]
    with pytest.raises(InputError, match=r"sample '1' has two files that are its image: '1\.png' and '1\.ppm'"):
        load(shard(tmp_path / "b.tar", {"1.png": png(1), "1.ppm": b"P6 1 1 255 abc"}))


# ---- faults ---------------------------------------------------------------------------------------------------------


def test_a_sample_without_a_file_that_others_have_is_named_or_left_out(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {"1.png": png(1), "1.txt": b"one", "2.txt": b"two", "3.png": png(3)})
    with pytest.raises(InputError, match=r"item '2', column 'image': there is no image\. 1 more items have such"):
        load(path)
    items = load(path, skip_bad=True)
    assert items.ids == ("1",)
    assert set(items.skipped) == {"2", "3"}


@pytest.mark.parametrize("cut", [1, 700, 1100, 1500])
def test_a_truncated_shard_is_named(cut: int, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {"1.ppm": b"P6 1 1 255 abc", "2.txt": b"x" * 600})
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    with pytest.raises(InputError, match=r"shard .*a\.tar is (truncated|no tar archive)"):
        load(path)


@pytest.mark.parametrize("cut", [1024, 2560])
def test_a_shard_that_was_cut_between_two_files_is_noticed(cut: int, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {"1.txt": b"one", "2.txt": b"x" * 600})  # 1,024 and 1,536 bytes
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="truncated: the mark at its end is missing"):
        load(path)


def test_shards_put_together_by_cat_are_not_read_half(tmp_path: Path) -> None:
    one, two = (shard(tmp_path / f"{k}.tar", {f"{k}.txt": b"x"}).read_bytes() for k in "ab")
    (tmp_path / "c.tar").write_bytes(one + two)
    with pytest.raises(InputError, match="several were put together by cat"):
        load(tmp_path / "c.tar")


def test_keys_that_shards_share_are_named_and_can_be_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shard(tmp_path / f"{name}.tar", {"1.txt": name.encode()})
    with pytest.raises(InputError, match=r"sample '1' is in .*a\.tar and in .*b\.tar.* shard_ids=True"):
        load(str(tmp_path / "{a,b}.tar"))
    assert load(str(tmp_path / "{a,b}.tar"), shard_ids=True).ids == ("a/1", "b/1")
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("1.txt"))
    with pytest.raises(InputError, match=r"c\.tar: the file '1\.txt' is there twice"):
        load(tmp_path / "c.tar")


def test_a_shard_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, n=2)
    with pytest.raises(InputError, match=r"Cannot read the shard .*train-001\.tar: No such file.* 'train-000\.tar'"):
        load(str(tmp_path / "train-{000..001}.tar"))
    with pytest.raises(InputError, match=r"no file is called as .*val"):
        load(str(tmp_path / "val-*.tar"))
    with pytest.raises(InputError, match=r"train-000\.tar is named twice"):
        load([str(tmp_path / "train-000.tar")] * 2)


def test_pickles_are_not_opened(tmp_path: Path, logged: list[str]) -> None:
    trap = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    with pytest.raises(InputError, match=r"files ending in pyd are not read\. Pickles are never opened"):
        load(shard(tmp_path / "a.tar", {"1.pyd": trap}))
    items = load(shard(tmp_path / "b.tar", {"1.pkl": trap, "1.txt": b"one"}))
    assert list(items.views) == ["text"]
    assert "Pickles are never opened" in " ".join(logged)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("pipe:touch ran", "programs are never started"),
        ("https://example.org/{000..001}.tar", "is an address.*curl -O https://example.org"),
        ("train-000.tar.gz", "is compressed.*gunzip"),
        ("train.zip", "is compressed"),
    ],
)
def test_what_is_no_shard_on_this_disk_is_refused(url: str, said: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        load_dataset(f"webdataset({url!r})")
    assert not (tmp_path / "ran").exists()


def test_links_in_a_shard_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        about = tarfile.TarInfo("1.txt")
        about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(about)
    with pytest.raises(InputError, match=r"'1\.txt' is a link or device"):
        load(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("1.txt", b"\xff\xfe\xfa", "no text in UTF-8"),
        ("1.json", b"{", "no JSON text that can be read"),
        ("1.npy", b"", "files ending in npy are not read"),
        ("1", b"", "holds no files such as 7.jpg and 7.txt"),
    ],
)
def test_files_that_cannot_be_read_are_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        load(shard(tmp_path / "a.tar", {name: content}))


def test_a_column_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"first sample, 's0' 'images'. Did you mean 'image'\? Its columns are"):
        load(write(tmp_path), image="images")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'image'\? Its columns are"):
        load(write(tmp_path), image="images", skip_bad=True)


def test_a_wrong_column_is_answered_before_all_shards_are_looked_through(tmp_path: Path) -> None:
    pattern = write(tmp_path)
    (tmp_path / "train-002.tar").write_bytes(b"no archive")
    with pytest.raises(UnknownNameError, match="Did you mean 'text'"):
        load(pattern, text="txt")


def test_a_shard_that_shrank_since_it_was_looked_through_is_noticed(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {"1.png": png(1), "2.png": png(2)})
    items = load(path)
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(InputError, match=r"Item '2': The shard .* is shorter than it was"):
        items.view("image")[1]
