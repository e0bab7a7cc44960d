"""Noise ceilings of subjects are drawn: over the layers of a model, and beside all models."""

import re

import numpy as np
import pytest
from scipy.spatial.distance import pdist

import isomorph as iso
from isomorph.reporting import report

N = 24


@pytest.fixture(scope="module")
def scans():
    rng = np.random.default_rng(0)
    space = rng.normal(size=(N, 5))
    brains = [pdist(space + rng.normal(size=space.shape)) for _ in range(4)]
    rdms = iso.RDMs.from_arrays(brains, subjects=["s1", "s2", "s3", "s4"])
    model = {"early": rng.normal(size=(N, 5)), "late": space[:, :3], "whole": space}
    metric = "rsa(dissimilarity='euclidean')"
    return (
        iso.scan(rdms, model, metric, permutations=19, x_name="it", y_name="model"),
        iso.scan({"only": space}, rdms, metric, permutations=19, x_name="space", y_name="it"),
    )


def figures(scans, tmp_path):
    report(list(scans), tmp_path / "r.html", figures=True)
    return {path.stem: path.read_text() for path in tmp_path.rglob("*.svg")}


def test_every_layer_is_drawn_under_the_ceiling_of_the_subjects(scans, tmp_path):
    drawn = figures(scans, tmp_path)
    (name,) = [k for k in drawn if re.search(r"ceiling-[xy]$", k)]  # one layer alone has no curve
    found = next(iter(scans[0].values())).noise_ceilings["x"]
    title = re.search("<title[^>]*>(.*?)</title>", drawn[name])[1]
    assert [f"{v:.3f}" for v in found["score"]] == re.findall(r"(-?\d\.\d{3})[,;]", title.split("subjects: ")[1])
    assert f"noise ceiling {found['lower']:.3f} to {found['upper']:.3f}" in title
    assert drawn[name].count('class="ceiling"') == 2  # the band and its key
    # a disc is filled where the ceiling is reached, here by the whole space alone
    assert found["verdict"][-1] == "at the ceiling"
    discs = re.findall(r'<circle[^>]*class="(m0[^"]*)"', drawn[name])
    assert discs.count("m0") == 1 + sum(v == "at the ceiling" for v in found["verdict"])  # and that of the key
    assert not any("depth-x" in k for k in drawn)  # subjects have no depth to go along


def test_the_overview_has_every_model_beside_the_ceiling(scans, tmp_path):
    drawn = figures(scans, tmp_path)
    (name,) = [k for k in drawn if "overview-ceiling" in k]
    assert "model with it" in drawn[name]
    assert "space with it" in drawn[name]
    assert drawn[name].count('class="ceiling"') == 3  # one a row, and the key
    assert "Beside the noise ceiling a filled disc" in (tmp_path / "r.html").read_text()


def test_results_of_before_the_error_was_kept_are_drawn_without_it(scans, tmp_path):
    text = scans[0].to_json()
    old = re.sub(r'"error": ?(\[[^\]]*\]|\{[^}]*\}), ?', "", text)
    assert old != text
    (tmp_path / "old.json").write_text(old)
    loaded = iso.Scan.load(tmp_path / "old.json")
    assert next(iter(loaded.values())).noise_ceilings["x"]["error"] is None
    report([loaded], tmp_path / "r.html", figures=False)
    assert "noise ceiling" in (tmp_path / "r.html").read_text()
