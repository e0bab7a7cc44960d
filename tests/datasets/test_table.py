from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from isomorph.datasets import PairedItems, load_dataset
from isomorph.datasets.table import Table
from isomorph.errors import InputError, UnknownNameError

ROWS = [
    {"id": "a", "caption": "A <b>bold</b> & <script>alert(1)</script> claim", "file": "a.png", "sound": "a.wav"},
    {"id": "b", "caption": 'quoted "text", with a comma\nand a line', "file": "b.png", "sound": "b.wav"},
    {"id": "ç😀", "caption": "Grüße, 日本語, \u202eעברית", "file": "größe/c.png", "sound": "größe/c.wav"},
]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


WRITERS = {"t.csv": write_csv, "t.jsonl": write_json_lines, "t.parquet": write_parquet}


def write_media(folder: Path) -> None:
    (folder / "größe").mkdir(exist_ok=True)
    for k, row in enumerate(ROWS):
        Image.fromarray(np.full((4, 5, 3), 10 * k, np.uint8)).save(folder / row["file"])
        soundfile.write(folder / row["sound"], np.full(100 + k, 0.5), 8000)


@pytest.fixture(params=WRITERS)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same three items, in each format."""
    write_media(tmp_path)
    return WRITERS[request.param](tmp_path / request.param, ROWS)


def load(path: Path, **parameters: Any) -> PairedItems:
    return Table(str(path), **parameters).load()


def test_every_format_gives_the_same_items_with_their_columns_told_apart(table: Path) -> None:
    items = load(table)
    assert items.ids == ("a", "b", "ç😀")
    assert {k: v.modality for k, v in items.views.items()} == {"caption": "text", "file": "image", "sound": "audio"}
    assert list(items.view("caption")) == [r["caption"] for r in ROWS]
    assert items.view("file")[2].shape == (4, 5, 3)
    assert items.view("file")[2].max() == 20
    assert [len(a.samples) for a in items.view("sound")] == [100, 101, 102]
    assert items.name == "t"


def test_the_fingerprint_is_the_same_in_every_format_and_place(tmp_path: Path) -> None:
    prints = set()
    for k, (name, write) in enumerate(WRITERS.items()):
        folder = tmp_path / str(k)
        folder.mkdir()
        write_media(folder)
        prints.add(load(write(folder / name, ROWS)).fingerprint)
    assert len(prints) == 1


def test_columns_are_chosen_by_parameters(table: Path) -> None:
    items = load(table, id="file", text="caption", image=["file"], label="sound", group="id")
    assert items.ids == ("a.png", "b.png", "größe/c.png")
    assert set(items.views) == {"caption", "file"}
    assert items.labels == {"sound": ("a.wav", "b.wav", "größe/c.wav")}
    assert items.groups == ("a", "b", "ç😀")


def test_a_spec_makes_the_same_items_and_they_say_how(table: Path) -> None:
    items = load_dataset(f"table(path={str(table)!r}, text=['caption'])")
    assert items.fingerprint == load(table, text="caption").fingerprint
    assert load_dataset(items.source).fingerprint == items.fingerprint


def test_columns_called_label_and_group_and_columns_of_numbers_are_no_views(tmp_path: Path) -> None:
    rows = [{"id": k, "t": f"x{k}", "label": f"l{k}", "group": "g", "year": 1990 + k} for k in range(2)]
    for name, write in WRITERS.items():
        items = load(write(tmp_path / name, rows))
        assert list(items.views) == ["t"]
        assert items.labels == {"label": ("l0", "l1")}
        assert items.groups == ("g", "g")
        assert items.ids == ("0", "1")


def test_a_tab_separated_table_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes("\ufeffid\ttext\nx\tone, two\n".encode())
    items = load(tmp_path / "t.tsv")
    assert (items.ids, list(items.view("text"))) == (("x",), ["one, two"])


def test_a_text_longer_than_the_csv_module_allows_is_read(tmp_path: Path) -> None:
    import csv

    limit = csv.field_size_limit()
    items = load(write_csv(tmp_path / "t.csv", [{"id": "a", "text": "word " * 60_000}]))
    assert len(items.view("text")[0]) == 300_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_text_is_named_by_its_item(tmp_path: Path, empty: str | None) -> None:
    rows = [{"id": "a", "text": "x"}, {"id": "b", "text": empty}]
    for name, write in WRITERS.items():
        with pytest.raises(InputError, match="item 'b', column 'text': the text is empty"):
            load(write(tmp_path / name, rows))


def test_a_repeated_or_empty_id_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 2 has the id 'a' again"):
        load(write_csv(tmp_path / "t.csv", [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]), skip_bad=True)
    for empty in (" ", None, 1.5):
        with pytest.raises(InputError, match="row 1 has the id"):
            load(write_json_lines(tmp_path / "t.jsonl", [{"id": empty, "text": "x"}]))


def test_a_text_that_is_none_is_refused_with_its_type(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "t.jsonl", [{"id": "a", "text": {"de": "eins"}}, {"id": "b", "text": ["x", 2]}])
    with pytest.raises(InputError, match=r"item 'a', column 'text': a text was expected, found dict"):
        load(path, text="text")
    path = write_json_lines(tmp_path / "t.jsonl", [{"id": "b", "text": ["x", 2]}])
    with pytest.raises(InputError, match=r"item 'b', column 'text': a text was expected, found int 2"):
        load(path, text="text")


def test_an_empty_label_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="item 'b' has nothing in column 'label'"):
        load(write_csv(tmp_path / "t.csv", [{"id": i, "text": "x", "label": v} for i, v in ("ax", "b ")]))


def test_unknown_columns_are_named_with_the_nearest(table: Path) -> None:
    for parameters in ({"text": "captoin"}, {"label": "captoin"}, {"group": "captoin"}, {"id": "captoin"}):
        with pytest.raises(UnknownNameError, match="Did you mean 'caption'"):
            load(table, **parameters)


def test_one_column_cannot_be_two_kinds_of_view(table: Path) -> None:
    with pytest.raises(InputError, match="'file' is given as text and as image"):
        load(table, text="file", image="file")


def test_a_table_without_a_view_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column that can be a view"):
        load(write_csv(tmp_path / "t.csv", [{"id": "a", "size": "3"}]))


def spoil(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) - 40])


def test_a_damaged_file_is_named_when_it_is_asked_for(table: Path) -> None:
    spoil(table.parent, "b.png")
    items = load(table)
    items.view("file")[0]
    with pytest.raises(InputError, match=r"Cannot read .*b\.png as an image"):
        items.view("file")[1]


def test_a_missing_file_is_named_at_once(table: Path) -> None:
    (table.parent / "a.wav").unlink()
    with pytest.raises(InputError, match=r"item 'a', column 'sound': there is no file .*a\.wav") as caught:
        load(table)
    assert "skip_bad=True" in str(caught.value)


def test_bad_items_are_left_out_of_every_view_and_counted(table: Path, logged: list[str]) -> None:
    spoil(table.parent, "b.png")
    spoil(table.parent, "größe/c.wav")
    items = load(table, skip_bad=True)
    assert items.ids == ("a",)
    assert [len(v) for v in items.views.values()] == [1, 1, 1]
    assert set(items.skipped) == {"b", "ç😀"}
    assert "b.png" in items.skipped["b"]
    assert "c.wav" in items.skipped["ç😀"]
    assert "left out 2 of 3 items" in " ".join(logged)


def test_a_table_of_only_bad_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of its 1 items can be used"):
        load(write_csv(tmp_path / "t.csv", [{"id": "a", "text": ""}]), text="text", skip_bad=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"id,text\na,x,y\n", r"line 2: 3 fields where the header has 2"),
        ("t.csv", b"id,text,text\na,x,y\n", "column 'text' is there twice"),
        ("t.csv", b'id,text\na,"x\n', r"line \d: unexpected end of data"),
        ("t.csv", b"", "has no rows"),
        ("t.csv", b"id,text\n", "has no rows"),
        ("t.csv", "id,text\na,é\n".encode("latin-1"), "not in UTF-8"),
        ("t.jsonl", b'{"id": 1, "text": "x"}\n{"id":\n', r"line 2: not JSON"),
        ("t.jsonl", b"[1, 2]\n", "line 1: expected an object, found list"),
        ("t.parquet", b"not parquet", "as Parquet"),
        ("t.xlsx", b"", "expected one of .csv, .tsv"),
    ],
)
def test_a_file_that_is_no_table_is_named_with_the_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["gone.csv", "gone.jsonl", "gone.parquet"])
def test_a_table_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"Cannot read the table .*gone"):
        load(tmp_path / name)


def test_skip_bad_is_true_or_false_and_no_text(tmp_path):
    with pytest.raises(InputError, match="skip_bad='no' must be True or False"):
        Table("t.csv", skip_bad="no")


def test_skip_bad_can_be_asked_for_beside_the_spec(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,text\na,one\nb,\nc,three\n")
    with pytest.raises(InputError, match="'b'"):
        load_dataset(f"table(path='{path}')")
    assert load_dataset(f"table(path='{path}')", skip_bad=True).ids == ("a", "c")


# ---------------------------------------------------------------- files that lie


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.jsonl", '{"id": "\\ud83d", "text": "a"}', "half a surrogate pair"),
        ("t.jsonl", '{"id": "a\\u0000", "text": "a"}', "NUL"),
        ("t.jsonl", '{"id": "a", "text": "\\ud83d"}', "half a surrogate pair"),
        ("t.jsonl", "[" * 100_000, "nested too deeply"),
        ("t.jsonl", '{"id": ' + "1" * 5000 + "}", "no number that can be held"),
        ("t.jsonl", '{"id": 1, "id": 2, "text": "a"}', "'id' is there twice"),
        ("t.jsonl", '{"id": [1], "text": "a"}', r"has the id \[1\]"),
        ("t.csv", "id,text\na\0,b\n", "NUL"),
        ("t.csv", "id,id\n1,2\n", "'id' is there twice"),
        ("t.csv", "id,text\na," + "x" * 10**6 + ",y\n", "3 fields where the header has 2"),
        ("t.csv", "id,image\na," + "x" * 5000 + ".png\n", "there is no file"),
        ("t.parquet", "PAR1 no more PAR1", "Cannot read .* as Parquet"),
        ("t.parquet", "", "Cannot read .* as Parquet"),
    ],
)
def test_a_table_that_cannot_be_is_answered_in_a_line(tmp_path, name, content, words):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        load_dataset(f"table(path={str(tmp_path / name)!r})")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_pipes_are_no_tables(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="a pipe"):
        load_dataset(f"table(path={str(tmp_path / name)!r})")


def test_a_parquet_file_that_repeats_one_value_without_end_is_refused_before_it_is_read(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    block = pa.table({"id": pa.array(["a"] * 10**6).dictionary_encode(), "text": pa.array(["b"] * 10**6)})
    with pq.ParquetWriter(tmp_path / "t.parquet", block.schema, compression="zstd") as file:
        for _ in range(51):
            file.write_table(block)
    assert (tmp_path / "t.parquet").stat().st_size < 10**6
    with pytest.raises(InputError, match="51,000,000 rows"):
        load_dataset(f"table(path={str(tmp_path / 't.parquet')!r})")
