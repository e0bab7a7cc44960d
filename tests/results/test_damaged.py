"""Results that were edited by hand: read as they are, or refused in a line; what was read can be used."""

import copy
import json
import os
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import isomorph as iso
from isomorph import InputError, load_result, report


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("saved"), np.random.default_rng(0)
    x, y = ({f"l{i}": rng.normal(size=(40, 3)) for i in range(2)} for _ in range(2))
    settings = {"permutations": 19, "selection": "split", "gallery": [20, 30], "x_ceilings": {"c": y}}
    iso.scan(x, y, ["cka", "mutual_knn(k=3)"], **settings, x_baselines={"u": y}).save(folder / "scan.json")
    iso.stitch(x, y, ["ridge", "orthogonal"], repeats=2, permutations=3).save(folder / "stitch.json")
    iso.diagnose(x, y, scan=load_result(folder / "scan.json")).save(folder / "diagnosis.json")
    return folder


def edited(saved, tmp_path, kind, place, value):
    data = json.loads((saved / f"{kind}.json").read_text())
    part = data
    for key in place[:-1]:
        part = part[key]
    if value is KeyError:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    (tmp_path / "r.json").write_text(json.dumps(data))
    return tmp_path / "r.json"


CKA = ("alignments", "cka(estimator='unbiased')")
EDITS = [
    ("scan", ("n",), -1, r"scan\.n=-1 lies outside"),
    ("scan", ("n",), 2.5, r"scan\.n=2\.5 cannot be"),
    ("scan", ("n",), 10**30, "is no number that can be held"),
    ("scan", ("n",), True, r"scan\.n=True cannot be"),
    ("scan", ("p_maximum",), 1.5, r"p_maximum=1\.5 lies outside \[0, 1\]"),
    ("scan", ("x_name",), KeyError, "x_name"),
    ("scan", ("alignments",), {}, "holds no metric"),
    ("scan", ("extra",), 1, "extra"),
    ("scan", (*CKA, "values", "shape"), [4, 4], "does not hold 4 values"),
    ("scan", (*CKA, "values", "shape"), [2**40, 2**40], "does not hold"),
    ("scan", (*CKA, "values", "shape"), [-2, -2], "does not hold"),
    ("scan", (*CKA, "values", "dtype"), "|O", "holds '|O', not numbers"),
    ("scan", (*CKA, "values", "dtype"), "V99999999999", "not numbers"),
    ("scan", (*CKA, "values", "data", 0), None, "holds null, no number"),
    ("scan", (*CKA, "values", "data", 0), "a" * 10**5, "holds 'aaa"),
    ("scan", (*CKA, "p_value", "data", 0), -0.2, "lies outside"),
    ("scan", (*CKA, "x_dims"), [3], "x_dims for 2 layers"),
    ("scan", (*CKA, "held_out", "p_value"), 7, "lies outside"),
    ("scan", (*CKA, "gallery", "n", "data", 0), 0, "no number of items"),
    ("scan", (*CKA, "x_layers"), "l0", "cannot be"),
    ("scan", ("provenance", "metrics"), {"kind": "array", "dtype": "<f8", "shape": [0], "data": []}, "provenance"),
    ("stitch", ("chosen",), [], "no split|unlike numbers"),
    ("stitch", ("chosen", 0, 0), "nowhere", "a layer was chosen that is not there"),
    ("stitch", ("test_rows", 0, 0), 10**6, "do not fit 40 items"),
    ("stitch", ("maps", "ridge"), KeyError, "curves, examples or layer scores"),
    ("stitch", ("maps", "ridge", "scores", "mrr"), KeyError, "has no score mrr"),
    ("stitch", ("decided_by",), "beauty", "has no score beauty"),
    ("stitch", ("gallery_curves", 0, "sizes", 0), 0, "no number of items"),
    ("stitch", ("examples", 0, "verdict", 0), "x" * 3000, "verdict is not known"),
    ("diagnosis", ("findings", 0, "present"), "yes", "cannot be"),
    ("diagnosis", ("quadrant",), {"a": 1}, "quadrant is not made of"),
]


