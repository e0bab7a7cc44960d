"""The files that a project's neighbours read: hooks, the workflow, the citation, the decisions."""

import importlib.machinery
import importlib.util
import itertools
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_citation_is_whole_and_says_what_the_project_file_says():
    found = read("CITATION.cff")
    assert found["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(found)  # what the format asks for
    assert str(found["version"]) == PROJECT["version"]
    assert found["license"] == PROJECT["license"]
    assert [a["name"] for a in found["authors"]] == [a["name"] for a in PROJECT["authors"]]
    assert found["keywords"] == PROJECT["keywords"]


def commands_of(target):
    """What a target of the Makefile runs from .venv."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    return [line.strip().removeprefix("$(BIN)/") for line in recipe[1].splitlines()]


def test_the_hooks_run_what_make_check_runs_from_the_same_environment():
    config = read(".pre-commit-config.yaml")
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}  # nothing is downloaded
    assert {hook["language"] for hook in hooks} == {"system"}
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)
    # pre-commit names the files itself
    entries = {re.sub(r" --(force-exclude|no-logo)", "", h["entry"].removeprefix(".venv/bin/")) for h in hooks}
    assert entries == {command.removesuffix(" .") for command in commands_of("check")}
    assert set(config["default_install_hook_types"]) == {stage for hook in hooks for stage in hook["stages"]}


def test_the_workflow_runs_ci_on_every_python_that_is_supported():
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()
    supported = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert job["strategy"]["matrix"]["python"] == supported
    least, above = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert supported == [f"3.{minor}" for minor in range(int(least), int(above))]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_every_decision_says_what_why_and_what_was_not_taken():
    text = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    decisions = re.findall(r"^## (.+)\n\n((?:(?!^## ).*\n?)*)", text, re.MULTILINE)
    assert len(decisions) >= 20
    for title, body in decisions:
        assert len(body.strip().split("\n\n")) == 1, f"{title}: one paragraph each"
        assert "Not taken:" in body, title


def test_lower_bounds_are_named_for_every_dependency_that_is_imported():
    loose = [d for d in PROJECT["dependencies"] if ">=" not in d]
    assert loose == ["pip"]  # run, never imported


def test_the_numerical_tests_of_ci_exist():
    source = (ROOT / ".ci" / "blas").read_text(encoding="utf-8")
    paths = re.findall(r'"(tests/[\w/.]+)"', source)
    assert paths
    assert [p for p in paths if not (ROOT / p).exists()] == []


@pytest.mark.parametrize("works", [True, False])
def test_uv_is_given_what_pip_is_set_to_and_what_it_cannot_do_is_left_to_pip(works, monkeypatch, capsys):
    loader = importlib.machinery.SourceFileLoader("install", str(ROOT / ".ci" / "install"))
    install = importlib.util.module_from_spec(importlib.util.spec_from_loader("install", loader))
    loader.exec_module(install)
    for name, value in {
        "INDEX_URL": "http://here/simple",
        "FIND_LINKS": "/a /b",
        "CERT": "/c.pem",
        "NO_INDEX": "1",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    real, calls = subprocess.run, []

    def run(command, **options):
        if command[-2:] == ["config", "list"]:
            return real(command, **options)
        calls.append((command, options.get("env", {})))
        return subprocess.CompletedProcess(command, 0 if works or "uv" not in command else 2)

    monkeypatch.setattr(install.subprocess, "run", run)
    assert install.main(["-c", "constraints.txt", "this"]) == 0
    (command, environment), *others = calls
    assert "uv" in command
    assert command[-3:] == ["-c", "constraints.txt", "this"]
    pairs = list(itertools.pairwise(command))
    for pair in (("--default-index", "http://here/simple"), ("--find-links", "/a"), ("--find-links", "/b")):
        assert pair in pairs
    assert "--no-index" in command
    assert environment["SSL_CERT_FILE"] == "/c.pem"
    assert [c[-3:] for c, _ in others] == ([] if works else [["-c", "constraints.txt", "this"]])
    assert ("pip tries" in capsys.readouterr().out) is not works
