"""Damaged files of every format at every door that reads one: whole, refused in words, or right."""

from __future__ import annotations

import csv
import functools
import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import strategies as st

import isomorph as iso
from isomorph.encoders import Encoder
from isomorph.maps import REGISTRY as MAPS
from isomorph.maps import load_map

from .damage import damaged, edited
from .guard import Door, infinities

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(10, 3)).astype("f4")
IDS = [f"i{k}" for k in range(10)]


def _npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def _npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def _pt(value):
    import torch

    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _h5(**arrays):
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as h:
        for name, array in arrays.items():
            h[name] = array
    return file.getvalue()


def _mat(**arrays):
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, arrays)
    return file.getvalue()


def _nc():
    from scipy.io import netcdf_file

    file = io.BytesIO()
    with netcdf_file(file, "w") as nc:
        nc.createDimension("item", 10), nc.createDimension("unit", 3), nc.createDimension("letters", 2)
        nc.createVariable("x", "f4", ("item", "unit"))[:] = X
        nc.createVariable("item", "S1", ("item", "letters"))[:] = np.array([list(i) for i in IDS], dtype="S1")
        nc.flush()
        return file.getvalue()


def _parquet(**columns):
    import pyarrow as pa
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def _texts():
    rows = X.tolist()
    keyed = dict(zip(IDS, rows, strict=True))
    lines = [json.dumps({"id": i, "embedding": r}) for i, r in keyed.items()]
    return {
        ".json": (json.dumps(keyed), json.dumps({"ids": IDS, "a": rows}), json.dumps([json.loads(r) for r in lines])),
        ".jsonl": ("\n".join(lines), "\n".join(json.dumps({i: r}) for i, r in keyed.items())),
        ".csv": ("id,a,b,c\n" + "\n".join(f"{i},{r[0]},{r[1]},{r[2]}" for i, r in keyed.items()),),
        ".vec": ("10 3\n" + "\n".join(f"{i} {r[0]} {r[1]} {r[2]}" for i, r in keyed.items()),),
    }


@functools.cache
def feature_files():
    import torch
    from safetensors.numpy import save

    return {
        ".npy": (
            _npy(X),
            _npy(X.astype("f8"), allow_pickle=False),
            _npy(np.array([1, None], dtype=object)),
            _npy(X[0]),
        ),
        ".npz": (
            _npz(a=X, ids=np.array(IDS)),
            _npz(compressed=True, a=X, b=X),
            _npz(a=X, ids=np.array(IDS, dtype="S")),
        ),
        ".safetensors": (
            save({"a": X, "b": X}),
            save({"a": X}, metadata={"isomorph": json.dumps({"ids": IDS}), "x": "y"}),
            save({"a": X.astype("i4")}),
        ),
        ".pt": (
            _pt({"feats": torch.tensor(X)[:, None]}),
            _pt({"feats": [torch.tensor(X)]}),
            _pt(torch.tensor(X)),
            pickle.dumps({"feats": X}),
        ),
        ".h5": (_h5(a=X, ids=IDS), _h5(features=X), _h5(**dict(zip(IDS, X, strict=True)))),
        ".h5ad": (_h5(**{"X": X, "obs/_index": IDS}),),
        ".mat": (_mat(features=X, ids=np.array(IDS, dtype=object)), _mat(features=X)),
        ".nc": (_nc(),),
        ".parquet": (_parquet(id=IDS, v=list(X)), _parquet(id=IDS, a=X[:, 0], b=X[:, 1])),
        **{suffix: tuple(t.encode() for t in texts) for suffix, texts in _texts().items()},
    }


SUFFIXES = [
    ".npy", ".npz", ".safetensors", ".pt", ".h5", ".h5ad", ".mat", ".nc", ".parquet", ".json", ".jsonl", ".csv", ".vec",
]  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_feature_files(suffix, tmp_path):
    door = Door(f"Layers.load of {suffix}")
    files = feature_files()
    others = tuple(f[0] for f in files.values())
    path = tmp_path / f"layers{suffix}"

    def case(draw):
        good = draw(st.sampled_from(files[suffix])) if draw(st.integers(0, 9)) else draw(st.sampled_from(others))
        data = damaged(draw, good, others)
        ids = draw(st.sampled_from([None, None, None, IDS, IDS[:3], ["a"] * 10, 5, "abc"]))
        path.write_bytes(data)

        def call():
            layers = iso.Layers.load(path, ids)
            # features are checked when they are used, as those of a user's own arrays
            return [iso.metric("cka")(layers[k], layers[k]) for k in list(layers)[:2]] if layers.n > 3 else []

        door(f"Layers.load({suffix} of {len(data)} bytes {data[:200]!r}, ids={ids})", call)

    door.cases_of(450 if suffix in (".npy", ".npz", ".safetensors") else 180, case)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    door.verdict(0.02, 0.9)


