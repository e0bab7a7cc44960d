"""`isomorph run`, `scan` and `stitch` killed at any moment: files are whole, and a second run gives the same bytes."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import isomorph as iso

from .test_kill import Child, files

MOMENTS = {"run": 12, "scan": 25, "stitch": 20}
WORDS = ["red apple", "green pear", "blue car", "fast train", "small bird", "big dog", "old cat", "new house"] * 5
STUDY = """title = "Letters"
output = "out"
items = "table(path='items.csv')"
diagnose = true
[encoders.a]
model = "letters-a"
untrained = true
[encoders.b]
model = "letters-b"
[[scans]]
x = "a"
y = "b"
metrics = ["cka", "mutual_knn(k=3)"]
permutations = 20
[[stitches]]
x = "a"
y = "b"
maps = ["ridge"]
repeats = 2
permutations = 2
draws = 100
"""
COMMANDS = {
    "run": ["run", "study.toml"],
    "scan": ["scan", "x.npz", "y.npz", "-m", "cka", "-m", "rsa", "--permutations", "100", "--to", "result.json"],
    "stitch": [
        *("stitch", "x.npz", "y.npz", "--map", "ridge", "--repeats", "2", "--permutations", "2", "--draws", "100"),
        *("--no-curves", "--to", "result.json"),
    ],
}


@pytest.fixture
def child():
    child = Child()
    yield child
    child.close()


def prepare(folder):
    folder.mkdir()
    rows = "".join(f"i{k},{word} {k},kind-{k % 4}\n" for k, word in enumerate(WORDS))
    (folder / "items.csv").write_text("id,text,label\n" + rows)
    (folder / "study.toml").write_text(STUDY)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    iso.Layers.from_arrays({"one": x, "two": np.tanh(x)}).save(folder / "x.npz")
    iso.Layers.from_arrays({"one": x @ rng.normal(size=(6, 5)) + rng.normal(size=(40, 5))}).save(folder / "y.npz")
    return folder


def whole(folder, reference):
    """Every file is one of the undisturbed run, but for the features, which grow, and what the next write sweeps."""
    for name, content in files(folder).items():
        if "features" in name or name.endswith(".lock") or _is_temporary(name):
            continue
        assert name in reference, f"{name} was left"
        assert content == reference[name], f"{name} is not whole"
    if (folder / "out" / "features").exists():
        assert iso.FeatureStore(folder / "out" / "features").verify() == []


def _is_temporary(name):
    return Path(name).name.startswith(".isomorph-")


def results(folder):
    """When the results were written, to the nanosecond."""
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.glob("out/*.json")}


def undisturbed(child, tmp_path, command):
    """The folder of an undisturbed run, its seconds, and how many calls it made that change what is on disk."""
    folder = prepare(tmp_path / "reference")
    log = tmp_path / "reference.log"
    request = {"root": str(folder), "log": str(log), "command": COMMANDS[command]}
    count = {"kill_at": 0, "torn": 0, "journal": False}
    assert child.ask(wait=child.ask(**request, **count)) == 0, Path(f"{log}.err").read_text()
    facts = json.loads(Path(f"{log}.facts").read_text())
    child.ask(**{"import": facts["modules"]})
    again = {"root": str(prepare(tmp_path / "again"))}
    begun = time.monotonic()
    assert child.ask(wait=child.ask(**(request | again))) == 0
    length = time.monotonic() - begun
    assert files(tmp_path / "again") == files(folder)
    return folder, length, facts["calls"]


def survive(child, tmp_path, command, kill, times):
    """Kill run after run, each on what the one before left; a folder that got complete is compared and begun anew."""
    words = COMMANDS[command]
    done, length, calls = undisturbed(child, tmp_path, command)
    reference = files(done)
    kills = complete = kept = 0
    folder = prepare(tmp_path / "folder 0")
    while kills < times:
        log = str(tmp_path / f"{kills} {complete}.log")
        before = results(folder)
        status = kill({"root": str(folder), "log": log, "command": words}, length, calls)
        after = results(folder)
        assert before.items() <= after.items(), "a result that was there was made again"
        kept += bool(before)
        whole(folder, reference)
        if status == 0:
            assert files(folder) == reference
            complete += 1
            assert complete < 60, "the runs end before they are killed"
            folder = prepare(tmp_path / f"folder {complete}")
            continue
        assert status == -signal.SIGKILL, (tmp_path / f"{log}.err").read_text()
        kills += 1
    last = str(tmp_path / "last.log")
    assert child.ask(wait=child.ask(root=str(folder), log=last, command=words)) == 0
    assert files(folder) == reference
    assert command != "run" or kept, "no kill fell after the first result"


def at_a_moment(child, rng):
    def kill(request, length, calls):
        pid = child.ask(**request)
        time.sleep(rng.uniform(0, length))
        os.kill(pid, signal.SIGKILL)
        return child.ask(wait=pid)

    return kill


def at_a_system_call(child, rng):
    turns = itertools.count()

    def kill(request, length, calls):
        first = 1 if next(turns) % 2 else calls - calls // 10  # every other one late, where results are written
        at = {"kill_at": rng.randint(first, calls), "torn": rng.random(), "journal": False}
        return child.ask(wait=child.ask(**request, **at))

    return kill


@pytest.mark.thorough
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_killed_at_random_moments_and_run_again_gives_the_same_bytes(child, tmp_path, command):
    survive(child, tmp_path, command, at_a_moment(child, random.Random(10)), MOMENTS[command])


@pytest.mark.parametrize("command", ["run", "scan", pytest.param("stitch", marks=pytest.mark.thorough)])
def test_a_command_killed_at_random_system_calls_and_run_again_gives_the_same_bytes(child, tmp_path, command):
    times = 4 if command == "run" else MOMENTS[command]  # each takes seconds
    survive(child, tmp_path, command, at_a_system_call(child, random.Random(11)), times)


@pytest.mark.parametrize("command", ["scan", pytest.param("stitch", marks=pytest.mark.thorough)])
def test_a_result_that_is_replaced_is_the_old_one_or_the_new_one_whole(child, tmp_path, command):
    rng = random.Random(12)
    folder, length, calls = undisturbed(child, tmp_path, command)
    request = {"root": str(folder), "log": str(tmp_path / "log"), "command": COMMANDS[command]}
    new = (folder / "result.json").read_bytes()
    names, seen = set(files(folder)), set()
    for _ in range(MOMENTS[command]):
        (folder / "result.json").write_bytes(b"old")
        kill = rng.choice([at_a_moment(child, rng), at_a_system_call(child, rng)])
        assert kill(request, length, calls) in (0, -signal.SIGKILL)
        found = (folder / "result.json").read_bytes()
        assert found in (b"old", new)
        seen.add(found)
        assert set(files(folder)) <= names | set(filter(_is_temporary, files(folder)))
    assert seen == {b"old", new}, "the kills fell all before or all after the writing"
    assert child.ask(wait=child.ask(**request)) == 0
    assert set(files(folder)) == names, "what a kill left is still there after the next write"
