"""`isomorph explain-rdms` and `isomorph searchlight`: files and options reach the result, and errors are in words."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=(2, 12, 4))
    np.save("brains.npy", iso.RDMs.from_patterns([x, x + 0.2 * rng.normal(size=x.shape)]).dissimilarities)
    for name, rows in {"a": x, "b": other}.items():
        np.save(f"{name}.npy", iso.RDMs.from_patterns(rows).dissimilarities)
    np.save("voxels.npy", np.tile(rng.normal(size=(12, 20)), (2, 1)))
    np.save("places.npy", np.arange(20.0)[:, None])
    names = [f"i{k:02d}" for k in range(12)]
    (tmp_path / "shown.txt").write_text("\n".join(names * 2) + "\n", encoding="utf-8")
    (tmp_path / "runs.txt").write_text("\n".join(["1"] * 12 + ["2"] * 12), encoding="utf-8")
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, list(words))


def test_explain_rdms_takes_files_and_options(files):
    done = run("explain-rdms", "brains.npy", "-m", "a=a.npy", "--model", "b=rdms:b.npy", "--method", "ols",
               "--permutations", "19", "--partition", "b", "--partition", "a", "--to", "e.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "brains (2 subjects, n=12) by 2 models, ols, pearson" in done.output
    found = iso.RdmExplanation.load("e.json")
    assert found.partition == ("b", "a")
    assert found.permutations == 19
    expected = iso.explain_rdms("brains.npy", {"a": "a.npy", "b": "b.npy"}, method="ols", permutations=19)
    assert found.to_records() == expected.to_records()


def test_searchlight_takes_files_conditions_and_runs(files):
    done = run("searchlight", "voxels.npy", "places.npy", "-m", "a=a.npy", "--radius", "3", "--permutations", "19",
               "--conditions", "shown.txt", "--runs", "runs.txt", "--distance", "crossnobis")  # fmt: skip
    assert done.exit_code == 0, done.output
    found = iso.Searchlight.load("searchlight.json")
    assert (found.distance, found.n, len(found.centers)) == ("crossnobis", 12, 18)
    assert "Searchlight of voxels" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("explain-rdms", "brains.npy"), "without entries"),
        (("explain-rdms", "brains.npy", "-m", "a.npy"), "NAME=FILE"),
        (("explain-rdms", "none.npy", "-m", "a=a.npy"), "none.npy"),
        (
            ("searchlight", "voxels.npy", "places.npy", "-m", "a=a.npy", "--radius", "3"),
            "has 12 items and responses 24",
        ),
        (("searchlight", "voxels.npy", "places.npy", "-m", "a=a.npy", "--radius", "-1"), "--radius -1"),
    ],
)
def test_what_cannot_be_done_is_said(files, words, said):
    done = run(*words)
    assert isinstance(done.exception, iso.IsomorphError)
    assert said in str(done.exception)
