"""Damaged tables with pictures in them, shards and saved datasets: whole, refused in words, or right."""

import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import strategies as st

import isomorph as iso

from .damage import damaged
from .guard import Door

N = 6


def _png(k):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.full((3, 4, 3), 20 * k, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def _table():
    import pyarrow

    columns = {
        "id": [f"i{k}" for k in range(N)],
        "photo": [{"bytes": _png(k), "path": None} for k in range(N)],
        "text": [[f"text {k}", "more"][: 1 + k % 2] for k in range(N)],
        "label": ["a", "b"] * (N // 2),
    }
    return pyarrow.Table.from_pydict(columns)


def _arrow(kind):
    from pyarrow import feather, ipc, parquet

    sink, rows = io.BytesIO(), _table()
    if kind == "parquet":
        parquet.write_table(rows, sink, row_group_size=2)
    elif kind == "feather":
        feather.write_feather(rows, sink)
    else:
        with ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows, max_chunksize=2)
    return sink.getvalue()


def _shard():
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for k in range(N):
            files = {"png": _png(k), "txt": f"text {k}".encode(), "json": json.dumps({"size": k}).encode()}
            for ending, data in files.items():
                about = tarfile.TarInfo(f"{k}.{ending}")
                about.size = len(data)
                archive.addfile(about, io.BytesIO(data))
    return sink.getvalue()


def _used(items):
    """All that is in the items: what was let in must be usable, or be refused in words then."""
    return items.ids, items.fingerprint, [np.shape(item) for view in items.views.values() for item in view]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "feather", "tar"])
def test_files_with_pictures_in_them(kind, tmp_path):
    good = _shard() if kind == "tar" else _arrow(kind)
    path = tmp_path / f"t.{kind}"
    reader = "webdataset" if kind == "tar" else "table"
    door = Door(f"{reader} of .{kind}")

    def case(draw):
        data = damaged(draw, good)
        path.write_bytes(data)
        skip = draw(st.booleans())
        door(
            f"{reader} of {data[:300]!r}, skip_bad={skip}",
            lambda: _used(iso.load_dataset(f"{reader}({str(path)!r})", skip_bad=skip)),
        )

    door.cases_of(250, case)
    door.verdict(0.02, 0.95)  # most damage to a shard is noticed: heads have sums, and the end is marked


def test_saved_datasets(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    saved = tmp_path / "saved"
    datasets.Dataset(_table()).cast_column("photo", datasets.Image()).save_to_disk(str(saved))
    files = {path: path.read_bytes() for path in sorted(saved.iterdir())}
    door = Door("huggingface of a saved dataset")

    def case(draw):
        for path, data in files.items():
            path.write_bytes(data)
        chosen = draw(st.sampled_from(sorted(files)))
        chosen.write_bytes(damaged(draw, files[chosen]))
        skip = draw(st.booleans())
        said = f"huggingface with {chosen.name} = {chosen.read_bytes()[:300]!r}, skip_bad={skip}"
        door(said, lambda: _used(iso.load_dataset(f"huggingface({str(saved)!r})", skip_bad=skip)))

    door.cases_of(200, case)
    door.verdict(0.05, 0.95)
