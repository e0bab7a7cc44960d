"""The command line as a user types it, in a process of its own."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from isomorph import load_dataset, load_encoder, load_result
from isomorph.errors import FetchError, MissingExtraError

ENV = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def isomorph(*arguments, cwd, **kwargs):
    command = [sys.executable, "-m", "isomorph", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=ENV, timeout=600, check=False, **kwargs)


@pytest.fixture
def features(tmp_path):
    """Two files of features of the same items, one of them in another order."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 4))
    ids = np.array([f"i{k}" for k in range(50)])
    order = rng.permutation(50)
    y = z @ rng.normal(size=(4, 6)) + 0.5 * rng.normal(size=(50, 6))
    from isomorph.store import Layers

    x = {"a": z @ rng.normal(size=(4, 8)), "b": rng.normal(size=(50, 8))}
    Layers.from_arrays(x, ids=list(ids)).save(tmp_path / "x.npz")
    Layers.from_arrays({"only": y[order]}, ids=list(ids[order])).save(tmp_path / "y.safetensors")
    return tmp_path


def test_scan_joins_by_id_prints_chance_and_saves_and_report_draws_it(features):
    done = isomorph("scan", "x.npz", "y.safetensors", "-m", "cka", "-m", "mutual_knn(k=5)", cwd=features)
    assert done.returncode == 0, done.stderr
    assert "a × only" in done.stdout
    assert "chance" in done.stdout
    assert json.loads((features / "scan.json").read_text())["kind"] == "scan"
    drawn = isomorph("report", "scan.json", "--to", "page.html", cwd=features)
    assert drawn.returncode == 0, drawn.stderr
    assert (features / "page.html").stat().st_size > 10_000


def test_match_names_items_by_id_and_never_searches_by_it(features):
    done = isomorph("match", "x.npz", "y.safetensors", "--x-layer", "a", "--by-id", "--restarts", "5", cwd=features)
    assert done.returncode == 0, done.stderr
    assert "matchable" in done.stdout
    saved = json.loads((features / "match.json").read_text())
    right = sum(saved["x_ids"][i] == saved["y_ids"][j] for i, j in enumerate(saved["match"]["data"]))
    assert saved["accuracy"] == pytest.approx(right / 50)
    drawn = isomorph("report", "match.json", "--to", "m.html", cwd=features)
    assert drawn.returncode == 0, drawn.stderr
    assert "by the geometry of the two spaces alone" in (features / "m.html").read_text()


def test_scan_takes_labels_ceilings_and_time_series_and_shows_them(features):
    rows = ["id,text,label,session", *(f"i{k},thing {k},{'ab'[k % 2]},s{k // 5}" for k in range(50))]
    (features / "items.csv").write_text("\n".join(rows))
    items = "table(path='items.csv', label=['label', 'session'])"
    few = ["scan", "x.npz", "y.safetensors", "-m", "cka", "--permutations", "49"]
    done = isomorph(
        *few, "--items", items, "--strata", "label", "--x-ceiling", "again=x.npz", "--gallery", cwd=features
    )
    assert done.returncode == 0, done.stderr
    assert "permuted within labels (2 labels)" in done.stdout
    assert "ceiling: again x" in done.stdout
    assert "share of it reached" in done.stdout
    done = isomorph(*few, "--items", items, "--groups", "session", "--in-order", cwd=features)
    assert "permuted as whole groups (10 groups, each in order)" in done.stdout, done.stderr
    done = isomorph(*few, "--circular", cwd=features)
    assert "shifted in a circle as one series" in done.stdout, done.stderr
    refused = isomorph("scan", "x.npz", "y.safetensors", "--circular", cwd=features)
    assert refused.returncode == 2
    assert "a series of 50 items has 49 circular shifts only. Ask for at most 49" in refused.stderr


@pytest.mark.parametrize("kind", ["models", "providers", "metrics", "datasets", "maps", "signatures", "sections"])
def test_list_prints_a_table(kind, tmp_path):
    done = isomorph("list", kind, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "modles"], "Did you mean 'models'"),
        (["scan", "x.npz", "none.npz"], "none.npz"),
        (["scan", "x.npz", "y.safetensors", "-m", "ckaa"], "Did you mean 'cka'"),
        (["scan", "x.npz", "y.safetensors", "-m", "cka(estimator='best')"], "'unbiased'"),
        (["extract", "bundled:dinov2-smal", "emoji(n=3)"], "dinov2-small"),
        (["extract", "bundled:minilm-l6", "emojy(n=3)"], "Did you mean 'emoji'"),
        (["run", "none.toml"], "Cannot read the study"),
        (["report", "x.npz"], "x.npz"),
        (["match", "x.npz", "y.safetensors"], "name one by x_layer: a, b"),
        (["match", "x.npz", "y.safetensors", "--x-layer", "a", "--method", "best"], "use one of 'qap', 'gw'"),
        (["stitch-networks", "none.py:f", "none.py:f", "x.npz", "--cut", "a"], "'data' and 'labels' are needed"),
        (["stitch-networks", "none.py", "none.py:f", "none.py:f", "--cut", "a"], "there is no file none.py"),
    ],
)
def test_what_a_user_can_put_right_is_one_paragraph_and_exit_status_2(features, arguments, message):
    before = sorted(p.name for p in features.iterdir())
    done = isomorph(*arguments, cwd=features)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(p.name for p in features.iterdir()) == before


