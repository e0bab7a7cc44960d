"""Every room of kinds takes a new one as one file: found, listed, documented, and covered by the room's suite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import isomorph
from isomorph import datasets, diagnosis, encoders, heads, leagues, listing, maps, metrics
from isomorph.errors import UnknownNameError
from isomorph.reporting.sections import sections

from .toys import TOYS

ROOT = Path(__file__).parents[2]
ROOMS = {
    "metrics": metrics.REGISTRY,
    "maps": maps.REGISTRY,
    "heads": heads.REGISTRY,
    "datasets": datasets.REGISTRY,
    "providers": encoders.providers,
    "signatures": diagnosis.REGISTRY,
    "sections": sections,
    "criteria": leagues.REGISTRY,
}
"""Name of the list -> registry."""
PAGES = {
    "metrics": "metrics/README.md",
    "maps": "maps.md",
    "heads": "heads.md",
    "datasets": "datasets.md",
    "providers": "providers.md",
    "signatures": "signatures.md",
    "sections": "sections.md",
    "criteria": "criteria.md",
}
SUITES = {
    "metrics": "contracts/test_metrics.py",
    "maps": "contracts/test_maps.py",
    "heads": "contracts/test_heads.py",
    "datasets": "contracts/test_datasets.py",
    "providers": "encoders/test_providers.py",
    "signatures": "contracts/test_signatures.py",
    "sections": "contracts/test_sections.py",
    "criteria": "contracts/test_criteria.py",
}


@pytest.mark.parametrize("room", ROOMS)
def test_every_kind_is_listed_in_its_room_and_on_its_page(room: str) -> None:
    columns, rows = listing.KINDS[room]()
    assert [row[0] for row in rows] == list(ROOMS[room].classes)
    assert all(len(row) == len(columns) for row in rows)
    page = (ROOT / "docs" / PAGES[room]).read_text(encoding="utf-8")
    missing = [name for name in ROOMS[room].classes if not re.search(rf"(`|## ){re.escape(name)}\b", page)]
    assert not missing


@pytest.mark.parametrize("room", ROOMS)
def test_an_unknown_name_says_which_list_shows_them_all(room: str) -> None:
    with pytest.raises(UnknownNameError, match=f"`isomorph list {room}`"):
        ROOMS[room].make("no-such-kind")


def test_every_room_has_a_toy() -> None:
    assert len(TOYS) == len(ROOMS) == len(PAGES) == len(SUITES)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house with a toy in every room: one file each, and nothing else touched."""
    root = tmp_path_factory.mktemp("house")
    ignored = shutil.ignore_patterns("*.pyc.*")  # what another worker is compiling just now; what is compiled is as old
    shutil.copytree(Path(isomorph.__file__).parent, root / "src" / "isomorph", ignore=ignored)
    shutil.copytree(ROOT / "docs", root / "docs", ignore=ignored)
    for where, text in TOYS.items():
        path = root / "src" / "isomorph" / where
        assert not path.exists()
        path.write_text(text.lstrip(), encoding="utf-8")
    return root


def run(house: Path, *command: str) -> str:
    """What a command prints when it runs in the house with the toys."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(house / "src"), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_toy_of_every_room_is_listed_and_documented(house: Path) -> None:
    code = "from isomorph import listing; [print(k, [r[0] for r in rows()[1]]) for k, rows in listing.KINDS.items()]"
    listed = dict(line.split(" ", 1) for line in run(house, "-c", code).splitlines())
    run(house, str(house / "docs" / "generate.py"))
    for room, toy in zip(ROOMS, TOYS, strict=True):
        name = Path(toy).stem
        assert f"'{name}'" in listed[room]
        assert name in (house / "docs" / PAGES[room]).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def passed(house: Path) -> Counter[str]:
    """By suite, how many tests of the toys ran and passed; one process runs all, for it takes long to begin."""
    toys = f"({' or '.join(Path(toy).stem for toy in TOYS)}) and not jax"  # which would compile for seconds
    options = ("-vv", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib")
    out = run(house, "-m", "pytest", *options, "-k", toys, *(str(ROOT / "tests" / suite) for suite in SUITES.values()))
    return Counter(re.findall(r"^tests/(\S+?)::\S+ PASSED", out, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_a_toy_of_every_room_is_tested_by_the_rooms_suite_and_passes(passed: Counter[str], room: str) -> None:
    assert passed[SUITES[room]] >= 5, passed
