"""Workers of Ray: the same results wherever pieces are done, and errors that say what to do."""

import contextlib
import dataclasses
import doctest
import hashlib
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import isomorph as iso
from isomorph import workers as module
from isomorph._core.parallel import on_pool, spread
from isomorph._core.provenance import versions
from isomorph.atlases import _tiles
from isomorph.errors import InputError
from isomorph.study._pieces import Encodings
from isomorph.workers import RayWorkers

ray = pytest.importorskip("ray")
KILLS = int(os.environ.get("ISOMORPH_KILLS", "2"))  # each costs the start of a process
pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

STUDY = """
items = "arrays(paths='pets.npz')"
diagnose = true
encoders.vision = {model = "statistics:features", view = "image", batch_size = 8}
encoders.text = {model = "statistics:features", view = "caption", batch_size = 8}
scans = [{x = "vision", y = "text", metrics = ["cka", "mutual_knn(k=5)"], permutations = 40}]
stitches = [{x = "vision", y = "text", maps = ["ridge"], repeats = 2}]
atlases = [{metrics = ["cka"], permutations = 40}]
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, noise = np.random.default_rng(0).normal(size=(2, 240, 6))
    np.savez("pets.npz", image=x, caption=x + noise)
    Path("study.toml").write_text(STUDY)
    return lambda output: iso.load_study("study.toml", output=output)


@pytest.fixture(scope="module")
def started():
    """Ray, started once for all tests of this module; workers come and go."""
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def digests(folder):
    """Every file of results and features, but for the page and what only writers read."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix in (".json", ".npy") and "commits" not in path.parts and path.name != "division.json":
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_a_study_gives_the_same_bytes_in_one_process_on_two_and_four_workers_and_in_shares(study, started):
    iso.run(study("here"), say=lambda _: None)
    wanted = digests("here")
    assert len(wanted) == 9
    for count in (2, 4):
        iso.run(study(f"on-{count}"), on=RayWorkers(workers=count, threads=1), say=lambda _: None)
        assert digests(f"on-{count}") == wanted
    said = []
    for share in ((0, 3), (2, 3), (1, 3), (2, 3), (0, 3)):
        iso.run(study("shares"), share=share, say=said.append)
    assert any("items of other shares are not encoded yet" in line for line in said)
    assert any("Steps of other shares are not there yet" in line for line in said)
    last = []
    outcome = iso.run(study("shares"), say=last.append)
    assert outcome.page.exists()
    assert sum("there and current" in line for line in last) == 4  # nothing but the page was left
    assert study("shares").store.compact() > 0
    assert digests("shares") == wanted


def test_the_example_of_the_page_on_machines_runs(tmp_path, monkeypatch, started):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "machines.md").read_text(encoding="utf-8")
    examples = doctest.DocTestParser().get_doctest(page, {}, "machines.md", "docs/machines.md", 0)
    found = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(examples)
    assert found.attempted >= 8
    assert not found.failed


def slow_square(shared, piece):
    time.sleep(0.03)
    return shared * piece**2


