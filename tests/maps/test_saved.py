"""Saved maps: what is no such file is refused in words; that a map comes back whole is a law of every map."""

from __future__ import annotations

import json

import numpy as np
import pytest

from isomorph.errors import InputError, UnknownNameError
from isomorph.maps import load_map, make_map


def write(path, header, **arrays):
    if header is not None:
        arrays["isomorph"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "is no map"),
        ([1], "no map of this version"),
        ({"format": 2, "map": "mean()", "learned": {}}, "no map of this version"),
        ({"format": 1, "map": "mean()", "learned": 3}, "no map of this version"),
        ({"format": 1, "map": "ridge(", "learned": {}}, "Cannot read the map"),
        ({"format": 1, "map": "ridge", "learned": {}}, "not what it learned"),
    ],
)
def test_another_archive_is_refused(tmp_path, header, message):
    with pytest.raises(InputError, match=message):
        load_map(write(tmp_path / "a.npz", header))


def test_a_map_of_a_plugin_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="rigde"):
        load_map(write(tmp_path / "a.npz", {"format": 1, "map": "rigde", "learned": {}}))


def test_missing_damaged_and_pickled_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_map(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="is no map"):
        load_map(tmp_path / "text.npz")
    whole = make_map("mean").fit(np.eye(4), np.eye(4)).save(tmp_path / "m.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is no map"):
        load_map(tmp_path / "half.npz")
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="is no map"):
        load_map(tmp_path / "p.npy")