@pytest.mark.parametrize(("kind", "place", "value", "words"), EDITS)
def test_an_edit_that_cannot_be_is_refused_in_a_line(saved, tmp_path, kind, place, value, words):
    path = edited(saved, tmp_path, kind, place, value)
    with pytest.raises(InputError, match=words) as caught:
        load_result(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"isomorph": 1, "kind": "scan", "kind": "scan"}', "'kind' is there twice"),
        ('{"isomorph": 1, "kind": "scan", "n": NaN}', "NaN is no number"),
        ('{"isomorph": 1, "kind": "scan", "n": 1e999}', "1e999 is no number"),
        ('{"isomorph": 1, "kind": ["scan"]}', "is not a result"),
        ("[1]", "is not a result"),
        ("{", "not JSON"),
        ("\udcff", "no text in UTF-8"),
    ],
)
def test_a_file_that_is_no_result_is_refused(tmp_path, text, words):
    (tmp_path / "r.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=words):
        load_result(tmp_path / "r.json")


def test_an_infinite_number_in_an_array_is_refused_by_name(saved, tmp_path):
    text = (saved / "scan.json").read_text().replace('"data": [', '"data": [1e999, ', 1)
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match="1e999 is no number"):
        load_result(tmp_path / "r.json")


def _places(value, path=()):
    yield path
    for key, part in value.items() if isinstance(value, dict) else list(enumerate(value))[:3]:
        if isinstance(part, (dict, list)):
            yield from _places(part, (*path, key))
        else:
            yield (*path, key)


@pytest.mark.parametrize("kind", ["scan", "stitch", "diagnosis"])
def test_whatever_is_read_can_be_used(saved, tmp_path, kind):
    data, rng = json.loads((saved / f"{kind}.json").read_text()), np.random.default_rng(1)
    places = [p for p in _places(data) if p]
    odd = [None, True, -1, 0, 2.5, 1e300, -1e300, "", "zz", [], ["a"], {}, {"a": 1}, [[1]], {"kind": "scan"}, KeyError]
    read = 0
    for _ in range(150):
        edit, place = copy.deepcopy(data), places[rng.integers(len(places))]
        part = edit
        for key in place[:-1]:
            part = part[key]
        value = odd[rng.integers(len(odd))]
        if value is KeyError:
            del part[place[-1]]
        else:
            part[place[-1]] = value
        (tmp_path / "r.json").write_text(json.dumps(edit))
        try:
            result = load_result(tmp_path / "r.json")
            repr(result)
            result.to_records()
            result.to_json()
            report(result, tmp_path / "r.html", figures=False)
        except InputError:
            continue
        read += 1
    assert 0 < read < 150  # some edits change nothing that matters, and some do


def test_a_result_is_never_read_from_a_pipe_and_never_written_over_one(saved, tmp_path):
    os.mkfifo(tmp_path / "p.json")
    with pytest.raises(InputError, match="a pipe"):
        load_result(tmp_path / "p.json")
    result = load_result(saved / "scan.json")
    for bad in (tmp_path / "p.json", "/dev/null", tmp_path, tmp_path / ("a" * 300), "a\0b"):
        with pytest.raises(InputError):
            result.save(bad)
        with pytest.raises(InputError):
            report(result, bad)
    assert [p.name for p in tmp_path.iterdir()] == ["p.json"]


def test_downloads_start_no_formula():
    script = (Path(str(files("isomorph"))) / "reporting" / "templates" / "save.js").read_text()
    quote = re.search(r"const quote = \(value\) => \{.*?\n\};", script, re.DOTALL)[0]
    assert re.search(r"\^\[=\+\\-@\\t\\r\]", quote)
    assert "`'${text}`" in quote