class Killer:
    """Kills workers at random moments, within a block."""

    def __init__(self, workers, seed):
        self.workers, self.rng, self.killed = workers, np.random.default_rng(seed), 0

    def __enter__(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def run(self):
        while self.killed < KILLS and not self.stop.wait(float(self.rng.uniform(0.05, 0.5))):
            with contextlib.suppress(ray.exceptions.RayError, ProcessLookupError):  # it is being started again
                running = self.workers.processes()
                if running:
                    os.kill(int(self.rng.choice(running)), signal.SIGKILL)
                    self.killed += 1


def test_pieces_whose_workers_are_killed_at_random_moments_are_done_again_and_give_the_same(started, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", max(KILLS, module.RETRIES))  # all kills may meet one piece
    with RayWorkers(workers=3) as workers, Killer(workers, 0) as killer:
        found = {}
        while killer.killed < KILLS:
            found |= dict(spread(slow_square, 3, range(60)))
    assert found == {k: 3 * k**2 for k in range(60)}


def test_a_study_whose_workers_are_killed_gives_the_same_bytes(study, started):
    iso.run(study("here"), say=lambda _: None)
    killed = 0
    while killed < KILLS:
        workers = RayWorkers(workers=2, threads=1)
        with Killer(workers, killed) as killer:
            iso.run(study(f"killed-{killed}"), on=workers, say=lambda _: None)
        assert digests(f"killed-{killed}") == digests("here")
        killed += max(killer.killed, 1)


def fails(shared, piece):
    if piece == "ours":
        raise iso.UnknownNameError("metric", "ckka", ["cka"])
    if piece == "bug":
        raise ZeroDivisionError("a bug")
    os._exit(1)


def test_what_a_piece_finds_wrong_comes_back_as_it_is_and_a_lost_piece_is_given_up_in_words(started, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 1)
    with RayWorkers(workers=1) as workers:
        with pytest.raises(iso.UnknownNameError, match="Did you mean 'cka'"):
            list(workers.run(fails, None, ["ours"]))
        with pytest.raises(ZeroDivisionError, match="a bug") as bug:
            list(workers.run(fails, None, ["bug"]))
        assert "test_workers.py" in str(bug.value.__cause__)  # where it was raised, in the worker
        with pytest.raises(iso.IsomorphError, match="lost 2 times over the same piece"):
            list(workers.run(fails, None, ["exit"]))


def told(shared, name):
    return name in sys.modules, versions().get(name)


def test_a_worker_says_which_packages_its_process_had_loaded_and_loads_none_of_them(started):
    there = __import__("onnxruntime")
    with RayWorkers(workers=1) as workers:
        assert dict(workers.run(told, None, ["onnxruntime"])) == {0: (False, there.__version__)}


def test_workers_of_another_version_are_refused_before_anything_is_computed(started, monkeypatch):
    here = module._facts()
    monkeypatch.setattr(module, "_facts", lambda: here._replace(versions={**here.versions, "numpy": "1.0"}))
    with pytest.raises(iso.InputError, match=r"has numpy \d\S*, and here is 1\.0: results would not be the same"):
        RayWorkers(workers=1).__enter__()


def test_more_than_there_is_is_refused_in_words(started, monkeypatch):
    for arguments, said in (
        ({"workers": 2, "gpus": 1}, "gpus=1 for each of 2 workers: this machine has 0 in all"),
        ({"workers": 2, "memory": "900TB"}, "memory=9e\\+14 for each of 2 workers"),
    ):
        with pytest.raises(iso.InputError, match=said):
            RayWorkers(**arguments).__enter__()
    monkeypatch.setattr(module, "WAIT", 0.3)
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:6379")  # of a cluster, which may grow
    with pytest.raises(iso.InputError, match="workers did not start within"):
        RayWorkers(workers=2, gpus=1).__enter__()


def test_a_crowd_of_workers_is_refused_before_any_is_started(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(module, "_connect", None)
    with pytest.raises(iso.InputError, match=r"workers=100000: this machine has \d+ processors"):
        RayWorkers(workers=100_000).__enter__()


def test_weights_or_items_that_are_not_those_of_the_study_are_refused(study):
    shared = dataclasses.replace(study("out"), shared=True)
    with pytest.raises(iso.InputError, match=r"encoders\.vision: on .* the features would be others"):
        Encodings(shared, ("another", "another")).extraction(0)


def test_an_address_that_does_not_answer_is_told_in_time():
    code = "import sys, isomorph as iso\nfor where in sys.argv[1:]:\n" \
        "    try: iso.RayWorkers(where).__enter__()\n    except iso.InputError as error: print(error)"  # fmt: skip
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        silent.listen()
        addresses = [f"ray://localhost:{silent.getsockname()[1]}", "ray://localhost:1"]
        done = subprocess.run(
            [sys.executable, "-c", code, *addresses], capture_output=True, text=True, timeout=90, check=False
        )
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["on='ray"] * 2, done.stderr
    assert all("nothing answers at" in line for line in lines)


def test_an_address_is_not_passed_over_where_there_is_another_connection(started):
    with pytest.raises(iso.InputError, match="connected to Ray already"):
        RayWorkers("ray://localhost:1").__enter__()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"where": "slurm"}, "on='slurm': known are 'ray'"),
        ({"where": 3}, "on=3"),
        ({"where": "ray://me:word@host:1"}, "on= holds a user or password"),
        ({"workers": 0}, "workers=0"),
        ({"gpus": -1}, "gpus=-1"),
        ({"gpus": float("nan")}, "gpus=nan"),
        ({"memory": "much"}, "memory='much'"),
        ({"threads": 0.5}, "threads=0.5"),
    ],
)
def test_wrong_arguments_are_answered_at_once(arguments, said):
    with pytest.raises(iso.InputError, match="^" + re.escape(said)):
        RayWorkers(**arguments)


