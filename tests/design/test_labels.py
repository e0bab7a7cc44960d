"""When two labels are the same: by their texts, in every room."""

from __future__ import annotations

import numpy as np
import pytest

import isomorph as iso
from isomorph.datasets import PairedItems
from isomorph.design import as_labels, coded, fold_of_items, label_text, named, rows_by_code
from isomorph.errors import InputError
from isomorph.metrics.prediction import grouped_predictivity

N = 60
TEXTS = [str(i // 5) for i in range(N)]  # twelve groups of five
MIXED = [int(t) if i % 2 else t for i, t in enumerate(TEXTS)]  # the same labels, every other one a number
KINDS = {"floats": [float(t) if i % 2 else t for i, t in enumerate(TEXTS)], "numpy": np.array(TEXTS, dtype=object)}


@pytest.fixture(scope="module")
def sides() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(N, 4))
    return z @ rng.normal(size=(4, 8)), z @ rng.normal(size=(4, 6)) + 0.5 * rng.normal(size=(N, 6))


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (1, "1"),
        ("1", "1"),
        (1.0, "1"),
        (np.int64(1), "1"),
        (np.float32(1), "1"),
        (1.5, "1.5"),
        (True, "True"),
        (-0.0, "0"),
        (float("inf"), "inf"),
        ("1.0", "1.0"),
        (("a", 1), "('a', 1)"),
        (10**30, str(10**30)),
    ],
)
def test_a_label_is_its_text_and_equal_numbers_have_one(label, text):
    assert label_text(label) == text


def test_numbers_are_given_as_labels_occur_or_sorted_by_text_or_by_size():
    labels = [10, 2, 10, 1]
    assert coded(labels, 4, "labels").tolist() == [0, 1, 0, 2]
    assert named(labels, 4, "labels", "text") == (pytest.approx([1, 2, 1, 0]), ("1", "10", "2"))
    assert coded(labels, 4, "labels", "value").tolist() == [2, 1, 2, 0]
    assert coded([10, "2", 10, 1], 4, "labels", "value").tolist() == [1, 2, 1, 0]  # one text makes all of them texts
    assert coded(np.array([2.5, -1, 10]), 3, "labels", "value").tolist() == [1, 0, 2]
    assert [rows.tolist() for rows in rows_by_code(coded(labels, 4, "labels"))] == [[0, 2], [1], [3]]


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan")])
def test_a_missing_label_is_refused_by_its_place_in_every_room(missing, sides):
    labels = ["a"] * (N - 1) + [missing]
    for call in (
        lambda: as_labels(labels, N, "groups"),
        lambda: PairedItems("pairs", tuple(map(str, range(N))), {}, {"kind": tuple(labels)}),
        lambda: iso.scan(*sides, ["cka"], groups=labels, permutations=19),
        lambda: iso.stitch(*sides, "ridge", labels=labels),
        lambda: fold_of_items(N, 5, groups=labels),
    ):
        with pytest.raises(InputError, match=rf"\[{N - 1}\] is .*none may be missing"):
            call()


@pytest.mark.parametrize("kind", ["mixed", *KINDS])
def test_a_number_and_its_text_are_one_label_in_a_scan(kind, sides):
    labels = KINDS.get(kind, MIXED)
    for design in ("groups", "strata"):
        found, expected = (
            iso.scan(*sides, ["cka"], permutations=49, selection="split", **{design: given})
            for given in (labels, TEXTS)
        )
        assert repr(found["cka"].held_out) == repr(expected["cka"].held_out)
        assert found["cka"].p_maximum == expected["cka"].p_maximum
        assert found.design == expected.design
        assert "12" in found.design


def test_a_number_and_its_text_are_one_label_in_a_stitch(sides):
    prototypes = {int(t): np.asarray(sides[1])[i] for i, t in enumerate(TEXTS)}
    for by in ("label", "group"):
        found, expected = (
            iso.stitch(*sides, "ridge", labels=given, groups=given, by=by, prototypes=prototypes, permutations=3)
            for given in (MIXED, TEXTS)
        )
        assert found.test_rows == expected.test_rows
        assert found["ridge"].scores["zero_shot"].value == expected["ridge"].scores["zero_shot"].value
        assert all(len(rows) % 5 == 0 for rows in found.test_rows)


def test_a_number_and_its_text_are_one_label_in_networks():
    pytest.importorskip("torch")
    from isomorph.networks._arguments import read_split

    found, expected = (read_split(N, 0.5, given, 0) for given in (MIXED, TEXTS))
    assert found.test.tolist() == expected.test.tolist()
    assert len(set(found.test // 5)) * 5 == len(found.test)


@pytest.mark.parametrize("by", ["label", "group", "item"])
def test_a_number_and_its_text_are_one_label_in_a_data_set(by):
    found, expected = (
        PairedItems("pairs", tuple(map(str, range(N))), {}, {"kind": tuple(given)}, tuple(given)).split(0.4, by=by)
        for given in (MIXED, TEXTS)
    )
    assert found[0].ids == expected[0].ids
    assert found[0].fingerprint == expected[0].fingerprint
    assert len(found[0]) == 25


def test_a_number_and_its_text_are_one_label_in_prediction(sides):
    assert len(set(fold_of_items(N, 5, groups=MIXED)[:5])) == 1
    np.testing.assert_array_equal(fold_of_items(N, 5, groups=MIXED), fold_of_items(N, 5, groups=TEXTS))
    assert grouped_predictivity(*sides, groups=MIXED) == grouped_predictivity(*sides, groups=TEXTS)


def test_a_number_and_its_text_are_one_label_in_a_gallery(sides):
    for design in ("groups", "strata"):
        found, expected = (iso.gallery_curve("cka", *sides, [40, N], **{design: given}) for given in (MIXED, TEXTS))
        assert found == expected
    assert [p.n for p in iso.gallery_curve("cka", *sides, [42, N], groups=MIXED)] == [40, N]


def test_a_number_and_its_text_are_one_label_in_a_diagnosis(sides):
    x, y = sides
    apart = x + 40.0 * (np.arange(N) < 15)[:, None]  # a block apart, which makes the diagnosis ask for a probe
    found, expected = (
        [f.evidence for f in iso.diagnose(apart, y, labels=given).findings if "probe accuracy, this side" in f.evidence]
        for given in (MIXED, TEXTS)
    )
    assert found == expected
    assert found


def test_labels_with_an_index_are_found_by_id_or_refused():
    pd = pytest.importorskip("pandas")
    labels = pd.Series(["u", "v", "w"], index=["c", "a", "b"])
    assert as_labels(labels, 3, "labels", ["a", "b", "c"]) == ["v", "w", "u"]
    assert coded(labels, 2, "labels", ids=["c", "a"]).tolist() == [0, 1]
    assert as_labels(pd.Series(["u", "v"]), 2, "labels", ["a", "b"]) == ["u", "v"]  # nobody gave it an index
    with pytest.raises(InputError, match="index of its own"):
        as_labels(labels, 3, "labels")
    with pytest.raises(InputError, match="nothing for 1 of 2 items, such as 'z'"):
        as_labels(labels, 2, "labels", ["a", "z"])


def test_labels_of_a_data_array_are_found_by_id():
    xr = pytest.importorskip("xarray")
    labels = xr.DataArray(["u", "v"], dims="item", coords={"item": ["b", "a"]})
    assert as_labels(labels, 2, "labels", ["a", "b"]) == ["v", "u"]
