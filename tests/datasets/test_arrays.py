from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from isomorph.datasets import load_dataset
from isomorph.datasets.arrays import Arrays
from isomorph.errors import InputError

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
Y = np.arange(12.0).reshape(6, 2)


def test_a_npy_file_is_one_memory_mapped_view_under_its_own_name(tmp_path: Path) -> None:
    np.save(tmp_path / "vision.npy", X)
    items = load_dataset(f"arrays({str(tmp_path / 'vision.npy')!r})")
    assert items.ids == tuple("012345")
    assert items.view("vision").modality == "features"
    assert isinstance(items.view("vision").items, np.memmap)  # type: ignore[attr-defined]  # a MemoryView
    np.testing.assert_array_equal(items.view("vision")[:], X)


def test_several_files_are_joined_row_by_row_with_the_ids_given(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    save_file({"layer.0": X, "layer.1": Y}, tmp_path / "y.safetensors", metadata={"made": "by a test"})
    (tmp_path / "ids.txt").write_text("".join(f"ä{k}\n" for k in range(6)), encoding="utf-8")
    items = Arrays([str(tmp_path / "x.npy"), str(tmp_path / "y.safetensors")], ids=str(tmp_path / "ids.txt")).load()
    assert items.ids == ("ä0", "ä1", "ä2", "ä3", "ä4", "ä5")
    assert set(items.views) == {"x", "layer.0", "layer.1"}
    np.testing.assert_array_equal(items.view("layer.1")[:], Y)
    assert load_dataset(items.source).fingerprint == items.fingerprint


@pytest.mark.parametrize("ids", [["a", "b", "c", "d", "e", "f"], [10, 11, 12, 13, 14, 15]])
def test_an_npz_file_can_carry_its_own_ids(tmp_path: Path, ids: list[Any]) -> None:
    np.savez(tmp_path / "f.npz", x=X, y=Y, ids=np.array(ids))
    items = Arrays(str(tmp_path / "f.npz")).load()
    assert items.ids == tuple(map(str, ids))
    assert set(items.views) == {"x", "y"}


def test_ids_are_read_from_json_and_npy_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "ids.json").write_text(json.dumps(list("uvwxyz")))
    np.save(tmp_path / "ids.npy", np.array(list("uvwxyz")))
    for name in ("ids.json", "ids.npy"):
        assert Arrays(str(tmp_path / "x.npy"), ids=str(tmp_path / name)).load().ids == tuple("uvwxyz")


def test_npy_files_can_be_given_names(tmp_path: Path) -> None:
    for folder, array in (("a", X), ("b", Y)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "f.npy", array)
    paths = {k: str(tmp_path / k / "f.npy") for k in "ab"}
    assert set(Arrays(paths).load().views) == {"a", "b"}
    with pytest.raises(InputError, match="two arrays would be the view 'f'"):
        Arrays(list(paths.values())).load()


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "u4", "u8"])
def test_every_number_type_of_safetensors_comes_back_exactly(tmp_path: Path, dtype: str) -> None:
    array = (Y * 3).astype(dtype)
    save_file({"a": array}, tmp_path / "t.safetensors")
    found = Arrays(str(tmp_path / "t.safetensors")).load().view("a")[:]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_bfloat16_comes_back_as_exact_float32(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    tensor = torch.tensor(X).to(torch.bfloat16)
    save_torch({"a": tensor}, tmp_path / "t.safetensors")
    found = Arrays(str(tmp_path / "t.safetensors")).load().view("a")[:]
    np.testing.assert_array_equal(found, tensor.float().numpy())


def test_the_fingerprint_does_not_depend_on_the_file_format(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", x=X)
    save_file({"x": X}, tmp_path / "x.safetensors")
    assert len({Arrays(str(tmp_path / f"x.{e}")).load().fingerprint for e in ("npy", "npz", "safetensors")}) == 1


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", a=np.array([{"a": 1}, None], dtype=object))
    for name in ("o.npy", "o.npz"):
        with pytest.raises(InputError, match=rf"Cannot read .*{name}"):
            Arrays(str(tmp_path / name)).load()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"has shape \(5,\)"),
        (np.zeros((2, 3, 4)), r"has shape \(2, 3, 4\)"),
        (np.zeros((0, 3)), r"has shape \(0, 3\)"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.array([["a"]]), "values of type <U1"),
    ],
)
def test_an_array_that_is_no_features_is_named(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=r"a\.npy: 'a' (has shape|holds).*needed") as caught:
        Arrays(str(tmp_path / "a.npy")).load()
    assert caught.match(message)


def test_arrays_or_ids_of_unequal_length_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y[:4])
    with pytest.raises(InputError, match="view 'y' has 4 entries but there are 6 ids"):
        Arrays([str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]).load()
    (tmp_path / "ids.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="view 'x' has 6 entries but there are 2 ids"):
        Arrays(str(tmp_path / "x.npy"), ids=str(tmp_path / "ids.txt")).load()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.txt", "a\n\nb\n"),
        ("ids.json", '{"a": 1}'),
        ("ids.json", '["a", 1.5]'),
        ("ids.json", "[true]"),
        ("ids.json", "["),
        ("ids.csv", "a"),
        ("gone", None),
    ],
)
def test_a_file_of_ids_that_is_none_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    np.save(tmp_path / "x.npy", X)
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        Arrays(str(tmp_path / "x.npy"), ids=str(tmp_path / name)).load()


def test_npz_files_that_disagree_about_ids_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, ids=np.array(list("abcdef")))
    np.savez(tmp_path / "b.npz", y=Y, ids=np.array(list("bacdef")))
    with pytest.raises(InputError, match=r"the ids in .*b\.npz differ"):
        Arrays([str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]).load()


@pytest.mark.parametrize("name", ["t.npy", "t.npz", "t.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.97])
def test_a_truncated_file_is_named(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    if name == "t.npy":
        np.save(path, Y)
    elif name == "t.npz":
        np.savez(path, a=Y)
    else:
        save_file({"a": Y}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=rf"Cannot read .*{name}"):
        Arrays(str(path)).load()


def test_an_unknown_ending_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected \.npy, \.npz or \.safetensors"):
        Arrays(str(tmp_path / "x.pkl")).load()
    for kind in ("npy", "npz", "safetensors"):
        with pytest.raises(InputError, match="No such file"):
            Arrays(str(tmp_path / f"gone.{kind}")).load()