def test_an_interrupt_says_what_is_kept_and_exits_130(features):
    np.save(features / "big.npy", np.random.default_rng(0).normal(size=(400, 64)).astype(np.float32))
    # a process that was started in the background ignores the signal unless it is told otherwise
    start = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); runpy.run_module('isomorph')"
    )
    start = start.replace("'isomorph'", "'isomorph', run_name='__main__'")
    options = ["scan", "big.npy", "big.npy", "-m", "procrustes", "--permutations", "20000"]
    command = [sys.executable, "-c", start, *options]
    with subprocess.Popen(command, cwd=features, stderr=subprocess.PIPE, text=True, env=ENV) as process:
        try:
            lines = iter(process.stderr.readline, "")
            seen = next((line for line in lines if "scan big" in line), None)
            assert seen is not None, "the scan showed no progress"
            process.send_signal(signal.SIGINT)
            error = process.stderr.read()
        finally:
            process.kill()
    assert process.returncode == 130, error
    assert "Interrupted" in error
    assert "Traceback" not in error
    assert not (features / "scan.json").exists()


@pytest.fixture
def bundled_packages():
    """Everything that the study fetches is in the cache, or the reason why it is not."""
    try:
        for model in ("mobilenet-v2-0.35", "minilm-l6", "resemblyzer"):
            load_encoder(f"bundled:{model}")
        load_dataset("emoji(n=2, speech=True)")
    except (FetchError, MissingExtraError) as error:
        pytest.skip(str(error))


STUDY = """
title = "A small demo"
items = "emoji(n=40, seed=0, speech=True)"
output = "out"
diagnose = true

[encoders.vision]
model = "bundled:mobilenet-v2-0.35"
untrained = true
inputs = true

[encoders.text]
model = "bundled:minilm-l6"
view = "text"

[encoders.speech]
model = "bundled:resemblyzer"

[[scans]]
x = "vision"
y = "text"
metrics = ["mutual_knn(k=5)", "cka"]
selection = "split"

[[scans]]
x = "speech"
y = "text"

[[stitches]]
x = "vision"
y = "text"
maps = ["ridge", "relative(anchors=12)"]
repeats = 2
"""


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.usefixtures("bundled_packages")
def test_a_study_of_real_models_gives_a_page_and_a_second_run_computes_nothing(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    planned = isomorph("run", "study.toml", "--dry-run", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.count("40 of 40 items") == 4
    assert not (tmp_path / "out").exists()

    first = isomorph("run", "study.toml", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "bundled:mobilenet-v2-0.35" in first.stdout
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "untrained mobilenet-v2-0.35" in page
    found = load_result(tmp_path / "out" / "scan-vision-text.json")
    assert found["mutual_knn(k=5)"].best().p_maximum < 0.05

    second = isomorph("run", "study.toml", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert second.stderr.count("all features are there") == 4
    assert second.stderr.count("there and current") == 5
    assert second.stdout == first.stdout


ATLAS = """
items = "emoji(n=20, seed=0)"
output = "out"

[encoders.lite]
model = "bundled:efficientnet-lite{0,1,2}"
untrained = true

[encoders.text]
model = "bundled:minilm-l6"

[[atlases]]
permutations = 99
splits = 2
trends = [{attribute = "parameters", reference = "text"}]
"""


@pytest.mark.thorough
@pytest.mark.real
@pytest.mark.slow
@pytest.mark.usefixtures("bundled_packages")
def test_an_atlas_of_real_models_knows_their_sizes_and_what_else_differs(tmp_path):
    try:
        for k in range(3):
            load_encoder(f"bundled:efficientnet-lite{k}")
    except (FetchError, MissingExtraError) as error:
        pytest.skip(str(error))
    (tmp_path / "study.toml").write_text(ATLAS)
    first = isomorph("run", "study.toml", "--full", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "No trend can be tested over 3 rungs" in first.stdout
    found = json.loads((tmp_path / "out" / "atlas.json").read_text())
    sizes = found["attributes"]["parameters"][:3]
    assert sizes == sorted(sizes)
    assert found["attributes"]["family"][:3] == ["efficientnet-lite"] * 3
    assert set(found["twins"]) == {"lite-0", "lite-1", "lite-2"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Along efficientnet-lite, confounded with size: input size" in page
    second = isomorph("run", "study.toml", "--full", cwd=tmp_path)
    assert second.stderr.count("all features are there") == 7
    assert second.stderr.count("there and current") == 1
    assert second.stdout == first.stdout
    alone = isomorph("report", "out/atlas.json", "--to", "again.html", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert "No trend can be tested over 3 rungs" in (tmp_path / "again.html").read_text(encoding="utf-8")