@functools.cache
def results():
    x = _RNG.normal(size=(16, 4))
    y = x + _RNG.normal(size=(16, 4))
    scan = iso.scan(x, y, ["cka", "mutual_knn(k=3)"], permutations=20, x_baselines={"b": y[::-1]}, gallery=[8, 16])
    stitch = iso.stitch(x, y, ["ridge"], repeats=2, permutations=1, draws=100, labels=list("abcd" * 4))
    return tuple(r.to_json() for r in (scan, stitch, iso.diagnose(x, y)))


@pytest.mark.parametrize("how", ["bytes", "values"])
def test_results(how, tmp_path):
    door = Door(f"load_result of damaged {how}")
    path = tmp_path / "result.json"

    def case(draw):
        good = draw(st.sampled_from(results()))
        if how == "bytes":
            data = damaged(draw, good.encode(), tuple(r.encode() for r in results()))
        else:
            data = json.dumps(edited(draw, json.loads(good))).encode("utf-8", "surrogatepass")
        path.write_bytes(data)

        def call():
            found = iso.load_result(path)
            again = found.to_json()  # what is read can be shown, and written again
            return found, repr(found), json.loads(again)["kind"]

        door(f"load_result({_difference(good, data)})", call)

    door.cases_of(800, case)
    door.verdict(0.02, 0.9)


def test_reports_of_edited_results(tmp_path):
    """What `load_result` lets in is drawn."""
    door = Door("report(load_result)")
    path = tmp_path / "result.json"

    def case(draw):
        good = draw(st.sampled_from(results()))
        data = json.dumps(edited(draw, json.loads(good))).encode("utf-8", "surrogatepass")
        path.write_bytes(data)
        door(
            f"report(load_result({_difference(good, data)}))",
            lambda: iso.report(iso.load_result(path), to=tmp_path / "page.html", figures=False),
        )

    door.cases_of(250, case)
    assert {p.name for p in tmp_path.iterdir()} <= {"result.json", "page.html"}
    door.verdict(0.02, 0.9)


def _difference(good, data):
    """The place where a file was changed."""
    text = data.decode("utf-8", "replace")
    good = json.dumps(json.loads(good)) if "\n" not in text else good
    at = next((i for i, (a, b) in enumerate(zip(good, text, strict=False)) if a != b), min(len(good), len(text)))
    return f"…{text[max(0, at - 160) : at + 100]!r}…"


def test_maps(tmp_path):
    door = Door("load_map")
    files = {}
    for name in ("ridge", "orthogonal", "relative(anchors=5)", "cca", "mean", "low_rank(rank=2)"):
        assert name.partition("(")[0] in MAPS.classes
        iso.make_map(name).fit(X.astype("f8"), X[:, ::-1].astype("f8")).save(tmp_path / "map.safetensors")
        files[name] = (tmp_path / "map.safetensors").read_bytes()

    def case(draw):
        name = draw(st.sampled_from(sorted(files)))
        data = damaged(draw, files[name], (files["ridge"], files["cca"]))
        (tmp_path / "map.safetensors").write_bytes(data)
        door(
            f"load_map({name} of {len(data)} bytes {data[:400]!r})(x)",
            lambda: load_map(tmp_path / "map.safetensors")(X.astype("f8")),
        )

    door.cases_of(400, case)
    door.verdict(0.02, 0.9)


