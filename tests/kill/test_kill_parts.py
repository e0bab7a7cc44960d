"""Several writers: what is on disk is valid after a kill at any moment, what was committed is not computed again."""

import os
import random
import signal
import time

import pytest

from isomorph.store import FeatureStore

from .test_kill import MOMENTS, Child, N, encoded, wait_for


@pytest.fixture(scope="module")
def child():
    child = Child()
    yield child
    child.close()


@pytest.fixture(scope="module")
def reference(child, tmp_path_factory):
    """What an undisturbed writer of the usual form stores."""
    root = tmp_path_factory.mktemp("reference") / "reference"
    assert child.finish(root, f"{root}.log") == 0
    return features(root)


def features(root):
    """Ids, layers, their bytes and provenance."""
    (entry,) = FeatureStore(root).entries()
    layers = entry.open()
    return layers.ids, {name: rows.tobytes() for name, rows in layers.items()}, layers.provenance


def committed(root):
    """The texts whose features were committed."""
    entries = FeatureStore(root).entries()
    texts = [f"item {i} " + "x" * (i * 37 % 53) for i in range(N)]
    return {texts[p] for p in entries[0].contents.stored} if entries else set()


def survive(child, tmp_path, reference, kill):
    """Kill 25 runs, each on what the one before left; a store that got complete is compared and begun anew."""
    kills, begun, progressed, root = 0, 0, 0, tmp_path / "store 0"
    while kills < MOMENTS:
        log = tmp_path / f"run {kills} {begun}.log"
        before = committed(root)
        status = kill(root, log)
        assert not before & set(encoded(log)), "a committed item was computed again"
        assert before <= committed(root), "something committed is gone"
        assert FeatureStore(root).verify() == []
        progressed += len(committed(root)) > len(before)
        if status == 0:
            assert features(root) == reference
            begun += 1
            assert begun < 50, "the runs end before they are killed"
            root = tmp_path / f"store {begun}"
            continue
        assert status == -signal.SIGKILL, (tmp_path / f"{log.name}.err").read_text()
        kills += 1
    before, last = committed(root), tmp_path / "last.log"
    assert child.finish(root, last, shared=True) == 0
    assert set(encoded(last)).isdisjoint(before)
    assert len(encoded(last)) == N - len(before)
    assert features(root) == reference
    assert progressed >= 3


def test_a_writer_of_parts_killed_at_25_random_moments_gives_the_bytes_of_an_undisturbed_one(
    child, tmp_path, reference
):
    rng = random.Random(0)

    def kill(root, log):
        pid = child.start(root, log, shared=True)
        time.sleep(rng.uniform(0, 0.15))
        os.kill(pid, signal.SIGKILL)
        return child.ask(wait=pid)

    survive(child, tmp_path, reference, kill)


def test_a_writer_of_parts_killed_at_25_random_system_calls_even_amid_a_write_gives_the_same_bytes(
    child, tmp_path, reference
):
    rng = random.Random(1)
    survive(
        child,
        tmp_path,
        reference,
        lambda root, log: child.finish(
            root,
            log,
            shared=True,
            every=rng.choice([0.0, 0.01]),
            kill_at=rng.randint(1, 80),
            torn=rng.random(),
            journal=False,
        ),
    )


def test_four_processes_share_an_entry_though_each_is_killed_again_and_again(child, tmp_path, reference):
    rng, root, kills = random.Random(2), tmp_path / "store", 0
    logs = []
    for round_ in range(7):
        before = committed(root)
        logs = [tmp_path / f"{round_} {i}.log" for i in range(4)]
        pids = [child.start(root, log, pause=0.005, shared=True, share=[i, 4]) for i, log in enumerate(logs)]
        time.sleep(rng.uniform(0.01, 0.06))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        kills += [child.ask(wait=pid) for pid in pids].count(-signal.SIGKILL)
        texts = [text for log in logs for text in encoded(log)]
        assert len(texts) == len(set(texts)), "two shares have an item in common"
        assert not before & set(texts), "a committed item was computed again"
        assert before <= committed(root)
        assert FeatureStore(root).verify() == []
    assert kills >= 7
    before = committed(root)
    logs = [tmp_path / f"last {i}.log" for i in range(4)]
    pids = [child.start(root, log, shared=True, share=[i, 4]) for i, log in enumerate(logs)]
    assert [child.ask(wait=pid) for pid in pids] == [0] * 4
    texts = [text for log in logs for text in encoded(log)]
    assert len(texts) == len(set(texts)) == N - len(before)
    assert features(root) == reference


def test_processes_that_share_nothing_out_compute_an_item_twice_only_before_its_commit(child, tmp_path, reference):
    root, logs = tmp_path / "store", [tmp_path / f"{i}.log" for i in range(3)]
    pids = [child.start(root, log, pause=0.02, shared=True) for log in logs[:2]]
    for log in logs[:2]:
        wait_for(log, 20)
    before = committed(root)
    assert before
    pids.append(child.start(root, logs[2], pause=0.02, shared=True))
    assert [child.ask(wait=pid) for pid in pids] == [0] * 3
    assert not before & set(encoded(logs[2]))
    assert features(root) == reference
    assert FeatureStore(root).verify() == []
    assert sum(len(encoded(log)) for log in logs) < 2 * N  # and they divide the work, though nobody told them how


def test_a_kill_while_parts_are_compacted_loses_nothing(child, tmp_path, reference):
    rng = random.Random(3)
    assert child.finish(tmp_path / "parts", tmp_path / "parts.log", shared=True) == 0
    root = tmp_path / "parts"
    killed = 0
    for _ in range(8):
        status = child.finish(
            root, tmp_path / "x.log", compact=True, kill_at=rng.randint(1, 60), torn=rng.random(), journal=False
        )
        killed += status == -signal.SIGKILL
        assert features(root) == reference
        assert FeatureStore(root).verify() == []
    assert killed
    assert child.finish(root, tmp_path / "x.log", compact=True) == 0
    assert not list(root.glob("*/commits/*.json"))
    assert features(root) == reference
    assert len(list(root.glob("*/*.npy"))) == len(reference[1])
