"""Tables with pictures, recordings and films in them: Parquet, Arrow and Feather."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import soundfile
from PIL import Image
from pyarrow import feather, ipc, parquet

from isomorph.datasets import PairedItems, load_dataset
from isomorph.datasets._encoded import sniffed
from isomorph.datasets.table import Table
from isomorph.errors import InputError, MissingExtraError, UnknownNameError


def picture(k: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(k).integers(0, 256, (4 + k, 6, 3), dtype=np.uint8)


def encoded(array: np.ndarray[Any, Any], form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, form)
    return file.getvalue()


def wav(k: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(100 + k, 0.25), 8000, format="WAV")
    return file.getvalue()


def npy(k: int) -> bytes:
    file = io.BytesIO()
    np.save(file, np.full((4, 2, 2, 3), k, dtype=np.uint8))
    return file.getvalue()


def table(n: int = 5, first: int = 0) -> pyarrow.Table:
    ks = range(first, first + n)
    columns = {
        "id": [f"i{k}" for k in ks],
        "photo": [encoded(picture(k)) for k in ks],
        "sound": [{"bytes": wav(k), "path": f"{k}.wav"} for k in ks],
        "captions": [[f"text {k}", f"more of {k}"][: 1 + k % 2] for k in ks],
        "weight": [k / 2 for k in ks],
    }
    return pyarrow.Table.from_pydict(columns)


def write(path: Path, rows: pyarrow.Table, group: int = 2) -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(rows, path, row_group_size=group)
    elif path.suffix == ".feather":
        feather.write_feather(rows, path, compression="zstd")
    else:
        make = ipc.new_file if path.stem == "file" else ipc.new_stream
        with make(str(path), rows.schema) as sink:
            sink.write_table(rows, max_chunksize=group)
    return path


def load(path: Any, **parameters: Any) -> PairedItems:
    return Table(str(path) if isinstance(path, Path) else path, **parameters).load()


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "file.arrow", "stream.arrow"])
def test_embedded_files_are_views_and_lists_of_captions_groups(name: str, tmp_path: Path) -> None:
    items = load(write(tmp_path / name, table()), covariate="weight")
    assert {k: v.modality for k, v in items.views.items()} == {"photo": "image", "sound": "audio", "captions": "text"}
    assert items.ids == ("i0#0", "i1#0", "i1#1", "i2#0", "i3#0", "i3#1", "i4#0")
    assert items.groups == ("i0", "i1", "i1", "i2", "i3", "i3", "i4")
    assert items.covariates == {"weight": (0.0, 0.5, 0.5, 1.0, 1.5, 1.5, 2.0)}
    for row in (6, 0, 3, 1):  # in any order
        k = int(items.ids[row][1])
        assert np.array_equal(items.view("photo")[row], picture(k))
        assert len(items.view("sound")[row].samples) == 100 + k


def test_paths_and_embedded_files_of_the_same_pictures_are_the_same_items(tmp_path: Path) -> None:
    rows = table()
    for k in range(5):
        (tmp_path / f"{k}.png").write_bytes(encoded(picture(k)))
    paths = rows.select(["id"]).append_column("photo", [[f"{k}.png" for k in range(5)]])
    files = load(write(tmp_path / "paths.parquet", paths))
    inside = load(write(tmp_path / "inside.parquet", rows.select(["id", "photo"])))
    assert files.fingerprint == inside.fingerprint
    named = [{"bytes": None, "path": f"{k}.png"} for k in range(5)]  # as Hugging Face writes files that lie beside
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    beside = rows.select(["id"]).append_column("photo", pyarrow.array(named, kind))
    meta = {b"huggingface": b'{"info": {"features": {"photo": {"_type": "Image"}}}}'}
    assert (
        load(write(tmp_path / "beside.parquet", beside.replace_schema_metadata(meta))).fingerprint == files.fingerprint
    )


def test_a_part_of_a_large_file_is_read_when_a_picture_is_asked_for(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 1 << 20), dtype=np.uint8)
    heads = [encoded(picture(1), "BMP")[:54] + row.tobytes() for row in noise]  # 40 MB in all
    rows = pyarrow.Table.from_pydict({"id": list(range(40)), "photo": heads, "text": ["x"] * 40})
    write(tmp_path / "large.parquet", rows, group=4)
    del heads, rows
    tracemalloc.start()
    before = pyarrow.total_allocated_bytes()
    items = load(tmp_path / "large.parquet")
    digest = items.view("photo").digest(17)
    held = pyarrow.total_allocated_bytes() - before + tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert digest == items.view("photo").take([17]).digest(0)
    assert held < 20 << 20  # a group of rows is 4 MB


def test_rows_of_a_group_that_is_too_large_to_hold_are_read_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isomorph.datasets import _arrow

    held = []
    hold = _arrow._Cells._hold

    def noted(cells: Any, row: int) -> None:
        hold(cells, row)
        held.append(len(cells.held))

    monkeypatch.setattr(_arrow, "_HELD", 1000)  # a picture is 100 bytes or more
    monkeypatch.setattr(_arrow._Cells, "_hold", noted)
    items = load(write(tmp_path / "t.parquet", table(30), group=30), captions_each=1)
    for k in (29, 3, 17, 17, 18, 0):
        assert np.array_equal(items.view("photo")[k], picture(k))
    assert 1 <= max(held) <= 10


def test_several_files_are_one_table(tmp_path: Path) -> None:
    whole = load(write(tmp_path / "whole.parquet", table(5)))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    write(tmp_path / "a" / "train-0.parquet", table(2))
    write(tmp_path / "b" / "train-1.parquet", table(3, first=2))
    pattern = load(str(tmp_path / "*" / "train-*.parquet"))
    listed = load([str(tmp_path / "a" / "train-0.parquet"), str(tmp_path / "b" / "train-1.parquet")])
    assert pattern.fingerprint == listed.fingerprint == whole.fingerprint
    assert load_dataset(listed.source).fingerprint == whole.fingerprint
    with pytest.raises(InputError, match=r"row 3 has the id 'i0' again"):
        load([str(tmp_path / "a" / "train-0.parquet"), str(tmp_path / "whole.parquet")])
    write(tmp_path / "b" / "train-2.parquet", table(3, first=9).drop_columns(["sound"]))
    with pytest.raises(InputError, match=r"train-2\.parquet has other columns than .*only one of them has 'sound'"):
        load(str(tmp_path / "*" / "train-*.parquet"))
    with pytest.raises(InputError, match=r"no file is called as .*test-\*\.parquet' says"):
        load(str(tmp_path / "test-*.parquet"))


def test_paths_in_tables_of_several_folders_are_beside_their_own(tmp_path: Path) -> None:
    for k, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(encoded(picture(k)))
        (tmp_path / name / "t.csv").write_text(f"id,photo\n{name},1.png\n")
    items = load(str(tmp_path / "*" / "t.csv"))
    assert [items.view("photo")[i].shape for i in range(2)] == [picture(0).shape, picture(1).shape]


def test_films_and_pictures_are_told_apart_by_how_they_begin(tmp_path: Path) -> None:
    rows = pyarrow.Table.from_pydict({"id": ["a"], "film": [npy(7)], "text": ["x"]})
    assert list(load(write(tmp_path / "t.parquet", rows)).views) == ["text"]  # arrays of any meaning are no films
    forms = {form: encoded(picture(1), form) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")}
    assert {form: sniffed(data) for form, data in forms.items()} == dict.fromkeys(forms, "image")
    for form in ("WAV", "FLAC", "OGG", "AIFF", "MP3"):
        file = io.BytesIO()
        soundfile.write(file, np.zeros(4000), 8000, format=form)
        assert sniffed(file.getvalue()) == "audio", form


def test_a_film_in_a_table_is_read_as_from_a_file(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "f.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        for grey in range(0, 250, 10):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), grey, dtype=np.uint8), format="rgb24")
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    (tmp_path / "t.csv").write_text("id,film\na,f.mp4\n")
    rows = pyarrow.Table.from_pydict({"id": ["a"], "film": [(tmp_path / "f.mp4").read_bytes()]})
    inside = load(write(tmp_path / "t.parquet", rows)).view("film")
    assert inside.modality == "video"
    assert np.array_equal(inside[0], load(tmp_path / "t.csv").view("film")[0])


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    rows = table().to_pydict()
    rows["photo"][3] = None
    rows["sound"][1] = {"bytes": b"RIFF....WAVE", "path": None}
    path = write(tmp_path / "t.parquet", pyarrow.Table.from_pydict(rows))
    with pytest.raises(InputError, match="item 'i3', column 'photo': there is no image"):
        load(path)
    items = load(path, skip_bad=True)
    assert set(items.skipped) == {"i1", "i3"}
    assert "Cannot read row 1 as a recording" in items.skipped["i1"]
    with pytest.raises(InputError, match="Cannot read the audio of item 'i1' as a recording: Error in WAV file"):
        load(path, audio="sound", text="captions").view("sound")[1]


def test_ids_are_asked_for_and_none_takes_row_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", table().drop_columns(["id"]))
    with pytest.raises(UnknownNameError, match=r"id='…'; id=None takes row numbers"):
        load(path)
    assert load(path, id=None, captions_each=1).ids == ("0", "1", "2", "3", "4")
    assert "id=None" in load(path, id=None).source


def test_a_damaged_arrow_file_is_answered_in_words(tmp_path: Path) -> None:
    for name in ("t.arrow", "t.feather"):
        path = write(tmp_path / "stream.arrow", table())
        (tmp_path / name).write_bytes(path.read_bytes()[:300])
        with pytest.raises(InputError, match=rf"Cannot read .*{name} as Arrow"):
            load(tmp_path / name)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.feather", table())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"Reading \.feather files.*isomorph\[data\]"):
        load(path)