@functools.cache
def tables():
    rows = [
        {"id": i, "text": f"text of {i}", "label": "ab"[k % 2], "group": k // 2, "score": k / 3}
        for k, i in enumerate(IDS)
    ]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    found = {
        ".csv": file.getvalue().encode(),
        ".tsv": file.getvalue().replace(",", "\t").encode(),
        ".jsonl": "\n".join(map(json.dumps, rows)).encode(),
    }
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return found | {".parquet": sink.getvalue()}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_tables(suffix, tmp_path):
    door = Door(f"table of {suffix}")
    path = tmp_path / f"table{suffix}"
    columns = st.sampled_from(
        ["", ", text='text'", ", label='label'", ", group='score'", ", id='text'", ", image='text'"]
    )

    def case(draw):
        good = tables()[suffix] if draw(st.integers(0, 9)) else draw(st.sampled_from(list(tables().values())))
        data = damaged(draw, good, tuple(tables().values()))
        path.write_bytes(data)
        spec = f"table(path={str(path)!r}{draw(columns)})"
        skip = draw(st.booleans())

        def call():
            items = iso.load_dataset(spec, skip_bad=skip)
            return items.ids, items.fingerprint, [str(items.views[v][0]) for v in items.views], items.labels

        door(f"load_dataset({spec.replace(str(tmp_path), '')}, skip_bad={skip}) of {data[:500]!r}", call)

    door.cases_of(350, case)
    door.verdict(0.05, 0.95)


def test_arrays_as_datasets(tmp_path):
    door = Door("arrays(paths=…)")
    files = feature_files()
    lists = {".txt": "\n".join(IDS).encode(), ".json": json.dumps(IDS).encode(), ".npy": _npy(np.array(IDS))}

    def case(draw):
        suffix = draw(st.sampled_from([".npy", ".npz", ".safetensors"]))
        path = tmp_path / f"a{suffix}"
        data = damaged(draw, draw(st.sampled_from(files[suffix])))
        path.write_bytes(data)
        text = f"arrays({str(path)!r})"
        names = b""
        if draw(st.booleans()):
            kind = draw(st.sampled_from(sorted(lists)))
            names = damaged(draw, lists[kind])
            (tmp_path / f"ids{kind}").write_bytes(names)
            text = f"arrays({str(path)!r}, ids={str(tmp_path / f'ids{kind}')!r})"

        def call():
            items = iso.load_dataset(text)
            return items.ids, items.fingerprint, [np.shape(items.views[v][0]) for v in items.views]

        door(f"load_dataset({text.replace(str(tmp_path), '')}) of {data[:200]!r} {names[:200]!r}", call)

    door.cases_of(350, case)
    door.verdict(0.05, 0.9)


STUDY = """title = "Letters"
output = "out"
items = "table(path='items.csv')"
seed = 0
diagnose = true

[encoders.a]
model = "no-such:a"
untrained = true
pooling = "mean"
batch_size = 4

[encoders.b]
model = "no-such:b"
view = "text"
layers = ["one"]

[[scans]]
x = "a"
y = "b"
metrics = ["cka", "mutual_knn(k=3)"]
permutations = 20
gallery = [5, 10]
x_ceilings = ["b"]

[[stitches]]
x = "a"
y = "b"
maps = ["ridge"]
repeats = 2
by = "item"
"""


def test_studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = STUDY.encode()
    (tmp_path / "items.csv").write_bytes(tables()[".csv"])
    (tmp_path / "study.toml").write_bytes(good)
    assert len(iso.load_study("study.toml").scans) == 1
    door = Door("load_study, plan")

    def case(draw):
        from isomorph.study import plan

        data = damaged(draw, good)
        (tmp_path / "study.toml").write_bytes(data)
        planned = draw(st.booleans())

        def call():
            study = iso.load_study("study.toml")
            return study.title, plan(study) if planned else None

        text = data.decode("utf-8", "replace")
        at = next((i for i, (a, b) in enumerate(zip(good.decode(), text, strict=False)) if a != b), len(text))
        door(f"load_study(…{text[max(0, at - 60) : at + 150]!r}…)", call)

    door.cases_of(700, case)
    assert {p.name for p in tmp_path.iterdir()} == {"items.csv", "study.toml"}
    door.verdict(0.02, 0.9)


class Letters(Encoder):
    """Counts letters; on request it misbehaves."""

    provider = "fake"
    name, revision, modality, n_parameters = "fake:letters", "1", "text", 7
    layers = ("one", "two")

    def __init__(self, fault=""):
        self.fault = fault

    @property
    def identity(self):
        return {"weights": "none", "fault": self.fault}

    def encode(self, batch):
        counts = np.array([[t.count(c) for c in "aeix "] for t in batch], dtype=np.float32)
        found = {"one": counts, "two": counts[:, :2] * 2}
        if self.fault == "NaN":
            found["one"][0, 0] = np.nan
        elif self.fault == "infinity":
            found["two"][-1] = np.inf
        elif self.fault == "rows":
            found["one"] = counts[:-1]
        elif self.fault == "layer":
            del found["two"]
        elif self.fault == "width":
            found["one"] = counts[:, : 1 + len(batch[0]) % 3]
        elif self.fault == "objects":
            found["one"] = counts.astype(object)
        elif self.fault == "texts":
            found["one"] = counts.astype(str)
        elif self.fault == "none":
            return None
        elif self.fault == "three axes":
            found["one"] = counts[:, :, None]
        elif self.fault == "float16":
            found["one"] = counts * 1e30
        return found


FAULTS = (
    "",
    "",
    "",
    "",
    "NaN",
    "infinity",
    "rows",
    "layer",
    "width",
    "objects",
    "texts",
    "none",
    "three axes",
    "float16",
)


def _items(n=9):
    from isomorph.datasets import PairedItems

    return PairedItems("things", tuple(IDS[:n]), {"text": [f"text of {i}" for i in IDS[:n]]})


def test_extract_with_odd_settings_and_encoders(tmp_path):
    from .inputs import settings_of, told

    door = Door("extract")
    names = (
        "view",
        "store",
        "batch_size",
        "storage",
        "skip_bad",
        "progress",
        "memory",
        "commit_every",
        "encoder",
        "items",
    )
    mild = {
        "view": "text",
        "batch_size": 4,
        "storage": "float32",
        "skip_bad": False,
        "memory": "1GB",
        "progress": False,
    }

    def case(draw):
        fault = draw(st.sampled_from(FAULTS))
        number = draw(st.integers(0, 3))
        given = settings_of(draw, names, mild)
        if isinstance(given.get("store"), str | bytes) or hasattr(given.get("store"), "parts"):
            given["store"] = None if draw(st.booleans()) else 5  # elsewhere: the folder of this test only
        if draw(st.booleans()):
            given["store"] = tmp_path / f"store {fault} {number}"
        first = {"encoder": Letters(fault), "items": _items()} | given
        door(f"extract(Letters({fault!r}), {told(**given)})", lambda: list(infinities(iso.extract(**first).loaded)))

    door.cases_of(350, case)
    # what an encoder or a setting made fail leaves a store that is whole
    for store in sorted(tmp_path.glob("store*")):
        assert iso.FeatureStore(store).verify() == [], store
    assert not list(tmp_path.rglob("*.tmp"))
    door.verdict(0.05, 0.9)


def test_stores_with_a_damaged_file(tmp_path):
    """A damaged store is refused, repaired or right; no features come out of it that were not put in."""
    root = tmp_path / "store"
    right = iso.extract(Letters(), _items(), store=root).loaded
    files = {p: p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
    door = Door("FeatureStore of damaged files")

    def case(draw):
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        path = draw(st.sampled_from(sorted(files)))
        data = damaged(draw, files[path], tuple(files.values()))
        path.write_bytes(data)
        mend = draw(st.booleans())

        def call():
            store = iso.FeatureStore(root)
            said = store.verify(repair=mend)
            if said and not mend:
                return None
            found = iso.extract(Letters(), _items(), store=root).loaded
            same = found.keys() == right.keys() and all(np.array_equal(found[k], right[k]) for k in right)
            return same, [np.asarray(v) for v in found.values()]

        answer = door(f"{path.name} of the store: {data[:300]!r}, repair={mend}", call)
        if isinstance(answer, tuple) and not answer[0]:
            door.fail(f"other features came out after {path.name} was damaged", f"{data[:300]!r}, repair={mend}")
        for extra in sorted(root.rglob("*"), reverse=True):
            if extra.is_file() and extra not in files:
                extra.unlink()

    door.cases_of(250, case)
    door.verdict(0.05, 1.0)
