"""The command line: every command with odd arguments, in this process and in its own."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import strategies as st
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import COMMANDS, app

from .guard import Door

_RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with features, a table, results and files that are none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ISOMORPH_PROGRESS", "0")
    x = _RNG.normal(size=(12, 3))
    y = x + _RNG.normal(size=(12, 3))
    iso.Layers.from_arrays({"one": x, "two": x**2}).save("x.npz")
    iso.Layers.from_arrays({"one": y}).save("y.safetensors")
    np.save("z.npy", x[:5])
    np.save("rdms.npy", [np.linalg.norm(v[:, None] - v[None], axis=2) for v in (x, y, x + y)])
    iso.scan(x, y, ["cka"], permutations=20).save("scan-0.json")
    iso.fit_map(y, y, permutations=19).save("map.json")
    (tmp_path / "items.csv").write_text("id,text,label\n" + "".join(f"{k},text {k},{'ab'[k % 2]}\n" for k in range(12)))
    (tmp_path / "broken.json").write_text('{"isomorph": 1, "kind": "scan"')
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "study.toml").write_text('items = "table(path=\'items.csv\')"\n[encoders.a]\nmodel = "no-such:a"\n')
    (tmp_path / "folder").mkdir()
    return tmp_path


FILES = (
    *(
        "x.npz",
        "x.npz",
        "y.safetensors",
        "y.safetensors",
        "z.npy",
        "scan-0.json",
        "broken.json",
        "empty.npz",
        "items.csv",
        "study.toml",
    ),
    *(
        "no-such.npz",
        "folder",
        "/dev/null",
        "/dev/zero",
        "",
        "a" * 300,
        "\ud800",
        "é",
        "-",
        ".",
        "x.npz=y",
        "a=x.npz",
        "b=y.safetensors",
    ),
)
VALUES = (
    *(
        "1",
        "2",
        "0",
        "-1",
        "19",
        "0.5",
        "1.5",
        "nan",
        "inf",
        "1e999",
        "9" * 400,
        "1000000000",
        "",
        "x",
        "label",
        "None",
        "[]",
        "{}",
    ),
    *(
        "cka",
        "mutual_knn(k=3)",
        "rsa",
        "ridge",
        "orthogonal",
        "qap",
        "item",
        "4GB",
        "1KB",
        "table(path='items.csv')",
        "emoji(n=5)",
    ),
    *("\ud800", "é", "a" * 300, "=1+1", "all", "split", "csls", "true", "float32", "a=x.npz"),
)
QUICK = {
    "scan": ["--permutations", "20", "-m", "cka"],
    "stitch": ["--permutations", "1", "--repeats", "2", "--draws", "100", "--map", "ridge", "--no-curves"],
    "match": ["--restarts", "2", "--bootstraps", "2", "--surrogates", "2"],
    "concepts": ["--permutations", "19", "-m", "cka", "--folds", "2"],
    "power": ["-m", "cka", "--rank", "2", "--trials", "5"],
    "fit-map": ["--permutations", "19", "--draws", "50"],
    "compare-models": ["--permutations", "19", "--bootstraps", "20", "--model", "x=x.npz"],
    "apply": ["--to", "mapped.npy", "--overwrite"],
}
POSITIONAL = {
    "scan": 2,
    "stitch": 2,
    "fit-map": 2,
    "compare-models": 1,
    "apply": 2,
    "match": 2,
    "concepts": 2,
    "diagnose": 2,
    "report": 1,
    "extract": 2,
    "run": 1,
    "power": 3,
    "list": 1,
}


def _options(command):
    """The long options of a command, from its help."""
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    words = {w.strip(",[]") for w in text.replace("/", " ").split() if w.startswith("--")}
    return sorted(words - {"--help", "--force"})


def _arguments(draw, command, options):
    count = POSITIONAL[command] if draw(st.integers(0, 7)) else draw(st.integers(0, 4))
    pool = {
        "power": ("12", "3", "4", *VALUES),
        "list": ("metrics", "maps", "datasets", "models", "sides", *VALUES),
    }.get(command, FILES)
    good = {
        "scan": ["x.npz", "y.safetensors"],
        "stitch": ["x.npz", "y.safetensors"],
        "match": ["z.npy", "z.npy"],
        "fit-map": ["y.safetensors", "y.safetensors"],
        "compare-models": ["rdms.npy"],
        "apply": ["map.json", "y.safetensors"],
        "concepts": ["x.npz", "y.safetensors"],
        "diagnose": ["x.npz", "y.safetensors"],
        "report": ["scan-0.json"],
        "power": ["8", "3", "3"],
        "list": ["metrics"],
    }.get(command)
    given = good if good and draw(st.integers(0, 2)) else [draw(st.sampled_from(pool)) for _ in range(count)]
    words = [*given, *QUICK.get(command, [])]
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        words.append(draw(st.sampled_from(options or ["--x"])))
        if draw(st.integers(0, 5)):
            words.append(draw(st.sampled_from(VALUES if draw(st.integers(0, 2)) else FILES)))
    return [command, *words]


def _run(words):
    """Run a command in this process: its error is raised, and its exit status is one of those that are documented."""
    result = CliRunner().invoke(app, words, catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    # 2: the arguments themselves, said by the parser
    assert result.exit_code in (0, 2), f"exit status {result.exit_code}: {result.output[-300:]}"
    assert "Traceback" not in result.output
    return result.exit_code == 0


@pytest.mark.parametrize("command", sorted(POSITIONAL))
def test_commands(command, folder):
    assert command in COMMANDS
    door = Door(f"isomorph {command}")
    options = _options(command)
    assert options or command == "list", "no options were found in the help"
    done = []

    def case(draw):
        words = _arguments(draw, command, options)
        if command == "run":
            words.append("--dry-run")
        done.append(door(f"isomorph {words}"[:500], lambda: _run(words)) is True)

    door.cases_of({"power": 15, "report": 40, "extract": 120, "run": 100}.get(command, 110), case)
    assert not list(folder.rglob(".isomorph-*"))
    door.verdict(0.0)
    assert command in {"extract", "run"} or any(done), "no case was answered"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["scan", "x.npz", "y.safetensors", "-m", "cka", "--permutations", "20"], 0),
        (["scan", "x.npz", "broken.json"], 2),
        (["scan", "x.npz", "/dev/zero"], 2),
        (["scan", "x.npz", "y.safetensors", "--to", "/dev/null"], 2),
        (["report", "broken.json"], 2),
        (["run", "study.toml"], 2),
        (["no-such"], 2),
    ],
)
def test_the_program_ends_with_its_status_and_without_a_traceback(words, status, folder):
    before = {p.name for p in folder.iterdir()}
    done = subprocess.run(
        [sys.executable, "-m", "isomorph", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == status, done.stderr[-2000:]
    assert "Traceback" not in done.stderr + done.stdout
    assert {p.name for p in folder.iterdir()} - before <= ({"scan.json"} if status == 0 else set())
