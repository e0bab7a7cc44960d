"""A source tree that is not installed works: its modules on the path, no metadata of its own anywhere."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@pytest.fixture(scope="module")
def uninstalled(tmp_path_factory):
    """The environment of a Python that has everything but the installed package."""
    others = tmp_path_factory.mktemp("site-packages")
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(folder).iterdir():
            if "isomorph" not in entry.name and not (others / entry.name).exists():
                (others / entry.name).symlink_to(entry)
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(others))), "OMP_NUM_THREADS": "1"}


def run(environment, *arguments, folder=ROOT):
    # -S: no site-packages but those named
    return subprocess.run(
        [sys.executable, "-S", *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_distribution_is_really_hidden(uninstalled):
    done = run(uninstalled, "-c", "from importlib.metadata import version; version('isomorph')")
    assert "PackageNotFoundError" in done.stderr


def test_the_version_is_the_one_that_the_project_file_says(uninstalled):
    code = "import isomorph; from isomorph._core.provenance import versions; print(isomorph.__version__, versions())"
    done = run(uninstalled, "-c", code)
    assert done.stderr == ""
    assert done.stdout.startswith(f"{VERSION} ")
    assert f"'isomorph': '{VERSION}'" in done.stdout
    assert run(uninstalled, "-m", "isomorph", "--version").stdout == f"isomorph {VERSION}\n"


def test_a_scan_by_the_command_says_what_made_it(uninstalled, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 4)))
    done = run(
        uninstalled, "-m", "isomorph", "scan", "x.npy", "x.npy", "-m", "cka", "--permutations", "20", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "scan.json").read_text(encoding="utf-8"))
    assert found["provenance"]["versions"]["isomorph"] == VERSION
    assert found["provenance"]["versions"]["numpy"] == np.__version__


def test_everything_of_the_package_is_found_by_its_registries(uninstalled):
    done = run(uninstalled, "-m", "isomorph", "list", "metrics")
    assert done.returncode == 0, done.stderr
    assert "mutual_knn" in done.stdout
