"""`isomorph init`, `open`, `list` alone, `-h`, `--json`."""

import json
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import COMMANDS, app, init, main
from isomorph.encoders import known_models


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def call(*arguments, answers=None):
    return CliRunner().invoke(app, list(arguments), input=answers)


def test_init_writes_a_study_that_loads_with_what_was_asked_for():
    encoders = ["a=statistics:image", "b=statistics:text", "c=statistics:text"]
    options = [part for text in encoders for part in ("--encoder", text)]
    done = call("init", "mine.toml", "--items", "emoji(n=60, seed=0)", "--no-untrained", *options)
    assert done.exit_code == 0, done.output
    assert "isomorph run mine.toml --dry-run" in done.output
    study = iso.load_study("mine.toml")
    assert [e.model for e in study.encoders.values()] == ["statistics:image", "statistics:text", "statistics:text"]
    assert not any(e.untrained for e in study.encoders.values())
    assert (study.scans[0].x, study.scans[0].y) == ("a", "b")
    assert len(study.stitches) == len(study.atlases) == 1  # an atlas from three encoders on
    assert study.diagnose is not None
    assert call("init", 'a"b.toml', *options).exit_code == 0
    assert not any(e.untrained for e in iso.load_study('a"b.toml').encoders.values())  # statistics have no weights


def test_init_overwrites_nothing_and_leaves_no_file_that_cannot_be_run():
    Path("study.toml").write_text("mine")
    done = call("init")
    assert done.exit_code != 0
    assert "is there already" in str(done.exception)
    assert Path("study.toml").read_text() == "mine"
    for arguments, said in (
        (["--items", "nothing(n=3)"], "Unknown dataset"),
        (["--encoder", "vision"], "NAME=MODEL is needed"),
        (["--encoder", "a=statistics:text"], "two names are needed"),
        (["--encoder", "a=statistics:text"] * 2 + ["--encoder", "b=statistics:text"], "none of them twice"),
        (["--encoder", "é=statistics:text"], "NAME=MODEL is needed"),
    ):
        done = call("init", "other.toml", *arguments)
        assert isinstance(done.exception, iso.InputError), done.output
        assert said in str(done.exception)
        assert not Path("other.toml").exists()
    Path("link.toml").symlink_to("nowhere.toml")
    assert "is there already" in str(call("init", "link.toml").exception)
    Path("folder").mkdir()
    assert "folder is a folder" in str(call("init", "folder").exception)


def pets(folder, n=24):
    folder.mkdir()
    for i in range(n):
        (folder / f"{i}.ppm").write_bytes(b"P6 1 1 255 " + bytes([9 * i, 255 - 9 * i, 90]))
        (folder / f"{i}.txt").write_text("red " * i + "green")


def test_a_folder_of_pictures_with_captions_becomes_a_page_by_one_command(monkeypatch):
    monkeypatch.setattr(init, "BY_MODALITY", {"image": ("statistics:image",), "text": ("statistics:text",)})
    pets(Path("my pets"))
    done = call("run", "my pets")
    assert done.exit_code == 0, done.output
    assert "Wrote my pets.toml: statistics:image sees 'image', statistics:text sees 'text'." in done.output
    study = iso.load_study("my pets.toml")
    assert "statistics:image" in study.page.read_text(encoding="utf-8")
    assert json.loads(next(study.output.glob("scan-*.json")).read_text())["x_name"] == "statistics:image"
    Path("pets").symlink_to("my pets")
    for spelling in ("my pets", "my pets/", "./my pets", str(Path("my pets").resolve()), "pets"):
        again = call("run", spelling, "--dry-run")
        assert "my pets.toml is the study of" in again.output, again.exception
    text = Path("my pets.toml").read_text()
    Path("my pets.toml").write_text(text.replace("my pets')", "my pets', skip_bad=True)"))
    assert "my pets.toml is the study of my pets" in call("run", "my pets", "--dry-run").output
    Path("my pets.toml").write_text(text.replace("my pets')", "other')"))
    assert "which is there and has other items" in str(call("run", "my pets").exception)
    Path("my pets.toml").write_text("")
    assert "my pets is a folder; its study would be my pets.toml" in str(call("run", "my pets").exception)


@pytest.mark.parametrize(
    "name", ["~tilde", "back\\slash", "new\nline", 'quo"te', "it's", "-dash", "a {brace}", "#", "ü"]
)
def test_a_folder_may_have_any_name(name):
    pets(Path(name))
    file = init.study_of(Path(f"./{name}"))
    assert len(iso.load_dataset(iso.load_study(file).items)) == 24
    assert iso.load_study(file).title == name


