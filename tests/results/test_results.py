"""Results know themselves: they load, print and report without the registry, and so do files of earlier versions."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import isomorph as iso
from isomorph.metrics import REGISTRY
from isomorph.metrics.neighbors import MutualKnn
from isomorph.results import Condition, load_result

DATA = Path(__file__).parent / "data"


@pytest.fixture
def sides():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(30, 3))
    return z + rng.normal(size=z.shape), z + rng.normal(size=z.shape)


def test_the_result_of_a_plug_in_loads_prints_and_reports_where_the_plug_in_is_not(sides, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class PlugIn(MutualKnn):
        """How many neighbours a plug-in of ours shares."""

        name = "plug_in"
        aliases: ClassVar = {}

    twin = np.random.default_rng(3).normal(size=sides[0].shape)
    scanned = iso.scan(*sides, PlugIn(k=4), permutations=19, x_baselines={"noise": twin})
    path = scanned.save(tmp_path / "scan.json")
    assert "plug_in" not in REGISTRY.classes
    loaded = load_result(path)
    assert loaded["plug_in(k=4)"].best() == scanned["plug_in(k=4)"].best()
    assert repr(loaded) == repr(scanned)
    assert loaded["plug_in(k=4)"].reference == PlugIn(k=4).reference
    page = iso.report([loaded], to=tmp_path / "page.html").read_text()
    assert "How many neighbours a plug-in of ours shares." in page
    assert iso.diagnose(*sides, scan=loaded).findings


def test_conditions_are_data_in_files(sides, tmp_path):
    noise = np.random.default_rng(3).normal(size=sides[0].shape)
    given = {"x_baselines": {"my twin": noise}, "y_ceilings": {"my twin": noise}, "x_ceilings": {"seed x": noise}}
    loaded = load_result(iso.scan(*sides, "cka", permutations=19, **given).save(tmp_path / "s.json"))
    assert loaded.conditions == (
        Condition("baseline", "my twin", "x", "my twin"),
        Condition("ceiling", "seed x", "x", "seed x"),
        Condition("ceiling", "my twin", "y", "my twin"),
    )
    assert loaded.baseline("my twin x").side == "x"
    assert loaded.ceiling("seed x x").name == "seed x"


@pytest.mark.parametrize(
    ("spelling", "found"),
    [
        ("mutual_knn(k=5)", True),
        ("mutual_knn(5)", True),
        ("mutual_knn(similarity='cosine', k=5)", True),
        ("mutual_knn(k=5, similarity='euclidean')", False),
        ("mutual_knn", False),
        ("mutual_knn(k=10)", False),
        ("unbiased_cka", True),
        ("debiased_cka", True),
        ("cka", True),
        ("cka(kernel='linear')", True),
        ("biased_cka", False),
        ("no_metric", False),
        ("no metric (", False),
    ],
)
def test_any_spelling_that_means_a_metric_finds_it_and_no_other_does(sides, spelling, found):
    scanned = iso.scan(*sides, ["mutual_knn(k=5)", "cka"], permutations=19)
    if found:
        assert scanned[spelling].values.size == 1
    else:
        with pytest.raises(KeyError):
            scanned[spelling]


def test_a_scan_of_version_0_1_loads_as_it_was():
    scanned = load_result(DATA / "scan-0.1.json")
    assert scanned["procrustes_distance"].distance
    assert scanned["procrustes_distance"].best().value == scanned["procrustes_distance"].values.min()
    assert scanned["mutual_knn(k=5)"].range == (0.0, 1.0)
    assert scanned.baseline("untrained x") == Condition("baseline", "untrained", "x")
    assert scanned.ceiling("other seed y") == Condition("ceiling", "other seed", "y")
    assert "untrained x" in repr(scanned)


def test_a_stitch_and_a_diagnosis_of_version_0_1_load_as_they_were(tmp_path):
    stitched, found = load_result(DATA / "stitch-0.1.json"), load_result(DATA / "diagnosis-0.1.json")
    assert stitched["ridge"].controls["untrained x"]
    assert stitched.control("untrained x").side == "x"
    again = iso.diagnose(scan=load_result(DATA / "scan-0.1.json"), stitch=stitched)
    assert again.quadrant == found.quadrant
    assert iso.report([load_result(DATA / "scan-0.1.json"), stitched, found], to=tmp_path / "p.html").exists()
