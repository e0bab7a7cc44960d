"""`isomorph encode` and `isomorph odd-one-out`: files in, tables out, mistakes in a line."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    iso.Layers.from_arrays({"early": RNG.normal(size=(60, 5)), "late": X}).save("m.npz")
    np.save("v.npy", X @ RNG.normal(size=(5, 7)) + RNG.normal(size=(60, 7)))
    (tmp_path / "runs.txt").write_text("\n".join(str(k // 10) for k in range(60)), encoding="utf-8")
    (tmp_path / "short.txt").write_text("1\n\n2\n", encoding="utf-8")


def run(line):
    return CliRunner().invoke(app, line.split())


def test_one_row_a_unit_as_csv_and_npy(tmp_path):
    for table in ("u.csv", "u.npy"):
        done = run(f"encode m.npz v.npy --runs runs.txt --permutations 19 --alphas 0.01 --alphas 1 --table {table}")
        assert done.exit_code == 0, done.output + repr(done.exception)
    found = iso.Encoding.load("encoding.json")
    assert found.options == (0.01, 1.0)
    with open("u.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(r["r"]) for r in rows] == pytest.approx(found.chosen.r.tolist())
    table = np.load("u.npy")
    np.testing.assert_array_equal(table["r"], found.chosen.r)
    assert table["layer"].tolist() == ["late"] * 7
    by_hand = iso.fit_encoding(
        iso.Layers.load("m.npz"), "v.npy", runs=np.arange(60) // 10, permutations=19, alphas=(0.01, 1.0)
    )
    np.testing.assert_array_equal(by_hand.chosen.r, found.chosen.r)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("encode m.npz v.npy --runs short.txt", "line 2 is empty"),
        ("encode m.npz v.npy --table u.xlsx", "u.xlsx"),
        ("encode m.npz v.npy --alphas zero", "alphas holds 'zero'"),
        ("encode m.npz v.npy --layer lat", "late"),
        ("odd-one-out m.npz none.csv", "none.csv"),
    ],
)
def test_mistakes_are_told_in_a_line(line, words):
    done = run(line)
    assert done.exit_code != 0
    assert words in str(done.exception) + done.output
    assert done.exception.__class__.__module__.startswith("isomorph") or isinstance(done.exception, SystemExit)


def test_judgements_from_a_file(tmp_path):
    near = X @ X.T
    asked = np.stack([RNG.permutation(60)[:3] for _ in range(80)])
    odd = near[asked[:, [1, 2, 0]], asked[:, [2, 0, 1]]].argmax(axis=1)
    rows = [[*(r for k, r in enumerate(row) if k != o), row[o]] for row, o in zip(asked.tolist(), odd, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(",".join(map(str, r)) for r in rows), encoding="utf-8")
    done = run("odd-one-out m.npz t.csv --similarity dot --permutations 19 --ceiling 0.67")
    assert done.exit_code == 0, done.output + repr(done.exception)
    found = iso.OddOneOut.load("odd-one-out.json")
    assert (found["late"].accuracy, found.lower) == (1.0, 0.67)
