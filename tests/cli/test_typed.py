"""What was typed is named as it was typed; what is empty is refused; a share says whether the whole is there."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app

STUDY = """
output = "out"
items = "arrays(paths='pets.npz')"
encoders.vision = {model = "statistics:features", view = "image"}
encoders.text = {model = "statistics:features", view = "caption"}
scans = [{x = "vision", y = "text", metrics = ["cka"], permutations = 20}]
"""


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
    np.savez("pets.npz", image=x, caption=x + noise)
    for name, given in (("x", x), ("y", x + noise)):
        iso.Layers.from_arrays({"last": given}).save(f"{name}.npz")
    Path("study.toml").write_text(STUDY)


def call(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("scan", "x.npz", "y.npz", "--alpha", "2"), "--alpha 2.0: "),
        (("scan", "x.npz", "y.npz", "--memory=much"), "--memory 'much' is no size"),
        (("stitch", "x.npz", "y.npz", "--test-fraction", "7"), "--test-fraction 7.0 must lie"),
        (("run", "study.toml", "--on", "ray", "--workers", "-1"), "--workers -1: "),
        (("run", "study.toml", "--on", "ray", "--per-worker-gpu", "-1"), "--per-worker-gpu -1.0: "),
        (("run", "study.toml", "--on", "ray", "--per-worker-memory", "much"), "--per-worker-memory 'much'"),
        (("scan", "x.npz", "y.npz", "--to", "x.npz/s.json"), "--to "),
        (("scna", "x.npz", "y.npz"), "Unknown command 'scna'. Did you mean 'scan'"),
        (("list", "metrcs"), "Unknown list 'metrcs'. Did you mean 'metrics'"),
    ],
)
def test_a_message_names_the_option_as_it_was_typed_and_what_is_near(arguments, says):
    pytest.importorskip("ray")
    done = call(*arguments)
    assert isinstance(done.exception, iso.InputError), done.output
    assert str(done.exception).startswith(says)


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (("scan", "x.npz", "y.npz", "--output", "found.json"), "--to"),
        (("scan", "x.npz", "y.npz", "-o", "found.json"), "--to"),
        (("run", "study.toml", "--to", "folder"), "--output"),
        (("demo", "--out", "folder"), "--output"),
    ],
)
def test_who_says_where_to_write_with_another_command_s_option_is_told_of_this_one_s(arguments, right):
    done = call(*arguments)
    assert done.exit_code == 2
    assert f"No such option: {arguments[-2]} (Possible options: {right})" in done.output


def test_what_was_not_typed_keeps_the_name_that_a_study_gives_it():
    Path("study.toml").write_text(STUDY.replace("permutations = 20", "alpha = 2"))
    assert "[[scans]]: alpha=2" in str(call("run", "study.toml").exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "study.toml", "--output", ""), "--output is empty"),
        (("run", "study.toml", "--features="), "--features is empty"),
        (("scan", "x.npz", "y.npz", "-m", ""), "-m is empty"),
        (("init", ""), "An argument is empty"),
        (("open", ""), "An argument is empty"),
    ],
)
def test_what_is_empty_is_refused_before_anything_is_done(arguments, says):
    before = sorted(Path().iterdir())
    done = call(*arguments)
    assert isinstance(done.exception, iso.InputError), done.output
    assert says in str(done.exception)
    assert sorted(Path().iterdir()) == before


def test_a_share_says_whether_the_results_of_all_are_there():
    told = [json.loads(call("run", "study.toml", "--shard", s, "--json").stdout) for s in ("1/2", "2/2", "1/2", "2/2")]
    assert [t["share"] for t in told] == ["1/2", "2/2", "1/2", "2/2"]
    # the first has the other half of the items to wait for; the second completes them, and the only step is the first's
    assert [t["finished"] for t in told] == [False, False, True, True]
    assert [[r["x_name"] for r in t["results"]] for t in told] == [[], [], ["vision"], ["vision"]]


def test_init_and_open_tell_programs_where_things_are(monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert json.loads(call("init", "mine.toml", "--json").stdout) == {"file": "mine.toml"}
    Path("report.html").write_text("<p>page</p>")
    assert json.loads(call("open", "--json", ".").stdout) == {
        "page": str(Path("report.html").resolve()),
        "opened": False,
    }


def test_a_stitch_holds_out_the_items_that_a_file_names():
    held = [f"{i}" for i in range(12)]
    ids = [f"{i}" for i in range(60)]
    for name in ("x", "y"):
        iso.Layers.from_arrays({"last": iso.Layers.load(f"{name}.npz", ids=ids)["last"]}, ids=ids).save(f"{name}2.npz")
    Path("held.txt").write_text("\n".join(held))
    done = call(
        "stitch", "x2.npz", "y2.npz", "--map", "ridge", "--permutations", "2", "--test", "held.txt", "--no-curves"
    )
    assert done.exit_code == 0, done.output
    assert tuple(iso.load_result("stitch.json").n_test) == (12,)


@pytest.mark.parametrize("bad", [["--batch-size", "0"], ["--storage", "float7"], ["--memory", "much"]])
def test_options_of_an_extraction_are_refused_before_a_model_is_loaded(bad, monkeypatch):
    monkeypatch.setattr("isomorph.cli.extract.load_encoder", lambda *_, **__: pytest.fail("a model was loaded"))
    np.savez("pets.npz", image=np.ones((3, 2)))
    shown = CliRunner().invoke(app, ["extract", "statistics:features", "arrays(paths='pets.npz')", *bad])
    assert isinstance(shown.exception, iso.InputError)
    assert bad[0].lstrip("-") in str(shown.exception)
