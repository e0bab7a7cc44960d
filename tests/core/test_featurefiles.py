"""Features that other tools wrote, laid out as they write them; all go through `Layers.load`."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import sparse
from scipy.io import savemat

import isomorph as iso
from isomorph.errors import InputError

h5py = pytest.importorskip("h5py")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

N, D = 6, 4
X = np.random.default_rng(0).standard_normal((N, D))
DEEP = np.random.default_rng(1).standard_normal((N, 3, D))
IDS = [f"images/{c}.jpg" for c in "fbdace"]


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def npy(path: Path, array: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def hdf5(path: Path, **arrays: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def lines(rows: list[Any]) -> str:
    return "\n".join(json.dumps(row) for row in rows) + "\n"


# ---- one function a tool: it writes X and IDS as the tool does, and returns what is loaded --------------------------


def thingsvision_hdf5(root: Path) -> Path:
    text(root / "out" / "file_names.txt", "\n".join(IDS) + "\n")
    return hdf5(root / "out" / "features.hdf5", features=X)


def thingsvision_hdf5_in_parts(root: Path) -> Path:
    text(root / "out" / "file_names.txt", "\n".join(IDS) + "\n")
    return hdf5(root / "out" / "features.hdf5", features_01=X[:2], features_02=X[2:4], features_03=X[4:])


def thingsvision_folder(root: Path) -> Path:
    text(root / "out" / "file_names.txt", "\n".join(IDS) + "\n")
    return npy(root / "out" / "features.npy", X).parent


def thingsvision_parts(root: Path) -> Path:
    text(root / "file_names.txt", "\n".join(IDS) + "\n")
    for k, (start, stop) in enumerate([(0, 2), (2, 4), (4, 6)]):
        npy(root / f"features_{k + 9}.npy", X[start:stop])  # 9, 10, 11: in the order of numbers
    return root


def thingsvision_tensor(root: Path) -> Path:
    text(root / "file_names.txt", "\n".join(IDS) + "\n")
    torch.save(torch.tensor(X), root / "features.pt")
    return root / "features.pt"


def tensors_by_name(root: Path) -> Path:
    torch.save({"embeddings": torch.tensor(X), "ids": IDS}, root / "f.pt")
    return root / "f.pt"


def json_by_id(root: Path) -> Path:
    return text(root / "e.json", json.dumps({i: x.tolist() for i, x in zip(IDS, X, strict=True)}))


def json_by_id_and_layer(root: Path) -> Path:
    return text(root / "e.json", json.dumps({i: {"last": x.tolist()} for i, x in zip(IDS, X, strict=True)}))


def json_columns(root: Path) -> Path:  # as Chroma's `get` gives
    return text(root / "e.json", json.dumps({"ids": IDS, "embeddings": X.tolist(), "documents": None}))


def json_rows(root: Path) -> Path:
    rows = [{"id": i, "text": "a cat", "tokens": [1, 2], "embedding": x.tolist()} for i, x in zip(IDS, X, strict=True)]
    return text(root / "e.jsonl", lines(rows))


def json_line_by_id(root: Path) -> Path:
    return text(root / "e.jsonl", lines([{i: x.tolist()} for i, x in zip(IDS, X, strict=True)]))


def openai_batch(root: Path) -> Path:
    def row(id_: str, vector: Any) -> dict[str, Any]:
        data = [{"object": "embedding", "index": 0, "embedding": vector.tolist()}]
        return {
            "id": "batch_1",
            "custom_id": id_,
            "response": {"status_code": 200, "body": {"object": "list", "data": data}},
        }

    return text(root / "out.jsonl", lines([row(i, x) for i, x in zip(IDS, X, strict=True)]))


def anndata(root: Path) -> Path:
    with h5py.File(root / "a.h5ad", "w") as file:
        file["X"] = X
        file["obs/_index"] = IDS
        file["obs"].attrs.update({"_index": "_index", "encoding-type": "dataframe"})
        file["var/_index"] = list("wxyz")
    return root / "a.h5ad"


def anndata_sparse(root: Path) -> Path:
    csc = sparse.csc_matrix(X)
    with h5py.File(root / "a.h5ad", "w") as file:
        for name in ("data", "indices", "indptr"):
            file[f"X/{name}"] = getattr(csc, name)
        file["X"].attrs.update({"encoding-type": "csc_matrix", "shape": X.shape})
        file["obs/cell/values"] = IDS  # a nullable array of texts, as anndata 0.11 and later write
        file["obs/cell/mask"] = np.zeros(N, dtype=bool)
        file["obs"].attrs["_index"] = "cell"
    return root / "a.h5ad"


def netcdf3(root: Path) -> Path:
    data = xr.DataArray(X, dims=("item", "unit"), coords={"item": IDS}, name="V4")
    data.to_netcdf(root / "x.nc", engine="scipy")
    return root / "x.nc"


def netcdf3_of_brain_score(root: Path) -> Path:  # ids along the dimension, without an index of its own
    coordinates = {"stimulus_id": ("presentation", IDS), "region": ("neuroid", list("abcd"))}
    data = xr.DataArray(X, dims=("presentation", "neuroid"), coords=coordinates, name="IT")
    data.to_netcdf(root / "x.nc", engine="scipy")
    return root / "x.nc"


def netcdf4(root: Path) -> Path:
    with h5py.File(root / "x.nc", "w") as file:
        file["item"], file["V4"] = IDS, X
        file["item"].make_scale("item")
        file["V4"].dims[0].attach_scale(file["item"])
    return root / "x.nc"


def netcdf4_of_brain_score(root: Path) -> Path:
    with h5py.File(root / "x.nc", "w") as file:
        file["presentation"], file["stimulus_id"], file["IT"] = np.zeros(N), IDS, X
        file["presentation"].make_scale("presentation")
        for name in ("stimulus_id", "IT"):
            file[name].dims[0].attach_scale(file["presentation"])
    return root / "x.nc"


def matlab(root: Path) -> Path:
    savemat(root / "m.mat", {"features": X, "names": np.array(IDS, dtype=object)})
    return root / "m.mat"


def matlab_of_thingsvision(root: Path) -> Path:
    savemat(root / "features.mat", dict(zip(IDS, X, strict=True)))
    return root / "features.mat"


def hdf5_by_id(root: Path) -> Path:
    return hdf5(root / "h.h5", **{Path(i).name: x for i, x in zip(IDS, X, strict=True)})


def parquet_of_vectors(root: Path) -> Path:
    parquet.write_table(
        pa.table({"id": IDS, "n": list(range(N)), "vector": list(X)}), root / "v.parquet", row_group_size=4
    )
    return root / "v.parquet"


def parquet_of_columns(root: Path) -> Path:
    parquet.write_table(pa.table({"key": IDS} | {f"d{k}": X[:, k] for k in range(D)}), root / "v.parquet")
    return root / "v.parquet"


def csv_of_columns(root: Path) -> Path:
    rows = [",".join([i, *map(repr, x.tolist())]) for i, x in zip(IDS, X, strict=True)]
    return text(root / "v.csv", ",".join(["id", *map(str, range(D))]) + "\n" + "\n".join(rows) + "\n")


def word_vectors(root: Path) -> Path:
    rows = [" ".join([i, *map(repr, x.tolist())]) for i, x in zip(IDS, X, strict=True)]
    return text(root / "wiki.en.vec", f"{N} {D}\n" + "\n".join(rows) + "\n")


def a_file_a_layer(root: Path) -> Path:
    text(root / "m" / "ids.json", json.dumps(IDS))
    return npy(root / "m" / "last.npy", X).parent


TOOLS: list[Callable[[Path], Path]] = [
    thingsvision_hdf5, thingsvision_hdf5_in_parts, thingsvision_folder, thingsvision_parts, thingsvision_tensor,
    tensors_by_name, json_by_id, json_by_id_and_layer, json_columns, json_rows, json_line_by_id, openai_batch, anndata,
    anndata_sparse, netcdf3, netcdf3_of_brain_score, netcdf4, netcdf4_of_brain_score, matlab, matlab_of_thingsvision,
    hdf5_by_id, parquet_of_vectors, parquet_of_columns, csv_of_columns, word_vectors, a_file_a_layer,
]  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS)
def test_what_a_tool_wrote_is_read_with_its_ids(tool: Callable[[Path], Path], tmp_path: Path) -> None:
    x = iso.Layers.load(tool(tmp_path))
    assert x.ids_given
    assert len(x) == 1
    rows = {Path(i).name: row for i, row in zip(x.ids, np.asarray(x[next(iter(x))]), strict=True)}
    assert rows.keys() == {Path(i).name for i in IDS}
    for id_, row in zip(IDS, X, strict=True):
        assert np.array_equal(rows[Path(id_).name], row)


def test_a_scan_takes_the_path_and_joins_by_id(tmp_path: Path) -> None:
    other = iso.Layers.from_arrays({"last": X[::-1].copy()}, ids=IDS[::-1])
    scan = iso.scan(str(json_by_id(tmp_path)), other, ["cka"], permutations=20)
    assert scan["cka"].best().value == pytest.approx(1)  # the same features of the same items


# ---- layers ---------------------------------------------------------------------------------------------------------


def test_three_axes_are_items_layers_features_where_ids_say_so(tmp_path: Path) -> None:
    for name, array in (("a", DEEP), ("b", DEEP.transpose(1, 0, 2))):
        path = npy(tmp_path / f"{name}.npy", array)
        x = iso.Layers.load(path, ids=IDS)
        assert list(x) == ["layer.0", "layer.1", "layer.2"]
        assert np.array_equal(x["layer.1"], DEEP[:, 1])
        with pytest.raises(
            InputError, match=r"shape .* which axis is that of items is not known without ids\. .*ids=\["
        ):
            iso.Layers.load(path)
    with pytest.raises(InputError, match=r"shape \(6, 3, 4\) and there are 5 ids"):
        iso.Layers.load(tmp_path / "a.npy", ids=IDS[:5])
    assert list(iso.Layers.load(hdf5(tmp_path / "h.h5", deep=DEEP, names=IDS))) == ["layer.0", "layer.1", "layer.2"]
    nested = text(tmp_path / "n.json", json.dumps({i: x.tolist() for i, x in zip(IDS, DEEP, strict=True)}))
    assert np.array_equal(iso.Layers.load(nested)["layer.2"], DEEP[:, 2])


def test_modules_in_folders_are_layers_in_natural_order(tmp_path: Path) -> None:
    for k in (2, 10, 1):
        npy(tmp_path / f"layer{k}" / "features.npy", k * X)
        text(tmp_path / f"layer{k}" / "file_names.txt", "\n".join(IDS))
    x = iso.Layers.load(tmp_path)
    assert list(x) == ["layer1", "layer2", "layer10"]
    assert x.ids == tuple(IDS)
    assert np.array_equal(x["layer10"], 10 * X)
    text(tmp_path / "layer2" / "file_names.txt", "\n".join(IDS[::-1]))
    with pytest.raises(InputError, match="names other items than the file before"):
        iso.Layers.load(tmp_path)


def test_layers_of_anndata_and_obsm_stand_beside_x(tmp_path: Path) -> None:
    path = anndata(tmp_path)
    with h5py.File(path, "a") as file:
        file["layers/counts"], file["obsm/X_pca"] = X + 1, X[:, :2]
    x = iso.Layers.load(path)
    assert {k: x[k].shape for k in x} == {"X": (N, D), "counts": (N, D), "X_pca": (N, 2)}


def test_the_cache_of_mteb_is_read_by_the_hashes_that_it_keeps(tmp_path: Path) -> None:
    room = np.zeros((10, D), dtype=np.float32)  # it has room for more
    room[:N] = X
    room.tofile(tmp_path / "vectors.npy")
    text(tmp_path / "index.json", json.dumps({f"hash{k}": k for k in (3, 1, 0, 2, 5, 4)}, indent=2))
    text(tmp_path / "dimension", str(D))
    x = iso.Layers.load(tmp_path)
    assert x.ids == tuple(f"hash{k}" for k in range(N))
    assert np.array_equal(x[tmp_path.name], X.astype(np.float32))
    text(tmp_path / "index.json", json.dumps({"hash": 10}))
    with pytest.raises(InputError, match=r"names rows that vectors\.npy has not"):
        iso.Layers.load(tmp_path)


def test_matlab_7_3_turns_the_axes(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "m.mat", features=X.T)
    assert np.array_equal(iso.Layers.load(path, ids=IDS)["features"], X)


# ---- ids always, or a question --------------------------------------------------------------------------------------


def bare_json(root: Path) -> Path:
    return text(root / "e.json", json.dumps(X.tolist()))


def service_answer(root: Path) -> Path:
    data = [{"object": "embedding", "index": k, "embedding": x.tolist()} for k, x in enumerate(X)]
    return text(root / "e.json", json.dumps({"object": "list", "data": data}))


def bare_hdf5(root: Path) -> Path:
    return hdf5(root / "h.h5", features=X)


def bare_folder(root: Path) -> Path:
    return npy(root / "m" / "last.npy", X).parent


def bare_matlab(root: Path) -> Path:
    savemat(root / "m.mat", {"features": X})
    return root / "m.mat"


def bare_parquet(root: Path) -> Path:
    parquet.write_table(pa.table({"vector": list(X)}), root / "v.parquet")
    return root / "v.parquet"


@pytest.mark.parametrize("bare", [bare_json, service_answer, bare_hdf5, bare_folder, bare_matlab, bare_parquet])
def test_without_ids_there_is_a_question_that_is_answered_by_ids_or_a_file(bare: Any, tmp_path: Path) -> None:
    path = bare(tmp_path)
    with pytest.raises(
        InputError, match=r"features of 6 items and does not say which.*ids=\[.*ids='ids\.txt'.*range\(6\)"
    ):
        iso.Layers.load(path)
    names = text(tmp_path / "elsewhere" / "names-of-mine.txt", "\n".join(IDS))
    for ids in (IDS, names, str(names)):
        x = iso.Layers.load(path, ids=ids)
        assert x.ids == tuple(IDS)
        assert np.array_equal(x[next(iter(x))], X)


# ---- what cannot be read --------------------------------------------------------------------------------------------


def pickled(root: Path) -> Path:
    with (root / "e.pkl").open("wb") as file:
        pickle.dump({"sentences": IDS, "embeddings": X}, file)
    return root / "e.pkl"


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (pickled, r"e\.pkl is a pickle, .* np\.savez"),
        (lambda r: text(r / "x.zip", ""), "is an archive; unpack it first"),
        (lambda r: text(r / "x.docx", ""), r"the suffix must be one of .*\.h5ad.*or it must be a folder"),
        (
            lambda r: text(r / "x.json", '{"a": [1, 2], "b": [1]}'),
            r"item 'b' has shape \(1,\) and the first has \(2,\)",
        ),
        (lambda r: text(r / "x.json", '{"a": [1, 2], "b": "c"}'), "item 'b' has no vector of numbers"),
        (lambda r: text(r / "x.json", '{"a": ['), "is no JSON text"),
        (lambda r: text(r / "x.jsonl", '{"id": "a", "v": [1]}\n{"id": "b"}\n'), r"row 1 has the fields \['id'\]"),
        (lambda r: text(r / "x.jsonl", '{"id": "a", "t": "x"}\n'), r"none of the fields \['id', 't'\] holds vectors"),
        (lambda r: text(r / "x.csv", "id,name\n1,a\n"), r"no columns of numbers; its columns are \['id', 'name'\]"),
        (lambda r: text(r / "x.csv", "id,d\na,1\nb,x\n"), "row 3: not a number in every column"),
        (lambda r: text(r / "x.vec", "a 1 2\nb 1\n"), "a word and as many numbers a line"),
        (lambda r: text(r / "x.h5", "no such file"), "Cannot read .* as HDF5"),
        (lambda r: text(r / "x.nc", "no such file"), "Cannot read .* as HDF5"),
        (lambda r: text(r / "x.mat", "no such file"), "cannot be read as a MATLAB file"),
        (lambda r: text(r / "x.parquet", "no such file"), "Cannot read .* as Parquet"),
        (lambda r: hdf5(r / "x.h5", labels=np.arange(3)), r"holds no features \(n, d\): it holds \['labels'\]"),
        (lambda r: hdf5(r / "x.h5", dissimilarities=X), r"holds RDMs, .* iso\.RDMs\.load"),
        (lambda r: text(r / "d" / "notes.md", "").parent, r"d holds no features .* it holds \['notes\.md'\]"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(write: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        iso.Layers.load(write(tmp_path))


def test_a_heap_of_texts_that_never_ends_is_refused_whatever_reads_it(tmp_path: Path) -> None:
    whole = hdf5(tmp_path / "x.h5", features=X, names=IDS).read_bytes()
    heap = whole.index(b"GCOL")
    for size in (0, 2**64 - 16):  # free space, and a text, after which the library stands where it stood
        number = 0 if size == 0 else 1
        end = number.to_bytes(8, "little") + size.to_bytes(8, "little")
        damaged = whole[: heap + 16] + end + whole[heap + 32 :]
        for name, read in (("y.h5", iso.Layers.load), ("y.mat", iso.Layers.load), ("y.hdf5", iso.RDMs.load)):
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises(InputError, match=rf"heap of texts at byte {heap:,} is damaged\."):
                read(tmp_path / name)


def test_damaged_matlab_files_are_read_or_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "m.mat"
    savemat(path, {"features": X, "names": np.array(IDS, dtype=object), "sparse": sparse.csc_matrix(X)})
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for trial in range(200):
        damaged = bytearray(whole[: rng.integers(len(whole))] if trial % 3 == 0 else whole)
        for place in rng.integers(max(1, len(damaged)), size=trial % 4):
            damaged[place : place + 1] = bytes([rng.integers(256)])
        path.write_bytes(damaged)
        try:  # anything but an InputError fails the test, a crash among it
            iso.Layers.load(path)
        except InputError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(("package", "file"), [("h5py", "x.h5"), ("h5py", "x.h5ad"), ("pyarrow", "x.parquet")])
def test_without_the_package_that_reads_it_the_extra_is_named(
    package: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(iso.MissingExtraError, match=r"isomorph\[data\]"):
        iso.Layers.load(text(tmp_path / file, ""))


def test_vectors_of_unequal_length_in_parquet_are_refused(tmp_path: Path) -> None:
    for vectors in ([[1.0, 2.0], [1.0]], [[1.0], [1.0, 2.0, 3.0]], [[1.0], None]):
        parquet.write_table(pa.table({"id": ["a", "b"], "v": vectors}), tmp_path / "v.parquet")
        with pytest.raises(InputError, match="vectors of column 'v' have different lengths"):
            iso.Layers.load(tmp_path / "v.parquet")
