from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import isomorph as iso
from isomorph.datasets import load_dataset
from isomorph.datasets.features import Features
from isomorph.errors import InputError

X = np.random.default_rng(0).standard_normal((4, 3))


def keyed(path: Path, ids: str) -> str:
    rows = {i: X["abcd".index(i)].tolist() for i in ids}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return str(path)


def test_files_are_joined_by_id_and_what_not_all_have_is_left_out_and_named(tmp_path: Path) -> None:
    paths = [keyed(tmp_path / "old.json", "abcd"), keyed(tmp_path / "new.json", "dba")]
    items = Features(paths).load()
    assert items.ids == ("a", "b", "d")
    assert items.skipped == {"c": "not every file has it"}
    assert list(items.views) == ["old", "new"]
    for view in items.views:
        assert np.array_equal(items.view(view)[:], X[[0, 1, 3]])
    assert load_dataset(items.source).fingerprint == items.fingerprint


def test_layers_of_a_file_are_views_and_several_files_name_them(tmp_path: Path) -> None:
    deep = np.stack([X, 2 * X], axis=1)
    np.save(tmp_path / "dino.npy", deep)
    np.save(tmp_path / "clip.npy", -X)
    (tmp_path / "ids.txt").write_text("a\nb\nc\nd\n")
    ids = str(tmp_path / "ids.txt")
    assert list(Features(str(tmp_path / "dino.npy"), ids=ids).load().views) == ["layer.0", "layer.1"]
    both = Features((str(tmp_path / "dino.npy"), str(tmp_path / "clip.npy")), ids=ids).load()
    assert list(both.views) == ["dino/layer.0", "dino/layer.1", "clip"]
    assert np.array_equal(both.view("dino/layer.1")[:], 2 * X)


def test_the_same_file_is_the_side_of_a_scan(tmp_path: Path) -> None:
    path = keyed(tmp_path / "old.json", "abcd")
    view = Features(path).load().view("old")
    assert np.array_equal(view[:], iso.Layers.load(path)["old"])


def test_wrong_calls_are_said_in_words(tmp_path: Path) -> None:
    one, other = keyed(tmp_path / "a" / "x.json", "ab"), keyed(tmp_path / "b" / "x.json", "cd")
    with pytest.raises(InputError, match="two files have the same name"):
        Features((one, other))._named()
    with pytest.raises(InputError, match=r"(?i)no item"):
        Features({"p": one, "q": other}).load()
    with pytest.raises(InputError, match="names no file"):
        Features([])
    with pytest.raises(InputError, match="paths must be a path"):
        Features(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="No such file"):
        Features(str(tmp_path / "none.json")).load()
