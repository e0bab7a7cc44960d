"""What a release says of itself: one version, everywhere, and a workflow that publishes what was checked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import isomorph as iso

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_the_version_is_that_of_the_project_and_so_are_the_citation_and_the_changelog() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## (.+?) \((unreleased|\d{4}-\d\d-\d\d)\)$", _changelog(), re.MULTILINE)
    assert newest is not None, "the newest section of CHANGELOG.md names its version and its date, or (unreleased)"
    assert iso.__version__ == str(cited["version"]) == newest[1] == VERSION
    assert newest[2] == str(cited.get("date-released", "unreleased"))


def test_the_citation_says_what_the_project_says() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["license"] == project["license"]
    assert cited["keywords"] == project["keywords"]
    assert [a["name"] for a in cited["authors"]] == [a["name"] for a in project["authors"]]


def test_the_release_publishes_what_make_wheel_has_checked_and_holds_no_password() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert {"run": "make wheel"} in jobs["build"]["steps"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in text
    assert "make wheel" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def _changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
