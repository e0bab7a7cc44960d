"""Files of arrays: nothing that a file states is believed before it is held against the file."""

import io
import json
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from isomorph._core.arrayfiles import in_order, read_arrays
from isomorph.errors import InputError

X = np.arange(12.0).reshape(6, 2)


def safetensors(path, head, data=b"\0" * 48):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(start=0, stop=48, shape=(6, 2), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


def test_names_are_ordered_as_people_count():
    names = ["layer_10", "layer_2", "a", "layer_2.attn", "²", "layer_" + "9" * 5000, "10", "9"]
    assert in_order(names) == ["9", "10", "a", "layer_2", "layer_2.attn", "layer_10", "layer_" + "9" * 5000, "²"]


def test_safetensors_keep_no_order_so_it_is_the_natural_one(tmp_path):
    save_file({f"l{i}": X.astype("f4") * i for i in range(12)}, tmp_path / "a.safetensors")
    found, _ = read_arrays(tmp_path / "a.safetensors")
    assert list(found) == [f"l{i}" for i in range(12)]
    np.testing.assert_array_equal(found["l11"], X * 11)


def test_an_archive_keeps_its_order_and_names_that_differ_by_their_ending(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for name, array in (("z.npy", X), ("x.npy.npy", -X), ("x.npy", X)):
            buffer = io.BytesIO()
            np.save(buffer, array)
            file.writestr(name, buffer.getvalue())
    found, _ = read_arrays(tmp_path / "a.npz")
    assert list(found) == ["z", "x.npy", "x"]
    np.testing.assert_array_equal(found["x.npy"], -X)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"a": entry(), "b": entry()}, "overlaps"),
        ({"a": entry(0, 24, (3, 2)), "b": entry(16, 48, (4, 2))}, "overlaps"),
        ({"a": entry(0, 16, (2, 2)), "b": entry(24, 48, (3, 2))}, "leaves a gap"),
        ({"a": entry(0, 24, (3, 2))}, "do not fit into the file"),
        ({"a": entry(0, 96, (6, 4))}, "do not fit into the file"),
        ({"a": entry(shape=(7, 2))}, "does not fit into the file"),
        ({"a": entry(shape=(2**62, 2**62, 0))}, "does not fit"),
        ({"a": entry(shape=(2**40, 2**40))}, "does not fit"),
        ({"a": entry(shape=(6.0, 2))}, "cannot be understood"),
        ({"a": entry(shape=(-6, -2))}, "cannot be understood"),
        ({"a": entry(True, 48)}, "cannot be understood"),
        ({"a": entry(dtype="F4")}, "has type 'F4'"),
        ({"a": entry(dtype=["F32"])}, "cannot be understood"),
        ({"a": 5}, "cannot be understood"),
        ([1], "not a table of arrays"),
        ({"__metadata__": 5}, "must be a table of texts"),
        ({"__metadata__": {"ids": [1]}}, "must be a table of texts"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": {}, "a": {}}', "is there twice"),
        (b"\xff\xfe{}", "utf-8"),
    ],
)
def test_a_safetensors_head_that_lies_is_refused(tmp_path, head, words):
    with pytest.raises(InputError, match=words):
        read_arrays(safetensors(tmp_path / "a.safetensors", head))


def test_a_whole_safetensors_file_passes_the_same_checks(tmp_path):
    head = {"b": entry(24, 48, (3, 2)), "a": entry(0, 24, (3, 2)), "none": entry(48, 48, (0, 2))}
    found, texts = read_arrays(safetensors(tmp_path / "a.safetensors", head | {"__metadata__": {"made": "here"}}))
    assert {k: a.shape for k, a in found.items()} == {"a": (3, 2), "b": (3, 2), "none": (0, 2)}
    assert texts == {"made": "here"}


@pytest.mark.parametrize("header", [b"(((((", b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", b"{}", b""])
def test_a_npy_header_that_is_none_is_refused(tmp_path, header):
    head = header.ljust(118) + b"\n"
    (tmp_path / "h.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    with pytest.raises(InputError, match=r"Cannot read .*h\.npy as \.npy"):
        read_arrays(tmp_path / "h.npy")


def test_an_archive_that_unfolds_without_end_is_refused_before_it_does(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(1 << 26, dtype="f8"))
    assert (tmp_path / "bomb.npz").stat().st_size < 10**6
    with pytest.raises(InputError, match="would unfold to 537 MB"):
        read_arrays(tmp_path / "bomb.npz")


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_every_truncation_and_many_flipped_bits_are_answered_in_words(tmp_path, kind):
    if kind == "safetensors":
        save_file({"a": X, "b": X[:3]}, tmp_path / f"a.{kind}")
    else:
        (np.save if kind == "npy" else np.savez)(tmp_path / f"a.{kind}", X)
    whole = (tmp_path / f"a.{kind}").read_bytes()
    bad = tmp_path / f"bad.{kind}"
    rng = np.random.default_rng(0)
    damaged = [whole[:k] for k in range(0, len(whole), 7)]
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        bad.write_bytes(content)
        try:
            found, _ = read_arrays(bad)
        except InputError as error:
            refused += len(str(error)) < 1000
        else:
            assert all(isinstance(a, np.ndarray) for a in found.values())
    assert refused > len(whole) // 7
