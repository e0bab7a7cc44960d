"""What is on disk is valid after a kill at any moment, and what was committed is never computed twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isomorph.store import FeatureStore
from isomorph.store._journal import read_journal

MOMENTS = 25
N = 240


class Child:
    """The process that extracts."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, root, log, every=0.0, pause=0.002, **kill):
        return self.ask(root=str(root), log=str(log), every=every, pause=pause, **kill)

    def finish(self, root, log, **more):
        return self.ask(wait=self.start(root, log, **more))

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def child():
    child = Child()
    yield child
    child.close()


@pytest.fixture
def reference(child, tmp_path):
    """The files of an uninterrupted run."""
    assert child.finish(tmp_path / "reference", tmp_path / "reference.log") == 0
    return files(tmp_path / "reference")


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def encoded(log):
    return [text for line in log.read_text().splitlines() for text in json.loads(line)] if log.exists() else []


def wait_for(log, count):
    deadline = time.monotonic() + 30
    while len(encoded(log)) < count:
        assert time.monotonic() < deadline, "the child does nothing"
        time.sleep(0.002)


def committed(root):
    """The texts whose features the journal says are there."""
    journals = list(root.glob("*/journal"))
    if not journals:
        return set()
    texts = [f"item {i} " + "x" * (i * 37 % 53) for i in range(N)]
    return {texts[p] for p in read_journal(journals[0]).stored}


def survive(child, tmp_path, reference, kill):
    """Kill 25 runs, each on what the one before left; a store that got complete is compared and begun anew."""
    kills, begun, progressed = 0, 0, 0
    root = tmp_path / "store 0"
    while kills < MOMENTS:
        log = tmp_path / f"run {kills} {begun}.log"
        before = committed(root)
        status = kill(root, log)
        assert not before & set(encoded(log)), "a committed item was computed again"
        assert before <= committed(root), "something committed is gone"
        progressed += len(committed(root)) > len(before)
        if status == 0:
            assert files(root) == reference
            begun += 1
            assert begun < 50, "the runs end before they are killed"
            root = tmp_path / f"store {begun}"
            continue
        assert status == -signal.SIGKILL, (tmp_path / f"{log.name}.err").read_text()
        kills += 1
        assert FeatureStore(root).verify() == []
    before, last = committed(root), tmp_path / "last.log"
    assert child.finish(root, last) == 0
    assert set(encoded(last)).isdisjoint(before)
    assert len(encoded(last)) == N - len(before)
    assert files(root) == reference
    assert FeatureStore(root).verify() == []
    assert progressed >= 3


def test_a_run_killed_at_25_random_moments_and_resumed_gives_the_bytes_of_an_uninterrupted_one(
    child, tmp_path, reference
):
    rng = random.Random(0)

    def kill(root, log):
        pid = child.start(root, log)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(pid, signal.SIGKILL)
        return child.ask(wait=pid)

    survive(child, tmp_path, reference, kill)


@pytest.mark.parametrize("journal", [False, True])
def test_a_run_killed_at_25_random_system_calls_even_amid_a_write_gives_the_same_bytes(
    child, tmp_path, reference, journal
):
    rng = random.Random(1 + journal)
    survive(
        child,
        tmp_path,
        reference,
        lambda root, log: child.finish(
            root,
            log,
            every=rng.choice([0.0, 0.01]),
            kill_at=rng.randint(1, 8 if journal else 80),
            torn=rng.random(),
            journal=journal,
        ),
    )


def test_rows_that_were_written_but_not_committed_are_computed_again(child, tmp_path, reference):
    log = tmp_path / "run.log"
    assert child.finish(tmp_path / "store", log, every=1e9, kill_at=100, torn=0, journal=False) == -signal.SIGKILL
    assert encoded(log)
    assert committed(tmp_path / "store") == set()
    assert child.finish(tmp_path / "store", tmp_path / "last.log") == 0
    assert files(tmp_path / "store") == reference


def test_of_two_writers_one_waits_says_so_and_finds_the_work_done(child, tmp_path, reference):
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    first = child.start(tmp_path / "store", logs[0], pause=0.02)
    wait_for(logs[0], 1)
    pids = [first, child.start(tmp_path / "store", logs[1])]
    assert [child.ask(wait=pid) for pid in pids] == [0, 0]
    texts = encoded(logs[0]) + encoded(logs[1])
    assert len(texts) == len(set(texts)) == N
    assert not all(log.exists() for log in logs)
    said = [Path(f"{log}.err").read_text() for log in logs]
    assert sum("another process is writing fake:logging" in s for s in said) == 1
    assert files(tmp_path / "store") == reference


def test_a_second_writer_goes_on_where_a_killed_first_one_stopped(child, tmp_path, reference):
    first = child.start(tmp_path / "store", tmp_path / "a.log", pause=0.01)
    wait_for(tmp_path / "a.log", 20)
    second = child.start(tmp_path / "store", tmp_path / "b.log")
    os.kill(first, signal.SIGKILL)
    assert [child.ask(wait=first), child.ask(wait=second)] == [-signal.SIGKILL, 0]
    assert files(tmp_path / "store") == reference