def test_a_study_takes_workers_or_a_share(study):
    with pytest.raises(iso.InputError, match="give one of them"):
        iso.run(study("out"), on="ray", share=(0, 2))
    with pytest.raises(iso.InputError, match=r"share=\(2, 2\)"):
        iso.run(study("out"), share=(2, 2))
    with pytest.raises(iso.InputError, match="on= takes 'ray', an address"):
        iso.run(study("out"), on=5)
    inside = dataclasses.replace(study("out"), features="memory://here")
    for where in ({"on": "ray"}, {"share": (0, 2)}):
        with pytest.raises(iso.InputError, match="in the memory of this process"):
            iso.run(inside, **where)
    assert not Path("out").exists()


def test_a_worker_goes_on_with_pieces_that_are_alike():
    queue = module._Queue(["a"] * 4 + ["b"] * 4 + ["c"])
    taken = {worker: [queue.take(worker) for _ in range(3)] for worker in ("one", "two")}
    assert taken == {"one": [0, 1, 2], "two": [4, 5, 6]}
    assert sorted([queue.take("one"), queue.take("two"), queue.take("one")]) == [3, 7, 8]
    assert queue.take("two") is None


class Elsewhere:
    """Does pieces backwards, each as if no other had been done before it where it is done."""

    def __init__(self, size=1):
        self.size, self.given = size, []

    def run(self, job, shared, pieces):
        self.given.append(len(pieces))
        for number in reversed(range(len(pieces))):
            yield number, job(pickle.loads(pickle.dumps(shared)), pieces[number])


@pytest.mark.parametrize(
    ("workers", "given"),
    [
        (1, [0, 4]),  # a metric each
        (7, [0, 4]),
        (8, [8, 4]),  # and the re-pairings of each metric in two parts, which are whole blocks of them
        (99, [12, 4]),  # there are three blocks
    ],
)
def test_metrics_and_re_pairings_of_a_scan_give_the_same_bytes_in_any_order_anywhere(workers, given):
    rng = np.random.default_rng(0)
    x, y, twin = ({f"l{j}": rng.normal(size=(60, 5)) for j in range(2)} for _ in range(3))
    y["l1"] = x["l0"] + y["l1"]
    settings = {"metrics": ["cka", "mutual_knn(k=5)", "rsa", "cka(kernel='rbf')"], "permutations": 130}
    settings |= {"x_baselines": {"twin": twin}, "memory": "64MB"}
    here = iso.scan(x, y, **settings)
    pool = Elsewhere(workers)
    with on_pool(pool):
        elsewhere = iso.scan(x, y, **settings)
    assert pool.given == given
    assert list(elsewhere) == list(here)
    assert elsewhere.to_json() == here.to_json()


@pytest.mark.parametrize(
    "metric", ["svcca", "linear_predictivity", "procrustes", "ridge_predictivity", "soft_matching"]
)
def test_re_pairings_of_one_metric_on_many_workers_give_the_same_bytes(metric):
    rng = np.random.default_rng(0)
    x, y, constant = ({f"l{j}": rng.normal(size=(60, 5)).astype("f4") for j in range(2)} for _ in range(3))
    constant["l1"] = np.ones((60, 5), "f4")  # most metrics are not defined on it, which is told once
    settings = {"metrics": [metric], "permutations": 130, "y_baselines": {"broken": constant}}
    settings |= {"groups": [k // 3 for k in range(60)]}
    here = iso.scan(x, y, **settings)
    with on_pool(Elsewhere(2)):
        assert iso.scan(x, y, **settings).to_json() == here.to_json()


def test_what_is_wrong_under_a_re_pairing_is_told_as_in_one_process():
    x, y = np.random.default_rng(0).normal(size=(2, 60, 5))
    for pool in (None, Elsewhere(9)):
        with on_pool(pool), pytest.raises(InputError, match=r"k=70.* 60 items"):
            iso.scan(x, y, metrics=["mutual_knn(k=70)"])


@pytest.mark.parametrize(
    "metric",
    ["cka", "mutual_knn(k=5)", "procrustes"]
    + [pytest.param(m, marks=pytest.mark.thorough) for m in ("linear_predictivity", "rsa", "cca")],
)
def test_pieces_of_an_atlas_give_the_same_bytes_in_any_order_anywhere(metric, monkeypatch):
    monkeypatch.setattr(_tiles, "TILE", 4)
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 6))
    models = {
        f"m{i}": {f"l{j}": (base @ rng.normal(size=(6, 5)) + rng.normal(size=(60, 5))).astype("f4") for j in range(2)}
        for i in range(4)
    }
    here = iso.atlas(models, metrics=[metric], permutations=70, splits=2)
    with on_pool(Elsewhere()):
        elsewhere = iso.atlas(models, metrics=[metric], permutations=70, splits=2)
    assert elsewhere.to_json() == here.to_json()