def test_a_folder_of_too_few_is_refused_before_a_study_is_written_and_so_are_wrong_options():
    pets(Path("few"), n=11)
    assert "few holds 11 items, and 12 at least" in str(call("run", "few").exception)
    pets(Path("bad"))
    Path("bad/3.txt").unlink()
    assert "--items \"folder(path='bad')\"" in str(call("run", "bad").exception)
    pets(Path("good"))
    for wrong in (["--shard", "5/3"], ["--workers", "2"], ["--on", "nothing"]):
        assert isinstance(call("run", "good", *wrong).exception, iso.InputError)
    assert not [*Path().glob("*.toml")]


def test_what_a_user_can_put_right_about_a_folder_is_one_paragraph_and_exit_status_2(capsys, monkeypatch):
    pets(Path("few"), n=3)
    monkeypatch.setattr("sys.argv", ["isomorph", "run", "few"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_models_of_a_folder_are_those_of_its_views_and_two_where_it_has_one():
    pets(Path("both"))
    study = iso.load_study(init.study_of(Path("both")))
    seen = {name: (entry.model, entry.settings.view) for name, entry in study.encoders.items()}
    assert seen == {"image": ("bundled:dinov2-small", "image"), "text": ("bundled:minilm-l6", "text")}
    assert all(entry.untrained for entry in study.encoders.values())
    pets(Path("it's"))
    for file in Path("it's").glob("*.txt"):
        file.unlink()
    study = iso.load_study(init.study_of(Path("it's")))
    assert [(e.model, e.settings.view) for e in study.encoders.values()] == [
        ("bundled:dinov2-small", "image"),
        ("bundled:efficientnet-lite0", "image"),
    ]
    Path("films").mkdir()
    for i in range(4):
        Path("films", f"{i}.mp4").write_bytes(b"film")
        Path("films", f"{i}.txt").write_text("a film")
    with pytest.raises(iso.InputError, match=r"films holds video, of which no model comes with Isomorph: .*--encoder"):
        init.study_of(Path("films"))
    Path("nothing").mkdir()
    with pytest.raises(iso.InputError, match=r"nothing .*isomorph init NAME\.toml"):
        init.study_of(Path("nothing"))
    assert sorted(p.name for p in Path().glob("*.toml")) == ["both.toml", "it's.toml"]


def test_every_model_of_a_folder_comes_with_isomorph():
    known = {facts.spec: facts.modality for facts in known_models()}
    for kind, models in init.BY_MODALITY.items():
        assert [known[model] for model in models] == [kind, kind]


def test_open_opens_the_page_of_a_folder_and_says_where_there_is_none(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or len(opened) == 1)
    Path("runs").mkdir()
    Path("runs/report.html").write_text("<p>page</p>")
    assert "Opened runs/report.html" in call("open", "runs").output
    assert "No browser was found" in call("open", "runs/report.html").output
    assert opened == [Path("runs/report.html").resolve().as_uri()] * 2
    for wrong in ("nowhere", "."):
        assert "is no page" in str(call("open", wrong).exception)


def test_list_alone_counts_every_kind():
    shown, machine = call("list"), call("list", "--json")
    counted = json.loads(machine.stdout)
    assert counted["metrics"] > 40
    for kind, count in counted.items():
        assert f"{kind}" in shown.output
        assert str(count) in shown.output
    rows = json.loads(call("--json", "list", "maps").stdout)
    assert {"ridge", "orthogonal"} <= {row["map"] for row in rows}


@pytest.mark.parametrize("command", [(), ("run",), ("scan",), ("list",)])
def test_h_is_help(command):
    short, long = call(*command, "-h"), call(*command, "--help")
    assert short.exit_code == long.exit_code == 0
    assert "Usage" in short.output
    assert short.output == long.output


def test_json_is_all_that_stands_on_standard_output():
    x, noise = np.random.default_rng(0).normal(size=(2, 40, 5))
    np.savez("x.npz", last=x)
    np.savez("y.npz", last=x + noise)
    done = call("scan", "x.npz", "y.npz", "-m", "cka", "--permutations", "30", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(Path("scan.json").read_text())
    assert "Scan of" in done.stderr
    assert "Scan of" in call("report", "-h").output + call("scan", "x.npz", "y.npz", "-m", "cka").output  # and it ends


def test_tables_keep_to_the_columns_that_are_asked_for(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = call("list", "maps").output.splitlines()
    assert max(map(len, lines)) <= 60
    monkeypatch.setenv("COLUMNS", "")
    assert max(map(len, call("list", "maps").output.splitlines())) > 100


def test_every_command_has_a_line_of_help():
    output = call("--help").output
    assert all(name in output for name in COMMANDS)
